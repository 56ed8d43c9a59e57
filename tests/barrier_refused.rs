//! builds: default
//!
//! A sandbox refuses `membarrier` after the first maps were made, when their readers rely on it. Publishes still end,
//! and garbage is still freed. Each case is a process of its own, because a filter of system calls cannot be removed.
//!
//! Other builds have no `std-ext`, and so no barrier that could be refused.
#![cfg(all(
    feature = "std-ext",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]

mod support;

use hedgerow::owned::{Collector, pin};
use hedgerow::std_ext::membarrier;
use hedgerow::{HashMap, LeftRightMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use support::tracked::Tracked;

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn alarm(seconds: u32) -> u32;
    fn _exit(status: i32) -> !;
    fn prctl(option: i32, ...) -> i32;
    fn syscall(number: i64, ...) -> i64;
}

const PR_SET_NO_NEW_PRIVS: i32 = 38;
const SECCOMP_SET_MODE_FILTER: i64 = 1;
/// The filter is for all threads of the process.
const SECCOMP_FILTER_FLAG_TSYNC: i64 = 1;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

#[cfg(target_arch = "x86_64")]
mod call {
    pub(crate) const SECCOMP: i64 = 317;
    pub(crate) const MEMBARRIER: u32 = 324;
    pub(crate) const SCHED_SETAFFINITY: u32 = 203;
}
#[cfg(target_arch = "aarch64")]
mod call {
    pub(crate) const SECCOMP: i64 = 277;
    pub(crate) const MEMBARRIER: u32 = 283;
    pub(crate) const SCHED_SETAFFINITY: u32 = 122;
}

/// Makes the kernel refuse this system call from now on, with this error.
fn refuse(number: u32, error: u32) {
    #[repr(C)]
    struct Step(u16, u8, u8, u32);
    #[repr(C)]
    struct Filter(u16, *const Step);

    let steps = [
        // Load the number of the call, compare it, refuse, allow.
        Step(0x20, 0, 0, 0),
        Step(0x15, 0, 1, number),
        Step(0x06, 0, 0, 0x0005_0000 | error),
        Step(0x06, 0, 0, 0x7fff_0000),
    ];
    let filter = Filter(steps.len() as u16, steps.as_ptr());
    // SAFETY: the call takes numbers alone.
    let bound = unsafe { prctl(PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) };
    assert_eq!(bound, 0, "the process may gain privileges");
    let (mode, threads) = (SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the filter and its steps outlive the call, which copies them.
    let set = unsafe { syscall(call::SECCOMP, mode, threads, &raw const filter) };
    assert_eq!(set, 0, "the system refuses the filter");
}

/// Runs `child` in a process of its own, for half a minute at most.
fn forked(what: &str, child: impl FnOnce()) {
    // SAFETY: the other threads of the test wait for this one, with no lock held.
    let pid = unsafe { fork() };
    assert!(pid >= 0, "no child");
    if pid == 0 {
        // SAFETY: the call takes an integer. Its signal ends the child alone.
        unsafe { alarm(30) };
        let done = catch_unwind(AssertUnwindSafe(child)).is_ok();
        // SAFETY: the call takes an integer. The parent's destructors must not run here.
        unsafe { _exit(i32::from(!done)) }
    }
    let mut status = 0;
    // SAFETY: the child is this process's, and `status` outlives the call.
    let ended = unsafe { waitpid(pid, &raw mut status, 0) };
    assert_eq!((ended, status), (pid, 0), "{what}: it never ended, or panicked");
}

type Map = HashMap<u64, Tracked>;

/// A thread that does a step on request.
struct Stepper {
    go: Sender<()>,
    done: Receiver<()>,
}

impl Stepper {
    fn once(&self) {
        self.go.send(()).expect("the thread waits for this");
        self.done.recv().expect("the thread ends the step");
    }
}

fn stepper<'s, 'e>(
    scope: &'s thread::Scope<'s, 'e>,
    mut step: impl FnMut() + Send + 's,
) -> Stepper {
    let ((go, may_go), (is_done, done)) = (channel(), channel());
    scope.spawn(move || {
        while may_go.recv().is_ok() {
            step();
            is_done.send(()).expect("the test waits for this");
        }
    });
    Stepper { go, done }
}

/// Makes readers of every kind, none of which executes fences. Then calls `refused`, and passes `then` a function that
/// publishes and frees garbage, and returns how many readers are in the way and how much garbage is left.
fn with_readers_that_do_not_fence(
    refused: impl FnOnce(),
    then: impl FnOnce(&mut dyn FnMut() -> (usize, usize), &[Stepper]),
) {
    assert!(membarrier::register(), "this system has no membarrier");
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, reader) = LeftRightMap::<u64, Tracked>::new();
    let map = Map::new();
    let read_often = |reader: &hedgerow::left_right::ReadHandle<u64, Tracked>| {
        // Until the reader's fences have cost as much as a barrier, and it stops executing them.
        for _ in 0..150_000 {
            assert!(reader.get(&0).is_some());
        }
    };
    writer.insert(0, Tracked::new(0, &alive));
    writer.publish();
    read_often(&reader);
    thread::scope(|scope| {
        let others = [(); 2].map(|()| {
            let (handle, map) = (writer.read_handle(), &map);
            let mut is_first = true;
            stepper(scope, move || {
                if std::mem::take(&mut is_first) {
                    read_often(&handle);
                }
                assert!(handle.get(&0).is_some());
                assert!(map.pin().get(&u64::MAX).is_none());
            })
        });
        others.iter().for_each(Stepper::once);
        // And a reader that has ended: joined, because a scope does not wait for destructors of thread-locals.
        thread::scope(|scope| scope.spawn(|| drop(pin())).join().unwrap());
        map.insert(1, Tracked::new(1, &alive));
        drop(map.remove(&1));
        map.reclaim();
        assert_eq!(map.pending(), 0, "garbage stays although membarrier works");
        refused();
        assert!(!membarrier::barrier(), "the filter does not refuse membarrier");
        let mut round = 0;
        // Returns how many readers are in the way, and how much garbage is left.
        let mut go_on = || {
            round += 1;
            writer.insert(0, Tracked::new(round, &alive));
            let _ = (writer.try_publish(), !writer.is_pending());
            map.insert(1, Tracked::new(round, &alive));
            drop(map.remove(&1));
            map.reclaim();
            (writer.stalled_readers().count(), map.pending())
        };
        then(&mut go_on, &others);
        assert!(reader.get(&0).is_some());
        drop(pin());
        map.reclaim();
        assert_eq!(map.pending(), 0, "garbage stays although every reader has read since");
        for n in 0..20 {
            writer.insert(n, Tracked::new(n, &alive));
            writer.publish();
        }
        writer.wait_for_readers();
        assert_eq!(reader.len(), 20);
        drop(others);
    });
    assert_eq!(alive.load(Ordering::Relaxed), 20, "an entry is kept that no reader can see");
}

#[test]
fn publishes_end_and_garbage_is_freed_if_membarrier_is_refused_late() {
    for error in [EPERM, ENOSYS] {
        forked("membarrier refused", || {
            with_readers_that_do_not_fence(
                || refuse(call::MEMBARRIER, error),
                |go_on, _| {
                    for _ in 0..10 {
                        assert_eq!(go_on(), (0, 0), "idle readers are in the way");
                    }
                },
            );
        });
    }
}

/// Nothing tells the writer about an idle reader then. When it has read again, it is not in the way any more.
#[test]
fn one_read_of_each_reader_is_enough_if_the_system_does_not_help() {
    forked("membarrier and sched_setaffinity refused", || {
        with_readers_that_do_not_fence(
            || {
                refuse(call::MEMBARRIER, EPERM);
                refuse(call::SCHED_SETAFFINITY, EPERM);
            },
            |go_on, others| {
                let overlooked = "a reader that may be about to read was overlooked";
                assert_eq!(go_on(), (3, 1), "{overlooked}");
                others[0].once();
                assert_eq!(go_on(), (2, 2), "{overlooked}");
                others[1].once();
                assert_eq!(go_on(), (1, 0), "{overlooked}");
            },
        );
    });
}

/// The readers of a collector say nothing about those of the other maps: garbage of a map with a collector is freed,
/// and that of another map waits for a reader that may be about to read without a fence.
#[test]
fn readers_of_one_collector_do_not_speak_for_others() {
    forked("membarrier and sched_setaffinity refused", || {
        assert!(membarrier::register(), "this system has no membarrier");
        let alive = Arc::new(AtomicUsize::new(0));
        let [map, own] = [Map::new(), Map::new().with_collector(&Collector::new())];
        thread::scope(|scope| {
            let other = stepper(scope, || drop(pin()));
            other.once();
            drop((pin(), own.pin()));
            refuse(call::MEMBARRIER, EPERM);
            refuse(call::SCHED_SETAFFINITY, EPERM);
            let pending = |map: &Map| {
                map.insert(1, Tracked::new(1, &alive));
                drop(map.remove(&1));
                map.reclaim();
                map.pending()
            };
            assert_eq!(pending(&own), 0, "no reader of the collector is in the way");
            assert!(pending(&map) > 0, "a reader that may be about to read was overlooked");
            assert_eq!(pending(&own), 0, "the readers of other maps are in the way");
            other.once();
            assert_eq!(pending(&map), 0, "garbage stays although every reader has read since");
            drop(other);
        });
    });
}
