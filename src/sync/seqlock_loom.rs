//! Models of two seqlocks, of which a writer changes what one guards for what it has read under the other.

use super::loom::explore_each;
use super::seqlock::{SeqLock, State};
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

    /// Whether a write was begun: by the state alone. The acquire fence of a second look would say more than it may,
    /// because the model checker takes such a fence for one of all threads whose work is seen.
    fn is_touched(&self) -> bool {
        self.lock().begin() != State::default()
    }

    fn is_written(&self) -> bool {
        let state = self.lock().begin();
        state != State::default() && !state.is_locked()
    }

    /// To be called with the lock held.
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

/// How the writer makes sure that what it has only read has not changed.
const CONFIRMS: usize = 0;

/// Writes to `written` if nothing has been written to `read`.
fn write_if_unwritten(read: &Guarded, written: &Guarded, how: usize) -> bool {
    let (first, second) = (read.lock().begin(), written.lock().begin());
    if how == CONFIRMS {
        if !written.lock().try_lock(second) {
            return false;
        }
        let holds = first == State::default() && read.lock().confirm(first);
        if holds {
            written.put(1);
        }
        written.lock().unlock(second.next(0));
        return holds;
    }
    if first != State::default() || !read.lock().try_lock(first) {
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

/// One thread writes to the second word if nothing was written to the first one, while another writes to the first
/// one. A third one, which sees that write, sees the one that must have come before it.
#[test]
fn loom_a_write_after_what_it_has_only_read() {
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
