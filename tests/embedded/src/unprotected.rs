//! The negative control: words written one after the other, with nothing that says when.
//!
//! The same operations as the map's, over a fixed table without a version: an interrupt reads a
//! half-written value. The run must fail on it, or it could not fail on the map either.

use crate::{board, reading::Reading, word_by_word::Place};
use alloc::{boxed::Box, vec::Vec};

pub struct Table(Box<[Place]>);

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
        Self((0..board::KEYS).map(|_| Place::new()).collect::<Vec<_>>().into())
    }

    pub fn get(&self, key: &u32) -> Option<Reading> {
        self.0[*key as usize].get()
    }

    pub fn insert(&self, key: u32, value: Reading) -> Option<Reading> {
        self.0[key as usize].set(Some(value))
    }

    pub fn update(&self, key: &u32, f: impl FnOnce(Reading) -> Reading) -> Option<Reading> {
        let new = f(self.get(key)?);
        self.insert(*key, new);
        Some(new)
    }

    pub fn remove(&self, key: &u32) -> Option<Reading> {
        self.0[*key as usize].set(None)
    }

    pub fn try_get(&self, key: &u32) -> Result<Option<Reading>, Busy> {
        Ok(self.get(key))
    }

    pub fn try_insert(&self, key: u32, value: Reading) -> Result<Option<Reading>, TryInsertError> {
        Ok(self.insert(key, value))
    }
}
