//! Models of the two sides: a side does not change while a reader is in it.
//!
//! A side is a cell with the number of the swap that made it the read side. The model checker finds a writer that
//! changes a side while a reader is in it, or whose change is not ordered after the read section.

use super::barrier::{Barrier, System};
use super::loom::{explore, explore_each};
use super::registry::Registry;
use super::sides::{PendingSwap, SideState, Sides};
use super::slot::{FENCING, LIGHT, ReaderSlot};
use crate::facade::atomic::Ordering;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use core::cell::Cell;
use std::format;
use std::string::ToString;

struct Model {
    sides: Sides,
    registry: Registry,
    cells: [UnsafeCell<usize>; 2],
}

// SAFETY: the model checker reports unordered accesses to the cells.
unsafe impl Sync for Model {}

impl Model {
    fn new(sides: Sides) -> Arc<Self> {
        let cells = [UnsafeCell::new(0), UnsafeCell::new(0)];
        Arc::new(Self { sides, registry: Registry::new(), cells })
    }

    fn claim(&self) -> usize {
        self.registry.claim().unwrap().number()
    }

    fn slot(&self, number: usize) -> &ReaderSlot {
        self.registry.slots().nth(number).unwrap()
    }

    fn see(&self, state: SideState) -> usize {
        // SAFETY: the model proves that no writer changes this side now.
        self.cells[state.read_index()].with(|cell| unsafe { *cell })
    }

    /// Reads once, and returns what the reader saw. `known` is kept as a handle keeps it.
    fn read(&self, slot: &ReaderSlot, known: &Cell<SideState>) -> usize {
        self.sides.barrier.point();
        known.set(self.sides.begin_read(slot, known.get()));
        assert!(Sides::is_outermost_read(slot));
        self.sides.barrier.point();
        let seen = self.see(known.get());
        self.sides.barrier.point();
        Sides::end_read(slot);
        self.sides.barrier.point();
        seen
    }

    /// Returns what the writer left on the write side.
    fn see_write_side(&self) -> usize {
        // SAFETY: the writer calls this, and only the writer changes the write side.
        self.cells[self.sides.state().write_index()].with(|cell| unsafe { *cell })
    }

    fn read_twice(&self, slot: &ReaderSlot, known: SideState) -> [usize; 2] {
        let known = Cell::new(known);
        [self.read(slot, &known), self.read(slot, &known)]
    }

    /// Makes the future owner of a slot execute no fences, and returns the state that it knows.
    fn lighten(&self, slot: &ReaderSlot) -> SideState {
        // relaxed: there are no other threads yet.
        slot.fencing.store(LIGHT, Ordering::Relaxed);
        self.sides.state()
    }

    fn change(&self, to: usize) {
        // SAFETY: the model proves that no reader is in this side now.
        self.cells[self.sides.state().write_index()].with_mut(|cell| unsafe { *cell = to });
    }

    fn is_over(&self, swap: &mut PendingSwap, ask_system: bool) -> bool {
        self.sides.is_over(swap, || self.registry.slots(), ask_system)
    }

    /// Publishes: the change, the swap, the wait, and the same change on the other side.
    fn publish(&self, to: usize) {
        self.change(to);
        let mut swap = self.sides.swap(self.registry.slots());
        let may_ask = self.sides.barrier.is_asymmetric();
        while !self.is_over(&mut swap, false) && !(may_ask && self.is_over(&mut swap, true)) {
            thread::yield_now();
        }
        self.change(to);
    }
}

const TWO_READS_TWO_SWAPS: [&str; 6] = ["[0, 0]", "[0, 1]", "[0, 2]", "[1, 1]", "[1, 2]", "[2, 2]"];

/// Two reads against two publishes. The writer may never see the idle value between the reads.
#[test]
fn loom_two_reads_against_two_swaps() {
    explore(3, TWO_READS_TWO_SWAPS, |saw| {
        let model = Model::new(Sides::new());
        let (theirs, number) = (model.clone(), model.claim());
        let reader =
            thread::spawn(move || theirs.read_twice(theirs.slot(number), SideState::NEVER));
        model.publish(1);
        model.publish(2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// Points that a reader passes when it reads twice, and one that it never reaches.
const POINTS: usize = 13;

/// As above, with the operating system's barrier, each of the two served at each of the reader's points. A reader that
/// executes fences stops with its first read, or not yet with its second. A reader that executes no fence is asked to.
fn two_reads_by_interruption<const N: usize>(
    outcomes: [&str; N],
    starts_light: bool,
    cost_in_fences: usize,
) {
    let places: std::vec::Vec<_> =
        (0..POINTS).flat_map(|first| (first..POINTS).map(move |then| [first, then])).collect();
    explore_each(2, outcomes, 0..places.len(), move |case, saw| {
        let system = System::serving_each_at(places[case]).cost_in_fences(cost_in_fences);
        let model = Model::new(Sides::with_barrier(Barrier::of_system(system)));
        let (theirs, number) = (model.clone(), model.claim());
        let known = if starts_light { model.lighten(model.slot(number)) } else { SideState::NEVER };
        let reader = thread::spawn(move || {
            let seen = theirs.read_twice(theirs.slot(number), known);
            theirs.sides.barrier.end();
            seen
        });
        model.publish(1);
        model.publish(2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_two_reads_by_a_reader_that_stops_fencing() {
    // [0, 2] takes more preemptions.
    let outcomes = ["[0, 0]", "[0, 1]", "[1, 1]", "[1, 2]", "[2, 2]"];
    two_reads_by_interruption(outcomes, false, 1);
}

/// Two reads by a reader that executes fences and does not stop with the first, against a publish that relies on that.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_two_reads_by_a_reader_that_keeps_fencing() {
    explore(3, ["[0, 0]", "[0, 1]", "[1, 1]"], |saw| {
        let system = System::serving_at(0).cost_in_fences(3);
        let model = Model::new(Sides::with_barrier(Barrier::of_system(system)));
        let (theirs, number) = (model.clone(), model.claim());
        let reader =
            thread::spawn(move || theirs.read_twice(theirs.slot(number), SideState::NEVER));
        model.publish(1);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_two_reads_by_a_reader_asked_to_fence() {
    two_reads_by_interruption(TWO_READS_TWO_SWAPS, true, 3);
}

#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_two_reads_by_a_reader_asked_to_fence_that_stops() {
    two_reads_by_interruption(TWO_READS_TWO_SWAPS, true, 1);
}

/// An owner that stops executing fences between the writer's load of its slot and the writer's answer. That takes one
/// preemption more than the models above have.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_two_reads_by_a_reader_that_stops_as_the_writer_answers() {
    explore(3, TWO_READS_TWO_SWAPS, |saw| {
        let system = System::serving_each_at([0, POINTS]).cost_in_fences(1);
        let model = Model::new(Sides::with_barrier(Barrier::of_system(system)));
        let (theirs, number) = (model.clone(), model.claim());
        let known = model.lighten(model.slot(number));
        let reader = thread::spawn(move || {
            let seen = theirs.read_twice(theirs.slot(number), known);
            theirs.sides.barrier.end();
            seen
        });
        model.publish(1);
        model.publish(2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// Three reads against a publish, by a reader that executes no fence, or stops with the first.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_reads_without_a_fence_against_a_swap() {
    let outcomes = ["[0, 0, 0]", "[0, 0, 1]", "[0, 1, 1]", "[1, 1, 1]"];
    for starts_light in [false, true] {
        explore_each(2, outcomes, 0..POINTS + 6, move |at, saw| {
            let model = Model::new(Sides::with_barrier(Barrier::of_system(System::serving_at(at))));
            let (theirs, number) = (model.clone(), model.claim());
            let known =
                if starts_light { model.lighten(model.slot(number)) } else { SideState::NEVER };
            let reader = thread::spawn(move || {
                let (slot, known) = (theirs.slot(number), Cell::new(known));
                let seen = [0; 3].map(|_| theirs.read(slot, &known));
                theirs.sides.barrier.end();
                seen
            });
            model.publish(1);
            saw(format!("{:?}", reader.join().unwrap()));
        });
    }
}

/// A reader that executes no fence and is not interrupted: the swap is over when its slot tells that it has seen the
/// swap, and not before.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_reads_by_a_reader_that_sees_the_swap() {
    explore(3, ["[0, 0] 0", "[0, 1] 0", "[0, 1] 2", "[1, 1] 0", "[1, 1] 2"], |saw| {
        let model = Model::new(Sides::with_barrier(Barrier::of_system(System::serving_at(0))));
        let (theirs, number) = (model.clone(), model.claim());
        let known = model.lighten(model.slot(number));
        let reader = thread::spawn(move || theirs.read_twice(theirs.slot(number), known));
        model.change(1);
        let mut swap = model.sides.swap(model.registry.slots());
        for _ in 0..2 {
            if model.is_over(&mut swap, false) {
                model.change(2);
                break;
            }
            thread::yield_now();
        }
        let write_side = model.see_write_side();
        saw(format!("{:?} {write_side}", reader.join().unwrap()));
    });
}

const THREE_READS_TWO_SWAPS: [&str; 10] = [
    "[0, 0, 0]",
    "[0, 0, 1]",
    "[0, 0, 2]",
    "[0, 1, 1]",
    "[0, 1, 2]",
    "[0, 2, 2]",
    "[1, 1, 1]",
    "[1, 1, 2]",
    "[1, 2, 2]",
    "[2, 2, 2]",
];

/// A slot is released by a reader that executes no fence, and claimed again, while the writer swaps twice.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_a_slot_handed_on_by_a_reader_that_does_not_fence() {
    for cost_in_fences in [1, 3] {
        explore_each(2, THREE_READS_TWO_SWAPS, 0..POINTS + 6, move |at, saw| {
            let system = System::serving_at(at).cost_in_fences(cost_in_fences);
            let model = Model::new(Sides::with_barrier(Barrier::of_system(system)));
            let (theirs, number) = (model.clone(), model.claim());
            let known = model.lighten(model.slot(number));
            let reader = thread::spawn(move || {
                let slot = theirs.slot(number);
                let first = theirs.read(slot, &Cell::new(known));
                Sides::end_all_reads(slot);
                slot.release();
                let slot = theirs.registry.claim().unwrap();
                assert_eq!(slot.number(), number);
                let then = theirs.read_twice(slot, SideState::NEVER);
                theirs.sides.barrier.end();
                [first, then[0], then[1]]
            });
            model.publish(1);
            model.publish(2);
            saw(format!("{:?}", reader.join().unwrap()));
        });
    }
}

/// A reader ends a nested read section, and then the outer one: only then is the swap over that began meanwhile. A
/// writer that does not wait asks once a step.
#[test]
fn loom_a_nested_read_against_a_writer_that_does_not_wait() {
    explore(3, ["0 0", "0 1", "1 1"], |saw| {
        let model = Model::new(Sides::new());
        let (theirs, number) = (model.clone(), model.claim());
        let reader = thread::spawn(move || {
            let slot = theirs.slot(number);
            let outer = theirs.sides.begin_read(slot, SideState::NEVER);
            let before = theirs.see(outer);
            let inner = theirs.sides.begin_read(slot, outer);
            let within = theirs.see(inner);
            Sides::end_read(slot);
            assert_eq!(theirs.see(outer), before, "a side changed while a reader was in it");
            Sides::end_read(slot);
            format!("{before} {within}")
        });
        model.change(1);
        let mut swap = model.sides.swap(model.registry.slots());
        for _ in 0..2 {
            if model.is_over(&mut swap, true) {
                model.change(1);
                break;
            }
            thread::yield_now();
        }
        saw(reader.join().unwrap());
    });
}

/// A reader makes another handle within a read section, while the writer waits for it. The other handle's reader
/// neither waits nor is overlooked.
#[test]
fn loom_a_reader_makes_another_during_a_swap() {
    explore(2, ["0 0", "0 1", "1 1"], |saw| {
        let model = Model::new(Sides::new());
        let (theirs, number) = (model.clone(), model.claim());
        let _taken = model.claim();
        let reader = thread::spawn(move || {
            let slot = theirs.slot(number);
            let state = theirs.sides.begin_read(slot, SideState::NEVER);
            // The block has two slots, and both are taken, so this makes another block.
            let other = theirs.registry.claim().unwrap();
            let seen = theirs.see(theirs.sides.begin_read(other, SideState::NEVER));
            Sides::end_read(other);
            let first = theirs.see(state);
            Sides::end_read(slot);
            format!("{first} {seen}")
        });
        model.publish(1);
        saw(reader.join().unwrap());
    });
}

/// A slot goes from one reader to another while the writer swaps twice.
#[test]
fn loom_a_slot_handed_on_between_reads() {
    explore(2, ["0", "1", "2"], |saw| {
        let model = Model::new(Sides::new());
        // One of the block's two slots is taken for good, so both readers get the other.
        let _taken = model.claim();
        let read = |theirs: Arc<Model>| {
            move || {
                let slot = theirs.registry.claim().unwrap();
                let seen = theirs.read(slot, &Cell::new(SideState::NEVER));
                Sides::end_all_reads(slot);
                slot.release();
                seen
            }
        };
        let readers = [thread::spawn(read(model.clone())), thread::spawn(read(model.clone()))];
        model.publish(1);
        model.publish(2);
        for reader in readers {
            saw(reader.join().unwrap().to_string());
        }
    });
}

/// A read, and then one with another nested in it. Of the second the writer may see the nested one alone. It must come
/// after the first all the same.
#[test]
fn loom_a_read_before_a_nested_one() {
    explore(3, ["0 0 0", "0 0 1", "0 1 1", "1 1 1"], |saw| {
        let model = Model::new(Sides::new());
        let (theirs, number) = (model.clone(), model.claim());
        let reader = thread::spawn(move || {
            let (slot, known) = (theirs.slot(number), Cell::new(SideState::NEVER));
            let first = theirs.read(slot, &known);
            known.set(theirs.sides.begin_read(slot, known.get()));
            let outer = theirs.see(known.get());
            let inner = theirs.see(theirs.sides.begin_read(slot, known.get()));
            Sides::end_read(slot);
            Sides::end_read(slot);
            format!("{first} {outer} {inner}")
        });
        model.publish(1);
        saw(reader.join().unwrap());
    });
}

/// As above, but the second read executes no fence.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_a_read_before_a_nested_one_by_interruption() {
    explore_each(3, ["0 0 0", "0 0 1", "0 1 1", "1 1 1"], 0..16, |at, saw| {
        let model = Model::new(Sides::with_barrier(Barrier::of_system(System::serving_at(at))));
        let (theirs, number) = (model.clone(), model.claim());
        let known = model.lighten(model.slot(number));
        let reader = thread::spawn(move || {
            let (slot, known) = (theirs.slot(number), Cell::new(known));
            let first = theirs.read(slot, &known);
            known.set(theirs.sides.begin_read(slot, known.get()));
            theirs.sides.barrier.point();
            let outer = theirs.see(known.get());
            let inner = theirs.sides.begin_read(slot, known.get());
            assert!(!Sides::is_outermost_read(slot));
            let inner = theirs.see(inner);
            theirs.sides.barrier.point();
            Sides::end_read(slot);
            Sides::end_read(slot);
            theirs.sides.barrier.end();
            format!("{first} {outer} {inner}")
        });
        model.publish(1);
        saw(reader.join().unwrap());
    });
}

/// A reader that executes no fence until the system refuses its barrier: it finds the request, and agrees by itself. A
/// writer that does not wait swaps twice, as far as it can.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_reads_by_a_reader_asked_to_fence_when_the_system_refuses() {
    let outcomes = [
        "[0, 0, 0] 0",
        "[0, 0, 1] 0",
        "[0, 0, 1] 1",
        "[0, 0, 1] 2",
        "[0, 1, 1] 0",
        "[0, 1, 1] 1",
        "[0, 1, 1] 2",
        "[0, 1, 2] 1",
        "[0, 1, 2] 2",
        "[1, 1, 1] 0",
        "[1, 1, 1] 1",
        "[1, 1, 1] 2",
        "[1, 1, 2] 1",
        "[1, 1, 2] 2",
        "[1, 2, 2] 1",
        "[1, 2, 2] 2",
    ];
    explore(3, outcomes, |saw| {
        let model = Model::new(Sides::with_barrier(Barrier::of_system(System::refusing())));
        let (theirs, number) = (model.clone(), model.claim());
        let known = model.lighten(model.slot(number));
        let reader = thread::spawn(move || {
            let (slot, known) = (theirs.slot(number), Cell::new(known));
            [0; 3].map(|_| theirs.read(slot, &known))
        });
        let mut swaps = 0;
        'swaps: for to in 1..3 {
            model.change(to);
            let mut swap = model.sides.swap(model.registry.slots());
            for _ in 0..2 {
                if model.is_over(&mut swap, true) {
                    model.change(to);
                    swaps += 1;
                    continue 'swaps;
                }
                thread::yield_now();
            }
            break;
        }
        saw(format!("{:?} {swaps}", reader.join().unwrap()));
    });
}

/// The system refuses its barrier, and a reader that was asked agrees while the writer asks again. An agreement is
/// kept: a reader that does not read again delays no later swap.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "all readers execute fences")]
fn loom_an_agreement_against_another_request() {
    explore(2, ["0 not asked", "1 agreed", "1 not asked"], |saw| {
        let model = Model::new(Sides::with_barrier(Barrier::of_system(System::refusing())));
        let (theirs, number) = (model.clone(), model.claim());
        let known = model.lighten(model.slot(number));
        let reader = thread::spawn(move || {
            let slot = theirs.slot(number);
            let seen = theirs.read(slot, &Cell::new(known));
            (seen, slot.fencing.load(Ordering::Relaxed) == FENCING)
        });
        let swap = |to| {
            model.change(to);
            model.sides.swap(model.registry.slots())
        };
        let mut first = swap(1);
        let is_over = model.is_over(&mut first, true) || model.is_over(&mut first, true);
        let (seen, has_agreed) = reader.join().unwrap();
        if has_agreed {
            assert!(is_over || model.is_over(&mut first, true), "the reader has seen the swap");
            model.change(1);
            assert!(model.is_over(&mut swap(2), true), "a request has overwritten the agreement");
        }
        saw(format!("{seen} {}", if has_agreed { "agreed" } else { "not asked" }));
    });
}
