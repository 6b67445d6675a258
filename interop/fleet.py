"""A stand, workers of both kinds as processes of their own, and what watches them."""

import base64
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from aws import DYNAMODB, KINESIS, SQS, Refused, Service, rows_of

ENDED = "SHARD_END"
DEVICES = 40
EXIT_TIMEOUT_S = 60


class Process:
    """A child process whose standard error goes to a file."""

    def __init__(self, name, folder, command, env=None, stdout=None):
        self.name = name
        self.log_path = Path(folder) / f"{name}.log"
        self.log_file = self.log_path.open("w")
        self.child = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout or self.log_file,
            stderr=self.log_file,
            text=True,
        )
        self.alive = True

    def check(self):
        if self.alive and self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended by itself ({self.child.returncode}), see {self.log_path}")

    def kill(self):
        """As a crash would."""
        self.alive = False
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(EXIT_TIMEOUT_S)

    def leave(self):
        """As a deployment does. Returns the seconds it took."""
        self.alive = False
        begun = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self.name} did not end within {EXIT_TIMEOUT_S} s of SIGTERM") from None
        return time.monotonic() - begun

    def log(self):
        return self.log_path.read_text(errors="replace").splitlines()


class Stand(Process):
    """`tidewire local` without workers and devices; the lease table may be elsewhere."""

    def __init__(self, tidewire, folder, shards, dynamodb):
        command = [tidewire, "local", "--json", "--workers", "0", "--devices", "0"]
        command += ["--port-base", "0", "--shards", str(shards)]
        super().__init__("stand", folder, command, stdout=subprocess.PIPE)
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand did not start, see {self.log_path}")
        self.card = json.loads(line)
        self.stream = self.card["stream"]
        self.table = self.card["lease_table"]
        self.dynamodb_url = dynamodb or self.card["dynamodb"]
        self.kinesis = Service(self.card["kinesis"], KINESIS)
        self.dynamodb = Service(self.dynamodb_url, DYNAMODB)
        self.sqs = Service(self.card["sqs"], SQS)

    def open_shards(self):
        shards = self.kinesis.call("ListShards", {"StreamName": self.stream})["Shards"]
        return [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def split(self):
        """Splits the first open shard in its middle."""
        shard = self.open_shards()[0]
        keys = shard["HashKeyRange"]
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"])) // 2 + 1
        self.kinesis.call(
            "SplitShard",
            {"StreamName": self.stream, "ShardToSplit": shard["ShardId"], "NewStartingHashKey": str(middle)},
        )
        return [shard["ShardId"]]

    def merge(self):
        """Merges the last two open shards of the hash range."""
        shards = sorted(self.open_shards(), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        first, second = (shard["ShardId"] for shard in shards[-2:])
        self.kinesis.call(
            "MergeShards",
            {"StreamName": self.stream, "ShardToMerge": first, "AdjacentShardToMerge": second},
        )
        return [first, second]


class DynamoDbLocal(Process):
    """AWS's own, from the class path that Maven wrote; in memory."""

    def __init__(self, folder, built, port):
        command = ["java", "-Xmx256m", "-cp", (built / "classpath").read_text().strip()]
        command += ["com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-port", str(port)]
        super().__init__("dynamodb-local", folder, command)
        self.url = f"http://127.0.0.1:{port}"

    def answers(self):
        try:
            return "TableNames" in Service(self.url, DYNAMODB).call("ListTables", {})
        except OSError:
            return False


class Java(Process):
    """A worker on Java KCL. `kcl` is its module."""

    kind = "java"

    def __init__(self, name, folder, stand, kcl, failover_ms):
        self.journal = Path(folder) / f"{name}.journal"
        self.journal.touch()
        built = kcl / "classpath"
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
        command += ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", f"{kcl / 'classes'}:{built.read_text().strip()}"]
        command += ["interop.Consumer", f"kinesis={stand.card['kinesis']}", f"dynamodb={stand.dynamodb_url}"]
        command += [f"stream={stand.stream}", f"table={stand.table}", f"worker={name}"]
        command += [f"failover_ms={failover_ms}", f"out={self.journal}"]
        super().__init__(name, folder, command)

    def owns(self, owner):
        return owner == self.name

    def lines(self):
        """What it wrote down, whole lines only."""
        text = self.journal.read_text()
        return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]

    def delivered(self):
        """(shard, seq) in the order of processing."""
        return [(words[1], int(words[2])) for words in self.lines() if words[0] == "record"]


class Tidewire(Process):
    """A worker of ours, with a live queue of its own by which it tells what it did."""

    kind = "tidewire"

    def __init__(self, name, folder, stand, tidewire, failover_ms):
        self.sqs = stand.sqs
        self.queue = self.sqs.call("CreateQueue", {"QueueName": f"live-{name}"})["QueueUrl"]
        self.heard = []
        env = {
            "TIDEWIRE_HTTP__LISTEN": "127.0.0.1:0",
            "TIDEWIRE_LEASE__FLEET": "mixed",
            "TIDEWIRE_LEASE__WORKER_ID_PREFIX": name,
            "TIDEWIRE_LEASE__DURATION_MS": str(failover_ms),
            "TIDEWIRE_LEASE__RENEW_EVERY_MS": str(failover_ms // 3),
            "TIDEWIRE_QUEUE__URLS": self.queue,
            "TIDEWIRE_AWS__ENDPOINT_DYNAMODB": stand.dynamodb_url,
        }
        super().__init__(name, folder, [tidewire, "worker", "--config", stand.card["config"]], env)
        self.listening = True
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self):
        try:
            while self.listening:
                self._hear()
        except OSError:
            # The stand ended; the records that were not heard then are missed by the oracle.
            self.listening = False

    def _hear(self):
        asked = {"QueueUrl": self.queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        messages = self.sqs.call("ReceiveMessage", asked).get("Messages", [])
        for message in messages:
            for reading in json.loads(message["Body"]).get("readings", []):
                self.heard.append((reading["shard"], int(reading["seq"])))
        if messages:
            entries = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages)
            ]
            self.sqs.call("DeleteMessageBatch", {"QueueUrl": self.queue, "Entries": entries})

    def owns(self, owner):
        return owner is not None and owner.startswith(f"{self.name}-")

    def delivered(self):
        return list(self.heard)

    def said(self, message):
        """Lines of its log with this message."""
        found = []
        for line in self.log():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if said.get("message") == message:
                found.append(said)
        return found


class Putter(threading.Thread):
    """Puts readings on the stream throughout, and remembers where each landed."""

    PAUSE_S = 0.1

    def __init__(self, stand, rate):
        super().__init__(daemon=True)
        self.stand = stand
        self.batch = max(1, round(rate * self.PAUSE_S))
        self.put = {}
        self.over = threading.Event()
        self.failure = None

    def run(self):
        number = 0
        try:
            while not self.over.wait(self.PAUSE_S):
                now_ms = int(time.time() * 1000)
                waiting = []
                for _ in range(self.batch):
                    key = f"device-{number % DEVICES}"
                    # One instant for each reading of a device, so that none replaces another.
                    data = {"device_id": key, "ts": now_ms, "n": number}
                    waiting.append({"PartitionKey": key, "Data": base64.b64encode(json.dumps(data).encode()).decode()})
                    number += 1
                self._put(waiting)
        except Exception as failure:  # noqa: BLE001, told by the main thread
            self.failure = failure

    def _put(self, waiting):
        while waiting:
            try:
                answer = self.stand.kinesis.call("PutRecords", {"StreamName": self.stand.stream, "Records": waiting})
            except Refused as refused:
                if refused.code not in ("ResourceInUseException", "LimitExceededException"):
                    raise
                time.sleep(self.PAUSE_S)
                continue
            again = []
            for record, fate in zip(waiting, answer["Records"]):
                if "SequenceNumber" in fate:
                    self.put[(fate["ShardId"], int(fate["SequenceNumber"]))] = record["PartitionKey"]
                else:
                    again.append(record)
            waiting = again
            if waiting:
                time.sleep(self.PAUSE_S)


class Watch(threading.Thread):
    """Reads the lease table twice a second and holds every row to what KCL demands of it."""

    PAUSE_S = 0.5

    def __init__(self, stand):
        super().__init__(daemon=True)
        self.stand = stand
        self.rows = {}
        self.passages = []
        self.offences = []
        self.looks = 0
        self.over = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.over.wait(self.PAUSE_S):
                self.look()
        except Exception as failure:  # noqa: BLE001, told by the main thread
            self.failure = failure

    def look(self):
        rows = rows_of(self.stand.dynamodb, self.stand.table)
        if rows is None:
            return {}
        for key, row in rows.items():
            self._judge(row, self.rows.get(key))
        self.rows = rows
        self.looks += 1
        return rows

    def _judge(self, row, before):
        def offend(what):
            self.offences.append(f"{what}: {before} -> {row}")

        needed = ("leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint", "checkpointSubSequenceNumber")
        for name in needed:
            if name not in row:
                offend(f"a row without {name}")
        for name in ("parentShardId", "childShardIds"):
            if name in row and not row[name]:
                offend(f"an empty {name}")
        if before is None:
            return
        if row.get("leaseOwner") != before.get("leaseOwner"):
            self.passages.append((row["leaseKey"], before, row))
        if int(row["leaseCounter"]) < int(before["leaseCounter"]):
            offend("a counter fell")
        if place(row["checkpoint"]) < place(before["checkpoint"]):
            offend("a checkpoint went back")


def place(checkpoint):
    """A checkpoint as something that compares."""
    if checkpoint == ENDED:
        return float("inf")
    return int(checkpoint) if checkpoint.isdigit() else -1
