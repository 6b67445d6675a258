//! Balance by what shards carry: the rates that holders write, and asking by them.

use super::claim::Spread;
use super::{Held, Keeper};
use crate::lease::change::{Change, Edit, Then};
use crate::lease::item::{Value, name};
use crate::lease::options::Options;
use crate::lease::weigh::{self, Owned};
use crate::model::Millis;

impl Keeper {
    /// Asks for what would make the workers carry more equally.
    pub(super) fn balance_weights(&mut self, now: Millis, spread: &Spread) {
        let leases: Vec<Owned> = spread
            .owned
            .iter()
            .filter_map(|(shard, owner)| {
                let seen = self.seen.0.get(shard)?;
                Some(Owned {
                    shard: shard.clone(),
                    owner: owner.clone(),
                    rate: seen.row.rate,
                    may_ask: self.may_ask(shard, seen, now) && !spread.blocked.contains(shard),
                })
            })
            .collect();
        let (me, most) = (self.author.me.clone(), self.options.leases_max);
        let asked = weigh::askings(&leases, spread.loads.keys(), &me, most);
        for lease in asked {
            if let Some(row) = self.seen.0.get(&lease.shard).map(|seen| seen.row.clone()) {
                self.ask(now, &row);
            }
        }
    }
}

impl Held {
    /// A heartbeat, with the rate where that is news.
    pub(super) fn weighed(&self, mut heartbeat: Change, options: &Options) -> Change {
        let news = self
            .rate
            .filter(|rate| weigh::is_news(self.row.rate, *rate));
        if let (Some(rate), Then::Update(edits), true) =
            (news, &mut heartbeat.then, options.weighs_throughput())
        {
            edits.push(Edit::Set(name::RATE, Value::number(rate)));
        }
        heartbeat
    }
}
