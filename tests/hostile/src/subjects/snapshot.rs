//! `SnapshotMap`.

use super::common::{Common, Outcome, check_answer, walk};
use super::ordered::{self, Changes, Ordered, walk_range};
use super::{see, see_entry};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Thing};
use crate::world;
use hedgerow::owned::{self, Collector};
use hedgerow::persistent::SnapshotMap;
use hedgerow::persistent::snapshot::Conflict;
use hedgerow::{PersistentMap, fence};
use std::sync::Mutex;

type Version<K, V> = PersistentMap<Key<K>, V>;

pub(super) struct Map<K: Thing, V: Thing> {
    map: SnapshotMap<Key<K>, V>,
    /// A version that was current some time ago, on which commits are prepared. No user code runs under this lock.
    base: Mutex<Version<K, V>>,
}

impl<K: Thing, V: Thing> Map<K, V> {
    /// Exchanges the version on which commits are prepared.
    fn base(&self, next: Version<K, V>) -> Version<K, V> {
        let mut base = self.base.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::replace(&mut base, next)
    }
}

impl<K: Thing, V: Thing> Outcome for Conflict<Key<K>, V> {
    fn check(self) {
        for key in &self.keys {
            let _ = key.id();
        }
        self.current.iter().for_each(|(key, value)| see_entry(key, value));
    }
}

/// Makes a change of a batch.
fn change<K: Thing, V: Thing>(map: &mut Version<K, V>, key: &Key<K>, op: &fence::Op<V>) {
    match op {
        fence::Op::Keep => map.get(key).into_iter().for_each(see),
        fence::Op::Remove => map.remove(key).iter().for_each(see),
        fence::Op::Insert(value) => map.insert(key.clone(), value.clone()).iter().for_each(see),
    }
}

impl<K: Thing, V: Thing> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] = &[
        &[
            Verb::Insert,
            Verb::Insert,
            Verb::InsertIfAbsent,
            Verb::Get,
            Verb::GetMany,
            Verb::Remove,
            Verb::Update,
            Verb::Compute,
            Verb::Retain,
            Verb::Iterate,
            Verb::GetOrInsert,
            Verb::GetCloned,
            Verb::Clone,
        ],
        &[Verb::Hold, Verb::Hold, Verb::Leak, Verb::Reclaim],
        &[Verb::Range, Verb::RemoveRange, Verb::Near, Verb::Batch, Verb::Batch, Verb::Rebalance],
        &[Verb::Rebalance, Verb::Grow, Verb::Pop],
    ];

    fn empty(program: &Program) -> Self {
        let map = SnapshotMap::new();
        let map = if program.leaks() { map } else { map.with_collector(&Collector::new()) };
        Self { map, base: Mutex::default() }
    }

    fn insert(&self, key: Key<K>, value: V) -> impl Outcome {
        self.map.insert(key, value)
    }

    fn insert_if_absent(&self, key: Key<K>, value: V) -> impl Outcome {
        self.map.insert_if_absent(key, value)
    }

    fn try_insert(&self, key: Key<K>, value: V) -> impl Outcome {
        // No group has its verb.
        self.map.insert(key, value)
    }

    fn get_with<R>(&self, key: &Key<K>, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.map.get_with(key, look)
    }

    fn remove(&self, key: &Key<K>) -> impl Outcome {
        self.map.remove(key)
    }

    fn get<R>(&self, key: &Key<K>, look: impl FnOnce(&V) -> R) -> Option<R> {
        self.map.get(key).map(|found| look(&found))
    }

    fn get_many(&self, keys: &[Key<K>], mut answer: impl FnMut(usize, Option<&V>)) {
        let version = self.map.snapshot();
        keys.iter().enumerate().for_each(|(at, key)| answer(at, version.get(key)));
    }

    fn get_cloned(&self, key: &Key<K>) -> impl Outcome {
        see(&self.map.get_or_default(key));
        self.map.get_cloned(key)
    }

    fn update(&self, key: Key<K>, change: impl FnMut(&V) -> V) -> impl Outcome {
        self.map.update(&key, change)
    }

    fn compute(&self, key: Key<K>, decide: impl FnMut(Option<&V>) -> owned::Op<V>) -> impl Outcome {
        self.map.compute(key, decide)
    }

    fn get_or_insert(&self, key: Key<K>, op: Op, make: impl FnOnce() -> V) {
        match op.arg % 4 {
            0 => self.map.get_or_insert_with(key, make).check(),
            1 => self.map.get_or_insert(key, make()).check(),
            2 => {
                let made = || if op.value.is_multiple_of(2) { Ok(make()) } else { Err(()) };
                self.map.get_or_try_insert_with(key, made).check();
            }
            _ => {
                let matches = |key: &Key<K>, value: &V| {
                    world::step();
                    see_entry(key, value);
                    op.picks(key.id())
                };
                self.map.remove_if(&key, matches).check();
            }
        }
    }

    fn retain(&self, keep: impl FnMut(&Key<K>, &V) -> bool) {
        self.map.retain(keep);
    }

    fn iterate(&self, mut meet: impl FnMut(&Key<K>, &V)) {
        self.map.pin().iter().for_each(|(key, value)| meet(key, value));
    }

    fn iterate_otherwise(&self, mut meet: impl FnMut(&Key<K>, &V)) {
        self.map.snapshot().iter().rev().for_each(|(key, value)| meet(key, value));
    }

    fn clone_and_compare(&self, count: usize) {
        let clone = self.map.clone();
        let _ = clone == self.map;
        clone.into_iter().take(count).for_each(|(key, value)| see_entry(&key, &value));
    }

    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        let key = op.key();
        match op.value % 4 {
            0 => {
                let pinned = self.map.pin();
                let (found, all) = (pinned.get_key_value(&key), pinned.iter());
                rest();
                walk("a held iterator", |meet| all.for_each(|(key, value)| meet(key, value)));
                if let Some((key, value)) = found {
                    see_entry(key, value);
                }
            }
            1 => {
                let snapshot = self.map.snapshot();
                rest();
                walk("a snapshot", |meet| {
                    snapshot.iter().for_each(|(key, value)| meet(key, value));
                });
                self.base(snapshot);
            }
            2 => {
                // A change with others in between: the closure is called again.
                let mut rest = Some(rest);
                self.map.write(|map| {
                    world::step();
                    change(map, &key, &fence::Op::Insert(op.value()));
                    if let Some(rest) = rest.take() {
                        rest();
                    }
                    change(map, &key, &fence::Op::Keep);
                });
            }
            _ => {
                let found = self.map.get(&key);
                rest();
                found.check();
            }
        }
    }

    fn leak(&self, op: Op) {
        match op.arg % 3 {
            0 => world::leak(owned::pin()),
            1 => world::leak(self.map.snapshot()),
            // The map outlives all that the program holds.
            _ => world::leak(self.map.get(&op.key()).map(|found| found.id())),
        }
    }

    fn reclaim(&self) {
        self.map.reclaim();
    }

    fn others(&self, verb: Verb, op: Op) {
        ordered::act(self, verb, op);
    }

    fn tidy(&mut self) {
        walk_range(self);
        self.map.reclaim();
        drop(self.base(PersistentMap::new()));
    }

    fn len(&self) -> Option<usize> {
        Some(self.map.len())
    }
}

impl<K: Thing, V: Thing> Ordered for Map<K, V> {
    fn range(&self, from: Option<&Key<K>>, mut meet: impl FnMut(&Key<K>, &V)) {
        let pinned = self.map.pin();
        let range = from.map_or_else(|| pinned.range(..), |from| pinned.range(from..));
        range.for_each(|(key, value)| meet(key, value));
    }

    fn range_otherwise(&self, from: &Key<K>, backwards: bool, mut meet: impl FnMut(&Key<K>, &V)) {
        let version = self.map.snapshot();
        if backwards {
            version.range(from..).rev().for_each(|(key, value)| meet(key, value));
        } else {
            version.slice(from..).iter().for_each(|(key, value)| meet(key, value));
        }
    }

    fn count_range(&self, from: &Key<K>) {
        self.map.range_len(from..);
    }

    fn remove_range(&self, from: &Key<K>) {
        self.map.remove_range(from..);
    }

    fn near(&self, key: &Key<K>, place: u8, meet: impl FnOnce(&Key<K>, &V)) {
        let map = &self.map;
        let found = match place {
            0 => map.first_key_value(),
            1 => map.last_key_value(),
            2 => map.floor(key),
            3 => map.ceiling(key),
            4 => map.predecessor(key),
            _ => map.successor(key),
        };
        if let Some(entry) = &found {
            meet(entry.key(), entry.value());
        }
        found.check();
    }

    fn pop(&self, first: bool) -> impl Outcome {
        if first { self.map.pop_first() } else { self.map.pop_last() }
    }

    fn batch(&self, _: Op, changes: Changes<Self>) {
        self.map.write(|map| {
            world::step();
            for (key, op) in &changes {
                change(map, key, op);
            }
        });
    }

    /// Commits changes that were prepared on an old version.
    fn rebalance(&self, budget: usize) {
        let base = self.base(self.map.snapshot());
        let mut new = base.clone();
        for n in 0..budget as u32 % 12 {
            let op = if n % 3 == 0 { fence::Op::Remove } else { fence::Op::Insert(V::make(n)) };
            change(&mut new, &Key::make(world::LASTING + n * 5 % 16), &op);
        }
        if base.is_empty() {
            // It lacks the lasting entries.
            return;
        }
        match self.map.commit(&base, &new) {
            Ok(()) => drop(self.base(new)),
            Err(conflict) => conflict.check(),
        }
        check_answer::<Self>(0, self.map.snapshot().get(&Key::make(0)));
    }
}
