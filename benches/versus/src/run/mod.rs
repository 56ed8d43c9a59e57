//! One round of one map: its place in the contest, and its work.
//!
//! Maps take turns by rounds through [`Runner`], the only call through a pointer;
//! inside a round everything is generic over the map.

mod laps;
pub mod pairs;
mod phases;
mod texts;
pub mod trees;
pub mod versions;
mod words;

use crate::rivals::{Bench, Role, shared};
use crate::work::{Row, Workload};

/// The task of a round.
pub struct Job<'a, S> {
    /// The work.
    pub row: Row,
    /// One stream for each thread.
    pub streams: &'a [S],
    /// How long to run before the clock counts, in nanoseconds: the maps that
    /// had their turn before have left the caches full of themselves.
    pub warm: u64,
    /// How long to run, in nanoseconds, at least.
    pub span: u64,
}

/// A map's place in the contest, for work that comes in streams of one kind.
pub trait Runner<S> {
    /// Returns its map's name.
    fn name(&self) -> &'static str;
    /// Returns its map's role in the comparison.
    fn role(&self) -> Role;
    /// Whether its map does such work.
    fn can(&self, row: &Row) -> bool;
    /// A new map of the first `n` keys, grown by inserting them, takes the place
    /// of the old one.
    fn build(&mut self, n: usize);
    /// Gives the memory back.
    fn leave(&mut self);
    /// Runs once, on as many threads as the job has streams; returns the time of an
    /// operation, if the threads ran together.
    fn round(&mut self, job: &Job<S>) -> Option<Cost>;
}

/// The time of an operation in one round, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// All of it, or that of all threads.
    pub whole: f64,
    /// Of two parts, or of two threads that do not do the same, where a row has
    /// such.
    pub parts: Option<[f64; 2]>,
}

/// A map that can do the work of such streams.
pub trait Runs<S>: Bench {
    /// A map of the first `n` keys, grown by inserting them.
    fn built(n: usize) -> Self;
    /// A round; `places` are where each thread stopped in its stream.
    fn run(map: Option<&Self>, job: &Job<S>, places: &mut [usize]) -> Option<f64>;
}

/// A runner for a map of one type.
pub struct Holder<M> {
    map: Option<M>,
    /// Where each thread stopped in its stream, in chunks.
    places: [usize; 2],
}

impl<M> Holder<M> {
    /// A runner with no map in it yet.
    pub const fn new() -> Self {
        Self { map: None, places: [0; 2] }
    }
}

impl<M> Default for Holder<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, M: Runs<S>> Runner<S> for Holder<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn role(&self) -> Role {
        M::ROLE
    }

    fn can(&self, row: &Row) -> bool {
        M::can(row)
    }

    fn build(&mut self, n: usize) {
        *self = Self::new();
        self.map = Some(M::built(n));
    }

    fn leave(&mut self) {
        *self = Self::new();
    }

    fn round(&mut self, job: &Job<S>) -> Option<Cost> {
        assert!(shared::<M>() || job.streams.len() == 1, "{} is for one thread", M::NAME);
        let whole = M::run(self.map.as_ref(), job, &mut self.places)?;
        Some(Cost { whole, parts: None })
    }
}

/// A wrong answer ends everything: there is no figure for less than the work.
fn check<M: Bench>(workload: Workload, got: u64, want: u64) {
    agree(M::NAME, workload, got, want);
}

/// See [`check`].
fn agree(name: &str, workload: Workload, got: u64, want: u64) {
    if std::hint::black_box(got) != want {
        let doing = workload.name();
        eprintln!("{name} answered wrongly in {doing}: checksum {got:x}, not {want:x}");
        std::process::exit(1);
    }
}
