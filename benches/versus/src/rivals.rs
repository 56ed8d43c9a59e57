//! The maps that are compared, behind one trait, each with its own cheapest
//! way to do an operation and all with the same hasher.

use std::cell::UnsafeCell;
use std::collections::HashMap as StdHashMap;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;

use crate::spin_locks::SpinLocks;

/// The hasher of every map here, always with the same seed.
pub type Hasher = FixedState;

/// One map under test. Loops are generic over it, so nothing is called through
/// a pointer that its user would not call through one.
pub trait Bench: Sized + Send + Sync {
    /// As tables and plots call it.
    const NAME: &'static str;
    /// Whether two threads may use it at once.
    const SHARED: bool = true;
    /// Empty and with the capacity a caller gets who asks for none.
    fn new() -> Self;
    /// The value of `key`.
    fn get(&self, key: u64) -> Option<u64>;
    /// Sets `key` to `value`, there or not; the value it had.
    fn insert(&self, key: u64, value: u64) -> Option<u64>;
    /// Removes `key`; the value it had.
    fn remove(&self, key: u64) -> Option<u64>;
    /// Replaces the value of `key` by `f` of it; the new value.
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64>;
}

/// Ours.
pub type Flat = hedgerow::FlatMap<u64, u64, Hasher>;
/// papaya, pinned anew for each operation, as a caller does who has a key and
/// wants an answer.
pub type Papaya = papaya::HashMap<u64, u64, Hasher>;
/// dashmap with as many shards as it likes.
pub type Dash = dashmap::DashMap<u64, u64, Hasher>;
/// scc's hash map through its blocking functions.
pub type Scc = scc::HashMap<u64, u64, Hasher>;
/// The standard library's map under one lock.
pub type Locked = RwLock<StdHashMap<u64, u64, Hasher>>;

/// hashbrown with no synchronisation at all: what a lookup must cost.
///
/// It takes `&self` like the others although it may be used by one thread
/// only; `SHARED` is false, and [`crate::round`] asks before a second starts.
pub struct Yard(UnsafeCell<hashbrown::HashMap<u64, u64, Hasher>>);

// SAFETY: not shared in truth. The only code that hands a `Bench` to several
// threads asserts `SHARED` first, which is false here.
unsafe impl Sync for Yard {}

/// The one seed of this comparison.
pub fn hasher() -> Hasher {
    FixedState::with_seed(0x6865_6467)
}

impl Bench for Flat {
    const NAME: &'static str = "FlatMap";

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.insert(key, value)
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        self.remove(&key)
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        self.update(&key, f)
    }
}

impl Yard {
    /// # Safety
    /// No other thread uses the map, and the reference is dropped before the
    /// next call.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "that is the point of the yard: no lock")]
    unsafe fn map(&self) -> &mut hashbrown::HashMap<u64, u64, Hasher> {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.0.get() }
    }
}

impl Bench for Yard {
    const NAME: &'static str = "hashbrown";
    const SHARED: bool = false;

    fn new() -> Self {
        Self(UnsafeCell::new(hashbrown::HashMap::with_hasher(hasher())))
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        // SAFETY: one thread, and the answer is copied out.
        unsafe { self.map() }.get(&key).copied()
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        // SAFETY: one thread, and the answer is a copy.
        unsafe { self.map() }.insert(key, value)
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        // SAFETY: one thread, and the answer is a copy.
        unsafe { self.map() }.remove(&key)
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        // SAFETY: one thread, and `f` cannot reach the map.
        let value = unsafe { self.map() }.get_mut(&key)?;
        *value = f(*value);
        Some(*value)
    }
}

impl Bench for Papaya {
    const NAME: &'static str = "papaya";

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.pin().get(&key).copied()
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.pin().insert(key, value).copied()
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        self.pin().remove(&key).copied()
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        self.pin().update(key, |value| f(*value)).copied()
    }
}

impl Bench for Dash {
    const NAME: &'static str = "dashmap";

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key).map(|value| *value)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.insert(key, value)
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        self.remove(&key).map(|(_, value)| value)
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        let mut value = self.get_mut(&key)?;
        *value = f(*value);
        Some(*value)
    }
}

impl Bench for Scc {
    const NAME: &'static str = "scc";

    fn new() -> Self {
        Self::with_hasher(hasher())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.read_sync(&key, |_, value| *value)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.upsert_sync(key, value)
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        self.remove_sync(&key).map(|(_, value)| value)
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        self.update_sync(&key, |_, value| {
            *value = f(*value);
            *value
        })
    }
}

impl Bench for Locked {
    const NAME: &'static str = "RwLock";

    fn new() -> Self {
        RwLock::new(StdHashMap::with_hasher(hasher()))
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied()
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.write().unwrap_or_else(PoisonError::into_inner).insert(key, value)
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        self.write().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        let mut map = self.write().unwrap_or_else(PoisonError::into_inner);
        let value = map.get_mut(&key)?;
        *value = f(*value);
        Some(*value)
    }
}

impl Bench for SpinLocks {
    const NAME: &'static str = "64 spin locks";

    fn new() -> Self {
        Self::new(hasher())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.get(key)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) -> Option<u64> {
        self.insert(key, value)
    }

    #[inline]
    fn remove(&self, key: u64) -> Option<u64> {
        self.remove(key)
    }

    #[inline]
    fn update(&self, key: u64, f: impl Fn(u64) -> u64) -> Option<u64> {
        self.update(key, f)
    }
}
