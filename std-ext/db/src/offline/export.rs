//! `hedgerow-db export`.

use super::folder;
use super::report::{ReportProgress, json_string, output_error};
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::request::{
    OwnedValue, Packed, Score, StoredValue, ValueType, write_stream,
};
use hedgerow_db_formats::rdb::{ScoredMember, StreamEncoding, StreamWriter, Writer};
use hedgerow_db_redis::config::DataInvocation;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes all keys of a directory that have not expired to a file that Redis loads.
///
/// # Errors
/// If the directory cannot be read, or the file exists or cannot be written.
pub(super) fn run(
    asked: &DataInvocation,
    out: &mut dyn Write,
    progress: &mut ReportProgress<'_>,
) -> Result<bool, String> {
    let file = &asked.file;
    let file_error = |why: io::Error| format!("{}: {why}", file.display());
    if !asked.replace && file.exists() {
        return Err(format!("{} exists; use --replace to overwrite it", file.display()));
    }
    let loaded = folder::load(&asked.dir).map_err(|why| why.to_string())?;
    let mut databases = BTreeMap::<u16, (u64, u64)>::new();
    let (now, mut expired) = (TimeSource::System.now(), 0);
    loaded.each_key(&mut |database, _, expires_at, value| {
        if value.continues() {
            return;
        }
        if expires_at.is_some_and(|end| end <= now) {
            expired += 1;
            return;
        }
        let (keys, with_ttl) = databases.entry(database).or_default();
        *keys += 1;
        *with_ttl += u64::from(expires_at.is_some());
    });
    let keys: u64 = databases.values().map(|(keys, _)| keys).sum();
    let new = Temporary::beside(file);
    let bytes = write(&new.0, &loaded, &databases, now, progress).map_err(file_error)?;
    fs::rename(&new.0, file).map_err(file_error)?;
    sync_name(file).map_err(file_error)?;
    let text = if asked.json {
        let name = json_string(file.to_string_lossy().as_bytes()).unwrap_or_default();
        format!(
            "{{\"file\": {name}, \"keys\": {keys}, \"expired\": {expired}, \"bytes\": {bytes}}}\n"
        )
    } else {
        let left_out = match expired {
            0 => String::new(),
            _ => format!("Skipped: {expired} expired keys.\n"),
        };
        format!("Wrote {keys} keys to {}, {bytes} bytes.\n{left_out}", file.display())
    };
    out.write_all(text.as_bytes()).map_err(|why| output_error(&why))?;
    Ok(true)
}

/// A file that is removed unless it was renamed.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    pub(super) fn beside(file: &Path) -> Self {
        // Without a slash at the end, behind which the file would be inside.
        let mut name = file.components().as_path().as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        Self(name.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is gone if it was renamed.
        let _ = fs::remove_file(&self.0);
    }
}

fn write(
    path: &Path,
    loaded: &folder::Loaded,
    databases: &BTreeMap<u16, (u64, u64)>,
    now: u64,
    progress: &mut ReportProgress<'_>,
) -> io::Result<u64> {
    let mut writer = Writer::new(File::create_new(path)?)?;
    writer.note("redis-bits", "64")?;
    let (mut done, mut result, mut selected) = (0, Ok(()), None);
    let mut waiting = WaitingValue::default();
    loaded.each_key(&mut |database, key, expires_at, value| {
        if result.is_err() || expires_at.is_some_and(|end| end <= now) {
            return;
        }
        if !value.continues() {
            result = waiting.write(&mut writer);
            done += 1;
            progress.keys("export", done);
        }
        if result.is_ok() && selected != Some(database) {
            selected = Some(database);
            let (keys, with_ttl) = databases.get(&database).copied().unwrap_or_default();
            result = writer.database(database.into(), keys, with_ttl);
        }
        match value {
            StoredValue::Packed(part) => waiting.add(key, expires_at, part),
            StoredValue::String(value) if result.is_ok() => {
                result = writer.entry(key, expires_at, &[value]);
            }
            StoredValue::String(_) => {}
        }
    });
    result?;
    waiting.write(&mut writer)?;
    let (file, bytes) = writer.finish()?;
    file.sync_all()?;
    Ok(bytes)
}

/// The parts of a value, which are written together: a file has the number of entries in front of them.
#[derive(Default)]
struct WaitingValue {
    key: Vec<u8>,
    expires_at: Option<u64>,
    parts: Vec<OwnedValue>,
}

impl WaitingValue {
    fn add(&mut self, key: &[u8], expires_at: Option<u64>, part: Packed<'_>) {
        if !part.continues() {
            (self.key, self.expires_at) = (key.to_vec(), expires_at);
        }
        self.parts.push(StoredValue::Packed(part).to_owned());
    }

    /// Writes the value, if there is one.
    fn write(&mut self, writer: &mut Writer<File>) -> io::Result<()> {
        let parts = std::mem::take(&mut self.parts);
        let parts = parts.iter().filter_map(|part| part.stored().packed());
        let Some(value_type) = parts.clone().next().map(Packed::value_type) else { return Ok(()) };
        let count = parts.clone().map(Packed::len).sum();
        let (key, expires_at) = (&self.key, self.expires_at);
        if parts.clone().any(Packed::has_times) {
            let why = "a hash whose fields expire cannot be exported";
            return Err(io::Error::other(format!("{why}: \"{}\"", key.escape_ascii())));
        }
        match value_type {
            ValueType::Hash | ValueType::String => {
                writer.hash(key, expires_at, count, parts.flat_map(Packed::iter))
            }
            ValueType::Stream => {
                let write = |to: &mut StreamWriter<'_>| {
                    write_stream(parts.clone().flat_map(Packed::iter), to)
                };
                writer.stream(key, expires_at, StreamEncoding::Listpacks2, write)
            }
            ValueType::List => writer.list(key, expires_at, count, parts.flat_map(Packed::names)),
            ValueType::Set => writer.set(key, expires_at, count, parts.flat_map(Packed::names)),
            ValueType::SortedSet => {
                let members = parts.rev().flat_map(from_last);
                writer.sorted_set(key, expires_at, count, members)
            }
        }
    }
}

/// Returns the members of a part of a sorted set with their scores, from the last to the first, as Redis writes them:
/// it loads a long one much faster than in another order.
fn from_last(part: Packed<'_>) -> impl Iterator<Item = ScoredMember<'_>> {
    let members: Vec<_> = part.iter().collect();
    // No other bytes were ever stored as a score.
    let scored = |(member, score)| Some((member, Score::parse(score)?.get()));
    members.into_iter().rev().filter_map(scored)
}

fn sync_name(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
