//! Versions of one persistent map: the main loop keeps some, while a timer interrupt changes its own ones.
//!
//! The main loop moves amounts between accounts, and publishes each version as a whole. The handler takes the published
//! version in the middle of that: the sum of its accounts must be the same each time. It changes a version of its own,
//! which shares nodes with those of the main loop, and keeps it over many interrupts. No change of one side may be seen
//! in a version of the other, and at the end all memory is free: nodes are counted by both sides.

use crate::{
    HEAP, board,
    notes::{Counter, report, wrong},
    reading::Random,
};
use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use critical_section::Mutex;
use hedgerow::PersistentMap;
use semihosting::println;

type Version = PersistentMap<u32, u32>;

const ACCOUNTS: u32 = 300;
const AMOUNT: u32 = 1000;
/// The handler's own keys are those from here on.
const OWN: u32 = 1 << 16;
/// Interrupts after which the handler takes another version to change.
const LONG: u32 = 50;
/// The run goes on until there were this many interrupts...
const ENOUGH: u32 = 2000;
/// ...or this many rounds have passed.
const ROUNDS: u32 = 100;
const MOVES: u32 = 200;

/// What the main loop has published.
static CURRENT: Mutex<RefCell<Version>> = Mutex::new(RefCell::new(Version::new()));
/// What the handler changes.
static HANDLERS: Mutex<RefCell<Version>> = Mutex::new(RefCell::new(Version::new()));
static INTERRUPTS: Counter = Counter::new();
/// Whether the accounts are complete.
static OPEN: AtomicU32 = AtomicU32::new(0);
static LONGEST: AtomicU32 = AtomicU32::new(0);

const KINDS: [&str; 3] = ["nothing", "wrong state", "wrong value of its own"];
const WRONG_SUM: u32 = 1;
const OWN_LOST: u32 = 2;

/// Runs rounds until enough has happened; the exit status.
pub fn run() -> i32 {
    let heap_at_rest = HEAP.used();
    let mut random = Random::new(0x2545_f491);
    let mut rounds = 0;
    board::start_timer(1000);
    while rounds < ROUNDS && INTERRUPTS.get() < ENOUGH && wrong().is_none() {
        round(&mut random);
        rounds += 1;
        assert_eq!(HEAP.used(), heap_at_rest, "memory was lost");
    }
    let longest = LONGEST.load(SeqCst) * 100 / board::TICKS_PER_HUNDRED;
    println!("{rounds} rounds, {} preemptions", INTERRUPTS.get());
    println!("longest interrupt, in instructions: {longest}");
    if let Some((kind, key, words)) = wrong() {
        println!("the handler saw a {}: key {key}, words {words:?}", KINDS[kind as usize]);
        1
    } else if INTERRUPTS.get() < ENOUGH {
        println!("too little happened");
        2
    } else {
        0
    }
}

/// Replaces a version. What was there is dropped by the caller, with interrupts.
fn replace(place: &Mutex<RefCell<Version>>, with: Version) -> Version {
    critical_section::with(|token| place.replace(token, with))
}

fn clone_of(place: &Mutex<RefCell<Version>>) -> Version {
    critical_section::with(|token| place.borrow_ref(token).clone())
}

fn round(random: &mut Random) {
    let first: Version = (0..ACCOUNTS).map(|account| (account, AMOUNT)).collect();
    replace(&CURRENT, first.clone());
    OPEN.store(1, SeqCst);
    let mut kept = alloc::vec::Vec::new();
    for step in 0..MOVES {
        let mut mine = clone_of(&CURRENT);
        let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
        *mine.get_mut(&from).expect("an account") -= 1;
        #[cfg(feature = "negative-control")]
        replace(&CURRENT, mine.clone());
        *mine.get_mut(&to).expect("an account") += 1;
        if step % 16 == 0 {
            kept.push((mine.clone(), from, to, mine[&from], mine[&to]));
        }
        // The nodes that only the old version has are freed here, and an interrupt may come in between.
        drop(replace(&CURRENT, mine));
    }
    OPEN.store(0, SeqCst);
    for (version, from, to, at_from, at_to) in kept {
        assert_eq!((version.len(), sum(&version)), (ACCOUNTS as usize, ACCOUNTS * AMOUNT));
        assert_eq!((version[&from], version[&to]), (at_from, at_to), "a version has changed");
    }
    assert!(first.values().all(|amount| *amount == AMOUNT), "a version has changed");
    drop((replace(&CURRENT, Version::new()), replace(&HANDLERS, Version::new())));
}

fn sum(version: &Version) -> u32 {
    version.range(..OWN).map(|(_, amount)| amount).sum()
}

/// The handler: returns the ticks until the next interrupt.
pub fn on_interrupt() -> u32 {
    INTERRUPTS.add_one();
    let number = INTERRUPTS.get();
    if OPEN.load(SeqCst) == 1 {
        let seen = clone_of(&CURRENT);
        let total = sum(&seen);
        if seen.len() != ACCOUNTS as usize || total != ACCOUNTS * AMOUNT {
            report(WRONG_SUM, 0, [seen.len() as u32, total, number]);
        }
        let mut own = replace(&HANDLERS, Version::new());
        if number % LONG == 0 || own.is_empty() {
            own = seen;
        }
        let (others, before) = (sum(&own), own.len());
        let account = number * 7 % ACCOUNTS;
        let amount = own[&account];
        own.insert(account, amount + 1);
        own.insert(account, amount);
        own.insert(OWN + number % LONG, number);
        if own[&(OWN + number % LONG)] != number || own.len() > before + 1 || sum(&own) != others {
            report(OWN_LOST, account, [amount, own.len() as u32, number]);
        }
        drop(replace(&HANDLERS, own));
    }
    // Not evenly: a fixed period could fall into step with the main loop.
    let instructions = 200 + Random::new(number.wrapping_mul(0x9e37_79b1) | 1).below(3000);
    instructions * board::TICKS_PER_HUNDRED / 100
}

/// The board tells how long the handler took.
pub fn took(ticks: u32) {
    LONGEST.store(LONGEST.load(SeqCst).max(ticks), SeqCst);
}
