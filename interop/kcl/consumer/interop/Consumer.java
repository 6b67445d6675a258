package interop;

import java.net.URI;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A KCL worker that appends what it processed to a file.
 *
 * <p>Arguments are {@code name=value}: {@code kinesis} and {@code dynamodb} (endpoints), {@code
 * stream}, {@code table}, {@code worker} (its id), {@code failover_ms}, {@code out} (the file).
 * SIGTERM is a graceful shutdown.
 */
public final class Consumer {
    /** As KCL waits for its own record processors. */
    private static final long SHUTDOWN_S = 30;

    private Consumer() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (String arg : args) {
            String[] pair = arg.split("=", 2);
            options.put(pair[0], pair[1]);
        }
        Journal journal = new Journal(Path.of(options.get("out")));
        Scheduler scheduler = scheduler(options, journal);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> leave(scheduler)));
        scheduler.run();
    }

    private static Scheduler scheduler(Map<String, String> options, Journal journal) {
        var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
        var region = Region.US_EAST_1;
        // HTTP/2 over plain text is not spoken by local servers.
        var http = NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1).maxConcurrency(200);
        var kinesis = KinesisAsyncClient.builder()
                .endpointOverride(URI.create(options.get("kinesis")))
                .credentialsProvider(credentials)
                .region(region)
                .httpClientBuilder(http)
                .build();
        var dynamodb = DynamoDbAsyncClient.builder()
                .endpointOverride(URI.create(options.get("dynamodb")))
                .credentialsProvider(credentials)
                .region(region)
                .build();
        // Demanded by the builder; no metric is ever sent.
        var cloudwatch = CloudWatchAsyncClient.builder()
                .endpointOverride(URI.create("http://127.0.0.1:9"))
                .credentialsProvider(credentials)
                .region(region)
                .build();
        var oldest = InitialPositionInStreamExtended.newInitialPosition(
                InitialPositionInStream.TRIM_HORIZON);
        String stream = options.get("stream");
        var configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, oldest),
                options.get("table"),
                kinesis,
                dynamodb,
                cloudwatch,
                options.get("worker"),
                () -> new Processor(journal));
        long failoverMs = Long.parseLong(options.get("failover_ms"));
        return new Scheduler(
                configs.checkpointConfig(),
                Version.configured(configs.coordinatorConfig()),
                configs.leaseManagementConfig().failoverTimeMillis(failoverMs),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig()
                        .retrievalSpecificConfig(new PollingConfig(stream, kinesis)
                                .idleTimeBetweenReadsInMillis(500)));
    }

    private static void leave(Scheduler scheduler) {
        try {
            scheduler.startGracefulShutdown().get(SHUTDOWN_S, TimeUnit.SECONDS);
        } catch (Exception failed) {
            System.err.println("graceful shutdown failed: " + failed);
        }
    }
}
