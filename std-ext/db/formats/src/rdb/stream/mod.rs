//! Streams, part by part: entries, and then groups with their consumers and pending entries.
//!
//! ```text
//! stream:   nodes LENGTH, nodes, entries LENGTH, last ID,
//!           [first ID, greatest deleted ID, entries ever added LENGTH,] groups LENGTH, groups
//! node:     its id STRING, listpack STRING
//! group:    name STRING, last delivered ID, [entries read LENGTH,] pending entries LENGTH, of these
//!           (id, delivered i64, deliveries LENGTH), consumers LENGTH, consumers
//! consumer: name STRING, seen i64, <active i64,> pending entries LENGTH, their ids
//! ID:       milliseconds LENGTH, sequence LENGTH; an id within a node, or a pending one, is 16 bytes, big-endian
//! ```
//!
//! What stands in brackets is there since Redis 7.0, and `<active>` since 7.2: see [`StreamEncoding`]. [`node`] has the
//! elements of a listpack. The id of the first entry is written for Redis, and neither returned nor checked: it is that
//! of the first entry.

mod id;
mod node;
mod read;
mod write;

pub use id::StreamId;
pub(super) use node::Node;
pub use node::{StreamEntry, StreamPairs};
pub(super) use read::StreamBody;
pub use write::StreamWriter;
pub(super) use write::{StreamOutput, dump_parts, write_parts};

use crate::rdb::value_type;

/// The encodings of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamEncoding {
    /// Redis 5 and later read it. It has no greatest deleted id, and no counts of entries added or read.
    Listpacks,
    /// Redis 7.0 and later read it. When a consumer was active is not in it.
    Listpacks2,
    /// Redis 7.2, Valkey and later versions read it.
    Listpacks3,
}

impl StreamEncoding {
    /// Returns the encoding of a type.
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Listpacks, Self::Listpacks2, Self::Listpacks3]
            .into_iter()
            .find(|encoding| encoding.number() == number)
    }

    fn number(self) -> u8 {
        match self {
            Self::Listpacks => value_type::STREAM_LISTPACKS,
            Self::Listpacks2 => value_type::STREAM_LISTPACKS_2,
            Self::Listpacks3 => value_type::STREAM_LISTPACKS_3,
        }
    }
}

/// A part of a stream, in the order of the file: the entries, [`Meta`](Self::Meta) once, and the groups. Each group is
/// followed by its pending entries, and these by its consumers, each with its pending entries.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamPart<'a> {
    /// An entry that is not deleted. The ids ascend.
    Entry(StreamEntry<'a>),
    /// What is known about the stream. There are no further entries.
    Meta(StreamMeta),
    /// A group.
    Group(StreamGroup<'a>),
    /// A pending entry of the group. Some consumer of the group follows that has it, too.
    Pending(PendingEntry),
    /// A consumer of the group.
    Consumer(StreamConsumer<'a>),
    /// A pending entry of the group, which this consumer has. No other consumer has it.
    Owned(PendingEntry),
}

/// What is known about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamMeta {
    /// The number of entries.
    pub length: u64,
    /// The greatest id that there ever was. It is not less than that of the last entry.
    pub last_id: StreamId,
    /// The greatest id of an entry that `XDEL` has removed.
    pub max_deleted_id: StreamId,
    /// The number of entries that were ever added: not less than `length`, and at most `i64::MAX`.
    pub entries_added: u64,
    /// The number of groups.
    pub groups: u64,
}

/// A group of consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamGroup<'a> {
    /// The name, which no other group of the stream has.
    pub name: &'a [u8],
    /// The last id that was delivered to a consumer.
    pub last_id: StreamId,
    /// How many entries were added up to that id, if it is known.
    pub entries_read: Option<u64>,
    /// The number of pending entries.
    pub pending: u64,
}

/// An entry that was delivered and not acknowledged. It need not exist any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    /// The id.
    pub id: StreamId,
    /// When it was delivered last, in milliseconds since 1970.
    pub delivered_at: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// A consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConsumer<'a> {
    /// The name, which no other consumer of the group has.
    pub name: &'a [u8],
    /// When it last tried to read, in milliseconds since 1970.
    pub seen_at: u64,
    /// When it last got an entry, in milliseconds since 1970, if it ever did. Before [`StreamEncoding::Listpacks3`],
    /// the same as `seen_at`.
    pub active_at: Option<u64>,
    /// The number of its pending entries.
    pub pending: u64,
}
