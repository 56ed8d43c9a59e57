//! Random numbers for tests, from a seed with which a failure can be repeated.

#[path = "../../../../tests/support/rng.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod rng;

/// SplitMix64. (Steele, Lea and Flood.)
pub(crate) struct Random(pub(crate) u64);

#[allow(dead_code, reason = "as above")]
impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        rng::mix(self.0) % end
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}
