//! Messages on their way from a client's mailbox to its output.
//!
//! The output takes a message only while it has little else, so messages for a client that reads slowly stay in its
//! mailbox, where all subscribers of a channel share them.
//!
//! A message is appended between two cycles' replies: when all earlier replies are either free or held. So it neither
//! lands within a reply, nor lets one leave that must wait for the log.

use super::{ClientState, ServerClient};
use crate::pubsub::{Hub, Left, Mailbox, Message};
use crate::server::output::ExceededOutput;
use crate::server::worker_context::WorkerContext;
use std::sync::Arc;

/// The output takes messages while fewer bytes than this wait in it.
const MAIL_ROOM: usize = 64 << 10;

impl ServerClient {
    /// Tells the client's mailbox where it is served. Called after each service, because a command may have made the
    /// mailbox.
    #[inline]
    pub(in crate::server) fn set_address(&mut self, worker: usize, place: usize) {
        if let Some(subscriptions) = self.connection.subscriptions()
            && !self.has_address
        {
            subscriptions.set_place(worker, place);
            self.has_address = true;
        }
    }

    /// Takes the client's address back, because it moves to another worker.
    ///
    /// [MV-5] From here until the next worker sets the new place, messages only collect, and that worker looks at them
    /// when it sets the place. So none waits at a worker that does not have the client.
    pub(in crate::server) fn clear_address(&mut self) {
        if let Some(subscriptions) = self.connection.subscriptions() {
            subscriptions.mailbox().clear_place();
        }
        self.has_address = false;
    }

    /// Ends all subscriptions: the client ends.
    pub(in crate::server) fn end_subscriptions(&mut self) {
        self.connection.end_mail();
    }

    /// Gives the client the mailbox that another client has asked for, unless it has one.
    pub(in crate::server) fn adopt_mailbox(&mut self, hub: &Arc<Hub>, mailbox: Arc<Mailbox>) {
        self.connection.adopt_mailbox(hub, mailbox);
        // One that has said good-bye gets no messages. The client that redirects them to it learns that from the
        // mailbox.
        if self.state != ClientState::Open {
            self.connection.end_mail();
        }
    }

    /// Moves messages from the mailbox to the output, as far as that has room.
    pub(in crate::server) fn deliver(&mut self, context: &mut WorkerContext) {
        self.deliver_mail(MAIL_ROOM.saturating_sub(self.output.waiting()), context);
    }

    /// Moves all messages from the mailbox to the output: they come before the replies to the next commands.
    #[inline]
    pub(super) fn deliver_all(&mut self, context: &mut WorkerContext) {
        if self.connection.subscriptions().is_some() {
            self.deliver_mail(usize::MAX, context);
        }
    }

    fn deliver_mail(&mut self, room: usize, context: &mut WorkerContext) {
        if self.state != ClientState::Open {
            self.connection.end_mail();
        }
        let Some(subscriptions) = self.connection.subscriptions() else { return };
        let mailbox = Arc::clone(subscriptions.mailbox());
        let mut messages = std::mem::take(&mut context.messages);
        // Messages of the client's own subscriptions are in order with its replies, so these go first.
        mailbox.take(room, &mut messages);
        self.mail_in_output += self.append_mail(&mut messages, context);
        // Not all of these at once: they would fill the memory of a client that does not read them. And they have no
        // order with replies.
        let waiting = self.output.waiting();
        let left = mailbox.take_unasked(MAIL_ROOM.saturating_sub(waiting), &mut messages);
        self.redirected_in_output = self.redirected_in_output.min(waiting);
        self.redirected_in_output += self.append_mail(&mut messages, context);
        context.messages = messages;
        self.has_more_mail = left == Left::Some;
        if left == Left::Overflow && self.state != ClientState::Dead {
            // Messages of monitors and trackers are limited as those of subscribers are.
            self.drop_slow(ExceededOutput::Hard, true, context);
        }
    }

    /// Appends messages to the output, and returns their bytes there.
    fn append_mail(&mut self, messages: &mut Vec<Message>, context: &mut WorkerContext) -> usize {
        context.counters.messages.add(messages.len() as u64);
        let mut bytes = 0;
        for message in messages.drain(..) {
            // Checked here and not when it was sent: the client's rights may have changed while it waited.
            let Some(message) = self.connection.visible(message) else { continue };
            if let Some(head) = self.connection.head_of(&message) {
                self.output.append_message(head, message.rest(), || context.pool.take());
                bytes += head.len() + message.rest().len();
            }
        }
        bytes
    }

    /// Ends the subscriptions to channels of slots that this node does not have any more, and tells the client.
    /// Publishers go to another node now.
    pub(in crate::server) fn leave_lost_channels(&mut self, context: &mut WorkerContext) {
        // Only channels of SSUBSCRIBE belong to slots.
        let subscribes = self.connection.subscriptions().is_some_and(|all| all.counts()[2] > 0);
        if !subscribes || self.state != ClientState::Open {
            return;
        }
        let ended = self.connection.remove_lost_channels(|channel| context.has_lost(channel));
        if ended.is_empty() {
            return;
        }
        // What was published before the slot left is delivered before the client learns that it has.
        self.deliver_all(context);
        for message in ended {
            if let Some(head) = self.connection.head_of(&message) {
                self.output.append_message(head, message.rest(), || context.pool.take());
            }
        }
        self.renamed = true;
    }
}
