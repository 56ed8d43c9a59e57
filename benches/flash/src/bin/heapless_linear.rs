//! heapless's linear map of 64 entries in a critical section.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::hint::black_box;
use cortex_m as _;
use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use heapless::LinearMap;
use panic_halt as _;

static LEVELS: Mutex<RefCell<LinearMap<u32, u32, 64>>> = Mutex::new(RefCell::new(LinearMap::new()));

#[entry]
fn main() -> ! {
    loop {
        let (key, value) = black_box((1u32, 2u32));
        critical_section::with(|cs| {
            black_box(LEVELS.borrow_ref_mut(cs).insert(key, value).is_ok());
        });
        critical_section::with(|cs| {
            black_box(LEVELS.borrow_ref_mut(cs).remove(&black_box(3)));
        });
    }
}

#[exception]
fn SysTick() {
    let level = critical_section::with(|cs| LEVELS.borrow_ref(cs).get(&black_box(1)).copied());
    black_box(level);
}
