//! What `/metrics` shows: the figures of a server in the format OpenMetrics, which Prometheus reads.
//!
//! Threads count for themselves, and nothing is counted here: a page is made of their counts when it is asked for.

use super::counters::CounterTotals;
use super::handles::ServerMonitor;
use crate::Progress;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt::{Error, Formatter};
use std::sync::Arc;

/// What the format is called in HTTP.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How each page ends.
pub(super) const END: &str = "# EOF\n";

/// Returns the page: of the server if there is one, else of how far the data is loaded.
pub(super) fn text(server: Option<&ServerMonitor>, loading: Option<&Arc<Progress>>) -> String {
    let mut registry = Registry::with_prefix("hedgerow_db");
    let (server, loading) = (server.cloned(), loading.cloned());
    registry.register_collector(Box::new(Metrics { server, loading }));
    let mut text = String::with_capacity(12 << 10);
    text::encode(&mut text, &registry).expect("a text takes all");
    text
}

/// What figures are told of.
struct Metrics {
    server: Option<ServerMonitor>,
    loading: Option<Arc<Progress>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result<(), Error> {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        let Some(server) = &self.server else { return early(&mut page, self.loading.as_deref()) };
        page.labelled_gauge("info", "The program.", &[("version", env!("CARGO_PKG_VERSION"))], 1)?;
        page.gauge("uptime_seconds", "Since it was started.", server.uptime().as_secs())?;
        page.gauge(
            "ready",
            "Whether it takes commands and changes.",
            u32::from(server.is_ready()),
        )?;
        page.gauge("loading", "Whether the data is being loaded.", 0)?;
        clients(&mut page, server)?;
        commands(&mut page, server)?;
        keys(&mut page, server)?;
        log(&mut page, server)
    }
}

/// A page as it is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// A number that only grows. The format adds `_total` to its name.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Such numbers, each for a reason.
    fn counters<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: &[(&str, V)],
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.iter().try_for_each(|(reason, value)| {
            let labels = [("reason", *reason)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)
        })
    }

    /// A number that also falls.
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn labelled_gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str); 1],
        value: impl EncodeGaugeValue + Copy,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_family(labels)?.encode_gauge(&value)
    }
}

/// The figures that there are before there is a server.
fn early(page: &mut Page<'_>, loading: Option<&Progress>) -> Result<(), Error> {
    let (total, done) = loading.map_or((0, 0), |progress| (progress.total(), progress.done()));
    page.gauge("ready", "Whether it takes commands and changes.", 0)?;
    page.gauge("loading", "Whether the data is being loaded.", 1)?;
    page.gauge("loading_bytes", "Bytes of the files that are loaded.", total)?;
    page.gauge("loaded_bytes", "Bytes of them that are loaded.", done)
}

fn clients(page: &mut Page<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let CounterTotals { connections, rejected, denied, idle, slow, failed, .. } = server.totals();
    page.gauge("clients", "Clients that are connected.", server.clients())?;
    page.gauge("max_clients", "Clients that may be.", server.max_clients())?;
    page.gauge("client_buffer_bytes", "Memory in buffers of clients.", server.buffers())?;
    page.counter("connections", "Connections that were taken.", connections)?;
    page.counters(
        "connections_refused",
        "Connections that were refused.",
        &[("maxclients", rejected), ("protected-mode", denied)],
    )?;
    page.counters(
        "connections_closed",
        "Connections that the server closed.",
        &[("timeout", idle), ("does not read", slow), ("log failed", failed)],
    )
}

fn commands(page: &mut Page<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let CounterTotals { commands, bytes_in, bytes_out, eventloop_cycles, waits_for_log, .. } =
        server.totals();
    page.counter("commands", "Commands that were obeyed.", commands)?;
    page.counter("received_bytes", "Bytes from clients.", bytes_in)?;
    page.counter("sent_bytes", "Bytes to clients.", bytes_out)?;
    page.counter("turns", "Turns of the threads that had work.", eventloop_cycles)?;
    page.counter("parked_turns", "Turns in which answers had to wait for the log.", waits_for_log)?;
    let took = server.latencies();
    let (name, help) = (
        "command_seconds",
        "From the turn in which a command of RESP is read to its answer, waits for the log included.",
    );
    let mut metric = page.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(took.seconds(), took.count(), &took.buckets(), None)
}

fn keys(page: &mut Page<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let stats = server.db().stats();
    page.gauge("keys", "Keys.", stats.keys)?;
    page.gauge("ending_keys", "Keys with an end.", stats.expires)?;
    page.gauge("memory_bytes", "Memory for keys, values and tables.", stats.memory)?;
    page.gauge("max_memory_bytes", "What it may be; 0 for any.", stats.max_memory)?;
    page.counter("expired_keys", "Keys that came to their end.", stats.expired)?;
    page.counter("evicted_keys", "Keys that were evicted.", stats.evicted)?;
    page.counter("hits", "Reads that found a value.", stats.hits)?;
    page.counter("misses", "Reads that found none.", stats.misses)?;
    page.gauge("shards", "Parts that change independently.", stats.shards)
}

fn log(page: &mut Page<'_>, server: &ServerMonitor) -> Result<(), Error> {
    let stats = server.db().stats();
    let log = server.db().log();
    page.counter("log_entries", "Last entry of the log.", stats.last_entry)?;
    page.counter("log_safe_entries", "Last entry that may be acknowledged.", log.safe())?;
    page.gauge("log_bytes", "Bytes of the log's files.", stats.log_bytes)?;
    page.gauge("log_writable", "Whether the log can be written.", u32::from(log.writable()))?;
    page.gauge(
        "snapshot_entries",
        "Entries since the last snapshot.",
        stats.entries_since_snapshot,
    )?;
    page.gauge("snapshot_running", "Whether one is made.", u32::from(stats.snapshot_in_progress))?;
    page.gauge(
        "snapshot_failed",
        "Whether the last one failed.",
        u32::from(stats.snapshot_failed),
    )?;
    page.gauge(
        "snapshot_timestamp_seconds",
        "When the last one was made since the start; 0 for never.",
        stats.last_snapshot_at,
    )?;
    page.gauge(
        "snapshot_pause_seconds",
        "The longest time for which the last one kept a shard locked.",
        stats.snapshot_pause.as_secs_f64(),
    )
}
