//! Hostile files in Redis's format, and payloads of `RESTORE`. A file is read to its end or refused, in any pieces. Its
//! strings are written, and read again. Any bytes are a string of LZF, or refused.

#![no_main]

use hedgerow_db_formats::rdb::payload::{dump, restore};
use hedgerow_db_formats::rdb::{RdbRecord, Reader, Writer, crc64, lzf};
use libfuzzer_sys::fuzz_target;
use std::io::{BufRead, BufReader};

/// Returns the records before the end or the damage, and whether there is damage.
fn records(file: impl BufRead) -> (Vec<RdbRecord>, bool) {
    let mut records = Vec::new();
    let Ok(mut reader) = Reader::new(file) else { return (records, true) };
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, false),
            Err(_) => return (records, true),
        }
    }
}

/// Writes the strings of a file, and reads them again.
fn write_again(records: &[RdbRecord]) {
    let strings = records.iter().filter_map(|record| match record {
        RdbRecord::Entry(entry) => Some((entry, entry.value.as_ref().ok()?)),
        _ => None,
    });
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    for (entry, value) in strings.clone() {
        writer.database(entry.database, 0, 0).unwrap();
        writer.entry(&entry.key, entry.expires_at, &[value]).unwrap();
    }
    writer.finish().unwrap();
    let (again, damaged) = self::records(&file[..]);
    let mut again = again.iter().filter_map(|record| match record {
        RdbRecord::Entry(entry) => Some(entry),
        _ => None,
    });
    assert!(!damaged);
    for (entry, value) in strings {
        let again = again.next().unwrap();
        assert_eq!((again.database, &again.key), (entry.database, &entry.key));
        assert_eq!((again.expires_at, again.value.as_ref()), (entry.expires_at, Ok(value)));
    }
    assert!(again.next().is_none());
}

fuzz_target!(|bytes: &[u8]| {
    let whole = records(bytes);
    let pieces = 1 + bytes.len() % 7;
    assert_eq!(whole, records(BufReader::with_capacity(pieces, bytes)));
    write_again(&whole.0);

    let _ = restore(bytes);
    let mut payload = [&[0], bytes, &[10, 0]].concat();
    payload.extend(crc64::after(0, &payload).to_le_bytes());
    if let Ok(value) = restore(&payload) {
        let mut again = Vec::new();
        dump(&[&value], &mut again);
        assert_eq!(restore(&again).as_deref(), Ok(&value[..]));
    }

    if let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        assert!(lzf::decompress(rest, length).is_none_or(|value| value.len() == length));
    }
});
