//! Commands about the primary and its followers: ROLE, REPLICAOF, WAIT and WAITAOF, and the modes of a cluster's
//! connections.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, is};
use crate::command::cluster::DISABLED;
use crate::command::cluster::nodes::ShownNodes;
use crate::command::execute::Execution;
use crate::command::redirects::port;
use crate::command::rows::{Run, alone};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::view::MemberRole;
use hedgerow_db_engine::log::Fsync;
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::write::RespWriter;

const WAIT_ON_FOLLOWER: &str = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 \
    if a replica is configured to be writable (which is not the default) writes to replicas are just local and are \
    not propagated.";

const WAITAOF_ON_FOLLOWER: &str = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
    replicas are just local and are not propagated.";

const WAITAOF_WITHOUT_LOG: &str =
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

const FOLLOWS_NO_OTHER: &str = "ERR this server cannot be a replica of another; to import a running Redis and \
                                follow it, run `hedgerow-db import --live redis://HOST:PORT --dir DIR` before you \
                                start the server";

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone("wait", 3, "noscript", |e, a| e.wait(a))
        .since("3.0.0", Group::Generic)
        .syntax("numreplicas/integer timeout/integer")
        .summary(
            "Waits until all changes are durable, and returns the number of live replicas; \
            0 without a cluster.",
        )
        .only_in("connection slow")
        .tips("request_policy:all_shards response_policy:agg_min"),
    // Of Redis 7.2.
    alone("waitaof", 4, "noscript", |e, a| e.wait_aof(a))
        .since("7.2.0", Group::Generic)
        .syntax("numlocal/integer numreplicas/integer timeout/integer")
        .summary("Syncs the log, and returns whether it is synced and the number of live replicas.")
        .only_in("connection slow")
        .tips("request_policy:all_shards response_policy:agg_min"),
    alone("role", 1, "noscript loading stale fast", |e, _| {
        e.role();
        Ok(())
    })
    .since("2.8.12", Group::Server)
    .summary("Returns the replication role.")
    .also_in("admin dangerous")
    .without_data(),
    alone("replicaof", 3, "admin noscript stale no_async_loading", |e, a| e.replicaof(a))
        .since("5.0.0", Group::Server)
        .syntax("args:<host-port:(host port/integer)|no-one:(NO ONE)>")
        .summary("Accepts NO ONE: the server cannot be a replica."),
    alone("slaveof", 3, "admin noscript stale no_async_loading", |e, a| e.replicaof(a))
        .since("1.0.0", Group::Server)
        .syntax("args:<host-port:(host port/integer)|no-one:(NO ONE)>")
        .summary("Accepts NO ONE: the server cannot be a replica."),
    alone("readonly", 1, "loading stale fast", |e, _| e.read_stale(true))
        .since("3.0.0", Group::Cluster)
        .summary("Enables reads that may be stale for a connection to a replica of a cluster.")
        .also_in("connection")
        .without_data(),
    alone("readwrite", 1, "loading stale fast", |e, _| e.read_stale(false))
        .since("3.0.0", Group::Cluster)
        .summary("Disables reads that may be stale for a connection to a replica of a cluster.")
        .also_in("connection")
        .without_data(),
    alone("asking", 1, "fast", |e, _| e.asking())
        .since("3.0.0", Group::Cluster)
        .summary("Accepted without effect: no slot moves.")
        .also_in("connection")
        .without_data(),
];

impl<'a> Execution<'_, 'a> {
    /// REPLICAOF and SLAVEOF. Tools send `REPLICAOF NO ONE` to a server that should be a primary.
    pub(super) fn replicaof(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        if self.group().is_some() {
            return Err("ERR REPLICAOF not allowed in cluster mode.".into());
        }
        // Not `OK` for anything else: a tool would take this server for a replica of that host.
        if !is(arguments[1], "no") || !is(arguments[2], "one") {
            return Err(FOLLOWS_NO_OTHER.into());
        }
        self.reply(|out| out.ok());
        Ok(())
    }

    /// ROLE.
    pub(super) fn role(&mut self) {
        self.execute_batch();
        let Some(shown) = self.shown_nodes() else {
            // As Redis without replicas: it counts the bytes that it has for them.
            return self.reply(|out| write_primary(&[], 0, out));
        };
        let offset = shown.own_offset.cast_signed();
        if shown.view.role == MemberRole::Primary {
            let followers = shown.online_followers().map(|follower| {
                let port = port(follower, shown.tls);
                [follower.addresses.ip.clone(), port.to_string(), follower.offset.to_string()]
            });
            let followers: Vec<[String; 3]> = followers.collect();
            return self.reply(|out| write_primary(&followers, offset, out));
        }
        let link = LinkState::of(&shown);
        self.reply(|out| {
            let primary = shown.view.group.primary();
            out.array(5);
            out.bulk(b"slave");
            out.bulk(primary.map_or("", |primary| &primary.addresses.ip).as_bytes());
            out.integer(primary.map_or(0, |primary| port(primary, shown.tls)).into());
            out.bulk(link.name().as_bytes());
            out.integer(offset);
        });
    }

    /// WAIT.
    ///
    /// In a cluster, a reply to a change leaves when etcd has the change, and so does the one to WAIT. No follower can
    /// miss a change that etcd has: the reply counts those that live. A single node has none.
    pub(super) fn wait(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let shown = self.shown_nodes();
        // As in Redis, before the numbers are checked.
        if shown.as_ref().is_some_and(|shown| shown.view.role != MemberRole::Primary) {
            return Err(WAIT_ON_FOLLOWER.into());
        }
        number::integer(arguments[1]).ok_or(NOT_AN_INTEGER)?;
        check_timeout(arguments[2])?;
        let Some(shown) = shown else {
            self.reply(|out| out.integer(0));
            return Ok(());
        };
        self.execute_batch();
        // Also for changes of earlier pipelines whose replies the client did not want.
        self.wait_for_last_entry();
        let followers = shown.online_followers().count();
        self.reply(|out| out.integer(followers.cast_signed() as i64));
        Ok(())
    }

    /// WAITAOF.
    ///
    /// A single node syncs the log now instead of waiting until that happens by itself. It has no replicas to wait for.
    /// In a cluster, the log of etcd stands for the file: see `wait`.
    pub(super) fn wait_aof(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let local = number::integer(arguments[1]).ok_or(NOT_AN_INTEGER)?;
        if !matches!(local, 0 | 1) {
            return Err("ERR value is out of range, value must between 0 and 1".into());
        }
        let replicas = number::integer(arguments[2]).filter(|replicas| *replicas >= 0);
        replicas.ok_or("ERR value is out of range, must be positive")?;
        check_timeout(arguments[3])?;
        let shown = self.shown_nodes();
        if let Some(shown) = &shown
            && shown.view.role != MemberRole::Primary
        {
            return Err(WAITAOF_ON_FOLLOWER.into());
        }
        let has_files = self.db.options().folder.is_some();
        if local != 0 && !has_files && shown.is_none() {
            return Err(WAITAOF_WITHOUT_LOG.into());
        }
        self.execute_batch();
        let (synced, followers) = match shown {
            Some(shown) => {
                self.wait_for_last_entry();
                (true, shown.online_followers().count())
            }
            None if local == 0 => (self.db.options().fsync == Fsync::Always, 0),
            // No lock is held here: no script may call this, and a transaction has ended.
            None => (has_files && self.db.log().sync().is_ok(), 0),
        };
        self.reply(|out| {
            out.array(2);
            out.integer(synced.into());
            out.integer(followers.cast_signed() as i64);
        });
        Ok(())
    }

    /// READONLY, and READWRITE with `stale` false.
    pub(super) fn read_stale(&mut self, stale: bool) -> Result<(), CommandError> {
        if self.group().is_none() {
            return Err(DISABLED);
        }
        self.connection.reads_stale = stale;
        self.reply(|out| out.ok());
        Ok(())
    }

    /// ASKING. No client is ever asked to send it.
    pub(super) fn asking(&mut self) -> Result<(), CommandError> {
        if self.group().is_none() {
            return Err(DISABLED);
        }
        self.reply(|out| out.ok());
        Ok(())
    }
}

/// How far a node follows the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// It reads the data that the group had before it came.
    Sync,
    /// There is no primary, or nothing of it has arrived for longer than a follower may be stale.
    Connect,
    /// It follows.
    Connected,
}

impl LinkState {
    /// Returns how far this node follows the primary.
    pub(super) fn of(shown: &ShownNodes<'_>) -> Self {
        match shown.view.role {
            MemberRole::Loading => Self::Sync,
            _ if shown.view.group.is_led && shown.views.is_fresh(shown.now) => Self::Connected,
            _ => Self::Connect,
        }
    }

    /// Returns the name that ROLE shows.
    fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Connect => "connect",
            Self::Connected => "connected",
        }
    }
}

/// Checks the milliseconds for which WAIT and WAITAOF may wait.
fn check_timeout(argument: &[u8]) -> Result<(), CommandError> {
    match number::integer(argument).ok_or("ERR timeout is not an integer or out of range")? {
        ..0 => Err("ERR timeout is negative".into()),
        _ => Ok(()),
    }
}

/// Writes what ROLE replies on a primary. Each follower is its address, its port and its offset.
fn write_primary(followers: &[[String; 3]], offset: i64, out: &mut RespWriter<'_>) {
    out.array(3);
    out.bulk(b"master");
    out.integer(offset);
    out.array(followers.len());
    for follower in followers {
        out.array(follower.len());
        for text in follower {
            out.bulk(text.as_bytes());
        }
    }
}
