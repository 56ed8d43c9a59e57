//! A record: key, value and what else is known of them, in one allocation that never changes but for the mark of its
//! last use.
//!
//! ```text
//! key's length 16 | last use 16 | value's length and flags 32 | end 64, if it has one | key | value, or its ticket
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// In the word of the value's length: it has an end; its value is kept elsewhere, and here is the ticket for it.
const ENDS: u32 = 1 << 31;
const AWAY: u32 = 1 << 30;
const LENGTH: u32 = AWAY - 1;

/// Milliseconds in the unit of last use: 16 bits of them are three days.
const USE_UNIT: u64 = 4096;

#[repr(C)]
struct Head {
    key_length: u16,
    used: AtomicU16,
    value: u32,
}

const HEAD: usize = size_of::<Head>();
const END: usize = size_of::<u64>();
const TICKET: usize = size_of::<u64>();
const ALIGN: usize = align_of::<u64>();

/// What a record is made of, or says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The value itself.
    Here(&'a [u8]),
    /// The ticket for it, and its length.
    Away(u64, usize),
}

impl Value<'_> {
    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Away(_, length) => *length,
        }
    }
}

/// A moment, as coarse as records remember their last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsedAt(u16);

impl UsedAt {
    pub(crate) fn of(time: u64) -> Self {
        Self((time / USE_UNIT) as u16)
    }

    /// Milliseconds from there to here, about; more than three days look like less.
    pub(crate) fn since(self, then: Self) -> u64 {
        u64::from(self.0.wrapping_sub(then.0)) * USE_UNIT
    }
}

/// A pointer to a record. Whoever holds one sees to it that the record has not been freed: it is in a shard's map, or
/// in its garbage, and readers look at a state of the map that was shown.
#[derive(Clone, Copy)]
pub(crate) struct Record(NonNull<Head>);

// SAFETY: a record does not change but for an atomic, so threads may share it, and whoever frees it has it alone.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Record {
    /// A record of its own. Key and value are no longer than `ask` allows.
    #[inline]
    pub(crate) fn new(key: &[u8], value: Value<'_>, ends: Option<u64>, used: UsedAt) -> Self {
        let (flag, length, ticket);
        let bytes = match value {
            Value::Here(bytes) => {
                (flag, length) = (0, bytes.len());
                bytes
            }
            Value::Away(number, of) => {
                (flag, length) = (AWAY, of);
                ticket = number.to_ne_bytes();
                &ticket[..]
            }
        };
        let value = u32::try_from(length).ok().filter(|length| *length <= LENGTH);
        let value = value.expect("values have been measured") | flag;
        let value = value | if ends.is_some() { ENDS } else { 0 };
        let key_length = u16::try_from(key.len()).expect("keys have been measured");
        let head = Head { key_length, used: AtomicU16::new(used.0), value };
        let layout = head.layout();
        // SAFETY: it has the size of a head at least.
        let room = unsafe { alloc(layout) };
        let Some(this) = NonNull::new(room.cast::<Head>()) else { handle_alloc_error(layout) };
        let (key_at, value_at) = head.places();
        // SAFETY: just allocated, with room for all of it, and aligned for a head; the parts lie behind each other.
        unsafe {
            this.write(head);
            if let Some(end) = ends {
                room.add(HEAD).cast::<u64>().write(end);
            }
            room.add(key_at).copy_from_nonoverlapping(key.as_ptr(), key.len());
            room.add(value_at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Self(this)
    }

    /// Gives its memory back.
    ///
    /// # Safety
    /// Nobody else holds a pointer that is used from now on.
    pub(crate) unsafe fn free(self) {
        let layout = self.head().layout();
        // SAFETY: allocated in `new` with this layout, which follows from what does not change.
        unsafe { dealloc(self.0.as_ptr().cast(), layout) };
    }

    fn head(&self) -> &Head {
        // SAFETY: not freed, as whoever holds a record sees to.
        unsafe { self.0.as_ref() }
    }

    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: not freed; the callers ask for parts that lie within, and none of them changes.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(at), length) }
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        let head = self.head();
        self.bytes(head.places().0, head.key_length.into())
    }

    #[inline]
    pub(crate) fn value(&self) -> Value<'_> {
        let head = self.head();
        let (at, length) = (head.places().1, (head.value & LENGTH) as usize);
        if head.value & AWAY == 0 {
            return Value::Here(self.bytes(at, length));
        }
        let ticket = self.bytes(at, TICKET).try_into().expect("as many bytes");
        Value::Away(u64::from_ne_bytes(ticket), length)
    }

    /// Until when the key lives, in milliseconds since 1970.
    #[inline]
    pub(crate) fn ends(self) -> Option<u64> {
        (self.head().value & ENDS != 0).then(|| {
            let end = self.bytes(HEAD, END).try_into().expect("as many bytes");
            u64::from_ne_bytes(end)
        })
    }

    /// Whether the key has ended.
    #[inline]
    pub(crate) fn has_ended(self, time: u64) -> bool {
        self.ends().is_some_and(|end| end <= time)
    }

    /// Notes a use. Writes only where the mark changes, so that keys that are read often stay in all caches.
    #[inline]
    pub(crate) fn touch(self, now: UsedAt) {
        let used = &self.head().used;
        // Relaxed: a mark by itself, which orders nothing.
        if used.load(Ordering::Relaxed) != now.0 {
            // Relaxed: as above.
            used.store(now.0, Ordering::Relaxed);
        }
    }

    /// Has the processor fetch it.
    #[inline]
    pub(crate) fn fetch(self) {
        // Relaxed: what is read is not used; nothing waits for it.
        std::hint::black_box(self.head().used.load(Ordering::Relaxed));
    }

    pub(crate) fn used(self) -> UsedAt {
        // Relaxed: as in `touch`.
        UsedAt(self.head().used.load(Ordering::Relaxed))
    }

    /// Bytes that it takes, those included that the allocator adds: as glibc's does, a word and up to a multiple of 16.
    pub(crate) fn memory(self) -> usize {
        (self.head().layout().size() + 8).next_multiple_of(16).max(32)
    }
}

impl Head {
    /// Where key and value begin.
    #[inline]
    fn places(&self) -> (usize, usize) {
        let key = HEAD + if self.value & ENDS == 0 { 0 } else { END };
        (key, key + usize::from(self.key_length))
    }

    fn layout(&self) -> Layout {
        let value = if self.value & AWAY == 0 { (self.value & LENGTH) as usize } else { TICKET };
        let size = self.places().1 + value;
        Layout::from_size_align(size, ALIGN).expect("far from the largest")
    }
}

impl Borrow<[u8]> for Record {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Record {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_it_was_made_of() {
        let now = UsedAt::of(1 << 40);
        for (key, value) in [(0, 0), (1, 1), (3, 13), (65_535, 7), (5, 100_000)] {
            let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
            for ends in [None, Some(0), Some(u64::MAX)] {
                for value in [Value::Here(&value[..]), Value::Away(u64::MAX - 1, value.len())] {
                    let record = Record::new(&key, value, ends, now);
                    assert_eq!((record.key(), record.value()), (&key[..], value));
                    assert_eq!((record.ends(), record.used()), (ends, now));
                    assert!(record.memory() >= key.len() + HEAD + 8);
                    // SAFETY: nobody else has it.
                    unsafe { record.free() };
                }
            }
        }
    }

    #[test]
    fn ends_are_met_when_they_come() {
        let record = Record::new(b"k", Value::Here(b"v"), Some(1000), UsedAt::of(0));
        assert!(!record.has_ended(999) && record.has_ended(1000));
        record.touch(UsedAt::of(USE_UNIT * 5));
        assert_eq!(UsedAt::of(USE_UNIT * 7).since(record.used()), USE_UNIT * 2);
        // SAFETY: nobody else has it.
        unsafe { record.free() };
    }
}
