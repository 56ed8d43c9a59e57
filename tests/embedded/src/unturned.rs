//! The negative control of [`turning`](crate::turning): one side, which readers read while it is written.
//!
//! The run must fail on it, or it could not fail on two sides either.

use crate::{board, reading::Reading, word_by_word::Place};
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

pub const KINDS: [&str; 1] = ["one side"];

static PLACES: [Place; board::KEYS as usize] = [const { Place::new() }; board::KEYS as usize];
static PUBLISHES: AtomicU32 = AtomicU32::new(0);

pub struct Writer;
pub struct Reader;
/// With a lifetime, as snapshots have that a writer must wait for.
pub struct AnySnapshot<'a>(PhantomData<&'a Reader>);

/// Never happens: no reader is ever in the way.
#[derive(Debug)]
pub enum Never {}

pub fn make(_kind: usize) -> (Writer, [Reader; 2]) {
    let _ = Writer.clear();
    (Writer, [Reader, Reader])
}

impl Writer {
    pub fn insert(&mut self, key: u32, value: Reading) -> Result<bool, Never> {
        Ok(PLACES[key as usize].set(Some(value)).is_some())
    }

    pub fn update(&mut self, key: u32, value: Reading) -> Result<bool, Never> {
        self.insert(key, value)
    }

    pub fn remove(&mut self, key: u32) -> Result<bool, Never> {
        Ok(PLACES[key as usize].set(None).is_some())
    }

    pub fn clear(&mut self) -> Result<(), Never> {
        for place in &PLACES {
            place.set(None);
        }
        Ok(())
    }

    pub fn shrink(&mut self) {}

    pub fn publish(&mut self) {
        PUBLISHES.store(PUBLISHES.load(SeqCst) + 1, SeqCst);
    }

    pub fn is_stuck(&self) -> bool {
        false
    }

    pub fn wait(&mut self) {}

    pub fn get(&self, key: u32) -> Option<Reading> {
        PLACES[key as usize].get()
    }

    pub fn len(&self) -> usize {
        PLACES.iter().filter(|place| place.get().is_some()).count()
    }
}

impl Reader {
    pub fn enter(&self) -> AnySnapshot<'_> {
        AnySnapshot(PhantomData)
    }

    pub fn get(&self, key: u32) -> Option<Reading> {
        PLACES[key as usize].get()
    }
}

impl AnySnapshot<'_> {
    pub fn get(&self, key: u32) -> Option<Reading> {
        PLACES[key as usize].get()
    }

    pub fn len(&self) -> usize {
        PLACES.iter().filter(|place| place.get().is_some()).count()
    }

    pub fn publishes(&self) -> u32 {
        PUBLISHES.load(SeqCst)
    }
}
