//! builds: narrow
//!
//! The one test that uses up the slots of all readers, and so has a process to itself.

mod support;

use hedgerow::owned::{Handle, Op, TryInsertError, try_pin};
use hedgerow::{EntryMap, StrMap};
use std::thread;
use support::alloc::{Injected, failing};

#[global_allocator]
static ALLOCATOR: Injected = Injected;

const FOR_EVER: u64 = u64::MAX;

/// A thread that gets no slot for its guard is told so.
#[test]
fn a_guard_that_cannot_be_had_is_an_error() {
    let map = EntryMap::<u64, u64>::new();
    let strings = StrMap::new();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut handles = Vec::with_capacity(10_000);
            let ((), counts) = failing(0, FOR_EVER, || {
                while let Ok(handle) = Handle::try_new() {
                    handles.push(handle);
                }
                assert!(try_pin().is_err());
                assert!(map.try_insert(1, 2).map_err(TryInsertError::into_parts) == Err((1, 2)));
                let absent = map.try_insert_if_absent(1, 2);
                assert!(absent == Err(TryInsertError::Alloc { key: 1, value: 2 }));
                let computed = map.try_compute(1, |_| unreachable!("not asked"));
                assert!(computed == Err(TryInsertError::Alloc { key: 1, value: None }));
                assert!(strings.try_insert("a", "b").is_err());
                assert!(strings.try_insert_if_absent("a", "b").is_err());
                assert!(strings.try_compute("a", |_| Op::<&str>::Keep).is_err());
            });
            assert!(counts.failures >= 7);
        });
        thread.join().expect("it is only told");
    });
    assert!(map.is_empty() && strings.is_empty());
}
