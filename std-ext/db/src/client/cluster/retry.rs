//! How often and how long a request is tried.

use crate::client::address::NodeAddress;
use crate::client::error::{Attempt, ClientError, Result, Unavailable};
use std::collections::VecDeque;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The first pause; each following one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Redirections that are followed at once. While nodes do not agree, for example after a failover, they may send a
/// client back and forth, and they need time to learn more.
const QUICK_REDIRECTS: u32 = 3;
/// The attempts that an error names.
const SHOWN: usize = 8;

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryLimits {
    pub(super) attempts: u32,
    pub(super) time: Duration,
}

/// The reason of another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryReason {
    /// A node named another one.
    Redirected,
    /// The node, or any node, may execute the request later.
    Unavailable,
}

/// The attempts of one request, or of those of a pipeline that are sent again.
#[derive(Debug)]
pub(super) struct Retry {
    limits: RetryLimits,
    begun: Instant,
    made: u32,
    redirects: u32,
    pause: Duration,
    last: VecDeque<Attempt>,
}

impl Retry {
    pub(super) fn new(limits: RetryLimits) -> Self {
        let begun = Instant::now();
        let (pause, last) = (FIRST_PAUSE, VecDeque::new());
        Self { limits, begun, made: 0, redirects: 0, pause, last }
    }

    /// Begins the attempts of another request. If the last one was executed, its time begins, too. If not, the rest of
    /// a pipeline does not wait as long again.
    pub(super) fn next(&mut self, executed: bool) {
        let begun = if executed { Instant::now() } else { self.begun };
        *self = Self { begun, ..Self::new(self.limits) };
    }

    /// Returns the time since the first attempt.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Returns whether the time has passed.
    pub(super) fn is_late(&self) -> bool {
        self.elapsed() >= self.limits.time
    }

    /// Notes an attempt after which no node has executed the request, and pauses if the next one should be later.
    ///
    /// # Errors
    /// If the limits allow no further attempt.
    pub(super) fn again(
        &mut self,
        node: &NodeAddress,
        error: ClientError,
        reason: RetryReason,
    ) -> Result<()> {
        self.made += 1;
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(Attempt { node: node.to_string(), error });
        let pause = match reason {
            RetryReason::Redirected => {
                self.redirects += 1;
                self.redirects > QUICK_REDIRECTS
            }
            RetryReason::Unavailable => true,
        };
        let pause = if pause { self.pause } else { Duration::ZERO };
        let elapsed = self.elapsed();
        if self.made >= self.limits.attempts || elapsed + pause >= self.limits.time {
            let last = std::mem::take(&mut self.last).into();
            return Err(ClientError::Unavailable(Unavailable {
                attempts: self.made,
                elapsed,
                last,
            }));
        }
        if !pause.is_zero() {
            sleep(pause);
            self.pause = LONGEST_PAUSE.min(2 * pause);
        }
        Ok(())
    }
}
