//! Bytes that etcd should not have, but may: damaged, cut, of another version, or made by an enemy.

use super::batch::{self, Batch, BatchPiece, HEADER};
use super::crc;
use super::join::{Joiner, NotNext};
use super::{BatchChain, Entry, HeldEntries, LogPosition, Members, NodeId, OpaqueEntries, Tail};

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Changes some bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len().max(1));
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.next() as u8),
                2 if at < bytes.len() => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][self.below(5)],
                _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
    }
}

fn entries() -> Vec<Entry> {
    let changes = [&b"rose"[..], b"", &[7; 300]];
    (5..).zip(changes).map(|(lsn, bytes)| Entry { lsn, time: 9, changes: bytes.to_vec() }).collect()
}

fn example() -> Batch {
    let mut raw = Vec::new();
    for entry in entries() {
        batch::encode_entry(&entry, &mut raw);
    }
    Batch {
        epoch: 3,
        first: 5,
        entries: 3,
        piece: BatchPiece::Whole,
        before: BatchChain([4; 16]),
        raw,
    }
}

fn position() -> LogPosition {
    LogPosition { seq: 2, lsn: 4, epoch: 3, chain: BatchChain([4; 16]), time: 1 }
}

/// Makes the checksum right again.
fn seal(bytes: &mut [u8]) {
    if bytes.len() >= HEADER {
        let sum = crc::after(crc::of(&bytes[..HEADER - 4]), &bytes[HEADER..]);
        bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
    }
}

#[test]
fn a_batch_is_read_as_it_was_written() {
    for raw in [vec![1; 1000], Noise(1).bytes(1000)] {
        for (piece, entries) in
            [(BatchPiece::Whole, 3), (BatchPiece::Part, 0), (BatchPiece::LastPart, 1)]
        {
            let batch = Batch { raw: raw.clone(), piece, entries, ..example() };
            assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
        }
    }
    let repeated = Batch { raw: vec![1; 100_000], ..example() };
    assert!(repeated.encode().len() < 1000, "compressed");
    let noise = Batch { raw: Noise(2).bytes(5000), ..example() };
    assert_eq!(noise.encode().len(), HEADER + 5000, "not compressed if that saves nothing");
    let example = example();
    assert_eq!(batch::decode_entries(&example.raw, 5, 3), Ok(entries()));
}

#[test]
fn each_bit_of_a_batch_counts() {
    let bytes = example().encode();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Batch::decode(&damaged).is_err(), "bit {bit} does not count");
    }
    for end in 0..bytes.len() {
        assert!(Batch::decode(&bytes[..end]).is_err());
    }
}

#[test]
fn no_field_of_a_batch_is_believed() {
    let fields = [(4, 8), (12, 8), (20, 4), (24, 4)];
    for (at, length) in fields {
        for value in [0_u64, 1 << 63, u64::MAX, 1 << 20] {
            if (at, value) == (4, 1 << 20) {
                // A later epoch is as good.
                continue;
            }
            let mut bytes = example().encode();
            bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
            seal(&mut bytes);
            let read = Batch::decode(&bytes).map(|batch| {
                Joiner::new(&OpaqueEntries, position(), HeldEntries::up_to(0)).take(&batch)
            });
            assert!(!matches!(read, Ok(Ok(_))), "{value} at {at}");
        }
    }
    let long = Batch { raw: vec![1; batch::MOST_RAW + 1], ..example() }.encode();
    assert!(Batch::decode(&long).is_err(), "a batch without a bound");
    for flags in [8, 16, 4, 5, 2, 6] {
        let mut bytes = Batch { raw: vec![5; 100], ..example() }.encode();
        bytes[3] = flags;
        seal(&mut bytes);
        assert!(Batch::decode(&bytes).is_err(), "flags {flags}");
    }
}

#[test]
fn damaged_batches_are_refused_or_right() {
    let mut noise = Noise(3);
    for _ in 0..30_000 {
        let mut bytes = example().encode();
        noise.damage(&mut bytes);
        seal(&mut bytes);
        if let Ok(batch) = Batch::decode(&bytes) {
            assert!(batch.raw.len() <= batch::MOST_RAW);
            let _ = Joiner::new(&OpaqueEntries, position(), HeldEntries::up_to(noise.next() % 9))
                .take(&batch);
        }
    }
}

#[test]
fn damaged_lines_and_lists_are_refused_or_right() {
    let tail = Tail {
        epoch: 3,
        node: Some(NodeId([0xAB; 20])),
        nonce: 77,
        seq: 5,
        lsn: 6,
        time: 7,
        beat: 8,
        lease: 3000,
        chain: BatchChain([9; 16]),
    };
    let mut noise = Noise(4);
    for tail in [tail, Tail { node: None, nonce: 0, ..tail }] {
        let line = tail.to_string().into_bytes();
        assert_eq!(Tail::parse(&line), Ok(tail));
        for _ in 0..30_000 {
            let mut damaged = line.clone();
            noise.damage(&mut damaged);
            if let Ok(read) = Tail::parse(&damaged) {
                assert_eq!(read.to_string().into_bytes(), damaged, "two lines are one");
            }
        }
    }
    let list = Members::default().with(NodeId([1; 20]), 5).with(NodeId([2; 20]), u64::MAX);
    assert_eq!(Members::parse(list.print().as_bytes()).as_ref(), Ok(&list));
    for _ in 0..30_000 {
        let mut damaged = list.print().into_bytes();
        noise.damage(&mut damaged);
        let _ = Members::parse(&damaged);
    }
    let twice =
        format!("[{0},{0}]", r#"{"node":"0101010101010101010101010101010101010101","since":1}"#);
    assert!(Members::parse(twice.as_bytes()).is_err());
    assert!(Members::parse(&vec![b'['; 60_000]).is_err());
}

#[test]
fn lines_that_no_primary_writes_are_refused() {
    let id = NodeId([1; 20]);
    let chain = BatchChain::default();
    let line = format!("2 1 {id} 0000000000000005 1 1 0 0 3000 {chain}");
    assert!(Tail::parse(line.as_bytes()).is_ok());
    for (from, to) in [
        ("2 1 ", "2 0 "),
        ("2 1 ", "2 01 "),
        ("2 1 ", "2 +1 "),
        ("2 1 ", "3 1 "),
        (" 3000 ", " 0 "),
        (" 3000 ", " 600001 "),
        (" 1 1 0 ", " 0 1 0 "),
        (" 1 1 0 ", " 1 0 0 "),
        (" 1 1 0 ", " 1 4611686018427387904 0 "),
        ("0101 ", "010 "),
        (" 3000 ", "  3000 "),
    ] {
        assert!(line.contains(from));
        let wrong = line.replacen(from, to, 1);
        assert!(Tail::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let nobody = line.replace(&id.to_string(), "-");
    assert!(Tail::parse(nobody.as_bytes()).is_err(), "a nonce without a node");
    assert!(Tail::parse(format!("{line} ").as_bytes()).is_err());
}

#[test]
fn each_field_is_in_the_chain() {
    let chain = BatchChain([4; 16]).after(3, 5, b"raw");
    assert_ne!(chain, BatchChain([5; 16]).after(3, 5, b"raw"));
    assert_ne!(chain, BatchChain([4; 16]).after(4, 5, b"raw"));
    assert_ne!(chain, BatchChain([4; 16]).after(3, 6, b"raw"));
    assert_ne!(chain, BatchChain([4; 16]).after(3, 5, b"row"));
    assert_eq!(BatchChain::parse(&chain.to_string()), Some(chain));
}

/// A batch behind a position.
fn next(at: &LogPosition, epoch: u64, piece: BatchPiece, entries: u32, raw: &[u8]) -> Batch {
    let first = at.lsn + 1;
    Batch { epoch, first, entries, piece, before: at.chain, raw: raw.to_vec() }
}

fn encoded(changes: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let entry = Entry { lsn: 0, time: 20, changes: changes.to_vec() };
    batch::encode_entry(&entry, &mut raw);
    raw
}

#[test]
fn batches_that_do_not_follow_are_refused_and_change_nothing() {
    let at = position();
    let raw = encoded(b"x");
    let good = next(&at, 3, BatchPiece::Whole, 1, &raw);
    let mut log = Joiner::new(&OpaqueEntries, at, HeldEntries::up_to(4));
    let fork = Batch { before: BatchChain::default(), ..good.clone() };
    assert_eq!(log.take(&fork), Err(NotNext::Fork), "another history");
    let wrong = [
        ("an earlier epoch", Batch { epoch: 2, ..good.clone() }),
        ("an entry is missing", Batch { first: 6, ..good.clone() }),
        ("an entry is repeated", Batch { first: 4, ..good.clone() }),
        ("bytes behind the entries", Batch { raw: [&raw[..], b"y"].concat(), ..good.clone() }),
        ("an entry that is cut", Batch { raw: raw[..12].to_vec(), ..good.clone() }),
        ("an epoch that begins with a part", next(&at, 4, BatchPiece::Part, 0, &raw[..8])),
        ("a part that is the whole entry", next(&at, 3, BatchPiece::Part, 0, &raw)),
        ("a last part that is none", next(&at, 3, BatchPiece::LastPart, 1, &raw[..8])),
        ("a part without its length", next(&at, 3, BatchPiece::Part, 0, &raw[..3])),
        ("an entry of 4 GiB", next(&at, 3, BatchPiece::Part, 0, &[0xFF; 100])),
    ];
    for (what, batch) in wrong {
        assert!(matches!(log.take(&batch), Err(NotNext::Wrong(_))), "{what}");
        assert_eq!(*log.position(), at, "{what} changed the position");
    }
    let committed = log.take(&good).expect("the next batch").expect("an entry");
    assert_eq!(committed.entries[0].lsn, 5);
    assert_eq!((committed.after.seq, committed.after.lsn, committed.after.time), (3, 5, 20));
}

#[test]
fn parts_become_one_entry() {
    let raw = encoded(&[8; 100]);
    let mut log = Joiner::new(&OpaqueEntries, position(), HeldEntries::up_to(4));
    assert_eq!(log.take(&next(&position(), 3, BatchPiece::Part, 0, &raw[..40])), Ok(None));
    let at = *log.position();
    assert_eq!((at.seq, at.lsn), (3, 4), "half an entry does not count");
    let whole = next(&at, 3, BatchPiece::Whole, 1, &encoded(b"x"));
    assert!(log.take(&whole).is_err(), "an entry without its end");
    assert_eq!(log.take(&next(&at, 3, BatchPiece::Part, 0, &raw[40..50])), Ok(None));
    let last = next(log.position(), 3, BatchPiece::LastPart, 1, &raw[50..]);
    let committed = log.take(&last).expect("the last part").expect("an entry");
    assert_eq!(committed.entries[0].changes, [8; 100]);
    assert_eq!((committed.mark.seq, committed.mark.chain), (3, position().chain));
    assert_eq!(committed.after.seq, 5);
}

#[test]
fn a_last_part_that_is_refused_leaves_the_parts_open() {
    let raw = encoded(&[8; 100]);
    let part = next(&position(), 3, BatchPiece::Part, 0, &raw[..6]);
    let mut held = HeldEntries::up_to(4);
    held.add(20, &[8; 100]);
    for (what, held, damaged) in
        [("another entry", held, 99), ("a time out of range", HeldEntries::up_to(4), 11)]
    {
        let mut log = Joiner::new(&OpaqueEntries, position(), held);
        assert_eq!(log.take(&part), Ok(None));
        let at = *log.position();
        let mut wrong = raw.clone();
        wrong[damaged] = 0xFF;
        let wrong = next(&at, 3, BatchPiece::LastPart, 1, &wrong[6..]);
        assert!(log.take(&wrong).is_err(), "{what}");
        assert_eq!(*log.position(), at);
        let last = next(&at, 3, BatchPiece::LastPart, 1, &raw[6..]);
        assert!(log.take(&last).is_ok(), "{what} closes the parts that were open");
    }
}

#[test]
fn parts_without_an_end_never_happened() {
    let raw = encoded(&[8; 100]);
    let mut log = Joiner::new(&OpaqueEntries, position(), HeldEntries::up_to(4));
    assert_eq!(log.take(&next(&position(), 3, BatchPiece::Part, 0, &raw[..40])), Ok(None));
    let begin = next(log.position(), 4, BatchPiece::Whole, 1, &encoded(b"begin"));
    let committed = log.take(&begin).expect("the next epoch").expect("an entry");
    assert_eq!((committed.entries[0].lsn, committed.mark.seq), (5, 4), "the part counted");
    let end = next(log.position(), 4, BatchPiece::LastPart, 1, &raw[40..]);
    assert!(log.take(&end).is_err(), "parts were joined across an epoch");
    let again = next(log.position(), 4, BatchPiece::Part, 0, &raw[..40]);
    assert_eq!(log.take(&again), Ok(None));
}

#[test]
fn entries_that_the_node_has_are_left_out() {
    let raw = [encoded(b"a"), encoded(b"b")].concat();
    for (have, left) in [(4, 2), (5, 1), (6, 0), (9, 0)] {
        let mut log = Joiner::new(&OpaqueEntries, position(), HeldEntries::up_to(have));
        let taken =
            log.take(&next(&position(), 3, BatchPiece::Whole, 2, &raw)).expect("the next batch");
        assert_eq!(taken.map_or(0, |committed| committed.entries.len()), left, "have {have}");
        assert_eq!(log.position().lsn, 6);
    }
}

#[test]
fn entries_that_the_node_has_are_compared() {
    let raw = [encoded(b"a"), encoded(b"b")].concat();
    let taken = |has: &[(u64, &[u8])]| {
        let mut held = HeldEntries::up_to(4);
        for (time, changes) in has {
            held.add(*time, changes);
        }
        let mut log = Joiner::new(&OpaqueEntries, position(), held);
        let taken = log.take(&next(&position(), 3, BatchPiece::Whole, 2, &raw));
        assert_eq!(log.position().lsn, if taken.is_ok() { 6 } else { 4 });
        taken.map(|committed| committed.map_or(0, |committed| committed.entries.len()))
    };
    assert_eq!(taken(&[]), Ok(2));
    assert_eq!(taken(&[(20, b"a")]), Ok(1));
    assert_eq!(taken(&[(20, b"a"), (20, b"b")]), Ok(0));
    assert_eq!(taken(&[(20, b"x")]), Err(NotNext::Fork), "other changes");
    assert_eq!(taken(&[(21, b"a")]), Err(NotNext::Fork), "another time");
    assert_eq!(taken(&[(20, b"x"), (20, b"b")]), Err(NotNext::Fork), "an entry before the last");
}
