//! The worker pool's requirements on a map.

/// An ordered map that divides its keys into *fences*: consecutive key ranges, each with its own load statistics.
///
/// [`FenceWorkers`](crate::FenceWorkers) are generic over this trait, so that this package depends on no map.
/// `hedgerow` implements it for `FenceMap` and `OrdMap`.
pub trait FencedMap {
    /// A key. The pool sorts requests by it.
    type Key: Clone + Ord;
    /// A key's value as a closure of [`compute`](Self::compute) gets it: a copy, or a reference.
    type Value<'a>;
    /// A closure's decision: keep, insert, or remove.
    type Op: Clone;
    /// The outcome of [`compute`](Self::compute).
    type Computed;
    /// The answer of [`apply_each`](Self::apply_each) for each key: its previous value, if it had one.
    type Before;

    /// Calls `f` with the value of `key`, applies the decision that it returns, and returns the outcome. Atomic.
    fn compute<F>(&self, key: Self::Key, f: F) -> Self::Computed
    where
        F: for<'a> FnMut(Option<Self::Value<'a>>) -> Self::Op;

    /// Applies all changes, each of them atomically, and returns what each key had before.
    fn apply_each(&self, changes: &[(Self::Key, Self::Op)]) -> Vec<Self::Before>;

    /// Whether a worker may apply batches of several callers with one call of [`apply_each`](Self::apply_each).
    ///
    /// False by default. Return true only if that is faster, and if `apply_each` runs no code of the user, such as a
    /// key's `Ord`. A panic in a call fails all batches in it, and nobody learns which of their changes were made.
    fn may_gather(&self) -> bool {
        false
    }

    /// Returns which of `workers` serves `key`: the fences are dealt out to them in consecutive runs.
    ///
    /// Returns None if `hot_only` is set and the fence of `key` is not hot.
    fn worker_of(&self, key: &Self::Key, workers: usize, hot_only: bool) -> Option<usize>;

    /// Compares every fence's count of conflicts with that of the previous call, and returns how many fences are hot.
    ///
    /// A fence with at least `threshold` new conflicts is hot until this was called `calls` more times. Only one
    /// thread at a time may call this.
    fn mark_hot(&self, threshold: usize, calls: usize) -> usize;

    /// Evens out the load of up to `budget` fences. Returns whether anything changed.
    fn rebalance_step(&self, budget: usize) -> bool;
}
