//! The time-series stores that a worker writes to, as one type.

use std::time::Duration;

use crate::aws::timestream::Timestream;
use crate::door::fault::CallFailed;
use crate::door::time_series::TimeSeries;
use crate::influx::Influx;
use crate::model::{Reading, Rejection, RowKey, Stage};

/// One store.
#[derive(Debug)]
pub enum Store {
    /// Timestream for LiveAnalytics.
    Timestream(Timestream),
    /// An InfluxDB, Timestream for InfluxDB among them.
    Influx(Influx),
}

impl Store {
    /// What its dead letters give as their stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Timestream(_) => Stage::Timestream,
            Self::Influx(_) => Stage::Influx,
        }
    }
}

impl TimeSeries for Store {
    fn batch_max(&self) -> usize {
        match self {
            Self::Timestream(store) => store.batch_max(),
            Self::Influx(store) => store.batch_max(),
        }
    }

    fn takes(&self, reading: &Reading) -> bool {
        match self {
            Self::Timestream(store) => store.takes(reading),
            Self::Influx(store) => store.takes(reading),
        }
    }

    fn key(&self, reading: &Reading) -> RowKey {
        match self {
            Self::Timestream(store) => store.key(reading),
            Self::Influx(store) => store.key(reading),
        }
    }

    fn check(&self, reading: &Reading) -> Result<(), String> {
        match self {
            Self::Timestream(store) => store.check(reading),
            Self::Influx(store) => store.check(reading),
        }
    }

    fn asked_pause(&self) -> Duration {
        match self {
            Self::Timestream(store) => store.asked_pause(),
            Self::Influx(store) => store.asked_pause(),
        }
    }

    async fn write(&self, batch: &[Reading]) -> Result<Vec<Rejection>, CallFailed> {
        match self {
            Self::Timestream(store) => Box::pin(store.write(batch)).await,
            Self::Influx(store) => Box::pin(store.write(batch)).await,
        }
    }
}
