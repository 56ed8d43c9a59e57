//! `OrdMap`'s [`Entry`].

use super::map::OrdMap;
use crate::api::entry::Entry;
use crate::api::or_insert::{entries_of_refs, entry_method, modify_or_insert};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::map::{insert_and_borrow, insert_new};
use crate::reclaim::removed::Removed;

entries_of_refs! { [K: Ord + Clone, V, R: Ranking<K>] OrdMap<K, V, R> }

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    entry_method!(OrdMap);
}
