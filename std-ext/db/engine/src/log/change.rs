//! The changes in a log entry. Each is the outcome of a request, without its conditions, so that replaying the entries
//! in order restores the same state.
//!
//! ```text
//! change: kind 8 | key's length, varint | key | operands of the kind
//! ```
//!
//! The changes of an entry are those of database 0, up to a change that names another one: then they are that one's.
//! So an entry of database 0 is as it was before there were others.
//!
//! A later version may add kinds, and reads all that earlier versions wrote. An earlier version rejects a log with a
//! kind that it does not know, and leaves the log unchanged.

use crate::log::api::{BatchMark, Epoch};
use crate::options::MAX_DATABASES;
use crate::request::{
    Change, ExpireCondition, Expiry, LONGEST_KEY, ListChange, Packed, SetCondition, StoredValue,
    ValueType,
};
use crate::slot_set::SLOT_SET_BYTES;
use std::ops::Range;

const SET: u8 = 1;
const SET_WITH_TTL: u8 = 2;
const SET_KEEP_TTL: u8 = 3;
const DELETE: u8 = 4;
const EXPIRE: u8 = 5;
const PERSIST: u8 = 6;
const ADD: u8 = 7;
const APPEND: u8 = 8;
const WRITE: u8 = 9;
const CLEAR: u8 = 10;
const RENAME: u8 = 11;
const CLOCK: u8 = 12;
const BEGIN: u8 = 13;
const WATERMARK: u8 = 14;
const BATCH: u8 = 15;
const OUT: u8 = 16;
const OWN: u8 = 17;
const DATABASE: u8 = 18;
const MOVE: u8 = 19;
const SWAP: u8 = 20;
const STORE_PART: u8 = 21;
const REMOVE_NAMES: u8 = 22;
const STORE: u8 = 23;
const STORE_WITH_TTL: u8 = 24;
const STORE_KEEP_TTL: u8 = 25;
const SPLICE: u8 = 26;
const REMOVE_RANGE: u8 = 27;
/// The last kind.
const LAST: u8 = REMOVE_RANGE;

/// Bytes of a node's id.
const NODE_ID: usize = 20;

/// One change in a log entry.
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(hidden)]
pub enum LoggedOp<'a> {
    /// A change of one key.
    Change(&'a [u8], Change<'a>),
    /// Removes all keys of these slots.
    Clear(u16, u16),
    /// Moves the value and the TTL of the first key to the second, and removes the first.
    Rename(&'a [u8], &'a [u8]),
    /// Removes all keys that had expired by this time: the clock was set back from it to the time of the entry.
    Clock(u64),
    /// A node became the primary in this epoch. No later entry has an earlier time than this one.
    Begin(Epoch, &'a [u8; NODE_ID]),
    /// No later entry has a time before this one.
    Watermark(u64),
    /// This entry is the first of a batch. Changes nothing.
    Batch(BatchMark),
    /// From this entry on the group does not own these slots. Their keys stay until entries remove them one by one.
    Out(u64, &'a SlotBits),
    /// From this entry on the group owns these slots. The entry is no earlier than the one by which another group lost
    /// them.
    Own(u64, &'a SlotBits),
    /// The operations behind this one, up to the end of the entry, are about keys of this database. Without it, they
    /// are about those of database 0.
    Database(u16),
    /// Moves a key with its value and its TTL to another database, which does not have the key.
    Move(&'a [u8], u16),
    /// Two databases get each other's keys.
    Swap(u16, u16),
}

/// A bit for each slot, as [`SlotSet`](crate::SlotSet) has them.
pub(crate) type SlotBits = [u8; SLOT_SET_BYTES];

fn number(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn bytes(bytes: &[u8], into: &mut Vec<u8>) {
    number(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

/// Encodes that a value was stored.
#[doc(hidden)]
pub fn set(key: &[u8], value: &[u8], expiry: Expiry, into: &mut Vec<u8>) {
    into.push(match expiry {
        Expiry::Never => SET,
        Expiry::At(_) => SET_WITH_TTL,
        Expiry::Keep => SET_KEEP_TTL,
    });
    bytes(key, into);
    if let Expiry::At(end) = expiry {
        number(end, into);
    }
    bytes(value, into);
}

/// Encodes that a key was removed.
#[doc(hidden)]
pub fn delete(key: &[u8], into: &mut Vec<u8>) {
    into.push(DELETE);
    bytes(key, into);
}

/// Encodes that the expiration of a key was set or removed.
#[doc(hidden)]
pub fn expire(key: &[u8], until: Option<u64>, into: &mut Vec<u8>) {
    into.push(if until.is_some() { EXPIRE } else { PERSIST });
    bytes(key, into);
    if let Some(end) = until {
        number(end, into);
    }
}

/// Encodes that `by` was added to a number.
#[doc(hidden)]
pub fn add(key: &[u8], by: i64, into: &mut Vec<u8>) {
    into.push(ADD);
    bytes(key, into);
    // Not a varint, of which a negative number would take ten bytes.
    into.extend_from_slice(&by.to_le_bytes());
}

/// Encodes that a value was appended to.
#[doc(hidden)]
pub fn append(key: &[u8], tail: &[u8], into: &mut Vec<u8>) {
    into.push(APPEND);
    bytes(key, into);
    bytes(tail, into);
}

/// Encodes that part of a value was overwritten.
#[doc(hidden)]
pub fn write(key: &[u8], at: usize, part: &[u8], into: &mut Vec<u8>) {
    into.push(WRITE);
    bytes(key, into);
    number(at as u64, into);
    bytes(part, into);
}

/// Encodes that entries of a value of a type were stored: names and values, of which lists and sets have none. Those of
/// a list come behind its last element.
#[doc(hidden)]
pub fn store_entries<'p>(
    key: &[u8],
    value_type: ValueType,
    entries: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])> + Clone,
    into: &mut Vec<u8>,
) {
    into.push(STORE_PART);
    bytes(key, into);
    part(value_type, entries, into);
}

/// Encodes that entries of a value of a type, which is no list, were removed.
#[doc(hidden)]
pub fn remove_names(key: &[u8], value_type: ValueType, names: &[&[u8]], into: &mut Vec<u8>) {
    into.push(REMOVE_NAMES);
    bytes(key, into);
    part(value_type, names.iter().map(|name| (*name, &b""[..])), into);
}

/// Encodes that the names of a stream were removed from one on, up to another one.
#[doc(hidden)]
pub fn remove_range(key: &[u8], from: &[u8], to: &[u8], into: &mut Vec<u8>) {
    into.push(REMOVE_RANGE);
    bytes(key, into);
    bytes(from, into);
    bytes(to, into);
}

/// Encodes that elements of a list were removed from an index on, and others put in their place.
#[doc(hidden)]
pub fn splice(key: &[u8], (at, remove): (usize, usize), elements: &[&[u8]], into: &mut Vec<u8>) {
    into.push(SPLICE);
    bytes(key, into);
    number(at as u64, into);
    number(remove as u64, into);
    part(ValueType::List, elements.iter().map(|element| (*element, &b""[..])), into);
}

/// Encodes a part of a value behind its length.
fn part<'p>(
    value_type: ValueType,
    entries: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])> + Clone,
    into: &mut Vec<u8>,
) {
    number(Packed::len_of(value_type, entries.clone()) as u64, into);
    Packed::write_part(value_type, entries, into);
}

/// Encodes that a value of another type than string was stored in place of the key's value.
#[doc(hidden)]
pub fn store(key: &[u8], value: Packed<'_>, expiry: Expiry, into: &mut Vec<u8>) {
    into.push(match expiry {
        Expiry::Never => STORE,
        Expiry::At(_) => STORE_WITH_TTL,
        Expiry::Keep => STORE_KEEP_TTL,
    });
    bytes(key, into);
    if let Expiry::At(end) = expiry {
        number(end, into);
    }
    bytes(value.bytes(), into);
}

/// Encodes that a value, or a part of one, was stored.
pub(crate) fn stored(key: &[u8], value: StoredValue<'_>, expiry: Expiry, into: &mut Vec<u8>) {
    match value {
        StoredValue::String(value) => set(key, value, expiry, into),
        StoredValue::Packed(value) if value.continues() => store_part(key, value, into),
        StoredValue::Packed(value) => store(key, value, expiry, into),
    }
}

/// Encodes that a further part of a value was stored.
#[doc(hidden)]
pub fn store_part(key: &[u8], value: Packed<'_>, into: &mut Vec<u8>) {
    into.push(STORE_PART);
    bytes(key, into);
    bytes(value.bytes(), into);
}

/// Encodes that all keys of these slots were removed.
#[doc(hidden)]
pub fn clear(slots: Range<u16>, into: &mut Vec<u8>) {
    into.push(CLEAR);
    number(slots.start.into(), into);
    number(slots.end.into(), into);
}

/// Encodes that a key was renamed.
///
/// Not used while a snapshot is written. A snapshot may contain the old key as of after the rename, and the new key as
/// of before: replay would then have no value to move.
#[doc(hidden)]
pub fn rename(from: &[u8], to: &[u8], into: &mut Vec<u8>) {
    into.push(RENAME);
    bytes(from, into);
    bytes(to, into);
}

/// Encodes that the clock was set back. `latest` is the time that it had reached.
#[doc(hidden)]
pub fn clock(latest: u64, into: &mut Vec<u8>) {
    into.push(CLOCK);
    number(latest, into);
}

/// Encodes that no later entry has a time before `time`, a varint.
#[doc(hidden)]
pub fn watermark(time: u64, into: &mut Vec<u8>) {
    into.push(WATERMARK);
    number(time, into);
}

/// Encodes that a node became the primary: the epoch as a varint, and the node's id.
#[doc(hidden)]
pub fn begin(epoch: Epoch, node: &[u8; NODE_ID], into: &mut Vec<u8>) {
    into.push(BEGIN);
    number(epoch, into);
    into.extend_from_slice(node);
}

/// Encodes the mark of a batch: its number and its epoch as varints, and the running hash of the batches before.
#[doc(hidden)]
pub fn batch(mark: &BatchMark, into: &mut Vec<u8>) {
    into.push(BATCH);
    number(mark.seq, into);
    number(mark.epoch, into);
    into.extend_from_slice(&mark.chain_before);
}

/// Encodes that the group has lost slots, by the move of this number.
#[doc(hidden)]
pub fn out(of_move: u64, slots: &SlotBits, into: &mut Vec<u8>) {
    into.push(OUT);
    number(of_move, into);
    into.extend_from_slice(slots);
}

/// Encodes that the group has got slots, by the move of this number.
#[doc(hidden)]
pub fn own(of_move: u64, slots: &SlotBits, into: &mut Vec<u8>) {
    into.push(OWN);
    number(of_move, into);
    into.extend_from_slice(slots);
}

/// Encodes that the changes behind this are about keys of a database.
#[doc(hidden)]
pub fn database(of: u16, into: &mut Vec<u8>) {
    into.push(DATABASE);
    number(of.into(), into);
}

/// Encodes that a key was moved to another database. Unlike [`rename`] it may be used while a snapshot is written: a
/// snapshot has the keys of a slot as of one time in all databases.
#[doc(hidden)]
pub fn move_key(key: &[u8], to: u16, into: &mut Vec<u8>) {
    into.push(MOVE);
    bytes(key, into);
    number(to.into(), into);
}

/// Encodes that two databases were swapped.
#[doc(hidden)]
pub fn swap(one: u16, other: u16, into: &mut Vec<u8>) {
    into.push(SWAP);
    number(one.into(), into);
    number(other.into(), into);
}

/// Decodes the changes of an entry in order. If an entry has a right checksum and wrong changes, another program wrote
/// it.
#[doc(hidden)]
pub struct LoggedChanges<'a>(&'a [u8]);

impl<'a> LoggedChanges<'a> {
    #[doc(hidden)]
    pub fn new(entry: &'a [u8]) -> Self {
        Self(entry)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7F);
            // More than 64 bits are damage, and no number to be cut off.
            if shift > 63 || part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    /// Decodes the number of a database.
    fn database(&mut self) -> Option<u16> {
        let database = u16::try_from(self.number()?).ok()?;
        (database < MAX_DATABASES).then_some(database)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// Decodes an operation that is about no single key; `Some(None)` if this kind is about one.
    #[expect(clippy::option_option, reason = "the outer one is an error")]
    fn without_key(&mut self, kind: u8) -> Option<Option<LoggedOp<'a>>> {
        Some(Some(match kind {
            CLEAR => {
                let (from, to) = (self.number()?, self.number()?);
                LoggedOp::Clear(u16::try_from(from).ok()?, u16::try_from(to).ok()?)
            }
            CLOCK => LoggedOp::Clock(self.number()?),
            BEGIN => LoggedOp::Begin(self.number()?, self.take(NODE_ID)?.try_into().ok()?),
            WATERMARK => LoggedOp::Watermark(self.number()?),
            BATCH => LoggedOp::Batch(BatchMark {
                seq: self.number()?,
                epoch: self.number()?,
                chain_before: self.take(16)?.try_into().ok()?,
            }),
            OUT => LoggedOp::Out(self.number()?, self.take(SLOT_SET_BYTES)?.try_into().ok()?),
            OWN => LoggedOp::Own(self.number()?, self.take(SLOT_SET_BYTES)?.try_into().ok()?),
            DATABASE => LoggedOp::Database(self.database()?),
            SWAP => LoggedOp::Swap(self.database()?, self.database()?),
            _ => return Some(None),
        }))
    }

    fn change(&mut self) -> Option<LoggedOp<'a>> {
        let kind = self.byte()?;
        if !(SET..=LAST).contains(&kind) {
            return None;
        }
        if let Some(operation) = self.without_key(kind)? {
            return Some(operation);
        }
        let key = self.bytes()?;
        if kind == RENAME {
            let to = self.bytes()?;
            // A rename to the same name is not logged. To apply one would free the record twice.
            let is_valid = to != key && to.len() <= LONGEST_KEY;
            return is_valid.then_some(LoggedOp::Rename(key, to));
        }
        if kind == MOVE {
            return Some(LoggedOp::Move(key, self.database()?));
        }
        let expire =
            |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
        let change = match kind {
            SET | SET_WITH_TTL | SET_KEEP_TTL => {
                let expiry = match kind {
                    SET => Expiry::Never,
                    SET_WITH_TTL => Expiry::At(self.number()?),
                    _ => Expiry::Keep,
                };
                Change::Set {
                    value: self.bytes()?,
                    condition: SetCondition::Always,
                    expiry,
                    get: false,
                }
            }
            STORE | STORE_WITH_TTL | STORE_KEEP_TTL | STORE_PART => {
                let expiry = match kind {
                    STORE => Expiry::Never,
                    STORE_WITH_TTL => Expiry::At(self.number()?),
                    _ => Expiry::Keep,
                };
                let value = StoredValue::of_typed(self.bytes()?)?;
                // A part is added to what is there, anything else replaces it.
                if value.continues() != (kind == STORE_PART) {
                    return None;
                }
                Change::Restore { value, expiry, replace: true, usage: None }
            }
            REMOVE_NAMES => Change::RemoveNames(Packed::parse_names(self.bytes()?)?),
            REMOVE_RANGE => Change::RemoveRange(self.bytes()?, self.bytes()?),
            SPLICE => {
                let (at, remove) = (self.number()?, self.number()?);
                let elements = Packed::parse(self.bytes()?)?;
                if elements.value_type() != ValueType::List {
                    return None;
                }
                Change::List(ListChange::Splice { at, remove, elements })
            }
            DELETE => Change::Delete,
            EXPIRE => expire(Expiry::At(self.number()?)),
            PERSIST => expire(Expiry::Never),
            ADD => Change::Increment(i64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            APPEND => Change::Append(self.bytes()?),
            WRITE => {
                let at = usize::try_from(self.number()?).ok()?;
                Change::SetRange { offset: at, bytes: self.bytes()? }
            }
            _ => return None,
        };
        Some(LoggedOp::Change(key, change))
    }
}

impl<'a> Iterator for LoggedChanges<'a> {
    type Item = Result<LoggedOp<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let change = self.change();
        if change.is_none() {
            // Ends the iteration: nobody knows where the next change would begin.
            self.0 = &[];
        }
        Some(change.ok_or("an entry contains an unknown or truncated change"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Packer;

    #[test]
    fn changes_are_read_as_they_were_written() {
        let mut log = Vec::new();
        let long = vec![7; 300];
        set(b"a", &long, Expiry::Never, &mut log);
        set(b"", b"", Expiry::At(u64::MAX), &mut log);
        set(b"c", b"v", Expiry::Keep, &mut log);
        delete(b"d", &mut log);
        expire(b"e", Some(5), &mut log);
        expire(b"f", None, &mut log);
        add(b"g", i64::MIN, &mut log);
        append(b"h", b"tail", &mut log);
        write(b"i", 1000, b"part", &mut log);
        clear(0..16_384, &mut log);
        rename(b"j", b"k", &mut log);
        clock(1 << 50, &mut log);
        begin(300, &[7; NODE_ID], &mut log);
        watermark(1 << 40, &mut log);
        let mark = BatchMark { seq: 1000, epoch: 300, chain_before: [9; 16] };
        batch(&mark, &mut log);
        let slots = &[0x81; SLOT_SET_BYTES];
        out(77, slots, &mut log);
        own(77, slots, &mut log);
        database(15, &mut log);
        move_key(b"l", 300, &mut log);
        swap(0, MAX_DATABASES - 1, &mut log);
        let mut packer = Packer::new(ValueType::Hash);
        packer.push(b"field", &long);
        let (whole, part) = (packer.clone(), packer.continuing());
        store(b"m", whole.packed(), Expiry::At(7), &mut log);
        store_entries(b"n", ValueType::Hash, [(&b"field"[..], &long[..])].into_iter(), &mut log);
        store_part(b"o", part.packed(), &mut log);
        remove_names(b"p", ValueType::Hash, &[b"field"], &mut log);
        splice(b"q", (3, 300), &[b"element"], &mut log);
        remove_range(b"r", b"from", b"to", &mut log);
        let mut gone = Packer::new(ValueType::Hash);
        gone.push(b"field", b"");
        let gone = gone.continuing();
        let mut elements = Packer::new(ValueType::List);
        elements.push(b"element", b"");
        let elements = elements.continuing();
        let set = |value, expiry| Change::Set {
            value,
            condition: SetCondition::Always,
            expiry,
            get: false,
        };
        let expire =
            |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
        let restore = |hash, expiry| {
            let value = StoredValue::Packed(hash);
            Change::Restore { value, expiry, replace: true, usage: None }
        };
        let wanted = [
            LoggedOp::Change(b"a", set(&long, Expiry::Never)),
            LoggedOp::Change(b"", set(b"", Expiry::At(u64::MAX))),
            LoggedOp::Change(b"c", set(b"v", Expiry::Keep)),
            LoggedOp::Change(b"d", Change::Delete),
            LoggedOp::Change(b"e", expire(Expiry::At(5))),
            LoggedOp::Change(b"f", expire(Expiry::Never)),
            LoggedOp::Change(b"g", Change::Increment(i64::MIN)),
            LoggedOp::Change(b"h", Change::Append(b"tail")),
            LoggedOp::Change(b"i", Change::SetRange { offset: 1000, bytes: b"part" }),
            LoggedOp::Clear(0, 16_384),
            LoggedOp::Rename(b"j", b"k"),
            LoggedOp::Clock(1 << 50),
            LoggedOp::Begin(300, &[7; NODE_ID]),
            LoggedOp::Watermark(1 << 40),
            LoggedOp::Batch(mark),
            LoggedOp::Out(77, slots),
            LoggedOp::Own(77, slots),
            LoggedOp::Database(15),
            LoggedOp::Move(b"l", 300),
            LoggedOp::Swap(0, MAX_DATABASES - 1),
            LoggedOp::Change(b"m", restore(whole.packed(), Expiry::At(7))),
            LoggedOp::Change(b"n", restore(part.packed(), Expiry::Keep)),
            LoggedOp::Change(b"o", restore(part.packed(), Expiry::Keep)),
            LoggedOp::Change(b"p", Change::RemoveNames(gone.packed())),
            LoggedOp::Change(
                b"q",
                Change::List(ListChange::Splice {
                    at: 3,
                    remove: 300,
                    elements: elements.packed(),
                }),
            ),
            LoggedOp::Change(b"r", Change::RemoveRange(b"from", b"to")),
        ];
        let read: Result<Vec<_>, _> = LoggedChanges::new(&log).collect();
        assert_eq!(read.as_deref(), Ok(&wanted[..]));
        // A truncated entry gives the first changes, and then an error or the end.
        for end in 0..log.len() {
            let read: Vec<_> = LoggedChanges::new(&log[..end]).collect();
            for (read, wanted) in read.iter().zip(&wanted) {
                assert!(read.is_err() || read.as_ref() == Ok(wanted));
            }
        }
    }

    #[test]
    fn a_rename_that_cannot_be_is_an_error() {
        for to in [b"same".to_vec(), vec![b'k'; LONGEST_KEY + 1]] {
            let mut log = Vec::new();
            rename(b"same", &to, &mut log);
            let read: Result<Vec<_>, _> = LoggedChanges::new(&log).collect();
            assert!(read.is_err(), "a rename to {} bytes would be applied", to.len());
        }
    }

    #[test]
    fn a_database_that_cannot_exist_is_an_error() {
        let mut log = Vec::new();
        database(MAX_DATABASES, &mut log);
        assert!(LoggedChanges::new(&log).next().is_some_and(|change| change.is_err()));
    }
}
