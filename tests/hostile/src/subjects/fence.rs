//! `FenceMap`.

use super::common::{Common, GROWING, Outcome, SINGLE, by_value, get_or_insert, taken_apart};
use super::ordered::{self, Changes, LONG, ORDERED, Ordered, walk_range};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Ranked, Thing};
use crate::world;
use hedgerow::FenceMap;
use hedgerow::fence::Cursor;

pub(super) struct Map<K: Copy, V: Copy> {
    map: FenceMap<Key<K>, V, Ranked>,
}

impl<K: Thing + Copy, V: Thing + Copy> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] =
        &[SINGLE, GROWING, ORDERED, &[Verb::Entry, Verb::GetOrInsert, Verb::Extract, Verb::Clone]];

    fn empty(_: &Program) -> Self {
        Self { map: FenceMap::with_ranking(Ranked) }
    }

    by_value!(growing);

    get_or_insert!();

    taken_apart!();

    fn scan(&self, budget: usize, mut meet: impl FnMut(&Key<K>, &V)) {
        let mut cursor = Some(Cursor::default());
        for _ in 0..LONG {
            let Some(at) = cursor else { break };
            cursor = self.map.scan(at, budget, |key, value| meet(&key, &value));
        }
    }

    fn others(&self, verb: Verb, op: Op) {
        ordered::act(self, verb, op);
    }

    fn tidy(&mut self) {
        walk_range(self);
    }
}

impl<K: Thing + Copy, V: Thing + Copy> Ordered for Map<K, V> {
    fn range(&self, from: Option<&Key<K>>, mut meet: impl FnMut(&Key<K>, &V)) {
        let range = from.map_or_else(|| self.map.range(..), |&from| self.map.range(from..));
        range.for_each(|(key, value)| meet(&key, &value));
    }

    fn range_otherwise(&self, from: &Key<K>, backwards: bool, mut meet: impl FnMut(&Key<K>, &V)) {
        if backwards {
            self.map.range(*from..).rev().for_each(|(key, value)| meet(&key, &value));
        } else {
            let walk = self.map.iter_range(*from..).take(LONG);
            walk.for_each(|(key, value)| meet(&key, &value));
        }
    }

    fn count_range(&self, from: &Key<K>) {
        self.map.range_len(*from..);
        self.map.approximate_range_len(..*from);
    }

    fn remove_range(&self, from: &Key<K>) {
        self.map.remove_range(*from..);
    }

    fn near(&self, key: &Key<K>, place: u8, meet: impl FnOnce(&Key<K>, &V)) {
        let found = match place {
            0 => self.map.first_key_value(),
            1 => self.map.last_key_value(),
            2 => self.map.floor(key),
            3 => self.map.ceiling(key),
            4 => self.map.predecessor(key),
            _ => self.map.successor(key),
        };
        if let Some((key, value)) = found {
            meet(&key, &value);
        }
    }

    fn pop(&self, first: bool) -> impl Outcome {
        if first { self.map.pop_first() } else { self.map.pop_last() }
    }

    fn batch(&self, op: Op, changes: Changes<Self>) {
        let before = match op.arg % 4 {
            0 => world::scarce(op.scarcity(), || self.map.try_apply_batch(&changes).ok()),
            1 => Some(self.map.apply_each(&changes)),
            2 => {
                let keys: Vec<_> = changes.iter().map(|&(key, _)| key).collect();
                Some(self.map.snapshot_many(&keys))
            }
            _ => Some(self.map.apply_batch(&changes)),
        };
        before.into_iter().flatten().for_each(Outcome::check);
    }

    fn rebalance(&self, budget: usize) {
        self.map.rebalance_step(budget);
    }
}
