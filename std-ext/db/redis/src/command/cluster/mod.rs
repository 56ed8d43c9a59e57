//! CLUSTER: the nodes of the cluster and their slots. Clients of Redis Cluster find the primary by it.

pub(super) mod nodes;
mod slot_stats;
#[cfg(test)]
mod tests;

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::redirects::DOWN;
use crate::command::rows::{Run, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::view::{KnownGroup, MemberRole, MemberView};
use hedgerow_db_formats::number;
use hedgerow_db_formats::slots::{SLOTS, slot};
use nodes::{Coverage, ShownNodes};

/// The reply of a single node to the commands of a cluster.
pub(super) const DISABLED: CommandError =
    CommandError::Borrowed("ERR This instance has cluster support disabled");

const NO_SLOTS: &str =
    "slots are assigned to groups by the cluster; use `hedgerow-db cluster move`";
const NO_EPOCHS: &str = "epochs are decided in etcd";

/// Subcommands of Redis that change the cluster, each with what to do instead.
const REFUSED: [(&str, &str); 13] = [
    ("addslots", NO_SLOTS),
    ("addslotsrange", NO_SLOTS),
    ("delslots", NO_SLOTS),
    ("delslotsrange", NO_SLOTS),
    ("flushslots", NO_SLOTS),
    ("setslot", NO_SLOTS),
    ("bumpepoch", NO_EPOCHS),
    ("set-config-epoch", NO_EPOCHS),
    ("saveconfig", "the configuration of the cluster is in etcd"),
    ("meet", "nodes join automatically: start them with the same cluster-name and cluster-etcd"),
    ("forget", "stop the node, then use `hedgerow-db cluster forget`"),
    (
        "replicate",
        "the other nodes of a group are its replicas; CLUSTER FAILOVER makes one the primary",
    ),
    ("reset", "stop the node, use `hedgerow-db cluster forget`, and remove its directory"),
];

const HELP: [&str; 34] = [
    "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    Return 0: etcd decides which node has failed.",
    "FAILOVER",
    "    Ask the primary to hand over to this replica.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "LINKS",
    "    Return an empty list: nodes talk by etcd.",
    "MYID",
    "    Return the node id.",
    "MYSHARDID",
    "    Return the id of the group of this node.",
    "NODES",
    "    Return cluster configuration seen by node. Output format:",
    "    <id> <ip:port@peer-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "SHARDS",
    "    Return information about the groups of nodes and their slots.",
    "SLAVES <node-id>",
    "    Return <node-id> replicas.",
    "SLOT-STATS SLOTSRANGE <start-slot> <end-slot>",
    "    Return the number of keys and their bytes of the slots of this node's group that are in a range.",
    "SLOT-STATS ORDERBY <metric> [LIMIT <limit>] [ASC|DESC]",
    "    Return the same of all slots of this node's group, ordered by key-count or memory-bytes.",
    "SLOTS",
    "    Return information about slots range mappings: start, end, primary, replicas.",
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("cluster", -2, CLUSTER)
    .since("3.0.0", Group::Cluster)
    .summary("A container for cluster commands.")
    .otherwise(|e, a| e.cluster_refused(a))
    .without_data()];

const CLUSTER: &[Row<Run>] = &[
    command("cluster|count-failure-reports", 3, "admin stale", |e, a| {
        known(&e.shown()?, a[2])?;
        e.answer(|out| out.integer(0))
    })
    .since("3.0.0", Group::Cluster)
    .syntax("node-id")
    .summary("Counts the nodes that report the failure of a node.")
    .tips("nondeterministic_output"),
    command("cluster|countkeysinslot", 3, "stale", |e, a| e.count_keys(a[2]))
        .since("3.0.0", Group::Cluster)
        .syntax("slot/integer")
        .summary("Counts the keys of a slot at this node.")
        .shows_data(),
    command("cluster|failover", -2, "admin stale no_async_loading", |e, a| e.failover(&a[2..]))
        .since("3.0.0", Group::Cluster)
        .syntax("[options:<FORCE|TAKEOVER>]")
        .summary("Makes this follower the primary of its group."),
    command("cluster|getkeysinslot", 4, "stale", |e, a| e.keys_in_slot(a[2], a[3]))
        .since("3.0.0", Group::Cluster)
        .syntax("slot/integer count/integer")
        .summary("Returns keys of a slot at this node.")
        .takes_time("O(N), N is the length of the reply")
        .tips("nondeterministic_output")
        .shows_data(),
    command("cluster|help", 2, "loading stale", |e, _| {
        e.shown()?;
        e.help(&HELP)
    })
    .since("5.0.0", Group::Cluster)
    .summary("Lists the subcommands."),
    command("cluster|info", 2, "stale", |e, _| {
        let text = info(&e.shown()?);
        e.answer(|out| out.verbatim(*b"txt", text.as_bytes()))
    })
    .since("3.0.0", Group::Cluster)
    .summary("Describes the state of the cluster.")
    .tips("nondeterministic_output"),
    command("cluster|keyslot", 3, "stale", |e, a| {
        e.shown()?;
        e.answer(|out| out.integer(slot(a[2]).into()))
    })
    .since("3.0.0", Group::Cluster)
    .syntax("key")
    .summary("Returns the slot of a key."),
    command("cluster|links", 2, "stale", |e, _| {
        e.shown()?;
        e.answer(|out| out.array(0))
    })
    .since("7.0.0", Group::Cluster)
    .summary("Lists the connections to other nodes.")
    .tips("nondeterministic_output"),
    command("cluster|myid", 2, "stale", |e, _| {
        let shown = e.shown()?;
        e.answer(|out| out.bulk(shown.view.own_id.as_bytes()))
    })
    .since("3.0.0", Group::Cluster)
    .summary("Returns the id of the node."),
    command("cluster|myshardid", 2, "stale", |e, _| {
        let shown = e.shown()?;
        e.answer(|out| out.bulk(shown.view.group.id.as_bytes()))
    })
    .since("7.2.0", Group::Cluster)
    .summary("Returns the id of the group of the node."),
    command("cluster|nodes", 2, "stale", |e, _| {
        let text = e.shown()?.lines();
        e.answer(|out| out.verbatim(*b"txt", text.as_bytes()))
    })
    .since("3.0.0", Group::Cluster)
    .summary("Lists the nodes with their slots, as lines of text.")
    .takes_time("O(N), N is the length of the reply")
    .tips("nondeterministic_output"),
    command("cluster|replicas", 3, "admin stale", |e, a| e.replicas(a[2]))
        .since("5.0.0", Group::Cluster)
        .syntax("node-id")
        .summary("Lists the followers of a primary.")
        .tips("nondeterministic_output"),
    command("cluster|shards", 2, "stale", |e, _| {
        let shown = e.shown()?;
        e.answer(|out| shown.write_shards(out))
    })
    .since("7.0.0", Group::Cluster)
    .summary("Lists the groups with their slots and nodes.")
    .takes_time("O(N), N is the length of the reply")
    .tips("nondeterministic_output"),
    command("cluster|slaves", 3, "admin stale", |e, a| e.replicas(a[2]))
        .since("3.0.0", Group::Cluster)
        .syntax("node-id")
        .summary("Lists the followers of a primary.")
        .tips("nondeterministic_output"),
    command("cluster|slot-stats", -4, "stale", |e, a| e.slot_stats(&a[2..]))
        .since("8.0.0", Group::Cluster)
        .syntax(
            "filter:<SLOTSRANGE slotsrange:(start-slot/integer end-slot/integer)|ORDERBY \
            orderby:(metric [LIMIT limit/integer] [order:<ASC|DESC>])>",
        )
        .summary("Returns statistics of slots."),
    command("cluster|slots", 2, "stale", |e, _| e.cluster_slots())
        .since("3.0.0", Group::Cluster)
        .summary("Lists the ranges of slots with their nodes.")
        .takes_time("O(N), N is the length of the reply")
        .tips("nondeterministic_output"),
];

impl<'t, 'a> Execution<'t, 'a> {
    /// CLUSTER with a subcommand that does not exist. Clients and tools for Redis Cluster call some of these, and
    /// "unknown subcommand" would not say what to do instead.
    fn cluster_refused(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let refused = REFUSED.iter().find(|(name, _)| is(arguments[1], name));
        let (name, why) = refused.ok_or_else(|| self.unknown_part(arguments))?;
        self.shown()?;
        Err(format!("ERR CLUSTER {} is not supported: {why}", name.to_uppercase()).into())
    }

    /// CLUSTER SLOTS.
    fn cluster_slots(&mut self) -> Result<(), CommandError> {
        let shown = self.shown()?;
        // Redis would reply no slots. redis-py ends its thread at that, and after an error asks another node.
        let ranges = shown.known_ranges();
        if ranges.is_empty() {
            return Err(DOWN.into());
        }
        self.answer(|out| shown.write_slots(&ranges, out))
    }

    /// Returns what this node knows of its cluster.
    fn shown(&self) -> Result<ShownNodes<'t>, CommandError> {
        self.shown_nodes().ok_or(DISABLED)
    }

    fn count_keys(&mut self, argument: &[u8]) -> Result<(), CommandError> {
        self.shown()?;
        let slot = slot_number(argument)?.ok_or("ERR Invalid slot")?;
        self.execute_batch();
        let count = self.session.count_slot(slot);
        self.wait_for_last_entry();
        self.reply(|out| out.integer(count.cast_signed() as i64));
        Ok(())
    }

    fn keys_in_slot(&mut self, argument: &[u8], count: &[u8]) -> Result<(), CommandError> {
        self.shown()?;
        let invalid = "ERR Invalid slot or number of keys";
        let slot = slot_number(argument)?;
        let most = number::integer(count).ok_or(NOT_AN_INTEGER)?;
        let most = usize::try_from(most).map_err(|_| invalid)?;
        let slot = slot.ok_or(invalid)?;
        self.execute_batch();
        let room = self.max_out.saturating_sub(self.out.len());
        let (mut found, mut bytes) = (Vec::new(), 0);
        if most > 0 {
            self.session.scan_slot(slot, &mut |key| {
                bytes += key.len();
                found.push(key.to_vec());
                // A client may ask for any number of keys, and has a limit on its replies.
                found.len() < most && bytes <= room
            });
        }
        self.wait_for_last_entry();
        if self.fits(bytes) {
            self.reply(|out| {
                out.array(found.len());
                for key in &found {
                    out.bulk(key);
                }
            });
        }
        Ok(())
    }

    fn failover(&mut self, options: &[&[u8]]) -> Result<(), CommandError> {
        let shown = &self.shown()?;
        match options {
            [] => {}
            [option] if is(option, "force") || is(option, "takeover") => {
                return Err("ERR a replica takes over automatically when the primary fails; without an option, \
                            CLUSTER FAILOVER asks the primary to hand over"
                    .into());
            }
            _ => return Err(SYNTAX),
        }
        match shown.view.role {
            MemberRole::Primary => {
                return Err("ERR You should send CLUSTER FAILOVER to a replica".into());
            }
            MemberRole::Loading => return Err("ERR this node is loading".into()),
            MemberRole::Follower => {}
        }
        self.execute_batch();
        shown.views.hand_over().map_err(|why| format!("ERR {why}"))?;
        self.reply(|out| out.ok());
        Ok(())
    }

    fn replicas(&mut self, id: &[u8]) -> Result<(), CommandError> {
        let shown = &self.shown()?;
        let (group, known) = known(shown, id)?;
        if !group.is_primary(known) {
            return Err("ERR The specified node is not a master".into());
        }
        self.reply(|out| {
            out.array(group.followers().count());
            group.followers().for_each(|one| out.bulk(shown.line(group, one, &[]).as_bytes()));
        });
        Ok(())
    }
}

/// Returns the node with this id, and its group.
fn known<'v>(
    shown: &ShownNodes<'v>,
    id: &[u8],
) -> Result<(&'v KnownGroup, &'v MemberView), CommandError> {
    shown.find(id).ok_or_else(|| format!("ERR Unknown node {}", String::from_utf8_lossy(id)).into())
}

/// Parses a slot; `None` if it is out of range.
fn slot_number(argument: &[u8]) -> Result<Option<u16>, CommandError> {
    let number = number::integer(argument).ok_or(NOT_AN_INTEGER)?;
    Ok(u16::try_from(number).ok().filter(|slot| *slot < SLOTS))
}

/// Returns what CLUSTER INFO replies.
fn info(shown: &ShownNodes<'_>) -> String {
    let coverage = Coverage::of(shown.view);
    let Coverage { assigned, served, groups, nodes, epoch } = coverage;
    let lines = [
        ("cluster_slots_assigned", assigned as u64),
        ("cluster_slots_ok", served as u64),
        ("cluster_slots_pfail", 0),
        ("cluster_slots_fail", assigned.saturating_sub(served) as u64),
        ("cluster_known_nodes", nodes as u64),
        ("cluster_size", groups as u64),
        ("cluster_current_epoch", epoch),
        ("cluster_my_epoch", shown.view.group.epoch),
        // Nodes send no messages: they talk by etcd.
        ("cluster_stats_messages_sent", 0),
        ("cluster_stats_messages_received", 0),
        ("total_cluster_links_buffer_limit_exceeded", 0),
    ];
    let lines = lines.iter().map(|(name, value)| format!("{name}:{value}\r\n"));
    std::iter::once(format!("cluster_state:{}\r\n", coverage.state())).chain(lines).collect()
}
