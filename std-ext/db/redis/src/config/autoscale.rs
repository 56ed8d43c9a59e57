//! The settings by which a cluster wants further nodes, or fewer.

use super::error::{ConfigError, conflict};
use super::load::Config;
use std::time::Duration;

/// When a cluster wants further nodes, or fewer. Shares of the load are in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoscaleSettings {
    /// The fewest nodes. The groups that the cluster was made with need some in any case.
    pub min: u32,
    /// The most nodes.
    pub max: u32,
    /// The load above which further nodes are asked for.
    pub out_above: u32,
    /// How long it must have been so high.
    pub out_after: Duration,
    /// Within which time the memory must be full, as fast as it grows. `None`: that does not count.
    pub full_within: Option<Duration>,
    /// The load below which fewer nodes are asked for.
    pub in_below: u32,
    /// How long it must have been so low.
    pub in_after: Duration,
    /// The load that the remaining nodes may have then.
    pub rest_below: u32,
    /// The time of the moving averages.
    pub average: Duration,
}

impl Config {
    pub(super) fn autoscale(&self) -> Option<AutoscaleSettings> {
        let seconds = |name| Duration::from_secs(self.number(name));
        let percent = |name| self.number(name) as u32 * 10;
        self.flag("cluster-autoscale").then(|| AutoscaleSettings {
            min: self.number("cluster-autoscale-min") as u32,
            max: self.number("cluster-autoscale-max") as u32,
            out_above: percent("cluster-autoscale-out"),
            out_after: seconds("cluster-autoscale-out-after"),
            full_within: Some(seconds("cluster-autoscale-full-within"))
                .filter(|time| !time.is_zero()),
            in_below: percent("cluster-autoscale-in"),
            in_after: seconds("cluster-autoscale-in-after"),
            rest_below: percent("cluster-autoscale-rest"),
            average: seconds("cluster-autoscale-average"),
        })
    }

    /// Returns the node's number: that of the settings, or the one at the end of the host's name.
    pub(super) fn cluster_ordinal(&self) -> Option<u32> {
        if let Ok(ordinal) = self.get("cluster-ordinal").parse() {
            return Some(ordinal);
        }
        let host = self.get("cluster-announce-hostname").split('.').next()?;
        let (_, digits) = host.rsplit_once('-')?;
        digits.parse().ok().filter(|ordinal| *ordinal <= 65_535)
    }

    /// Checks the settings against each other.
    pub(super) fn check_autoscale(&self) -> Result<(), ConfigError> {
        let Some(autoscale) = self.autoscale() else { return Ok(()) };
        if self.get("cluster-group") != "auto" {
            return conflict(
                "cluster-autoscale requires cluster-group auto: a node with a fixed group cannot be assigned to \
                 another",
            );
        }
        if autoscale.max == 0 {
            return conflict("cluster-autoscale requires cluster-autoscale-max: the most nodes");
        }
        let lowest = self.number("cluster-groups") * (self.number("cluster-replicas") + 1);
        if u64::from(autoscale.max) < lowest.max(autoscale.min.into()) {
            return conflict(&format!(
                "cluster-autoscale-max must be at least cluster-autoscale-min, and at least {lowest}, which is \
                 cluster-groups times (cluster-replicas + 1)"
            ));
        }
        if autoscale.in_below >= autoscale.rest_below || autoscale.rest_below >= autoscale.out_above
        {
            return conflict(
                "cluster-autoscale-in must be below cluster-autoscale-rest, and that below cluster-autoscale-out: \
                 otherwise the cluster would ask for the nodes that it has just released",
            );
        }
        Ok(())
    }
}
