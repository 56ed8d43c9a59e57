//! The payloads of `DUMP` and `RESTORE`.

use crate::rdb::encode::write_string;
use crate::rdb::hash::{HashBody, write_hash};
use crate::rdb::lzf::LzfCompressor;
use crate::rdb::source::{Length, Source};
use crate::rdb::{HashEncoding, HashPair, NEWEST_VERSION, crc64, value_type};
use std::borrow::Cow;
use std::cell::RefCell;

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
    /// A hash with at least one field.
    Hash(HashPayload<'p>),
}

/// A hash in a payload, which has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashPayload<'p> {
    kind: u8,
    value: &'p [u8],
}

impl<'p> HashPayload<'p> {
    /// Returns the pairs, from the first.
    pub fn pairs(self) -> HashPairs<'p> {
        let body = HashBody::new(self.kind).expect("it is of a hash's type");
        HashPairs { source: Source::new(self.value), body }
    }
}

/// Reads the pairs of a hash in a payload.
pub struct HashPairs<'p> {
    source: Source<&'p [u8]>,
    body: HashBody,
}

impl HashPairs<'_> {
    /// Returns the next field and its value, or `None` after the last.
    ///
    /// Redis refuses a hash that has a field twice with the same error as other damage. The caller has to compare the
    /// fields.
    ///
    /// # Errors
    /// If the payload is damaged. Pairs that were returned may have been in front of the damage.
    #[expect(clippy::should_implement_trait, reason = "the pairs borrow from this")]
    pub fn next(&mut self) -> Result<Option<HashPair<'_>>, PayloadError> {
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

/// Appends a payload, of which `write` appends the type and the value.
fn dump_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>, &mut LzfCompressor)) {
    thread_local! {
        static COMPRESSOR: RefCell<Option<LzfCompressor>> = const { RefCell::new(None) };
    }
    let from = out.len();
    // Taken out, so that an iterator of pairs may dump something else.
    let mut compressor = COMPRESSOR.take().unwrap_or_default();
    write(out, &mut compressor);
    COMPRESSOR.set(Some(compressor));
    out.extend_from_slice(&DUMPED_VERSION.to_le_bytes());
    let crc = crc64::after(0, &out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Returns the value of a payload. The pairs of a hash are only known to be undamaged once all were read.
///
/// # Errors
/// If the payload is damaged, or of a newer version, or of another type, or an empty hash.
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
        Some((&kind, value)) if HashBody::new(kind).is_some() => {
            let hash = HashPayload { kind, value };
            match hash.pairs().next()? {
                Some(_) => Ok(PayloadValue::Hash(hash)),
                None => Err(PayloadError::Format),
            }
        }
        _ => Err(PayloadError::Format),
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
