//! Files of every version, and values of every type.

use super::{RdbError, content, entries, read};
use crate::rdb::redis_files::{self, bytes};
use crate::rdb::{Kind, NEWEST_VERSION, RdbRecord, RdbValue, crc64};

/// Makes a file of a version with these records.
pub(super) fn file(version: u16, records: &[u8]) -> Vec<u8> {
    let mut file = format!("REDIS{version:04}").into_bytes();
    file.extend_from_slice(records);
    file.push(255);
    if version >= 5 {
        file.extend(crc64::after(0, &file).to_le_bytes());
    }
    file
}

#[test]
fn every_version_is_read() {
    // A key that expires, in seconds; and one without an expiration.
    let records = b"\xFE\x02\xFD\x01\x00\x00\x00\x00\x04rose\x03red\x00\x01a\x01b";
    for version in 1..=NEWEST_VERSION {
        let entries = entries(&file(version, records));
        let of = |at: usize| (entries[at].database, &entries[at].key[..], entries[at].expires_at);
        assert_eq!((of(0), of(1)), ((2, &b"rose"[..], Some(1000)), (2, &b"a"[..], None)));
    }
    for version in [0, NEWEST_VERSION + 1, 9999] {
        let why = read(&file(version, records)).unwrap_err();
        assert!(matches!(why, RdbError::Version(found) if found == version), "{why}");
    }
    for begin in [&b"REDIS00x9"[..], b"REDIT0009", b"VALKEX080", b"VALKEY08x", b"        9"] {
        assert!(matches!(read(begin).unwrap_err(), RdbError::Damaged { offset: 0, .. }));
    }
}

#[test]
fn files_of_valkey_are_read() {
    let valkey = bytes(redis_files::VALKEY);
    let found = content(&valkey);
    let of = |key: &str| &found[&(0, key.as_bytes().to_vec())].0;
    assert_eq!(of("k"), &RdbValue::String(b"v".to_vec()));
    let (values, kinds) = (["plain", "s", "st"].map(of), ["h", "big"].map(of));
    assert_eq!(values, [&RdbValue::Hash, &RdbValue::Set, &RdbValue::Stream]);
    assert_eq!(kinds, [&RdbValue::Skipped(Kind::Hash); 2]);
    assert_eq!(found.len(), 6);
    for end in 0..valkey.len() {
        assert!(matches!(read(&valkey[..end]).unwrap_err(), RdbError::Truncated { .. }));
    }
    let mut other = valkey;
    other[8] = b'1';
    assert!(matches!(read(&other).unwrap_err(), RdbError::Version(81)));
    // Types that only Redis has, or neither.
    for number in [23, 24, 25, 26, 243] {
        let why = read(&[b"VALKEY080", &[number, 1, b'k'][..]].concat()).unwrap_err();
        assert!(matches!(why, RdbError::UnknownType { offset: 9, .. }), "{why}");
    }
}

#[test]
fn a_time_before_1970_has_passed() {
    let records =
        b"\xFC\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x01a\x01b\xFD\xFF\xFF\xFF\xFF\x00\x01c\x01d";
    let entries = entries(&file(9, records));
    assert!(entries.len() == 2 && entries.iter().all(|entry| entry.expires_at == Some(0)));
}

/// Values that are skipped, collections among them as nobody reads their items: the number of the type, and the value.
fn values() -> Vec<(u8, Kind, Vec<u8>)> {
    let group_1 = b"\x01\x01g\x01\x02\x01----------------\x08\x07\x06\x05\x04\x03\x02\x01\x05\x01\x01c\x08\x07\x06\x05\
                    \x04\x03\x02\x01\x01----------------";
    let group_3 = b"\x01\x01g\x01\x02\x03\x01----------------\x08\x07\x06\x05\x04\x03\x02\x01\x05\x01\x01c\x08\x07\x06\
                    \x05\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01\x01----------------";
    let mut group_2 = group_3.to_vec();
    let active = group_2.len() - 17 - 8;
    group_2.drain(active..active + 8);
    // "ReJSON-RL", version 3; all parts of a module's value.
    let module = b"\x81\x45\xE2\x52\x38\xDF\x91\x2C\x03\x01\
                   \x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02\x05\x03abcd\x04abcdefgh\x05\
                   \x03red\x00";
    let stream = |ids: &[u8], groups: &[u8]| [b"\x01\x03key\x04pack", ids, groups].concat();
    let (ids, more) = (&b"\x01\x02\x03"[..], &b"\x01\x02\x03\x04\x05\x06\x07\x08"[..]);
    vec![
        (1, Kind::List, b"\x02\x01a\xC0\x05".to_vec()),
        (2, Kind::Set, b"\x02\x01a\xC1\x05\x06".to_vec()),
        (3, Kind::SortedSet, b"\x04\x01a\x031.5\x01b\xFD\x01c\xFE\x01d\xFF".to_vec()),
        (4, Kind::Hash, b"\x01\x01f\xC2\x01\x02\x03\x04".to_vec()),
        (5, Kind::SortedSet, b"\x01\x01a12345678".to_vec()),
        (7, Kind::Module(*b"ReJSON-RL"), module.to_vec()),
        (9, Kind::Hash, b"\x03zip".to_vec()),
        (10, Kind::List, b"\x03zip".to_vec()),
        (11, Kind::Set, b"\x03int".to_vec()),
        (12, Kind::SortedSet, b"\xC3\x02\x05\x00a".to_vec()),
        (13, Kind::Hash, b"\x03zip".to_vec()),
        (14, Kind::List, b"\x02\x03zip\x01z".to_vec()),
        (15, Kind::Stream, stream(ids, group_1)),
        (16, Kind::Hash, b"\x03zip".to_vec()),
        (17, Kind::SortedSet, b"\x03zip".to_vec()),
        (18, Kind::List, b"\x02\x01\x03zip\x02\x01z".to_vec()),
        (19, Kind::Stream, stream(more, &group_2)),
        (20, Kind::Set, b"\x40\x03zip".to_vec()),
        (21, Kind::Stream, stream(more, group_3)),
        (22, Kind::Hash, b"\x01\x00\x01f\x01v".to_vec()),
        (23, Kind::Hash, b"\x03zip".to_vec()),
        (24, Kind::Hash, b"12345678\x02\x00\x01f\x01v\x80\x00\x00\x00\x09\x01g\x01v".to_vec()),
        (25, Kind::Hash, b"12345678\x03zip".to_vec()),
    ]
}

#[test]
fn values_that_nobody_reads_are_skipped() {
    for (number, kind, value) in values() {
        let value = [&[number, 1, b'k'][..], &value, b"\x00\x01a\x01b"].concat();
        let found = content(&file(12, &value));
        assert_eq!(found.len(), 2, "type {number}");
        let wanted = match number {
            1 | 10 | 14 | 18 => RdbValue::List,
            2 | 11 | 20 => RdbValue::Set,
            3 | 5 | 12 | 17 => RdbValue::SortedSet,
            4 | 9 | 13 | 16 => RdbValue::Hash,
            15 | 19 | 21 => RdbValue::Stream,
            _ => RdbValue::Skipped(kind),
        };
        assert_eq!(found[&(0, b"k".to_vec())].0, wanted, "type {number}");
        let string = RdbValue::String(b"b".to_vec());
        assert_eq!(found[&(0, b"a".to_vec())].0, string, "type {number}");
        for end in 3..value.len() - 5 {
            let file = [b"REDIS0012", &value[..end]].concat();
            assert!(
                matches!(read(&file).unwrap_err(), RdbError::Truncated { .. }),
                "type {number}"
            );
        }
    }
}

#[test]
fn unknown_types_are_named() {
    for number in [6, 8, 26, 100, 243] {
        let why = read(&file(12, &[number, 1, b'k', 1, b'v'])).unwrap_err();
        assert!(
            matches!(why, RdbError::UnknownType { number: found, offset: 9 } if found == number),
            "{why}"
        );
    }
    let why = read(&file(12, b"\xF6\x01a")).unwrap_err();
    assert_eq!(why.to_string(), "damaged at byte 10: functions of a prerelease of Redis 7");
}

#[test]
fn records_without_keys_are_read_over() {
    let records = b"\xF4\x01\x02\x03\xF7\x81\x45\xE2\x52\x38\xDF\x91\x2C\x03\x02\x02\x05\x01x\x00\xF5\x03lib\xFB\
                    \x05\x06\xFA\x01n\xC0\x07\x00\x01a\x01b";
    let (records, _) = read(&file(12, records)).unwrap();
    assert_eq!(
        records[..3],
        [RdbRecord::ModuleData, RdbRecord::Functions, RdbRecord::Counts(5, 6)]
    );
    assert_eq!(records[3], RdbRecord::Note(b"n".to_vec(), b"7".to_vec()));
    assert!(records.len() == 5 && matches!(records[4], RdbRecord::Entry(_)));
}

#[test]
fn a_wrong_length_takes_no_memory() {
    // Each claims 2^40 bytes, or as many parts: a key, a value, a compressed value, a list.
    let length = b"\x81\x00\x00\x01\x00\x00\x00\x00\x00";
    let below = b"\x80\x20\x00\x00\x00";
    for begin in [
        &b"\x00"[..],
        b"\x00\x01a",
        b"\x00\x01a\xC3",
        b"\x00\x01a\xC3\x03",
        b"\x01\x01a",
        b"\x10\x01a",
    ] {
        for length in [&length[..], below] {
            let file = [b"REDIS0012", begin, length, b"\x01\x02\x03\x04\x05\x06\x07"].concat();
            let why = read(&file).unwrap_err();
            assert!(matches!(why, RdbError::Truncated { .. } | RdbError::Damaged { .. }), "{why}");
        }
    }
}
