//! congee.

use super::Tree;
use crate::work::trees::{BATCH, SCANNED};

/// congee's adaptive radix tree.
pub struct Congee(congee::Congee<usize, usize>);

/// Entries copied at a time in a walk over all.
const SOME: usize = 1024;

impl Tree for Congee {
    const NAME: &'static str = "congee";

    fn new() -> Self {
        Self(congee::Congee::default())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&(key as usize), &self.0.pin()).map(|value| value as u64)
    }

    #[inline]
    fn get_many(&self, keys: &[u64; BATCH], mut see: impl FnMut(Option<u64>)) {
        let guard = self.0.pin();
        for &key in keys {
            see(self.0.get(&(key as usize), &guard).map(|value| value as u64));
        }
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        let done = self.0.insert(key as usize, value as usize, &self.0.pin());
        assert!(done.is_ok(), "there is memory");
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&(key as usize), &self.0.pin()).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        let mut found = [(0, 0); SCANNED];
        // It leaves the upper bound out, although its documentation says otherwise.
        let (from, to) = (from as usize, to as usize + 1);
        let count = self.0.range(&from, &to, &mut found, &self.0.pin());
        found[..count].iter().for_each(|&(_, value)| see(value as u64));
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        let guard = self.0.pin();
        let (mut found, mut from) = (vec![(0, 0); SOME], 0);
        loop {
            let count = self.0.range(&from, &usize::MAX, &mut found, &guard);
            found[..count].iter().for_each(|&(_, value)| see(value as u64));
            if count < SOME {
                return;
            }
            from = found[count - 1].0 + 1;
        }
    }
}
