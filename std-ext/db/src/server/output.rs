//! What a client is to be sent: answers, and how far they may go out already.
//!
//! Answers leave in order. One that shows a change goes no sooner than the log says that the change is safe; what was
//! answered behind it waits with it.

use crate::log::Lsn;
use std::collections::VecDeque;

/// Answers on their way to one client. Places count from the first byte that it was ever sent.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// The place of the first byte in `bytes`.
    base: u64,
    /// What is before was sent.
    sent: u64,
    /// What is before may be sent.
    free: u64,
    /// What is before a place may be sent when an entry of the log is safe.
    held: VecDeque<Mark>,
}

#[derive(Debug)]
struct Mark {
    lsn: Lsn,
    end: u64,
}

impl Output {
    /// Where answers are appended. What was sent does not count as its length, so that a limit on the length is one on
    /// what waits.
    pub(super) fn open(&mut self) -> &mut Vec<u8> {
        self.forget_sent();
        &mut self.bytes
    }

    /// Bytes that were not sent.
    pub(super) fn waiting(&self) -> usize {
        (self.end() - self.sent) as usize
    }

    /// Bytes of memory in the buffer.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether answers wait for the log.
    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Ends a turn in which all that was appended needs `lsn` to be safe, where all up to `safe` is.
    pub(super) fn settle(&mut self, lsn: Lsn, safe: Lsn) {
        let end = self.end();
        let seen = self.held.back().map_or(self.free, |last| last.end);
        if end > seen {
            match self.held.back_mut() {
                // What stands before it waits longer anyway.
                Some(last) if last.lsn >= lsn => last.end = end,
                _ => self.held.push_back(Mark { lsn, end }),
            }
        }
        self.release(safe);
    }

    /// Lets go what waited for entries up to `safe`.
    pub(super) fn release(&mut self, safe: Lsn) {
        while let Some(mark) = self.held.front()
            && mark.lsn <= safe
        {
            self.free = mark.end;
            self.held.pop_front();
        }
    }

    /// Takes back what waits for the log, for good.
    pub(super) fn withdraw(&mut self) {
        self.held.clear();
        self.bytes.truncate((self.free - self.base) as usize);
    }

    /// What may be sent now.
    pub(super) fn sendable(&self) -> &[u8] {
        &self.bytes[(self.sent - self.base) as usize..(self.free - self.base) as usize]
    }

    /// Counts bytes as sent.
    pub(super) fn advance(&mut self, sent: usize) {
        self.sent += sent as u64;
        debug_assert!(self.sent <= self.free, "sent before it was allowed");
    }

    /// Gives the buffer away where all was sent.
    pub(super) fn take_empty(&mut self) -> Option<Vec<u8>> {
        if self.sent != self.end() || self.bytes.capacity() == 0 {
            return None;
        }
        self.base = self.sent;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        Some(bytes)
    }

    /// Puts a buffer in, empty but with room, where there is none.
    pub(super) fn lend(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffer();
        }
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn forget_sent(&mut self) {
        let gone = (self.sent - self.base) as usize;
        if gone > 0 {
            self.bytes.drain(..gone);
            self.base = self.sent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(output: &mut Output, text: &str, lsn: Lsn, safe: Lsn) {
        output.open().extend_from_slice(text.as_bytes());
        output.settle(lsn, safe);
    }

    #[test]
    fn what_is_safe_goes_out_at_once() {
        let mut output = Output::default();
        say(&mut output, "abc", 3, 3);
        assert_eq!(output.sendable(), b"abc");
        assert!(!output.is_held());
        output.advance(2);
        assert_eq!(output.sendable(), b"c");
        assert_eq!(output.open(), b"c");
        output.advance(1);
        assert!(output.take_empty().is_some_and(|bytes| bytes.is_empty()));
        say(&mut output, "d", 4, 4);
        assert_eq!(output.sendable(), b"d");
    }

    #[test]
    fn what_is_not_safe_holds_all_that_follows() {
        let mut output = Output::default();
        say(&mut output, "a", 1, 1);
        say(&mut output, "b", 5, 1);
        // A later answer that needs nothing waits behind it.
        say(&mut output, "c", 0, 1);
        say(&mut output, "d", 7, 1);
        assert_eq!(output.sendable(), b"a");
        assert!(output.take_empty().is_none());
        output.release(4);
        assert_eq!(output.sendable(), b"a");
        output.advance(1);
        output.release(5);
        assert_eq!(output.sendable(), b"bc");
        output.advance(1);
        assert_eq!(output.open(), b"cd");
        output.release(6);
        assert_eq!(output.sendable(), b"c");
        output.release(7);
        assert_eq!(output.sendable(), b"cd");
    }

    #[test]
    fn what_is_withdrawn_never_goes_out() {
        let mut output = Output::default();
        say(&mut output, "a", 1, 1);
        say(&mut output, "b", 2, 1);
        output.withdraw();
        output.release(9);
        assert_eq!(output.sendable(), b"a");
        assert_eq!(output.waiting(), 1);
    }
}
