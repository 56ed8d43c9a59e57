//! The payloads of `DUMP` and `RESTORE`.

use crate::rdb::body::{Body, Item};
use crate::rdb::collections::{write_hash, write_list, write_set, write_sorted_set};
use crate::rdb::encode::write_string;
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::source::{Length, Source};
use crate::rdb::stream::{StreamBody, StreamEncoding, StreamPart, StreamWriter, dump_parts};
use crate::rdb::{
    HashEncoding, HashPair, Kind, NEWEST_VERSION, ScoredMember, SetEncoding, SortedSetEncoding,
    crc64, value_type,
};
use std::borrow::Cow;
use std::cell::RefCell;
use std::io;

/// The version in payloads that `DUMP` makes: that of Redis 7.0.
const DUMPED_VERSION: u16 = 10;
/// Bytes of the version and of the checksum.
const FOOTER: usize = 10;

/// The reason why a payload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// Its version is not known, or its checksum is wrong.
    VersionOrChecksum,
    /// It is of a type that is not read, or not in Redis's format.
    Format,
}

/// The value of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadValue<'p> {
    /// A string, which borrows from the payload if it is neither an integer nor compressed.
    String(Cow<'p, [u8]>),
    /// A list with at least one element.
    List(CollectionPayload<'p>),
    /// A set with at least one member.
    Set(CollectionPayload<'p>),
    /// A sorted set with at least one member.
    SortedSet(CollectionPayload<'p>),
    /// A hash with at least one field.
    Hash(CollectionPayload<'p>),
    /// A stream, which may be empty.
    Stream(StreamPayload<'p>),
}

/// A list, a set, a sorted set or a hash in a payload, which has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionPayload<'p> {
    number: u8,
    value: &'p [u8],
}

impl<'p> CollectionPayload<'p> {
    /// Returns the elements, members or pairs, from the first.
    pub fn items(self) -> PayloadItems<'p> {
        let body = Body::new(self.number).expect("it is of a collection's type");
        PayloadItems { source: Source::new(self.value), body }
    }
}

/// Reads a collection in a payload, with the method for its type.
///
/// Redis refuses a set that has a member twice, and a hash that has a field twice, with the same error as other damage.
/// The caller has to compare them.
pub struct PayloadItems<'p> {
    source: Source<&'p [u8]>,
    body: Body,
}

impl PayloadItems<'_> {
    /// Returns the next element of a list or member of a set, or `None` after the last. Also `None` if it is neither.
    ///
    /// # Errors
    /// If the payload is damaged. Elements that were returned may have been in front of the damage.
    pub fn element(&mut self) -> Result<Option<&[u8]>, PayloadError> {
        Ok(match self.item(&[Kind::List, Kind::Set])? {
            Some(Item::Element(element)) => Some(element),
            _ => None,
        })
    }

    /// Returns the next member of a sorted set with its score, which is no NaN, or `None` after the last, in the order
    /// of the payload. Also `None` if it is no sorted set.
    ///
    /// # Errors
    /// As for [`element`](Self::element).
    pub fn scored(&mut self) -> Result<Option<ScoredMember<'_>>, PayloadError> {
        Ok(match self.item(&[Kind::SortedSet])? {
            Some(Item::Scored(member)) => Some(member),
            _ => None,
        })
    }

    /// Returns the next field of a hash and its value, or `None` after the last. Also `None` if it is no hash.
    ///
    /// # Errors
    /// As for [`element`](Self::element).
    pub fn pair(&mut self) -> Result<Option<HashPair<'_>>, PayloadError> {
        Ok(match self.item(&[Kind::Hash])? {
            Some(Item::Pair(pair)) => Some(pair),
            _ => None,
        })
    }

    fn item(&mut self, kinds: &[Kind]) -> Result<Option<Item<'_>>, PayloadError> {
        if !kinds.contains(&self.body.kind()) {
            return Ok(None);
        }
        self.body.next(&mut self.source).map_err(|_| PayloadError::Format)
    }
}

/// A stream in a payload, which has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPayload<'p> {
    number: u8,
    value: &'p [u8],
}

impl<'p> StreamPayload<'p> {
    /// Returns the parts, from the first.
    pub fn parts(self) -> PayloadParts<'p> {
        let body = StreamBody::new(self.number).expect("it is of a stream's type");
        PayloadParts { source: Source::new(self.value), body }
    }
}

/// Reads a stream in a payload.
pub struct PayloadParts<'p> {
    source: Source<&'p [u8]>,
    body: StreamBody,
}

impl PayloadParts<'_> {
    /// Returns the next part, or `None` after the last.
    ///
    /// # Errors
    /// If the payload is damaged. Parts that were returned may have been in front of the damage.
    #[expect(clippy::should_implement_trait, reason = "the parts borrow from this")]
    pub fn next(&mut self) -> Result<Option<StreamPart<'_>>, PayloadError> {
        self.body.next(&mut self.source).map_err(|_| PayloadError::Format)
    }
}

/// Appends the payload of a string, which is given in pieces.
pub fn dump(pieces: &[&[u8]], out: &mut Vec<u8>) {
    dump_with(out, |out, compressor| {
        out.push(value_type::STRING);
        write_string(out, pieces, compressor);
    });
}

/// Appends the payload of a hash, which has `count` pairs.
///
/// # Panics
/// If there are not as many pairs as `count`, or a listpack has 4 GiB.
pub fn dump_hash<'a>(
    encoding: HashEncoding,
    count: usize,
    pairs: impl IntoIterator<Item = HashPair<'a>>,
    out: &mut Vec<u8>,
) {
    let pairs = pairs.into_iter();
    dump_with(out, |out, compressor| write_hash(out, encoding, count, pairs, compressor));
}

/// Appends the payload of a list.
pub fn dump_list<'a>(elements: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let elements = elements.into_iter();
    dump_with(out, |out, compressor| write_list(out, elements, compressor));
}

/// Appends the payload of a set, which has `count` members, in any order.
///
/// # Panics
/// If there are not as many members as `count`, or one of an intset is no integer.
pub fn dump_set<'a>(
    encoding: SetEncoding,
    count: usize,
    members: impl IntoIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) {
    let members = members.into_iter();
    dump_with(out, |out, compressor| write_set(out, encoding, count, members, compressor));
}

/// Appends the payload of a sorted set, which has `count` members, in the order of [`SortedSetEncoding`].
///
/// # Panics
/// If there are not as many members as `count`, or a listpack has 4 GiB.
pub fn dump_sorted_set<'a>(
    encoding: SortedSetEncoding,
    count: usize,
    members: impl IntoIterator<Item = ScoredMember<'a>>,
    out: &mut Vec<u8>,
) {
    let members = members.into_iter();
    dump_with(out, |out, compressor| write_sorted_set(out, encoding, count, members, compressor));
}

/// Appends the payload of a stream, whose parts `write` adds. Redis 7.0 has [`StreamEncoding::Listpacks2`].
///
/// # Errors
/// Those of `write`. What was appended is no payload then.
///
/// # Panics
/// As the methods of [`StreamWriter`] do, or if `write` does not add all parts.
pub fn dump_stream(
    encoding: StreamEncoding,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut StreamWriter<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut written = Ok(());
    dump_with(out, |out, compressor| written = dump_parts(out, encoding, compressor, write));
    written
}

/// Appends a payload, of which `write` appends the type and the value.
fn dump_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>, &mut LzfCompressor)) {
    thread_local! {
        static COMPRESSOR: RefCell<Option<LzfCompressor>> = const { RefCell::new(None) };
    }
    let from = out.len();
    // Taken out, so that an iterator may dump something else.
    let mut compressor = COMPRESSOR.take().unwrap_or_default();
    write(out, &mut compressor);
    COMPRESSOR.set(Some(compressor));
    out.extend_from_slice(&DUMPED_VERSION.to_le_bytes());
    let crc = crc64::after(0, &out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Returns the value of a payload. A collection or a stream is only known to be undamaged once it was
/// read to its end.
///
/// # Errors
/// If the payload is damaged, or of a newer version, or of another type, or an empty collection.
pub fn restore(payload: &[u8]) -> Result<PayloadValue<'_>, PayloadError> {
    let (value, footer) =
        payload.split_last_chunk::<FOOTER>().ok_or(PayloadError::VersionOrChecksum)?;
    let (version, crc) = footer.split_at(2);
    if u16::from_le_bytes([version[0], version[1]]) > NEWEST_VERSION
        || crc64::after(0, &payload[..payload.len() - crc.len()]).to_le_bytes() != *crc
    {
        return Err(PayloadError::VersionOrChecksum);
    }
    // As in Redis, bytes after the value do not matter.
    match value.split_first() {
        Some((&value_type::STRING, value)) => {
            string(value).map(PayloadValue::String).ok_or(PayloadError::Format)
        }
        Some((&number, value)) if StreamEncoding::of(number).is_some() => {
            Ok(PayloadValue::Stream(StreamPayload { number, value }))
        }
        Some((&number, value)) => {
            let mut body = Body::new(number).ok_or(PayloadError::Format)?;
            if body.next(&mut Source::new(value)).map_err(|_| PayloadError::Format)?.is_none() {
                return Err(PayloadError::Format);
            }
            let collection = CollectionPayload { number, value };
            Ok(match body.kind() {
                Kind::List => PayloadValue::List(collection),
                Kind::Set => PayloadValue::Set(collection),
                Kind::SortedSet => PayloadValue::SortedSet(collection),
                _ => PayloadValue::Hash(collection),
            })
        }
        None => Err(PayloadError::Format),
    }
}

fn string(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut source = Source::new(value);
    match source.any_length().ok()? {
        Length::Plain(length) => {
            let length = usize::try_from(length).ok()?;
            source.into_input().get(..length).map(Cow::Borrowed)
        }
        Length::Special(encoding) => source.encoded(encoding).ok().map(Cow::Owned),
    }
}
