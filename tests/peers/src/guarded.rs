//! A map and a set whose methods take a guard, as those of flurry and papaya do.

use hedgerow::Equivalent;
use hedgerow::entry::Entry;
use hedgerow::flat::DefaultHashBuilder;
use hedgerow::owned::{self, HashMap as Inner};
use hedgerow::{HashSet as InnerSet, Op};
use rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

/// A guard of every map.
pub struct Guard(owned::Guard<'static>);

impl Guard {
    fn new() -> Self {
        Self(owned::pin())
    }

    /// Returns a usual guard, which protects.
    ///
    /// # Safety
    /// Always given.
    pub unsafe fn unprotected() -> Self {
        Self::new()
    }

    /// Lets go of what the guard keeps alive.
    pub fn refresh(&mut self) {
        *self = Self::new();
    }
}

/// A collector, which only makes guards here: one registry of readers serves all maps.
#[derive(Default)]
pub struct Collector;

impl Collector {
    /// Returns a collector.
    pub fn new() -> Self {
        Self
    }

    /// Ignores the size of batches.
    pub fn batch_size(self, _: usize) -> Self {
        self
    }

    /// Returns a guard.
    pub fn enter(&self) -> Guard {
        Guard::new()
    }
}

/// The decision of a closure that `compute` calls.
pub enum Operation<V, T> {
    /// Stores a value.
    Insert(V),
    /// Removes the entry.
    Remove,
    /// Changes nothing, and returns this.
    Abort(T),
}

/// What `compute` has done.
#[derive(Debug, PartialEq)]
pub enum Compute<'g, K, V, T> {
    /// Inserted this entry.
    Inserted(&'g K, &'g V),
    /// Replaced an entry.
    Updated {
        /// The entry before.
        old: (&'g K, &'g V),
        /// The entry after.
        new: (&'g K, &'g V),
    },
    /// Removed this entry.
    Removed(&'g K, &'g V),
    /// Changed nothing.
    Aborted(T),
}

/// The error of an insertion that found a value.
#[derive(Debug, PartialEq)]
pub struct OccupiedError<'g, V> {
    /// The value that is there.
    pub current: &'g V,
    /// The value that was not inserted.
    pub not_inserted: V,
}

/// A map whose methods take a guard.
pub struct HashMap<K, V, S = DefaultHashBuilder>(Inner<K, V, S>);

impl<K, V> HashMap<K, V> {
    /// Returns an empty map.
    pub fn new() -> Self {
        Self(Inner::new())
    }

    /// Returns an empty map with room for `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Inner::with_capacity(capacity))
    }
}

impl<K, V, S> HashMap<K, V, S> {
    /// Returns an empty map with this hasher.
    pub fn with_hasher(hasher: S) -> Self {
        Self(Inner::with_hasher(hasher))
    }

    /// Returns a guard.
    pub fn guard(&self) -> Guard {
        Guard::new()
    }

    /// Returns the map with a guard.
    pub fn pin(&self) -> HashMapRef<'_, K, V, S> {
        HashMapRef { map: self, guard: Guard::new() }
    }

    /// Returns the map with another guard of the same reader.
    pub fn with_guard(&self, _: &Guard) -> HashMapRef<'_, K, V, S> {
        self.pin()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Extends a borrow of a key or a value to that of the guard. Callers have found it in this map, or have put it
    /// there or taken it out, since the guard was taken.
    fn lend<'g, T>(&'g self, _: &'g Guard, part: &T) -> &'g T {
        // SAFETY: the guard is older than the borrow, so it keeps the entry alive even after it was removed, and the
        // map itself, which owns the other entries, is borrowed as long as the guard.
        unsafe { &*std::ptr::from_ref(part) }
    }

    fn lend_pair<'g>(&'g self, guard: &'g Guard, (key, value): (&K, &V)) -> (&'g K, &'g V) {
        (self.lend(guard, key), self.lend(guard, value))
    }
}

impl<K, V, S: Default> Default for HashMap<K, V, S> {
    fn default() -> Self {
        Self(Inner::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone, S: BuildHasher + Clone> Clone for HashMap<K, V, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash, V: PartialEq, S: BuildHasher> PartialEq for HashMap<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for HashMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for &HashMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        (&self.0).extend(entries);
    }
}

impl<'a, K: Copy + Eq + Hash, V: Copy, S: BuildHasher> Extend<(&'a K, &'a V)>
    for &HashMap<K, V, S>
{
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        (&self.0).extend(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> FromIterator<(K, V)> for HashMap<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(Inner::from_iter(entries))
    }
}

impl<'a, K: Copy + Eq + Hash, V: Copy, S: BuildHasher + Default> FromIterator<(&'a K, &'a V)>
    for HashMap<K, V, S>
{
    fn from_iter<I: IntoIterator<Item = (&'a K, &'a V)>>(entries: I) -> Self {
        entries.into_iter().map(|(key, value)| (*key, *value)).collect()
    }
}

impl<'a, K: Copy + Eq + Hash, V: Copy, S: BuildHasher + Default> FromIterator<&'a (K, V)>
    for HashMap<K, V, S>
{
    fn from_iter<I: IntoIterator<Item = &'a (K, V)>>(entries: I) -> Self {
        entries.into_iter().copied().collect()
    }
}

impl<K: Eq + Hash + Send + Sync, V: Send + Sync> FromParallelIterator<(K, V)> for HashMap<K, V> {
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(Inner::from_par_iter(entries))
    }
}

impl<K: Eq + Hash + Send + Sync, V: Send + Sync> ParallelExtend<(K, V)> for HashMap<K, V> {
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.0.par_extend(entries);
    }
}

impl<K: Eq + Hash + Send + Sync, V: Send + Sync> ParallelExtend<(K, V)> for HashMapRef<'_, K, V> {
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let map = &self.map.0;
        entries.into_par_iter().for_each(|(key, value)| drop(map.insert(key, value)));
    }
}

impl<K: Serialize, V: Serialize, S> Serialize for HashMap<K, V, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, K: Deserialize<'de> + Eq + Hash, V: Deserialize<'de>> Deserialize<'de> for HashMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Inner::deserialize(deserializer).map(Self)
    }
}

/// A map with a guard.
pub struct HashMapRef<'m, K, V, S = DefaultHashBuilder> {
    map: &'m HashMap<K, V, S>,
    guard: Guard,
}

/// Writes what a map or a set with a guard has in common with the one without.
macro_rules! pinned {
    ($Map:ident<$($p:ident),*>, $Ref:ident, where [$($bounds:tt)*]) => {
        impl<$($p),*> Deref for $Ref<'_, $($p),*> {
            type Target = $Map<$($p),*>;

            fn deref(&self) -> &Self::Target {
                self.map
            }
        }

        impl<$($p),*> Clone for $Ref<'_, $($p),*> {
            fn clone(&self) -> Self {
                self.map.pin()
            }
        }

        impl<$($p),*> fmt::Debug for $Ref<'_, $($p),*>
        where
            $($bounds)*
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.map.fmt(f)
            }
        }
    };
}
pinned!(HashMap<K, V, S>, HashMapRef, where [K: fmt::Debug, V: fmt::Debug]);
pinned!(HashSet<K, S>, HashSetRef, where [K: Eq + Hash + fmt::Debug, S: BuildHasher]);

impl<'g, K: Eq + Hash, V, S: BuildHasher> IntoIterator for &'g HashMapRef<'_, K, V, S> {
    type Item = (&'g K, &'g V);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'g>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// Writes methods that take a guard, and those of the map or set with a guard, which pass theirs.
macro_rules! guarded {
    ($Map:ident<$($p:ident),*>, $Ref:ident, where [$($bounds:tt)*];
     $($(#[$attr:meta])* fn $name:ident [$($generics:tt)*] ($self:ident, $guard:ident $(, $arg:ident: $type:ty)*)
       -> $out:ty $body:block)*) => {
        impl<$($p),*> $Map<$($p),*>
        where
            $($bounds)*
        {
            $($(#[$attr])*
            pub fn $name<'g, $($generics)*>(&'g $self, $($arg: $type,)* $guard: &'g Guard) -> $out $body)*
        }

        impl<$($p),*> $Ref<'_, $($p),*>
        where
            $($bounds)*
        {
            $($(#[$attr])*
            pub fn $name<'g, $($generics)*>(&'g self, $($arg: $type),*) -> $out {
                self.map.$name($($arg,)* &self.guard)
            })*
        }
    };
}

guarded! {
    HashMap<K, V, S>, HashMapRef, where [K: Eq + Hash, S: BuildHasher];

    /// Returns the value of a key.
    fn get[Q: Hash + Equivalent<K> + ?Sized](self, guard, key: &Q) -> Option<&'g V> {
        self.get_key_value(key, guard).map(|(_, value)| value)
    }

    /// Returns the entry of a key.
    fn get_key_value[Q: Hash + Equivalent<K> + ?Sized](self, guard, key: &Q) -> Option<(&'g K, &'g V)> {
        let map = self.0.with_guard(&guard.0);
        map.get_key_value(key).map(|pair| self.lend_pair(guard, pair))
    }

    /// Returns whether a key has a value.
    fn contains_key[Q: Hash + Equivalent<K> + ?Sized](self, _guard, key: &Q) -> bool {
        self.0.contains_key(key)
    }

    /// Stores a value, and returns the one before.
    fn insert[](self, guard, key: K, value: V) -> Option<&'g V> {
        self.0.insert(key, value).map(|before| self.lend(guard, before.value()))
    }

    /// Stores a value if the key has none.
    ///
    /// # Errors
    /// If it has one.
    fn try_insert[](self, guard, key: K, value: V) -> Result<&'g V, OccupiedError<'g, V>> {
        let (mut key, mut value) = (key, value);
        loop {
            match self.0.entry(key) {
                Entry::Occupied(entry) => {
                    return Err(OccupiedError { current: self.lend(guard, entry.get()), not_inserted: value });
                }
                Entry::Vacant(entry) => match entry.insert(value) {
                    Ok(new) => return Ok(self.lend(guard, new.value())),
                    Err(other) => (key, value) = other.into_parts(),
                },
            }
        }
    }

    /// Stores the value that `make` returns if the key has none.
    ///
    /// # Errors
    /// If it has one.
    fn try_insert_with[](self, guard, key: K, make: impl FnOnce() -> V) -> Result<&'g V, &'g V> {
        match self.0.entry(key) {
            Entry::Occupied(entry) => Err(self.lend(guard, entry.get())),
            Entry::Vacant(entry) => {
                self.try_insert(entry.into_key(), make(), guard).map_err(|other| other.current)
            }
        }
    }

    /// Returns the value of a key, which is `value` if there is none.
    fn get_or_insert[](self, guard, key: K, value: V) -> &'g V {
        self.get_or_insert_with(key, || value, guard)
    }

    /// Returns the value of a key, which `make` makes if there is none.
    fn get_or_insert_with[](self, guard, key: K, make: impl FnOnce() -> V) -> &'g V {
        self.lend(guard, self.0.with_guard(&guard.0).get_or_insert_with(key, make))
    }

    /// Removes a key, and returns its value.
    fn remove[Q: Hash + Equivalent<K> + ?Sized](self, guard, key: &Q) -> Option<&'g V> {
        self.0.remove(key).map(|entry| self.lend(guard, entry.value()))
    }

    /// Removes the entry if `condition` holds.
    ///
    /// # Errors
    /// The entry, if it does not.
    fn remove_if[Q: Hash + Equivalent<K> + ?Sized](self, guard, key: &Q, condition: impl FnMut(&K, &V) -> bool)
        -> Result<Option<(&'g K, &'g V)>, (&'g K, &'g V)>
    {
        let (mut kept, mut condition) = (None, condition);
        let removed = self.0.remove_if(key, |key, value| {
            let removes = condition(key, value);
            kept = (!removes).then(|| self.lend_pair(guard, (key, value)));
            removes
        });
        kept.map_or(Ok(()), Err)?;
        Ok(removed.map(|entry| self.lend_pair(guard, entry.pair())))
    }

    /// Removes the entries for which `keep` is false.
    fn retain[](self, _guard, keep: impl FnMut(&K, &V) -> bool) -> () {
        self.0.retain(keep);
    }

    /// Does the same: in flurry, `retain` keeps an entry that has changed meanwhile, and this does not.
    fn retain_force[](self, _guard, keep: impl FnMut(&K, &V) -> bool) -> () {
        self.0.retain(keep);
    }

    /// Removes all entries.
    fn clear[](self, _guard) -> () {
        self.0.clear();
    }

    /// Returns how many entries fit.
    fn capacity[](self, _guard) -> usize {
        self.0.capacity()
    }

    /// Makes room.
    fn reserve[](self, _guard, additional: usize) -> () {
        self.0.reserve(additional);
    }

    /// Returns all entries.
    fn iter[](self, guard) -> impl Iterator<Item = (&'g K, &'g V)> {
        self.0.iter().map(|entry| self.lend_pair(guard, entry.pair()))
    }

    /// Returns all keys.
    fn keys[](self, guard) -> impl Iterator<Item = &'g K> {
        self.iter(guard).map(|(key, _)| key)
    }

    /// Returns all values.
    fn values[](self, guard) -> impl Iterator<Item = &'g V> {
        self.iter(guard).map(|(_, value)| value)
    }
}

guarded! {
    HashMap<K, V, S>, HashMapRef, where [K: Clone + Eq + Hash, V: Clone, S: BuildHasher];

    /// Replaces the value of a key, and returns the new one.
    fn update[](self, guard, key: K, f: impl FnMut(&V) -> V) -> Option<&'g V> {
        self.0.update(&key, f).map(|new| self.lend(guard, new.value()))
    }

    /// Replaces the value of a key, which is `value` if there is none.
    fn update_or_insert[](self, guard, key: K, f: impl FnMut(&V) -> V, value: V) -> &'g V {
        self.update_or_insert_with(key, f, || value, guard)
    }

    /// Replaces the value of a key, which `make` makes if there is none.
    fn update_or_insert_with[](self, guard, key: K, f: impl FnMut(&V) -> V, make: impl FnOnce() -> V) -> &'g V {
        let mut f = f;
        let new = self.0.entry(key).and_modify(|value| *value = f(value)).or_insert_with(make);
        self.lend(guard, new.value())
    }

    /// Replaces or removes the entry of a key, and returns the new value.
    fn compute_if_present[Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized]
        (self, guard, key: &Q, f: impl FnMut(&K, &V) -> Option<V>) -> Option<&'g V>
    {
        let (key, mut f) = (key.to_owned(), f);
        let done = self.0.compute(key.clone(), |value| match value {
            Some(value) => f(&key, value).map_or(Op::Remove, Op::Insert),
            None => Op::Keep,
        });
        done.after.map(|new| self.lend(guard, new.value()))
    }

    /// Inserts, replaces, removes or keeps the entry, as `decide` says.
    fn compute[T](self, guard, key: K, decide: impl FnMut(Option<(&'g K, &'g V)>) -> Operation<V, T>)
        -> Compute<'g, K, V, T>
    {
        let (mut aborted, mut decide, own) = (None, decide, key.clone());
        let done = self.0.compute(key, |value| {
            // `compute` passes the value alone. If the entry has gone by now, the closure is about to run again.
            let with_key = value.map(|value| match self.get_key_value(&own, guard) {
                Some((key, _)) => (key, self.lend(guard, value)),
                None => (&*Box::leak(Box::new(own.clone())), self.lend(guard, value)),
            });
            match decide(with_key) {
                Operation::Insert(value) => Op::Insert(value),
                Operation::Remove => Op::Remove,
                Operation::Abort(with) => {
                    aborted = Some(with);
                    Op::Keep
                }
            }
        });
        if let Some(with) = aborted {
            return Compute::Aborted(with);
        }
        let lend = |entry: owned::Ref<'_, K, V>| self.lend_pair(guard, entry.pair());
        match (done.before.map(lend), done.after.map(lend)) {
            (Some(old), Some(new)) => Compute::Updated { old, new },
            (None, Some((key, value))) => Compute::Inserted(key, value),
            (Some((key, value)), None) => Compute::Removed(key, value),
            (None, None) => panic!("the removal of nothing"),
        }
    }
}

guarded! {
    HashSet<K, S>, HashSetRef, where [K: Eq + Hash, S: BuildHasher];

    /// Returns the element that is equal to `value`.
    fn get[Q: Hash + Equivalent<K> + ?Sized](self, guard, value: &Q) -> Option<&'g K> {
        self.0.get(value).map(|element| self.lend(guard, &*element))
    }

    /// Returns whether the set has an element that is equal to `value`.
    fn contains[Q: Hash + Equivalent<K> + ?Sized](self, _guard, value: &Q) -> bool {
        self.0.contains(value)
    }

    /// Inserts an element, and returns whether it is new.
    fn insert[](self, _guard, value: K) -> bool {
        self.0.insert(value)
    }

    /// Removes an element, and returns whether it was there.
    fn remove[Q: Hash + Equivalent<K> + ?Sized](self, _guard, value: &Q) -> bool {
        self.0.remove(value)
    }

    /// Removes the elements for which `keep` is false.
    fn retain[](self, _guard, keep: impl FnMut(&K) -> bool) -> () {
        self.0.retain(keep);
    }

    /// Removes all elements.
    fn clear[](self, _guard) -> () {
        self.0.clear();
    }

    /// Makes room.
    fn reserve[](self, _guard, additional: usize) -> () {
        self.0.as_map().reserve(additional);
    }

    /// Returns all elements.
    fn iter[](self, guard) -> impl Iterator<Item = &'g K> {
        self.0.iter().map(|element| self.lend(guard, &*element))
    }
}

/// A set whose methods take a guard.
pub struct HashSet<K, S = DefaultHashBuilder>(InnerSet<K, S>);

/// A set with a guard.
pub struct HashSetRef<'m, K, S = DefaultHashBuilder> {
    map: &'m HashSet<K, S>,
    guard: Guard,
}

impl<K> HashSet<K> {
    /// Returns an empty set.
    pub fn new() -> Self {
        Self(InnerSet::new())
    }

    /// Returns an empty set with room for `capacity` elements.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(InnerSet::with_capacity(capacity))
    }
}

impl<K, S> HashSet<K, S> {
    /// Returns a guard.
    pub fn guard(&self) -> Guard {
        Guard::new()
    }

    /// Returns the set with a guard.
    pub fn pin(&self) -> HashSetRef<'_, K, S> {
        HashSetRef { map: self, guard: Guard::new() }
    }

    /// Does what it does for a map.
    fn lend<'g>(&'g self, _: &'g Guard, element: &K) -> &'g K {
        // SAFETY: as for a map.
        unsafe { &*std::ptr::from_ref(element) }
    }
}

impl<K: Eq + Hash, S: BuildHasher> HashSet<K, S> {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Eq + Hash, S: BuildHasher + Default> Default for HashSet<K, S> {
    fn default() -> Self {
        Self(InnerSet::default())
    }
}

impl<K: Clone + Eq + Hash, S: BuildHasher + Clone> Clone for HashSet<K, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash, S: BuildHasher> PartialEq for HashSet<K, S> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Eq + Hash + fmt::Debug, S: BuildHasher> fmt::Debug for HashSet<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: Eq + Hash, S: BuildHasher> Extend<K> for &HashSet<K, S> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, elements: I) {
        (&self.0).extend(elements);
    }
}

impl<'a, K: Copy + Eq + Hash, S: BuildHasher> Extend<&'a K> for &HashSet<K, S> {
    fn extend<I: IntoIterator<Item = &'a K>>(&mut self, elements: I) {
        (&self.0).extend(elements.into_iter().copied());
    }
}

impl<K: Eq + Hash, S: BuildHasher + Default> FromIterator<K> for HashSet<K, S> {
    fn from_iter<I: IntoIterator<Item = K>>(elements: I) -> Self {
        Self(InnerSet::from_iter(elements))
    }
}

impl<'a, K: Copy + Eq + Hash, S: BuildHasher + Default> FromIterator<&'a K> for HashSet<K, S> {
    fn from_iter<I: IntoIterator<Item = &'a K>>(elements: I) -> Self {
        elements.into_iter().copied().collect()
    }
}

impl<K: Eq + Hash + Send + Sync> FromParallelIterator<K> for HashSet<K> {
    fn from_par_iter<I: IntoParallelIterator<Item = K>>(elements: I) -> Self {
        let mut set = Self::new();
        set.par_extend(elements);
        set
    }
}

impl<K: Eq + Hash + Send + Sync> ParallelExtend<K> for HashSet<K> {
    fn par_extend<I: IntoParallelIterator<Item = K>>(&mut self, elements: I) {
        self.pin().par_extend(elements);
    }
}

impl<K: Eq + Hash + Send + Sync> ParallelExtend<K> for HashSetRef<'_, K> {
    fn par_extend<I: IntoParallelIterator<Item = K>>(&mut self, elements: I) {
        let set = &self.map.0;
        elements.into_par_iter().for_each(|element| {
            set.insert(element);
        });
    }
}

impl<K: Serialize + Eq + Hash, S: BuildHasher> Serialize for HashSet<K, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, K: Deserialize<'de> + Eq + Hash> Deserialize<'de> for HashSet<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        InnerSet::deserialize(deserializer).map(Self)
    }
}
