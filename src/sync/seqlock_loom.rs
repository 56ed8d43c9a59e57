//! Models of two seqlocks: a writer changes the word of one, depending on the word of the other.

use super::loom::explore_each;
use super::seqlock::{SeqLock, StateWord};
use crate::facade::Word;
use ::loom::sync::Arc;
use ::loom::thread;
use core::mem::MaybeUninit;
use std::format;

/// A state, and the word that it guards.
struct Guarded([Word; 2]);

impl Guarded {
    fn new() -> Self {
        Self([Word::new(), Word::new()])
    }

    fn lock(&self) -> SeqLock<'_> {
        SeqLock(self.0[0].control())
    }

    /// Returns true if a write has begun, by the state alone. The acquire fence of a validation would prove too much,
    /// because the model checker treats it as a fence of all threads whose stores are seen.
    fn is_touched(&self) -> bool {
        self.lock().begin() != StateWord::default()
    }

    fn is_written(&self) -> bool {
        let state = self.lock().begin();
        state != StateWord::default() && !state.is_locked()
    }

    /// Stores the word. The caller holds the lock.
    fn put(&self, word: usize) {
        self.0[1].store_payload(MaybeUninit::new(word));
    }

    fn write(&self, word: usize) {
        loop {
            let state = self.lock().begin();
            if self.lock().try_lock(state) {
                self.put(word);
                return self.lock().unlock(state.next(0));
            }
            thread::yield_now();
        }
    }
}

/// The writer confirms that the word it has read did not change, instead of locking it.
const CONFIRMS: usize = 0;

/// Writes to `written` if `read` is unchanged. Returns true if it did.
fn write_if_unwritten(read: &Guarded, written: &Guarded, how: usize) -> bool {
    let (first, second) = (read.lock().begin(), written.lock().begin());
    if how == CONFIRMS {
        if !written.lock().try_lock(second) {
            return false;
        }
        let holds = first == StateWord::default() && read.lock().confirm(first);
        if holds {
            written.put(1);
        }
        written.lock().unlock(second.next(0));
        return holds;
    }
    if first != StateWord::default() || !read.lock().try_lock(first) {
        return false;
    }
    let locked = written.lock().try_lock(second);
    if locked {
        written.put(1);
    }
    read.lock().give_back(first);
    if locked {
        written.lock().unlock(second.next(0));
    }
    locked
}

/// One thread writes to the second word if the first is unchanged, while another writes to the first. A third thread
/// that sees the first word changed must also see the write to the second, which came before.
#[test]
fn loom_a_write_after_a_confirmed_read() {
    explore_each(2, ["false", "true"], 0..2, |how, saw| {
        let words = Arc::new([Guarded::new(), Guarded::new()]);
        let (theirs, others) = (words.clone(), words.clone());
        let writer = thread::spawn(move || write_if_unwritten(&theirs[0], &theirs[1], how));
        let reader = thread::spawn(move || others[0].is_written() && !others[1].is_touched());
        words[0].write(1);
        let done = writer.join().unwrap();
        let missed = reader.join().unwrap();
        assert!(
            !done || !missed,
            "the first word was seen written, but not the second one, which had been written before"
        );
        saw(format!("{done}"));
    });
}
