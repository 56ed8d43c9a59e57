//! builds: narrow
//!
//! The slots of all readers: they run out, and handles and threads return them. The file is a process of its own, and
//! runs one test at a time.

mod support;

use hedgerow::error::TryInsertError;
use hedgerow::owned::{Handle, Op, pin, try_pin};
use hedgerow::{BytesMap, HashMap};
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use support::alloc::{Injected, failing};

#[global_allocator]
static ALLOCATOR: Injected = Injected;

const FOR_EVER: u64 = u64::MAX;

/// The lock that each test holds as long as it runs.
static ALONE: Mutex<()> = Mutex::new(());

/// If there is no slot for a guard, the operation returns an error.
#[test]
fn a_guard_without_a_slot_is_an_error() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let map = HashMap::<u64, u64>::new();
    let strings = BytesMap::new();
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
        thread.join().expect("the thread gets an error");
    });
    assert!(map.is_empty() && strings.is_empty());
}

/// A handle returns its slot in each case: unused, used, turned into a guard, or dropped in another thread.
#[test]
fn dropped_handles_return_their_slots() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let check = |number: usize, what: &str| assert!(number < 8, "{what} keeps its slot");
    for _ in 0..100 {
        drop(Handle::new());
        check(Handle::new().pin().reader_id(), "a handle that was dropped");
        let guard = Handle::new().into_guard();
        check(guard.reader_id(), "a guard that owns its handle");
        let thread = thread::spawn(move || {
            let number = Handle::new().pin().reader_id();
            drop(guard);
            number
        });
        check(thread.join().expect("the thread only drops"), "a handle of a thread that has ended");
    }
}

/// Destructors of thread-locals run one after the other. One that takes a guard after the thread has returned its slot
/// gets another slot: another thread may own the first one by now.
#[test]
fn a_thread_that_ends_does_not_use_a_returned_slot() {
    /// Takes guards when its thread ends.
    struct Late(mpsc::Sender<bool>);
    impl Drop for Late {
        fn drop(&mut self) {
            let (handle, guard) = (Handle::new(), pin());
            let others = handle.pin().reader_id();
            self.0.send(guard.reader_id() == others).expect("the test waits");
        }
    }
    thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });

    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        // First, so it is dropped last.
        LATE.set(Some(Late(sender)));
        drop(pin());
    });
    thread.join().expect("the thread only takes guards");
    let is_shared = receiver.recv().expect("the value was dropped");
    assert!(!is_shared, "a guard has the slot that its thread has returned");
}
