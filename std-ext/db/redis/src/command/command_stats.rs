//! The sections of INFO about commands: how often each was called, how long it took, and the errors.

use crate::command::context::ServerStats;
#[cfg(feature = "metrics")]
use crate::command::diagnostics::Diagnostics;
use crate::command::execute::Execution;
use crate::command::info_lines::Lines;
use crate::command::table::by_number;
use hedgerow_db_engine::db::Stats;
use std::fmt::Write;

/// The counts of one command by all threads since the start.
#[cfg(feature = "metrics")]
pub(crate) struct CommandTimes {
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    /// Calls whose reply was an error, and commands that were not executed.
    pub(crate) errors: u64,
    pub(crate) nanoseconds: u64,
    /// Calls whose latency was tracked.
    pub(crate) tracked: u64,
    /// Those within each bound.
    pub(crate) within: Vec<u64>,
}

/// Returns the counts of each command. The bounds are in nanoseconds, and rise.
#[cfg(feature = "metrics")]
pub(crate) fn command_times(
    diagnostics: &Diagnostics,
    bounds: &[u64],
) -> impl Iterator<Item = CommandTimes> {
    diagnostics.totals().into_iter().enumerate().map(|(number, of)| CommandTimes {
        name: by_number(number).name,
        calls: of.calls,
        errors: of.failed + of.rejected,
        nanoseconds: of.nanoseconds,
        tracked: of.tracked(),
        within: of.within(bounds.iter().copied()),
    })
}

pub(super) fn command_stats(
    execution: &Execution<'_, '_>,
    _: &ServerStats,
    _: &Stats,
    out: &mut Lines<'_>,
) {
    for (number, of) in execution.meter.diagnostics.totals_since_reset().iter().enumerate() {
        // Redis leaves out commands that were never called (`genRedisInfoString`).
        if of.calls + of.rejected + of.failed == 0 {
            continue;
        }
        let microseconds = of.nanoseconds / 1000;
        #[allow(clippy::cast_precision_loss)]
        let each = of.nanoseconds as f64 / 1000.0 / of.calls.max(1) as f64;
        out.line(
            &format!("cmdstat_{}", by_number(number).name),
            format_args!(
                "calls={},usec={microseconds},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                of.calls, of.rejected, of.failed
            ),
        );
    }
}

pub(super) fn error_stats(
    execution: &Execution<'_, '_>,
    _: &ServerStats,
    _: &Stats,
    out: &mut Lines<'_>,
) {
    for (code, count) in execution.meter.diagnostics.errors() {
        out.line(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latency_stats(
    execution: &Execution<'_, '_>,
    _: &ServerStats,
    _: &Stats,
    out: &mut Lines<'_>,
) {
    let percentiles = execution.meter.diagnostics.percentiles();
    for (number, of) in execution.meter.diagnostics.totals_since_reset().iter().enumerate() {
        if of.tracked() == 0 {
            continue;
        }
        let mut line = String::new();
        for percent in &percentiles {
            let separator = if line.is_empty() { "" } else { "," };
            #[allow(clippy::cast_precision_loss)]
            let microseconds = of.percentile(*percent) as f64 / 1000.0;
            // Writing to memory does not fail.
            let _ = write!(line, "{separator}p{percent}={microseconds:.3}");
        }
        out.line(&format!("latency_percentiles_usec_{}", by_number(number).name), line);
    }
}
