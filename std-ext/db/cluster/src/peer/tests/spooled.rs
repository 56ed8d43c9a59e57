//! The spool: the batches that it keeps, refuses, and finds again.

use crate::peer::spool::{Spool, SpoolError};
use hedgerow_db_group::Seq;
use std::fs;
use std::ops::ControlFlow;

fn read(spool: &Spool, from: Seq) -> Vec<(Seq, Vec<u8>)> {
    let mut all = Vec::new();
    let mut each = |seq, value: &[u8]| {
        all.push((seq, value.to_vec()));
        ControlFlow::Continue(())
    };
    spool.reader(from).read(&mut each).unwrap();
    all
}

#[test]
fn batches_come_back() {
    let path = tempfile::tempdir().unwrap();
    assert!(Spool::open(path.path(), 1000).unwrap().is_none());
    let mut spool = Spool::create(path.path(), 1 << 20).unwrap();
    assert_eq!(spool.range(), None);
    spool.push(7, b"seven").unwrap();
    spool.push(8, b"").unwrap();
    spool.push(7, b"again").unwrap();
    let gap = spool.push(10, b"ten");
    assert!(matches!(gap, Err(SpoolError::Gap { wanted: 9, found: 10 })), "{gap:?}");
    assert_eq!(spool.range(), Some((7, 8)));
    drop(spool);
    let mut spool = Spool::open(path.path(), 1 << 20).unwrap().unwrap();
    spool.push(9, b"nine").unwrap();
    assert_eq!(read(&spool, 0), [(7, b"seven".to_vec()), (8, vec![]), (9, b"nine".to_vec())]);
    assert_eq!(read(&spool, 9).len(), 1);
    spool.remove().unwrap();
    assert!(Spool::open(path.path(), 1000).unwrap().is_none());
}

#[test]
fn it_is_bounded() {
    let path = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(path.path(), 1000).unwrap();
    for seq in 1..=9 {
        spool.push(seq, &[7; 80]).unwrap();
    }
    assert!(matches!(spool.push(10, &[7; 200]), Err(SpoolError::Full)));
    assert_eq!(spool.range(), Some((1, 9)), "the batches before stay");
    assert!(fs::metadata(path.path().join("spool")).unwrap().len() <= 1000);
}

#[test]
fn a_torn_end_is_cut() {
    let path = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(path.path(), 1000).unwrap();
    spool.push(1, b"one").unwrap();
    spool.push(2, b"two").unwrap();
    let file = path.path().join("spool");
    let whole = fs::read(&file).unwrap();
    for length in 16..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let mut spool = Spool::open(path.path(), 1000).unwrap().unwrap();
        let had = spool.range().map_or(0, |(_, last)| last);
        spool.push(had + 1, b"new").unwrap();
        assert_eq!(read(&spool, 0).len() as Seq, had + 1, "after {length} bytes");
    }
    for length in 0..16 {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(Spool::open(path.path(), 1000).is_err(), "{length} bytes are no spool");
    }
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(&file, bad).unwrap();
        let had = Spool::open(path.path(), 1000).map(|spool| spool.unwrap().range());
        assert_ne!(had.ok(), Some(Some((1, 2))), "byte {at}");
    }
}

#[test]
fn each_batch_is_read_once_in_steps() {
    let path = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(path.path(), 1 << 20).unwrap();
    let value = |seq: Seq| vec![seq as u8; seq as usize % 50];
    (3..1000).for_each(|seq| spool.push(seq, &value(seq)).unwrap());
    let whole = fs::metadata(path.path().join("spool")).unwrap().len();
    let (mut next, mut walked) = (3, 0);
    while next < 1000 {
        let mut last = next;
        let mut each = |seq, found: &[u8]| {
            assert_eq!((seq, found), (last, &value(last)[..]));
            last = seq + 1;
            if last == next + 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        walked += spool.reader(next).read(&mut each).unwrap();
        next = last;
    }
    assert_eq!(walked, whole - 16, "batches were read again");
    // Any other reader finds its first batch, too, and so does one behind batches that came later.
    assert_eq!(read(&spool, 500).len(), 500);
    assert_eq!(read(&spool, 3).len(), 997);
    let behind = spool.reader(1000);
    assert_eq!(behind.read(&mut |_, _| panic!("there is none")).unwrap(), 0);
    spool.push(1000, b"new").unwrap();
    assert_eq!(read(&spool, 1000), [(1000, b"new".to_vec())]);
    // A new spool of the folder knows nothing of it.
    let mut spool = Spool::create(path.path(), 1 << 20).unwrap();
    spool.push(1001, b"first").unwrap();
    assert_eq!(read(&spool, 1001), [(1001, b"first".to_vec())]);
}
