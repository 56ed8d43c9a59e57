//! Payload words copied and moved by wide registers, two words at a time. Word by word, a move would take as long as
//! the rest of an insertion, and a copy of a value of 256 bytes six times as long.
//!
//! # Synchronization
//! None of its own, as in [`words`](super::words): the caller holds the lock that guards the words, or validates its
//! copy. To the language an assembly block is code that it cannot see. Here that code stands for a loop of relaxed
//! loads and stores of words, so a concurrent access is no data race. The processor may split a wide access, which does
//! no harm: a reader that ran beside a writer drops its copy ([SL-2]).
//!
//! The assembly counts in words of 64 bits. Some systems for these processors have pointers, and so words, of 32 bits:
//! x32 and AArch64's ILP32. They copy word by word.

#[cfg(all(
    target_arch = "x86_64",
    target_pointer_width = "64",
    target_feature = "sse2",
    not(any(hedgerow_loom, hedgerow_int_words, miri))
))]
mod copies {
    use core::arch::asm;

    /// Below this many words a wide copy does not pay.
    pub(crate) const LEAST_COPY: usize = 4;

    /// Copies `count` words.
    ///
    /// # Safety
    /// `LEAST_COPY <= count`; the words of both blocks are live, and no word is in both.
    #[inline(always)]
    pub(crate) unsafe fn copy(from: *const usize, to: *mut usize, count: usize) {
        let last = (count - LEAST_COPY) * size_of::<usize>();
        // SAFETY: each pass copies four words that begin before the last four, so all of them are in the block. The
        // last four follow, some of them perhaps for the second time.
        unsafe {
            asm!(
                "xor {at:e}, {at:e}",
                "jmp 3f",
                "2:",
                "movups {one}, [{from} + {at}]",
                "movups {two}, [{from} + {at} + 16]",
                "movups [{to} + {at}], {one}",
                "movups [{to} + {at} + 16], {two}",
                "add {at}, 32",
                "3:",
                "cmp {at}, {last}",
                "jb 2b",
                "movups {one}, [{from} + {last}]",
                "movups {two}, [{from} + {last} + 16]",
                "movups [{to} + {last}], {one}",
                "movups [{to} + {last} + 16], {two}",
                from = in(reg) from,
                to = in(reg) to,
                last = in(reg) last,
                at = out(reg) _,
                one = out(xmm_reg) _,
                two = out(xmm_reg) _,
                options(nostack),
            );
        }
    }
}

#[cfg(all(
    target_arch = "aarch64",
    target_pointer_width = "64",
    target_feature = "neon",
    not(any(hedgerow_loom, hedgerow_int_words, miri))
))]
mod copies {
    use core::arch::asm;

    /// Below this many words a wide copy does not pay.
    pub(crate) const LEAST_COPY: usize = 4;

    /// Copies `count` words.
    ///
    /// # Safety
    /// `LEAST_COPY <= count`; the words of both blocks are live, and no word is in both.
    #[inline(always)]
    pub(crate) unsafe fn copy(from: *const usize, to: *mut usize, count: usize) {
        let last = (count - LEAST_COPY) * size_of::<usize>();
        // SAFETY: as on x86-64.
        unsafe {
            asm!(
                "add {last_from}, {from}, {last}",
                "add {last_to}, {to}, {last}",
                "b 3f",
                "2:",
                "ldp {one:q}, {two:q}, [{from}], #32",
                "stp {one:q}, {two:q}, [{to}], #32",
                "3:",
                "cmp {from}, {last_from}",
                "b.lo 2b",
                "ldp {one:q}, {two:q}, [{last_from}]",
                "stp {one:q}, {two:q}, [{last_to}]",
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                last = in(reg) last,
                last_from = out(reg) _,
                last_to = out(reg) _,
                one = out(vreg) _,
                two = out(vreg) _,
                options(nostack),
            );
        }
    }
}

#[cfg(not(all(
    any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon")
    ),
    target_pointer_width = "64",
    not(any(hedgerow_loom, hedgerow_int_words, miri))
)))]
mod copies {
    /// Never: there are no such registers, or a tool that must see each access cannot see through assembly.
    pub(crate) const LEAST_COPY: usize = usize::MAX;

    pub(crate) unsafe fn copy(_: *const usize, _: *mut usize, _: usize) {
        unreachable!("no copy has as many words as `LEAST_COPY`")
    }
}

pub(crate) use copies::{LEAST_COPY, copy};

#[cfg(all(
    feature = "alloc",
    target_arch = "x86_64",
    target_pointer_width = "64",
    target_feature = "sse2",
    not(any(hedgerow_loom, hedgerow_int_words, miri))
))]
mod moves {
    use crate::facade::Word;
    use core::arch::asm;

    /// Below this many words a wide move does not pay.
    pub(crate) const LEAST: usize = 8;

    /// Moves `count` words up by `by`, the last ones first.
    ///
    /// # Safety
    /// `LEAST <= count` and `by > 0`; the words up to `count + by` are live; the caller holds the lock that guards
    /// them.
    #[inline(always)]
    pub(crate) unsafe fn move_up(block: *const Word, count: usize, by: usize) {
        // SAFETY: the first eight words are loaded into registers first. Each pass of the loop loads eight words that
        // end where the last pass began, all of them after the first eight, and stores them `by` words higher, where
        // every word has been loaded before.
        unsafe {
            asm!(
                "movups xmm0, [{first}]",
                "movups xmm1, [{first} + 16]",
                "movups xmm2, [{first} + 32]",
                "movups xmm3, [{first} + 48]",
                "jmp 3f",
                "2:",
                "movups xmm4, [{end}]",
                "movups xmm5, [{end} + 16]",
                "movups xmm6, [{end} + 32]",
                "movups xmm7, [{end} + 48]",
                "movups [{end} + {by}], xmm4",
                "movups [{end} + {by} + 16], xmm5",
                "movups [{end} + {by} + 32], xmm6",
                "movups [{end} + {by} + 48], xmm7",
                "3:",
                "sub {end}, 64",
                "cmp {end}, {first}",
                "ja 2b",
                "movups [{first} + {by}], xmm0",
                "movups [{first} + {by} + 16], xmm1",
                "movups [{first} + {by} + 32], xmm2",
                "movups [{first} + {by} + 48], xmm3",
                first = in(reg) block,
                end = inout(reg) block.add(count) => _,
                by = in(reg) by * size_of::<usize>(),
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                options(nostack),
            );
        }
    }

    /// Moves `count` words down to `block`, from `by` words after it, the first ones first.
    ///
    /// # Safety
    /// As `move_up`.
    #[inline(always)]
    pub(crate) unsafe fn move_down(block: *const Word, count: usize, by: usize) {
        // SAFETY: as in `move_up`, in the other direction. The last eight words are loaded into registers first. Each
        // pass loads eight words that begin where the last pass ended, none of the last eight, and stores them where
        // every word has been loaded before.
        unsafe {
            asm!(
                "movups xmm0, [{last} + {by}]",
                "movups xmm1, [{last} + {by} + 16]",
                "movups xmm2, [{last} + {by} + 32]",
                "movups xmm3, [{last} + {by} + 48]",
                "jmp 3f",
                "2:",
                "movups xmm4, [{at} + {by}]",
                "movups xmm5, [{at} + {by} + 16]",
                "movups xmm6, [{at} + {by} + 32]",
                "movups xmm7, [{at} + {by} + 48]",
                "movups [{at}], xmm4",
                "movups [{at} + 16], xmm5",
                "movups [{at} + 32], xmm6",
                "movups [{at} + 48], xmm7",
                "add {at}, 64",
                "3:",
                "cmp {at}, {last}",
                "jb 2b",
                "movups [{last}], xmm0",
                "movups [{last} + 16], xmm1",
                "movups [{last} + 32], xmm2",
                "movups [{last} + 48], xmm3",
                at = inout(reg) block => _,
                last = in(reg) block.add(count - LEAST),
                by = in(reg) by * size_of::<usize>(),
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                options(nostack),
            );
        }
    }
}

#[cfg(all(
    feature = "alloc",
    not(all(
        target_arch = "x86_64",
        target_pointer_width = "64",
        target_feature = "sse2",
        not(any(hedgerow_loom, hedgerow_int_words, miri))
    ))
))]
mod moves {
    use crate::facade::Word;

    /// Never: there are no such registers, or a tool that must see each access cannot see through assembly.
    pub(crate) const LEAST: usize = usize::MAX;

    pub(crate) unsafe fn move_up(_: *const Word, _: usize, _: usize) {
        unreachable!("no move has as many words as `LEAST`")
    }

    pub(crate) unsafe fn move_down(_: *const Word, _: usize, _: usize) {
        unreachable!("no move has as many words as `LEAST`")
    }
}

#[cfg(feature = "alloc")]
pub(crate) use moves::{LEAST, move_down, move_up};
