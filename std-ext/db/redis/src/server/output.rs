//! The output buffer of a client: replies in order, and how far they may be sent.
//!
//! A reply that shows a change is held until the log says that the change is committed. In a cluster, each reply is
//! also held until the log has confirmed that this node was the primary when the reply was made. Replies behind it wait
//! too, because replies leave in order.

use hedgerow_db_engine::log::{LeaseCheck, Log, Lsn, ReadIndex};
use std::collections::VecDeque;
use std::sync::Arc;

/// A chunk of this size gets no more bytes: sent bytes are freed in pieces of about this size, and waiting bytes are
/// never moved.
const CHUNK: usize = 64 << 10;

/// A message of at least this size is not copied: the output has a reference to it.
const SHARED: usize = 16 << 10;

/// The limit that the output of a client has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExceededOutput {
    /// The hard limit, at any time.
    Hard,
    /// The soft limit, for as long as that is allowed.
    Soft,
}

/// The sizes of the chunks of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OutputSizes {
    /// Bytes of memory in the chunk that replies are appended to.
    pub(super) last: usize,
    /// Bytes that wait in it.
    pub(super) waiting: usize,
    /// The number of full chunks, and their bytes of memory.
    pub(super) full: usize,
    pub(super) full_bytes: usize,
}

/// A full chunk.
#[derive(Debug)]
enum OutputChunk {
    Own(Vec<u8>),
    /// A message, without its first byte.
    Shared(Arc<[u8]>),
}

impl OutputChunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Returns the bytes of memory that it counts for this client.
    fn capacity(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.capacity(),
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

/// Replies on their way to one client. Offsets count from the first byte that the connection ever sent.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Full chunks, in order. Bytes are sent from the first one. There are seldom any.
    full: VecDeque<OutputChunk>,
    /// Bytes in `full`.
    full_bytes: usize,
    /// The chunk that replies are appended to. Bytes are sent from it if no chunk is full.
    last: Vec<u8>,
    /// The offset of the first byte in all chunks.
    base: u64,
    /// Bytes before this offset were sent.
    sent: u64,
    /// Bytes before this offset may be sent.
    free: u64,
    /// The held ranges of replies.
    held: VecDeque<Hold>,
}

/// A range of replies that may not be sent yet.
#[derive(Debug)]
struct Hold {
    /// The log entry that must be committed.
    lsn: Lsn,
    /// The evaluation that must be confirmed.
    read_index: ReadIndex,
    end: u64,
}

/// The extent to which the log allows replies to be sent.
#[derive(Clone, Copy)]
pub(super) struct SendBound<'a> {
    pub(super) log: &'a dyn Log,
    /// Entries up to this one are committed.
    pub(super) committed: Lsn,
    /// An evaluation that is confirmed, so that the log need not be asked for each client.
    pub(super) confirmed: Option<ReadIndex>,
}

impl SendBound<'_> {
    /// Returns whether the log has confirmed an evaluation.
    pub(super) fn is_confirmed(&self, read_index: &ReadIndex) -> bool {
        self.confirmed == Some(*read_index)
            || self.log.check_lease(read_index) == LeaseCheck::Passed
    }
}

impl Output {
    /// Returns the buffer that replies are appended to: the last chunk, or `buffer`, which must be empty.
    #[inline]
    pub(super) fn open(&mut self, buffer: impl FnOnce() -> Vec<u8>) -> &mut Vec<u8> {
        // Bytes that were sent are removed before the chunk grows, as otherwise a client that never catches up keeps
        // them all.
        if self.full.is_empty() && self.sent > self.base {
            self.drop_sent();
        }
        if self.last.len() >= CHUNK {
            self.close_last();
        }
        if self.last.capacity() == 0 {
            self.last = buffer();
        }
        &mut self.last
    }

    #[cold]
    fn close_last(&mut self) {
        let mut full = std::mem::take(&mut self.last);
        self.full_bytes += full.len();
        // Otherwise a long reply would occupy up to twice its size for as long as it waits.
        if full.capacity() - full.len() > full.len() / 2 {
            full.shrink_to_fit();
        }
        self.full.push_back(OutputChunk::Own(full));
    }

    /// Returns the number of bytes that were not sent yet.
    pub(super) fn waiting(&self) -> usize {
        (self.end() - self.sent) as usize
    }

    /// Returns the sizes of the chunks. A last one that gets no more bytes counts as full.
    pub(super) fn sizes(&self) -> OutputSizes {
        let mut sizes = OutputSizes { last: self.last.capacity(), ..OutputSizes::default() };
        if self.full.is_empty() && self.last.len() < CHUNK {
            sizes.waiting = self.waiting();
            return sizes;
        }
        (sizes.full, sizes.full_bytes) =
            (self.full.len(), self.full.iter().map(OutputChunk::capacity).sum());
        if self.last.len() < CHUNK {
            sizes.waiting = self.last.len();
        } else {
            sizes.full += 1;
            sizes.full_bytes += std::mem::take(&mut sizes.last);
        }
        sizes
    }

    /// Returns whether replies wait for the log.
    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns the evaluation whose lease check the first held replies wait for, or `None` if their entry is not
    /// committed either.
    pub(super) fn awaited_lease_check(&self, committed: Lsn) -> Option<ReadIndex> {
        self.held.front().filter(|hold| hold.lsn <= committed).map(|hold| hold.read_index)
    }

    /// Ends a cycle: everything appended in it needs `lsn` to be committed, and `read_index` to be confirmed.
    pub(super) fn hold_until(&mut self, lsn: Lsn, read_index: ReadIndex, allowed: &SendBound<'_>) {
        let end = self.end();
        let seen = self.held.back().map_or(self.free, |last| last.end);
        if end > seen {
            match self.held.back_mut() {
                // The replies before these wait for a later entry, so these need no range of their own.
                Some(last) if last.lsn >= lsn && last.read_index == read_index => last.end = end,
                _ => self.held.push_back(Hold { lsn, read_index, end }),
            }
        }
        self.release(allowed);
    }

    /// Ends a cycle whose replies need nothing of the log: they are sent behind the replies that are held, if any.
    pub(super) fn queue_behind_held(&mut self) {
        let end = self.end();
        match self.held.back_mut() {
            Some(last) => last.end = end,
            None => self.free = end,
        }
    }

    /// Releases replies that the log allows to be sent.
    pub(super) fn release(&mut self, allowed: &SendBound<'_>) {
        while let Some(mark) = self.held.front()
            && mark.lsn <= allowed.committed
            && allowed.is_confirmed(&mark.read_index)
        {
            self.free = mark.end;
            self.held.pop_front();
        }
    }

    /// Removes all replies that wait for the log.
    pub(super) fn withdraw_held(&mut self) {
        self.held.clear();
        loop {
            let begin = self.base + self.full_bytes as u64;
            if begin <= self.free || self.full.is_empty() {
                self.last.truncate(self.free.saturating_sub(begin) as usize);
                return;
            }
            self.last = match self.full.pop_back() {
                Some(OutputChunk::Own(bytes)) => bytes,
                Some(OutputChunk::Shared(bytes)) => bytes.to_vec(),
                None => Vec::new(),
            };
            self.full_bytes -= self.last.len();
        }
    }

    /// Appends a message, and lets it be sent behind the replies before it: at once, or when those are released. No
    /// reply was appended since the last [`hold_until`](Self::hold_until).
    pub(super) fn append_message(
        &mut self,
        head: &[u8],
        rest: &Arc<[u8]>,
        buffer: impl FnOnce() -> Vec<u8>,
    ) {
        debug_assert!(
            self.held.back().map_or(self.free, |last| last.end) == self.end(),
            "a message would release a reply"
        );
        let last = self.open(buffer);
        // The head depends on the client's protocol, so only the rest can be shared by all subscribers.
        last.extend_from_slice(head);
        if rest.len() < SHARED {
            last.extend_from_slice(rest);
        } else {
            self.close_last();
            self.full_bytes += rest.len();
            self.full.push_back(OutputChunk::Shared(Arc::clone(rest)));
        }
        self.queue_behind_held();
    }

    /// Lets everything be sent that was appended. No reply is held.
    pub(super) fn free_all(&mut self) {
        debug_assert!(self.held.is_empty(), "a held reply is sent");
        self.free = self.end();
    }

    /// Returns whether there are bytes that may be sent now.
    pub(super) fn is_sendable(&self) -> bool {
        self.sent < self.free
    }

    /// Returns bytes that may be sent now: all of them, or those in the first chunk.
    pub(super) fn sendable(&self) -> &[u8] {
        let first = self.full.front().map_or(&self.last[..], OutputChunk::bytes);
        let to = first.len().min((self.free - self.base) as usize);
        &first[(self.sent - self.base) as usize..to]
    }

    /// Counts bytes of [`sendable`](Self::sendable) as sent. Returns a chunk that is completely sent, for reuse.
    pub(super) fn advance(&mut self, sent: usize) -> Option<Vec<u8>> {
        self.sent += sent as u64;
        debug_assert!(self.sent <= self.free, "sent before it was allowed");
        let first = self.full.front()?.bytes().len();
        if self.sent - self.base < first as u64 {
            return None;
        }
        self.base += first as u64;
        let done = self.full.pop_front()?;
        self.full_bytes -= first;
        match done {
            OutputChunk::Own(mut bytes) => {
                bytes.clear();
                Some(bytes)
            }
            OutputChunk::Shared(_) => None,
        }
    }

    /// Returns the last buffer for reuse if everything was sent.
    pub(super) fn take_empty(&mut self) -> Option<Vec<u8>> {
        // An idle client keeps no buffer.
        if self.sent != self.end() || self.last.capacity() == 0 {
            return None;
        }
        self.base = self.sent;
        let mut bytes = std::mem::take(&mut self.last);
        bytes.clear();
        Some(bytes)
    }

    fn end(&self) -> u64 {
        self.base + (self.full_bytes + self.last.len()) as u64
    }

    /// Removes the sent bytes from the only chunk.
    #[cold]
    fn drop_sent(&mut self) {
        let gone = (self.sent - self.base) as usize;
        // Moving what is left costs no more than a chunk. A longer one is sent as it is.
        if self.last.len() < CHUNK + gone {
            self.last.drain(..gone);
            self.base = self.sent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::log::none::NoLog;
    use std::sync::LazyLock;

    const NOW: ReadIndex = ReadIndex { epoch: 0, time: 0 };

    fn up_to(committed: Lsn) -> SendBound<'static> {
        static LOG: LazyLock<NoLog> = LazyLock::new(NoLog::new);
        SendBound { log: &*LOG, committed, confirmed: Some(NOW) }
    }

    fn say(output: &mut Output, text: &str, lsn: Lsn, committed: Lsn) {
        output.open(Vec::new).extend_from_slice(text.as_bytes());
        output.hold_until(lsn, NOW, &up_to(committed));
    }

    #[test]
    fn committed_replies_are_sendable_at_once() {
        let mut output = Output::default();
        say(&mut output, "abc", 3, 3);
        assert_eq!(output.sendable(), b"abc");
        assert!(!output.is_held());
        output.advance(2);
        assert_eq!(output.sendable(), b"c");
        assert_eq!(output.open(Vec::new), b"c");
        output.advance(1);
        assert!(output.take_empty().is_some_and(|bytes| bytes.is_empty()));
        say(&mut output, "d", 4, 4);
        assert_eq!(output.sendable(), b"d");
    }

    #[test]
    fn a_held_reply_holds_those_behind_it() {
        let mut output = Output::default();
        say(&mut output, "a", 1, 1);
        say(&mut output, "b", 5, 1);
        // A later reply that needs no entry waits behind it.
        say(&mut output, "c", 0, 1);
        say(&mut output, "d", 7, 1);
        assert_eq!(output.sendable(), b"a");
        assert!(output.take_empty().is_none());
        output.release(&up_to(4));
        assert_eq!(output.sendable(), b"a");
        output.advance(1);
        output.release(&up_to(5));
        assert_eq!(output.sendable(), b"bc");
        output.advance(1);
        assert_eq!(output.open(Vec::new), b"cd");
        output.release(&up_to(6));
        assert_eq!(output.sendable(), b"c");
        output.release(&up_to(7));
        assert_eq!(output.sendable(), b"cd");
    }

    #[test]
    fn a_long_message_is_shared() {
        let mut output = Output::default();
        let (long, short) = (Arc::from(vec![b'l'; SHARED]), Arc::from(*b"short"));
        say(&mut output, "reply", 1, 1);
        output.append_message(b">", &long, Vec::new);
        assert_eq!(Arc::strong_count(&long), 2, "a long message is copied");
        output.append_message(b"*", &short, Vec::new);
        // Behind a reply that waits, messages wait as well.
        say(&mut output, "held", 2, 1);
        output.append_message(b">", &long, Vec::new);
        output.append_message(b">", &short, Vec::new);
        let mut sent = Vec::new();
        let drain = |output: &mut Output, sent: &mut Vec<u8>| {
            while !output.sendable().is_empty() {
                let length = output.sendable().len().min(1000);
                sent.extend_from_slice(&output.sendable()[..length]);
                output.advance(length);
            }
        };
        drain(&mut output, &mut sent);
        let mut wanted = [b"reply>", &long[..], b"*short"].concat();
        assert!(sent == wanted, "a message leaves before the reply in front of it");
        output.release(&up_to(2));
        drain(&mut output, &mut sent);
        wanted.extend([b"held>", &long[..], b">short"].concat());
        assert!(sent == wanted && output.waiting() == 0, "messages were not sent in order");
        assert_eq!(Arc::strong_count(&long), 1, "a sent message stays in memory");
        // Withdrawn bytes may end within a shared message.
        say(&mut output, "a", 3, 3);
        output.append_message(b">", &long, Vec::new);
        say(&mut output, "held", 9, 3);
        output.append_message(b">", &long, Vec::new);
        output.withdraw_held();
        assert_eq!(output.waiting(), 2 + SHARED);
    }

    #[test]
    fn sizes_are_those_of_the_chunks() {
        let mut output = Output::default();
        assert_eq!(output.sizes(), OutputSizes::default());
        say(&mut output, "abc", 1, 1);
        let sizes = output.sizes();
        assert_eq!((sizes.waiting, sizes.full, sizes.full_bytes), (3, 0, 0));
        assert!(sizes.last >= 3);
        output.advance(2);
        assert_eq!(output.sizes().waiting, 1);
        // Replies that are longer than a chunk.
        say(&mut output, &"x".repeat(3 * CHUNK), 1, 1);
        let sizes = output.sizes();
        assert_eq!((sizes.waiting, sizes.last, sizes.full), (0, 0, 1));
        assert!(sizes.full_bytes >= 3 * CHUNK, "{sizes:?}");
        say(&mut output, "more", 1, 1);
        let sizes = output.sizes();
        assert_eq!(
            (sizes.waiting, sizes.full),
            (4, 1),
            "the end of the output is not told from full chunks"
        );
    }

    #[test]
    fn withdrawn_replies_are_never_sent() {
        let mut output = Output::default();
        say(&mut output, "a", 1, 1);
        say(&mut output, "b", 2, 1);
        output.withdraw_held();
        output.release(&up_to(9));
        assert_eq!(output.sendable(), b"a");
        assert_eq!(output.waiting(), 1);
    }

    /// Compares with one contiguous buffer, over chunks of any length that end anywhere.
    #[test]
    fn chunks_are_sent_in_order_and_reused() {
        let mut output = Output::default();
        let (mut all, mut got, mut given) = (Vec::new(), Vec::new(), 0);
        for turn in 0..200_u32 {
            let text = vec![turn as u8; (turn as usize * 7919) % (3 * CHUNK)];
            output.open(Vec::new).extend_from_slice(&text);
            all.extend_from_slice(&text);
            // Every third waits for the next but one.
            output.hold_until(u64::from(turn), NOW, &up_to(u64::from(turn - turn % 3)));
            assert_eq!(output.waiting(), all.len() - got.len());
            let mut budget = turn as usize % 5 * CHUNK;
            while budget > 0 && !output.sendable().is_empty() {
                let sent = output.sendable().len().min(budget).min(CHUNK - 1);
                got.extend_from_slice(&output.sendable()[..sent]);
                given += usize::from(output.advance(sent).is_some());
                budget -= sent;
            }
            let sizes = output.sizes();
            assert!(sizes.last + sizes.full_bytes <= 2 * output.waiting() + 8 * CHUNK);
        }
        output.release(&up_to(u64::MAX));
        while !output.sendable().is_empty() {
            got.extend_from_slice(output.sendable());
            output.advance(output.sendable().len());
        }
        assert!(got == all, "chunks were not sent in order");
        assert!(given > 100 && output.waiting() == 0 && output.take_empty().is_some());
        // Withdrawn bytes may begin in a chunk before the last.
        output.open(Vec::new).extend_from_slice(&vec![1; CHUNK]);
        output.hold_until(1, NOW, &up_to(1));
        for lsn in 2..5 {
            output.open(Vec::new).extend_from_slice(&vec![2; CHUNK]);
            output.hold_until(lsn, NOW, &up_to(1));
        }
        output.advance(10);
        output.withdraw_held();
        assert_eq!((output.waiting(), output.sendable().len()), (CHUNK - 10, CHUNK - 10));
    }
}
