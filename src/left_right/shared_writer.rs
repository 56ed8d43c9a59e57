//! Many writers: one handle in a lock.

use super::reader::ReadHandle;
use super::storage::Reclaimable;
use super::storage::{Boxed, Storage};
use super::writer::{Pending, WriteHandle};
use crate::api::hasher::DefaultHashBuilder;
use crate::sync::backoff::Backoff;
use crate::sync::holder::Holder;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::mem;
use core::ops::{Deref, DerefMut};
use equivalent::Equivalent;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

/// A [`WriteHandle`] that threads share: by reference, or by clones.
///
/// Each operation takes a lock of its own; [`lock`](Self::lock) takes it for several, so that nobody publishes
/// a part of them. A publish shows what all have changed until then. No lock is held while one waits for readers:
/// who holds a guard may change the map meanwhile.
///
/// A thread that panics with the lock does not poison it: what it changed until then is there.
///
/// # User code and the lock
/// - Keys and values are dropped when the lock has been given back: a destructor may use the handle, or wait for a
///   thread that does. If the thread panics with the lock, the next one to give it back drops them.
/// - `Hash`, `Eq`, `Clone`, and the closures of [`update`](Self::update) and of the methods of the locked handle, run
///   under the lock. They may read the map through a [`ReadHandle`]. If one of them uses the handle, that call panics
///   instead of waiting for its own thread; if one of them waits for a thread that uses the handle, both wait for ever.
///
/// # Panics
/// Every method panics when the calling thread has the lock already.
///
/// ```
/// use hedgerow::left_right::SharedWriteHandle;
///
/// let (writer, reader) = hedgerow::LeftRightMap::<u32, u32>::new();
/// let writer = SharedWriteHandle::new(writer);
/// std::thread::scope(|s| {
///     for n in 0..4 {
///         let writer = writer.clone();
///         s.spawn(move || {
///             writer.insert(n, n);
///             writer.publish();
///         });
///     }
/// });
/// assert_eq!(reader.len(), 4);
/// ```
pub struct SharedWriteHandle<K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    inner: Arc<Locked<K, V, S, P>>,
}

struct Locked<K, V, S, P: Storage<K, V>> {
    writer: Mutex<WriteHandle<K, V, S, P>>,
    /// The thread that holds the lock. The writer has it too, and drops no entry while the lock is held.
    holder: Arc<Holder>,
}

impl<K, V, S, P: Storage<K, V>> SharedWriteHandle<K, V, S, P> {
    /// Shares `writer`.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _reader) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(SharedWriteHandle::new(writer).lock().is_empty());
    /// ```
    pub fn new(mut writer: WriteHandle<K, V, S, P>) -> Self {
        let holder = Arc::new(Holder::new());
        writer.share(Some(holder.clone()));
        Self { inner: Arc::new(Locked { writer: Mutex::new(writer), holder }) }
    }

    /// The handle, for several operations that are to be published together. Blocks while another thread has it.
    ///
    /// Do not call [`WriteHandle::publish`] on it where others take the lock with guards in hand: it would wait for
    /// them, and they for it. Keys and values are dropped when the lock is given back.
    ///
    /// # Panics
    /// When this thread has the lock already.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, reader) = hedgerow::LeftRightMap::<&str, u32>::new();
    /// let writer = SharedWriteHandle::new(writer);
    /// let mut both = writer.lock();
    /// both.insert("from", 1);
    /// both.insert("to", 2);
    /// drop(both);
    /// writer.publish();
    /// assert_eq!(reader.len(), 2);
    /// ```
    #[inline]
    pub fn lock(&self) -> SharedWriteGuard<'_, K, V, S, P> {
        let Locked { writer, holder } = &*self.inner;
        let holder: &Holder = holder;
        // If this thread held the lock, `try_lock` would fail. So the check for that is left to the path that waits.
        let writer = match writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(writer)) => writer.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait_for_lock(),
        };
        holder.begin();
        SharedWriteGuard { writer, holder, reclaimable: Reclaimable::none() }
    }

    #[cold]
    fn wait_for_lock(&self) -> MutexGuard<'_, WriteHandle<K, V, S, P>> {
        assert!(
            !self.inner.holder.is_this_thread(),
            "this thread has the lock of the shared writer: `Hash`, `Eq`, `Clone` and closures must not use it"
        );
        self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle, if this is the last that shares it.
    ///
    /// # Errors
    /// Gives itself back if it is not.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _reader) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// let writer = SharedWriteHandle::new(writer);
    /// let other = writer.clone();
    /// let writer = writer.try_into_inner().unwrap_err();
    /// drop(other);
    /// assert!(writer.try_into_inner().is_ok());
    /// ```
    pub fn try_into_inner(self) -> Result<WriteHandle<K, V, S, P>, Self> {
        match Arc::try_unwrap(self.inner) {
            Ok(Locked { writer, .. }) => {
                let mut writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
                writer.share(None);
                drop(writer.take_reclaimable());
                Ok(writer)
            }
            Err(inner) => Err(Self { inner }),
        }
    }

    /// Another reader's handle.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(SharedWriteHandle::new(writer).read_handle().is_empty());
    /// ```
    pub fn read_handle(&self) -> ReadHandle<K, V, S, P> {
        self.lock().read_handle()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> SharedWriteHandle<K, V, S, P> {
    /// As [`WriteHandle::insert`], under the lock.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _reader) = hedgerow::LeftRightMap::new();
    /// assert!(!SharedWriteHandle::new(writer).insert("rose", "red"));
    /// ```
    #[inline]
    pub fn insert(&self, key: K, value: V) -> bool {
        self.lock().insert(key, value)
    }

    /// As [`WriteHandle::remove`], under the lock.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _reader) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(!SharedWriteHandle::new(writer).remove(&7));
    /// ```
    #[inline]
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.lock().remove(key)
    }

    /// As [`WriteHandle::update`], under the lock, which `with` must not take.
    ///
    /// # Panics
    /// When `with` uses the handle, or panics.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _reader) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// let writer = SharedWriteHandle::new(writer);
    /// writer.insert(7, 1);
    /// assert!(writer.update(&7, |n| n + 1));
    /// ```
    #[inline]
    pub fn update<Q>(&self, key: &Q, with: impl FnOnce(&V) -> V) -> bool
    where
        K: Clone,
        Q: Hash + Equivalent<K> + ?Sized,
    {
        /// Whether a closure owns anything that is dropped with it.
        const fn owns<F>(_: &F) -> bool {
            mem::needs_drop::<F>()
        }
        if !owns(&with) {
            return self.lock().update(key, with);
        }
        // If the closure is not called, it is dropped after the lock is given back.
        let mut with = Some(with);
        let mut writer = self.lock();
        writer.update(key, |value| with.take().expect("it is called once")(value))
    }

    /// As [`WriteHandle::publish`]; the lock is not held while it waits.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, reader) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// let writer = SharedWriteHandle::new(writer);
    /// writer.insert(7, 1);
    /// writer.publish();
    /// assert_eq!(reader.get_copied(&7), Some(1));
    /// ```
    pub fn publish(&self) {
        let mut backoff = Backoff::spinning();
        let mut published_in = None;
        loop {
            let mut writer = self.lock();
            if published_in.is_none() && writer.try_publish().is_ok() {
                published_in = Some(writer.generation());
            }
            // A later publish was done after the wait for this one.
            let is_later = published_in.is_some_and(|generation| writer.generation() > generation);
            if is_later || published_in.is_some() && !writer.is_pending() {
                return;
            }
            drop(writer);
            let _ = backoff.wait_long();
        }
    }

    /// As [`WriteHandle::try_publish`], but it may wait for the lock.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use hedgerow::left_right::SharedWriteHandle;
    /// let (writer, _reader) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(SharedWriteHandle::new(writer).try_publish().is_ok());
    /// ```
    pub fn try_publish(&self) -> Result<(), Pending> {
        self.lock().try_publish()
    }
}

impl<K, V, S, P: Storage<K, V>> Clone for SharedWriteHandle<K, V, S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K, V, S, P: Storage<K, V>> fmt::Debug for SharedWriteHandle<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWriteHandle").finish_non_exhaustive()
    }
}

/// The [`WriteHandle`] of a [`SharedWriteHandle`], which no other thread uses meanwhile. From
/// [`lock`](SharedWriteHandle::lock).
///
/// When the guard is dropped, it gives the lock back, and then drops the keys and values that no reader can see any
/// more.
pub struct SharedWriteGuard<'a, K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    // In this order: fields are dropped so, and the lock is to be given back before anything of users'.
    writer: MutexGuard<'a, WriteHandle<K, V, S, P>>,
    /// Nothing until the guard is dropped.
    reclaimable: Reclaimable<K, V, P>,
    holder: &'a Holder,
}

impl<K, V, S, P: Storage<K, V>> Deref for SharedWriteGuard<'_, K, V, S, P> {
    type Target = WriteHandle<K, V, S, P>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.writer
    }
}

impl<K, V, S, P: Storage<K, V>> DerefMut for SharedWriteGuard<'_, K, V, S, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.writer
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for SharedWriteGuard<'_, K, V, S, P> {
    #[inline]
    fn drop(&mut self) {
        // A second panic would end the process, so the next thread that holds the lock drops these entries.
        if self.writer.has_reclaimable() && !thread::panicking() {
            self.reclaimable = self.writer.take_reclaimable();
        }
        self.holder.end();
    }
}

impl<K, V, S, P> fmt::Debug for SharedWriteGuard<'_, K, V, S, P>
where
    K: fmt::Debug + Hash,
    V: fmt::Debug,
    S: BuildHasher,
    P: Storage<K, V>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
