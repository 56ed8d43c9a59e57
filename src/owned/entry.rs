//! [`Entry`] of `HashMap`.

use super::map::HashMap;
use crate::api::entry::Entry;
use crate::api::or_insert::{entries_of_refs, entry_method, modify_or_insert};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::map::{insert_and_borrow, insert_new};
use crate::reclaim::removed::Removed;
use core::hash::{BuildHasher, Hash};

entries_of_refs! { [K: Eq + Hash, V, S: BuildHasher] HashMap<K, V, S>, .inner }

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    entry_method!(HashMap);
}
