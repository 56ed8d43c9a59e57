//! Histograms of figures that the node's threads count.

use hedgerow_db_engine::gauge::Gauge;

/// A histogram of whole numbers, which are shown in a larger unit.
#[derive(Debug)]
pub(crate) struct SizeHistogram {
    /// Upper bounds of the buckets. One more bucket has no bound.
    bounds: &'static [u64],
    buckets: Box<[Gauge]>,
    sum: Gauge,
    /// How many of the numbers are one in the unit that is shown.
    #[cfg_attr(not(any(test, feature = "metrics")), expect(dead_code, reason = "metrics show it"))]
    unit: f64,
}

impl SizeHistogram {
    pub(crate) fn new(bounds: &'static [u64], unit: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Gauge::default()).collect();
        Self { bounds, buckets, sum: Gauge::default(), unit }
    }

    /// Counts a number.
    pub(crate) fn add(&self, value: u64) {
        self.buckets[self.bounds.partition_point(|bound| *bound < value)].add(1);
        self.sum.add(value);
    }

    #[cfg(any(test, feature = "metrics"))]
    #[expect(clippy::cast_precision_loss, reason = "it is shown with fewer digits")]
    fn shown(&self, number: u64) -> f64 {
        number as f64 / self.unit
    }

    /// Returns the sum of all numbers, in the unit that is shown.
    #[cfg(any(test, feature = "metrics"))]
    pub(crate) fn sum(&self) -> f64 {
        self.shown(self.sum.get())
    }

    /// Returns each bucket's upper bound, in the unit that is shown, and the numbers in that bucket alone.
    #[cfg(any(test, feature = "metrics"))]
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(|bound| self.shown(*bound));
        bounds.chain([f64::INFINITY]).zip(self.buckets.iter().map(Gauge::get)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_up_to_their_bound() {
        let histogram = SizeHistogram::new(&[1000, 5000], 1000.0);
        for value in [0, 1000, 1001, 7000] {
            histogram.add(value);
        }
        assert_eq!(histogram.buckets(), [(1.0, 2), (5.0, 1), (f64::INFINITY, 1)], "wrong buckets");
        assert!((histogram.sum() - 9.001).abs() < 1e-9, "{}", histogram.sum());
    }
}
