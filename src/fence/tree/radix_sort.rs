//! A radix sort of the keys of a batch, for keys that are ordered as their ranks are.

use alloc::vec::Vec;

/// Sorts keys by rank, and keeps the order of keys with equal ranks. False if it has not, because there are few keys or
/// because many bytes of their ranks differ.
///
/// Takes some nanoseconds a key. A sort by comparisons takes tens.
pub(super) fn sort_by_rank<K: Copy>(
    order: &mut Vec<(K, usize)>,
    rank: impl Fn(&K) -> usize,
) -> bool {
    const MANY: usize = 256;
    const PASSES: u32 = 4;
    let Some((first, _)) = order.first().filter(|_| order.len() >= MANY) else { return false };
    let first = rank(first);
    let differ = order.iter().fold(0, |differ, (key, _)| differ | rank(key) ^ first);
    let bytes = (0..usize::BITS / 8).filter(|byte| differ >> (byte * 8) & 0xFF != 0);
    let mut other = Vec::new();
    if bytes.clone().count() > PASSES as usize || other.try_reserve_exact(order.len()).is_err() {
        return false;
    }
    other.extend_from_slice(order);
    for byte in bytes {
        let digit = |key: &K| rank(key) >> (byte * 8) & 0xFF;
        let mut ends = [0; 256];
        for (key, _) in order.iter() {
            ends[digit(key)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        // From the end, so that keys with equal ranks keep their order.
        for one in order.iter().rev() {
            let end = &mut ends[digit(&one.0)];
            *end -= 1;
            other[*end] = *one;
        }
        core::mem::swap(order, &mut other);
    }
    true
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_sorted_byte_by_byte() {
        for (len, mask) in [(255, 0xFF), (256, 0xFF), (5_000, 0xFF_00FF), (3_000, usize::MAX)] {
            let key = |n: usize| n.wrapping_mul(0x9E37_79B9).rotate_left(7) & mask;
            let mut order: Vec<_> = (0..len).map(|n| (key(n), n)).collect();
            let mut want = order.clone();
            want.sort_unstable();
            let bytes = mask.count_ones() / 8;
            let sorts = sort_by_rank(&mut order, |key| *key);
            assert_eq!(sorts, len >= 256 && bytes <= 4);
            assert!(!sorts || order == want);
        }
    }
}
