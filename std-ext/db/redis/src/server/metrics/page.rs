//! A page of metrics, to which each kind of metric is written in the same form, and who else writes to it.

use crate::server::handles::ServerMonitor;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt::Error;

/// The node of a cluster that a server is part of, as the reports over HTTP see it.
pub trait NodeReport: Send + Sync {
    /// Returns whether the node's thread turns.
    fn is_alive(&self) -> bool;

    /// Writes the node's metrics.
    ///
    /// # Errors
    /// If the page cannot be written.
    fn write(&self, page: &mut MetricsPage<'_>, server: &ServerMonitor) -> Result<(), Error>;
}

/// A page that is being written.
pub struct MetricsPage<'a>(pub(super) DescriptorEncoder<'a>);

impl MetricsPage<'_> {
    /// Writes a counter. The format adds `_total` to its name.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes counters that differ in the value of a label.
    pub fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(differs, value)| {
            let labels = [(label, differs)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    /// Writes gauges that differ in the value of a label.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(differs, value)| {
            let labels = [(label, differs.as_str())];
            metric.encode_family(&labels)?.encode_gauge(&value)
        })
    }

    /// Writes a histogram of this sum, by the upper bound of each bucket and the numbers in it alone.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    /// Writes a gauge.
    pub fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// Writes a gauge with a label.
    pub fn labelled_gauge(
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
