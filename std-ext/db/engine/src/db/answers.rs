//! What answers have, for the methods of the database.

use crate::request::{Answer, RequestError};

pub(super) fn bytes(answer: Answer<'_>) -> Option<Vec<u8>> {
    match answer {
        Answer::Bytes(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

pub(super) fn done(answer: Answer<'_>) -> Result<(), RequestError> {
    match answer {
        Answer::Error(error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns what a change has removed and answers.
pub(super) fn taken(answer: Answer<'_>) -> Result<Option<Vec<u8>>, RequestError> {
    match answer {
        Answer::Error(error) => Err(error),
        answer => Ok(bytes(answer)),
    }
}

pub(super) fn elements(answer: Answer<'_>) -> Vec<Vec<u8>> {
    match answer {
        Answer::Elements(all, _) => all.iter().flatten().map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn count(answer: Answer<'_>) -> Result<usize, RequestError> {
    int(answer).map(|count| count.cast_unsigned() as usize)
}

pub(super) fn length(answer: Answer<'_>) -> usize {
    count(answer).unwrap_or(0)
}

pub(super) fn int(answer: Answer<'_>) -> Result<i64, RequestError> {
    match answer {
        Answer::Int(int) => Ok(int),
        Answer::Error(error) => Err(error),
        _ => Ok(0),
    }
}
