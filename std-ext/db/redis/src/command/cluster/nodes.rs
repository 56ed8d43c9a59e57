//! How the nodes of the cluster are shown, in the formats of Redis Cluster 7.

use crate::command::execute::Execution;
use crate::command::redirects::{host, port};
use crate::config::EndpointType;
use crate::view::{KnownGroup, MemberView, NodeHealth, SlotRange, View, Views};
use hedgerow_db_formats::resp::write::RespWriter;
use hedgerow_db_formats::slots::SLOTS;
use std::fmt::Write as _;

/// The nodes as one client sees them.
pub(in crate::command) struct ShownNodes<'v> {
    pub(in crate::command) view: &'v View,
    pub(in crate::command) views: &'v Views,
    /// Whether the client uses TLS.
    pub(in crate::command) tls: bool,
    /// The last log entry that this node knows to be committed. Of the other members, the view says it.
    pub(in crate::command) own_offset: u64,
    /// Milliseconds since 1970.
    pub(in crate::command) now: u64,
}

impl<'v> Execution<'v, '_> {
    /// Returns the nodes as this client sees them, if this is a node of a cluster.
    pub(in crate::command) fn shown_nodes(&self) -> Option<ShownNodes<'v>> {
        let group = self.group()?;
        Some(ShownNodes {
            view: group.view(),
            views: group.views(),
            tls: self.connection.uses_tls,
            own_offset: self.db.log().committed(),
            now: self.session.now(),
        })
    }
}

impl<'v> ShownNodes<'v> {
    /// Returns the last entry of the log that a member has.
    pub(in crate::command) fn offset(&self, member: &MemberView) -> u64 {
        if self.is_own(member) { self.own_offset } else { member.offset }
    }

    /// Returns the followers of this node's group that serve clients.
    pub(in crate::command) fn online_followers(
        &self,
    ) -> impl Iterator<Item = &'v MemberView> + Clone {
        online(&self.view.group)
    }

    /// Finds a node by its id, and its group.
    pub(super) fn find(&self, id: &[u8]) -> Option<(&'v KnownGroup, &'v MemberView)> {
        let id = str::from_utf8(id).ok()?;
        self.view.groups().find_map(|group| Some((group, group.member(id)?)))
    }

    /// Returns the lines of CLUSTER NODES.
    pub(super) fn lines(&self) -> String {
        let ranges = self.view.owners.ranges();
        let mut text = String::new();
        for group in self.view.groups() {
            let ranges = ranges_of(&ranges, group);
            for member in &group.members {
                text.push_str(&self.line(group, member, &ranges));
                text.push('\n');
            }
        }
        text
    }

    fn is_own(&self, member: &MemberView) -> bool {
        member.id == self.view.own_id
    }

    /// Returns a member's line in CLUSTER NODES, without a line end. `ranges` are the slots of its group.
    pub(super) fn line(
        &self,
        group: &KnownGroup,
        member: &MemberView,
        ranges: &[SlotRange],
    ) -> String {
        let MemberView { id, addresses, health, lag, .. } = member;
        let (own, primary) = (self.is_own(member), group.is_primary(member));
        let mut address =
            format!("{}:{}@{}", addresses.ip, port(member, self.tls), addresses.peer_port);
        if !addresses.hostname.is_empty() {
            address = format!("{address},{}", addresses.hostname);
        }
        let mut flags = String::from(if own { "myself," } else { "" });
        flags.push_str(if primary { "master" } else { "slave" });
        if *health == NodeHealth::Failed {
            flags.push_str(",fail");
        }
        // Without a port for this client it has no address: the flag keeps clients from trying port 0.
        if port(member, self.tls) == 0 {
            flags.push_str(",noaddr");
        }
        let of = match &group.primary {
            Some(id) if !primary => id,
            _ => "-",
        };
        // Of itself, a node of Redis shows 0.
        let heard = if own { 0 } else { self.now.saturating_sub(lag * 1000) };
        // Nodes have no links with each other. What a client concludes from this field is whether the node is alive.
        let link = if *health == NodeHealth::Failed && !own { "disconnected" } else { "connected" };
        let (epoch, mut slots) = (group.epoch, String::new());
        // Clients look for the slots of a follower at its primary.
        for SlotRange { first, last, .. } in ranges.iter().filter(|_| primary) {
            let end = if first == last { String::new() } else { format!("-{last}") };
            // Writing to a string does not fail.
            let _ = write!(slots, " {first}{end}");
        }
        format!("{id} {address} {flags} {of} 0 {heard} {epoch} {link}{slots}")
    }

    /// Returns the ranges of slots whose groups have a primary with a known address. A node that has just started may
    /// not know it yet.
    ///
    /// It returns none before it has read of the other nodes: clients as redis-rs forget each node that is left out,
    /// and one that knows this node alone does not find the others when this one goes.
    pub(super) fn known_ranges(&self) -> Vec<(SlotRange, &'v KnownGroup, &'v MemberView)> {
        let known = |range: SlotRange| {
            let group = self.view.group(range.group)?;
            let primary = group.primary().filter(|primary| port(primary, self.tls) != 0)?;
            Some((range, group, primary))
        };
        let ranges = if self.view.is_new { Vec::new() } else { self.view.owners.ranges() };
        ranges.into_iter().filter_map(known).collect()
    }

    /// Writes what CLUSTER SLOTS replies.
    pub(super) fn write_slots(
        &self,
        ranges: &[(SlotRange, &KnownGroup, &MemberView)],
        out: &mut RespWriter<'_>,
    ) {
        out.array(ranges.len());
        for (range, group, primary) in ranges {
            out.array(3 + online(group).count());
            out.integer(range.first.into());
            out.integer(range.last.into());
            self.write_slots_node(primary, out);
            online(group).for_each(|follower| self.write_slots_node(follower, out));
        }
    }

    /// Writes a node of CLUSTER SLOTS: its preferred endpoint, and its other addresses behind.
    fn write_slots_node(&self, member: &MemberView, out: &mut RespWriter<'_>) {
        out.array(4);
        let endpoint_type = self.views.endpoint_type();
        match endpoint_type {
            // NULL: the client uses the address to which it has connected (`cluster-preferred-endpoint-type`).
            EndpointType::Unknown => out.null(),
            _ => out.bulk(host(member, endpoint_type).as_bytes()),
        }
        out.integer(port(member, self.tls).into());
        out.bulk(member.id.as_bytes());
        let addresses = &member.addresses;
        // As `addNodeToNodeReply`: the metadata has only what is not the preferred endpoint already.
        let ip = Some(("ip", &addresses.ip)).filter(|_| endpoint_type != EndpointType::Ip);
        let hostname = Some(("hostname", &addresses.hostname))
            .filter(|(_, name)| endpoint_type != EndpointType::Hostname && !name.is_empty());
        let others = || ip.into_iter().chain(hostname);
        out.map(others().count());
        others().for_each(|(name, value)| write_pair(out, name, value));
    }

    /// Writes what CLUSTER SHARDS replies.
    pub(super) fn write_shards(&self, out: &mut RespWriter<'_>) {
        let ranges = self.view.owners.ranges();
        out.array(self.view.groups().count());
        for group in self.view.groups() {
            let ranges = ranges_of(&ranges, group);
            out.map(2);
            out.bulk(b"slots");
            out.array(2 * ranges.len());
            for slot in ranges.iter().flat_map(|range| [range.first, range.last]) {
                out.integer(slot.into());
            }
            out.bulk(b"nodes");
            out.array(group.members.len());
            let all = group.primary().into_iter().chain(group.followers());
            all.for_each(|member| self.write_shards_node(group, member, out));
        }
    }

    fn write_shards_node(&self, group: &KnownGroup, member: &MemberView, out: &mut RespWriter<'_>) {
        let addresses = &member.addresses;
        let ports = [("port", addresses.port), ("tls-port", addresses.tls_port)];
        let ports = || ports.iter().filter(|(_, port)| *port != 0);
        let hostname = Some(&addresses.hostname).filter(|name| !name.is_empty());
        out.map(6 + ports().count() + usize::from(hostname.is_some()));
        write_pair(out, "id", &member.id);
        for (name, port) in ports() {
            out.bulk(name.as_bytes());
            out.integer((*port).into());
        }
        write_pair(out, "ip", &addresses.ip);
        write_pair(out, "endpoint", host(member, self.views.endpoint_type()));
        if let Some(hostname) = hostname {
            write_pair(out, "hostname", hostname);
        }
        let role = if group.is_primary(member) { "master" } else { "replica" };
        write_pair(out, "role", role);
        out.bulk(b"replication-offset");
        out.integer(self.offset(member).cast_signed());
        let health = match member.health {
            NodeHealth::Online => "online",
            NodeHealth::Loading => "loading",
            NodeHealth::Failed => "fail",
        };
        write_pair(out, "health", health);
    }
}

/// Returns the followers of a group that serve clients.
fn online(group: &KnownGroup) -> impl Iterator<Item = &MemberView> + Clone {
    group.followers().filter(|member| member.health == NodeHealth::Online)
}

/// Returns the ranges of a group.
pub(super) fn ranges_of(ranges: &[SlotRange], group: &KnownGroup) -> Vec<SlotRange> {
    ranges.iter().filter(|range| range.group == group.number).copied().collect()
}

/// The slots that the known nodes serve.
pub(in crate::command) struct Coverage {
    /// The slots of groups with a primary, or a last one.
    pub(super) assigned: usize,
    /// The slots of groups whose primary serves.
    pub(super) served: usize,
    /// The groups with a primary, or a last one, and slots.
    pub(super) groups: usize,
    /// The nodes.
    pub(in crate::command) nodes: usize,
    /// The latest epoch.
    pub(super) epoch: u64,
}

impl Coverage {
    /// Returns the slots that the nodes of a view serve.
    pub(in crate::command) fn of(view: &View) -> Self {
        let ranges = view.owners.ranges();
        let nodes = view.groups().map(|group| group.members.len()).sum();
        let epoch = view.groups().map(|group| group.epoch).max().unwrap_or(0);
        let mut coverage = Self { assigned: 0, served: 0, groups: 0, nodes, epoch };
        for group in view.groups() {
            let slots: usize = ranges_of(&ranges, group).iter().map(SlotRange::count).sum();
            if group.primary.is_some() && slots > 0 {
                coverage.assigned += slots;
                coverage.groups += 1;
            }
            coverage.served += if group.is_led { slots } else { 0 };
        }
        coverage
    }

    /// Returns `ok` if each slot has a primary.
    pub(in crate::command) fn state(&self) -> &'static str {
        if self.served == usize::from(SLOTS) { "ok" } else { "fail" }
    }
}

fn write_pair(out: &mut RespWriter<'_>, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}
