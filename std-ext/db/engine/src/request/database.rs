//! Questions about all keys of a database.

use super::ValueType;

/// A question about all keys of the selected database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseQuery<'a> {
    /// The number of keys, including expired ones that have not been removed yet: [`Answer::Int`](super::Answer::Int).
    Count,
    /// A random key: [`Answer::Bytes`](super::Answer::Bytes), or [`Answer::Nil`](super::Answer::Nil) if there is none.
    RandomKey,
    /// A part of a walk over all keys: [`Answer::Elements`](super::Answer::Elements).
    Scan(KeyScan<'a>),
}

/// A part of a walk over all keys of a database.
///
/// A walk begins with the cursor 0, and goes on with the cursor of the last answer, until that is 0. A key that exists
/// during the whole walk is found at least once, maybe more often. In a transaction, a part of a walk has at least all
/// keys of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyScan<'a> {
    /// Where the walk goes on.
    pub cursor: u64,
    /// About how many keys are visited.
    pub count: usize,
    /// The glob pattern that the keys of the answer match, in Redis's notation.
    pub pattern: Option<&'a [u8]>,
    /// The type of the values of the keys of the answer, if not any.
    pub value_type: Option<ValueType>,
    /// The walk ends once the keys that it has found take more bytes than this: see
    /// [`ElementList::reply_bytes`](super::ElementList::reply_bytes).
    pub most: usize,
}
