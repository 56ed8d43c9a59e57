//! For the negative controls: a value whose words are written one after the other, with nothing that says
//! when.

use crate::reading::Reading;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A place for the value of one key.
pub struct Place {
    present: AtomicU32,
    words: [AtomicU32; 3],
}

impl Place {
    pub const fn new() -> Self {
        Self { present: AtomicU32::new(0), words: [const { AtomicU32::new(0) }; 3] }
    }

    pub fn get(&self) -> Option<Reading> {
        (self.present.load(Relaxed) != 0)
            .then(|| Reading::from_words([0, 1, 2].map(|i: usize| self.words[i].load(Relaxed))))
    }

    /// Writes a value, or its absence; returns the old one.
    pub fn set(&self, value: Option<Reading>) -> Option<Reading> {
        let old = self.get();
        if let Some(value) = value {
            for (place, word) in self.words.iter().zip(value.words()) {
                place.store(word, Relaxed);
            }
        }
        self.present.store(u32::from(value.is_some()), Relaxed);
        old
    }
}
