//! The time of a read section: a guard alone, a look-up with one of its own, and
//! one under a guard that is held.
//!
//! Ours is measured twice, with the system's barrier and with fences. A process
//! chooses once, so the process with fences forbids the system call beforehand.

use std::hint::black_box;

use hedgerow::owned::pin;

use crate::clock::cpu;
use crate::contest::median;
use crate::keys::{Rng, key, value};
use crate::rivals::{Papaya, hasher};

/// Nanoseconds of each.
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// Taking a guard and dropping it.
    pub alone: f64,
    /// A hit, a guard included.
    pub own: f64,
    /// A hit under a guard that serves many.
    pub held: f64,
}

/// The measured maps.
pub const NAMES: [&str; 3] = ["HashMap, membarrier", "HashMap, fences", "papaya"];

/// Keys, few enough for the caches.
const KEYS: u64 = 1 << 10;
const ROUNDS: usize = 15;
const ASKED: usize = 1 << 18;

/// Measures the one called `name`; none where the system does not let it. For a
/// process that has not pinned yet.
pub fn measure(name: &str) -> Option<Pins> {
    match NAMES.iter().position(|&known| known == name)? {
        0 => hedgerow::std_ext::membarrier::register().then(ours),
        1 => forbid_membarrier().then(ours),
        _ => Some(papaya()),
    }
}

fn ours() -> Pins {
    let map = hedgerow::HashMap::<u64, u64, _>::with_hasher(hasher());
    for i in 0..KEYS {
        map.insert(key(i), value(key(i), 0));
    }
    let keys = keys();
    Pins {
        alone: each(&keys, |_| drop(black_box(pin()))),
        own: each(&keys, |key| assert!(map.get(key).is_some())),
        held: {
            let map = map.pin();
            each(&keys, |key| assert!(map.get(key).is_some()))
        },
    }
}

fn papaya() -> Pins {
    let map = Papaya::<u64, u64>::with_hasher(hasher());
    for i in 0..KEYS {
        map.pin().insert(key(i), value(key(i), 0));
    }
    let keys = keys();
    Pins {
        alone: each(&keys, |_| drop(black_box(map.guard()))),
        own: each(&keys, |key| assert!(map.pin().get(key).is_some())),
        held: {
            let map = map.pin();
            each(&keys, |key| assert!(map.get(key).is_some()))
        },
    }
}

fn keys() -> Vec<u64> {
    let mut rng = Rng::new(6);
    (0..ASKED).map(|_| key(rng.below(KEYS))).collect()
}

/// Nanoseconds a key, of the thread's own clock: nobody is waited for here.
fn each(keys: &[u64], mut work: impl FnMut(&u64)) -> f64 {
    let mut round = || {
        let start = cpu();
        keys.iter().for_each(&mut work);
        (cpu() - start) as f64 / keys.len() as f64
    };
    round();
    median(&(0..ROUNDS).map(|_| round()).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

/// Has the kernel refuse this thread the system call, and those it starts; says
/// whether it does.
fn forbid_membarrier() -> bool {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

    let step = |code: u32, jump: (u8, u8), k: u32| libc::sock_filter {
        code: code as u16,
        jt: jump.0,
        jf: jump.1,
        k,
    };
    // The number of the call is the first word that a filter can load.
    let mut steps = [
        step(BPF_LD | BPF_W | BPF_ABS, (0, 0), 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, (0, 1), libc::SYS_membarrier as u32),
        step(BPF_RET | BPF_K, (0, 0), libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
        step(BPF_RET | BPF_K, (0, 0), libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: takes numbers only.
    let bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the filter and its steps outlive the call, which copies them.
    let set = bound
        && unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
        } == 0;
    set && !hedgerow::std_ext::membarrier::register()
}
