//! The clients of a run: their requests, and how a node evaluates them.

use super::database::Wait;
use super::random::Random;
use super::store::Store;
use crate::log::Lsn;
use crate::log::change;
use crate::request::{Change, Expiry, MultiKeyOp, Request as Call, SetCondition};

/// A request of a client. Each token is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Appends a token to a list.
    Append { key: Vec<u8>, token: Vec<u8> },
    /// Counts.
    Add { key: Vec<u8> },
    /// Sets a key that does not exist. If it does, the answer is a read.
    SetNew { key: Vec<u8>, token: Vec<u8> },
    /// Sets two keys to the same token.
    SetPair { token: Vec<u8> },
    /// Sets a key with an expiration, in milliseconds.
    SetFor { key: Vec<u8>, token: Vec<u8>, milliseconds: u64 },
    /// Sets a key to a value that needs several batches.
    SetLarge { token: Vec<u8>, bytes: usize },
    /// Takes a lock for a time in milliseconds: `SET NX PX`. Only with the whole state.
    Lock { key: Vec<u8>, token: Vec<u8>, milliseconds: u64 },
    /// Gives a lock back. Only with the whole state.
    Unlock { key: Vec<u8> },
    /// Reads a key.
    Get { key: Vec<u8> },
    /// Reads two keys that are always set together.
    GetPair,
}

const PAIR: [&[u8]; 2] = [b"pair-a", b"pair-b"];
const LARGE: &[u8] = b"large";
const LOCK: &[u8] = b"lock";

/// A token and bytes that LZ4 cannot shorten.
fn large(token: &[u8], bytes: usize) -> Vec<u8> {
    let mut noise = Random::new(bytes as u64, token.iter().map(|byte| u64::from(*byte)).sum());
    let filler = (0..bytes.div_ceil(8)).flat_map(|_| noise.next().to_le_bytes()).take(bytes);
    token.iter().copied().chain(filler).collect()
}

fn set<'a>(value: &'a [u8], condition: SetCondition<'a>, expiry: Expiry) -> Change<'a> {
    Change::Set { value, condition, expiry, get: false }
}

impl Request {
    /// Chooses the next request of a client. `token` is unique.
    pub(super) fn random(random: &mut Random, token: u64, most_batch: usize) -> Self {
        let list = format!("list-{}", random.below(2)).into_bytes();
        let new = format!("new-{}", random.below(12)).into_bytes();
        let short = format!("short-{}", random.below(2)).into_bytes();
        let token = format!("<{token:06}>").into_bytes();
        match random.below(16) {
            0..4 => Self::Append { key: list, token },
            4 | 5 => Self::Add { key: b"count".to_vec() },
            6 => Self::SetNew { key: new, token },
            7 => Self::SetPair { token },
            8 => Self::SetFor { key: short, token, milliseconds: random.between(50, 3000) },
            9 if random.chance(400) => Self::SetLarge {
                token,
                bytes: most_batch * usize::try_from(random.between(1, 4)).unwrap_or(1),
            },
            9 | 10 => Self::Get { key: b"count".to_vec() },
            11 => Self::GetPair,
            12 => Self::Get { key: short },
            _ => Self::Get { key: list },
        }
    }

    /// As `random`, with locks.
    pub(super) fn random_with_locks(random: &mut Random, token: u64, most_batch: usize) -> Self {
        let key = LOCK.to_vec();
        match random.below(24) {
            0..3 => Self::Lock {
                key,
                token: format!("<{token:06}>").into_bytes(),
                milliseconds: random.between(20, 3000),
            },
            3 => Self::Unlock { key },
            4 => Self::Get { key },
            _ => Self::random(random, token, most_batch),
        }
    }

    /// The keys that the answer tells of.
    pub(super) fn keys(&self) -> Vec<&[u8]> {
        match self {
            Self::Append { key, .. }
            | Self::Add { key }
            | Self::SetNew { key, .. }
            | Self::SetFor { key, .. }
            | Self::Lock { key, .. }
            | Self::Unlock { key }
            | Self::Get { key } => vec![key],
            Self::SetPair { .. } | Self::GetPair => PAIR.to_vec(),
            Self::SetLarge { .. } => vec![LARGE],
        }
    }

    pub(super) fn reads_only(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::GetPair)
    }

    /// Returns the changes to make, none if the request changes nothing in this state.
    pub(super) fn changes(&self, store: &Store, time: u64) -> Vec<u8> {
        let mut changes = Vec::new();
        match self {
            Self::Append { key, token } => change::append(key, token, &mut changes),
            Self::Add { key } => change::add(key, 1, &mut changes),
            Self::SetNew { key, token } => {
                if store.get(key, time).is_none() {
                    change::set(key, token, Expiry::Never, &mut changes);
                }
            }
            Self::SetPair { token } => {
                for key in PAIR {
                    change::set(key, token, Expiry::Never, &mut changes);
                }
            }
            Self::SetFor { key, token, milliseconds } => {
                change::set(key, token, Expiry::At(time + milliseconds), &mut changes);
            }
            Self::SetLarge { token, bytes } => {
                change::set(LARGE, &large(token, *bytes), Expiry::Never, &mut changes);
            }
            Self::Lock { .. } | Self::Unlock { .. } | Self::Get { .. } | Self::GetPair => {}
        }
        changes
    }

    /// Passes the change to the real state. `now` is the time from which clients count a time to live.
    pub(super) fn with_change<R>(&self, now: u64, run: impl FnOnce(Option<Call<'_>>) -> R) -> R {
        let (value, pairs);
        let change = match self {
            Self::Append { key, token } => Call::Change(key, Change::Append(token)),
            Self::Add { key } => Call::Change(key, Change::Increment(1)),
            Self::SetNew { key, token } => {
                Call::Change(key, set(token, SetCondition::IfAbsent, Expiry::Never))
            }
            Self::SetPair { token } => {
                pairs = PAIR.map(|key| (key, &token[..]));
                Call::MultiKey(MultiKeyOp::SetAll(&pairs))
            }
            Self::SetFor { key, token, milliseconds } => {
                let expiry = Expiry::At(now + milliseconds);
                Call::Change(key, set(token, SetCondition::Always, expiry))
            }
            Self::Lock { key, token, milliseconds } => {
                let expiry = Expiry::At(now + milliseconds);
                Call::Change(key, set(token, SetCondition::IfAbsent, expiry))
            }
            Self::Unlock { key } => Call::Change(key, Change::Delete),
            Self::SetLarge { token, bytes } => {
                value = large(token, *bytes);
                Call::Change(LARGE, set(&value, SetCondition::Always, Expiry::Never))
            }
            Self::Get { .. } | Self::GetPair => return run(None),
        };
        run(Some(change))
    }
}

/// A key in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownKey {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    /// The entry that changed the key last.
    pub(super) changed: Lsn,
    /// A watermark has removed the key since.
    pub(super) gone: bool,
    /// The entry that had changed the key, as earlier answers have shown, when the request was made.
    pub(super) required: Lsn,
}

/// A reply that waits until its entries are committed and its evaluation is confirmed.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// The client, and which of its requests this is.
    pub(super) client: (usize, u64),
    pub(super) request: Request,
    pub(super) shown: Vec<ShownKey>,
    /// The entry of the request's own changes, and these.
    pub(super) own: Option<(Lsn, Vec<u8>)>,
    /// The epoch of the evaluation.
    pub(super) epoch: u64,
    /// When it was evaluated: boot time.
    pub(super) read_index: u64,
    /// With the whole state: the point that its log must confirm, whether the change was made, and the time of the
    /// evaluation.
    pub(super) whole: Option<Whole>,
}

/// The real state's account of a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) wait: Wait,
    pub(super) done: bool,
    pub(super) time: u64,
}

impl Reply {
    /// The entry that must be committed before the reply leaves.
    pub(super) fn lsn(&self) -> Lsn {
        let shown = self.shown.iter().map(|shown| shown.changed).max().unwrap_or(0);
        shown.max(self.own.as_ref().map_or(0, |(lsn, _)| *lsn))
    }
}
