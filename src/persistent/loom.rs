//! Models of blocks: a handle that is dropped, one that becomes the only one, and the last one.

use super::block::Block;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::thread;

/// A cell as an element. The model checker finds two threads that use it in no order.
struct Cell(UnsafeCell<u32>);

// SAFETY: the model checker reports unordered accesses.
unsafe impl Send for Cell {}
// SAFETY: as above.
unsafe impl Sync for Cell {}

impl Cell {
    fn read(&self) -> u32 {
        // SAFETY: the model proves that no other thread writes to the cell now.
        self.0.with(|cell| unsafe { *cell })
    }

    fn write(&self, value: u32) {
        // SAFETY: the model proves that no other thread uses the cell now.
        self.0.with_mut(|cell| unsafe { *cell = value });
    }
}

impl Clone for Cell {
    fn clone(&self) -> Self {
        Self(UnsafeCell::new(self.read()))
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.write(0);
    }
}

type Cells = Block<Cell, u32, ()>;

fn block() -> Cells {
    let mut block = Cells::new(0, 1).unwrap();
    block.own().insert(0, Cell(UnsafeCell::new(7)), 0, ());
    block
}

/// A writer changes a block in place once the reader of another version has dropped its handle, and copies it before.
#[test]
fn loom_a_block_is_changed_in_place_by_its_only_owner() {
    explore(3, ["changed in place", "copied"], |saw| {
        let mut mine = block();
        let theirs = mine.share();
        let reader =
            thread::spawn(move || assert_eq!(theirs.a()[0].read(), 7, "a version has changed"));
        let outcome = match mine.as_unique() {
            Some(mut own) => {
                own.a_mut()[0].write(8);
                "changed in place"
            }
            None => {
                mine = mine.copy(0..1, 1).unwrap();
                mine.own().a_mut()[0].write(8);
                "copied"
            }
        };
        assert_eq!(mine.a()[0].read(), 8);
        reader.join().unwrap();
        saw(outcome.into());
    });
}

/// Three threads read a version and drop it. The last one drops the elements, after all reads.
#[test]
fn loom_the_last_version_drops_the_elements() {
    explore(3, ["dropped"], |saw| {
        let mine = block();
        let threads = [mine.share(), mine.share()].map(|theirs| {
            thread::spawn(move || {
                let again = theirs.share();
                drop(theirs);
                assert_eq!(again.a()[0].read(), 7, "an element is used after it was dropped");
            })
        });
        drop(mine);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        saw("dropped".into());
    });
}
