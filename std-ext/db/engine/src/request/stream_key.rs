//! How a stream is stored: as names and values in the order of the names.
//!
//! ```text
//! 0                                        -> last ID | greatest deleted ID | entries ever added
//! 1 | ID                                   -> an entry: the lengths and bytes of fields and values
//! 2 | group                                -> last delivered ID | entries read, or -1
//! 3 | length, group | consumer             -> when it was last seen, and last active
//! 4 | length, group | ID                   -> delivery time | deliveries | consumer
//! 5 | length, group | length, consumer | ID -> nothing
//! ```
//!
//! Numbers are big-endian; lengths have 32 bits, IDs 128. So entries, groups, consumers and pending entries are ranges
//! of names, whose lengths are differences of ranks.

use super::lengths::{push, take};
use super::stream::ID_BYTES;
use hedgerow_db_formats::rdb::StreamId;

pub(crate) const META: &[u8] = &[0];
const ENTRY: u8 = 1;
const GROUP: u8 = 2;
const CONSUMER: u8 = 3;
const PENDING: u8 = 4;
const CONSUMER_PENDING: u8 = 5;

/// The beginning of the names of all entries, and of what comes behind them.
pub(crate) const ENTRIES: &[u8] = &[ENTRY];
pub(crate) const GROUPS: &[u8] = &[GROUP];
pub(crate) const BEHIND_GROUPS: &[u8] = &[CONSUMER];

/// What a stream knows of its past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamMeta {
    pub last: StreamId,
    pub deleted: StreamId,
    pub added: u64,
}

/// A consumer group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamGroup {
    pub last: StreamId,
    /// `None` if the number cannot be known.
    pub read: Option<u64>,
}

/// A pending entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingEntry<'a> {
    pub time: u64,
    pub count: u64,
    pub consumer: &'a [u8],
}

fn id(bytes: &[u8]) -> Option<(StreamId, &[u8])> {
    let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
    Some((StreamId::from_be_bytes(*id), rest))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

impl StreamMeta {
    pub(crate) fn bytes(self) -> Vec<u8> {
        [&self.last.to_be_bytes()[..], &self.deleted.to_be_bytes(), &self.added.to_be_bytes()]
            .concat()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (last, rest) = id(bytes)?;
        let (deleted, rest) = id(rest)?;
        let (added, rest) = number(rest)?;
        rest.is_empty().then_some(Self { last, deleted, added })
    }
}

impl StreamGroup {
    pub(crate) fn bytes(self) -> Vec<u8> {
        [&self.last.to_be_bytes()[..], &self.read.unwrap_or(u64::MAX).to_be_bytes()].concat()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (last, rest) = id(bytes)?;
        let (read, rest) = number(rest)?;
        rest.is_empty().then_some(Self { last, read: (read != u64::MAX).then_some(read) })
    }
}

impl<'a> PendingEntry<'a> {
    pub(crate) fn bytes(self) -> Vec<u8> {
        [&self.time.to_be_bytes()[..], &self.count.to_be_bytes(), self.consumer].concat()
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (time, rest) = number(bytes)?;
        let (count, consumer) = number(rest)?;
        Some(Self { time, count, consumer })
    }
}

/// Returns the value of a consumer.
pub(crate) fn consumer_times(seen: u64, active: u64) -> Vec<u8> {
    [seen.to_be_bytes(), active.to_be_bytes()].concat()
}

/// Returns when a consumer was last seen, and last active.
pub(crate) fn parse_times(bytes: &[u8]) -> Option<(u64, u64)> {
    let (seen, rest) = number(bytes)?;
    let (active, rest) = number(rest)?;
    rest.is_empty().then_some((seen, active))
}

/// A name of a stream with its value, as far as Redis's formats need it.
pub(super) enum Part<'a> {
    Meta(StreamMeta),
    Entry,
    Group(&'a [u8], StreamGroup),
    /// Of a group, with its name, and when it was last seen and last active.
    Consumer(&'a [u8], &'a [u8], (u64, u64)),
    Pending(&'a [u8], StreamId, PendingEntry<'a>),
    /// An entry of a group that a consumer has.
    Owned,
}

/// Returns what a name and its value are; nothing if they have none of the forms above.
pub(super) fn part<'a>(name: &'a [u8], value: &'a [u8]) -> Option<Part<'a>> {
    let (kind, rest) = name.split_first()?;
    Some(match *kind {
        ENTRY => Part::Entry,
        GROUP => Part::Group(rest, StreamGroup::parse(value)?),
        CONSUMER => {
            let (group, consumer) = split_long(rest)?;
            Part::Consumer(group, consumer, parse_times(value)?)
        }
        PENDING => {
            let (group, id) = split_long(rest)?;
            Part::Pending(group, last_id(id), PendingEntry::parse(value)?)
        }
        CONSUMER_PENDING => Part::Owned,
        _ => Part::Meta(StreamMeta::parse(value)?),
    })
}

/// Returns the value of an entry.
pub(crate) fn entry_value(fields: &[&[u8]]) -> Vec<u8> {
    let mut value = Vec::new();
    for field in fields {
        push(field, &mut value);
    }
    value
}

/// Returns the fields of an entry, each with its value behind it.
pub(crate) fn entry_fields(mut value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    std::iter::from_fn(move || {
        let (field, rest) = take(value)?;
        value = rest;
        Some(field)
    })
}

/// Returns the name of an entry.
pub(crate) fn entry(id: StreamId) -> [u8; 1 + ID_BYTES] {
    let mut name = [ENTRY; 1 + ID_BYTES];
    name[1..].copy_from_slice(&id.to_be_bytes());
    name
}

/// Returns the ID at the end of a name.
pub(crate) fn last_id(name: &[u8]) -> StreamId {
    name.last_chunk().map_or(StreamId::MIN, |id| StreamId::from_be_bytes(*id))
}

/// Returns the name of a group.
pub(crate) fn group(group: &[u8]) -> Vec<u8> {
    [&[GROUP], group].concat()
}

/// Returns the group of such a name.
pub(crate) fn group_of(name: &[u8]) -> &[u8] {
    name.get(1..).unwrap_or_default()
}

fn push_long(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    into.extend_from_slice(bytes);
}

fn of_group(kind: u8, group: &[u8]) -> Vec<u8> {
    let mut name = vec![kind];
    push_long(group, &mut name);
    name
}

/// Returns the beginning of the names of a group's consumers.
pub(crate) fn consumers(group: &[u8]) -> Vec<u8> {
    of_group(CONSUMER, group)
}

/// Returns the beginning of the names of a group's pending entries.
pub(crate) fn pending(group: &[u8]) -> Vec<u8> {
    of_group(PENDING, group)
}

/// Returns the beginning of the names of what is pending for the consumers of a group.
pub(crate) fn all_consumers_pending(group: &[u8]) -> Vec<u8> {
    of_group(CONSUMER_PENDING, group)
}

/// Returns the beginning of the names of a consumer's pending entries.
pub(crate) fn consumer_pending(group: &[u8], consumer: &[u8]) -> Vec<u8> {
    let mut name = of_group(CONSUMER_PENDING, group);
    push_long(consumer, &mut name);
    name
}

/// Returns a name that begins with `prefix` and ends with an ID.
pub(crate) fn with_id(prefix: &[u8], id: StreamId) -> Vec<u8> {
    [prefix, &id.to_be_bytes()].concat()
}

/// Returns the first name behind all that begin with `prefix`, whose first byte is none of the greatest.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.pop_if(|byte| *byte == u8::MAX).is_some() {}
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// Returns whether a name and its value have one of the forms above.
pub(super) fn is_valid(name: &[u8], value: &[u8]) -> bool {
    let Some((kind, rest)) = name.split_first() else { return false };
    match *kind {
        0 => rest.is_empty() && StreamMeta::parse(value).is_some(),
        ENTRY => rest.len() == ID_BYTES && is_entry(value),
        GROUP => StreamGroup::parse(value).is_some(),
        CONSUMER => take_long(rest).is_some() && parse_times(value).is_some(),
        PENDING => {
            take_long(rest).is_some_and(|rest| rest.len() == ID_BYTES)
                && PendingEntry::parse(value).is_some()
        }
        CONSUMER_PENDING => {
            let id = take_long(rest).and_then(take_long);
            id.is_some_and(|id| id.len() == ID_BYTES) && value.is_empty()
        }
        _ => false,
    }
}

fn is_entry(mut value: &[u8]) -> bool {
    let mut fields = 0;
    while !value.is_empty() {
        let Some((_, rest)) = take(value) else { return false };
        (value, fields) = (rest, fields + 1);
    }
    fields > 0 && fields % 2 == 0
}

/// Splits off some bytes behind their length, and returns the others.
fn take_long(bytes: &[u8]) -> Option<&[u8]> {
    split_long(bytes).map(|(_, rest)| rest)
}

/// Returns some bytes behind their length, and the others.
fn split_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_what_they_name() {
        let ids = [StreamId { ms: 1, seq: 2 }, StreamId { ms: 1, seq: 300 }, StreamId::MAX];
        assert!(ids.map(entry).is_sorted());
        let names = [
            META.to_vec(),
            entry(ids[2]).to_vec(),
            group(b"a"),
            group(b"b"),
            consumers(b"a"),
            behind(&consumers(b"a")),
            with_id(&pending(b"a"), ids[0]),
            with_id(&consumer_pending(b"a", b"c"), ids[0]),
        ];
        assert!(names.is_sorted());
        assert_eq!(behind(&[4, 255, 255]), [5]);
        assert_eq!(last_id(&names[6]), ids[0]);
        assert_eq!(group_of(&names[3]), b"b");
    }

    #[test]
    fn only_what_a_stream_consists_of_is_valid() {
        let meta = StreamMeta { last: StreamId::MAX, deleted: StreamId::MIN, added: 7 };
        let group_value = StreamGroup { last: StreamId::MAX, read: None };
        let pending_value = PendingEntry { time: 1, count: 2, consumer: b"c" };
        let fields: [&[u8]; 2] = [b"field", b"value"];
        let id = StreamId { ms: 5, seq: 1 };
        let all = [
            (META.to_vec(), meta.bytes()),
            (entry(id).to_vec(), entry_value(&fields)),
            (group(b"g"), group_value.bytes()),
            ([consumers(b"g"), b"c".to_vec()].concat(), consumer_times(1, 2)),
            (with_id(&pending(b"g"), id), pending_value.bytes()),
            (with_id(&consumer_pending(b"g", b"c"), id), Vec::new()),
        ];
        for (name, value) in &all {
            assert!(is_valid(name, value), "{name:?}");
            assert!(!is_valid(&[9], value));
            assert_eq!(is_valid(name, &[value, &b"x"[..]].concat()), name[0] == PENDING);
        }
        assert_eq!(StreamMeta::parse(&all[0].1), Some(meta));
        assert_eq!(entry_fields(&all[1].1).collect::<Vec<_>>(), fields);
        assert_eq!(StreamGroup::parse(&all[2].1), Some(group_value));
        assert_eq!(PendingEntry::parse(&all[4].1), Some(pending_value));
        assert!(!is_valid(&entry(id), b""));
        assert!(!is_valid(b"", b""));
    }
}
