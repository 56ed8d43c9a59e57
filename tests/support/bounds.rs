//! Each operation that a map or a set shares with std's compiles under the trait bounds that std asks for.
//!
//! A block has one text, which is compiled twice with the same bounds: for std's type and for ours. So bounds that are
//! weaker than std's do not compile for std, and an operation of ours that asks for more does not compile for us. What
//! ours has to ask for in addition stands in a block `differs!`, with the reason. The lists of std's operations at the
//! end say where each is, or why we do not have it.
#![allow(unused_mut, unused_variables, unused_must_use, unused_assignments, dead_code)] // Only to be compiled.
#![allow(clippy::needless_pass_by_value)]

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};
use std::ops::RangeBounds;

/// Compiles a body for two types under the same bounds. `Map` names the type in it, and `map` is a value.
macro_rules! shared {
    ($([$($generics:tt)*] $std:ty, $ours:ty: |$map:ident $(, $argument:ident: $of:ty)*| $body:block)*) => {
        $(
            const _: () = {
                fn of_std<$($generics)*>(mut $map: $std $(, $argument: $of)*) $body
                fn of_ours<$($generics)*>(mut $map: $ours $(, $argument: $of)*) $body
            };
        )*
    };
}

/// Compiles a body for our type, under bounds that are not std's, for this reason.
macro_rules! differs {
    ($($reason:literal [$($generics:tt)*] $ours:ty: |$map:ident $(, $argument:ident: $of:ty)*| $body:block)*) => {
        $(
            const _: () = {
                const REASON: &str = $reason;
                fn of_ours<$($generics)*>(mut $map: $ours $(, $argument: $of)*) $body
            };
        )*
    };
}

/// Compiles for a type that has a trait.
fn has<T: ?Sized + Has<X>, X>(_: &T) {}

/// The traits that std's types have, as one trait with a parameter, so that a body need not name its type.
trait Has<X> {}
struct IsDefault;
struct IsClone;
struct IsDebug;
struct IsPartialEq;
struct IsEq;
struct IsExtend<X>(X);
struct IsFromIterator<X>(X);
struct IsFromArray<X>(X);
struct IsIntoIterator<X>(X);
impl<T: Default> Has<IsDefault> for T {}
impl<T: Clone> Has<IsClone> for T {}
impl<T: Debug> Has<IsDebug> for T {}
impl<T: PartialEq> Has<IsPartialEq> for T {}
impl<T: Eq> Has<IsEq> for T {}
impl<X, T: Extend<X>> Has<IsExtend<X>> for T {}
impl<X, T: FromIterator<X>> Has<IsFromIterator<X>> for T {}
impl<X, T: From<[X; 3]>> Has<IsFromArray<X>> for T {}
impl<X, T: IntoIterator<Item = X>> Has<IsIntoIterator<X>> for T {}

type Ours<K, V, S = hedgerow::flat::DefaultHashBuilder> = hedgerow::HashMap<K, V, S>;

// `HashMap`.
shared! {
    [K, V, S] HashMap<K, V, S>, Ours<K, V, S>: |map| {
        map.len();
        map.is_empty();
        map.capacity();
        map.hasher();
        map.iter().next();
        map.keys().next();
        map.values().next();
        map.retain(|_, _| true);
        map.extract_if(|_, _| true).next();
        map.drain().next();
        map.clear();
        for _ in &map {}
        has::<_, IsIntoIterator<(K, V)>>(&map);
    }
    [K: Eq + Hash + Borrow<Q>, V, S: BuildHasher, Q: Eq + Hash + ?Sized]
    HashMap<K, V, S>, Ours<K, V, S>: |map, key: &Q| {
        map.get(key);
        map.get_key_value(key);
        map.contains_key(key);
        map.remove(key);
    }
    [K: Eq + Hash, V, S: BuildHasher] HashMap<K, V, S>, Ours<K, V, S>: |map, key: K, other: K, value: V| {
        map.reserve(1);
        map.try_reserve(1);
        map.shrink_to_fit();
        map.insert(key, value);
        map.entry(other);
        has::<_, IsExtend<(K, V)>>(&map);
    }
    [K: Eq + Hash, V, S: BuildHasher]
    HashMap<K, V, S>, Ours<K, V, S>: |map, key: K, other: K, value: V, make: fn(&K) -> V| {
        map.entry(key).or_insert(value);
        map.entry(other).or_insert_with_key(make);
    }
    [K: Eq + Hash, V: Default, S: BuildHasher]
    HashMap<K, V, S>, Ours<K, V, S>: |map, key: K, other: K, make: fn() -> V| {
        map.entry(key).or_insert_with(make);
        map.entry(other).or_default();
    }
    [K, V, S: Default] HashMap<K, V, S>, Ours<K, V, S>: |map| { has::<_, IsDefault>(&map) }
    [K: Debug, V: Debug, S] HashMap<K, V, S>, Ours<K, V, S>: |map| { has::<_, IsDebug>(&map) }
    [K: Eq + Hash, V: PartialEq, S: BuildHasher] HashMap<K, V, S>, Ours<K, V, S>: |map| { has::<_, IsPartialEq>(&map) }
    [K: Eq + Hash, V: Eq, S: BuildHasher] HashMap<K, V, S>, Ours<K, V, S>: |map| { has::<_, IsEq>(&map) }
    ['a, K: Eq + Hash + Copy + 'a, V: Copy + 'a, S: BuildHasher] HashMap<K, V, S>, Ours<K, V, S>: |map| {
        has::<_, IsExtend<(&'a K, &'a V)>>(&map);
    }
    [K: Eq + Hash, V, S: BuildHasher + Default] HashMap<K, V, S>, Ours<K, V, S>: |map| {
        has::<_, IsFromIterator<(K, V)>>(&map);
    }
    [K: Eq + Hash, V] HashMap<K, V>, Ours<K, V>: |map| { has::<_, IsFromArray<(K, V)>>(&map) }
}
const _: () = {
    fn constructors<K, V, S>(one: S, other: S) {
        let _ = (HashMap::<K, V>::new(), HashMap::<K, V>::with_capacity(1));
        let _ = (Ours::<K, V>::new(), Ours::<K, V>::with_capacity(1));
        let _ = Ours::<K, V, S>::with_hasher(one);
        let _ = Ours::<K, V, S>::with_capacity_and_hasher(1, other);
    }
    const fn constant<K, V, S>(hasher: S) -> Ours<K, V, S> {
        Ours::<K, V, S>::with_hasher(hasher)
    }
};
differs! {
    "clones are inserted by their hash: an entry that another thread removes meanwhile no longer has its hash"
    [K: Clone + Eq + Hash, V: Clone, S: BuildHasher + Clone] Ours<K, V, S>: |map| { has::<_, IsClone>(&map) }
    "readers may be using the old entry, so the changed one has clones of its key and value"
    [K: Clone + Eq + Hash, V: Clone, S: BuildHasher] Ours<K, V, S>: |map, key: K, value: V| {
        map.entry(key).and_modify(|_| ()).or_insert(value);
    }
}

// `HashSet`.
type OurSet<T, S = hedgerow::flat::DefaultHashBuilder> = hedgerow::HashSet<T, S>;
shared! {
    [T, S] HashSet<T, S>, OurSet<T, S>: |set| {
        set.len();
        set.is_empty();
        set.capacity();
        set.hasher();
        set.iter().next();
        set.retain(|_| true);
        set.extract_if(|_| true).next();
        set.drain().next();
        set.clear();
        for _ in &set {}
        has::<_, IsIntoIterator<T>>(&set);
    }
    [T: Eq + Hash + Borrow<Q>, S: BuildHasher, Q: Eq + Hash + ?Sized] HashSet<T, S>, OurSet<T, S>: |set, value: &Q| {
        set.contains(value);
        set.get(value);
        set.take(value);
        set.remove(value);
    }
    [T: Eq + Hash, S: BuildHasher] HashSet<T, S>, OurSet<T, S>: |set, value: T| {
        set.reserve(1);
        set.try_reserve(1);
        set.shrink_to_fit();
        set.insert(value);
        set.is_subset(&set);
        set.is_superset(&set);
        set.is_disjoint(&set);
        has::<_, IsExtend<T>>(&set);
        has::<_, IsPartialEq>(&set);
        has::<_, IsEq>(&set);
    }
    [T, S: Default] HashSet<T, S>, OurSet<T, S>: |set| { has::<_, IsDefault>(&set) }
    [T: Debug, S] HashSet<T, S>, OurSet<T, S>: |set| { has::<_, IsDebug>(&set) }
    [T: Eq + Hash, S: BuildHasher + Default] HashSet<T, S>, OurSet<T, S>: |set| { has::<_, IsFromIterator<T>>(&set) }
    [T: Eq + Hash] HashSet<T>, OurSet<T>: |set| { has::<_, IsFromArray<T>>(&set) }
    ['a, T: Eq + Hash + Copy + 'a, S: BuildHasher]
    HashSet<T, S>, OurSet<T, S>: |set| { has::<_, IsExtend<&'a T>>(&set) }
}
const _: () = {
    fn constructors<T, S>(hasher: S) {
        let _ = (HashSet::<T>::new(), HashSet::<T>::with_capacity(1));
        let _ = (OurSet::<T>::new(), OurSet::<T>::with_capacity(1));
        let _ = OurSet::<T, S>::with_capacity_and_hasher(1, hasher);
    }
    const fn constant<T, S>(hasher: S) -> OurSet<T, S> {
        OurSet::<T, S>::with_hasher(hasher)
    }
};
differs! {
    "as `HashMap`'s `Clone`"
    [T: Clone + Eq + Hash, S: BuildHasher + Clone] OurSet<T, S>: |set| { has::<_, IsClone>(&set) }
}

// `BTreeMap`.
type Ordered<K, V> = hedgerow::OrdMap<K, V>;
shared! {
    [K, V] BTreeMap<K, V>, Ordered<K, V>: |map| {
        map.len();
        map.is_empty();
        has::<_, IsDefault>(&map);
        has::<_, IsIntoIterator<(K, V)>>(&map);
    }
    [K: Ord + Borrow<Q>, V, Q: Ord + ?Sized] BTreeMap<K, V>, Ordered<K, V>: |map, key: &Q| {
        map.get(key);
        map.get_key_value(key);
        map.contains_key(key);
        map.remove(key);
    }
    [K: Ord, V] BTreeMap<K, V>, Ordered<K, V>: |map| {
        map.first_key_value();
        map.last_key_value();
        map.pop_first();
        map.pop_last();
        map.retain(|_, _| true);
    }
    [K: Ord + Borrow<T>, V, T: Ord + ?Sized, R: RangeBounds<T>] BTreeMap<K, V>, Ordered<K, V>: |map, bounds: R| {
        map.range::<T, R>(bounds).next_back();
    }
    [K: Ord + Debug, V: Debug] BTreeMap<K, V>, Ordered<K, V>: |map| { has::<_, IsDebug>(&map) }
}
const _: () = {
    const fn of_std<K, V>() -> BTreeMap<K, V> {
        BTreeMap::<K, V>::new()
    }
    const fn of_ours<K, V>() -> Ordered<K, V> {
        Ordered::<K, V>::new()
    }
};
// What std does not have takes the same type arguments.
const _: () = {
    fn ranges<K: Ord + Borrow<T>, V, T: Ord + ?Sized, R: RangeBounds<T> + Clone>(
        map: &Ordered<K, V>,
        bounds: R,
    ) {
        map.iter_range::<T, R>(bounds.clone());
        map.range_len::<T, R>(bounds.clone());
        map.approximate_range_len::<T, R>(bounds.clone());
        map.remove_range::<T, R>(bounds.clone());
        map.pin().range::<T, R>(bounds.clone());
        map.pin().iter_range::<T, R>(bounds);
    }
};
differs! {
    "a walk goes from leaf to leaf by its bounds, while other threads split and merge leaves: it compares keys"
    [K: Ord, V] Ordered<K, V>: |map| {
        map.iter().next();
        map.keys().next();
        map.values().next();
        map.clear();
        for _ in &map {}
    }
    "walks both maps"
    [K: Ord, V: PartialEq] Ordered<K, V>: |map| { has::<_, IsPartialEq>(&map) }
    "walks both maps"
    [K: Ord, V: Eq] Ordered<K, V>: |map| { has::<_, IsEq>(&map) }
    "extracts by `&self`, from the whole map"
    [K: Ord, V] Ordered<K, V>: |map| { map.extract_if(|_, _| true).next(); }
    "what may insert may split a leaf, and the new bound is a clone of a key: the entry itself may be removed"
    [K: Ord + Clone, V] Ordered<K, V>: |map, key: K, other: K, value: V| {
        map.insert(key, value);
        map.entry(other);
        has::<_, IsExtend<(K, V)>>(&map);
        has::<_, IsFromIterator<(K, V)>>(&map);
        has::<_, IsFromArray<(K, V)>>(&map);
    }
    "inserts clones"
    [K: Ord + Clone, V: Clone] Ordered<K, V>: |map| { has::<_, IsClone>(&map) }
}

// `BTreeSet`.
type OrderedSet<T> = hedgerow::OrdSet<T>;
shared! {
    [T] BTreeSet<T>, OrderedSet<T>: |set| {
        set.len();
        set.is_empty();
        has::<_, IsDefault>(&set);
        has::<_, IsIntoIterator<T>>(&set);
    }
    [T: Ord + Borrow<Q>, Q: Ord + ?Sized] BTreeSet<T>, OrderedSet<T>: |set, value: &Q| {
        set.contains(value);
        set.get(value);
        set.take(value);
        set.remove(value);
    }
    [T: Ord] BTreeSet<T>, OrderedSet<T>: |set| {
        set.first();
        set.last();
        set.pop_first();
        set.pop_last();
        set.retain(|_| true);
        set.is_subset(&set);
        set.is_superset(&set);
        set.is_disjoint(&set);
        has::<_, IsPartialEq>(&set);
        has::<_, IsEq>(&set);
    }
    [T: Ord + Borrow<Q>, Q: Ord + ?Sized, R: RangeBounds<Q>] BTreeSet<T>, OrderedSet<T>: |set, bounds: R| {
        set.range::<Q, R>(bounds).next_back();
    }
    [T: Ord + Debug] BTreeSet<T>, OrderedSet<T>: |set| { has::<_, IsDebug>(&set) }
}
const _: () = {
    const fn of_ours<T>() -> OrderedSet<T> {
        OrderedSet::<T>::new()
    }
};
differs! {
    "as `BTreeMap`'s walks"
    [T: Ord] OrderedSet<T>: |set| {
        set.iter().next();
        set.clear();
        set.extract_if(|_| true).next();
        for _ in &set {}
    }
    "as `BTreeMap`'s insertions"
    [T: Ord + Clone] OrderedSet<T>: |set, value: T| {
        set.insert(value);
        has::<_, IsExtend<T>>(&set);
        has::<_, IsFromIterator<T>>(&set);
        has::<_, IsFromArray<T>>(&set);
        has::<_, IsClone>(&set);
    }
}

// Maps of plain data: `Copy` keys and values, by design. In all else std's bounds.
type Plain<K, V, S = hedgerow::flat::DefaultHashBuilder> = hedgerow::FlatMap<K, V, S>;
type PlainSet<T, S = hedgerow::flat::DefaultHashBuilder> = hedgerow::FlatSet<T, S>;
shared! {
    [K: Copy, V: Copy, S] HashMap<K, V, S>, Plain<K, V, S>: |map| {
        map.len();
        map.is_empty();
        map.capacity();
        map.hasher();
        map.iter().next();
        map.keys().next();
        map.values().next();
        map.retain(|_, _| true);
        map.clear();
        for _ in &map {}
        has::<_, IsIntoIterator<(K, V)>>(&map);
    }
    [K: Copy + Eq + Hash + Borrow<Q>, V: Copy, S: BuildHasher, Q: Eq + Hash + ?Sized]
    HashMap<K, V, S>, Plain<K, V, S>: |map, key: &Q| {
        map.get(key);
        map.get_key_value(key);
        map.contains_key(key);
        map.remove(key);
    }
    [K: Copy + Eq + Hash, V: Copy, S: BuildHasher] HashMap<K, V, S>, Plain<K, V, S>: |map, key: K, value: V| {
        map.reserve(1);
        map.try_reserve(1);
        map.shrink_to_fit();
        map.insert(key, value);
        map.entry(key).and_modify(|_| ()).or_insert(value);
        map.entry(key).or_insert_with(|| value);
        map.entry(key).or_insert_with_key(|_| value);
        has::<_, IsExtend<(K, V)>>(&map);
    }
    [K: Copy, V: Copy, S: Default] HashMap<K, V, S>, Plain<K, V, S>: |map| { has::<_, IsDefault>(&map) }
    [K: Copy + Debug, V: Copy + Debug, S] HashMap<K, V, S>, Plain<K, V, S>: |map| { has::<_, IsDebug>(&map) }
    [K: Copy + Eq + Hash, V: Copy + PartialEq, S: BuildHasher] HashMap<K, V, S>, Plain<K, V, S>: |map| {
        has::<_, IsPartialEq>(&map);
    }
    [K: Copy + Eq + Hash, V: Copy + Eq, S: BuildHasher] HashMap<K, V, S>, Plain<K, V, S>: |map| { has::<_, IsEq>(&map) }
    [K: Copy + Eq + Hash, V: Copy, S: BuildHasher + Default] HashMap<K, V, S>, Plain<K, V, S>: |map| {
        has::<_, IsFromIterator<(K, V)>>(&map);
    }
    [K: Copy + Eq + Hash, V: Copy] HashMap<K, V>, Plain<K, V>: |map| { has::<_, IsFromArray<(K, V)>>(&map) }
    [T: Copy, S] HashSet<T, S>, PlainSet<T, S>: |set| {
        set.len();
        set.is_empty();
        set.capacity();
        set.hasher();
        set.iter().next();
        set.retain(|_| true);
        set.clear();
        for _ in &set {}
        has::<_, IsIntoIterator<T>>(&set);
    }
    [T: Copy + Eq + Hash, S: BuildHasher] HashSet<T, S>, PlainSet<T, S>: |set, value: T| {
        set.reserve(1);
        set.try_reserve(1);
        set.shrink_to_fit();
        set.insert(value);
        set.contains(&value);
        set.remove(&value);
        has::<_, IsExtend<T>>(&set);
        has::<_, IsPartialEq>(&set);
        has::<_, IsEq>(&set);
    }
    [T: Copy, S: Default] HashSet<T, S>, PlainSet<T, S>: |set| { has::<_, IsDefault>(&set) }
    [T: Copy + Debug, S] HashSet<T, S>, PlainSet<T, S>: |set| { has::<_, IsDebug>(&set) }
}
differs! {
    "making room is growth, which would hash the keys that there are"
    [K: Copy + Eq + Hash, V: Copy] Plain<K, V>: |map| { map = Plain::with_capacity(1); }
    "copies are inserted"
    [K: Copy + Eq + Hash, V: Copy, S: BuildHasher + Clone] Plain<K, V, S>: |map| { has::<_, IsClone>(&map) }
    "each removal finds its key again, since other threads may have moved the entry"
    [K: Copy + Eq + Hash, V: Copy, S: BuildHasher] Plain<K, V, S>: |map| {
        map.extract_if(|_, _| true).next();
        map.drain().next();
    }
}

const _: () = {
    fn fixed<K: Copy, V: Copy, S: Default>(map: &hedgerow::FlatTable<K, V, 4, S>) {
        has::<_, IsDefault>(map);
    }
};

type PlainOrdered<K, V> = hedgerow::FenceMap<K, V>;
type PlainOrderedSet<T> = hedgerow::FenceSet<T>;
shared! {
    [K: Copy, V: Copy] BTreeMap<K, V>, PlainOrdered<K, V>: |map| {
        map.len();
        map.is_empty();
        has::<_, IsDefault>(&map);
    }
    [K: Copy + Ord + Borrow<Q>, V: Copy, Q: Ord + ?Sized] BTreeMap<K, V>, PlainOrdered<K, V>: |map, key: &Q| {
        map.get(key);
        map.get_key_value(key);
        map.contains_key(key);
        map.remove(key);
    }
    [K: Copy + Ord, V: Copy] BTreeMap<K, V>, PlainOrdered<K, V>: |map, key: K, value: V| {
        map.first_key_value();
        map.last_key_value();
        map.pop_first();
        map.pop_last();
        map.retain(|_, _| true);
        map.range(key..).next_back();
        map.insert(key, value);
        map.entry(key).and_modify(|_| ()).or_insert(value);
        map.iter().next_back();
        map.keys().next_back();
        map.values().next_back();
        map.clear();
        for _ in &map {}
        has::<_, IsIntoIterator<(K, V)>>(&map);
        has::<_, IsExtend<(K, V)>>(&map);
        has::<_, IsFromIterator<(K, V)>>(&map);
        has::<_, IsFromArray<(K, V)>>(&map);
        has::<_, IsClone>(&map);
    }
    [T: Copy] BTreeSet<T>, PlainOrderedSet<T>: |set| {
        set.len();
        set.is_empty();
        has::<_, IsDefault>(&set);
    }
    [T: Copy + Ord] BTreeSet<T>, PlainOrderedSet<T>: |set, value: T| {
        set.first();
        set.last();
        set.insert(value);
        set.contains(&value);
        set.remove(&value);
        set.range(value..).next_back();
        set.iter().next();
        has::<_, IsPartialEq>(&set);
        has::<_, IsEq>(&set);
    }
    ['a, T: Copy + Eq + Hash + 'a, S: BuildHasher] HashSet<T, S>, PlainSet<T, S>: |set| {
        has::<_, IsExtend<&'a T>>(&set);
    }
    ['a, T: Copy + Ord + 'a] BTreeSet<T>, OrderedSet<T>: |set| { has::<_, IsExtend<&'a T>>(&set) }
    ['a, T: Copy + Ord + 'a] BTreeSet<T>, PlainOrderedSet<T>: |set| { has::<_, IsExtend<&'a T>>(&set) }
    ['a, K: Copy + Eq + Hash + 'a, V: Copy + 'a, S: BuildHasher] HashMap<K, V, S>, Plain<K, V, S>: |map| {
        has::<_, IsExtend<(&'a K, &'a V)>>(&map);
    }
    ['a, K: Copy + Ord + 'a, V: Copy + 'a] BTreeMap<K, V>, PlainOrdered<K, V>: |map| {
        has::<_, IsExtend<(&'a K, &'a V)>>(&map);
    }
    ['a, K: Copy + Ord + 'a, V: Copy + 'a] BTreeMap<K, V>, Ordered<K, V>: |map| {
        has::<_, IsExtend<(&'a K, &'a V)>>(&map);
    }
}

/// The stable methods of std 1.95 that we do not have, each with the reason.
const ABSENT: &[(&str, &str)] = &[
    ("append", "a walk and inserts: `map.extend(other.drain())`"),
    ("difference", "the result would borrow from two sets that others change"),
    ("first_entry", "`pop_first`, `first_key_value`"),
    ("get_disjoint_mut", "no reference to a value is exclusive"),
    ("get_disjoint_unchecked_mut", "no reference to a value is exclusive"),
    ("get_mut", "`update`"),
    ("intersection", "as `difference`"),
    ("into_keys", "`into_iter`"),
    ("into_values", "`into_iter`"),
    ("iter_mut", "no reference to a value is exclusive"),
    ("last_entry", "`pop_last`, `last_key_value`"),
    ("range_mut", "no reference to a value is exclusive"),
    ("remove_entry", "`remove` of maps of owned data returns key and value"),
    ("replace", "`remove` and `insert`: two steps"),
    ("shrink_to", "`shrink_to_fit`"),
    ("split_off", "`extract_if`"),
    ("symmetric_difference", "as `difference`"),
    ("union", "as `difference`"),
    ("values_mut", "no reference to a value is exclusive"),
];

/// The stable methods of std's four collections, as of 1.95.
const STD: [&[&str]; 4] = [
    &[
        "capacity",
        "clear",
        "contains_key",
        "drain",
        "entry",
        "extract_if",
        "get",
        "get_disjoint_mut",
        "get_disjoint_unchecked_mut",
        "get_key_value",
        "get_mut",
        "hasher",
        "insert",
        "into_keys",
        "into_values",
        "is_empty",
        "iter",
        "iter_mut",
        "keys",
        "len",
        "new",
        "remove",
        "remove_entry",
        "reserve",
        "retain",
        "shrink_to",
        "shrink_to_fit",
        "try_reserve",
        "values",
        "values_mut",
        "with_capacity",
        "with_capacity_and_hasher",
        "with_hasher",
    ],
    &[
        "capacity",
        "clear",
        "contains",
        "difference",
        "drain",
        "extract_if",
        "get",
        "hasher",
        "insert",
        "intersection",
        "is_disjoint",
        "is_empty",
        "is_subset",
        "is_superset",
        "iter",
        "len",
        "new",
        "remove",
        "replace",
        "reserve",
        "retain",
        "shrink_to",
        "shrink_to_fit",
        "symmetric_difference",
        "take",
        "try_reserve",
        "union",
        "with_capacity",
        "with_capacity_and_hasher",
        "with_hasher",
    ],
    &[
        "append",
        "clear",
        "contains_key",
        "entry",
        "extract_if",
        "first_entry",
        "first_key_value",
        "get",
        "get_key_value",
        "get_mut",
        "insert",
        "into_keys",
        "into_values",
        "is_empty",
        "iter",
        "iter_mut",
        "keys",
        "last_entry",
        "last_key_value",
        "len",
        "new",
        "pop_first",
        "pop_last",
        "range",
        "range_mut",
        "remove",
        "remove_entry",
        "retain",
        "split_off",
        "values",
        "values_mut",
    ],
    &[
        "append",
        "clear",
        "contains",
        "difference",
        "extract_if",
        "first",
        "get",
        "insert",
        "intersection",
        "is_disjoint",
        "is_empty",
        "is_subset",
        "is_superset",
        "iter",
        "last",
        "len",
        "new",
        "pop_first",
        "pop_last",
        "range",
        "remove",
        "replace",
        "retain",
        "split_off",
        "symmetric_difference",
        "take",
        "union",
    ],
];

#[test]
fn every_operation_of_std_is_compared_or_has_a_reason() {
    let text = include_str!("bounds.rs");
    let section = |from: &str, to: &str| {
        let rest = text.split_once(from).expect("the heading is there").1;
        rest.split_once(to).expect("the next heading is there").0
    };
    let sections = [
        section("\n// `HashMap`.\n", "\n// `HashSet`.\n"),
        section("\n// `HashSet`.\n", "\n// `BTreeMap`.\n"),
        section("\n// `BTreeMap`.\n", "\n// `BTreeSet`.\n"),
        section("\n// `BTreeSet`.\n", "\n// Maps of plain data"),
    ];
    for (names, section) in STD.iter().zip(sections) {
        for name in *names {
            let calls = [format!(".{name}("), format!(".{name}::<"), format!("::{name}(")];
            let is_compared = calls.iter().any(|call| section.contains(call));
            let is_absent = ABSENT.iter().any(|(absent, _)| absent == name);
            assert!(is_compared != is_absent, "{name} is neither compared nor absent, or both");
        }
    }
}
