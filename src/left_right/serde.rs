//! Feature `serde`: a snapshot is written as a map, as one published state. What is read goes to a writer, by
//! [`extend`](super::WriteHandle::extend).

use super::keep::Keep;
use super::snapshot::Snapshot;
use ::serde::ser::{Serialize, Serializer};

impl<K: Serialize, V: Serialize, S, P: Keep<K, V>> Serialize for Snapshot<'_, K, V, S, P> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.collect_map(self.iter())
    }
}
