//! The spool: the batches that it keeps, refuses, and finds again.

use crate::cluster::core::Seq;
use crate::cluster::peer::spool::{Spool, SpoolError};
use std::fs;

fn read(spool: &Spool, from: Seq) -> Vec<(Seq, Vec<u8>)> {
    let mut all = Vec::new();
    spool.read(from, &mut |seq, value| all.push((seq, value.to_vec()))).unwrap();
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
