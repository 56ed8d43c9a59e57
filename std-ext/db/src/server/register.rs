//! Who is connected, as other threads may know it: a thread's clients are its own, so it notes what is told of them.

use super::shared::lock;
use crate::command::ClientFacts;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// What is told of one thread's clients. At most a second old; names are newer.
#[derive(Debug, Default)]
pub(super) struct Register(Mutex<BTreeMap<u64, Entry>>);

#[derive(Debug)]
struct Entry {
    address: String,
    since: Instant,
    touched: Instant,
    name: Box<[u8]>,
    protocol: u8,
    command: Box<str>,
    library: Box<[u8]>,
    library_version: Box<[u8]>,
}

impl Register {
    /// Notes what is known of a client that was last heard of at that moment.
    pub(super) fn note(&self, facts: &ClientFacts<'_>, touched: Instant) {
        let mut entries = lock(&self.0);
        let entry = entries.entry(facts.id).or_insert_with(|| Entry {
            address: facts.address.to_owned(),
            since: touched,
            touched,
            name: Box::default(),
            protocol: 2,
            command: Box::default(),
            library: Box::default(),
            library_version: Box::default(),
        });
        (entry.touched, entry.protocol) = (touched, facts.protocol);
        if *entry.command != *facts.command {
            entry.command = facts.command.into();
        }
        replace(&mut entry.name, facts.name);
        replace(&mut entry.library, facts.library);
        replace(&mut entry.library_version, facts.library_version);
    }

    pub(super) fn forget(&self, id: u64) {
        lock(&self.0).remove(&id);
    }

    /// Shows all but one.
    pub(super) fn show(&self, but: u64, now: Instant, each: &mut dyn FnMut(&ClientFacts<'_>)) {
        for (&id, entry) in lock(&self.0).iter().filter(|(id, _)| **id != but) {
            each(&ClientFacts {
                id,
                address: &entry.address,
                name: &entry.name,
                age: now.saturating_duration_since(entry.since).as_secs(),
                idle: now.saturating_duration_since(entry.touched).as_secs(),
                protocol: entry.protocol,
                command: &entry.command,
                library: &entry.library,
                library_version: &entry.library_version,
            });
        }
    }
}

fn replace(old: &mut Box<[u8]>, new: &[u8]) {
    if **old != *new {
        *old = new.into();
    }
}
