//! Settings of the worker: stream, leases, decoding, sinks.

use std::collections::BTreeMap;

use super::super::decoding::{
    DeviceIdFrom, Envelope, FieldType, Format, NotFinite, TimePolicy, TimeUnit, Units,
};
use super::super::key::section;
use super::super::kinds::{
    ByteSize, Fleet, InfluxApi, InitialPosition, MeasureName, Measurement, QueueFormat, ReadMode,
    RecordVersion, TableRoute, Url, Weight,
};
use super::super::secret::Secret;
use crate::model::EpochMillis;

section! {
    /// The Kinesis stream.
    Source "source" {
        /// The stream's name or ARN. The worker needs it, or `streams`.
        stream: Option<String>;
        /// Several streams read by one fleet, each by name, by ARN (in another account, too), or as
        /// KCL writes it, `account:name:creationEpoch`, where Java workers chose that epoch. Leases
        /// are then keyed as in KCL's multi-stream mode, and shards are named so everywhere.
        streams: Vec<String>;
        /// Where a shard that has no checkpoint yet is begun.
        initial_position: InitialPosition = "TRIM_HORIZON";
        /// The instant for `initial_position = "AT_TIMESTAMP"`.
        initial_timestamp: Option<EpochMillis>;
        /// Records a read asks for (`Limit` of `GetRecords`). Together with the records' size it
        /// decides how much of the byte budget one read reserves.
        batch_size: u64 = "10000", 1..=10_000;
        /// How records are fetched. `polling` asks for them, shares a shard's 2 MB a second with the
        /// stream's other consumers, and costs nothing extra. With `fan-out` (AWS: enhanced
        /// fan-out) the stream sends them as they are written, 2 MB a second a shard for this
        /// consumer alone; AWS bills each shard's hours and what is sent. `auto` is `fan-out`, but polls
        /// where no consumer may be registered or used. Beside the budget, each shard then holds up
        /// to 128 KiB that nobody has taken in yet.
        mode: ReadMode = "polling";
        /// The name of the consumer that is registered for `fan-out` and `auto`: 1 to 128 letters,
        /// digits, `_`, `.` and `-`. Not set: that of the lease table, as KCL does it. All workers of
        /// a fleet give the same. It is never taken back by itself, and billed until you do
        /// (`aws kinesis deregister-stream-consumer`).
        consumer: Option<String>;
        /// Milliseconds between two reads of one polled shard. Kinesis allows five reads a second a shard,
        /// for all its consumers together: with others on the stream, take more.
        poll_interval_ms: u64 = "200", 200..=60_000;
        /// Records that arrived on the stream more than this many seconds ago are skipped unread,
        /// counted, as `MaximumRecordAgeInSeconds` of a Lambda's event source. Not set: none is.
        maximum_record_age_s: Option<u64>, 60..=604_800;
    }
}

section! {
    /// The lease table, laid out as KCL's.
    Lease "lease" {
        /// The DynamoDB table; of KCL, the application's name.
        table: String = "tidewire-leases";
        /// Create the table if there is none. Otherwise that is an error that names the command.
        create: bool = "false";
        /// Milliseconds after which the lease of a worker that fell silent is taken over.
        duration_ms: u64 = "10000", 1_000..=600_000;
        /// Milliseconds between renewals, which carry the checkpoint; at most half of `duration_ms`
        /// less the margin (a twentieth, at least 500) by which a holder stops early.
        renew_every_ms: u64 = "3300", 100..=300_000;
        /// Milliseconds between looks at the whole table; less than `duration_ms`.
        scan_every_ms: u64 = "800", 100..=300_000;
        /// DynamoDB read units a second that this worker's looks at the table may use. Where the table
        /// is too large for that, looks are further apart, up to half of `duration_ms`; docs/leases.md
        /// says what that does to the time in which a lease is taken over.
        scan_read_units_per_s: u64 = "5", 1..=10_000;
        /// What this worker's id begins with; the host's name if not set. A random part follows,
        /// so that no two processes ever share an id.
        worker_id_prefix: Option<String>;
        /// The most leases this worker holds; without it, its fair share.
        leases_max: Option<u64>, 1..=u64::MAX;
        /// Who else works on the table: workers of ours only, or Java KCL's too (2.x, or 3.5
        /// configured `COMPATIBLE_WITH_2X_PHASE1`). The same for all workers of ours.
        fleet: Fleet = "tidewire";
        /// By what leases are spread: their number, or the bytes their shards carried in the last
        /// minute. The same for all workers; not with `fleet = "mixed"`.
        weight: Weight = "count";
    }
}

section! {
    /// How a record becomes readings. docs/formats.md has an example of each format and every
    /// decision; `tidewire decode` shows what a payload becomes. Fields are named as they stand in the
    /// payload, those within others with the separator between; `rename` comes last.
    Decode "decode" {
        /// What a payload is. gzip, zstd and aggregates of the KPL need no setting: they are told
        /// by how they begin.
        format: Format = "json";
        /// What is around a payload: nothing, base64, or a JSON object with the payload in base64
        /// in a field, whose other fields belong to each of the payload's readings.
        envelope: Envelope = "none";
        /// Where the device's id comes from.
        device_id: DeviceIdFrom = "field:device_id";
        /// The field that holds the reading's time; without it, a reading's time is its record's
        /// arrival on the stream. Line protocol and SenML have their own place for it.
        time_field: Option<String>;
        /// The unit of `time_field`, or of line protocol's times; it must be given with either:
        /// units are never guessed.
        time_unit: Option<TimeUnit>;
        /// What becomes of a reading without a time.
        time_missing: TimePolicy = "reject";
        /// What becomes of a reading whose time is no time, or beyond the two bounds below.
        time_absurd: TimePolicy = "reject";
        /// Seconds that a time may lie before its record's arrival. Not set: any.
        time_past_max_s: Option<u64>, 1..=u64::MAX;
        /// Seconds that a time may lie after its record's arrival (Timestream: 900). Not set: any.
        time_future_max_s: Option<u64>, 1..=u64::MAX;
        /// Fields that become dimensions rather than measures.
        dimensions: Vec<String>;
        /// Dimensions that every reading gets, as in `{ site = "north" }`.
        constants: BTreeMap<String, String>;
        /// The dimension that holds the record's partition key. Not set: none does.
        partition_key_as: Option<String>;
        /// The only fields that become measures; `env.*` means all that begin with `env.`. Empty:
        /// all do.
        include: Vec<String>;
        /// Fields that become nothing, whatever `include` says; `*` as there.
        exclude: Vec<String>;
        /// New names of fields, as in `{ "env.t" = "temperature" }`.
        rename: BTreeMap<String, String>;
        /// Fields whose values are not what they look like (every number of JSON, CBOR and SenML
        /// is a float), as in `{ count = "int" }`.
        types: BTreeMap<String, FieldType>;
        /// What joins the names of nested fields.
        separator: String = ".";
        /// What becomes of NaN and the infinities, which no sink stores.
        not_finite: NotFinite = "reject";
        /// What becomes of SenML's units.
        units: Units = "ignore";
        /// Skip user records of an aggregate that belong to another shard by their keys, counted,
        /// as KCL does: a producer puts them again on the right one after a reshard.
        aggregate_hash_range: bool = "true";
    }
}

section! {
    /// The Timestream sink; off where only `[influx]` is given.
    Timestream "timestream" {
        /// The database. The worker needs it, unless it writes to InfluxDB alone.
        database: Option<String>;
        /// The table; with the database.
        table: Option<String>;
        /// Create database and table if there are none.
        create: bool = "false";
        /// The S3 bucket to which Timestream reports what its magnetic store rejects, for tables made
        /// by `create`. Not set: they take no readings older than their memory store (24 h), which
        /// become dead letters.
        rejected_bucket: Option<String>;
        /// A row's measure name. `auto` keeps two messages of one device at one instant apart if
        /// they carry different measures.
        measure_name: MeasureName = "auto";
        /// Readings for other tables, by device id, or by a dimension or text field; the first that
        /// fits counts, as in `["device:pump-* -> pumps", "field:site=north -> north"]`. Whatever
        /// fits none goes to `table`.
        routes: Vec<TableRoute>;
        /// A record's version. With `arrival`, of two values for one row the one that arrived last
        /// stays; with `off`, the first stays and the other is a dead letter.
        version: RecordVersion = "off";
        /// Milliseconds that a reading waits at most for others to fill its request of 100.
        window_ms: u64 = "200", 0..=60_000;
        /// Requests under way at once, to each table. While Timestream throttles they are fewer, but
        /// never less than half: it grows by their pressure.
        requests_in_flight_max: u64 = "8", 1..=256;
    }
}

section! {
    /// The InfluxDB sink; off unless `url` is set. Beside `[timestream]`, both get every reading.
    Influx "influx" {
        /// The server, as in `https://influx.example:8086`.
        url: Option<Url>;
        /// The write API it has. Timestream for InfluxDB: `v2` or `v3`, as its engine.
        api: InfluxApi = "v2";
        /// The organization; `v2` needs it.
        org: Option<String>;
        /// The bucket; `v2` needs it.
        bucket: Option<String>;
        /// The database; `v1` and `v3` need it.
        database: Option<String>;
        /// The token; with `v1`, `user:password`.
        token: Option<Secret>;
        /// A file with a private authority's certificates in PEM, trusted beside the system's.
        ca_file: Option<String>;
        /// A line's measurement.
        measurement: Measurement = "constant:readings";
        /// Compress requests.
        gzip: bool = "true";
        /// Milliseconds that a reading waits at most for others to fill its request.
        window_ms: u64 = "200", 0..=60_000;
        /// Lines a request holds at most.
        batch_lines: u64 = "5000", 1..=100_000;
        /// Requests under way at once; while the server throttles fewer, but never less than half.
        requests_in_flight_max: u64 = "4", 1..=256;
    }
}

section! {
    /// The live queue sink; off unless `urls` is set.
    Queue "queue" {
        /// SQS queues, one for each active broadcaster. Each gets every message. The gateway tells
        /// the broadcasters of changed subscriptions through them.
        urls: Vec<Url>;
        /// What a message holds. FIFO queues, and `fair`, take `single` only.
        format: QueueFormat = "packed";
        /// Tell standard queues each message's device as its group, so that SQS deals fairly with
        /// devices when one of them floods the queue. FIFO queues are always told: their order is by
        /// device.
        fair: bool = "false";
        /// Milliseconds that a reading waits at most for others to fill its message.
        window_ms: u64 = "50", 0..=60_000;
        /// Readings that arrived on the stream more than this many seconds ago skip the queue,
        /// counted, so that dead screens need not hold up the archive. Not set: none skip.
        max_age_s: Option<u64>, 1..=604_800;
    }
}

section! {
    /// Where what cannot be kept is filed with its reason.
    DeadLetter "dead_letter" {
        /// The SQS queue. The worker needs it: without it, nothing could be refused without loss.
        queue_url: Option<Url>;
    }
}

section! {
    /// Bounds over all shards together.
    Pipeline "pipeline" {
        /// Bytes of records read and not yet done. Reading stops when it is used up.
        budget_bytes: ByteSize = "32MiB", 1_048_576..=u64::MAX;
        /// Reads under way at once. The budget can be overshot by one answer for each (10 MiB at
        /// the very most), since an answer's size is known only when it is there.
        reads_max: u64 = "8", 1..=1_024;
    }
}
