//! Operations that most maps have: on single keys, batches of look-ups, and walks. A map implements the calls
//! ([`Common`]); this file checks their outcomes once for all maps.

use super::{is_large, keeps, lasting, lasts, meet, see, see_entry};
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Thing};
use crate::world::{self, LASTING};
use hedgerow::entry::{Entries, Entry};
use hedgerow::error::{Busy, Full, OccupiedError, TryInsertError};
use hedgerow::flat::{self, Computed};
use hedgerow::owned::{Ref, Removed, pin};

/// Verbs that each of these maps has.
pub(super) const SINGLE: &[Verb] = &[
    Verb::Insert,
    Verb::Insert,
    Verb::InsertIfAbsent,
    Verb::TryInsert,
    Verb::Get,
    Verb::Remove,
    Verb::Compute,
    Verb::Retain,
    Verb::Iterate,
];

/// Verbs of maps that allocate.
pub(super) const GROWING: &[Verb] =
    &[Verb::TryGet, Verb::GetMany, Verb::Update, Verb::TryCompute, Verb::Scan];

/// A map with keys and values of these types. Methods with a body belong to verbs that some maps lack.
pub(super) trait Common: Send + Sync + Sized + 'static {
    type Key: Thing;
    type Value: Thing;

    /// The verbs that it has.
    const GROUPS: &'static [&'static [Verb]];

    /// Makes a map without entries.
    fn empty(program: &Program) -> Self;

    fn insert(&self, key: Key<Self::Key>, value: Self::Value) -> impl Outcome;
    fn insert_if_absent(&self, key: Key<Self::Key>, value: Self::Value) -> impl Outcome;
    fn try_insert(&self, key: Key<Self::Key>, value: Self::Value) -> impl Outcome;

    /// Returns the result of `look` on a value that the map returned.
    fn get<R>(&self, key: &Key<Self::Key>, look: impl FnOnce(&Self::Value) -> R) -> Option<R>;

    /// Returns the result of `look`, which the map calls with a value.
    fn get_with<R>(&self, key: &Key<Self::Key>, look: impl FnOnce(&Self::Value) -> R) -> Option<R>;

    fn remove(&self, key: &Key<Self::Key>) -> impl Outcome;

    fn compute(
        &self,
        key: Key<Self::Key>,
        decide: impl FnMut(Option<&Self::Value>) -> flat::Op<Self::Value>,
    ) -> impl Outcome;

    fn retain(&self, keep: impl FnMut(&Key<Self::Key>, &Self::Value) -> bool);

    /// Calls `meet` with each entry.
    fn iterate(&self, meet: impl FnMut(&Key<Self::Key>, &Self::Value));

    /// As [`iterate`](Self::iterate), by another of the map's iterators, if it has one.
    fn iterate_otherwise(&self, meet: impl FnMut(&Key<Self::Key>, &Self::Value)) {
        self.iterate(meet);
    }

    /// Called when all threads are done.
    fn tidy(&mut self) {}

    /// Returns the map's length if it equals the length of a walk even if keys lie.
    fn len(&self) -> Option<usize> {
        None
    }

    fn try_get(&self, _: &Key<Self::Key>) -> impl Outcome {
        lacks();
    }

    /// Calls `answer` with each key's place and value.
    fn get_many(&self, _: &[Key<Self::Key>], _: impl FnMut(usize, Option<&Self::Value>)) {
        lacks();
    }

    fn update(
        &self,
        _: Key<Self::Key>,
        _: impl FnMut(&Self::Value) -> Self::Value,
    ) -> impl Outcome {
        lacks();
    }

    fn try_compute(
        &self,
        _: Key<Self::Key>,
        _: impl FnMut(Option<&Self::Value>) -> flat::Op<Self::Value>,
    ) -> impl Outcome {
        lacks();
    }

    fn try_remove(&self, _: &Key<Self::Key>) -> impl Outcome {
        lacks();
    }

    /// Finds a key's place, and runs the operation there.
    fn entry(&self, _: Key<Self::Key>, _: Op, _make: impl FnOnce() -> Self::Value) {
        lacks();
    }

    /// Looks a value up, and inserts one if there is none, by one of the calls for that.
    fn get_or_insert(&self, _: Key<Self::Key>, _: Op, _make: impl FnOnce() -> Self::Value) {
        lacks();
    }

    fn get_cloned(&self, _: &Key<Self::Key>) -> impl Outcome {
        lacks();
    }

    /// Takes out some of the entries for which `wanted` returns true, one by one, and takes them back if no reader can
    /// see them.
    fn extract(&self, _: Op, _leaks: bool, _: impl FnMut(&Key<Self::Key>, &Self::Value) -> bool) {
        lacks();
    }

    /// Clones the map, compares it with its clone, and drops the clone's iterator after this many entries.
    fn clone_and_compare(&self, _: usize) {
        lacks();
    }

    /// Calls `meet` with each entry, some of them at a time.
    fn scan(&self, _: usize, _: impl FnMut(&Key<Self::Key>, &Self::Value)) {
        lacks();
    }

    fn try_reserve(&self, _: usize) {
        lacks();
    }

    fn reserve(&self, _: usize) {
        lacks();
    }

    /// Removes an entry and takes it back, if no reader can see it. Leaks it otherwise, if `leaks`.
    fn take(&self, _: &Key<Self::Key>, _leaks: bool) {
        lacks();
    }

    /// Holds a guard, or a value with one, while `rest` runs, and then checks the entries that it had found.
    fn hold(&self, _: Op, _rest: &mut dyn FnMut()) {
        lacks();
    }

    /// As [`hold`](Self::hold), in a way that the map has alone.
    fn hold_otherwise(&self, _: Op, _rest: &mut dyn FnMut()) {
        lacks();
    }

    /// Forgets a value that holds a guard.
    fn leak(&self, _: Op) {
        world::leak(pin());
    }

    fn reclaim(&self) {
        lacks();
    }

    /// Does an operation that the map has alone, or with few others.
    fn others(&self, _: Verb, _: Op) {
        lacks();
    }
}

fn lacks() {
    unreachable!("a map is asked for a verb that it lacks");
}

impl<M: Common> Subject for M {
    const VERBS: &'static [&'static [Verb]] = M::GROUPS;
    const LASTS: bool = lasts::<M::Key>();
    /// Whether guards may be leaked.
    type Local = bool;

    fn new(program: &Program) -> Self {
        let map = M::empty(program);
        lasting().for_each(|(key, value)| map.insert(key, value).check());
        map
    }

    fn join(&self, program: &Program) -> bool {
        program.leaks()
    }

    fn act(&self, leaks: &bool, op: Op, rest: &mut dyn FnMut()) {
        let key = op.key::<M::Key>();
        let value = || op.value::<M::Value>();
        let make = || {
            world::step();
            value()
        };
        let decide = |before: Option<&M::Value>| {
            world::step();
            before.into_iter().for_each(see);
            match op.arg % 4 {
                0 => flat::Op::Keep,
                1 => flat::Op::Remove,
                _ => flat::Op::Insert(value()),
            }
        };
        match op.verb(Self::VERBS) {
            Verb::Insert => self.insert(key, value()).check(),
            Verb::InsertIfAbsent => self.insert_if_absent(key, value()).check(),
            Verb::TryInsert => {
                let value = value();
                world::scarce(op.scarcity(), || self.try_insert(key, value)).check();
            }
            Verb::Get => {
                self.get(&key, see);
                self.get_with(&key, |value| {
                    world::step();
                    see(value);
                });
            }
            Verb::TryGet => self.try_get(&key).check(),
            Verb::GetMany => {
                let ids: Vec<u32> = (0..LASTING).chain(op.ids()).collect();
                let keys: Vec<_> = ids.iter().map(|&id| Key::make(id)).collect();
                self.get_many(&keys, |at, value| check_answer::<M>(ids[at], value));
            }
            Verb::Remove => self.remove(&key).check(),
            Verb::Take => self.take(&key, *leaks),
            Verb::Update => {
                let change = |before: &M::Value| {
                    world::step();
                    see(before);
                    value()
                };
                self.update(key, change).check();
            }
            Verb::Compute => self.compute(key, decide).check(),
            Verb::TryCompute => {
                // The closure makes values whether or not there is memory for the map.
                let decide = |before: Option<&M::Value>| world::unfailing(|| decide(before));
                world::scarce(op.scarcity(), || self.try_compute(key, decide)).check();
            }
            Verb::TryRemove => self.try_remove(&key).check(),
            Verb::Entry => self.entry(key, op, make),
            Verb::GetOrInsert => self.get_or_insert(key, op, make),
            Verb::GetCloned => self.get_cloned(&key).check(),
            Verb::Retain => self.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Extract => {
                self.extract(op, *leaks, |key, value| !keeps(meet(key, value), op));
            }
            Verb::Clone => self.clone_and_compare(usize::from(op.arg % 16)),
            Verb::Iterate if op.arg.is_multiple_of(2) => iterate(self),
            Verb::Iterate => {
                walk("iter", |meet| self.iterate_otherwise(|key, value| meet(key, value)));
            }
            Verb::Scan => {
                walk("scan", |meet| self.scan(usize::from(op.arg), |key, value| meet(key, value)));
            }
            Verb::Reserve => {
                let amount = op.amount(size_of::<(M::Key, M::Value)>());
                world::scarce(op.scarcity(), || self.try_reserve(amount));
                self.reserve(amount);
            }
            Verb::Hold => self.hold(op, rest),
            Verb::Leak if *leaks => self.leak(op),
            Verb::Leak | Verb::Reclaim => self.reclaim(),
            verb => self.others(verb, op),
        }
    }

    fn reenter(&self, _: &bool) {
        self.insert(Key::make(LASTING + 1), Thing::make(1)).check();
        self.get_with(&Key::make(LASTING + 2), see);
        self.remove(&Key::make(LASTING + 1)).check();
    }

    fn lasting(&self, _: &bool, id: u32) -> Option<Option<u32>> {
        self.get(&Key::make(id), Thing::id)
    }

    fn end(&mut self) {
        iterate(self);
        self.tidy();
        let mut count = 0;
        self.iterate(|_, _| count += 1);
        iterate(self);
        if let Some(len) = self.len().filter(|&len| len != count) {
            world::note(|| format!("len is {len}, and there are {count} entries"));
        }
    }
}

fn iterate<M: Common>(map: &M) {
    walk("iter", |meet| map.iterate(|key, value| meet(key, value)));
}

/// Checks a walk, which calls a closure with each entry: it must meet each lasting entry once.
pub(super) fn walk<K: Thing, V: Thing>(what: &str, each: impl FnOnce(&mut dyn FnMut(&Key<K>, &V))) {
    let mut walk = Walk::default();
    each(&mut |key, value| walk.meet(meet(key, value)));
    if lasts::<K>() {
        walk.end(what);
    }
}

/// Checks the answer of a batch of look-ups for the key of this number: it must find lasting keys.
pub(super) fn check_answer<M: Common>(id: u32, value: Option<&M::Value>) {
    let number = value.map(Thing::id);
    if lasts::<M::Key>() && id < LASTING && number.is_none_or(|n| n.is_some_and(|n| n != id)) {
        world::note(|| format!("a batch finds {number:?} under the lasting key {id}"));
    }
}

/// The calls that are the same for all maps.
macro_rules! alike {
    () => {
        fn insert(&self, key: Key<K>, value: V) -> impl Outcome {
            self.map.insert(key, value)
        }

        fn insert_if_absent(&self, key: Key<K>, value: V) -> impl Outcome {
            self.map.insert_if_absent(key, value)
        }

        fn try_insert(&self, key: Key<K>, value: V) -> impl Outcome {
            self.map.try_insert(key, value)
        }

        fn get_with<R>(&self, key: &Key<K>, look: impl FnOnce(&V) -> R) -> Option<R> {
            self.map.get_with(key, look)
        }

        fn remove(&self, key: &Key<K>) -> impl Outcome {
            self.map.remove(key)
        }
    };
}
pub(super) use alike;

/// The calls of a map that returns copies of its values: one of fixed size, or a `growing` one.
macro_rules! by_value {
    () => {
        $crate::subjects::common::alike!();

        fn get<R>(&self, key: &Key<K>, look: impl FnOnce(&V) -> R) -> Option<R> {
            self.map.get(key).as_ref().map(look)
        }

        fn try_get(&self, key: &Key<K>) -> impl Outcome {
            self.map.try_get(key)
        }

        fn update(&self, key: Key<K>, mut change: impl FnMut(&V) -> V) -> impl Outcome {
            self.map.update(&key, |before| change(&before))
        }

        fn compute(
            &self,
            key: Key<K>,
            mut decide: impl FnMut(Option<&V>) -> hedgerow::flat::Op<V>,
        ) -> impl Outcome {
            self.map.compute(key, |before| decide(before.as_ref()))
        }

        fn retain(&self, mut keep: impl FnMut(&Key<K>, &V) -> bool) {
            self.map.retain(|key, value| keep(key, value));
        }

        fn iterate(&self, mut meet: impl FnMut(&Key<K>, &V)) {
            self.map.iter().for_each(|(key, value)| meet(&key, &value));
        }
    };
    (growing) => {
        $crate::subjects::common::by_value!();

        fn get_many(&self, keys: &[Key<K>], mut answer: impl FnMut(usize, Option<&V>)) {
            let mut values = vec![None; keys.len()];
            self.map.get_many(keys, &mut values);
            values.iter().enumerate().for_each(|(at, value)| answer(at, value.as_ref()));
        }

        fn try_compute(
            &self,
            key: Key<K>,
            mut decide: impl FnMut(Option<&V>) -> hedgerow::flat::Op<V>,
        ) -> impl Outcome {
            self.map.try_compute(key, |before| decide(before.as_ref()))
        }

        fn try_remove(&self, key: &Key<K>) -> impl Outcome {
            self.map.try_remove(key)
        }

        fn iterate_otherwise(&self, mut meet: impl FnMut(&Key<K>, &V)) {
            for (key, value) in &self.map {
                meet(&key, &value);
            }
        }
    };
}
pub(super) use by_value;

/// Look-ups that insert, for maps of copies: see `Common::get_or_insert`.
macro_rules! get_or_insert {
    () => {
        fn entry(&self, key: Key<K>, op: Op, make: impl FnOnce() -> V) {
            $crate::subjects::common::play_entry(self.map.entry(key), op, make);
        }

        fn get_or_insert(&self, key: Key<K>, op: Op, make: impl FnOnce() -> V) {
            match op.arg % 4 {
                0 => {
                    // The closure makes the value whether or not there is memory for the map.
                    let make = || $crate::world::unfailing(make);
                    let done = || self.map.try_get_or_insert_with(key, make);
                    $crate::world::scarce(op.scarcity(), done).check();
                }
                1 => {
                    let made = || if op.value.is_multiple_of(2) { Ok(make()) } else { Err(()) };
                    self.map.get_or_try_insert_with(key, made).check();
                }
                2 => self.map.get_or_insert(key, make()).check(),
                _ => self.map.get_or_insert_with(key, make).check(),
            }
        }
    };
}
pub(super) use get_or_insert;

/// Removal of entries from maps of copies, one by one or all of them.
macro_rules! taken_apart {
    () => {
        fn extract(&self, op: Op, _: bool, wanted: impl FnMut(&Key<K>, &V) -> bool) {
            let count = usize::from(op.arg % 8);
            if $crate::subjects::lasts::<K>() {
                self.map.extract_if(wanted).take(count).for_each(Outcome::check);
            } else {
                self.map.drain().take(count).for_each(Outcome::check);
            }
        }

        fn clone_and_compare(&self, count: usize) {
            let clone = self.map.clone();
            // Other threads may write meanwhile, and keys may lie.
            $crate::subjects::guarded::are_equal(&clone, &self.map);
            clone.into_iter().take(count).for_each(Outcome::check);
        }
    };
}
pub(super) use taken_apart;

/// Looks at a key's place, and does there what the operation says.
pub(super) fn play_entry<'a, K: Thing, V: Thing, M>(
    entry: Entry<'a, M>,
    op: Op,
    make: impl FnOnce() -> V,
) where
    Key<K>: Clone,
    M: Entries<Key = Key<K>, Value = V> + 'a,
    M::Found<'a>: Outcome,
    M::Taken<'a>: Outcome,
{
    let modify = |value: &mut V| {
        world::step();
        see(value);
        *value = op.value();
    };
    if const { is_large::<V>() } {
        return entry.or_insert_with(make).check();
    }
    match (entry, op.arg % 4) {
        (Entry::Occupied(entry), 0) => entry.insert(make()).check(),
        (Entry::Occupied(entry), 1) => entry.remove().check(),
        (Entry::Occupied(entry), 2) => {
            see_entry(entry.key(), entry.get());
            entry.into_value().check();
        }
        (Entry::Vacant(entry), 0) => entry.insert(make()).check(),
        (Entry::Vacant(entry), 1) => (entry.into_key(), make()).check(),
        (entry @ Entry::Vacant(_), 2) => entry.or_insert_with_key(|_| make()).check(),
        (entry, _) if op.value.is_multiple_of(2) => {
            entry.and_modify(modify).or_default().check();
        }
        (entry, _) => entry.and_modify(modify).or_insert_with(make).check(),
    }
}

/// A value that a map returned.
pub(super) trait Outcome {
    /// Looks at each key and value in it: they must be whole.
    fn check(self);
}

impl<V: Thing> Outcome for V {
    fn check(self) {
        see(&self);
    }
}

impl<K: Thing, V: Outcome> Outcome for (Key<K>, V) {
    fn check(self) {
        let _ = self.0.id();
        self.1.check();
    }
}

impl<T: Outcome> Outcome for Option<T> {
    fn check(self) {
        self.into_iter().for_each(Outcome::check);
    }
}

impl<T: Outcome, E: Outcome> Outcome for Result<T, E> {
    fn check(self) {
        match self {
            Ok(value) => value.check(),
            Err(error) => error.check(),
        }
    }
}

impl Outcome for () {
    fn check(self) {}
}

impl Outcome for Busy {
    fn check(self) {}
}

impl<V: Outcome> Outcome for Computed<V> {
    fn check(self) {
        self.before.check();
        self.after.check();
    }
}

impl<K: Thing, V: Thing> Outcome for Removed<'_, Key<K>, V> {
    fn check(self) {
        meet(self.key(), self.value());
    }
}

impl<K: Thing, V: Thing> Outcome for Ref<'_, Key<K>, V> {
    fn check(self) {
        let clone = Ref::clone(&self);
        meet(self.key(), self.value());
        drop(self);
        meet(clone.key(), clone.value());
    }
}

impl<K: Thing, V: Outcome, C: Outcome> Outcome for OccupiedError<Key<K>, V, C> {
    fn check(self) {
        (self.key, self.value).check();
        self.current.check();
    }
}

impl<K: Thing, V: Outcome> Outcome for Full<Key<K>, V> {
    fn check(self) {
        (self.key, self.value).check();
    }
}

impl<V: Outcome> Outcome for TryInsertError<(), V> {
    fn check(self) {
        self.into_parts().1.check();
    }
}

impl<K: Thing, V: Outcome> Outcome for TryInsertError<Key<K>, V> {
    fn check(self) {
        self.into_parts().check();
    }
}
