//! Every metric's name, kind, labels and meaning, in one table. `docs/metrics.md` and the dashboard
//! are compared with it by a test; nothing else in the code spells a metric's name.

/// Kinds of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Classic buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the unit in it.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels. Devices and connections are never labels: their number has no bound.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// 1, labelled with the version that runs.
pub const BUILD_INFO: &str = "tidewire_build_info";
/// How far the last read of a shard was behind its tip (Kinesis `MillisBehindLatest`, KCL's iterator age).
pub const SHARD_BEHIND: &str = "tidewire_shard_behind_seconds";
/// Time since the shard's checkpoint last advanced or had nothing left to advance over.
pub const SHARD_CHECKPOINT_AGE: &str = "tidewire_shard_checkpoint_age_seconds";
/// Records read from a shard.
pub const SHARD_RECORDS: &str = "tidewire_shard_records_total";
/// Payload bytes read from a shard.
pub const SHARD_BYTES: &str = "tidewire_shard_bytes_total";
/// Readings decoded from a shard's records.
pub const SHARD_READINGS: &str = "tidewire_shard_readings_total";
/// Times that the record where reading stopped was gone when it went on, by what was left: records,
/// nothing, `not_even_the_shard`.
pub const SHARD_GAPS: &str = "tidewire_shard_gaps_total";
/// `GetRecords` calls by result: ok, empty, throttled, expired, failed.
pub const READS: &str = "tidewire_reads_total";
/// Subscriptions asked for by result: opened, held, throttled, failed, refused.
pub const SUBSCRIPTIONS: &str = "tidewire_subscriptions_total";
/// Events of subscriptions by result: ok, empty.
pub const EVENTS: &str = "tidewire_subscription_events_total";
/// Shards that are read, by mode: polling, fan-out.
pub const SHARDS_READ: &str = "tidewire_shards_read";
/// Time a `GetRecords` call took.
pub const READ_SECONDS: &str = "tidewire_read_seconds";
/// Records that do not decode; each becomes one dead letter.
pub const DECODE_FAILURES: &str = "tidewire_decode_failures_total";
/// Readings that a named rule keeps from a sink: `no_measures`, `max_age`, superseded,
/// `hash_range`, `maximum_record_age`.
pub const SKIPPED: &str = "tidewire_readings_skipped_total";
/// Readings by sink and fate: acknowledged, `dead_lettered`, abandoned.
pub const SINK_READINGS: &str = "tidewire_sink_readings_total";
/// Requests to a sink by result: ok, partial, throttled, transient, rejected, fatal.
pub const SINK_REQUESTS: &str = "tidewire_sink_requests_total";
/// Time a request to a sink took, retries not included.
pub const SINK_REQUEST_SECONDS: &str = "tidewire_sink_request_seconds";
/// Readings in a request to a sink.
pub const SINK_BATCH_READINGS: &str = "tidewire_sink_batch_readings";
/// Requests to a sink under way.
pub const SINK_IN_FLIGHT: &str = "tidewire_sink_requests_in_flight";
/// Readings that a sink refused, by kind of refusal.
pub const REJECTIONS: &str = "tidewire_rejections_total";
/// Dead letters filed, by the stage at which the record died.
pub const DEAD_LETTERS: &str = "tidewire_dead_letters_total";
/// Bytes read and not yet done, against the one byte budget of all shards; what reads under way
/// have reserved of it does not count.
pub const BUDGET_BYTES: &str = "tidewire_budget_used_bytes";
/// The byte budget.
pub const BUDGET_LIMIT_BYTES: &str = "tidewire_budget_limit_bytes";
/// Leases this worker holds and has not ended (KCL `CurrentLeases`).
pub const LEASES_HELD: &str = "tidewire_leases_held";
/// Leases in the table as last scanned, by state: owned, unowned, ended.
pub const LEASES_KNOWN: &str = "tidewire_leases_known";
/// Workers that own a lease in the table (KCL `NumWorkers`).
pub const WORKERS_SEEN: &str = "tidewire_workers_seen";
/// Leases taken: unowned, expired, `handed_over`, stolen (KCL `TakenLeases`).
pub const LEASES_TAKEN: &str = "tidewire_leases_taken_total";
/// Leases lost: taken, fenced, `row_gone` (KCL `LostLeases`).
pub const LEASES_LOST: &str = "tidewire_leases_lost_total";
/// Leases given up on purpose: shutdown, handoff, ended, `left_to_expire`.
pub const LEASES_RELEASED: &str = "tidewire_leases_released_total";
/// Calls to the lease table by operation and result.
pub const LEASE_CALLS: &str = "tidewire_lease_table_calls_total";
/// Time a call to the lease table took.
pub const LEASE_CALL_SECONDS: &str = "tidewire_lease_table_call_seconds";
/// Lease rows created for shards.
pub const LEASE_CREATED: &str = "tidewire_lease_rows_created_total";
/// Parts of the hash space found without a lease in several scans on end (KCL `NumStreamsWithPartialLeases`).
pub const LEASE_HOLES: &str = "tidewire_lease_holes_total";
/// Violations of a numbered invariant of the design; anything but 0 is a defect.
pub const INVARIANTS_BROKEN: &str = "tidewire_invariants_broken_total";
/// 1 while this broadcaster serves the queue, 0 while another does.
pub const QUEUE_SERVED: &str = "tidewire_queue_served";
/// Viewers in the connection table that this broadcaster serves.
pub const VIEWERS: &str = "tidewire_viewers";
/// Messages received from the live queue by result: handled, rubbish.
pub const MESSAGES: &str = "tidewire_queue_messages_total";
/// Readings received for viewers: taken, stale, `too_old`.
pub const LIVE_READINGS: &str = "tidewire_live_readings_total";
/// Posts to viewers by result: accepted, gone, slow, `too_large`, forbidden, failed.
pub const POSTS: &str = "tidewire_posts_total";
/// Time a post to a viewer took.
pub const POST_SECONDS: &str = "tidewire_post_seconds";
/// Posts under way.
pub const POSTS_IN_FLIGHT: &str = "tidewire_posts_in_flight";
/// Size of frames posted to viewers.
pub const FRAME_BYTES: &str = "tidewire_frame_bytes";
/// Rows of the connection table deleted: gone, expired, `too_old`, slow.
pub const CONNECTIONS_FORGOTTEN: &str = "tidewire_connections_forgotten_total";
/// 1 while the breaker is open, by the reason `why`: gone, forbidden, unreachable.
pub const BREAKER_OPEN: &str = "tidewire_post_breaker_open";
/// Readings owed to a viewer and dropped: overflow, failed.
pub const LIVE_DROPPED: &str = "tidewire_live_readings_dropped_total";
/// Time from a reading's arrival on the stream to its post's acceptance.
pub const ARRIVAL_TO_POST_SECONDS: &str = "tidewire_arrival_to_post_seconds";
/// Units that AWS bills for the process's calls, by service and unit.
pub const BILLED_UNITS: &str = "tidewire_billed_units_total";
/// Spans by what became of them: exported, rejected, failed, dropped.
pub const TRACE_SPANS: &str = "tidewire_trace_spans_total";

mod table;

pub use table::ALL;
