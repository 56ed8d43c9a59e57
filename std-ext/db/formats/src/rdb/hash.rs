//! The pairs of a hash, in every encoding without fields that expire.

use crate::rdb::encode::{write_length, write_string};
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::packed::{Element, ListpackWriter, PackedCursor, PackedEncoding};
use crate::rdb::source::Source;
use crate::rdb::{RdbError, value_type};
use std::io::BufRead;

/// The encodings of a hash that are written. Redis names them in its reply to `OBJECT ENCODING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashEncoding {
    /// One string with all pairs, for small hashes. Redis 7 and later read it.
    Listpack,
    /// A count and the pairs. Every version of Redis reads it.
    HashTable,
}

/// A field and its value.
pub type HashPair<'a> = (&'a [u8], &'a [u8]);

/// A hash that is read pair by pair.
pub(super) struct HashBody {
    pairs: Pairs,
    /// The last pair, as far as it is not part of a packed value.
    field: Vec<u8>,
    value: Vec<u8>,
    integers: [itoa::Buffer; 2],
}

enum Pairs {
    /// A count, which was not read, and as many pairs.
    Uncounted,
    /// As many pairs.
    Counted(u64),
    /// A packed value, which was not read.
    Unread(PackedEncoding),
    Packed {
        bytes: Vec<u8>,
        cursor: PackedCursor,
    },
    /// The beginning could not be read.
    Damaged,
}

impl HashBody {
    /// Begins a value of this type, or returns `None` if that is no hash, or one with fields that expire.
    pub(super) fn new(number: u8) -> Option<Self> {
        let pairs = match number {
            value_type::HASH => Pairs::Uncounted,
            value_type::HASH_ZIPMAP => Pairs::Unread(PackedEncoding::Zipmap),
            value_type::HASH_ZIPLIST => Pairs::Unread(PackedEncoding::Ziplist),
            value_type::HASH_LISTPACK => Pairs::Unread(PackedEncoding::Listpack),
            _ => return None,
        };
        let integers = [itoa::Buffer::new(), itoa::Buffer::new()];
        Some(Self { pairs, field: Vec::new(), value: Vec::new(), integers })
    }

    /// Returns the next pair, or `None` after the last.
    pub(super) fn next<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<HashPair<'_>>, RdbError> {
        self.begin(source)?;
        match &mut self.pairs {
            Pairs::Counted(left @ 1..) => {
                *left -= 1;
                source.string_into(&mut self.field)?;
                source.string_into(&mut self.value)?;
                Ok(Some((&self.field, &self.value)))
            }
            Pairs::Packed { bytes, cursor } => {
                let pair = packed_pair(bytes, cursor).map_err(|why| source.damaged(why))?;
                let [for_field, for_value] = &mut self.integers;
                Ok(pair.map(|(field, value)| (field.text(for_field), value.text(for_value))))
            }
            _ => Ok(None),
        }
    }

    /// Reads the count, or a packed value.
    fn begin<R: BufRead>(&mut self, source: &mut Source<R>) -> Result<(), RdbError> {
        match std::mem::replace(&mut self.pairs, Pairs::Damaged) {
            Pairs::Uncounted => self.pairs = Pairs::Counted(source.length()?),
            Pairs::Unread(encoding) => {
                let bytes = source.string()?;
                let cursor =
                    PackedCursor::new(encoding, &bytes).map_err(|why| source.damaged(why))?;
                self.pairs = Pairs::Packed { bytes, cursor };
            }
            begun => self.pairs = begun,
        }
        Ok(())
    }

    /// Reads over the pairs that were not read. A packed value is not checked.
    pub(super) fn skip<R: BufRead>(self, source: &mut Source<R>) -> Result<(), RdbError> {
        let left = match self.pairs {
            Pairs::Unread(_) => return source.skip_string(),
            Pairs::Packed { .. } | Pairs::Damaged => return Ok(()),
            Pairs::Uncounted => source.length()?,
            Pairs::Counted(left) => left,
        };
        // Each round reads at least two bytes, so a wrong count ends with the input.
        for _ in 0..left {
            source.skip_string()?;
            source.skip_string()?;
        }
        Ok(())
    }
}

fn packed_pair<'a>(
    bytes: &'a [u8],
    cursor: &mut PackedCursor,
) -> Result<Option<(Element<'a>, Element<'a>)>, &'static str> {
    let Some(field) = cursor.next(bytes)? else { return Ok(None) };
    let value = cursor.next(bytes)?.ok_or("a hash has a field without a value")?;
    Ok(Some((field, value)))
}

/// Appends a hash, with its type.
///
/// # Panics
/// If there are not as many pairs as `count`, or a listpack has 4 GiB.
pub(super) fn write_hash<'a>(
    out: &mut Vec<u8>,
    encoding: HashEncoding,
    count: usize,
    pairs: impl Iterator<Item = HashPair<'a>>,
    compressor: &mut LzfCompressor,
) {
    let mut written = 0;
    let pairs = pairs.inspect(|_| written += 1);
    match encoding {
        HashEncoding::Listpack => {
            let mut listpack = ListpackWriter::new();
            pairs.for_each(|(field, value)| {
                listpack.push(field);
                listpack.push(value);
            });
            let listpack = listpack.finish().expect("only small hashes are listpacks");
            out.push(value_type::HASH_LISTPACK);
            write_string(out, &[&listpack], compressor);
        }
        HashEncoding::HashTable => {
            out.push(value_type::HASH);
            write_length(out, count as u64);
            pairs.for_each(|pair| write_pair(out, pair, compressor));
        }
    }
    assert_eq!(written, count, "pairs of a hash");
}

/// Appends a pair of a hash that is no listpack.
pub(super) fn write_pair(out: &mut Vec<u8>, (field, value): HashPair<'_>, by: &mut LzfCompressor) {
    write_string(out, &[field], by);
    write_string(out, &[value], by);
}
