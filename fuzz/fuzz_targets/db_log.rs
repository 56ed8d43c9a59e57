//! Hostile folders of a database: log entries with right checksums and changes that no database made, snapshots with
//! any sections, and damage to all of it. The result is an error, or a database that opens again with the same content.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::log::file::FileLog;
use hedgerow_db::log::folder::Folder;
use hedgerow_db::log::{Fsync, Log};
use hedgerow_db::request::{Answer, Query, Request, StoredValue};
use hedgerow_db::snapshot::SnapshotWriter;
use hedgerow_db::{Db, Options};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

#[derive(Arbitrary, Debug)]
struct Script {
    shards: u8,
    steps: Vec<Step>,
    snapshot: Option<(u64, Vec<Section>)>,
    /// If the power is lost: the parts of unforced data that the disk has written.
    torn: Option<Vec<bool>>,
    harms: Vec<Harm>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Entry(u64, Vec<Change>),
    Bytes(u64, Vec<u8>),
    Commit,
    Force,
    Rotate,
    DropBefore(u8),
}

/// A change as the log has it: a kind, a key, and the fields of the kind.
#[derive(Arbitrary, Debug)]
struct Change {
    kind: u8,
    key: u8,
    number: u16,
    rest: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Section {
    skip: u16,
    slots: u16,
    floor: u8,
    /// A key, its expiration, and its value: a string, or else what another value is packed into.
    entries: Vec<(u8, Option<u64>, bool, Vec<u8>)>,
}

#[derive(Arbitrary, Debug)]
enum Harm {
    Flip(u8, u16, u8),
    Cut(u8, u16),
    Add(u8, Vec<u8>),
    Remove(u8),
}

// The kinds of changes, as in `log/change.rs`. A change of another kind has a key and nothing else.
const SET: u8 = 1;
const SET_ENDING: u8 = 2;
const SET_KEEPING: u8 = 3;
const END: u8 = 5;
const ADD: u8 = 7;
const APPEND: u8 = 8;
const WRITE: u8 = 9;
const CLEAR: u8 = 10;
const RENAME: u8 = 11;
const CLOCK: u8 = 12;
const STORE_PART: u8 = 21;
const REMOVE_NAMES: u8 = 22;
const STORE: u8 = 23;
const STORE_ENDING: u8 = 24;
const STORE_KEEPING: u8 = 25;
const SPLICE: u8 = 26;
// Types of values, as in `request/value.rs`.
const HASH: u8 = 1;
const LIST: u8 = 2;
const SORTED_SET: u8 = 4;
/// All kinds of changes, and an unknown one.
const KINDS: [u8; 20] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    STORE_PART,
    REMOVE_NAMES,
    STORE,
    STORE_ENDING,
    STORE_KEEPING,
    SPLICE,
    0xFF,
];

fn bytes(of: &[u8], into: &mut Vec<u8>) {
    into.push((of.len() & 0x7F) as u8);
    into.extend(&of[..of.len() & 0x7F]);
}

impl Change {
    fn write(&self, into: &mut Vec<u8>) {
        let kind = KINDS[usize::from(self.kind) % KINDS.len()];
        into.push(kind);
        let number = |into: &mut Vec<u8>| {
            into.extend([self.number as u8 | 0x80, (self.number >> 9) as u8 & 0x7F])
        };
        if kind == CLEAR {
            into.push(0);
            return number(into);
        }
        if kind == CLOCK {
            // A time in the first seconds of 1970, or in the 17,000 years after that, to within some days.
            if self.key % 2 != 0 {
                into.extend([0x80; 4]);
                into.push(self.rest.first().unwrap_or(&0) | 0x80);
            }
            return number(into);
        }
        bytes(&[self.key % 16], into);
        match kind {
            SET | SET_KEEPING | APPEND => bytes(&self.rest, into),
            SET_ENDING | WRITE => {
                number(into);
                bytes(&self.rest, into);
            }
            END => number(into),
            RENAME => bytes(&[self.rest.first().unwrap_or(&0) % 16], into),
            STORE_PART | REMOVE_NAMES | STORE | STORE_KEEPING => self.packed(kind, into),
            STORE_ENDING => {
                number(into);
                self.packed(kind, into);
            }
            SPLICE => {
                into.extend([self.number as u8 & 3, (self.number >> 8) as u8 & 3]);
                self.packed(kind, into);
            }
            ADD => into.extend(i64::from(self.number as i16).to_le_bytes()),
            _ => {}
        }
    }
}

impl Change {
    /// Writes a packed value, as the head of `rest` says, or `rest` itself.
    fn packed(&self, kind: u8, into: &mut Vec<u8>) {
        let Some((head, rest)) = self.rest.split_first().filter(|(head, _)| **head > 8) else {
            return bytes(&self.rest, into);
        };
        let value_type = if kind == SPLICE { LIST } else { HASH + head % 4 };
        // Whether it is in a tree, and whether it continues another value: a part does.
        let continues = u8::from(matches!(kind, STORE_PART | REMOVE_NAMES | SPLICE)) << 7;
        let mut packed = vec![value_type | head & 0x60 | continues, 0, 0, 0, 0];
        let (mut seen, mut last) = ([false; 256], 0);
        for entry in rest.chunks(3) {
            // No database writes the same name twice, but in a list.
            let is_twice = std::mem::replace(&mut seen[usize::from(entry[0])], true);
            if is_twice && value_type != LIST || packed.len() > 0x60 {
                continue;
            }
            bytes(&entry[..1], &mut packed);
            match value_type {
                HASH => bytes(&entry[1..], &mut packed),
                // A score above the last one: members are in order.
                SORTED_SET => {
                    last += u64::from(*entry.last().unwrap_or(&0)) + 1;
                    bytes(&(last << 32 | 1 << 63).to_be_bytes(), &mut packed);
                }
                _ => {}
            }
            packed[1] += 1;
        }
        bytes(&packed, into);
    }
}

fn open(path: &Path, shards: u8) -> Option<Db> {
    let mut options = Options::at(path);
    (options.fsync, options.shards, options.snapshot_after) = (Fsync::Never, 1 << (shards % 5), 0);
    Db::open_on_disk(options, Arc::new(FaultyDisk::new())).ok()
}

fn content(db: &Db) -> BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)> {
    let (mut session, mut keys, mut from) = (db.session(), Vec::new(), 0);
    loop {
        from = session.scan(from, 100, &mut |record| keys.push(record.key().to_vec()));
        if from == 0 {
            break;
        }
    }
    let mut all = BTreeMap::new();
    for key in keys {
        let (mut value, mut ends) = (None, None);
        let asks = [Query::Stored, Query::Expiry];
        let asks = asks.map(|query| Request::Read(&key, query));
        session.execute(&asks, &mut |_, answer| match answer {
            Answer::Stored(StoredValue::String(string)) => value = Some(string.to_vec()),
            Answer::Stored(StoredValue::Packed(packed)) => {
                // Lengths in front, so that no other entries look the same.
                let entries = packed.iter().flat_map(|(name, value)| [name, value]);
                let all: Vec<u8> =
                    entries.flat_map(|one| [&one.len().to_le_bytes(), one].concat()).collect();
                value = Some([packed.value_type().name().as_bytes(), &all].concat());
            }
            Answer::ExpiresAt(end) => ends = end,
            _ => {}
        });
        // Values that may expire during the comparison are left out.
        if let Some(value) = value.filter(|_| ends.is_none_or(|end| end > 1 << 50)) {
            all.insert(key, (value, ends));
        }
    }
    all
}

/// Writes the script's files into the folder `path`; returns whether the power was lost, which leaves `left`.
fn write(path: &Path, left: &Path, script: &Script) -> bool {
    let disk = FaultyDisk::new();
    let folder = Folder::claim_on(path, Arc::new(disk.clone())).expect("nobody has it");
    let opened = FileLog::open(Arc::clone(&folder), Fsync::Never, 1, 0, &mut |_, _, _| Ok(()));
    let (log, _) = opened.expect("it is empty");
    for step in &script.steps {
        match step {
            Step::Entry(time, changes) => {
                let mut entry = Vec::new();
                changes.iter().for_each(|change| change.write(&mut entry));
                log.append(*time, &entry).expect("there is room");
            }
            Step::Bytes(time, bytes) => drop(log.append(*time, bytes).map(|_| ())),
            Step::Commit => drop(log.commit(log.last())),
            Step::Force => log.sync().expect("there is room"),
            Step::Rotate => drop(log.rotate().map(|_| ())),
            Step::DropBefore(first) => drop(log.drop_before(u64::from(*first))),
        }
    }
    let last = log.last();
    if let Some(parts) = &script.torn {
        let mut parts = parts.iter();
        let mut keeps = || parts.next().is_some_and(|kept| *kept);
        disk.copy_torn(path, left, &mut keeps).expect("there is room");
        return true;
    }
    log.close().expect("there is room");
    let Some((time, sections)) = &script.snapshot else { return false };
    let mut writer = SnapshotWriter::create(&folder).expect("there is room");
    let mut begin = 0_u16;
    for section in sections {
        let end = begin.saturating_add(section.skip).saturating_add(section.slots);
        let slots = begin.saturating_add(section.skip)..end.min(16384);
        if writer.section(slots, u64::from(section.floor).min(last)).is_err() {
            break;
        }
        begin = end;
        for (key, ends, is_packed, value) in &section.entries {
            let packed = StoredValue::of_typed(value).filter(|_| *is_packed);
            let value = packed.unwrap_or(StoredValue::String(value));
            writer.entry(&[key % 16], *ends, value).expect("there is room");
        }
    }
    writer.finish(last, *time).expect("there is room");
    false
}

fn harm(path: &Path, harms: &[Harm]) {
    let mut files: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for harm in harms {
        let (Harm::Flip(file, ..) | Harm::Cut(file, _) | Harm::Add(file, _) | Harm::Remove(file)) =
            harm;
        let file = &files[usize::from(*file) % files.len()];
        let Ok(mut bytes) = fs::read(file) else { continue };
        match harm {
            Harm::Flip(_, at, with) => {
                let length = bytes.len().max(1);
                bytes
                    .iter_mut()
                    .skip(usize::from(*at) % length)
                    .take(1)
                    .for_each(|byte| *byte ^= with);
            }
            Harm::Cut(_, at) => bytes.truncate(usize::from(*at)),
            Harm::Add(_, more) => bytes.extend(more),
            Harm::Remove(_) => {
                fs::remove_file(file).unwrap();
                continue;
            }
        }
        fs::write(file, bytes).unwrap();
    }
}

fuzz_target!(|script: Script| {
    let memory = Path::new("/dev/shm");
    let folder = || {
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
    };
    let (first, left) = (folder(), folder());
    let torn = write(first.path(), left.path(), &script);
    let folder = if torn { left } else { first };
    harm(folder.path(), &script.harms);
    let Some(db) = open(folder.path(), script.shards) else { return };
    let _ = db.set("more", "value");
    let _ = db.add([3], 1);
    let before = content(&db);
    if script.shards & 32 != 0 {
        db.snapshot().expect("there is room");
    }
    drop(db);
    let db = open(folder.path(), script.shards.rotate_left(3)).expect("it was written by this one");
    assert!(db.opened().truncated_bytes == 0 && content(&db) == before);
});
