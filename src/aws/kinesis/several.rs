//! Several streams read as one, by keys that name stream and shard.

use super::{Events, Kinesis, unusable};
use crate::door::stream::{Error, Page, ShardIterator, Stream};
use crate::model::{ChildShard, EpochMillis, Shard, ShardId, Start, StreamId};

/// The streams that a worker reads.
#[derive(Clone, Debug)]
pub enum Streams {
    /// One, whose shards are known by their own ids.
    One(Kinesis),
    /// Several, whose shards are known by stream and id.
    Several(Vec<(StreamId, Kinesis)>),
}

/// Between the stream's place in the list and Kinesis's own iterator, which is base64.
const MARK: char = '@';

impl Streams {
    /// Their names among several; none for the only one.
    #[must_use]
    pub fn ids(&self) -> Option<std::collections::BTreeSet<StreamId>> {
        match self {
            Self::One(_) => None,
            Self::Several(streams) => Some(streams.iter().map(|(id, _)| id.clone()).collect()),
        }
    }
}

fn in_stream(id: &StreamId, shard: Shard) -> Shard {
    let of = |bare: ShardId| id.shard(bare.as_str());
    Shard {
        id: of(shard.id),
        parent: shard.parent.map(of),
        adjacent_parent: shard.adjacent_parent.map(of),
        ..shard
    }
}

pub(super) fn all_born_in(id: &StreamId, children: Vec<ChildShard>) -> Vec<ChildShard> {
    let of = |bare: &ShardId| id.shard(bare.as_str());
    let child = |child: ChildShard| ChildShard {
        id: of(&child.id),
        parents: child.parents.iter().map(of).collect(),
        ..child
    };
    children.into_iter().map(child).collect()
}

/// The stream of a shard, and its place in the list.
fn of<'a>(
    streams: &'a [(StreamId, Kinesis)],
    shard: &ShardId,
) -> Option<(usize, &'a (StreamId, Kinesis))> {
    let of = shard.stream();
    let mut streams = streams.iter().enumerate();
    streams.find(|(_, (id, _))| Some(id) == of.as_ref())
}

fn not_read(operation: &'static str, shard: &ShardId) -> Error {
    unusable(
        operation,
        &format!("shard `{shard}` is of no stream that is read here"),
    )
    .into()
}

impl Stream for Streams {
    type Subscription = Events;

    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        match self {
            Self::One(stream) => stream.shards().await,
            Self::Several(streams) => {
                let mut all = Vec::new();
                for (id, stream) in streams {
                    let shards = stream.shards().await?.into_iter();
                    all.extend(shards.map(|shard| in_stream(id, shard)));
                }
                Ok(all)
            }
        }
    }

    /// Any of them tells Kinesis's time.
    async fn server_time(&self) -> Result<EpochMillis, Error> {
        match self {
            Self::One(stream) => stream.server_time().await,
            Self::Several(streams) => match streams.first() {
                Some((_, stream)) => stream.server_time().await,
                None => Err(unusable("ListShards", "no stream is read").into()),
            },
        }
    }

    async fn iterator(&self, shard: &ShardId, start: &Start) -> Result<ShardIterator, Error> {
        let streams = match self {
            Self::One(stream) => return stream.iterator(shard, start).await,
            Self::Several(streams) => streams,
        };
        let found = of(streams, shard);
        let (place, (_, stream)) = found.ok_or_else(|| not_read("GetShardIterator", shard))?;
        let bare = ShardId::from(shard.bare());
        let ShardIterator(iterator) = stream.iterator(&bare, start).await?;
        Ok(ShardIterator(format!("{place}{MARK}{iterator}")))
    }

    async fn records(&self, iterator: &ShardIterator, limit: u32) -> Result<Page, Error> {
        let streams = match self {
            Self::One(stream) => return stream.records(iterator, limit).await,
            Self::Several(streams) => streams,
        };
        let found = iterator.0.split_once(MARK).and_then(|(place, iterator)| {
            let (place, stream) = (place, streams.get(place.parse::<usize>().ok()?)?);
            Some((place, stream, ShardIterator(iterator.to_owned())))
        });
        let (place, (id, stream), iterator) = found.ok_or(Error::IteratorExpired)?;
        let page = stream.records(&iterator, limit).await?;
        let next = page.next;
        Ok(Page {
            next: next.map(|ShardIterator(next)| ShardIterator(format!("{place}{MARK}{next}"))),
            children: all_born_in(id, page.children),
            ..page
        })
    }

    fn has_consumer(&self, shard: &ShardId) -> bool {
        match self {
            Self::One(stream) => stream.has_consumer(shard),
            Self::Several(streams) => {
                let found = of(streams, shard);
                found.is_some_and(|(_, (_, stream))| stream.has_consumer(shard))
            }
        }
    }

    async fn subscribe(&self, shard: &ShardId, start: &Start) -> Result<Events, Error> {
        let streams = match self {
            Self::One(stream) => return stream.subscribe(shard, start).await,
            Self::Several(streams) => streams,
        };
        let found = of(streams, shard);
        let (_, (id, stream)) = found.ok_or_else(|| not_read("SubscribeToShard", shard))?;
        let bare = ShardId::from(shard.bare());
        let events = stream.subscribe(&bare, start).await?;
        Ok(events.among_several(id.clone()))
    }
}
