//! All settings: each section with its keys, their types, defaults, limits and meaning.

mod live;
mod process;
mod traces;
mod work;

pub use live::{Broadcaster, Connections, Gateway};
pub use process::{Aws, Cloudwatch, Http, Log, Shutdown, Top};
pub use traces::Traces;
pub use work::{DeadLetter, Decode, Influx, Lease, Pipeline, Queue, Source, Timestream};
