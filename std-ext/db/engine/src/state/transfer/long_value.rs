//! Long values, which are read in parts, without the lock of their shard.

use crate::request::OwnedValue;
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::collection::Collection;
use crate::state::value::stored_string::StringValue;
use crate::state::{HeldRecords, State};
use std::sync::Arc;

/// Bytes from which on a value is long. To copy as many takes some 10 µs.
const LONG: usize = 64 << 10;

/// A value that is being sent, as it was when it was found: its record is kept, as by a snapshot.
pub(super) struct LongValue {
    pub(super) record: Record,
    _held: HeldRecords<Arc<State>>,
    /// The index of the entry with which the next part begins.
    next: usize,
    /// Whether the scan has found it.
    pub(super) is_scanned: bool,
}

impl LongValue {
    pub(super) fn is_long(record: Record) -> bool {
        match record.value() {
            Value::String(StringValue::Rope(_, length)) => length > LONG,
            Value::String(_) => false,
            value => value.stored_bytes() > LONG,
        }
    }

    /// Begins to read a record that is held.
    pub(super) fn new(record: Record, held: HeldRecords<Arc<State>>, is_scanned: bool) -> Self {
        Self { record, _held: held, next: 0, is_scanned }
    }

    /// Returns the next part, and whether it is the last one. A string has one part.
    pub(super) fn next(&mut self) -> (OwnedValue, bool) {
        let value = self.record.value();
        let (part, next) = match value.collection() {
            Some(Collection::Tree(tree)) => tree.owned_part(value.value_type(), self.next),
            _ => (value.with_stored(None, |value| value.to_owned()), None),
        };
        self.next = next.unwrap_or(self.next);
        (part, next.is_none())
    }
}
