//! The commands of a script, executed on its locked keys.

use crate::command::acl::user::User;
use crate::command::batch::RequestBatch;
use crate::command::execute::Execution;
use crate::command::monitor_lines;
use crate::command::routing::STALE;
use crate::command::script::call::Call;
use crate::command::script::current_host::Host;
use crate::command::script::outbox::Outbox;
use crate::command::script::shebang::Flags;
use crate::command::server::write_time;
use crate::command::sort;
use crate::command::table::{self, CommandSpec, Flag, Id};
use crate::command::tracking::keys_of;
use crate::command::transaction::asks_database;
use crate::pubsub::ChannelKind;
use crate::view::MemberRole;
use bumpalo::Bump;
use hedgerow_db_engine::session::{Breadth, LockedKeys, NotIncluded};
use hedgerow_db_formats::number::integer;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;
use hedgerow_db_formats::slots::slot;
use std::collections::HashSet;
use std::sync::Arc;

/// More keys than this are looked up in a set.
const FEW: usize = 16;

/// The commands of a script, executed on its locked keys.
pub(super) struct LockedHost<'h, 'e, 'a, 's> {
    execution: &'h mut Execution<'e, 'a>,
    keys: &'h mut LockedKeys<'s>,
    outbox: &'h mut Outbox,
    declared: &'h [&'a [u8]],
    /// The declared keys, if they are many.
    set: HashSet<&'a [u8]>,
    flags: Flags,
    reads_only: bool,
    allows_undeclared: bool,
    /// The slot of the keys so far, if all of them must have one.
    slot: Option<u16>,
    /// More locks than the script can take now: it has to begin anew with them.
    pub(super) needs: Option<Breadth>,
    /// The most that the script has needed. Keys whose shards have joined the others one by one do not count.
    pub(super) used: Breadth,
    batch: RequestBatch<'static>,
    arena: Bump,
}

impl<'h, 'e, 'a, 's> LockedHost<'h, 'e, 'a, 's> {
    pub(super) fn new(
        execution: &'h mut Execution<'e, 'a>,
        (keys, outbox): (&'h mut LockedKeys<'s>, &'h mut Outbox),
        call: &Call<'h, 'a>,
        flags: Flags,
    ) -> Self {
        let declared = call.keys;
        let set =
            if declared.len() > FEW { declared.iter().copied().collect() } else { HashSet::new() };
        if flags.allow_oom {
            keys.ignore_full();
        }
        let reads_only = call.reads_only || flags.no_writes;
        let allows_undeclared =
            flags.allow_undeclared_keys || execution.db.script_settings().allow_undeclared_keys();
        // All declared keys have the slot of the first one: a call with others was refused before.
        let slot = declared.first().map(|key| slot(key));
        let (needs, used, batch) = (None, Breadth::Keys, RequestBatch::default());
        Self {
            execution,
            keys,
            outbox,
            declared,
            set,
            flags,
            reads_only,
            allows_undeclared,
            slot,
            needs,
            used,
            batch,
            arena: Bump::new(),
        }
    }

    fn declares(&self, key: &[u8]) -> bool {
        if self.declared.len() > FEW {
            self.set.contains(key)
        } else {
            self.declared.contains(&key)
        }
    }

    /// Returns whether this is the number of the selected database, whose shards are locked.
    fn is_selected(&self, number: &[u8]) -> bool {
        integer(number) == Some(i64::from(self.execution.connection.database))
    }

    /// Checks whether this node of a cluster accesses a key that the script has not declared, or a slot's channel.
    fn check_slot(&mut self, name: &[u8], writes: bool) -> Result<(), String> {
        let Some(group) = self.execution.group() else { return Ok(()) };
        let (view, slot) = (group.view(), slot(name));
        let reads_stale = self.execution.connection.reads_stale && !writes;
        if !view.owns(slot) || view.role != MemberRole::Primary && !reads_stale {
            return Err(NOT_LOCAL.to_owned());
        }
        if view.role != MemberRole::Primary && !group.views().is_fresh(self.keys.time()) {
            return Err(STALE.to_owned());
        }
        // A script without flags may access all slots of its node.
        if self.flags.declared
            && !self.flags.allow_cross_slot_keys
            && *self.slot.get_or_insert(slot) != slot
        {
            return Err(CROSS_SLOT.to_owned());
        }
        Ok(())
    }

    /// Locks the shards of the keys of a command that the script has not declared.
    ///
    /// # Errors
    /// The command is refused, or the script has to begin anew.
    fn include(&mut self, spec: &CommandSpec, arguments: &[&[u8]]) -> Result<(), String> {
        for key in keys_of(spec, arguments) {
            if self.declares(key) {
                continue;
            }
            if !self.allows_undeclared {
                let key = String::from_utf8_lossy(&key[..key.len().min(128)]).into_owned();
                return Err(format!(
                    "ERR Script attempted to access a key that is not in its KEYS: '{key}'"
                ));
            }
            self.check_slot(key, spec.has_flag(Flag::Write))?;
            match self.keys.include(key) {
                Ok(()) => {}
                Err(NotIncluded::NotOwned) => return Err(NOT_LOCAL.to_owned()),
                Err(NotIncluded::Busy) => return Err(self.begin_anew(Breadth::Database)),
            }
        }
        Ok(())
    }

    /// Locks the shards of all keys.
    ///
    /// # Errors
    /// The command is refused, or the script has to begin anew.
    fn include_all(&mut self, spec: &CommandSpec, breadth: Breadth) -> Result<(), String> {
        if !self.allows_undeclared {
            let name = spec.name.to_uppercase();
            let flag = "without the flag allow-undeclared-keys";
            return Err(format!("ERR {name} is not supported in scripts {flag}"));
        }
        self.used = self.used.max(breadth);
        if self.keys.include_all(breadth) { Ok(()) } else { Err(self.begin_anew(breadth)) }
    }

    /// Notes that the script has to begin anew. Returns its error until it has ended, which nobody sees.
    fn begin_anew(&mut self, breadth: Breadth) -> String {
        self.needs = Some(breadth);
        "ERR the script begins anew".to_owned()
    }

    /// Returns why scripts must not call a command. Locks the keys of others.
    fn refusal(&mut self, spec: &'static CommandSpec, arguments: &[&[u8]]) -> Result<(), String> {
        // The order of these checks is that of `scriptCall`.
        if spec.has_flag(Flag::NoScript) {
            return Err("ERR This Redis command is not allowed from script".to_owned());
        }
        if let Some(error) = self.execution.refusal_in_script(spec, arguments) {
            return Err(error.to_owned());
        }
        let writes = spec.has_flag(Flag::Write);
        if self.reads_only && (writes || sends(spec).is_some()) {
            return Err("ERR Write commands are not allowed from read-only scripts.".to_owned());
        }
        // They are not executed as requests of a batch.
        let is_apart = spec.id == Id::RESTORE || spec.has_flag(Flag::PubSub);
        if spec.id == Id::SELECT && self.is_selected(arguments[1]) {
            return Ok(());
        }
        match sends(spec) {
            Some(ChannelKind::ShardChannel) => return self.check_slot(arguments[1], false),
            Some(_) => return Ok(()),
            None => {}
        }
        if let Some(breadth) = about_all_keys(spec) {
            return self.include_all(spec, breadth);
        }
        if spec.key_specs.is_empty() || is_apart {
            return keyless_refusal(spec);
        }
        self.include(spec, arguments)?;
        if sort::names_keys(spec, arguments) {
            self.include_all(spec, Breadth::Database)?;
        }
        // Only before the first change, as in `scriptVerifyOOM`: a script is not stopped in the middle for memory.
        if writes && spec.has_flag(Flag::DenyOom) && self.keys.is_full() && !self.keys.has_changes()
        {
            return Err("OOM command not allowed when used memory > 'maxmemory'.".to_owned());
        }
        Ok(())
    }
}

impl Host for LockedHost<'_, '_, '_, '_> {
    fn user(&self) -> Arc<User> {
        Arc::clone(&self.execution.connection.user)
    }

    fn needs_locks(&self) -> bool {
        self.needs.is_some()
    }

    fn call(
        &mut self,
        arguments: &[&[u8]],
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let spec = table::find(arguments[0]);
        let called = spec
            .ok_or_else(|| "ERR Unknown Redis command called from script".to_owned())
            .and_then(|spec| self.execute(spec, arguments, protocol, out));
        if let Err(error) = &called
            // Not an error of the client's command if the script begins again.
            && self.needs.is_none()
        {
            let meter = &mut *self.execution.meter;
            meter.diagnostics.count_error(error.as_bytes());
            if let Some(spec) = spec {
                meter.reject(spec.with_part(arguments).id.number().into());
            }
        }
        called
    }
}

impl LockedHost<'_, '_, '_, '_> {
    fn execute(
        &mut self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let detailed = spec.with_part(arguments);
        if !spec.takes(arguments.len()) || !detailed.takes(arguments.len()) {
            return Err("ERR Wrong number of args calling Redis command from script".to_owned());
        }
        self.refusal(detailed, arguments)?;
        let diagnostics = &self.execution.meter.diagnostics;
        if diagnostics.observes() && diagnostics.is_monitored() {
            monitor_lines::show_called(diagnostics, self.execution.connection, spec, arguments);
        }
        if spec.id == Id::TIME {
            // It goes on while the script runs, so that a loop may wait for it. No key expires meanwhile.
            write_time(&mut RespWriter::new(out, protocol));
            return Ok(());
        }
        if let Some(kind) = sends(spec) {
            let to = (&**self.execution.server.hub(), self.execution.cluster);
            let receivers = self.outbox.add(to, kind, (arguments[1], arguments[2]))?;
            self.execution.meter.count(spec.id.number().into());
            RespWriter::new(out, protocol).integer(receivers.cast_signed());
            return Ok(());
        }
        if detailed.has_flag(Flag::Write) {
            // A script that has begun to write goes on, as in Redis.
            self.keys.ignore_full();
        }
        if let Some(tracking) = &self.execution.connection.tracking {
            // Under the locks of all these keys, so no change comes between this and the read. Redis 7.0 does not
            // remember those that were not declared, and its client may keep a stale value.
            tracking.remember_own(detailed, keys_of(detailed, arguments), Some(self.declared));
            let undeclared = keys_of(detailed, arguments).filter(|key| !self.declares(key));
            tracking.remember_own(detailed, undeclared, None);
        }
        self.execution.connection.protocol = protocol;
        let redirects = self.execution.redirects();
        // Of its own, or a script with many calls would take memory without bound.
        let mut arena = std::mem::take(&mut self.arena);
        let batch = std::mem::take(&mut self.batch).emptied();
        let mut nested = self.execution.nested(batch);
        (nested.arena, nested.in_script) = (&arena, true);
        // One time for the whole script, as in Redis: two reads of a key must not differ because it has expired between
        // them.
        (nested.collects, nested.time) = (true, Some(self.keys.time()));
        // A command that asks for no more elements than it may reply must count on the bytes that `execute_locked`
        // allows: with fewer, it would reply some of the elements as if they were all.
        (nested.out, nested.max_out) = (&mut *out, REPLY_BYTES);
        nested.dispatch_queued(spec, arguments);
        let mut batch = nested.batch;
        let fits = batch.execute_locked(self.keys, redirects, protocol, out, REPLY_BYTES);
        self.execution.count_failures(&mut batch.failures);
        self.batch = batch.emptied();
        arena.reset();
        self.arena = arena;
        if fits {
            Ok(())
        } else {
            Err("ERR the reply does not fit into the memory limit of a script".to_owned())
        }
    }
}

/// The error for a key or a channel whose slot this node does not have.
const NOT_LOCAL: &str = "ERR Script attempted to access a non local key in a cluster node";

const CROSS_SLOT: &str = "ERR Script attempted to access keys that do not hash to the same slot";

/// Returns which locks a command about all keys needs; `None` for other commands.
fn about_all_keys(spec: &CommandSpec) -> Option<Breadth> {
    match spec.id {
        Id::FLUSHALL => Some(Breadth::Everything),
        Id::FLUSHDB => Some(Breadth::Database),
        _ => asks_database(spec).then_some(Breadth::Database),
    }
}

/// Returns the kind of channel to which a command sends a message; `None` for other commands.
pub(super) fn sends(spec: &CommandSpec) -> Option<ChannelKind> {
    match spec.id {
        Id::PUBLISH => Some(ChannelKind::Channel),
        Id::SPUBLISH => Some(ChannelKind::ShardChannel),
        _ => None,
    }
}

/// The longest reply that a script gets.
const REPLY_BYTES: usize = crate::limits::SCRIPT_MEMORY;

/// Returns why scripts must not call a command about no key.
fn keyless_refusal(spec: &CommandSpec) -> Result<(), String> {
    match spec.id {
        Id::PING | Id::ECHO | Id::TIME => Ok(()),
        _ => {
            let name = spec.name.replace('|', " ").to_uppercase();
            Err(format!("ERR {name} is not supported in scripts"))
        }
    }
}
