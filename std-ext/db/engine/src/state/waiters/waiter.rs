//! One client that waits.

use super::stream_reader::StreamReader;
use crate::lock::lock;
use crate::log::{Epoch, Lsn};
use crate::request::{
    Answer, ElementList, End, MultiKeyOp, Popped, RequestError, StreamId, ValueType,
};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// The estimated bytes that a waiter takes besides its keys, and for each of them.
const WAITER_BYTES: usize = 256;
const KEY_BYTES: usize = 128;

const WAITS: u8 = 0;
const TAKEN: u8 = 1;

/// Why a wait ends without an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// Its time is over, or somebody says so (`CLIENT UNBLOCK`).
    TimedOut,
    /// Somebody ends it with an error (`CLIENT UNBLOCK ERROR`).
    Unblocked,
    /// The node is not the primary any more.
    RoleLost,
    /// A request that came now would be refused: another group has got the slot of a key, the log cannot be written, or
    /// the element cannot be stored at its destination.
    Refused(RequestError),
}

/// What has become of a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitOutcome {
    /// It got something.
    Served(Served),
    /// It got nothing.
    Ended(WaitEnd),
}

/// What a waiter got.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The log entry that must be committed before the answer is shown.
    pub lsn: Lsn,
    /// The number of rollbacks, and the log's epoch, before that entry. If one of them has changed since, nobody knows
    /// whether the log has the entry.
    pub rollbacks: u64,
    /// See `rollbacks`.
    pub epoch: Epoch,
    /// The answer to the operation.
    pub answer: OwnedAnswer,
}

/// An answer to a change, with its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedAnswer {
    /// See [`Answer::Bytes`].
    Bytes(Vec<u8>),
    /// See [`Answer::Elements`].
    Elements(Vec<u8>),
    /// Any other answer.
    Other(Answer<'static>),
}

impl OwnedAnswer {
    pub(super) fn of(answer: Answer<'_>) -> Self {
        match answer {
            Answer::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Answer::Elements(elements, next) => {
                let mut bytes = Vec::new();
                elements.store(next, &mut bytes);
                Self::Elements(bytes)
            }
            Answer::Error(error) => Self::Other(Answer::Error(error)),
            _ => Self::Other(Answer::Nil),
        }
    }

    /// Returns the error, if it is one.
    pub(super) fn error(&self) -> Option<RequestError> {
        if let Self::Other(Answer::Error(error)) = self { Some(*error) } else { None }
    }

    /// Returns the answer.
    pub fn answer(&self) -> Answer<'_> {
        match self {
            Self::Bytes(bytes) => Answer::Bytes(bytes),
            Self::Elements(bytes) => {
                let (elements, next) = ElementList::stored(bytes);
                Answer::Elements(elements, next)
            }
            Self::Other(answer) => *answer,
        }
    }
}

/// The outcome, until the client takes it, and whom to wake for it.
#[derive(Debug, Default)]
struct Mailbox {
    outcome: Option<WaitOutcome>,
    waker: Option<Waker>,
}

/// A client that waits for an element of the first of its keys that has one, or for entries.
#[derive(Debug)]
pub struct Waiter {
    /// Whether it still waits. Who changes that decides what the outcome is.
    phase: AtomicU8,
    /// Waiters of one key are served in the order of these numbers.
    ticket: u64,
    database: u16,
    keys: Box<[Box<[u8]>]>,
    wanted: Wanted,
    mailbox: Mutex<Mailbox>,
}

impl Waiter {
    /// Makes a waiter for keys of a database. The caller holds the locks of their shards, under which it also adds the
    /// waiter to their queues: so the tickets of one queue ascend.
    pub(crate) fn new(database: u16, keys: &[&[u8]], wanted: Wanted) -> Arc<Self> {
        static TICKETS: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            phase: AtomicU8::new(WAITS),
            // Relaxed: a number that nobody else gets. Those of one queue are drawn under the lock of its shard.
            ticket: TICKETS.fetch_add(1, Ordering::Relaxed),
            database,
            keys: keys.iter().map(|key| Box::from(*key)).collect(),
            wanted,
            mailbox: Mutex::default(),
        })
    }

    /// Returns the keys.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.keys.iter().map(|key| &**key)
    }

    /// Returns the number of the database.
    pub(crate) fn database(&self) -> u16 {
        self.database
    }

    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Returns the approximate bytes of memory that it takes, with its places in queues.
    pub fn bytes(&self) -> usize {
        // A key is here and in the table of its shard.
        let keys = self.keys.iter().map(|key| 2 * key.len() + KEY_BYTES);
        let wanted = if let Wanted::Entries(reader) = &self.wanted { reader.bytes() } else { 0 };
        WAITER_BYTES + wanted + keys.sum::<usize>()
    }

    /// Returns whether nobody has decided yet how this ends.
    pub fn waits(&self) -> bool {
        // Relaxed: a hint. `claim` decides.
        self.phase.load(Ordering::Relaxed) == WAITS
    }

    /// Decides how the wait ends, unless another thread has. Whoever gets `true` calls [`finish`](Self::finish), or is
    /// the client itself.
    pub(crate) fn claim(&self) -> bool {
        // Relaxed: it says only who decides. The outcome is passed under the lock of the mailbox, and the element was
        // taken under the lock of its shard.
        self.phase.compare_exchange(WAITS, TAKEN, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Tells the client how its wait has ended. The caller has [claimed](Self::claim) it.
    pub(crate) fn finish(&self, outcome: WaitOutcome) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.outcome = Some(outcome);
        let waker = mailbox.waker.take();
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the wait without an element, and tells the client. Returns whether it did: the client may have got one.
    pub fn end(&self, why: WaitEnd) -> bool {
        let ends = self.claim();
        if ends {
            self.finish(WaitOutcome::Ended(why));
        }
        ends
    }

    /// As [`end`](Self::end), by the client itself, which does not need to be told.
    pub fn cancel(&self) -> bool {
        self.claim()
    }

    /// Takes the outcome, if there is one.
    pub fn take_outcome(&self) -> Option<WaitOutcome> {
        lock(&self.mailbox).outcome.take()
    }

    /// Registers whom to wake when there is an outcome. Returns whether there is one already.
    pub fn register(&self, waker: &Waker) -> bool {
        let mut mailbox = lock(&self.mailbox);
        mailbox.waker = Some(waker.clone());
        mailbox.outcome.is_some()
    }
}

/// What a waiter takes.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// So many elements of the first of its keys that has some.
    Pop(Popped, usize),
    /// The element at an end of a list, which it puts at an end of that of another key.
    Move { take: End, to: Box<[u8]>, put: End },
    /// Entries of the first of its keys that has new ones.
    Entries(StreamReader),
}

impl Wanted {
    /// Returns what an operation takes, if it can wait for that. `last` returns the last ID of the stream of a key.
    pub(crate) fn of(op: MultiKeyOp<'_>, last: &mut dyn FnMut(&[u8]) -> StreamId) -> Option<Self> {
        match op {
            MultiKeyOp::PopFirst { popped, count, .. } => Some(Self::Pop(popped, count)),
            MultiKeyOp::MoveElement { take, to, put, .. } => {
                Some(Self::Move { take, to: to.into(), put })
            }
            op => StreamReader::of(op, last).map(Self::Entries),
        }
    }

    /// Returns the type of the values that it takes it from.
    pub(super) fn value_type(&self) -> ValueType {
        match self {
            Self::Pop(popped, _) => popped.value_type(),
            Self::Move { .. } => ValueType::List,
            Self::Entries(_) => ValueType::Stream,
        }
    }
}
