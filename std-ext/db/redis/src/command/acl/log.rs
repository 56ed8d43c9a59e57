//! ACL LOG: refused commands and logins.

use std::collections::VecDeque;

/// Entries of the last minute are looked through for an equal one, as in Redis.
const GROUPING_MILLISECONDS: u64 = 60_000;
/// The newest entries that are compared.
const COMPARED: usize = 10;
/// Bytes of a name that an entry keeps: a client must not fill the memory with long keys that it may not use.
const MAX_BYTES: usize = 1024;

/// The kind of the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    Command,
    Key,
    Channel,
    Auth,
}

/// From where it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum LogContext {
    TopLevel,
    Transaction,
    #[cfg(feature = "scripts")]
    Script,
}

/// An entry: equal events of a minute.
#[derive(Clone, Debug)]
pub(super) struct AclLogEntry {
    pub(super) count: u64,
    pub(super) reason: RefusalReason,
    pub(super) context: LogContext,
    /// The command, the key or the channel.
    pub(super) object: Vec<u8>,
    pub(super) user: Vec<u8>,
    /// The time of the last event, in milliseconds since 1970.
    pub(super) time: u64,
    /// The number of the entry and the time of its first event, which the log sets.
    pub(super) first: (u64, u64),
    /// The client of the last event, as in CLIENT LIST.
    pub(super) client: Vec<u8>,
}

impl AclLogEntry {
    fn is_like(&self, other: &Self) -> bool {
        self.reason == other.reason
            && self.context == other.context
            && self.time.abs_diff(other.time) <= GROUPING_MILLISECONDS
            && self.object == other.object
            && self.user == other.user
    }

    pub(super) fn reason(&self) -> &'static str {
        match self.reason {
            RefusalReason::Command => "command",
            RefusalReason::Key => "key",
            RefusalReason::Channel => "channel",
            RefusalReason::Auth => "auth",
        }
    }

    pub(super) fn context(&self) -> &'static str {
        match self.context {
            LogContext::TopLevel => "toplevel",
            LogContext::Transaction => "multi",
            #[cfg(feature = "scripts")]
            LogContext::Script => "lua",
        }
    }
}

/// Copies the first bytes of a name, as many as an entry has: clients choose its length.
pub(super) fn cut(name: &[u8]) -> Vec<u8> {
    name[..name.len().min(MAX_BYTES)].to_vec()
}

/// The log of refused commands and logins.
#[derive(Debug, Default)]
pub(super) struct AclLog {
    /// The newest first.
    entries: VecDeque<AclLogEntry>,
    /// The number of the next entry.
    next: u64,
}

impl AclLog {
    /// Adds an entry, or counts an equal one again. Keeps at most `longest` entries.
    pub(super) fn add(&mut self, mut entry: AclLogEntry, longest: usize) {
        // As in `addACLLogEntry`: a client that repeats a refused command makes one entry, and does not push out all
        // others.
        let like = self.entries.iter().take(COMPARED).position(|known| known.is_like(&entry));
        if let Some(known) = like.and_then(|place| self.entries.remove(place)) {
            entry.count = known.count + 1;
            entry.first = known.first;
        } else {
            entry.first = (self.next, entry.time);
            self.next += 1;
        }
        self.entries.push_front(entry);
        if like.is_none() {
            self.entries.truncate(longest);
        }
    }

    pub(super) fn newest(&self, count: usize) -> impl ExactSizeIterator<Item = &AclLogEntry> {
        self.entries.iter().take(count)
    }

    pub(super) fn clear(&mut self) {
        self.entries = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, time: u64) -> AclLogEntry {
        let (reason, context) = (RefusalReason::Key, LogContext::TopLevel);
        let (object, user, client) = (object.into(), b"rose".to_vec(), Vec::new());
        AclLogEntry { count: 1, reason, context, object, user, time, first: (0, 0), client }
    }

    fn shown(log: &AclLog) -> Vec<(String, u64)> {
        let shown =
            |entry: &AclLogEntry| (String::from_utf8(entry.object.clone()).unwrap(), entry.count);
        log.newest(usize::MAX).map(shown).collect()
    }

    fn pairs(wanted: &[(&str, u64)]) -> Vec<(String, u64)> {
        wanted.iter().map(|(object, count)| ((*object).to_owned(), *count)).collect()
    }

    #[test]
    fn equal_entries_of_a_minute_are_one() {
        let mut log = AclLog::default();
        for (object, time) in [("a", 0), ("b", 1), ("a", 60_000)] {
            log.add(entry(object, time), 3);
        }
        assert_eq!(shown(&log), pairs(&[("a", 2), ("b", 1)]), "equal entries are not one");
        log.add(entry("b", 60_002), 3);
        assert_eq!(shown(&log), pairs(&[("b", 1), ("a", 2), ("b", 1)]), "an old entry is counted");
        log.add(entry("c", 60_003), 3);
        assert_eq!(shown(&log), pairs(&[("c", 1), ("b", 1), ("a", 2)]), "the log is too long");
        let first: Vec<_> = log.newest(3).map(|entry| entry.first).collect();
        assert_eq!(
            first,
            [(3, 60_003), (2, 60_002), (0, 0)],
            "entries that are not the first of their kind"
        );
        log.clear();
        log.add(entry("a", 60_004), 3);
        assert_eq!(
            log.newest(1).next().map(|entry| entry.first.0),
            Some(4),
            "a number comes twice"
        );
    }

    #[test]
    fn a_long_name_is_cut() {
        let kept = cut(&vec![b'x'; 1 << 20]);
        assert_eq!(kept.len(), MAX_BYTES, "the log keeps any name");
        assert!(kept.capacity() < 2 * MAX_BYTES, "the log keeps the memory of any name");
    }
}
