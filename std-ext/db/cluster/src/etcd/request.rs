//! Requests and their answers.

use super::api;
use super::api::compare::{CompareResult, CompareTarget, TargetUnion};
use super::api::range_request::SortOrder;
use super::api::request_op::Request;
use super::api::response_op::Response;
use prost::bytes::Bytes;

/// The most keys that one answer to a read has.
const MOST_KEYS: u32 = 1000;

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
        let from: Bytes = prefix.into();
        let mut end = from.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        // etcd reads a single zero byte as "to the last key".
        let end = if end.is_empty() { vec![0] } else { end };
        // etcd takes no empty key.
        let from = if from.is_empty() { Bytes::from_static(&[0]) } else { from };
        Self { from, end: end.into() }
    }

    /// Returns the first key, and the first one that does not belong; empty for one key.
    #[cfg(test)]
    pub(crate) fn bounds(&self) -> (&[u8], &[u8]) {
        (&self.from, &self.end)
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
    /// The greatest number of keys in the answer, from 1 to 1,000.
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
        Self { keys, limit: MOST_KEYS, order: Order::Ascending, keys_only: false, revision: 0 }
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
pub struct GetAnswer {
    /// etcd's revision when it answered.
    pub revision: u64,
    /// The key and its value, if it exists.
    pub pair: Option<KeyValue>,
}

/// The answer to a read of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeAnswer {
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

/// A transaction: conditions, the operations if all of them hold, and the operations if one does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdTransaction {
    /// The conditions.
    pub compare: Vec<Compare>,
    /// The operations if all conditions hold.
    pub then: Vec<Operation>,
    /// The operations otherwise.
    pub otherwise: Vec<Operation>,
}

/// The answer to a part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationAnswer {
    /// The value was set.
    Put,
    /// The keys were deleted. This is their number.
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
    pub answers: Vec<OperationAnswer>,
}

impl Transacted {
    /// Returns the values that its first reads have found.
    pub(crate) fn first_values<const N: usize>(self) -> [Option<Vec<u8>>; N] {
        let mut answers = self.answers.into_iter();
        std::array::from_fn(|_| match answers.next() {
            Some(OperationAnswer::Found(pairs, _)) => Some(pairs.first()?.value.to_vec()),
            _ => None,
        })
    }
}

/// The reason why an answer is invalid.
pub(super) type Invalid = &'static str;

impl KeyValue {
    pub(super) fn of(pair: api::KeyValue) -> Result<Self, Invalid> {
        let number = |number: i64| u64::try_from(number).map_err(|_| "a revision is negative");
        Ok(Self {
            created: number(pair.create_revision)?,
            modified: number(pair.mod_revision)?,
            version: number(pair.version)?,
            lease: pair.lease,
            key: pair.key,
            value: pair.value,
        })
    }
}

/// Returns a revision as etcd writes it.
pub(super) fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

impl Range {
    pub(super) fn request(&self) -> api::RangeRequest {
        let order = match self.order {
            // etcd's own order, which needs no sorting there.
            Order::Ascending => SortOrder::None,
            Order::Descending => SortOrder::Descend,
        };
        api::RangeRequest {
            key: self.keys.from.clone(),
            range_end: self.keys.end.clone(),
            limit: i64::from(self.most_keys()),
            revision: signed(self.revision),
            sort_order: order.into(),
            // A member that is cut off from the others would answer such reads from old data.
            serializable: false,
            keys_only: self.keys_only,
        }
    }

    fn most_keys(&self) -> u32 {
        self.limit.clamp(1, MOST_KEYS)
    }

    /// Returns the keys of an answer to this request, and whether the limit cut off some.
    pub(super) fn found(
        &self,
        answer: api::RangeResponse,
    ) -> Result<(Vec<KeyValue>, bool), Invalid> {
        if answer.kvs.len() > self.most_keys() as usize {
            return Err("it has more keys than asked for");
        }
        let pairs = answer.kvs.into_iter().map(KeyValue::of).collect::<Result<_, _>>()?;
        Ok((pairs, answer.more))
    }
}

impl Keys {
    pub(super) fn request(&self) -> api::DeleteRangeRequest {
        api::DeleteRangeRequest { key: self.from.clone(), range_end: self.end.clone() }
    }
}

impl Compare {
    fn request(&self) -> api::Compare {
        let (key, target, operand) = match self {
            Self::Value { key, value } => {
                (key, CompareTarget::Value, TargetUnion::Value(value.clone()))
            }
            // A key that does not exist has version 0, and any other has more.
            Self::Absent { key } | Self::Present { key } => {
                (key, CompareTarget::Version, TargetUnion::Version(0))
            }
            Self::Modified { key, revision } => {
                (key, CompareTarget::Mod, TargetUnion::ModRevision(signed(*revision)))
            }
            Self::Created { key, revision } => {
                (key, CompareTarget::Create, TargetUnion::CreateRevision(signed(*revision)))
            }
        };
        let result = match self {
            Self::Present { .. } => CompareResult::Greater,
            _ => CompareResult::Equal,
        };
        api::Compare {
            result: result.into(),
            target: target.into(),
            key: key.clone(),
            target_union: Some(operand),
        }
    }
}

impl Operation {
    fn request(&self) -> api::RequestOp {
        let request = match self {
            Self::Put { key, value, lease } => Request::Put(api::PutRequest {
                key: key.clone(),
                value: value.clone(),
                lease: *lease,
            }),
            Self::Delete(keys) => Request::DeleteRange(keys.request()),
            Self::Get(range) => Request::Range(range.request()),
        };
        api::RequestOp { request: Some(request) }
    }

    fn answer(&self, answer: api::ResponseOp) -> Result<OperationAnswer, Invalid> {
        match (self, answer.response) {
            (Self::Put { .. }, Some(Response::Put(_))) => Ok(OperationAnswer::Put),
            (Self::Delete(_), Some(Response::DeleteRange(answer))) => {
                Ok(OperationAnswer::Deleted(count(answer.deleted)?))
            }
            (Self::Get(range), Some(Response::Range(answer))) => {
                let (pairs, more) = range.found(answer)?;
                Ok(OperationAnswer::Found(pairs, more))
            }
            _ => Err("a response does not match its operation"),
        }
    }
}

impl EtcdTransaction {
    pub(super) fn request(&self) -> api::TxnRequest {
        api::TxnRequest {
            compare: self.compare.iter().map(Compare::request).collect(),
            success: self.then.iter().map(Operation::request).collect(),
            failure: self.otherwise.iter().map(Operation::request).collect(),
        }
    }

    /// Returns the answer to this transaction.
    pub(super) fn transacted(
        &self,
        revision: u64,
        answer: api::TxnResponse,
    ) -> Result<Transacted, Invalid> {
        let operations = if answer.succeeded { &self.then } else { &self.otherwise };
        if operations.len() != answer.responses.len() {
            return Err("the numbers of responses and operations differ");
        }
        let answers = operations.iter().zip(answer.responses);
        let answers = answers.map(|(operation, answer)| operation.answer(answer));
        Ok(Transacted {
            revision,
            succeeded: answer.succeeded,
            answers: answers.collect::<Result<_, _>>()?,
        })
    }
}

/// Returns a count of keys.
pub(super) fn count(count: i64) -> Result<u64, Invalid> {
    u64::try_from(count).map_err(|_| "a count is negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_before_the_next_prefix() {
        for (prefix, end) in
            [(&b"a/"[..], &b"a0"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")]
        {
            let keys = Keys::prefix(prefix.to_vec());
            assert_eq!(&keys.end[..], end, "{prefix:?}");
        }
    }

    #[test]
    fn answers_that_do_not_fit_are_refused() {
        let transaction = EtcdTransaction {
            then: vec![Operation::put("k", "v"), Operation::get("k")],
            otherwise: vec![Operation::Delete(Keys::one("k"))],
            ..EtcdTransaction::default()
        };
        let put = || api::ResponseOp { response: Some(Response::Put(api::PutResponse::default())) };
        let found = |many: usize, revision| api::ResponseOp {
            response: Some(Response::Range(api::RangeResponse {
                kvs: vec![api::KeyValue { mod_revision: revision, ..Default::default() }; many],
                ..Default::default()
            })),
        };
        let answer = |succeeded, responses| api::TxnResponse { header: None, succeeded, responses };
        let transacted = |answer| transaction.transacted(1, answer).map(|done| done.answers.len());
        assert_eq!(transacted(answer(true, vec![put(), found(1, 7)])), Ok(2));
        assert!(transacted(answer(true, vec![put()])).is_err());
        assert!(transacted(answer(true, vec![found(1, 7), put()])).is_err());
        assert!(transacted(answer(true, vec![put(), api::ResponseOp { response: None }])).is_err());
        assert!(transacted(answer(true, vec![put(), found(2, 7)])).is_err(), "too many keys");
        assert!(transacted(answer(true, vec![put(), found(1, -7)])).is_err(), "below zero");
        assert!(transacted(answer(false, vec![put()])).is_err());
    }
}
