//! Stores the keys of a backup at the primary of a group.
//!
//! A request may be repeated: it stores the same again. A long value comes in parts, so that no message is long. An
//! entry of a value of another type than string is stored at once, so a long one is collected here first, in pieces.
//!
//! The entries of a part replace those of the same name. Elements of a list have no names: what was stored behind the
//! parts before is removed first.

pub(crate) use super::wire::RestoredKey;
use hedgerow_db_engine::Db;
use hedgerow_db_engine::clustered::Role;
use hedgerow_db_engine::request::{
    Answer, Change, ExpireCondition, Expiry, LONGEST_KEY, LONGEST_VALUE, ListChange, Packed,
    Request, RequestError, SetCondition, StoredValue, ValueType,
};
use hedgerow_db_formats::slot_set::SlotSet;
use tonic::Status;

/// The bytes of keys and values of a request, if no single part is longer.
pub(crate) const MESSAGE: usize = 256 << 10;
/// The longest part of a value.
pub(crate) const PART: usize = 128 << 10;
/// The bytes that a key takes beside its text and its value, and a little more.
const KEY: usize = 64;
/// Requests at a time. A caller that has given up one and repeats it must not be overtaken by it: a part of a value
/// would replace the whole.
pub(super) const RESTORES: usize = 1;
/// The offset of a part that is no part of a string.
const TYPED: u64 = u64::MAX;
/// The longest request: the last key may exceed the message by itself.
pub(super) const MOST_RESTORED: usize = 512 << 10;
/// The longest part that is collected of pieces: an entry has 1 GiB, as a field of a hash and its value do.
const MOST_COLLECTED: usize = (1 << 30) + (1 << 20);

/// Returns about how many bytes of a message a key takes.
pub(crate) fn size(key: &RestoredKey) -> usize {
    KEY + key.key.len() + key.part.len()
}

/// Makes parts of keys. Only the last part of a key has its expiration: with an earlier one, the key could be gone
/// before the next part comes.
#[derive(Default)]
pub(crate) struct PartsMaker {
    /// The last part of the last value, and the expiration of its key.
    waiting: Option<(RestoredKey, Option<u64>)>,
    /// The entries of all parts of the last value.
    entries: u64,
}

impl PartsMaker {
    /// Adds a value, or a further part of the last one. Returns the parts that are ready.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        expires_at: Option<u64>,
        value: StoredValue<'_>,
    ) -> Vec<RestoredKey> {
        let before = self.waiting.take();
        let before = before.map(|(part, expires_at)| RestoredKey {
            expires_at: expires_at.filter(|_| !value.continues()),
            ..part
        });
        if !value.continues() {
            self.entries = 0;
        }
        let parts = parts(key, value, self.entries);
        self.entries += value.packed().map_or(0, Packed::len) as u64;
        let mut all: Vec<_> = before.into_iter().chain(parts).collect();
        self.waiting = all.pop().map(|part| (part, expires_at));
        all
    }

    /// Returns the last part.
    pub(crate) fn finish(&mut self) -> Option<RestoredKey> {
        self.waiting.take().map(|(part, expires_at)| RestoredKey { expires_at, ..part })
    }
}

/// Returns a key with its value in parts, without its expiration.
fn parts(key: &[u8], value: StoredValue<'_>, entries_before: u64) -> Vec<RestoredKey> {
    let (typed, is_list) = (value.is_typed(), value.value_type() == ValueType::List);
    let of = |offset: u64, part: &[u8]| RestoredKey {
        key: key.to_vec().into(),
        offset,
        part: part.to_vec().into(),
        expires_at: None,
        typed,
        begin: 0,
        more: false,
        elements_before: if is_list { entries_before } else { 0 },
    };
    let value = value.bytes();
    if typed {
        let begins = (0..value.len()).step_by(PART);
        let pieces = begins.zip(value.chunks(PART)).map(|(begin, piece)| RestoredKey {
            begin: begin as u64,
            more: begin + piece.len() < value.len(),
            ..of(TYPED, piece)
        });
        return pieces.collect();
    }
    if value.is_empty() {
        return vec![of(0, &[])];
    }
    let parts = value.chunks(PART).enumerate();
    parts.map(|(number, part)| of((number * PART) as u64, part)).collect()
}

/// Returns whether a part is one of several pieces.
fn is_piece(key: &RestoredKey) -> bool {
    key.begin > 0 || key.more
}

/// Returns whether a request ends with this part. If the request is repeated, no other pieces were collected meanwhile.
pub(crate) fn ends_request(key: &RestoredKey) -> bool {
    is_piece(key) && !key.more
}

/// Adds the pieces of a request to those that were collected. Returns the number of the key whose part is complete.
fn collect(keys: &[RestoredKey], collected: &mut Vec<u8>) -> Result<Option<usize>, Status> {
    let (mut complete, mut has_pieces) = (None, false);
    for (number, key) in keys.iter().enumerate().filter(|(_, key)| is_piece(key)) {
        has_pieces = true;
        let begin = usize::try_from(key.begin).unwrap_or(usize::MAX);
        if complete.is_some() || begin.saturating_add(key.part.len()) > MOST_COLLECTED {
            return Err(Status::invalid_argument("pieces of a value that do not fit each other"));
        }
        // Another node was the primary then.
        if begin > collected.len() {
            return Err(Status::failed_precondition("it does not have the pieces before"));
        }
        collected.truncate(begin);
        collected.extend_from_slice(&key.part);
        complete = (!key.more).then_some(number);
    }
    if !has_pieces {
        *collected = Vec::new();
    }
    Ok(complete)
}

/// Stores keys, and waits until they are committed. `collected` has the pieces of earlier requests.
///
/// # Errors
/// [`Status::unavailable`] if the same request may be granted later; any other if not.
pub(super) fn store(
    db: &Db,
    keys: &[RestoredKey],
    must_be_empty: bool,
    collected: &mut Vec<u8>,
) -> Result<(), Status> {
    if db.role() != Role::Primary {
        return Err(Status::unavailable("it is not the primary of its group"));
    }
    let found = if must_be_empty { db.state().keys_of_slots(&SlotSet::all(), 0) } else { 0 };
    if found > 0 {
        return Err(Status::failed_precondition(format!(
            "its group already has {found} keys, but a backup can only be restored into an empty cluster"
        )));
    }
    let complete = collect(keys, collected)?;
    let mut requests = Vec::with_capacity(keys.len());
    for (number, key) in keys.iter().enumerate() {
        if complete == Some(number) {
            add_requests(key, collected, &mut requests)?;
        } else if !is_piece(key) {
            add_requests(key, &key.part, &mut requests)?;
        }
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
fn add_requests<'a>(
    key: &'a RestoredKey,
    part: &'a [u8],
    into: &mut Vec<Request<'a>>,
) -> Result<(), Status> {
    let RestoredKey { key, offset, expires_at, typed, elements_before, .. } = key;
    let too_long = || Status::invalid_argument("a key or a value is longer than the maximum");
    let expiry = expires_at.map_or(Expiry::Never, Expiry::At);
    let condition = ExpireCondition::Always;
    let expire = Request::Change(key, Change::Expire { expiry, condition, get: false });
    if *typed {
        let unknown = || Status::invalid_argument("a value is of an unknown type, or damaged");
        let value = StoredValue::of_typed(part).ok_or_else(unknown)?;
        if key.len() > LONGEST_KEY {
            return Err(too_long());
        }
        if value.continues() && value.value_type() == ValueType::List {
            // An earlier try may have added the same elements.
            let last =
                i64::try_from(*elements_before).ok().and_then(|before| before.checked_sub(1));
            let last = last.filter(|last| *last >= 0).ok_or_else(|| {
                Status::invalid_argument("a part of a list does not say what is before it")
            })?;
            into.push(Request::Change(key, Change::List(ListChange::Trim(0, last))));
        }
        let change = Change::Restore { value, expiry, replace: true, usage: None };
        into.push(Request::Change(key, change));
        if value.continues() && expires_at.is_some() {
            into.push(expire);
        }
        return Ok(());
    }
    let offset = usize::try_from(*offset).map_err(|_| too_long())?;
    let end = offset.checked_add(part.len()).filter(|end| *end <= LONGEST_VALUE);
    if end.is_none() || key.len() > LONGEST_KEY {
        return Err(too_long());
    }
    // Replaces what an earlier try has left of the value.
    if offset == 0 {
        let condition = SetCondition::Always;
        into.push(Request::Change(key, Change::Set { value: part, condition, expiry, get: false }));
        return Ok(());
    }
    into.push(Request::Change(key, Change::SetRange { offset, bytes: part }));
    if expires_at.is_some() {
        into.push(expire);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::Options;
    use hedgerow_db_engine::request::{Answer, HashQuery, Packer, Query, Score, ValueType};
    use tonic::Code;

    fn all_parts(
        key: &[u8],
        expires_at: Option<u64>,
        value: &[StoredValue<'_>],
    ) -> Vec<RestoredKey> {
        let mut maker = PartsMaker::default();
        let mut all: Vec<_> =
            value.iter().flat_map(|part| maker.add(key, expires_at, *part)).collect();
        all.extend(maker.finish());
        all
    }

    #[test]
    fn a_long_value_comes_in_parts() {
        let value: Vec<u8> = (0..2 * PART + 7).map(|n| n as u8).collect();
        for length in [0, 1, PART, PART + 1, 2 * PART, value.len()] {
            let all = all_parts(b"key", Some(77), &[StoredValue::String(&value[..length])]);
            assert_eq!(all.len(), length.div_ceil(PART).max(1), "{length} bytes");
            let mut joined = Vec::new();
            for (number, part) in all.iter().enumerate() {
                assert_eq!(part.offset, joined.len() as u64);
                assert!(part.part.len() <= PART);
                // A key whose first part had an expiration could be gone before the second one comes.
                let is_last = number + 1 == all.len();
                assert_eq!(part.expires_at, is_last.then_some(77), "part {number}");
                joined.extend_from_slice(&part.part);
            }
            assert_eq!(joined, value[..length]);
        }
    }

    #[test]
    fn values_come_in_the_parts_that_they_have() {
        const TYPES: [ValueType; 4] =
            [ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet];
        let part = |value_type, name: &[u8]| {
            let mut packer = Packer::new(value_type);
            packer.push(name, &Score::new(1.5).unwrap().bytes());
            packer.push(&[name, b"'s"].concat(), &Score::new(1.5).unwrap().bytes());
            packer
        };
        let db = hedgerow_db_engine::Db::open(Options::in_memory()).unwrap();
        let mut keys = Vec::new();
        for value_type in TYPES {
            let first = part(value_type, b"one");
            let [second, third] =
                [&b"two"[..], b"three"].map(|name| part(value_type, name).continuing());
            let value = [&first, &second, &third].map(|part| StoredValue::Packed(part.packed()));
            let name = value_type.name().as_bytes();
            let parts = all_parts(name, Some(u64::MAX >> 1), &value);
            assert_eq!(
                parts.iter().map(|part| part.expires_at.is_some()).collect::<Vec<_>>(),
                [false, false, true]
            );
            let before = if value_type == ValueType::List { [0, 2, 4] } else { [0; 3] };
            assert_eq!(parts.iter().map(|part| part.elements_before).collect::<Vec<_>>(), before);
            // Earlier versions refuse this offset.
            assert!(parts.iter().all(|part| part.typed && part.offset == u64::MAX));
            keys.extend(parts);
            keys.extend(all_parts(&[b"short ", name].concat(), Some(u64::MAX >> 1), &value[..1]));
        }
        let mut requests = Vec::new();
        // Each twice, and then all of them again: a request may be repeated.
        for key in keys.iter().flat_map(|key| [key, key]).chain(&keys) {
            add_requests(key, &key.part, &mut requests).unwrap();
        }
        db.with_session(|session| {
            session.execute(&requests, &mut |_, answer| {
                assert!(!matches!(answer, Answer::Error(_)), "{answer:?}");
            });
            for value_type in TYPES {
                for (begin, entries) in [("", 6), ("short ", 2)] {
                    let key = format!("{begin}{}", value_type.name());
                    let reads = [Query::Stored, Query::Expiry]
                        .map(|query| Request::Read(key.as_bytes(), query));
                    session.execute(&reads, &mut |_, answer| match answer {
                        Answer::Stored(StoredValue::Packed(value)) => {
                            let found = (value.value_type(), value.len());
                            assert_eq!(
                                found,
                                (value_type, entries),
                                "{key} after repeated requests"
                            );
                        }
                        answer => assert_eq!(answer, Answer::ExpiresAt(Some(u64::MAX >> 1))),
                    });
                }
            }
        });
        assert!(add_requests(&keys[0], b"x", &mut Vec::new()).is_err());
        let of_list = keys.iter().find(|key| key.elements_before > 0).unwrap();
        for elements_before in [0, u64::MAX] {
            let lost = RestoredKey { elements_before, ..of_list.clone() };
            assert!(add_requests(&lost, &lost.part, &mut Vec::new()).is_err(), "{elements_before}");
        }
    }

    #[test]
    fn a_long_field_is_collected() {
        let db = hedgerow_db_engine::Db::open(Options::in_memory()).unwrap();
        let (mut packer, long) = (Packer::new(ValueType::Hash), vec![7; 3 * PART]);
        packer.push(b"field", &long);
        let all = all_parts(b"hash", None, &[StoredValue::Packed(packer.packed())]);
        assert_eq!(all.len(), 4);
        assert_eq!(all.iter().map(ends_request).collect::<Vec<_>>(), [false, false, false, true]);
        let mut collected = Vec::new();
        let mut add =
            |keys: &[RestoredKey]| collect(keys, &mut collected).map_err(|why| why.code());
        assert_eq!(add(&all[1..2]), Err(Code::FailedPrecondition), "the first piece is missing");
        // Each request twice.
        for request in [&all[..2], &all[..2], &all[2..3], &all[2..3]] {
            assert_eq!(add(request), Ok(None));
        }
        assert_eq!(add(&all[3..]), Ok(Some(0)));
        assert_eq!(add(&all[3..]), Ok(Some(0)));
        let mut requests = Vec::new();
        add_requests(&all[3], &collected, &mut requests).unwrap();
        db.with_session(|session| {
            session.execute(&requests, &mut |_, answer| assert_eq!(answer, Answer::Done));
            let read = Request::Read(b"hash", Query::Hash(HashQuery::Get(b"field")));
            session.execute(&[read], &mut |_, answer| assert_eq!(answer, Answer::Bytes(&long)));
        });
        assert_eq!(
            collect(&all_parts(b"rose", None, &[StoredValue::String(b"")]), &mut collected).ok(),
            Some(None)
        );
        assert!(collected.is_empty());
    }

    #[test]
    fn parts_beyond_the_longest_value_are_refused() {
        let part = |offset| RestoredKey {
            key: b"key".to_vec().into(),
            offset,
            part: b"x".to_vec().into(),
            expires_at: None,
            typed: false,
            begin: 0,
            more: false,
            elements_before: 0,
        };
        for (offset, fine) in [
            (0, true),
            (LONGEST_VALUE as u64 - 1, true),
            (LONGEST_VALUE as u64, false),
            (u64::MAX, false),
        ] {
            let part = part(offset);
            assert_eq!(add_requests(&part, b"x", &mut Vec::new()).is_ok(), fine, "{offset}");
        }
        // Nor is a part of another type that a later version sends taken for a part of a string.
        assert!(add_requests(&part(TYPED), b"", &mut Vec::new()).is_err());
    }
}
