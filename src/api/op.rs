//! The decision of `compute`'s closure, and the result of `compute`.

/// The decision of a closure that `compute` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<V> {
    /// Leaves the entry as it is, present or absent.
    Keep,
    /// Stores this value, whether the key is present or absent.
    Insert(V),
    /// Removes the entry, if there is one.
    Remove,
}

/// Returns the closure with which a `try_compute` of copies calls `decide`. It leaves in `wanted` the value that
/// `decide` has last decided to store, for an error to hand back.
pub(crate) fn noting<V: Copy>(
    mut decide: impl FnMut(Option<V>) -> Op<V>,
    wanted: &mut Option<V>,
) -> impl FnMut(Option<V>) -> Op<V> {
    move |old| {
        let op = decide(old);
        *wanted = if let Op::Insert(value) = op { Some(value) } else { None };
        op
    }
}

/// The result of `compute`: copies of values, or [`Ref`](crate::owned::Ref)s to entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed<V> {
    /// The value before, if there was one.
    pub before: Option<V>,
    /// The value after, if there is one.
    pub after: Option<V>,
}

/// The result of an attempt to change an entry: the data read of the entry that was found, and the change that was
/// made.
pub(crate) type Altered<K, V, R = V> = (Option<R>, EntryChange<K, V>);

/// A change of a key's entry, present or absent.
pub(crate) enum EntryChange<K, V> {
    /// None.
    Keep,
    /// Replaces the value, and keeps the stored key. Does nothing if the key is absent.
    Value(V),
    /// Stores this entry, whether the key is present or absent.
    Entry(K, V),
    /// Removes the entry.
    Remove,
}
