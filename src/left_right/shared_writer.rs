//! A writer that threads share: a `WriteHandle` in a lock.

use super::reader::ReadHandle;
use super::storage::Reclaimable;
use super::storage::{Boxed, Storage};
use super::writer::{Pending, WriteHandle, out_of_memory};
use crate::api::hasher::DefaultHashBuilder;
use crate::facade::{Mutex, MutexGuard};
use crate::sync::backoff::Backoff;
use crate::sync::holder::Holder;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::mem;
use core::ops::{Deref, DerefMut};
use equivalent::Equivalent;
use std::sync::{Arc, PoisonError, TryLockError};
use std::thread;

/// A [`WriteHandle`] that threads share, by reference or by clones.
///
/// Each operation takes a lock. [`lock`](Self::lock) takes it for several operations, so that no other thread publishes
/// in between. A publish makes the changes of all threads visible, and does not hold the lock while it waits for
/// readers.
///
/// A panic does not poison the lock, and changes made before it are kept.
///
/// # User code and the lock
/// - `Hash`, `Eq`, `Clone`, the closure of [`update`](Self::update) and closures that use the locked handle run under
///   the lock. They may read the map through a [`ReadHandle`]. A call of the shared handle from within them panics
///   instead of deadlocking; waiting for another thread that uses the handle deadlocks.
/// - Keys and values are dropped after the lock is released, so destructors may use the handle. If a thread panics
///   under the lock, the next thread that releases it drops them. (Exceptions: the arguments of an operation whose
///   `Hash` or `Eq` panics, and the new value of an update whose key panics in `Clone`, are dropped under the lock. If
///   such a destructor uses the handle, the process aborts.)
///
/// # Panics
/// Every method panics if the calling thread already holds the lock.
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
    /// Says which thread holds the lock. The writer's map refers to it, and drops no entry in that thread.
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
    pub fn new(writer: WriteHandle<K, V, S, P>) -> Self {
        let holder = Arc::new(Holder::new());
        Self { inner: Arc::new(Locked { writer: Mutex::new(writer), holder }) }
    }

    /// Returns the writer's handle, locked, for several operations that are published together. Blocks while another
    /// thread holds the lock.
    ///
    /// Do not call the methods that wait for readers on it ([`WriteHandle::publish`], `wait_for_readers`, `retain`,
    /// `clear` and `shrink_to_fit`) if other threads take the lock while they hold guards: it would wait for them, and
    /// they for it. Keys and values are dropped when the lock is released.
    ///
    /// # Panics
    /// If this thread holds the lock already.
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
        // Only the waiting path checks whether this thread holds the lock: `try_lock` would fail in that case.
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

    /// Returns the writer's handle, if no other clone shares it.
    ///
    /// # Errors
    /// Hands the shared handle back if there are other clones.
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

    /// Returns a new read handle.
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
    /// If `with` uses the handle, or panics.
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
        /// Returns true if dropping the closure runs user code.
        const fn owns<F>(_: &F) -> bool {
            mem::needs_drop::<F>()
        }
        if !owns(&with) {
            return self.lock().update(key, with);
        }
        // `writer` is dropped before `with`: a closure that was not called is dropped after the lock is released.
        let mut with = Some(with);
        let mut writer = self.lock();
        writer.update(key, |value| with.take().expect("it is called once")(value))
    }

    /// As [`WriteHandle::publish`], but does not hold the lock while it waits.
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
        loop {
            // The lock is released before each pause, and before the process ends for want of memory.
            let published = self.lock().publish_now();
            if published.unwrap_or_else(out_of_memory) {
                return;
            }
            let _ = backoff.wait_long();
        }
    }

    /// As [`WriteHandle::try_publish`], but may wait for the lock.
    ///
    /// # Errors
    /// As [`WriteHandle::try_publish`].
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

/// The locked [`WriteHandle`] of a [`SharedWriteHandle`]. Made by [`lock`](SharedWriteHandle::lock).
///
/// Dropping the guard releases the lock, and then drops the keys and values that no reader can see.
///
/// A caller may swap the handle for that of another map. It should call the new one through the guard, because a
/// mutable reference that is older than the swap drops keys and values under the lock.
pub struct SharedWriteGuard<'a, K, V, S = DefaultHashBuilder, P: Storage<K, V> = Boxed> {
    // The fields are dropped in this order: the lock is released before user code runs.
    writer: MutexGuard<'a, WriteHandle<K, V, S, P>>,
    /// Empty until the guard is dropped.
    reclaimable: Reclaimable<K, V, P>,
    holder: &'a Arc<Holder>,
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
        // At each use: since the last one the handle may have been swapped for that of another map.
        self.writer.share(Some(self.holder));
        &mut self.writer
    }
}

impl<K, V, S, P: Storage<K, V>> Drop for SharedWriteGuard<'_, K, V, S, P> {
    #[inline]
    fn drop(&mut self) {
        // While the thread panics, a panic in a destructor would abort the process. The next thread drops the entries.
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
