//! The value of `coord`: the coordinator, and the nodes that it has seen go.

use crate::etcd::KeyValue;
use hedgerow_db_group::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest value that is read.
const MOST_BYTES: usize = 64 << 10;

/// The coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) node: NodeId,
    /// The revision that created the key: the coordinator's term.
    pub(crate) term: u64,
    /// When each node was missed first, in milliseconds since 1970, by the coordinator's clock. For people only.
    pub(crate) gone: BTreeMap<NodeId, u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct HolderJson {
    node: String,
    #[serde(default)]
    gone: BTreeMap<String, u64>,
}

impl Holder {
    /// Reads the key. A value that cannot be read names nobody.
    pub(super) fn of(pair: &KeyValue) -> Option<Self> {
        let value = Some(&pair.value).filter(|value| value.len() <= MOST_BYTES)?;
        let HolderJson { node, gone } = serde_json::from_slice(value).ok()?;
        // For people only, so a node that cannot be read is left out.
        let gone = gone.into_iter().filter_map(|(node, since)| Some((node.parse().ok()?, since)));
        Some(Self { node: node.parse().ok()?, term: pair.created, gone: gone.collect() })
    }

    /// Returns the value to write.
    pub(super) fn print(node: NodeId, gone: &BTreeMap<NodeId, u64>) -> String {
        let gone = gone.iter().map(|(node, since)| (node.to_string(), *since)).collect();
        serde_json::to_string(&HolderJson { node: node.to_string(), gone }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_printed() {
        let (node, gone) = (NodeId([1; 20]), BTreeMap::from([(NodeId([2; 20]), 70_000)]));
        let mut pair = KeyValue {
            key: "coord".into(),
            value: Holder::print(node, &gone).into(),
            created: 7,
            modified: 9,
            version: 2,
            lease: 5,
        };
        assert_eq!(Holder::of(&pair), Some(Holder { node, term: 7, gone }));
        pair.value = "rose".into();
        assert_eq!(Holder::of(&pair), None);
    }
}
