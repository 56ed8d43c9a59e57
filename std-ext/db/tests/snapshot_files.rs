//! builds: default
//!
//! Snapshot files: complete, or refused.

use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::log::folder::Folder;
use hedgerow_db::log::{BatchHash, BatchMark, Fsync, OpenError, Position};
use hedgerow_db::request::{LONGEST_VALUE, OwnedValue, Packer, Score, StoredValue, ValueType};
use hedgerow_db::snapshot::{Snapshot, SnapshotWriter, remove_older};
use hedgerow_db::{Db, Options, SlotSet};
use hedgerow_db_formats::crc32;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

type Entry = (Vec<u8>, Option<u64>, OwnedValue);

/// A directory in memory if possible: no test here needs a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn claim(path: &Path, disk: &FaultyDisk) -> Arc<Folder> {
    Folder::claim_on(path, Arc::new(disk.clone())).unwrap()
}

fn file(path: &Path, last: u64) -> PathBuf {
    path.join(format!("snapshot-{last:020}"))
}

/// Returns a value of another type than string.
fn packed(number: u64, bytes: &[u8]) -> OwnedValue {
    let types = [ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet];
    let mut packer = Packer::new(types[number as usize % types.len()]);
    let score = Score::new(number as f64).unwrap().bytes();
    packer.push(bytes, &score);
    packer.push(b"a further name", &score);
    packer.into_owned()
}

/// Returns the entries of a section, of all types: some with an expiration, some empty, some long.
fn entries(section: u64, number: u64) -> Vec<Entry> {
    let entry = |number: u64| {
        let key = format!("key {section} {number}").into_bytes();
        let ends = number.is_multiple_of(3).then_some(u64::MAX - number);
        let length = if number % 100 == 99 { 70_000 } else { number * 13 % 200 };
        let bytes: Vec<u8> = (0..length).map(|byte| (byte + section) as u8).collect();
        let is_packed = number % 4 == 2;
        let packed = || packed(number / 4 + section, &bytes);
        (key, ends, if is_packed { packed() } else { OwnedValue::string(bytes.clone()) })
    };
    (0..number).map(entry).collect()
}

/// Writes a snapshot after log entry 90, with sections of these lengths.
fn write(folder: &Arc<Folder>, last: u64, sections: &[u64]) -> std::io::Result<u64> {
    write_at(folder, last, sections, None)
}

/// As `write`; with a position, the snapshot of a node of a cluster.
fn write_at(
    folder: &Arc<Folder>,
    last: u64,
    sections: &[u64],
    position: Option<Position>,
) -> std::io::Result<u64> {
    let create =
        if position.is_some() { SnapshotWriter::create_clustered } else { SnapshotWriter::create };
    let mut writer = create(folder)?;
    for (number, count) in sections.iter().enumerate() {
        let begin = number as u16 * 1000;
        writer.section(begin..begin + 1000, last - 50 + number as u64)?;
        for (key, ends, value) in entries(number as u64, *count) {
            writer.entry(&key, ends, value.stored())?;
        }
    }
    writer.finish_at(last, 777, position)
}

fn position() -> Position {
    let mut slots = [0; 2048];
    (slots[0], slots[2047]) = (1, 0x80);
    let mark = BatchMark { seq: 1 << 40, epoch: 3, chain_before: *b"before the batch" };
    Position {
        cluster: *b"sixteen long id.",
        group: 7,
        incarnation: 1 << 50,
        epoch: 4,
        slots: SlotSet::from_bits(&slots),
        batch: Some((88, mark)),
        batch_hash: Some(BatchHash { first: 89, last: 90, hash: *b"hash of 89 to 90" }),
    }
}

#[test]
fn a_snapshot_of_a_cluster_has_the_position_of_the_log() {
    let path = folder();
    let folder = claim(path.path(), &FaultyDisk::new());
    let unknown = Position { batch_hash: None, ..position() };
    for position in [position(), Position { batch: None, ..position() }, unknown.clone()] {
        write_at(&folder, 90, &[3, 5], Some(position.clone())).unwrap();
        let snapshot = Snapshot::newest(&folder).unwrap().unwrap();
        assert_eq!((snapshot.last(), snapshot.time()), (90, 777));
        assert_eq!(snapshot.position(), Some(&position));
        assert!(read(&snapshot, 1).unwrap() == entries(1, 5));
    }
    let slots = position().slots;
    assert_eq!((slots.len(), slots.contains(0), slots.contains(16_383)), (2, true, true));
    assert!(!slots.contains(1) && SlotSet::all().len() == 16_384);
    // A batch that begins behind the snapshot's last entry.
    let late = position().batch.map(|(_, mark)| (91, mark));
    write_at(&folder, 90, &[3], Some(Position { batch: late, ..position() })).unwrap();
    assert!(matches!(Snapshot::newest(&folder), Err(OpenError::Damaged { .. })));
    // Neither does a hash that begins there say anything, nor one up to another entry.
    let begins = |first| position().batch_hash.map(|hash| BatchHash { first, ..hash });
    let late = Position { batch_hash: begins(91), ..position() };
    write_at(&folder, 90, &[3], Some(late)).unwrap();
    assert!(matches!(Snapshot::newest(&folder), Err(OpenError::Damaged { .. })));
    write_at(&folder, 91, &[3], Some(position())).unwrap();
    assert_eq!(Snapshot::newest(&folder).unwrap().unwrap().position(), Some(&unknown));
    // Programs of one machine write what earlier programs can read.
    write(&folder, 95, &[3]).unwrap();
    assert_eq!(fs::read(file(path.path(), 95)).unwrap()[8..12], [1, 0, 0, 0]);
    assert!(Snapshot::newest(&folder).unwrap().unwrap().position().is_none());
    assert!(SnapshotWriter::create(&folder).unwrap().finish_at(96, 1, Some(position())).is_err());
    assert!(SnapshotWriter::create_clustered(&folder).unwrap().finish(96, 1).is_err());
}

fn read(snapshot: &Snapshot, number: usize) -> Result<Vec<Entry>, OpenError> {
    let mut found = Vec::new();
    snapshot.read_section(number, &mut |key, ends, value| {
        found.push((key.to_vec(), ends, value.to_owned()));
    })?;
    Ok(found)
}

#[test]
fn written_entries_are_read_back() {
    let path = folder();
    let folder = claim(path.path(), &FaultyDisk::new());
    assert!(Snapshot::newest(&folder).unwrap().is_none());
    let counts = [0, 1, 2000, 0, 150];
    let bytes = write(&folder, 90, &counts).unwrap();
    assert_eq!(fs::metadata(file(path.path(), 90)).unwrap().len(), bytes);
    let snapshot = Snapshot::newest(&folder).unwrap().unwrap();
    assert_eq!((snapshot.last(), snapshot.time(), snapshot.bytes()), (90, 777, bytes));
    // In parallel, and each more than once.
    thread::scope(|scope| {
        for _ in 0..2 {
            for (number, count) in counts.into_iter().enumerate() {
                let snapshot = &snapshot;
                scope.spawn(move || {
                    let info = &snapshot.sections()[number];
                    let begin = number as u16 * 1000;
                    assert_eq!(info.slots, begin..begin + 1000);
                    assert_eq!((info.watermark, info.entries), (40 + number as u64, count));
                    assert!(read(snapshot, number).unwrap() == entries(number as u64, count));
                });
            }
        }
    });
    // The newest snapshot is loaded, and an older one is removed.
    write(&folder, 100, &[3]).unwrap();
    assert_eq!(Snapshot::newest(&folder).unwrap().unwrap().last(), 100);
    remove_older(&folder, 100).unwrap();
    assert!(!file(path.path(), 90).exists() && file(path.path(), 100).exists());
}

#[test]
fn every_byte_counts() {
    check_every_byte(None);
    check_every_byte(Some(position()));
}

fn check_every_byte(position: Option<Position>) {
    let path = folder();
    let folder = claim(path.path(), &FaultyDisk::new());
    write_at(&folder, 90, &[3, 0, 5], position).unwrap();
    let good = fs::read(file(path.path(), 90)).unwrap();
    let all = || -> Result<Vec<Vec<Entry>>, OpenError> {
        let snapshot = Snapshot::newest(&folder)?.unwrap();
        (0..snapshot.sections().len()).map(|number| read(&snapshot, number)).collect()
    };
    assert_eq!(all().unwrap().len(), 3);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(file(path.path(), 90), &bad).unwrap();
        let refused = all().unwrap_err();
        let OpenError::Damaged { file: named, offset, .. } = refused else { panic!("{refused}") };
        assert_eq!(named, file(path.path(), 90));
        assert!(offset <= good.len() as u64);
    }
    for length in 0..good.len() {
        fs::write(file(path.path(), 90), &good[..length]).unwrap();
        assert!(matches!(all(), Err(OpenError::Damaged { .. })), "cut to {length}");
        // Also with the footer where it is expected.
        let end = &good[good.len() - 16.min(length)..];
        fs::write(file(path.path(), 90), [&good[..length - end.len()], end].concat()).unwrap();
        assert!(matches!(all(), Err(OpenError::Damaged { .. })), "cut to {length}, with its end");
    }
    // The name of another snapshot.
    fs::remove_file(file(path.path(), 90)).unwrap();
    fs::write(file(path.path(), 91), &good).unwrap();
    assert!(matches!(all(), Err(OpenError::Damaged { .. })));
    // A damaged snapshot is not skipped in favour of an older one.
    fs::write(file(path.path(), 90), &good).unwrap();
    assert!(matches!(all(), Err(OpenError::Damaged { .. })));
    fs::remove_file(file(path.path(), 91)).unwrap();
    assert_eq!(all().unwrap()[2], entries(2, 5));
}

/// Numbers that no writer makes, with a valid CRC, as anyone who can write to the directory could make them: the reader
/// allocates no more memory than the file has, and nothing overflows.
#[test]
fn invalid_numbers_are_errors() {
    let path = folder();
    let folder = claim(path.path(), &FaultyDisk::new());
    write(&folder, 90, &[3, 5]).unwrap();
    let good = fs::read(file(path.path(), 90)).unwrap();
    let footer = 16 + 2 * 36;
    let begin = good.len() - 16 - footer;
    for place in (16..footer).step_by(2) {
        for with in [0_u16, 1, 0x7FFF, 0xFFFF] {
            let mut bad = good.clone();
            bad[begin + place..begin + place + 2].copy_from_slice(&with.to_le_bytes());
            if bad == good {
                continue;
            }
            let crc = crc32::of(&bad[begin..begin + footer + 4]);
            bad[begin + footer + 4..begin + footer + 8].copy_from_slice(&crc.to_le_bytes());
            fs::write(file(path.path(), 90), &bad).unwrap();
            let Ok(snapshot) = Snapshot::newest(&folder) else { continue };
            let snapshot = snapshot.unwrap();
            for (number, info) in snapshot.sections().iter().enumerate() {
                assert!(info.watermark <= 90 && info.entries < good.len() as u64);
                let found = read(&snapshot, number);
                let wanted = entries(number as u64, [3, 5][number]);
                assert!(found.is_err() || found.unwrap() == wanted);
            }
        }
    }
}

#[test]
fn long_values_come_back() {
    let path = folder();
    let folder = claim(path.path(), &FaultyDisk::new());
    // Around the length of a block, and much longer.
    let lengths = [65_000, 65_521, 65_522, 65_523, 65_536, 1 << 20, 5 << 20];
    let value =
        |length: usize| -> Vec<u8> { (0..length).map(|byte| ((byte * 31) >> 3) as u8).collect() };
    let mut writer = SnapshotWriter::create(&folder).unwrap();
    writer.section(0..16384, 5).unwrap();
    let key = vec![b'k'; 65_535];
    for length in lengths {
        writer.entry(b"key", None, StoredValue::String(&value(length))).unwrap();
        writer.entry(&key, Some(1), StoredValue::String(b"")).unwrap();
    }
    let too_long = writer.entry(&vec![b'k'; 65_536], None, StoredValue::String(b""));
    assert!(too_long.is_err());
    drop(writer);
    assert!(Snapshot::newest(&folder).unwrap().is_none());
    let mut writer = SnapshotWriter::create(&folder).unwrap();
    writer.section(0..16384, 5).unwrap();
    for length in lengths {
        writer.entry(b"key", None, StoredValue::String(&value(length))).unwrap();
        writer.entry(&key, Some(1), StoredValue::String(b"")).unwrap();
    }
    writer.finish(5, 1).unwrap();
    let snapshot = Snapshot::newest(&folder).unwrap().unwrap();
    let mut found = 0;
    let mut each = |this: &[u8], ends, there: StoredValue<'_>| {
        let there = there.bytes();
        if found % 2 == 0 {
            assert!((this, ends) == (b"key", None) && there == value(lengths[found / 2]));
        } else {
            assert!(this == key && ends == Some(1) && there.is_empty());
        }
        found += 1;
    };
    snapshot.read_section(0, &mut each).unwrap();
    assert_eq!(found, 2 * lengths.len());
    const { assert!(LONGEST_VALUE < 1 << 30, "the highest bits have other meanings") };
}

#[test]
fn sections_follow_each_other() {
    let path = folder();
    let folder = claim(path.path(), &FaultyDisk::new());
    let mut writer = SnapshotWriter::create(&folder).unwrap();
    assert!(writer.entry(b"key", None, StoredValue::String(b"")).is_err(), "there is no section");
    writer.section(5..10, 1).unwrap();
    for wrong in [5..11, 9..10, 12..12, 10..16385] {
        assert!(writer.section(wrong, 1).is_err());
    }
    writer.section(10..16384, 1).unwrap();
}

/// If any operation fails while a snapshot is written, the one before stays, and nothing is left of the new one.
#[test]
fn a_failed_snapshot_leaves_nothing() {
    let path = folder();
    let disk = FaultyDisk::new();
    let folder = claim(path.path(), &disk);
    let bytes = write(&folder, 90, &[300, 5]).unwrap();
    let before = fs::read(file(path.path(), 90)).unwrap();
    for room in [0, 5, 12, 1000, 70_000, bytes - 100, bytes - 1] {
        disk.change(|faults| faults.room = Some(room));
        assert!(write(&folder, 91, &[300, 5]).is_err(), "{room} bytes are enough");
        disk.change(|faults| faults.room = None);
        assert!(!path.path().join("snapshot.new").exists());
    }
    disk.change(|faults| faults.sync = true);
    assert!(write(&folder, 91, &[300, 5]).is_err());
    disk.change(|faults| (faults.sync, faults.rename) = (false, true));
    assert!(write(&folder, 91, &[300, 5]).is_err());
    disk.change(|faults| (faults.rename, faults.create) = (false, true));
    assert!(write(&folder, 91, &[300, 5]).is_err());
    disk.change(|faults| faults.create = false);
    assert!(!path.path().join("snapshot.new").exists());
    assert_eq!(Snapshot::newest(&folder).unwrap().unwrap().last(), 90);
    assert_eq!(fs::read(file(path.path(), 90)).unwrap(), before);
    // A process that died meanwhile has left this.
    fs::write(path.path().join("snapshot.new"), b"half").unwrap();
    assert_eq!(Snapshot::newest(&folder).unwrap().unwrap().last(), 90);
    assert!(!path.path().join("snapshot.new").exists());
    write(&folder, 91, &[300, 5]).unwrap();
    assert_eq!(Snapshot::newest(&folder).unwrap().unwrap().last(), 91);
    // A file that has its final name is on the disk completely.
    let left = self::folder();
    disk.copy_synced(path.path(), left.path()).unwrap();
    assert_eq!(fs::read(file(left.path(), 91)).unwrap(), fs::read(file(path.path(), 91)).unwrap());
}

// -------------------------------------------------------------------------------------------------- the directory

fn open(path: &Path) -> Result<Db, OpenError> {
    let mut options = Options::at(path);
    (options.fsync, options.shards, options.snapshot_after) = (Fsync::Never, 4, 0);
    Db::open_on_disk(options, Arc::new(FaultyDisk::new()))
}

#[test]
fn opening_reports_what_was_loaded() {
    let path = tempfile::tempdir().unwrap();
    let inner = path.path().join("made").join("where it is missing");
    let db = open(&inner).unwrap();
    assert!(matches!(open(&inner), Err(OpenError::InUse(_))));
    db.set("a", "1").unwrap();
    db.set("b", "2").unwrap();
    db.snapshot().unwrap();
    db.set("c", "3").unwrap();
    drop(db);
    let log = inner.join("log-00000000000000000003");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, [&whole[..], &whole[20..40]].concat()).unwrap();
    let db = open(&inner).unwrap();
    let opened = db.opened();
    assert_eq!((opened.snapshot_keys, opened.log_entries, opened.truncated_bytes), (2, 1, 20));
    drop(db);
    assert_eq!(fs::read(&log).unwrap(), whole);
    // Damage is refused with its position, and no file is changed.
    let snapshot = inner.join("snapshot-00000000000000000002");
    let mut bad = fs::read(&snapshot).unwrap();
    bad[30] ^= 4;
    fs::write(&snapshot, &bad).unwrap();
    let refused = open(&inner).map(|_| ()).unwrap_err();
    assert!(matches!(&refused, OpenError::Damaged { file, .. } if *file == snapshot), "{refused}");
    bad[30] ^= 4;
    fs::write(&snapshot, &bad).unwrap();
    fs::remove_file(&log).unwrap();
    assert!(matches!(open(&inner), Err(OpenError::Lost { found: None, wanted: 3, .. })));
    fs::remove_file(inner.join("manifest")).unwrap();
    assert_eq!(open(&inner).unwrap().len(), 2, "all that the snapshot needs");
    assert_eq!(fs::read(&snapshot).unwrap(), bad);
}
