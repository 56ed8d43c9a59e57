//! Operations of maps that return references: a borrowed entry has a guard of its own, or borrows one.

use super::meet;
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Thing};
use crate::world;
use hedgerow::owned::{Guard, Handle, Removed, pin};

/// Verbs that such maps have besides.
pub(super) const GUARDED: &[Verb] = &[
    Verb::Take,
    Verb::GetOrInsert,
    Verb::GetCloned,
    Verb::Clone,
    Verb::Hold,
    Verb::Hold,
    Verb::Leak,
    Verb::Reclaim,
    Verb::Extract,
    Verb::TryRemove,
];

/// Runs `work` with a guard of the thread's, or of a handle's.
pub(super) fn with_guard(op: Op, work: impl FnOnce(&Guard<'_>)) {
    let handle = (op.arg >= 128).then(Handle::new);
    let guard = handle.as_ref().map_or_else(|| pin(), |handle| handle.pin());
    work(&guard);
}

/// How many unlinked entries a map may keep, if the program says anything about that.
pub(super) fn pending_limit(program: &Program) -> Option<usize> {
    (program.choice() >= 224).then(|| usize::from(program.choice() % 8))
}

/// Takes an entry back, if no reader can see it.
pub(super) fn take<K: Thing, V: Thing>(removed: Option<Removed<'_, Key<K>, V>>, leaks: bool) {
    match removed.map(Removed::try_into_owned) {
        Some(Ok((key, value))) => {
            meet(&key, &value);
        }
        Some(Err(removed)) => {
            meet(removed.key(), removed.value());
            // The map never frees an entry that a forgotten guard protects.
            if leaks {
                world::leak(removed);
            }
        }
        None => {}
    }
}

/// Returns whether they are equal, in both directions.
pub(super) fn are_equal<T: PartialEq>(one: &T, other: &T) -> bool {
    one == other
}

/// The calls of a map that returns references to its entries, which a guard protects.
macro_rules! by_guard {
    () => {
        $crate::subjects::common::alike!();

        fn get<R>(&self, key: &Key<K>, look: impl FnOnce(&V) -> R) -> Option<R> {
            self.map.get(key).map(|found| look(&found))
        }

        fn try_get(&self, key: &Key<K>) -> impl Outcome {
            let pinned = self.map.pin();
            pinned.try_get(key).map(|found| found.into_iter().for_each(see)).check();
            self.map.try_get(key)
        }

        fn get_many(&self, keys: &[Key<K>], mut answer: impl FnMut(usize, Option<&V>)) {
            let keys: Vec<&Key<K>> = keys.iter().collect();
            let (pinned, mut values) = (self.map.pin(), vec![None; keys.len()]);
            pinned.get_many(&keys, &mut values);
            values.into_iter().enumerate().for_each(|(at, value)| answer(at, value));
        }

        fn take(&self, key: &Key<K>, leaks: bool) {
            $crate::subjects::guarded::take(self.map.remove(key), leaks);
        }

        fn update(&self, key: Key<K>, change: impl FnMut(&V) -> V) -> impl Outcome {
            self.map.update(&key, change)
        }

        fn compute(
            &self,
            key: Key<K>,
            decide: impl FnMut(Option<&V>) -> owned::Op<V>,
        ) -> impl Outcome {
            self.map.compute(key, decide)
        }

        fn try_compute(
            &self,
            key: Key<K>,
            decide: impl FnMut(Option<&V>) -> owned::Op<V>,
        ) -> impl Outcome {
            self.map.try_compute(key, decide)
        }

        fn get_or_insert(&self, key: Key<K>, op: Op, make: impl FnOnce() -> V) {
            if const { $crate::subjects::is_large::<V>() } {
                return see(self.map.pin().get_or_insert_with(key, make));
            }
            match op.arg % 7 {
                0 => see(self.map.pin().get_or_insert_with(key, make)),
                1 => self.map.get_or_insert_with(key, make).check(),
                2 => self.map.get_or_insert(key, make()).check(),
                3 => {
                    let made = || if op.value.is_multiple_of(2) { Ok(make()) } else { Err(()) };
                    self.map.get_or_try_insert_with(key, made).check();
                }
                4 => {
                    let pinned = self.map.pin();
                    // The closure makes the value whether or not there is memory for the map.
                    let make = || world::unfailing(make);
                    let done = || pinned.try_get_or_insert_with(key, make).map(see);
                    world::scarce(op.scarcity(), done).check();
                }
                5 => {
                    let change = |before: &V| {
                        world::step();
                        see(before);
                        world::unfailing(|| op.value())
                    };
                    world::scarce(op.scarcity(), || self.map.try_update(&key, change)).check();
                }
                _ => {
                    let value = make();
                    world::scarce(op.scarcity(), || self.map.try_insert_if_absent(key, value))
                        .check();
                }
            }
        }

        fn get_cloned(&self, key: &Key<K>) -> impl Outcome {
            see(&self.map.get_or_default(key));
            self.map.get_cloned(key)
        }

        fn retain(&self, keep: impl FnMut(&Key<K>, &V) -> bool) {
            self.map.retain(keep);
        }

        fn iterate(&self, mut meet: impl FnMut(&Key<K>, &V)) {
            self.map.pin().iter().for_each(|(key, value)| meet(key, value));
        }

        fn iterate_otherwise(&self, mut meet: impl FnMut(&Key<K>, &V)) {
            for entry in &self.map {
                meet(entry.key(), entry.value());
            }
        }

        fn try_remove(&self, key: &Key<K>) -> impl Outcome {
            self.map.try_remove(key)
        }

        fn extract(&self, op: Op, leaks: bool, wanted: impl FnMut(&Key<K>, &V) -> bool) {
            let take = |removed| $crate::subjects::guarded::take(Some(removed), leaks);
            let count = usize::from(op.arg % 8);
            if $crate::subjects::lasts::<K>() {
                let mut all = self.map.extract_if(wanted);
                all.by_ref().take(count).for_each(take);
                // These outlive the iterator, and its guard.
                let held: Vec<_> = all.take(count).collect();
                held.into_iter().for_each(take);
            } else {
                self.map.drain().take(count).for_each(take);
            }
        }

        fn clone_and_compare(&self, count: usize) {
            let clone = self.map.clone();
            // Others may write meanwhile, and keys may say anything.
            $crate::subjects::guarded::are_equal(&clone, &self.map);
            clone.into_iter().take(count).for_each(|(key, value)| see_entry(&key, &value));
        }

        fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
            let (key, count) = (op.key(), usize::from(op.value / 8 % 8));
            // An iterator goes on behind the operations, and meets what lasts once.
            match op.value % 6 {
                0 => with_guard(op, |guard| {
                    let pinned = self.map.with_guard(guard);
                    let (found, mut all) = (pinned.get_key_value(&key), pinned.iter());
                    walk("a held iterator", |meet| {
                        let some: Vec<_> = all.by_ref().take(count).collect();
                        rest();
                        some.into_iter().chain(all).for_each(|(key, value)| meet(key, value));
                    });
                    if let Some((key, value)) = found {
                        see_entry(key, value);
                    }
                }),
                1 => {
                    // Each entry has a guard of its own, and outlives the iterator that returned it.
                    let (found, mut all) = (self.map.get(&key), self.map.iter());
                    walk("a held iterator of entries", |meet| {
                        let mut some: Vec<_> = all.by_ref().take(count).collect();
                        rest();
                        some.extend(all);
                        for entry in &some {
                            meet(entry.key(), entry.value());
                        }
                    });
                    found.check();
                }
                2 => {
                    let pinned = self.map.pin();
                    let found = pinned.get(&key);
                    rest();
                    found.into_iter().for_each(see);
                    pinned.get(&key).into_iter().for_each(see);
                }
                3 => {
                    let pinned = self.map.pin_owned();
                    let found = pinned.get_key_value(&key);
                    rest();
                    if let Some((key, value)) = found {
                        see_entry(key, value);
                    }
                    // The guard ends in another thread.
                    std::thread::scope(|scope| {
                        scope.spawn(move || {
                            pinned.iter().for_each(|(key, value)| see_entry(key, value));
                        });
                    });
                }
                4 => self.hold_otherwise(op, rest),
                _ => {
                    let before = self.map.remove(&key);
                    let after = self.map.get_or_insert_with(key, || op.value());
                    rest();
                    after.check();
                    before.check();
                }
            }
        }

        fn leak(&self, op: Op) {
            match op.arg % 3 {
                0 => world::leak(pin()),
                1 => world::leak(self.map.get(&op.key())),
                _ => world::leak(self.map.iter()),
            }
        }

        fn reclaim(&self) {
            self.map.reclaim();
        }
    };
}
pub(super) use by_guard;
