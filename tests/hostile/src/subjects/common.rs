//! What most maps have in common: operations on single keys, batches of look-ups, and walks. A map says how it spells
//! the calls ([`Common`]); what is demanded of their outcomes is written once, here.

use super::{keeps, lasting, lasts, meet, see};
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Thing};
use crate::world::{self, LASTING};
use hedgerow::error::{Busy, Full, OccupiedError, TryInsertError};
use hedgerow::flat::{self, Computed};
use hedgerow::owned::{Guard, Handle, Removed, pin};

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

/// Verbs of maps that return references.
pub(super) const GUARDED: &[Verb] =
    &[Verb::Take, Verb::Entry, Verb::Hold, Verb::Hold, Verb::Leak, Verb::Reclaim];

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

    /// What `look` makes of a value that the map returned.
    fn get<R>(&self, key: &Key<Self::Key>, look: impl FnOnce(&Self::Value) -> R) -> Option<R>;

    /// What `look` makes of a value when the map calls it.
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

    /// Called when all threads are done.
    fn tidy(&mut self) {}

    /// How many entries there are said to be, if that is as many as a walk meets, whatever keys answer.
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

    fn get_or_insert_with(&self, _: Key<Self::Key>, _: impl FnOnce() -> Self::Value) {
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

    /// Holds a guard and what it found while `rest` runs, and looks at that again afterwards.
    fn hold(&self, _: Op, _rest: &mut dyn FnMut()) {
        lacks();
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
            Verb::Entry => self.get_or_insert_with(key, || {
                world::step();
                value()
            }),
            Verb::Retain => self.retain(|key, value| keeps(meet(key, value), op)),
            Verb::Iterate => iterate(self),
            Verb::Scan => {
                walk("scan", |meet| self.scan(usize::from(op.arg), |key, value| meet(key, value)));
            }
            Verb::Reserve => {
                let amount = op.amount(size_of::<(M::Key, M::Value)>());
                world::scarce(op.scarcity(), || self.try_reserve(amount));
                self.reserve(amount);
            }
            Verb::Hold => self.hold(op, rest),
            Verb::Leak if *leaks => world::leak(pin()),
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

/// A walk calls what it is given with each entry that it meets: with all that last, and with each of them once.
pub(super) fn walk<K: Thing, V: Thing>(what: &str, each: impl FnOnce(&mut dyn FnMut(&Key<K>, &V))) {
    let mut walk = Walk::default();
    each(&mut |key, value| walk.meet(meet(key, value)));
    if lasts::<K>() {
        walk.end(what);
    }
}

/// Looks at what a batch of look-ups answers about the key of this number: lasting keys are found.
pub(super) fn check_answer<M: Common>(id: u32, value: Option<&M::Value>) {
    let number = value.map(Thing::id);
    if lasts::<M::Key>() && id < LASTING && number.is_none_or(|n| n.is_some_and(|n| n != id)) {
        world::note(|| format!("a batch finds {number:?} under the lasting key {id}"));
    }
}

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
            // What is forgotten stays for ever.
            if leaks {
                world::leak(removed);
            }
        }
        None => {}
    }
}

/// The calls that maps spell alike.
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
    };
}
pub(super) use by_value;

/// The calls of a map that returns references to its entries, which a guard protects.
macro_rules! by_guard {
    () => {
        $crate::subjects::common::alike!();

        fn get<R>(&self, key: &Key<K>, look: impl FnOnce(&V) -> R) -> Option<R> {
            self.map.pin().get(key).map(look)
        }

        fn try_get(&self, key: &Key<K>) -> impl Outcome {
            self.map.pin().try_get(key).map(|found| found.into_iter().for_each(see))
        }

        fn get_many(&self, keys: &[Key<K>], mut answer: impl FnMut(usize, Option<&V>)) {
            let keys: Vec<&Key<K>> = keys.iter().collect();
            let (guard, mut values) = (pin(), vec![None; keys.len()]);
            self.map.with_guard(&guard).get_many(&keys, &mut values);
            values.into_iter().enumerate().for_each(|(at, value)| answer(at, value));
        }

        fn take(&self, key: &Key<K>, leaks: bool) {
            $crate::subjects::common::take(self.map.remove(key), leaks);
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

        fn get_or_insert_with(&self, key: Key<K>, make: impl FnOnce() -> V) {
            see(self.map.pin().get_or_insert_with(key, || make()));
        }

        fn retain(&self, keep: impl FnMut(&Key<K>, &V) -> bool) {
            self.map.retain(keep);
        }

        fn iterate(&self, mut meet: impl FnMut(&Key<K>, &V)) {
            self.map.pin().iter().for_each(|(key, value)| meet(key, value));
        }

        fn reclaim(&self) {
            self.map.collect();
        }
    };
}
pub(super) use by_guard;

/// What a map returned.
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

impl<K: Thing, V: Outcome> Outcome for TryInsertError<Key<K>, V> {
    fn check(self) {
        self.into_parts().check();
    }
}
