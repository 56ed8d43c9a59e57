//! A node of a stream: a listpack with some entries.
//!
//! ```text
//! listpack: entries, deleted entries, fields, names of the fields, 0, both kinds of entries
//! entry:    flags, milliseconds and sequence after the node's id, then
//!           the values of the node's fields if the flags have 2; otherwise fields, and each field with its value;
//!           the number of elements of the entry before this one
//! ```
//!
//! An entry whose flags have 1 is deleted. What is a number may be text of it, as in Redis.

use super::id::StreamId;
use crate::number;
use crate::rdb::HashPair;
use crate::rdb::packed::{Element, Fault, ListpackWriter, PackedCursor, PackedEncoding};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// The largest number of entries of a node, with `stream-node-max-entries 100`.
const ENTRIES: u8 = 100;
/// The bytes that a node with several entries does not reach, with `stream-node-max-bytes 4096`.
const BYTES: usize = 4096;

const NO_NUMBER: Fault = "a number in a node of a stream is missing";
const NO_FIELDS: Fault = "an entry of a stream has no fields";
const NO_ZERO: Fault = "the fields of a node of a stream do not end with zero";
const WRONG_SIZE: Fault = "an entry of a stream has another size than the number behind it says";
const ENDS_EARLY: Fault = "a node of a stream ends within an entry";
const TOO_MANY: Fault = "a node of a stream has more entries than it says";

/// An entry of a stream.
#[derive(Debug)]
pub struct StreamEntry<'a> {
    /// The id.
    pub id: StreamId,
    /// The fields, of which there is at least one, with their values.
    pub pairs: StreamPairs<'a>,
}

/// The fields of an entry with their values.
///
/// A node stores the names that its entries share once, so a damaged or hostile file can have entries that are much
/// larger than the file. A caller that copies them has to limit how much.
#[derive(Clone)]
pub struct StreamPairs<'a> {
    bytes: &'a [u8],
    /// At the names of the node's fields, if the entry has the same.
    names: Option<PackedCursor>,
    values: PackedCursor,
    left: u64,
    integers: [itoa::Buffer; 2],
}

impl StreamPairs<'_> {
    /// Returns how many pairs follow.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Returns the next field and its value, or `None` after the last. A field may come several times.
    #[expect(clippy::should_implement_trait, reason = "the text of an integer is in this")]
    pub fn next(&mut self) -> Option<HashPair<'_>> {
        self.left = self.left.checked_sub(1)?;
        let [first, second] = &mut self.integers;
        // Every element was read before, so none fails.
        let name = self.names.as_mut().unwrap_or(&mut self.values).next(self.bytes).ok()??;
        let value = self.values.next(self.bytes).ok()??;
        Some((name.text(first), value.text(second)))
    }
}

impl std::fmt::Debug for StreamPairs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPairs").field("left", &self.left).finish_non_exhaustive()
    }
}

/// A node that is read.
pub(in crate::rdb) struct Node {
    bytes: Vec<u8>,
    id: StreamId,
    cursor: PackedCursor,
    /// The names of the fields.
    names: PackedCursor,
    fields: u64,
    /// The entries that follow, deleted ones among them.
    left: u64,
    /// The entry that was read last: its id, whether it has the node's fields, how many it has, and where they are.
    entry: (StreamId, bool, u64, PackedCursor),
}

impl Node {
    pub(in crate::rdb) fn new(id: StreamId, bytes: Vec<u8>) -> Result<Self, Fault> {
        let mut cursor = PackedCursor::new(PackedEncoding::Listpack, &bytes)?;
        let (entries, deleted) = (count(&mut cursor, &bytes)?, count(&mut cursor, &bytes)?);
        let fields = count(&mut cursor, &bytes)?;
        let names = cursor.clone();
        skip(&mut cursor, &bytes, fields)?;
        if integer(&mut cursor, &bytes)? != 0 {
            return Err(NO_ZERO);
        }
        let left = entries.checked_add(deleted).ok_or(ENDS_EARLY)?;
        let entry = (id, true, 0, cursor.clone());
        Ok(Self { bytes, id, cursor, names, fields, left, entry })
    }

    /// Reads the next entry that is not deleted, and returns its id, or `None` after the last.
    pub(in crate::rdb) fn advance(&mut self) -> Result<Option<StreamId>, Fault> {
        loop {
            let (cursor, bytes) = (&mut self.cursor, &self.bytes[..]);
            let Some(left) = self.left.checked_sub(1) else {
                return if cursor.next(bytes)?.is_none() { Ok(None) } else { Err(TOO_MANY) };
            };
            self.left = left;
            let flags = integer(cursor, bytes)?;
            let mut after = |base: u64| Ok(base.wrapping_add_signed(integer(&mut *cursor, bytes)?));
            let id = StreamId { ms: after(self.id.ms)?, seq: after(self.id.seq)? };
            let is_same = flags & SAME_FIELDS != 0;
            let fields = if is_same { self.fields } else { count(cursor, bytes)? };
            if fields == 0 {
                return Err(NO_FIELDS);
            }
            let pairs = cursor.clone();
            // Fails for more fields than there are bytes, so the sums are small.
            skip(cursor, bytes, fields)?;
            if !is_same {
                skip(cursor, bytes, fields)?;
            }
            if count(cursor, bytes)? != if is_same { 3 + fields } else { 4 + 2 * fields } {
                return Err(WRONG_SIZE);
            }
            if flags & DELETED == 0 {
                self.entry = (id, is_same, fields, pairs);
                return Ok(Some(id));
            }
        }
    }

    /// Returns the entry that [`advance`](Self::advance) has read.
    pub(in crate::rdb) fn entry(&self) -> StreamEntry<'_> {
        let (id, is_same, left, ref values) = self.entry;
        let pairs = StreamPairs {
            bytes: &self.bytes,
            names: is_same.then(|| self.names.clone()),
            values: values.clone(),
            left,
            integers: [itoa::Buffer::new(), itoa::Buffer::new()],
        };
        StreamEntry { id, pairs }
    }
}

fn integer(cursor: &mut PackedCursor, bytes: &[u8]) -> Result<i64, Fault> {
    match cursor.next(bytes)? {
        Some(Element::Integer(integer)) => Ok(integer),
        Some(Element::Bytes(text)) => number::integer(text).ok_or(NO_NUMBER),
        None => Err(NO_NUMBER),
    }
}

fn count(cursor: &mut PackedCursor, bytes: &[u8]) -> Result<u64, Fault> {
    integer(cursor, bytes)?.try_into().map_err(|_| NO_NUMBER)
}

fn skip(cursor: &mut PackedCursor, bytes: &[u8], elements: u64) -> Result<(), Fault> {
    for _ in 0..elements {
        cursor.next(bytes)?.ok_or(ENDS_EARLY)?;
    }
    Ok(())
}

/// A node that is written.
#[derive(Default)]
pub(super) struct NodeWriter {
    listpack: ListpackWriter,
    id: StreamId,
    names: Vec<Vec<u8>>,
    entries: u8,
}

impl NodeWriter {
    /// Adds an entry. Returns the node before it, with its id, if that is full.
    pub(super) fn push<'a>(
        &mut self,
        id: StreamId,
        pairs: impl Iterator<Item = HashPair<'a>> + Clone,
    ) -> Option<(StreamId, ListpackWriter)> {
        let bytes: usize = pairs.clone().map(|(name, value)| name.len() + value.len()).sum();
        let is_full = self.entries == ENTRIES || self.listpack.len() + bytes >= BYTES;
        let full = if is_full { self.end() } else { None };
        if self.entries == 0 {
            self.begin(id, pairs.clone().map(|(name, _)| name));
        }
        self.entries += 1;
        let is_same = self.names.iter().eq(pairs.clone().map(|(name, _)| name));
        let (from, listpack) = (self.listpack.elements(), &mut self.listpack);
        listpack.push_integer(if is_same { SAME_FIELDS } else { 0 });
        listpack.push_integer(id.ms.wrapping_sub(self.id.ms).cast_signed());
        listpack.push_integer(id.seq.wrapping_sub(self.id.seq).cast_signed());
        if !is_same {
            listpack.push_integer((pairs.clone().count() as u64).cast_signed());
        }
        for (name, value) in pairs {
            if !is_same {
                listpack.push(name);
            }
            listpack.push(value);
        }
        listpack.push_integer((listpack.elements() - from).cast_signed());
        full
    }

    fn begin<'a>(&mut self, id: StreamId, names: impl Iterator<Item = &'a [u8]>) {
        self.id = id;
        self.names.clear();
        self.names.extend(names.map(<[u8]>::to_vec));
        assert!(!self.names.is_empty(), "an entry has fields");
        // The number of entries is set at the end.
        self.listpack.push_integer(0);
        self.listpack.push_integer(0);
        self.listpack.push_integer((self.names.len() as u64).cast_signed());
        self.names.iter().for_each(|name| self.listpack.push(name));
        self.listpack.push_integer(0);
    }

    /// Returns the node, with its id, if there is one, and begins another.
    pub(super) fn end(&mut self) -> Option<(StreamId, ListpackWriter)> {
        let entries = std::mem::take(&mut self.entries);
        let mut listpack = std::mem::take(&mut self.listpack);
        (entries > 0).then(|| {
            listpack.set_first(entries);
            (self.id, listpack)
        })
    }
}
