//! Storage of entries: once each, in a box that both sides point to, or as a copy in each side.

use super::bin::MixedHash;
use core::iter;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

/// Stores each entry once, in a box that both sides point to. For any types.
#[derive(Debug)]
pub enum Boxed {}

/// Stores a copy of each entry in both sides. For small plain data: a lookup finds the entry beside its tag.
#[derive(Debug)]
pub enum Inline {}

/// Where a map stores entries of `K` and `V`: [`Boxed`] or [`Inline`].
pub trait Storage<K, V>: sealed::EntryStorage<K, V> {}

impl<K, V> Storage<K, V> for Boxed {}
impl<K: Copy, V: Copy> Storage<K, V> for Inline {}

/// The box of an entry.
#[repr(C)]
pub struct BoxedNode<K, V> {
    /// Used by the writer only. Readers read `pair`.
    writer: HashOrNext<K, V>,
    pair: (K, V),
}

/// The writer's word of a node. While the node is in the table it is the hash, so that growth calls no user code. When
/// the node has been taken out, it is the next node of a list.
union HashOrNext<K, V> {
    hash: MixedHash,
    next: Option<NonNull<BoxedNode<K, V>>>,
}

pub(super) mod sealed {
    use super::{Boxed, BoxedNode, HashOrNext, Inline, MixedHash};
    use crate::sync::prefetch;
    use alloc::alloc::{alloc, dealloc};
    use core::alloc::Layout;
    use core::mem;
    use core::ptr::{self, NonNull};

    /// The operations that the map needs of a storage. Sealed: only this module implements it.
    ///
    /// # Safety
    /// From `make` until `free` or `link`, an entry may be copied, and read by any thread that may read keys and
    /// values.
    pub unsafe trait EntryStorage<K, V> {
        /// The type that the slots of the bins store.
        type Entry: Copy;

        /// Whether an entry owns memory that must be freed.
        const OWNS: bool;

        /// The most emptied entries that the writer keeps, to make others of them.
        const KEPT: usize;

        /// The bytes of an entry's own memory.
        const BYTES: usize;

        /// Makes an entry, or hands key and value back if there is no memory.
        fn make(hash: MixedHash, key: K, value: V) -> Result<Self::Entry, (K, V)>;

        /// As `make`, of an entry that was emptied.
        ///
        /// # Safety
        /// `empty` has emptied the entry, and the caller owns it.
        unsafe fn refill(emptied: Self::Entry, hash: MixedHash, key: K, value: V) -> Self::Entry;

        /// Drops key and value, and keeps the memory. If a destructor panics, this frees the memory.
        ///
        /// # Safety
        /// The caller owns the entry, and no reader can reach it.
        unsafe fn empty(entry: Self::Entry);

        /// Frees the memory of an entry that was emptied.
        ///
        /// # Safety
        /// `empty` has emptied the entry, and the caller owns it.
        unsafe fn release(emptied: Self::Entry);

        /// # Safety
        /// The entry has not been freed, and is not freed while the references are used.
        unsafe fn pair<'a>(entry: NonNull<Self::Entry>) -> (&'a K, &'a V);

        /// Returns the hash that the entry was made with, or calls `rehash` to get it again.
        ///
        /// # Safety
        /// The entry has been neither freed nor linked.
        unsafe fn hash(entry: &Self::Entry, rehash: impl Fn(&K) -> MixedHash) -> MixedHash;

        /// Prefetches the memory of an entry, which need not be there any more.
        fn prefetch(entry: &Self::Entry);

        /// Returns true if two entries, neither of them freed, are the same.
        fn is_same(this: &Self::Entry, that: &Self::Entry) -> bool;

        /// Puts an entry at the front of `list`.
        ///
        /// # Safety
        /// The caller has taken the entry out and owns it. Readers may still read its pair.
        unsafe fn link(entry: Self::Entry, list: &mut Option<Self::Entry>);

        /// Takes the first entry of `list`.
        ///
        /// # Safety
        /// `link` has put all entries into the list.
        unsafe fn unlink(list: &mut Option<Self::Entry>) -> Option<Self::Entry>;

        /// Drops key and value, and frees the entry, even if a destructor panics.
        ///
        /// # Safety
        /// The caller owns the entry, and no reader can reach it.
        unsafe fn free(entry: Self::Entry) {
            // SAFETY: the caller promises what `empty` requires, and then the entry is empty.
            unsafe {
                Self::empty(entry);
                Self::release(entry);
            }
        }
    }

    // SAFETY: an entry points to a box of its own. Readers read only the pair, and `link` writes only the word before
    // it.
    unsafe impl<K, V> EntryStorage<K, V> for Boxed {
        type Entry = NonNull<BoxedNode<K, V>>;

        const OWNS: bool = true;

        // As many as the changes between two publishes often are, and at most 32 KiB.
        const KEPT: usize = {
            let fit = (32 << 10) / size_of::<BoxedNode<K, V>>();
            if fit < 256 { fit } else { 256 }
        };

        const BYTES: usize = size_of::<BoxedNode<K, V>>();

        fn make(hash: MixedHash, key: K, value: V) -> Result<Self::Entry, (K, V)> {
            // SAFETY: the layout is not of size zero, because a node has a hash.
            let room = unsafe { alloc(Layout::new::<BoxedNode<K, V>>()) };
            let Some(node) = NonNull::new(room.cast::<BoxedNode<K, V>>()) else {
                return Err((key, value));
            };
            // SAFETY: the memory was just allocated with this layout, so it is as good as emptied.
            Ok(unsafe { Self::refill(node, hash, key, value) })
        }

        #[cfg_attr(not(debug_assertions), inline(always))]
        unsafe fn refill(node: Self::Entry, hash: MixedHash, key: K, value: V) -> Self::Entry {
            // SAFETY: the caller owns the memory of a node, whose pair was dropped.
            unsafe { node.write(BoxedNode { writer: HashOrNext { hash }, pair: (key, value) }) };
            node
        }

        unsafe fn empty(entry: Self::Entry) {
            /// Frees the memory if a destructor panics.
            struct FreeOnPanic<K, V>(NonNull<BoxedNode<K, V>>);
            impl<K, V> Drop for FreeOnPanic<K, V> {
                fn drop(&mut self) {
                    // SAFETY: the pair was dropped, as far as its destructors went, and the caller of `empty` does not
                    // go on.
                    unsafe { <Boxed as EntryStorage<K, V>>::release(self.0) };
                }
            }
            let on_panic = FreeOnPanic(entry);
            // SAFETY: the caller owns the entry, and no reader can reach it.
            unsafe { ptr::drop_in_place(&raw mut (*on_panic.0.as_ptr()).pair) };
            mem::forget(on_panic);
        }

        unsafe fn release(emptied: Self::Entry) {
            // SAFETY: `make` allocated the node with this layout, and the caller owns it.
            unsafe { dealloc(emptied.as_ptr().cast(), Layout::new::<BoxedNode<K, V>>()) };
        }

        #[inline(always)]
        unsafe fn pair<'a>(entry: NonNull<Self::Entry>) -> (&'a K, &'a V) {
            // SAFETY: the caller promises that the entry is not freed. There is no reference to the whole node, because
            // the writer may change its other field.
            let (key, value) = unsafe { &(*entry.read().as_ptr()).pair };
            (key, value)
        }

        #[inline(always)]
        unsafe fn hash(entry: &Self::Entry, _: impl Fn(&K) -> MixedHash) -> MixedHash {
            // SAFETY: the caller promises that the entry is neither freed nor linked, so the union has a hash.
            unsafe { (*entry.as_ptr()).writer.hash }
        }

        #[inline(always)]
        fn prefetch(entry: &Self::Entry) {
            prefetch::read(entry.as_ptr());
        }

        fn is_same(this: &Self::Entry, that: &Self::Entry) -> bool {
            this == that
        }

        unsafe fn link(entry: Self::Entry, list: &mut Option<Self::Entry>) {
            // SAFETY: the caller owns the entry, and readers do not read this field.
            unsafe { (*entry.as_ptr()).writer.next = *list };
            *list = Some(entry);
        }

        unsafe fn unlink(list: &mut Option<Self::Entry>) -> Option<Self::Entry> {
            let first = (*list)?;
            // SAFETY: the caller promises that `link` put the entry into the list, so the union has a link.
            *list = unsafe { (*first.as_ptr()).writer.next };
            Some(first)
        }
    }

    // SAFETY: an entry is plain data.
    unsafe impl<K: Copy, V: Copy> EntryStorage<K, V> for Inline {
        type Entry = (K, V);

        const OWNS: bool = false;

        const KEPT: usize = 0;

        const BYTES: usize = 0;

        fn make(_: MixedHash, key: K, value: V) -> Result<Self::Entry, (K, V)> {
            Ok((key, value))
        }

        unsafe fn refill(_: Self::Entry, _: MixedHash, key: K, value: V) -> Self::Entry {
            (key, value)
        }

        #[inline(always)]
        unsafe fn pair<'a>(entry: NonNull<Self::Entry>) -> (&'a K, &'a V) {
            // SAFETY: the caller promises that the entry is not freed while the references are used.
            let (key, value) = unsafe { entry.as_ref() };
            (key, value)
        }

        unsafe fn hash(entry: &Self::Entry, rehash: impl Fn(&K) -> MixedHash) -> MixedHash {
            rehash(&entry.0)
        }

        fn prefetch(_: &Self::Entry) {}

        fn is_same(_: &Self::Entry, _: &Self::Entry) -> bool {
            // Inline entries have no identity, and need no freeing. A deferred change of a key that contradicts itself
            // may find another change's entry in its place, and replaces that one.
            true
        }

        unsafe fn link(_: Self::Entry, _: &mut Option<Self::Entry>) {}

        unsafe fn unlink(_: &mut Option<Self::Entry>) -> Option<Self::Entry> {
            None
        }

        unsafe fn empty(_: Self::Entry) {}

        unsafe fn release(_: Self::Entry) {}
    }
}

/// Drops all of `entries`, even if a destructor panics.
///
/// # Safety
/// The caller owns the entries, and no reader can reach them.
pub(super) unsafe fn free_all<K, V, P: Storage<K, V>>(entries: impl Iterator<Item = P::Entry>) {
    struct Rest<K, V, P: Storage<K, V>, I: Iterator<Item = P::Entry>>(I, PhantomData<(K, V, P)>);
    impl<K, V, P: Storage<K, V>, I: Iterator<Item = P::Entry>> Drop for Rest<K, V, P, I> {
        fn drop(&mut self) {
            // SAFETY: these entries were passed to `free_all`, and the loop below has not taken them.
            self.0.by_ref().for_each(|entry| unsafe { P::free(entry) });
        }
    }
    let mut rest = Rest::<K, V, P, _>(entries, PhantomData);
    // SAFETY: the caller owns the entries, and the iterator returns each once.
    rest.0.by_ref().for_each(|entry| unsafe { P::free(entry) });
}

/// A list of entries that no reader can reach. Dropping the list drops them.
pub(super) struct Reclaimable<K, V, P: Storage<K, V>> {
    list: Option<P::Entry>,
    owns: PhantomData<(K, V)>,
}

// SAFETY: a shared reference to the list gives access to no entry.
unsafe impl<K, V, P: Storage<K, V>> Sync for Reclaimable<K, V, P> {}

impl<K, V, P: Storage<K, V>> Reclaimable<K, V, P> {
    /// Makes an empty list.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self { list: None, owns: PhantomData }
    }

    /// # Safety
    /// The owner of the entries has linked them, and no reader can reach them.
    pub(super) unsafe fn new(list: Option<P::Entry>) -> Self {
        Self { list, owns: PhantomData }
    }
}

impl<K, V, P: Storage<K, V>> Drop for Reclaimable<K, V, P> {
    #[inline]
    fn drop(&mut self) {
        // Only entries with destructors are ever put into this list, so for others the compiler drops this check.
        if P::OWNS && mem::needs_drop::<(K, V)>() && self.list.is_some() {
            // SAFETY: `new` was given the list by the owner of the entries.
            unsafe { free_all::<K, V, P>(iter::from_fn(|| P::unlink(&mut self.list))) };
        }
    }
}
