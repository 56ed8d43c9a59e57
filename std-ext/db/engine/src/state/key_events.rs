//! The publication of events about keys (`notify-keyspace-events`).
//!
//! A thread that changes a shard notes the events of the change under the shard's lock, if events are published at all.
//! It publishes them after the change, and before it releases the lock. So the events of a key are published in the
//! order of its changes, and a client that receives one finds the change made. Publishing compares the channel with
//! each pattern of a subscriber, in a number of steps that the channel's length bounds, and moves messages into
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
    pub fn set_key_events(&self, flags: EventFlags) {
        let is_published = flags.by_key() || flags.by_event();
        // Without `K` or `E` no channel exists, so noting events would be wasted (`notifyKeyspaceEvent`).
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
        // A transaction notes events in several shards, and its clients expect them in the order of its commands.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Options};
    use std::sync::{Arc, Mutex};

    /// Opens a database, and returns the events that it publishes as well.
    fn open(letters: &str) -> (Db, Arc<Mutex<Vec<String>>>) {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        let published: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = Arc::clone(&published);
        db.on_key_event(Box::new(move |_, database, name, key| {
            let key = String::from_utf8_lossy(key);
            all.lock().unwrap().push(format!("{database} {name} {key}"));
        }));
        db.set_key_events(letters);
        (db, published)
    }

    #[test]
    fn events_are_noted_while_they_are_published() {
        let (db, published) = open("A");
        let take = || std::mem::take(&mut *published.lock().unwrap());
        db.set("rose", "red").unwrap();
        assert_eq!(take(), [""; 0], "events without a channel are published");
        db.set_key_events("KEAn");
        db.set("daisy", "white").unwrap();
        db.database(3).unwrap().set("daisy", "white").unwrap();
        assert_eq!(take(), ["0 new daisy", "0 set daisy", "3 new daisy", "3 set daisy"]);
        db.swap_databases(0, 3).unwrap();
        db.set("daisy", "red").unwrap();
        assert_eq!(take(), ["0 set daisy"], "a swapped database has another number");
        db.set_key_events("E$");
        db.set("tulip", "red").unwrap();
        db.delete("tulip").unwrap();
        assert_eq!(take(), ["0 set tulip"], "a kind is published that is not set");
        db.set_key_events("");
        db.set("rose", "red").unwrap();
        assert_eq!(take(), [""; 0], "events are published without a setting");
    }

    #[test]
    fn a_change_is_visible_when_its_event_is_published() {
        let (db, _) = open("E$");
        let (session, seen) = (Mutex::new(db.session()), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&seen);
        db.on_key_event(Box::new(move |_, _, _, key| {
            let request = crate::request::Request::Read(key, crate::request::Query::Value);
            session.lock().unwrap().execute(&[request], &mut |_, found| {
                all.lock().unwrap().push(matches!(found, crate::request::Answer::Bytes(b"red")));
            });
        }));
        db.set("rose", "red").unwrap();
        db.set_all(&[(b"daisy", b"red"), (b"tulip", b"red")]).unwrap();
        assert_eq!(*seen.lock().unwrap(), [true; 3], "an event precedes its change");
        db.on_key_event(Box::new(|_, _, _, _| ()));
    }

    #[test]
    fn followers_publish_misses_only() {
        let (db, published) = open("Exm");
        let state = db.state();
        let note = || {
            let mut core = state.shards[0].lock();
            core.events.note(EventFlags::EXPIRED, "expired", b"rose");
            core.events.note_miss(b"daisy");
            state.log_and_publish(&state.shards[0], &mut core, 0, &[]);
            drop(core);
            std::mem::take(&mut *published.lock().unwrap())
        };
        assert_eq!(note(), ["0 expired rose", "0 keymiss daisy"]);
        state.become_follower();
        assert_eq!(note(), ["0 keymiss daisy"], "a follower publishes a change");
    }
}
