//! `OrdMap`'s [`Entry`].

use super::map::OrdMap;
use crate::api::entry::Entry;
use crate::api::or_insert::{entries_of_refs, entry_method, modify_or_insert};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::pin;
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::Mode;

entries_of_refs! { [K: Ord + Clone, V, R: Ranking<K>] OrdMap<K, V, R> }

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    entry_method!(OrdMap);

    /// Inserts an entry for a key that has none, and returns it. Otherwise hands key and value back.
    fn insert_new(&self, key: K, value: V) -> Result<Ref<'_, K, V>, (K, V)> {
        let guard = pin();
        let fresh = Self::fresh(key, value);
        let node = fresh.0;
        match self.store(fresh, Mode::Blocking, |old| old.is_none(), &guard) {
            // SAFETY: published under the guard.
            Ok(_) => Ok(unsafe { Ref::of_pair(node, guard) }),
            Err((None, fresh)) => Err(Pair::into_inner(fresh)),
            Err((Some(why), _)) => super::ops::out_of_memory::<K, V, _, _>(why),
        }
    }
}
