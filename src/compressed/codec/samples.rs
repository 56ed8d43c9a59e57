//! The selection of samples.

use alloc::vec::Vec;

/// The bytes of a sample that count.
const LONG: usize = 4 << 10;

/// Returns some of the values, from everywhere, of about `bytes` bytes in total.
pub(super) fn spread<'a>(values: &[&'a [u8]], bytes: usize) -> Vec<&'a [u8]> {
    let cut = |value: &&'a [u8]| &value[..value.len().min(LONG)];
    let all: u128 = values.iter().map(|value| value.len().min(LONG) as u128).sum();
    let wanted = bytes as u128;
    // Takes each value whose end is beyond the next of evenly spread points, so that long values count as much as short
    // ones.
    let mut chosen = Vec::new();
    let (mut passed, mut taken) = (0, 0);
    for value in values.iter().map(cut) {
        passed += value.len() as u128;
        if taken * all <= passed * wanted && taken < wanted {
            taken += value.len() as u128;
            chosen.push(value);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_taken_from_everywhere() {
        let values: Vec<Vec<u8>> =
            (0..1000).map(|number| alloc::vec![number as u8; number]).collect();
        let values: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
        let all: usize = values.iter().map(|value| value.len()).sum();
        assert_eq!(spread(&values, all), values);
        assert_eq!(spread(&values, usize::MAX), values);
        let some = spread(&values, all / 10);
        let taken: usize = some.iter().map(|value| value.len()).sum();
        assert!(taken >= all / 10 && taken < all / 10 + 1000, "{taken}");
        let middle = some[some.len() / 2].len();
        assert!((450..550).contains(&middle), "{middle}: a tenth of those of each length");
        assert_eq!(spread(&[&[0; 10_000]], 100), [[0; LONG]]);
        assert!(spread(&[], 100).is_empty());
    }
}
