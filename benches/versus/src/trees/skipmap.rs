//! crossbeam's skip list.

use super::Tree;
use crate::work::{Row, Workload};

/// crossbeam's map. While one thread replaces a value others do not find its key, so
/// it is kept out of rows where two threads share keys that are overwritten.
pub struct Skipmap(crossbeam_skiplist::SkipMap<u64, u64>);

impl Tree for Skipmap {
    const NAME: &'static str = "skipmap";

    fn new() -> Self {
        Self(crossbeam_skiplist::SkipMap::new())
    }

    fn can(row: &Row) -> bool {
        let overwrites = matches!(
            row.workload,
            Workload::ScanHot | Workload::Mix(_) | Workload::Hot(_) | Workload::Moving(_)
        );
        let at_once = matches!(row.workload, Workload::Snapshot | Workload::Reported(_));
        !at_once && (row.threads == 1 || !overwrites)
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key).map(|entry| *entry.value())
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.range(from..=to).for_each(|entry| see(*entry.value()));
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.iter().for_each(|entry| see(*entry.value()));
    }
}
