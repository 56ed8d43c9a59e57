//! Models of sides that take turns: what a reader looks at does not change meanwhile.
//!
//! A side is a cell with the number of the turn that showed it. The model checker finds a writer that changes
//! one while a reader looks at it, or whose change is not ordered after the look.

use super::barrier::{Barrier, System};
use super::loom::{explore, explore_each};
use super::registry::Registry;
use super::sides::{PendingSwap, SideState, Sides};
use super::slot::{LIGHT, Slot};
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

// SAFETY: the cells are what the model checker watches.
unsafe impl Sync for Model {}

impl Model {
    fn new(sides: Sides) -> Arc<Self> {
        let cells = [UnsafeCell::new(0), UnsafeCell::new(0)];
        Arc::new(Self { sides, registry: Registry::new(), cells })
    }

    fn claim(&self) -> usize {
        self.registry.claim().unwrap().number()
    }

    fn slot(&self, number: usize) -> &Slot {
        self.registry.slots().nth(number).unwrap()
    }

    fn see(&self, state: SideState) -> usize {
        // SAFETY: what is to be proved.
        self.cells[state.read_index()].with(|cell| unsafe { *cell })
    }

    /// What a reader sees; `known` as a handle keeps it.
    fn look(&self, slot: &Slot, known: &Cell<SideState>) -> usize {
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

    /// What the writer left on the side that is hidden.
    fn see_hidden(&self) -> usize {
        // SAFETY: the writer's own.
        self.cells[self.sides.state().write_index()].with(|cell| unsafe { *cell })
    }

    fn read_twice(&self, slot: &Slot, known: SideState) -> [usize; 2] {
        let known = Cell::new(known);
        [self.look(slot, &known), self.look(slot, &known)]
    }

    /// Has a slot's owner-to-be fence no more; what it knows.
    fn lighten(&self, slot: &Slot) -> SideState {
        // relaxed: before there are other threads.
        slot.fencing.store(LIGHT, Ordering::Relaxed);
        self.sides.state()
    }

    fn change(&self, to: usize) {
        // SAFETY: what is to be proved.
        self.cells[self.sides.state().write_index()].with_mut(|cell| unsafe { *cell = to });
    }

    fn is_over(&self, swap: &mut PendingSwap, ask_system: bool) -> bool {
        self.sides.is_over(swap, || self.registry.slots(), ask_system)
    }

    /// One publish: the change, the turn, the wait, and the change once more on the other side.
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

/// Two looks, whose idle value in between may never be seen, against two publishes.
#[test]
fn loom_two_reads_against_two_turns() {
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

/// Points that a reader passes who looks twice, and one that it never comes to.
const POINTS: usize = 13;

/// As above, with the operating system's barrier, each of the two served at each of the reader's points. A reader who
/// fences stops with its first look, or not yet with the second; one who does not is asked to.
fn two_looks_by_interruption<const N: usize>(
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
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_two_reads_of_who_stops_fencing() {
    // [0, 2] takes more preemptions.
    let outcomes = ["[0, 0]", "[0, 1]", "[1, 1]", "[1, 2]", "[2, 2]"];
    two_looks_by_interruption(outcomes, false, 1);
}

/// Two looks of a reader who fences, and does not stop with the first, against a publish that relies on it.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_two_reads_of_who_goes_on_fencing() {
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
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_two_reads_of_who_is_asked_to_fence() {
    two_looks_by_interruption(TWO_READS_TWO_SWAPS, true, 3);
}

#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_two_reads_of_who_is_asked_to_fence_and_stops() {
    two_looks_by_interruption(TWO_READS_TWO_SWAPS, true, 1);
}

/// An owner who stops fencing between what the writer loads from its slot and what the writer answers to it. That takes
/// one more preemption than the models above have.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_two_reads_of_who_stops_as_the_writer_answers() {
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

/// Three looks of a reader who fences in none, or stops with the first, against a publish.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_reads_without_fence_against_a_turn() {
    let outcomes = ["[0, 0, 0]", "[0, 0, 1]", "[0, 1, 1]", "[1, 1, 1]"];
    for starts_light in [false, true] {
        explore_each(2, outcomes, 0..POINTS + 6, move |at, saw| {
            let model = Model::new(Sides::with_barrier(Barrier::of_system(System::serving_at(at))));
            let (theirs, number) = (model.clone(), model.claim());
            let known =
                if starts_light { model.lighten(model.slot(number)) } else { SideState::NEVER };
            let reader = thread::spawn(move || {
                let (slot, known) = (theirs.slot(number), Cell::new(known));
                let seen = [0; 3].map(|_| theirs.look(slot, &known));
                theirs.sides.barrier.end();
                seen
            });
            model.publish(1);
            saw(format!("{:?}", reader.join().unwrap()));
        });
    }
}

/// A reader who fences in no look, and whom no barrier interrupts: the turn is over when its slot tells that it knows
/// of the turn, and not before.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_reads_of_who_comes_to_know_of_a_turn() {
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
        let hidden = model.see_hidden();
        saw(format!("{:?} {hidden}", reader.join().unwrap()));
    });
}

const THREE_LOOKS_TWO_TURNS: [&str; 10] = [
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

/// A slot given up by a reader who does not fence, and claimed again, while the writer turns twice.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_a_slot_handed_on_by_who_does_not_fence() {
    for cost_in_fences in [1, 3] {
        explore_each(2, THREE_LOOKS_TWO_TURNS, 0..POINTS + 6, move |at, saw| {
            let system = System::serving_at(at).cost_in_fences(cost_in_fences);
            let model = Model::new(Sides::with_barrier(Barrier::of_system(system)));
            let (theirs, number) = (model.clone(), model.claim());
            let known = model.lighten(model.slot(number));
            let reader = thread::spawn(move || {
                let slot = theirs.slot(number);
                let first = theirs.look(slot, &Cell::new(known));
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

/// A reader that looks away from what it looked at within, and only then from the rest: the turn that it saw
/// begin ends with the last of it. A writer that does not wait asks once a step.
#[test]
fn loom_a_look_within_another_against_a_writer_that_does_not_wait() {
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
            assert_eq!(theirs.see(outer), before, "changed while it was looked at");
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

/// A handle is copied by a reader who looks, while the writer waits for that reader: the copy's owner is
/// neither kept waiting nor overlooked.
#[test]
fn loom_a_reader_who_reads_makes_another_while_a_turn_waits() {
    explore(2, ["0 0", "0 1", "1 1"], |saw| {
        let model = Model::new(Sides::new());
        let (theirs, number) = (model.clone(), model.claim());
        let _taken = model.claim();
        let reader = thread::spawn(move || {
            let slot = theirs.slot(number);
            let state = theirs.sides.begin_read(slot, SideState::NEVER);
            // The block has two slots, so this makes another.
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

/// A slot goes from one reader to another while the writer turns twice.
#[test]
fn loom_a_slot_handed_on_between_looks() {
    explore(2, ["0", "1", "2"], |saw| {
        let model = Model::new(Sides::new());
        // One of the block's two slots is taken for good, so that the readers meet in the other.
        let _taken = model.claim();
        let look = |theirs: Arc<Model>| {
            move || {
                let slot = theirs.registry.claim().unwrap();
                let seen = theirs.look(slot, &Cell::new(SideState::NEVER));
                Sides::end_all_reads(slot);
                slot.release();
                seen
            }
        };
        let readers = [thread::spawn(look(model.clone())), thread::spawn(look(model.clone()))];
        model.publish(1);
        model.publish(2);
        for reader in readers {
            saw(reader.join().unwrap().to_string());
        }
    });
}

/// A look, and then one with another within: of the second the writer may see no more than the one within, and
/// comes after the first all the same.
#[test]
fn loom_a_look_before_one_with_another_within() {
    explore(3, ["0 0 0", "0 0 1", "0 1 1", "1 1 1"], |saw| {
        let model = Model::new(Sides::new());
        let (theirs, number) = (model.clone(), model.claim());
        let reader = thread::spawn(move || {
            let (slot, known) = (theirs.slot(number), Cell::new(SideState::NEVER));
            let first = theirs.look(slot, &known);
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

/// As above, where the second look executes no fence.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_a_look_before_one_with_another_within_by_interruption() {
    explore_each(3, ["0 0 0", "0 0 1", "0 1 1", "1 1 1"], 0..16, |at, saw| {
        let model = Model::new(Sides::with_barrier(Barrier::of_system(System::serving_at(at))));
        let (theirs, number) = (model.clone(), model.claim());
        let known = model.lighten(model.slot(number));
        let reader = thread::spawn(move || {
            let (slot, known) = (theirs.slot(number), Cell::new(known));
            let first = theirs.look(slot, &known);
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

/// A reader that fences in no look until the system refuses its barrier: it finds that it was asked, and agrees by
/// itself. A writer that does not wait turns twice, as far as it can.
#[test]
#[cfg_attr(hedgerow_swaps_wrap, ignore = "everybody fences")]
fn loom_reads_of_who_is_asked_and_the_system_refuses() {
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
            [0; 3].map(|_| theirs.look(slot, &known))
        });
        let mut turns = 0;
        'turns: for to in 1..3 {
            model.change(to);
            let mut swap = model.sides.swap(model.registry.slots());
            for _ in 0..2 {
                if model.is_over(&mut swap, true) {
                    model.change(to);
                    turns += 1;
                    continue 'turns;
                }
                thread::yield_now();
            }
            break;
        }
        saw(format!("{:?} {turns}", reader.join().unwrap()));
    });
}
