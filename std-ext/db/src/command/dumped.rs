//! The payload of a value, as DUMP and MIGRATE have it.

use crate::rdb::HashEncoding;
use crate::rdb::payload;
use crate::request::{StoredValue, ValueType};

/// Returns the payload of a value. `None` for a type that Redis does not have.
pub(super) fn dumped(value: StoredValue<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match value {
        StoredValue::String(value) => payload::dump(&[value], &mut bytes),
        StoredValue::Packed(hash) if hash.value_type() == ValueType::Hash => {
            let is_table = hash.is_table();
            let encoding = if is_table { HashEncoding::HashTable } else { HashEncoding::Listpack };
            payload::dump_hash(encoding, hash.len(), hash.iter(), &mut bytes);
        }
        StoredValue::Packed(_) => return None,
    }
    Some(bytes)
}
