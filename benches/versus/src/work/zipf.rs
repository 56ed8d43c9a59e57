//! Numbers by Zipf's law, by the method of Gray and others (*Quickly generating
//! billion-record synthetic databases*, 1994), which YCSB uses too.

use crate::keys::Rng;

/// The exponent: the i-th most frequent number comes in proportion to 1 / i^θ.
const THETA: f64 = 0.99;

/// Draws numbers below some `n`, 0 most often.
pub struct Zipf {
    n: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// For numbers below `n`.
    pub fn new(n: usize) -> Self {
        let zeta = |n: usize| (1..=n).map(|i| (i as f64).powf(-THETA)).sum::<f64>();
        let (zeta_n, zeta_2) = (zeta(n), zeta(2));
        let n = n as f64;
        Self {
            n,
            alpha: 1.0 / (1.0 - THETA),
            zeta: zeta_n,
            eta: (1.0 - (2.0 / n).powf(1.0 - THETA)) / (1.0 - zeta_2 / zeta_n),
        }
    }

    /// The next number.
    #[allow(clippy::cast_sign_loss, reason = "a product of positive numbers")]
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        let u = (rng.word() >> 11) as f64 / (1_u64 << 53) as f64;
        let place = u * self.zeta;
        if place < 1.0 {
            return 0;
        }
        if place < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        let number = self.n * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (number as u64).min(self.n as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Rng, Zipf};

    #[test]
    fn frequencies_follow_the_law() {
        let (n, draws) = (1000, 1_000_000);
        let (zipf, mut rng) = (Zipf::new(n), Rng::new(1));
        let mut seen = vec![0_u32; n];
        for _ in 0..draws {
            seen[zipf.draw(&mut rng) as usize] += 1;
        }
        let all: f64 = (1..=n).map(|i| (i as f64).powf(-super::THETA)).sum();
        for (i, within) in [(1_u32, 0.02), (2, 0.02), (10, 0.15), (100, 0.15)] {
            let want = f64::from(draws) * f64::from(i).powf(-super::THETA) / all;
            let got = f64::from(seen[i as usize - 1]);
            assert!((got / want - 1.0).abs() < within, "{i}: {got}, not {want}");
        }
        assert!(seen.iter().all(|&n| n > 0));
    }
}
