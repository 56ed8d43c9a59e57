//! Models of keys of two words: a reader can fetch a torn key, but the user's `Hash` and `Eq` never see one.
//!
//! In each model a slot passes from one key to another of the same tag while another thread reads it. As in the models
//! of [`loom`](super::loom), a key is its own hash, and the writer runs first.

use super::Table;
use super::write::EntryChange;
use crate::api::hash::KeyHash;
use crate::bins::bin::EntryWords;
use crate::sync::backoff::Backoff;
use crate::sync::loom::{Twin, explore};
use ::loom::sync::Arc;
use ::loom::thread;
use std::format;
use std::vec::Vec;

fn hash(key: &Twin) -> KeyHash {
    KeyHash(key.seen())
}

type Map = Table<Twin, ()>;

impl Map {
    /// Returns a table of two bins, or of one, that holds the key 0.
    fn with_one_key(bits: u32) -> Arc<Self> {
        let map = Map::new();
        let made =
            map.make_directory(bits, true, std::ptr::null_mut(), &Backoff::spinning()).unwrap();
        assert!(
            map.publish_directory(super::directory::Directory::none(), made, &Backoff::spinning())
                .is_ok()
        );
        map.change(Twin::of(0), EntryChange::Entry(Twin::of(0), ()));
        Arc::new(map)
    }

    fn holds(&self, key: Twin) -> bool {
        let same = |other: &Twin| other.seen() == key.seen();
        self.get(hash(&key), same, |entry| entry.value()).is_some()
    }

    fn change(&self, key: Twin, change: EntryChange<Twin, ()>) {
        let same = |other: &Twin| other.seen() == key.seen();
        let read = |entry: EntryWords<'_, Twin, ()>| entry.value();
        let done =
            self.alter(hash(&key), same, read, hash, Backoff::spinning(), |_| match change {
                EntryChange::Entry(key, ()) => EntryChange::Entry(key, ()),
                _ => EntryChange::Remove,
            });
        assert!(done.is_ok());
    }

    /// Removes the key 0, and inserts the key 4, which takes its slot.
    fn pass_the_slot_on(&self) {
        self.change(Twin::of(0), EntryChange::Remove);
        self.change(Twin::of(4), EntryChange::Entry(Twin::of(4), ()));
    }

    fn has_passed(&self) -> Vec<bool> {
        [0, 4].map(|bits| self.holds(Twin::of(bits))).into()
    }
}

#[test]
fn loom_eq_is_given_whole_keys() {
    explore(2, ["false", "true"], |saw| {
        let map = Map::with_one_key(1);
        let other = map.clone();
        let reader = thread::spawn(move || other.holds(Twin::of(0)));
        map.pass_the_slot_on();
        saw(format!("{}", reader.join().unwrap()));
    });
}

#[test]
fn loom_a_split_hashes_whole_keys() {
    explore(2, ["[false, true]"], |saw| {
        let map = Map::with_one_key(1);
        let other = map.clone();
        let splitter = thread::spawn(move || {
            other.initialize_bin(2, &hash, &mut Backoff::spinning()).unwrap();
        });
        map.pass_the_slot_on();
        splitter.join().unwrap();
        saw(format!("{:?}", map.has_passed()));
    });
}

#[test]
fn loom_a_move_hashes_whole_keys() {
    explore(2, ["[false, true]"], |saw| {
        let map = Map::with_one_key(0);
        let other = map.clone();
        let mover = thread::spawn(move || {
            other.grow_to(2, usize::MAX, &hash, &mut Backoff::spinning()).unwrap();
        });
        map.pass_the_slot_on();
        mover.join().unwrap();
        saw(format!("{:?}", map.has_passed()));
    });
}
