//! The negative control: words written one after the other, with nothing that says when.
//!
//! The same operations as the map's, over a fixed table, and no version: what the interrupt meets
//! half-way, it reads half-way. The run must fail on it, or it could not fail on the map either.

use crate::{board, reading::Reading};
use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

struct Slot {
    present: AtomicU32,
    words: [AtomicU32; 3],
}

pub struct Table(Box<[Slot]>);

/// Never happens: nothing here is ever busy.
#[derive(Debug)]
pub enum Busy {}

/// Never happens either.
#[allow(dead_code, reason = "the handler matches on it")]
pub enum TryInsertError {
    Busy { key: u32, value: Reading },
    Alloc,
}

impl Table {
    pub fn new() -> Self {
        let slot = || Slot { present: AtomicU32::new(0), words: [const { AtomicU32::new(0) }; 3] };
        Self((0..board::KEYS).map(|_| slot()).collect::<Vec<_>>().into())
    }

    pub fn get(&self, key: &u32) -> Option<Reading> {
        let slot = &self.0[*key as usize];
        (slot.present.load(Relaxed) != 0)
            .then(|| Reading::from_words([0, 1, 2].map(|i: usize| slot.words[i].load(Relaxed))))
    }

    pub fn insert(&self, key: u32, value: Reading) -> Option<Reading> {
        let old = self.get(&key);
        let slot = &self.0[key as usize];
        for (place, word) in slot.words.iter().zip(value.words()) {
            place.store(word, Relaxed);
        }
        slot.present.store(1, Relaxed);
        old
    }

    pub fn update(&self, key: &u32, f: impl FnOnce(Reading) -> Reading) -> Option<Reading> {
        let new = f(self.get(key)?);
        self.insert(*key, new);
        Some(new)
    }

    pub fn remove(&self, key: &u32) -> Option<Reading> {
        let old = self.get(key);
        self.0[*key as usize].present.store(0, Relaxed);
        old
    }

    pub fn try_get(&self, key: &u32) -> Result<Option<Reading>, Busy> {
        Ok(self.get(key))
    }

    pub fn try_insert(&self, key: u32, value: Reading) -> Result<Option<Reading>, TryInsertError> {
        Ok(self.insert(key, value))
    }
}
