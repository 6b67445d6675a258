package interop;

import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/** Writes each record down and checkpoints after each batch. */
final class Processor implements ShardRecordProcessor {
    private final Journal journal;
    private String shard;

    Processor(Journal journal) {
        this.journal = journal;
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input.shardId();
        var from = input.extendedSequenceNumber();
        say("start", from.sequenceNumber(), from.subSequenceNumber());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        for (KinesisClientRecord record : input.records()) {
            journal.write("record", shard, record.sequenceNumber(), record.subSequenceNumber(), record.partitionKey());
        }
        journal.flush();
        checkpoint(input.checkpointer());
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        say("lost");
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        say("ended");
        checkpoint(input.checkpointer());
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        say("leaving");
        checkpoint(input.checkpointer());
    }

    private void say(String what, Object... words) {
        if (shard == null) {
            // Lost before it was begun: nothing of it was done.
            return;
        }
        Object[] line = new Object[words.length + 2];
        line[0] = what;
        line[1] = shard;
        System.arraycopy(words, 0, line, 2, words.length);
        journal.write(line);
        journal.flush();
    }

    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint();
        } catch (ShutdownException taken) {
            say("refused");
        } catch (InvalidStateException broken) {
            throw new IllegalStateException("the lease table cannot be written", broken);
        } catch (Exception passing) {
            System.err.println("checkpoint of " + shard + " failed, the next will do: " + passing);
        }
    }
}
