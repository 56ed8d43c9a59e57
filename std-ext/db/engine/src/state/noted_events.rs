//! The events about keys that a shard has noted, and the kinds of events that are published.

use crate::event_flags::EventFlags;
use crate::gauge::Gauge;
use crate::lock;
use crate::request::{Query, Request};
use std::cell::Cell;
use std::sync::RwLock;

/// A function that publishes an event: on which channels, its database, its name, and the key.
pub(crate) type Publish = Box<dyn Fn(EventFlags, u16, &str, &[u8]) + Send + Sync>;

/// The kinds of events that are published, and how.
#[derive(Default)]
pub(crate) struct KeyEvents {
    /// Stored under the locks of all shards. Zero if no event is published.
    flags: Gauge,
    publish: RwLock<Option<Publish>>,
}

impl KeyEvents {
    /// Sets the function that publishes events, in place of an earlier one.
    pub(crate) fn on_event(&self, publish: Publish) {
        *lock::write(&self.publish) = Some(publish);
    }

    /// Sets the kinds of events. The caller holds the locks of all shards, and tells them.
    pub(super) fn set_flags(&self, flags: EventFlags) {
        self.flags.set(flags.bits().into());
    }

    /// Returns the kinds of events that shards note; none if no event is published.
    pub(super) fn flags(&self) -> EventFlags {
        EventFlags::from_bits(self.flags.get() as u32)
    }

    /// Returns whether the event is published that a read has not found its key.
    #[inline]
    pub(crate) fn wants_misses(&self) -> bool {
        self.flags().intersects(EventFlags::MISS)
    }

    /// Publishes that a read has not found its key. The caller holds no lock.
    #[cold]
    pub(crate) fn publish_miss(&self, database: u16, key: &[u8]) {
        self.publish(database, "keymiss", key);
    }

    pub(super) fn publish(&self, database: u16, name: &str, key: &[u8]) {
        if let Some(publish) = &*lock::read(&self.publish) {
            publish(self.flags(), database, name, key);
        }
    }
}

/// Returns the key of a read for which Redis reports that the key is missing. Redis does not for `OBJECT` and
/// `MEMORY USAGE`.
pub(crate) fn missed_key<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    let (key, query) = request.query()?;
    let is_silent =
        matches!(query, Query::Encoding | Query::MemoryUsage | Query::IdleTime | Query::Frequency);
    (!is_silent).then_some(key)
}

#[derive(Debug)]
pub(super) struct NotedEvent {
    /// Its number among the events of its thread.
    pub(super) number: u64,
    pub(super) kind: EventFlags,
    pub(super) name: &'static str,
    pub(super) key: Box<[u8]>,
}

thread_local! {
    /// The number of the next event. One thread changes all shards of a transaction.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// How the next change is reported, if not by its own name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alias {
    pub(super) kind: EventFlags,
    pub(super) name: &'static str,
    /// Whether the key counts as new although it existed.
    pub(super) is_new: bool,
}

#[derive(Debug, Default)]
struct Notes {
    flags: EventFlags,
    /// The keyspace of the shard.
    keyspace: usize,
    alias: Option<Alias>,
    events: Vec<NotedEvent>,
}

/// The events of a shard that were not published yet. The shard's lock protects them.
#[derive(Debug, Default)]
pub struct NotedEvents(Option<Box<Notes>>);

impl NotedEvents {
    /// Sets the kinds of events that are noted in a shard of this keyspace.
    pub(super) fn set(&mut self, flags: EventFlags, keyspace: usize) {
        let is_on = flags != EventFlags::default();
        self.0 = is_on.then(|| Box::new(Notes { flags, keyspace, ..Notes::default() }));
    }

    /// Returns whether events are noted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes an event, if its kind is published.
    pub fn note(&mut self, kind: EventFlags, name: &'static str, key: &[u8]) {
        let Some(notes) = &mut self.0 else { return };
        if notes.flags.intersects(kind) {
            let number = NUMBER.replace(NUMBER.get().wrapping_add(1));
            notes.events.push(NotedEvent { number, kind, name, key: key.into() });
        }
    }

    pub(crate) fn note_miss(&mut self, key: &[u8]) {
        self.note(EventFlags::MISS, "keymiss", key);
    }

    /// Notes the next change under another name. `is_new` if the key then counts as new in any case.
    pub(crate) fn name_next(&mut self, kind: EventFlags, name: &'static str, is_new: bool) {
        if let Some(notes) = &mut self.0 {
            notes.alias = Some(Alias { kind, name, is_new });
        }
    }

    pub(super) fn take_alias(&mut self) -> Option<Alias> {
        self.0.as_mut()?.alias.take()
    }

    /// Takes the events, with the keyspace of the shard.
    pub(super) fn take(&mut self) -> Option<(usize, Vec<NotedEvent>)> {
        let notes = self.0.as_mut().filter(|notes| !notes.events.is_empty())?;
        Some((notes.keyspace, std::mem::take(&mut notes.events)))
    }

    /// Drops the events of changes that were undone.
    pub fn discard(&mut self) {
        if let Some(notes) = &mut self.0 {
            (notes.alias, notes.events) = (None, Vec::new());
        }
    }
}
