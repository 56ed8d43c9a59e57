//! Ranks: an order-preserving word of each key, so that most comparisons are of integers.

use crate::sync::words::WORD;
use core::mem::transmute_copy;

/// Gives each key a rank, in the order of the keys: a number that stands for the key where keys only have
/// to be told apart roughly.
///
/// A map finds the place of a key by ranks as far as they go, and by `Ord` among keys of the same rank. So
/// a rank says as much about its key's place as 64 bits can, the most important bits first: on 32-bit targets
/// only the upper half is looked at, but where keys are integers of 64 bits.
///
/// `a <= b` has to imply `rank(a) <= rank(b)`; different keys may have the same rank. A ranking that breaks
/// this, or that changes its mind, makes a map give wrong answers, or slow ones, and nothing worse.
///
/// ```
/// use hedgerow::fence::{FenceMap, Ranking};
///
/// #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
/// struct Version { major: u16, minor: u16, patch: u32 }
///
/// struct ByNumbers;
/// impl Ranking<Version> for ByNumbers {
///     fn rank(&self, v: &Version) -> u64 {
///         u64::from(v.major) << 48 | u64::from(v.minor) << 32 | u64::from(v.patch)
///     }
/// }
///
/// let released = FenceMap::with_ranking(ByNumbers);
/// released.insert(Version { major: 1, minor: 0, patch: 2 }, 2021);
/// ```
pub trait Ranking<K> {
    /// The rank of `key`. Runs often, and is to be short.
    fn rank(&self, key: &K) -> u64;
}

/// The ranking of maps that were given none: it knows some types, and ranks all keys of any other type 0.
///
/// It knows integers of all widths, `NonZero` ones, `bool`, `char`, addresses of the internet protocols,
/// `&str` and `&[u8]` (by their first eight bytes), arrays of up to 32 bytes, and some pairs of integers. Keys
/// of other types are found by comparisons alone, which in a large map takes several times as long:
/// give such a map a [`Ranking`] of your own.
///
/// ```
/// use hedgerow::fence::{ByType, Ranking};
///
/// assert!(ByType.rank(&-1) < ByType.rank(&1));
/// assert!(ByType.rank(&"hawthorn") < ByType.rank(&"hazel"));
/// assert_eq!(ByType.rank(&Some(1)), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByType;

impl<K> Ranking<K> for ByType {
    #[inline(always)]
    fn rank(&self, key: &K) -> u64 {
        by_type(key)
    }
}

/// What one word holds of the rank of a `K`: its upper part. Of integers of 64 bits, which are mostly much less than
/// they could be, a word of 32 bits holds the first bits that are not 0.
#[inline(always)]
pub(crate) fn to_word<K>(rank: u64) -> usize {
    let this = typeid::of::<K>();
    if usize::BITS == u32::BITS && this == typeid::of::<u64>() {
        return rounded(rank, 26) as usize;
    }
    if usize::BITS == u32::BITS && this == typeid::of::<i64>() {
        return rounded_from_middle(rank) as usize;
    }
    (rank >> (u64::BITS - usize::BITS)) as usize
}

/// `n` in six bits more than `fraction`, rounded down: exactly where it has so few, and elsewhere the number of its
/// bits and then the `fraction` ones after the first.
const fn rounded(n: u64, fraction: u32) -> u64 {
    let more = (u64::BITS - n.leading_zeros()).saturating_sub(fraction);
    if more == 0 {
        return n;
    }
    // The first bit, which is 1, makes the number of bits one greater.
    ((more as u64 - 1) << fraction) + (n >> (more - 1))
}

/// 32 bits of a rank, most exact in the middle of all ranks, where those of small signed integers are.
const fn rounded_from_middle(rank: u64) -> u64 {
    const MIDDLE: u64 = 1 << 63;
    const HALF: u64 = 1 << 31;
    if rank >= MIDDLE {
        HALF + rounded(rank - MIDDLE, 25)
    } else {
        HALF - 1 - rounded(MIDDLE - 1 - rank, 25)
    }
}

/// Whether `K` is an integer that its rank, as a word, tells from all others: then any bytes are a key, and
/// comparing ranks is comparing keys. An answer at compile time.
#[inline(always)]
pub(crate) fn is_exact<K, R>() -> bool {
    let this = typeid::of::<K>();
    let integer = this == typeid::of::<u64>()
        || this == typeid::of::<u32>()
        || this == typeid::of::<usize>()
        || this == typeid::of::<i64>()
        || this == typeid::of::<i32>()
        || this == typeid::of::<isize>()
        || this == typeid::of::<u16>()
        || this == typeid::of::<i16>()
        || this == typeid::of::<u8>()
        || this == typeid::of::<i8>();
    integer && size_of::<K>() <= WORD && typeid::of::<R>() == typeid::of::<ByType>()
}

/// Lets the highest bit of the integer be the highest of the rank.
const fn raised(integer: u64, bits: u32) -> u64 {
    if bits == 0 { 0 } else { integer << (u64::BITS - bits) }
}

/// The first eight bytes, or all and zeroes.
#[inline(always)]
fn first_bytes(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(first)
}

/// Answers `$rank` where the key is a `$known`.
macro_rules! known {
    ($key:ident: $($known:ty => |$name:ident| $rank:expr;)*) => {
        let this = typeid::of::<K>();
        $(
            if this == typeid::of::<$known>() {
                // SAFETY: the key is of this very type, but for lifetimes, and what is made of the copy
                // is a number.
                let $name = unsafe { transmute_copy::<K, $known>($key) };
                return $rank;
            }
        )*
    };
}

#[inline(always)]
fn by_type<K>(key: &K) -> u64 {
    integer(key)
        .or_else(|| non_zero(key))
        .or_else(|| bytes(key))
        .or_else(|| array(key))
        .or_else(|| pair(key))
        .unwrap_or(0)
}

#[inline(always)]
fn integer<K>(key: &K) -> Option<u64> {
    known! { key:
        u64 => |n| Some(n);
        i64 => |n| Some(n.cast_unsigned() ^ 1 << 63);
        u32 => |n| Some(raised(u64::from(n), 32));
        i32 => |n| Some(raised(u64::from(n.cast_unsigned() ^ 1 << 31), 32));
        usize => |n| Some(raised(n as u64, usize::BITS));
        isize => |n| Some(raised((n.cast_unsigned() ^ 1 << (usize::BITS - 1)) as u64, usize::BITS));
        u16 => |n| Some(raised(u64::from(n), 16));
        i16 => |n| Some(raised(u64::from(n.cast_unsigned() ^ 1 << 15), 16));
        u8 => |n| Some(raised(u64::from(n), 8));
        i8 => |n| Some(raised(u64::from(n.cast_unsigned() ^ 1 << 7), 8));
        u128 => |n| Some((n >> 64) as u64);
        i128 => |n| Some((n.cast_unsigned() >> 64) as u64 ^ 1 << 63);
        char => |c| Some(raised(u64::from(u32::from(c)), 32));
        bool => |b| Some(raised(u64::from(b), 1));
    }
    None
}

#[inline(always)]
fn non_zero<K>(key: &K) -> Option<u64> {
    use core::num::{
        NonZeroI32, NonZeroI64, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize,
    };
    known! { key:
        NonZeroU64 => |n| integer(&n.get());
        NonZeroI64 => |n| integer(&n.get());
        NonZeroU32 => |n| integer(&n.get());
        NonZeroI32 => |n| integer(&n.get());
        NonZeroUsize => |n| integer(&n.get());
        NonZeroU16 => |n| integer(&n.get());
        NonZeroU8 => |n| integer(&n.get());
    }
    None
}

#[inline(always)]
fn bytes<K>(key: &K) -> Option<u64> {
    use core::net::{Ipv4Addr, Ipv6Addr};
    known! { key:
        &str => |text| Some(first_bytes(text.as_bytes()));
        &[u8] => |bytes| Some(first_bytes(bytes));
        Ipv4Addr => |address| Some(first_bytes(&address.octets()));
        Ipv6Addr => |address| Some(first_bytes(&address.octets()));
    }
    None
}

#[inline(always)]
fn array<K>(key: &K) -> Option<u64> {
    macro_rules! of {
        ($($length:literal)*) => {
            known! { key: $([u8; $length] => |bytes| Some(first_bytes(&bytes));)* }
        };
    }
    of! { 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 24 28 32 }
    None
}

#[inline(always)]
fn pair<K>(key: &K) -> Option<u64> {
    known! { key:
        (u32, u32) => |pair| Some(u64::from(pair.0) << 32 | u64::from(pair.1));
        (u64, u64) => |pair| Some(pair.0);
        (u32, u64) => |pair| Some(u64::from(pair.0) << 32 | pair.1 >> 32);
        (u64, u32) => |pair| Some(pair.0);
        (i64, u64) => |pair| integer(&pair.0);
        (u16, u16) => |pair| Some(u64::from(pair.0) << 48 | u64::from(pair.1) << 32);
    }
    None
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::{ByType, Ranking, rounded, rounded_from_middle};
    use core::fmt::Debug;

    /// In the order given, ranks never fall; and they rise where they are to tell keys apart.
    fn rising<K: Ord + Debug + Copy>(keys: &[K], apart: bool) {
        assert!(keys.is_sorted());
        for pair in keys.windows(2) {
            let (low, high) = (ByType.rank(&pair[0]), ByType.rank(&pair[1]));
            assert!(low <= high && (!apart || low < high), "{pair:?}");
        }
    }

    #[test]
    fn rounded_ranks_rise_too() {
        let powers = (0..64).flat_map(|bits| [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1]);
        let mut ranks: std::vec::Vec<u64> =
            powers.chain(0..1000).chain([(1 << 63) - 1000, u64::MAX]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        for pair in ranks.windows(2) {
            assert!(rounded(pair[0], 26) <= rounded(pair[1], 26), "{pair:?}");
            assert!(rounded_from_middle(pair[0]) <= rounded_from_middle(pair[1]), "{pair:?}");
        }
        assert_eq!(rounded((1 << 27) - 1, 26), (1 << 27) - 1, "as long as it is exact");
        assert_ne!(rounded(1 << 41, 26), rounded((1 << 41) + (1 << 15), 26));
        assert_eq!(
            (rounded(u64::MAX, 26), rounded_from_middle(u64::MAX)),
            (0x9BFF_FFFF, 0xCDFF_FFFF)
        );
        let near = (-500..500).map(|n: i64| rounded_from_middle(n.cast_unsigned() ^ 1 << 63));
        assert!(near.is_sorted_by(|a, b| a < b), "exactly told apart");
    }

    #[test]
    fn ranks_rise_with_the_keys() {
        macro_rules! integers {
            ($($int:ty)*) => {
                $(
                    let least = <$int>::MIN;
                    let mut keys = std::vec![least, least + 1, 0, 1, 2, <$int>::MAX - 1, <$int>::MAX];
                    keys.sort_unstable();
                    keys.dedup();
                    rising(&keys, size_of::<$int>() <= 8);
                )*
            };
        }
        integers! { u8 u16 u32 u64 usize u128 i8 i16 i32 i64 isize i128 }
        rising(&['\0', 'a', '\u{D7FF}', '\u{E000}', char::MAX], true);
        rising(&[false, true], true);
        rising(&["", "\0", "a", "ab", "abcdefgh", "abcdefghi", "b", "é"], false);
        rising(&[&b""[..], b"\x01", b"\xFF", b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"], false);
        rising(&[[0u8, 0, 1], [0, 1, 0], [1, 0, 0], [255, 0, 0]], true);
        rising(&[[0u8; 20], [1; 20], [255; 20]], true);
        rising(&[(0u32, 5u32), (1, 0), (1, 1), (u32::MAX, 0)], true);
        rising(&[(0u32, 5u64), (1, 0), (1, u64::MAX), (u32::MAX, 0)], true);
        rising(&[core::num::NonZeroU32::MIN, core::num::NonZeroU32::MAX], true);
        assert_eq!(ByType.rank(&(1u8, 'x')), 0);
    }
}
