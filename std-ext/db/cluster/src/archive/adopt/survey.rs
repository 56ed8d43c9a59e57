//! Reads all of a folder, and changes nothing in it: the entries that a node with this folder has.

use crate::log::local_log::position::{mark_in, mark_of, without_mark};
use crate::log::slot_history;
use crate::membership::error::StartError;
use crate::membership::identity::{self, Belonging};
use crate::peer::least_watermark;
use hedgerow_db_engine::log::change::{LoggedChanges, LoggedOp};
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::folder::{Folder, numbered_name};
use hedgerow_db_engine::log::{self, Fsync, LOG, Lsn, OpenError, Recovered};
use hedgerow_db_engine::snapshot::Snapshot;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slot_set::share;
use hedgerow_db_group::entry::MOST_NUMBER;
use hedgerow_db_group::{Entry, HeldEntries, Mark, NodeId};
use std::sync::Arc;

/// The contents of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// The node that the folder is of.
    pub(crate) node: Option<NodeId>,
    /// The cluster that it belongs to; `None`: a database on one machine wrote it.
    pub(crate) belonging: Option<Belonging>,
    /// The last entry; 0 if there is none.
    pub(crate) last: Lsn,
    /// The time by which the last entry was made, in milliseconds since 1970.
    pub(crate) time: u64,
    /// The mark of the last batch.
    pub(crate) mark: Option<Mark>,
    /// The entries from that mark on, as far as the log has them.
    pub(crate) held: HeldEntries,
    /// The slots that its group owns behind the last entry. Without a cluster, all.
    pub(crate) slots: SlotSet,
    /// The slots that its group has lost by an entry of the log, and not got again.
    pub(crate) lost: SlotSet,
    /// The slots that its group has got by an entry of the log, and not lost again.
    pub(crate) got: SlotSet,
    /// The keys in the snapshot.
    pub(crate) snapshot_keys: u64,
    /// The entries in the log.
    pub(crate) log_entries: u64,
}

/// An entry of a folder's log, as etcd has it.
pub(crate) struct Logged {
    /// The mark of the batch that the entry begins, if it begins one.
    pub(crate) mark: Option<Mark>,
    /// The entry, without that mark.
    pub(crate) entry: Entry,
}

/// The part of a folder's data that its snapshot has.
#[derive(Clone, Default)]
struct Covered {
    /// The snapshot has all entries up to this one.
    watermark: Lsn,
    /// It may have changes of entries up to this one.
    last: Lsn,
    time: u64,
    keys: u64,
    mark: Option<Mark>,
    /// The slots that the group owns behind `last`, if a node of a cluster has written it.
    slots: Option<SlotSet>,
}

/// The statements of an entry besides its changes of keys.
#[derive(Default)]
struct Meanings {
    sets_back: bool,
    /// The slots that the group gets (`true`) and loses.
    slots: Vec<(SlotSet, bool)>,
}

impl Survey {
    /// Reads a folder, every byte of its newest snapshot and of its log. Holds one entry in memory.
    ///
    /// # Errors
    /// If something in it is damaged, missing, or of a version that this program does not know.
    pub(crate) fn of(folder: &Arc<Folder>) -> Result<Self, StartError> {
        let belonging = Belonging::of(folder)?;
        let covered = read_snapshot(folder, belonging.as_ref())?;
        let (mut mark, mut time) = (covered.mark, covered.time);
        let (mut held, none) = (None, SlotSet::of_range(0..0));
        let (mut lost, mut got) = (none.clone(), none);
        // A log without a snapshot says only how the slots have changed since the group was new.
        let at_birth = || match &belonging {
            Some(own) => SlotSet::of_range(share(own.group(), own.groups())),
            None => SlotSet::all(),
        };
        // Entries of the log may be older than the snapshot. They lead to its slots, as when a node starts.
        let mut slots = covered.slots.clone().unwrap_or_else(at_birth);
        let recovered = read_log_behind(folder, &covered, &mut |logged, meanings| {
            let Logged { mark: begins, entry } = logged;
            mark = begins.or(mark);
            let before = HeldEntries::up_to(entry.lsn - 1);
            let held =
                if begins.is_some() { held.insert(before) } else { held.get_or_insert(before) };
            held.add(entry.time, &entry.changes);
            for (changed, owned) in &meanings.slots {
                slots = slot_history::changed(&slots, changed, *owned);
                lost = slot_history::changed(&lost, changed, !owned);
                got = slot_history::changed(&got, changed, *owned);
            }
            // Entries up to this one are older than the snapshot, whose time is later.
            if entry.lsn > covered.last {
                time = if meanings.sets_back { entry.time } else { time.max(entry.time) };
            }
        })?;
        Ok(Self {
            node: identity::known_node_id(folder)?,
            belonging,
            last: recovered.last,
            time,
            mark,
            held: held.unwrap_or_else(|| HeldEntries::up_to(recovered.last)),
            slots,
            lost,
            got,
            snapshot_keys: covered.keys,
            log_entries: recovered.entries,
        })
    }
}

/// Calls `each` with all entries of a folder's log that was surveyed.
///
/// # Errors
/// If it cannot be read any more.
pub(crate) fn read_log(
    folder: &Arc<Folder>,
    each: &mut dyn FnMut(Logged),
) -> Result<(), StartError> {
    let covered = snapshot_of(folder)?.map(|snapshot| covered(&snapshot)).unwrap_or_default();
    read_log_behind(folder, &covered, &mut |logged, _| each(logged))?;
    Ok(())
}

/// Opens the log of a folder that was surveyed, to append to it. A torn tail is cut off.
///
/// # Errors
/// If it cannot be read any more, or not be written.
pub(crate) fn open_log(folder: &Arc<Folder>) -> Result<FileLog, StartError> {
    let covered = snapshot_of(folder)?.map(|snapshot| covered(&snapshot)).unwrap_or_default();
    let (from, folder) = (covered.watermark + 1, Arc::clone(folder));
    let opened = FileLog::open(folder, Fsync::Always, from, covered.last, &mut |_, _, _| Ok(()));
    Ok(opened?.0)
}

/// Forces the log of a folder to its disk. The process that wrote it may have ended before it did so.
///
/// # Errors
/// If the disk fails. It may have lost entries that were read.
pub(crate) fn force_log(folder: &Folder) -> Result<(), StartError> {
    for number in folder.numbered(LOG)? {
        let file = folder.at(&numbered_name(LOG, number));
        let forced = folder.disk().reopen(&file).and_then(|log| log.sync());
        forced.map_err(|why| OpenError::Io(file, why))?;
    }
    Ok(folder.disk().sync_folder(folder.path()).map_err(|why| folder.io_error(why))?)
}

fn snapshot_of(folder: &Arc<Folder>) -> Result<Option<Snapshot>, StartError> {
    Ok(Snapshot::newest_complete(folder)?)
}

fn covered(snapshot: &Snapshot) -> Covered {
    let sections = snapshot.sections();
    let batch = snapshot.position().and_then(|position| position.batch);
    Covered {
        watermark: least_watermark(sections),
        last: snapshot.last(),
        time: snapshot.time(),
        keys: sections.iter().map(|section| section.entries).sum(),
        mark: batch.map(|(first, mark)| mark_of(first, &mark)),
        slots: snapshot.position().map(|position| position.slots.clone()),
    }
}

/// Reads all of the newest snapshot.
fn read_snapshot(
    folder: &Arc<Folder>,
    belonging: Option<&Belonging>,
) -> Result<Covered, StartError> {
    let Some(snapshot) = snapshot_of(folder)? else { return Ok(Covered::default()) };
    for number in 0..snapshot.sections().len() {
        snapshot.read_section(number, &mut |_, _, _| {})?;
    }
    if snapshot.sections().iter().any(|section| section.database != 0) {
        return Err(StartError::new(format!(
            "the snapshot in {} has keys in databases other than 0, the only one of a cluster",
            folder.path().display()
        )));
    }
    let cluster = belonging.and_then(Belonging::cluster);
    if let Some((position, cluster)) = snapshot.position().zip(cluster)
        && position.cluster != cluster
    {
        return Err(StartError::new(format!(
            "the snapshot in {} and the directory belong to different clusters: restore the directory, or leave it \
             out",
            folder.path().display()
        )));
    }
    if let Some((position, own)) = snapshot.position().zip(belonging)
        && position.group != own.group()
    {
        return Err(StartError::new(format!(
            "the snapshot in {} belongs to group {}, but the directory to group {}: restore the directory, or leave \
             it out",
            folder.path().display(),
            position.group,
            own.group()
        )));
    }
    let covered = covered(&snapshot);
    if covered.mark.is_some_and(|mark| !is_plausible(&mark)) {
        return Err(StartError::new(format!(
            "{} is damaged: the numbers of its last batch are out of range",
            snapshot.file().display()
        )));
    }
    Ok(covered)
}

/// Reads the log, also what the snapshot has of it. `each` is told what the entry says besides.
fn read_log_behind(
    folder: &Folder,
    covered: &Covered,
    each: &mut dyn FnMut(Logged, &Meanings),
) -> Result<Recovered, OpenError> {
    // Also entries that the snapshot has: other directories are compared with them, and etcd gets them.
    let needed = covered.watermark + 1;
    let from = folder.numbered(LOG)?.first().map_or(needed, |&oldest| oldest.min(needed));
    log::survey(folder, from, covered.last, &mut |lsn, time, changes| {
        let mut meanings = Meanings::default();
        for change in LoggedChanges::new(changes) {
            match change? {
                LoggedOp::Clock(_) => meanings.sets_back = true,
                LoggedOp::Out(_, slots) => meanings.slots.push((SlotSet::from_bits(slots), false)),
                LoggedOp::Own(_, slots) => meanings.slots.push((SlotSet::from_bits(slots), true)),
                LoggedOp::Database(_) | LoggedOp::Move(..) | LoggedOp::Swap(..) => {
                    return Err(
                        "an entry is for a database other than 0, the only one of a cluster",
                    );
                }
                _ => {}
            }
        }
        let mark = mark_in(lsn, changes);
        if lsn >= MOST_NUMBER
            || time >= MOST_NUMBER
            || mark.is_some_and(|mark| !is_plausible(&mark))
        {
            return Err("a number is out of range");
        }
        let changes = mark.as_ref().map_or(changes, |mark| without_mark(mark, changes)).to_vec();
        each(Logged { mark, entry: Entry { lsn, time, changes } }, &meanings);
        Ok(())
    })
}

/// Whether the numbers of a mark are such as a node writes. Sums of them do not overflow.
fn is_plausible(mark: &Mark) -> bool {
    let Mark { seq, epoch, first, .. } = *mark;
    [seq, epoch, first].iter().all(|number| (1..MOST_NUMBER).contains(number))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::log::local_log::position::logged_mark;
    use hedgerow_db_engine::log::change;
    use hedgerow_db_engine::log::faults::FaultyDisk;
    use hedgerow_db_engine::log::frame::ENTRY_HEADER;
    use hedgerow_db_engine::log::{Fsync, Log as _};
    use hedgerow_db_engine::request::Expiry;
    use hedgerow_db_group::BatchChain;
    use std::fs;
    use std::ops::Range;

    /// A folder that is removed afterwards.
    pub(in crate::archive::adopt) struct Made {
        pub(in crate::archive::adopt) path: tempfile::TempDir,
        pub(in crate::archive::adopt) folder: Arc<Folder>,
    }

    /// Makes a folder with a log of batches. Each entry sets a key to a number; each batch has the number of its first
    /// entry.
    pub(in crate::archive::adopt) fn folder(batches: &[&[u8]]) -> Made {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::claim(path.path()).unwrap();
        let opened = FileLog::open(Arc::clone(&folder), Fsync::Never, 1, 0, &mut |_, _, _| Ok(()));
        let (log, mut chain) = (opened.unwrap().0, BatchChain::default());
        for batch in batches {
            let first = log.last() + 1;
            let mark = Mark { seq: first, epoch: 1, chain, first };
            for (at, value) in batch.iter().enumerate() {
                let mut changes = Vec::new();
                if at == 0 {
                    change::batch(&logged_mark(&mark), &mut changes);
                }
                change::set(b"key", &[*value], Expiry::Never, &mut changes);
                log.append(100 + u64::from(*value), &changes).unwrap();
            }
            chain = chain.after(1, first, batch);
        }
        log.close().unwrap();
        Made { path, folder }
    }

    /// Adds a batch of one entry, by which the group gets slots or loses them.
    pub(in crate::archive::adopt) fn assign(made: &Made, slots: Range<u16>, owned: bool) {
        let log = open_log(&made.folder).unwrap();
        let mark = Mark {
            seq: log.last() + 1,
            epoch: 1,
            chain: BatchChain::default(),
            first: log.last() + 1,
        };
        let (mut changes, slots) = (Vec::new(), SlotSet::of_range(slots));
        change::batch(&logged_mark(&mark), &mut changes);
        let log_it = if owned { change::own } else { change::out };
        log_it(7, slots.bits(), &mut changes);
        log.append(200, &changes).unwrap();
        log.close().unwrap();
    }

    fn log_file(made: &Made) -> std::path::PathBuf {
        made.path.path().join(numbered_name(LOG, 1))
    }

    fn why(made: &Made) -> String {
        Survey::of(&made.folder).err().map(|why| why.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_survey_says_what_a_node_would_have() {
        let made = folder(&[&[1, 2], &[3], &[4, 9, 6]]);
        let survey = Survey::of(&made.folder).unwrap();
        assert_eq!((survey.last, survey.time, survey.log_entries), (6, 109, 6));
        assert_eq!(survey.mark.map(|mark| (mark.seq, mark.first)), Some((4, 4)));
        assert_eq!((survey.held.first(), survey.held.last()), (4, 6));
        assert_eq!((survey.belonging, survey.node), (None, None));
        let mut read = Vec::new();
        read_log(&made.folder, &mut |logged| read.push((logged.entry.lsn, logged.mark.is_some())))
            .unwrap();
        let wanted = [(1, true), (2, false), (3, true), (4, true), (5, false), (6, false)];
        assert_eq!(read, wanted);
        let empty = folder(&[]);
        let survey = Survey::of(&empty.folder).unwrap();
        assert_eq!((survey.last, survey.mark, survey.held), (0, None, HeldEntries::up_to(0)));
    }

    #[test]
    fn slots_are_those_behind_the_last_entry() {
        let made = folder(&[&[1]]);
        for (slots, owned) in [(0..100, false), (50..60, true), (55..58, false)] {
            assign(&made, slots, owned);
        }
        let survey = Survey::of(&made.folder).unwrap();
        assert_eq!(survey.slots.ranges(), [(50, 54), (58, 59), (100, 16_383)]);
        assert_eq!(survey.lost.ranges(), [(0, 49), (55, 57), (60, 99)]);
        assert_eq!(survey.got.ranges(), [(50, 54), (58, 59)]);
    }

    #[test]
    fn what_a_process_wrote_last_is_forced() {
        let (disk, path, after) =
            (FaultyDisk::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = Folder::claim_on(path.path(), Arc::new(disk.clone())).unwrap();
        let opened = FileLog::open(Arc::clone(&folder), Fsync::Never, 1, 0, &mut |_, _, _| Ok(()));
        let log = opened.unwrap().0;
        let mut changes = Vec::new();
        change::set(b"key", b"value", Expiry::Never, &mut changes);
        log.append(100, &changes).unwrap();
        // As if the process was killed: the system has all bytes, the disk has not.
        disk.change(|faults| faults.sync = true);
        drop(log);
        let left = || {
            disk.copy_synced(path.path(), after.path()).unwrap();
            Survey::of(&Folder::claim(after.path()).unwrap()).unwrap().last
        };
        assert_eq!((Survey::of(&folder).unwrap().last, left()), (1, 0));
        assert!(force_log(&folder).is_err());
        assert_eq!(left(), 0, "opening a file does not force it");
        disk.change(|faults| faults.sync = false);
        force_log(&folder).unwrap();
        assert_eq!(left(), 1, "the log was not forced");
    }

    #[test]
    fn a_torn_tail_is_left_out_and_stays() {
        let made = folder(&[&[1, 2], &[3]]);
        // Without the manifest of a log that was closed.
        fs::remove_file(made.path.path().join(log::MANIFEST)).unwrap();
        let good = fs::read(log_file(&made)).unwrap();
        let mut read = Vec::new();
        for end in (good.len() - 30..good.len()).chain([good.len()]) {
            let torn = &good[..end];
            fs::write(log_file(&made), torn).unwrap();
            read.push(Survey::of(&made.folder).unwrap().last);
            assert_eq!(fs::read(log_file(&made)).unwrap(), torn, "the log was changed");
        }
        assert!(read.contains(&2) && read.last() == Some(&3), "{read:?}");
    }

    #[test]
    fn damage_is_an_error() {
        let made = folder(&[&[1, 2], &[3]]);
        let good = fs::read(log_file(&made)).unwrap();
        // A sync mark at the end is no entry.
        for at in 0..good.len() - ENTRY_HEADER {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(log_file(&made), bad).unwrap();
            assert!(why(&made).contains("log-"), "byte {at}: {:?}", why(&made));
        }
        fs::remove_file(log_file(&made)).unwrap();
        assert!(why(&made).contains("is missing, which the manifest lists"), "{}", why(&made));
    }
}
