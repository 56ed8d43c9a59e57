//! The metrics of a node of a cluster.

#[cfg(test)]
mod tests;

use crate::measure::histogram::SizeHistogram;
use crate::node::status::NodeMonitor;
use hedgerow_db_redis::server::ServerMonitor;
use hedgerow_db_redis::server::http::{MetricsPage, NodeReport};
use hedgerow_db_redis::view::{MemberRole, NodeHealth, View, Views};
use std::fmt::Error;
use std::time::Duration;

impl NodeReport for NodeMonitor {
    fn is_alive(&self) -> bool {
        self.is_alive()
    }

    fn write(&self, page: &mut MetricsPage<'_>, server: &ServerMonitor) -> Result<(), Error> {
        role(page, self)?;
        if let Some(views) = server.views() {
            let mut view = View::clone(&views.current());
            if view.role == MemberRole::Primary {
                view.group.is_led = self.is_confirmed();
            }
            group(page, &view)?;
            let help = "Replication lag in seconds (upper bound).";
            page.gauge("cluster_lag_seconds", help, lag(views, server).as_secs_f64())?;
        }
        log(page, self)?;
        etcd(page, self)?;
        moves(page, self)
    }
}

fn role(page: &mut MetricsPage<'_>, node: &NodeMonitor) -> Result<(), Error> {
    let status = node.status();
    let role = [("role", status.role)];
    page.labelled_gauge("cluster_role", "Role of the node in its group.", &role, 1)?;
    let help = "Whether the node is the primary, confirmed by etcd within its lease.";
    page.gauge("cluster_primary", help, u32::from(node.is_confirmed()))?;
    let help = "Remaining seconds of the primary's lease; 0 on other nodes.";
    page.gauge("cluster_lease_left_seconds", help, node.lease_left().as_secs_f64())?;
    page.gauge("cluster_epoch", "Epoch (term) of the group.", status.epoch)?;
    page.gauge(
        "cluster_member",
        "Whether the node is a member of its group.",
        u32::from(status.member),
    )?;
    let fit = u32::from(status.disqualified.is_none());
    page.gauge("cluster_can_lead", "Whether the node is eligible to become primary.", fit)?;
    let help = "Whether the node's disk fails or hangs, so the node does not count as a copy.";
    page.gauge("cluster_disk_fails", help, u32::from(status.disk_fails))?;
    let help = "Times that the node became primary, by reason.";
    page.counters("cluster_takeovers", help, "reason", node.takeovers())?;
    let help = "Format of the cluster; 0 if not known yet.";
    page.gauge("cluster_format", help, node.format())?;
    let help = "Spare nodes waiting to be assigned to a group.";
    page.gauge("cluster_spares", help, node.spares())?;
    let help = "Whether the node is the coordinator.";
    page.gauge("cluster_coordinates", help, u32::from(node.coordinates()))?;
    let (sent, lost) = node.messages();
    let help = "Pub/sub messages sent to other nodes, counted once per node.";
    page.counter("cluster_messages", help, sent)?;
    let help = "Pub/sub messages known not to have reached another node.";
    page.counter("cluster_messages_lost", help, lost)
}

/// Writes the state of the groups, as the node sees it.
fn group(page: &mut MetricsPage<'_>, view: &View) -> Result<(), Error> {
    page.gauge("cluster_group", "Number of the node's group.", view.group.number)?;
    let members = &view.group.members;
    page.gauge("cluster_members", "Members of the group.", members.len() as u64)?;
    let missing = members.iter().filter(|member| member.health == NodeHealth::Failed).count();
    let help = "Members of the group that are missing.";
    page.gauge("cluster_members_missing", help, missing as u64)?;
    let help = "Groups known to have slots but no primary.";
    page.gauge("cluster_groups_without_primary", help, groups_without_primary(view))
}

fn groups_without_primary(view: &View) -> u64 {
    let mut owners: Vec<u32> = view.owners.ranges().iter().map(|range| range.group).collect();
    owners.sort_unstable();
    owners.dedup();
    let is_led = |group: u32| view.group(group).is_some_and(|group| group.is_led);
    owners.iter().filter(|group| !is_led(**group)).count() as u64
}

/// Returns by how much the data of a node are older than the primary's. A node that has no data of the group yet does
/// not know that: it counts the time since its start.
fn lag(views: &Views, server: &ServerMonitor) -> Duration {
    if views.current().role == MemberRole::Primary {
        return Duration::ZERO;
    }
    Duration::from_millis(views.staleness(server.db().now())).min(server.uptime())
}

fn log(page: &mut MetricsPage<'_>, node: &NodeMonitor) -> Result<(), Error> {
    let status = node.status();
    page.counter(
        "cluster_applied_entries",
        "Number of the last log entry applied by the node.",
        status.applied,
    )?;
    let help = "Replication lag in log entries, as known to the node.";
    page.gauge("cluster_lag_entries", help, status.committed.saturating_sub(status.applied))?;
    let help = "Replication lag in batches.";
    page.gauge("cluster_lag_batches", help, status.behind)?;
    let help = "Bytes waiting to be written to etcd.";
    page.gauge("cluster_pending_bytes", help, status.pending as u64)?;
    let help = "Bytes of the log kept in etcd, as known to the primary.";
    page.gauge("cluster_retained_bytes", help, status.retained)?;
    let help = "Size of batches written to etcd.";
    histogram(page, "cluster_batch_size_bytes", help, node.batch_sizes())?;
    let help = "Bytes of these batches, before compression.";
    page.counter("cluster_batch_raw_bytes", help, node.raw_bytes())?;
    let help = "Time to commit a batch to etcd.";
    histogram(page, "cluster_batch_duration_seconds", help, node.batch_times())?;
    page.counter("cluster_trims", "Times that old batches were deleted from etcd.", node.trims())?;
    let help = "Full resynchronizations from another node.";
    page.counter("cluster_resyncs", help, node.resyncs())?;
    let [by_lease, by_log, waited] = node.lease_checks();
    let help = "Checks that the node was still the primary before it replied: by its lease, or by asking etcd.";
    page.counters("cluster_read_proofs", help, "by", [("lease", by_lease), ("log", by_log)])?;
    let help = "Times that replies waited for etcd to confirm the primary.";
    page.counter("cluster_read_proofs_waited", help, waited)
}

fn histogram(
    page: &mut MetricsPage<'_>,
    name: &str,
    help: &str,
    counted: &SizeHistogram,
) -> Result<(), Error> {
    page.histogram(name, help, counted.sum(), &counted.buckets())
}

fn etcd(page: &mut MetricsPage<'_>, node: &NodeMonitor) -> Result<(), Error> {
    let (quota, is_full) = (node.status().etcd_quota, node.status().is_full);
    let help = "Size of etcd's database, on the member with the least of its quota left.";
    page.gauge("cluster_etcd_size_bytes", help, quota.size)?;
    let help = "Bytes in use in etcd's database, on the same member.";
    page.gauge("cluster_etcd_in_use_bytes", help, quota.in_use)?;
    let help = "Quota of etcd's database; 0 if not known yet.";
    page.gauge("cluster_etcd_quota_bytes", help, quota.quota)?;
    let help = "Whether writes are refused because etcd is nearly full.";
    page.gauge("cluster_etcd_full", help, u32::from(is_full))?;
    let help = "Failed requests to etcd, by endpoint.";
    page.counters("cluster_etcd_errors", help, "endpoint", node.etcd_failures())
}

fn moves(page: &mut MetricsPage<'_>, node: &NodeMonitor) -> Result<(), Error> {
    let help = "Slot migrations from or to the group, by state (on its primary).";
    page.gauges("cluster_moves", help, "state", node.moves())?;
    let help = "Bytes of keys and values received by slot migrations.";
    page.counter("cluster_move_bytes", help, node.moved_bytes())?;
    let help = "Longest time for which a slot migration paused clients.";
    page.gauge("cluster_move_longest_hold_seconds", help, node.longest_hold().as_secs_f64())
}
