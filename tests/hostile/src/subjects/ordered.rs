//! Operations that ordered maps have in common.

use super::common::{Common, Outcome, walk};
use super::{lasts, meet};
use crate::program::{Op, Verb};
use crate::things::Key;
use crate::world::LASTING;
use hedgerow::fence;

/// Verbs that such maps have besides.
pub(super) const ORDERED: &[Verb] = &[
    Verb::TryRemove,
    Verb::Range,
    Verb::RemoveRange,
    Verb::Near,
    Verb::Batch,
    Verb::Rebalance,
    Verb::Grow,
    Verb::Pop,
];

/// Steps of a walk from a key on. If the order changes, a walk may never end.
pub(super) const LONG: usize = 1000;

/// A change of each of some keys.
pub(super) type Changes<M> = Vec<(Key<<M as Common>::Key>, fence::Op<<M as Common>::Value>)>;

/// The calls of an ordered map, beside [`Common`].
pub(super) trait Ordered: Common {
    /// Calls `meet` with each entry, or those from this key on.
    fn range(&self, from: Option<&Key<Self::Key>>, meet: impl FnMut(&Key<Self::Key>, &Self::Value));

    /// As [`range`](Self::range), by an iterator that walks from leaf to leaf, or backwards if `backwards`.
    fn range_otherwise(
        &self,
        from: &Key<Self::Key>,
        backwards: bool,
        meet: impl FnMut(&Key<Self::Key>, &Self::Value),
    );

    /// Counts the entries from this key on, exactly and about.
    fn count_range(&self, from: &Key<Self::Key>);

    /// Removes the entries from this key on. Lasting keys are less.
    fn remove_range(&self, from: &Key<Self::Key>);

    /// Calls `meet` with the entry at one of six places near this key.
    fn near(
        &self,
        key: &Key<Self::Key>,
        place: u8,
        meet: impl FnOnce(&Key<Self::Key>, &Self::Value),
    );

    /// Takes the first or the last entry.
    fn pop(&self, first: bool) -> impl Outcome;

    /// Makes all the changes, or looks at all the keys, by one of the calls for that.
    fn batch(&self, op: Op, changes: Changes<Self>);

    fn rebalance(&self, budget: usize);
}

/// Does an operation that only such maps have.
pub(super) fn act<M: Ordered>(map: &M, verb: Verb, op: Op) {
    let key = op.key();
    let met = |key: &_, value: &_| {
        meet(key, value);
    };
    match verb {
        Verb::Range => {
            map.range(Some(&key), met);
            map.range_otherwise(&key, op.arg.is_multiple_of(2), met);
            map.count_range(&key);
            walk_range(map);
        }
        Verb::Near => map.near(&key, op.arg % 6, met),
        Verb::RemoveRange => map.remove_range(&key),
        // A pop must not take a lasting key.
        Verb::Pop if !lasts::<M::Key>() => map.pop(op.arg.is_multiple_of(2)).check(),
        Verb::Batch => {
            let change = |n: usize| match (n + usize::from(op.value)) % 3 {
                0 => fence::Op::Remove,
                1 => fence::Op::Keep,
                _ => fence::Op::Insert(op.value()),
            };
            let changes = op.ids().enumerate().map(|(n, id)| (Key::make(id), change(n)));
            map.batch(op, changes.collect());
        }
        // Enough entries for leaves to be split.
        Verb::Grow => {
            for id in 0..u32::from(op.arg) {
                map.insert(Key::make(LASTING + op.id() + id), op.value()).check();
            }
        }
        _ => map.rebalance(usize::from(op.arg)),
    }
}

pub(super) fn walk_range<M: Ordered>(map: &M) {
    walk("range", |meet| map.range(None, |key, value| meet(key, value)));
}
