//! Cortex-M boards: the system tick is the interrupt.

use cortex_m::{
    Peripherals,
    peripheral::{SCB, SYST, syst::SystClkSource},
};
use cortex_m_rt::{entry, exception};

#[cfg(feature = "microbit")]
mod size {
    pub const NAME: &str = "microbit";
    /// Less where a table lies outside: the stack is to have what is left of 16 KiB.
    pub const HEAP_BYTES: usize = if cfg!(feature = "left-right") { 9 } else { 10 } * 1024;
    pub const KEYS: u32 = 48;
}
#[cfg(not(feature = "microbit"))]
mod size {
    pub const NAME: &str = "mps2-an385";
    /// The stack is to have what is left of 64 KiB where those are all.
    pub const HEAP_BYTES: usize = if cfg!(feature = "compressed") { 44 } else { 1024 } * 1024;
    #[cfg(not(any(feature = "compressed", feature = "versions")))]
    pub const KEYS: u32 = 600;
}
#[cfg(not(any(feature = "compressed", feature = "versions")))]
pub use size::KEYS;
pub use size::{HEAP_BYTES, NAME};

/// Ticks of the timer in a hundred instructions, at the rate that `./run` gives the emulator.
pub const TICKS_PER_HUNDRED: u32 = if cfg!(feature = "microbit") { 102 } else { 80 };

#[entry]
fn main() -> ! {
    crate::run()
}

/// The value of a word of the stack before its first use.
#[cfg(feature = "compressed")]
const UNUSED: u32 = 0xdead_beef;

#[cfg(feature = "compressed")]
unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// Makes the stack such that [`stack_used`] can tell how much of it was used.
#[cfg(feature = "compressed")]
pub fn paint_stack() {
    let mut at = &raw mut _stack_end;
    let here = (cortex_m::register::msp::read() as usize - 256) as *mut u32;
    while at < here {
        // SAFETY: of the stack, and nobody uses it as long as this function calls none that is large.
        unsafe {
            at.write_volatile(UNUSED);
            at = at.add(1);
        }
    }
}

/// The most bytes of stack that were used since [`paint_stack`].
#[cfg(feature = "compressed")]
pub fn stack_used() -> usize {
    let (mut at, top) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: of the stack; another value may be there, but always some value.
    while at < top && unsafe { at.read_volatile() } == UNUSED {
        at = at.wrapping_add(1);
    }
    top as usize - at as usize
}

/// The most that the timer can count, in ticks.
const LONGEST: u32 = 0x00ff_ffff;

/// Lets the interrupt come, first after `ticks`.
pub fn start_timer(ticks: u32) {
    let mut timer = Peripherals::take().expect("the timer is started once").SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(ticks);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

#[exception]
fn SysTick() {
    // SAFETY: the main loop gave its handle away when it started the timer, and handlers of one
    // interrupt do not nest, so this is the only access.
    let timer = unsafe { &*SYST::PTR };
    let count_from = |ticks| {
        // SAFETY: writing these two registers has no effect on memory.
        unsafe {
            timer.rvr.write(ticks);
            timer.cvr.write(0);
        }
    };
    count_from(LONGEST);
    let next = crate::proof::on_interrupt();
    crate::proof::took(LONGEST - timer.cvr.read());
    count_from(next);
    // The timer went on while the handler ran: an interrupt from that time would leave the main
    // loop no instruction of its own.
    SCB::clear_pendst();
}
