//! How the members of the group are shown, in the formats of Redis Cluster 7.

use crate::cluster::view::{EndpointType, Health, Member, View, Views};
use crate::command::execute::Execution;
use crate::command::redirects::{host, port};
use crate::resp::write::Writer;
use crate::state::slots::SLOTS;

/// The members as one client sees them.
pub(in crate::command) struct ShownNodes<'v> {
    pub(in crate::command) view: &'v View,
    pub(in crate::command) views: &'v Views,
    /// Whether the client uses TLS.
    pub(in crate::command) tls: bool,
    /// The last entry of the log that this node has safe. Of the other members, the view says it.
    pub(in crate::command) own_offset: u64,
    /// Milliseconds since 1970.
    pub(in crate::command) now: u64,
}

impl<'v> Execution<'v, '_> {
    /// Returns the members as this client sees them, if this is a node of a cluster.
    pub(in crate::command) fn shown_nodes(&self) -> Option<ShownNodes<'v>> {
        let group = self.group()?;
        Some(ShownNodes {
            view: group.view(),
            views: group.views(),
            tls: self.connection.uses_tls,
            own_offset: self.db.log().safe(),
            now: self.session.now(),
        })
    }
}

impl<'v> ShownNodes<'v> {
    /// Returns the last entry of the log that a member has.
    pub(in crate::command) fn offset(&self, member: &Member) -> u64 {
        if self.is_own(member) { self.own_offset } else { member.offset }
    }

    /// Returns the followers that serve clients.
    pub(in crate::command) fn online_followers(&self) -> impl Iterator<Item = &'v Member> + Clone {
        self.view.followers().filter(|member| member.health == Health::Online)
    }

    fn is_own(&self, member: &Member) -> bool {
        member.id == self.view.own_id
    }

    /// Returns a member's line in CLUSTER NODES, without a line end.
    pub(super) fn line(&self, member: &Member) -> String {
        let Member { id, addresses, health, lag, .. } = member;
        let (own, primary) = (self.is_own(member), self.view.is_primary(member));
        let mut address =
            format!("{}:{}@{}", addresses.ip, port(member, self.tls), addresses.peer_port);
        if !addresses.hostname.is_empty() {
            address = format!("{address},{}", addresses.hostname);
        }
        let mut flags = String::from(if own { "myself," } else { "" });
        flags.push_str(if primary { "master" } else { "slave" });
        if *health == Health::Failed {
            flags.push_str(",fail");
        }
        if port(member, self.tls) == 0 {
            flags.push_str(",noaddr");
        }
        let of = match &self.view.primary {
            Some(id) if !primary => id,
            _ => "-",
        };
        // Of itself, a node of Redis shows 0.
        let heard = if own { 0 } else { self.now.saturating_sub(lag * 1000) };
        let link = if *health == Health::Failed && !own { "disconnected" } else { "connected" };
        let epoch = self.view.epoch;
        let slots = if primary { format!(" 0-{}", SLOTS - 1) } else { String::new() };
        format!("{id} {address} {flags} {of} 0 {heard} {epoch} {link}{slots}")
    }

    /// Returns the primary if its address is known. A node that has just started may not know it yet.
    pub(super) fn primary_with_address(&self) -> Option<&Member> {
        self.view.primary().filter(|primary| port(primary, self.tls) != 0)
    }

    /// Writes what CLUSTER SLOTS replies if this is the primary.
    pub(super) fn write_slots(&self, primary: &Member, out: &mut Writer<'_>) {
        out.array(1);
        out.array(3 + self.online_followers().count());
        out.integer(0);
        out.integer((SLOTS - 1).into());
        self.write_slots_node(primary, out);
        self.online_followers().for_each(|follower| self.write_slots_node(follower, out));
    }

    /// Writes a node of CLUSTER SLOTS: its preferred endpoint, and its other addresses behind.
    fn write_slots_node(&self, member: &Member, out: &mut Writer<'_>) {
        out.array(4);
        let endpoint_type = self.views.endpoint_type();
        match endpoint_type {
            EndpointType::Unknown => out.null(),
            _ => out.bulk(host(member, endpoint_type).as_bytes()),
        }
        out.integer(port(member, self.tls).into());
        out.bulk(member.id.as_bytes());
        let addresses = &member.addresses;
        let ip = Some(("ip", &addresses.ip)).filter(|_| endpoint_type != EndpointType::Ip);
        let hostname = Some(("hostname", &addresses.hostname))
            .filter(|(_, name)| endpoint_type != EndpointType::Hostname && !name.is_empty());
        let others = || ip.into_iter().chain(hostname);
        out.map(others().count());
        others().for_each(|(name, value)| write_pair(out, name, value));
    }

    /// Writes what CLUSTER SHARDS replies: the one group.
    pub(super) fn write_shards(&self, out: &mut Writer<'_>) {
        out.array(1);
        out.map(2);
        out.bulk(b"slots");
        out.array(2);
        out.integer(0);
        out.integer((SLOTS - 1).into());
        out.bulk(b"nodes");
        out.array(self.view.members.len());
        let primary = self.view.primary();
        let all = primary.into_iter().chain(self.view.followers());
        all.for_each(|member| self.write_shards_node(member, out));
    }

    fn write_shards_node(&self, member: &Member, out: &mut Writer<'_>) {
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
        let role = if self.view.is_primary(member) { "master" } else { "replica" };
        write_pair(out, "role", role);
        out.bulk(b"replication-offset");
        out.integer(self.offset(member).cast_signed());
        let health = match member.health {
            Health::Online => "online",
            Health::Loading => "loading",
            Health::Failed => "fail",
        };
        write_pair(out, "health", health);
    }
}

fn write_pair(out: &mut Writer<'_>, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}
