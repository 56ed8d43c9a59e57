//! Ranks: an order-preserving number of each key, so that most comparisons are comparisons of integers.

use crate::sync::words::WORD;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::transmute_copy;

/// Maps keys to ranks: numbers in the order of the keys.
///
/// A map finds the place of a key by ranks as far as possible, and compares keys by `Ord` only if their ranks are
/// equal. So a rank should tell as much about its key as 64 bits can, the most significant bits first. On 32-bit
/// targets only the upper half is used, except for keys that are 64-bit integers.
///
/// `a <= b` has to imply `rank(a) <= rank(b)`. Different keys may have the same rank. With a ranking that breaks this
/// rule, or whose answers change, a map returns wrong answers or is slow, and nothing worse.
///
/// An [`OrdMap`](crate::OrdMap) that looks up a borrowed form `Q` of its keys, such as `str` for `String`, needs a
/// `Ranking<Q>` too. It has to return the rank of the key itself.
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
/// A map's order is the `Ord` of its keys, which a ranking cannot change. As for std's `BTreeMap`, another order needs
/// a key type with another `Ord`. Give that type a ranking of its own for fast lookups: [`ByType`] does not support
/// `Reverse` and ranks all such keys 0.
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
    /// Returns the rank of `key`. Should be fast: every operation calls it.
    fn rank(&self, key: &K) -> u64;
}

/// The default ranking: it supports common key types, and ranks all keys of other types 0.
///
/// Supported are:
/// - integers of all widths, `NonZero` integers, `bool`, `char` and some pairs of integers;
/// - IP addresses, and arrays of up to 32 bytes;
/// - text and bytes, by their first eight bytes: `String`, `Box<str>`, `&str`, `str`; `Vec<u8>`, `Box<[u8]>`, `&[u8]`,
///   `[u8]`.
///
/// Keys of other types are found by comparisons alone, which takes several times as long in a large map. Give a
/// map of such keys a [`Ranking`] of its own.
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

/// Returns the part of a `K`'s rank that fits in a word: the upper part. For 64-bit integers, most of which are small,
/// a word of 32 bits has the most significant bits that are not 0, as a floating-point number does.
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

/// Rounds `n` down to `fraction` + 6 bits: exact if `n` has no more than `fraction` bits, and otherwise the number of
/// its bits, followed by the `fraction` bits after the first one.
const fn rounded(n: u64, fraction: u32) -> u64 {
    let more = (u64::BITS - n.leading_zeros()).saturating_sub(fraction);
    if more == 0 {
        return n;
    }
    // The first bit is always 1. It is added to the number of bits instead of being stored.
    ((more as u64 - 1) << fraction) + (n >> (more - 1))
}

/// Returns 32 bits of a rank, most exact in the middle of all ranks, where small signed integers are.
const fn rounded_from_middle(rank: u64) -> u64 {
    const MIDDLE: u64 = 1 << 63;
    const HALF: u64 = 1 << 31;
    if rank >= MIDDLE {
        HALF + rounded(rank - MIDDLE, 25)
    } else {
        HALF - 1 - rounded(MIDDLE - 1 - rank, 25)
    }
}

/// Whether `K` is an integer whose rank, as a word, differs from those of all other keys. If so, any bytes are a valid
/// key, and ranks can be compared instead of keys. Evaluated at compile time.
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

/// Whether comparisons of keys run no code of the user: `K` and the ranking `R` are of the standard library and of this
/// crate.
#[cfg(feature = "std-ext")]
pub(crate) fn has_known_order<K, R>() -> bool {
    rank_of_known::<K>(None).is_some() && typeid::of::<R>() == typeid::of::<ByType>()
}

/// Shifts an integer of `bits` bits so that its highest bit is the highest of the rank.
const fn left_aligned(integer: u64, bits: u32) -> u64 {
    if bits == 0 { 0 } else { integer << (u64::BITS - bits) }
}

/// Returns the first eight bytes as a number. If there are fewer, zeroes follow them.
#[inline(always)]
fn first_bytes(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(first)
}

/// Returns `$rank` from the function if `K` is one of the types `$known`. Without a key, returns 0 then.
macro_rules! rank_by_value {
    ($key:ident: $($known:ty => |$name:ident| $rank:expr;)*) => {
        let this = typeid::of::<K>();
        $(
            if this == typeid::of::<$known>() {
                let Some(key) = $key else { return Some(0) };
                // SAFETY: the type ids say that `K` is this type, except for lifetimes. None of these types has a
                // destructor, and the copy does not leave the expression, whose result is a number.
                let $name = unsafe { (&raw const *key).cast::<$known>().read() };
                return Some($rank);
            }
        )*
    };
}

/// As `rank_by_value`, without copying the key.
macro_rules! rank_by_reference {
    ($key:ident: $($known:ty => |$name:ident| $rank:expr;)*) => {
        let this = typeid::of::<K>();
        $(
            if this == typeid::of::<$known>() {
                let Some(key) = $key else { return Some(0) };
                // SAFETY: the type ids say that `K` is this type.
                let $name = unsafe { transmute_copy::<&K, &$known>(&key) };
                return Some($rank);
            }
        )*
    };
}

#[inline(always)]
fn by_type<K: ?Sized>(key: &K) -> u64 {
    rank_of_known(Some(key)).unwrap_or(0)
}

/// Returns the rank of a key of a supported type. Without a key, returns whether the type is supported.
#[inline(always)]
fn rank_of_known<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    integer(key)
        .or_else(|| non_zero(key))
        .or_else(|| bytes(key))
        .or_else(|| owned(key))
        .or_else(|| array(key))
        .or_else(|| pair(key))
}

/// Returns the rank of `borrowed`, a borrowed form of a key of type `K`, in a map with this ranking.
///
/// # Panics
/// If [`ByType`] supports the type of the key, but not the borrowed form.
#[inline(always)]
pub(crate) fn rank_of_borrowed<K, Q: ?Sized, R: Ranking<Q>>(ranking: &R, borrowed: &Q) -> u64 {
    let has_another = typeid::of::<K>() != typeid::of::<Q>();
    if has_another && typeid::of::<R>() == typeid::of::<ByType>() {
        return by_type_as::<K, Q>(borrowed);
    }
    ranking.rank(borrowed)
}

/// Keys of an unsupported type all have rank 0, so a borrowed form has rank 0 too, even if [`ByType`] supports it.
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
    assert!(rank_of_known::<K>(None).is_none(), "no `Ranking` of this borrowed form of the key");
    0
}

#[inline(always)]
fn integer<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    rank_by_value! { key:
        u64 => |n| n;
        i64 => |n| n.cast_unsigned() ^ 1 << 63;
        u32 => |n| left_aligned(u64::from(n), 32);
        i32 => |n| left_aligned(u64::from(n.cast_unsigned() ^ 1 << 31), 32);
        usize => |n| left_aligned(n as u64, usize::BITS);
        isize => |n| left_aligned((n.cast_unsigned() ^ 1 << (usize::BITS - 1)) as u64, usize::BITS);
        u16 => |n| left_aligned(u64::from(n), 16);
        i16 => |n| left_aligned(u64::from(n.cast_unsigned() ^ 1 << 15), 16);
        u8 => |n| left_aligned(u64::from(n), 8);
        i8 => |n| left_aligned(u64::from(n.cast_unsigned() ^ 1 << 7), 8);
        u128 => |n| (n >> 64) as u64;
        i128 => |n| (n.cast_unsigned() >> 64) as u64 ^ 1 << 63;
        char => |c| left_aligned(u64::from(u32::from(c)), 32);
        bool => |b| left_aligned(u64::from(b), 1);
    }
    None
}

#[inline(always)]
fn non_zero<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    use core::num::{
        NonZeroI32, NonZeroI64, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize,
    };
    rank_by_value! { key:
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
    rank_by_value! { key:
        &str => |text| first_bytes(text.as_bytes());
        &[u8] => |bytes| first_bytes(bytes);
        Ipv4Addr => |address| first_bytes(&address.octets());
        Ipv6Addr => |address| first_bytes(&address.octets());
    }
    None
}

/// Types that own their bytes, and the types that they are borrowed as.
#[inline(always)]
fn owned<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    rank_by_reference! { key:
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
            rank_by_value! { key: $([u8; $length] => |bytes| first_bytes(&bytes);)* }
        };
    }
    of! { 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 24 28 32 }
    None
}

#[inline(always)]
fn pair<K: ?Sized>(key: Option<&K>) -> Option<u64> {
    rank_by_value! { key:
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

    /// Asserts that ranks never fall in the order of the keys, and, if `apart` is set, that they rise.
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
            // All keys of an unsupported type have rank 0, and so have their borrowed forms.
            assert_eq!(rank_of_borrowed::<alloc::sync::Arc<str>, _, _>(&ByType, word), 0);
        }
        assert_eq!(rank_of_borrowed::<[u8; 3], _, _>(&ByType, &b"abc"[..]), ByType.rank(b"abc"));
        assert_eq!(rank_of_borrowed::<[u8; 17], _, _>(&ByType, &b"abc"[..]), 0);
    }
}
