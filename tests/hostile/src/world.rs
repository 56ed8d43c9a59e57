//! The behaviour of user code that a map calls, and the findings. One program runs at a time in a process, so its
//! manners are the process's: workers' threads call user code, too.

use crate::alloc;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Keys below this number are lasting: no program names them, and no trait lies about them.
pub const LASTING: u32 = 12;

/// The answers of a trait's implementation for keys that are not lasting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lie {
    /// As the trait demands.
    Honest,
    /// The same for all.
    Constant,
    /// By chance.
    Random,
    /// True and false in turns.
    Alternating,
    /// The opposite of the truth.
    Inconsistent,
}

impl Lie {
    /// Returns whether two answers about one key may differ.
    pub fn changes(self) -> bool {
        matches!(self, Self::Random | Self::Alternating)
    }

    /// A byte of a program as a lie; half of all bytes are honest.
    pub fn of(byte: u8) -> Self {
        match byte {
            0..128 => Self::Honest,
            128..160 => Self::Constant,
            160..192 => Self::Random,
            192..224 => Self::Alternating,
            224.. => Self::Inconsistent,
        }
    }
}

/// The behaviour of user code.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// `Hash`.
    pub hash: Lie,
    /// `Eq`.
    pub eq: Lie,
    /// `Ord`, and the ranking.
    pub order: Lie,
    /// `Clone`.
    pub clone: Lie,
    /// Whether user code takes long at times.
    pub slow: bool,
    /// Whether destructors may panic and call the map, as other user code does.
    pub drops: bool,
}

/// Manners without any fault.
pub const HONEST: Manners = Manners {
    hash: Lie::Honest,
    eq: Lie::Honest,
    order: Lie::Honest,
    clone: Lie::Honest,
    slow: false,
    drops: false,
};

static HASH: AtomicU8 = AtomicU8::new(0);
static EQ: AtomicU8 = AtomicU8::new(0);
static ORDER: AtomicU8 = AtomicU8::new(0);
static CLONE: AtomicU8 = AtomicU8::new(0);
static SLOW: AtomicBool = AtomicBool::new(false);
static DROPS: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static FINDINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LEAKED: AtomicBool = AtomicBool::new(false);
static ALIVE: AtomicU32 = AtomicU32::new(0);

/// The payload of a planned panic, which does not run the panic hook.
struct Planned;

type Hook = Rc<dyn Fn()>;

thread_local! {
    /// Calls of user code until one panics.
    static FUSE: Cell<u32> = const { Cell::new(u32::MAX) };
    /// Calls of user code until one calls the map.
    static REENTRY: Cell<u32> = const { Cell::new(u32::MAX) };
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    static RANDOM: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) };
}

/// Begins a program: resets findings, leaks and counts.
pub fn begin() {
    behave(HONEST);
    findings().clear();
    LEAKED.store(false, Relaxed);
    ALIVE.store(0, Relaxed);
    CALLS.store(0, Relaxed);
    crate::things::forget_all();
}

/// Sets the manners of user code.
pub fn behave(manners: Manners) {
    HASH.store(manners.hash as u8, Relaxed);
    EQ.store(manners.eq as u8, Relaxed);
    ORDER.store(manners.order as u8, Relaxed);
    CLONE.store(manners.clone as u8, Relaxed);
    SLOW.store(manners.slow, Relaxed);
    DROPS.store(manners.drops, Relaxed);
}

fn findings() -> std::sync::MutexGuard<'static, Vec<String>> {
    FINDINGS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Notes a finding. Never panics, because maps call user code that notes.
pub fn note(what: impl FnOnce() -> String) {
    let mut findings = findings();
    if findings.len() < 4 {
        let what = alloc::unfailing(what);
        alloc::unfailing(|| findings.push(what));
    }
}

/// Takes the findings since [`begin`].
pub fn take_findings() -> Vec<String> {
    std::mem::take(&mut findings())
}

/// Notes that the program leaked a guard: from here on values may never be dropped.
fn forgive_leaks() {
    LEAKED.store(true, Relaxed);
}

/// Leaks a guard, or a value that a map returned. The map never drops an entry that it protects, and that is not the
/// map's fault. To a sanitizer the value stays reachable.
pub fn leak<T>(value: T) {
    static LEAKED_AT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    forgive_leaks();
    let at = Box::into_raw(Box::new(value)).expose_provenance();
    LEAKED_AT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(at);
}

/// Returns whether the program leaked a guard.
pub fn leaked() -> bool {
    LEAKED.load(Relaxed)
}

/// Counts a value that must be dropped.
pub(crate) fn created() {
    ALIVE.fetch_add(1, Relaxed);
}

/// Counts a value that was dropped.
pub(crate) fn died() {
    if ALIVE.fetch_sub(1, Relaxed) == 0 {
        note(|| "more values were dropped than made".into());
    }
}

/// Returns the number of values that were made and not dropped.
pub fn alive() -> u32 {
    ALIVE.load(Relaxed)
}

// ------------------------------------------------------------------------------- effects of calls

/// Sets up the thread's next operation: the numbers of calls after which user code panics and calls the map.
pub fn arm(fuse: Option<u32>, reentry: Option<u32>) {
    FUSE.set(fuse.unwrap_or(u32::MAX));
    REENTRY.set(reentry.unwrap_or(u32::MAX));
}

/// Sets the hook by which user code calls the map. `None` before the map is dropped.
pub fn set_hook(hook: Option<Hook>) {
    HOOK.set(hook);
}

/// Every call of user code passes here: it may take long, call the map, or panic.
pub fn step() {
    if SLOW.load(Relaxed) {
        // Mostly long enough for another thread that runs. On a machine with other work, one that sleeps or yields gets
        // the processor back only after all that.
        match random() % 256 {
            0 => thread::sleep(Duration::from_micros(30)),
            1..3 => thread::yield_now(),
            3..36 => (0..1000).for_each(|_| hint::spin_loop()),
            _ => {}
        }
    }
    if countdown(&REENTRY) {
        call_map();
    }
    if countdown(&FUSE) && !thread::panicking() {
        alloc::stop_failing();
        resume_unwind(Box::new(Planned));
    }
}

/// Calls the map, unless this call came from the map already.
fn call_map() {
    let hook = HOOK.take();
    if let Some(hook) = hook {
        let result = catch_unwind(AssertUnwindSafe(|| alloc::unfailing(|| hook())));
        HOOK.set(Some(hook));
        if let Err(payload) = result {
            alloc::stop_failing();
            resume_unwind(payload);
        }
    }
}

/// Runs `work` with an allocator that calls the map the first `calls` times, so that the map's state may change while
/// it allocates, as if another thread wrote meanwhile.
pub fn with_calling_allocator<R>(calls: u32, work: impl FnOnce() -> R) -> R {
    thread_local! {
        static CALLS_LEFT: Cell<u32> = const { Cell::new(0) };
    }
    CALLS_LEFT.set(calls);
    let hook = || {
        if let Some(left) = CALLS_LEFT.get().checked_sub(1) {
            CALLS_LEFT.set(left);
            call_map();
        }
    };
    alloc::hooked(hook, work)
}

/// As [`step`], for destructors. If one panics at the end of a function, the compiler forgets the value that the
/// function returns (rust-lang/rust issue 47949), so a map cannot promise that nothing leaks.
pub(crate) fn drop_step() {
    struct Forgive;
    impl Drop for Forgive {
        fn drop(&mut self) {
            if thread::panicking() {
                forgive_leaks();
            }
        }
    }
    if DROPS.load(Relaxed) && !thread::panicking() {
        let _forgive = Forgive;
        step();
    }
}

/// Counts down, and returns whether the count has reached its end.
fn countdown(count: &'static thread::LocalKey<Cell<u32>>) -> bool {
    count
        .try_with(|count| {
            let left = count.get();
            count.set(if left == u32::MAX || left == 0 { u32::MAX } else { left - 1 });
            left == 0
        })
        .unwrap_or(false)
}

/// Returns whether this is the payload of a planned panic.
pub fn is_planned(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Planned>()
}

/// Runs `work` with an allocator that lets `spared` allocations through and fails the next `doomed` ones.
pub fn scarce<R>(scarcity: Option<(u64, u64)>, work: impl FnOnce() -> R) -> R {
    match scarcity {
        Some((spared, doomed)) => alloc::failing(spared, doomed, work).0,
        None => work(),
    }
}

/// Runs user code that allocates although allocations fail.
pub(crate) fn unfailing<R>(work: impl FnOnce() -> R) -> R {
    alloc::unfailing(work)
}

// ------------------------------------------------------------------------------------------- lies

/// Seeds a thread's random numbers.
pub fn seed(seed: u64) {
    RANDOM.set(seed | 1);
}

/// Returns a random number.
pub fn random() -> u64 {
    RANDOM
        .try_with(|state| {
            let mut word = state.get();
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            state.set(word);
            word
        })
        .unwrap_or(1)
}

fn is_lasting(id: u32) -> bool {
    id < LASTING
}

/// Returns the number that the key with this number hashes.
pub(crate) fn hashed(id: u32) -> u64 {
    let lie = if is_lasting(id) { 0 } else { HASH.load(Relaxed) };
    match lie {
        0 => u64::from(id),
        1 => 1,
        2 => random(),
        3 => u64::from(id) + 1000 * (CALLS.fetch_add(1, Relaxed) % 2),
        _ => u64::from(!id),
    }
}

/// Returns whether the keys with these numbers claim to be equal.
pub(crate) fn same(one: u32, other: u32) -> bool {
    let lie = if is_lasting(one) || is_lasting(other) { 0 } else { EQ.load(Relaxed) };
    match lie {
        0 => one == other,
        1 => true,
        2 => random() & 1 == 0,
        3 => CALLS.fetch_add(1, Relaxed).is_multiple_of(2),
        _ => one != other,
    }
}

/// Returns the order that the keys with these numbers claim.
pub(crate) fn ordered(one: u32, other: u32) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let lie = if is_lasting(one) || is_lasting(other) { 0 } else { ORDER.load(Relaxed) };
    match lie {
        0 => one.cmp(&other),
        1 => Equal,
        2 => [Less, Equal, Greater][(random() % 3) as usize],
        3 => [Less, Greater][(CALLS.fetch_add(1, Relaxed) % 2) as usize],
        _ => other.cmp(&one),
    }
}

/// Returns the rank that the key with this number claims.
pub(crate) fn ranked(id: u32) -> u64 {
    let honest = u64::from(id / 4) << 32;
    let lie = if is_lasting(id) { 0 } else { ORDER.load(Relaxed) };
    // Above all lasting keys in any case: a lie about keys that do not last.
    let least = u64::from(LASTING) << 32;
    match lie {
        0 => honest,
        1 => least,
        2 => least + (random() >> 16),
        3 => honest + u64::from(CALLS.fetch_add(1, Relaxed).is_multiple_of(2)),
        _ => (u64::from(u32::MAX) << 32).saturating_sub(honest),
    }
}

/// The number of a clone of the key with this number.
pub(crate) fn cloned(id: u32) -> u32 {
    let lie = if is_lasting(id) { 0 } else { CLONE.load(Relaxed) };
    match lie {
        0 => id,
        1 => LASTING,
        2 => LASTING + (random() % 100) as u32,
        3 => id + (CALLS.fetch_add(1, Relaxed) % 2) as u32,
        _ => LASTING + (!id % 200),
    }
}
