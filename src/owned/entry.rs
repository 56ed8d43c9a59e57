//! [`Entry`] of `HashMap`.

use super::map::HashMap;
use super::ops::out_of_memory;
use crate::api::entry::Entry;
use crate::api::or_insert::{entries_of_refs, entry_method, modify_or_insert};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::pin;
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::Mode;
use core::hash::{BuildHasher, Hash};

entries_of_refs! { [K: Eq + Hash, V, S: BuildHasher] HashMap<K, V, S> }

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    entry_method!(HashMap);

    /// Inserts an entry for an absent key, and returns a reference to it. Hands key and value back if the key is
    /// present.
    fn insert_new(&self, key: K, value: V) -> Result<Ref<'_, K, V>, (K, V)> {
        let guard = pin();
        let hash = self.hash(&key);
        let fresh = Pair::new(hash, key, value).unwrap_or_else(out_of_memory::<K, V, _, _>);
        let node = fresh.0;
        match self.store_absent(fresh, Mode::Blocking, &guard) {
            // SAFETY: the entry was published while `guard` was held, which goes into the reference.
            Ok(()) => Ok(unsafe { Ref::of_pair(node, guard) }),
            Err((Ok(_), fresh)) => Err(Pair::into_inner(fresh)),
            Err((Err(why), _)) => out_of_memory::<K, V, _, _>(why),
        }
    }
}
