//! Requests and their answers.

use prost::bytes::Bytes;

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision that created the key.
    pub created: u64,
    /// The revision that changed the key last.
    pub modified: u64,
    /// How often the key was put since its creation, itself included.
    pub version: u64,
    /// The lease that the key ends with, or 0.
    pub lease: i64,
}

/// One key, or the keys from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub(super) from: Bytes,
    /// The first key that does not belong; empty for one key.
    pub(super) end: Bytes,
}

impl Keys {
    /// One key.
    pub fn one(key: impl Into<Bytes>) -> Self {
        Self { from: key.into(), end: Bytes::new() }
    }

    /// The keys from `from` to before `end`.
    pub fn between(from: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { from: from.into(), end: end.into() }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let from = prefix.into();
        let mut end = from.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        // etcd reads a single zero byte as "to the last key".
        let end = if end.is_empty() { vec![0] } else { end };
        Self { from, end: end.into() }
    }
}

/// The order of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The least key is first.
    #[default]
    Ascending,
    /// The greatest key is first.
    Descending,
}

/// A read of some keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The keys.
    pub keys: Keys,
    /// The greatest number of keys in the answer. 0 means 1,000, which is also the most.
    pub limit: u32,
    /// The order of the keys.
    pub order: Order,
    /// Whether the values are left out.
    pub keys_only: bool,
    /// The revision to read at, or 0 for the newest.
    pub revision: u64,
}

impl Range {
    /// A read of keys, in ascending order, of the newest revision.
    pub fn of(keys: Keys) -> Self {
        Self { keys, limit: 0, order: Order::Ascending, keys_only: false, revision: 0 }
    }

    /// Sets the greatest number of keys in the answer.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }

    /// Lets the greatest key be first.
    #[must_use]
    pub fn descending(self) -> Self {
        Self { order: Order::Descending, ..self }
    }

    /// Leaves out the values.
    #[must_use]
    pub fn keys_only(self) -> Self {
        Self { keys_only: true, ..self }
    }
}

/// The answer to a read of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// etcd's revision when it answered.
    pub revision: u64,
    /// The key and its value, if it exists.
    pub pair: Option<KeyValue>,
}

/// The answer to a read of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// etcd's revision when it answered.
    pub revision: u64,
    /// The keys and their values.
    pub pairs: Vec<KeyValue>,
    /// Whether the limit cut off some keys.
    pub more: bool,
}

/// The answer to a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// etcd's revision after the deletion.
    pub revision: u64,
    /// How many keys existed.
    pub count: u64,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key has this value. A key that does not exist has none.
    Value {
        /// The key.
        key: Bytes,
        /// Its value.
        value: Bytes,
    },
    /// The key does not exist.
    Absent {
        /// The key.
        key: Bytes,
    },
    /// The key exists.
    Present {
        /// The key.
        key: Bytes,
    },
    /// This revision changed the key last.
    Modified {
        /// The key.
        key: Bytes,
        /// The revision.
        revision: u64,
    },
    /// This revision created the key.
    Created {
        /// The key.
        key: Bytes,
        /// The revision.
        revision: u64,
    },
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets the value of a key.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// The lease that the key ends with, or 0.
        lease: i64,
    },
    /// Deletes keys.
    Delete(Keys),
    /// Reads keys.
    Get(Range),
}

impl Operation {
    /// Sets the value of a key that ends with no lease.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: 0 }
    }

    /// Reads one key.
    pub fn get(key: impl Into<Bytes>) -> Self {
        Self::Get(Range::of(Keys::one(key)).limit(1))
    }
}

/// A transaction: conditions, and what is done if all of them hold or if one does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The conditions.
    pub compare: Vec<Compare>,
    /// What is done if all conditions hold.
    pub then: Vec<Operation>,
    /// What is done otherwise.
    pub otherwise: Vec<Operation>,
}

/// The answer to a part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value was set.
    Put,
    /// So many keys were deleted.
    Deleted(u64),
    /// The keys that were read, and whether the limit cut off some.
    Found(Vec<KeyValue>, bool),
}

/// The answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transacted {
    /// etcd's revision after the transaction.
    pub revision: u64,
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The answers to the operations that were done, in their order.
    pub answers: Vec<Answer>,
}
