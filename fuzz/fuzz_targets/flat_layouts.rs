//! The same operations over many layouts of key and value: small, large, padded, aligned,
//! zero-sized, with niches and with pointers.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow_fuzz::hashing::mix;
use hedgerow_fuzz::play::{Nth, Script, play};
use libfuzzer_sys::fuzz_target;
use std::num::NonZeroU32;

#[derive(Arbitrary, Debug)]
enum Layout {
    Bytes,
    Halves,
    LongBytes,
    Strings,
    WideToNothing,
    NothingToWide,
    Niches,
    Kibibyte,
    Aligned,
    AlignedNothing,
    Letters,
    Padded,
    PaddedTwice,
}

fuzz_target!(|input: (Layout, Script)| {
    let (layout, script) = input;
    match layout {
        Layout::Bytes => play::<Own<u8>, Own<u8>>(&script),
        Layout::Strings => play::<Own<&'static str>, Own<u64>>(&script),
        Layout::NothingToWide => play::<Own<()>, Own<u128>>(&script),
        Layout::Aligned => play::<Own<u32>, Own<Aligned>>(&script),
        Layout::Padded => play::<Own<(u8, u32)>, Own<(u8, u32)>>(&script),
        #[cfg(feature = "layouts")]
        others => play_others(others, &script),
        #[cfg(not(feature = "layouts"))]
        _ => {}
    }
});

#[cfg(feature = "layouts")]
fn play_others(layout: Layout, script: &Script) {
    match layout {
        Layout::Halves => play::<Own<u32>, Own<u32>>(script),
        Layout::LongBytes => play::<Own<[u8; 24]>, Own<u32>>(script),
        Layout::WideToNothing => play::<Own<u128>, Own<()>>(script),
        Layout::Niches => play::<Own<NonZeroU32>, Own<Option<&'static u64>>>(script),
        Layout::Kibibyte => play::<Own<u8>, Own<[u64; 128]>>(script),
        Layout::AlignedNothing => play::<Own<u32>, Own<AlignedNothing>>(script),
        Layout::Letters => play::<Own<char>, Own<bool>>(script),
        Layout::PaddedTwice => play::<Own<(u16, (u64, u8))>, Own<(u8, u128)>>(script),
        _ => {}
    }
}

/// Foreign types, to be given the trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
struct Own<T>(T);

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
struct Aligned(u64, u8);

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(32))]
struct AlignedNothing;

static NUMBERS: [u64; 4] = [0, 1, 2, u64::MAX];

macro_rules! nth {
    ($($type:ty, $limit:expr, $nth:expr;)*) => {
        $(impl Nth for Own<$type> {
            const LIMIT: u64 = $limit;

            fn nth(n: u64) -> Self {
                let nth: fn(u64) -> $type = $nth;
                Self(nth(n))
            }
        })*
    };
}

nth! {
    (), 1, |_| ();
    bool, 2, |n| n % 2 == 1;
    u8, 1 << 8, |n| n as u8;
    u32, 1 << 32, |n| (n as u32).rotate_left(16);
    u64, u64::MAX, |n| n;
    u128, u64::MAX, |n| u128::from(n) << 64 | u128::from(!n);
    char, 0xd000, |n| char::from_u32(n as u32 % 0xd000).expect("below the surrogates");
    [u8; 24], u64::MAX, |n| {
        let mut bytes = [7; 24];
        bytes[16..].copy_from_slice(&n.to_be_bytes());
        bytes
    };
    [u64; 128], u64::MAX, |n| std::array::from_fn(|place| mix(n) ^ place as u64);
    &'static str, 6, |n| ["", "a", "b", "ab", "hedge", "hedgerow"][n as usize % 6];
    Option<&'static u64>, 5, |n| NUMBERS.get(n as usize % 5);
    NonZeroU32, 1 << 31, |n| NonZeroU32::new(n as u32 | 1 << 31).expect("the top bit is set");
    Aligned, u64::MAX, |n| Aligned(n, !n as u8);
    AlignedNothing, 1, |_| AlignedNothing;
    (u8, u32), 1 << 32, |n| (n as u8, n as u32);
    (u8, u128), u64::MAX, |n| (n as u8, u128::from(n) << 32);
    (u16, (u64, u8)), u64::MAX, |n| (n as u16, (n, !n as u8));
}
