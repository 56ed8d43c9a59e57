//! Models of displaced entries: two or three bins of two slots. As in the table's models, a key is its own hash, the
//! writer runs first, and each model names the outcomes that must occur.

use super::bins::{ChangeFailure, ResumePosition};
use super::storage::Storage;
use crate::api::hash::KeyHash;
use crate::api::op::EntryChange;
use crate::facade::Word;
use crate::sync::backoff::Backoff;
use crate::sync::loom::{Twin, explore};
use crate::sync::seqlock::SeqLock;
use ::loom::sync::Arc;
use ::loom::thread;
use core::mem::MaybeUninit;
use std::format;
use std::vec::Vec;

/// Two words: the halves of a torn value differ.
type Value = [u64; 2];
type Bins<const BINS: usize> = Storage<u64, Value, BINS>;

/// Returns a key of bin `bin` whose tag is `tag`. All keys have the same filter number.
const fn key(bin: u64, tag: u64) -> u64 {
    bin | tag << 57
}

fn whole([a, b]: Value) -> u64 {
    assert_eq!(a, b, "torn");
    a
}

impl<const BINS: usize> Bins<BINS> {
    /// Returns a table whose bin 0 is full of the keys 0/1 and 0/2.
    fn with_full_home() -> Arc<Self> {
        let bins = Arc::new(Self::new());
        for k in [key(0, 1), key(0, 2)] {
            assert_eq!(bins.put(k, 9), None);
        }
        bins
    }

    fn read(&self, key: u64) -> Option<u64> {
        self.get(KeyHash(key), |k| *k == key, |entry| entry.value()).map(whole)
    }

    fn try_read(&self, key: u64) -> Result<Option<u64>, ()> {
        let never = &mut Backoff::never();
        let found = self.get_slowly(KeyHash(key), |k| *k == key, |entry| entry.value(), never);
        found.map(|value| value.map(whole)).map_err(|_| ())
    }

    /// Inserts an entry; returns None if there is no room.
    fn change(
        &self,
        key: u64,
        change: impl Fn(Option<u64>) -> EntryChange<u64, Value>,
    ) -> Option<u64> {
        let decide = |old: Option<&Value>| change(old.copied().map(whole));
        match self.alter(KeyHash(key), |k| *k == key, Backoff::spinning(), decide) {
            Ok((old, _)) => old.map(whole),
            Err(ChangeFailure::Full(..)) => panic!("full"),
            Err(ChangeFailure::Busy) => unreachable!("it may wait"),
        }
    }

    fn put(&self, key: u64, n: u64) -> Option<u64> {
        self.change(key, |_| EntryChange::Entry(key, [n; 2]))
    }

    fn remove(&self, key: u64) -> Option<u64> {
        self.change(key, |_| EntryChange::Remove)
    }

    /// Returns all entries except those that fill homes, in key order, while no other thread writes.
    fn all(&self) -> Vec<(u64, u64)> {
        let (mut all, mut position) = (Vec::new(), ResumePosition::default());
        while let Some(((key, value), next)) = self.next_entry(position) {
            position = next;
            all.push((key, whole(value)));
        }
        all.retain(|&(_, value)| value != 9);
        all.sort_unstable();
        all
    }

    /// Whether the tags of its home alone show that a key is absent.
    fn is_known_absent(&self, key: u64) -> bool {
        let tags = self.bin(Self::home(KeyHash(key))).tags();
        tags.matches(KeyHash(key)).is_empty() && !tags.may_overflow(KeyHash(key))
    }
}

/// A displaced entry is inserted and removed while a reader looks it up twice.
#[test]
fn loom_fixed_read_against_displaced_entry() {
    explore(2, ["None None", "None Some(1)", "Some(1) None", "Some(1) Some(1)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        let other = bins.clone();
        let reader = thread::spawn(move || (other.read(displaced), other.read(displaced)));
        bins.put(displaced, 1);
        bins.remove(displaced);
        let (a, b) = reader.join().unwrap();
        saw(format!("{a:?} {b:?}"));
        assert!(bins.is_known_absent(displaced), "an absent key may seem to be there");
    });
}

/// Another displaced entry has set the filter bit already, so the reader searches the neighbours.
#[test]
fn loom_fixed_read_against_second_displaced_entry() {
    explore(2, ["None None", "None Some(1)", "Some(1) Some(1)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (first, displaced) = (key(0, 3), key(0, 4));
        bins.put(first, 2);
        let other = bins.clone();
        let reader = thread::spawn(move || (other.read(displaced), other.read(displaced)));
        bins.put(displaced, 1);
        let (a, b) = reader.join().unwrap();
        saw(format!("{a:?} {b:?}"));
        assert_eq!(bins.all(), [(first, 2), (displaced, 1)], "an entry is lost, or there twice");
    });
}

/// Two readers: if one has seen the displaced entry, the other, which runs later, sees it too.
#[test]
fn loom_fixed_readers_agree() {
    explore(2, ["None None", "None Some(1)", "Some(1) Some(1)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        let (left, right) = (bins.clone(), bins.clone());
        let writer = thread::spawn(move || left.put(displaced, 1));
        // The main thread reads after it has joined the first reader, so the first answer happens before the second.
        let first = thread::spawn(move || right.read(displaced));
        let a = first.join().unwrap();
        let b = bins.read(displaced);
        writer.join().unwrap();
        saw(format!("{a:?} {b:?}"));
    });
}

/// A displaced entry is removed, and a key of the other home with the same tag takes its slot.
#[test]
fn loom_fixed_slot_taken_by_another_home() {
    explore(2, ["None", "Some(1)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (displaced, resident) = (key(0, 5), key(1, 5));
        bins.put(displaced, 1);
        let other = bins.clone();
        let reader = thread::spawn(move || other.read(displaced));
        bins.remove(displaced);
        bins.put(resident, 2);
        saw(format!("{:?}", reader.join().unwrap()));
        assert_eq!(bins.all(), [(resident, 2)], "an entry is lost, or there twice");
    });
}

/// The other way round: a reader looks up a key of the neighbour while a displaced entry takes its slot.
#[test]
fn loom_fixed_slot_taken_by_a_displaced_entry() {
    explore(2, ["None", "Some(1)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (displaced, resident) = (key(0, 5), key(1, 5));
        bins.put(resident, 1);
        let other = bins.clone();
        let reader = thread::spawn(move || other.read(resident));
        bins.remove(resident);
        bins.put(displaced, 2);
        saw(format!("{:?}", reader.join().unwrap()));
        assert_eq!(bins.all(), [(displaced, 2)], "an entry is lost, or there twice");
    });
}

/// A value that is replaced outside the home is read whole, new or old, and never missing.
#[test]
fn loom_fixed_read_against_upsert_of_displaced_entry() {
    explore(3, ["Some(1)", "Some(2)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        bins.put(displaced, 1);
        let other = bins.clone();
        let reader = thread::spawn(move || other.read(displaced));
        bins.put(displaced, 2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A displaced entry is removed, its home gets room, and the key is inserted there: there is never a second entry.
#[test]
fn loom_fixed_displaced_entry_comes_home() {
    explore(2, ["None", "Some(1)", "Some(3)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        bins.put(displaced, 1);
        let other = bins.clone();
        let reader = thread::spawn(move || other.read(displaced));
        bins.remove(displaced);
        bins.remove(key(0, 1));
        bins.put(displaced, 3);
        saw(format!("{:?}", reader.join().unwrap()));
        assert_eq!(bins.all(), [(displaced, 3)], "an entry is lost, or there twice");
    });
}

/// The home gets room while a second writer inserts the same key: it is inserted once.
#[test]
fn loom_fixed_two_writers_on_one_displaced_entry() {
    explore(2, ["None Some(1) 2", "Some(2) None 1"], |saw| {
        let bins = Bins::<3>::with_full_home();
        let displaced = key(0, 3);
        let other = bins.clone();
        let second = thread::spawn(move || other.put(displaced, 2));
        let first = bins.put(displaced, 1);
        let second = second.join().unwrap();
        saw(format!("{first:?} {second:?} {}", bins.read(displaced).unwrap()));
        assert_eq!(bins.all().len(), 1, "an entry is lost, or there twice");
    });
}

/// As before, but the emptiest bin differs for the two writers.
#[test]
fn loom_fixed_two_writers_and_room_that_moves() {
    explore(2, ["None Some(1) 2", "Some(2) None 1"], |saw| {
        let bins = Bins::<3>::with_full_home();
        let displaced = key(0, 3);
        bins.put(key(1, 1), 9);
        bins.put(key(2, 2), 9);
        let other = bins.clone();
        let second = thread::spawn(move || other.put(displaced, 2));
        bins.remove(key(2, 2));
        let first = bins.put(displaced, 1);
        let second = second.join().unwrap();
        saw(format!("{first:?} {second:?} {}", bins.read(displaced).unwrap()));
        assert_eq!(bins.all().len(), 1, "an entry is lost, or there twice");
    });
}

/// Two displaced entries of one home go into the last two slots: both are counted, and the second clears the bit.
#[test]
fn loom_fixed_two_displaced_entries_are_counted() {
    explore(2, ["ok"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (one, two) = (key(0, 3), key(0, 4));
        let other = bins.clone();
        let second = thread::spawn(move || other.put(two, 2));
        bins.put(one, 1);
        second.join().unwrap();
        assert_eq!(bins.all(), [(one, 1), (two, 2)], "an entry is lost, or there twice");
        bins.remove(one);
        assert_eq!(bins.read(two), Some(2), "a displaced entry is not found");
        bins.remove(two);
        assert!(
            bins.is_known_absent(one) && bins.is_known_absent(two),
            "an absent key may seem to be there"
        );
        saw("ok".into());
    });
}

/// One displaced entry is removed while another is inserted: the bit that both need stays.
#[test]
fn loom_fixed_displaced_entry_comes_as_another_goes() {
    explore(2, ["ok"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (one, two) = (key(0, 3), key(0, 4));
        bins.put(one, 1);
        let other = bins.clone();
        let second = thread::spawn(move || other.put(two, 2));
        bins.remove(one);
        second.join().unwrap();
        assert_eq!(bins.read(two), Some(2), "an inserted key vanished");
        bins.remove(two);
        assert!(
            bins.is_known_absent(one) && bins.is_known_absent(two),
            "an absent key may seem to be there"
        );
        saw("ok".into());
    });
}

/// A displaced entry and a key of the bin itself compete for the same slot.
#[test]
fn loom_fixed_displaced_entry_and_resident_want_one_slot() {
    explore(2, ["ok"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (displaced, resident) = (key(0, 3), key(1, 4));
        let other = bins.clone();
        let second = thread::spawn(move || other.put(displaced, 1));
        bins.put(resident, 2);
        second.join().unwrap();
        assert_eq!(bins.all(), [(displaced, 1), (resident, 2)], "an entry is lost, or there twice");
        saw("ok".into());
    });
}

/// Each of two homes has its displaced entry in the other one: both writers need both locks.
#[test]
fn loom_fixed_locks_both_ways() {
    explore(2, ["Some(1) Some(2)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let (mine, yours) = (key(0, 3), key(1, 4));
        bins.put(mine, 1);
        bins.put(key(1, 1), 9);
        bins.remove(key(0, 1));
        bins.put(yours, 2);
        let other = bins.clone();
        let second = thread::spawn(move || other.remove(yours));
        let first = bins.remove(mine);
        let second = second.join().unwrap();
        saw(format!("{first:?} {second:?}"));
        assert!(bins.all().is_empty(), "a removed entry is there");
        assert!(
            bins.is_known_absent(mine) && bins.is_known_absent(yours),
            "an absent key may seem to be there"
        );
    });
}

/// A lock is taken and returned unused while another thread writes: a thread that reads the returned state as the last
/// writer's sees what the last writer wrote.
#[test]
fn loom_fixed_lock_given_back() {
    explore(2, ["None", "Some(0)", "Some(1)"], |saw| {
        let words = Arc::new([Word::new(), Word::new(), Word::new()]);
        let seq = |words: &[Word; 3], act: &dyn Fn(SeqLock<'_>)| act(SeqLock(words[0].control()));
        let (left, right) = (words.clone(), words.clone());
        let taker = thread::spawn(move || {
            seq(&left, &|lock| {
                let state = lock.begin();
                if lock.try_lock(state) {
                    lock.give_back(state);
                }
            });
        });
        let reader = thread::spawn(move || {
            let lock = SeqLock(right[0].control());
            let state = lock.begin();
            let read = [right[1].load_integer() as u64, right[2].load_integer() as u64];
            lock.validate(state).then(|| whole(read))
        });
        seq(&words, &|lock| {
            let mut state = lock.begin();
            while !lock.try_lock(state) {
                thread::yield_now();
                state = lock.begin();
            }
            words[1].store_payload(MaybeUninit::new(1));
            words[2].store_payload(MaybeUninit::new(1));
            lock.unlock(state.next(0));
        });
        taker.join().unwrap();
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// Two threads each add one to a displaced entry.
#[test]
fn loom_fixed_two_counters_lose_nothing() {
    explore(2, ["2"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        let add = move |bins: &Bins<2>| {
            bins.change(displaced, |n| EntryChange::Entry(displaced, [n.unwrap_or(0) + 1; 2]));
        };
        let other = bins.clone();
        let second = thread::spawn(move || add(&other));
        add(&bins);
        second.join().unwrap();
        saw(format!("{}", bins.read(displaced).unwrap()));
    });
}

/// A walk while a displaced entry is inserted meets the entries that were there before exactly once, and the new one at
/// most once.
#[test]
fn loom_fixed_walk_against_displaced_entry() {
    explore(2, ["[]", "[(0, 1)]"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        let other = bins.clone();
        let walk = thread::spawn(move || other.all());
        bins.put(displaced, 1);
        let met: Vec<_> = walk.join().unwrap().iter().map(|(k, v)| (k ^ displaced, *v)).collect();
        saw(format!("{met:?}"));
    });
}

/// A reader that may not wait reports that it would have to, and never takes a locked bin for an absent key.
#[test]
fn loom_fixed_try_get_never_waits() {
    explore(3, ["Busy", "Some(1)", "Some(2)"], |saw| {
        let bins = Bins::<2>::with_full_home();
        let displaced = key(0, 3);
        bins.put(displaced, 1);
        let other = bins.clone();
        let reader = thread::spawn(move || other.try_read(displaced));
        bins.put(displaced, 2);
        saw(reader.join().unwrap().map_or("Busy".into(), |value| format!("{value:?}")));
    });
}

/// Keys of two words, with the same tag, in one slot of one bin.
type Keys = Storage<Twin, (), 1>;

impl Keys {
    fn change_key(&self, key: Twin, change: fn(Twin) -> EntryChange<Twin, ()>) {
        let same = |other: &Twin| other.seen() == key.seen();
        let done = self.alter(KeyHash(key.seen()), same, Backoff::spinning(), |_| change(key));
        assert!(done.is_ok());
    }

    fn with_one_key() -> Arc<Self> {
        let keys = Arc::new(Self::new());
        keys.change_key(Twin::of(0), |key| EntryChange::Entry(key, ()));
        keys
    }

    /// Removes the key 0, and inserts the key 4, which takes its slot.
    fn pass_the_slot_on(&self) {
        self.change_key(Twin::of(0), |_| EntryChange::Remove);
        self.change_key(Twin::of(4), |key| EntryChange::Entry(key, ()));
    }
}

/// A reader can fetch a torn key, but `Eq` never sees it.
#[test]
fn loom_fixed_eq_is_given_whole_keys() {
    explore(2, ["false", "true"], |saw| {
        let keys = Keys::with_one_key();
        let other = keys.clone();
        let reader = thread::spawn(move || {
            let key = Twin::of(0);
            let same = |other: &Twin| other.seen() == key.seen();
            other.get(KeyHash(key.seen()), same, |entry| entry.value()).is_some()
        });
        keys.pass_the_slot_on();
        saw(format!("{}", reader.join().unwrap()));
    });
}

/// Walks see no torn key either, nor does the `Hash` that `retain` calls.
#[test]
fn loom_fixed_walks_show_whole_keys() {
    explore(2, ["None", "Some(0)", "Some(4)"], |saw| {
        let keys = Keys::with_one_key();
        let other = keys.clone();
        let walk = thread::spawn(move || {
            other.next_entry(ResumePosition::default()).map(|((key, ()), _)| key.seen() & 7)
        });
        keys.pass_the_slot_on();
        saw(format!("{:?}", walk.join().unwrap()));
    });
}
