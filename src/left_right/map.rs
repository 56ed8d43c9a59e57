//! `LeftRightMap` itself, which makes the handles.

use super::inner::LeftRightCore;
use super::reader::ReadHandle;
use super::storage::{Boxed, Inline, Storage};
use super::writer::WriteHandle;
use crate::api::hasher::DefaultHashBuilder;
use crate::sync::shared::Shared;
use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::convert::Infallible;
use core::marker::PhantomData;

/// The handles of a new map: the writer's, and that of one reader. There can be more readers.
pub type Handles<K, V, S = DefaultHashBuilder, P = Boxed> =
    (WriteHandle<K, V, S, P>, ReadHandle<K, V, S, P>);

/// A hash map with one writer, which publishes its changes atomically, and any number of wait-free readers.
///
/// Use it if readers must never wait, or need a snapshot of several keys, and one thread can make all changes; the page
/// [left-right or flat?](crate::docs::left_right_or_flat) compares it with the other maps. A reader that holds a guard
/// for long [delays the writer](crate::docs::left_right_or_flat#stalled-readers).
///
/// The constructors return a [`WriteHandle`] and a [`ReadHandle`], which have the operations and list the guarantees.
/// No value of this type exists: in fields of your own types, name the handles.
///
/// - [`new`](Self::new) stores each entry once, in a box. It takes any types.
/// - [`inline`](Self::inline) stores a copy of each entry in both tables, which saves an indirection for plain data of
///   a few words.
///
/// ```
/// let (mut routes, reader) = hedgerow::LeftRightMap::<String, String>::new();
/// routes.insert("10.0.0.0/8".into(), "eth0".into());
/// routes.insert("0.0.0.0/0".into(), "ppp0".into());
/// routes.publish();
///
/// std::thread::scope(|s| {
///     let (one, other) = (reader.clone(), reader.clone());
///     s.spawn(move || assert_eq!(one.get("10.0.0.0/8").as_deref().map(String::as_str), Some("eth0")));
///     s.spawn(move || assert!([1, 2].contains(&other.enter().len())));
///     routes.remove("0.0.0.0/0");
///     routes.publish();
/// });
/// assert_eq!(reader.len(), 1);
/// ```
///
/// # Implementation
/// There are two tables, one for the readers and one for the writer. To publish, the writer swaps them, waits until no
/// reader is left in the old one, and copies the bins that differ ("left-right", by Ramalhete and Correia).
pub struct LeftRightMap<K, V, S = DefaultHashBuilder> {
    _never: Infallible,
    handles: PhantomData<Handles<K, V, S>>,
}

impl<K, V> LeftRightMap<K, V> {
    /// Creates an empty map that stores each entry once.
    ///
    /// Allocates the shared part of the handles, and tables for a few entries. If there is no memory, the process
    /// aborts, as with std's collections.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::<String, u32>::new();
    /// w.insert("rose".into(), 1);
    /// w.publish();
    /// assert!(r.contains_key("rose"));
    /// ```
    #[allow(clippy::new_ret_no_self)] // A map is a pair of handles.
    pub fn new() -> Handles<K, V> {
        Self::with_hasher(DefaultHashBuilder::default())
    }

    /// Creates an empty map that stores its entries in both tables. As [`new`](Self::new) otherwise.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::<u64, u64>::inline();
    /// w.insert(1, 2);
    /// w.publish();
    /// assert_eq!(r.get_copied(&1), Some(2));
    /// ```
    pub fn inline() -> Handles<K, V, DefaultHashBuilder, Inline>
    where
        K: Copy,
        V: Copy,
    {
        LeftRightMap::inline_with_hasher(DefaultHashBuilder::default())
    }
}

impl<K, V, S> LeftRightMap<K, V, S> {
    /// As [`new`](LeftRightMap::new), hashing with `hash_builder`.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let (mut w, _r) = hedgerow::LeftRightMap::with_hasher(RandomState::new());
    /// w.insert("rose", 1);
    /// ```
    pub fn with_hasher(hash_builder: S) -> Handles<K, V, S> {
        Self::handles(hash_builder)
    }

    /// As [`inline`](LeftRightMap::inline), hashing with `hash_builder`.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let (mut w, _r) = hedgerow::LeftRightMap::inline_with_hasher(RandomState::new());
    /// w.insert(1, 2);
    /// ```
    pub fn inline_with_hasher(hash_builder: S) -> Handles<K, V, S, Inline>
    where
        K: Copy,
        V: Copy,
    {
        Self::handles(hash_builder)
    }

    fn handles<P: Storage<K, V>>(hash_builder: S) -> Handles<K, V, S, P> {
        let shared = LeftRightCore::try_new(hash_builder);
        let shared = shared
            .unwrap_or_else(|_| handle_alloc_error(Layout::new::<LeftRightCore<K, V, S, P>>()));
        let shared = Shared::new(shared);
        let writer = WriteHandle::new(shared.clone());
        (writer, ReadHandle::new(&shared))
    }
}
