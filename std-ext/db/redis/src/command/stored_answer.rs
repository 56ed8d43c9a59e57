//! Answers that arrive before their turn, and are kept until it comes.

use hedgerow_db_engine::request::{
    Answer, ElementList, FieldValues, RequestError, Score, StoredValue,
};

/// An answer that arrived out of order. Its bytes are in a buffer.
#[derive(Clone, Copy)]
pub(super) enum StoredAnswer {
    Done,
    Nil,
    Int(i64),
    Score(Score),
    ExpiresAt(Option<u64>),
    Error(RequestError),
    Bytes(usize, usize),
    Fields(usize, usize),
    /// Elements, behind the cursor of the next ones.
    Elements(usize, usize),
    /// A string, as it is stored.
    String(usize, usize),
    /// A value of another type, as it is stored.
    Typed(usize, usize),
}

/// Stores an answer, with its bytes in `bytes`. Sets `full` instead of storing more than `max_out` bytes.
pub(super) fn store(
    answer: Answer<'_>,
    bytes: &mut Vec<u8>,
    max_out: usize,
    full: &mut bool,
) -> StoredAnswer {
    match answer {
        Answer::Done => StoredAnswer::Done,
        Answer::Nil => StoredAnswer::Nil,
        Answer::Int(n) => StoredAnswer::Int(n),
        Answer::Score(score) => StoredAnswer::Score(score),
        Answer::ExpiresAt(until) => StoredAnswer::ExpiresAt(until),
        Answer::Error(error) => StoredAnswer::Error(error),
        Answer::Bytes(value) => store_bytes(&[value], bytes, max_out, full),
        Answer::Pieces(pieces) => store_bytes(pieces, bytes, max_out, full),
        Answer::Fields(values) => match store_bytes(&[values.as_bytes()], bytes, max_out, full) {
            StoredAnswer::Bytes(from, to) => StoredAnswer::Fields(from, to),
            full => full,
        },
        Answer::Stored(value) => match store_bytes(&[value.bytes()], bytes, max_out, full) {
            StoredAnswer::Bytes(from, to) if !value.is_typed() => StoredAnswer::String(from, to),
            StoredAnswer::Bytes(from, to) => StoredAnswer::Typed(from, to),
            full => full,
        },
        Answer::Elements(elements, next) => {
            // Too many elements are not all there.
            if elements.reply_bytes() > max_out.saturating_sub(bytes.len()) {
                *full = true;
                return StoredAnswer::Nil;
            }
            let from = bytes.len();
            elements.store(next, bytes);
            StoredAnswer::Elements(from, bytes.len())
        }
    }
}

fn store_bytes(
    pieces: &[&[u8]],
    bytes: &mut Vec<u8>,
    max_out: usize,
    full: &mut bool,
) -> StoredAnswer {
    let from = bytes.len();
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > max_out.saturating_sub(from) {
        *full = true;
        return StoredAnswer::Nil;
    }
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    StoredAnswer::Bytes(from, bytes.len())
}

impl StoredAnswer {
    pub(super) fn answer(self, bytes: &[u8]) -> Answer<'_> {
        match self {
            Self::Done => Answer::Done,
            Self::Nil => Answer::Nil,
            Self::Int(n) => Answer::Int(n),
            Self::Score(score) => Answer::Score(score),
            Self::ExpiresAt(until) => Answer::ExpiresAt(until),
            Self::Error(error) => Answer::Error(error),
            Self::Bytes(from, to) => Answer::Bytes(&bytes[from..to]),
            Self::Fields(from, to) => Answer::Fields(FieldValues::stored(&bytes[from..to])),
            Self::Elements(from, to) => {
                let (elements, next) = ElementList::stored(&bytes[from..to]);
                Answer::Elements(elements, next)
            }
            Self::String(from, to) => Answer::Stored(StoredValue::String(&bytes[from..to])),
            Self::Typed(from, to) => {
                let value = StoredValue::of_typed(&bytes[from..to]);
                value.map_or(Answer::Nil, Answer::Stored)
            }
        }
    }
}
