//! The types of values: of which parts they consist, and where they end.

use crate::rdb::packed::PackedEncoding::{self, Intset, Listpack, Ziplist, Zipmap};
use crate::rdb::source::Source;
use crate::rdb::stream::StreamEncoding;
use crate::rdb::{RdbError, fraction};
use std::fmt;
use std::io::BufRead;

/// The type of a value that is no string, as `TYPE` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
    /// A value of a module: the nine letters of its type.
    Module([u8; 9]),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list"),
            Self::Set => f.write_str("set"),
            Self::SortedSet => f.write_str("zset"),
            Self::Hash => f.write_str("hash"),
            Self::Stream => f.write_str("stream"),
            Self::Module(name) => f.write_str(&String::from_utf8_lossy(name)),
        }
    }
}

/// The parts of a value.
#[derive(Clone, Copy)]
pub(super) enum ValueShape {
    /// These parts.
    Once(&'static [ValuePart]),
    /// A count, and as many times these parts.
    Repeated(&'static [ValuePart]),
    /// A time, a count, and as many times these parts.
    TimeAndRepeated(&'static [ValuePart]),
    Stream(StreamEncoding),
    Module,
}

#[derive(Clone, Copy)]
pub(super) enum ValuePart {
    String,
    /// A string with many elements.
    Packed(PackedEncoding),
    /// Whether the next part is a packed string, or one element.
    Container,
    /// The time at which something expires.
    Time,
    /// The time at which a field expires, relative to the first of them.
    ExpiresIn,
    /// A fraction in eight bytes.
    Binary,
    /// A fraction as text.
    Text,
}

/// Returns the kind and the shape of a type, except for strings.
pub(super) fn described(number: u8) -> Option<(Option<Kind>, ValueShape)> {
    use ValuePart::{Binary, Container, ExpiresIn, Packed, String, Text, Time};
    use ValueShape::{Once, Repeated};
    let (kind, shape) = match number {
        1 => (Kind::List, Repeated(&[String])),
        2 => (Kind::Set, Repeated(&[String])),
        3 => (Kind::SortedSet, Repeated(&[String, Text])),
        4 => (Kind::Hash, Repeated(&[String, String])),
        5 => (Kind::SortedSet, Repeated(&[String, Binary])),
        7 => return Some((None, ValueShape::Module)),
        9 => (Kind::Hash, Once(&[Packed(Zipmap)])),
        10 => (Kind::List, Once(&[Packed(Ziplist)])),
        11 => (Kind::Set, Once(&[Packed(Intset)])),
        12 => (Kind::SortedSet, Once(&[Packed(Ziplist)])),
        13 => (Kind::Hash, Once(&[Packed(Ziplist)])),
        14 => (Kind::List, Repeated(&[Packed(Ziplist)])),
        15 => (Kind::Stream, ValueShape::Stream(StreamEncoding::Listpacks)),
        16 => (Kind::Hash, Once(&[Packed(Listpack)])),
        17 => (Kind::SortedSet, Once(&[Packed(Listpack)])),
        18 => (Kind::List, Repeated(&[Container, Packed(Listpack)])),
        19 => (Kind::Stream, ValueShape::Stream(StreamEncoding::Listpacks2)),
        20 => (Kind::Set, Once(&[Packed(Listpack)])),
        21 => (Kind::Stream, ValueShape::Stream(StreamEncoding::Listpacks3)),
        22 => (Kind::Hash, Repeated(&[ExpiresIn, String, String])),
        23 => (Kind::Hash, Once(&[String])),
        24 => (Kind::Hash, ValueShape::TimeAndRepeated(&[ExpiresIn, String, String])),
        25 => (Kind::Hash, Once(&[Time, String])),
        _ => return None,
    };
    Some((Some(kind), shape))
}

/// In files of Valkey, a hash with fields that expire: each with its value and its time. Redis has other types from
/// this number on.
const VALKEY_EXPIRING_HASH: u8 = 22;

/// Returns whether the end of a value of this type is known.
pub(super) fn is_known(number: u8, is_valkey: bool) -> bool {
    described(number).is_some() && (!is_valkey || number <= VALKEY_EXPIRING_HASH)
}

/// The bytes of a time, and of the id of an entry of a stream.
const TIME: u64 = 8;
const STREAM_ID: u64 = 16;

/// The codes between the parts of a module's value.
mod module {
    pub(super) const END: u64 = 0;
    pub(super) const SIGNED: u64 = 1;
    pub(super) const UNSIGNED: u64 = 2;
    pub(super) const FLOAT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const STRING: u64 = 5;
}

impl<R: BufRead> Source<R> {
    /// Reads over a value of a type that is no string.
    pub(super) fn skip_value(&mut self, number: u8, is_valkey: bool) -> Result<Kind, RdbError> {
        if is_valkey && number == VALKEY_EXPIRING_HASH {
            self.skip_repeated(&[ValuePart::String, ValuePart::String, ValuePart::Time])?;
            return Ok(Kind::Hash);
        }
        let Some((kind, shape)) = described(number) else {
            return Err(RdbError::UnknownType { number, offset: self.offset() });
        };
        match shape {
            ValueShape::Once(parts) => self.skip_parts(1, parts)?,
            ValueShape::Repeated(parts) => self.skip_repeated(parts)?,
            ValueShape::TimeAndRepeated(parts) => {
                self.skip(TIME)?;
                self.skip_repeated(parts)?;
            }
            ValueShape::Stream(encoding) => {
                let nodes = self.length()?;
                self.skip_stream_from(encoding, nodes)?;
            }
            ValueShape::Module => {
                let kind = Kind::Module(module_name(self.length()?));
                self.skip_module_parts()?;
                return Ok(kind);
            }
        }
        kind.ok_or(RdbError::UnknownType { number, offset: self.offset() })
    }

    fn skip_repeated(&mut self, parts: &[ValuePart]) -> Result<(), RdbError> {
        let count = self.length()?;
        self.skip_parts(count, parts)
    }

    /// Reads over these parts, as often as this.
    pub(super) fn skip_parts(&mut self, count: u64, parts: &[ValuePart]) -> Result<(), RdbError> {
        // Each round reads at least one byte, so a wrong count ends with the input.
        for _ in 0..count {
            for part in parts {
                match part {
                    ValuePart::String | ValuePart::Packed(_) => self.skip_string()?,
                    ValuePart::Container | ValuePart::ExpiresIn => drop(self.length()?),
                    ValuePart::Time => self.skip(TIME)?,
                    ValuePart::Binary => self.skip(8)?,
                    ValuePart::Text => match self.byte()? {
                        fraction::NAN.. => {}
                        bytes => self.skip(bytes.into())?,
                    },
                }
            }
        }
        Ok(())
    }

    fn skip_lengths(&mut self, count: usize) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.length().map(drop))
    }

    /// Reads over a stream, of whose nodes as many follow.
    pub(super) fn skip_stream_from(
        &mut self,
        encoding: StreamEncoding,
        nodes: u64,
    ) -> Result<(), RdbError> {
        self.skip_parts(nodes, &[ValuePart::String, ValuePart::String])?;
        // The number of entries and the last id; the first id, the last deleted one, and all entries that ever were.
        self.skip_lengths(if encoding == StreamEncoding::Listpacks { 3 } else { 8 })?;
        let groups = self.length()?;
        self.skip_groups(encoding, groups)
    }

    /// Reads over groups of consumers.
    pub(super) fn skip_groups(
        &mut self,
        encoding: StreamEncoding,
        groups: u64,
    ) -> Result<(), RdbError> {
        for _ in 0..groups {
            self.skip_string()?;
            self.skip_lengths(if encoding == StreamEncoding::Listpacks { 2 } else { 3 })?;
            let pending = self.length()?;
            self.skip_pending(pending)?;
            let consumers = self.length()?;
            self.skip_consumers(encoding, consumers)?;
        }
        Ok(())
    }

    /// Reads over pending entries of a group.
    pub(super) fn skip_pending(&mut self, entries: u64) -> Result<(), RdbError> {
        for _ in 0..entries {
            self.skip(STREAM_ID + TIME)?;
            self.length()?;
        }
        Ok(())
    }

    pub(super) fn skip_consumers(
        &mut self,
        encoding: StreamEncoding,
        consumers: u64,
    ) -> Result<(), RdbError> {
        for _ in 0..consumers {
            self.skip_string()?;
            self.skip(if encoding == StreamEncoding::Listpacks3 { 2 * TIME } else { TIME })?;
            let owned = self.length()?;
            self.skip_owned(owned)?;
        }
        Ok(())
    }

    /// Reads over pending entries of a consumer.
    pub(super) fn skip_owned(&mut self, entries: u64) -> Result<(), RdbError> {
        (0..entries).try_for_each(|_| self.skip(STREAM_ID))
    }

    /// Reads over data of a module that belongs to no key.
    pub(super) fn skip_module_data(&mut self) -> Result<(), RdbError> {
        // The module; a code and a number that say when the module reads it are parts like the others.
        self.length()?;
        self.skip_module_parts()
    }

    fn skip_module_parts(&mut self) -> Result<(), RdbError> {
        loop {
            match self.length()? {
                module::END => return Ok(()),
                module::SIGNED | module::UNSIGNED => drop(self.length()?),
                module::FLOAT => self.skip(4)?,
                module::DOUBLE => self.skip(8)?,
                module::STRING => self.skip_string()?,
                _ => return Err(self.damaged("a part of a module's value is unknown")),
            }
        }
    }
}

/// Returns the name that a module's id has: nine letters of six bits, above ten bits for a version.
fn module_name(id: u64) -> [u8; 9] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array::from_fn(|at| LETTERS[(id >> (58 - 6 * at) & 0x3F) as usize])
}
