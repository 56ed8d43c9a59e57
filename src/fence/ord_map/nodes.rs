//! `OrdMap`: how it finds, stores and removes nodes. The operations in [`reclaim::map`](crate::reclaim::map) are built
//! from these steps.
//!
//! A node's header has the rank of its key in the place of a hash.
#![allow(clippy::type_complexity)] // Results say in full what comes back.

use super::map::OrdMap;
use super::raw::{NodeQuery, OrderCheck, RawKey};
use crate::api::hash::KeyHash;
use crate::api::op::EntryChange;
use crate::error::Busy;
use crate::fence::tree::leaf::LeafRef;
use crate::fence::tree::rank::{Ranking, rank_of_borrowed, to_word};
use crate::fence::tree::search::{CompareKey, SearchKey};
use crate::reclaim::collector::Readers;
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::Guard;
use crate::reclaim::map::{FindResult, NodeMap, NotStored, Unchanged};
use crate::reclaim::node::Live;
use crate::reclaim::node_memory::NodeMemory;
use crate::reclaim::pair::Pair;
use crate::reclaim::retired::{Fresh, Retired, Unlinked, WaitMode};
use crate::sync::backoff::Backoff;
use core::mem::MaybeUninit;
use equivalent::Comparable;

#[inline(always)]
pub(super) fn read<K>(leaf: LeafRef<'_, RawKey<K>, ()>, at: usize) -> MaybeUninit<RawKey<K>> {
    leaf.fetch_key(at)
}

/// Returns a search for a key whose rank is known.
#[inline(always)]
fn ranked<Q: ?Sized>(key: &Q, rank: KeyHash) -> SearchKey<NodeQuery<'_, Q>> {
    SearchKey { key: NodeQuery(key), rank: rank.0 as usize }
}

impl<K: Ord, V, R: Ranking<K>> OrdMap<K, V, R> {
    #[inline(always)]
    pub(super) fn search_key<'q, Q>(&self, key: &'q Q) -> SearchKey<NodeQuery<'q, Q>>
    where
        Q: ?Sized,
        R: Ranking<Q>,
    {
        SearchKey {
            key: NodeQuery(key),
            rank: to_word::<K>(rank_of_borrowed::<K, Q, R>(self.ranking(), key)),
        }
    }

    /// Borrows an entry for as long as the guard under which it was found.
    #[inline(always)]
    pub(super) fn live<'a>(raw: RawKey<K>, _guard: &'a Guard<'_>) -> Live<'a, Pair<K, V>> {
        // SAFETY: an entry of this map that was found under the guard.
        unsafe { raw.ptr().live() }
    }

    #[inline(always)]
    pub(super) fn find<'a, Q>(
        &'a self,
        key: &Q,
        guard: &'a Guard<'_>,
    ) -> Option<Live<'a, Pair<K, V>>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.tree().get(self.search_key(key), read).map(|raw| Self::live(raw, guard))
    }

    /// Looks up `key`, and waits only if `mode` does.
    #[inline(always)]
    pub(super) fn find_in<'a, Q>(
        &'a self,
        mode: WaitMode,
        key: &Q,
        guard: &'a Guard<'_>,
    ) -> FindResult<'a, Pair<K, V>>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.search(self.search_key(key), mode, guard)
    }

    #[inline(always)]
    fn search<'a>(
        &'a self,
        target: SearchKey<impl CompareKey<RawKey<K>>>,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> FindResult<'a, Pair<K, V>> {
        let found = match mode {
            WaitMode::Blocking => Ok(self.tree().get(target, read)),
            WaitMode::NonBlocking(_) => {
                self.tree().get_by_search(target, read, &mut Backoff::never()).map_err(|_| Busy)
            }
        };
        Ok(found?.map(|raw| Self::live(raw, guard)))
    }

    /// Takes over a node that this call has removed from the tree.
    pub(super) fn unlinked(&self, raw: RawKey<K>) -> Unlinked<'_, Pair<K, V>> {
        // SAFETY: the tree reports each removed entry once, to the call that has removed it.
        unsafe { self.owner().entries.unlinked(raw.ptr()) }
    }

    /// Removes an entry if `wanted` returns true for it. The caller frees bounds afterwards.
    #[inline(always)]
    fn take<'m: 'g, 'g>(
        &'m self,
        target: SearchKey<impl CompareKey<RawKey<K>>>,
        mut wanted: impl FnMut(Live<'g, Pair<K, V>>) -> bool,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Option<Unlinked<'m, Pair<K, V>>>, Busy> {
        let mut removed = None;
        let wanted = |old: &RawKey<K>| wanted(Self::live(*old, guard));
        let taken = |old| removed = Some(self.unlinked(old));
        let done = self.tree().remove_if(target, read, mode.backoff(), wanted, taken);
        // A removal allocates nothing, so `Busy` is the only failure.
        done.map_err(|_| Busy)?;
        Ok(removed)
    }

    /// Removes `key` if `condition` returns true for its entry.
    #[inline(always)]
    pub(super) fn remove_by<Q>(
        &self,
        mode: WaitMode,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Result<Option<Unlinked<'_, Pair<K, V>>>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let removed = self.then_free_bounds(mode.pin(&self.readers).map_err(|_| Busy)?, |guard| {
            let wanted = |node: Live<'_, Pair<K, V>>| condition(node.key(), node.value());
            self.take(self.search_key(key), wanted, mode, guard)
        });
        // Before the return value is made, which would leak if this panicked.
        drop(condition);
        removed
    }

    /// Removes `node` if the map still holds it. Otherwise returns the entry that its key has instead.
    #[inline(always)]
    pub(super) fn remove_node<'m: 'g, 'g>(
        &'m self,
        node: Live<'g, Pair<K, V>>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Unlinked<'m, Pair<K, V>>, Unchanged<'g, Pair<K, V>>> {
        let mut instead = None;
        let is_node = |old: Live<'g, Pair<K, V>>| {
            instead = Some(old);
            old.ptr() == node.ptr()
        };
        // If the node is garbage, its header holds a link instead of a rank. Then no leaf has it, and this finds
        // nothing.
        match self.take(ranked(node.key(), node.hash()), is_node, mode, guard) {
            Ok(Some(removed)) => Ok(removed),
            Ok(None) => Err(Unchanged::Instead(instead)),
            Err(Busy) => Err(Unchanged::Failed(Cause::Busy)),
        }
    }

    /// Runs `work` under the guard, then drops some retired bounds without it. Under a guard, a slow destructor of a
    /// key would keep the retired entries of all maps alive.
    #[inline(always)]
    pub(super) fn then_free_bounds<T>(
        &self,
        guard: Guard<'_>,
        work: impl FnOnce(&Guard<'_>) -> T,
    ) -> T {
        let done = work(&guard);
        drop(guard);
        self.free_bounds();
        done
    }

    /// Frees a few nodes and bounds that no reader can use any more, and returns the memory of a node. The caller holds
    /// no guard: under one, a slow destructor would keep the garbage of all maps.
    #[inline(always)]
    pub(super) fn free_some(&self) -> Option<NodeMemory> {
        let memory = self.owner().entries.free_share();
        self.free_bounds();
        memory
    }

    /// Drops some retired bounds that no reader can have. The caller holds no guard of its own.
    #[inline]
    pub(super) fn free_bounds(&self) {
        drop(self.owner().bounds.free_share());
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Stores `fresh` if `wanted` returns true for the entry of its key, and hands it back otherwise.
    #[inline(always)]
    fn put(
        &self,
        fresh: Fresh<Pair<K, V>>,
        mode: WaitMode,
        mut wanted: impl FnMut(Option<RawKey<K>>) -> bool,
        _guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, Pair<K, V>>>, (Option<Cause>, Fresh<Pair<K, V>>)> {
        // SAFETY: alive: `fresh` owns the node, and once it is published the guard keeps it.
        let target = ranked(unsafe { fresh.0.live() }.key(), fresh.live().hash());
        let raw = RawKey { rank: target.rank, node: Pair::as_key_node(fresh.0.0) };
        let mut before = None;
        let decide = |old: Option<&RawKey<K>>| {
            if wanted(old.copied()) { EntryChange::Entry(raw, ()) } else { EntryChange::Keep }
        };
        let taken = |old| before = Some(self.unlinked(old));
        match self.tree().alter(target, read, mode.backoff(), decide, taken) {
            Ok((_, EntryChange::Entry(..))) => {
                fresh.take();
                Ok(before)
            }
            Ok(_) => Err((None, fresh)),
            Err(why) => Err((Some(why.into()), fresh)),
        }
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> NodeMap for OrdMap<K, V, R> {
    type Node = Pair<K, V>;
    type Attempts = OrderCheck<Pair<K, V>>;

    #[inline(always)]
    fn retired(&self) -> &Retired<Pair<K, V>> {
        &self.owner().entries
    }

    #[inline(always)]
    fn readers(&self) -> &Readers {
        &self.readers
    }

    #[inline(always)]
    fn free_share(&self) -> Option<NodeMemory> {
        self.free_some()
    }

    #[inline(always)]
    fn hash(&self, key: &K) -> KeyHash {
        KeyHash(self.search_key(key).rank as u64)
    }

    #[inline(always)]
    fn find_by<'a>(
        &'a self,
        rank: KeyHash,
        key: &K,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> FindResult<'a, Pair<K, V>> {
        self.search(ranked(key, rank), mode, guard)
    }

    #[inline(always)]
    fn store(
        &self,
        fresh: Fresh<Pair<K, V>>,
        mode: WaitMode,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, Pair<K, V>>>, (Cause, Fresh<Pair<K, V>>)> {
        // Any old entry is accepted, so there is always a reason.
        let stored = self.put(fresh, mode, |_| true, guard);
        stored.map_err(|(why, fresh)| (why.unwrap_or(Cause::Busy), fresh))
    }

    #[inline(always)]
    fn store_if<'m: 'g, 'g>(
        &'m self,
        expected: Option<Live<'g, Pair<K, V>>>,
        fresh: Fresh<Pair<K, V>>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Option<Unlinked<'m, Pair<K, V>>>, NotStored<'g, Pair<K, V>>> {
        let mut instead = None;
        let is_expected = |old: Option<RawKey<K>>| {
            instead = old.map(|raw| Self::live(raw, guard));
            instead.map(Live::ptr) == expected.map(Live::ptr)
        };
        let stored = self.put(fresh, mode, is_expected, guard);
        stored.map_err(|(why, fresh)| match why {
            Some(why) => (Unchanged::Failed(why), fresh),
            None => (Unchanged::Instead(instead), fresh),
        })
    }

    #[inline(always)]
    fn remove_exactly<'m: 'g, 'g>(
        &'m self,
        node: Live<'g, Pair<K, V>>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Unlinked<'m, Pair<K, V>>, Unchanged<'g, Pair<K, V>>> {
        self.remove_node(node, mode, guard)
    }

    /// Counts the conflict, too. The tree counts the same in a map of plain data, where the closure runs after the leaf
    /// was read and before it is locked.
    #[cold]
    fn note_conflict(
        &self,
        order: &mut Self::Attempts,
        rank: KeyHash,
        found: Option<Live<'_, Pair<K, V>>>,
        instead: Option<Live<'_, Pair<K, V>>>,
    ) -> bool {
        let is_contradicted = [found, instead]
            .into_iter()
            .any(|found| order.is_contradicted_by(found.map(Live::ptr)));
        if !is_contradicted {
            self.tree().count_conflict(rank.0 as usize);
        }
        is_contradicted
    }
}
