//! Ranks: an order-preserving word of each key, so that most comparisons are of integers.

use crate::sync::words::WORD;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
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
/// A [`OrdMap`](crate::OrdMap) that is asked for a borrowed form `Q` of its keys, a `str` of its
/// `String`s, asks its ranking for the rank of that. It has to be the rank of the key: implement `Ranking<Q>` too.
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
///
/// # Another order
/// The order of a map is that of its keys' `Ord`, which a ranking cannot change. As for std's `BTreeMap`, a key type
/// with another `Ord` makes another order. It needs a ranking of its own to be found as quickly, because [`ByType`]
/// does not know `Reverse`, and would rank all such keys 0.
///
/// ```
/// use hedgerow::fence::{ByType, FenceMap, Ranking};
/// use std::cmp::Reverse;
///
/// struct Descending;
/// impl<K> Ranking<Reverse<K>> for Descending {
///     fn rank(&self, key: &Reverse<K>) -> u64 {
///         !ByType.rank(&key.0)
///     }
/// }
///
/// let latest_first = FenceMap::with_ranking(Descending);
/// for day in [17u64, 3, 29] {
///     latest_first.insert(Reverse(day), day * 100);
/// }
/// assert!(latest_first.iter().map(|(day, _)| day.0).eq([29, 17, 3]));
/// assert_eq!(latest_first.successor(&Reverse(29)), Some((Reverse(17), 1700)));
/// ```
pub trait Ranking<K: ?Sized> {
    /// The rank of `key`. Runs often, and is to be short.
    fn rank(&self, key: &K) -> u64;
}

/// The ranking of maps that were given none: it knows some types, and ranks all keys of any other type 0.
///
/// It knows integers of all widths, `NonZero` ones, `bool`, `char`, addresses of the internet protocols,
/// text and bytes by the first eight (`String`, `Box<str>`, `&str`, `str`; `Vec<u8>`, `Box<[u8]>`, `&[u8]`,
/// `[u8]`), arrays of up to 32 bytes, and some pairs of integers. Keys
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

impl<K: ?Sized> Ranking<K> for ByType {
    #[inline(always)]
    fn rank(&self, key: &K) -> u64 {
        by_type(key)
    }
}

/// What one word holds of the rank of a `K`: its upper part. Of integers of 64 bits, which are mostly much less than
/// they could be, a word of 32 bits holds the first bits that are not 0.
#[inline(always)]
pub(crate) fn to_word<K: ?Sized>(rank: u64) -> usize {
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

/// Answers `$rank` where the key is a `$known`; without a key, whether it would.
macro_rules! known {
    ($key:ident: $($known:ty => |$name:ident| $rank:expr;)*) => {
        let this = typeid::of::<K>();
        $(
            if this == typeid::of::<$known>() {
                let Some(key) = $key else { return Some(0) };
                // SAFETY: the key is of this very type, but for lifetimes, and what is made of the copy
                // is a number. None of these types has a destructor.
                let $name = unsafe { (&raw const *key).cast::<$known>().read() };
                return Some($rank);
            }
        )*
    };
}

/// As `known`, by reference.
macro_rules! known_by_reference {
    ($key:ident: $($known:ty => |$name:ident| $rank:expr;)*) => {
        let this = typeid::of::<K>();
        $(
            if this == typeid::of::<$known>() {
                let Some(key) = $key else { return Some(0) };
                // SAFETY: the key is of this very type.
                let $name = unsafe { transmute_copy::<&K, &$known>(&key) };
                return Some($rank);
            }
        )*
    };
}

#[inline(always)]
fn by_type<K: ?Sized>(key: &K) -> u64 {
    look_up(Some(key)).unwrap_or(0)
}

/// The rank of a key of a known type; without a key, whether it is one.
#[inline(always)]
fn look_up<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    integer(key)
        .or_else(|| non_zero(key))
        .or_else(|| bytes(key))
        .or_else(|| owned(key))
        .or_else(|| array(key))
        .or_else(|| pair(key))
}

/// The rank of `borrowed`, what a key of type `K` is borrowed as, in a map with this ranking.
///
/// # Panics
/// Where a key is of a type that [`ByType`] knows, and `Q` is a form of it that is not known.
#[inline(always)]
pub(crate) fn rank_of_borrowed<K, Q: ?Sized, R: Ranking<Q>>(ranking: &R, borrowed: &Q) -> u64 {
    let has_another = typeid::of::<K>() != typeid::of::<Q>();
    if has_another && typeid::of::<R>() == typeid::of::<ByType>() {
        return by_type_as::<K, Q>(borrowed);
    }
    ranking.rank(borrowed)
}

/// A type that is not known has rank 0 in all its forms, whatever these are known for by themselves.
fn by_type_as<K, Q: ?Sized>(borrowed: &Q) -> u64 {
    let (owner, this) = (typeid::of::<K>(), typeid::of::<Q>());
    let is_text = this == typeid::of::<str>()
        && (owner == typeid::of::<String>()
            || owner == typeid::of::<Box<str>>()
            || owner == typeid::of::<&str>());
    let is_bytes = this == typeid::of::<[u8]>()
        && (owner == typeid::of::<Vec<u8>>()
            || owner == typeid::of::<Box<[u8]>>()
            || owner == typeid::of::<&[u8]>()
            || array::<K>(None).is_some());
    if is_text || is_bytes {
        return by_type(borrowed);
    }
    assert!(look_up::<K>(None).is_none(), "no `Ranking` of this borrowed form of the key");
    0
}

#[inline(always)]
fn integer<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    known! { key:
        u64 => |n| n;
        i64 => |n| n.cast_unsigned() ^ 1 << 63;
        u32 => |n| raised(u64::from(n), 32);
        i32 => |n| raised(u64::from(n.cast_unsigned() ^ 1 << 31), 32);
        usize => |n| raised(n as u64, usize::BITS);
        isize => |n| raised((n.cast_unsigned() ^ 1 << (usize::BITS - 1)) as u64, usize::BITS);
        u16 => |n| raised(u64::from(n), 16);
        i16 => |n| raised(u64::from(n.cast_unsigned() ^ 1 << 15), 16);
        u8 => |n| raised(u64::from(n), 8);
        i8 => |n| raised(u64::from(n.cast_unsigned() ^ 1 << 7), 8);
        u128 => |n| (n >> 64) as u64;
        i128 => |n| (n.cast_unsigned() >> 64) as u64 ^ 1 << 63;
        char => |c| raised(u64::from(u32::from(c)), 32);
        bool => |b| raised(u64::from(b), 1);
    }
    None
}

#[inline(always)]
fn non_zero<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    use core::num::{
        NonZeroI32, NonZeroI64, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize,
    };
    known! { key:
        NonZeroU64 => |n| integer(Some(&n.get())).unwrap_or(0);
        NonZeroI64 => |n| integer(Some(&n.get())).unwrap_or(0);
        NonZeroU32 => |n| integer(Some(&n.get())).unwrap_or(0);
        NonZeroI32 => |n| integer(Some(&n.get())).unwrap_or(0);
        NonZeroUsize => |n| integer(Some(&n.get())).unwrap_or(0);
        NonZeroU16 => |n| integer(Some(&n.get())).unwrap_or(0);
        NonZeroU8 => |n| integer(Some(&n.get())).unwrap_or(0);
    }
    None
}

#[inline(always)]
fn bytes<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    use core::net::{Ipv4Addr, Ipv6Addr};
    known! { key:
        &str => |text| first_bytes(text.as_bytes());
        &[u8] => |bytes| first_bytes(bytes);
        Ipv4Addr => |address| first_bytes(&address.octets());
        Ipv6Addr => |address| first_bytes(&address.octets());
    }
    None
}

/// What owns its bytes, and what it is borrowed as.
#[inline(always)]
fn owned<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    known_by_reference! { key:
        String => |text| first_bytes(text.as_bytes());
        str => |text| first_bytes(text.as_bytes());
        Box<str> => |text| first_bytes(text.as_bytes());
        Vec<u8> => |bytes| first_bytes(bytes);
        [u8] => |bytes| first_bytes(bytes);
        Box<[u8]> => |bytes| first_bytes(bytes);
    }
    None
}

#[inline(always)]
fn array<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    macro_rules! of {
        ($($length:literal)*) => {
            known! { key: $([u8; $length] => |bytes| first_bytes(&bytes);)* }
        };
    }
    of! { 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 24 28 32 }
    None
}

#[inline(always)]
fn pair<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    known! { key:
        (u32, u32) => |pair| u64::from(pair.0) << 32 | u64::from(pair.1);
        (u64, u64) => |pair| pair.0;
        (u32, u64) => |pair| u64::from(pair.0) << 32 | pair.1 >> 32;
        (u64, u32) => |pair| pair.0;
        (i64, u64) => |pair| integer(Some(&pair.0)).unwrap_or(0);
        (u16, u16) => |pair| u64::from(pair.0) << 48 | u64::from(pair.1) << 32;
    }
    None
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::{ByType, Ranking, rank_of_borrowed, rounded, rounded_from_middle};
    use alloc::boxed::Box;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::fmt::Debug;

    /// In the order given, ranks never fall; and they rise where they are to tell keys apart.
    fn rising<K: Ord + Debug>(keys: &[K], apart: bool) {
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
        let neighbour = (-500..500).map(|n: i64| rounded_from_middle(n.cast_unsigned() ^ 1 << 63));
        assert!(neighbour.is_sorted_by(|a, b| a < b), "exactly told apart");
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

    #[test]
    fn owned_keys_rank_as_what_they_are_borrowed_as() {
        let words = ["", "\0", "a", "ab", "abcdefgh", "abcdefghi", "b", "é"];
        rising(&words.map(String::from), false);
        rising(&words.map(Box::<str>::from), false);
        rising(&words.map(Vec::<u8>::from), false);
        for word in words {
            let rank = ByType.rank(word);
            assert_eq!(rank_of_borrowed::<String, _, _>(&ByType, word), rank);
            assert_eq!(rank_of_borrowed::<Box<str>, _, _>(&ByType, word), rank);
            assert_eq!(rank_of_borrowed::<Vec<u8>, _, _>(&ByType, word.as_bytes()), rank);
            assert_eq!(
                (ByType.rank(&String::from(word)), ByType.rank(word.as_bytes())),
                (rank, rank)
            );
            // A type that is not known has rank 0, whatever it is asked for by.
            assert_eq!(rank_of_borrowed::<alloc::sync::Arc<str>, _, _>(&ByType, word), 0);
        }
        assert_eq!(rank_of_borrowed::<[u8; 3], _, _>(&ByType, &b"abc"[..]), ByType.rank(b"abc"));
        assert_eq!(rank_of_borrowed::<[u8; 17], _, _>(&ByType, &b"abc"[..]), 0);
    }
}
