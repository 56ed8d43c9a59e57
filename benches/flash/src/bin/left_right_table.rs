//! A `LeftRightTable` of 64 entries, which the interrupt reads without waiting.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m as _;
use cortex_m_rt::{entry, exception};
use hedgerow::left_right::{LeftRightTable, ReaderOf, bins_for};
use panic_halt as _;

type Levels = LeftRightTable<u32, u32, { bins_for(64) }, 1>;
static LEVELS: Levels = Levels::new();

#[entry]
fn main() -> ! {
    let mut writer = LEVELS.writer().unwrap();
    loop {
        let (key, value) = black_box((1u32, 2u32));
        black_box(writer.insert(key, value).is_ok());
        black_box(writer.remove(&black_box(3)).is_ok());
        writer.publish();
    }
}

#[exception]
fn SysTick() {
    // `cortex-m-rt` makes this the handler's own.
    static mut READER: Option<ReaderOf<'static, Levels>> = None;
    if READER.is_none() {
        *READER = LEVELS.reader();
    }
    let level = READER.as_ref().and_then(|reader| reader.get(&black_box(1)));
    black_box(level);
}
