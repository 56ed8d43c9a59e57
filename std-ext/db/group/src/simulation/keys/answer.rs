//! The answers of [`Keys`](super::Keys).

use crate::Lsn;

/// A key in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownKey {
    /// The key.
    pub key: Vec<u8>,
    /// Its value, if it is there.
    pub value: Option<Vec<u8>>,
    /// The entry that changed the key last.
    pub changed: Lsn,
    /// A watermark has removed the key since.
    pub gone: bool,
    /// The entry that had changed the key, as earlier answers have shown, when the request was made.
    pub required: Lsn,
}

/// A real program's account of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether the change was made, as the answer says.
    pub done: bool,
    /// The time of the evaluation.
    pub time: u64,
}

/// What an answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAnswer {
    /// The keys of the request.
    pub shown: Vec<ShownKey>,
    /// With a real program: its account.
    pub evaluation: Option<Evaluation>,
}
