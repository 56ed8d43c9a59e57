//! The reader of files.

use crate::rdb::body::{Body, Item};
use crate::rdb::skip::{self, Kind};
use crate::rdb::source::Source;
use crate::rdb::stream::{StreamBody, StreamPart};
use crate::rdb::{
    HashPair, MAGIC, NEWEST_VERSION, RdbError, ScoredMember, VALKEY_MAGIC, VALKEY_VERSION, opcode,
    value_type,
};
use std::io::BufRead;

/// Reads a file in Redis's format.
///
/// ```
/// # use hedgerow_db_formats as hedgerow_db;
/// use hedgerow_db::rdb::{RdbRecord, RdbValue, Reader, Writer};
///
/// let mut file = Vec::new();
/// let mut writer = Writer::new(&mut file)?;
/// writer.database(0, 2, 0)?;
/// writer.entry(b"rose", None, &[b"red"])?;
/// writer.hash(b"daisy", None, 1, [(&b"colour"[..], &b"white"[..])])?;
/// writer.finish()?;
/// let mut reader = Reader::new(&file[..])?;
/// while let Some(record) = reader.next()? {
///     let RdbRecord::Entry(entry) = record else { continue };
///     match entry.value {
///         RdbValue::String(value) => assert_eq!(value, b"red"),
///         RdbValue::Hash => {
///             while let Some((field, value)) = reader.pair()? {
///                 assert_eq!((field, value), (&b"colour"[..], &b"white"[..]));
///             }
///         }
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<R> {
    source: Source<R>,
    version: u16,
    database: u64,
    ended: bool,
    /// The collection of the last entry, as far as it is not read.
    collection: Option<Body>,
    /// The same of a stream.
    stream: Option<StreamBody>,
}

/// A part of a file.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RdbRecord {
    /// A key.
    Entry(Entry),
    /// A note about the file, such as `redis-ver` and the version of the program that wrote it.
    Note(Vec<u8>, Vec<u8>),
    /// The numbers of keys, and of those with an expiration, that a database probably has.
    Counts(u64, u64),
    /// A library of functions.
    Functions,
    /// Data of a module that belongs to no key.
    ModuleData,
}

/// A key with its value.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The database.
    pub database: u64,
    /// The key.
    pub key: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// Seconds since it was used, if the file says so.
    pub idle: Option<u64>,
    /// How often it was used, by Redis's measure, if the file says so.
    pub frequency: Option<u8>,
    /// The value.
    pub value: RdbValue,
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RdbValue {
    /// A string.
    String(Vec<u8>),
    /// A list, which follows: [`Reader::element`] returns its elements.
    List,
    /// A set, which follows: [`Reader::element`] returns its members.
    Set,
    /// A sorted set, which follows: [`Reader::scored`] returns its members and scores.
    SortedSet,
    /// A hash, which follows: [`Reader::pair`] returns its fields and values.
    Hash,
    /// A stream, which follows: [`Reader::stream_part`] returns its parts.
    Stream,
    /// A value of a type that is not read. Hashes with fields that expire, which Redis 7.4 and later write, are
    /// [`Kind::Hash`].
    Skipped(Kind),
}

impl RdbValue {
    /// Returns the type of a value that is no string.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::String(_) => return None,
            Self::List => Kind::List,
            Self::Set => Kind::Set,
            Self::SortedSet => Kind::SortedSet,
            Self::Hash => Kind::Hash,
            Self::Stream => Kind::Stream,
            Self::Skipped(kind) => *kind,
        })
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// If it is no file in Redis's format, or of a version that is not known.
    pub fn new(input: R) -> Result<Self, RdbError> {
        let mut source = Source::new(input);
        let begin: [u8; 9] = source.array()?;
        let no_file = RdbError::Damaged { offset: 0, why: "not an RDB file" };
        let (digits, versions) = match (begin.strip_prefix(MAGIC), begin.strip_prefix(VALKEY_MAGIC))
        {
            (Some(digits), _) => (digits, 1..=NEWEST_VERSION),
            (_, Some(digits)) => (digits, VALKEY_VERSION..=VALKEY_VERSION),
            _ => return Err(no_file),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(no_file);
        }
        let version = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        if !versions.contains(&version) {
            return Err(RdbError::Version(version));
        }
        Ok(Self { source, version, database: 0, ended: false, collection: None, stream: None })
    }

    /// Returns the version of the format.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Returns how many bytes were read.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Returns the input, at the first byte that was not read: behind the file, once [`next`](Self::next) has returned
    /// `None`.
    pub fn into_input(self) -> R {
        self.source.into_input()
    }

    /// Returns the next record, or `None` at the end. From version 5 on, the checksum was right then, or the file has
    /// none. Items of the value before that were not read are skipped.
    ///
    /// # Errors
    /// If the input ends before the file does, or is damaged, or has a value of an unknown type.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot fail for good")]
    pub fn next(&mut self) -> Result<Option<RdbRecord>, RdbError> {
        let mut entry = Entry {
            database: 0,
            key: Vec::new(),
            expires_at: None,
            idle: None,
            frequency: None,
            value: RdbValue::Hash,
        };
        if let Some(collection) = self.collection.take() {
            collection.skip(&mut self.source)?;
        }
        if let Some(stream) = self.stream.take() {
            stream.skip(&mut self.source)?;
        }
        while !self.ended {
            let source = &mut self.source;
            let code = source.byte()?;
            match code {
                opcode::EXPIRES_MS => {
                    let at = i64::from_le_bytes(source.array()?);
                    entry.expires_at = Some(at.try_into().unwrap_or(0));
                }
                opcode::EXPIRES_SECONDS => {
                    let at = i64::from(i32::from_le_bytes(source.array()?)) * 1000;
                    entry.expires_at = Some(at.try_into().unwrap_or(0));
                }
                opcode::IDLE => entry.idle = Some(source.length()?),
                opcode::FREQUENCY => entry.frequency = Some(source.byte()?),
                opcode::SELECT => self.database = source.length()?,
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        source.length()?;
                    }
                }
                opcode::RESIZE => {
                    return Ok(Some(RdbRecord::Counts(source.length()?, source.length()?)));
                }
                opcode::AUX => {
                    return Ok(Some(RdbRecord::Note(source.string()?, source.string()?)));
                }
                opcode::FUNCTION => {
                    source.skip_string()?;
                    return Ok(Some(RdbRecord::Functions));
                }
                opcode::FUNCTION_PRERELEASE => {
                    return Err(source.damaged("functions of a prerelease of Redis 7"));
                }
                opcode::MODULE_AUX => {
                    source.skip_module_data()?;
                    return Ok(Some(RdbRecord::ModuleData));
                }
                opcode::END => self.end()?,
                kind => return self.entry(kind, entry).map(|entry| Some(RdbRecord::Entry(entry))),
            }
        }
        Ok(None)
    }

    /// Returns the next element of a list, or member of a set, or `None` after the last. The list is the value of the
    /// entry that [`next`](Self::next) has returned last. For values of other types this returns `None`.
    ///
    /// A damaged file may have a member twice, which only the caller can notice. Redis leaves keys out whose value has
    /// no element. The checksum of a file is only compared at its end.
    ///
    /// # Errors
    /// If the input ends before the value does, or is damaged.
    pub fn element(&mut self) -> Result<Option<&[u8]>, RdbError> {
        Ok(match self.item(&[Kind::List, Kind::Set])? {
            Some(Item::Element(element)) => Some(element),
            _ => None,
        })
    }

    /// Returns the next member of a sorted set with its score, in the order of the file, or `None` after the last, as
    /// [`element`](Self::element) does. No score is a NaN.
    ///
    /// # Errors
    /// If the input ends before the sorted set does, or is damaged.
    pub fn scored(&mut self) -> Result<Option<ScoredMember<'_>>, RdbError> {
        Ok(match self.item(&[Kind::SortedSet])? {
            Some(Item::Scored(member)) => Some(member),
            _ => None,
        })
    }

    /// Returns the next field of a hash with its value, or `None` after the last, as [`element`](Self::element) does.
    ///
    /// # Errors
    /// If the input ends before the hash does, or is damaged.
    pub fn pair(&mut self) -> Result<Option<HashPair<'_>>, RdbError> {
        Ok(match self.item(&[Kind::Hash])? {
            Some(Item::Pair(pair)) => Some(pair),
            _ => None,
        })
    }

    /// Returns the next part of a stream, or `None` after the last, as [`element`](Self::element) does.
    ///
    /// # Errors
    /// If the input ends before the stream does, or is damaged: ids that do not ascend, wrong lengths, names that are
    /// there twice, and pending entries that have no consumer, or two.
    pub fn stream_part(&mut self) -> Result<Option<StreamPart<'_>>, RdbError> {
        match &mut self.stream {
            Some(stream) => stream.next(&mut self.source),
            None => Ok(None),
        }
    }

    /// Returns the next item, if the collection is of one of these kinds.
    fn item(&mut self, kinds: &[Kind]) -> Result<Option<Item<'_>>, RdbError> {
        match &mut self.collection {
            Some(body) if kinds.contains(&body.kind()) => body.next(&mut self.source),
            _ => Ok(None),
        }
    }

    /// Reads a key and its value.
    fn entry(&mut self, kind: u8, mut entry: Entry) -> Result<Entry, RdbError> {
        let is_valkey = self.version == VALKEY_VERSION;
        if kind != value_type::STRING && !skip::is_known(kind, is_valkey) {
            let offset = self.source.offset() - 1;
            return Err(RdbError::UnknownType { number: kind, offset });
        }
        (entry.database, entry.key) = (self.database, self.source.string()?);
        (self.collection, self.stream) = (Body::new(kind), StreamBody::new(kind));
        entry.value = match self.collection.as_ref().map(Body::kind) {
            Some(Kind::List) => RdbValue::List,
            Some(Kind::Set) => RdbValue::Set,
            Some(Kind::SortedSet) => RdbValue::SortedSet,
            Some(_) => RdbValue::Hash,
            None if self.stream.is_some() => RdbValue::Stream,
            None if kind == value_type::STRING => RdbValue::String(self.source.string()?),
            None => RdbValue::Skipped(self.source.skip_value(kind, is_valkey)?),
        };
        Ok(entry)
    }

    fn end(&mut self) -> Result<(), RdbError> {
        self.ended = true;
        if self.version < 5 {
            return Ok(());
        }
        let wanted = self.source.crc();
        match u64::from_le_bytes(self.source.array()?) {
            // Written with `rdbchecksum no`.
            0 => Ok(()),
            found if found == wanted => Ok(()),
            _ => Err(self.source.damaged("the checksum is wrong")),
        }
    }
}
