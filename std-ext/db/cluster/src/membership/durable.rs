//! The progress of a node's own disk, which is `durable/<node>` in etcd.
//!
//! The key has no lease: etcd's leases may end too early, and data on a disk stay there. It names the folder's
//! incarnation, so a new disk does not inherit the progress of the old one.

use crate::log::local_log::{DurablePosition, Incarnation};
use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::hex;
use serde::{Deserialize, Serialize};

/// The longest value that is read.
const MOST_BYTES: usize = 1024;

/// The value of `durable/<node>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Durable {
    /// The incarnation of the folder: 32 hexadecimal digits.
    pub(crate) folder: String,
    /// The last entry on the disk.
    pub(crate) lsn: Lsn,
    /// The batch that the node reads again after a restart. It needs no earlier one.
    pub(crate) seq: u64,
}

impl Durable {
    pub(crate) fn new(incarnation: Incarnation, forced: DurablePosition) -> Self {
        let DurablePosition { lsn, seq } = forced;
        Self { folder: hex::text(&incarnation.0), lsn, seq }
    }

    /// Reads the value of the key. A value that cannot be read lets nobody delete anything.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= MOST_BYTES).then(|| serde_json::from_slice(bytes).ok())?
    }

    pub(crate) fn print(&self) -> String {
        let Self { folder, lsn, seq } = self;
        format!(r#"{{"folder":"{folder}","lsn":{lsn},"seq":{seq}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_read_as_it_was_written() {
        let durable = Durable::new(Incarnation([7; 16]), DurablePosition { lsn: 42, seq: 9 });
        assert_eq!(Durable::parse(durable.print().as_bytes()), Some(durable));
        for wrong in ["", "{}", "null", r#"{"folder":"","lsn":-1,"seq":0}"#, &" ".repeat(2000)] {
            assert_eq!(Durable::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
