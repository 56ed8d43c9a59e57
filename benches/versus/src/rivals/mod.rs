//! The maps that are compared, behind one trait, each with its own cheapest
//! way to do an operation and all with the same hasher.

mod dash;
mod flurry;
mod leapfrog;
mod locked;
mod ours;
mod papaya;
mod scc;
mod spin_locks;
mod yard;

use std::borrow::Borrow;

use foldhash::fast::FixedState;

use crate::data::{Datum, Listed, View, Word};
use crate::work::Row;

pub use dash::Dash;
pub use flurry::Flurry;
pub use leapfrog::Leapfrog;
pub use locked::Locked;
pub use ours::{Entries, Flat, Singly, Strings};
pub use papaya::Papaya;
pub use scc::Scc;
pub use spin_locks::SpinLocks;
pub use yard::Yard;

/// The hasher of every map here, always with the same seed.
pub type Hasher = FixedState;

/// The one seed of this comparison.
pub fn hasher() -> Hasher {
    FixedState::with_seed(0x6865_6467)
}

/// The role of a map in the comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// One thread and no lock: the least time of an operation.
    Yard,
    /// One of ours.
    Ours,
    /// One of ours used otherwise than is best, to see what that loses.
    Foil,
    /// A map that one would use instead.
    Peer,
}

/// A closure's share in each method is what the caller does with the value: `see`
/// is given the one that was found, which a map need not copy out for it.
///
/// Loops are generic over the map, so nothing is called through a pointer that
/// its user would not call through one.
pub trait Bench: Sized + Send + Sync + 'static {
    /// As tables and plots call it.
    const NAME: &'static str;
    /// Its role in the comparison.
    const ROLE: Role = Role::Peer;
    /// The type of its keys.
    type Key: Datum;
    /// The type of its values.
    type Value: Datum;

    /// Makes an empty map with its default capacity.
    fn new() -> Self {
        Self::with_capacity(0)
    }
    /// Empty and with room for as many.
    fn with_capacity(capacity: usize) -> Self;
    /// Whether it does such work without hanging and in the memory there is.
    fn can(_: &Row) -> bool {
        true
    }
    /// Returns the result of `see` on the value of `key`.
    fn read(
        &self,
        key: &View<Self::Key>,
        see: impl FnOnce(&View<Self::Value>) -> u64,
    ) -> Option<u64>;
    /// Sets `key` to `value`, present or not; returns `see` of its old value.
    fn insert(
        &self,
        key: &View<Self::Key>,
        value: &View<Self::Value>,
        see: impl FnOnce(&View<Self::Value>) -> u64,
    ) -> Option<u64>;
    /// Removes `key`; returns `see` of its old value.
    fn remove(
        &self,
        key: &View<Self::Key>,
        see: impl FnOnce(&View<Self::Value>) -> u64,
    ) -> Option<u64>;
    /// Replaces the value of `key` by `f` of it, atomically; returns `see` of the
    /// new one. Maps of text need not have it.
    fn update(
        &self,
        _: &View<Self::Key>,
        _f: impl Fn(&View<Self::Value>) -> Self::Value,
        _see: impl FnOnce(&View<Self::Value>) -> u64,
    ) -> Option<u64> {
        panic!("{} is not asked to update", Self::NAME)
    }
    /// Sets `key` to `f` of its value, there or not, atomically. Maps of text are
    /// not asked.
    fn alter(&self, _: &View<Self::Key>, _f: impl Fn(Option<&View<Self::Value>>) -> Self::Value) {
        panic!("{} is not asked to alter", Self::NAME)
    }
    /// Shows every entry.
    fn each(&self, see: impl FnMut(&View<Self::Key>, &View<Self::Value>));

    /// Returns the sum of `see` over each key's value: a loop, unless a map has
    /// something better.
    #[inline]
    fn read_many<const N: usize>(
        &self,
        keys: &[Listed<'_, Self::Key>; N],
        see: impl Fn(Option<&View<Self::Value>>) -> u64,
    ) -> u64 {
        let one = |key: &Listed<'_, Self::Key>| {
            self.read(key.borrow(), |value| see(Some(value))).unwrap_or_else(|| see(None))
        };
        keys.iter().map(one).sum()
    }
    /// Inserts each key with the value that `value` makes of it; returns the sum of
    /// `see` over their old values.
    #[inline]
    fn insert_many<const N: usize>(
        &self,
        keys: &[Listed<'_, Self::Key>; N],
        value: impl Fn(&View<Self::Key>) -> Self::Value,
        see: impl Fn(Option<&View<Self::Value>>) -> u64,
    ) -> u64 {
        let one = |key: &Listed<'_, Self::Key>| {
            let key: &View<Self::Key> = key.borrow();
            self.insert(key, value(key).borrow(), |old| see(Some(old))).unwrap_or_else(|| see(None))
        };
        keys.iter().map(one).sum()
    }
    /// Removes each key; returns the sum of `see` over their old values.
    #[inline]
    fn remove_many<const N: usize>(
        &self,
        keys: &[Listed<'_, Self::Key>; N],
        see: impl Fn(Option<&View<Self::Value>>) -> u64,
    ) -> u64 {
        let one = |key: &Listed<'_, Self::Key>| {
            self.remove(key.borrow(), |old| see(Some(old))).unwrap_or_else(|| see(None))
        };
        keys.iter().map(one).sum()
    }
}

/// Whether two threads may use a map at once.
pub fn shared<M: Bench>() -> bool {
    M::ROLE != Role::Yard
}

/// Is shown types of maps, one after the other.
pub trait Visitor<K: Datum, V: Datum> {
    /// The next.
    fn visit<M: Bench<Key = K, Value = V>>(&mut self);
}

/// The maps of numbers to values of some size, in the order of the tables.
pub fn words<V: Word>(visitor: &mut impl Visitor<u64, V>) {
    visitor.visit::<Yard<u64, V>>();
    visitor.visit::<Flat<V>>();
    visitor.visit::<Papaya<u64, V>>();
    visitor.visit::<Dash<u64, V>>();
    visitor.visit::<Scc<u64, V>>();
    visitor.visit::<Locked<u64, V>>();
    visitor.visit::<SpinLocks<u64, V>>();
    visitor.visit::<Flurry<u64, V>>();
}

/// The maps of numbers to numbers.
pub fn numbers(visitor: &mut impl Visitor<u64, u64>) {
    words::<u64>(visitor);
    visitor.visit::<Leapfrog>();
}

/// The maps of text to text.
pub fn texts(visitor: &mut impl Visitor<String, String>) {
    visitor.visit::<Yard<String, String>>();
    visitor.visit::<Entries>();
    visitor.visit::<Strings>();
    visitor.visit::<Papaya<String, String>>();
    visitor.visit::<Dash<String, String>>();
    visitor.visit::<Scc<String, String>>();
    visitor.visit::<SpinLocks<String, String>>();
}
