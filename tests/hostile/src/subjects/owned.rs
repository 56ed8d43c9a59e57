//! `HashMap` and `BytesMap`.

use super::common::{
    Common, GROWING, GUARDED, Outcome, SINGLE, by_guard, pending_limit, with_guard,
};
use super::{see, see_entry};
use crate::program::{Op, Program, Verb};
use crate::things::{Key, Spread, Thing};
use crate::world;
use hedgerow::error::{OccupiedError, TryInsertError};
use hedgerow::owned::{self, Cursor, RemovedBytes, pin};
use hedgerow::{BytesMap, HashMap};

pub(super) struct Map<K, V> {
    map: HashMap<Key<K>, V, Spread>,
}

impl<K: Thing, V: Thing> Common for Map<K, V> {
    type Key = K;
    type Value = V;

    const GROUPS: &'static [&'static [Verb]] = &[SINGLE, GROWING, GUARDED, &[Verb::Reserve]];

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

    fn hold(&self, op: Op, rest: &mut dyn FnMut()) {
        with_guard(op, |guard| {
            let found = self.map.with_guard(guard).get_key_value(&op.key());
            let many: Vec<_> =
                self.map.with_guard(guard).iter().take(usize::from(op.value % 8)).collect();
            rest();
            found.into_iter().chain(many).for_each(|(key, value)| see_entry(key, value));
        });
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
            Verb::TryCompute,
            Verb::Scan,
            Verb::Reserve,
            Verb::Hold,
            Verb::Reclaim,
        ],
    ];

    fn empty(program: &Program) -> Self {
        Self(BytesMap::with_hasher(Spread(program.spreads())))
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
        self.0.pin().get(key.0.text()).map(|bytes| look(&Bytes::of(bytes)))
    }

    fn get_with<R>(&self, key: &Key<Name>, look: impl FnOnce(&Bytes) -> R) -> Option<R> {
        self.0.get_with(key.0.text(), |bytes| look(&Bytes::of(bytes)))
    }

    fn try_get(&self, key: &Key<Name>) -> impl Outcome {
        self.0.pin().try_get(key.0.text()).map(|found| found.map(Bytes::of))
    }

    fn get_many(&self, keys: &[Key<Name>], mut answer: impl FnMut(usize, Option<&Bytes>)) {
        let keys: Vec<String> = keys.iter().map(|key| key.0.text()).collect();
        let (guard, mut values) = (pin(), vec![None; keys.len()]);
        self.0.with_guard(&guard).get_many(&keys, &mut values);
        let values = values.into_iter().map(|value| value.map(Bytes::of));
        values.enumerate().for_each(|(at, value)| answer(at, value.as_ref()));
    }

    fn remove(&self, key: &Key<Name>) -> impl Outcome {
        self.0.remove(key.0.text())
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

    fn iterate(&self, mut meet: impl FnMut(&Key<Name>, &Bytes)) {
        let guard = pin();
        self.0
            .with_guard(&guard)
            .iter()
            .for_each(|(key, value)| meet(&Name::of(key), &Bytes::of(value)));
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
        with_guard(op, |guard| {
            let found = self.0.with_guard(guard).get(op.key::<Name>().0.text());
            rest();
            found.map(Bytes::of).check();
        });
    }

    fn reclaim(&self) {
        self.0.reclaim();
    }

    fn tidy(&mut self) {
        self.0.shrink_to_fit();
    }

    fn len(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
