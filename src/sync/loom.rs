//! Models of epochs: a node that a reader has found is not freed while the reader is pinned.
//!
//! The writer comes first (in the main thread, or spawned first). Each model lists its outcomes: it must find all of
//! them, and no other.

use super::barrier::{Barrier, System};
use super::epoch::{Domain, Stamp};
use super::slot::ReaderSlot;
use crate::facade::atomic::{AtomicUsize, Ordering};
use ::loom::cell::UnsafeCell;
use ::loom::model::Builder;
use ::loom::sync::Arc;
use ::loom::thread;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::sync::Mutex;
use std::vec::Vec;

/// Explores `body` and asserts that the outcomes it reported are exactly `expected`.
pub(crate) fn explore<const N: usize>(
    preemptions: usize,
    expected: [&str; N],
    body: impl Fn(&dyn Fn(String)) + Sync + Send + 'static,
) {
    explore_each(preemptions, expected, 0..1, move |_, saw| body(saw));
}

/// As `explore`, for each of `cases`. The outcomes of all cases together are expected.
pub(crate) fn explore_each<const N: usize>(
    preemptions: usize,
    expected: [&str; N],
    cases: core::ops::Range<usize>,
    body: impl Fn(usize, &dyn Fn(String)) + Sync + Send + 'static,
) {
    let seen = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    let body = std::sync::Arc::new(body);
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.into()).collect();
    for case in cases {
        let (body, report, expected) = (body.clone(), seen.clone(), expected.clone());
        builder.check(move || {
            body(case, &|outcome| {
                // Asserted at once, so that the checker reports the schedule that led to the outcome.
                assert!(expected.contains(&outcome), "forbidden outcome: {outcome}");
                report.lock().unwrap().insert(outcome);
            });
        });
    }
    let seen: Vec<String> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!(seen, expected.into_iter().collect::<Vec<_>>(), "outcomes seen and expected");
}

/// A key of two equal words, which differ only if the key is torn. The key is its own hash.
#[derive(Clone, Copy)]
pub(crate) struct Twin([u64; 2]);

impl Twin {
    /// Makes a key whose bin bits are `bits`. All such keys have the same tag.
    pub(crate) const fn of(bits: u64) -> Self {
        Self([bits | 5 << 57; 2])
    }

    /// Returns what user code sees of the key.
    pub(crate) fn seen(&self) -> u64 {
        let Self([one, other]) = *self;
        assert_eq!(one, other, "user code was given a torn key");
        one
    }
}

/// Two nodes, and a link to one of them. Freeing a node is a write to its cell: the model checker finds a reader that
/// reads the node at the same time, or whose read is not ordered before.
struct Model {
    domain: Domain,
    link: AtomicUsize,
    nodes: [UnsafeCell<&'static str>; 2],
}

// SAFETY: the model checker reports unordered accesses to the cells.
unsafe impl Sync for Model {}

impl Model {
    fn new(domain: Domain) -> Self {
        let nodes = [UnsafeCell::new("old"), UnsafeCell::new("new")];
        Self { domain, link: AtomicUsize::new(0), nodes }
    }

    fn read(&self, slot: &ReaderSlot) -> &'static str {
        self.domain.barrier.point();
        self.domain.pin(slot);
        // The table's own ordering: a thread that finds a node sees it initialized.
        let node = self.link.load(Ordering::Acquire);
        self.domain.barrier.point();
        // SAFETY: the model proves that the node is not freed now.
        let seen = self.nodes[node].with(|node| unsafe { *node });
        self.domain.barrier.point();
        Domain::unpin(slot);
        self.domain.barrier.point();
        seen
    }

    /// Reads twice, as the reader whose slot has this number.
    fn read_twice(&self, number: usize) -> (&'static str, &'static str) {
        let slot = self.domain.slot(number);
        (self.read(slot), self.read(slot))
    }

    fn unlink(&self) {
        // The table's own ordering, as in `read`.
        self.link.store(1, Ordering::Release);
    }

    fn free_if_past(&self, stamp: Stamp) -> bool {
        let past = self.domain.is_past(stamp);
        if past {
            // SAFETY: the model proves that no reader reads the node now.
            self.nodes[0].with_mut(|node| unsafe { *node = "freed" });
        }
        past
    }
}

const TWO_READS: [&str; 6] = [
    "new new freed",
    "new new kept",
    "old new freed",
    "old new kept",
    "old old freed",
    "old old kept",
];

fn outcome((first, second): (&str, &str), freed: bool) -> String {
    format!("{first} {second} {}", if freed { "freed" } else { "kept" })
}

/// One reader that pins twice. The scan may never see the idle value in between.
#[test]
fn loom_two_pins_against_free() {
    explore(3, TWO_READS, |saw| {
        let model = Arc::new(Model::new(Domain::new()));
        let theirs = model.clone();
        let number = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.read_twice(number));
        model.unlink();
        let freed = model.free_if_past(model.domain.seal().unwrap());
        saw(outcome(reader.join().unwrap(), freed));
    });
}

/// One thread seals the batch, and another frees it, which sees later pins alone.
#[test]
fn loom_a_batch_freed_by_another_thread() {
    explore(3, TWO_READS, |saw| {
        let model = Arc::new(Model::new(Domain::new()));
        let (theirs, others) = (model.clone(), model.clone());
        let number = model.domain.claim().unwrap().number();
        let writer = thread::spawn(move || {
            others.unlink();
            others.domain.seal().unwrap()
        });
        let reader = thread::spawn(move || theirs.read_twice(number));
        let freed = model.free_if_past(writer.join().unwrap());
        saw(outcome(reader.join().unwrap(), freed));
    });
}

/// Unlinks and frees in a thread of its own. The only barrier is the caller's.
fn served_by_this_thread(
    model: &Arc<Model>,
    reader: thread::JoinHandle<(&'static str, &'static str)>,
) -> String {
    let others = model.clone();
    let writer = thread::spawn(move || {
        others.unlink();
        let stamp = others.domain.stamp();
        others.free_if_past(stamp)
    });
    assert!(model.domain.pass_barrier());
    let freed = writer.join().unwrap();
    outcome(reader.join().unwrap(), freed)
}

/// A thread's barrier serves what another has unlinked before it began, and nothing else.
#[test]
fn loom_a_batch_served_by_another_thread() {
    explore(3, TWO_READS, |saw| {
        let model = Arc::new(Model::new(Domain::new()));
        let theirs = model.clone();
        let number = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.read_twice(number));
        saw(served_by_this_thread(&model, reader));
    });
}

/// As above, with the operating system's barrier.
#[test]
fn loom_a_batch_served_by_another_thread_by_interruption() {
    explore_each(4, TWO_READS, 0..POINTS, |at, saw| {
        let (model, reader) = two_reads(System::serving_at(at));
        saw(served_by_this_thread(&model, reader));
    });
}

/// A slot goes from one reader to another, or the second claims a slot of a new block.
#[test]
fn loom_a_slot_handed_on() {
    explore(3, ["new", "old"], |saw| {
        let model = Arc::new(Model::new(Domain::new()));
        let theirs = model.clone();
        let others = model.clone();
        // One of the block's two slots is taken for good, so both readers want the other.
        let _taken = model.domain.claim().unwrap();
        let reader = thread::spawn(move || {
            let slot = theirs.domain.claim().unwrap();
            let seen = theirs.read(slot);
            slot.release();
            seen
        });
        let other = thread::spawn(move || {
            let slot = others.domain.claim().unwrap();
            let seen = others.read(slot);
            slot.release();
            seen
        });
        model.unlink();
        model.free_if_past(model.domain.seal().unwrap());
        saw(reader.join().unwrap().into());
        saw(other.join().unwrap().into());
    });
}

/// Each read claims a slot, as a guard of a collector does: the same one after the other read, or the other one beside
/// it. The second owner of a slot does not raise the number of slots in use again.
#[test]
fn loom_slots_claimed_for_one_read_each() {
    explore(2, ["new", "old"], |saw| {
        let model = Arc::new(Model::new(Domain::new()));
        // The block exists, with one slot in use.
        model.domain.claim().unwrap().release();
        let read = |theirs: Arc<Model>| {
            move || {
                let slot = theirs.domain.claim_from(1).unwrap();
                let seen = theirs.read(slot);
                slot.release();
                seen
            }
        };
        let readers = [thread::spawn(read(model.clone())), thread::spawn(read(model.clone()))];
        model.unlink();
        model.free_if_past(model.domain.seal().unwrap());
        readers.into_iter().for_each(|reader| saw(reader.join().unwrap().into()));
    });
}

/// Points that a reader passes when it reads twice, and one that it never reaches.
const POINTS: usize = 13;

/// Makes a model with the barrier of `system`, and a reader that reads twice.
fn two_reads(system: System) -> (Arc<Model>, thread::JoinHandle<(&'static str, &'static str)>) {
    let model = Arc::new(Model::new(Domain::with_barrier(Barrier::of_system(system))));
    let theirs = model.clone();
    let number = model.domain.claim().unwrap().number();
    let reader = thread::spawn(move || {
        let seen = theirs.read_twice(number);
        theirs.domain.barrier.end();
        seen
    });
    (model, reader)
}

/// As above, with the operating system's barrier, served at each of the reader's points.
#[test]
fn loom_two_pins_against_free_by_interruption() {
    explore_each(2, TWO_READS, 0..POINTS, |at, saw| {
        let (model, reader) = two_reads(System::serving_at(at));
        model.unlink();
        let freed = model.free_if_past(model.domain.seal().unwrap());
        saw(outcome(reader.join().unwrap(), freed));
    });
}

/// One thread seals the batch, and another frees it, with the operating system's barrier.
#[test]
fn loom_a_batch_freed_by_another_thread_by_interruption() {
    explore_each(2, TWO_READS, 0..POINTS, |at, saw| {
        let domain = Domain::with_barrier(Barrier::of_system(System::serving_at(at)));
        let model = Arc::new(Model::new(domain));
        let (theirs, others) = (model.clone(), model.clone());
        let number = model.domain.claim().unwrap().number();
        let writer = thread::spawn(move || {
            others.unlink();
            others.domain.seal().unwrap()
        });
        let reader = thread::spawn(move || {
            let seen = theirs.read_twice(number);
            theirs.domain.barrier.end();
            seen
        });
        let freed = model.free_if_past(writer.join().unwrap());
        saw(outcome(reader.join().unwrap(), freed));
    });
}

/// Makes a model whose readers rely on the system's barrier, which the system refuses.
fn refused() -> Model {
    Model::new(Domain::with_barrier(Barrier::of_system(System::refusing())))
}

impl Model {
    /// Seals the unlinked node, and frees it if it can. The system does not help, so one try may not be enough.
    fn seal_and_free(&self, attempts: usize) -> &'static str {
        for _ in 0..attempts {
            if let Some(stamp) = self.domain.seal() {
                return if self.free_if_past(stamp) { "freed" } else { "kept" };
            }
            thread::yield_now();
        }
        "not sealed"
    }
}

/// A reader that executed no fence until the system refused. Nothing is sealed before it has said that it executes
/// fences.
#[test]
fn loom_two_pins_against_free_when_the_system_refuses() {
    let outcomes = [
        "new new freed",
        "new new kept",
        "new new not sealed",
        "old new freed",
        "old new kept",
        "old new not sealed",
        "old old not sealed",
    ];
    explore(3, outcomes, |saw| {
        let model = Arc::new(refused());
        let theirs = model.clone();
        let number = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.read_twice(number));
        model.unlink();
        let freed = model.seal_and_free(2);
        let (first, second) = reader.join().unwrap();
        saw(format!("{first} {second} {freed}"));
    });
}

/// As above, with another writer, which may learn first that all readers execute fences.
#[test]
fn loom_two_pins_against_free_when_another_writer_is_refused() {
    let outcomes = [
        "new new freed",
        "new new kept",
        "new new not sealed",
        "old new freed",
        "old new kept",
        "old new not sealed",
        "old old freed",
        "old old kept",
        "old old not sealed",
    ];
    explore(3, outcomes, |saw| {
        let model = Arc::new(refused());
        let (theirs, others) = (model.clone(), model.clone());
        let number = model.domain.claim().unwrap().number();
        let reader = thread::spawn(move || theirs.read_twice(number));
        let other = thread::spawn(move || others.domain.seal().is_some());
        model.unlink();
        let freed = model.seal_and_free(1);
        let (first, second) = reader.join().unwrap();
        other.join().unwrap();
        saw(format!("{first} {second} {freed}"));
    });
}

/// Slots that are claimed meanwhile, perhaps one of them by two readers one after the other. The writer may have found
/// no slots before, and then it relies on fences.
#[test]
fn loom_slots_claimed_when_the_system_refuses() {
    let outcomes = [
        "new new freed",
        "new new kept",
        "new new not sealed",
        "new old freed",
        "new old kept",
        "new old not sealed",
        "old new freed",
        "old new kept",
        "old new not sealed",
        "old old freed",
        "old old kept",
        "old old not sealed",
    ];
    explore(2, outcomes, |saw| {
        let model = Arc::new(refused());
        let read = |theirs: Arc<Model>| {
            move || {
                let slot = theirs.domain.claim().unwrap();
                let seen = theirs.read(slot);
                slot.release();
                seen
            }
        };
        let readers = [thread::spawn(read(model.clone())), thread::spawn(read(model.clone()))];
        let _ = model.domain.seal();
        model.unlink();
        let freed = model.seal_and_free(2);
        let [first, second] = readers.map(|reader| reader.join().unwrap());
        saw(format!("{first} {second} {freed}"));
    });
}

/// The writer runs on every processor once, and relies on fences from then on.
#[test]
fn loom_two_pins_against_free_by_visits() {
    explore_each(2, TWO_READS, 0..POINTS, |at, saw| {
        let (model, reader) = two_reads(System::visited_at(at));
        assert!(model.domain.seal().is_some(), "running on every processor is a barrier");
        model.unlink();
        let freed = model.seal_and_free(1);
        let (first, second) = reader.join().unwrap();
        saw(format!("{first} {second} {freed}"));
    });
}
