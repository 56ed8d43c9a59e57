//! What the closure of `compute` decides, and what `compute` answers.

/// What a closure given to `compute` wants done with the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<V> {
    /// Leave it as it is: present or absent.
    Keep,
    /// Store this value, whether or not there was one.
    Insert(V),
    /// Remove the entry, if there is one.
    Remove,
}

/// What `compute` found and what it left: copies of values, or [`Ref`](crate::owned::Ref)s to entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed<V> {
    /// The value before, if there was one.
    pub before: Option<V>,
    /// The value after, if there is one.
    pub after: Option<V>,
}

/// What is to become of a key's entry, or of its absence.
pub(crate) enum Change<K, V> {
    /// Nothing.
    Keep,
    /// Its value is replaced and its key stays; nothing where there is no entry.
    Value(V),
    /// It is this, whether or not there was one.
    Entry(K, V),
    /// It goes.
    Remove,
}
