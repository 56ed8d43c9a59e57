//! Leases.

use super::api;
use super::caller::Caller;
use super::error::{ErrorKind, EtcdError};
use super::method::KEEP_ALIVE;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::codegen::tokio_stream;

/// A lease that is kept alive until it is dropped, and is then revoked in the background.
#[derive(Debug)]
pub struct Lease {
    id: i64,
    lost: watch::Receiver<bool>,
    /// Ends the task when it is dropped.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Lease {
    pub(super) async fn grant(caller: &Caller, ttl: Duration) -> Result<Self, EtcdError> {
        // etcd counts in whole seconds.
        let seconds = ttl.as_millis().div_ceil(1000).max(1);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let request = api::LeaseGrantRequest { ttl: seconds, id: 0 };
        let answer = caller.call(&request).await?;
        let granted = u64::try_from(answer.ttl).unwrap_or(0);
        if granted == 0 || !answer.error.is_empty() {
            let detail = format!("a lease of {} s: {}", answer.ttl, answer.error);
            return Err(EtcdError::new(ErrorKind::InvalidAnswer, "", detail));
        }
        let (stop, stopped) = oneshot::channel();
        let (tell_lost, lost) = watch::channel(false);
        let keeper = Keeper { caller: caller.clone(), id: answer.id, index: caller.chosen() };
        // A lease outlives two keep-alives that fail.
        let period = Duration::from_secs(granted) / 3;
        let task = tokio::spawn(keeper.keep(period, stopped, tell_lost));
        Ok(Self { id: answer.id, lost, stop, task })
    }

    /// Returns the number that keys are put with.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Returns whether etcd has ended the lease. A new one must be granted then.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Waits until etcd has ended the lease. A caller may drop the future without losing anything.
    pub async fn lost(&mut self) {
        // The task ends only after it has told that the lease is lost.
        let _ = self.lost.wait_for(|&lost| lost).await;
    }

    /// Revokes the lease, which deletes its keys, and waits for that, as long as a call may take.
    pub async fn revoke(self) {
        drop(self.stop);
        // A task that panicked has printed its message.
        let _ = self.task.await;
    }
}

/// The task that keeps a lease alive.
struct Keeper {
    caller: Caller,
    id: i64,
    /// The endpoint that is asked until it fails.
    index: usize,
}

impl Keeper {
    async fn keep(
        mut self,
        period: Duration,
        mut stopped: oneshot::Receiver<()>,
        lost: watch::Sender<bool>,
    ) {
        let (mut pause, mut is_told) = (period, false);
        while timeout(pause, &mut stopped).await.is_err() {
            pause = match self.prolong(period).await {
                Ok(true) => {
                    if std::mem::take(&mut is_told) {
                        tracing::info!("the lease is kept alive again");
                    }
                    period
                }
                Ok(false) => {
                    lost.send_replace(true);
                    return;
                }
                Err(error) => {
                    // Once: an attempt fails several times a second while etcd is away.
                    if std::mem::replace(&mut is_told, true) {
                        tracing::debug!("the lease could not be kept alive: {error}");
                    } else {
                        tracing::warn!("the lease could not be kept alive; trying again: {error}");
                    }
                    self.index = (self.index + 1) % self.caller.members().len();
                    // Soon, and at another endpoint: a part of the lease has already passed.
                    period / 10
                }
            };
        }
        let request = api::LeaseRevokeRequest { id: self.id };
        // A lease that is not revoked ends by itself.
        let _ = self.caller.call(&request).await;
        lost.send_replace(true);
    }

    /// Keeps the lease alive once. Returns whether it still exists.
    async fn prolong(&self, within: Duration) -> Result<bool, EtcdError> {
        let deadline = Instant::now() + within;
        let url = self.caller.members()[self.index].url();
        // A stream for each: then a stream that stalls, or whose member was cut off, harms one keep-alive only.
        let requests = tokio_stream::once(api::LeaseKeepAliveRequest { id: self.id });
        let opened = self.caller.stream(self.index, KEEP_ALIVE, requests, deadline).await;
        let mut answers = match opened {
            Err(error) if error.kind() == ErrorKind::LeaseNotFound => return Ok(false),
            opened => opened?,
        };
        let answer: api::LeaseKeepAliveResponse =
            match timeout_at(deadline, answers.message()).await {
                Ok(Ok(Some(answer))) => answer,
                Ok(Ok(None)) => {
                    return Err(EtcdError::new(ErrorKind::Unavailable, url, "it gave no answer"));
                }
                Ok(Err(status)) => return Err(EtcdError::of_status(url, &status)),
                Err(_) => return Err(EtcdError::new(ErrorKind::TimedOut, url, "")),
            };
        self.caller.check(self.index, answer.header.as_ref())?;
        Ok(answer.ttl > 0)
    }
}
