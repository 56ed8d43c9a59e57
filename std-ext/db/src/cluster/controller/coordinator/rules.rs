//! The settings that decisions follow.

use crate::clock::milliseconds;
use crate::cluster::controller::policy::ScalingPolicy;
use crate::config::ClusterSettings;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct Rules {
    /// `cluster-replicas`.
    pub(in crate::cluster) replicas: u32,
    /// `cluster-copies`.
    pub(in crate::cluster) copies: usize,
    /// `cluster-forget`, in milliseconds; `None` for never.
    pub(in crate::cluster) forget: Option<u64>,
    /// When further nodes are wanted, or fewer; `None` for never.
    pub(in crate::cluster) policy: Option<ScalingPolicy>,
}

impl Rules {
    /// Returns the rules of a node's settings.
    pub(in crate::cluster) fn of(settings: &ClusterSettings) -> Self {
        Self {
            replicas: settings.replicas,
            copies: settings.copies,
            forget: settings.forget.map(milliseconds),
            policy: policy(settings),
        }
    }
}

/// Returns when further nodes are wanted, or fewer.
fn policy(settings: &ClusterSettings) -> Option<ScalingPolicy> {
    let autoscale = settings.autoscale.as_ref()?;
    Some(ScalingPolicy {
        step: settings.replicas + 1,
        min: autoscale.min,
        max: autoscale.max,
        out_above: autoscale.out_above,
        out_after: milliseconds(autoscale.out_after),
        full_within: autoscale.full_within.map(milliseconds),
        in_below: autoscale.in_below,
        in_after: milliseconds(autoscale.in_after),
        rest_below: autoscale.rest_below,
    })
}
