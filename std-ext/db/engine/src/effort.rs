//! How much the library's own tests do.

/// Returns the usual number of rounds, times the factor in `HEDGEROW_TEST_EFFORT` if that is below 1, and at least
/// `least`.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // Some thousands, and no fewer than none.
pub fn rounds(usual: u64, least: u64) -> u64 {
    let factor = std::env::var("HEDGEROW_TEST_EFFORT").ok();
    let factor = factor.map_or(1.0, |text| text.parse::<f64>().expect("a factor, such as 0.3"));
    ((usual as f64 * factor.min(1.0)) as u64).max(least)
}
