//! A record: key, value and what else is known of them, in one allocation that never changes but for the mark of its
//! last use. A long value is kept elsewhere, and several records may lead to it.
//!
//! ```text
//! key's length 16 | value's length and flags 16 | last use 32 | end 64, if it has one | key | value, or where it is
//! where it is: its length 32 | pointer or ticket 64
//! ```

use crate::state::rope::{MAX_INLINE, Rope};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// In the word of the value's length: the key has an end; the value is kept elsewhere, and the length says where.
const HAS_TTL: u16 = 1 << 15;
const OUT_OF_LINE: u16 = 1 << 14;
const LENGTH: u16 = OUT_OF_LINE - 1;
/// In place of a length: by a ticket, or in a rope.
const TICKET: u16 = 0;
const ROPE: u16 = 1;

/// Milliseconds in the unit of last use, as in Redis: 32 bits of them are 136 years.
const ACCESS_UNIT: u64 = 1000;

#[repr(C)]
struct Header {
    key_length: u16,
    value: u16,
    used: AtomicU32,
}

const HEADER: usize = size_of::<Header>();
const TTL_BYTES: usize = size_of::<u64>();
/// The length of a value that is elsewhere, and where.
const INDIRECT_LENGTH: usize = size_of::<u32>();
const INDIRECT: usize = INDIRECT_LENGTH + size_of::<u64>();
const ALIGN: usize = align_of::<u64>();

/// What a record is made of, or says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The value itself: at most [`MAX_INLINE`] bytes.
    Inline(&'a [u8]),
    /// The ticket for it, and its length.
    Compressed(u64, usize),
    /// The rope that it is in, and its length.
    Rope(RopeRef<'a>, usize),
}

impl Value<'_> {
    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Compressed(_, length) | Self::Rope(_, length) => *length,
        }
    }
}

/// A rope, borrowed from the owner of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RopeRef<'a>(NonNull<Rope>, PhantomData<&'a Rope>);

impl<'a> RopeRef<'a> {
    pub(crate) fn of(rope: &'a Arc<Rope>) -> Self {
        let at = Arc::as_ptr(rope).cast_mut();
        Self(NonNull::new(at).expect("an allocation has an address"), PhantomData)
    }

    /// The rope, without a share of its own.
    pub(crate) fn rope(self) -> impl Deref<Target = Arc<Rope>> + use<'a> {
        // SAFETY: of `Arc::as_ptr` or `Arc::into_raw`; another owner keeps the share as long as this lives, and it is
        // not dropped here.
        ManuallyDrop::new(unsafe { Arc::from_raw(self.0.as_ptr()) })
    }
}

/// A moment, as coarse as records remember their last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccessTime(u32);

impl AccessTime {
    pub(crate) fn of(time: u64) -> Self {
        Self((time / ACCESS_UNIT) as u32)
    }

    /// Milliseconds from there to here, about.
    pub(crate) fn since(self, then: Self) -> u64 {
        u64::from(self.0.wrapping_sub(then.0)) * ACCESS_UNIT
    }
}

/// A pointer to a record. Whoever holds one sees to it that the record has not been freed: it is in a shard's map, or
/// in its garbage, and readers look at a state of the map that was shown.
#[derive(Clone, Copy)]
pub(crate) struct Record(NonNull<Header>);

// SAFETY: a record does not change but for an atomic, so threads may share it, and whoever frees it has it alone.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Record {
    /// A record of its own, with its own share of a rope. Key and value are no longer than `ask` allows.
    #[inline(always)]
    pub(crate) fn new(
        key: &[u8],
        value: Value<'_>,
        expires_at: Option<u64>,
        used: AccessTime,
    ) -> Self {
        let word = match value {
            Value::Inline(bytes) => {
                assert!(bytes.len() <= MAX_INLINE, "longer values are elsewhere");
                bytes.len() as u16
            }
            Value::Compressed(..) => OUT_OF_LINE | TICKET,
            Value::Rope(..) => OUT_OF_LINE | ROPE,
        };
        let word = word | if expires_at.is_some() { HAS_TTL } else { 0 };
        let key_length = u16::try_from(key.len()).expect("keys have been measured");
        let header = Header { key_length, used: AtomicU32::new(used.0), value: word };
        let length = u32::try_from(value.length()).expect("values have been measured");
        let layout = header.layout();
        // SAFETY: it has the size of a head at least.
        let room = unsafe { alloc(layout) };
        let Some(this) = NonNull::new(room.cast::<Header>()) else { handle_alloc_error(layout) };
        let (key_at, value_at) = header.places();
        // SAFETY: just allocated, with room for all of it, and aligned for a head; the parts lie behind each other.
        unsafe {
            this.write(header);
            if let Some(end) = expires_at {
                room.add(HEADER).cast::<u64>().write(end);
            }
            room.add(key_at).copy_from_nonoverlapping(key.as_ptr(), key.len());
            let to = room.add(value_at);
            let away = to.add(if word & OUT_OF_LINE == 0 { 0 } else { INDIRECT_LENGTH });
            match value {
                Value::Inline(bytes) => to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()),
                Value::Compressed(ticket, _) => away.cast::<u64>().write_unaligned(ticket),
                Value::Rope(rope_ref, _) => {
                    let share = Arc::into_raw(Arc::clone(&rope_ref.rope()));
                    away.cast::<*const Rope>().write_unaligned(share);
                }
            }
            if word & OUT_OF_LINE != 0 {
                to.cast::<u32>().write_unaligned(length);
            }
        }
        Self(this)
    }

    /// Gives its memory back.
    ///
    /// # Safety
    /// Nobody else holds a pointer that is used from now on.
    pub(crate) unsafe fn free(self) {
        let layout = self.header().layout();
        if self.header().value & OUT_OF_LINE != 0
            && let Value::Rope(rope_ref, _) = self.value()
        {
            // SAFETY: the share that `new` took.
            drop(unsafe { Arc::from_raw(rope_ref.0.as_ptr()) });
        }
        // SAFETY: allocated in `new` with this layout, which follows from what does not change.
        unsafe { dealloc(self.0.as_ptr().cast(), layout) };
    }

    /// Whether both are one.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.0 == other.0
    }

    fn header(&self) -> &Header {
        // SAFETY: not freed, as whoever holds a record sees to.
        unsafe { self.0.as_ref() }
    }

    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: not freed; the callers ask for parts that lie within, and none of them changes.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(at), length) }
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        let header = self.header();
        self.bytes(header.places().0, header.key_length.into())
    }

    #[inline]
    pub(crate) fn value(&self) -> Value<'_> {
        let header = self.header();
        let (at, word) = (header.places().1, header.value & LENGTH);
        if header.value & OUT_OF_LINE == 0 {
            return Value::Inline(self.bytes(at, word.into()));
        }
        self.out_of_line(at, word)
    }

    /// A value that is elsewhere: `at` is what tells where.
    #[inline(never)]
    fn out_of_line(&self, at: usize, kind: u16) -> Value<'_> {
        // SAFETY: not freed, and written in `new`.
        unsafe {
            let at = self.0.as_ptr().cast::<u8>().add(at);
            let length = at.cast::<u32>().read_unaligned() as usize;
            let at = at.add(INDIRECT_LENGTH);
            if kind == TICKET {
                return Value::Compressed(at.cast::<u64>().read_unaligned(), length);
            }
            let rope = at.cast::<*mut Rope>().read_unaligned();
            Value::Rope(RopeRef(NonNull::new_unchecked(rope), PhantomData), length)
        }
    }

    /// Until when the key lives, in milliseconds since 1970.
    #[inline]
    pub(crate) fn expires_at(self) -> Option<u64> {
        (self.header().value & HAS_TTL != 0).then(|| {
            let end = self.bytes(HEADER, TTL_BYTES).try_into().expect("as many bytes");
            u64::from_ne_bytes(end)
        })
    }

    /// Whether the key has ended.
    #[inline]
    pub(crate) fn is_expired(self, time: u64) -> bool {
        self.expires_at().is_some_and(|end| end <= time)
    }

    /// Notes a use. Writes only where the mark changes, so that keys that are read often stay in all caches.
    #[inline]
    pub(crate) fn touch(self, now: AccessTime) {
        let used = &self.header().used;
        // Relaxed: a mark by itself, which orders nothing.
        if used.load(Ordering::Relaxed) != now.0 {
            // Relaxed: as above.
            used.store(now.0, Ordering::Relaxed);
        }
    }

    /// Has the processor fetch it.
    #[inline]
    pub(crate) fn prefetch(self) {
        // Relaxed: what is read is not used; nothing waits for it.
        std::hint::black_box(self.header().used.load(Ordering::Relaxed));
    }

    pub(crate) fn last_access(self) -> AccessTime {
        // Relaxed: as in `touch`.
        AccessTime(self.header().used.load(Ordering::Relaxed))
    }

    /// Bytes that it takes with the rope of its value, those included that the allocator adds: as glibc's does, a word
    /// and up to a multiple of 16.
    pub(crate) fn memory(self) -> usize {
        let header = self.header();
        let own = (header.layout().size() + 8).next_multiple_of(16).max(32);
        if header.value & OUT_OF_LINE == 0 { own } else { own + self.memory_out_of_line() }
    }

    #[inline(never)]
    fn memory_out_of_line(self) -> usize {
        match self.value() {
            Value::Rope(rope_ref, length) => rope_ref.rope().memory(length),
            Value::Inline(_) | Value::Compressed(..) => 0,
        }
    }
}

impl Header {
    /// Where key and value begin.
    #[inline]
    fn places(&self) -> (usize, usize) {
        let key = HEADER + if self.value & HAS_TTL == 0 { 0 } else { TTL_BYTES };
        (key, key + usize::from(self.key_length))
    }

    fn layout(&self) -> Layout {
        let here = self.value & OUT_OF_LINE == 0;
        let value = if here { usize::from(self.value & LENGTH) } else { INDIRECT };
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
        let now = AccessTime::of(1 << 40);
        for (key, value) in [(0, 0), (1, 1), (3, 13), (65_535, 7), (5, 100_000)] {
            let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
            let rope = Rope::of(&value);
            for expires_at in [None, Some(0), Some(u64::MAX)] {
                let here = Value::Inline(&value[..value.len().min(MAX_INLINE)]);
                let away = Value::Compressed(u64::MAX - 1, value.len());
                for value in [here, away, Value::Rope(RopeRef::of(&rope), value.len())] {
                    let record = Record::new(&key, value, expires_at, now);
                    assert_eq!((record.key(), record.value()), (&key[..], value));
                    assert_eq!((record.expires_at(), record.last_access()), (expires_at, now));
                    assert!(record.memory() >= key.len() + HEADER + 8);
                    // SAFETY: nobody else has it.
                    unsafe { record.free() };
                }
            }
            assert_eq!(Arc::strong_count(&rope), 1);
        }
    }

    #[test]
    fn keys_that_were_not_used_for_long_are_told_apart() {
        let (now, day) = (1_800_000_000_000, 86_400_000);
        for days in [1, 3, 4, 30, 365] {
            let since = AccessTime::of(now + days * day).since(AccessTime::of(now));
            assert_eq!(since, days * day, "the age of a key that was not used for {days} days");
        }
    }

    #[test]
    fn ends_are_met_when_they_come() {
        let record = Record::new(b"k", Value::Inline(b"v"), Some(1000), AccessTime::of(0));
        assert!(!record.is_expired(999) && record.is_expired(1000));
        record.touch(AccessTime::of(ACCESS_UNIT * 5));
        assert_eq!(AccessTime::of(ACCESS_UNIT * 7).since(record.last_access()), ACCESS_UNIT * 2);
        // SAFETY: nobody else has it.
        unsafe { record.free() };
    }
}
