//! Tests of opening a node of a cluster: its folder, its last batch, and its snapshots.

use super::*;
use crate::clock::TimeSource;
use crate::crc32;
use crate::log::frame::u32_at;
use crate::log::manual::ManualLog;
use crate::log::{BatchHash, change};
use crate::request::Expiry;
use crate::slot_set::SlotSet;
use crate::snapshot::{Snapshot, SnapshotWriter};
use std::path::Path;
use std::sync::atomic::AtomicU64;

fn options(folder: &Path, time: u64) -> Options {
    Options { time: TimeSource::Manual(Arc::new(AtomicU64::new(time))), ..Options::at(folder) }
}

/// Opens a node at a time and passes what it finds to `with`. Its log is one that a test controls.
fn open(folder: &Path, time: u64, with: impl FnOnce(&NodeContents)) -> (Db, Arc<ManualLog>) {
    let log = Arc::new(ManualLog::trusting());
    let shared = Arc::clone(&log);
    let opened =
        Db::open_clustered(options(folder, time), None, &Progress::default(), |contents| {
            with(&contents);
            shared.publish_last(contents.last);
            Ok::<Arc<dyn Log>, OpenError>(shared)
        });
    (opened.unwrap(), log)
}

fn mark(seq: u64) -> BatchMark {
    BatchMark { seq, epoch: 3, chain_before: [seq as u8; 16] }
}

/// The entries of two batches. The second one begins with the clock set back.
fn write_batches(log: &FileLog) {
    let append = |time, encode: &dyn Fn(&mut Vec<u8>)| {
        let mut changes = Vec::new();
        encode(&mut changes);
        log.append(time, &changes).unwrap();
    };
    append(9000, &|into| {
        change::batch(&mark(7), into);
        change::begin(3, &[1; 20], into);
    });
    append(9100, &|into| change::set(b"rose", b"red", Expiry::At(9500), into));
    append(8000, &|into| {
        change::batch(&mark(8), into);
        change::clock(9100, into);
    });
    append(8100, &|into| change::set(b"daisy", b"white", Expiry::At(9000), into));
    log.sync().unwrap();
}

#[test]
fn a_node_finds_its_last_batch() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 500, |contents| {
        assert_eq!((contents.last, contents.batch), (0, None));
        write_batches(contents.log.as_ref().unwrap());
    }));
    let (db, _) = open(folder.path(), 500, |contents| {
        assert_eq!((contents.last, contents.batch), (4, Some((3, mark(8)))));
        assert_eq!(contents.time, 8100, "the clock was set back");
        assert!(contents.snapshot.is_none());
    });
    assert_eq!((db.role(), db.state().watermark()), (Role::Loading, 8000));
    assert_eq!(db.get("daisy").unwrap().as_deref(), Some(&b"white"[..]));
}

/// A snapshot that left out a key by the node's own clock would lose it: a later entry may have an earlier time.
#[test]
fn snapshots_know_the_log_and_keep_keys_that_ended_behind_the_watermark() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 500, |contents| write_batches(contents.log.as_ref().unwrap())));
    let position = Position {
        cluster: [4; 16],
        group: 5,
        incarnation: 6,
        epoch: 3,
        slots: SlotSet::all(),
        batch: Some((3, mark(8))),
        batch_hash: None,
    };
    let (db, log) = open(folder.path(), 1_000_000, |contents| {
        // All of it is in the snapshot below.
        let log = contents.log.as_ref().unwrap();
        let first = log.rotate().unwrap();
        log.drop_before(first).unwrap();
    });
    db.become_follower();
    log.set_position(position.clone());
    db.snapshot().unwrap();
    drop(db);
    let claimed = Folder::claim(folder.path()).unwrap();
    let keys = |snapshot: &Snapshot| snapshot.sections().iter().map(|one| one.entries).sum::<u64>();
    let snapshot = Snapshot::newest(&claimed).unwrap().unwrap();
    assert_eq!(snapshot.position(), Some(&position));
    assert_eq!(keys(&snapshot), 2, "a key was left out by the node's own clock");
    let (db, log) = open_claimed(&claimed, |contents| {
        assert_eq!(contents.snapshot.as_ref(), Some(&position));
        assert_eq!((contents.last, contents.batch), (4, position.batch));
    });
    let mut watermark = Vec::new();
    change::watermark(9400, &mut watermark);
    db.become_follower();
    db.follow(&[(5, 9400, &watermark)], &|lsn| log.publish_last(lsn)).unwrap();
    log.set_position(position);
    db.snapshot().unwrap();
    let snapshot = Snapshot::newest(&claimed).unwrap().unwrap();
    assert_eq!((snapshot.last(), keys(&snapshot)), (5, 1));
}

fn open_claimed(folder: &Arc<Folder>, with: impl FnOnce(&NodeContents)) -> (Db, Arc<ManualLog>) {
    let log = Arc::new(ManualLog::trusting());
    let (shared, claimed) = (Arc::clone(&log), Some(Arc::clone(folder)));
    let options = options(folder.path(), 1_000_000);
    let opened = Db::open_clustered(options, claimed, &Progress::default(), |contents| {
        with(&contents);
        shared.publish_last(contents.last);
        Ok::<Arc<dyn Log>, OpenError>(shared)
    });
    (opened.unwrap(), log)
}

#[test]
fn a_database_on_one_machine_opens_the_folder_of_a_node() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), 500, |contents| write_batches(contents.log.as_ref().unwrap())));
    let db = Db::open(options(folder.path(), 8200)).unwrap();
    assert_eq!(db.get("daisy").unwrap().as_deref(), Some(&b"white"[..]));
    db.snapshot().unwrap();
    drop(db);
    let claimed = Folder::claim(folder.path()).unwrap();
    assert!(Snapshot::newest(&claimed).unwrap().unwrap().position().is_none());
}

/// Nodes wrote version 2 before snapshots had a hash of the last batch.
#[test]
fn snapshots_of_version_2_are_read() {
    const TRAILER: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let claimed = Folder::claim(folder.path()).unwrap();
    let hash = BatchHash { first: 3, last: 4, hash: [7; 16] };
    let position = Position {
        cluster: [4; 16],
        group: 5,
        incarnation: 6,
        epoch: 3,
        slots: SlotSet::all(),
        batch: Some((3, mark(8))),
        batch_hash: Some(hash),
    };
    let writer = SnapshotWriter::create_clustered(&claimed).unwrap();
    writer.finish_at(4, 8100, Some(position.clone())).unwrap();
    let read = || Snapshot::newest(&claimed).unwrap().unwrap().position().cloned();
    assert_eq!(read(), Some(position.clone()));
    let file = folder.path().join(format!("snapshot-{:020}", 4));
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len() - TRAILER;
    let size = u32_at(&bytes, end) - 24;
    bytes.drain(end - 24..end);
    bytes[8] = 2;
    let end = end - 24;
    bytes[end..end + 4].copy_from_slice(&size.to_le_bytes());
    let crc = crc32::of(&bytes[end - size as usize..end + 4]);
    bytes[end + 4..end + 8].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(read(), Some(Position { batch_hash: None, ..position }));
}
