//! A deterministic simulation of groups, for tests of programs that are built on this crate.
//!
//! The real [`Group`](crate::Group) and the real bytes of batches run against a simulated store, clocks, disks and
//! links. A seed determines a run: the requests of clients, how long everything takes, and all faults. A [`Service`]
//! says what the nodes replicate, and checks what clients are told; [`Keys`](keys::Keys) is one that is ready for use.
//!
//! - Each transaction that takes effect in the store is checked: no gap, no overwritten batch, no epoch that goes back.
//! - All that nodes apply, and all answers that leave, are compared with the committed entries.
//! - At most one node serves by its lease.
//! - Long after all faults, all nodes have the same state, and one of them is the primary.
//! - [`Coverage`] counts what the runs have met. A test that never meets a case does not check it.
//!
//! `HEDGEROW_SEEDS=A..B` chooses the seeds. A failed run prints its seed, the fewest faults that it needs, and its
//! trace.
//!
//! # Example
//! A service with one counter:
//! ```
//! use hedgerow_db_group::simulation::{
//!     Checker, Machine, NoProgram, Random, Reply, Scenario, Service, Truth, run_all,
//! };
//! use hedgerow_db_group::{Entry, EntryFormat, Lsn, OpaqueEntries};
//!
//! /// The sum, and the entry that changed it last. An empty entry, which begins an epoch, changes nothing.
//! #[derive(Clone, Debug, Default)]
//! struct Sum(u64, Lsn);
//!
//! impl Machine for Sum {
//!     fn apply(&mut self, entry: &Entry) -> Result<(), String> {
//!         if !entry.changes.is_empty() {
//!             *self = Sum(self.0 + 1, entry.lsn);
//!         }
//!         Ok(())
//!     }
//!
//!     fn digest(&self) -> u64 {
//!         self.0
//!     }
//! }
//!
//! /// The highest sum that an answer has shown. No later answer may show less.
//! #[derive(Clone, Debug, Default)]
//! struct Seen(u64);
//!
//! impl Checker<Counter> for Seen {
//!     type Known = u64;
//!
//!     fn known(&self, _: &bool) -> u64 {
//!         self.0
//!     }
//!
//!     fn attempt(&mut self, _: &bool) {}
//!
//!     fn answer(&mut self, reply: &Reply<Counter>, _: &Truth<Sum>) -> Result<(), String> {
//!         let (sum, known) = (reply.answer.0.0, reply.answer.1);
//!         self.0 = self.0.max(sum);
//!         if sum < known { Err(format!("an old read: {sum} after {known}")) } else { Ok(()) }
//!     }
//!
//!     fn finish(&self, truth: &Truth<Sum>) -> Result<(), String> {
//!         let sum = truth.history().0;
//!         if sum < self.0 { Err(format!("lost: {sum} of {}", self.0)) } else { Ok(()) }
//!     }
//! }
//!
//! #[derive(Clone, Debug)]
//! struct Counter;
//!
//! impl Service for Counter {
//!     type Machine = Sum;
//!     type History = Sum;
//!     /// Whether to add, or only to read.
//!     type Request = bool;
//!     type Answer = (Sum, u64);
//!     type Checker = Seen;
//!     type Program = NoProgram;
//!     const FORMAT: &'static dyn EntryFormat = &OpaqueEntries;
//!
//!     fn request(random: &mut Random, _: u64, _: usize, _: Scenario) -> bool {
//!         random.chance(600)
//!     }
//!
//!     fn reads_only(adds: &bool) -> bool {
//!         !adds
//!     }
//!
//!     fn changes(adds: &bool, _: &Sum, _: u64) -> Vec<u8> {
//!         if *adds { b"+1".to_vec() } else { Vec::new() }
//!     }
//!
//!     fn answer(_: &bool, sum: &Sum, known: u64) -> (Sum, u64) {
//!         (sum.clone(), known)
//!     }
//!
//!     fn shown(answer: &(Sum, u64)) -> Lsn {
//!         answer.0.1
//!     }
//!
//!     fn check_follower(
//!         _: &bool,
//!         _: &Sum,
//!         _: Lsn,
//!         _: &Truth<Sum>,
//!     ) -> Result<(), String> {
//!         Ok(()) // Digests are compared in any case.
//!     }
//! }
//!
//! run_all::<Counter>(0..5, Scenario::Faults);
//! ```
//!
//! # Files
//! | file | contents |
//! |---|---|
//! | `service`, `machine` | what a run needs to know of the service |
//! | `keys` | a service with keys, values and expirations |
//! | `the store`, `clock`, `disk` | the parts of the world that are not the group |
//! | `truth` | the committed entries; every transaction of the store is checked here |
//! | `process` | a start of a node's program |
//! | `world`, `network`, `drive`, `workload` | the queue of all events, and the code that carries them out |
//! | `faults`, `run`, `seeds` | the faults; one run, and the shrinking of a failed one; many runs |
//! | `coverage` | the cases that the runs must meet, and how often |

mod clock;
mod coverage;
mod disk;
mod drive;
mod faults;
pub mod keys;
mod machine;
mod network;
mod process;
mod random;
mod run;
mod seeds;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod truth;
mod workload;
mod world;

pub use coverage::{ALWAYS, CORE, Case, Coverage, Milestone, SEEDS, WHOLE, WIDE};
pub use disk::Disk;
pub use faults::Scenario;
pub use machine::{Machine, Replica};
pub use random::Random;
pub use run::{Run, run_seed, traced};
pub use seeds::{run_all, run_covered, seeds, some_seeds, survey};
pub use service::{
    ApplyError, Checker, Executed, FollowerAnswer, Lease, NoProgram, Program, Reply, Service,
    Verdict,
};
pub use truth::Truth;
