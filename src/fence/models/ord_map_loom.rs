//! Models of a tree whose keys are pointers: a reader compares only nodes that are alive and initialized, while other
//! threads remove entries and bounds.
//!
//! The writer comes first, as in [`tree_loom`](super::tree_loom). All ranks are equal, so every comparison follows a
//! pointer.

use crate::api::op::EntryChange;
use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::leaf::LeafRef;
use crate::fence::tree::policy::{BoundPolicy, KeyPolicy};
use crate::fence::tree::search::{CompareKey, SearchKey};
use crate::memory::AllocError;
use crate::sync::backoff::Backoff;
use crate::sync::epoch::{Domain, Stamp};
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use core::cmp::Ordering;
use core::mem::MaybeUninit;
use std::boxed::Box;
use std::format;
use std::sync::Mutex;
use std::vec::Vec;

/// A key and a value; None once the node is freed. The model checker reports a thread that reads the node at the same
/// time, or whose read is not ordered after the node was made.
struct Node(UnsafeCell<Option<(u64, u64)>>);

/// The address of a node.
#[derive(Clone, Copy)]
struct Address(usize);

impl Address {
    fn node<'a>(self) -> &'a Node {
        // SAFETY: the owner keeps the memory of all nodes until the model ends.
        unsafe { &*(self.0 as *const Node) }
    }

    fn entry(self) -> (u64, u64) {
        // SAFETY: this is what the model proves.
        self.node().0.with(|entry| unsafe { *entry }).expect("alive")
    }

    fn free(self) {
        // SAFETY: this is what the model proves.
        self.node().0.with_mut(|entry| unsafe { *entry = None });
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.entry().0.cmp(&other.entry().0)
    }
}
impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Address {}

#[derive(Clone, Copy)]
struct Number(u64);

impl CompareKey<Address> for Number {
    fn compare(self, _: usize, key: &Address) -> Ordering {
        self.0.cmp(&key.entry().0)
    }
}

/// Owns all nodes, and the retired one with the epoch in which it was retired. Only the writer uses both.
struct Owner {
    domain: Domain,
    nodes: Mutex<Vec<Box<Node>>>,
    retired: Mutex<Option<(Address, Stamp)>>,
}

// SAFETY: the model checker watches all accesses to the cells.
unsafe impl Sync for Owner {}
// SAFETY: as above.
unsafe impl Send for Owner {}

impl Owner {
    fn make(&self, key: u64, value: u64) -> Address {
        let node = Box::new(Node(UnsafeCell::new(Some((key, value)))));
        let address = Address(&raw const *node as usize);
        self.nodes.lock().unwrap().push(node);
        address
    }

    fn retire(&self, node: Address) {
        let stamp = self.domain.seal().unwrap();
        self.retired.lock().unwrap().get_or_insert((node, stamp));
    }

    /// Frees the retired node, unless a reader may still have it.
    fn free(&self) -> &'static str {
        let (node, stamp) = self.retired.lock().unwrap().take().unwrap();
        if !self.domain.is_past(stamp) {
            return "kept";
        }
        node.free();
        "freed"
    }
}

impl KeyPolicy<Address> for Owner {
    const OWNS: bool = true;

    fn rank_word(&self, _: &Address) -> usize {
        0
    }

    fn retire_bound(&self, bound: Address) {
        self.retire(bound);
    }
}

impl BoundPolicy<Address> for Owner {
    fn clone_bound(&self, key: &Address) -> Result<Address, AllocError> {
        Ok(self.make(key.entry().0, 0))
    }
}

type Map = FenceTree<Address, (), Owner>;

fn read(leaf: LeafRef<'_, Address, ()>, at: usize) -> MaybeUninit<Address> {
    leaf.fetch_key(at)
}

impl Map {
    fn of(keys: &[u64]) -> Self {
        let (nodes, retired) = (Mutex::default(), Mutex::default());
        let map = Self::new(Owner { domain: Domain::new(), nodes, retired });
        for key in keys {
            map.put(*key, 0);
        }
        map
    }

    fn at(key: u64) -> SearchKey<Number> {
        SearchKey { key: Number(key), rank: 0 }
    }

    fn put(&self, key: u64, value: u64) {
        let node = self.policy.make(key, value);
        let entry = |_: Option<&Address>| EntryChange::Entry(node, ());
        let taken = |old| self.policy.retire(old);
        self.alter(Self::at(key), read, Backoff::spinning(), entry, taken).unwrap();
    }

    /// Looks a key up while the reader is pinned.
    fn lookup(&self, slot: usize, key: u64) -> Option<(u64, u64)> {
        let domain = &self.policy.domain;
        let slot = domain.slot(slot);
        domain.pin(slot);
        let found = self.get(Self::at(key), read).map(Address::entry);
        Domain::unpin(slot);
        found
    }
}

/// An entry is replaced, and its node freed.
#[test]
fn loom_get_against_an_entry_that_is_retired() {
    explore(2, ["old freed", "old kept", "new freed", "new kept"], |saw| {
        let map = Arc::new(Map::of(&[10, 20]));
        let other = map.clone();
        let slot = map.policy.domain.claim().unwrap().number();
        let reader = thread::spawn(move || other.lookup(slot, 20));
        map.put(20, 1);
        let end = map.policy.free();
        let (_, value) = reader.join().unwrap().expect("always there");
        saw(format!("{} {end}", ["old", "new"][value as usize]));
    });
}

/// Two leaves are merged, and the bound between them is freed.
#[test]
fn loom_get_against_a_bound_that_is_retired() {
    explore(1, ["freed", "kept"], |saw| {
        // The frames of splits and merges are large without optimization, and the checker's stacks are small.
        let writer = thread::Builder::new().stack_size(1 << 18).spawn(merge_under_a_reader);
        let (end, found) = writer.unwrap().join().unwrap();
        assert_eq!(found, Some((40, 0)), "a key that stays is missed");
        saw(end.into());
    });
}

/// Returns whether the bound was freed, and the entry that a reader found meanwhile.
fn merge_under_a_reader() -> (&'static str, Option<(u64, u64)>) {
    let map = Map::of(&[10, 20, 30, 40, 35, 25]);
    for key in [20, 25, 30, 35] {
        let taken = |_| ();
        map.alter(Map::at(key), read, Backoff::spinning(), |_| EntryChange::Remove, taken).unwrap();
    }
    let head = map.head().unwrap();
    assert!(head.begin().meta.has_hi() && map.policy.retired.lock().unwrap().is_none());
    let map = Arc::new(map);
    let other = map.clone();
    let slot = map.policy.domain.claim().unwrap().number();
    let reader = thread::spawn(move || other.lookup(slot, 40));
    let head = map.head().unwrap();
    map.merge_if_sparse(head, &mut Backoff::spinning());
    assert!(!head.begin().meta.has_hi(), "joined");
    let end = map.policy.free();
    (end, reader.join().unwrap())
}
