//! Models of references and claims: the last reference drops the value, and one thread at a time holds a claim.
//!
//! The shared values are cells. The model checker finds two threads that use a cell at a time, or in no order.

use super::claim::Claim;
use super::loom::explore;
use super::shared::Shared;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use std::string::String;
use std::sync::Mutex;

/// A cell for each thread, and the thread that dropped them.
struct Cells {
    cells: [UnsafeCell<usize>; 3],
    dropped_by: std::sync::Arc<Mutex<Option<thread::ThreadId>>>,
}

// SAFETY: the model checker reports unordered accesses to the cells.
unsafe impl Send for Cells {}
// SAFETY: as above.
unsafe impl Sync for Cells {}

impl Cells {
    fn write(&self, number: usize) {
        // SAFETY: the model proves that no other thread uses the cell now.
        self.cells[number].with_mut(|cell| unsafe { *cell += 1 });
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        for cell in &self.cells {
            // SAFETY: the model proves that no other thread uses the cell now.
            cell.with_mut(|cell| assert_eq!(unsafe { *cell }, 2, "dropped before its use"));
        }
        let before = self.dropped_by.lock().unwrap().replace(thread::current().id());
        assert!(before.is_none(), "dropped twice");
    }
}

/// Three threads with references, one of which clones its own. The last one to drop a reference drops the value, after
/// all that the others did with it.
#[test]
fn loom_the_last_reference_drops_the_value() {
    explore(3, ["the first", "the second", "the third"], |saw| {
        let dropped_by = std::sync::Arc::new(Mutex::new(None));
        let cells = [0; 3].map(UnsafeCell::new);
        let first = Shared::new(Cells { cells, dropped_by: dropped_by.clone() });
        let (second, third) = (first.clone(), first.clone());
        let seconds = thread::spawn(move || {
            second.write(1);
            let copy = second.clone();
            drop(second);
            copy.write(1);
        });
        let thirds = thread::spawn(move || {
            third.write(2);
            third.write(2);
        });
        let (seconds_id, thirds_id) = (seconds.thread().id(), thirds.thread().id());
        first.write(0);
        first.write(0);
        drop(first);
        seconds.join().unwrap();
        thirds.join().unwrap();
        let by = dropped_by.lock().unwrap().expect("the value was not dropped");
        let others = [(seconds_id, "the second"), (thirds_id, "the third")];
        let other = others.iter().find(|(id, _)| *id == by);
        saw(other.map_or("the first", |(_, name)| name).into());
    });
}

/// A claim, and the notes that its holders hand on.
struct Claimed {
    claim: Claim,
    notes: UnsafeCell<String>,
}

// SAFETY: the model checker reports unordered accesses to the cell.
unsafe impl Sync for Claimed {}

impl Claimed {
    /// Adds a name to the notes, if the claim is free.
    fn sign(&self, name: char) {
        if !self.claim.take() {
            return;
        }
        // SAFETY: the model proves that no other thread uses the cell now.
        self.notes.with_mut(|notes| unsafe { (*notes).push(name) });
        self.claim.release();
    }
}

/// Two threads take one claim, one of them twice. The holder finds the notes of earlier holders, all of them.
#[test]
fn loom_one_thread_at_a_time_holds_a_claim() {
    // A thread that finds the claim taken goes on without it. The first thread does so at most once, so there is no
    // "a".
    explore(3, ["aa", "aab", "ab", "aba", "b", "ba", "baa"], |saw| {
        let claimed =
            Arc::new(Claimed { claim: Claim::new(false), notes: UnsafeCell::new(String::new()) });
        let theirs = claimed.clone();
        let other = thread::spawn(move || theirs.sign('b'));
        claimed.sign('a');
        claimed.sign('a');
        other.join().unwrap();
        // SAFETY: both threads have released the claim, and were joined.
        saw(claimed.notes.with(|notes| unsafe { (*notes).clone() }));
    });
}
