//! Tests of the local log: restarts, disks that fail, and readers beside a writer.

use super::position::mark_in;
use super::{
    DiskCondition, DurablePosition, LocalLog, LocalLogError, LocalLogPosition, LocalRecord,
    MOST_BACKLOG,
};
use hedgerow_db_engine::log::disk::{Disk, SystemDisk};
use hedgerow_db_engine::log::faults::FaultyDisk;
use hedgerow_db_engine::log::file::FileLog;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_engine::log::{Fsync, Log, Lsn};
use hedgerow_db_group::{BatchChain, Committed, Entry, HeldEntries, LogPosition, Mark, Seq};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A batch with entries of these changes. `parts` is more than 1 if the entry was too large for one batch.
fn batch_in_parts(seq: Seq, parts: u64, first: Lsn, changes: &[&[u8]]) -> Committed {
    let chain = BatchChain([seq as u8; 16]);
    let mark = Mark { seq, epoch: 1 + seq / 4, chain, first };
    let entries = (first..).zip(changes);
    let entries: Vec<Entry> = entries
        .map(|(lsn, changes)| Entry { lsn, time: lsn * 10, changes: changes.to_vec() })
        .collect();
    let lsn = first + entries.len() as u64 - 1;
    let after =
        LogPosition { seq: seq + parts - 1, lsn, epoch: mark.epoch, ..LogPosition::default() };
    Committed { mark, entries, after }
}

fn batch(seq: Seq, first: Lsn, changes: &[&[u8]]) -> Committed {
    batch_in_parts(seq, 1, first, changes)
}

/// Three batches: of two entries, of one entry in parts, and of three.
fn three() -> [Committed; 3] {
    [
        batch(1, 1, &[b"one", b"two"]),
        batch_in_parts(2, 3, 3, &[&[7; 100]]),
        batch(5, 4, &[b"four", b"", b"six"]),
    ]
}

/// A local log, and the entries that were in its folder when it was opened, without their marks.
struct Opened {
    local_log: LocalLog,
    entries: Vec<Entry>,
    last_mark: Option<Mark>,
}

fn open_on(path: &Path, disk: Arc<dyn Disk>, fsync: Fsync) -> Opened {
    let folder = Folder::claim_on(path, disk).unwrap();
    let (mut entries, mut last_mark) = (Vec::new(), None);
    let (log, _) = FileLog::open(folder, fsync, 1, 0, &mut |lsn, time, changes| {
        let mark = mark_in(lsn, changes);
        last_mark = mark.or(last_mark);
        // A mark is a kind, two short numbers, and 16 bytes.
        let changes = if mark.is_some() { &changes[19..] } else { changes };
        entries.push(Entry { lsn, time, changes: changes.to_vec() });
        Ok(())
    })
    .unwrap();
    Opened { local_log: LocalLog::new(Arc::new(log), last_mark).unwrap(), entries, last_mark }
}

fn open(path: &Path) -> Opened {
    open_on(path, Arc::new(SystemDisk), Fsync::EverySecond)
}

fn entries_of(batches: &[Committed]) -> Vec<Entry> {
    batches.iter().flat_map(|batch| batch.entries.clone()).collect()
}

/// A folder that is synced quickly, where the system has one.
fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Waits until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_restart_finds_the_last_mark() {
    let path = tempfile::tempdir().unwrap();
    let batches = three();
    let opened = open(path.path());
    assert_eq!(opened.local_log.position(), LocalLogPosition::default());
    for (batch, seq) in batches.iter().zip([1, 2, 5]) {
        opened.local_log.push(batch).unwrap();
        let position = opened.local_log.position();
        assert_eq!(position, LocalLogPosition { mark: Some(batch.mark), lsn: batch.after.lsn });
        let durable = DurablePosition { lsn: batch.after.lsn, seq };
        assert_eq!(
            opened.local_log.force().unwrap(),
            durable,
            "the mark's batch has to stay in etcd"
        );
    }
    let at = |lsn| opened.local_log.mark_at(lsn).map(|mark| mark.seq);
    assert_eq!(
        [0, 1, 2, 3, 4, 6, 9].map(at),
        [0, 1, 1, 2, 5, 5, 5].map(|seq| Some(seq).filter(|&seq| seq > 0))
    );
    opened.local_log.close().unwrap();
    assert!(matches!(opened.local_log.push(&batch(6, 7, &[b"late"])), Err(LocalLogError::Log(_))));
    drop(opened);
    let opened = open(path.path());
    assert_eq!(opened.entries, entries_of(&batches));
    assert_eq!(opened.last_mark, Some(batches[2].mark), "the last mark is not found");
    let position = opened.local_log.position();
    assert_eq!((position.next_seq(), position.lsn), (5, 6));
    // It has all of the batch, and takes it again.
    opened.local_log.push(&batches[2]).unwrap();
    opened.local_log.push(&batch(6, 7, &[b"seven"])).unwrap();
    assert_eq!(opened.local_log.position().lsn, 7);
}

#[test]
fn the_entries_of_the_last_batch_are_held() {
    let path = tempfile::tempdir().unwrap();
    let local_log = open(path.path()).local_log;
    let held = |before: Lsn, entries: &[Entry]| {
        let mut held = HeldEntries::up_to(before);
        for entry in entries {
            held.add(entry.time, &entry.changes);
        }
        held
    };
    assert_eq!(local_log.held().unwrap(), HeldEntries::up_to(0));
    for batch in &three() {
        local_log.push(batch).unwrap();
        let wanted = held(batch.mark.first - 1, &batch.entries);
        assert_eq!(local_log.held().unwrap(), wanted, "not as etcd has them");
    }
    drop(local_log);
    let local_log = open(path.path()).local_log;
    assert_eq!(local_log.held().unwrap(), held(3, &three()[2].entries), "after a restart");
    // A snapshot contains the first entries of the batch, and then all of them.
    let large = batch(6, 7, &[b"seven"]);
    local_log.push(&large).unwrap();
    local_log.log().rotate().unwrap();
    let rest = [Entry { lsn: 8, time: 80, changes: b"eight".to_vec() }];
    local_log.push(&Committed { entries: rest.to_vec(), ..large.clone() }).unwrap();
    assert_eq!(local_log.held().unwrap(), held(6, &[&large.entries[..], &rest].concat()));
    local_log.drop_before(8).unwrap();
    assert_eq!(local_log.held().unwrap(), held(7, &rest));
    local_log.log().rotate().unwrap();
    local_log.drop_before(9).unwrap();
    assert_eq!(local_log.held().unwrap(), HeldEntries::up_to(8));
}

/// The log loses its entries to snapshots, the last batch among them.
#[test]
fn a_snapshot_knows_the_last_batch_when_the_log_does_not() {
    let path = tempfile::tempdir().unwrap();
    let local_log = open(path.path()).local_log;
    let whole = batch(1, 1, &[b"one", b"two", b"three", b"four"]);
    let mut wanted = HeldEntries::up_to(0);
    whole.entries.iter().for_each(|entry| wanted.add(entry.time, &entry.changes));
    let part = |range: std::ops::Range<usize>| Committed {
        entries: whole.entries[range].to_vec(),
        ..whole.clone()
    };
    assert_eq!(local_log.batch_hash(0).unwrap(), None, "there is no batch");
    // Two snapshots in the middle of the batch, and one behind it.
    for (pushed, last) in [(0..2, 2), (2..3, 3), (3..4, 4)] {
        local_log.push(&part(pushed)).unwrap();
        local_log.force().unwrap();
        local_log.log().rotate().unwrap();
        let hash = local_log.batch_hash(last).unwrap().unwrap();
        assert_eq!((hash.first, hash.last), (1, last), "a part of the batch is not compared");
        local_log.drop_before(last + 1).unwrap();
    }
    let hash = local_log.batch_hash(4).unwrap().unwrap();
    assert_eq!(local_log.held().unwrap(), wanted);
    drop(local_log);
    let folder = Folder::claim(path.path()).unwrap();
    let opened = FileLog::open(folder, Fsync::EverySecond, 5, 4, &mut |_, _, _| Ok(()));
    let local_log = LocalLog::new(Arc::new(opened.unwrap().0), Some(whole.mark)).unwrap();
    assert_eq!(local_log.held().unwrap(), HeldEntries::up_to(4));
    local_log.set_in_snapshot(&hash);
    assert_eq!(local_log.held().unwrap(), wanted, "the last batch is not compared");
}

#[test]
fn a_crash_may_cut_a_batch_anywhere() {
    let path = tempfile::tempdir().unwrap();
    let batches = three();
    let opened = open(path.path());
    for batch in &batches {
        opened.local_log.push(batch).unwrap();
    }
    opened.local_log.log().wait(6).unwrap();
    let name = format!("log-{:020}", 1);
    let whole = std::fs::read(path.path().join(&name)).unwrap();
    for length in 20..=whole.len() {
        let cut = in_memory();
        std::fs::write(cut.path().join(&name), &whole[..length]).unwrap();
        let opened = open(cut.path());
        let had = opened.entries.len();
        let next = opened.local_log.position().next_seq();
        for batch in batches.iter().filter(|batch| batch.mark.seq >= next) {
            let pushed = opened.local_log.push(batch);
            assert!(pushed.is_ok(), "after {length} bytes: {pushed:?}");
        }
        drop(opened);
        let opened = open(cut.path());
        assert_eq!(opened.entries, entries_of(&batches), "after {length} bytes, {had} entries");
        assert_eq!(opened.last_mark, Some(batches[2].mark), "after {length} bytes");
    }
}

#[test]
fn a_gap_is_refused() {
    let path = tempfile::tempdir().unwrap();
    let opened = open(path.path());
    opened.local_log.push(&batch(1, 1, &[b"one"])).unwrap();
    let refused = |batch: &Committed| match opened.local_log.push(batch) {
        Err(LocalLogError::Gap { wanted, found }) => (wanted, found),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&batch(3, 3, &[b"three"])), (2, 3));
    let mut inside = batch(2, 2, &[b"two", b"three"]);
    inside.entries[1].lsn = 4;
    assert_eq!(refused(&inside), (3, 4));
    assert_eq!(opened.local_log.position().lsn, 1, "nothing was appended");
    opened.local_log.push(&batch(2, 2, &[b"two"])).unwrap();
}

#[test]
fn what_was_forced_survives_a_power_failure() {
    for fsync in [Fsync::Always, Fsync::EverySecond, Fsync::Never] {
        let (path, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = FaultyDisk::new();
        let opened = open_on(path.path(), Arc::new(disk.clone()), fsync);
        let batches = three();
        opened.local_log.push(&batches[0]).unwrap();
        opened.local_log.push(&batches[1]).unwrap();
        let durable = opened.local_log.force().unwrap();
        disk.copy_synced(path.path(), left.path()).unwrap();
        let after = open(left.path());
        let wanted = entries_of(&batches[..2]);
        assert_eq!(after.entries, wanted, "a forced entry is lost: {fsync:?}");
        assert_eq!(after.local_log.position().durable(), durable, "{fsync:?}");
    }
}

#[test]
fn a_full_disk_is_told_and_left() {
    let path = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let opened = open_on(path.path(), Arc::new(disk.clone()), Fsync::EverySecond);
    let batches = three();
    opened.local_log.push(&batches[0]).unwrap();
    opened.local_log.force().unwrap();
    disk.change(|faults| faults.room = Some(0));
    opened.local_log.push(&batches[1]).unwrap();
    eventually("the full disk is not noticed", || {
        matches!(opened.local_log.condition(), DiskCondition::Full(_))
    });
    assert!(opened.local_log.force().is_err(), "entries that are not on the disk are not durable");
    opened.local_log.push(&batches[2]).unwrap();
    assert!(opened.local_log.backlog() > 0);
    disk.change(|faults| faults.room = None);
    eventually("the local log does not go on", || {
        matches!(opened.local_log.condition(), DiskCondition::Good)
    });
    assert_eq!(opened.local_log.force().unwrap(), DurablePosition { lsn: 6, seq: 5 });
    eventually("bytes wait for ever", || opened.local_log.backlog() == 0);
    drop(opened);
    assert_eq!(open(path.path()).entries, entries_of(&batches));
}

#[test]
fn a_failed_sync_is_final() {
    let path = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let opened = open_on(path.path(), Arc::new(disk.clone()), Fsync::Never);
    let batches = three();
    opened.local_log.push(&batches[0]).unwrap();
    disk.change(|faults| faults.sync = true);
    assert!(matches!(opened.local_log.force(), Err(LocalLogError::Log(_))));
    disk.change(|faults| faults.sync = false);
    assert!(matches!(opened.local_log.condition(), DiskCondition::Failed(_)));
    assert!(matches!(opened.local_log.push(&batches[1]), Err(LocalLogError::Log(_))));
    let forced = opened.local_log.force();
    assert!(forced.is_err(), "nobody knows what is on the disk: {forced:?}");
}

#[test]
fn what_waits_for_the_disk_is_bounded() {
    let path = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let opened = open_on(path.path(), Arc::new(disk.clone()), Fsync::Never);
    disk.change(|faults| faults.room = Some(0));
    let (local_log, large) = (&opened.local_log, vec![7; 4 << 20]);
    let count = MOST_BACKLOG / (4 << 20) + 4;
    std::thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            for seq in 1..=count {
                local_log.push(&batch(seq, seq, &[&large])).unwrap();
            }
        });
        eventually("nothing waits", || local_log.backlog() > MOST_BACKLOG);
        // Time for further pushes, which must not come.
        for _ in 0..30 {
            let bytes = local_log.backlog();
            let bounded = bytes < MOST_BACKLOG + (5 << 20) && !pusher.is_finished();
            assert!(bounded, "{bytes} bytes wait");
            std::thread::sleep(Duration::from_millis(10));
        }
        disk.change(|faults| faults.room = None);
    });
    assert_eq!(local_log.position().lsn, count);
}

#[test]
fn a_reader_keeps_what_it_reads() {
    let path = tempfile::tempdir().unwrap();
    let opened = open(path.path());
    let local_log = &opened.local_log;
    let segments = || std::fs::read_dir(path.path()).unwrap().count();
    local_log.push(&batch(1, 1, &[b"one", b"two"])).unwrap();
    local_log.log().rotate().unwrap();
    local_log.push(&batch(2, 3, &[b"three"])).unwrap();
    local_log.log().rotate().unwrap();
    let three = segments();
    let mut reader = local_log.read_from(2).unwrap();
    local_log.drop_before(4).unwrap();
    assert_eq!(segments(), three, "a segment that is read was removed");
    let read = |records: Vec<LocalRecord>| -> Vec<Lsn> {
        records.iter().map(|record| record.lsn).collect()
    };
    assert_eq!(read(reader.read(1).unwrap()), [2]);
    assert_eq!(read(reader.read(1).unwrap()), [3]);
    assert_eq!(read(reader.read(1).unwrap()), [0; 0], "there is no further entry yet");
    local_log.push(&batch(3, 4, &[b"four", b"five"])).unwrap();
    local_log.log().wait(5).unwrap();
    let records = reader.read(1 << 20).unwrap();
    assert_eq!(mark_in(4, &records[0].changes).map(|mark| mark.seq), Some(3));
    assert_eq!(read(records), [4, 5]);
    local_log.drop_before(4).unwrap();
    assert_eq!(segments(), three - 2, "the reader has passed these segments");
    assert!(matches!(local_log.read_from(3), Err(LocalLogError::Trimmed { wanted: 3, oldest: 4 })));
    drop(reader);
    local_log.read_from(4).unwrap();
}

#[test]
fn a_reader_beside_the_writer_meets_every_entry() {
    const LAST: Lsn = 3000;
    let path = tempfile::tempdir().unwrap();
    let opened = open(path.path());
    let local_log = &opened.local_log;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for lsn in 1..=LAST {
                let changes = vec![lsn as u8; (lsn as usize * 37) % 2000];
                local_log.push(&batch(lsn, lsn, &[&changes])).unwrap();
                if lsn % 500 == 0 {
                    local_log.log().rotate().unwrap();
                }
            }
        });
        let (mut reader, mut next) = (local_log.read_from(1).unwrap(), 1);
        let deadline = Instant::now() + Duration::from_secs(60);
        while next <= LAST {
            for LocalRecord { lsn, time, changes } in reader.read(5000).unwrap() {
                assert_eq!((lsn, time), (next, next * 10));
                let mark = mark_in(lsn, &changes).unwrap();
                assert_eq!((mark.seq, mark.first), (lsn, lsn));
                next += 1;
            }
            assert!(Instant::now() < deadline, "stuck before entry {next}");
        }
    });
}

#[test]
fn damage_in_the_local_log_is_told() {
    let path = tempfile::tempdir().unwrap();
    let opened = open(path.path());
    opened.local_log.push(&batch(1, 1, &[&[1; 100], &[2; 100]])).unwrap();
    opened.local_log.log().wait(2).unwrap();
    let file = path.path().join(format!("log-{:020}", 1));
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    // In place, because the log has the file open.
    let same = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&same, &bytes, 0).unwrap();
    let mut reader = opened.local_log.read_from(1).unwrap();
    let first = reader.read(1).unwrap();
    assert_eq!(first.len(), 1);
    let damaged = reader.read(1);
    assert!(matches!(damaged, Err(LocalLogError::Read(_))), "{damaged:?}");
}
