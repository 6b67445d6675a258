//! Stories: the real processes, over loopback, with the real AWS SDK on the wire. Each starts a
//! stand of its own, lets something happen to it, and balances the books at the end: every reading
//! put on the stream is a row or a dead letter.

#[path = "support/aggregate.rs"]
mod aggregate;
#[path = "support/collector.rs"]
mod collector;
#[path = "stories/fleet.rs"]
mod fleet;
#[path = "stories/http.rs"]
mod http;
#[path = "stories/run.rs"]
mod run;
#[path = "stories/support.rs"]
mod support;
#[path = "stories/viewer.rs"]
mod viewer;

#[path = "stories/bill.rs"]
mod bill;
#[path = "stories/command_line.rs"]
mod command_line;
#[path = "stories/credentials.rs"]
mod credentials;
#[path = "stories/crowd.rs"]
mod crowd;
#[path = "stories/doctor.rs"]
mod doctor;
#[path = "stories/drill.rs"]
mod drill;
#[path = "stories/fan_out.rs"]
mod fan_out;
#[path = "stories/feeding.rs"]
mod feeding;
#[path = "stories/flow.rs"]
mod flow;
#[path = "stories/formats.rs"]
mod formats;
#[path = "stories/gone.rs"]
mod gone;
#[path = "support/influx.rs"]
mod influx;
#[path = "stories/keeping.rs"]
mod keeping;
#[path = "stories/leases.rs"]
mod leases;
#[path = "stories/mqtt.rs"]
mod mqtt;
#[path = "stories/quotas.rs"]
mod quotas;
#[path = "stories/replay.rs"]
mod replay;
#[path = "stories/resharding.rs"]
mod resharding;
#[path = "stories/retention.rs"]
mod retention;
#[path = "stories/sinks.rs"]
mod sinks;
#[path = "stories/stores.rs"]
mod stores;
#[path = "stories/streams.rs"]
mod streams;
#[path = "stories/top.rs"]
mod top;
#[path = "stories/traces.rs"]
mod traces;
#[path = "stories/viewers.rs"]
mod viewers;
#[path = "stories/workers.rs"]
mod workers;
