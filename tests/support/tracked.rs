//! A value that records whether it was dropped, and counts the values of its kind that were not.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is alive, and panics when it is dropped twice.
pub(crate) struct Tracked {
    pub(crate) value: u64,
    alive: Arc<AtomicUsize>,
    pub(crate) dropped: bool,
}

impl Tracked {
    pub(crate) fn new(value: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { value, alive: alive.clone(), dropped: false }
    }
}

impl Clone for Tracked {
    fn clone(&self) -> Self {
        Self::new(self.value, &self.alive)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        assert!(!self.dropped, "{} dropped twice", self.value);
        self.dropped = true;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartialEq for Tracked {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl Eq for Tracked {}
impl Hash for Tracked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
impl Borrow<u64> for Tracked {
    fn borrow(&self) -> &u64 {
        &self.value
    }
}
impl PartialOrd for Tracked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Tracked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}
