//! Collectors: which guards keep the removed entries of which maps.

use super::guard::{Guard, Stalled, first_slot, known_slot, out_of_memory, slot_of_one_guard};
use crate::error::TryReserveError;
use crate::sync::epoch::{DOMAIN, Domain};
use crate::sync::registry::BLOCK;
use crate::sync::shared::Shared;
use crate::sync::slot::ReaderSlot;
use crate::sync::thread_number;
use core::fmt;

/// Isolates the reclamation of some maps from that of all others.
///
/// Maps without a collector share one: while any thread holds a guard, none of these maps drops an entry that was
/// removed in the meantime. A map [with its own collector](crate::HashMap::with_collector) waits only for the guards of
/// that collector, and no other map waits for these. Use it for a map whose guards are held for long, by a slow
/// iteration for example, or for a map that must drop removed entries soon. Several maps may share a collector, through
/// its clones; one guard then serves all of them.
///
/// # Costs
/// Each guard of a collector claims a slot by compare-and-swap, where other guards use the slot of their thread. A
/// lookup that takes a guard is about ten nanoseconds slower. [`pin`](crate::HashMap::pin) pays that once for many
/// lookups, and a [`Handle`](crate::owned::Handle) once for all of its guards. Memory barriers are not shared between
/// collectors. The slots take about 2 KiB for every sixteen guards that were held at the same time, until the collector
/// and all its maps, handles and owned guards are dropped.
///
/// ```
/// use hedgerow::{HashMap, owned::Collector};
///
/// let collector = Collector::new();
/// let sessions = HashMap::<u32, String>::new().with_collector(&collector);
/// sessions.insert(7, "rose".into());
/// let held = hedgerow::owned::pin(); // of other maps, and perhaps held for long
/// drop(sessions.remove(&7));
/// sessions.reclaim();
/// assert_eq!(sessions.pending(), 0); // dropped nevertheless
/// # drop(held);
/// ```
///
/// A guard of another collector would not protect the entries of a map, so [`with_guard`](crate::HashMap::with_guard)
/// panics:
///
/// ```should_panic
/// # use hedgerow::{HashMap, owned::Collector};
/// let sessions = HashMap::<u32, String>::new().with_collector(&Collector::new());
/// sessions.with_guard(&hedgerow::owned::pin()); // panics
/// ```
#[derive(Clone)]
pub struct Collector(Shared<Domain>);

impl Collector {
    /// Creates a collector that no map uses yet. If there is no memory for it, the process aborts, as with std's
    /// collections.
    ///
    /// ```
    /// let collector = hedgerow::owned::Collector::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Shared::new(Domain::new()))
    }

    /// Returns a guard of this thread for the maps of this collector, to read several of them under one guard.
    ///
    /// Lock-free. Allocates only if more guards of the collector are held than ever before. If there is no memory then,
    /// the process aborts; [`try_pin`](Self::try_pin) returns an error instead.
    ///
    /// ```
    /// use hedgerow::{BytesMap, HashMap, owned::Collector};
    ///
    /// let collector = Collector::new();
    /// let ages = HashMap::from([("ann", 7)]).with_collector(&collector);
    /// let colours = BytesMap::from([("rose", "red")]).with_collector(&collector);
    /// let guard = collector.pin();
    /// assert_eq!(ages.with_guard(&guard).get("ann"), Some(&7));
    /// assert_eq!(colours.with_guard(&guard).get("rose"), Some(&b"red"[..]));
    /// ```
    pub fn pin(&self) -> Guard<'_> {
        self.try_pin().unwrap_or_else(|_| out_of_memory())
    }

    /// As [`pin`](Self::pin), but returns an error if there is no memory.
    ///
    /// # Errors
    /// If the allocator has no memory for another block of slots.
    ///
    /// ```
    /// assert!(hedgerow::owned::Collector::new().try_pin().is_ok());
    /// ```
    pub fn try_pin(&self) -> Result<Guard<'_>, TryReserveError> {
        let slot = slot_of_one_guard(&self.0, thread_number::part_of(BLOCK))?;
        Ok(Guard::enter(slot))
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

/// Two values are equal if they are the same collector.
impl PartialEq for Collector {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(&raw const *self.0, &raw const *other.0)
    }
}

impl Eq for Collector {}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

/// The readers of a map: those of its collector, or, without one, those of the process.
///
/// A map's operations take their guards from here. Any other guard has to pass [`check`](Self::check).
#[derive(Clone)]
pub(crate) struct Readers(Option<Collector>);

impl Readers {
    /// The readers of the process.
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn of(collector: &Collector) -> Self {
        Self(Some(collector.clone()))
    }

    pub(crate) fn collector(&self) -> Option<&Collector> {
        self.0.as_ref()
    }

    #[inline(always)]
    pub(crate) fn domain(&self) -> &Domain {
        match &self.0 {
            None => &DOMAIN,
            Some(collector) => &collector.0,
        }
    }

    /// Returns a guard of this thread.
    #[inline(always)]
    pub(crate) fn pin(&self) -> Guard<'_> {
        Guard::enter(match self.known_slot() {
            Some(slot) => slot,
            None => self.slot_or_abort(),
        })
    }

    /// As `pin`, but returns an error if there is no memory.
    #[inline(always)]
    pub(crate) fn try_pin(&self) -> Result<Guard<'_>, TryReserveError> {
        match self.known_slot() {
            Some(slot) => Ok(Guard::enter(slot)),
            None => self.slot().map(Guard::enter),
        }
    }

    /// The fast path: the thread's slot, if it has one, for a map without a collector.
    #[inline(always)]
    fn known_slot(&self) -> Option<&ReaderSlot> {
        if self.0.is_none() { known_slot() } else { None }
    }

    /// Returns the slot for a guard.
    // Not inlined, because `pin` is inlined into every operation.
    #[cold]
    #[inline(never)]
    fn slot(&self) -> Result<&ReaderSlot, TryReserveError> {
        match &self.0 {
            None => first_slot(),
            // From another slot on in each thread, so that threads do not contend for one.
            Some(Collector(domain)) => slot_of_one_guard(domain, thread_number::part_of(BLOCK)),
        }
    }

    #[cold]
    #[inline(never)]
    fn slot_or_abort(&self) -> &ReaderSlot {
        self.slot().unwrap_or_else(|_| out_of_memory())
    }

    /// Panics if the guard is one of other readers: it would not keep the entries that are found under it.
    #[inline]
    pub(crate) fn check(&self, guard: &Guard<'_>) {
        assert!(guard.is_of(self.domain()), "the guard is of another collector than the map");
    }

    /// Returns all readers that have been pinned since an earlier epoch.
    pub(crate) fn stalled(&self) -> impl Iterator<Item = Stalled> {
        self.domain().stalled().map(|(reader, epochs)| Stalled { reader, epochs })
    }
}

/// Returns a guard for this thread, which serves all maps without a [`Collector`].
///
/// With feature `std` the guard uses the thread's own slot, and each further guard costs an addition. Without `std`,
/// each guard claims a slot of the process-wide registry by compare-and-swap. A [`Handle`](crate::owned::Handle) saves
/// that.
///
/// Lock-free. Allocates only if more threads hold guards than ever before. If there is no memory then, the process
/// aborts; [`try_pin`] returns an error instead.
///
/// ```
/// use hedgerow::{BytesMap, HashMap};
///
/// let (ages, colours) = (HashMap::<String, u32>::new(), BytesMap::from([("rose", "red")]));
/// let guard = hedgerow::owned::pin();
/// let (ages, colours) = (ages.with_guard(&guard), colours.with_guard(&guard)); // one guard for both
/// let colour: &[u8] = colours.get("rose").unwrap();
/// colours.insert("rose", "white"); // no write waits for the guard
/// assert_eq!((colour, colours.get("rose").unwrap()), (&b"red"[..], &b"white"[..]));
/// assert_eq!(ages.get("ann"), None);
/// ```
#[inline(always)]
pub fn pin() -> Guard<'static> {
    PROCESS.pin()
}

/// As [`pin`], but returns an error if there is no memory.
///
/// With feature `std`, a thread that has had a guard gets every further one without memory. So its operations under
/// [`pin`] cannot fail for that reason.
///
/// # Errors
/// If the allocator has no memory for another block of slots.
///
/// ```
/// let guard = hedgerow::owned::try_pin().expect("there is memory");
/// ```
#[inline(always)]
pub fn try_pin() -> Result<Guard<'static>, TryReserveError> {
    PROCESS.try_pin()
}

/// The readers of all maps without a collector.
static PROCESS: Readers = Readers::new();
