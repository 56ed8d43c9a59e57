//! leapfrog: numbers only, and a mark for speed only.

use super::{Bench, Hasher, hasher};
use crate::work::{Row, Workload};

/// leapfrog's map that threads may share.
pub type Leapfrog = ::leapfrog::LeapMap<u64, u64, Hasher>;

/// Two threads that insert into a map smaller than this have hung.
const SMALL: usize = 1 << 16;

impl Bench for Leapfrog {
    const NAME: &'static str = "leapfrog";
    type Key = u64;
    type Value = u64;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher())
    }

    fn can(row: &Row) -> bool {
        let inserts = match row.workload {
            Workload::Insert | Workload::Remove | Workload::RemoveMany(_) => true,
            Workload::Mix(_) => row.n < SMALL,
            _ => false,
        };
        row.threads == 1 || !inserts
    }

    #[inline]
    fn read(&self, key: &u64, see: impl FnOnce(&u64) -> u64) -> Option<u64> {
        self.get(key)?.value().map(|value| see(&value))
    }

    #[inline]
    fn insert(&self, key: &u64, value: &u64, see: impl FnOnce(&u64) -> u64) -> Option<u64> {
        self.insert(*key, *value).map(|old| see(&old))
    }

    #[inline]
    fn remove(&self, key: &u64, see: impl FnOnce(&u64) -> u64) -> Option<u64> {
        self.remove(key).map(|old| see(&old))
    }

    #[inline]
    fn update(
        &self,
        key: &u64,
        f: impl Fn(&u64) -> u64,
        see: impl FnOnce(&u64) -> u64,
    ) -> Option<u64> {
        let old = self.get_mut(key)?.update(|value| *value = f(value))?;
        Some(see(&f(&old)))
    }

    /// Not atomic where the key is not there, for want of a way.
    #[inline]
    fn alter(&self, key: &u64, f: impl Fn(Option<&u64>) -> u64) {
        if Bench::update(self, key, |old| f(Some(old)), |_| 0).is_none() {
            self.insert(*key, f(None));
        }
    }

    fn each(&self, mut see: impl FnMut(&u64, &u64)) {
        for mut entry in self.iter() {
            if let Some((key, value)) = entry.key_value() {
                see(&key, &value);
            }
        }
    }
}
