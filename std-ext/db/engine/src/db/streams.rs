//! Streams in an embedding program.

use super::Db;
use super::answers::{count, length};
use crate::error::Error;
use crate::request::{
    Answer, Change, GroupAction, GroupChange, Nested, NewStreamId, Query, ReadFrom, Request,
    RequestError, StreamChange, StreamId, StreamQuery, StreamRange, StreamTrim, TrimTo,
};
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamEntry {
    /// Its ID.
    pub id: StreamId,
    /// Its fields with their values, in the order in which they were given.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Streams: keys whose values are entries in the order of their IDs, which are times. A missing key is an empty stream.
/// A *group* gives each entry to one of its consumers, and keeps it *pending* until it is acknowledged. O(log n) in the
/// number of entries, and what is found.
///
/// ```
/// # use hedgerow_db_engine::{Db, Options};
/// let db = Db::open(Options::in_memory())?;
/// let first = db.stream_add("garden", &[(b"plant", b"rose")])?;
/// let second = db.stream_add("garden", &[(b"plant", b"oak")])?;
/// assert_eq!(db.stream_range("garden", first.., None)?.len(), 2);
///
/// db.stream_create_group("garden", "gardeners", None)?;
/// let jobs = db.stream_read_group("garden", "gardeners", "ann", Some(1))?;
/// assert_eq!((jobs[0].id, &*jobs[0].fields[0].1), (first, &b"rose"[..]));
/// assert_eq!(db.stream_acknowledge("garden", "gardeners", &[first])?, 1);
/// assert_eq!(db.stream_read_group("garden", "gardeners", "bob", None)?[0].id, second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Db {
    /// Adds an entry. Returns its ID: the present time, or the next one after the last entry's if that is later.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`RequestError::WrongType`] if the key's value is not a stream, and
    /// [`RequestError::StreamIdsUsedUp`] after the greatest ID.
    pub fn stream_add(
        &self,
        key: impl AsRef<[u8]>,
        fields: &[(&[u8], &[u8])],
    ) -> Result<StreamId, Error> {
        let fields: Vec<&[u8]> = fields.iter().flat_map(|(name, value)| [*name, *value]).collect();
        let add =
            StreamChange::Add { id: NewStreamId::Now, fields: &fields, create: true, trim: None };
        self.change_stream(key.as_ref(), add, |answer| match answer {
            Answer::Bytes(id) => Ok(parse_id(id)),
            Answer::Error(error) => Err(error),
            _ => Ok(StreamId::MIN),
        })
    }

    /// Returns the number of entries.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`RequestError::WrongType`] if the key's value is not a stream.
    pub fn stream_len(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.read(key.as_ref(), Query::Stream(StreamQuery::Length), length)
    }

    /// Returns the entries with IDs in a range, as of one time, and at most so many of the first ones.
    ///
    /// # Errors
    /// As [`stream_len`](Self::stream_len).
    pub fn stream_range(
        &self,
        key: impl AsRef<[u8]>,
        ids: impl RangeBounds<StreamId>,
        count: Option<usize>,
    ) -> Result<Vec<StreamEntry>, Error> {
        let from = match ids.start_bound() {
            Bound::Included(id) => Some(*id),
            Bound::Excluded(id) => id.next(),
            Bound::Unbounded => Some(StreamId::MIN),
        };
        let to = match ids.end_bound() {
            Bound::Included(id) => Some(*id),
            Bound::Excluded(id) => id.previous(),
            Bound::Unbounded => Some(StreamId::MAX),
        };
        let (Some(from), Some(to), false) = (from, to, count == Some(0)) else {
            return Ok(Vec::new());
        };
        let count = count.map(|count| count as u64);
        let range = StreamRange { from, to, reverse: false, count };
        let query = Query::Stream(StreamQuery::Range(range, usize::MAX));
        self.read(key.as_ref(), query, entries).map(Result::unwrap_or_default)
    }

    /// Removes entries. Returns how many there were. The stream stays without its last entry.
    ///
    /// # Errors
    /// As [`stream_add`](Self::stream_add).
    pub fn stream_delete(&self, key: impl AsRef<[u8]>, ids: &[StreamId]) -> Result<usize, Error> {
        self.change_stream(key.as_ref(), StreamChange::Delete(ids), count)
    }

    /// Removes entries at the beginning. Returns how many. A stream of a million entries is trimmed in one step.
    ///
    /// # Errors
    /// As [`stream_add`](Self::stream_add).
    pub fn stream_trim(&self, key: impl AsRef<[u8]>, to: TrimTo) -> Result<usize, Error> {
        let trim = StreamChange::Trim(StreamTrim { to, nodes: false, most: None });
        self.change_stream(key.as_ref(), trim, count)
    }

    /// Creates a group, which delivers the entries after an ID, by default all. Creates the stream if it is missing.
    /// Returns false if there is such a group already.
    ///
    /// # Errors
    /// As [`stream_add`](Self::stream_add).
    pub fn stream_create_group(
        &self,
        key: impl AsRef<[u8]>,
        group: impl AsRef<[u8]>,
        after: Option<StreamId>,
    ) -> Result<bool, Error> {
        let from = ReadFrom::After(after.unwrap_or(StreamId::MIN));
        let action = GroupAction::Create { from, read: None, create: true };
        self.change_group((key.as_ref(), group.as_ref()), action, |answer| match answer {
            Answer::Error(RequestError::GroupExists) => Ok(false),
            Answer::Error(error) => Err(error),
            _ => Ok(true),
        })
    }

    /// Gives a consumer the next entries that the group has not delivered, at most so many. They are pending until they
    /// are [acknowledged](Self::stream_acknowledge).
    ///
    /// # Errors
    /// As [`stream_add`](Self::stream_add); [`RequestError::NoSuchGroup`].
    pub fn stream_read_group(
        &self,
        key: impl AsRef<[u8]>,
        group: impl AsRef<[u8]>,
        consumer: impl AsRef<[u8]>,
        count: Option<usize>,
    ) -> Result<Vec<StreamEntry>, Error> {
        let action = GroupAction::Read {
            consumer: consumer.as_ref(),
            from: ReadFrom::New,
            count: count.map(|count| count as u64),
            no_ack: false,
            most: usize::MAX,
        };
        self.change_group((key.as_ref(), group.as_ref()), action, entries)
    }

    /// Removes entries from those that are pending. Returns how many were; 0 also if there is no such group.
    ///
    /// # Errors
    /// As [`stream_add`](Self::stream_add).
    pub fn stream_acknowledge(
        &self,
        key: impl AsRef<[u8]>,
        group: impl AsRef<[u8]>,
        ids: &[StreamId],
    ) -> Result<usize, Error> {
        let action = GroupAction::Acknowledge(ids);
        self.change_group((key.as_ref(), group.as_ref()), action, count)
    }

    /// Gives a consumer pending entries that were delivered `idle` ago or earlier, at most so many: those of consumers
    /// that have failed.
    ///
    /// # Errors
    /// As [`stream_read_group`](Self::stream_read_group).
    pub fn stream_claim(
        &self,
        key: impl AsRef<[u8]>,
        group: impl AsRef<[u8]>,
        consumer: impl AsRef<[u8]>,
        idle: Duration,
        count: usize,
    ) -> Result<Vec<StreamEntry>, Error> {
        let action = GroupAction::AutoClaim {
            consumer: consumer.as_ref(),
            idle: idle.as_millis() as u64,
            from: StreamId::MIN,
            count: count as u64,
            just_ids: false,
            most: usize::MAX,
        };
        self.change_group((key.as_ref(), group.as_ref()), action, entries)
    }

    fn change_group<R>(
        &self,
        (name, group): (&[u8], &[u8]),
        action: GroupAction<'_>,
        take: fn(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        let change = GroupChange { name, group, action };
        self.change_stream(name, StreamChange::Group(&change), take)
    }

    fn change_stream<R>(
        &self,
        key: &[u8],
        change: StreamChange<'_>,
        take: fn(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        self.execute(Request::Change(key, Change::Stream(change)), take)
    }
}

/// Returns the entries that an answer has: arrays of an ID, and of fields and values. What surrounds them, such as the
/// key or a cursor, is passed over.
fn entries(answer: Answer<'_>) -> Result<Vec<StreamEntry>, RequestError> {
    let list = match answer {
        Answer::Elements(list, _) => list,
        Answer::Error(error) => return Err(error),
        _ => return Ok(Vec::new()),
    };
    let (mut values, mut all) = (Nested::all(list).peekable(), Vec::new());
    while let Some(value) = values.next() {
        match value {
            // Its text names the key and the group, which the caller knows.
            Nested::Error(_) => return Err(RequestError::NoSuchGroup),
            Nested::Array(2) => {}
            _ => continue,
        }
        // Two entries may be in an array, too.
        let Some(&Nested::Bytes(id)) = values.peek() else { continue };
        values.next();
        let Some(&Nested::Array(len)) = values.peek() else { continue };
        values.next();
        let texts: Vec<_> = values.by_ref().take(len).filter_map(text).collect();
        let mut pairs = texts.into_iter();
        let fields = std::iter::from_fn(|| Some((pairs.next()?, pairs.next()?))).collect();
        all.push(StreamEntry { id: parse_id(id), fields });
    }
    Ok(all)
}

fn text(value: Nested<'_>) -> Option<Vec<u8>> {
    if let Nested::Bytes(bytes) = value { Some(bytes.to_vec()) } else { None }
}

/// Returns the ID that an answer shows.
fn parse_id(shown: &[u8]) -> StreamId {
    let parse = || {
        let (ms, seq) = std::str::from_utf8(shown).ok()?.split_once('-')?;
        Some(StreamId { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    };
    parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    /// Short and long, with changes before and behind the snapshot.
    #[test]
    fn streams_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
        let (db, mut wanted) = (open(), Vec::new());
        for number in 0..2000_u32 {
            let (name, value) = (format!("field {}", number % 7), number.to_string());
            let pairs = [(name.as_bytes(), value.as_bytes()), (b"same", b"")];
            let pairs = &pairs[..=(number as usize % 2)];
            let id = db.stream_add("long", pairs).unwrap();
            let fields =
                pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            wanted.push(StreamEntry { id, fields });
            if number == 1500 {
                db.snapshot().unwrap();
            }
        }
        assert_eq!(db.stream_delete("long", &[wanted[1000].id, wanted[1000].id]).unwrap(), 1);
        wanted.remove(1000);
        assert_eq!(db.stream_trim("long", TrimTo::Length(1700)).unwrap(), 299);
        wanted.drain(..299);
        let (second, fifth) = (wanted[1].id, wanted[4].id);
        db.close().unwrap();
        drop(db);
        // From the log, and then from a snapshot.
        for _ in 0..2 {
            let db = open();
            let range = |ids: (Bound<StreamId>, Bound<StreamId>), count| {
                db.stream_range("long", ids, count).unwrap()
            };
            let all = (Bound::Unbounded, Bound::Unbounded);
            assert!(range(all, None) == wanted, "other entries");
            assert_eq!(range(all, Some(2)), wanted[..2]);
            assert_eq!(range(all, Some(0)), []);
            assert_eq!(
                range((Bound::Excluded(second), Bound::Excluded(fifth)), None),
                wanted[2..4]
            );
            assert_eq!(
                range((Bound::Included(second), Bound::Included(fifth)), None),
                wanted[1..5]
            );
            assert_eq!(db.stream_len("long").unwrap(), 1700);
            db.snapshot().unwrap();
            db.close().unwrap();
        }
    }

    #[test]
    fn each_entry_is_delivered_to_one_consumer() {
        let db = Db::open(Options::in_memory()).unwrap();
        let ids: Vec<_> =
            (0..6).map(|_| db.stream_add("stream", &[(b"a", b"b")]).unwrap()).collect();
        let no_group = db.stream_read_group("stream", "group", "one", None);
        assert!(matches!(no_group, Err(Error::Request(RequestError::NoSuchGroup))), "{no_group:?}");
        assert!(db.stream_create_group("stream", "group", Some(ids[0])).unwrap());
        assert!(!db.stream_create_group("stream", "group", None).unwrap(), "there is one");
        let read = |consumer: &str, count| {
            let found = db.stream_read_group("stream", "group", consumer, count).unwrap();
            found.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(read("one", Some(2)), ids[1..3]);
        assert_eq!(read("two", None), ids[3..]);
        assert_eq!(read("one", None), []);
        assert_eq!(db.stream_acknowledge("stream", "group", &[ids[1], ids[0]]).unwrap(), 1);
        assert_eq!(db.stream_acknowledge("stream", "missing", &ids).unwrap(), 0);
        let claim = |count| {
            let idle = Duration::ZERO;
            let found = db.stream_claim("stream", "group", "three", idle, count).unwrap();
            found.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(claim(1), [ids[2]]);
        db.stream_delete("stream", &ids[4..]).unwrap();
        assert_eq!(claim(10), ids[2..4], "those that were deleted are gone");
        let late = db.stream_claim("stream", "group", "one", Duration::from_secs(9), 10).unwrap();
        assert_eq!(late, []);
        assert!(db.stream_create_group("new", "group", None).unwrap(), "the stream is created");
        assert_eq!(db.stream_len("new").unwrap(), 0);
        db.set("text", "value").unwrap();
        assert!(db.stream_add("text", &[(b"a", b"b")]).is_err() && db.stream_len("text").is_err());
    }
}
