//! The commands of a script, executed on its locked keys.

use crate::command::acl::user::User;
use crate::command::batch::Batch;
use crate::command::diagnostics::counters::number;
use crate::command::execute::Execution;
use crate::command::flags::Flag;
use crate::command::key_places::places;
use crate::command::keyspace::write_time;
use crate::command::monitor_lines;
use crate::command::routing::with_subcommand;
use crate::command::script::call::Call;
use crate::command::script::current_host::Host;
use crate::command::script::outbox::Outbox;
use crate::command::script::shebang::Flags;
use crate::command::table::{self, CommandSpec, Id};
use crate::command::tracking::keys_of;
use crate::pubsub::Kind;
use crate::resp::Protocol;
use crate::resp::write::Writer;
use crate::session::LockedKeys;
use crate::state::number::integer;
use crate::state::slots::slot;
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
    reads_only: bool,
    batch: Batch<'static>,
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
        Self { execution, keys, outbox, declared, set, reads_only, batch: Batch::default() }
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

    /// Checks whether this node of a cluster has the slot of a channel.
    fn check_channel(&self, kind: Kind, channel: &[u8]) -> Result<(), String> {
        match self.execution.group() {
            Some(group) if kind == Kind::ShardChannel && !group.view().owns(slot(channel)) => {
                Err(NOT_LOCAL.to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Returns why scripts must not call a command.
    fn refusal(&self, spec: &'static CommandSpec, arguments: &[&[u8]]) -> Result<(), String> {
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
        let is_apart = spec.id == Id::Restore || spec.has_flag(Flag::PubSub);
        if spec.id == Id::Select && self.is_selected(arguments[1]) {
            return Ok(());
        }
        if let Some(kind) = sends(spec) {
            return self.check_channel(kind, arguments[1]);
        }
        if spec.keys.0 == 0 || is_apart {
            return keyless_refusal(spec);
        }
        let undeclared = places(spec, arguments)
            .filter_map(|place| arguments.get(place))
            .find(|key| !self.declares(key));
        if let Some(key) = undeclared {
            let key = String::from_utf8_lossy(&key[..key.len().min(128)]).into_owned();
            return Err(format!(
                "ERR Script attempted to access a key that is not in its KEYS: '{key}'"
            ));
        }
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
        if let Err(error) = &called {
            let meter = &mut *self.execution.meter;
            meter.diagnostics.count_error(error.as_bytes());
            if let Some(spec) = spec {
                meter.reject(number(spec.id, arguments));
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
        let detailed = with_subcommand(spec, arguments);
        if !spec.takes(arguments.len()) || !detailed.takes(arguments.len()) {
            return Err("ERR Wrong number of args calling Redis command from script".to_owned());
        }
        self.refusal(detailed, arguments)?;
        let diagnostics = &self.execution.meter.diagnostics;
        if diagnostics.observes() && diagnostics.is_monitored() {
            monitor_lines::show_called(diagnostics, self.execution.connection, spec, arguments);
        }
        if spec.id == Id::Time {
            // It goes on while the script runs, so that a loop may wait for it. No key expires meanwhile.
            write_time(&mut Writer::new(out, protocol));
            return Ok(());
        }
        if let Some(kind) = sends(spec) {
            let to = (&**self.execution.server.hub(), self.execution.cluster);
            let receivers = self.outbox.add(to, kind, (arguments[1], arguments[2]))?;
            self.execution.meter.count(spec.id as usize);
            Writer::new(out, protocol).integer(receivers.cast_signed());
            return Ok(());
        }
        if detailed.has_flag(Flag::Write) {
            // A script that has begun to write goes on, as in Redis.
            self.keys.ignore_full();
        }
        if let Some(tracking) = &self.execution.connection.tracking {
            // Under the locks of all declared keys, so no change comes between this and the read.
            tracking.remember_own(detailed, keys_of(detailed, arguments), Some(self.declared));
        }
        self.execution.connection.protocol = protocol;
        let redirects = self.execution.redirects();
        let batch = std::mem::take(&mut self.batch).emptied();
        let mut nested = self.execution.nested(batch);
        (nested.collects, nested.time) = (true, Some(self.keys.time()));
        nested.dispatch_queued(spec, arguments);
        let mut batch = nested.batch;
        let fits = batch.execute_locked(self.keys, redirects, protocol, out, REPLY_BYTES);
        self.execution.count_failures(&mut batch.failures);
        self.batch = batch.emptied();
        if fits {
            Ok(())
        } else {
            Err("ERR the reply is longer than the memory of a script".to_owned())
        }
    }
}

/// The error for a key or a channel whose slot this node does not have.
const NOT_LOCAL: &str = "ERR Script attempted to access a non local key in a cluster node";

/// Returns the kind of channel to which a command sends a message; `None` for other commands.
pub(super) fn sends(spec: &CommandSpec) -> Option<Kind> {
    match spec.id {
        Id::Publish => Some(Kind::Channel),
        Id::SPublish => Some(Kind::ShardChannel),
        _ => None,
    }
}

/// The longest reply that a script gets.
const REPLY_BYTES: usize = crate::limits::SCRIPT_MEMORY;

/// Returns why scripts must not call a command about no key.
fn keyless_refusal(spec: &CommandSpec) -> Result<(), String> {
    match spec.id {
        Id::Ping | Id::Echo | Id::Time => Ok(()),
        _ => {
            let name = spec.name.replace('|', " ").to_uppercase();
            Err(format!(
                "ERR {name} is not supported in scripts, which access the keys of KEYS only"
            ))
        }
    }
}
