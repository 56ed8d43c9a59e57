//! `HashMap` and `BytesMap`.

use super::common::{Common, GROWING, Outcome, SINGLE, play_entry, walk};
use super::guarded::{GUARDED, by_guard, pending_limit, with_guard};
use super::{keeps, meet, see, see_entry};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Spread, Thing, by_number};
use crate::world;
use hedgerow::error::{OccupiedError, TryInsertError};
use hedgerow::owned::{self, Cursor, Ref, RemovedBytes, pin};
use hedgerow::{BytesMap, HashMap};

pub(super) struct Map<K, V> {
    map: HashMap<Key<K>, V, Spread>,
}

impl<K: Thing, V: Thing> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] =
        &[SINGLE, GROWING, GUARDED, &[Verb::Reserve, Verb::Entry, Verb::Entry]];

    fn empty(program: &Program) -> Self {
        let map = HashMap::with_hasher(Spread(program.spreads()));
        if let Some(limit) = pending_limit(program) {
            map.set_pending_limit(Some(limit));
        }
        Self { map }
    }

    by_guard!();

    fn scan(&self, budget: usize, mut meet: impl FnMut(&Key<K>, &V)) {
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            cursor = self.map.pin().scan(at, budget, &mut meet);
        }
    }

    fn try_reserve(&self, amount: usize) {
        let _ = self.map.try_reserve(amount);
    }

    fn reserve(&self, amount: usize) {
        self.map.reserve(amount);
    }

    fn entry(&self, key: Key<K>, op: Op, make: impl FnOnce() -> V) {
        play_entry(self.map.entry(key), op, make);
    }

    fn hold_otherwise(&self, op: Op, rest: &mut dyn FnMut()) {
        let mut all = self.map.extract_if(|key, value| !keeps(meet(key, value), op));
        let removed = all.next();
        rest();
        removed.check();
        all.for_each(Outcome::check);
    }

    fn tidy(&mut self) {
        self.map.reclaim();
        self.map.shrink_to_fit();
    }

    fn len(&self) -> Option<usize> {
        Some(self.map.len())
    }
}

/// `BytesMap`: keys and values are bytes, whose hash and comparison are honest; the hasher may panic.
pub(super) struct Text(BytesMap<Spread>);

/// A number, which is a key as text.
pub(super) struct Name(u32);

by_number! {
    with clones:
    Name;
    Bytes;
}

impl Name {
    fn text(&self) -> String {
        world::unfailing(|| format!("key {}", self.0))
    }

    /// The key of these bytes.
    fn of(text: &[u8]) -> Key<Self> {
        let id = std::str::from_utf8(text).ok().and_then(|text| text.strip_prefix("key "));
        Key(Self(id.and_then(|id| id.parse().ok()).unwrap_or_else(|| {
            world::note(|| "a torn key".into());
            world::LASTING
        })))
    }
}

impl Thing for Name {
    fn make(id: u32) -> Self {
        Self(id)
    }

    fn id(&self) -> Option<u32> {
        Some(self.0)
    }
}

/// A number, and some bytes that follow from it.
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        Self(world::unfailing(|| bytes.to_vec()))
    }
}

impl Thing for Bytes {
    fn make(id: u32) -> Self {
        let rest = vec![id as u8; (id % 61) as usize];
        Self([id.to_le_bytes().as_slice(), &rest].concat())
    }

    fn id(&self) -> Option<u32> {
        let id = self.0.first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
        if self.0 != world::unfailing(|| Self::make(id)).0 {
            world::note(|| format!("a torn value of {} bytes", self.0.len()));
        }
        Some(id)
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Outcome for bool {
    fn check(self) {}
}

impl Outcome for RemovedBytes<'_> {
    fn check(self) {
        (Name::of(self.key()), Bytes::of(self.value())).check();
    }
}

impl Outcome for Ref<'_, [u8], [u8]> {
    fn check(self) {
        let clone = Ref::clone(&self);
        drop(self);
        (Name::of(clone.key()), Bytes::of(clone.value())).check();
    }
}

impl<V> Outcome for TryInsertError<String, V> {
    fn check(self) {}
}

impl<V> Outcome for OccupiedError<String, V> {
    fn check(self) {}
}

impl Common for Text {
    type Key = Name;
    type Value = Bytes;

    const GROUPS: &'static [&'static [Verb]] = &[
        SINGLE,
        &[
            Verb::TryGet,
            Verb::GetMany,
            Verb::GetCloned,
            Verb::Update,
            Verb::TryCompute,
            Verb::Scan,
            Verb::Reserve,
            Verb::Hold,
            Verb::Leak,
            Verb::Reclaim,
            Verb::Extract,
            Verb::TryRemove,
            Verb::GetOrInsert,
        ],
    ];

    fn empty(program: &Program) -> Self {
        let map = BytesMap::with_hasher(Spread(program.spreads()));
        if let Some(limit) = pending_limit(program) {
            map.set_pending_limit(Some(limit));
        }
        Self(map)
    }

    fn insert(&self, key: Key<Name>, value: Bytes) -> impl Outcome {
        self.0.insert(key.0.text(), value)
    }

    fn insert_if_absent(&self, key: Key<Name>, value: Bytes) -> impl Outcome {
        self.0.insert_if_absent(key.0.text(), value)
    }

    fn try_insert(&self, key: Key<Name>, value: Bytes) -> impl Outcome {
        self.0.try_insert(key.0.text(), value)
    }

    fn get<R>(&self, key: &Key<Name>, look: impl FnOnce(&Bytes) -> R) -> Option<R> {
        self.0.get(key.0.text()).map(|bytes| look(&Bytes::of(&bytes)))
    }

    fn get_with<R>(&self, key: &Key<Name>, look: impl FnOnce(&Bytes) -> R) -> Option<R> {
        self.0.get_with(key.0.text(), |bytes| look(&Bytes::of(bytes)))
    }

    fn try_get(&self, key: &Key<Name>) -> impl Outcome {
        self.0.pin().try_get(key.0.text()).map(|found| found.map(Bytes::of)).check();
        self.0.try_get(key.0.text())
    }

    fn get_many(&self, keys: &[Key<Name>], mut answer: impl FnMut(usize, Option<&Bytes>)) {
        let keys: Vec<String> = keys.iter().map(|key| key.0.text()).collect();
        let (pinned, mut values) = (self.0.pin(), vec![None; keys.len()]);
        pinned.get_many(&keys, &mut values);
        let values = values.into_iter().map(|value| value.map(Bytes::of));
        values.enumerate().for_each(|(at, value)| answer(at, value.as_ref()));
    }

    fn get_cloned(&self, key: &Key<Name>) -> impl Outcome {
        let default = self.0.get_or_default(key.0.text());
        if !default.is_empty() {
            Bytes::of(&default).check();
        }
        self.0.get_cloned(key.0.text()).map(|bytes| Bytes::of(&bytes))
    }

    fn remove(&self, key: &Key<Name>) -> impl Outcome {
        self.0.remove(key.0.text())
    }

    fn get_or_insert(&self, key: Key<Name>, op: Op, make: impl FnOnce() -> Bytes) {
        // The closure makes the value whether or not there is memory for the map.
        let (key, unfailing) = (key.0.text(), || world::unfailing(make));
        match op.arg % 4 {
            0 => {
                let done = || self.0.try_get_or_insert_with(key, unfailing);
                world::scarce(op.scarcity(), done).check();
            }
            1 => {
                let change = |before: &[u8]| {
                    Bytes::of(before).check();
                    unfailing()
                };
                let mut change = Some(change);
                let done = || {
                    self.0.try_update(key, |before| change.take().expect("it runs once")(before))
                };
                world::scarce(op.scarcity(), done).check();
            }
            2 => self.0.get_or_insert(key, unfailing()).check(),
            _ => Bytes::of(self.0.pin().get_or_insert_with(key, unfailing)).check(),
        }
    }

    fn try_remove(&self, key: &Key<Name>) -> impl Outcome {
        self.0.try_remove(key.0.text())
    }

    fn update(&self, key: Key<Name>, mut change: impl FnMut(&Bytes) -> Bytes) -> impl Outcome {
        self.0.update(key.0.text(), |before| change(&Bytes::of(before)))
    }

    fn compute(
        &self,
        key: Key<Name>,
        mut decide: impl FnMut(Option<&Bytes>) -> owned::Op<Bytes>,
    ) -> impl Outcome {
        self.0.compute(key.0.text(), |before| decide(before.map(Bytes::of).as_ref()))
    }

    fn try_compute(
        &self,
        key: Key<Name>,
        mut decide: impl FnMut(Option<&Bytes>) -> owned::Op<Bytes>,
    ) -> impl Outcome {
        self.0.try_compute(key.0.text(), |before| decide(before.map(Bytes::of).as_ref()))
    }

    fn retain(&self, mut keep: impl FnMut(&Key<Name>, &Bytes) -> bool) {
        self.0.retain(|key, value| keep(&Name::of(key), &Bytes::of(value)));
    }

    fn extract(&self, op: Op, leaks: bool, mut wanted: impl FnMut(&Key<Name>, &Bytes) -> bool) {
        let wanted = |key: &[u8], value: &[u8]| wanted(&Name::of(key), &Bytes::of(value));
        for removed in self.0.extract_if(wanted).take(usize::from(op.arg % 8)) {
            (Name::of(removed.key()), Bytes::of(removed.value())).check();
            if leaks {
                world::leak(removed);
            }
        }
    }

    fn iterate(&self, mut meet: impl FnMut(&Key<Name>, &Bytes)) {
        let pinned = self.0.pin();
        pinned.iter().for_each(|(key, value)| meet(&Name::of(key), &Bytes::of(value)));
    }

    fn iterate_otherwise(&self, mut meet: impl FnMut(&Key<Name>, &Bytes)) {
        let entries = self.0.iter();
        entries.for_each(|entry| meet(&Name::of(entry.key()), &Bytes::of(entry.value())));
    }

    fn scan(&self, budget: usize, mut meet: impl FnMut(&Key<Name>, &Bytes)) {
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let meet = |key: &[u8], value: &[u8]| meet(&Name::of(key), &Bytes::of(value));
            cursor = self.0.pin().scan(at, budget, meet);
        }
    }

    fn try_reserve(&self, amount: usize) {
        let _ = self.0.try_reserve(amount);
    }

    fn reserve(&self, amount: usize) {
        self.0.reserve(amount);
    }

    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        let (key, count) = (op.key::<Name>().0.text(), usize::from(op.value / 8 % 8));
        if op.value.is_multiple_of(2) {
            with_guard(op, |guard| {
                let pinned = self.0.with_guard(guard);
                let (found, mut all) = (pinned.get(&key), pinned.iter());
                walk("a held iterator", |meet| {
                    let some: Vec<_> = all.by_ref().take(count).collect();
                    rest();
                    let all = some.into_iter().chain(all);
                    all.for_each(|(key, value)| meet(&Name::of(key), &Bytes::of(value)));
                });
                found.map(Bytes::of).check();
            });
        } else {
            let (found, mut all) = (self.0.get(&key), self.0.iter());
            walk("a held iterator of entries", |meet| {
                let mut some: Vec<_> = all.by_ref().take(count).collect();
                rest();
                some.extend(all);
                let all = some.iter();
                all.for_each(|entry| meet(&Name::of(entry.key()), &Bytes::of(entry.value())));
            });
            found.check();
        }
    }

    fn leak(&self, op: Op) {
        match op.arg % 3 {
            0 => world::leak(pin()),
            1 => world::leak(self.0.get(op.key::<Name>().0.text())),
            _ => world::leak(self.0.iter()),
        }
    }

    fn reclaim(&self) {
        self.0.reclaim();
    }

    fn tidy(&mut self) {
        self.0.reclaim();
        self.0.shrink_to_fit();
    }

    fn len(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
