//! Stories: the real processes, over loopback, with the real AWS SDK on the wire. Each starts a
//! stand of its own, lets something happen to it, and balances the books at the end: every reading
//! put on the stream is a row or a dead letter.

#[path = "stories/fleet.rs"]
mod fleet;
#[path = "stories/http.rs"]
mod http;
#[path = "stories/support.rs"]
mod support;
#[path = "stories/viewer.rs"]
mod viewer;

#[path = "stories/flow.rs"]
mod flow;
#[path = "stories/resharding.rs"]
mod resharding;
#[path = "stories/workers.rs"]
mod workers;
