//! From a parsed request to the method that executes it.

use crate::command::arguments::{CommandError, is, shown};
use crate::command::diagnostics::counters::{number, spec};
use crate::command::execute::{Execution, NextStep};
use crate::command::expiration::{TimeBase, Unit};
use crate::command::reply::ReplyKind;
use crate::command::table::{self, CommandSpec, Id};
use crate::pubsub::ChannelKind;
use crate::request::{Change, Expiry, MultiKeyOp, Query, SetCondition};

/// Returns whether the replies of a command show no data. A primary that cannot prove that it still is one, because
/// etcd is away, answers these commands all the same, so that an operator can look at it.
///
/// `INFO`, `ROLE` and `CLUSTER` show this node's view of its group, as followers do.
fn is_dataless(id: Id, arguments: &[&[u8]]) -> bool {
    if id == Id::Cluster {
        return !["countkeysinslot", "getkeysinslot"].iter().any(|name| is(arguments[1], name));
    }
    matches!(
        id,
        Id::Acl
            | Id::Asking
            | Id::Auth
            | Id::Client
            | Id::Command
            | Id::Config
            | Id::Echo
            | Id::Hello
            | Id::Info
            | Id::Latency
            | Id::Multi
            | Id::Ping
            | Id::ReadOnly
            | Id::ReadWrite
            | Id::Reset
            | Id::Role
            | Id::Select
            | Id::Shutdown
            | Id::SlowLog
            | Id::Time
    )
}

impl<'a> Execution<'_, 'a> {
    /// Executes a command, or adds it to the batch. The first argument is its name.
    pub(super) fn execute(&mut self, arguments: &[&'a [u8]]) {
        // Checked first: a blocked command must not reach the database, even if its arguments are wrong.
        if self.connection.blocked && self.handle_blocked(arguments) {
            return;
        }
        let Some(spec) = table::find(arguments[0]) else { return self.unknown(arguments) };
        if !spec.takes(arguments.len()) {
            return self.wrong_arity(spec);
        }
        // After the arity check, in Redis's order of errors. Nearly all clients may do everything.
        if !self.connection.is_unrestricted && !self.admits(spec, arguments) {
            return;
        }
        self.connection.command = spec.name;
        if let Some(group) = self.group()
            && let Err(error) = self.route(group, spec, arguments)
        {
            self.meter.reject(spec.id as usize);
            return self.error(error.as_ref());
        }
        if let Err(error) = self.dispatch(spec.id, arguments) {
            self.fail(spec.id, arguments, error.as_ref());
        }
    }

    /// Dispatches a command of a transaction. Not inlined, so that the code of `execute` stays the same.
    #[inline(never)]
    pub(super) fn dispatch_queued(&mut self, spec: &CommandSpec, arguments: &[&'a [u8]]) {
        self.connection.command = spec.name;
        if let Err(error) = self.dispatch(spec.id, arguments) {
            self.fail(spec.id, arguments, error.as_ref());
        }
    }

    /// Inlined into its callers, which the compiler does not do by itself. It saves 26 instructions a command.
    #[inline(always)]
    fn dispatch(&mut self, id: Id, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let batch = &mut self.batch;
        batch.command = id as u16;
        // Commands without a key have no such argument.
        let key = arguments.get(1).copied().unwrap_or_default();
        match id {
            Id::Get => batch.read(key, Query::Pieces, ReplyKind::Value),
            Id::Set if arguments.len() == 3 => {
                batch.change(key, plain_set(arguments[2], false), ReplyKind::Done);
            }
            Id::Set => self.set(arguments)?,
            Id::GetSet => batch.change(key, plain_set(arguments[2], true), ReplyKind::Value),
            Id::GetDel => batch.change(key, Change::GetDelete, ReplyKind::Value),
            Id::GetEx => self.get_ex(arguments)?,
            Id::SetEx => self.set_ex(arguments, Unit::Seconds, "setex")?,
            Id::PSetEx => self.set_ex(arguments, Unit::Milliseconds, "psetex")?,
            Id::SetNx => {
                let (value, condition) = (arguments[2], SetCondition::IfAbsent);
                let set = Change::Set { value, condition, expiry: Expiry::Never, get: false };
                batch.change(key, set, ReplyKind::DoneAsInteger);
            }
            // One key is a change like any other, queued for its shard. UNLINK is no different: values are freed later
            // in any case.
            Id::Del | Id::Unlink if arguments.len() == 2 => {
                batch.change(key, Change::Delete, ReplyKind::Integer);
            }
            Id::DelIfEq => {
                let change = Change::DeleteIf(SetCondition::IfEqual(arguments[2]));
                batch.change(key, change, ReplyKind::Integer);
            }
            Id::DelEx => self.del_ex(arguments)?,
            Id::Digest => batch.long_read(key, Query::Digest, ReplyKind::Value),
            Id::Del | Id::Unlink => batch.delete_all(&arguments[1..]),
            Id::Exists | Id::Touch => {
                let query = if id == Id::Touch { Query::Touch } else { Query::Exists };
                batch.multi_read(&arguments[1..], query, ReplyKind::Sum);
            }
            Id::MGet => batch.multi_read(&arguments[1..], Query::Pieces, ReplyKind::Values),
            Id::MSet => self.mset(arguments, "mset")?,
            Id::MSetNx => self.mset(arguments, "msetnx")?,
            Id::MSetEx => self.mset_ex(arguments)?,
            Id::Incr => batch.change(key, Change::Increment(1), ReplyKind::Integer),
            Id::Decr => batch.change(key, Change::Increment(-1), ReplyKind::Integer),
            Id::IncrBy => self.incrby(arguments, false)?,
            Id::DecrBy => self.incrby(arguments, true)?,
            Id::IncrByFloat => self.incrbyfloat(arguments)?,
            Id::Append => batch.change(key, Change::Append(arguments[2]), ReplyKind::Integer),
            Id::StrLen => batch.read(key, Query::Length, ReplyKind::Integer),
            Id::GetRange | Id::Substr => self.getrange(arguments)?,
            Id::SetRange => self.setrange(arguments)?,
            Id::Expire => self.expire(arguments, (TimeBase::Relative, Unit::Seconds), "expire")?,
            Id::PExpire => {
                self.expire(arguments, (TimeBase::Relative, Unit::Milliseconds), "pexpire")?;
            }
            Id::ExpireAt => {
                self.expire(arguments, (TimeBase::Absolute, Unit::Seconds), "expireat")?;
            }
            Id::PExpireAt => {
                self.expire(arguments, (TimeBase::Absolute, Unit::Milliseconds), "pexpireat")?;
            }
            Id::Ttl => batch.read(key, Query::Expiry, ttl(true, false)),
            Id::PTtl => batch.read(key, Query::Expiry, ttl(false, false)),
            Id::ExpireTime => batch.read(key, Query::Expiry, ttl(true, true)),
            Id::PExpireTime => batch.read(key, Query::Expiry, ttl(false, true)),
            Id::Persist => self.persist(key),
            Id::Type => batch.read(key, Query::Exists, ReplyKind::Type),
            Id::Dump => batch.read(key, Query::Pieces, ReplyKind::Dump),
            Id::Restore => self.restore(arguments)?,
            Id::Rename | Id::RenameNx => {
                let absent = id == Id::RenameNx;
                let kind = if absent { ReplyKind::Integer } else { ReplyKind::Done };
                batch.multi_key(
                    MultiKeyOp::Rename { from: key, to: arguments[2], if_absent: absent },
                    kind,
                );
            }
            Id::Move => self.move_key(arguments)?,
            Id::Copy => self.copy(arguments)?,
            Id::FlushDb => self.flush(arguments, MultiKeyOp::Clear)?,
            Id::FlushAll => self.flush(arguments, MultiKeyOp::ClearAll)?,
            Id::Lcs => self.lcs(arguments)?,
            Id::Sort | Id::SortRo => self.sort(arguments, id == Id::SortRo)?,
            Id::PfAdd => batch.add_elements(key, &arguments[2..]),
            // A single value may have its cardinality stored (`pfcountCommand`, case 2); a union is always computed.
            Id::PfCount if arguments.len() == 2 => {
                batch.read(key, Query::Cardinality, ReplyKind::Integer);
            }
            Id::PfCount => batch.count_union(&arguments[1..]),
            Id::PfMerge => batch.merge_elements(key, &arguments[2..]),
            Id::SetBit => self.setbit(arguments)?,
            Id::GetBit => self.getbit(arguments)?,
            Id::BitCount => self.bitcount(arguments),
            Id::BitPos => self.bitpos(arguments)?,
            Id::BitOp => self.bitop(arguments)?,
            Id::BitField | Id::BitFieldRo => self.bitfield(arguments, id == Id::BitFieldRo)?,
            _ => return self.dispatch_measured(id, arguments),
        }
        self.meter.count(id as usize);
        Ok(())
    }

    /// Dispatches a command that has a subcommand, or is about no certain keys, and counts it. Not inlined, because
    /// `dispatch` is.
    #[inline(never)]
    fn dispatch_measured(&mut self, id: Id, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let number = number(id, arguments);
        self.batch.command = number as u16;
        self.connection.command = spec(number).name;
        self.dataless += usize::from(is_dataless(id, arguments));
        match id {
            Id::Object => self.object(arguments)?,
            Id::Memory => self.memory(arguments)?,
            _ => self.dispatch_keyless(id, arguments)?,
        }
        self.count_measured(id, arguments);
        Ok(())
    }

    /// Dispatches the commands that are not about certain keys.
    fn dispatch_keyless(&mut self, id: Id, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        match id {
            Id::Ping => self.ping(arguments)?,
            Id::Echo => self.reply(|out| out.bulk(arguments[1])),
            Id::Migrate => self.migrate(arguments)?,
            Id::Scan => self.scan(arguments)?,
            Id::SlowLog => self.slowlog(arguments)?,
            Id::Latency => self.latency(arguments)?,
            Id::Acl => self.acl(arguments)?,
            Id::Debug => self.debug(arguments)?,
            Id::Monitor => self.monitor()?,
            Id::Keys => self.keys(arguments[1]),
            Id::RandomKey => self.random_key(),
            Id::DbSize => self.dbsize(),
            Id::SwapDb => self.swapdb(arguments)?,
            Id::Time => self.time(),
            Id::Wait => self.wait(arguments)?,
            Id::WaitAof => self.wait_aof(arguments)?,
            Id::Role => self.role(),
            Id::ReplicaOf | Id::SlaveOf => self.replicaof(arguments)?,
            Id::Cluster => self.cluster(arguments)?,
            Id::ReadOnly | Id::ReadWrite => self.read_stale(id == Id::ReadOnly)?,
            Id::Asking => self.asking()?,
            Id::LastSave => self.last_save(),
            Id::Save => self.save()?,
            Id::BgSave => self.bgsave(arguments)?,
            Id::BgRewriteAof => self.bgrewriteaof(),
            Id::Shutdown => self.shutdown(arguments)?,
            Id::Hello => self.hello(arguments)?,
            Id::Auth => self.auth(arguments)?,
            Id::Client => self.client(arguments)?,
            Id::Select => self.select(arguments[1])?,
            Id::Multi => self.multi()?,
            Id::Exec => self.exec()?,
            Id::Discard => self.discard()?,
            Id::Watch => self.watch(&arguments[1..])?,
            Id::Unwatch => self.unwatch(),
            Id::Reset => self.reset(),
            Id::Command => self.command(arguments)?,
            Id::Config => self.config(arguments)?,
            Id::Info => self.info(&arguments[1..]),
            Id::Subscribe => self.subscribe(ChannelKind::Channel, &arguments[1..])?,
            Id::PSubscribe => self.subscribe(ChannelKind::Pattern, &arguments[1..])?,
            Id::SSubscribe => self.subscribe(ChannelKind::ShardChannel, &arguments[1..])?,
            Id::Unsubscribe => self.unsubscribe(ChannelKind::Channel, &arguments[1..]),
            Id::PUnsubscribe => self.unsubscribe(ChannelKind::Pattern, &arguments[1..]),
            Id::SUnsubscribe => self.unsubscribe(ChannelKind::ShardChannel, &arguments[1..]),
            Id::Publish => self.publish(ChannelKind::Channel, arguments),
            Id::SPublish => self.publish(ChannelKind::ShardChannel, arguments),
            Id::PubSub => self.pubsub(arguments)?,
            Id::Module => self.module(arguments)?,
            #[cfg(feature = "scripts")]
            Id::Eval | Id::EvalSha | Id::EvalRo | Id::EvalShaRo => self.eval(id, arguments)?,
            #[cfg(feature = "scripts")]
            Id::Script => self.script(arguments)?,
            #[cfg(not(feature = "scripts"))]
            Id::Eval | Id::EvalSha | Id::EvalRo | Id::EvalShaRo | Id::Script => {
                self.unknown(arguments);
            }
            // QUIT: the reply, and then the end.
            _ => {
                self.reply(|out| out.ok());
                self.next = NextStep::Close;
            }
        }
        Ok(())
    }

    #[cold]
    fn unknown(&mut self, arguments: &[&[u8]]) {
        self.dataless += 1;
        // A browser that a web page sends here (cross-protocol scripting): the following lines are under that page's
        // control, so close, as Redis does.
        if [&b"post"[..], b"host:"].iter().any(|name| name.eq_ignore_ascii_case(arguments[0])) {
            self.execute_batch();
            self.next = NextStep::Close;
            return;
        }
        let mut text = b"ERR unknown command '".to_vec();
        text.extend(shown(arguments[0], 128));
        if let Some((_, why)) = MISSING.iter().find(|(name, _)| is(arguments[0], name)) {
            text.extend(b"': ");
            text.extend(why.as_bytes());
            return self.error(text);
        }
        text.extend(b"', with args beginning with: ");
        let mut shown_bytes = 0;
        for argument in &arguments[1..] {
            if shown_bytes >= 128 {
                break;
            }
            let word = shown(argument, 128 - shown_bytes);
            text.push(b'\'');
            text.extend(word);
            text.extend(b"' ");
            shown_bytes += word.len() + 3;
        }
        self.error(text);
    }
}

/// Commands that programs rely on, with a reason why they do not exist here.
const MISSING: [(&str, &str); 8] = [
    ("eval", NO_SCRIPTS),
    ("eval_ro", NO_SCRIPTS),
    ("evalsha", NO_SCRIPTS),
    ("evalsha_ro", NO_SCRIPTS),
    ("script", NO_SCRIPTS),
    ("fcall", NO_FUNCTIONS),
    ("fcall_ro", NO_FUNCTIONS),
    ("function", NO_FUNCTIONS),
];
/// In a build without the feature `scripts`.
const NO_SCRIPTS: &str =
    "scripts are not supported, so a lock that a script would release stays until it expires";
const NO_FUNCTIONS: &str = "functions are not supported; use EVAL, or SCRIPT LOAD and EVALSHA";

/// Makes the change of a SET without options.
#[inline]
fn plain_set(value: &[u8], get: bool) -> Change<'_> {
    Change::Set { value, condition: SetCondition::Always, expiry: Expiry::Never, get }
}

fn ttl(seconds: bool, absolute: bool) -> ReplyKind {
    ReplyKind::Ttl { seconds, absolute }
}
