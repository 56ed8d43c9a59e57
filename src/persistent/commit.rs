//! Commits: changes that were prepared on a version are applied to another one.

use super::map::PersistentMap;
use alloc::vec::Vec;
use core::fmt;

/// Others have changed what a [`commit`](super::SnapshotMap::commit) would change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conflict<K, V> {
    /// The keys that both have changed, in order.
    pub keys: Vec<K>,
    /// The version with which the commit has conflicted: the base of the next attempt.
    pub current: PersistentMap<K, V>,
}

impl<K, V> fmt::Display for Conflict<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys have been changed since the snapshot", self.keys.len())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> core::error::Error for Conflict<K, V> {}

/// Applies the changes that lead from `base` to `new` to a version, if it has what `base` has for each key that they
/// concern. Otherwise leaves it as it is.
pub(super) fn merge<K: Ord + Clone, V: Clone + PartialEq>(
    map: &mut PersistentMap<K, V>,
    base: &PersistentMap<K, V>,
    new: &PersistentMap<K, V>,
) -> Result<(), Conflict<K, V>> {
    if map.ptr_eq(base) {
        map.clone_from(new);
        return Ok(());
    }
    let current = map.clone();
    let mut keys = Vec::new();
    for change in base.diff(new) {
        let (key, new) = change.outcome();
        if current.get(key) != base.get(key) {
            keys.push(key.clone());
        } else if let Some(value) = new {
            map.insert(key.clone(), value.clone());
        } else {
            map.remove(key);
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    map.clone_from(&current);
    Err(Conflict { keys, current })
}
