//! Models of blocks: a handle that is dropped, one that becomes the only one, and the last one. Of versions: two
//! writers that replace the current one.

use super::block::Block;
use super::current::Current;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::thread;
use alloc::boxed::Box;
use std::string::ToString;

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

/// Two writers replace a version, each by one that it has made from the version that it found. None overwrites the
/// other's, and a reader sees a whole one.
#[test]
fn loom_two_writers_replace_the_current_version() {
    explore(3, ["0", "1", "2"], |saw| {
        let current = ::loom::sync::Arc::new(Current::<Cell>::new());
        let write = |current: &Current<Cell>| {
            loop {
                let base = current.load();
                // SAFETY: null, or a version of this model. These are freed at its end.
                let count = unsafe { base.as_ref() }.map_or(0, Cell::read);
                let new = Box::into_raw(Box::new(Cell(UnsafeCell::new(0))));
                // SAFETY: just allocated.
                unsafe { &*new }.write(count + 1);
                if current.replace(base, new) {
                    return base;
                }
                // SAFETY: nobody else has it.
                drop(unsafe { Box::from_raw(new) });
            }
        };
        let theirs = current.clone();
        let writer = thread::spawn(move || write(&theirs) as usize);
        let theirs = current.clone();
        // SAFETY: as above.
        let reader = thread::spawn(move || unsafe { theirs.load().as_ref() }.map_or(0, Cell::read));
        let mine = write(&current);
        let (theirs, seen) = (writer.join().unwrap() as *mut Cell, reader.join().unwrap());
        for version in [mine, theirs, current.load()] {
            // SAFETY: each version was replaced once, or is the last one, and no thread uses them any more.
            drop((!version.is_null()).then(|| unsafe { Box::from_raw(version) }).inspect(
                |version| {
                    assert!([1, 2].contains(&version.read()), "a version is lost");
                },
            ));
        }
        saw(seen.to_string());
    });
}
