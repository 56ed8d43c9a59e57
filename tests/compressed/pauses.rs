//! builds: default
//!
//! The amount of compression and training that one call of `CompressedMap` does, in bytes and turns instead of time.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Samples, TrainingTask, Work};
use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use support::nibbles::Nibbles;
use support::rng::Rng;

thread_local! {
    /// Bytes that this thread has compressed, and its turns of training.
    static DONE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Turns that training takes.
const TURNS: usize = 100;
/// The longest entry.
const LONGEST: usize = 256;

/// A codec that counts its work.
struct Counting;

struct Counted(Box<dyn Model>);

fn counted(model: Option<Box<dyn Model>>) -> Option<Box<dyn Model>> {
    Some(Box::new(Counted(model?)))
}

impl Codec for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        panic!("not all at once")
    }

    fn start_training(&self, samples: Samples, room: usize) -> Result<TrainingTask, Samples> {
        let mut turns = 0;
        Ok(Box::pin(poll_fn(move |_| {
            let (bytes, all) = DONE.get();
            DONE.set((bytes, all + 1));
            turns += 1;
            if turns < TURNS {
                return Poll::Pending;
            }
            let values: Vec<&[u8]> = samples.iter().collect();
            Poll::Ready(counted(Nibbles.train(&values, room)))
        })))
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Nibbles.import(bytes)
    }
}

impl Model for Counted {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        let (bytes, turns) = DONE.get();
        DONE.set((bytes + plain.len(), turns));
        self.0.compress(plain, into, work)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        self.0.decompress(stored, into)
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        self.0.export(into);
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Returns the bytes that `work` has compressed, and its turns of training.
fn done<R>(work: impl FnOnce() -> R) -> ((usize, usize), R) {
    let before = DONE.get();
    let result = work();
    let after = DONE.get();
    ((after.0 - before.0, after.1 - before.1), result)
}

fn text(n: usize) -> String {
    format!("{{\"name\": \"number {n}\", \"rank\": {:040}, \"kind\": \"number\"}}", n * 7)
}

/// The most work that one call did, and the number of calls that did any.
#[derive(Debug, Default)]
struct Most {
    bytes: usize,
    turns: usize,
    calls: usize,
}

impl Most {
    fn note(&mut self, (bytes, turns): (usize, usize)) {
        self.bytes = self.bytes.max(bytes);
        self.turns = self.turns.max(turns);
        self.calls += usize::from(bytes + turns > 0);
    }
}

const WRITES: usize = 40_000;

/// Inserts entries, then replaces them. Returns the work of writes, and of steps of `bytes` bytes, if there are any.
fn play(map: &CompressedMap, step: Option<usize>) -> [Most; 2] {
    let [mut writes, mut steps] = [(); 2].map(|()| Most::default());
    let mut rng = Rng::new(support::seed());
    for write in 0..WRITES {
        let n = if write < 12_000 { write } else { rng.below(12_000) };
        let value = text(n + write);
        let (work, stored) = done(|| map.insert(&n.to_string(), &value));
        stored.expect("there is room");
        writes.note(work);
        if let Some(bytes) = step.filter(|_| write % 8 == 7) {
            steps.note(done(|| map.compress_step(bytes)).0);
        }
    }
    assert!(map.stats().cold > 1 << 18, "little was compressed: {:?}", map.stats());
    [writes, steps]
}

fn map() -> CompressedMap {
    CompressedMap::builder_without_codecs(3 << 19).codec(Counting).build()
}

#[test]
fn steps_leave_writers_nothing_to_do() {
    for bytes in [4 << 10, 16 << 10] {
        let map = map();
        let [write, step] = play(&map, Some(bytes));
        // The exceptions: the index gets a segment when both fronts need one, too.
        assert!(write.calls <= WRITES / 100, "writes sweep beside steps: {write:?}");
        assert!(write.bytes <= 1024 + LONGEST, "a write sweeps too much: {write:?}");
        assert_eq!(write.turns, 0, "writes train beside steps: {write:?}");
        assert!(step.bytes <= bytes + LONGEST && step.turns <= bytes / 1024, "{bytes}: {step:?}");
    }
}

#[test]
fn writers_alone_do_a_little_at_a_time() {
    let map = map();
    let [write, _] = play(&map, None);
    assert!(write.bytes <= 1024 + LONGEST, "a write sweeps too much: {write:?}");
    assert!(write.turns == 1, "a write trains too long: {write:?}");
}

#[test]
fn steps_come_to_an_end_and_then_there_is_room() {
    let map = map();
    play(&map, Some(4 << 10));
    let steps = (0..10_000).take_while(|_| map.compress_step(4 << 10)).count();
    assert!(steps < 10_000, "there is always something to do: {:?}", map.stats());
    // One segment of those that steps have made available.
    let (work, ()) = done(|| {
        for n in 0..(16 << 10) / LONGEST {
            map.insert(&n.to_string(), &text(n)).expect("there is room");
        }
    });
    assert_eq!(work, (0, 0));
}
