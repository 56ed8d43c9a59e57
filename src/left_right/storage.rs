//! How entries are kept: once each, in a box that both sides lead to, or as a copy in either side.

use super::bin::Hashed;
use core::iter;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

/// Entries are boxed and kept once, for any types: both sides lead to the same box.
#[derive(Debug)]
pub enum Boxed {}

/// Entries are kept in both sides, for small plain data: a look-up meets them where it meets their tag.
#[derive(Debug)]
pub enum Inline {}

/// A way to keep entries of `K` and `V`: [`Boxed`] or [`Inline`].
pub trait Storage<K, V>: sealed::EntryStorage<K, V> {}

impl<K, V> Storage<K, V> for Boxed {}
impl<K: Copy, V: Copy> Storage<K, V> for Inline {}

/// The box of an entry.
#[repr(C)]
pub struct Node<K, V> {
    /// For the writer only; readers look at what comes behind.
    own: HashOrNext<K, V>,
    pair: (K, V),
}

/// What the writer keeps of a node: its hash, so that growth asks no user code, and when it has been taken out
/// the next that was.
union HashOrNext<K, V> {
    hash: Hashed,
    next: Option<NonNull<Node<K, V>>>,
}

pub(super) mod sealed {
    use super::{Boxed, HashOrNext, Hashed, Inline, Node};
    use alloc::alloc::{alloc, dealloc};
    use core::alloc::Layout;
    use core::ptr::{self, NonNull};

    /// What the table needs to know. Nobody else can implement it.
    ///
    /// # Safety
    /// An entry that was made may be copied and looked at, from any thread that may look at keys and values,
    /// until it is freed, or its link set.
    pub unsafe trait EntryStorage<K, V> {
        /// What lies in the sides' bins.
        type Entry: Copy;

        /// Whether an entry is more than its bytes, and has to be freed.
        const OWNS: bool;

        /// Fails, with key and value, where there is no memory.
        fn make(hash: Hashed, key: K, value: V) -> Result<Self::Entry, (K, V)>;

        /// # Safety
        /// The entry has not been freed, and is not while the references are used.
        unsafe fn pair<'a>(entry: NonNull<Self::Entry>) -> (&'a K, &'a V);

        /// The hash that it was made with, or the same made anew by `rehash`.
        ///
        /// # Safety
        /// The entry has not been freed, nor taken out.
        unsafe fn hash(entry: &Self::Entry, rehash: impl Fn(&K) -> Hashed) -> Hashed;

        /// Whether two entries, neither of them freed, are one.
        fn is_same(this: &Self::Entry, that: &Self::Entry) -> bool;

        /// Puts an entry before those of `list`.
        ///
        /// # Safety
        /// The entry has been taken out, by the caller, who alone owns it; readers may be looking still.
        unsafe fn link(entry: Self::Entry, list: &mut Option<Self::Entry>);

        /// Takes the first of `list`.
        ///
        /// # Safety
        /// All of the list were put there by `link`.
        unsafe fn unlink(list: &mut Option<Self::Entry>) -> Option<Self::Entry>;

        /// Drops key and value.
        ///
        /// # Safety
        /// The caller owns the entry, and nobody looks at it or will.
        unsafe fn free(entry: Self::Entry);
    }

    // SAFETY: an entry is a pointer to a box of its own; readers look at the pair only, and `link` writes only
    // beside it.
    unsafe impl<K, V> EntryStorage<K, V> for Boxed {
        type Entry = NonNull<Node<K, V>>;

        const OWNS: bool = true;

        fn make(hash: Hashed, key: K, value: V) -> Result<Self::Entry, (K, V)> {
            // SAFETY: not of size zero: there is a hash in it.
            let room = unsafe { alloc(Layout::new::<Node<K, V>>()) };
            let Some(node) = NonNull::new(room.cast::<Node<K, V>>()) else {
                return Err((key, value));
            };
            // SAFETY: just allocated with this layout.
            unsafe { node.write(Node { own: HashOrNext { hash }, pair: (key, value) }) };
            Ok(node)
        }

        #[inline(always)]
        unsafe fn pair<'a>(entry: NonNull<Self::Entry>) -> (&'a K, &'a V) {
            // SAFETY: as the caller says; no reference to the whole node, of which the writer may change the
            // rest.
            let (key, value) = unsafe { &(*entry.read().as_ptr()).pair };
            (key, value)
        }

        #[inline(always)]
        unsafe fn hash(entry: &Self::Entry, _: impl Fn(&K) -> Hashed) -> Hashed {
            // SAFETY: as the caller says: it has not been linked, so this is a hash.
            unsafe { (*entry.as_ptr()).own.hash }
        }

        fn is_same(this: &Self::Entry, that: &Self::Entry) -> bool {
            this == that
        }

        unsafe fn link(entry: Self::Entry, list: &mut Option<Self::Entry>) {
            // SAFETY: as the caller says; readers do not look at this part.
            unsafe { (*entry.as_ptr()).own.next = *list };
            *list = Some(entry);
        }

        unsafe fn unlink(list: &mut Option<Self::Entry>) -> Option<Self::Entry> {
            let first = (*list)?;
            // SAFETY: as the caller says.
            *list = unsafe { (*first.as_ptr()).own.next };
            Some(first)
        }

        unsafe fn free(entry: Self::Entry) {
            /// Gives the memory back, though a destructor panics.
            struct Room<K, V>(NonNull<Node<K, V>>);
            impl<K, V> Drop for Room<K, V> {
                fn drop(&mut self) {
                    // SAFETY: allocated so in `make`.
                    unsafe { dealloc(self.0.as_ptr().cast(), Layout::new::<Node<K, V>>()) };
                }
            }
            let room = Room(entry);
            // SAFETY: as the caller says.
            unsafe { ptr::drop_in_place(&raw mut (*room.0.as_ptr()).pair) };
        }
    }

    // SAFETY: an entry is plain data.
    unsafe impl<K: Copy, V: Copy> EntryStorage<K, V> for Inline {
        type Entry = (K, V);

        const OWNS: bool = false;

        fn make(_: Hashed, key: K, value: V) -> Result<Self::Entry, (K, V)> {
            Ok((key, value))
        }

        #[inline(always)]
        unsafe fn pair<'a>(entry: NonNull<Self::Entry>) -> (&'a K, &'a V) {
            // SAFETY: as the caller says.
            let (key, value) = unsafe { entry.as_ref() };
            (key, value)
        }

        unsafe fn hash(entry: &Self::Entry, rehash: impl Fn(&K) -> Hashed) -> Hashed {
            rehash(&entry.0)
        }

        fn is_same(_: &Self::Entry, _: &Self::Entry) -> bool {
            // Nobody asks: there is nothing to be freed.
            true
        }

        unsafe fn link(_: Self::Entry, _: &mut Option<Self::Entry>) {}

        unsafe fn unlink(_: &mut Option<Self::Entry>) -> Option<Self::Entry> {
            None
        }

        unsafe fn free(_: Self::Entry) {}
    }
}

/// Drops entries: all of them, also where a destructor panics.
///
/// # Safety
/// The caller owns them, and nobody can meet them any more.
pub(super) unsafe fn free_all<K, V, P: Storage<K, V>>(entries: impl Iterator<Item = P::Entry>) {
    struct Rest<K, V, P: Storage<K, V>, I: Iterator<Item = P::Entry>>(I, PhantomData<(K, V, P)>);
    impl<K, V, P: Storage<K, V>, I: Iterator<Item = P::Entry>> Drop for Rest<K, V, P, I> {
        fn drop(&mut self) {
            // SAFETY: what `free_all` was given, and has not dropped.
            self.0.by_ref().for_each(|entry| unsafe { P::free(entry) });
        }
    }
    let mut rest = Rest::<K, V, P, _>(entries, PhantomData);
    // SAFETY: as the caller says.
    rest.0.by_ref().for_each(|entry| unsafe { P::free(entry) });
}

/// A list of such entries, which are dropped with it.
pub(super) struct Reclaimable<K, V, P: Storage<K, V>> {
    list: Option<P::Entry>,
    owns: PhantomData<(K, V)>,
}

// SAFETY: a shared reference to the list leads to no entry.
unsafe impl<K, V, P: Storage<K, V>> Sync for Reclaimable<K, V, P> {}

impl<K, V, P: Storage<K, V>> Reclaimable<K, V, P> {
    /// No entries.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self { list: None, owns: PhantomData }
    }

    /// # Safety
    /// The entries were linked by their owner, and nobody can meet them any more.
    pub(super) unsafe fn new(list: Option<P::Entry>) -> Self {
        Self { list, owns: PhantomData }
    }
}

impl<K, V, P: Storage<K, V>> Drop for Reclaimable<K, V, P> {
    #[inline]
    fn drop(&mut self) {
        // Only entries with destructors are left for later, so for others the compiler need not ask the list.
        if P::OWNS && mem::needs_drop::<(K, V)>() && self.list.is_some() {
            // SAFETY: what `new` was given.
            unsafe { free_all::<K, V, P>(iter::from_fn(|| P::unlink(&mut self.list))) };
        }
    }
}
