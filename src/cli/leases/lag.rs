//! How far behind a lease is: the age of the next record that it has not done.

use std::time::Duration;

use crate::door::stream::Stream;
use crate::lease::row::Row;
use crate::model::{Checkpoint, EpochMillis, Start};

/// How far behind a lease is, or why that is not known.
pub(in crate::cli) type Lag = Result<Duration, String>;

/// Asks the stream for the first record after the checkpoint. `now` is Kinesis's own clock, as the
/// arrival is. None: the shard has ended, or still waits to be begun at a time to come.
pub(in crate::cli) async fn of(stream: &impl Stream, row: &Row, now: EpochMillis) -> Option<Lag> {
    let start = match &row.checkpoint {
        // Reading begins at the checkpoint's own record, in case it is an aggregate: that is no lag.
        Checkpoint::At { seq, .. } => Start::After(seq.clone()),
        _ => row.start()?,
    };
    Some(match next(stream, row, &start).await {
        Ok((arrival, behind)) => {
            let age = arrival.map_or(0, |arrival| now.0.saturating_sub(arrival.0));
            Ok(behind.max(Duration::from_millis(u64::try_from(age).unwrap_or(0))))
        }
        Err(error) => Err(error.to_string()),
    })
}

async fn next(
    stream: &impl Stream,
    row: &Row,
    start: &Start,
) -> Result<(Option<EpochMillis>, Duration), crate::door::stream::Error> {
    let place = stream.iterator(&row.shard, start).await?;
    let page = stream.records(&place, 1).await?;
    let arrival = page.records.first().map(|record| record.arrival);
    Ok((arrival, Duration::from_millis(page.behind_ms)))
}
