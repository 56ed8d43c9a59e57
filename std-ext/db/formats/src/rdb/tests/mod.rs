//! Tests with files that Redis wrote, files of every other version and type, and damage to all of them.

mod collections;
mod hashes;
mod packed;
mod shapes;
mod streams;
mod strings;

use super::redis_files::{self, bytes};
use super::{Entry, RdbError, RdbRecord, RdbValue, Reader, Writer};
use std::collections::BTreeMap;

/// Returns all records of a file, and the bytes behind it.
fn read(file: &[u8]) -> Result<(Vec<RdbRecord>, usize), RdbError> {
    let (mut reader, mut records) = (Reader::new(file)?, Vec::new());
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    assert_eq!(reader.offset() as usize + reader.into_input().len(), file.len());
    let read = file.len() - rest(file, &records);
    Ok((records, read))
}

fn rest(file: &[u8], records: &[RdbRecord]) -> usize {
    let mut reader = Reader::new(file).unwrap();
    for _ in records {
        reader.next().unwrap();
    }
    assert_eq!(reader.next().unwrap(), None);
    reader.into_input().len()
}

fn entries(file: &[u8]) -> Vec<Entry> {
    let entry = |record| match record {
        RdbRecord::Entry(entry) => Some(entry),
        _ => None,
    };
    read(file).unwrap().0.into_iter().filter_map(entry).collect()
}

type Content = BTreeMap<(u64, Vec<u8>), (RdbValue, Option<u64>)>;

fn content(file: &[u8]) -> Content {
    let entries = entries(file);
    let pair = |entry: Entry| ((entry.database, entry.key), (entry.value, entry.expires_at));
    entries.into_iter().map(pair).collect()
}

/// Returns what the three files contain.
fn recorded() -> Content {
    let a = |count| "a".repeat(count);
    let plain = content(&bytes(redis_files::PLAIN));
    let RdbValue::String(long) = plain[&(0, b"long".to_vec())].0.clone() else { panic!() };
    assert_eq!(String::from_utf8(long.clone()).unwrap(), a(long.len()));
    assert!(long.len() > 100);
    let strings = [
        ("rose", "red"),
        ("empty", ""),
        ("", "nokey"),
        ("i8", "-7"),
        ("i16", "1234"),
        ("i32", "-123456789"),
        ("i64", "12345678901"),
        ("lead", "007"),
    ];
    let mut all = Content::new();
    let mut add = |database, key: &str, value, ends| {
        all.insert((database, key.as_bytes().to_vec()), (value, ends));
    };
    for (key, value) in strings {
        add(0, key, RdbValue::String(value.as_bytes().to_vec()), None);
    }
    add(0, "long", RdbValue::String(long), None);
    add(0, "ends", RdbValue::String(b"daisy".to_vec()), Some(4_102_444_800_123));
    add(0, "gone", RdbValue::String(b"daisy".to_vec()), Some(4_102_444_800_124));
    for (key, value) in [
        ("list", RdbValue::List),
        ("biglist", RdbValue::List),
        ("intset", RdbValue::Set),
        ("set", RdbValue::Set),
        ("zset", RdbValue::SortedSet),
        ("bigzset", RdbValue::SortedSet),
        ("stream", RdbValue::Stream),
    ] {
        add(0, key, value, None);
    }
    add(0, "hash", RdbValue::Hash, None);
    add(0, "bighash", RdbValue::Hash, None);
    add(3, "other", RdbValue::String(b"db".to_vec()), None);
    all
}

#[test]
fn files_of_redis_are_read() {
    for file in [redis_files::PLAIN, redis_files::LRU, redis_files::LFU] {
        let file = bytes(file);
        assert_eq!(content(&file), recorded());
        let (records, read) = read(&file).unwrap();
        assert_eq!(read, file.len());
        assert!(records.contains(&RdbRecord::Note(b"redis-ver".to_vec(), b"7.0.15".to_vec())));
        assert!(records.contains(&RdbRecord::Functions));
        assert!(
            records.contains(&RdbRecord::Counts(20, 2))
                && records.contains(&RdbRecord::Counts(1, 0))
        );
    }
    assert!(entries(&bytes(redis_files::PLAIN)).iter().all(|entry| entry.idle.is_none()));
    assert!(entries(&bytes(redis_files::LRU)).iter().all(|entry| entry.idle.is_some()));
    assert!(entries(&bytes(redis_files::LFU)).iter().all(|entry| entry.frequency.is_some()));
}

#[test]
fn a_file_may_be_followed_by_others() {
    let mut file = bytes(redis_files::PLAIN);
    let length = file.len();
    file.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(read(&file).unwrap().1, length);
}

/// Reads it one byte at a time.
struct Slow<'a>(&'a [u8]);

impl std::io::Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = into.len().min(1);
        self.0.read(&mut into[..count])
    }
}

#[test]
fn it_does_not_matter_how_the_bytes_arrive() {
    let file = bytes(redis_files::PLAIN);
    let mut reader = Reader::new(std::io::BufReader::with_capacity(1, Slow(&file))).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        records.push(record);
    }
    assert_eq!(records, read(&file).unwrap().0);
}

#[test]
fn every_truncation_is_an_error() {
    for file in [redis_files::PLAIN, redis_files::LRU, redis_files::LFU] {
        let file = bytes(file);
        for end in 0..file.len() {
            let why = read(&file[..end]).unwrap_err();
            assert!(
                matches!(why, RdbError::Truncated { offset } if offset == end as u64),
                "the first {end} bytes: {why}"
            );
        }
    }
}

#[test]
fn every_changed_byte_is_an_error() {
    let file = bytes(redis_files::LRU);
    for at in 0..file.len() {
        for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            assert!(read(&damaged).is_err(), "byte {at} changed by {flip:#x}");
        }
    }
}

#[test]
fn a_file_without_a_checksum_is_read() {
    let mut file = bytes(redis_files::PLAIN);
    let end = file.len() - 8;
    file[end..].fill(0);
    assert_eq!(content(&file), recorded());
}

#[test]
fn written_files_are_read() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    writer.note("redis-ver", "7.0.15").unwrap();
    let recorded = recorded();
    let mut database = None;
    for ((of, key), (value, ends)) in &recorded {
        let RdbValue::String(value) = value else { continue };
        if database != Some(*of) {
            database = Some(*of);
            writer.database(*of, 20, 2).unwrap();
        }
        let (first, second) = value.split_at(value.len() / 2);
        writer.entry(key, *ends, &[first, second]).unwrap();
    }
    let (_, length) = writer.finish().unwrap();
    assert_eq!(length as usize, file.len());
    let mut wanted = recorded;
    wanted.retain(|_, (value, _)| matches!(value, RdbValue::String(_)));
    assert_eq!(content(&file), wanted);
}
