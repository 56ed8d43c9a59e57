//! A record: key, value and what else is known of them, in one allocation that never changes but for the mark of its
//! last use. A long value is kept elsewhere, and several records may lead to it.
//!
//! ```text
//! key's length 16 | value's length and flags 16 | last use 32 | end 64, if it has one | key | value, or where it is
//! where it is: its length 32 | pointer or ticket 64
//! ```

use crate::state::rope::{LONGEST_HERE, Rope};
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
const ENDS: u16 = 1 << 15;
const ELSEWHERE: u16 = 1 << 14;
const LENGTH: u16 = ELSEWHERE - 1;
/// In place of a length: by a ticket, or in a rope.
const TICKET: u16 = 0;
const ROPE: u16 = 1;

/// Milliseconds in the unit of last use, as in Redis: 32 bits of them are 136 years.
const USE_UNIT: u64 = 1000;

#[repr(C)]
struct Head {
    key_length: u16,
    value: u16,
    used: AtomicU32,
}

const HEAD: usize = size_of::<Head>();
const END: usize = size_of::<u64>();
/// The length of a value that is elsewhere, and where.
const AWAY_LENGTH: usize = size_of::<u32>();
const AWAY: usize = AWAY_LENGTH + size_of::<u64>();
const ALIGN: usize = align_of::<u64>();

/// What a record is made of, or says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The value itself: at most [`LONGEST_HERE`] bytes.
    Here(&'a [u8]),
    /// The ticket for it, and its length.
    Away(u64, usize),
    /// The rope that it is in, and its length.
    Long(Lent<'a>, usize),
}

impl Value<'_> {
    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Away(_, length) | Self::Long(_, length) => *length,
        }
    }
}

/// A rope, borrowed from the owner of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lent<'a>(NonNull<Rope>, PhantomData<&'a Rope>);

impl<'a> Lent<'a> {
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
pub(crate) struct UsedAt(u32);

impl UsedAt {
    pub(crate) fn of(time: u64) -> Self {
        Self((time / USE_UNIT) as u32)
    }

    /// Milliseconds from there to here, about.
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
    /// A record of its own, with its own share of a rope. Key and value are no longer than `ask` allows.
    #[inline(always)]
    pub(crate) fn new(key: &[u8], value: Value<'_>, ends: Option<u64>, used: UsedAt) -> Self {
        let word = match value {
            Value::Here(bytes) => {
                assert!(bytes.len() <= LONGEST_HERE, "longer values are elsewhere");
                bytes.len() as u16
            }
            Value::Away(..) => ELSEWHERE | TICKET,
            Value::Long(..) => ELSEWHERE | ROPE,
        };
        let word = word | if ends.is_some() { ENDS } else { 0 };
        let key_length = u16::try_from(key.len()).expect("keys have been measured");
        let head = Head { key_length, used: AtomicU32::new(used.0), value: word };
        let length = u32::try_from(value.length()).expect("values have been measured");
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
            let to = room.add(value_at);
            let away = to.add(if word & ELSEWHERE == 0 { 0 } else { AWAY_LENGTH });
            match value {
                Value::Here(bytes) => to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()),
                Value::Away(ticket, _) => away.cast::<u64>().write_unaligned(ticket),
                Value::Long(lent, _) => {
                    let share = Arc::into_raw(Arc::clone(&lent.rope()));
                    away.cast::<*const Rope>().write_unaligned(share);
                }
            }
            if word & ELSEWHERE != 0 {
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
        let layout = self.head().layout();
        if self.head().value & ELSEWHERE != 0
            && let Value::Long(lent, _) = self.value()
        {
            // SAFETY: the share that `new` took.
            drop(unsafe { Arc::from_raw(lent.0.as_ptr()) });
        }
        // SAFETY: allocated in `new` with this layout, which follows from what does not change.
        unsafe { dealloc(self.0.as_ptr().cast(), layout) };
    }

    /// Whether both are one.
    pub(crate) fn is(self, other: Self) -> bool {
        self.0 == other.0
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
        let (at, word) = (head.places().1, head.value & LENGTH);
        if head.value & ELSEWHERE == 0 {
            return Value::Here(self.bytes(at, word.into()));
        }
        self.elsewhere(at, word)
    }

    /// A value that is elsewhere: `at` is what tells where.
    #[inline(never)]
    fn elsewhere(&self, at: usize, kind: u16) -> Value<'_> {
        // SAFETY: not freed, and written in `new`.
        unsafe {
            let at = self.0.as_ptr().cast::<u8>().add(at);
            let length = at.cast::<u32>().read_unaligned() as usize;
            let at = at.add(AWAY_LENGTH);
            if kind == TICKET {
                return Value::Away(at.cast::<u64>().read_unaligned(), length);
            }
            let rope = at.cast::<*mut Rope>().read_unaligned();
            Value::Long(Lent(NonNull::new_unchecked(rope), PhantomData), length)
        }
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

    /// Bytes that it takes with the rope of its value, those included that the allocator adds: as glibc's does, a word
    /// and up to a multiple of 16.
    pub(crate) fn memory(self) -> usize {
        let head = self.head();
        let own = (head.layout().size() + 8).next_multiple_of(16).max(32);
        if head.value & ELSEWHERE == 0 { own } else { own + self.memory_elsewhere() }
    }

    #[inline(never)]
    fn memory_elsewhere(self) -> usize {
        match self.value() {
            Value::Long(lent, length) => lent.rope().memory(length),
            Value::Here(_) | Value::Away(..) => 0,
        }
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
        let here = self.value & ELSEWHERE == 0;
        let value = if here { usize::from(self.value & LENGTH) } else { AWAY };
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
            let rope = Rope::of(&value);
            for ends in [None, Some(0), Some(u64::MAX)] {
                let here = Value::Here(&value[..value.len().min(LONGEST_HERE)]);
                let away = Value::Away(u64::MAX - 1, value.len());
                for value in [here, away, Value::Long(Lent::of(&rope), value.len())] {
                    let record = Record::new(&key, value, ends, now);
                    assert_eq!((record.key(), record.value()), (&key[..], value));
                    assert_eq!((record.ends(), record.used()), (ends, now));
                    assert!(record.memory() >= key.len() + HEAD + 8);
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
            let since = UsedAt::of(now + days * day).since(UsedAt::of(now));
            assert_eq!(since, days * day, "the age of a key that was not used for {days} days");
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
