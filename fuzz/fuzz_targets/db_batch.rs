//! Feeds arbitrary bytes to the readers of etcd's values: batches, the line `tail`, and the members of a group. A value
//! that is read is written again, and read as the same. No bytes make a reader panic, or take much memory.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow_db::cluster::core::batch::{self, Batch, BatchPiece};
use hedgerow_db::cluster::core::{BatchChain, Entry, Members, Tail};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Script<'a> {
    epoch: u32,
    first: u32,
    before: [u8; 16],
    entries: Vec<(u32, &'a [u8])>,
    /// How often the entries are repeated: so that some batches are compressed.
    times: u8,
    harms: Vec<(u16, u8)>,
    cut: Option<u16>,
    /// Whether the harmed batch gets a right checksum.
    sealed: bool,
    bytes: &'a [u8],
}

/// Where the checksum is in a batch.
const CHECKSUM: usize = batch::HEADER - 4;

fn seal(bytes: &mut [u8]) {
    if bytes.len() >= batch::HEADER {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..CHECKSUM]);
        crc.update(&bytes[batch::HEADER..]);
        bytes[CHECKSUM..batch::HEADER].copy_from_slice(&crc.finalize().to_le_bytes());
    }
}

/// Reads a batch, and all that follows from it.
fn read(bytes: &[u8]) {
    let Ok(read) = Batch::decode(bytes) else { return };
    assert!(read.raw.len() <= batch::MOST_RAW);
    assert_eq!(Batch::decode(&read.encode()).as_ref(), Ok(&read));
    read.after();
    let _ = batch::entry_length(&read.raw);
    let Ok(entries) = batch::decode_entries(&read.raw, read.first, read.entries) else { return };
    assert_eq!(entries.len(), read.entries as usize);
    let mut raw = Vec::new();
    entries.iter().for_each(|entry| batch::encode_entry(entry, &mut raw));
    assert_eq!(raw, read.raw);
}

fuzz_target!(|script: Script<'_>| {
    read(script.bytes);
    let mut sealed = script.bytes.to_vec();
    seal(&mut sealed);
    read(&sealed);
    if let Ok(tail) = Tail::parse(script.bytes) {
        assert_eq!(Tail::parse(tail.to_string().as_bytes()), Ok(tail));
    }
    if let Ok(members) = Members::parse(script.bytes) {
        assert_eq!(Members::parse(members.print().as_bytes()), Ok(members));
    }
    let first = u64::from(script.first) + 1;
    let repeated = (0..=script.times % 16).flat_map(|_| &script.entries);
    let entries: Vec<Entry> = (first..)
        .zip(repeated)
        .map(|(lsn, (time, changes))| Entry {
            lsn,
            time: (*time).into(),
            changes: changes.to_vec(),
        })
        .collect();
    let mut raw = Vec::new();
    entries.iter().for_each(|entry| batch::encode_entry(entry, &mut raw));
    if entries.is_empty() || raw.len() > batch::MOST_RAW {
        return;
    }
    let made = Batch {
        epoch: u64::from(script.epoch) + 1,
        first,
        entries: entries.len() as u32,
        piece: BatchPiece::Whole,
        before: BatchChain(script.before),
        raw,
    };
    let mut bytes = made.encode();
    assert_eq!(Batch::decode(&bytes).as_ref(), Ok(&made));
    assert_eq!(batch::decode_entries(&made.raw, first, made.entries), Ok(entries));
    for (at, with) in &script.harms {
        let length = bytes.len();
        bytes[usize::from(*at) % length] ^= with;
    }
    if let Some(cut) = script.cut {
        bytes.truncate(cut.into());
    }
    if script.sealed {
        seal(&mut bytes);
    }
    read(&bytes);
});
