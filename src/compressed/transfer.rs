//! Export and import of all entries as a stream of bytes. Values are written as they are stored.
//!
//! ```text
//! "hedgerow" 'C' 1
//! 'm' | id: u8 | name's length: u8 | name | length: u32 | what the codec wrote of its model | sum: u32
//! 'e' | id: u8, 255 for none | lengths of key, value, stored value: u32 each | key | stored value | sum: u32
//! 'e' | id + 64: u8 | the three lengths | the key's position in the value: u32 | key | stored value | sum: u32
//! 'x' | milliseconds until it expires: u64 | as of 'e', from the id on
//! 'z' | how many entries: u64 | sum: u32
//! ```
//!
//! Numbers are little-endian. A sum is the CRC-32 of its block before it. A model is written before the first value
//! that it has compressed. A value with id + 64 was compressed without the key that it contains.

use super::codec::{Corrupt, Model};
use super::index::EntryCopy;
use super::key_in_value;
use super::record::MAX_MODELS;
use super::store::Store;
use super::types::StoreError;
use crate::table::walk::WalkPosition;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::time::Duration;
use crc32fast::Hasher;

const MAGIC: &[u8; 10] = b"hedgerowC\x01";
/// The id of values that are stored plain.
const PLAIN: u8 = u8::MAX;
/// Added to the id of values that were compressed without their key.
const WITHOUT_KEY: u8 = 64;
/// Bytes that are allocated before the reader has delivered them.
const PIECE: usize = 1 << 12;
/// All keys and values are shorter.
const LONGEST: usize = 1 << 21;
/// The most bytes of a model.
const LONGEST_MODEL: usize = 1 << 26;

/// Why an import failed. The entries that it has inserted stay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportError<E> {
    /// `read` failed.
    Read(E),
    /// The bytes are not those of an export, are damaged, or end too soon.
    Corrupt,
    /// Values were compressed by a codec that the map does not have.
    UnknownCodec {
        /// The codec's name.
        name: String,
    },
    /// An entry cannot be stored.
    Store {
        /// The error of the map.
        error: StoreError,
        /// The entry's key.
        key: Vec<u8>,
        /// The entry's value.
        value: Vec<u8>,
    },
}

impl<E: fmt::Display> fmt::Display for ImportError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Corrupt => f.write_str("the bytes are not what was exported"),
            Self::UnknownCodec { name } => write!(f, "the map has no codec {name:?}"),
            Self::Store { error, .. } => write!(f, "an entry cannot be stored: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for ImportError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Store { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl<E> From<Corrupt> for ImportError<E> {
    fn from(_: Corrupt) -> Self {
        Self::Corrupt
    }
}

/// Why an export failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError<E> {
    /// `write` failed.
    Write(E),
    /// The bytes of a value are damaged. Without this entry the others can be exported.
    Corrupt {
        /// The entry's key.
        key: Vec<u8>,
    },
    /// The merge function made a value of 2 MiB or more, which no map stores.
    ValueTooLarge {
        /// The entry's key.
        key: Vec<u8>,
    },
    /// A model is written in more than 64 MiB, which [`import`](crate::CompressedMap::import) refuses.
    ModelTooLarge {
        /// The codec's name.
        codec: &'static str,
    },
}

impl<E: fmt::Display> fmt::Display for ExportError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) => error.fmt(f),
            Self::Corrupt { key } => {
                write!(f, "the value of key {:?} is damaged", String::from_utf8_lossy(key))
            }
            Self::ValueTooLarge { key } => {
                write!(f, "the value of key {:?} is too long", String::from_utf8_lossy(key))
            }
            Self::ModelTooLarge { codec } => {
                write!(f, "a model of codec {codec:?} takes more than {LONGEST_MODEL} bytes")
            }
        }
    }
}

impl<E: Error + 'static> Error for ExportError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Write(error) => Some(error),
            _ => None,
        }
    }
}

/// Writes blocks, each with its sum.
struct SumWriter<W> {
    write: W,
    sum: Hasher,
}

impl<E, W: FnMut(&[u8]) -> Result<(), E>> SumWriter<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError<E>> {
        self.sum.update(bytes);
        (self.write)(bytes).map_err(ExportError::Write)
    }

    fn put_len(&mut self, len: usize) -> Result<(), ExportError<E>> {
        self.put(&(len as u32).to_le_bytes())
    }

    fn end(&mut self) -> Result<(), ExportError<E>> {
        let sum = core::mem::take(&mut self.sum).finalize();
        (self.write)(&sum.to_le_bytes()).map_err(ExportError::Write)
    }
}

/// Reads blocks, and checks their sums.
struct In<R> {
    read: R,
    sum: Hasher,
}

impl<E, R: FnMut(&mut [u8]) -> Result<usize, E>> In<R> {
    fn fill(&mut self, into: &mut [u8]) -> Result<(), ImportError<E>> {
        let mut done = 0;
        while done < into.len() {
            let rest = &mut into[done..];
            let len = rest.len();
            match (self.read)(rest).map_err(ImportError::Read)? {
                more if (1..=len).contains(&more) => done += more,
                _ => return Err(ImportError::Corrupt),
            }
        }
        self.sum.update(into);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImportError<E>> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, ImportError<E>> {
        self.array().map(|[byte]| byte)
    }

    fn len(&mut self) -> Result<usize, ImportError<E>> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// Reads `len` bytes. Memory grows with the bytes that were read, so a false length costs none.
    fn bytes(&mut self, len: usize) -> Result<Vec<u8>, ImportError<E>> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let from = bytes.len();
            bytes.resize(len.min(from + PIECE.max(from)), 0);
            self.fill(&mut bytes[from..])?;
        }
        Ok(bytes)
    }

    /// Ends a block, and compares its checksum.
    fn end(&mut self) -> Result<(), ImportError<E>> {
        let sum = core::mem::take(&mut self.sum).finalize();
        let told = u32::from_le_bytes(self.array()?);
        self.sum = Hasher::new();
        if sum == told { Ok(()) } else { Err(ImportError::Corrupt) }
    }
}

pub(super) fn export<E>(
    store: &Store,
    write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<usize, ExportError<E>> {
    let mut out = SumWriter { write, sum: Hasher::new() };
    (out.write)(MAGIC).map_err(ExportError::Write)?;
    let mut exported = [false; MAX_MODELS];
    let (mut position, mut entries, mut count) = (Some(WalkPosition::START), Vec::new(), 0);
    while let Some(at) = position {
        position = store.copy_bin(at, &mut entries);
        for entry in entries.drain(..) {
            export_entry(store, &mut out, &mut exported, entry)?;
            count += 1;
        }
    }
    out.put(b"z")?;
    out.put(&(count as u64).to_le_bytes())?;
    out.end()?;
    Ok(count)
}

fn export_entry<E>(
    store: &Store,
    out: &mut SumWriter<impl FnMut(&[u8]) -> Result<(), E>>,
    exported: &mut [bool; MAX_MODELS],
    entry: EntryCopy,
) -> Result<(), ExportError<E>> {
    // Each value is decompressed, so that an export contains no value that cannot be read.
    let Ok(value) = store.fold(&entry.key, &entry.chain) else {
        return Err(ExportError::Corrupt { key: entry.key });
    };
    if value.len() >= LONGEST {
        return Err(ExportError::ValueTooLarge { key: entry.key });
    }
    let stored = entry.only_record().and_then(|(head, stored)| Some((head.model()?, head, stored)));
    if let Some((id, ..)) = stored
        && !core::mem::replace(&mut exported[id], true)
    {
        export_model(store, out, id)?;
    }
    match store.expiry.remaining(entry.chain.deadline()) {
        Some(left) => {
            out.put(b"x")?;
            out.put(&(left.as_millis() as u64).to_le_bytes())?;
        }
        None => out.put(b"e")?,
    }
    let Some((id, head, stored)) = stored else {
        return put_entry(out, (PLAIN, None), &entry.key, value.len(), &value);
    };
    put_entry(out, (id as u8, head.key_at), &entry.key, value.len(), stored)
}

fn put_entry<E>(
    out: &mut SumWriter<impl FnMut(&[u8]) -> Result<(), E>>,
    (id, key_at): (u8, Option<usize>),
    key: &[u8],
    plain: usize,
    stored: &[u8],
) -> Result<(), ExportError<E>> {
    out.put(&[if key_at.is_some() { id + WITHOUT_KEY } else { id }])?;
    let lengths = [key.len(), plain, stored.len()].into_iter().chain(key_at);
    lengths.into_iter().try_for_each(|len| out.put_len(len))?;
    out.put(key)?;
    out.put(stored)?;
    out.end()
}

fn export_model<E>(
    store: &Store,
    out: &mut SumWriter<impl FnMut(&[u8]) -> Result<(), E>>,
    id: usize,
) -> Result<(), ExportError<E>> {
    let (Some(model), Some(codec)) = (store.models().model(id), store.models().name_of(id)) else {
        return Ok(());
    };
    let (mut bytes, mut fits) = (Vec::new(), true);
    model.export(&mut |part| {
        fits &= part.len() <= LONGEST_MODEL - bytes.len();
        if fits {
            bytes.extend_from_slice(part);
        }
    });
    if !fits {
        return Err(ExportError::ModelTooLarge { codec });
    }
    // The builder has checked the length of the name.
    out.put(&[b'm', id as u8, codec.len() as u8])?;
    out.put(codec.as_bytes())?;
    out.put_len(bytes.len())?;
    out.put(&bytes)?;
    out.end()
}

pub(super) fn import<E>(
    store: &Store,
    read: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<usize, ImportError<E>> {
    let mut from = In { read, sum: Hasher::new() };
    if from.array()? != *MAGIC {
        return Err(ImportError::Corrupt);
    }
    let mut models: [Option<Box<dyn Model>>; MAX_MODELS] = [const { None }; MAX_MODELS];
    let mut count = 0;
    from.sum = Hasher::new();
    loop {
        match from.byte()? {
            b'm' => import_model(store, &mut from, &mut models)?,
            b'e' => {
                import_entry(store, &mut from, &models, None)?;
                count += 1;
            }
            b'x' => {
                let left = Duration::from_millis(u64::from_le_bytes(from.array()?));
                import_entry(store, &mut from, &models, Some(left))?;
                count += 1;
            }
            b'z' => {
                let told = u64::from_le_bytes(from.array()?);
                from.end()?;
                return if told == count as u64 { Ok(count) } else { Err(ImportError::Corrupt) };
            }
            _ => return Err(ImportError::Corrupt),
        }
    }
}

fn import_model<E>(
    store: &Store,
    from: &mut In<impl FnMut(&mut [u8]) -> Result<usize, E>>,
    models: &mut [Option<Box<dyn Model>>; MAX_MODELS],
) -> Result<(), ImportError<E>> {
    let id = usize::from(from.byte()?);
    let len = usize::from(from.byte()?);
    let name = from.bytes(len)?;
    let len = from.len()?;
    if id >= MAX_MODELS || len > LONGEST_MODEL {
        return Err(ImportError::Corrupt);
    }
    let bytes = from.bytes(len)?;
    from.end()?;
    let Some(codec) = store.models().named(&name) else {
        let name = String::from_utf8_lossy(&name).into_owned();
        return Err(ImportError::UnknownCodec { name });
    };
    models[id] = Some(codec.import(&bytes)?);
    Ok(())
}

fn import_entry<E>(
    store: &Store,
    from: &mut In<impl FnMut(&mut [u8]) -> Result<usize, E>>,
    models: &[Option<Box<dyn Model>>; MAX_MODELS],
    time_to_live: Option<Duration>,
) -> Result<(), ImportError<E>> {
    let mut id = from.byte()?;
    let (key, plain, stored) = (from.len()?, from.len()?, from.len()?);
    let mut key_at = None;
    if (WITHOUT_KEY..2 * WITHOUT_KEY).contains(&id) {
        id -= WITHOUT_KEY;
        key_at = Some(from.len()?);
    }
    // No map stores a longer entry.
    if key.max(plain).max(stored) >= LONGEST {
        return Err(ImportError::Corrupt);
    }
    let (key, stored) = (from.bytes(key)?, from.bytes(stored)?);
    from.end()?;
    let value = if id == PLAIN {
        if plain != stored.len() {
            return Err(ImportError::Corrupt);
        }
        stored
    } else {
        let model = models.get(usize::from(id)).and_then(|model| model.as_deref());
        let mut value = alloc::vec![0; plain];
        let model = model.ok_or(Corrupt)?;
        match key_at {
            None => model.decompress(&stored, &mut value)?,
            Some(at) => key_in_value::decompress(model, &stored, at, &key, &mut value)?,
        }
        value
    };
    // A value that never expired goes on so, also if this map has a default.
    let deadline = time_to_live.map_or(Ok(0), |left| store.expiry.deadline(Some(left)));
    match deadline.and_then(|deadline| store.insert_until(&key, &value, deadline)) {
        Ok(_) => Ok(()),
        Err(error) => Err(ImportError::Store { error, key, value }),
    }
}
