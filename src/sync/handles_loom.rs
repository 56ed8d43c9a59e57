//! Models of what handles have in common: the last of them drops what they share, and one at a time has the seat.
//!
//! What they share are cells. The model checker finds two who are at one at a time, or whose uses are not ordered.

use super::claim::Claim;
use super::loom::explore;
use super::shared::Shared;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use std::string::String;
use std::sync::Mutex;

/// A cell for each holder, and a note of who dropped them.
struct Cells {
    cells: [UnsafeCell<usize>; 3],
    dropped_by: std::sync::Arc<Mutex<Option<thread::ThreadId>>>,
}

// SAFETY: the cells are what the model checker watches.
unsafe impl Send for Cells {}
// SAFETY: as above.
unsafe impl Sync for Cells {}

impl Cells {
    fn write(&self, number: usize) {
        // SAFETY: what is to be proved.
        self.cells[number].with_mut(|cell| unsafe { *cell += 1 });
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        for cell in &self.cells {
            // SAFETY: what is to be proved.
            cell.with_mut(|cell| assert_eq!(unsafe { *cell }, 2, "dropped before its use"));
        }
        let before = self.dropped_by.lock().unwrap().replace(thread::current().id());
        assert!(before.is_none(), "dropped twice");
    }
}

/// Three holders, one of them by copies that it makes itself: whoever comes last drops the value, after all that
/// the others did with it.
#[test]
fn loom_the_last_holder_drops() {
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
        let by = dropped_by.lock().unwrap().expect("nobody dropped it");
        let others = [(seconds_id, "the second"), (thirds_id, "the third")];
        let other = others.iter().find(|(id, _)| *id == by);
        saw(other.map_or("the first", |(_, name)| name).into());
    });
}

/// A seat, and what whoever has it is to go on with.
struct Desk {
    owner: Claim,
    draft: UnsafeCell<String>,
}

// SAFETY: the cell is what the model checker watches.
unsafe impl Sync for Desk {}

impl Desk {
    /// Adds a name to the draft, if the seat can be had.
    fn sign(&self, name: char) {
        if !self.owner.take() {
            return;
        }
        // SAFETY: what is to be proved.
        self.draft.with_mut(|draft| unsafe { (*draft).push(name) });
        self.owner.release();
    }
}

/// Two want one seat, one of them twice: who has it goes on with what was left there, and finds it whole.
#[test]
fn loom_one_at_a_time_has_the_seat() {
    // Who finds the seat taken goes on without it; not both, so there is no "a".
    explore(3, ["aa", "aab", "ab", "aba", "b", "ba", "baa"], |saw| {
        let desk =
            Arc::new(Desk { owner: Claim::new(false), draft: UnsafeCell::new(String::new()) });
        let theirs = desk.clone();
        let other = thread::spawn(move || theirs.sign('b'));
        desk.sign('a');
        desk.sign('a');
        other.join().unwrap();
        // SAFETY: as above; both have left.
        saw(desk.draft.with(|draft| unsafe { (*draft).clone() }));
    });
}
