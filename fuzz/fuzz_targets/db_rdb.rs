//! Hostile files in Redis's format, and payloads of `RESTORE`. A file is read to its end or refused, in any pieces. Its
//! strings and hashes are written, and read again. Any bytes are a string of LZF, or refused.

#![no_main]

use hedgerow_db_formats::rdb::payload::{PayloadValue, dump, dump_hash, restore};
use hedgerow_db_formats::rdb::{
    Entry, HashEncoding, RdbRecord, RdbValue, Reader, Writer, crc64, lzf,
};
use libfuzzer_sys::fuzz_target;
use std::io::{BufRead, BufReader};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Returns the records before the end or the damage, each with up to `most` pairs of its hash, and whether there is
/// damage.
fn records(file: impl BufRead, most: usize) -> (Vec<(RdbRecord, Pairs)>, bool) {
    let mut records = Vec::new();
    let Ok(mut reader) = Reader::new(file) else { return (records, true) };
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push((record, Vec::new())),
            Ok(None) => return (records, false),
            Err(_) => return (records, true),
        }
        let pairs = &mut records.last_mut().unwrap().1;
        while pairs.len() < most {
            match reader.pair() {
                Ok(Some((field, value))) => pairs.push((field.to_vec(), value.to_vec())),
                Ok(None) => break,
                Err(_) => return (records, true),
            }
        }
    }
}

fn borrowed(pairs: &Pairs) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs.iter().map(|(field, value)| (&field[..], &value[..]))
}

/// Returns the entries with strings and hashes.
fn entries(records: &[(RdbRecord, Pairs)]) -> impl Iterator<Item = (&Entry, &Pairs)> {
    records.iter().filter_map(|(record, pairs)| match record {
        RdbRecord::Entry(entry) => match entry.value {
            RdbValue::String(_) | RdbValue::Hash => Some((entry, pairs)),
            _ => None,
        },
        _ => None,
    })
}

/// Writes the strings and hashes of a file, and reads them again.
fn write_again(records: &[(RdbRecord, Pairs)]) {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    for (entry, pairs) in entries(records) {
        writer.database(entry.database, 0, 0).unwrap();
        let (key, expires_at) = (&entry.key, entry.expires_at);
        match &entry.value {
            RdbValue::String(value) => writer.entry(key, expires_at, &[value]),
            _ => writer.hash(key, expires_at, pairs.len(), borrowed(pairs)),
        }
        .unwrap();
    }
    writer.finish().unwrap();
    let (again, damaged) = self::records(&file[..], usize::MAX);
    assert!(!damaged);
    let mut again = entries(&again);
    for (entry, pairs) in entries(records) {
        let (entry_again, pairs_again) = again.next().unwrap();
        assert_eq!((entry_again.database, &entry_again.key), (entry.database, &entry.key));
        assert_eq!((entry_again.expires_at, &entry_again.value), (entry.expires_at, &entry.value));
        assert_eq!(pairs_again, pairs);
    }
    assert!(again.next().is_none());
}

/// Returns the pairs of a hash, or `None` if it is damaged.
fn pairs_of(payload: &[u8]) -> Option<Pairs> {
    let Ok(PayloadValue::Hash(hash)) = restore(payload) else { return None };
    let (mut pairs, mut all) = (hash.pairs(), Vec::new());
    while let Some((field, value)) = pairs.next().ok()? {
        all.push((field.to_vec(), value.to_vec()));
    }
    Some(all)
}

/// Restores a payload of a type, and what is dumped of it.
fn restore_again(kind: u8, bytes: &[u8]) {
    let mut payload = [&[kind], bytes, &[10, 0]].concat();
    payload.extend(crc64::after(0, &payload).to_le_bytes());
    let mut again = Vec::new();
    match restore(&payload) {
        Ok(PayloadValue::String(value)) => {
            dump(&[&value], &mut again);
            assert_eq!(restore(&again), Ok(PayloadValue::String(value)));
        }
        Ok(_) => {
            let Some(pairs) = pairs_of(&payload) else { return };
            for encoding in [HashEncoding::Listpack, HashEncoding::HashTable] {
                again.clear();
                dump_hash(encoding, pairs.len(), borrowed(&pairs), &mut again);
                assert_eq!(pairs_of(&again).as_ref(), Some(&pairs));
            }
        }
        Err(_) => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let whole = records(bytes, usize::MAX);
    let pieces = 1 + bytes.len() % 7;
    assert_eq!(whole, records(BufReader::with_capacity(pieces, bytes), usize::MAX));
    write_again(&whole.0);
    // Damage in a packed hash is found if its pairs are read, and only then.
    if !whole.1 {
        let (some, damaged) = records(bytes, pieces);
        assert!(!damaged && some.len() == whole.0.len());
    }

    let _ = restore(bytes);
    restore_again(0, bytes);
    restore_again(4, bytes);
    // Packed hashes, as strings that are not compressed.
    let packed = [&[0x80][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    for kind in [9, 13, 16] {
        restore_again(kind, &packed);
    }

    if let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        assert!(lzf::decompress(rest, length).is_none_or(|value| value.len() == length));
    }
});
