//! The structures of two sides with nothing running beside them.

use crate::{
    HEAP, board,
    reading::Reading,
    sides::{TABLE, Table},
};
use alloc::vec::Vec;
use core::fmt::Debug;
use hedgerow::LeftRightMap;
use hedgerow::error::TryInsertError;
use hedgerow::left_right::{DefaultHashBuilder, Handles, Storage, TableReader};
use semihosting::println;

pub fn run() {
    let at_rest = HEAP.used();
    table();
    life("boxed", LeftRightMap::new, |n, m| [n, m].repeat(n as usize % 3));
    life("inline", LeftRightMap::inline, Reading::new);
    out_of_memory("boxed", LeftRightMap::new);
    out_of_memory("inline", LeftRightMap::inline);
    assert_eq!(HEAP.used(), at_rest, "memory was lost");
}

/// Fills the table, meets a reader that is in the way, and empties it again.
fn table() {
    let of = |key| Reading::new(key, key);
    let mut writer = TABLE.writer().expect("nobody else writes");
    assert!(TABLE.writer().is_none(), "two writers");
    let readers: Vec<_> = core::iter::from_fn(|| TABLE.reader()).collect();
    let numbers = readers.iter().map(TableReader::reader_id);
    assert!(numbers.eq(0..readers.len()) && !readers.is_empty());
    let mut n = 0;
    let refused = loop {
        match writer.insert(n, of(n)) {
            Ok(replaced) => assert!(replaced.is_none()),
            Err(refused) => break refused,
        }
        n += 1;
    };
    assert_eq!(refused, TryInsertError::Full { key: n, value: of(n) });
    assert_eq!((n as usize, writer.len()), (TABLE.capacity(), TABLE.capacity()));

    let snapshot = readers[0].enter();
    assert!(snapshot.is_empty() && !writer.is_pending());
    writer.publish();
    assert!(snapshot.is_empty() && writer.is_pending(), "a snapshot changed");
    assert!(writer.stalled_readers().eq([0]));
    let pending = TryInsertError::Busy { key: 0, value: of(1) };
    assert_eq!(writer.insert(0, of(1)), Err(pending));
    assert!(writer.remove(&0).is_err() && writer.update(&0, |value| value).is_err());
    assert!(writer.clear().is_err() && writer.retain(|_, _| true).is_err());
    writer.publish();
    for reader in &readers[1..] {
        assert!((0..n).all(|key| reader.get(&key) == Some(of(key))), "a key vanished");
    }
    drop(snapshot);
    writer.wait_for_readers();

    writer.retain(|key, _| key % 3 != 0).expect("no reader is in the way");
    for key in 0..n {
        let kept = (key % 3 != 0).then(|| of(key));
        assert_eq!((writer.get(&key), writer.remove(&key)), (kept, Ok(kept)));
    }
    // The next writer finds what this one has not published.
    drop(writer);
    assert_eq!(readers[0].enter().iter().count(), n as usize);
    TABLE.writer().expect("the last writer was dropped").publish();
    assert_eq!((readers[0].enter().len(), readers[0].enter().generation()), (0, 2));
    println!("{} bytes, full at {n} keys", size_of::<Table>());
}

/// A map grows, publishes while a reader has an older snapshot, shrinks, and is dropped.
fn life<V, P>(
    name: &str,
    make: impl Fn() -> Handles<u32, V, DefaultHashBuilder, P>,
    value: impl Fn(u32, u32) -> V,
) where
    V: PartialEq + Debug,
    P: Storage<u32, V>,
{
    let at_rest = HEAP.used();
    let (mut writer, reader) = make();
    let keys = board::KEYS / 2;
    let empty = reader.enter();
    for key in 0..keys {
        assert!(!writer.insert(key, value(key, 1)), "a new key was there");
    }
    assert!(writer.try_publish().is_ok() && empty.is_empty());
    // These are noted beside, for the first of them finds a reader in the way.
    for key in 0..keys / 4 {
        assert!(writer.remove(&key), "a key vanished");
        assert!(writer.update(&(keys - 1 - key), |_| value(keys - 1 - key, 2)), "a key vanished");
    }
    assert_eq!(writer.stalled_readers().count(), 1);
    assert!(writer.try_publish().is_err() && empty.is_empty());
    drop(empty);
    let other = reader.clone();
    let before = other.enter();
    assert!(writer.try_publish().is_ok());
    for key in 0..keys {
        assert_eq!(before.get(&key), Some(&value(key, 1)), "a snapshot changed");
        let generation = 1 + u32::from(key >= keys - keys / 4);
        let now = (key >= keys / 4).then(|| value(key, generation));
        assert_eq!(reader.enter().get(&key), now.as_ref(), "key {key}");
        assert_eq!(writer.get(&key), now.as_ref(), "key {key}");
    }
    drop(before);
    let bytes = writer.stats().memory_bytes;
    writer.retain(|key, _| key % 8 == 0);
    writer.shrink_to_fit();
    writer.publish();
    assert!(writer.stats().memory_bytes < bytes, "nothing shrank");
    let left: Vec<u32> = reader.enter().keys().copied().collect();
    assert!(left.len() == writer.len() && left.iter().all(|key| key % 8 == 0));
    println!("{name}: {keys} keys, {bytes} bytes in tables, then {}", writer.stats().memory_bytes);
    // The reader keeps it alive, and makes another writer.
    drop(writer);
    let mut writer = reader.writer().expect("there is none");
    writer.clear();
    writer.publish();
    assert!(reader.is_empty());
    drop((writer, reader, other, left));
    assert_eq!(HEAP.used(), at_rest, "memory was lost");
}

/// Inserts until the heap has no more: the key and the value come back, and nothing is lost.
fn out_of_memory<P: Storage<u32, Reading>>(
    name: &str,
    make: impl Fn() -> Handles<u32, Reading, DefaultHashBuilder, P>,
) {
    let (mut writer, reader) = make();
    let mut n = 0;
    let refused = loop {
        match writer.try_insert(n, Reading::new(n, n)) {
            Ok(replaced) => assert!(!replaced, "each key is new"),
            Err(refused) => break refused,
        }
        n += 1;
        if n % 16 == 0 {
            assert!(writer.try_publish().is_ok(), "no reader is in the way");
        }
    };
    assert_eq!(refused.into_parts(), (n, Reading::new(n, n)));
    assert!(writer.try_publish().is_ok(), "publishing needs no memory");
    assert_eq!((writer.len(), reader.len()), (n as usize, n as usize));
    for key in 0..n {
        assert_eq!(reader.get_copied(&key), Some(Reading::new(key, key)));
    }
    assert_eq!(reader.get_copied(&n), None);
    assert!(writer.remove(&0), "needs no memory");
    println!("{name}: heap full at {n} keys, {} bytes in tables", writer.stats().memory_bytes);
    // Of the smallest heap. One allocation more a growth once left it in pieces, and room for 78 boxed keys.
    let least = if name == "boxed" { 105 } else { 57 };
    assert!(board::HEAP_BYTES > 9 * 1024 || n >= least, "{name}: the heap is full at {n} keys");
}
