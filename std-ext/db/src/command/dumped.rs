//! The payload of a value, as DUMP and MIGRATE have it.

use crate::rdb::payload;
use crate::rdb::{HashEncoding, SetEncoding, SortedSetEncoding};
use crate::request::{Packed, Score, StoredValue, ValueType};

/// Returns the payload of a value.
pub(super) fn dumped(value: StoredValue<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        StoredValue::String(value) => payload::dump(&[value], &mut bytes),
        StoredValue::Packed(value) => dump_packed(value, &mut bytes),
    }
    bytes
}

fn dump_packed(value: Packed<'_>, out: &mut Vec<u8>) {
    let (len, is_table) = (value.len(), value.is_table());
    match value.value_type() {
        ValueType::Hash | ValueType::String => {
            let encoding = if is_table { HashEncoding::HashTable } else { HashEncoding::Listpack };
            payload::dump_hash(encoding, len, value.iter(), out);
        }
        // DUMP and MIGRATE refuse streams before.
        ValueType::Stream => {}
        ValueType::List => payload::dump_list(value.names(), out),
        ValueType::Set => {
            let encoding = if is_table { SetEncoding::HashTable } else { SetEncoding::Intset };
            payload::dump_set(encoding, len, value.names(), out);
        }
        ValueType::SortedSet => {
            let members = value.iter().filter_map(|(member, score)| {
                // No value without its score was ever packed.
                Some((member, Score::parse(score)?.get()))
            });
            if is_table {
                let members: Vec<_> = members.collect();
                let members = members.into_iter().rev();
                payload::dump_sorted_set(SortedSetEncoding::SkipList, len, members, out);
            } else {
                payload::dump_sorted_set(SortedSetEncoding::Listpack, len, members, out);
            }
        }
    }
}
