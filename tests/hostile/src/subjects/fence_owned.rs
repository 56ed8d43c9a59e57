//! `OrdMap`.

use super::common::{Common, GROWING, Outcome, SINGLE, play_entry, walk};
use super::guarded::{GUARDED, by_guard, pending_limit, with_guard};
use super::ordered::{self, Changes, LONG, ORDERED, Ordered, walk_range};
use super::{see, see_entry};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Ranked, Thing};
use crate::world;
use hedgerow::OrdMap;
use hedgerow::fence::Cursor;
use hedgerow::owned::{self, pin};

pub(super) struct Map<K: Thing, V> {
    map: OrdMap<Key<K>, V, Ranked>,
}

impl<K: Thing, V: Thing> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] = &[SINGLE, GROWING, GUARDED, ORDERED, &[Verb::Entry]];

    fn empty(program: &Program) -> Self {
        let map = OrdMap::with_ranking(Ranked);
        if let Some(limit) = pending_limit(program) {
            map.set_pending_limit(Some(limit));
        }
        Self { map }
    }

    by_guard!();

    fn entry(&self, key: Key<K>, op: Op, make: impl FnOnce() -> V) {
        play_entry(self.map.entry(key), op, make);
    }

    fn scan(&self, budget: usize, mut meet: impl FnMut(&Key<K>, &V)) {
        let mut cursor = Some(Cursor::default());
        for _ in 0..LONG {
            let Some(at) = cursor else { break };
            cursor = self.map.pin().scan(at, budget, &mut meet);
        }
    }

    fn hold_otherwise(&self, _: Op, rest: &mut dyn FnMut()) {
        let (pinned, range) = (self.map.pin(), self.map.range(..));
        let borrowed = pinned.range(..);
        rest();
        walk("a held range", |meet| range.for_each(|entry| meet(entry.key(), entry.value())));
        let borrowed = borrowed.rev();
        walk("a borrowed range", |meet| borrowed.for_each(|(key, value)| meet(key, value)));
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
        let pinned = self.map.pin();
        let range = from.map_or_else(|| pinned.range(..), |from| pinned.range(from..));
        range.for_each(|(key, value)| meet(key, value));
    }

    fn range_otherwise(&self, from: &Key<K>, backwards: bool, mut meet: impl FnMut(&Key<K>, &V)) {
        if backwards {
            let range = self.map.range(from..).rev();
            range.for_each(|entry| meet(entry.key(), entry.value()));
        } else {
            let walk = self.map.iter_range(from..).take(LONG);
            walk.for_each(|entry| meet(entry.key(), entry.value()));
            let pinned = self.map.pin();
            pinned.iter_range(from..).take(LONG).for_each(|(key, value)| meet(key, value));
        }
    }

    fn count_range(&self, from: &Key<K>) {
        self.map.range_len(from..);
        self.map.approximate_range_len(..from);
    }

    fn remove_range(&self, from: &Key<K>) {
        self.map.remove_range(from..);
    }

    fn near(&self, key: &Key<K>, place: u8, meet: impl FnOnce(&Key<K>, &V)) {
        let (map, pinned) = (&self.map, self.map.pin());
        let (found, borrowed) = match place {
            0 => (map.first_key_value(), pinned.first_key_value()),
            1 => (map.last_key_value(), pinned.last_key_value()),
            2 => (map.floor(key), pinned.floor(key)),
            3 => (map.ceiling(key), pinned.ceiling(key)),
            4 => (map.predecessor(key), pinned.predecessor(key)),
            _ => (map.successor(key), pinned.successor(key)),
        };
        found.check();
        if let Some((key, value)) = borrowed {
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
