//! The operations that all maps of owned data share, written once.
//!
//! A map says how it finds, stores and removes nodes ([`NodeMap`]). The operations here are built from these steps.
//! Each takes a [`WaitMode`]: an operation that waits and its `try_` variant are the same function, whose name ends in
//! `_by` or, if it runs under a guard of the caller, in `_under`.
//!
//! Every user destructor runs before a [`Ref`] exists, or after the function has returned: a destructor that panics
//! after the return value is made would leak its guard, and keep the garbage of all maps.
#![allow(clippy::type_complexity)] // The signatures show the full results.

use super::borrowed::Ref;
use super::collector::Readers;
use super::entry::{EntryNode, NodeOf};
use super::errors::{Cause, RefusedInsert};
use super::garbage::Freed;
use super::guard::Guard;
use super::node::Live;
use super::node_memory::NodeMemory;
use super::pair::{Pair, out_of_memory};
use super::retired::{Fresh, Retired, Unlinked, WaitMode};
use crate::api::hash::KeyHash;
use crate::api::op::{Computed, Op};
use crate::error::{Busy, OccupiedError};
use core::borrow::Borrow;

type KeyOf<M> = <<M as NodeMap>::Node as EntryNode>::Key;
type ValueOf<M> = <<M as NodeMap>::Node as EntryNode>::Value;

/// The node that a lookup has found.
pub(crate) type FindResult<'a, N> = Result<Option<Live<'a, N>>, Busy>;

/// The nodes of a key before and after an operation.
pub(crate) type BeforeAfter<'a, N> = (Option<Live<'a, N>>, Option<Live<'a, N>>);

/// Why a map did not change an entry.
pub(crate) enum Unchanged<'a, N> {
    /// The map does not have the expected entry. If the map knows the entry that the key has instead, this is it.
    Instead(Option<Live<'a, N>>),
    /// The operation failed.
    Failed(Cause),
}

impl<N> Unchanged<'_, N> {
    /// Returns the cause for an operation that does not wait. A second attempt would be a way of waiting.
    fn into_cause(self) -> Cause {
        match self {
            Self::Instead(_) => Cause::Busy,
            Self::Failed(why) => why,
        }
    }
}

/// A node that was not stored, and the reason.
pub(crate) type NotStored<'a, N> = (Unchanged<'a, N>, Fresh<N>);

/// A map of nodes that guards keep alive.
///
/// Each method runs under a guard of its caller, so a node that it returns stays alive as long as that guard is held.
pub(crate) trait NodeMap {
    type Node: EntryNode;
    /// The memory of an operation about its failed attempts.
    type Attempts: Default;

    fn retired(&self) -> &Retired<Self::Node>;

    /// Returns the readers of `retired`, from where every lookup has them in its cache.
    fn readers(&self) -> &Readers;

    /// Frees a few nodes that no reader can use any more, and returns the memory of one. The caller holds no guard:
    /// under one, a slow destructor would keep the garbage of all maps.
    #[inline(always)]
    fn free_share(&self) -> Option<NodeMemory> {
        self.retired().free_share()
    }

    /// Returns the hash of a key. An ordered map returns its rank.
    fn hash(&self, key: &KeyOf<Self>) -> KeyHash;

    /// Requests the memory in which a search for a hash begins. A map whose searches begin elsewhere does nothing.
    #[inline(always)]
    fn prefetch(&self, _hash: KeyHash) {}

    fn find_by<'a>(
        &'a self,
        hash: KeyHash,
        key: &KeyOf<Self>,
        mode: WaitMode,
        guard: &'a Guard<'_>,
    ) -> FindResult<'a, Self::Node>;

    /// Stores `fresh`, and returns the node of its key that it replaces. If that fails, returns `fresh` with the cause.
    fn store(
        &self,
        fresh: Fresh<Self::Node>,
        mode: WaitMode,
        guard: &Guard<'_>,
    ) -> Result<Option<Unlinked<'_, Self::Node>>, (Cause, Fresh<Self::Node>)>;

    /// Stores `fresh` if the entry of its key is `expected`, or if the key is absent and `expected` is `None`.
    /// Otherwise returns `fresh` with the cause.
    ///
    /// This compares addresses, not keys. A key's `Eq` might say something else than before, and an equal key might
    /// belong to an entry that another thread inserted in the meantime. The address is unambiguous: the guard keeps
    /// `expected` alive, so no other node has it.
    fn store_if<'m: 'g, 'g>(
        &'m self,
        expected: Option<Live<'g, Self::Node>>,
        fresh: Fresh<Self::Node>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Option<Unlinked<'m, Self::Node>>, NotStored<'g, Self::Node>>;

    /// Removes `node` if the map still holds it. Compares addresses, as `store_if` does.
    fn remove_exactly<'m: 'g, 'g>(
        &'m self,
        node: Live<'g, Self::Node>,
        mode: WaitMode,
        guard: &'g Guard<'_>,
    ) -> Result<Unlinked<'m, Self::Node>, Unchanged<'g, Self::Node>>;

    /// Notes that the map had `instead` when an operation was about to change `found`. Returns `true` if the map's keys
    /// contradict themselves, so that the operation might never end.
    fn note_conflict(
        &self,
        attempts: &mut Self::Attempts,
        hash: KeyHash,
        found: Option<Live<'_, Self::Node>>,
        instead: Option<Live<'_, Self::Node>>,
    ) -> bool;

    /// Returns the mode of an operation that does not wait. It is called before the operation takes its guard.
    #[inline]
    fn non_blocking(&self) -> WaitMode {
        self.retired().non_blocking()
    }

    /// Begins an operation that makes garbage: returns the hash of its key, and frees a node.
    ///
    /// The node is freed while the processor fetches the key's bin, which takes about as long in a map that is larger
    /// than the caches. The operation's own node gets its memory. The operation takes its guard later: see `update_by`.
    /// When it has taken place, the caller calls [`Freed::resume`], and so loses nothing if a destructor has panicked.
    #[inline(always)]
    fn begin(&self, mode: WaitMode, key: &KeyOf<Self>) -> (KeyHash, Freed) {
        let hash = self.hash(key);
        self.prefetch(hash);
        (hash, self.retired().free_one_before(mode))
    }

    /// Stores an entry, and returns the one that it replaces. `hash` and `freed` are from [`begin`](Self::begin).
    #[inline(always)]
    fn insert_by<K: Borrow<KeyOf<Self>>, V>(
        &self,
        mode: WaitMode,
        hash: KeyHash,
        key: K,
        value: V,
        freed: &mut Freed,
    ) -> Result<Option<Unlinked<'_, Self::Node>>, RefusedInsert<K, V>>
    where
        Self::Node: NodeOf<K, V>,
    {
        let guard = match mode.room().and_then(|()| mode.pin(self.readers())) {
            Ok(guard) => guard,
            Err(why) => return Err((why, key, value)),
        };
        match Self::Node::make(hash, key, value, freed.take_memory()) {
            Ok((fresh, kept)) => match self.store(fresh, mode, &guard) {
                Ok(before) => Ok(before),
                Err((why, fresh)) => Err(with_parts(why, fresh, kept)),
            },
            Err(refused) => Err(refused),
        }
    }

    /// Stores an entry if its key is absent.
    #[inline(always)]
    fn insert_if_absent_by<K: Borrow<KeyOf<Self>>, V>(
        &self,
        mode: WaitMode,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V>>, RefusedInsert<K, V>>
    where
        Self::Node: NodeOf<K, V>,
    {
        let guard = match mode.pin(self.readers()) {
            Ok(guard) => guard,
            Err(why) => return Err((why, key, value)),
        };
        let hash = self.hash(key.borrow());
        // A lookup first: if the key has a value, the operation takes no lock and allocates nothing.
        match self.find_by(hash, key.borrow(), mode, &guard) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Err(OccupiedError::new(key, value, ()))),
            Err(Busy) => return Err((Cause::Busy, key, value)),
        }
        if let Err(why) = mode.room() {
            return Err((why, key, value));
        }
        match self.insert_new_under(mode, hash, key, value, &guard) {
            Ok(_) => Ok(Ok(())),
            // Another thread has inserted the key since the lookup.
            Err((Unchanged::Instead(_), key, value)) => Ok(Err(OccupiedError::new(key, value, ()))),
            Err((Unchanged::Failed(why), key, value)) => Err((why, key, value)),
        }
    }

    /// Inserts an entry if its key is absent. Otherwise returns key and value, with the entry of the key or the cause
    /// of the failure.
    #[inline(always)]
    fn insert_new_under<'a, K, V>(
        &'a self,
        mode: WaitMode,
        hash: KeyHash,
        key: K,
        value: V,
        guard: &'a Guard<'_>,
    ) -> Result<Live<'a, Self::Node>, (Unchanged<'a, Self::Node>, K, V)>
    where
        Self::Node: NodeOf<K, V>,
    {
        let (fresh, kept) = match Self::Node::make(hash, key, value, None) {
            Ok(made) => made,
            Err((why, key, value)) => return Err((Unchanged::Failed(why), key, value)),
        };
        let new = fresh.0;
        match self.store_if(None, fresh, mode, guard) {
            // SAFETY: inserted while the guard is held, which keeps the node alive.
            Ok(_) => Ok(unsafe { new.live() }),
            Err((why, fresh)) => {
                let (key, value) = Self::Node::take_apart(fresh, kept);
                Err((why, key, value))
            }
        }
    }

    /// Returns the entry of `key`. If the key is absent, inserts the value that `make_value` returns.
    #[inline(always)]
    fn get_or_insert_under<'a, K: Borrow<KeyOf<Self>>, V>(
        &'a self,
        mode: WaitMode,
        key: K,
        make_value: impl FnOnce(&K) -> V,
        guard: &'a Guard<'_>,
    ) -> Result<Live<'a, Self::Node>, RefusedInsert<K, Option<V>>>
    where
        Self::Node: NodeOf<K, V>,
    {
        let hash = self.hash(key.borrow());
        // A lookup first: if the key has a value, the operation takes no lock and allocates nothing.
        match self.find_by(hash, key.borrow(), mode, guard) {
            Ok(None) => {}
            Ok(Some(node)) => return Ok(node),
            Err(Busy) => return Err((Cause::Busy, key, None)),
        }
        // Before `make_value` runs: at the limit, the call would be in vain.
        if let Err(why) = mode.room() {
            return Err((why, key, None));
        }
        let value = make_value(&key);
        match self.insert_new_under(mode, hash, key, value, guard) {
            Ok(node) => Ok(node),
            // The entry that the insertion found, not a second lookup: an `Eq` that answers differently each time could
            // then miss it.
            Err((Unchanged::Instead(Some(found)), ..)) => Ok(found),
            Err((why, key, value)) => Err((why.into_cause(), key, Some(value))),
        }
    }

    /// Does what `get_or_insert_under` does, under a guard of its own that it returns with the entry.
    #[inline(always)]
    fn get_or_insert_by<K: Borrow<KeyOf<Self>>, V>(
        &self,
        mode: WaitMode,
        key: K,
        make_value: impl FnOnce(&K) -> V,
    ) -> Result<Ref<'_, KeyOf<Self>, ValueOf<Self>>, RefusedInsert<K, Option<V>>>
    where
        Self::Node: NodeOf<K, V>,
    {
        let guard = match mode.pin(self.readers()) {
            Ok(guard) => guard,
            Err(why) => return Err((why, key, None)),
        };
        let got = self.get_or_insert_under(mode, key, make_value, &guard)?.ptr();
        // SAFETY: the call found the node under this guard, or inserted it.
        Ok(unsafe { Ref::of(got, guard) })
    }

    /// Replaces the value of the entry that `find` finds by the result of `f`. Borrows the new entry.
    #[inline(always)]
    fn update_by<K: Clone, V>(
        &self,
        mode: WaitMode,
        find: impl for<'a> Fn(&'a Self, &'a Guard<'_>) -> FindResult<'a, Self::Node>,
        mut f: impl FnMut(&V) -> V,
    ) -> Result<Option<Ref<'_, K, V>>, (Cause, Option<V>)>
    where
        Self: NodeMap<Node = Pair<K, V>>,
    {
        // Before the guard is taken: under a guard, a slow destructor would keep the garbage of all maps.
        let mut spare = self.free_share();
        let guard = match mode.pin(self.readers()) {
            Ok(guard) => guard,
            Err(why) => return Err((why, None)),
        };
        let mut attempts = Self::Attempts::default();
        let why = loop {
            let node = match find(self, &guard) {
                Ok(Some(node)) => node,
                Ok(None) => return Ok(None),
                Err(Busy) => break Cause::Busy,
            };
            // The hash that the node was stored with, not `self.hash` of its key: a `Hash` that answers differently
            // each time would send every attempt to another bin, and the loop would not end. If the node is garbage by
            // now, its header holds no hash. Then the map does not have the node, and the replacement fails.
            let (pair, hash) = (node.fields(), node.hash());
            // Before `f` runs: at the limit, the call would be in vain.
            if let Err(why) = mode.room() {
                break why;
            }
            let key = pair.key.clone();
            let (fresh, ()) = match Pair::make(hash, key, f(&pair.value), spare.take()) {
                Ok(made) => made,
                Err(refused) => return without_key(refused),
            };
            let new = fresh.0;
            let (why, fresh) = match self.store_if(Some(node), fresh, mode, &guard) {
                Ok(before) => {
                    // Retired, not dropped: a destructor would run under the guard that this returns.
                    before.into_iter().for_each(Unlinked::retire);
                    // Dropped before the return value is made: if the destructor of `f` panicked afterwards, the guard
                    // of the return value would leak.
                    drop(f);
                    // SAFETY: inserted under this guard.
                    return Ok(Some(unsafe { Ref::of(new, guard) }));
                }
                Err(not_stored) => not_stored,
            };
            match why {
                // Another thread has replaced or removed the node, so `f` has seen an old value.
                Unchanged::Instead(instead) if mode.waits() => {
                    if self.note_conflict(&mut attempts, hash, Some(node), instead) {
                        return Ok(None);
                    }
                }
                why => return with_value(why.into_cause(), fresh),
            }
        };
        Err((why, None))
    }

    /// Changes the entry of `key` as `f` decides. Returns the nodes before and after. A new node gets the memory
    /// `spare`, if that is of its size.
    ///
    /// It calls the key's `Hash` once, and identifies the entry by its address. So it terminates even if `Hash` and
    /// `Eq` give different answers each time.
    #[inline(always)]
    fn compute_under<'a, K: Borrow<KeyOf<Self>>, V>(
        &'a self,
        mode: WaitMode,
        mut key: K,
        mut f: impl FnMut(Option<&ValueOf<Self>>) -> Op<V>,
        mut spare: Option<NodeMemory>,
        guard: &'a Guard<'_>,
    ) -> Result<BeforeAfter<'a, Self::Node>, RefusedInsert<K, Option<V>>>
    where
        Self::Node: NodeOf<K, V>,
    {
        let hash = self.hash(key.borrow());
        // `known` is the entry that the last attempt found instead. It replaces the next lookup, which might miss the
        // entry if `Eq` answers differently each time. The loop would then go on without end.
        let (mut known, mut attempts) = (None, Self::Attempts::default());
        loop {
            let found = match known.take() {
                Some(node) => Some(node),
                None => match self.find_by(hash, key.borrow(), mode, guard) {
                    Ok(found) => found,
                    Err(Busy) => return Err((Cause::Busy, key, None)),
                },
            };
            let (why, value) = match (f(found.map(Live::value)), found) {
                (Op::Keep, _) | (Op::Remove, None) => return Ok((found, found)),
                (Op::Remove, Some(node)) => match self.remove_exactly(node, mode, guard) {
                    Ok(removed) => {
                        // Not dropped: a destructor would run under the caller's guard.
                        removed.retire();
                        return Ok((found, None));
                    }
                    Err(why) => (why, None),
                },
                (Op::Insert(value), _) => {
                    if let Err(why) = mode.room() {
                        return Err((why, key, Some(value)));
                    }
                    let (fresh, kept) = match Self::Node::make(hash, key, value, spare.take()) {
                        Ok(made) => made,
                        Err((why, key, value)) => return Err((why, key, Some(value))),
                    };
                    let new = fresh.0;
                    match self.store_if(found, fresh, mode, guard) {
                        Ok(before) => {
                            // Not dropped: a destructor would run under the caller's guard.
                            before.into_iter().for_each(Unlinked::retire);
                            // SAFETY: inserted while the guard is held, which keeps the node alive.
                            return Ok((found, Some(unsafe { new.live() })));
                        }
                        Err((why, fresh)) => {
                            let value;
                            (key, value) = Self::Node::take_apart(fresh, kept);
                            (why, Some(value))
                        }
                    }
                }
            };
            match why {
                Unchanged::Failed(why) => return Err((why, key, value)),
                // Another thread has replaced or removed the entry. A second attempt counts as waiting, so a `try_`
                // operation fails instead.
                Unchanged::Instead(_) if !mode.waits() => return Err((Cause::Busy, key, value)),
                // `f` decides again from the new value.
                Unchanged::Instead(instead) => {
                    if self.note_conflict(&mut attempts, hash, found, instead) {
                        return Ok((None, None));
                    }
                    known = instead;
                }
            }
        }
    }

    /// Does what `compute_under` does, under a guard of its own that it returns with the entries.
    #[inline(always)]
    fn compute_by<K: Borrow<KeyOf<Self>>, V>(
        &self,
        mode: WaitMode,
        key: K,
        f: impl FnMut(Option<&ValueOf<Self>>) -> Op<V>,
    ) -> Result<Computed<Ref<'_, KeyOf<Self>, ValueOf<Self>>>, RefusedInsert<K, Option<V>>>
    where
        Self::Node: NodeOf<K, V>,
    {
        let spare = self.free_share();
        let guard = match mode.pin(self.readers()) {
            Ok(guard) => guard,
            Err(why) => return Err((why, key, None)),
        };
        let (before, after) = self.compute_under(mode, key, f, spare, &guard)?;
        let (before, after) = (before.map(Live::ptr), after.map(Live::ptr));
        // SAFETY: the call found the nodes under this guard, or inserted them.
        Ok(unsafe { Ref::of_both(before, after, guard) })
    }
}

/// Inserts an entry if its key is absent, and borrows it. Otherwise returns key and value.
pub(crate) fn insert_new<K, V>(
    map: &impl NodeMap<Node = Pair<K, V>>,
    key: K,
    value: V,
) -> Result<Ref<'_, K, V>, (K, V)> {
    let guard = map.readers().pin();
    let hash = map.hash(&key);
    let inserted = map.insert_new_under(WaitMode::Blocking, hash, key, value, &guard);
    match inserted.map(Live::ptr) {
        // SAFETY: inserted under this guard.
        Ok(node) => Ok(unsafe { Ref::of(node, guard) }),
        Err((Unchanged::Instead(_), key, value)) => Err((key, value)),
        Err((why, ..)) => out_of_memory::<K, V, _, _>(why),
    }
}

/// Inserts an entry, which replaces that of an equal key, and borrows it.
#[cold]
pub(crate) fn insert_and_borrow<K, V>(
    map: &impl NodeMap<Node = Pair<K, V>>,
    key: K,
    value: V,
) -> Ref<'_, K, V> {
    let guard = map.readers().pin();
    let (fresh, ()) = match Pair::make(map.hash(&key), key, value, None) {
        Ok(made) => made,
        Err((why, ..)) => return out_of_memory::<K, V, _, _>(why),
    };
    let new = fresh.0;
    match map.store(fresh, WaitMode::Blocking, &guard) {
        Ok(before) => {
            // Not dropped: a destructor would run under the guard that this returns.
            before.into_iter().for_each(Unlinked::retire);
            // SAFETY: inserted under this guard.
            unsafe { Ref::of(new, guard) }
        }
        Err((why, _)) => out_of_memory::<K, V, _, _>(why),
    }
}

/// Returns the cause of a failed insertion with the key and the value of the node that was not stored.
#[cold]
fn with_parts<N: NodeOf<K, V>, K, V>(
    why: Cause,
    fresh: Fresh<N>,
    kept: N::Kept,
) -> RefusedInsert<K, V> {
    let (key, value) = N::take_apart(fresh, kept);
    (why, key, value)
}

/// Returns the error of an update, which has a key of its own.
#[cold]
fn without_key<T, K, V>((why, _, value): RefusedInsert<K, V>) -> Result<T, (Cause, Option<V>)> {
    Err((why, Some(value)))
}

/// Returns the error of an update whose node was not stored: the cause, and the node's value.
#[cold]
fn with_value<T, K, V>(why: Cause, fresh: Fresh<Pair<K, V>>) -> Result<T, (Cause, Option<V>)> {
    Err((why, Some(Pair::into_inner(fresh).1)))
}
