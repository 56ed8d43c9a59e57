//! Opening a log: what it holds is told in order, a torn end is cut off, and any other damage is refused.
//!
//! A process that dies leaves at most a torn end. A machine that loses power leaves of what was not forced to the disk
//! any parts, in any order: what is no entry may have entries behind it. So from the first place on that is no entry
//! all is cut off, unless a mark behind it, or another file, says that what is missing had been forced: then it was
//! there once and may have been acknowledged, and to go on without it would be to lose it silently, so the log is not
//! opened. What is cut off and has whole entries is kept in a file of its own.
//!
//! That a whole file is missing, or the end of one that was closed, is known by the [manifest](Manifest).

use crate::log::api::Lsn;
use crate::log::error::OpenError;
use crate::log::folder::{Folder, numbered_name};
use crate::log::frame::{ENTRY_HEADER, Item, Reader, Tail};
use crate::log::manifest::Manifest;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The names of the log's files begin so; the number of the first entry follows.
pub(crate) const NAME: &str = "log-";
/// What was cut off and has whole entries is kept in files whose names begin so; the number of the entry that should
/// have been its first follows.
const SAVED_TAIL: &str = "cut-";
/// A file that is being made.
pub(super) const NEW: &str = "log.new";
/// A file that is made on a full disk, and removed, to see whether there is room again.
pub(super) const PROBE: &str = "log.probe";

/// Takes an entry: its number, its time and its changes; or says why they cannot be what was written.
pub type Replay<'a> = dyn FnMut(Lsn, u64, &[u8]) -> Result<(), &'static str> + 'a;

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// How many entries were replayed.
    pub entries: u64,
    /// The number of the last entry; 0 where there was never one.
    pub last: Lsn,
    /// The time of the last entry that was read; 0 where none was.
    pub time: u64,
    /// The torn end that was cut off.
    pub cut: Option<Cut>,
}

/// A torn end that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Where it ends now.
    pub offset: u64,
    /// How many bytes went.
    pub bytes: u64,
    /// How many whole entries were among them, behind what is none.
    pub entries: u64,
}

/// A file of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) first: Lsn,
    pub(super) bytes: u64,
    /// Up to which entry it says that all were forced to the disk.
    pub(super) marked: Lsn,
}

/// What a log goes on from.
pub(super) struct OpenedLog {
    /// The files before the last, oldest first.
    pub(super) closed: Vec<Segment>,
    /// The last file and its salt, where there is one.
    pub(super) open: Option<(Segment, u32)>,
    pub(super) recovered: Recovered,
    /// Whether the folder has a manifest.
    pub(super) has_manifest: bool,
}

/// Reads the log of a folder: tells `replay` the entries from `wanted` on, and sees that it reaches to `above`, which
/// is what a snapshot saw; cuts off a torn end.
pub(super) fn recover(
    folder: &Folder,
    wanted: Lsn,
    snapshot_lsn: Lsn,
    replay: &mut Replay<'_>,
) -> Result<OpenedLog, OpenError> {
    folder.remove_leftover(NEW)?;
    folder.remove_leftover(PROBE)?;
    let firsts = folder.numbered(NAME)?;
    let manifest = Manifest::read(folder)?;
    let (has_manifest, manifest) = (manifest.is_some(), manifest.unwrap_or_default());
    if has_manifest && firsts.last().is_none_or(|newest| *newest < manifest.newest) {
        let (file, wanted) = (path(folder, manifest.newest), manifest.newest);
        return Err(OpenError::Lost { file, found: None, wanted });
    }
    let Some(&oldest) = firsts.first() else {
        // Only a snapshot that needs no entries stands without a log.
        return if wanted > snapshot_lsn {
            let recovered = Recovered { last: snapshot_lsn, ..Recovered::default() };
            Ok(OpenedLog { closed: Vec::new(), open: None, recovered, has_manifest })
        } else {
            Err(OpenError::Gap {
                file: folder.path().into(),
                wanted,
                found: snapshot_lsn.saturating_add(1),
            })
        };
    };
    // Segment that end before what is wanted wait to be dropped, and need not be read.
    let Some(begin) = firsts.iter().rposition(|&first| first <= wanted) else {
        return Err(OpenError::Gap { file: path(folder, oldest), wanted, found: oldest });
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
        found.closed.push(Segment { first, bytes, marked: 0 });
    }
    for (at, &first) in firsts.iter().enumerate().skip(begin) {
        found.closed.extend(found.open.take().map(|(segment, _)| segment));
        let is_last = at + 1 == firsts.len();
        found.open = Some(read(folder, first, is_last, wanted, &mut found.recovered, replay)?);
    }
    verify_and_truncate(folder, snapshot_lsn, manifest.synced, &mut found)?;
    Ok(found)
}

/// Of a file that has another behind it: it was forced before that was begun.
const CLOSED: Tail = Tail { synced: true, entries: 0 };

fn path(folder: &Folder, first: Lsn) -> PathBuf {
    folder.at(&numbered_name(NAME, first))
}

/// Reads one file; notes in `recovered` what it adds.
fn read(
    folder: &Folder,
    first: Lsn,
    is_last: bool,
    wanted: Lsn,
    recovered: &mut Recovered,
    replay: &mut Replay<'_>,
) -> Result<(Segment, u32), OpenError> {
    let file = path(folder, first);
    let next = recovered.last.saturating_add(1);
    if first != next {
        return Err(OpenError::Gap { file, wanted: next, found: first });
    }
    let refused = |why| OpenError::Io(file.clone(), why);
    let damaged = |offset, why| OpenError::Damaged { file: file.clone(), offset, why };
    let opened = folder.disk().read(&file).and_then(Reader::new).map_err(refused)?;
    let mut reader = opened.map_err(|why| damaged(0, why))?;
    loop {
        let next = recovered.last.saturating_add(1);
        match reader.next(next).map_err(refused)? {
            Item::Entry(at, lsn, time, changes) => {
                if lsn == Lsn::MAX {
                    return Err(damaged(at, "no number follows that of an entry"));
                }
                if lsn >= wanted {
                    replay(lsn, time, changes).map_err(|why| damaged(at, why))?;
                    recovered.entries += 1;
                }
                recovered.last = lsn;
                recovered.time = recovered.time.max(time);
            }
            Item::End => break,
            Item::Invalid(why) => {
                let at = reader.at();
                let bytes = reader.length() - at;
                // No more numbers can have been given than there is room for entries.
                let most = next.saturating_add(bytes / ENTRY_HEADER as u64);
                let tail =
                    if is_last { reader.scan_tail(next, most).map_err(refused)? } else { CLOSED };
                if tail.synced {
                    return Err(damaged(at, why));
                }
                let entries = tail.entries;
                recovered.cut = Some(Cut { file: file.clone(), offset: at, bytes, entries });
                break;
            }
        }
    }
    Ok((Segment { first, bytes: reader.at(), marked: reader.marked() }, reader.salt()))
}

/// Sees that the log reaches to `above`, which a snapshot saw, and to `kept`, and only then cuts off what is torn.
fn verify_and_truncate(
    folder: &Folder,
    snapshot_lsn: Lsn,
    synced: Lsn,
    found: &mut OpenedLog,
) -> Result<(), OpenError> {
    let Some((segment, _)) = found.open else { return Ok(()) };
    let file = path(folder, segment.first);
    if found.recovered.last < snapshot_lsn {
        let why = "it ends before entries that the snapshot was made after";
        return Err(OpenError::Damaged { file, offset: segment.bytes, why });
    }
    if found.recovered.last < synced {
        return Err(OpenError::Lost { file, found: Some(found.recovered.last), wanted: synced });
    }
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

/// Copies what will be cut off, of which `first` would be the first entry, where whole entries are in it: nobody was
/// promised that they last, but they may be wanted.
fn save_tail(folder: &Folder, cut: &Cut, first: Lsn) -> io::Result<()> {
    if cut.entries == 0 {
        return Ok(());
    }
    let mut from = folder.disk().read(&cut.file)?;
    from.seek(SeekFrom::Start(cut.offset))?;
    let copy = folder.disk().create(&folder.at(&numbered_name(SAVED_TAIL, first)))?;
    let (mut segment, mut left) = (vec![0; 1 << 20], cut.bytes);
    while left > 0 {
        let some = left.min(1 << 20) as usize;
        from.read_exact(&mut segment[..some])?;
        copy.write(&segment[..some])?;
        left -= some as u64;
    }
    copy.sync()?;
    folder.disk().sync_folder(folder.path())
}
