//! Metrics of each command: how often it was called, how long it took, and the errors.

use super::page::MetricsPage;
use crate::command::Diagnostics;
use crate::command::command_times;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use std::fmt::Error;
use std::time::Duration;

/// Upper bounds of the buckets, in nanoseconds. One more bucket has no bound.
const BOUNDS: [u64; 8] =
    [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];

/// Writes the metrics of each command that was called, and of `GET`.
pub(super) fn write(page: &mut MetricsPage<'_>, diagnostics: &Diagnostics) -> Result<(), Error> {
    let all: Vec<_> =
        // Always one, so that the metrics exist before the first command.
        command_times(diagnostics, &BOUNDS).filter(|of| of.calls > 0 || of.name == "get").collect();
    let calls = all.iter().map(|of| (of.name, of.calls));
    page.counters("command_calls", "Calls, by command.", "command", calls)?;
    let errors = all.iter().map(|of| (of.name, of.errors));
    page.counters(
        "command_errors",
        "Calls that returned an error, by command.",
        "command",
        errors,
    )?;
    let help = "Execution time, by command: its share of its pipeline's time.";
    let name = "command_execution_seconds";
    let mut metric = page.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let seconds = |nanoseconds| Duration::from_nanos(nanoseconds).as_secs_f64();
    for of in &all {
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        // The library wants those of each bucket alone.
        let mut before = 0;
        let counts = of.within.iter().chain([&of.tracked]).map(|count| {
            let alone = count - before;
            before = *count;
            alone
        });
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let labels = [("command", of.name)];
        metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
            seconds(of.nanoseconds),
            of.tracked,
            &buckets,
            None,
        )?;
    }
    let mut codes = diagnostics.errors();
    codes.entry("ERR".to_owned()).or_default();
    let codes = codes.iter().map(|(code, count)| (&**code, *count));
    page.counters("error_replies", "Error replies, by error code.", "code", codes)
}
