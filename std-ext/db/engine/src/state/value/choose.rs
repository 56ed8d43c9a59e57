//! Random entries of a value.

use crate::state::random::Random;
use std::collections::HashSet;

/// A value with entries that can be chosen.
pub(crate) trait Entries: Copy {
    type Entry;

    fn number(self) -> usize;

    /// Returns the entry of an index below the number of entries.
    fn at(self, index: usize) -> Option<Self::Entry>;

    /// Calls `each` with all entries, until it returns false.
    fn each(self, each: &mut dyn FnMut(Self::Entry) -> bool);
}

impl<T: Copy> Entries for &[T] {
    type Entry = T;

    fn number(self) -> usize {
        self.len()
    }

    fn at(self, index: usize) -> Option<T> {
        self.get(index).copied()
    }

    fn each(self, each: &mut dyn FnMut(T) -> bool) {
        let _ = self.iter().all(|entry| each(*entry));
    }
}

/// Returns a random entry; `None` if there are none.
pub(crate) fn choose_one<E: Entries>(entries: E) -> Option<E::Entry> {
    entries.at(random_index(&mut Random::new(), entries.number()))
}

/// Chooses entries, until `each` returns false. A positive count wants as many different ones, or all if there are not
/// more; a negative one wants as many, each chosen among all.
pub(crate) fn choose<E: Entries>(entries: E, count: i64, each: &mut dyn FnMut(E::Entry) -> bool) {
    let (len, mut random) = (entries.number(), Random::new());
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        for _ in 0..wanted {
            let Some(entry) = entries.at(random_index(&mut random, len)) else { return };
            if !each(entry) {
                return;
            }
        }
    } else if wanted >= len {
        entries.each(each);
    } else if wanted > len / 3 {
        // Each of the rest is chosen as often as it is still needed.
        let (mut left, mut needed) = (len, wanted);
        entries.each(&mut |entry| {
            let chosen = random_index(&mut random, left) < needed;
            left -= 1;
            needed -= usize::from(chosen);
            !chosen || each(entry)
        });
    } else {
        let mut seen = HashSet::with_capacity(wanted);
        while seen.len() < wanted {
            let index = random_index(&mut random, len);
            if seen.insert(index)
                && let Some(entry) = entries.at(index)
                && !each(entry)
            {
                return;
            }
        }
    }
}

fn random_index(random: &mut Random, len: usize) -> usize {
    (random.next() as usize).checked_rem(len).unwrap_or(0)
}
