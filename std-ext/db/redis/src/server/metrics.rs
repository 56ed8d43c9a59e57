//! The `/metrics` page in the OpenMetrics format, which Prometheus reads.
//!
//! Metrics that Redis's INFO has as well have the same name, with the unit and the suffix that the format requires.
//! Nothing is counted here: a page is made of the workers' counters when it is requested.

mod by_command;
mod page;

use super::counters::CounterTotals;
use super::handles::ServerMonitor;
use super::report_source::ReportSource;
use hedgerow_db_engine::Progress;
pub use page::{MetricsPage, NodeReport};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt::{Error, Formatter};
use std::sync::atomic::Ordering;

/// The content type of the page.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The last line of each page.
pub(super) const END: &str = "# EOF\n";

/// Returns the page: of the server if there is one, else of the progress of loading.
pub(super) fn text(source: &ReportSource) -> String {
    let mut registry = Registry::with_prefix("hedgerow_db");
    registry.register_collector(Box::new(Metrics(source.clone())));
    let mut text = String::with_capacity(12 << 10);
    text::encode(&mut text, &registry).expect("writing to a string does not fail");
    text
}

/// A page.
struct Metrics(ReportSource);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result<(), Error> {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = MetricsPage(encoder);
        // Of spares, too.
        if let Some(desired) = self.0.views.get().and_then(|views| views.desired()) {
            let help = "Nodes that the cluster should have.";
            page.gauge("cluster_desired_nodes", help, desired.nodes)?;
            let help = "Whether the log is the bottleneck.";
            page.gauge("cluster_log_saturated", help, u32::from(desired.log_saturated))?;
        }
        let Some(server) = self.0.server.get() else {
            return early(&mut page, self.0.loading.get().map(|loading| &**loading));
        };
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.labelled_gauge("info", "Version of the server.", &version, 1)?;
        let uptime = server.uptime().as_secs();
        page.gauge("uptime_in_seconds", "Seconds since the server started.", uptime)?;
        page.gauge("ready", READY, u32::from(server.is_ready()))?;
        page.gauge("loading", LOADING, 0)?;
        // Relaxed: the flag stands for itself.
        let failed = self.0.reload_failed.load(Ordering::Relaxed);
        let help = "Whether the last reload (SIGHUP) of certificates and passwords succeeded.";
        page.gauge("config_last_reload_successful", help, u32::from(!failed))?;
        clients(&mut page, server)?;
        commands(&mut page, server)?;
        by_command::write(&mut page, server.diagnostics())?;
        keys(&mut page, server)?;
        log(&mut page, server)?;
        if let Some(node) = self.0.node.get() {
            node.write(&mut page, server)?;
        }
        Ok(())
    }
}

const READY: &str = "Whether the server accepts reads and writes.";
const LOADING: &str = "Whether the server is loading its data.";

/// Writes the metrics that exist before there is a server.
fn early(page: &mut MetricsPage<'_>, loading: Option<&Progress>) -> Result<(), Error> {
    let (total, done) = loading.map_or((0, 0), |progress| (progress.total(), progress.done()));
    page.gauge("ready", READY, 0)?;
    page.gauge("loading", LOADING, 1)?;
    page.gauge("loading_total_bytes", "Total size of the files to load.", total)?;
    page.gauge("loading_loaded_bytes", "Bytes loaded so far.", done)
}

fn clients(page: &mut MetricsPage<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let totals = server.totals();
    let CounterTotals { connections, rejected, denied, idle, slow, failed, .. } = totals;
    page.gauge("connected_clients", "Connected clients.", server.clients())?;
    page.gauge("maxclients", "Maximum number of clients.", server.max_clients())?;
    let memory = server.client_memory();
    page.gauge("mem_clients_normal_bytes", "Memory used by clients and their buffers.", memory)?;
    page.counter("connections_received", "Connections accepted.", connections)?;
    page.counters(
        "rejected_connections",
        "Connections refused.",
        "reason",
        [("maxclients", rejected), ("protected-mode", denied)],
    )?;
    page.counters(
        "closed_connections",
        "Connections closed by the server.",
        "reason",
        [
            ("timeout", idle),
            ("output-buffer-limit", slow),
            ("slow-subscriber", totals.slow_subscribers),
            ("log-failure", failed),
        ],
    )?;
    let counts = server.subscriptions();
    page.gauge("pubsub_channels", "Channels with at least one subscriber.", counts.channels)?;
    page.gauge("pubsub_patterns", "Patterns with at least one subscriber.", counts.patterns)?;
    let help = "Sharded channels with at least one subscriber.";
    page.gauge("pubsubshard_channels", help, counts.shard_channels)?;
    page.counter("pubsub_messages", "Messages delivered to subscribers.", totals.messages)
}

fn commands(page: &mut MetricsPage<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let totals = server.totals();
    let CounterTotals { commands, bytes_in, bytes_out, eventloop_cycles, waits_for_log, .. } =
        totals;
    page.counter("commands_processed", "Commands executed.", commands)?;
    page.counter("net_input_bytes", "Bytes read from clients.", bytes_in)?;
    page.counter("net_output_bytes", "Bytes written to clients.", bytes_out)?;
    page.counter("eventloop_cycles", "Event-loop cycles with work to do.", eventloop_cycles)?;
    let help = "Event-loop cycles whose replies waited for the log.";
    page.counter("eventloop_waits_for_log", help, waits_for_log)?;
    let help = "Times that a client's replies waited for the log.";
    page.counter("eventloop_clients_held", help, totals.clients_held)?;
    let latency = server.latencies();
    let (name, help) = (
        "command_duration_seconds",
        "Command latency from reading the request to replying, including waits for the log.",
    );
    let mut metric = page.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let (sum, count) = (latency.seconds(), latency.count());
    metric.encode_histogram::<NoLabelSet>(sum, count, &latency.buckets(), None)
}

fn keys(page: &mut MetricsPage<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let stats = server.db().stats();
    page.gauge("db_keys", "Keys.", stats.keys)?;
    page.gauge("db_keys_expiring", "Keys with a TTL.", stats.expires)?;
    let help = "Memory used by keys, values and tables.";
    page.gauge("used_memory_dataset_bytes", help, stats.memory)?;
    page.gauge("maxmemory_bytes", "Maximum memory; 0 for no limit.", stats.max_memory)?;
    page.counter("expired_keys", "Expired keys that were removed.", stats.expired)?;
    page.counter("evicted_keys", "Keys evicted to stay below maxmemory.", stats.evicted)?;
    page.counter("keyspace_hits", "Lookups that found a key.", stats.hits)?;
    page.counter("keyspace_misses", "Lookups that found no key.", stats.misses)?;
    page.gauge("shards", "Shards of the keyspace.", stats.shards)
}

fn log(page: &mut MetricsPage<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let stats = server.db().stats();
    let log = server.db().log();
    page.counter("log_entries", "Number of the last log entry.", stats.last_entry)?;
    page.counter(
        "log_safe_entries",
        "Number of the last log entry that may be acknowledged.",
        log.committed(),
    )?;
    page.gauge("aof_current_size_bytes", "Size of the log.", stats.log_bytes)?;
    page.gauge("log_writable", "Whether the log is writable.", u32::from(log.writable()))?;
    let changes = stats.entries_since_snapshot;
    page.gauge("rdb_changes_since_last_save", "Log entries since the last snapshot.", changes)?;
    let running = u32::from(stats.snapshot_in_progress);
    page.gauge("rdb_bgsave_in_progress", "Whether a snapshot is being written.", running)?;
    let fine = u32::from(!stats.snapshot_failed);
    page.gauge("rdb_last_bgsave_status", "Whether the last snapshot succeeded.", fine)?;
    page.gauge(
        "rdb_last_save_timestamp_seconds",
        "Time of the last snapshot since the start; 0 if none.",
        stats.last_snapshot_at,
    )?;
    page.gauge(
        "snapshot_pause_seconds",
        "Longest time for which the last snapshot locked a shard.",
        stats.snapshot_pause.as_secs_f64(),
    )
}
