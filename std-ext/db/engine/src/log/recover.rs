//! Recovery of the log at startup: replays the entries in order, truncates a torn tail, and rejects any other damage.
//!
//! A crash of the process leaves at most one incomplete entry at the end. A power failure leaves an arbitrary subset of
//! the pages that were not synced, so a valid entry may follow an invalid one. Recovery therefore truncates the last
//! segment at its first invalid entry, unless it finds proof that the missing entries had been synced: a sync mark
//! behind that place, or a later segment. Synced entries may have been acknowledged, and to continue without them would
//! lose them silently, so the log is not opened then. If the torn tail contains valid entries, it is copied to a file
//! of its own first.
//!
//! The [manifest](Manifest) tells recovery of a missing segment, and of a missing end after a clean shutdown.

use crate::log::api::Lsn;
use crate::log::disk::DiskFile;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::{ENTRY_HEADER, FrameItem, InvalidTail, SegmentReader};
use crate::log::manifest::Manifest;
use crate::log::open_error::OpenError;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The prefix of the segments' names. The number of the first entry follows.
#[doc(hidden)]
pub const NAME: &str = "log-";
/// The prefix of the names of files with a torn tail that contains valid entries. The number that its first entry
/// should have follows, and a further number if there is one with that name already.
const SAVED_TAIL: &str = "cut-";
/// The temporary name of a new segment.
pub(super) const NEW: &str = "log.new";
/// The name of a file that tests whether a full disk has room again.
pub(super) const PROBE: &str = "log.probe";

/// Applies an entry: its number, its time and its changes. Returns an error if no server can have written them.
pub type EntryReplay<'a> = dyn FnMut(Lsn, u64, &[u8]) -> Result<(), &'static str> + 'a;

/// The outcome of recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Number of entries that were replayed.
    pub entries: u64,
    /// The number of the last entry; 0 if there never was one.
    pub last: Lsn,
    /// The time of the last entry that was read; 0 if none was.
    pub time: u64,
    /// The torn tail that was truncated.
    pub cut: Option<TruncatedTail>,
}

/// A torn tail that was truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruncatedTail {
    /// The segment.
    pub file: PathBuf,
    /// The length of the segment now.
    pub offset: u64,
    /// The number of bytes that were removed.
    pub bytes: u64,
    /// The number of valid entries among them, behind the first invalid one.
    pub entries: u64,
}

/// A segment: a file of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogSegment {
    pub(super) first: Lsn,
    pub(super) bytes: u64,
    /// The number in its last sync mark: all entries up to it had been synced.
    pub(super) marked: Lsn,
}

/// The state from which an opened log continues.
pub(super) struct OpenedLog {
    /// All segments but the last, oldest first.
    pub(super) closed: Vec<LogSegment>,
    /// The last segment and its salt, if there is one.
    pub(super) open: Option<(LogSegment, u32)>,
    pub(super) recovered: Recovered,
    /// Whether the folder has a manifest.
    pub(super) has_manifest: bool,
}

/// Reads the log of a folder: calls `replay` with the entries from `from` on, checks that the log reaches to
/// `snapshot_lsn`, the last entry that the snapshot contains, and truncates a torn tail if `check` returns no error.
pub(super) fn recover(
    folder: &Folder,
    from: Lsn,
    snapshot_lsn: Lsn,
    replay: &mut EntryReplay<'_>,
    check: &dyn Fn() -> Result<(), OpenError>,
) -> Result<OpenedLog, OpenError> {
    folder.remove_leftover(NEW)?;
    folder.remove_leftover(PROBE)?;
    let found = read_all(folder, from, snapshot_lsn, replay)?;
    check()?;
    // Only now, so that a log that is rejected stays as it is.
    truncate(folder, &found)?;
    Ok(found)
}

/// Reads the log of a folder as [`recover`] does, and changes nothing: a torn tail is left out, and stays.
#[doc(hidden)]
pub fn survey(
    folder: &Folder,
    from: Lsn,
    snapshot_lsn: Lsn,
    replay: &mut EntryReplay<'_>,
) -> Result<Recovered, OpenError> {
    read_all(folder, from, snapshot_lsn, replay).map(|found| found.recovered)
}

/// Reads all segments with entries from `from` on, and checks that no entry is missing.
fn read_all(
    folder: &Folder,
    from: Lsn,
    snapshot_lsn: Lsn,
    replay: &mut EntryReplay<'_>,
) -> Result<OpenedLog, OpenError> {
    let firsts = folder.numbered(NAME)?;
    let manifest = Manifest::read(folder)?;
    let (has_manifest, manifest) = (manifest.is_some(), manifest.unwrap_or_default());
    // Without this check a folder whose newest segment was removed would open, and lose the entries in it.
    if has_manifest && firsts.last().is_none_or(|newest| *newest < manifest.newest) {
        let (file, wanted) = (path(folder, manifest.newest), manifest.newest);
        return Err(OpenError::Lost { file, found: None, wanted });
    }
    let Some(&oldest) = firsts.first() else {
        // Without a log, only a snapshot that needs no further entries can be opened.
        return if from > snapshot_lsn {
            let recovered = Recovered { last: snapshot_lsn, ..Recovered::default() };
            Ok(OpenedLog { closed: Vec::new(), open: None, recovered, has_manifest })
        } else {
            Err(OpenError::Gap {
                file: folder.path().into(),
                wanted: from,
                found: snapshot_lsn.saturating_add(1),
            })
        };
    };
    // Segments that end before `from` were about to be removed, and need not be read.
    let Some(begin) = firsts.iter().rposition(|&first| first <= from) else {
        return Err(OpenError::Gap { file: path(folder, oldest), wanted: from, found: oldest });
    };
    let mut found = OpenedLog {
        closed: Vec::new(),
        open: None,
        has_manifest,
        recovered: Recovered { last: firsts[begin].saturating_sub(1), ..Recovered::default() },
    };
    for &first in &firsts[..begin] {
        let file = path(folder, first);
        let size = folder.disk().read(&file).and_then(|file| file.metadata());
        let bytes = size.map_err(|why| OpenError::Io(file, why))?.len();
        found.closed.push(LogSegment { first, bytes, marked: 0 });
    }
    for (at, &first) in firsts.iter().enumerate().skip(begin) {
        found.closed.extend(found.open.take().map(|(segment, _)| segment));
        let is_last = at + 1 == firsts.len();
        found.open = Some(read(folder, first, is_last, from, &mut found.recovered, replay)?);
    }
    verify(folder, snapshot_lsn, manifest.synced, &found)?;
    Ok(found)
}

/// A segment with a later one behind it: it was synced before that one was begun, so it has no torn tail.
const CLOSED: InvalidTail = InvalidTail { synced: true, entries: 0 };

fn path(folder: &Folder, first: Lsn) -> PathBuf {
    folder.at(&numbered_name(NAME, first))
}

/// Reads one segment, and adds what it contains to `recovered`.
fn read(
    folder: &Folder,
    first: Lsn,
    is_last: bool,
    from: Lsn,
    recovered: &mut Recovered,
    replay: &mut EntryReplay<'_>,
) -> Result<(LogSegment, u32), OpenError> {
    let file = path(folder, first);
    let next = recovered.last.saturating_add(1);
    // A segment whose number does not continue the last one: recovery must not skip what was in between.
    if first != next {
        return Err(OpenError::Gap { file, wanted: next, found: first });
    }
    let io_error = |why| OpenError::Io(file.clone(), why);
    let damaged = |offset, why| OpenError::Damaged { file: file.clone(), offset, why };
    let opened = folder.disk().read(&file).and_then(SegmentReader::new).map_err(io_error)?;
    let mut reader = opened.map_err(|why| damaged(0, why))?;
    loop {
        let next = recovered.last.saturating_add(1);
        match reader.next(next).map_err(io_error)? {
            FrameItem::Entry(at, lsn, time, changes) => {
                // No entry could follow it, and `Lsn::MAX` stands for an entry that could not be appended.
                if lsn == Lsn::MAX {
                    return Err(damaged(at, "an entry has the highest possible number"));
                }
                if lsn >= from {
                    replay(lsn, time, changes).map_err(|why| damaged(at, why))?;
                    recovered.entries += 1;
                }
                recovered.last = lsn;
                recovered.time = recovered.time.max(time);
            }
            FrameItem::End => break,
            FrameItem::Invalid(why) => {
                let at = reader.at();
                let bytes = reader.length() - at;
                // A bound for the search: the tail has no room for more entries.
                let most = next.saturating_add(bytes / ENTRY_HEADER as u64);
                let tail =
                    if is_last { reader.scan_tail(next, most).map_err(io_error)? } else { CLOSED };
                // Synced entries may have been acknowledged: this is damage, and not a torn tail.
                if tail.synced {
                    return Err(damaged(at, why));
                }
                let entries = tail.entries;
                recovered.cut =
                    Some(TruncatedTail { file: file.clone(), offset: at, bytes, entries });
                break;
            }
        }
    }
    Ok((LogSegment { first, bytes: reader.at(), marked: reader.marked() }, reader.salt()))
}

/// Checks that the log reaches to `snapshot_lsn` and to `synced`, the number in the manifest.
fn verify(
    folder: &Folder,
    snapshot_lsn: Lsn,
    synced: Lsn,
    found: &OpenedLog,
) -> Result<(), OpenError> {
    let Some((segment, _)) = found.open else { return Ok(()) };
    let file = path(folder, segment.first);
    if found.recovered.last < snapshot_lsn {
        let why = "the log ends before an entry that the snapshot contains";
        return Err(OpenError::Damaged { file, offset: segment.bytes, why });
    }
    if found.recovered.last < synced {
        return Err(OpenError::Lost { file, found: Some(found.recovered.last), wanted: synced });
    }
    Ok(())
}

/// Truncates the torn tail.
fn truncate(folder: &Folder, found: &OpenedLog) -> Result<(), OpenError> {
    let Some((segment, _)) = found.open else { return Ok(()) };
    let file = path(folder, segment.first);
    if let Some(cut) = &found.recovered.cut {
        let cutting = save_tail(folder, cut, found.recovered.last + 1).and_then(|()| {
            let file = folder.disk().reopen(&file)?;
            file.cut(cut.offset)?;
            file.sync()
        });
        cutting.map_err(|why| OpenError::Io(file, why))?;
    }
    Ok(())
}

/// Copies a torn tail, whose first entry should be `first`, if it contains valid entries. None of them was acknowledged
/// as durable, but an operator may want them.
fn save_tail(folder: &Folder, cut: &TruncatedTail, first: Lsn) -> io::Result<()> {
    if cut.entries == 0 {
        return Ok(());
    }
    let mut source = folder.disk().read(&cut.file)?;
    source.seek(SeekFrom::Start(cut.offset))?;
    let name = free_name(&folder.disk().list(folder.path())?, first);
    let kept = folder.at(&name);
    let copy = folder.disk().create(&kept)?;
    let copied = copy_bytes(&mut source, &*copy, cut.bytes);
    if copied.is_err() {
        // The tail is still in the log, and the next start tries again. A part of a copy helps nobody.
        let _ = folder.disk().remove(&kept);
        return copied;
    }
    folder.disk().sync_folder(folder.path())
}

/// Returns a name for a torn tail that no file has. No other process writes to the folder.
fn free_name(names: &[String], first: Lsn) -> String {
    let begin = numbered_name(SAVED_TAIL, first);
    let mut name = begin.clone();
    let mut number = 1_u64;
    while names.contains(&name) {
        number += 1;
        name = format!("{begin}-{number}");
    }
    name
}

fn copy_bytes(source: &mut File, to: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    let (mut chunk, mut left) = (vec![0; 1 << 20], bytes);
    while left > 0 {
        let some = left.min(1 << 20) as usize;
        source.read_exact(&mut chunk[..some])?;
        to.write(&chunk[..some])?;
        left -= some as u64;
    }
    to.sync()
}
