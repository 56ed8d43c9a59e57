//! Events about keys (`notify-keyspace-events`): what has happened to which key.
//!
//! A shard notes the events of a change under its lock, and only if somebody wants some. They are handed on after the
//! change was published, and still under the lock. So the events of a key come in the order of its changes, and a
//! program that hears of one finds what it is about.

use crate::event_flags::EventFlags;
use crate::gauge::Gauge;
use crate::log::change::{Changes, LoggedOp};
use crate::request::{Answer, Change, Expiry, Query};
use crate::state::apply::Apply;
use crate::state::shard::Core;
use std::cell::Cell;
use std::sync::OnceLock;

/// Receives each wanted event: how it is announced, its name and the key.
pub type Sink = Box<dyn Fn(EventFlags, &str, &[u8]) + Send + Sync>;

/// Which events are wanted, and who receives them.
#[derive(Default)]
pub(crate) struct KeyEvents {
    flags: Gauge,
    sink: OnceLock<Sink>,
}

impl KeyEvents {
    /// Sets who receives events, once.
    pub(crate) fn on_event(&self, sink: Sink) {
        let _ = self.sink.set(sink);
    }

    /// Sets which events are wanted. Returns whether shards have to note events.
    pub(crate) fn set(&self, flags: EventFlags) -> bool {
        let wanted = flags.by_key() || flags.by_event();
        self.flags.set(if wanted { flags.bits().into() } else { 0 });
        wanted
    }

    fn flags(&self) -> EventFlags {
        EventFlags::from_bits(self.flags.get() as u32)
    }

    /// Announces that a read has not found a key.
    #[inline]
    pub(crate) fn miss(&self, key: &[u8], query: Query) {
        if self.flags.get() != 0 && misses(query) {
            self.announce(EventFlags::MISS, "keymiss", key);
        }
    }

    #[cold]
    fn announce(&self, kind: EventFlags, name: &str, key: &[u8]) {
        let flags = self.flags();
        if flags.intersects(kind)
            && let Some(sink) = self.sink.get()
        {
            sink(flags, name, key);
        }
    }

    /// Announces the events that shards have noted since the last call, in the order in which they happened. The
    /// caller has the shards' locks, and has published the changes.
    #[cold]
    pub(crate) fn announce_noted<'c>(&self, noted: impl Iterator<Item = &'c mut Noted>) {
        let mut events: Vec<Event> =
            noted.filter_map(|noted| noted.events.as_mut()).flat_map(std::mem::take).collect();
        events.sort_by_key(|event| event.number);
        for event in events {
            self.announce(event.kind, event.name, &event.key);
        }
    }
}

/// Returns whether Redis counts a read of a missing key. `OBJECT` and `MEMORY USAGE` do not.
fn misses(query: Query) -> bool {
    !matches!(query, Query::Prefix(_) | Query::MemoryUsage | Query::IdleTime)
}

#[derive(Debug)]
struct Event {
    /// Its number among the events of its thread.
    number: u64,
    kind: EventFlags,
    name: &'static str,
    key: Box<[u8]>,
}

thread_local! {
    /// The number of the next event. All shards of a transaction are changed by one thread.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// The events of a shard that have not been announced. Its lock protects them.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    events: Option<Vec<Event>>,
}

impl Noted {
    /// Sets whether events are noted.
    pub(crate) fn set(&mut self, notes: bool) {
        self.events = notes.then(Vec::new);
    }

    /// Returns whether events are noted.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.events.is_some()
    }

    /// Notes an event, if events are noted.
    pub(crate) fn note(&mut self, kind: EventFlags, name: &'static str, key: &[u8]) {
        if let Some(events) = &mut self.events {
            let number = NUMBER.get();
            NUMBER.set(number + 1);
            events.push(Event { number, kind, name, key: key.into() });
        }
    }

    /// Notes that a read has not found a key.
    pub(crate) fn note_miss(&mut self, key: &[u8], query: Query) {
        if misses(query) {
            self.note(EventFlags::MISS, "keymiss", key);
        }
    }

    /// Notes that a key got another name.
    pub(crate) fn note_rename(&mut self, from: &[u8], to: &[u8]) {
        if self.is_on() {
            self.note(EventFlags::NEW, "new", to);
            self.note(EventFlags::GENERIC, "rename_from", from);
            self.note(EventFlags::GENERIC, "rename_to", to);
        }
    }
}

/// Applies a change, and notes its events.
#[cold]
pub(crate) fn apply_noting(
    apply: Apply<'_, '_>,
    change: &Change<'_>,
    answer: &mut dyn FnMut(Answer<'_>),
) {
    let Apply { core, time, full, log, key } = apply;
    let is_alive = |core: &Core| core.find(key).map(|record| !record.is_expired(time));
    let (before, begin) = (is_alive(core), log.len());
    let mut refused = false;
    let mut noting = |made: Answer<'_>| {
        refused = matches!(made, Answer::Error(_));
        answer(made);
    };
    Apply { core: &mut *core, time, full, log: &mut *log, key }.run(change, &mut noting);
    let after = is_alive(core);
    let logged = Changes::new(&log[begin..]).find_map(Result::ok);
    let events = &mut core.events;
    if before == Some(false) && after != Some(false) {
        events.note(EventFlags::EXPIRED, "expired", key);
    }
    let reads = matches!(
        change,
        Change::GetDelete | Change::Set { get: true, .. } | Change::Expire { get: true, .. }
    );
    if reads && before != Some(true) && !refused {
        events.note(EventFlags::MISS, "keymiss", key);
    }
    let Some(LoggedOp::Change(_, logged)) = logged else { return };
    if before != Some(true) && after == Some(true) {
        events.note(EventFlags::NEW, "new", key);
    }
    match (change, logged) {
        // The expiration has passed.
        (Change::Set { .. }, Change::Delete) => {
            events.note(EventFlags::STRING, "set", key);
            events.note(EventFlags::GENERIC, "expire", key);
            events.note(EventFlags::EXPIRED, "expired", key);
        }
        (_, Change::Delete) => events.note(EventFlags::GENERIC, "del", key),
        (Change::Set { expiry, .. }, _) => {
            events.note(EventFlags::STRING, "set", key);
            if matches!(expiry, Expiry::At(_)) {
                events.note(EventFlags::GENERIC, "expire", key);
            }
        }
        (_, Change::Expire { expiry: Expiry::Never, .. }) => events.note(EventFlags::GENERIC, "persist", key),
        (_, Change::Expire { .. }) => events.note(EventFlags::GENERIC, "expire", key),
        (Change::IncrementFloat(_), _) => events.note(EventFlags::STRING, "incrbyfloat", key),
        (Change::Increment(_), _) => events.note(EventFlags::STRING, "incrby", key),
        (Change::Append(_), _) => events.note(EventFlags::STRING, "append", key),
        (Change::SetRange { .. }, _) => events.note(EventFlags::STRING, "setrange", key),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Options};
    use std::sync::{Arc, Mutex};

    #[test]
    fn events_are_noted_while_they_are_wanted() {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = Arc::clone(&heard);
        db.on_key_event(Box::new(move |_, name, key| {
            hears.lock().unwrap().push(format!("{name} {}", String::from_utf8_lossy(key)));
        }));
        let take = || std::mem::take(&mut *heard.lock().unwrap());
        db.set("rose", "red").unwrap();
        db.set_key_events("A");
        db.set("rose", "red").unwrap();
        assert_eq!(take(), [""; 0], "events go nowhere");
        db.set_key_events("KEAn");
        db.set("daisy", "white").unwrap();
        db.set("daisy", "white").unwrap();
        assert_eq!(take(), ["new daisy", "set daisy", "set daisy"]);
        db.set_key_events("E$");
        db.set("tulip", "red").unwrap();
        db.remove("tulip").unwrap();
        assert_eq!(take(), ["set tulip"], "kinds that are not wanted");
        db.set_key_events("");
        db.set("rose", "red").unwrap();
        assert_eq!(take(), [""; 0], "events that nobody wants");
    }
}
