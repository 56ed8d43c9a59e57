//! The table of `flat_table.rs` with a hasher that has a key: the table is in `.data`, and all of it in flash. The
//! check in `../../run` must see that.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m as _;
use cortex_m_rt::{entry, exception};
use hedgerow::flat::{DefaultHashBuilder, FlatTable, bins_for};
use panic_halt as _;

static LEVELS: FlatTable<u32, u32, { bins_for(64) }, DefaultHashBuilder> =
    FlatTable::with_hasher(DefaultHashBuilder::with_seed(1));

#[entry]
fn main() -> ! {
    loop {
        let (key, value) = black_box((1u32, 2u32));
        black_box(LEVELS.insert(key, value).is_ok());
        black_box(LEVELS.remove(&black_box(3)));
    }
}

#[exception]
fn SysTick() {
    let level = LEVELS.try_get(&black_box(1));
    black_box(level.is_ok());
}
