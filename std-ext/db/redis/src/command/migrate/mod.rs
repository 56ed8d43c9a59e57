//! MIGRATE: moves keys to another server, as Redis does.
//!
//! The other server stores a key by RESTORE, and then the key is deleted here. No lock is held between the two: a key
//! is watched before it is read, and deleted only if it has not changed since; otherwise it is sent again. So no other
//! client waits for the other server, and no change is lost. A key that has changed each time is locked while it is
//! sent.

mod call;
mod target;

use crate::command::arguments::CommandError;
use crate::command::arguments::is;
use crate::command::context::ServerApi;
use crate::command::dumped::dumped;
use crate::command::execute::{Execution, NextStep};
use crate::command::reply::error_text;
use crate::command::rows::{Run, alone};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INCOMPLETE, KeyRange, RW, key, unknown};
use call::MigrateCall;
use hedgerow_db_engine::Session;
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_engine::request::{Answer, Change, Query, Request, RequestError};
use hedgerow_db_engine::session::{Breadth, LockedKeys};
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::watched_keys::KeyWatch;
use hedgerow_db_formats::resp::write::request;
use std::collections::VecDeque;
use std::time::Duration;
use target::Target;

const IN_TRANSACTION: &str = "ERR MIGRATE is not supported in transactions and scripts";
const IN_CLUSTER: &str =
    "ERR MIGRATE is not supported in a cluster; `hedgerow-db cluster move` moves its slots";
/// Keys that are sent together at most, and the bytes after which no other key is added.
const KEYS_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: usize = 1 << 20;
/// A key that has changed this often while it was sent is locked the next time.
const UNLOCKED_ATTEMPTS: u32 = 8;
/// The longest time for which a key is locked: meanwhile all clients wait that change keys of its shard.
const LOCKED: Duration = Duration::from_secs(2);

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] =
    &[alone("migrate", -6, "write movablekeys", |e, a| e.migrate(a))
        .keys(&[
            key(3, RW | ACCESS | DELETE),
            unknown(RW | ACCESS | DELETE | INCOMPLETE).behind("KEYS", -2).to(-1, 1),
        ])
        .found_by(migrated_keys)
        .since("2.6.0", Group::Generic)
        .syntax(
            "host port/integer key_or_empty_string:<key#0|empty_string:> destination-db/integer \
            timeout/integer [COPY@3.0.0] [REPLACE@3.0.0] [authentication:<[AUTH \
            password@4.0.7]|[AUTH2 username_password:(username password)@6.0.0]>] [KEYS \
            key#1@3.0.6...]",
        )
        .summary("Moves or copies keys to another server.")
        .also_in("dangerous")
        .takes_time("O(N), N is the number of bytes")
        .tips("nondeterministic_output")];

impl<'a> Execution<'_, 'a> {
    /// MIGRATE.
    pub(super) fn migrate(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        // A transaction holds its shards' locks, and would hold them while it waits for another server.
        if self.collects {
            return Err(IN_TRANSACTION.into());
        }
        if self.group().is_some() {
            return Err(IN_CLUSTER.into());
        }
        let call = MigrateCall::parse(arguments)?;
        self.execute_batch();
        if self.next != NextStep::Continue {
            return Ok(());
        }
        let state = self.session.state();
        let mut migration =
            Migration::new(self.session, &state, &call, (self.server, self.connection.id()));
        let moved = migration.run();
        self.lsn = self.lsn.max(migration.lsn);
        if moved? {
            self.reply(|out| out.ok());
        } else {
            self.reply(|out| out.simple("NOKEY"));
        }
        Ok(())
    }
}

/// The keys that one MIGRATE moves.
struct Migration<'c, 'a> {
    session: &'c mut Session,
    state: &'c State,
    call: &'c MigrateCall<'a>,
    /// The server, and the client that has called MIGRATE.
    caller: (&'c dyn ServerApi, u64),
    pending: VecDeque<PendingMigrate<'a>>,
    /// The connection, made when the first key is found.
    target: Option<Target<'c>>,
    /// The first error of the other server.
    refused: Option<String>,
    /// The log entry that must be committed before the reply may be sent.
    lsn: Lsn,
}

/// A key that moves, and how often it was sent and had changed meanwhile.
struct PendingMigrate<'a> {
    key: &'a [u8],
    attempts: u32,
}

/// A key that was sent, and whether it has changed since.
struct Sent<'a> {
    pending: PendingMigrate<'a>,
    watch: KeyWatch,
}

impl<'c, 'a> Migration<'c, 'a> {
    fn new(
        session: &'c mut Session,
        state: &'c State,
        call: &'c MigrateCall<'a>,
        caller: (&'c dyn ServerApi, u64),
    ) -> Self {
        let pending = call.keys.iter().map(|key| PendingMigrate { key, attempts: 0 }).collect();
        Self { session, state, call, caller, pending, target: None, refused: None, lsn: 0 }
    }

    /// Moves all keys. Returns false if none of them exists.
    fn run(&mut self) -> Result<bool, CommandError> {
        while let Some(next) = self.pending.front() {
            if next.attempts < UNLOCKED_ATTEMPTS {
                self.move_unlocked()?;
            } else {
                self.move_locked()?;
            }
        }
        match self.refused.take() {
            Some(error) => Err(refused_there(&error)),
            None => Ok(self.target.is_some()),
        }
    }

    /// Sends the next keys, and deletes those that have not changed when the other server has replied.
    fn move_unlocked(&mut self) -> Result<(), CommandError> {
        let (mut requests, mut sent) = (Vec::new(), Vec::new());
        while sent.len() < KEYS_AT_ONCE && requests.len() < BYTES_AT_ONCE {
            let next = self.pending.front();
            if next.is_none_or(|next| next.attempts >= UNLOCKED_ATTEMPTS) {
                break;
            }
            let Some(pending) = self.pending.pop_front() else { break };
            let mut watch = KeyWatch::default();
            // Before the key is read, so that no change comes between.
            if !self.call.copy && !self.session.watch_keys(&mut watch, &[pending.key]) {
                return Err("ERR the key is too long to be moved".into());
            }
            let mut locked = self.lock(pending.key, None)?.ok_or(IN_CLUSTER)?;
            let found = self.write_request(&mut locked, &pending, &mut requests)?;
            self.unlock(locked);
            if found {
                sent.push(Sent { pending, watch });
            }
        }
        if sent.is_empty() {
            return Ok(());
        }
        self.target()?.send(&requests)?;
        let mut changed = Vec::new();
        for Sent { mut pending, watch } in sent {
            if let Err(error) = self.target()?.reply()? {
                self.refused.get_or_insert(error);
            } else if !self.call.copy && !self.delete_unchanged(pending.key, &watch)? {
                pending.attempts += 1;
                changed.push(pending);
            }
        }
        // In front, in their order, so that a key that keeps changing reaches its limit of attempts soon.
        for pending in changed.into_iter().rev() {
            self.pending.push_front(pending);
        }
        Ok(())
    }

    /// Moves the next key, which was sent before, and is locked until the other server has replied.
    fn move_locked(&mut self) -> Result<(), CommandError> {
        let Some(pending) = self.pending.pop_front() else { return Ok(()) };
        let mut request = Vec::new();
        let mut locked = self.lock(pending.key, None)?.ok_or(IN_CLUSTER)?;
        self.write_request(&mut locked, &pending, &mut request)?;
        let timeout = self.call.timeout;
        let target = self.target()?;
        target.set_timeout(timeout.min(LOCKED));
        target.send(&request)?;
        let reply = target.reply()?;
        target.set_timeout(timeout);
        match reply {
            Ok(()) => self.delete(locked, pending.key),
            Err(error) => {
                self.refused.get_or_insert(error);
                self.unlock(locked);
                Ok(())
            }
        }
    }

    /// Returns the connection to the other server.
    fn target(&mut self) -> Result<&mut Target<'c>, CommandError> {
        if self.target.is_none() {
            let connected = Target::connect(self.call, self.caller)?;
            self.target = Some(connected.map_err(|error| refused_there(&error))?);
        }
        Ok(self.target.as_mut().expect("it was just connected"))
    }

    /// Appends the request that makes the other server's key equal to this one, if there is a need for one. Returns
    /// whether there is.
    fn write_request(
        &self,
        locked: &mut LockedKeys<'_>,
        pending: &PendingMigrate<'_>,
        requests: &mut Vec<u8>,
    ) -> Result<bool, CommandError> {
        let (key, was_sent, time) = (pending.key, pending.attempts > 0, locked.time());
        let (mut ttl, mut value) = (0, None);
        let reads = [Request::Read(key, Query::Expiry), Request::Read(key, Query::Stored)];
        locked.execute(&reads, &mut |_, answer| match answer {
            // A time to live of 0 would be none.
            Answer::ExpiresAt(Some(at)) => ttl = at.saturating_sub(time).max(1),
            Answer::Stored(stored) => value = Some(dumped(stored)),
            _ => {}
        });
        let ttl = ttl.to_string();
        match &value.transpose()? {
            // Once sent, the key on the other server is ours, in an older version.
            Some(value) if was_sent || self.call.replace => {
                request(requests, &[&b"RESTORE"[..], key, ttl.as_bytes(), value, b"REPLACE"]);
            }
            Some(value) => request(requests, &[&b"RESTORE"[..], key, ttl.as_bytes(), value]),
            // It was deleted, or has expired, after it was sent.
            None if was_sent => request(requests, &[&b"DEL"[..], key]),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Deletes a key, unless it has changed. Returns whether it has not.
    fn delete_unchanged(&mut self, key: &[u8], watch: &KeyWatch) -> Result<bool, CommandError> {
        // Under this lock the key is what was sent, or its watch is broken.
        let Some(locked) = self.lock(key, Some(watch))? else { return Ok(false) };
        self.delete(locked, key)?;
        Ok(true)
    }

    fn delete(&mut self, mut locked: LockedKeys<'c>, key: &[u8]) -> Result<(), CommandError> {
        let mut failed = None;
        locked.execute(&[Request::Change(key, Change::Delete)], &mut |_, answer| {
            if let Answer::Error(error) = answer {
                failed = Some(error);
            }
        });
        self.unlock(locked);
        failed.map_or(Ok(()), refused_here)
    }

    /// Locks the shard of a key. Returns nothing if the watched key has changed.
    ///
    /// # Errors
    /// If keys cannot be deleted now, so that none may be sent.
    fn lock(
        &mut self,
        key: &[u8],
        watch: Option<&KeyWatch>,
    ) -> Result<Option<LockedKeys<'c>>, CommandError> {
        let deletes = !self.call.copy;
        let locked =
            LockedKeys::lock((self.session, self.state), &[key], watch, (deletes, Breadth::Keys));
        let locked = locked.map_err(|_| IN_CLUSTER)?;
        match locked.as_ref().and_then(LockedKeys::refusal) {
            Some(error) if deletes => refused_here(error),
            _ => Ok(locked),
        }
    }

    fn unlock(&mut self, locked: LockedKeys<'_>) {
        self.lsn = self.session.finish_locked(locked, || {}).max(self.lsn);
    }
}

/// Returns the error for a request that this database refuses.
fn refused_here<T>(error: RequestError) -> Result<T, CommandError> {
    Err(error_text(error).into())
}

/// Returns the error for a request that the other server refuses.
fn refused_there(error: &str) -> CommandError {
    format!("ERR Target instance replied with error: {error}").into()
}

/// The keys of MIGRATE: those behind the word KEYS, or the third argument.
fn migrated_keys(arguments: &[&[u8]]) -> KeyRange {
    listed_keys(arguments).map_or(KeyRange::one(3), |first| KeyRange::from(first, arguments))
}

/// Returns where the keys behind the word KEYS of MIGRATE begin. If the key before the options is not empty, the
/// command is wrong, and has none.
fn listed_keys(arguments: &[&[u8]]) -> Option<usize> {
    let mut at = 6;
    loop {
        at += match arguments.get(at)? {
            option if is(option, "keys") => break,
            option if is(option, "auth") => 2,
            option if is(option, "auth2") => 3,
            _ => 1,
        };
    }
    Some(if arguments[3].is_empty() { at + 1 } else { arguments.len() })
}
