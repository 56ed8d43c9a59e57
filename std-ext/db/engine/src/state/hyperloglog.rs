//! HyperLogLogs, in the two encodings of Redis. Values come from clients, so every offset in them is checked.
//!
//! ```text
//! "HYLL" | encoding 8 | 0 24 | cardinality 64, its highest bit set if it is not known | registers
//! dense: 16,384 registers of 6 bits, the lowest bits first
//! sparse: 00nnnnnn: n + 1 registers of zero | 01nnnnnn nnnnnnnn: as many, up to 16,384 | 1vvvvvnn: n + 1 of v + 1
//! ```
//!
//! A register has the greatest rank that it was given: the position of the first set bit in the hashes of its elements.

use crate::request::RequestError;

/// The number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// The bits of a hash behind the register's index.
const RANK_BITS: u32 = 64 - INDEX_BITS;
const REGISTER_BITS: usize = 6;
const REGISTER_MASK: u8 = (1 << REGISTER_BITS) - 1;
const HEADER: usize = 16;
const DENSE_BYTES: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
/// No sparse value is longer: each register takes two bytes at most.
const LONGEST: usize = HEADER + 2 * REGISTERS;
/// The length from which on a value is dense: `hll-sparse-max-bytes` of Redis.
const SPARSE_MAX: usize = 3000;
const MAGIC: &[u8] = b"HYLL";
const ENCODING: usize = MAGIC.len();
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// The bytes of the cardinality, and the flag in the last of them.
const CARDINALITY: std::ops::Range<usize> = 8..16;
const UNKNOWN: u8 = 1 << 7;

/// The highest rank of the sparse encoding, and the longest runs.
const SPARSE_RANK: u8 = 32;
const LONGEST_RANKED: usize = 4;
const LONGEST_ZERO: usize = 64;

const CORRUPT: RequestError = RequestError::CorruptHyperLogLog;

/// Checks the first [`HEAD`] bytes of a value of this length.
pub fn check(head: &[u8], length: usize) -> Result<(), RequestError> {
    let valid = head.len() >= HEADER
        && head.starts_with(MAGIC)
        && match head[ENCODING] {
            // `isHLLObjectOrReply` checks no more than this. Whether the runs of a sparse value are sound turns out
            // when they are read.
            DENSE => length == DENSE_BYTES,
            encoding => encoding == SPARSE,
        };
    match valid {
        false => Err(RequestError::NotHyperLogLog),
        // Redis has no such limit. A value of any length would be walked for each element, and copied for each change.
        true if length > LONGEST => Err(CORRUPT),
        true => Ok(()),
    }
}

/// The number of bytes that [`check`] looks at.
pub const HEAD: usize = HEADER;

/// Returns a value without elements.
pub fn empty() -> Vec<u8> {
    let mut value = vec![0; HEADER];
    value[..MAGIC.len()].copy_from_slice(MAGIC);
    value[ENCODING] = SPARSE;
    push_zeros(REGISTERS, &mut value);
    value
}

/// Notes that the stored cardinality is not that of the registers.
pub(crate) fn forget_cardinality(value: &mut [u8]) {
    value[CARDINALITY.end - 1] |= UNKNOWN;
}

/// Returns whether a value is dense.
pub(crate) fn is_dense(value: &[u8]) -> bool {
    value[ENCODING] == DENSE
}

/// Adds an element. Returns whether a register has changed.
pub fn add(value: &mut Vec<u8>, element: &[u8]) -> Result<bool, RequestError> {
    let (register, rank) = place(element);
    raise(value, register, rank)
}

/// Raises a register to a rank. Returns whether it was lower.
fn raise(value: &mut Vec<u8>, register: usize, rank: u8) -> Result<bool, RequestError> {
    if is_dense(value) {
        return Ok(raise_dense(&mut value[HEADER..], register, rank));
    }
    raise_sparse(value, register, rank)
}

/// Returns the register of an element and the rank of its hash.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let register = (hash & (REGISTERS as u64 - 1)) as usize;
    // The highest bit ends the search.
    let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A of Austin Appleby, with the seed of Redis.
fn murmur(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
        hash = (hash ^ last).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// Returns the first byte of a dense register, and the bit at which it begins there.
fn dense_place(register: usize) -> (usize, usize) {
    (register * REGISTER_BITS / 8, register * REGISTER_BITS % 8)
}

fn dense_rank(registers: &[u8], register: usize) -> u8 {
    let (at, bit) = dense_place(register);
    // The last register ends with the value.
    let next = registers.get(at + 1).copied().unwrap_or(0);
    let both = u16::from(registers[at]) | u16::from(next) << 8;
    (both >> bit) as u8 & REGISTER_MASK
}

fn raise_dense(registers: &mut [u8], register: usize, rank: u8) -> bool {
    if dense_rank(registers, register) >= rank {
        return false;
    }
    let (at, bit) = dense_place(register);
    let (mask, set) = (u16::from(REGISTER_MASK) << bit, u16::from(rank & REGISTER_MASK) << bit);
    registers[at] = registers[at] & !(mask as u8) | set as u8;
    if let Some(next) = registers.get_mut(at + 1) {
        *next = *next & !((mask >> 8) as u8) | (set >> 8) as u8;
    }
    true
}

/// A run of registers of one rank, in the sparse encoding.
#[derive(Clone, Copy)]
struct RegisterRun {
    /// The bytes that encode it: 1 or 2.
    bytes: usize,
    registers: usize,
    rank: u8,
}

/// Decodes a run. The second byte of a truncated one is zero, as behind every string of Redis.
fn run(code: &[u8]) -> RegisterRun {
    let first = code[0];
    if first & 0x80 != 0 {
        return RegisterRun {
            bytes: 1,
            registers: usize::from(first & 3) + 1,
            rank: (first >> 2 & 31) + 1,
        };
    }
    let low = usize::from(first & 0x3F);
    if first & 0x40 == 0 {
        return RegisterRun { bytes: 1, registers: low + 1, rank: 0 };
    }
    let second = code.get(1).copied().unwrap_or(0);
    RegisterRun { bytes: 2, registers: (low << 8 | usize::from(second)) + 1, rank: 0 }
}

fn ranked(rank: u8, registers: usize) -> u8 {
    (rank - 1) << 2 | (registers - 1) as u8 | 0x80
}

/// Appends a run of zeros, if it is not empty.
fn push_zeros(registers: usize, into: &mut Vec<u8>) {
    match registers.checked_sub(1) {
        None => {}
        Some(less) if registers <= LONGEST_ZERO => into.push(less as u8),
        Some(less) => into.extend_from_slice(&[(less >> 8) as u8 | 0x40, less as u8]),
    }
}

/// Calls `each` with every run, until it returns false.
fn runs(value: &[u8], mut each: impl FnMut(RegisterRun) -> bool) {
    let mut rest = &value[HEADER..];
    while !rest.is_empty() {
        let run = run(rest);
        if !each(run) {
            return;
        }
        rest = rest.get(run.bytes..).unwrap_or_default();
    }
}

/// Raises the registers to those of a value.
pub fn merge(value: &[u8], into: &mut [u8; REGISTERS]) -> Result<(), RequestError> {
    if is_dense(value) {
        for (register, rank) in into.iter_mut().enumerate() {
            *rank = (*rank).max(dense_rank(&value[HEADER..], register));
        }
        return Ok(());
    }
    let mut at = 0;
    runs(value, |run| {
        let from = at;
        at += run.registers;
        // Runs of a client's value may go beyond the last register.
        let Some(registers) = into.get_mut(from..at) else { return false };
        for rank in registers {
            *rank = (*rank).max(run.rank);
        }
        true
    });
    if at == REGISTERS { Ok(()) } else { Err(CORRUPT) }
}

/// Makes a value dense.
fn densify(value: &mut Vec<u8>) -> Result<(), RequestError> {
    let mut registers = [0; REGISTERS];
    merge(value, &mut registers)?;
    value.truncate(HEADER);
    value[ENCODING] = DENSE;
    value.resize(DENSE_BYTES, 0);
    for (register, rank) in registers.into_iter().enumerate().filter(|(_, rank)| *rank != 0) {
        raise_dense(&mut value[HEADER..], register, rank);
    }
    Ok(())
}

fn raise_densified(value: &mut Vec<u8>, register: usize, rank: u8) -> Result<bool, RequestError> {
    densify(value)?;
    raise_dense(&mut value[HEADER..], register, rank);
    Ok(true)
}

/// Raises a register of a sparse value, by the steps of Redis: the same changes make the same bytes.
fn raise_sparse(value: &mut Vec<u8>, register: usize, rank: u8) -> Result<bool, RequestError> {
    if rank > SPARSE_RANK {
        return raise_densified(value, register, rank);
    }
    // The run that has the register, its place, its first register, and the place of the run before.
    let (mut at, mut first, mut before) = (HEADER, 0, HEADER);
    let found = loop {
        let Some(code) = value.get(at..).filter(|code| !code.is_empty()) else {
            return Err(CORRUPT);
        };
        let run = run(code);
        if register < first + run.registers {
            break run;
        }
        (before, at, first) = (at, at + run.bytes, first + run.registers);
    };
    // Case A of `hllSparseSet`: PFADD replies 0, and the cached cardinality stays valid.
    if found.rank >= rank {
        return Ok(false);
    }
    let (left, right) = (register - first, first + found.registers - register - 1);
    let mut codes = Vec::with_capacity(5);
    if found.rank == 0 {
        push_zeros(left, &mut codes);
    } else if left > 0 {
        codes.push(ranked(found.rank, left));
    }
    codes.push(ranked(rank, 1));
    if found.rank == 0 {
        push_zeros(right, &mut codes);
    } else if right > 0 {
        codes.push(ranked(found.rank, right));
    }
    // Only if the value grows: one that is already longer stays sparse while it does not, as in Redis.
    if codes.len() > found.bytes && value.len() + codes.len() - found.bytes > SPARSE_MAX {
        return raise_densified(value, register, rank);
    }
    // A truncated run has a byte less than it says.
    let end = (at + found.bytes).min(value.len());
    value.splice(at..end, codes);
    // From the run before, because the new one may equal its neighbour on either side.
    join(value, before);
    forget_cardinality(value);
    Ok(true)
}

/// Joins adjacent ranked runs of the same rank. Redis looks at five runs.
fn join(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some(code) = value.get(at..).filter(|code| !code.is_empty()) else { return };
        let one = run(code);
        let next = value.get(at + 1).map(|_| run(&value[at + 1..]));
        match next {
            Some(next) if one.rank != 0 && next.rank == one.rank => {
                let registers = one.registers + next.registers;
                // Stays at this run, to join the result with the next one, too.
                if registers <= LONGEST_RANKED {
                    value[at + 1] = ranked(one.rank, registers);
                    value.remove(at);
                } else {
                    at += 1;
                }
            }
            _ => at += one.bytes,
        }
    }
}

/// Returns the value with registers raised to these, as dense if `dense`.
pub fn raised(
    mut value: Vec<u8>,
    registers: &[u8; REGISTERS],
    dense: bool,
) -> Result<Vec<u8>, RequestError> {
    if dense && !is_dense(&value) {
        densify(&mut value)?;
    }
    for (register, rank) in registers.iter().enumerate().filter(|(_, rank)| **rank != 0) {
        // As in Redis: a corrupt value may refuse a register, which is left out.
        let _ = raise(&mut value, register, *rank);
    }
    forget_cardinality(&mut value);
    Ok(value)
}

/// Returns the estimated number of elements, or the one that is stored in the value.
pub fn cardinality(value: &[u8]) -> Result<u64, RequestError> {
    if value[CARDINALITY.end - 1] & UNKNOWN == 0 {
        let (stored, _) = value[CARDINALITY].as_chunks::<8>();
        return Ok(u64::from_le_bytes(stored[0]));
    }
    // 64 and not 52: registers of a client's value may have ranks that no hash has (`hllCount` says the same).
    let mut ranks = [0_u32; 64];
    if is_dense(value) {
        for register in 0..REGISTERS {
            ranks[usize::from(dense_rank(&value[HEADER..], register))] += 1;
        }
    } else {
        let mut registers = 0;
        runs(value, |run| {
            registers += run.registers;
            // A run has two bytes at most, so all of them count less than 32 bits.
            ranks[usize::from(run.rank)] += run.registers as u32;
            true
        });
        if registers != REGISTERS {
            return Err(CORRUPT);
        }
    }
    Ok(estimate(&ranks))
}

/// Returns the estimated number of elements for these registers.
pub fn cardinality_of(registers: &[u8; REGISTERS]) -> u64 {
    let mut ranks = [0; 64];
    for rank in registers {
        ranks[usize::from(rank & REGISTER_MASK)] += 1;
    }
    estimate(&ranks)
}

/// Returns the estimate for the number of registers of each rank. (Ertl: New cardinality estimation algorithms for
/// HyperLogLog sketches, 2017.)
#[expect(clippy::cast_sign_loss, reason = "the estimate is not negative")]
fn estimate(ranks: &[u32; 64]) -> u64 {
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let (all, last) = (f64::from(1_u32 << INDEX_BITS), RANK_BITS as usize);
    let mut sum = all * tau((all - f64::from(ranks[last + 1])) / all);
    for rank in (1..=last).rev() {
        sum = (sum + f64::from(ranks[rank])) * 0.5;
    }
    sum += all * sigma(f64::from(ranks[0]) / all);
    (ALPHA * all * all / sum).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before >= z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before <= z {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::rounds;

    fn registers(value: &[u8]) -> Box<[u8; REGISTERS]> {
        let mut all = Box::new([0; REGISTERS]);
        merge(value, &mut all).unwrap();
        all
    }

    /// The sparse value, and the dense one that it becomes, have the registers of a plain table after each element.
    #[test]
    fn registers_are_the_greatest_ranks_in_both_encodings() {
        let (mut value, mut wanted) = (empty(), [0; REGISTERS]);
        let (mut was_sparse, mut last) = (0, 0);
        for element in 0..6000_u32 {
            let element = element.to_le_bytes();
            let (register, rank) = place(&element);
            let changed = wanted[register] < rank;
            wanted[register] = wanted[register].max(rank);
            assert_eq!(add(&mut value, &element), Ok(changed));
            was_sparse += usize::from(!is_dense(&value));
            if last % 97 == 0 {
                assert!(registers(&value)[..] == wanted, "registers after {last} elements");
            }
            last += 1;
        }
        assert!(registers(&value)[..] == wanted && is_dense(&value) && was_sparse > 500);
        forget_cardinality(&mut value);
        let estimate = cardinality(&value).unwrap();
        assert_eq!(estimate, cardinality_of(&wanted));
        assert!((5800..6200).contains(&estimate), "{estimate} for 6,000 elements");
    }

    /// Any value that a client stores leads to an error or an answer, and to no panic.
    #[test]
    fn any_bytes_are_refused_or_read() {
        let mut random = 5_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize
        };
        let (mut fine, mut corrupt) = (0, 0);
        let rounds = rounds(3000, 900);
        for round in 0..rounds {
            let mut value = empty();
            for element in 0..next() % 300 {
                add(&mut value, &element.to_le_bytes()).unwrap();
            }
            match round % 4 {
                0 => value.truncate(HEADER + next() % (value.len() - HEADER + 1)),
                1 => (0..next() % 40).for_each(|_| value.push(next() as u8)),
                2 => densify(&mut value).unwrap(),
                _ => {}
            }
            for _ in 0..next() % 4 {
                let at = HEADER.min(value.len()) + next() % (value.len() - HEADER + 1);
                if let Some(byte) = value.get_mut(at) {
                    *byte = next() as u8;
                }
            }
            if check(&value[..HEAD.min(value.len())], value.len()).is_err() {
                continue;
            }
            forget_cardinality(&mut value);
            let mut all = [0; REGISTERS];
            for outcome in [cardinality(&value).err(), merge(&value, &mut all).err()] {
                *if outcome.is_none() { &mut fine } else { &mut corrupt } += 1;
            }
            for element in 0..20 {
                let _ = add(&mut value, &next().wrapping_add(element).to_le_bytes());
            }
            let _ = raised(value, &all, round % 2 == 0);
        }
        assert!(fine > rounds / 6 && corrupt > rounds / 6, "{fine} fine, {corrupt} corrupt");
    }

    #[test]
    fn other_values_are_refused() {
        let (sparse, mut dense) = (empty(), empty());
        densify(&mut dense).unwrap();
        let checked = |value: &[u8]| check(&value[..HEAD.min(value.len())], value.len());
        assert_eq!((checked(&sparse), checked(&dense)), (Ok(()), Ok(())));
        let other = Err(RequestError::NotHyperLogLog);
        for value in [&b""[..], b"HYLL", &sparse[..15], &dense[..DENSE_BYTES - 1]] {
            assert_eq!(checked(value), other, "{} bytes", value.len());
        }
        let mut unknown = sparse.clone();
        unknown[ENCODING] = 2;
        assert_eq!(checked(&unknown), other);
        let long = [&sparse[..], &vec![0; 2 * REGISTERS]].concat();
        assert_eq!(checked(&long), Err(CORRUPT));
    }
}
