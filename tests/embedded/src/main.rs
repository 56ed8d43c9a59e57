//! Firmware that proves a map against an interrupt on one core.
//!
//! The first part, [`smoke`], checks the operations against a sorted array with nothing running beside them, and
//! `lending` those of maps that return references ([`fixed`] if the map is a table of fixed size in a `static`,
//! [`fences`] if it is ordered). The second, [`preempt`], lets a timer interrupt land inside the writes of the main
//! loop: the handler reads with `try_get`, which must neither wait nor see half a write.
//!
//! With the feature `left-right` it is the structures of two sides instead: [`handles`] alone, then
//! [`turning`] under interrupts.
//!
//! With the feature `versions` it is [`versions`]: a persistent map, of which both keep and change versions.
//!
//! With the feature `compressed` it is [`packed`] alone: a map that compresses, in 64 KiB of RAM.
//!
//! Exit status: 0 passed, 1 the handler or the main loop saw a wrong value, 2 too little happened
//! for the run to mean anything, 101 a panic.

#![no_std]
#![no_main]

extern crate alloc;

#[cfg_attr(target_arch = "arm", path = "cortex_m.rs")]
#[cfg_attr(target_arch = "riscv32", path = "risc_v.rs")]
mod board;
#[cfg(all(feature = "fences", not(feature = "negative-control")))]
mod fences;
#[cfg(all(feature = "table", not(feature = "negative-control")))]
mod fixed;
#[cfg(all(feature = "left-right", not(feature = "negative-control")))]
mod handles;
#[cfg(not(any(
    feature = "microbit",
    feature = "negative-control",
    feature = "compressed",
    feature = "table",
    feature = "fences",
    feature = "left-right",
    feature = "versions"
)))]
mod lending;
#[cfg_attr(any(feature = "compressed", feature = "versions"), allow(dead_code))]
// Not all need all of it.
mod notes;
#[cfg(feature = "compressed")]
mod packed;
#[cfg(not(any(feature = "left-right", feature = "compressed", feature = "versions")))]
mod preempt;
#[cfg_attr(any(feature = "compressed", feature = "versions"), allow(dead_code))] // As above.
mod reading;
#[cfg(all(feature = "left-right", not(feature = "negative-control")))]
mod sides;
#[cfg(not(any(
    feature = "negative-control",
    feature = "compressed",
    feature = "table",
    feature = "fences",
    feature = "left-right",
    feature = "versions"
)))]
mod smoke;
#[cfg(feature = "left-right")]
mod turning;
#[cfg(all(
    feature = "negative-control",
    not(any(feature = "left-right", feature = "compressed", feature = "versions"))
))]
mod unprotected;
#[cfg(all(feature = "negative-control", feature = "left-right"))]
mod unturned;
#[cfg(feature = "versions")]
mod versions;
#[cfg(all(feature = "negative-control", not(any(feature = "compressed", feature = "versions"))))]
mod word_by_word;

use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;
use semihosting::println;

#[cfg(feature = "compressed")]
use packed as proof;
/// The part with interrupts.
#[cfg(not(any(feature = "left-right", feature = "compressed", feature = "versions")))]
use preempt as proof;
#[cfg(feature = "left-right")]
use turning as proof;
#[cfg(feature = "versions")]
use versions as proof;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

static mut HEAP_MEMORY: [MaybeUninit<u8>; board::HEAP_BYTES] =
    [MaybeUninit::uninit(); board::HEAP_BYTES];

/// Runs the proof. The boards' entry points call it.
fn run() -> ! {
    // SAFETY: this runs once, before the first allocation, and nothing else names the array.
    unsafe { HEAP.init(&raw mut HEAP_MEMORY as usize, board::HEAP_BYTES) };
    println!("{}, heap of {} bytes", board::NAME, board::HEAP_BYTES);
    #[cfg(not(any(
        feature = "negative-control",
        feature = "compressed",
        feature = "table",
        feature = "fences",
        feature = "left-right",
        feature = "versions"
    )))]
    smoke::run();
    #[cfg(all(feature = "fences", not(feature = "negative-control")))]
    fences::run();
    #[cfg(all(feature = "table", not(feature = "negative-control")))]
    fixed::run();
    #[cfg(all(feature = "left-right", not(feature = "negative-control")))]
    handles::run();
    let status = proof::run();
    semihosting::process::exit(status)
}
