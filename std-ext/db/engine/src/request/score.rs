//! The scores of sorted sets.

use std::cmp::Ordering;

/// The score of a member of a sorted set: any number but NaN.
#[derive(Clone, Copy, Debug)]
pub struct Score(f64);

/// Bytes of a stored score.
pub(crate) const SCORE_BYTES: usize = size_of::<u64>();
const SIGN: u64 = 1 << 63;

impl Score {
    /// Returns the score; `None` for NaN.
    pub fn new(number: f64) -> Option<Self> {
        (!number.is_nan()).then_some(Self(number))
    }

    /// Returns the number.
    #[inline]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns the score that these bytes store.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bits = u64::from_be_bytes(bytes.try_into().ok()?);
        let bits = if bits & SIGN == 0 { !bits } else { bits ^ SIGN };
        Self::new(f64::from_bits(bits))
    }

    /// Returns bytes that are in the order of the numbers; but -0 is before 0.
    #[inline]
    pub fn bytes(self) -> [u8; SCORE_BYTES] {
        let bits = self.0.to_bits();
        (if bits & SIGN == 0 { bits | SIGN } else { !bits }).to_be_bytes()
    }

    /// Returns the score, or 0 for -0, which is equal and has other bytes.
    #[inline]
    pub(crate) fn unsigned_zero(self) -> Self {
        Self(self.0 + 0.0)
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // Neither is NaN.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_scores_are_in_the_order_of_the_numbers() {
        let numbers = [f64::NEG_INFINITY, -1e300, -1.5, -f64::MIN_POSITIVE, -5e-324, -0.0, 0.0]
            .into_iter()
            .chain([5e-324, 1.0, 1.5, 2.0, 1e300, f64::INFINITY]);
        let scores: Vec<Score> = numbers.map(|number| Score::new(number).unwrap()).collect();
        for pair in scores.windows(2) {
            assert!(pair[0].bytes() < pair[1].bytes(), "{pair:?}");
            assert!(pair[0] <= pair[1], "{pair:?}");
        }
        for score in &scores {
            let stored = Score::parse(&score.bytes()).unwrap();
            assert_eq!(stored.get().to_bits(), score.get().to_bits());
        }
        let zeros = [0.0, -0.0].map(|zero| Score::new(zero).unwrap());
        assert_eq!(zeros[0], zeros[1]);
        assert_eq!(zeros[0].bytes(), zeros[1].unsigned_zero().bytes());
        assert_eq!(Score::new(f64::NAN), None);
        assert_eq!(Score::parse(&[0xFF; SCORE_BYTES]), None);
        assert_eq!(Score::parse(b"short"), None);
    }
}
