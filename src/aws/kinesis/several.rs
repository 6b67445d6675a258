//! Several streams read as one, by keys that name stream and shard.

use super::{Kinesis, unusable};
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

fn born_in(id: &StreamId, child: ChildShard) -> ChildShard {
    let of = |bare: &ShardId| id.shard(bare.as_str());
    ChildShard {
        id: of(&child.id),
        parents: child.parents.iter().map(of).collect(),
        ..child
    }
}

fn not_read(shard: &ShardId) -> Error {
    unusable(
        "GetShardIterator",
        &format!("shard `{shard}` is of no stream that is read here"),
    )
    .into()
}

impl Stream for Streams {
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
        let of = shard.stream();
        let mut streams = streams.iter().enumerate();
        let found = streams.find(|(_, (id, _))| Some(id) == of.as_ref());
        let (place, (_, stream)) = found.ok_or_else(|| not_read(shard))?;
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
            children: page
                .children
                .into_iter()
                .map(|child| born_in(id, child))
                .collect(),
            ..page
        })
    }
}
