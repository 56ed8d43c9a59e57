//! The execution of a batch, in parts: between two of them the thread serves its other calls, and the batch ends there
//! if its client has cancelled the call.

use super::api::{Answer, Operation, answer};
use super::bounds::{Peer, Reservation, output_limit_error};
use super::service::{
    ANSWER_OVERHEAD, Accounted, Needs, ServiceShared, length, to_answer, to_request,
};
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::request::{self, Request as DbRequest, RequestError};
use tonic::Status;

/// The effort of a part. A part of changes alone has as many requests, because each shard's changes of a part share a
/// lock and an entry of the log.
const PART: usize = 512;
/// The effort of a read: a value may be long, and is read whole even if its answer exceeds the limit.
const READ: usize = 8;
/// Bytes of values that a part should copy.
const PART_BYTES: usize = 4 << 20;

/// The answers to a batch.
struct BatchAnswers<'a> {
    operations: &'a [Operation],
    made: Vec<Answer>,
    reserved: Reservation,
    /// Whether all answers are within the limit.
    fits: bool,
}

impl<'a> BatchAnswers<'a> {
    fn new(peer: &Peer, operations: &'a [Operation]) -> Self {
        let mut reserved = peer.reserve();
        let fits = reserved.grow(ANSWER_OVERHEAD * operations.len());
        Self { operations, made: vec![Answer::default(); operations.len()], reserved, fits }
    }

    /// Adds an answer if it is within the limit.
    fn add(&mut self, number: usize, found: request::Answer<'_>) {
        self.fits = self.fits && self.reserved.grow(length(found));
        if self.fits {
            let made = to_answer(&self.operations[number], found);
            let status_of = |error: RequestError| answer::Kind::Error(error.to_string());
            self.made[number].kind = Some(made.unwrap_or_else(status_of));
        }
    }
}

impl ServiceShared {
    /// Executes operations. Returns their answers, and the entry and the evaluation for which the answers wait.
    ///
    /// If the answers exceed the limit, the rest of the changes are made, and nothing more is read.
    pub(super) async fn execute(
        &self,
        peer: &Peer,
        operations: &[Operation],
    ) -> Result<(Accounted<Vec<Answer>>, Needs), Status> {
        let (epoch, rollbacks, now) = (self.epoch(), self.db.rollbacks(), self.db.now());
        let requests: Vec<DbRequest<'_>> = operations
            .iter()
            .map(|operation| to_request(operation, now))
            .collect::<Result<_, _>>()?;
        let mut answers = BatchAnswers::new(peer, operations);
        let (mut next, mut lsn, mut effort) = (0, 0, PART);
        while next < requests.len() {
            if next > 0 {
                tokio::task::yield_now().await;
            }
            let end = next + part_length(&requests[next..], effort);
            let before = answers.reserved.bytes();
            lsn = self.execute_part(&requests[next..end], next, &mut answers).max(lsn);
            if !answers.fits {
                // Nobody gets these, and the rest of the batch may take long.
                answers.made = Vec::new();
            }
            let copied = answers.reserved.bytes() - before;
            effort = if copied > PART_BYTES { PART * PART_BYTES / copied } else { PART };
            next = end;
        }
        // A session notices a rollback within a part. Between two parts, it may have undone the first one.
        if self.db.rollbacks() != rollbacks {
            lsn = Lsn::MAX;
        }
        let needs = self.needs(lsn, epoch);
        let BatchAnswers { made, reserved, fits, .. } = answers;
        if fits { Ok(((made, reserved), needs)) } else { Err(output_limit_error()) }
    }

    /// Executes the requests from number `first` on.
    fn execute_part(
        &self,
        requests: &[DbRequest<'_>],
        first: usize,
        answers: &mut BatchAnswers<'_>,
    ) -> Lsn {
        self.db.with_session(|session| {
            if answers.fits {
                let mut add = |number, found: request::Answer<'_>| {
                    answers.add(first + number, found);
                };
                return session.execute(requests, &mut add);
            }
            let changes = requests.iter().filter(|request| request.query().is_none());
            session.execute(&changes.copied().collect::<Vec<_>>(), &mut |_, _| {})
        })
    }
}

/// Returns how many requests this effort executes: one at least.
fn part_length(requests: &[DbRequest<'_>], effort: usize) -> usize {
    let mut sum = 0;
    let fits = |request: &&DbRequest<'_>| {
        sum += if request.query().is_some() { READ } else { 1 };
        sum <= effort
    };
    requests.iter().take_while(fits).count().max(1).min(requests.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::api::{GetRequest, SetRequest, operation};
    use crate::grpc::bounds::peer_with;
    use crate::grpc::service::Service;
    use futures_util::FutureExt;
    use hedgerow_db_engine::log::manual::ManualLog;
    use hedgerow_db_engine::request::Change;
    use hedgerow_db_engine::{Db, Options};
    use hedgerow_db_redis::test_support::primary;
    use std::pin::pin;
    use std::sync::Arc;

    const MIB: usize = 1 << 20;

    fn get(key: &'static str) -> Operation {
        Operation { kind: Some(operation::Kind::Get(GetRequest { key: key.into() })) }
    }

    fn set(key: String) -> Operation {
        let set = SetRequest { key: key.into(), value: "red".into(), ..SetRequest::default() };
        Operation { kind: Some(operation::Kind::Set(set)) }
    }

    fn sets(count: usize) -> Vec<Operation> {
        (0..count).map(|number| set(format!("key{number}"))).collect()
    }

    #[test]
    fn a_long_batch_lets_other_calls_run_and_ends_with_its_call() {
        let db = Db::open(Options::in_memory()).unwrap();
        let (service, peer, operations) =
            (Service::new(db.clone()), peer_with(64 * MIB), sets(2000));
        {
            let mut batch = pin!(service.shared().execute(&peer, &operations));
            let first = batch.as_mut().now_or_never();
            assert!(first.is_none(), "a long batch occupies its thread");
            assert_eq!(db.len(), PART);
            assert!(batch.as_mut().now_or_never().is_none());
            assert_eq!(db.len(), 2 * PART);
        }
        assert_eq!(db.len(), 2 * PART, "a batch goes on without its call");
        let mut batch = pin!(service.shared().execute(&peer, &operations));
        let ((answers, _), _) = loop {
            if let Some(made) = batch.as_mut().now_or_never() {
                break made.unwrap();
            }
        };
        assert!(answers.iter().all(|one| matches!(one.kind, Some(answer::Kind::Set(_)))));
        assert_eq!((answers.len(), db.len()), (2000, 2000));
    }

    #[test]
    fn a_batch_of_long_values_has_short_parts() {
        let db = Db::open(Options::in_memory()).unwrap();
        db.set("big", vec![b'v'; MIB / 2]).unwrap();
        let (service, peer) = (Service::new(db.clone()), peer_with(usize::MAX));
        let operations = vec![get("big"); 100];
        let mut batch = pin!(service.shared().execute(&peer, &operations));
        let mut hits = Vec::new();
        while batch.as_mut().now_or_never().is_none() {
            hits.push(db.stats().hits);
        }
        assert_eq!(hits.get(..2), Some(&[64, 72][..]), "parts have any number of bytes: {hits:?}");
    }

    #[test]
    fn nothing_is_read_beyond_the_limit_and_all_changes_are_made() {
        let db = Db::open(Options::in_memory()).unwrap();
        let write = Change::SetRange { offset: 8 * MIB, bytes: b"y" };
        db.with_session(|session| {
            session.execute(&[DbRequest::Change(b"big", write)], &mut |_, _| {})
        });
        let (service, peer) = (Service::new(db.clone()), peer_with(20 * MIB));
        let mut operations = vec![get("big"); 10_000];
        operations.extend(sets(100));
        let mut batch = pin!(service.shared().execute(&peer, &operations));
        let made = loop {
            if let Some(made) = batch.as_mut().now_or_never() {
                break made;
            }
        };
        let refused = made.map(drop).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
        assert_eq!(db.len(), 101, "changes behind the limit are not made");
        let hits = db.stats().hits;
        assert!(hits <= (PART / READ) as u64, "values are read beyond the limit: {hits}");
    }

    #[test]
    fn a_rollback_between_two_parts_withdraws_the_answers() {
        let log = Arc::new(ManualLog::trusting());
        let db = primary(&log);
        let (service, peer, operations) =
            (Service::new(db.clone()), peer_with(64 * MIB), sets(600));
        let mut batch = pin!(service.shared().execute(&peer, &operations));
        assert!(batch.as_mut().now_or_never().is_none());
        log.set(|state| state.writable = false);
        db.roll_back();
        log.set(|state| state.writable = true);
        let (_, needs) = batch.now_or_never().unwrap().unwrap();
        assert_eq!(needs.lsn(), Lsn::MAX, "answers outlive a rollback between two parts");
    }
}
