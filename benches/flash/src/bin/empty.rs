//! Firmware without a map: the size of start-up and the interrupt alone.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m as _;
use cortex_m_rt::{entry, exception};
use panic_halt as _;

#[entry]
fn main() -> ! {
    loop {
        black_box(black_box(1u32));
    }
}

#[exception]
fn SysTick() {
    black_box(black_box(2u32));
}
