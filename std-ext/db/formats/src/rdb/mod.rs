//! Redis's file format for data (RDB), and the payloads of `DUMP` and `RESTORE`, which are one value in that format.
//!
//! ```text
//! file:    "REDIS", version as 4 digits, or "VALKEY", version as 3 digits; records, 255,
//!          from version 5 on CRC-64 of all before it u64
//! record:  [252 expiration in ms i64 | 253 in seconds i32] [248 idle seconds LENGTH] [249 frequency u8]
//!          type u8, key STRING, value;
//!          or 254 database LENGTH; 251 keys LENGTH, of these with an expiration LENGTH;
//!          244 slot and two counts LENGTH; 250 name STRING, text STRING; 245 library of functions STRING;
//!          247 data of a module
//! payload: type u8, value, version u16, CRC-64 of all before it u64
//! ```
//!
//! A `LENGTH` has 6, 14, 32 or 64 bits, and is big-endian. A `STRING` is a length and bytes, an integer of 1, 2 or 4
//! bytes, or bytes that [`lzf`] has compressed. All other numbers are little-endian.
//!
//! The reader takes the versions 1 to [`NEWEST_VERSION`], and [`VALKEY_VERSION`]. It returns strings, and lists, sets,
//! sorted sets and hashes item by item, and streams part by part. It skips values of other types: it knows how long
//! they are, and not what they contain. Nothing is allocated for a length before its bytes are there.
//!
//! A collection is stored as a count and as many items, or packed into one string, or into several if it is a list: see
//! [`HashEncoding`], [`SetEncoding`] and [`SortedSetEncoding`]. A stream has listpacks with entries, and what its
//! groups have read: see [`StreamPart`].
//!
//! The crate `rdb` can only read files, so the writer and the payloads would remain, and with them most of this module.

mod body;
mod collections;
pub mod crc64;
mod encode;
mod error;
pub mod lzf;
mod packed;
pub mod payload;
mod reader;
#[cfg(any(test, feature = "test-support"))]
pub mod redis_files;
mod score;
mod skip;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use collections::{HashEncoding, HashPair, ScoredMember, SetEncoding, SortedSetEncoding};
pub use error::RdbError;
pub use reader::{Entry, RdbRecord, RdbValue, Reader};
pub use skip::Kind;
pub use stream::{PendingEntry, StreamConsumer, StreamEncoding, StreamEntry, StreamGroup};
pub use stream::{StreamId, StreamMeta, StreamPairs, StreamPart, StreamWriter};
pub use writer::Writer;

/// The newest version that the reader takes: that of Redis 7.4 and 8.0.
pub const NEWEST_VERSION: u16 = 12;
/// The version of files of Valkey that the reader takes: that of Valkey 9. Those of Valkey 8 are files of Redis.
pub const VALKEY_VERSION: u16 = 80;
/// The version that the writer writes. Redis 5 and later load it.
pub const WRITTEN_VERSION: u16 = 9;
/// The longest string that the reader takes, in bytes. Redis has the same limit.
pub const LONGEST_STRING: usize = 512 << 20;

/// The types of values that are written. [`skip`] has all others.
mod value_type {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const HASH: u8 = 4;
    pub(super) const SORTED_SET: u8 = 5;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const STREAM_LISTPACKS: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const SORTED_SET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    pub(super) const STREAM_LISTPACKS_2: u8 = 19;
    pub(super) const STREAM_LISTPACKS_3: u8 = 21;
}

/// A plain node of a list has one element, and a packed one many.
const PLAIN_NODE: u64 = 1;
const PACKED_NODE: u64 = 2;

/// The lengths of fractions as text that no text follows.
mod fraction {
    pub(super) const NAN: u8 = 253;
    pub(super) const INFINITE: u8 = 254;
    pub(super) const NEGATIVE_INFINITE: u8 = 255;
}

/// The beginning of a file, before the version.
const MAGIC: &[u8; 5] = b"REDIS";
const VALKEY_MAGIC: &[u8; 6] = b"VALKEY";

/// The codes of records that are no keys.
mod opcode {
    pub(super) const SLOT_INFO: u8 = 244;
    pub(super) const FUNCTION: u8 = 245;
    pub(super) const FUNCTION_PRERELEASE: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const RESIZE: u8 = 251;
    pub(super) const EXPIRES_MS: u8 = 252;
    pub(super) const EXPIRES_SECONDS: u8 = 253;
    pub(super) const SELECT: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// The encodings of lengths and strings.
mod encoding {
    /// The highest two bits of a length: how many bits it has, or that a string is encoded otherwise.
    pub(super) const BITS_6: u8 = 0;
    pub(super) const BITS_14: u8 = 1;
    pub(super) const SPECIAL: u8 = 3;
    /// The whole first byte of longer lengths.
    pub(super) const BITS_32: u8 = 0x80;
    pub(super) const BITS_64: u8 = 0x81;
    /// The lower six bits of a special encoding.
    pub(super) const INT_8: u64 = 0;
    pub(super) const INT_16: u64 = 1;
    pub(super) const INT_32: u64 = 2;
    pub(super) const LZF: u64 = 3;
}
