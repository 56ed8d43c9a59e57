//! Ours.

use hedgerow::flat::Op;

use super::{Bench, Hasher, Role, hasher};
use crate::data::Word;

/// `FlatMap` with values of some size.
pub type Flat<V = u64> = hedgerow::FlatMap<u64, V, Hasher>;

impl<V: Word> Bench for Flat<V> {
    const NAME: &'static str = "FlatMap";
    const ROLE: Role = Role::Ours;
    type Key = u64;
    type Value = V;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher())
    }

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    #[inline]
    fn read(&self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.get_with(key, see)
    }

    #[inline]
    fn insert(&self, key: &u64, value: &V, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.insert(*key, *value).map(|old| see(&old))
    }

    #[inline]
    fn remove(&self, key: &u64, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.remove(key).map(|old| see(&old))
    }

    #[inline]
    fn update(&self, key: &u64, f: impl Fn(&V) -> V, see: impl FnOnce(&V) -> u64) -> Option<u64> {
        self.update(key, |old| f(&old)).map(|new| see(&new))
    }

    #[inline]
    fn alter(&self, key: &u64, f: impl Fn(Option<&V>) -> V) {
        self.compute(*key, |old| Op::Insert(f(old.as_ref())));
    }

    fn each(&self, mut see: impl FnMut(&u64, &V)) {
        self.iter().for_each(|(key, value)| see(&key, &value));
    }

    #[inline]
    fn read_many<const N: usize>(&self, keys: &[u64; N], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let mut values = [None; N];
        self.get_many(keys, &mut values);
        values.iter().map(|value| see(value.as_ref())).sum()
    }

    #[inline]
    fn insert_many<const N: usize>(
        &self,
        keys: &[u64; N],
        value: impl Fn(&u64) -> V,
        see: impl Fn(Option<&V>) -> u64,
    ) -> u64 {
        let mut before = [None; N];
        self.insert_many(&keys.map(|key| (key, value(&key))), &mut before);
        before.iter().map(|old| see(old.as_ref())).sum()
    }

    #[inline]
    fn remove_many<const N: usize>(&self, keys: &[u64; N], see: impl Fn(Option<&V>) -> u64) -> u64 {
        let mut before = [None; N];
        self.remove_many(keys, &mut before);
        before.iter().map(|old| see(old.as_ref())).sum()
    }
}

/// `FlatMap` with one key at a time, like the others: the baseline for our
/// batches.
pub struct Singly(Flat);

impl Bench for Singly {
    const NAME: &'static str = "FlatMap singly";
    const ROLE: Role = Role::Foil;
    type Key = u64;
    type Value = u64;

    fn with_capacity(capacity: usize) -> Self {
        Self(Bench::with_capacity(capacity))
    }

    fn new() -> Self {
        Self(Bench::new())
    }

    #[inline]
    fn read(&self, key: &u64, see: impl FnOnce(&u64) -> u64) -> Option<u64> {
        self.0.read(key, see)
    }

    #[inline]
    fn insert(&self, key: &u64, value: &u64, see: impl FnOnce(&u64) -> u64) -> Option<u64> {
        Bench::insert(&self.0, key, value, see)
    }

    #[inline]
    fn remove(&self, key: &u64, see: impl FnOnce(&u64) -> u64) -> Option<u64> {
        Bench::remove(&self.0, key, see)
    }

    #[inline]
    fn update(
        &self,
        key: &u64,
        f: impl Fn(&u64) -> u64,
        see: impl FnOnce(&u64) -> u64,
    ) -> Option<u64> {
        Bench::update(&self.0, key, f, see)
    }

    #[inline]
    fn alter(&self, key: &u64, f: impl Fn(Option<&u64>) -> u64) {
        self.0.alter(key, f);
    }

    fn each(&self, see: impl FnMut(&u64, &u64)) {
        self.0.each(see);
    }
}

/// `HashMap` of strings.
pub type Entries = hedgerow::HashMap<String, String, Hasher>;

impl Bench for Entries {
    const NAME: &'static str = "HashMap";
    const ROLE: Role = Role::Ours;
    type Key = String;
    type Value = String;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher())
    }

    #[inline]
    fn read(&self, key: &str, see: impl FnOnce(&str) -> u64) -> Option<u64> {
        self.pin().get(key).map(|value| see(value))
    }

    #[inline]
    fn insert(&self, key: &str, value: &str, see: impl FnOnce(&str) -> u64) -> Option<u64> {
        self.insert(key.into(), value.into()).map(|old| see(old.value()))
    }

    #[inline]
    fn remove(&self, key: &str, see: impl FnOnce(&str) -> u64) -> Option<u64> {
        self.remove(key).map(|old| see(old.value()))
    }

    fn each(&self, mut see: impl FnMut(&str, &str)) {
        self.pin().iter().for_each(|(key, value)| see(key, value));
    }

    #[inline]
    fn read_many<const N: usize>(
        &self,
        keys: &[&str; N],
        see: impl Fn(Option<&str>) -> u64,
    ) -> u64 {
        let (map, mut values) = (self.pin(), [None; N]);
        map.get_many(keys, &mut values);
        values.iter().map(|value| see(value.map(String::as_str))).sum()
    }
}

/// `BytesMap`.
pub type Strings = hedgerow::BytesMap<Hasher>;

/// Text that the harness inserted.
fn text(bytes: &[u8]) -> &str {
    // SAFETY: the map holds copies of `insert`'s arguments, which were text.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

impl Bench for Strings {
    const NAME: &'static str = "BytesMap";
    const ROLE: Role = Role::Ours;
    type Key = String;
    type Value = String;

    fn with_capacity(capacity: usize) -> Self {
        let made = Self::try_with_capacity_and_hasher(capacity, hasher());
        made.unwrap_or_else(|_| panic!("there is memory"))
    }

    #[inline]
    fn read(&self, key: &str, see: impl FnOnce(&str) -> u64) -> Option<u64> {
        self.pin().get(key).map(|value| see(text(value)))
    }

    #[inline]
    fn insert(&self, key: &str, value: &str, see: impl FnOnce(&str) -> u64) -> Option<u64> {
        self.insert(key, value).map(|old| see(text(old.value())))
    }

    #[inline]
    fn remove(&self, key: &str, see: impl FnOnce(&str) -> u64) -> Option<u64> {
        self.remove(key).map(|old| see(text(old.value())))
    }

    fn each(&self, mut see: impl FnMut(&str, &str)) {
        self.pin().iter().for_each(|(key, value)| see(text(key), text(value)));
    }

    #[inline]
    fn read_many<const N: usize>(
        &self,
        keys: &[&str; N],
        see: impl Fn(Option<&str>) -> u64,
    ) -> u64 {
        let (map, mut values) = (self.pin(), [None; N]);
        map.get_many(keys, &mut values);
        values.iter().map(|value| see(value.map(text))).sum()
    }
}
