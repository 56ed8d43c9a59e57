//! An interrupt handler and the main loop share two maps, and neither disables interrupts.
//!
//! The handler measures: it writes to a `FlatTable`, and reads the limits that the main loop publishes in a
//! `LeftRightTable`. Both maps are all zeros, so they are in `.bss`.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{Peripherals, syst::SystClkSource};
use cortex_m_rt::{entry, exception};
use hedgerow::flat::{self, FlatTable};
use hedgerow::left_right::{self, LeftRightTable, ReaderOf};
use panic_halt as _;

const SENSORS: u8 = 16;

/// The last level of each sensor. The handler writes, the main loop reads.
type Levels = FlatTable<u8, i16, { flat::bins_for(SENSORS as usize) }>;
static LEVELS: Levels = Levels::new();
// The same on a host, where a test would run.
const _: () = assert!(Levels::CAPACITY >= SENSORS as usize);

/// From which level on a sensor raises an alarm. The main loop writes, and the handler sees all limits of one publish,
/// or all of the next one.
type Limits = LeftRightTable<u8, i16, { left_right::bins_for(SENSORS as usize) }, 1>;
static LIMITS: Limits = Limits::new();

/// How many levels were at their limit.
static ALARMS: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    // There is one writer at a time, so this takes its place; a second call would return None.
    let mut limits = LIMITS.writer().unwrap();
    start_timer();
    let mut base = 100;
    loop {
        for sensor in 0..SENSORS {
            // The table refuses an insert while the handler still reads the state before the last publish. The handler
            // never does here, because it ends before the main loop continues.
            let _ = limits.insert(sensor, base + i16::from(sensor));
        }
        limits.publish();
        // `get` may wait here, for nobody: a handler has ended before the main loop goes on.
        let sum: i16 = (0..SENSORS).map(|sensor| LEVELS.get_or_default(&sensor)).sum();
        base = 100 + sum % 7;
        cortex_m::asm::wfi();
    }
}

#[exception]
fn SysTick() {
    // `cortex-m-rt` makes these the handler's own.
    static mut READER: Option<ReaderOf<'static, Limits>> = None;
    static mut ROUND: u8 = 0;

    *ROUND = ROUND.wrapping_add(1);
    let sensor = *ROUND % SENSORS;
    let level = measure(sensor);
    // `try_` methods return `Busy` instead of waiting for the main loop, which cannot go on until the handler ends.
    // That happens if the main loop was interrupted while it wrote to the same bin. It only reads, so there is room.
    let _ = LEVELS.try_insert(sensor, level);

    if READER.is_none() {
        *READER = LIMITS.reader();
    }
    // Readers of two sides never wait.
    let limit = READER.as_ref().and_then(|limits| limits.get(&sensor));
    if limit.is_some_and(|limit| level >= limit) {
        let alarms = ALARMS.load(Ordering::Relaxed);
        // Nobody else writes.
        ALARMS.store(alarms + 1, Ordering::Relaxed);
    }
}

/// Stands for an analog-to-digital converter.
fn measure(sensor: u8) -> i16 {
    i16::from(sensor) * 9
}

fn start_timer() {
    if let Some(peripherals) = Peripherals::take() {
        let mut timer = peripherals.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(8_000);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
    }
}
