//! The messages that wait for one client.

use crate::lock::lock;
use crate::pubsub::message::Message;
use crate::pubsub::post::PostOffice;
use std::collections::VecDeque;
use std::sync::Mutex;

/// The messages that wait for one client until the thread that serves it takes them.
///
/// A client may move between threads. The mailbox has the client's present place. Messages that come between two places
/// are announced at the second. So each message that waits was announced to the right thread.
#[derive(Debug)]
pub struct Mailbox {
    client: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    /// The sum of the messages' costs.
    bytes: usize,
    /// The worker that serves the client, and the client's place there.
    place: Option<(usize, usize)>,
    /// The worker at that place has been told of these messages, and has not taken all of them yet.
    announced: bool,
    /// The messages have exceeded the limit, so they were dropped, and the client will be closed.
    overflowed: bool,
    /// The client has ended, or is about to: it gets no more messages.
    closed: bool,
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
        let mut state = lock(&self.state);
        if state.overflowed || state.closed {
            return None;
        }
        state.bytes = state.bytes.saturating_add(message.cost());
        if state.bytes as u64 > post.limit.get() {
            state.overflow();
        } else {
            state.messages.push_back(message);
        }
        state.announce(post)
    }

    /// Returns whether a message of this cost would be kept.
    pub(super) fn has_room(&self, post: &PostOffice, cost: usize) -> bool {
        let state = lock(&self.state);
        let full = state.bytes.saturating_add(cost) as u64 > post.limit.get();
        !(state.overflowed || state.closed || full)
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

    /// Takes messages in order: as many as `room` bytes have room for, but one at least if there is any room.
    pub fn take(&self, room: usize, into: &mut Vec<Message>) -> Left {
        let mut state = lock(&self.state);
        let mut taken = 0;
        while taken < room
            && let Some(message) = state.messages.pop_front()
        {
            taken += message.cost();
            into.push(message);
        }
        state.bytes -= taken;
        if state.overflowed {
            return Left::Overflow;
        }
        if !state.messages.is_empty() {
            return Left::Some;
        }
        // From here on, the next message is announced again.
        state.announced = false;
        // The memory of a burst goes back.
        if state.messages.capacity() > 1024 {
            state.messages = VecDeque::new();
        }
        Left::Nothing
    }

    /// Notes that the client gets no more messages, because it ends.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// Returns whether the client has ended, or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Returns the bytes that wait.
    pub fn waiting(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Notes where the client is served from now on. The worker calls this itself, and looks at its mail afterwards.
    pub(super) fn set_place(&self, post: &PostOffice, worker: usize, place: usize) {
        let mut state = lock(&self.state);
        state.place = Some((worker, place));
        if !state.messages.is_empty() || state.overflowed {
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

impl State {
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
