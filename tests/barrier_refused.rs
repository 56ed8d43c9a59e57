//! builds: default
//! A sandbox that refuses `membarrier` after the first maps were made, while their readers rely on it: publishes come
//! to an end, and garbage goes. Each case is a process of its own, since a filter of system calls cannot be taken back.
//!
//! Other builds would have nothing to run: they have feature `std` alone, and so no barrier that could be refused.
#![cfg(all(
    feature = "std-ext",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]

mod support;

use hedgerow::owned::pin;
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
/// For all threads there are.
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

/// Has the kernel refuse the process this system call from now on, with this error.
fn refuse(number: u32, error: u32) {
    #[repr(C)]
    struct Step(u16, u8, u8, u32);
    #[repr(C)]
    struct Filter(u16, *const Step);

    let steps = [
        // Load the number of the call; compare it; refuse; allow.
        Step(0x20, 0, 0, 0),
        Step(0x15, 0, 1, number),
        Step(0x06, 0, 0, 0x0005_0000 | error),
        Step(0x06, 0, 0, 0x7fff_0000),
    ];
    let filter = Filter(steps.len() as u16, steps.as_ptr());
    // SAFETY: takes numbers only.
    let bound = unsafe { prctl(PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) };
    assert_eq!(bound, 0, "the process may gain privileges");
    let (mode, threads) = (SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the filter and its steps outlive the call, which copies them.
    let set = unsafe { syscall(call::SECCOMP, mode, threads, &raw const filter) };
    assert_eq!(set, 0, "the system takes no filter");
}

/// Runs `child` in a process of its own, for half a minute at most.
fn forked(what: &str, child: impl FnOnce()) {
    // SAFETY: the other threads of the test wait for this one, with no lock held.
    let pid = unsafe { fork() };
    assert!(pid >= 0, "no child");
    if pid == 0 {
        // SAFETY: takes an integer; the signal ends the child, and nothing else.
        unsafe { alarm(30) };
        let done = catch_unwind(AssertUnwindSafe(child)).is_ok();
        // SAFETY: ends the child without the parent's destructors, which must not run here.
        unsafe { _exit(i32::from(!done)) }
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the status a place of our own.
    let ended = unsafe { waitpid(pid, &raw mut status, 0) };
    assert_eq!((ended, status), (pid, 0), "{what}: it waited for ever, or panicked");
}

type Map = HashMap<u64, Tracked>;

/// A thread that runs its work each time it is told to.
struct Told {
    go: Sender<()>,
    done: Receiver<()>,
}

impl Told {
    fn once(&self) {
        self.go.send(()).expect("it waits for that");
        self.done.recv().expect("it does it");
    }
}

fn told<'s, 'e>(scope: &'s thread::Scope<'s, 'e>, mut step: impl FnMut() + Send + 's) -> Told {
    let ((go, may_go), (is_done, done)) = (channel(), channel());
    scope.spawn(move || {
        while may_go.recv().is_ok() {
            step();
            is_done.send(()).expect("somebody waits for that");
        }
    });
    Told { go, done }
}

/// Readers of every kind that executed no fence until now; then `refused` happens, and `then` says what there is to do
/// that all of it goes on.
fn with_readers_that_do_not_fence(
    refused: impl FnOnce(),
    then: impl FnOnce(&mut dyn FnMut() -> (usize, usize), &[Told]),
) {
    assert!(membarrier::register(), "this system has no membarrier");
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut writer, reader) = LeftRightMap::<u64, Tracked>::new();
    let map = Map::new();
    let look = |reader: &hedgerow::left_right::ReadHandle<u64, Tracked>| {
        // As often as it takes until a reader has paid for a barrier by fences.
        for _ in 0..150_000 {
            assert!(reader.get(&0).is_some());
        }
    };
    writer.insert(0, Tracked::new(0, &alive));
    writer.publish();
    look(&reader);
    thread::scope(|scope| {
        let others = [(); 2].map(|()| {
            let (handle, map) = (writer.read_handle(), &map);
            let mut is_first = true;
            told(scope, move || {
                if std::mem::take(&mut is_first) {
                    look(&handle);
                }
                assert!(handle.get(&0).is_some());
                assert!(map.pin().get(&u64::MAX).is_none());
            })
        });
        others.iter().for_each(Told::once);
        // And one that has gone: joined, since a scope does not wait for destructors of thread-locals.
        thread::scope(|scope| scope.spawn(|| drop(pin())).join().unwrap());
        map.insert(1, Tracked::new(1, &alive));
        drop(map.remove(&1));
        map.reclaim();
        assert_eq!(map.pending(), 0, "garbage stays even with membarrier");
        refused();
        assert!(!membarrier::barrier(), "the filter filters nothing");
        let mut round = 0;
        // Readers that are in the way, and garbage that stays.
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
        assert_eq!(map.pending(), 0, "garbage stays though every reader has read since");
        for n in 0..20 {
            writer.insert(n, Tracked::new(n, &alive));
            writer.publish();
        }
        writer.wait_for_readers();
        assert_eq!(reader.len(), 20);
        drop(others);
    });
    assert_eq!(alive.load(Ordering::Relaxed), 20, "something is kept that nobody can meet");
}

#[test]
fn publishes_and_garbage_go_on_where_membarrier_is_refused_late() {
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

/// Nothing then tells about a reader that is idle; once it has read again, it is not in the way any more.
#[test]
fn one_read_of_each_reader_is_enough_where_the_system_does_not_help_at_all() {
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
