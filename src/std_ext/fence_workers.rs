//! Binds the worker pool of `hedgerow-std-ext` to `FenceMap` and `OrdMap`.

use crate::fence::{ByType, Computed, FenceMap, Op, OrdMap, Ranking};
use alloc::vec::Vec;
use hedgerow_std_ext::FencedMap;

/// A pool of threads that make contended changes to a [`FenceMap`] for their callers, and keep its fences balanced.
///
/// [`hedgerow_std_ext::FenceWorkers`] describes requests, limits, and failures.
///
/// ```
/// use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
/// use std::sync::Arc;
///
/// let hits = Arc::new(FenceMap::<u64, u32>::new());
/// let workers = FenceWorkers::spawn(Arc::clone(&hits), 1)?;
/// let ticket = workers.submit(7, |n| Op::Insert(n.unwrap_or(0) + 1)).unwrap();
/// assert_eq!(ticket.wait().unwrap().after, Some(1));
/// assert_eq!(hits.get(&7), Some(1));
/// # std::io::Result::Ok(())
/// ```
pub type FenceWorkers<K, V, R = ByType> = hedgerow_std_ext::FenceWorkers<FenceMap<K, V, R>>;

/// A pool of threads that make contended changes to an [`OrdMap`] for their callers, and keep its fences balanced.
///
/// [`hedgerow_std_ext::FenceWorkers`] describes requests, limits, and failures. Tickets return clones of values. If a
/// value is large or slow to clone, put it into an [`Arc`](alloc::sync::Arc). If the `Clone` of a value panics, the
/// ticket returns the panic although the change may have been made. Changes that are submitted together are made one
/// by one.
///
/// ```
/// use hedgerow::{OrdMap, Op, std_ext::OrdWorkers};
/// use std::sync::Arc;
///
/// let hits = Arc::new(OrdMap::<String, u32>::new());
/// let workers = OrdWorkers::spawn(Arc::clone(&hits), 1)?;
/// let ticket = workers.submit("rose".into(), |n| Op::Insert(n.unwrap_or(&0) + 1)).unwrap();
/// assert_eq!(ticket.wait().unwrap().after, Some(1));
/// assert_eq!(hits.get_cloned("rose"), Some(1));
/// # std::io::Result::Ok(())
/// ```
pub type OrdWorkers<K, V, R = ByType> = hedgerow_std_ext::FenceWorkers<OrdMap<K, V, R>>;

/// The previous value of each key of some changes.
pub type Answers<V> = Vec<Option<V>>;
/// Changes of several keys.
pub type Changes<K, V> = Vec<(K, Op<V>)>;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FencedMap for FenceMap<K, V, R> {
    type Key = K;
    type Value<'a> = V;
    type Op = Op<V>;
    type Computed = Computed<V>;
    type Before = Option<V>;

    #[inline]
    fn compute<F>(&self, key: K, f: F) -> Computed<V>
    where
        F: FnMut(Option<V>) -> Op<V>,
    {
        self.compute(key, f)
    }

    fn apply_each(&self, changes: &[(K, Op<V>)]) -> Vec<Option<V>> {
        self.apply_each(changes)
    }

    /// Values are plain data, so the order of the keys is all that may be the user's code.
    fn may_gather(&self) -> bool {
        Self::has_known_order()
    }

    #[inline]
    fn worker_of(&self, key: &K, workers: usize, hot_only: bool) -> Option<usize> {
        self.worker_of(key, workers, hot_only)
    }

    fn mark_hot(&self, threshold: usize, calls: usize) -> usize {
        self.mark_hot(threshold, calls)
    }

    fn rebalance_step(&self, budget: usize) -> bool {
        self.rebalance_step(budget)
    }
}

impl<K, V, R> FencedMap for OrdMap<K, V, R>
where
    K: Ord + Clone,
    V: Clone + 'static,
    R: Ranking<K>,
{
    type Key = K;
    type Value<'a> = &'a V;
    type Op = Op<V>;
    type Computed = Computed<V>;
    type Before = Option<V>;

    fn compute<F>(&self, key: K, f: F) -> Computed<V>
    where
        F: for<'a> FnMut(Option<&'a V>) -> Op<V>,
    {
        let Computed { before, after } = self.compute(key, f);
        Computed { before: before.as_deref().cloned(), after: after.as_deref().cloned() }
    }

    fn apply_each(&self, changes: &[(K, Op<V>)]) -> Vec<Option<V>> {
        let apply = |(key, op): &(K, Op<V>)| match op {
            Op::Keep => self.get_cloned(key),
            Op::Insert(value) => self.insert(key.clone(), value.clone()).as_deref().cloned(),
            Op::Remove => self.remove(key).as_deref().cloned(),
        };
        changes.iter().map(apply).collect()
    }

    fn worker_of(&self, key: &K, workers: usize, hot_only: bool) -> Option<usize> {
        self.worker_of(key, workers, hot_only)
    }

    fn mark_hot(&self, threshold: usize, calls: usize) -> usize {
        self.mark_hot(threshold, calls)
    }

    fn rebalance_step(&self, budget: usize) -> bool {
        self.rebalance_step(budget)
    }
}
