//! The simulation of a group with the real state of each node, by seed: see
//! [`hedgerow_db_group::simulation`](hedgerow_db_group::simulation).
//!
//! Values are strings, and a list. Shards, roles, expirations, and the log that decides when an answer leaves are the
//! program's. A map that applies the same entries says what the state must contain. The other scenarios run in the
//! package of the protocol, whose map stands in for the state.

mod database;
mod kept;

pub(crate) use database::local_log;

use crate::log::changes::CHANGES;
use database::Database;
use hedgerow_db_engine::log::change::{self, LoggedChanges, LoggedOp};
use hedgerow_db_engine::request::{Change, Expiry, ListChange};
use hedgerow_db_group::EntryFormat;
use hedgerow_db_group::simulation::keys::{
    Codec, KeyService, Keys, LOCK_EXPIRED, LOCK_REFUSED, LOCK_TAKEN, Lifetime, Op,
};
use hedgerow_db_group::simulation::{
    ALWAYS, Milestone, Scenario, WHOLE, WIDE, run_all, run_covered, seeds, some_seeds, survey,
    traced,
};
use kept::KEPT;

/// The database, whose entries are the changes of its log.
type Whole = Keys<Changes>;

/// More cases, for runs with locks.
const LOCKS: &[(Milestone, u64)] = &[(LOCK_TAKEN, 800), (LOCK_REFUSED, 1500), (LOCK_EXPIRED, 60)];

/// The encoding of the database's log.
#[derive(Clone, Copy, Debug, Default)]
struct Changes;

impl Codec for Changes {
    const FORMAT: &'static dyn EntryFormat = CHANGES;

    fn encode(op: &Op<'_>, into: &mut Vec<u8>) {
        match *op {
            Op::Set { key, value, lifetime } => {
                let expiry = match lifetime {
                    Lifetime::Unlimited => Expiry::Never,
                    Lifetime::Until(end) => Expiry::At(end),
                    Lifetime::Kept => Expiry::Keep,
                };
                change::set(key, value, expiry, into);
            }
            Op::Delete(key) => change::delete(key, into),
            Op::Add(key, by) => change::add(key, by, into),
            Op::Append(key, tail) => change::append(key, tail, into),
            Op::Watermark(time) => change::watermark(time, into),
            Op::Clock(latest) => change::clock(latest, into),
            // The protocol writes it.
            Op::Begin | Op::Nothing => {}
        }
    }

    fn decode(changes: &[u8]) -> Result<Vec<Op<'_>>, String> {
        LoggedChanges::new(changes).map(|logged| operation(logged?)).collect()
    }
}

impl KeyService for Changes {
    type Program = Database;
}

fn operation(logged: LoggedOp<'_>) -> Result<Op<'_>, String> {
    Ok(match logged {
        LoggedOp::Change(key, Change::Set { value, expiry, .. }) => {
            let lifetime = match expiry {
                Expiry::Never => Lifetime::Unlimited,
                Expiry::At(end) => Lifetime::Until(end),
                Expiry::Keep => Lifetime::Kept,
            };
            Op::Set { key, value, lifetime }
        }
        LoggedOp::Change(key, Change::Delete) => Op::Delete(key),
        LoggedOp::Change(key, Change::Increment(by)) => Op::Add(key, by),
        LoggedOp::Change(key, Change::Append(tail)) => Op::Append(key, tail),
        LoggedOp::Change(key, Change::List(ListChange::Splice { remove: 0, elements, .. })) => {
            let element = elements.names().next().filter(|_| elements.len() == 1);
            Op::Append(key, element.ok_or("a list grows by other than one element")?)
        }
        LoggedOp::Begin(..) => Op::Begin,
        LoggedOp::Watermark(time) => Op::Watermark(time),
        LoggedOp::Clock(latest) => Op::Clock(latest),
        LoggedOp::Batch(_) => Op::Nothing,
        other => return Err(format!("an entry has what no node made: {other:?}")),
    })
}

/// Two tests have a half each, so that two processors share the work.
#[test]
fn the_state_is_what_the_log_says() {
    run_covered::<Whole>(some_seeds(0..500), Scenario::Whole, &[ALWAYS, WIDE, WHOLE, LOCKS]);
}

#[test]
fn the_state_is_what_the_log_says_for_further_seeds() {
    run_covered::<Whole>(some_seeds(500..1000), Scenario::Whole, &[ALWAYS, WIDE, WHOLE, LOCKS]);
}

#[test]
fn seeds_that_once_failed_pass() {
    for seed in KEPT {
        run_all::<Whole>(*seed..seed + 1, Scenario::Whole);
    }
}

/// Plays many seeds, and lists those that break a rule.
///
/// ```text
/// HEDGEROW_SEEDS=0..1000000 cargo test --release -p hedgerow-db --features cluster --lib many_seeds -- --nocapture
/// ```
/// Without `HEDGEROW_SEEDS`, the test does nothing.
#[test]
fn many_seeds() {
    if std::env::var_os("HEDGEROW_SEEDS").is_none() {
        return;
    }
    let required = &[ALWAYS, WIDE, WHOLE, LOCKS];
    let violations = survey::<Whole>(seeds(0..1000), Scenario::Whole, required);
    assert_eq!(violations, 0, "seeds that break a rule");
}

/// A seed gives the same run each time.
#[test]
fn a_seed_repeats_its_run() {
    let trace = |seed| traced::<Whole>(seed, Scenario::Whole).trace;
    assert_eq!(trace(3), trace(3));
}
