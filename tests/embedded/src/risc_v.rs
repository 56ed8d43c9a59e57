//! QEMU's RISC-V `virt`: the machine timer is the interrupt.

use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use riscv::interrupt::Interrupt;
use riscv_rt::{core_interrupt, entry};

pub const NAME: &str = "virt";
pub const HEAP_BYTES: usize = if cfg!(feature = "compressed") { 44 } else { 1024 } * 1024;
#[cfg(not(any(feature = "compressed", feature = "versions")))]
pub const KEYS: u32 = 600;

/// Ticks of the timer in a hundred instructions, at the rate that `./run` gives the emulator.
pub const TICKS_PER_HUNDRED: u32 = 64;

/// The core-local interruptor's registers, each of 64 bits in two halves.
const MTIMECMP: usize = 0x0200_4000;
const MTIME: usize = 0x0200_bff8;

#[entry]
fn main() -> ! {
    crate::run()
}

/// Lets the interrupt come, first after `ticks`.
pub fn start_timer(ticks: u32) {
    rearm(ticks);
    // SAFETY: the handler is in place, and the data that it reads is initialized: that is this function's
    // contract with `proof`.
    unsafe {
        riscv::register::mie::set_mtimer();
        riscv::interrupt::enable();
    }
}

/// Makes the next interrupt come `ticks` from now.
fn rearm(ticks: u32) {
    let due = now() + u64::from(ticks);
    let low = with_exposed_provenance_mut::<u32>(MTIMECMP);
    // SAFETY: the two registers are there on this machine. The high half is put out of reach first,
    // so that no order of the halves raises the interrupt early.
    unsafe {
        low.add(1).write_volatile(u32::MAX);
        low.write_volatile(due as u32);
        low.add(1).write_volatile((due >> 32) as u32);
    }
}

fn now() -> u64 {
    let low = with_exposed_provenance::<u32>(MTIME);
    loop {
        // SAFETY: the two registers are there on this machine, and reading them changes nothing.
        let (before, ticks, after) = unsafe {
            (low.add(1).read_volatile(), low.read_volatile(), low.add(1).read_volatile())
        };
        if before == after {
            return u64::from(before) << 32 | u64::from(ticks);
        }
    }
}

#[core_interrupt(Interrupt::MachineTimer)]
fn machine_timer() {
    let begin = now();
    let next = crate::proof::on_interrupt();
    crate::proof::took((now() - begin) as u32);
    rearm(next);
}
