//! Walks over ordered maps that end at either end.

use super::rng::Rng;
use std::fmt::Debug;

/// Takes entries from both ends, in an order by chance, until the ends meet.
pub(crate) fn same_from_both_ends<T: PartialEq + Debug>(
    rng: &mut Rng,
    mut walk: impl DoubleEndedIterator<Item = T>,
    mut expected: impl DoubleEndedIterator<Item = T>,
) {
    let seldom = 1 + rng.below(20);
    loop {
        let next = if rng.one_in(seldom) {
            (walk.next(), expected.next())
        } else {
            (walk.next_back(), expected.next_back())
        };
        assert_eq!(next.0, next.1, "a walk from both ends");
        if next.0.is_none() {
            break;
        }
    }
    assert!(walk.next().is_none() && walk.next_back().is_none(), "a walk that is over goes on");
}

/// The keys that a map has for [`meets_what_stays_once`].
pub(crate) fn every_fourth() -> impl Iterator<Item = u64> {
    (0..80_000).step_by(4)
}

/// Walks over [`every_fourth`] key from the end. Keys behind the walk are removed, so that their leaves are merged with
/// the walk's leaf. Keys in front of it are inserted, so that leaves are split. `change(key, is_there)` makes the
/// changes.
pub(crate) fn meets_what_stays_once(walk: impl Iterator<Item = u64>, change: impl Fn(u64, bool)) {
    let stays = |key: u64| key.is_multiple_of(32);
    let mut rng = Rng::new(7);
    let (mut met, mut before) = (0, u64::MAX);
    for key in walk {
        assert!(key < before, "{key} comes after {before}");
        met += u64::from(stays(key));
        before = key;
        if key.is_multiple_of(128) {
            (key..key + 256).filter(|key| !stays(*key)).for_each(|key| change(key, false));
        }
        for _ in 0..4 {
            let key = key.saturating_sub(1 + rng.next() % 400);
            if !stays(key) && key < before {
                change(key, true);
            }
        }
    }
    assert_eq!(met, 80_000 / 32, "keys that stay, met by a walk");
}
