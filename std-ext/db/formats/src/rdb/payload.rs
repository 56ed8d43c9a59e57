//! The payloads of `DUMP` and `RESTORE`.

use crate::rdb::lzf::LzfCompressor;
use crate::rdb::source::{Length, Source};
use crate::rdb::writer::write_string;
use crate::rdb::{NEWEST_VERSION, STRING, crc64};
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
    /// It is no string, or not in Redis's format.
    Format,
}

/// Appends the payload of a string, which is given in pieces.
pub fn dump(pieces: &[&[u8]], out: &mut Vec<u8>) {
    thread_local! {
        static COMPRESSOR: RefCell<Option<LzfCompressor>> = const { RefCell::new(None) };
    }
    let from = out.len();
    out.push(STRING);
    COMPRESSOR.with_borrow_mut(|compressor| {
        write_string(out, pieces, compressor.get_or_insert_default());
    });
    out.extend_from_slice(&DUMPED_VERSION.to_le_bytes());
    let crc = crc64::after(0, &out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Returns the string of a payload, which borrows from the payload if it is neither an integer nor compressed.
///
/// # Errors
/// If the payload is damaged, or of a newer version, or of another type.
pub fn restore(payload: &[u8]) -> Result<Cow<'_, [u8]>, PayloadError> {
    let (value, footer) =
        payload.split_last_chunk::<FOOTER>().ok_or(PayloadError::VersionOrChecksum)?;
    let (version, crc) = footer.split_at(2);
    if u16::from_le_bytes([version[0], version[1]]) > NEWEST_VERSION
        || crc64::after(0, &payload[..payload.len() - crc.len()]).to_le_bytes() != *crc
    {
        return Err(PayloadError::VersionOrChecksum);
    }
    let Some((&STRING, value)) = value.split_first() else { return Err(PayloadError::Format) };
    // As in Redis, bytes after the value do not matter.
    let mut source = Source::new(value);
    let value = match source.any_length() {
        Ok(Length::Plain(length)) => {
            let length = usize::try_from(length).ok();
            length.and_then(|length| source.into_input().get(..length)).map(Cow::Borrowed)
        }
        Ok(Length::Special(encoding)) => source.encoded(encoding).ok().map(Cow::Owned),
        Err(_) => None,
    };
    value.ok_or(PayloadError::Format)
}
