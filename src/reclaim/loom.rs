//! Models of garbage: a node is freed when no reader can be looking at it, in whichever thread's bag it lies.
//!
//! The writer comes first, as in [`sync::loom`](crate::sync::loom). Freeing a node is writing its cell: the model
//! checker finds a reader that looks meanwhile, or whose look is not ordered before.

use super::garbage::Garbage;
use super::node::{Header, Node, Shared};
use crate::api::hash::KeyHash;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::epoch::Domain;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use core::ptr::NonNull;
use std::boxed::Box;
use std::format;
use std::vec::Vec;

#[repr(C)]
struct Tracked {
    header: Header,
    state: UnsafeCell<&'static str>,
}

// SAFETY: the header is the first field; the memory is the model's, so that a look at a freed node is defined.
unsafe impl Node for Tracked {
    unsafe fn free(node: NonNull<Self>) {
        // SAFETY: the model keeps the memory until it ends.
        let state = unsafe { &(*node.as_ptr()).state };
        state.with_mut(|state| {
            // SAFETY: what is to be proved.
            let state = unsafe { &mut *state };
            assert_ne!(*state, "freed", "a node is freed twice");
            *state = "freed";
        });
    }
}

/// Some nodes, and the one that the link leads to.
struct Model {
    domain: Domain,
    garbage: Garbage<Tracked>,
    link: AtomicUsize,
    nodes: Vec<Box<Tracked>>,
}

// SAFETY: the cells are what the model checker watches.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    fn new(nodes: usize) -> Arc<Self> {
        let state = || UnsafeCell::new("alive");
        let node = |_| Box::new(Tracked { header: Header::new(KeyHash(0)), state: state() });
        Arc::new(Self {
            domain: Domain::new(),
            garbage: Garbage::new(),
            link: AtomicUsize::new(0),
            nodes: (0..nodes).map(node).collect(),
        })
    }

    /// What a reader finds that is pinned meanwhile.
    fn look(&self, slot: usize) -> usize {
        let slot = self.domain.slot(slot);
        self.domain.pin(slot);
        // The table's own ordering: a reader that meets a node sees it whole.
        let found = self.link.load(Ordering::Acquire);
        // SAFETY: what is to be proved.
        let state = self.nodes[found].state.with(|state| unsafe { *state });
        assert_eq!(state, "alive", "a reader looks at a node that was freed");
        Domain::unpin(slot);
        found
    }

    /// Puts a node in the place of another one.
    fn replace(&self, node: usize) {
        // The table's own ordering, as in `look`.
        self.link.store(node, Ordering::Release);
    }

    fn shared(&self, node: usize) -> Shared<Tracked> {
        Shared(NonNull::from(&*self.nodes[node]))
    }

    /// Gives a node to the garbage that was unlinked, as an operation does that then frees some.
    fn add_and_free(&self, reader: usize, node: usize) {
        // SAFETY: unlinked by this thread, or never linked; and given away once.
        unsafe { self.garbage.add_and_free(&self.domain, reader, self.shared(node)) };
    }

    /// At the end, when all threads have been joined.
    fn is_freed(&self, node: usize) -> bool {
        // SAFETY: nobody else is there.
        self.nodes[node].state.with(|state| unsafe { *state }) == "freed"
    }
}

fn outcome(found: usize, is_freed: bool) -> std::string::String {
    format!("{} {}", ["old", "new"][found], if is_freed { "freed" } else { "kept" })
}

const OUTCOMES: [&str; 4] = ["old freed", "old kept", "new freed", "new kept"];

/// The writer's own operations free what it has unlinked.
#[test]
fn loom_look_against_garbage_that_is_freed() {
    explore(3, OUTCOMES, |saw| {
        let model = Model::new(4);
        let theirs = model.clone();
        let slot = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.look(slot));
        model.replace(1);
        // Sealed, and freed two operations later if nobody looks.
        [0, 2, 3].into_iter().for_each(|node| model.add_and_free(0, node));
        let found = reader.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// A collection frees it.
#[test]
fn loom_look_against_a_collection() {
    explore(3, OUTCOMES, |saw| {
        let model = Model::new(2);
        let theirs = model.clone();
        let slot = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.look(slot));
        model.replace(1);
        model.add_and_free(0, 0);
        model.garbage.collect(&model.domain);
        let found = reader.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// One thread seals a batch in its bag, and another one, which adds to another bag, looks after it.
#[test]
fn loom_look_against_another_bag_that_is_looked_after() {
    explore(2, OUTCOMES, |saw| {
        let model = Model::new(4);
        model.garbage.spread();
        let (theirs, others) = (model.clone(), model.clone());
        let slot = model.domain.claim().unwrap().number();
        let writer = thread::spawn(move || {
            others.replace(1);
            others.add_and_free(0, 0);
        });
        let reader = thread::spawn(move || theirs.look(slot));
        // The first seals, and looks after the first of the other bags; the second frees what was ripe there.
        [2, 3].into_iter().for_each(|node| model.add_and_free(1, node));
        writer.join().unwrap();
        let found = reader.join().unwrap();
        saw(outcome(found, model.is_freed(0)));
    });
}

/// Two threads meet at the only bag, so one of them makes more.
#[test]
fn loom_two_threads_meet_at_a_bag() {
    explore(3, ["one bag", "more bags"], |saw| {
        let model = Model::new(4);
        let theirs = model.clone();
        let writer =
            thread::spawn(move || [0, 1].into_iter().for_each(|node| theirs.add_and_free(0, node)));
        [2, 3].into_iter().for_each(|node| model.add_and_free(1, node));
        writer.join().unwrap();
        assert_eq!(model.garbage.len() + (0..4).filter(|node| model.is_freed(*node)).count(), 4);
        saw(if model.garbage.bytes() == 0 { "one bag" } else { "more bags" }.into());
        model.garbage.collect(&model.domain);
        assert!((0..4).all(|node| model.is_freed(node)), "nobody looks, and all is freed");
    });
}
