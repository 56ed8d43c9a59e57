//! A service for simulations: keys with values, counters and expirations, whose clients check that each key is
//! linearizable.
//!
//! [`Keys`] is generic over the encoding of entries and the real program, so that a database with such operations
//! checks its own. [`PlainKeys`] is the service without a program.

mod answer;
mod check;
mod codec;
mod plain;
mod request;
mod store;

pub use answer::{Evaluation, KeyAnswer, ShownKey};
pub use check::KeyChecker;
pub use codec::{Codec, Lifetime, Op};
pub use plain::Plain;
pub use request::{KeyRequest, LARGE, PAIR};
pub use store::{KeyHistory, Record, Store};

use super::coverage::{Coverage, Milestone};
use super::faults::Scenario;
use super::random::Random;
use super::service::{Checker, NoProgram, Program, Reply, Service};
use super::truth::Truth;
use crate::{EntryFormat, Lsn};
use check::Told;
use std::marker::PhantomData;

/// An encoding, and the real program that writes it.
pub trait KeyService: Codec {
    /// The real program, in scenarios that have it.
    type Program: Program<Keys<Self>>;
}

impl KeyService for Plain {
    type Program = NoProgram;
}

/// Keys, in the encoding `C`.
#[derive(Clone, Debug)]
pub struct Keys<C>(PhantomData<C>);

/// Keys without a real program.
pub type PlainKeys = Keys<Plain>;

impl<C: KeyService> Service for Keys<C> {
    type Machine = Store<C>;
    type History = KeyHistory<C>;
    type Request = KeyRequest;
    type Answer = KeyAnswer;
    type Checker = KeyChecker;
    type Program = C::Program;

    const FORMAT: &'static dyn EntryFormat = C::FORMAT;

    fn request(
        random: &mut Random,
        token: u64,
        most_batch: usize,
        scenario: Scenario,
    ) -> KeyRequest {
        let choose = match scenario {
            Scenario::Whole => KeyRequest::random_with_locks,
            _ => KeyRequest::random,
        };
        choose(random, token, most_batch)
    }

    fn reads_only(request: &KeyRequest) -> bool {
        request.reads_only()
    }

    fn changes(request: &KeyRequest, store: &Store<C>, time: u64) -> Vec<u8> {
        request.changes(store, time)
    }

    fn answer(request: &KeyRequest, store: &Store<C>, known: Vec<Lsn>) -> KeyAnswer {
        let shown = request.keys().into_iter().zip(known).map(|(key, required)| ShownKey {
            key: key.to_vec(),
            value: store.stored(key).map(|record| record.value.clone()),
            changed: store.changed(key),
            gone: false,
            required,
        });
        KeyAnswer { shown: shown.collect(), evaluation: None }
    }

    fn shown(answer: &KeyAnswer) -> Lsn {
        answer.shown.iter().map(|shown| shown.changed).max().unwrap_or(0)
    }

    /// A watermark, if keys expire.
    fn upkeep(store: &Store<C>, time: u64) -> Option<Vec<u8>> {
        store.expires().then(|| {
            let mut changes = Vec::new();
            C::encode(&Op::Watermark(time), &mut changes);
            changes
        })
    }

    fn check_follower(
        request: &KeyRequest,
        store: &Store<C>,
        last: Lsn,
        truth: &Truth<KeyHistory<C>>,
    ) -> Result<(), String> {
        for key in request.keys() {
            let value = store.stored(key).map(|record| record.value.as_slice());
            let committed = truth.history().record(key, last).map(|record| &record.value[..]);
            if committed != value {
                let name = String::from_utf8_lossy(key).into_owned();
                return Err(format!("as a follower it shows {name} as it never was"));
            }
        }
        Ok(())
    }

    fn note(reply: &Reply<Self>, truth: &Truth<KeyHistory<C>>, coverage: &mut Coverage) {
        let (Some(evaluation), KeyRequest::Lock { key, .. }) =
            (reply.answer.evaluation, &reply.request)
        else {
            return;
        };
        coverage.count(if evaluation.done { LOCK_TAKEN } else { LOCK_REFUSED });
        let before = reply.own.as_ref().and_then(|(lsn, _)| truth.history().record(key, lsn - 1));
        if before.is_some() {
            coverage.count(LOCK_EXPIRED);
        }
    }
}

/// A lock was taken.
pub const LOCK_TAKEN: Milestone = Milestone::Own("lock taken");
/// A lock was refused.
pub const LOCK_REFUSED: Milestone = Milestone::Own("lock refused");
/// A lock was taken whose time was over.
pub const LOCK_EXPIRED: Milestone = Milestone::Own("lock expired");

impl<C: KeyService> Checker<Keys<C>> for KeyChecker {
    /// The earliest entry that the answer may show of each key.
    type Known = Vec<Lsn>;

    fn known(&self, request: &KeyRequest) -> Vec<Lsn> {
        self.required(request)
    }

    fn attempt(&mut self, request: &KeyRequest) {
        self.count_attempt(request);
    }

    fn answer(
        &mut self,
        reply: &Reply<Keys<C>>,
        truth: &Truth<KeyHistory<C>>,
    ) -> Result<(), String> {
        let Reply { request, answer, own, .. } = reply;
        self.check(Told { request, answer, own: own.as_ref() }, truth)
    }

    fn finish(&self, truth: &Truth<KeyHistory<C>>) -> Result<(), String> {
        self.check_end(truth.history().store())
    }
}
