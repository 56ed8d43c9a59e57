//! The files of an import: one RDB or AOF file, or several that a manifest names.

use super::aof::Aof;
use super::item::{ImportedKey, Item, Take};
use super::summary::{Summary, count};
use hedgerow_db_engine::request::{
    LONGEST_KEY, OwnedValue, Packer, Score, StreamPacker, ValueType, ascending,
};
use hedgerow_db_formats::rdb::{Entry, RdbRecord, RdbValue, Reader};
use hedgerow_db_formats::resp::inline;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// How much of a file is read at a time.
const BUFFER: usize = 1 << 20;
/// A part of a long value has about as many bytes.
const PART: usize = 1 << 20;

/// The files, in the order in which they are read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sources {
    files: Vec<PathBuf>,
    /// Whether a file that begins with an RDB file is the beginning of an AOF.
    is_aof: bool,
    /// A name for errors, instead of those of the files.
    name: Option<&'static str>,
}

/// The part of the files that is imported.
#[derive(Clone, Copy)]
pub(super) struct Selection {
    /// The database; none for all, each under its number.
    pub(super) database: Option<u64>,
    /// The time by which keys of an RDB file have expired.
    pub(super) now: u64,
}

impl Sources {
    /// Finds the files that a path names.
    ///
    /// # Errors
    /// If it names none, or a manifest is damaged.
    pub(super) fn find(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(|why| format!("{shown}: {why}"))?;
            let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
            let mut manifests: Vec<_> = entries.filter(|path| is_manifest(path)).collect();
            return match (manifests.pop(), manifests.is_empty()) {
                (Some(manifest), true) => read_manifest(&manifest),
                (None, _) => Err(format!("{shown} contains no .manifest file")),
                _ => Err(format!("{shown} contains several manifests; name one of them")),
            };
        }
        if is_manifest(path) { read_manifest(path) } else { Self::one(path) }
    }

    /// Returns one file. An AOF may begin as an RDB file does, and is known by its name then.
    fn one(path: &Path) -> Result<Self, String> {
        let mut begin = [0];
        let read = File::open(path).and_then(|mut file| file.read(&mut begin));
        let bytes = read.map_err(|why| format!("{}: {why}", path.display()))?;
        let is_aof =
            bytes == 1 && begin != *b"R" || path.extension().is_some_and(|end| end == "aof");
        Ok(Self { files: vec![path.into()], is_aof, name: None })
    }

    /// Returns the RDB file that a running Redis has sent. Commands follow, on the connection.
    pub(super) fn live(file: &Path) -> Self {
        Self { files: vec![file.into()], is_aof: true, name: Some("the data that Redis sent") }
    }

    /// Returns whether commands follow the keys, so that keys that have expired must be stored before the commands.
    pub(super) fn is_aof(&self) -> bool {
        self.is_aof
    }

    /// Reads all files.
    ///
    /// # Errors
    /// If a file is damaged or cannot be read, or `take` fails.
    pub(super) fn read(
        &self,
        selection: Selection,
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        for (number, file) in self.files.iter().enumerate() {
            let named = |why: String| match self.name {
                Some(name) => format!("{name}: {why}"),
                None => format!("{}: {why}", file.display()),
            };
            let opened = File::open(file).map_err(|why| named(why.to_string()))?;
            let is_last = number + 1 == self.files.len();
            let input = BufReader::with_capacity(BUFFER, opened);
            self.read_file(input, is_last, selection, summary, take).map_err(named)?;
        }
        Ok(())
    }

    fn read_file(
        &self,
        mut input: impl BufRead,
        is_last: bool,
        selection: Selection,
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        let begin = input.fill_buf().map_err(|why| why.to_string())?;
        if !begin.starts_with(b"REDIS") && !begin.starts_with(b"VALKEY") {
            return Aof::new(selection.database, 0).read(input, is_last, summary, take);
        }
        let mut reader = Reader::new(input).map_err(|why| why.to_string())?;
        while let Some(record) = reader.next().map_err(|why| why.to_string())? {
            match record {
                RdbRecord::Entry(entry) => {
                    self.entry(entry, &mut reader, selection, summary, take)?;
                }
                RdbRecord::Functions => summary.functions += 1,
                RdbRecord::ModuleData => summary.module_data += 1,
                // Notes and counts.
                _ => {}
            }
        }
        let offset = reader.offset();
        Aof::new(selection.database, offset).read(reader.into_input(), is_last, summary, take)
    }

    fn entry(
        &self,
        mut entry: Entry,
        reader: &mut Reader<impl BufRead>,
        selection: Selection,
        summary: &mut Summary,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        if selection.database.is_some_and(|database| entry.database != database) {
            count(&mut summary.databases, entry.database);
        } else if let RdbValue::Skipped(kind) = &entry.value {
            count(&mut summary.types, kind.to_string());
        } else if entry.key.len() > LONGEST_KEY {
            summary.long_keys += 1;
        } else if !self.is_aof && entry.expires_at.is_some_and(|end| end <= selection.now) {
            summary.expired += 1;
        } else if let RdbValue::String(value) = &mut entry.value {
            summary.keys += 1;
            let value = OwnedValue::string(std::mem::take(value));
            take(Item::Key(imported(&entry, value, Some(0))))?;
        } else if entry.value == RdbValue::Stream {
            summary.keys += 1;
            let value = read_stream(reader)?;
            take(Item::Key(imported(&entry, value, Some(0))))?;
        } else {
            // As Redis, this leaves an empty value out.
            summary.keys += u64::from(read_collection(&entry, reader, take)?);
        }
        Ok(())
    }
}

fn imported(entry: &Entry, value: OwnedValue, ends: Option<usize>) -> ImportedKey {
    let Entry { database, expires_at, .. } = *entry;
    ImportedKey { database, key: entry.key.clone(), expires_at, value, ends }
}

/// Reads a stream, all of which is in memory then.
///
/// # Errors
/// If the file is damaged, or the stream is longer than a value may be.
fn read_stream(reader: &mut Reader<impl BufRead>) -> Result<OwnedValue, String> {
    let mut packer = StreamPacker::default();
    while let Some(part) = reader.stream_part().map_err(|why| why.to_string())? {
        if !packer.push(part) {
            return Err("a stream has more than 512 MiB".to_owned());
        }
    }
    Ok(packer.finish())
}

/// Reads the entries of a value of another type than string or stream. Returns whether there are any.
///
/// # Errors
/// If the file is damaged, or two names of a part are the same; or if `take` fails.
fn read_collection(
    entry: &Entry,
    reader: &mut Reader<impl BufRead>,
    take: &mut Take<'_>,
) -> Result<bool, String> {
    let value_type = match entry.value {
        RdbValue::List => ValueType::List,
        RdbValue::Set => ValueType::Set,
        RdbValue::SortedSet => ValueType::SortedSet,
        _ => ValueType::Hash,
    };
    let (mut packer, mut entries, mut score) = (Packer::new(value_type), 0, [0; 8]);
    while let Some((name, value)) = next_entry(value_type, reader, &mut score)? {
        let bytes = packer.packed().bytes().len() + name.len() + value.len();
        if bytes > PART && !packer.packed().is_empty() {
            let full = std::mem::replace(&mut packer, Packer::new(value_type).continuing());
            take(Item::Key(imported(entry, finished(full)?, None)))?;
        }
        packer.push(name, value);
        entries += 1;
    }
    if entries > 0 {
        take(Item::Key(imported(entry, finished(packer)?, Some(entries))))?;
    }
    Ok(entries > 0)
}

/// A name and its value.
type NamedValue<'r> = (&'r [u8], &'r [u8]);

/// Returns the next entry of a value: a name and its value. A score is stored in `stored`.
fn next_entry<'r>(
    value_type: ValueType,
    reader: &'r mut Reader<impl BufRead>,
    stored: &'r mut [u8; 8],
) -> Result<Option<NamedValue<'r>>, String> {
    let entry = match value_type {
        ValueType::List | ValueType::Set => {
            reader.element().map(|element| element.map(|element| (element, &b""[..])))
        }
        ValueType::SortedSet => reader.scored().map(move |member| {
            let (member, score) = member?;
            *stored = Score::new(score)?.bytes();
            Some((member, &stored[..]))
        }),
        ValueType::Hash | ValueType::Stream | ValueType::String => reader.pair(),
    };
    entry.map_err(|why| why.to_string())
}

/// Returns a part of a value.
///
/// # Errors
/// If two of its names are the same.
fn finished(part: Packer) -> Result<OwnedValue, String> {
    let value_type = part.packed().value_type();
    if value_type != ValueType::List && part.packed().has_name_twice() {
        return Err(name_twice(value_type));
    }
    let is_sorted_set = value_type == ValueType::SortedSet;
    Ok(if is_sorted_set { ascending(part) } else { part }.into_owned())
}

/// Returns the error about a value that has two names that are the same. Redis refuses such a file, too.
pub(super) fn name_twice(value_type: ValueType) -> String {
    match value_type {
        ValueType::Set => "a set has the same member twice",
        ValueType::SortedSet => "a sorted set has the same member twice",
        _ => "a hash has the same field twice",
    }
    .to_owned()
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "manifest")
}

/// Reads a manifest: lines `file NAME seq NUMBER type LETTER`, with `b` for the base, `i` for a later file, and `h`
/// for files that are no longer needed.
fn read_manifest(path: &Path) -> Result<Sources, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let text = fs::read(path).map_err(|why| named(&why))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut base, mut increments) = (None, Vec::new());
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = || named(&format_args!("not a line of a manifest: {}", line.escape_ascii()));
        let words = inline::split(line).map_err(|_| wrong())?;
        let value = |name: &str| {
            let pairs = words.as_chunks::<2>().0;
            pairs.iter().find(|[key, _]| key == name.as_bytes()).map(|[_, value]| &value[..])
        };
        let text =
            |name| value(name).and_then(|value| std::str::from_utf8(value).ok()).ok_or_else(wrong);
        let (file, kind) = (text("file")?, text("type")?);
        if Path::new(file).file_name().is_none_or(|name| name != file) {
            return Err(named(&format_args!("a file name with a directory: {file}")));
        }
        let number: u64 = text("seq")?.parse().map_err(|_| wrong())?;
        match kind {
            "b" if base.is_none() => base = Some(folder.join(file)),
            "i" => increments.push((number, folder.join(file))),
            "h" => {}
            _ => return Err(wrong()),
        }
    }
    increments.sort();
    let files: Vec<_> =
        base.into_iter().chain(increments.into_iter().map(|(_, file)| file)).collect();
    if files.is_empty() {
        Err(named(&"it names no file"))
    } else {
        Ok(Sources { files, is_aof: true, name: None })
    }
}
