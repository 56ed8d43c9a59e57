//! The rows of the table in `src/docs/api.md`.
#![allow(clippy::too_many_lines)] // Tables.

use super::*;
use hedgerow::compressed::codec::Corrupt;
use hedgerow::compressed::{self, StoreError};
use hedgerow::entry::Entry;
use hedgerow::error::{Busy, Full, OccupiedError, TryInsertError, TryReserveError};
use hedgerow::fence::{self, ByType, FenceLoad, FenceStats};
use hedgerow::flat::{Cursor, FlatStats};
use hedgerow::left_right::{Handles, LeftRightStats, ReadGuard};
use hedgerow::owned::{
    Collector, Guard, KeyRef, OwnedGuard, OwnedStats, Ref, Removed, RemovedBytes, Stalled,
};
use hedgerow::persistent::snapshot::PinnedVersion;
use hedgerow::{Computed, Op};
use std::ops::RangeFrom;

pub(super) fn making() -> Vec<Row> {
    vec![
        row! { made new "new()"
            HashMap OrdMap SnapshotMap BytesMap FlatMap FlatTable FenceMap => [() -> Self]
            LeftRightTable => [() -> Self]
            LeftRightMap => [() -> Handles<K, V>]
            CompressedMap => [no]
        },
        row! { made with_hasher "with_hasher(hasher)"
            HashMap BytesMap FlatMap => [(S) -> Self]
            FlatTable LeftRightTable => [(FixedHashBuilder) -> Self]
            LeftRightMap => [(S) -> Handles<K, V, S>]
            OrdMap SnapshotMap FenceMap CompressedMap => [no]
        },
        row! { made with_ranking "with_ranking(ranking)"
            OrdMap FenceMap => [(ByType) -> Self]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { made with_splits "with_splits(keys)"
            OrdMap FenceMap => [(self, Vec<K>) -> Self]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { made with_collector "with_collector(&collector)"
            HashMap OrdMap SnapshotMap BytesMap => [(self, &'static Collector) -> Self]
            FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { made with_capacity "with_capacity(n)"
            HashMap BytesMap FlatMap => [(usize) -> Self]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { made with_capacity_and_hasher "with_capacity_and_hasher(n, hasher)"
            HashMap BytesMap FlatMap => [(usize, S) -> Self]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { made try_with_capacity "try_with_capacity(n)"
            HashMap => [(usize) -> Result<HashMap, TryReserveError>]
            BytesMap => [(usize) -> Result<BytesMap, TryReserveError>]
            FlatMap => [(usize) -> Result<FlatMap, TryReserveError>]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { made try_with_capacity_and_hasher "try_with_capacity_and_hasher(n, hasher)"
            HashMap => [(usize, S) -> Result<HashMap, (TryReserveError, S)>]
            BytesMap => [(usize, S) -> Result<BytesMap, (TryReserveError, S)>]
            FlatMap => [(usize, S) -> Result<FlatMap, (TryReserveError, S)>]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read pin "pin()"
            HashMap => [(&'static self) -> Pinned<'static, HashMap>]
            OrdMap => [(&'static self) -> Pinned<'static, OrdMap>]
            BytesMap => [(&'static self) -> Pinned<'static, BytesMap>]
            SnapshotMap => [(&'static self) -> PinnedVersion<'static, K, V>]
            FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read with_guard "with_guard(&guard)"
            HashMap => [(&'static self, &'static Guard<'static>) -> Pinned<'static, HashMap, &'static Guard<'static>>]
            OrdMap => [(&'static self, &'static Guard<'static>) -> Pinned<'static, OrdMap, &'static Guard<'static>>]
            BytesMap => [(&'static self, &'static Guard<'static>) -> Pinned<'static, BytesMap, &'static Guard<'static>>]
            SnapshotMap FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read pin_owned "pin_owned()"
            HashMap => [(&'static self) -> Pinned<'static, HashMap, OwnedGuard>]
            OrdMap => [(&'static self) -> Pinned<'static, OrdMap, OwnedGuard>]
            BytesMap => [(&'static self) -> Pinned<'static, BytesMap, OwnedGuard>]
            SnapshotMap FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read enter "enter()"
            LeftRightMap => [(&self) -> Snapshot<K, V>]
            LeftRightTable => [(&self) -> TableSnapshot<K, V, BINS>]
            HashMap OrdMap SnapshotMap BytesMap FlatMap FlatTable FenceMap CompressedMap => [no]
        },
    ]
}

pub(super) fn lookups() -> Vec<Row> {
    vec![
        row! { read get "get(&key)"
            HashMap OrdMap SnapshotMap => [(&self, Key) -> Option<Ref<K, V>>]
            BytesMap => [(&self, Bytes) -> Option<Ref<[u8], [u8]>>]
            FlatMap FlatTable FenceMap LeftRightTable => [(&self, Key) -> Option<V>]
            LeftRightMap => [(&self, Key) -> Option<ReadGuard<V>>]
            CompressedMap => [(&self, Bytes) -> Result<Option<Vec<u8>>, Corrupt>]
        },
        row! { read try_get "try_get(&key)"
            HashMap OrdMap => [(&self, Key) -> Result<Option<Ref<K, V>>, Busy>]
            BytesMap => [(&self, Bytes) -> Result<Option<Ref<[u8], [u8]>>, Busy>]
            FlatMap FlatTable FenceMap => [(&self, Key) -> Result<Option<V>, Busy>]
            SnapshotMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read get_key_value "get_key_value(&key)"
            HashMap OrdMap SnapshotMap => [(&self, Key) -> Option<Ref<K, V>>]
            BytesMap => [(&self, Bytes) -> Option<Ref<[u8], [u8]>>]
            FlatMap FenceMap => [(&self, Key) -> Option<(K, V)>]
            FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read get_with "get_with(&key, f)"
            HashMap OrdMap SnapshotMap
            FlatMap FlatTable FenceMap LeftRightMap => [(&self, Key, fn(&V) -> T) -> Option<T>]
            BytesMap => [(&self, Bytes, fn(&[u8]) -> T) -> Option<T>]
            CompressedMap => [(&self, Bytes, fn(&[u8]) -> T) -> Result<Option<T>, Corrupt>]
            LeftRightTable => [no]
        },
        row! { read get_cloned "get_cloned(&key)"
            HashMap OrdMap SnapshotMap LeftRightMap => [(&self, Key) -> Option<V>]
            BytesMap => [(&self, Bytes) -> Option<Vec<u8>>]
            FlatMap FlatTable FenceMap LeftRightTable CompressedMap => [no]
        },
        row! { read get_or_default "get_or_default(&key)"
            HashMap OrdMap SnapshotMap => [(&self, Key) -> V]
            BytesMap => [(&self, Bytes) -> Vec<u8>]
            FlatMap FlatTable FenceMap LeftRightMap LeftRightTable => [(&self, Key) -> V]
            CompressedMap => [(&self, Bytes) -> Result<Vec<u8>, Corrupt>]
        },
        row! { read contains_key "contains_key(&key)"
            HashMap OrdMap SnapshotMap FlatMap FlatTable FenceMap LeftRightMap => [(&self, Key) -> bool]
            BytesMap CompressedMap => [(&self, Bytes) -> bool]
            LeftRightTable => [no]
        },
        row! { read get_many "get_many(&keys, &mut values)"
            FlatMap FenceMap => [(&self, &[K], &mut [Option<V>])]
            HashMap OrdMap SnapshotMap BytesMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read snapshot_many "snapshot_many(&keys)"
            FenceMap => [(&self, &[K]) -> Vec<Option<V>>]
            HashMap OrdMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
    ]
}

/// Operations of a map under one guard, or of a snapshot.
pub(super) fn pinned() -> Vec<Row> {
    vec![
        row! { pinned get "get(&key)"
            HashMap OrdMap SnapshotMap LeftRightMap LeftRightTable => [(&self, Key) -> Option<&V>]
            BytesMap => [(&self, Bytes) -> Option<&[u8]>]
        },
        row! { pinned try_get "try_get(&key)"
            HashMap OrdMap => [(&self, Key) -> Result<Option<&V>, Busy>]
            BytesMap => [(&self, Bytes) -> Result<Option<&[u8]>, Busy>]
            SnapshotMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned get_key_value "get_key_value(&key)"
            HashMap OrdMap SnapshotMap LeftRightMap => [(&self, Key) -> Option<(&K, &V)>]
            BytesMap => [(&self, Bytes) -> Option<(&[u8], &[u8])>]
            LeftRightTable => [no]
        },
        row! { pinned get_or_default "get_or_default(&key)"
            HashMap OrdMap BytesMap => [deref]
            LeftRightMap => [(&self, Key) -> V]
            SnapshotMap LeftRightTable => [no]
        },
        row! { pinned contains_key "contains_key(&key)"
            HashMap OrdMap BytesMap => [deref]
            SnapshotMap LeftRightMap => [(&self, Key) -> bool]
            LeftRightTable => [no]
        },
        row! { pinned get_many "get_many(&keys, …)"
            HashMap OrdMap => [(&'p self, &[Key], &mut [Option<&'p V>])]
            BytesMap => [(&'p self, &[Bytes], &mut [Option<&'p [u8]>])]
            LeftRightMap => [(&self, [Key; N]) -> [Option<&V>; N]]
            SnapshotMap LeftRightTable => [no]
        },
        row! { pinned snapshot_many "snapshot_many(&keys)"
            OrdMap => [(&self, Keys) -> Vec<Option<&V>>]
            HashMap SnapshotMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned get_or_insert_with "get_or_insert_with(key, make)"
            HashMap OrdMap => [(&self, K, fn() -> V) -> &V]
            BytesMap => [(&self, Bytes, fn() -> Bytes) -> &[u8]]
            SnapshotMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned try_get_or_insert_with "try_get_or_insert_with(key, make)"
            HashMap OrdMap => [(&self, K, fn() -> V) -> Result<&V, TryInsertError<K, Option<V>>>]
            BytesMap => [(&self, Bytes, fn() -> Bytes) -> Result<&[u8], TryInsertError<Bytes, Option<Bytes>>>]
            SnapshotMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned iter "iter()"
            HashMap OrdMap SnapshotMap LeftRightMap LeftRightTable => [(&self) -> iter (&K, &V)]
            BytesMap => [(&self) -> iter (&[u8], &[u8])]
        },
        row! { pinned keys "keys()"
            HashMap OrdMap SnapshotMap LeftRightMap LeftRightTable => [(&self) -> iter &K]
            BytesMap => [(&self) -> iter &[u8]]
        },
        row! { pinned values "values()"
            HashMap OrdMap SnapshotMap LeftRightMap LeftRightTable => [(&self) -> iter &V]
            BytesMap => [(&self) -> iter &[u8]]
        },
        row! { pinned scan "scan(cursor, …)"
            HashMap => [(&'static self, Cursor, usize, fn(&K, &V)) -> Option<Cursor>]
            OrdMap => [(&'static self, fence::Cursor<K>, usize, fn(&K, &V)) -> Option<fence::Cursor<K>>]
            BytesMap => [(&'static self, Cursor, usize, fn(&[u8], &[u8])) -> Option<Cursor>]
            LeftRightMap => [(&self, u64, fn(&K, &V)) -> Option<u64>]
            SnapshotMap LeftRightTable => [no]
        },
        row! { pinned range "range(bounds)"
            OrdMap SnapshotMap => [(&self, RangeFrom<K>) -> iter (&K, &V)]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned iter_range "iter_range(bounds)"
            OrdMap => [(&self, RangeFrom<K>) -> iter (&K, &V)]
            HashMap SnapshotMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned first_key_value "first_key_value()"
            OrdMap SnapshotMap => [(&self) -> Option<(&K, &V)>]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned last_key_value "last_key_value()"
            OrdMap SnapshotMap => [(&self) -> Option<(&K, &V)>]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
    ]
}

/// The other operations of a map under one guard, or of a snapshot.
pub(super) fn pinned_more() -> Vec<Row> {
    vec![
        row! { pinned floor "floor(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<(&K, &V)>]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned ceiling "ceiling(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<(&K, &V)>]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned predecessor "predecessor(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<(&K, &V)>]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned successor "successor(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<(&K, &V)>]
            HashMap BytesMap LeftRightMap LeftRightTable => [no]
        },
        row! { pinned generation "generation()"
            LeftRightMap LeftRightTable => [(&self) -> u64]
            HashMap OrdMap SnapshotMap BytesMap => [no]
        },
        row! { pinned len "len()"
            SnapshotMap LeftRightMap LeftRightTable => [(&self) -> usize]
            HashMap OrdMap BytesMap => [deref]
        },
        row! { pinned is_empty "is_empty()"
            SnapshotMap LeftRightMap LeftRightTable => [(&self) -> bool]
            HashMap OrdMap BytesMap => [deref]
        },
    ]
}

pub(super) fn storing() -> Vec<Row> {
    vec![
        row! { write insert "insert(key, value)"
            HashMap OrdMap => [(&self, K, V) -> Option<Removed<K, V>>]
            BytesMap => [(&self, Bytes, Bytes) -> Option<RemovedBytes>]
            SnapshotMap FlatMap FenceMap => [(&self, K, V) -> Option<V>]
            FlatTable => [(&self, K, V) -> Result<Option<V>, Full<K, V>>]
            LeftRightMap => [(&mut self, K, V) -> bool]
            LeftRightTable => [(&mut self, K, V) -> Result<Option<V>, TryInsertError<K, V>>]
            CompressedMap => [(&self, Bytes, Bytes) -> Result<bool, StoreError>]
        },
        row! { write try_extend "try_extend(entries)"
            FlatTable => [(&self, [(K, V); N]) -> Result<(), Full<K, V>>]
            LeftRightTable => [(&mut self, [(K, V); N]) -> Result<(), TryInsertError<K, V>>]
            HashMap OrdMap SnapshotMap BytesMap FlatMap FenceMap LeftRightMap CompressedMap => [no]
        },
        row! { write try_insert "try_insert(key, value)"
            HashMap OrdMap => [(&self, K, V) -> Result<Option<Removed<K, V>>, TryInsertError<K, V>>]
            BytesMap => [(&self, Bytes, Bytes) -> Result<Option<RemovedBytes>, TryInsertError<Bytes, Bytes>>]
            FlatMap FlatTable FenceMap => [(&self, K, V) -> Result<Option<V>, TryInsertError<K, V>>]
            LeftRightMap => [(&mut self, K, V) -> Result<bool, TryInsertError<K, V>>]
            SnapshotMap LeftRightTable CompressedMap => [no]
        },
        row! { write insert_if_absent "insert_if_absent(key, value)"
            HashMap OrdMap => [(&self, K, V) -> Result<(), OccupiedError<K, V>>]
            BytesMap => [(&self, Bytes, Bytes) -> Result<(), OccupiedError<Bytes, Bytes>>]
            SnapshotMap FlatMap FenceMap => [(&self, K, V) -> Result<(), OccupiedError<K, V, V>>]
            FlatTable => [(&self, K, V) -> Result<Result<(), OccupiedError<K, V, V>>, Full<K, V>>]
            LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write try_insert_if_absent "try_insert_if_absent(key, value)"
            HashMap OrdMap => [(&self, K, V) -> Result<Result<(), OccupiedError<K, V>>, TryInsertError<K, V>>]
            BytesMap => [(&self, Bytes, Bytes)
                -> Result<Result<(), OccupiedError<Bytes, Bytes>>, TryInsertError<Bytes, Bytes>>]
            FlatMap FlatTable FenceMap => [(&self, K, V)
                -> Result<Result<(), OccupiedError<K, V, V>>, TryInsertError<K, V>>]
            SnapshotMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write get_or_insert "get_or_insert(key, value)"
            HashMap OrdMap => [(&self, K, V) -> Ref<K, V>]
            BytesMap => [(&self, Bytes, Bytes) -> Ref<[u8], [u8]>]
            SnapshotMap FlatMap FenceMap => [(&self, K, V) -> V]
            FlatTable => [(&self, K, V) -> Result<V, Full<K, V>>]
            LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write get_or_insert_with "get_or_insert_with(key, make)"
            HashMap OrdMap => [(&self, K, fn() -> V) -> Ref<K, V>]
            BytesMap => [(&self, Bytes, fn() -> Bytes) -> Ref<[u8], [u8]>]
            SnapshotMap FlatMap FenceMap => [(&self, K, fn() -> V) -> V]
            FlatTable => [(&self, K, fn() -> V) -> Result<V, Full<K, V>>]
            CompressedMap => [(&self, Bytes, fn() -> Vec<u8>) -> Result<Vec<u8>, Corrupt>]
            LeftRightMap LeftRightTable => [no]
        },
        row! { write get_or_try_insert_with "get_or_try_insert_with(key, make)"
            HashMap OrdMap => [(&self, K, fn() -> Result<V, E>) -> Result<Ref<K, V>, E>]
            BytesMap => [(&self, Bytes, fn() -> Result<Bytes, E>) -> Result<Ref<[u8], [u8]>, E>]
            SnapshotMap FlatMap FenceMap => [(&self, K, fn() -> Result<V, E>) -> Result<V, E>]
            CompressedMap => [(&self, Bytes, fn() -> Result<Vec<u8>, E>) -> Result<Result<Vec<u8>, E>, Corrupt>]
            FlatTable LeftRightMap LeftRightTable => [no]
        },
        row! { write try_get_or_insert_with "try_get_or_insert_with(key, make)"
            HashMap OrdMap => [(&self, K, fn() -> V) -> Result<Ref<K, V>, TryInsertError<K, Option<V>>>]
            BytesMap => [(&self, Bytes, fn() -> Bytes)
                -> Result<Ref<[u8], [u8]>, TryInsertError<Bytes, Option<Bytes>>>]
            FlatMap FlatTable FenceMap => [(&self, K, fn() -> V) -> Result<V, TryInsertError<K, Option<V>>>]
            SnapshotMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write entry "entry(key)"
            HashMap => [(&self, K) -> Entry<HashMap>]
            OrdMap => [(&self, K) -> Entry<OrdMap>]
            FlatMap => [(&self, K) -> Entry<FlatMap>]
            FenceMap => [(&self, K) -> Entry<FenceMap>]
            SnapshotMap BytesMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
    ]
}

pub(super) fn changing() -> Vec<Row> {
    vec![
        row! { write remove "remove(&key)"
            HashMap OrdMap => [(&self, Key) -> Option<Removed<K, V>>]
            BytesMap => [(&self, Bytes) -> Option<RemovedBytes>]
            SnapshotMap FlatMap FlatTable FenceMap => [(&self, Key) -> Option<V>]
            LeftRightMap => [(&mut self, Key) -> bool]
            LeftRightTable => [(&mut self, Key) -> Result<Option<V>, Busy>]
            CompressedMap => [(&self, Bytes) -> bool]
        },
        row! { write try_remove "try_remove(&key)"
            HashMap OrdMap => [(&self, Key) -> Result<Option<Removed<K, V>>, Busy>]
            BytesMap => [(&self, Bytes) -> Result<Option<RemovedBytes>, Busy>]
            FlatMap FlatTable FenceMap => [(&self, Key) -> Result<Option<V>, Busy>]
            LeftRightMap => [(&mut self, Key) -> Result<bool, TryReserveError>]
            SnapshotMap LeftRightTable CompressedMap => [no]
        },
        row! { write remove_if "remove_if(&key, condition)"
            HashMap OrdMap => [(&self, Key, fn(&K, &V) -> bool) -> Option<Removed<K, V>>]
            BytesMap => [(&self, Bytes, fn(&[u8], &[u8]) -> bool) -> Option<RemovedBytes>]
            SnapshotMap FlatMap FlatTable FenceMap => [(&self, Key, fn(&K, &V) -> bool) -> Option<V>]
            LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write update "update(&key, f)"
            HashMap OrdMap => [(&self, Key, fn(&V) -> V) -> Option<Ref<K, V>>]
            BytesMap => [(&self, Bytes, fn(&[u8]) -> Bytes) -> Option<Ref<[u8], [u8]>>]
            FlatMap FlatTable FenceMap => [(&self, Key, fn(V) -> V) -> Option<V>]
            LeftRightMap => [(&mut self, Key, fn(&V) -> V) -> bool]
            LeftRightTable => [(&mut self, Key, fn(V) -> V) -> Result<Option<V>, Busy>]
            CompressedMap => [(&self, Bytes, fn(Vec<u8>) -> Option<Vec<u8>>) -> Result<bool, StoreError>]
            SnapshotMap => [(&self, Key, fn(&V) -> V) -> Option<V>]
        },
        row! { write try_update "try_update(&key, f)"
            HashMap OrdMap => [(&self, Key, fn(&V) -> V) -> Result<Option<Ref<K, V>>, TryInsertError<(), Option<V>>>]
            BytesMap => [(&self, Bytes, fn(&[u8]) -> Bytes)
                -> Result<Option<Ref<[u8], [u8]>>, TryInsertError<(), Option<Bytes>>>]
            FlatMap FlatTable FenceMap => [(&self, Key, fn(V) -> V) -> Result<Option<V>, Busy>]
            LeftRightMap => [(&mut self, Key, fn(&V) -> V) -> Result<bool, TryReserveError>]
            SnapshotMap LeftRightTable CompressedMap => [no]
        },
        row! { write compute "compute(key, f)"
            HashMap OrdMap => [(&self, K, fn(Option<&V>) -> Op<V>) -> Computed<Ref<K, V>>]
            BytesMap => [(&self, Bytes, fn(Option<&[u8]>) -> Op<Bytes>) -> Computed<Ref<[u8], [u8]>>]
            FlatMap FenceMap => [(&self, K, fn(Option<V>) -> Op<V>) -> Computed<V>]
            FlatTable => [(&self, K, fn(Option<V>) -> Op<V>) -> Result<Computed<V>, Full<K, V>>]
            SnapshotMap => [(&self, K, fn(Option<&V>) -> Op<V>) -> Computed<V>]
            LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write try_compute "try_compute(key, f)"
            HashMap OrdMap => [(&self, K, fn(Option<&V>) -> Op<V>)
                -> Result<Computed<Ref<K, V>>, TryInsertError<K, Option<V>>>]
            BytesMap => [(&self, Bytes, fn(Option<&[u8]>) -> Op<Bytes>)
                -> Result<Computed<Ref<[u8], [u8]>>, TryInsertError<Bytes, Option<Bytes>>>]
            FlatMap FlatTable FenceMap => [(&self, K, fn(Option<V>) -> Op<V>)
                -> Result<Computed<V>, TryInsertError<K, Option<V>>>]
            SnapshotMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write compare_exchange "compare_exchange(key, current, new)"
            FlatMap FenceMap => [(&self, K, Option<V>, Option<V>) -> Result<Option<V>, Option<V>>]
            HashMap OrdMap SnapshotMap BytesMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write apply_batch "apply_batch(changes)"
            OrdMap => [(&self, Vec<(K, Op<V>)>) -> Vec<Option<Removed<K, V>>>]
            FenceMap => [(&self, &[(K, Op<V>)]) -> Vec<Option<V>>]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
    ]
}

pub(super) fn whole() -> Vec<Row> {
    vec![
        row! { read iter "iter()"
            HashMap OrdMap => [(&self) -> iter Ref<K, V>]
            BytesMap => [(&self) -> iter Ref<[u8], [u8]>]
            FlatMap FlatTable FenceMap => [(&self) -> iter (K, V)]
            CompressedMap => [(&self) -> iter (Vec<u8>, Result<Vec<u8>, Corrupt>)]
            SnapshotMap LeftRightMap LeftRightTable => [no]
        },
        row! { read keys "keys()"
            HashMap OrdMap => [(&self) -> iter KeyRef<K>]
            BytesMap => [(&self) -> iter KeyRef<[u8]>]
            FlatMap FlatTable FenceMap => [(&self) -> iter K]
            CompressedMap => [(&self) -> iter Vec<u8>]
            SnapshotMap LeftRightMap LeftRightTable => [no]
        },
        row! { read values "values()"
            HashMap OrdMap => [(&self) -> iter Ref<K, V>]
            BytesMap => [(&self) -> iter Ref<[u8], [u8]>]
            FlatMap FlatTable FenceMap => [(&self) -> iter V]
            CompressedMap => [(&self) -> iter Result<Vec<u8>, Corrupt>]
            SnapshotMap LeftRightMap LeftRightTable => [no]
        },
        row! { read scan "scan(cursor, budget, f)"
            FlatMap => [(&self, Cursor, usize, fn(K, V)) -> Option<Cursor>]
            FenceMap => [(&self, fence::Cursor<K>, usize, fn(K, V)) -> Option<fence::Cursor<K>>]
            HashMap OrdMap SnapshotMap BytesMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write retain "retain(keep)"
            HashMap OrdMap SnapshotMap => [(&self, fn(&K, &V) -> bool)]
            BytesMap => [(&self, fn(&[u8], &[u8]) -> bool)]
            FlatMap FlatTable FenceMap => [(&self, fn(&K, &mut V) -> bool)]
            LeftRightMap => [(&mut self, fn(&K, &V) -> bool)]
            LeftRightTable => [(&mut self, fn(&K, &V) -> bool) -> Result<(), Busy>]
            CompressedMap => [(&self, fn(&[u8], Result<&[u8], Corrupt>) -> bool)]
        },
        row! { write clear "clear()"
            HashMap OrdMap SnapshotMap BytesMap FlatMap FlatTable FenceMap CompressedMap => [(&self)]
            LeftRightMap => [(&mut self)]
            LeftRightTable => [(&mut self) -> Result<(), Busy>]
        },
        row! { write extract_if "extract_if(wanted)"
            HashMap OrdMap => [(&self, fn(&K, &V) -> bool) -> iter Removed<K, V>]
            BytesMap => [(&self, fn(&[u8], &[u8]) -> bool) -> iter RemovedBytes]
            FlatMap FenceMap => [(&self, fn(&K, &V) -> bool) -> iter (K, V)]
            SnapshotMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write drain "drain()"
            HashMap OrdMap => [(&self) -> iter Removed<K, V>]
            BytesMap => [(&self) -> iter RemovedBytes]
            FlatMap FenceMap => [(&self) -> iter (K, V)]
            SnapshotMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
    ]
}

pub(super) fn ordered() -> Vec<Row> {
    vec![
        row! { read first_key_value "first_key_value()"
            OrdMap SnapshotMap => [(&self) -> Option<Ref<K, V>>]
            FenceMap => [(&self) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read last_key_value "last_key_value()"
            OrdMap SnapshotMap => [(&self) -> Option<Ref<K, V>>]
            FenceMap => [(&self) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read floor "floor(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<Ref<K, V>>]
            FenceMap => [(&self, Key) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read ceiling "ceiling(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<Ref<K, V>>]
            FenceMap => [(&self, Key) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read predecessor "predecessor(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<Ref<K, V>>]
            FenceMap => [(&self, Key) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read successor "successor(&key)"
            OrdMap SnapshotMap => [(&self, Key) -> Option<Ref<K, V>>]
            FenceMap => [(&self, Key) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write pop_first "pop_first()"
            OrdMap => [(&self) -> Option<Removed<K, V>>]
            SnapshotMap FenceMap => [(&self) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write pop_last "pop_last()"
            OrdMap => [(&self) -> Option<Removed<K, V>>]
            SnapshotMap FenceMap => [(&self) -> Option<(K, V)>]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read range "range(bounds)"
            OrdMap => [(&self, RangeFrom<K>) -> iter Ref<K, V>]
            FenceMap => [(&self, RangeFrom<K>) -> iter (K, V)]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read range_len "range_len(bounds)"
            OrdMap SnapshotMap FenceMap => [(&self, RangeFrom<K>) -> usize]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read approximate_range_len "approximate_range_len(bounds)"
            OrdMap FenceMap => [(&self, RangeFrom<K>) -> usize]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read iter_range "iter_range(bounds)"
            OrdMap => [(&self, RangeFrom<K>) -> iter Ref<K, V>]
            FenceMap => [(&self, RangeFrom<K>) -> iter (K, V)]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write remove_range "remove_range(bounds)"
            OrdMap SnapshotMap FenceMap => [(&self, RangeFrom<K>) -> usize]
            HashMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write rebalance_step "rebalance_step(budget)"
            OrdMap FenceMap => [(&self, usize) -> bool]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { read fences "fences()"
            OrdMap FenceMap => [(&self) -> Vec<FenceLoad<K>>]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
    ]
}

pub(super) fn sizes() -> Vec<Row> {
    vec![
        row! { read len "len()"
            HashMap OrdMap SnapshotMap BytesMap
            FlatMap FlatTable FenceMap LeftRightMap CompressedMap => [(&self) -> usize]
            LeftRightTable => [no]
        },
        row! { read is_empty "is_empty()"
            HashMap OrdMap SnapshotMap BytesMap
            FlatMap FlatTable FenceMap LeftRightMap CompressedMap => [(&self) -> bool]
            LeftRightTable => [no]
        },
        row! { made capacity "capacity()"
            HashMap BytesMap FlatMap FlatTable LeftRightTable => [(&self) -> usize]
            OrdMap SnapshotMap FenceMap LeftRightMap CompressedMap => [no]
        },
        row! { write reserve "reserve(n)"
            HashMap BytesMap FlatMap => [(&self, usize)]
            LeftRightMap => [(&mut self, usize)]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightTable CompressedMap => [no]
        },
        row! { write try_reserve "try_reserve(n)"
            HashMap BytesMap FlatMap => [(&self, usize) -> Result<(), TryReserveError>]
            LeftRightMap => [(&mut self, usize) -> Result<(), TryReserveError>]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightTable CompressedMap => [no]
        },
        row! { write shrink_to_fit "shrink_to_fit()"
            HashMap BytesMap FlatMap LeftRightMap => [(&mut self)]
            OrdMap SnapshotMap FlatTable FenceMap LeftRightTable CompressedMap => [no]
        },
        row! { write stats "stats()"
            HashMap BytesMap => [(&self) -> OwnedStats]
            FlatMap => [(&self) -> FlatStats]
            OrdMap FenceMap => [(&self) -> FenceStats]
            LeftRightMap => [(&self) -> LeftRightStats]
            CompressedMap => [(&self) -> compressed::Stats]
            SnapshotMap FlatTable LeftRightTable => [no]
        },
        row! { write hasher "hasher()"
            HashMap BytesMap FlatMap LeftRightMap => [(&self) -> &S]
            FlatTable => [(&self) -> &FixedHashBuilder]
            OrdMap SnapshotMap FenceMap LeftRightTable CompressedMap => [no]
        },
        row! { read ranking "ranking()"
            OrdMap FenceMap => [(&self) -> &ByType]
            HashMap SnapshotMap BytesMap FlatMap FlatTable LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write collector "collector()"
            HashMap OrdMap SnapshotMap BytesMap => [(&self) -> Option<&Collector>]
            FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write pending "pending()"
            HashMap OrdMap SnapshotMap BytesMap => [(&self) -> usize]
            FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write set_pending_limit "set_pending_limit(limit)"
            HashMap OrdMap BytesMap => [(&self, Option<usize>)]
            SnapshotMap FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write pending_limit "pending_limit()"
            HashMap OrdMap BytesMap => [(&self) -> Option<usize>]
            SnapshotMap FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write reclaim "reclaim()"
            HashMap OrdMap SnapshotMap BytesMap => [(&self)]
            FlatMap FlatTable FenceMap LeftRightMap LeftRightTable CompressedMap => [no]
        },
        row! { write stalled_readers "stalled_readers()"
            HashMap OrdMap SnapshotMap BytesMap => [(&self) -> iter Stalled]
            LeftRightMap LeftRightTable => [(&self) -> iter usize]
            FlatMap FlatTable FenceMap CompressedMap => [no]
        },
    ]
}

/// Operations that only maps with one writer have.
pub(super) fn one_writer() -> Vec<Row> {
    vec![
        row! { write publish "writer.publish()"
            LeftRightMap LeftRightTable => [(&mut self)]
        },
        row! { write wait_for_readers "writer.wait_for_readers()"
            LeftRightMap LeftRightTable => [(&mut self)]
        },
        row! { write is_pending "writer.is_pending()"
            LeftRightMap LeftRightTable => [(&mut self) -> bool]
        },
        row! { write get "writer.get(&key)"
            LeftRightMap => [(&self, Key) -> Option<&V>]
            LeftRightTable => [(&self, Key) -> Option<V>]
        },
        row! { write iter "writer.iter()"
            LeftRightMap LeftRightTable => [(&self) -> iter (&K, &V)]
        },
        row! { write len "writer.len()"
            LeftRightMap LeftRightTable => [(&self) -> usize]
        },
        row! { write is_empty "writer.is_empty()"
            LeftRightMap LeftRightTable => [(&self) -> bool]
        },
        row! { made reader "table.reader()"
            LeftRightTable => [(&self) -> Option<TableReader<K, V, BINS, READERS>>]
            LeftRightMap => [no]
        },
        row! { made writer "table.writer()"
            LeftRightTable => [(&self) -> Option<TableWriter<K, V, BINS, READERS>>]
            LeftRightMap => [no]
        },
        row! { read reader_id "reader.reader_id()"
            LeftRightMap LeftRightTable => [(&self) -> usize]
        },
        row! { write read_handle "writer.read_handle()"
            LeftRightMap => [(&self) -> ReadHandle<K, V>]
            LeftRightTable => [no]
        },
        row! { read writer "reader.writer()"
            LeftRightMap => [(&self) -> Option<WriteHandle<K, V>>]
            LeftRightTable => [no]
        },
    ]
}
