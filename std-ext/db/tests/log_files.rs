//! builds: default
//!
//! The log's files: entries that were written come back in order, and nothing else is taken for an entry.

use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::log::file::FileLog;
use hedgerow_db::log::folder::Folder;
use hedgerow_db::log::{Fsync, Log, LogError, Lsn, OpenError, Recovered, TruncatedTail};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const POLICIES: [Fsync; 3] = [Fsync::Always, Fsync::EverySecond, Fsync::Never];
/// Bytes before the first entry, and before the changes of each entry.
const HEADER: usize = 20;
const HEAD: usize = 28;

type Entry = (Lsn, u64, Vec<u8>);

/// A directory in memory if possible: no test here needs a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Opens a log from entry `wanted` on. Returns the replayed entries.
fn open_on_disk(
    disk: &FaultyDisk,
    path: &Path,
    fsync: Fsync,
    (wanted, above): (Lsn, Lsn),
) -> Result<(FileLog, Recovered, Vec<Entry>), OpenError> {
    let folder = Folder::claim_on(path, Arc::new(disk.clone()))?;
    let mut entries = Vec::new();
    let mut replay = |lsn, time, changes: &[u8]| {
        entries.push((lsn, time, changes.to_vec()));
        Ok(())
    };
    let (log, recovered) = FileLog::open(folder, fsync, wanted, above, &mut replay)?;
    Ok((log, recovered, entries))
}

fn open(path: &Path) -> Result<(FileLog, Recovered, Vec<Entry>), OpenError> {
    open_on_disk(&FaultyDisk::new(), path, Fsync::Never, (1, 0))
}

fn changes(lsn: Lsn) -> Vec<u8> {
    // Every third entry is empty.
    (0..(lsn + 1) % 3 * 10).map(|byte| (byte * 7 + lsn) as u8).collect()
}

fn entry(lsn: Lsn) -> Entry {
    (lsn, 1000 + lsn, changes(lsn))
}

fn append(log: &FileLog, lsn: Lsn) {
    assert_eq!(log.append(1000 + lsn, &changes(lsn)).unwrap(), lsn);
}

fn file(path: &Path, first: Lsn) -> PathBuf {
    path.join(format!("log-{first:020}"))
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Removes the manifest: earlier versions had none, and users remove it to continue with the data that is left.
fn forget(path: &Path) {
    fs::remove_file(path.join("manifest")).unwrap();
}

/// Returns a log of nine entries, in files that begin with the first and the sixth.
fn small() -> tempfile::TempDir {
    let path = folder();
    let (log, _, _) = open(path.path()).unwrap();
    (1..6).for_each(|lsn| append(&log, lsn));
    assert_eq!(log.rotate().unwrap(), 6);
    (6..10).for_each(|lsn| append(&log, lsn));
    log.close().unwrap();
    path
}

/// Returns where the entries of the last file begin and end. A mark follows them if the log was closed.
fn places() -> Vec<usize> {
    let mut places = vec![HEADER];
    for lsn in 6..10 {
        places.push(places.last().unwrap() + HEAD + changes(lsn).len());
    }
    places
}

#[test]
fn appended_entries_are_replayed() {
    for fsync in POLICIES {
        let path = folder();
        let disk = FaultyDisk::new();
        for round in 0..5 {
            let (log, recovered, entries) =
                open_on_disk(&disk, path.path(), fsync, (1, 0)).unwrap();
            let last = round * 10;
            assert_eq!(entries, (1..=last).map(entry).collect::<Vec<_>>());
            assert_eq!((recovered.entries, recovered.last, recovered.cut), (last, last, None));
            assert_eq!(recovered.time, if last == 0 { 0 } else { 1000 + last });
            assert_eq!((log.last(), log.committed()), (last, last));
            (last + 1..=last + 10).for_each(|lsn| append(&log, lsn));
            log.wait(last + 4).unwrap();
            assert!(log.committed() >= last + 4);
            if round % 2 == 0 {
                log.close().unwrap();
            }
        }
        // From the middle on.
        let (log, recovered, entries) = open_on_disk(&disk, path.path(), fsync, (33, 50)).unwrap();
        assert_eq!(entries, (33..=50).map(entry).collect::<Vec<_>>());
        assert_eq!(recovered.entries, 18);
        let size = fs::metadata(file(path.path(), 1)).unwrap().len();
        assert_eq!(log.bytes(), size);
    }
}

#[test]
fn a_directory_is_opened_once() {
    let path = folder();
    let (log, _, _) = open(path.path()).unwrap();
    assert!(matches!(open(path.path()), Err(OpenError::InUse(_))));
    drop(log);
    // Files that a killed process leaves unfinished.
    let leftovers = ["log.new", "log.probe", "manifest.new"].map(|name| path.path().join(name));
    for file in &leftovers {
        fs::write(file, [0; 100]).unwrap();
    }
    open(path.path()).unwrap();
    assert!(!leftovers.iter().any(|file| file.exists()), "leftovers are removed");
}

/// If a byte differs that was flushed according to a mark, or another file follows, the log is refused.
#[test]
fn every_byte_counts() {
    let good = small();
    let places = places();
    for first in [1, 6] {
        let bytes = fs::read(file(good.path(), first)).unwrap();
        assert!(first == 1 || bytes.len() == places[4] + HEAD, "a closed log is not marked");
        let path = folder();
        for at in 0..bytes.len() {
            copy(good.path(), path.path());
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(file(path.path(), first), &bad).unwrap();
            let opened = open(path.path());
            if first == 1 || at < places[4] {
                let Err(OpenError::Damaged { file: named, offset, .. }) = opened else {
                    panic!("byte {at} of log {first} does not count");
                };
                assert_eq!(named, file(path.path(), first));
                let inside = first == 1 || offset == 0 || places.contains(&(offset as usize));
                assert!(inside && offset <= at as u64);
                // No file was changed.
                assert_eq!(fs::read(named).unwrap(), bad);
                continue;
            }
            let (log, recovered, entries) = opened.unwrap();
            assert_eq!(entries, (1..10).map(entry).collect::<Vec<_>>());
            let (file, offset) = (file(path.path(), 6), places[4] as u64);
            let cut = TruncatedTail { file: file.clone(), offset, bytes: HEAD as u64, entries: 0 };
            assert_eq!(recovered.cut, Some(cut));
            drop(log);
            assert_eq!(fs::read(file).unwrap(), bytes, "it is marked again");
        }
    }
}

/// After a power failure, data that was never flushed may be there in parts: it is truncated from the first incomplete
/// entry on, and saved if anything follows.
#[test]
fn unflushed_damage_is_truncated() {
    let (good, places, path) = (folder(), places(), folder());
    let (log, _, _) = open(path.path()).unwrap();
    (1..6).for_each(|lsn| append(&log, lsn));
    log.rotate().unwrap();
    (6..10).for_each(|lsn| append(&log, lsn));
    log.wait(9).unwrap();
    copy(path.path(), good.path());
    drop(log);
    let bytes = fs::read(file(good.path(), 6)).unwrap();
    assert_eq!(bytes.len(), places[4]);
    for at in HEADER..bytes.len() {
        let path = folder();
        copy(good.path(), path.path());
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        let file = file(path.path(), 6);
        fs::write(&file, &bad).unwrap();
        let (log, recovered, entries) = open(path.path()).unwrap();
        let whole = places[1..].iter().filter(|place| **place <= at).count();
        let (next, offset) = (6 + whole as u64, places[whole]);
        assert_eq!(entries, (1..next).map(entry).collect::<Vec<_>>());
        let (cut, left) = (bytes.len() - offset, 9 - next);
        let wanted =
            TruncatedTail { file, offset: offset as u64, bytes: cut as u64, entries: left };
        assert_eq!(recovered.cut, Some(wanted));
        let kept = fs::read(path.path().join(format!("cut-{next:020}")));
        assert_eq!(kept.ok().as_deref(), (left > 0).then_some(&bad[offset..]));
        append(&log, next);
        drop(log);
        let (_, recovered, entries) = open(path.path()).unwrap();
        assert_eq!((entries.len() as u64, recovered.cut), (next, None));
    }
}

/// A later torn tail does not replace one that was kept.
#[test]
fn each_torn_tail_is_kept() {
    /// Returns a copy of the folder as a crash after five entries leaves it.
    fn crashed(path: &Path, log: &FileLog) -> tempfile::TempDir {
        (1..6).for_each(|lsn| append(log, lsn));
        log.wait(5).unwrap();
        let crashed = folder();
        copy(path, crashed.path());
        crashed
    }
    let mut path = folder();
    let (log, _, _) = open(path.path()).unwrap();
    path = crashed(path.path(), &log);
    let mut kept = Vec::new();
    for byte in 0..3 {
        let file = file(path.path(), 1);
        let mut bytes = fs::read(&file).unwrap();
        bytes[HEADER + byte] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let (log, recovered, _) = open(path.path()).unwrap();
        assert_eq!(recovered.cut.map(|cut| (cut.offset, cut.entries)), Some((HEADER as u64, 4)));
        kept.push(bytes.split_off(HEADER));
        path = crashed(path.path(), &log);
    }
    for (end, bytes) in ["", "-2", "-3"].iter().zip(&kept) {
        let found = fs::read(path.path().join(format!("cut-{:020}{end}", 1)));
        assert!(found.ok().as_ref() == Some(bytes), "a torn tail is lost: cut-1{end}");
    }
}

/// A disk without power may have written any part of the bytes that were not flushed.
#[test]
fn power_failures_keep_flushed_entries() {
    let mut given_up = 0;
    for (fsync, seed) in
        POLICIES.into_iter().flat_map(|fsync| (1..9).map(move |seed| (fsync, seed)))
    {
        let (path, disk, mut random) = (folder(), FaultyDisk::new(), seed);
        let mut below = |end: u64| {
            // Knuth's generator.
            random = 6_364_136_223_846_793_005_u64.wrapping_mul(random).wrapping_add(1);
            (random >> 33) % end
        };
        let (log, _, _) = open_on_disk(&disk, path.path(), fsync, (1, 0)).unwrap();
        let mut forced = 0;
        for lsn in 1..60 {
            append(&log, lsn);
            match below(12) {
                0..6 => drop(log.commit(lsn).unwrap()),
                6 | 7 => log.wait(lsn).unwrap(),
                8 => forced = (log.sync().unwrap(), lsn).1,
                9 if below(3) == 0 => forced = log.rotate().unwrap() - 1,
                _ => {}
            }
            if fsync == Fsync::Always {
                forced = log.committed();
            }
            let left = folder();
            disk.copy_torn(path.path(), left.path(), &mut || below(4) != 0).unwrap();
            let opened = open(left.path()).expect("unflushed entries may be lost");
            let (_, recovered, entries) = opened;
            assert_eq!(entries, (1..=recovered.last).map(entry).collect::<Vec<_>>());
            assert!(
                (forced..=lsn).contains(&recovered.last),
                "{forced} were forced: {recovered:?}"
            );
            given_up += recovered.cut.map_or(0, |cut| cut.entries);
        }
    }
    assert!(given_up > 0, "this covers too little");
}

/// When nothing more is written, the log marks by itself what it has flushed.
#[test]
fn an_idle_log_marks_what_it_has_flushed() {
    let path = folder();
    let (log, _, _) =
        open_on_disk(&FaultyDisk::new(), path.path(), Fsync::EverySecond, (1, 0)).unwrap();
    append(&log, 1);
    log.wait(1).unwrap();
    let size = || fs::metadata(file(path.path(), 1)).unwrap().len();
    let before = (HEADER + HEAD + changes(1).len()) as u64;
    while size() == before {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((size(), log.bytes()), (before + HEAD as u64, before + HEAD as u64));
}

#[test]
fn a_truncated_log_is_a_prefix_or_refused() {
    let good = small();
    forget(good.path());
    let places = places();
    for first in [1, 6] {
        let bytes = fs::read(file(good.path(), first)).unwrap();
        let path = folder();
        for length in 0..bytes.len() {
            copy(good.path(), path.path());
            fs::write(file(path.path(), first), &bytes[..length]).unwrap();
            let opened = open(path.path());
            if first == 1 || length < HEADER {
                assert!(matches!(opened, Err(OpenError::Damaged { .. } | OpenError::Gap { .. })));
                continue;
            }
            let (log, recovered, entries) = opened.unwrap();
            let whole = places[1..].iter().filter(|place| **place <= length).count();
            let last = 5 + whole as u64;
            assert_eq!(entries, (1..=last).map(entry).collect::<Vec<_>>());
            let torn = (length - places[whole]) as u64;
            assert_eq!(recovered.cut.map_or(0, |cut| cut.bytes), torn);
            append(&log, last + 1);
            drop(log);
            assert_eq!(open(path.path()).unwrap().2.len() as u64, last + 1);
            forget(path.path());
        }
    }
}

#[test]
fn incomplete_entries_are_truncated() {
    let good = small();
    forget(good.path());
    let bytes = fs::read(file(good.path(), 6)).unwrap();
    let places = places();
    let whole = &bytes[places[3]..];
    let mut holed = whole.to_vec();
    holed[HEAD..].fill(0);
    let noise: Vec<u8> = (0..3_000_000_u64).map(|byte| ((byte * byte) >> 5) as u8).collect();
    let ends: [&[u8]; 8] = [
        &[0],
        &[0; 27],
        &[0; 4096],
        &vec![0; 3 << 20],
        &whole[..HEAD],
        &holed,
        &noise,
        &[0xFF; 100],
    ];
    for end in ends {
        let path = folder();
        copy(good.path(), path.path());
        fs::write(file(path.path(), 6), [&bytes[..places[3]], end].concat()).unwrap();
        let (log, recovered, entries) = open(path.path()).unwrap();
        assert_eq!(entries, (1..9).map(entry).collect::<Vec<_>>());
        assert_eq!(recovered.cut.unwrap().bytes, end.len() as u64);
        drop(log);
        forget(path.path());
        // It was closed with a mark.
        assert_eq!(fs::metadata(file(path.path(), 6)).unwrap().len(), (places[3] + HEAD) as u64);
        // Also with an entry after it, as long as nothing says that this entry was flushed.
        let more = [&bytes[..places[3]], end, &bytes[places[3]..places[4]]].concat();
        fs::write(file(path.path(), 6), &more).unwrap();
        let (_, recovered, entries) = open(path.path()).unwrap();
        assert_eq!(entries, (1..9).map(entry).collect::<Vec<_>>());
        assert_eq!(recovered.cut.unwrap().entries, 1);
        fs::write(file(path.path(), 6), [&bytes[..places[3]], end, whole].concat()).unwrap();
        let refused = open(path.path()).map(|_| ()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { offset, .. } if offset == places[3] as u64));
    }
}

#[test]
fn missing_entries_are_refused() {
    let good = small();
    forget(good.path());
    let with = |how: &dyn Fn(&Path), wanted| {
        let path = folder();
        copy(good.path(), path.path());
        how(path.path());
        open_on_disk(&FaultyDisk::new(), path.path(), Fsync::Never, wanted).map(|opened| opened.2)
    };
    let without = |first| move |path: &Path| fs::remove_file(file(path, first)).unwrap();
    assert!(matches!(with(&without(1), (5, 0)), Err(OpenError::Gap { wanted: 5, found: 6, .. })));
    assert_eq!(with(&without(1), (6, 9)).unwrap().len(), 4);
    // A snapshot contains entry 6, and a tenth.
    assert!(matches!(with(&without(6), (3, 6)), Err(OpenError::Damaged { .. })));
    assert!(matches!(with(&|_| (), (3, 10)), Err(OpenError::Damaged { .. })));
    let both = |path: &Path| [1, 6].into_iter().for_each(|first| without(first)(path));
    assert!(matches!(with(&both, (3, 10)), Err(OpenError::Gap { .. })));
    assert_eq!(with(&both, (11, 10)).unwrap(), []);
    let later = |path: &Path| fs::rename(file(path, 6), file(path, 7)).unwrap();
    assert!(matches!(with(&later, (1, 0)), Err(OpenError::Gap { wanted: 6, found: 7, .. })));
    // A dropped part that comes back after a power failure does no harm.
    assert_eq!(with(&|path| fs::write(file(path, 1), "").unwrap(), (6, 9)).unwrap().len(), 4);
}

/// Entries are missing, and nothing says why: no file is changed, and the user must ask to continue.
#[test]
fn removed_files_are_noticed() {
    type Damage<'a> = dyn Fn(&Path) + 'a;
    let end = places()[2];
    let cut = |path: &Path, at: usize| {
        let bytes = fs::read(file(path, 6)).unwrap();
        fs::write(file(path, 6), &bytes[..at]).unwrap();
    };
    let newest = |path: &Path| fs::remove_file(file(path, 6)).unwrap();
    let all = |path: &Path| {
        for first in [1, 6] {
            fs::remove_file(file(path, first)).unwrap();
        }
    };
    let cases: [(&Damage<'_>, Option<Lsn>, usize); 4] = [
        (&all, None, 0),
        (&newest, None, 5),
        (&|path| cut(path, end), Some(7), 7),
        (&|path| cut(path, end + 3), Some(7), 7),
    ];
    for (number, (damage, last, left)) in cases.into_iter().enumerate() {
        let path = small();
        damage(path.path());
        let before = fs::read(file(path.path(), 6)).ok();
        let Err(OpenError::Lost { file: named, found, .. }) = open(path.path()) else {
            panic!("case {number}: entries are lost without an error");
        };
        assert_eq!((&named, found), (&file(path.path(), 6), last));
        assert_eq!(fs::read(named).ok(), before, "nothing is changed");
        forget(path.path());
        assert_eq!(open(path.path()).unwrap().2.len(), left, "case {number}");
    }
    // Also if the log was not closed.
    let (path, left) = (folder(), folder());
    let (log, _, _) = open(path.path()).unwrap();
    append(&log, 1);
    log.rotate().unwrap();
    append(&log, 2);
    log.wait(2).unwrap();
    copy(path.path(), left.path());
    fs::remove_file(file(left.path(), 2)).unwrap();
    assert!(matches!(open(left.path()), Err(OpenError::Lost { found: None, wanted: 2, .. })));
}

#[test]
fn entries_that_replay_refuses_are_errors() {
    let path = small();
    let folder = Folder::claim(path.path()).unwrap();
    let mut replay = |lsn, _, _: &[u8]| if lsn == 7 { Err("no") } else { Ok(()) };
    let refused = FileLog::open(folder, Fsync::Never, 1, 0, &mut replay).map(|_| ()).unwrap_err();
    let offset = places()[1] as u64;
    assert!(matches!(refused, OpenError::Damaged { offset: at, why: "no", .. } if at == offset));
}

/// For each part of a write that fits on a full disk: nothing is lost, and nothing is acknowledged before there is
/// space.
#[test]
fn a_full_disk_loses_nothing() {
    let most = (2 * HEAD + changes(4).len()) as u64;
    for (fsync, room) in
        POLICIES.into_iter().flat_map(|fsync| (0..most).step_by(11).map(move |room| (fsync, room)))
    {
        let path = folder();
        let disk = FaultyDisk::new();
        let (log, _, _) = open_on_disk(&disk, path.path(), fsync, (1, 0)).unwrap();
        (1..4).for_each(|lsn| append(&log, lsn));
        log.wait(3).unwrap();
        disk.change(|faults| {
            faults.room = Some(room);
            faults.cut = room % 3 == 0;
        });
        append(&log, 4);
        append(&log, 5);
        assert!(!log.commit(5).unwrap());
        while log.writable() {
            assert!(!log.commit(5).unwrap());
            thread::yield_now();
        }
        // A change that had begun before.
        append(&log, 6);
        assert_eq!(log.committed(), 3);
        assert!(matches!(log.rotate(), Err(LogError::Write(_))));
        assert!(matches!(log.sync(), Err(LogError::Write(_))));
        thread::scope(|scope| {
            let waits = scope.spawn(|| log.wait(6));
            assert!(!log.commit(6).unwrap());
            disk.change(|faults| (faults.room, faults.cut) = (None, false));
            waits.join().unwrap().unwrap();
        });
        while !log.writable() {
            thread::yield_now();
        }
        append(&log, 7);
        log.wait(7).unwrap();
        log.close().unwrap();
        drop(log);
        let (_, recovered, entries) = open(path.path()).unwrap();
        assert_eq!(entries, (1..8).map(entry).collect::<Vec<_>>());
        assert_eq!(recovered.cut, None);
    }
}

/// A disk that has reported a loss once is not trusted again.
#[test]
fn unflushed_entries_are_never_acknowledged() {
    for fsync in POLICIES {
        let path = folder();
        let disk = FaultyDisk::new();
        let (log, _, _) = open_on_disk(&disk, path.path(), fsync, (1, 0)).unwrap();
        let progress = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&progress);
        // Relaxed: the flag only ends the wait.
        log.on_progress(Box::new(move || count.store(1, Ordering::Relaxed)));
        append(&log, 1);
        log.wait(1).unwrap();
        disk.change(|faults| faults.sync = true);
        append(&log, 2);
        let done = if fsync == Fsync::Always { log.wait(2) } else { log.sync() };
        assert!(matches!(done, Err(LogError::Sync(_))), "{fsync:?}: {done:?}");
        // Relaxed: as above.
        while progress.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        disk.change(|faults| faults.sync = false);
        for _ in 0..20 {
            assert!(!log.writable());
            assert!(matches!(log.append(1, b"no"), Err(LogError::Sync(_))));
            assert!(matches!(log.commit(Lsn::MAX), Err(LogError::Sync(_))));
            assert!(matches!(log.sync(), Err(LogError::Sync(_))));
            assert!(matches!(log.rotate(), Err(LogError::Sync(_))));
            if fsync == Fsync::Always {
                let committed = log.commit(2);
                assert!(matches!(committed, Err(LogError::Sync(_))), "not flushed: {committed:?}");
                assert_eq!(log.committed(), 1, "unflushed entries count as committed");
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(matches!(log.close(), Err(LogError::Sync(_))));
        drop(log);
        let (_, _, entries) = open(path.path()).unwrap();
        assert!(entries == [entry(1)] || entries == [entry(1), entry(2)]);
    }
}

#[test]
fn a_closed_log_refuses_entries() {
    for fsync in POLICIES {
        let path = folder();
        let (log, _, _) = open_on_disk(&FaultyDisk::new(), path.path(), fsync, (1, 0)).unwrap();
        append(&log, 1);
        log.close().unwrap();
        assert_eq!(log.committed(), 1);
        assert!(log.commit(1).unwrap() && !log.writable());
        assert!(matches!(log.append(1, b"no"), Err(LogError::Closed)));
        assert!(matches!(log.wait(Lsn::MAX), Err(LogError::Closed)));
        log.close().unwrap();
        drop(log);
        let bytes = fs::read(file(path.path(), 1)).unwrap();
        assert_eq!(open(path.path()).unwrap().2, [entry(1)]);
        assert_eq!(fs::read(file(path.path(), 1)).unwrap(), bytes, "the mark is written already");
    }
}

#[test]
fn only_old_parts_are_dropped() {
    let path = folder();
    let (log, _, _) = open(path.path()).unwrap();
    assert_eq!(log.rotate().unwrap(), 1, "the file is empty");
    for part in 0..4 {
        (1..=10).for_each(|lsn| append(&log, part * 10 + lsn));
        assert_eq!(log.rotate().unwrap(), part * 10 + 11);
        assert_eq!(log.rotate().unwrap(), part * 10 + 11);
    }
    let there = || [1, 11, 21, 31, 41].map(|first| file(path.path(), first).exists());
    for (before, left) in [(1, 0), (10, 0), (11, 1), (30, 2), (31, 3), (41, 4), (1000, 4)] {
        log.drop_before(before).unwrap();
        assert_eq!(there(), [0, 1, 2, 3, 4].map(|part| part >= left), "before {before}");
        let size = |first| fs::metadata(file(path.path(), first)).map_or(0, |file| file.len());
        assert_eq!(log.bytes(), [1, 11, 21, 31, 41].map(size).iter().sum::<u64>());
    }
    append(&log, 41);
    drop(log);
    let (_, _, entries) =
        open_on_disk(&FaultyDisk::new(), path.path(), Fsync::Never, (41, 40)).unwrap();
    assert_eq!(entries, [entry(41)]);
}

#[test]
fn a_part_that_cannot_be_begun_changes_nothing() {
    let path = folder();
    let disk = FaultyDisk::new();
    let (log, _, _) = open_on_disk(&disk, path.path(), Fsync::EverySecond, (1, 0)).unwrap();
    append(&log, 1);
    disk.change(|faults| faults.create = true);
    assert!(matches!(log.rotate(), Err(LogError::Write(_))));
    disk.change(|faults| (faults.create, faults.rename) = (false, true));
    assert!(matches!(log.rotate(), Err(LogError::Write(_))));
    disk.change(|faults| faults.rename = false);
    assert!(log.writable());
    append(&log, 2);
    log.wait(2).unwrap();
    assert_eq!(log.rotate().unwrap(), 3);
    append(&log, 3);
    // It is unknown now which of the two files the name refers to.
    disk.change(|faults| faults.sync_folder = true);
    assert!(matches!(log.rotate(), Err(LogError::Sync(_))));
    assert!(!log.writable());
    drop(log);
    assert_eq!(open(path.path()).unwrap().2, (1..4).map(entry).collect::<Vec<_>>());
}

/// Stops a test's threads, even if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Relaxed: the flag only ends the loops.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Threads append and commit, beside one that rotates the log and one that drops old parts: each thread's entries are
/// all there in order, and a power failure at any time leaves what was acknowledged.
#[test]
fn concurrent_appends_are_all_replayed() {
    const THREADS: usize = 3;
    const EACH: u64 = 400;
    for fsync in POLICIES {
        let path = folder();
        let disk = FaultyDisk::new();
        let (log, _, _) = open_on_disk(&disk, path.path(), fsync, (1, 0)).unwrap();
        let acknowledged: [AtomicU64; THREADS] = Default::default();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let work = |thread: usize| {
                for number in 1..=EACH {
                    let lsn = log.append(number, format!("{thread} {number}").as_bytes()).unwrap();
                    if number % 3 == 0 {
                        continue;
                    }
                    log.wait(lsn).unwrap();
                    assert!(log.committed() >= lsn && log.commit(lsn).unwrap());
                    // Release: pairs with the acquire before the copy is made, so the copy contains this entry.
                    acknowledged[thread].store(number, Ordering::Release);
                }
            };
            let workers: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
            scope.spawn(|| {
                // Relaxed: the flag only ends the loop.
                while !stop.load(Ordering::Relaxed) {
                    log.rotate().unwrap();
                    thread::yield_now();
                }
            });
            scope.spawn(|| {
                // Relaxed: as above.
                while !stop.load(Ordering::Relaxed) {
                    log.drop_before(10).unwrap();
                }
            });
            let _stop = Stop(&stop);
            while !workers.iter().all(|worker| worker.is_finished()) {
                if fsync == Fsync::Always {
                    // Acquire: pairs with the release above, so the copy made next contains these entries.
                    let known = acknowledged.each_ref().map(|last| last.load(Ordering::Acquire));
                    let left = folder();
                    disk.copy_synced(path.path(), left.path()).unwrap();
                    check(left.path(), known);
                }
                thread::yield_now();
            }
        });
        drop(log);
        check(path.path(), [EACH; THREADS]);
    }
}

/// Checks that each thread's entries are all there, at least up to the known one, except the first ones.
fn check<const THREADS: usize>(path: &Path, known: [u64; THREADS]) {
    let opened = open_on_disk(&FaultyDisk::new(), path, Fsync::Never, (10, 0));
    if matches!(opened, Err(OpenError::Gap { .. } | OpenError::Damaged { .. }))
        && known.iter().sum::<u64>() < 10
    {
        return;
    }
    let (_, recovered, entries) = opened.unwrap();
    assert_eq!(recovered.last, entries.last().map_or(recovered.last, |(lsn, _, _)| *lsn));
    let mut lasts = [0; THREADS];
    for (place, (lsn, time, changes)) in entries.iter().enumerate() {
        assert_eq!(*lsn, place as u64 + 10);
        let text = std::str::from_utf8(changes).unwrap();
        let (thread, number) = text.split_once(' ').unwrap();
        let (thread, number): (usize, u64) = (thread.parse().unwrap(), number.parse().unwrap());
        assert_eq!(number, *time);
        let before = lasts[thread];
        assert!(before + 1 == number || before == 0 && number <= 10);
        lasts[thread] = number;
    }
    for (last, known) in lasts.into_iter().zip(known) {
        assert!(last >= known || known < 10, "{last} is there, and {known} was acknowledged");
    }
}
