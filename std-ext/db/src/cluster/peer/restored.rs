//! Stores the keys of a backup at the primary of a group.
//!
//! A request may be repeated: it stores the same again. A long value comes in parts, so that no message is long.

pub(in crate::cluster) use super::wire::RestoredKey;
use crate::clustered::Role;
use crate::request::{
    Answer, Change, ExpireCondition, Expiry, LONGEST_KEY, LONGEST_VALUE, Request, RequestError,
    SetCondition,
};
use crate::{Db, SlotSet};
use tonic::Status;

/// The bytes of keys and values of a request, if no single part is longer.
pub(in crate::cluster) const MESSAGE: usize = 256 << 10;
/// The longest part of a value.
pub(in crate::cluster) const PART: usize = 128 << 10;
/// The bytes that a key takes beside its text and its value, and a little more.
const KEY: usize = 64;
/// Requests at a time. A caller that has given up one and repeats it must not be overtaken by it: a part of a value
/// would replace the whole.
pub(super) const RESTORES: usize = 1;
/// The longest request: the last key may exceed the message by itself.
pub(super) const MOST_RESTORED: usize = 512 << 10;

/// Returns about how many bytes of a message a key takes.
pub(in crate::cluster) fn size(key: &RestoredKey) -> usize {
    KEY + key.key.len() + key.part.len()
}

/// Returns a key with its value in parts.
pub(in crate::cluster) fn parts(
    key: &[u8],
    expires_at: Option<u64>,
    value: &[u8],
) -> Vec<RestoredKey> {
    let of = |offset: usize, part: &[u8]| RestoredKey {
        key: key.to_vec().into(),
        offset: offset as u64,
        part: part.to_vec().into(),
        expires_at: None,
    };
    let mut all: Vec<_> = if value.is_empty() {
        vec![of(0, &[])]
    } else {
        value.chunks(PART).enumerate().map(|(number, part)| of(number * PART, part)).collect()
    };
    if let Some(last) = all.last_mut() {
        last.expires_at = expires_at;
    }
    all
}

/// Stores keys, and waits until they are committed.
///
/// # Errors
/// [`Status::unavailable`] if the same request may be granted later; any other if not.
pub(super) fn store(db: &Db, keys: &[RestoredKey], must_be_empty: bool) -> Result<(), Status> {
    if db.role() != Role::Primary {
        return Err(Status::unavailable("it is not the primary of its group"));
    }
    let found = if must_be_empty { db.state().keys_of_slots(&SlotSet::all(), 0) } else { 0 };
    if found > 0 {
        return Err(Status::failed_precondition(format!(
            "its group already has {found} keys, but a backup can only be restored into an empty cluster"
        )));
    }
    let mut requests = Vec::with_capacity(keys.len());
    for key in keys {
        add_requests(key, &mut requests)?;
    }
    let (mut refused, epoch) = (None, db.log().epoch());
    let lsn = db.with_session(|session| {
        session.execute(&requests, &mut |_, answer| {
            if let Answer::Error(why) = answer {
                refused = Some(why);
            }
        })
    });
    // As for a client: the entry must be committed, and this node have been the primary.
    let read_index = db.log().read_index(epoch);
    let committed = db.log().wait(lsn).and_then(|()| db.log().wait_lease_check(&read_index));
    match refused {
        // These pass. The command tries again, perhaps at another primary.
        Some(why @ (RequestError::NotPrimary | RequestError::LogFull)) => {
            Err(Status::unavailable(why.to_string()))
        }
        Some(why) => Err(Status::failed_precondition(why.to_string())),
        None => committed.map_err(|why| Status::unavailable(why.to_string())),
    }
}

/// Adds the changes of a key, or of a part of its value.
fn add_requests<'a>(key: &'a RestoredKey, into: &mut Vec<Request<'a>>) -> Result<(), Status> {
    let RestoredKey { key, offset, part, expires_at } = key;
    let too_long = || Status::invalid_argument("a key or a value is longer than the maximum");
    let offset = usize::try_from(*offset).map_err(|_| too_long())?;
    let end = offset.checked_add(part.len()).filter(|end| *end <= LONGEST_VALUE);
    if end.is_none() || key.len() > LONGEST_KEY {
        return Err(too_long());
    }
    let expiry = expires_at.map_or(Expiry::Never, Expiry::At);
    // Replaces what an earlier try has left of the value.
    if offset == 0 {
        let condition = SetCondition::Always;
        into.push(Request::Change(key, Change::Set { value: part, condition, expiry, get: false }));
        return Ok(());
    }
    into.push(Request::Change(key, Change::SetRange { offset, bytes: part }));
    if expires_at.is_some() {
        let condition = ExpireCondition::Always;
        into.push(Request::Change(key, Change::Expire { expiry, condition, get: false }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_comes_in_parts() {
        let value: Vec<u8> = (0..2 * PART + 7).map(|n| n as u8).collect();
        for length in [0, 1, PART, PART + 1, 2 * PART, value.len()] {
            let all = parts(b"key", Some(77), &value[..length]);
            assert_eq!(all.len(), length.div_ceil(PART).max(1), "{length} bytes");
            let mut joined = Vec::new();
            for (number, part) in all.iter().enumerate() {
                assert_eq!(part.offset, joined.len() as u64);
                assert!(part.part.len() <= PART && size(part) < MOST_RESTORED - MESSAGE);
                // A key whose first part had an expiration could be gone before the second one comes.
                let is_last = number + 1 == all.len();
                assert_eq!(part.expires_at, is_last.then_some(77), "part {number}");
                joined.extend_from_slice(&part.part);
            }
            assert_eq!(joined, value[..length]);
        }
    }

    #[test]
    fn parts_beyond_the_longest_value_are_refused() {
        let part = |offset| RestoredKey {
            key: b"key".to_vec().into(),
            offset,
            part: b"x".to_vec().into(),
            expires_at: None,
        };
        for (offset, fine) in [
            (0, true),
            (LONGEST_VALUE as u64 - 1, true),
            (LONGEST_VALUE as u64, false),
            (u64::MAX, false),
        ] {
            let part = part(offset);
            assert_eq!(add_requests(&part, &mut Vec::new()).is_ok(), fine, "{offset}");
        }
    }
}
