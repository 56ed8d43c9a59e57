//! Firmware that proves a map against an interrupt on one core.
//!
//! The first part, [`smoke`], checks the operations against a sorted array with nothing running
//! beside them ([`fixed`] where the map is a table of fixed size in a `static`). The second, [`preempt`], lets a timer interrupt land inside the writes of the main
//! loop: the handler reads with `try_get`, which must neither wait nor see half a write.
//!
//! Exit status: 0 passed, 1 the handler or the main loop saw a wrong value, 2 too little happened
//! for the run to mean anything, 101 a panic.

#![no_std]
#![no_main]

extern crate alloc;

#[cfg_attr(target_arch = "arm", path = "cortex_m.rs")]
#[cfg_attr(target_arch = "riscv32", path = "risc_v.rs")]
mod board;
#[cfg(all(feature = "table", not(feature = "negative-control")))]
mod fixed;
mod preempt;
mod reading;
#[cfg(not(any(feature = "negative-control", feature = "table")))]
mod smoke;
#[cfg(feature = "negative-control")]
mod unprotected;

use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;
use semihosting::println;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

static mut HEAP_MEMORY: [MaybeUninit<u8>; board::HEAP_BYTES] =
    [MaybeUninit::uninit(); board::HEAP_BYTES];

/// What the boards' entry points call.
fn run() -> ! {
    // SAFETY: this runs once, before the first allocation, and nothing else names the array.
    unsafe { HEAP.init(&raw mut HEAP_MEMORY as usize, board::HEAP_BYTES) };
    println!("{}, heap of {} bytes", board::NAME, board::HEAP_BYTES);
    #[cfg(not(any(feature = "negative-control", feature = "table")))]
    smoke::run();
    #[cfg(all(feature = "table", not(feature = "negative-control")))]
    fixed::run();
    let status = preempt::run();
    semihosting::process::exit(status)
}
