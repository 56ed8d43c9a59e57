//! The limits of the output that waits for a client (`client-output-buffer-limit`): beyond them, the client is closed.

use super::{ClientState, ServerClient};
use crate::config::OutputLimit;
use crate::server::output::{ExceededOutput, Output};
use crate::server::worker_context::WorkerContext;

impl ServerClient {
    /// Closes the client if its output exceeds the limits.
    pub(in crate::server) fn check_output(&mut self, context: &WorkerContext) {
        let (waiting, limits) = self.unsent(context);
        // Replies that wait for the log are no delay of the client.
        if limits.soft == 0 || waiting <= limits.soft || self.output.is_held() {
            self.over_soft_limit_since = None;
        } else {
            self.over_soft_limit_since.get_or_insert(context.now);
        }
        let is_over = |since| context.now.saturating_duration_since(since) >= limits.soft_time;
        if self.state == ClientState::Dead {
            return;
        }
        if waiting > limits.hard {
            self.drop_slow(ExceededOutput::Hard, self.connection.is_subscriber(), context);
        } else if self.unread_mail() > context.limits.subscriber_output.hard {
            self.drop_slow(ExceededOutput::Hard, true, context);
        } else if self.over_soft_limit_since.is_some_and(is_over) {
            self.drop_slow(ExceededOutput::Soft, self.connection.is_subscriber(), context);
        }
    }

    /// Returns the bytes of messages that wait for the client. Monitors, and clients that track keys, are not of the
    /// class of subscribers, because they also get replies of any length. But they get messages without end.
    fn unread_mail(&mut self) -> usize {
        // Nobody counts which bytes are sent first, so this is an upper bound. It falls to 0 when the output is empty.
        self.mail_in_output = self.mail_in_output.min(self.output.waiting());
        let mailbox = self.connection.subscriptions().map(|all| all.mailbox().waiting());
        self.mail_in_output + mailbox.unwrap_or(0)
    }

    /// Returns the bytes of the output that count for its limits. Messages that others redirect to the client do not:
    /// they would close it.
    pub(super) fn own_waiting(&mut self) -> usize {
        let waiting = self.output.waiting();
        self.redirected_in_output = self.redirected_in_output.min(waiting);
        waiting - self.redirected_in_output
    }

    /// Returns the bytes that wait for the client, and the limits of its class.
    fn unsent(&mut self, context: &WorkerContext) -> (usize, OutputLimit) {
        let waiting = self.own_waiting();
        let subscriptions = self.connection.subscriptions();
        match subscriptions.filter(|subscriptions| !subscriptions.is_empty()) {
            None => (waiting, limits_of(false, context)),
            Some(all) => (waiting + all.mailbox().waiting(), limits_of(true, context)),
        }
    }

    /// Closes a client whose output exceeds a limit of subscribers, or of the others, without sending the output.
    #[cold]
    pub(super) fn drop_slow(
        &mut self,
        exceeded: ExceededOutput,
        subscribes: bool,
        context: &WorkerContext,
    ) {
        let info = self.connection.info();
        tracing::warn!(
            "closing the client {} (id {}): {}",
            info.address,
            info.id,
            reason(exceeded, subscribes, limits_of(subscribes, context))
        );
        let counters = &context.counters;
        if subscribes { &counters.slow_subscribers } else { &counters.slow }.add(1);
        self.state = ClientState::Dead;
        // The memory is what the limit is about: do not keep it until the worker removes the client.
        self.output = Output::default();
    }
}

/// Returns the limits of clients that subscribe to something, or of the others.
fn limits_of(subscribes: bool, context: &WorkerContext) -> OutputLimit {
    let limits = &context.limits;
    if subscribes { limits.subscriber_output } else { limits.output }
}

/// Says which limit of which class a client has exceeded.
fn reason(exceeded: ExceededOutput, subscribes: bool, limits: OutputLimit) -> String {
    let class = if subscribes { "pubsub" } else { "normal" };
    let which = match exceeded {
        ExceededOutput::Hard => format!("has exceeded the hard limit of {} bytes", limits.hard),
        ExceededOutput::Soft => format!(
            "has been over the soft limit of {} bytes for {} seconds",
            limits.soft,
            limits.soft_time.as_secs()
        ),
    };
    format!("its unread output {which} (client-output-buffer-limit, class {class})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_log_says_which_limit_a_client_has_exceeded() {
        let limits = OutputLimit { hard: 70, soft: 60, soft_time: Duration::from_secs(5) };
        let hard = reason(ExceededOutput::Hard, true, limits);
        assert!(hard.contains("hard limit of 70 bytes") && hard.contains("class pubsub"), "{hard}");
        let soft = reason(ExceededOutput::Soft, false, limits);
        assert!(soft.contains("soft limit of 60 bytes for 5 seconds"), "{soft}");
        assert!(soft.contains("class normal"), "{soft}");
    }
}
