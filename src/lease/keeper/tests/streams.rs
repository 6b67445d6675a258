//! Whose rows a keeper touches where fleets read several streams.

use super::*;
use crate::model::StreamId;

fn stream(name: &str) -> StreamId {
    StreamId::new("123456789012", name, 1_700_000_000)
}

fn row_of(shard: ShardId) -> Item {
    let new = NewLease {
        shard,
        parents: BTreeSet::new(),
        hash_range: None,
        checkpoint: Checkpoint::TrimHorizon,
        start_ms: None,
    };
    match author("another").create(&new).apply(None) {
        Answer::Applied(Some(row)) => row,
        other => panic!("there is no row yet: {other:?}"),
    }
}

/// What a keeper of these streams does about these rows.
fn effects(streams: Option<&[&str]>, rows: &[Item], listed: &[Shard]) -> Vec<Effect> {
    let streams = streams.map(|names| names.iter().map(|name| stream(name)).collect());
    let options = Options {
        streams,
        ..Options::default()
    };
    let mut keeper = Keeper::new(author("me"), options, Millis(START));
    let listed = Listed {
        shards: listed.to_vec(),
        server_time: EpochMillis(0),
    };
    let mut out = keeper.step(Millis(START), Input::Tick);
    out.extend(keeper.step(Millis(START), Input::Scanned(Ok(rows.to_vec()))));
    out.extend(keeper.step(Millis(START), Input::Listed(Ok(listed))));
    out.extend(keeper.step(Millis(START + 500), Input::Tick));
    out
}

fn written(effects: &[Effect]) -> Vec<String> {
    let writes = effects.iter().filter_map(|effect| match effect {
        Effect::Write(change) => Some(change.shard.to_string()),
        _ => None,
    });
    writes.collect()
}

fn refusal(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Refuse(error) => Some(error.to_string()),
        _ => None,
    })
}

#[test]
fn leases_of_streams_that_are_not_read_here_are_left_alone() {
    let mine = stream("a").shard(shard(0).as_str());
    let shards = [Shard {
        id: mine.clone(),
        ..listed(0, None)
    }];
    let rows = [mine.clone(), stream("b").shard(shard(0).as_str())].map(row_of);
    let out = effects(Some(&["a"]), &rows, &shards);
    assert_eq!(refusal(&out), None);
    assert_eq!(written(&out), [mine.to_string()]);
}

#[test]
fn a_table_in_the_other_form_is_refused_with_the_remedy() {
    let several = row_of(stream("a").shard(shard(0).as_str()));
    let out = effects(None, &[several], &[listed(0, None)]);
    assert_eq!(written(&out), Vec::<String>::new());
    assert!(refusal(&out).unwrap().contains("`source.streams`"));
    let one = row_of(shard(0));
    let out = effects(Some(&["a"]), &[one], &[]);
    assert_eq!(written(&out), Vec::<String>::new());
    assert!(refusal(&out).unwrap().contains("`source.stream`"));
}
