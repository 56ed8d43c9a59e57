//! masstree.

use masstree::{MassTree, RangeBound};

use super::Tree;
use crate::work::trees::BATCH;
use crate::work::{Row, Workload};

/// masstree with its values inline; numbers are keys by their bytes. If two threads change keys, some of its answers are
/// wrong (seen on an AMD EPYC, with 90/10 and 50/50), so it is left out of these rows.
pub struct Masstree(MassTree<u64>);

impl Tree for Masstree {
    const NAME: &'static str = "masstree";

    fn new() -> Self {
        Self(MassTree::new())
    }

    fn can(row: &Row) -> bool {
        let overwrites =
            matches!(row.workload, Workload::Mix(_) | Workload::Hot(_) | Workload::Moving(_));
        row.threads == 1 || !overwrites
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get_with_guard(&key.to_be_bytes(), &self.0.guard())
    }

    #[inline]
    fn get_many(&self, keys: &[u64; BATCH], mut see: impl FnMut(Option<u64>)) {
        let guard = self.0.guard();
        for key in keys {
            see(self.0.get_with_guard(&key.to_be_bytes(), &guard));
        }
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.insert_with_guard(&key.to_be_bytes(), value, &self.0.guard());
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        let guard = self.0.guard();
        loop {
            // An error is that others were in the way too often.
            if let Ok(removed) = self.0.remove_with_guard(&key.to_be_bytes(), &guard) {
                return removed.is_some();
            }
        }
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
        let see = |_: &[u8], value| {
            see(value);
            true
        };
        let (from, to) = (RangeBound::Included(&from), RangeBound::Included(&to));
        self.0.scan(from, to, see, &self.0.guard());
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        let see = |_: &[u8], value| {
            see(value);
            true
        };
        self.0.scan(RangeBound::Unbounded, RangeBound::Unbounded, see, &self.0.guard());
    }
}
