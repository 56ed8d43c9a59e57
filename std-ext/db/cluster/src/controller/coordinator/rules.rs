//! The settings that decisions follow.

use crate::controller::policy::ScalingPolicy;
use hedgerow_db_engine::clock::milliseconds;
use hedgerow_db_redis::config::ClusterSettings;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `cluster-replicas`.
    pub(crate) replicas: u32,
    /// `cluster-copies`.
    pub(crate) copies: usize,
    /// `cluster-forget`, in milliseconds; `None` for never.
    pub(crate) forget: Option<u64>,
    /// When further nodes are wanted, or fewer; `None` for never.
    pub(crate) policy: Option<ScalingPolicy>,
}

impl Rules {
    /// Returns the rules of a node's settings.
    pub(crate) fn of(settings: &ClusterSettings) -> Self {
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
