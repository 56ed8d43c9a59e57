//! The requests of clients to [`Keys`](super::Keys).

use super::super::random::Random;
use super::codec::{Codec, Lifetime, Op};
use super::store::Store;

/// A request of a client. Each token is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`key`, a unique `token`, and a time to live in `milliseconds`")]
pub enum KeyRequest {
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
    /// Takes a lock for a time in milliseconds: `SET NX PX`. Only with a real program.
    Lock { key: Vec<u8>, token: Vec<u8>, milliseconds: u64 },
    /// Gives a lock back. Only with a real program.
    Unlock { key: Vec<u8> },
    /// Reads a key.
    Get { key: Vec<u8> },
    /// Reads two keys that are always set together.
    GetPair,
}

/// The keys that are always set together.
pub const PAIR: [&[u8]; 2] = [b"pair-a", b"pair-b"];
/// The key whose values are large.
pub const LARGE: &[u8] = b"large";
const LOCK: &[u8] = b"lock";

/// A token and bytes that LZ4 cannot shorten.
fn large(token: &[u8], bytes: usize) -> Vec<u8> {
    let mut noise = Random::new(bytes as u64, token.iter().map(|byte| u64::from(*byte)).sum());
    let filler = (0..bytes.div_ceil(8)).flat_map(|_| noise.next().to_le_bytes()).take(bytes);
    token.iter().copied().chain(filler).collect()
}

impl KeyRequest {
    /// Chooses the next request of a client. `token` is unique.
    pub fn random(random: &mut Random, token: u64, most_batch: usize) -> Self {
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
    pub fn random_with_locks(random: &mut Random, token: u64, most_batch: usize) -> Self {
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
    pub fn keys(&self) -> Vec<&[u8]> {
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

    /// Whether the request changes nothing.
    pub fn reads_only(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::GetPair)
    }

    /// Returns the value that [`SetLarge`](Self::SetLarge) sets.
    pub fn large_value(token: &[u8], bytes: usize) -> Vec<u8> {
        large(token, bytes)
    }

    /// Returns the changes to make, none if the request changes nothing in this state.
    pub(super) fn changes<C: Codec>(&self, store: &Store<C>, time: u64) -> Vec<u8> {
        let (mut changes, value) = (Vec::new(), &mut Vec::new());
        let set = |key, value, lifetime| Op::Set { key, value, lifetime };
        let operations: Vec<Op<'_>> = match self {
            Self::Append { key, token } => vec![Op::Append(key, token)],
            Self::Add { key } => vec![Op::Add(key, 1)],
            Self::SetNew { key, .. } if store.get(key, time).is_some() => Vec::new(),
            Self::SetNew { key, token } => vec![set(key, token, Lifetime::Unlimited)],
            Self::SetPair { token } => {
                PAIR.map(|key| set(key, token, Lifetime::Unlimited)).to_vec()
            }
            Self::SetFor { key, token, milliseconds } => {
                vec![set(key, token, Lifetime::Until(time + milliseconds))]
            }
            Self::SetLarge { token, bytes } => {
                *value = large(token, *bytes);
                vec![set(LARGE, value, Lifetime::Unlimited)]
            }
            Self::Lock { .. } | Self::Unlock { .. } | Self::Get { .. } | Self::GetPair => {
                Vec::new()
            }
        };
        for operation in &operations {
            C::encode(operation, &mut changes);
        }
        changes
    }
}
