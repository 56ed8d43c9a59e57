//! builds: asan narrow portable tsan
//!
//! `LeftRightTable` through its public interface: against a model, beside readers, full, and with readers in the way.

use crate::support;

use hedgerow::LeftRightTable;
use hedgerow::error::TryInsertError;
use hedgerow::left_right::{Inline, ReadGuard, Snapshot, TableReader, TableSnapshot, TableWriter};
use std::collections::HashMap;
use std::hash::RandomState;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use support::hashers::{self, Mapped};
use support::rng::Rng;
use support::{Stop, joined_scope, must_panic, planned_panic, seed, within};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const _: () = {
    sync::<LeftRightTable<u64, u64, 4, 4>>();
    send::<LeftRightTable<u64, u64, 4, 4>>();
    send::<TableReader<'static, u64, u64, 4, 4>>();
    send::<TableWriter<'static, u64, u64, 4, 4>>();
};

/// Says of a type whether it is `Send`: an inherent constant, if its bounds hold, goes before that of a trait.
struct Auto<T>(PhantomData<T>);

impl<T: Send> Auto<T> {
    const IS_SEND: bool = true;
}

trait NotSend {
    const IS_SEND: bool = false;
}

impl<T> NotSend for Auto<T> {}

/// A snapshot stays on the thread of its reader. Two threads that begin and end its reads at once would lose counts,
/// and the writer would change what is still read.
#[test]
fn snapshots_stay_on_the_thread_of_their_reader() {
    type OfTable = TableSnapshot<'static, u64, u64, 4>;
    type OfMap = Snapshot<'static, u64, u64, RandomState, Inline>;
    type Guard = ReadGuard<'static, u64>;
    let sent = [Auto::<OfTable>::IS_SEND, Auto::<OfMap>::IS_SEND, Auto::<Guard>::IS_SEND];
    assert_eq!(
        sent, [false; 3],
        "a snapshot of a table or a map, or a guard, moves to another thread"
    );
    assert_eq!([Auto::<TableReader<'static, u64, u64, 4, 4>>::IS_SEND], [true]);
}

/// Seconds, far more than any of these tests needs.
const TIME_LIMIT: u64 = 300;

type Table<const BINS: usize> = LeftRightTable<u64, u64, BINS, 4, Mapped>;

fn play<const BINS: usize>(hasher: Mapped, rng: &mut Rng) {
    let table: Box<Table<BINS>> = Box::new(LeftRightTable::with_hasher(hasher));
    let (mut current, mut published) = (HashMap::new(), HashMap::new());
    let reader = table.reader().expect("a place");
    let keys = 2 * table.capacity() as u64;
    for _ in 0..60 {
        // One writer is dropped, and the next finds its changes.
        let mut writer = table.writer().expect("there is no other writer");
        for _ in 0..table.capacity() {
            let (key, value) = (rng.next() % keys, rng.next());
            match rng.below(20) {
                0..10 => match writer.insert(key, value) {
                    Ok(replaced) => assert_eq!(current.insert(key, value), replaced),
                    Err(full) => {
                        assert_eq!(full, TryInsertError::Full { key, value });
                        assert!(current.len() == table.capacity() && !current.contains_key(&key));
                    }
                },
                10..15 => assert_eq!(writer.remove(&key), Ok(current.remove(&key))),
                15..19 => {
                    let updated =
                        writer.update(&key, |old| old ^ 1).expect("no reader is in the way");
                    let there = current.get_mut(&key).map(|old| {
                        *old ^= 1;
                        *old
                    });
                    assert_eq!(updated, there);
                }
                _ => assert_eq!(writer.get(&key), current.get(&key).copied()),
            }
            assert_eq!(writer.len(), current.len(), "the writer has a wrong number of entries");
        }
        match rng.below(12) {
            0 => {
                writer.clear().expect("no reader is in the way");
                current.clear();
            }
            1..4 => {
                writer.retain(|key, _| key % 3 != 0).expect("no reader is in the way");
                current.retain(|key, _| key % 3 != 0);
            }
            _ => {}
        }
        let all: HashMap<u64, u64> = writer.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(all, current, "the writer finds other entries than it stored");
        let seen: HashMap<u64, u64> = reader.enter().iter().map(|(k, v)| (*k, *v)).collect();
        let found = (&seen, reader.enter().len());
        assert_eq!(found, (&published, published.len()), "not what was published last");
        if rng.one_in(3) {
            continue;
        }
        // The snapshot does not change while it is held, and the table refuses changes meanwhile.
        let snapshot = rng.one_in(2).then(|| reader.enter());
        let changed = current != published;
        writer.publish();
        if let Some(snapshot) = snapshot
            && changed
        {
            let same = published.iter().all(|(key, value)| snapshot.get(key) == Some(value));
            assert!(same, "a snapshot has changed");
            assert!(writer.is_pending(), "a reader is in the way");
            assert!(writer.remove(&0).is_err(), "a table changes a side while a reader is in it");
            assert_eq!(writer.insert(0, 1), Err(TryInsertError::Busy { key: 0, value: 1 }));
            assert_eq!(writer.stalled_readers().collect::<Vec<_>>(), [reader.reader_id()]);
        }
        published.clone_from(&current);
        let same = (0..keys).all(|key| reader.get(&key) == published.get(&key).copied());
        assert!(same, "not what was published last");
        writer.wait_for_readers();
    }
}

#[test]
fn the_model_agrees() {
    within(TIME_LIMIT, "the model", || {
        for (round, hasher) in hashers::ALL.into_iter().enumerate() {
            let mut rng = Rng::new(seed() + round as u64);
            play::<1>(hasher, &mut rng);
            play::<3>(hasher, &mut rng);
            play::<40>(hasher, &mut rng);
        }
    });
}

#[test]
fn readers_see_whole_publishes_in_order() {
    static TABLE: LeftRightTable<u64, [u64; 2], 8, 4, Mapped> =
        LeftRightTable::with_hasher(hashers::GOOD);
    within(TIME_LIMIT, "whole publishes", || {
        let over = AtomicBool::new(false);
        joined_scope(|scope| {
            let over = &over;
            for _ in 0..3 {
                scope.spawn(move || {
                    let (mut last, mut generation) = (0, 0);
                    while !over.load(Ordering::Relaxed) {
                        // A reader for twenty snapshots, and then another, which may have another slot.
                        let reader = TABLE.reader().expect("there are four");
                        for _ in 0..20 {
                            let snapshot = reader.enter();
                            let values: Vec<_> = snapshot.iter().map(|(_, value)| *value).collect();
                            let first = values.first().map_or(0, |value| value[0]);
                            assert!(
                                values.iter().all(|&value| value == [first, !first]),
                                "half a publish"
                            );
                            assert!(
                                first >= last && snapshot.generation() >= generation,
                                "gone back"
                            );
                            (last, generation) = (first, snapshot.generation());
                        }
                    }
                });
            }
            scope.spawn(move || {
                let _stop = Stop(over);
                let mut writer = TABLE.writer().expect("there is no other writer");
                let mut refused = 0;
                for number in 1..support::effort(100) {
                    if writer.is_pending() {
                        refused += 1;
                        writer.wait_for_readers();
                    }
                    for key in 0..30 {
                        writer.insert(key, [number, !number]).expect("there is room");
                    }
                    writer.publish();
                }
                println!("{refused} times a reader was in the way");
            });
        });
    });
}

#[test]
fn a_writer_that_panics_can_be_followed_by_another() {
    let table: Table<4> = LeftRightTable::with_hasher(hashers::GOOD);
    must_panic("a closure", || {
        let mut writer = table.writer().expect("there is no other writer");
        writer.insert(1, 10).expect("there is room");
        let _ = writer.update(&1, |_| planned_panic());
    });
    let mut writer = table.writer().expect("the last one is gone");
    assert!(table.writer().is_none());
    assert_eq!((writer.len(), writer.get(&1)), (1, Some(10)));
    writer.publish();
    let readers: Vec<_> = std::iter::from_fn(|| table.reader()).collect();
    assert_eq!(readers.iter().map(TableReader::reader_id).collect::<Vec<_>>(), [0, 1, 2, 3]);
    std::mem::forget(readers[2].enter());
    writer.insert(2, 20).expect("the forgotten snapshot is of the newest state");
    writer.publish();
    assert!(writer.is_pending());
    drop(readers);
    assert!(!writer.is_pending() && table.reader().is_some());
}
