//! Models of readers against moves and reuse of records, and of the races in which an entry could refer to two records,
//! or to an old one.
//!
//! A segment holds about two records. The writer comes first: it is the main thread, or is spawned first. Each model
//! names the outcomes that it must have seen by the end.

use super::builder::Builder;
use super::maintenance::SweepOutcome;
use super::record::{RecordHead, RecordLocation};
use super::records::OpenSegment;
use super::segment::Use;
use super::store::Store;
use crate::api::hasher::DefaultHashBuilder;
use crate::bins::bin::EntryWords;
use crate::sync::backoff::Backoff;
use crate::sync::loom::{explore, explore_each};
use crate::sync::words::Indirect;
use crate::table::write::EntryChange;
use ::loom::sync::Arc;
use ::loom::thread;
use core::mem::MaybeUninit;
use std::format;
use std::string::String;
use std::vec::Vec;

/// A key of two words, which a reader could see torn.
const KEY: &str = "a key of two words";
/// Words of a value. They are equal unless a read was torn.
const LONG: usize = 12;

fn store() -> Store {
    let builder = Builder::new(1 << 40).segment_bytes(256);
    Store::new(builder.hasher(DefaultHashBuilder::with_seed(1)))
}

impl Store {
    fn put(&self, key: &str, n: u8) {
        assert!(self.insert(key.as_bytes(), &[n; LONG]).is_ok());
    }

    /// Returns the key's value, which must be whole.
    fn text(&self, key: &str) -> String {
        Self::whole(self.get(key.as_bytes()).unwrap())
    }

    /// Returns what `text` does, but promotes nothing.
    fn peek(&self, key: &str) -> String {
        let read = self.read(key.as_bytes(), Vec::new(), true);
        Self::whole(read.map(|read| read.unwrap().1))
    }

    fn whole(value: Option<Vec<u8>>) -> String {
        match value {
            None => "None".into(),
            Some(value) => {
                assert!(
                    value.len() == LONG && value.iter().all(|&n| n == value[0]),
                    "torn value: {value:?}"
                );
                format!("{}", value[0])
            }
        }
    }

    /// Opens the segment in which the very first record was, so that the next hot record is written there.
    fn reopen(&self) {
        let number = self.pool().take(0, || false).expect("one is empty");
        *self.hot.lock() = Some(OpenSegment::new(number, self.shape()));
    }

    /// Removes the only record, which was the first one ever, and makes its segment the next to be taken.
    fn empty_first(&self) {
        assert!(self.remove(b"k"));
        assert_eq!(self.sweep(0), SweepOutcome::Advanced);
        self.take_all_but(1);
        self.index.table.drain_arena();
    }

    /// Seals the segment of the only record. Once it is empty, it is the next to be taken.
    fn seal_first(&self) -> usize {
        self.seal_hot();
        let number = self.pool().take_oldest_hot().expect("one is sealed");
        self.take_all_but(0);
        number
    }

    /// Removes the only record, which is in this segment. Gives the segment back, unless another thread has to.
    fn free_first(&self, number: usize) -> bool {
        let _ = self.remove(b"k");
        let unused = self.pool().segment(number).unwrap().is_unused();
        if unused {
            self.pool().give_back(number);
        }
        unused
    }

    /// Writes a cold record of the key to an empty segment. The key has no record yet.
    fn put_cold(&self, key: &str, n: u8) {
        let number = self.pool().take(0, || false).expect("one is empty");
        let (key, head) = (key.as_bytes(), RecordHead::of_plain(key.len(), LONG));
        let mut open = OpenSegment::new(number, self.shape());
        let at =
            self.records().append(&mut open, None, head, key, &[n; LONG]).expect("there is room");
        self.models().count_up(head);
        let (rehash, backoff) = (
            |entry: &Indirect| self.index.hash_of(RecordLocation::from(*entry)),
            Backoff::spinning(),
        );
        let link = |_: Option<&()>| EntryChange::Entry(at.entry(), ());
        let none = |_: &Indirect| false;
        let nothing = |_: EntryWords<'_, Indirect, ()>| MaybeUninit::new(());
        let linked =
            self.index.table.alter(self.index.hash(key), none, nothing, rehash, backoff, link);
        assert!(linked.is_ok());
    }

    /// Keeps at most this many empty segments: those that became empty last.
    fn take_all_but(&self, left: usize) {
        while self.pool().free() > left {
            self.pool().take(0, || false).expect("some are empty");
        }
    }

    /// Writes a record of the key that is never linked, so that no reader may find it.
    fn write_over(&self, key: &str) {
        self.reopen();
        let head = RecordHead::of_plain(key.len(), LONG);
        assert!(self.append_hot(RecordLocation::NONE, head, key.as_bytes(), &[9; LONG]).is_some());
    }

    /// Checks the counts: live bytes are those of the records that entries lead to.
    fn assert_exact(&self, keys: &[&str]) {
        let linked: usize = keys
            .iter()
            .filter_map(|key| {
                let top = self.index.top(key.as_bytes())?;
                let chain = self.records().chain(top);
                Some(chain.links().map(|(at, head)| head.record_len(at.is_hot())).sum::<usize>())
            })
            .sum();
        let segments = (0..self.pool().numbers()).filter_map(|number| self.pool().segment(number));
        let (live, free): (Vec<usize>, Vec<bool>) =
            segments.map(|segment| (segment.live(), segment.is(Use::Free))).unzip();
        assert_eq!(live.iter().sum::<usize>(), linked, "live bytes");
        assert!(live.iter().zip(&free).all(|(live, free)| !free || *live == 0));
    }
}

/// A sweep moves a record during a read, and another record of the same key is written to its location.
#[test]
fn loom_read_against_move_and_reuse() {
    explore(2, ["1"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.seal_hot();
        let other = map.clone();
        let reader = thread::spawn(move || other.peek("k"));
        assert_eq!(map.sweep(1 << 10), SweepOutcome::Advanced);
        map.write_over("k");
        saw(reader.join().unwrap());
    });
}

/// One thread unlinks the record and another reuses its location: the second must have seen the first. Only the end of
/// a sweep is modelled, or the model would take hours.
#[test]
fn loom_read_against_removal_and_reuse_by_others() {
    explore(2, ["1", "None"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.seal_hot();
        map.take_all_but(0);
        let number = map.pool().take_oldest_hot().expect("one is sealed");
        let (one, other) = (map.clone(), map.clone());
        let remover = thread::spawn(move || assert!(one.remove(b"k")));
        let reader = thread::spawn(move || other.peek("k"));
        if map.pool().segment(number).unwrap().is_unused() {
            map.pool().give_back(number);
            map.write_over("k");
        }
        remover.join().unwrap();
        saw(reader.join().unwrap());
    });
}

/// A segment is sealed and swept after its only record is appended and before it is linked.
#[test]
fn loom_insert_against_sweep() {
    explore(2, ["2"], |saw| {
        let map = Arc::new(store());
        let other = map.clone();
        let writer = thread::spawn(move || other.put("k", 2));
        map.seal_hot();
        let _ = map.sweep(1 << 10);
        if map.pool().free() > 0 {
            map.take_all_but(1);
            map.write_over("k");
        }
        writer.join().unwrap();
        saw(map.text("k"));
    });
}

/// One thread opens the segment again, and another appends to it: the second must have seen what the first has seen.
#[test]
fn loom_read_against_reuse_by_a_thread_that_did_not_open_it() {
    explore(1, ["1", "2", "None"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.seal_hot();
        let (one, other) = (map.clone(), map.clone());
        let reader = thread::spawn(move || other.peek("k"));
        map.empty_first();
        map.reopen();
        let writer = thread::spawn(move || one.put("k", 2));
        saw(reader.join().unwrap());
        writer.join().unwrap();
        map.assert_exact(&["k"]);
    });
}

/// One thread gives the index the segment of a record, and another takes and zeroes its words.
#[test]
fn loom_read_against_removal_and_use_by_the_index() {
    explore(1, ["1", "None"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.seal_hot();
        let (one, other) = (map.clone(), map.clone());
        let reader = thread::spawn(move || other.peek("k"));
        map.empty_first();
        assert!(map.give_index_a_segment());
        let taker = thread::spawn(move || one.index.table.drain_arena());
        saw(reader.join().unwrap());
        taker.join().unwrap();
        map.assert_exact(&["k"]);
    });
}

/// An update appends a new record while a sweep compresses the old one: one of the two is linked, once.
#[test]
fn loom_update_against_sweep() {
    explore(2, ["2"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.seal_hot();
        let other = map.clone();
        let sweeper = thread::spawn(move || {
            let _ = other.sweep(1 << 10);
        });
        let changed = map.update(b"k", |mut value| {
            value.fill(2);
            Ok(Some(value))
        });
        assert_eq!(changed, Ok(true));
        sweeper.join().unwrap();
        saw(map.text("k"));
        map.assert_exact(&["k"]);
    });
}

/// Two writers find the open segment full: it is sealed once, and both records are kept.
#[test]
fn loom_two_writers_at_the_end_of_a_segment() {
    explore(2, ["1 2"], |saw| {
        let map = Arc::new(store());
        while map.hot.lock().as_ref().is_none_or(|open| open.at + 40 <= map.shape().end()) {
            map.put("x", 0);
        }
        let sealed = map.pool().hot();
        let other = map.clone();
        let writer = thread::spawn(move || other.put("k", 1));
        map.put("l", 2);
        writer.join().unwrap();
        assert_eq!(map.pool().hot(), sealed + 1);
        saw(format!("{} {}", map.text("k"), map.text("l")));
        map.assert_exact(&["k", "l", "x"]);
    });
}

/// A read promotes a cold value while a writer stores another: the older value never returns.
#[test]
fn loom_promotion_against_write() {
    explore(2, ["1 2", "2 2"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.sweep_hot();
        let other = map.clone();
        let reader = thread::spawn(move || other.text("k"));
        map.put("k", 2);
        let read = reader.join().unwrap();
        saw(format!("{read} {}", map.text("k")));
        map.assert_exact(&["k"]);
    });
}

/// A read promotes a cold value while its segment is swept.
#[test]
fn loom_promotion_against_move() {
    explore(2, ["1 1"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.sweep_hot();
        let other = map.clone();
        let reader = thread::spawn(move || other.text("k"));
        map.seal_cold();
        map.sweep_cold();
        let read = reader.join().unwrap();
        saw(format!("{read} {}", map.text("k")));
        map.assert_exact(&["k"]);
    });
}

/// Another thread removes a record after an update has read it, and writes another record of the key to its location.
/// The update applies to the other record, or comes before it.
#[test]
fn loom_update_against_reuse() {
    explore(1, ["12", "2"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        let number = map.seal_first();
        let other = map.clone();
        let updater = thread::spawn(move || {
            let add = |mut value: Vec<u8>| {
                value.iter_mut().for_each(|n| *n += 10);
                Ok(Some(value))
            };
            assert!(other.update(b"k", add).is_ok());
        });
        if map.free_first(number) {
            map.reopen();
        }
        map.put("k", 2);
        updater.join().unwrap();
        let left = map.text("k");
        assert_ne!(left, "11", "an update of one record was stored over another");
        saw(left);
        map.assert_exact(&["k"]);
    });
}

/// The same race, with an update that removes the record.
#[test]
fn loom_removal_by_update_against_reuse() {
    explore(1, ["2"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        let number = map.seal_first();
        let other = map.clone();
        let updater = thread::spawn(move || {
            let remove_first = |value: Vec<u8>| Ok((value[0] != 1).then_some(value));
            assert!(other.update(b"k", remove_first).is_ok());
        });
        if map.free_first(number) {
            map.reopen();
        }
        map.put("k", 2);
        updater.join().unwrap();
        let left = map.text("k");
        assert_ne!(left, "None", "a removal of one record has removed another");
        saw(left);
        map.assert_exact(&["k"]);
    });
}

/// A read promotes a cold value. Meanwhile another thread removes its record and writes another cold record of the key
/// to its location: the older value never returns.
#[test]
fn loom_promotion_against_reuse() {
    explore_each(1, ["1 2", "2 2", "None 2"], 0..2, |case, saw| {
        let map = Arc::new(store());
        // A promotion makes no segment.
        let front = map.pool().take(0, || true).expect("there is room");
        *map.hot.lock() = Some(OpenSegment::new(front, map.shape()));
        let number = map.pool().take(0, || true).expect("there is room");
        map.pool().give_back(number);
        map.take_all_but(1);
        map.put_cold("k", 1);
        let place = map.index.top(b"k");
        let other = map.clone();
        let reader = thread::spawn(move || other.text("k"));
        if case == 1 {
            // The reader comes first, and is preempted.
            thread::yield_now();
        }
        assert!(map.free_first(map.shape().segment(place.unwrap())));
        map.put_cold("k", 2);
        let read = reader.join().unwrap();
        let left = map.text("k");
        assert_eq!(left, "2", "a read brought a value back over another record");
        saw(format!("{read} {left}"));
    });
}

/// A record of another key, which has a word in common with the first, is written to the location of a record.
#[test]
fn loom_read_against_reuse_by_another_key() {
    explore(1, ["1", "None"], |saw| {
        let map = Arc::new(store());
        map.put("k", 1);
        map.seal_hot();
        map.empty_first();
        map.reopen();
        map.put(KEY, 1);
        map.seal_hot();
        let other = map.clone();
        let reader = thread::spawn(move || other.peek(KEY));
        assert!(map.remove(KEY.as_bytes()));
        let _ = map.sweep(0);
        map.take_all_but(1);
        map.reopen();
        map.put("A KEY of two words", 9);
        let read = reader.join().unwrap();
        assert_ne!(read, "9", "a read met another key's value");
        saw(read);
        map.assert_exact(&["A KEY of two words"]);
    });
}
