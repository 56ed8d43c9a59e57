//! The default hasher of maps.

use crate::api::fixed_hasher::FixedHashBuilder;
use core::fmt;
use core::hash::BuildHasher;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// The default hasher of maps: foldhash, seeded separately for each map.
///
/// With feature `std`, seeds come from the operating system's entropy. Without it, they come from addresses and
/// counters, and on a target without compare-and-swap they are constants. A machine that starts the same way each time
/// then has the same seeds each time, so an attacker who has the image can choose colliding keys. There, use a hasher
/// of your own with keys from a source of entropy.
///
/// ```
/// use hedgerow::flat::DefaultHashBuilder;
/// use std::hash::BuildHasher;
///
/// let (one, other) = (DefaultHashBuilder::default(), DefaultHashBuilder::default());
/// assert_eq!(one.hash_one("key"), one.hash_one("key"));
/// assert_ne!(one.hash_one("key"), other.hash_one("key"));
/// ```
#[derive(Clone)]
pub struct DefaultHashBuilder {
    seed: u64,
    shared: &'static SharedSeed,
}

impl DefaultHashBuilder {
    /// Returns a hasher keyed by a constant: the same in each run of the program.
    ///
    /// An attacker who knows the seed can choose keys that collide. A `static` table of fixed size with this hasher is
    /// not all zeros, so the linker stores the whole table in flash; [`FixedHashBuilder`] avoids that.
    ///
    /// ```
    /// use hedgerow::flat::{DefaultHashBuilder, FlatMap};
    ///
    /// let ports = FlatMap::<u16, u32, _>::with_hasher(DefaultHashBuilder::with_seed(1));
    /// assert_eq!(ports.insert(443, 1), None);
    /// ```
    #[must_use]
    pub const fn with_seed(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::global_fixed() }
    }
}

impl Default for DefaultHashBuilder {
    /// The same hasher each time: a model is explored by repeating it, so it must not depend on chance.
    #[cfg(any(loom, shuttle))]
    fn default() -> Self {
        Self::with_seed(0x243F_6A88_85A3_08D3)
    }

    #[cfg(all(feature = "std", not(any(loom, shuttle))))]
    fn default() -> Self {
        use std::hash::RandomState;
        use std::sync::OnceLock;

        static SHARED: OnceLock<SharedSeed> = OnceLock::new();
        // std's keys come from the operating system, once per thread, and differ from call to call.
        let random = || RandomState::new().hash_one(0u8);
        let seed = random();
        Self { seed, shared: SHARED.get_or_init(|| SharedSeed::from_u64(random())) }
    }

    #[cfg(not(any(feature = "std", loom, shuttle)))]
    fn default() -> Self {
        let seed = foldhash::fast::RandomState::default().hash_one(0u8);
        Self { seed, shared: SharedSeed::global_random() }
    }
}

impl BuildHasher for DefaultHashBuilder {
    type Hasher = FoldHasher<'static>;

    #[inline(always)]
    fn build_hasher(&self) -> Self::Hasher {
        FoldHasher::with_seed(self.seed, self.shared)
    }
}

/// Whether `S` is known to return hashes whose bits are all random, including the lowest and the highest. Other hashes
/// are mixed once more, which costs a cycle or two; a wrong answer here would crowd bins.
#[inline(always)]
pub(crate) fn mixes_well<S>() -> bool {
    // Evaluated at compile time. `typeid` ignores lifetimes, which none of these types has.
    let this = typeid::of::<S>();
    let std = {
        #[cfg(feature = "std")]
        let is = this == typeid::of::<std::hash::RandomState>();
        #[cfg(not(feature = "std"))]
        let is = false;
        is
    };
    std || this == typeid::of::<DefaultHashBuilder>()
        || this == typeid::of::<FixedHashBuilder>()
        || this == typeid::of::<foldhash::fast::FixedState>()
        || this == typeid::of::<foldhash::fast::RandomState>()
        || this == typeid::of::<foldhash::fast::SeedableRandomState>()
        || this == typeid::of::<foldhash::quality::FixedState>()
        || this == typeid::of::<foldhash::quality::RandomState>()
        || this == typeid::of::<foldhash::quality::SeedableRandomState>()
}

impl fmt::Debug for DefaultHashBuilder {
    /// Prints the name only, because the keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultHashBuilder").finish_non_exhaustive()
    }
}
