//! The payload of a value, as DUMP and MIGRATE have it.

use hedgerow_db_engine::request::{Packed, Score, StoredValue, ValueType, write_stream};
use hedgerow_db_formats::rdb::payload;
use hedgerow_db_formats::rdb::{
    HashEncoding, SetEncoding, SortedSetEncoding, StreamEncoding, StreamWriter,
};

/// Redis and Valkey have different formats for it.
const HAS_TIMES: &str = "ERR a hash whose fields expire cannot be dumped";

/// Returns the payload of a value, or the error if it can have none.
pub(super) fn dumped(value: StoredValue<'_>) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    match value {
        StoredValue::String(value) => payload::dump(&[value], &mut bytes),
        StoredValue::Packed(value) => dump_packed(value, &mut bytes)?,
    }
    Ok(bytes)
}

fn dump_packed(value: Packed<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (len, is_table) = (value.len(), value.is_table());
    match value.value_type() {
        ValueType::Hash if value.has_times() => return Err(HAS_TIMES),
        ValueType::Hash | ValueType::String => {
            let encoding = if is_table { HashEncoding::HashTable } else { HashEncoding::Listpack };
            payload::dump_hash(encoding, len, value.iter(), out);
        }
        ValueType::Stream => {
            let write = |to: &mut StreamWriter<'_>| write_stream(value.iter(), to);
            // Memory takes all.
            let _ = payload::dump_stream(StreamEncoding::Listpacks2, out, write);
        }
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
    Ok(())
}
