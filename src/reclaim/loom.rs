//! Models of garbage: a node is freed when no reader can be using it, in any bag.
//!
//! The writer comes first, as in [`sync::loom`](crate::sync::loom). Freeing a node is a write to its cell: the model
//! checker finds a reader that reads the node at the same time, or whose read is not ordered before.

use super::garbage::Garbage;
use super::node::{NodeHeader, NodePtr, ReclaimNode};
use super::node_memory::NodeMemory;
use crate::api::hash::KeyHash;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::epoch::Domain;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::boxed::Box;
use std::format;
use std::vec::Vec;

#[repr(C)]
struct Tracked {
    header: NodeHeader,
    state: UnsafeCell<&'static str>,
}

// SAFETY: the header is the first field. The model keeps the memory, so reading a freed node is defined.
unsafe impl ReclaimNode for Tracked {
    unsafe fn clear(node: NonNull<Self>) -> NodeMemory {
        // SAFETY: the model keeps the memory until it ends.
        let state = unsafe { &(*node.as_ptr()).state };
        state.with_mut(|state| {
            // SAFETY: the model proves that no reader reads the node now.
            let state = unsafe { &mut *state };
            assert_ne!(*state, "freed", "a node is freed twice");
            *state = "freed";
        });
        // SAFETY: the size is not zero. The block stands for the node's memory, which the model keeps.
        unsafe { NodeMemory::get(Layout::new::<u8>(), None) }.unwrap()
    }
}

/// Some nodes, and a link to one of them.
struct Model {
    domain: Domain,
    garbage: Garbage<Tracked>,
    link: AtomicUsize,
    nodes: Vec<Box<Tracked>>,
}

// SAFETY: the model checker reports unordered accesses to the cells.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    fn new(nodes: usize) -> Arc<Self> {
        let state = || UnsafeCell::new("alive");
        let node = |_| Box::new(Tracked { header: NodeHeader::new(KeyHash(0)), state: state() });
        Arc::new(Self {
            domain: Domain::new(),
            garbage: Garbage::new(),
            link: AtomicUsize::new(0),
            nodes: (0..nodes).map(node).collect(),
        })
    }

    /// Reads the link's node while pinned, and returns its number.
    fn read(&self, slot: usize) -> usize {
        let slot = self.domain.slot(slot);
        self.domain.pin(slot);
        // The table's own ordering: a reader that finds a node sees it initialized.
        let found = self.link.load(Ordering::Acquire);
        // SAFETY: the model proves that the node is not freed now.
        let state = self.nodes[found].state.with(|state| unsafe { *state });
        assert_eq!(state, "alive", "a reader reads a node that was freed");
        Domain::unpin(slot);
        found
    }

    /// Links a node in place of another.
    fn replace(&self, node: usize) {
        // The table's own ordering, as in `read`.
        self.link.store(node, Ordering::Release);
    }

    fn shared(&self, node: usize) -> NodePtr<Tracked> {
        NodePtr(NonNull::from(&*self.nodes[node]))
    }

    /// Adds an unlinked node to the garbage, and frees some, as an operation does.
    fn add_and_free(&self, reader: usize, node: usize) {
        // SAFETY: this thread has unlinked the node, or it was never linked; and it is added once.
        unsafe { self.garbage.add_and_free(|| &self.domain, || reader, self.shared(node)) };
    }

    /// Returns true if the node is freed. Called at the end, when all threads have been joined.
    fn is_freed(&self, node: usize) -> bool {
        // SAFETY: there are no other threads.
        self.nodes[node].state.with(|state| unsafe { *state }) == "freed"
    }
}

fn outcome(found: usize, is_freed: bool) -> std::string::String {
    format!("{} {}", ["old", "new"][found], if is_freed { "freed" } else { "kept" })
}

const OUTCOMES: [&str; 4] = ["old freed", "old kept", "new freed", "new kept"];

/// The writer's own operations free the node that it has unlinked.
#[test]
fn loom_read_against_garbage_that_is_freed() {
    explore(3, OUTCOMES, |saw| {
        let model = Model::new(4);
        let theirs = model.clone();
        let slot = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.read(slot));
        model.replace(1);
        // The first operation seals the node. The second executes a barrier, and frees the node if no reader is pinned;
        // so may the third.
        [0, 2, 3].into_iter().for_each(|node| model.add_and_free(0, node));
        let found = reader.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// A call of `reclaim` frees it.
#[test]
fn loom_read_against_reclaim() {
    explore(3, OUTCOMES, |saw| {
        let model = Model::new(2);
        let theirs = model.clone();
        let slot = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.read(slot));
        model.replace(1);
        model.add_and_free(0, 0);
        model.garbage.reclaim(&model.domain);
        let found = reader.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// A batch is sealed, and waits for a barrier of another thread. A second seal adds a node that was unlinked after that
/// barrier began: it does not serve the node, and a reader that pins in its epoch may have found the node.
#[test]
fn loom_read_against_a_batch_that_is_sealed_again() {
    explore(2, OUTCOMES, |saw| {
        let model = Model::new(3);
        let (theirs, others) = (model.clone(), model.clone());
        let slot = model.domain.claim().unwrap().number();
        // No reader finds this node. The first operation seals it.
        model.add_and_free(0, 2);
        let other = thread::spawn(move || assert!(others.domain.pass_barrier()));
        let reader = thread::spawn(move || theirs.read(slot));
        model.replace(1);
        // SAFETY: this thread has unlinked the node, and it is added once.
        unsafe { model.garbage.add(|| &model.domain, || 0, model.shared(0)) };
        model.garbage.reclaim(&model.domain);
        let found = reader.join().unwrap();
        other.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// One thread seals a batch in its bag. Another, which adds to another bag, executes the barrier that serves it, and
/// advances the first bag too.
#[test]
fn loom_read_against_another_bag_that_is_advanced() {
    explore(2, OUTCOMES, |saw| {
        let model = Model::new(6);
        model.garbage.spread();
        let (theirs, others) = (model.clone(), model.clone());
        let slot = model.domain.claim().unwrap().number();
        let writer = thread::spawn(move || {
            others.replace(1);
            others.add_and_free(0, 0);
        });
        let reader = thread::spawn(move || theirs.read(slot));
        // Each operation seals, and the second executes the first barrier. They advance the three bags in turns. The
        // fourth operation comes back to the writer's bag, and frees the node that is reclaimable there.
        [2, 3, 4, 5].into_iter().for_each(|node| model.add_and_free(1, node));
        writer.join().unwrap();
        let found = reader.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// Two threads contend for the only bag, so one of them makes more.
#[test]
fn loom_two_threads_contend_for_a_bag() {
    explore(3, ["one bag", "more bags"], |saw| {
        let model = Model::new(4);
        let theirs = model.clone();
        let writer =
            thread::spawn(move || [0, 1].into_iter().for_each(|node| theirs.add_and_free(0, node)));
        [2, 3].into_iter().for_each(|node| model.add_and_free(1, node));
        writer.join().unwrap();
        assert_eq!(model.garbage.len() + (0..4).filter(|node| model.is_freed(*node)).count(), 4);
        saw(if model.garbage.bytes() == 0 { "one bag" } else { "more bags" }.into());
        model.garbage.reclaim(&model.domain);
        assert!((0..4).all(|node| model.is_freed(node)), "no reader is pinned, and all is freed");
    });
}
