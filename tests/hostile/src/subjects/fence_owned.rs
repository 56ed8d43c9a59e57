//! `OrdMap`.

use super::common::{
    Common, GROWING, GUARDED, Outcome, SINGLE, by_guard, pending_limit, walk, with_guard,
};
use super::ordered::{self, Changes, ORDERED, Ordered, walk_range};
use super::{see, see_entry};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Ranked, Thing};
use hedgerow::OrdMap;
use hedgerow::fence::Cursor;
use hedgerow::owned::{self, pin};

pub(super) struct Map<K: Thing, V> {
    map: OrdMap<Key<K>, V, Ranked>,
}

impl<K: Thing, V: Thing> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] = &[SINGLE, GROWING, GUARDED, ORDERED];

    fn empty(program: &Program) -> Self {
        let map = OrdMap::with_ranking(Ranked);
        if let Some(limit) = pending_limit(program) {
            map.set_pending_limit(Some(limit));
        }
        Self { map }
    }

    by_guard!();

    fn scan(&self, budget: usize, mut meet: impl FnMut(&Key<K>, &V)) {
        let mut cursor = Some(Cursor::default());
        // In an order that changes, what comes after a key has no end.
        for _ in 0..1000 {
            let Some(at) = cursor else { break };
            cursor = self.map.pin().scan(at, budget, &mut meet);
        }
    }

    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        with_guard(op, |guard| {
            let found = self.map.with_guard(guard).get_key_value(&op.key());
            let range = self.map.with_guard(guard).range(..);
            rest();
            if let Some((key, value)) = found {
                see_entry(key, value);
            }
            walk("a held range", |meet| range.for_each(|(key, value)| meet(key, value)));
        });
    }

    fn others(&self, verb: Verb, op: Op) {
        ordered::act(self, verb, op);
    }

    fn tidy(&mut self) {
        walk_range(self);
        self.map.reclaim();
    }
}

impl<K: Thing, V: Thing> Ordered for Map<K, V> {
    fn range(&self, from: Option<&Key<K>>, mut meet: impl FnMut(&Key<K>, &V)) {
        let guard = pin();
        let range = match from {
            Some(from) => self.map.with_guard(&guard).range(from..),
            None => self.map.with_guard(&guard).range(..),
        };
        range.for_each(|(key, value)| meet(key, value));
    }

    fn near(&self, key: &Key<K>, place: u8, meet: impl FnOnce(&Key<K>, &V)) {
        let guard = pin();
        let found = match place {
            0 => self.map.with_guard(&guard).first_key_value(),
            1 => self.map.with_guard(&guard).last_key_value(),
            2 => self.map.with_guard(&guard).floor(key),
            3 => self.map.with_guard(&guard).ceiling(key),
            4 => self.map.with_guard(&guard).predecessor(key),
            _ => self.map.with_guard(&guard).successor(key),
        };
        if let Some((key, value)) = found {
            meet(key, value);
        }
    }

    fn pop(&self, first: bool) -> impl Outcome {
        if first { self.map.pop_first() } else { self.map.pop_last() }
    }

    fn batch(&self, op: Op, changes: Changes<Self>) {
        if op.arg.is_multiple_of(4) {
            let keys: Vec<&Key<K>> = changes.iter().map(|(key, _)| key).collect();
            self.map.pin().snapshot_many(&keys).into_iter().flatten().for_each(see);
        } else {
            self.map.apply_batch(changes).into_iter().for_each(Outcome::check);
        }
    }

    fn rebalance(&self, budget: usize) {
        self.map.rebalance_step(budget);
    }
}
