//! The messages that wait for one client.

use crate::limits::REDIRECTED_BYTES;
use crate::pubsub::message::Message;
use crate::pubsub::post::PostOffice;
use hedgerow_db_engine::lock::lock;
use std::collections::VecDeque;
use std::sync::Mutex;

/// The messages that wait for one client until the thread that serves it takes them.
///
/// A client may move between threads. The mailbox has the client's present place. Messages that come between two places
/// are announced at the second. So each message that waits was announced to the right thread.
#[derive(Debug)]
pub struct Mailbox {
    client: u64,
    state: Mutex<MailboxState>,
}

/// How a client takes the messages about changed keys that other clients redirect to it. Anybody can redirect messages
/// to any client, so those must not harm one that has not asked for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Redirected {
    /// It gets them, but has not asked for them: they have a limit of their own, and never close it. Also while its
    /// mailbox was made by another client, and the thread that serves it has said nothing yet.
    #[default]
    Unasked,
    /// It gets none: in RESP2 only a subscriber can tell a message from a reply.
    Ignored,
    /// It subscribes to their channel: they count as all its messages do.
    Wanted,
}

#[derive(Debug, Default)]
struct MailboxState {
    messages: MessageQueue,
    redirected: Redirected,
    /// The messages of other clients that are [`Redirected::Unasked`].
    unasked: MessageQueue,
    /// The worker that serves the client, and the client's place there.
    place: Option<(usize, usize)>,
    /// The worker at that place has been told of these messages, and has not taken all of them yet.
    announced: bool,
    /// The messages have exceeded the limit, so they were dropped, and the client will be closed.
    overflowed: bool,
    /// The client has ended, or is about to: it gets no more messages.
    closed: bool,
}

/// Messages in order.
#[derive(Debug, Default)]
struct MessageQueue {
    messages: VecDeque<Message>,
    /// The sum of their costs.
    bytes: usize,
}

impl MessageQueue {
    fn push(&mut self, message: Message) {
        self.bytes += message.cost();
        self.messages.push_back(message);
    }

    fn take(&mut self, room: usize, into: &mut Vec<Message>) {
        let mut taken = 0;
        while taken < room
            && let Some(message) = self.messages.pop_front()
        {
            taken += message.cost();
            into.push(message);
        }
        self.bytes -= taken;
        // The memory of a burst goes back.
        if self.messages.is_empty() && self.messages.capacity() > 1024 {
            self.messages = VecDeque::new();
        }
    }
}

/// The messages that [`Mailbox::take`] has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Some messages: the caller takes them later, without another announcement.
    Some,
    /// The messages were dropped, because they exceeded the limit.
    Overflow,
}

impl Mailbox {
    /// Makes the mailbox of a client.
    pub fn new(client: u64) -> Self {
        Self { client, state: Mutex::default() }
    }

    /// Returns the client's id.
    pub fn client(&self) -> u64 {
        self.client
    }

    /// Adds a message. Returns the worker that the caller must wake.
    pub(super) fn put(&self, post: &PostOffice, message: Message) -> Option<usize> {
        self.put_new(post, message.cost(), || message)
    }

    /// As `put`, of a message that costs at least this, and that is made only if there is room for as much.
    pub(super) fn put_new(
        &self,
        post: &PostOffice,
        least: usize,
        message: impl FnOnce() -> Message,
    ) -> Option<usize> {
        lock(&self.state).put_new(post, least, message)
    }

    /// As `put_new`, of a message that another client redirects to this one. Returns `Err` if that client must be told
    /// that this one has missed it.
    pub(super) fn put_redirected(
        &self,
        post: &PostOffice,
        least: usize,
        message: impl FnOnce() -> Message,
    ) -> Result<Option<usize>, Missed> {
        let mut state = lock(&self.state);
        if state.overflowed || state.closed {
            return Err(Missed);
        }
        match state.redirected {
            Redirected::Ignored => return Ok(None),
            Redirected::Wanted => return Ok(state.put_new(post, least, message)),
            Redirected::Unasked => {}
        }
        // One message may be long: it has the names of all keys that a command has changed.
        let most = if state.unasked.bytes == 0 { u64::MAX } else { REDIRECTED_BYTES as u64 };
        let limit = post.limit.get().min(most);
        let has_room = |cost: usize| state.unasked.bytes.saturating_add(cost) as u64 <= limit;
        let message = has_room(least).then(message).filter(|message| has_room(message.cost()));
        state.unasked.push(message.ok_or(Missed)?);
        Ok(state.announce(post))
    }

    /// Notes how the client takes redirected messages from now on.
    pub(crate) fn set_redirected(&self, redirected: Redirected) {
        let mut state = lock(&self.state);
        state.redirected = redirected;
        if redirected == Redirected::Ignored {
            state.unasked = MessageQueue::default();
        }
    }

    /// Returns whether a message of this cost would be kept.
    pub(super) fn has_room(&self, post: &PostOffice, cost: usize) -> bool {
        let state = lock(&self.state);
        !(state.overflowed || state.closed) && state.has_room(post, cost)
    }

    /// Notes that a message came for which there was no room, as `put` does with the message itself.
    pub(super) fn overflow(&self, post: &PostOffice) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.overflowed || state.closed {
            return None;
        }
        state.overflow();
        state.announce(post)
    }

    /// Takes messages in order: as many as `room` bytes have room for, but one at least if there is any room. Leaves
    /// those that others redirect to this client, unless it has asked for them.
    pub fn take(&self, room: usize, into: &mut Vec<Message>) -> Left {
        let mut state = lock(&self.state);
        state.messages.take(room, into);
        state.left()
    }

    /// As `take`, of the messages that `take` leaves. They have no order with the others.
    pub(crate) fn take_unasked(&self, room: usize, into: &mut Vec<Message>) -> Left {
        let mut state = lock(&self.state);
        state.unasked.take(room, into);
        state.left()
    }

    /// Notes that the client gets no more messages, because it ends.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// Returns whether the client has ended, or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Returns the bytes that wait and count for the client's limits.
    pub fn waiting(&self) -> usize {
        lock(&self.state).messages.bytes
    }

    /// Returns the bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        let state = lock(&self.state);
        state.messages.bytes + state.unasked.bytes
    }

    /// Notes where the client is served from now on. The worker calls this itself, and looks at its mail afterwards.
    pub(super) fn set_place(&self, post: &PostOffice, worker: usize, place: usize) {
        let mut state = lock(&self.state);
        state.place = Some((worker, place));
        if !state.is_empty() || state.overflowed {
            // The worker calls this, so it need not be woken.
            let _ = state.announce(post);
        }
    }

    /// Notes that the client is on its way to another worker.
    pub fn clear_place(&self) {
        let mut state = lock(&self.state);
        (state.place, state.announced) = (None, false);
    }
}

/// A message could not be redirected: the receiver is gone, or has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed;

impl MailboxState {
    fn put_new(
        &mut self,
        post: &PostOffice,
        least: usize,
        message: impl FnOnce() -> Message,
    ) -> Option<usize> {
        if self.overflowed || self.closed {
            return None;
        }
        let message = self.has_room(post, least).then(message);
        match message.filter(|message| self.has_room(post, message.cost())) {
            Some(message) => self.messages.push(message),
            None => self.overflow(),
        }
        self.announce(post)
    }

    fn has_room(&self, post: &PostOffice, cost: usize) -> bool {
        self.messages.bytes.saturating_add(cost) as u64 <= post.limit.get()
    }

    fn is_empty(&self) -> bool {
        self.messages.messages.is_empty() && self.unasked.messages.is_empty()
    }

    /// Returns what is left after some messages were taken.
    fn left(&mut self) -> Left {
        if self.overflowed {
            return Left::Overflow;
        }
        if !self.is_empty() {
            return Left::Some;
        }
        // From here on, the next message is announced again.
        self.announced = false;
        Left::Nothing
    }

    /// Drops all messages, because they exceed the limit.
    fn overflow(&mut self) {
        *self = Self { overflowed: true, place: self.place, ..Self::default() };
    }

    /// Announces the mail, if that has not been done. Returns the worker that the caller must wake.
    fn announce(&mut self, post: &PostOffice) -> Option<usize> {
        let (worker, place) = self.place.filter(|_| !self.announced)?;
        self.announced = true;
        post.announce(worker, place).then_some(worker)
    }
}
