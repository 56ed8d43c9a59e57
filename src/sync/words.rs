//! Payload as machine words: any `T: Copy` is stored and fetched by relaxed atomic accesses of words.
//!
//! # Synchronization
//! None of its own: every access here is relaxed. The words become a value only after the seqlock that guards them has
//! validated the read ([`seqlock`](super::seqlock)).
//!
//! A word is a `MaybeUninit<usize>`, so it can carry any bytes of `T`: padding, and pointers with their provenance.
//! That keeps the bound at plain `Copy`.
//!
//! # Why the bound is `Copy`
//! Words of `AtomicUsize` would need the bound `NoUninit` (no padding, no pointers), which excludes `(u8, u32)` and
//! `&str`. But the assembly behind `AtomicMaybeUninit` takes its address in a register, and the compiler cannot see
//! through it. A hit of `u64 → u64` took 62.3 instructions with these words and 59.1 with `AtomicUsize` (callgrind,
//! 1,000 keys, x86-64, loop and hashing included), which is 8 % of a hit's time in cache. So words that hold nothing
//! but an integer or a float (`is_integer`) are loaded as integers. The assembly moves all other types.

use crate::facade::Word;
use crate::sync::wide;
use core::mem::MaybeUninit;

/// Bytes in a word.
pub(crate) const WORD: usize = size_of::<usize>();

/// A key that is stored as a word of [`INDIRECT_BITS`] bits, which refers to the place of the key itself. Other threads
/// may overwrite that place as soon as no entry refers to it any more.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Indirect(pub(crate) usize);

/// Returns true if a `K` refers to a key stored elsewhere. A reader must validate that key, as it validates the word.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) fn is_indirect<K>() -> bool {
    typeid::of::<K>() == typeid::of::<Indirect>()
}

/// Returns false: without `alloc` no key is stored elsewhere.
#[cfg(not(feature = "alloc"))]
#[allow(clippy::extra_unused_type_parameters, reason = "callers name the type, as above")]
pub(crate) const fn is_indirect<K>() -> bool {
    false
}

/// Joins a key and a value, each of which may be torn.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) fn both<K, V>(key: MaybeUninit<K>, value: MaybeUninit<V>) -> MaybeUninit<(K, V)> {
    let mut both = MaybeUninit::<(K, V)>::uninit();
    let entry = both.as_mut_ptr();
    // SAFETY: the fields of a local variable. Torn parts stay in a `MaybeUninit`.
    unsafe {
        (&raw mut (*entry).0).cast::<MaybeUninit<K>>().write(key);
        (&raw mut (*entry).1).cast::<MaybeUninit<V>>().write(value);
    }
    both
}

/// Bits of a stored [`Indirect`]. Seven of them fill four words.
pub(crate) const INDIRECT_BITS: u32 = if usize::BITS == 64 { 36 } else { usize::BITS };
/// The greatest [`Indirect`].
pub(crate) const INDIRECT_MAX: usize = usize::MAX >> (usize::BITS - INDIRECT_BITS);

/// Returns how many words `count` packed numbers take.
pub(crate) const fn packed(count: usize) -> usize {
    (count * INDIRECT_BITS as usize).div_ceil(usize::BITS as usize)
}

/// Returns where packed number `index` is: its first word, its last word, and its lowest bit in the first.
#[inline(always)]
const fn packed_at(index: usize) -> (usize, usize, usize) {
    const BITS: usize = usize::BITS as usize;
    let bit = index * INDIRECT_BITS as usize;
    (bit / BITS, (bit + INDIRECT_BITS as usize - 1) / BITS, bit % BITS)
}

/// Fetches a packed number, which may be torn.
///
/// # Safety
/// The words from `block` up to its end are live and hold nothing but packed numbers.
#[inline(always)]
pub(crate) unsafe fn fetch_packed(block: *const Word, index: usize) -> usize {
    let (first, last, shift) = packed_at(index);
    if cfg!(hedgerow_loom) && last == first {
        // SAFETY: as below. One load less keeps the model small: the checker explores each of them.
        return unsafe { &*block.add(first) }.load_integer() >> shift & INDIRECT_MAX;
    }
    // SAFETY: the caller promises that the words are live.
    let (low, high) =
        unsafe { ((*block.add(first)).load_integer(), (*block.add(last)).load_integer()) };
    // If the two are the same word, the mask removes what comes from `high`.
    let both = (high as u128) << usize::BITS | low as u128;
    (both >> shift) as usize & INDIRECT_MAX
}

/// Stores a packed number, and keeps its neighbours.
///
/// # Safety
/// As for `fetch_packed`; only the holder of the guarding seqlock's lock may call this.
#[inline(always)]
pub(crate) unsafe fn put_packed(block: *const Word, index: usize, number: usize) {
    debug_assert!(number <= INDIRECT_MAX);
    let (first, last, shift) = packed_at(index);
    let (mask, bits) = ((INDIRECT_MAX as u128) << shift, (number as u128) << shift);
    let put = |at: usize, mask: u128, bits: u128| {
        // SAFETY: the caller promises that the word is live.
        let word = unsafe { &*block.add(at) };
        word.store_integer(word.load_integer() & !(mask as usize) | bits as usize);
    };
    put(first, mask, bits);
    if last != first {
        put(last, mask >> usize::BITS, bits >> usize::BITS);
    }
}

/// Returns how many words `bytes` bytes take.
pub(crate) const fn words_for(bytes: usize) -> usize {
    bytes.div_ceil(WORD)
}

/// Returns true if `T` is one of the types known to have neither padding nor provenance.
#[inline(always)]
fn is_integer<T>() -> bool {
    let this = typeid::of::<T>();
    // Types that can fill a word. The compiler computes the result.
    this == typeid::of::<u64>()
        || this == typeid::of::<usize>()
        || this == typeid::of::<i64>()
        || this == typeid::of::<isize>()
        || this == typeid::of::<u32>()
        || this == typeid::of::<i32>()
        || this == typeid::of::<f64>()
        || this == typeid::of::<f32>()
        || this == typeid::of::<u128>()
        || this == typeid::of::<i128>()
        || is_indirect::<T>()
}

/// Refuses, at compile time, types whose copies the compiler handles wrongly (see `docs::limits`). If a function with a
/// page-aligned local returns early, LLVM drops the code that aligns the stack frame and saves the registers.
const fn assert_copyable<T>() {
    const PAGE: usize = 4096;
    assert!(
        align_of::<T>() < PAGE || size_of::<T>() == 0,
        "keys and values aligned to 4096 bytes or more are not supported: see hedgerow::docs::limits"
    );
}

/// Returns whether the whole words of a `T` at `offset` bytes into a block are copied by wide registers.
#[inline(always)]
fn is_copied_wide<T>(offset: usize) -> bool {
    offset.is_multiple_of(WORD) && size_of::<T>() / WORD >= wide::LEAST_COPY
}

/// Fetches the `T` at `offset` bytes into the block at `block`.
///
/// The result may be torn: it must not be used before the guarding seqlock has validated the read.
///
/// # Safety
/// The words from `block` up to the end of the value must be live [`Word`]s.
#[inline(always)]
pub(crate) unsafe fn fetch<T>(block: *const Word, offset: usize) -> MaybeUninit<T> {
    const { assert_copyable::<T>() };
    let mut value = MaybeUninit::<T>::uninit();
    let bytes = value.as_mut_ptr().cast::<MaybeUninit<u8>>();
    let mut done = 0;
    if is_copied_wide::<T>(offset) {
        done = size_of::<T>() / WORD * WORD;
        // SAFETY: the caller promises that the words are live. The other block is a local variable.
        unsafe { wide::copy(block.add(offset / WORD).cast(), bytes.cast(), done / WORD) };
    }
    while done < size_of::<T>() {
        let within = (offset + done) % WORD;
        let here = (WORD - within).min(size_of::<T>() - done);
        // SAFETY: `offset + done` is inside the value, whose words the caller promises to be live.
        let word = unsafe { &*block.add((offset + done) / WORD) };
        let word = if here == WORD && is_integer::<T>() {
            // All bytes of this word are zeroed memory or an integer's.
            MaybeUninit::new(word.load_integer())
        } else {
            word.load_payload()
        };
        let from = (&raw const word).cast::<MaybeUninit<u8>>();
        // SAFETY: `within + here <= WORD` and `done + here <= size_of::<T>()`. The two are distinct locals, and any
        // bytes may be copied as `MaybeUninit`.
        unsafe { from.add(within).copy_to_nonoverlapping(bytes.add(done), here) };
        done += here;
    }
    value
}

/// As `fetch`, for an integer among integers: the compiler can optimize these loads, and any bytes are valid. The
/// result may be torn too.
///
/// # Safety
/// `T` is an integer type. The words from `block` up to the end of the value must be live, and all their
/// bytes zeroed memory or integers'.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) unsafe fn fetch_integer<T>(block: *const Word, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    let within = offset % WORD;
    debug_assert!(within + size_of::<T>() <= WORD);
    // SAFETY: the caller promises that the word is live.
    let word = unsafe { &*block.add(offset / WORD) }.load_integer();
    let from = (&raw const word).cast::<u8>();
    // SAFETY: `within + size_of::<T>() <= WORD`, and any bytes are a valid `T`.
    unsafe {
        from.add(within).copy_to_nonoverlapping(value.as_mut_ptr().cast(), size_of::<T>());
        value.assume_init()
    }
}

/// Stores `value` at `offset` bytes into the block at `block`, and keeps the other bytes of its words.
///
/// # Safety
/// The words from `block` up to the end of the value must be live, and only the holder of the
/// guarding seqlock's lock may call this.
#[inline(always)]
pub(crate) unsafe fn put<T: Copy>(block: *const Word, offset: usize, value: &T) {
    let bytes = core::ptr::from_ref(value).cast::<MaybeUninit<u8>>();
    let mut done = 0;
    if is_copied_wide::<T>(offset) {
        done = size_of::<T>() / WORD * WORD;
        // SAFETY: the caller promises that the words are live. The value is not in the block.
        unsafe {
            wide::copy(bytes.cast(), block.add(offset / WORD).cast_mut().cast(), done / WORD);
        };
    }
    while done < size_of::<T>() {
        let within = (offset + done) % WORD;
        let here = (WORD - within).min(size_of::<T>() - done);
        // SAFETY: as in `fetch`.
        let target = unsafe { &*block.add((offset + done) / WORD) };
        let mut word = if here == WORD { MaybeUninit::uninit() } else { target.load_payload() };
        let into = (&raw mut word).cast::<MaybeUninit<u8>>();
        // SAFETY: the bounds of `fetch`, with source and destination swapped.
        unsafe { into.add(within).copy_from_nonoverlapping(bytes.add(done), here) };
        target.store_payload(word);
        done += here;
    }
}

/// Copies `count` payload words from one block to another.
///
/// # Safety
/// Both blocks must be live for `count` words, and have none in common; the caller holds the lock that guards each.
#[inline]
pub(crate) unsafe fn copy(from: *const Word, to: *const Word, count: usize) {
    if count >= wide::LEAST_COPY {
        // SAFETY: the caller's promise, and `count` is at least `LEAST_COPY`.
        unsafe { wide::copy(from.cast(), to.cast_mut().cast(), count) };
        return;
    }
    for i in 0..count {
        // SAFETY: `i < count`, and the caller promises that both blocks are live that far.
        let (from, to) = unsafe { (&*from.add(i), &*to.add(i)) };
        to.store_payload(from.load_payload());
    }
}

/// Words moved in one step.
#[cfg(feature = "alloc")]
const FEW: usize = 4;

#[cfg(feature = "alloc")]
#[inline(always)]
fn few<T>(from: &[Word; FEW]) -> [MaybeUninit<usize>; FEW] {
    core::array::from_fn(|i| {
        if is_integer::<T>() {
            MaybeUninit::new(from[i].load_integer())
        } else {
            from[i].load_payload()
        }
    })
}

/// Moves `count` payload words, which hold values of type `T`, up by `by` words, the last ones first.
///
/// # Safety
/// The words up to `count + by` must be live, those up to `count` whole values or zeroed memory; the caller holds the
/// lock that guards them.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) unsafe fn move_up<T>(block: *const Word, count: usize, by: usize) {
    if count >= wide::LEAST {
        // SAFETY: the caller's promise, and `count` is at least `LEAST`.
        return unsafe { wide::move_up(block, count, by) };
    }
    let mut left = count;
    while left >= FEW {
        left -= FEW;
        // SAFETY: `left + FEW <= count`, and the caller promises that the words are live up to `by` beyond.
        let (from, to) = unsafe { (&*block.add(left).cast(), &*block.add(left + by).cast()) };
        store_few::<T>(to, few::<T>(from));
    }
    while left > 0 {
        left -= 1;
        // SAFETY: as above.
        unsafe { copy(block.add(left), block.add(left + by), 1) };
    }
}

/// Moves `count` payload words down to `block`, from `by` words after it, the first ones first.
///
/// # Safety
/// As `move_up`; the words that are moved hold whole values.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) unsafe fn move_down<T>(block: *const Word, count: usize, by: usize) {
    if count >= wide::LEAST {
        // SAFETY: the caller's promise, and `count` is at least `LEAST`.
        return unsafe { wide::move_down(block, count, by) };
    }
    let mut done = 0;
    while done + FEW <= count {
        // SAFETY: `done + FEW <= count`, and the caller promises that the words are live up to `by` beyond.
        let (to, from) = unsafe { (&*block.add(done).cast(), &*block.add(done + by).cast()) };
        store_few::<T>(to, few::<T>(from));
        done += FEW;
    }
    while done < count {
        // SAFETY: as above.
        unsafe { copy(block.add(done + by), block.add(done), 1) };
        done += 1;
    }
}

#[cfg(feature = "alloc")]
#[inline(always)]
fn store_few<T>(to: &[Word; FEW], words: [MaybeUninit<usize>; FEW]) {
    for (to, word) in to.iter().zip(words) {
        if is_integer::<T>() {
            // SAFETY: `few` loaded it as an integer.
            to.store_integer(unsafe { word.assume_init() });
        } else {
            to.store_payload(word);
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[cfg(feature = "alloc")]
    #[test]
    fn words_move_by_any_number() {
        for (count, by) in (0..40).flat_map(|count| (1..12).map(move |by| (count, by))) {
            let numbers: std::vec::Vec<usize> = (0..64).collect();
            let (mut up, mut down) = (numbers.clone(), numbers.clone());
            let words = |block: &mut std::vec::Vec<usize>| block.as_mut_ptr().cast::<Word>();
            // SAFETY: `3 + count + by < 64`, and no other thread has the words.
            unsafe {
                move_up::<usize>(words(&mut up).add(3), count, by);
                move_down::<usize>(words(&mut down).add(3), count, by);
            }
            let (mut want_up, mut want_down) = (numbers.clone(), numbers);
            want_up.copy_within(3..3 + count, 3 + by);
            want_down.copy_within(3 + by..3 + by + count, 3);
            assert_eq!((up, down), (want_up, want_down), "{count} words moved by {by}");
        }
    }

    #[test]
    fn values_come_back_at_any_offset() {
        #[derive(Clone, Copy, PartialEq, Debug)]
        struct Odd([u8; 11]);
        for offset in 0..9 {
            let mut block = [usize::MAX; 6];
            let words = block.as_mut_ptr().cast::<Word>();
            let value = Odd(*b"hello world");
            // SAFETY: six words hold at least 24 bytes, `offset + 11 <= 19`, and no other thread has the words.
            let back = unsafe {
                put(words, offset, &value);
                fetch::<Odd>(words, offset).assume_init()
            };
            assert_eq!(back, value);
        }
    }

    fn value_of_any_length_comes_back<const BYTES: usize>() {
        for offset in 0..=2 * WORD {
            let mut block = [usize::MAX; 24];
            let words = block.as_mut_ptr().cast::<Word>();
            let value: [u8; BYTES] = core::array::from_fn(|at| at as u8);
            // SAFETY: 24 words hold at least 96 bytes, `offset + BYTES` is at most 95, and no other thread has them.
            let back = unsafe {
                put(words, offset, &value);
                fetch::<[u8; BYTES]>(words, offset).assume_init()
            };
            assert_eq!(back, value, "at {offset}");
            let bytes = block.map(usize::to_ne_bytes);
            let bytes = bytes.as_flattened();
            let mut others = bytes[..offset].iter().chain(&bytes[offset + BYTES..]);
            assert!(others.all(|byte| *byte == u8::MAX), "bytes beside the value have changed");
        }
    }

    #[test]
    fn long_values_come_back_and_leave_others_alone() {
        value_of_any_length_comes_back::<31>();
        value_of_any_length_comes_back::<32>();
        value_of_any_length_comes_back::<33>();
        value_of_any_length_comes_back::<40>();
        value_of_any_length_comes_back::<63>();
        value_of_any_length_comes_back::<64>();
        value_of_any_length_comes_back::<79>();
    }

    #[test]
    fn packed_numbers_leave_each_other_alone() {
        const COUNT: usize = 7;
        let mut block = [0usize; packed(COUNT)];
        let words = block.as_mut_ptr().cast::<Word>();
        let mut expected = [0; COUNT];
        for round in 0..200usize {
            let (at, number) = (
                round * 3 % COUNT,
                match round % 3 {
                    0 => INDIRECT_MAX,
                    1 => 0,
                    _ => round.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) & INDIRECT_MAX,
                },
            );
            expected[at] = number;
            // SAFETY: the block has room for `COUNT` numbers, and no other thread has it.
            unsafe { put_packed(words, at, number) };
            for (index, number) in expected.iter().enumerate() {
                // SAFETY: as above.
                let found = unsafe { fetch_packed(words, index) };
                assert_eq!(found, *number, "another number changed {index}");
            }
        }
    }
}
