//! The transactions of the protocol, and their outcomes.
//!
//! At most one is without an answer. Its answer decides by this table:
//!
//! | answer | done? | the group |
//! |---|---|---|
//! | done | yes | goes on |
//! | refused, `tail` is a line of this transaction | yes | goes on, counted from the *first* try [C-8] |
//! | refused, another `tail` | no | is fenced, or goes on as a follower |
//! | [`TxnFailure::Unknown`] | perhaps | sends the *same* transaction again |
//! | [`TxnFailure::Busy`] | no | sends the same again, later |
//! | [`TxnFailure::TooLarge`] | no | cuts the batch smaller |
//! | [`TxnFailure::NoSpace`] | perhaps | trims, has the store compacted, and sends the *same* again |
//! | [`TxnFailure::Denied`] | no | says so, and sends the same again every second |
//! | [`TxnFailure::Corrupt`], [`TxnFailure::WentBack`], [`TxnFailure::OtherCluster`] | no | stops |
//!
//! `NoSpace` is unknown because the store does the transaction that reaches the quota, and reports the error
//! nevertheless.

use super::entry::{Epoch, NodeId, Seq};
use std::sync::Arc;

/// A transaction: if all comparisons hold, put all; else read `tail` and `members`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// The value that `tail` must have.
    pub tail: ValueCompare,
    /// The value that `members` must have.
    pub members: ValueCompare,
    /// The value that `halt` must have [C-14].
    pub halt: ValueCompare,
    /// The keys to put.
    pub puts: Vec<Put>,
}

/// A condition on the value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueCompare {
    /// None.
    Any,
    /// The key does not exist (its version is 0).
    Absent,
    /// The key has this value. Never compare the revision: after a restore it is used again [C-4].
    Is(Vec<u8>),
}

/// A key to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// `g/0/tail`.
    Tail(String),
    /// `g/0/log/<seq>`.
    Batch(Seq, Arc<[u8]>),
    /// `g/0/primary`.
    Primary(String),
    /// `g/0/members`.
    Members(String),
}

/// Returns the value of `primary` in an epoch. The random number makes it differ between two processes of one node.
pub fn primary_value(epoch: Epoch, node: NodeId, nonce: u64) -> String {
    format!(r#"{{"epoch":{epoch},"node":"{node}","nonce":"{nonce:016x}"}}"#)
}

/// The answer of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    /// It was done.
    Done {
        /// The revision of the answer.
        revision: u64,
    },
    /// A comparison did not hold. The values are those of the same revision.
    Refused {
        /// The revision of the answer.
        revision: u64,
        /// The value of `tail`.
        tail: Option<Vec<u8>>,
        /// The value of `members`.
        members: Option<Vec<u8>>,
    },
    /// There is no outcome.
    Failed(TxnFailure),
}

/// Why the store did not do what it was asked: the table is at the top of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnFailure {
    /// No answer, connection lost, unavailable, or an unknown error: it may or may not have been done.
    Unknown(String),
    /// Not done: the store is busy (too many requests, no leader, leader changed before the proposal).
    Busy(String),
    /// Not done: the request is too large.
    TooLarge,
    /// The store's quota is used up (alarm NOSPACE). The transaction that reaches the quota is done nevertheless; later
    /// ones that put are refused. So this is an unknown outcome.
    NoSpace,
    /// Not done: the user may not do this, or is not known.
    Denied(String),
    /// Not done: the store reports damaged data (alarm CORRUPT).
    Corrupt,
    /// The revision of an answer is lower than one seen before: the store was restored from a backup.
    WentBack,
    /// The answer is of another store, as its cluster id tells.
    OtherCluster,
}
