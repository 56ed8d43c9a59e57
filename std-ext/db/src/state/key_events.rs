//! The publication of events about keys (`notify-keyspace-events`).
//!
//! A thread that changes a shard notes the events of the change under the shard's lock, if events are published at all.
//! It publishes them after the change, and before it releases the lock. So the events of a key are published in the
//! order of its changes, and a client that receives one finds the change made. Publishing only moves messages into
//! mailboxes of bounded size: it waits for no client.
//!
//! Changes that a follower applies, and keys that move with their slots, are not noted.

use super::shard::Core;
use super::{LockedShards, State};
use crate::event_flags::EventFlags;

impl Core {
    /// Removes the keys that have expired by this time.
    pub(super) fn remove_expired(&mut self, time: u64) {
        let mut events = std::mem::take(&mut self.events);
        self.remove_where(|record| {
            let is_expired = record.is_expired(time);
            if is_expired {
                events.note(EventFlags::EXPIRED, "expired", record.key());
            }
            is_expired
        });
        self.events = events;
    }
}

impl State {
    /// Sets the kinds of events that are published. Changes from now on are reported accordingly.
    pub(crate) fn set_key_events(&self, flags: EventFlags) {
        let is_published = flags.by_key() || flags.by_event();
        let flags = if is_published { flags } else { EventFlags::default() };
        let mut cores = self.lock_every_shard();
        self.key_events.set_flags(flags);
        for (number, core) in &mut cores {
            core.events.set(flags, *number / self.shards.per_keyspace());
        }
    }

    /// Publishes the events of locked shards, whose changes are published.
    #[inline]
    pub(crate) fn publish_events(&self, cores: &mut LockedShards<'_>) {
        if cores.first().is_some_and(|(_, core)| core.events.is_on()) {
            self.publish_noted(cores.iter_mut().map(|(_, core)| &mut **core));
        }
    }

    /// Publishes the events of locked shards, in the order in which they were noted.
    #[cold]
    pub(super) fn publish_noted<'c>(&self, cores: impl Iterator<Item = &'c mut Core>) {
        let mut events = Vec::new();
        for (keyspace, noted) in cores.filter_map(|core| core.events.take()) {
            let database = self.databases.of_keyspace(keyspace);
            events.extend(noted.into_iter().map(|event| (database, event)));
        }
        events.sort_by_key(|(_, event)| event.number);
        // A follower removes expired keys by itself. Only the primary reports that.
        let follows = self.role.get().follows();
        for (database, event) in events {
            if !follows || event.kind == EventFlags::MISS {
                self.key_events.publish(database, event.name, &event.key);
            }
        }
    }
}
