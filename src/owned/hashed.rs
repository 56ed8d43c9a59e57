//! A table of nodes with the hasher of their keys: `HashMap` and `BytesMap` without their types.

use super::nodes::Nodes;
use crate::api::hash::KeyHash;
use crate::api::hasher::mixes_well;
use crate::error::{Busy, TryReserveError};
use crate::reclaim::collector::Readers;
use crate::reclaim::entry::EntryNode;
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::Guard;
use crate::reclaim::map::{FindResult, NodeMap, NotStored, Unchanged};
use crate::reclaim::node::{Live, ReclaimNode};
use crate::reclaim::retired::{Fresh, Retired, Unlinked, WaitMode};
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// Compares the key of a node with the one that a lookup is for. It is no closure of a method, which would have the
/// type parameters of that: each closure of the user would have a copy of all code that searches a table.
#[inline(always)]
fn is<N, Q>(key: &Q) -> impl Fn(Live<'_, N>) -> bool + Copy
where
    N: EntryNode,
    Q: Equivalent<N::Key> + ?Sized,
{
    move |node| key.equivalent(node.key())
}

/// A hash table of nodes, and the hasher of their keys.
pub(super) struct Hashed<N: ReclaimNode, S> {
    pub(super) hash_builder: S,
    pub(super) nodes: Nodes<N>,
}

impl<N: ReclaimNode, S> Hashed<N, S> {
    pub(super) const fn new(hash_builder: S) -> Self {
        Self { hash_builder, nodes: Nodes::new() }
    }

    pub(super) fn with_capacity(
        capacity: usize,
        hash_builder: S,
    ) -> Result<Self, (TryReserveError, S)> {
        match Nodes::with_capacity(capacity) {
            Ok(nodes) => Ok(Self { hash_builder, nodes }),
            Err(why) => Err((why, hash_builder)),
        }
    }

    #[inline(always)]
    pub(super) fn readers(&self) -> &Readers {
        self.nodes.readers()
    }

    pub(super) fn into_nodes(self) -> Nodes<N> {
        let Self { hash_builder, nodes } = self;
        // Dropped here and not at the end of the scope: if its destructor panicked when the return value is made, the
        // nodes would leak.
        drop(hash_builder);
        nodes
    }
}

impl<N: EntryNode, S: BuildHasher> Hashed<N, S> {
    #[inline(always)]
    pub(super) fn hash_of<Q: Hash + ?Sized>(&self, key: &Q) -> KeyHash {
        KeyHash::spread(self.hash_builder.hash_one(key), mixes_well::<S>())
    }

    #[inline(always)]
    pub(super) fn find<'a, Q>(&'a self, key: &Q, guard: &'a Guard<'_>) -> Option<Live<'a, N>>
    where
        Q: Hash + Equivalent<N::Key> + ?Sized,
    {
        self.nodes.get(self.hash_of(key), is(key), guard)
    }

    /// Looks up `key`, and waits only if `mode` does.
    #[inline(always)]
    pub(super) fn find_in<'a, Q>(
        &'a self,
        mode: WaitMode,
        key: &Q,
        guard: &'a Guard<'_>,
    ) -> FindResult<'a, N>
    where
        Q: Hash + Equivalent<N::Key> + ?Sized,
    {
        self.nodes.find(self.hash_of(key), is(key), mode, guard)
    }

    /// Removes `key` if `condition` returns `true` for its entry.
    #[inline(always)]
    pub(super) fn remove_by<Q>(
        &self,
        mode: WaitMode,
        key: &Q,
        mut condition: impl FnMut(&N::Key, &N::Value) -> bool,
    ) -> Result<Option<Unlinked<'_, N>>, Busy>
    where
        Q: Hash + Equivalent<N::Key> + ?Sized,
    {
        let guard = mode.pin(self.readers()).map_err(|_| Busy)?;
        let wanted = |node: Live<'_, N>| condition(node.key(), node.value());
        let removed = self.nodes.remove(self.hash_of(key), is(key), wanted, mode, &guard);
        // Before the return value is made, which would leak if this panicked.
        drop(condition);
        removed
    }
}

impl<N, S> NodeMap for Hashed<N, S>
where
    N: EntryNode<Key: Eq + Hash>,
    S: BuildHasher,
{
    type Node = N;
    type Attempts = ();

    #[inline(always)]
    fn retired(&self) -> &Retired<N> {
        self.nodes.retired()
    }

    #[inline(always)]
    fn readers(&self) -> &Readers {
        self.nodes.readers()
    }

    #[inline(always)]
    fn hash(&self, key: &N::Key) -> KeyHash {
        self.hash_of(key)
    }

    #[inline(always)]
    fn prefetch(&self, hash: KeyHash) {
        self.nodes.prefetch(hash);
    }

    #[inline(always)]
    fn find_by<'a>(
        &'a self,
        hash: KeyHash,
        key: &N::Key,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> FindResult<'a, N> {
        self.nodes.find(hash, |node| node.key() == key, mode, guard)
    }

    #[inline(always)]
    fn store(
        &self,
        fresh: Fresh<N>,
        mode: WaitMode,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, N>>, (Cause, Fresh<N>)> {
        let new = fresh.0;
        // SAFETY: the node stays alive until this returns: `fresh` owns it at first, and when the table has it, the
        // guard keeps it alive.
        let key = unsafe { new.live() }.key();
        let stored = self.nodes.insert(fresh, |node| node.key() == key, mode.backoff(), guard);
        stored.map_err(|(why, fresh)| (why.into(), fresh))
    }

    #[inline(always)]
    fn store_if<'m: 'g, 'g>(
        &'m self,
        expected: Option<Live<'g, N>>,
        fresh: Fresh<N>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Option<Unlinked<'m, N>>, NotStored<'g, N>> {
        let Some(node) = expected else {
            let new = fresh.0;
            // SAFETY: as in `store`.
            let key = unsafe { new.live() }.key();
            let same = |node: Live<'_, N>| node.key() == key;
            return self.nodes.insert_if_absent(fresh, same, mode, guard).map(|()| None);
        };
        self.nodes.replace_exactly(node, fresh, mode, guard)
    }

    #[inline(always)]
    fn remove_exactly<'m: 'g, 'g>(
        &'m self,
        node: Live<'g, N>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Unlinked<'m, N>, Unchanged<'g, N>> {
        match self.nodes.remove_exactly(node, mode, guard) {
            Ok(Some(removed)) => Ok(removed),
            Ok(None) => Err(Unchanged::Instead(None)),
            Err(Busy) => Err(Unchanged::Failed(Cause::Busy)),
        }
    }

    /// Keys cannot keep an operation from ending: it computes a hash once, and compares addresses.
    #[inline(always)]
    fn note_conflict(
        &self,
        (): &mut (),
        _hash: KeyHash,
        _found: Option<Live<'_, N>>,
        _instead: Option<Live<'_, N>>,
    ) -> bool {
        false
    }
}
