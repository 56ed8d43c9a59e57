//! Papaya's interface.

#[path = "guarded.rs"]
mod guarded;

pub use guarded::{
    Collector, Compute, Guard, HashMap, HashMapRef, HashSet, HashSetRef, OccupiedError, Operation,
};
use std::marker::PhantomData;

/// How papaya's maps grow: no choice here.
pub enum ResizeMode {
    /// In one piece.
    Blocking,
    /// Piece by piece.
    Incremental(usize),
}

/// Builds a map or a set, and ignores what hedgerow's do not have.
pub struct Builder<T>(PhantomData<T>);

impl<T> Builder<T> {
    /// Ignores the collector.
    pub fn collector(self, _: Collector) -> Self {
        self
    }

    /// Ignores how to grow.
    pub fn resize_mode(self, _: ResizeMode) -> Self {
        self
    }
}

impl<K, V> Builder<HashMap<K, V>> {
    /// Returns an empty map.
    pub fn build(self) -> HashMap<K, V> {
        HashMap::new()
    }
}

impl<K> Builder<HashSet<K>> {
    /// Returns an empty set.
    pub fn build(self) -> HashSet<K> {
        HashSet::new()
    }
}

impl<K, V> HashMap<K, V> {
    /// Returns a builder.
    pub fn builder() -> Builder<Self> {
        Builder(PhantomData)
    }
}

impl<K> HashSet<K> {
    /// Returns a builder.
    pub fn builder() -> Builder<Self> {
        Builder(PhantomData)
    }
}

/// Returns a number of processors that is the same on every machine. Some tests need more than one.
pub fn get_physical() -> usize {
    4
}
