//! Hostile files in Redis's format, and payloads of `RESTORE`. A file is read to its end or refused, in any pieces. Its
//! values are written, and read again. Any bytes are a string of LZF, or refused.

#![no_main]

use hedgerow_db_formats::number;
use hedgerow_db_formats::rdb::payload::{
    PayloadItems, PayloadValue, StreamPayload, dump, dump_hash, dump_list, dump_set,
    dump_sorted_set, dump_stream, restore,
};
use hedgerow_db_formats::rdb::{
    Entry, HashEncoding, HashPair, RdbRecord, RdbValue, Reader, ScoredMember, SetEncoding,
    SortedSetEncoding, StreamEncoding, StreamId, StreamPart, StreamWriter, Writer, crc64, lzf,
};
use libfuzzer_sys::fuzz_target;
use std::io::{self, BufRead, BufReader};

/// The items of a collection: one of these has some.
#[derive(Debug, Default, PartialEq)]
struct Items {
    elements: Vec<Vec<u8>>,
    members: Vec<(Vec<u8>, f64)>,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    parts: Vec<Part>,
}

/// A part of a stream: an entry, or another one as text.
#[derive(Debug, PartialEq)]
enum Part {
    Entry(StreamId, Vec<(Vec<u8>, Vec<u8>)>),
    Other(String),
}

/// Bytes of an entry of a stream that are kept. A hostile node makes each of its entries as large as itself.
const KEPT: usize = 1 << 16;

impl From<StreamPart<'_>> for Part {
    fn from(part: StreamPart<'_>) -> Self {
        let StreamPart::Entry(mut entry) = part else { return Self::Other(format!("{part:?}")) };
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while let Some((name, value)) = entry.pairs.next() {
            bytes += name.len() + value.len();
            pairs.push((name.to_vec(), value.to_vec()));
            if bytes > KEPT {
                break;
            }
        }
        Self::Entry(entry.id, pairs)
    }
}

impl Items {
    fn len(&self) -> usize {
        self.elements.len() + self.members.len() + self.pairs.len() + self.parts.len()
    }

    /// Adds the next item of an entry. Returns false after the last.
    fn add_from(&mut self, reader: &mut Reader<impl BufRead>) -> Option<bool> {
        let before = self.len();
        self.elements.extend(reader.element().ok()?.map(<[u8]>::to_vec));
        self.members.extend(reader.scored().ok()?.map(|(member, score)| (member.to_vec(), score)));
        let pair = |(field, value): HashPair<'_>| (field.to_vec(), value.to_vec());
        self.pairs.extend(reader.pair().ok()?.map(pair));
        self.parts.extend(reader.stream_part().ok()?.map(Part::from));
        assert!(self.len() <= before + 1);
        Some(self.len() > before)
    }

    /// Reads all items of a payload.
    fn of_payload(mut items: PayloadItems<'_>) -> Option<Self> {
        let mut all = Self::default();
        while let Some(element) = items.element().ok()? {
            all.elements.push(element.to_vec());
        }
        while let Some((member, score)) = items.scored().ok()? {
            all.members.push((member.to_vec(), score));
        }
        while let Some((field, value)) = items.pair().ok()? {
            all.pairs.push((field.to_vec(), value.to_vec()));
        }
        assert!(all.members.iter().all(|(_, score)| !score.is_nan()));
        Some(all)
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.elements.iter().map(|element| &element[..])
    }

    fn members(&self) -> impl Iterator<Item = ScoredMember<'_>> {
        self.members.iter().map(|(member, score)| (&member[..], *score))
    }

    fn pairs(&self) -> impl Iterator<Item = HashPair<'_>> {
        self.pairs.iter().map(|(field, value)| (&field[..], &value[..]))
    }
}

/// Returns the records before the end or the damage, each with up to `most` items of its collection, and whether there
/// is damage.
fn records(file: impl BufRead, most: usize) -> (Vec<(RdbRecord, Items)>, bool) {
    let mut records = Vec::new();
    let Ok(mut reader) = Reader::new(file) else { return (records, true) };
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push((record, Items::default())),
            Ok(None) => return (records, false),
            Err(_) => return (records, true),
        }
        let items = &mut records.last_mut().unwrap().1;
        while items.len() < most {
            match items.add_from(&mut reader) {
                Some(true) => {}
                Some(false) => break,
                None => return (records, true),
            }
        }
    }
}

/// Returns the entries that are not skipped.
fn entries(records: &[(RdbRecord, Items)]) -> impl Iterator<Item = (&Entry, &Items)> {
    records.iter().filter_map(|(record, items)| match record {
        RdbRecord::Entry(entry) => match entry.value {
            RdbValue::Skipped(_) | RdbValue::Stream => None,
            _ => Some((entry, items)),
        },
        _ => None,
    })
}

/// Writes the values of a file, and reads them again.
fn write_again(records: &[(RdbRecord, Items)]) {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    for (entry, items) in entries(records) {
        writer.database(entry.database, 0, 0).unwrap();
        let (key, expires_at, count) = (&entry.key, entry.expires_at, items.len());
        match &entry.value {
            RdbValue::String(value) => writer.entry(key, expires_at, &[value]),
            RdbValue::List => writer.list(key, expires_at, count, items.elements()),
            RdbValue::Set => writer.set(key, expires_at, count, items.elements()),
            RdbValue::SortedSet => writer.sorted_set(key, expires_at, count, items.members()),
            _ => writer.hash(key, expires_at, count, items.pairs()),
        }
        .unwrap();
    }
    writer.finish().unwrap();
    let (again, damaged) = self::records(&file[..], usize::MAX);
    assert!(!damaged);
    let mut again = entries(&again);
    for (entry, items) in entries(records) {
        let (entry_again, items_again) = again.next().unwrap();
        assert_eq!((entry_again.database, &entry_again.key), (entry.database, &entry.key));
        assert_eq!((entry_again.expires_at, &entry_again.value), (entry.expires_at, &entry.value));
        assert_eq!(items_again, items);
    }
    assert!(again.next().is_none());
}

/// Returns the items of a collection, or `None` if it is damaged.
fn items_of(payload: &[u8]) -> Option<Items> {
    match restore(payload).ok()? {
        PayloadValue::List(value)
        | PayloadValue::Set(value)
        | PayloadValue::SortedSet(value)
        | PayloadValue::Hash(value) => Items::of_payload(value.items()),
        _ => None,
    }
}

/// Dumps the parts of a stream, or returns `None` if it is damaged.
fn stream_again(stream: StreamPayload<'_>) -> Option<Vec<u8>> {
    // All of it has to be undamaged.
    let mut consumers = Vec::new();
    let mut parts = stream.parts();
    while let Some(part) = parts.next().ok()? {
        match part {
            StreamPart::Group(_) => consumers.push(0),
            StreamPart::Consumer(_) => *consumers.last_mut().unwrap() += 1,
            _ => {}
        }
    }
    let mut out = Vec::new();
    let write = |writer: &mut StreamWriter<'_>| write_stream(stream, &consumers, writer);
    dump_stream(StreamEncoding::Listpacks3, &mut out, write).unwrap();
    Some(out)
}

/// Writes the parts of an undamaged stream, whose groups have these numbers of consumers.
fn write_stream(
    stream: StreamPayload<'_>,
    consumers: &[u64],
    writer: &mut StreamWriter<'_>,
) -> io::Result<()> {
    let (mut parts, mut consumers) = (stream.parts(), consumers.iter());
    while let Some(part) = parts.next().unwrap() {
        match part {
            StreamPart::Entry(_) => {
                let Part::Entry(id, pairs) = part.into() else { unreachable!() };
                writer.entry(id, pairs.iter().map(|(name, value)| (&name[..], &value[..])))?;
            }
            StreamPart::Meta(meta) => writer.meta(&meta)?,
            StreamPart::Group(group) => writer.group(&group, *consumers.next().unwrap())?,
            StreamPart::Pending(entry) => writer.pending(&entry)?,
            StreamPart::Consumer(consumer) => writer.consumer(&consumer)?,
            StreamPart::Owned(entry) => writer.owned(entry.id)?,
            _ => unreachable!(),
        }
    }
    Ok(())
}

/// Returns the parts of a stream, or `None` if it is damaged.
fn parts_of(stream: StreamPayload<'_>) -> Option<Vec<Part>> {
    let (mut parts, mut all) = (stream.parts(), Vec::new());
    while let Some(part) = parts.next().ok()? {
        all.push(part.into());
    }
    Some(all)
}

/// Dumps a collection, as packed as it can be.
fn dump_again(value: &PayloadValue<'_>, items: &Items, is_packed: bool) -> Vec<u8> {
    let (count, mut out) = (items.len(), Vec::new());
    match value {
        PayloadValue::List(_) => dump_list(items.elements(), &mut out),
        PayloadValue::Set(_) => {
            // The integers of an intset are in ascending order.
            let integers: Option<Vec<_>> = items.elements().map(number::integer).collect();
            let is_packed = is_packed && integers.is_some_and(|all| all.is_sorted_by(|a, b| a < b));
            let encoding = if is_packed { SetEncoding::Intset } else { SetEncoding::HashTable };
            dump_set(encoding, count, items.elements(), &mut out);
        }
        PayloadValue::SortedSet(_) => {
            let (packed, table) = (SortedSetEncoding::Listpack, SortedSetEncoding::SkipList);
            let encoding = if is_packed { packed } else { table };
            dump_sorted_set(encoding, count, items.members(), &mut out);
        }
        _ => {
            let encoding = if is_packed { HashEncoding::Listpack } else { HashEncoding::HashTable };
            dump_hash(encoding, count, items.pairs(), &mut out);
        }
    }
    out
}

/// Restores a payload of a type, and what is dumped of it.
fn restore_again(kind: u8, bytes: &[u8]) {
    let mut payload = [&[kind], bytes, &[10, 0]].concat();
    payload.extend(crc64::after(0, &payload).to_le_bytes());
    match restore(&payload) {
        Ok(PayloadValue::String(value)) => {
            let mut again = Vec::new();
            dump(&[&value], &mut again);
            assert_eq!(restore(&again), Ok(PayloadValue::String(value)));
        }
        Ok(PayloadValue::Stream(stream)) => {
            let Some(again) = stream_again(stream) else { return };
            let Ok(PayloadValue::Stream(again)) = restore(&again) else { panic!() };
            assert_eq!(parts_of(again), parts_of(stream));
        }
        Ok(value) => {
            let Some(items) = items_of(&payload) else { return };
            for is_packed in [true, false] {
                assert_eq!(items_of(&dump_again(&value, &items, is_packed)).as_ref(), Some(&items));
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
    // Damage in a packed value is found if its items are read, and only then.
    if !whole.1 {
        let (some, damaged) = records(bytes, pieces);
        assert!(!damaged && some.len() == whole.0.len());
    }

    let _ = restore(bytes);
    for kind in [0, 1, 2, 3, 4, 5, 14, 15, 18, 19, 21] {
        restore_again(kind, bytes);
    }
    // Packed values, as strings that are not compressed.
    let packed = [&[0x80][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    for kind in 9..=20 {
        restore_again(kind, &packed);
    }
    // One node of a stream, with as many entries as its header says.
    for length in 0..5 {
        let node = [&[1, 16][..], &[0; 16], &packed].concat();
        restore_again(15, &[&node[..], &[length, 0x81], &[255; 8], &[0, 0]].concat());
    }

    if let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        assert!(lzf::decompress(rest, length).is_none_or(|value| value.len() == length));
    }
});
