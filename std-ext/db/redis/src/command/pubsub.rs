//! Commands about channels: subscriptions and messages.

use crate::command::arguments::{CommandError, resolve, wrong_part};
use crate::command::connection::ReplyMode;
use crate::command::execute::Execution;
use crate::command::rows::{Run, alone, command, container};
use crate::command::table::groups::Group;
use crate::command::table::keys::{NOT_KEY, key};
use crate::command::table::{CommandSpec, Id, Row};
use crate::pubsub::{ChannelKind, Hub, Left, Subscriptions};
use crate::view::ViewReader;
use hedgerow_db_formats::resp::write::RespWriter;
use std::borrow::Cow;

const TOO_MANY: &str = "ERR the subscriptions of this connection exceed 64 MiB";

const HELP: [&str; 12] = [
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
];

/// Returns the error if a client that subscribes in RESP2 must not use a command. An error of the command's own goes
/// first.
pub(super) fn refused_to_subscriber(
    spec: &'static CommandSpec,
    arguments: &[&[u8]],
) -> Option<CommandError> {
    let allowed = matches!(
        spec.id,
        Id::SUBSCRIBE
            | Id::UNSUBSCRIBE
            | Id::PSUBSCRIBE
            | Id::PUNSUBSCRIBE
            | Id::SSUBSCRIBE
            | Id::SUNSUBSCRIBE
            | Id::PING
            | Id::QUIT
            | Id::RESET
    );
    if allowed || !spec.takes(arguments.len()) {
        return None;
    }
    let named = resolve(spec, arguments).ok()?;
    let why = format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context",
        named.name
    );
    Some(Cow::Owned(why))
}

/// Returns the first part of the replies to the commands that begin and end subscriptions.
fn words(kind: ChannelKind) -> (&'static [u8], &'static [u8]) {
    match kind {
        ChannelKind::Channel => (b"subscribe", b"unsubscribe"),
        ChannelKind::Pattern => (b"psubscribe", b"punsubscribe"),
        ChannelKind::ShardChannel => (b"ssubscribe", b"sunsubscribe"),
    }
}

/// Sends a message to the subscribers of this node, and, in a cluster, to the other nodes. Returns the number of the
/// former.
pub(super) fn send_message(
    (hub, cluster): (&Hub, Option<&ViewReader>),
    kind: ChannelKind,
    (channel, payload): (&[u8], &[u8]),
) -> u64 {
    if kind == ChannelKind::ShardChannel {
        // Only the primary of the slot's group has subscribers of such a channel.
        return hub.publish_to_shard(channel, payload);
    }
    if let Some(cluster) = cluster {
        cluster.views().broadcast().publish(channel, payload);
    }
    hub.publish(channel, payload)
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone("subscribe", -2, "pubsub noscript loading stale", |e, a| {
        e.subscribe(ChannelKind::Channel, &a[1..])
    })
    .since("2.0.0", Group::PubSub)
    .syntax("channel...")
    .summary("Subscribes to channels.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("psubscribe", -2, "pubsub noscript loading stale", |e, a| {
        e.subscribe(ChannelKind::Pattern, &a[1..])
    })
    .since("2.0.0", Group::PubSub)
    .syntax("pattern:(pattern/pattern)...")
    .summary("Subscribes to all channels that match patterns.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("ssubscribe", -2, "pubsub noscript loading stale", |e, a| {
        e.subscribe(ChannelKind::ShardChannel, &a[1..])
    })
    .keys(&[key(1, NOT_KEY).to(-1, 1)])
    .since("7.0.0", Group::PubSub)
    .syntax("shardchannel...")
    .summary("Subscribes to channels of a hash slot.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("unsubscribe", -1, "pubsub noscript loading stale", |e, a| {
        e.unsubscribe(ChannelKind::Channel, &a[1..]);
        Ok(())
    })
    .since("2.0.0", Group::PubSub)
    .syntax("[channel...]")
    .summary("Ends subscriptions to channels.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("punsubscribe", -1, "pubsub noscript loading stale", |e, a| {
        e.unsubscribe(ChannelKind::Pattern, &a[1..]);
        Ok(())
    })
    .since("2.0.0", Group::PubSub)
    .syntax("[pattern/pattern...]")
    .summary("Ends subscriptions to patterns.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("sunsubscribe", -1, "pubsub noscript loading stale", |e, a| {
        e.unsubscribe(ChannelKind::ShardChannel, &a[1..]);
        Ok(())
    })
    .keys(&[key(1, NOT_KEY).to(-1, 1)])
    .since("7.0.0", Group::PubSub)
    .syntax("[shardchannel...]")
    .summary("Ends subscriptions to channels of a hash slot.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("publish", 3, "pubsub loading stale fast", |e, a| {
        e.publish(ChannelKind::Channel, a);
        Ok(())
    })
    .since("2.0.0", Group::PubSub)
    .syntax("channel message")
    .summary("Sends a message to the subscribers of a channel.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    alone("spublish", 3, "pubsub loading stale fast", |e, a| {
        e.publish(ChannelKind::ShardChannel, a);
        Ok(())
    })
    .keys(&[key(1, NOT_KEY)])
    .since("7.0.0", Group::PubSub)
    .syntax("shardchannel message")
    .summary("Sends a message to the subscribers of a hash slot's channel.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    container("pubsub", -2, PUBSUB)
        .since("2.8.0", Group::PubSub)
        .summary("A container for commands about subscriptions."),
];

const PUBSUB: &[Row<Run>] = &[
    command("pubsub|channels", -2, "pubsub loading stale", |e, a| {
        e.channels(ChannelKind::Channel, a)
    })
    .since("2.8.0", Group::PubSub)
    .syntax("[pattern/pattern]")
    .summary("Lists the channels that have subscribers.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    command("pubsub|numsub", -2, "pubsub loading stale", |e, a| {
        e.subscribers(ChannelKind::Channel, &a[2..])
    })
    .since("2.8.0", Group::PubSub)
    .syntax("[channel...]")
    .summary("Counts the subscribers of channels.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    command("pubsub|numpat", 2, "pubsub loading stale", |e, _| e.patterns())
        .since("2.8.0", Group::PubSub)
        .summary("Counts the patterns that have subscribers."),
    command("pubsub|shardchannels", -2, "pubsub loading stale", |e, a| {
        e.channels(ChannelKind::ShardChannel, a)
    })
    .since("7.0.0", Group::PubSub)
    .syntax("[pattern/pattern]")
    .summary("Lists the channels of hash slots that have subscribers.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    command("pubsub|shardnumsub", -2, "pubsub loading stale", |e, a| {
        e.subscribers(ChannelKind::ShardChannel, &a[2..])
    })
    .since("7.0.0", Group::PubSub)
    .syntax("[shardchannel...]")
    .summary("Counts the subscribers of channels of hash slots.")
    .takes_time("O(N), N is the number of subscribers and of patterns"),
    command("pubsub|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("6.2.0", Group::PubSub)
        .summary("Lists the subcommands."),
];

impl<'a> Execution<'_, 'a> {
    /// SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE.
    pub(super) fn subscribe(
        &mut self,
        kind: ChannelKind,
        names: &[&'a [u8]],
    ) -> Result<(), CommandError> {
        if self.connection.monitoring.is_some() {
            return Err("ERR a client that monitors cannot subscribe to channels".into());
        }
        self.execute_batch();
        let taken = self.connection.subscriptions.take();
        let mut subscriptions = taken.unwrap_or_else(|| self.new_subscriptions());
        let mut has_room = true;
        for name in names {
            has_room = has_room && subscriptions.add(kind, name);
            if !has_room {
                break;
            }
            let count = subscriptions.count(kind);
            self.push(|out| changed(out, words(kind).0, Some(name), count));
        }
        self.connection.subscriptions = Some(subscriptions);
        self.connection.update_blocked();
        if has_room { Ok(()) } else { Err(TOO_MANY.into()) }
    }

    /// UNSUBSCRIBE, PUNSUBSCRIBE and SUNSUBSCRIBE.
    pub(super) fn unsubscribe(&mut self, kind: ChannelKind, names: &[&'a [u8]]) {
        self.execute_batch();
        let word = words(kind).1;
        let Some(mut subscriptions) = self.connection.subscriptions.take() else {
            for name in names {
                self.push(|out| changed(out, word, Some(name), 0));
            }
            if names.is_empty() {
                self.push(|out| changed(out, word, None, 0));
            }
            return;
        };
        for name in names {
            subscriptions.remove(kind, name);
            self.push_mail(&subscriptions);
            let count = subscriptions.count(kind);
            self.push(|out| changed(out, word, Some(name), count));
        }
        if names.is_empty() {
            let mut ended = Vec::new();
            subscriptions.remove_all(kind, |name, count| ended.push((name.clone(), count)));
            self.push_mail(&subscriptions);
            for (name, count) in &ended {
                self.push(|out| changed(out, word, Some(name), *count));
            }
            if ended.is_empty() {
                let count = subscriptions.count(kind);
                self.push(|out| changed(out, word, None, count));
            }
        }
        self.connection.subscriptions = Some(subscriptions);
        self.connection.update_blocked();
    }

    /// PUBLISH and SPUBLISH.
    pub(super) fn publish(&mut self, kind: ChannelKind, arguments: &[&'a [u8]]) {
        // The receivers see the changes that the client has made before.
        self.execute_batch();
        let to = (&**self.server.hub(), self.cluster);
        let receivers = send_message(to, kind, (arguments[1], arguments[2]));
        // A client's own message comes before the reply.
        self.push_own_mail();
        self.reply(|out| out.integer(receivers.cast_signed()));
    }

    /// Writes the messages that wait for this client. Its last command may have sent some of them.
    pub(super) fn push_own_mail(&mut self) {
        if self.connection.reply_mode == ReplyMode::All
            && let Some(subscriptions) = self.connection.subscriptions.take()
        {
            self.push_mail(&subscriptions);
            self.connection.subscriptions = Some(subscriptions);
        }
    }

    /// PUBSUB CHANNELS and PUBSUB SHARDCHANNELS.
    fn channels(&mut self, kind: ChannelKind, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let pattern = &arguments[2..];
        if pattern.len() > 1 {
            return Err(wrong_part("PUBSUB", arguments[1]));
        }
        // The client of a reply that is too long is closed, so its rest does not matter.
        let names = self.server.hub().names(kind, pattern.first().copied(), self.room());
        self.answer(|out| {
            out.array(names.len());
            for name in &names {
                out.bulk(name);
            }
        })
    }

    /// PUBSUB NUMSUB and PUBSUB SHARDNUMSUB.
    fn subscribers(&mut self, kind: ChannelKind, names: &[&'a [u8]]) -> Result<(), CommandError> {
        let hub = self.server.hub();
        self.answer(|out| {
            out.array(names.len() * 2);
            for name in names {
                out.bulk(name);
                out.integer(hub.subscribers(kind, name).cast_signed());
            }
        })
    }

    /// PUBSUB NUMPAT.
    fn patterns(&mut self) -> Result<(), CommandError> {
        let patterns = self.server.hub().counts().patterns;
        self.answer(|out| out.integer(patterns.cast_signed()))
    }

    /// Makes the subscriptions of this connection, which has none yet.
    pub(super) fn new_subscriptions(&self) -> Box<Subscriptions> {
        let mailbox = self.server.own_mailbox(self.connection.id);
        let subscriptions = Subscriptions::with_mailbox(self.server.hub(), mailbox);
        self.connection.update_redirected(&subscriptions);
        Box::new(subscriptions)
    }

    /// Writes a push, which goes to the client also if it wants no replies.
    fn push(&mut self, write: impl FnOnce(&mut RespWriter<'_>)) {
        self.connection.pushed = true;
        self.reply(write);
    }

    /// Writes the messages that wait for this client. The caller has ended a subscription, or has sent a message.
    fn push_mail(&mut self, subscriptions: &Subscriptions) {
        if self.in_transaction {
            // They follow the reply to EXEC: within it, the client would take them for the replies of commands.
            return;
        }
        let mut messages = Vec::new();
        // The server closes the client if its messages have exceeded the limit.
        let _: Left = subscriptions.mailbox().take(usize::MAX, &mut messages);
        for message in messages {
            let Some(message) = self.connection.visible(message) else { continue };
            if let Some(head) = self.connection.head_for(&message, !subscriptions.is_empty()) {
                self.push(|out| {
                    out.raw(head);
                    out.raw(message.rest());
                });
            }
        }
    }
}

/// Writes that a subscription has begun or ended, and the number of subscriptions.
fn changed(out: &mut RespWriter<'_>, word: &[u8], name: Option<&[u8]>, count: usize) {
    out.push(3);
    out.bulk(word);
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.integer((count as u64).cast_signed());
}
