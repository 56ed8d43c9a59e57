//! A record: key, value and metadata in one allocation. Nothing in it changes but the record of its use. A long
//! value is stored outside, and several records may share it.
//!
//! ```text
//! key's length 16 | value's length and flags 16 | usage 32 | expiration 64, if any | key | value, or a reference
//! reference: its length 32 | pointer or ticket 64
//! ```

use crate::state::rope::{MAX_INLINE, Rope};
use crate::state::slabs;
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Flags beside the value's length: the key has a TTL; the value is stored outside of the record, and the length is one
/// of the two kinds below.
const HAS_TTL: u16 = 1 << 15;
const OUT_OF_LINE: u16 = 1 << 14;
const LENGTH: u16 = OUT_OF_LINE - 1;
/// In place of the length: the value is compressed, or in a rope.
const TICKET: u16 = 0;
const ROPE: u16 = 1;

#[repr(C)]
struct RecordHeader {
    key_length: u16,
    value: u16,
    usage: AtomicU32,
}

const HEADER: usize = size_of::<RecordHeader>();
const TTL_BYTES: usize = size_of::<u64>();
/// The parts of the reference to a value outside: its length, and the pointer or ticket.
const INDIRECT_LENGTH: usize = size_of::<u32>();
const INDIRECT: usize = INDIRECT_LENGTH + size_of::<u64>();

/// A value as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The value itself: at most [`MAX_INLINE`] bytes.
    Inline(&'a [u8]),
    /// The ticket and the length of a compressed value.
    Compressed(u64, usize),
    /// The rope that contains it, and its length.
    Rope(RopeRef<'a>, usize),
}

impl Value<'_> {
    /// Returns the value's length in bytes.
    pub fn length(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Compressed(_, length) | Self::Rope(_, length) => *length,
        }
    }
}

/// A reference to a rope. Its owner holds a reference count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RopeRef<'a>(NonNull<Rope>, PhantomData<&'a Rope>);

impl<'a> RopeRef<'a> {
    pub fn of(rope: &'a Arc<Rope>) -> Self {
        let at = Arc::as_ptr(rope).cast_mut();
        Self(NonNull::new(at).expect("an allocation has an address"), PhantomData)
    }

    /// Returns the rope without a reference count of its own.
    pub(crate) fn rope(self) -> impl Deref<Target = Arc<Rope>> + use<'a> {
        // SAFETY: the pointer is from `Arc::as_ptr` or `Arc::into_raw`. The lifetime `'a` keeps another owner of the
        // rope alive, and `ManuallyDrop` keeps its count.
        ManuallyDrop::new(unsafe { Arc::from_raw(self.0.as_ptr()) })
    }
}

/// A pointer to a record.
///
/// The holder makes sure that the record was not freed. It is in a shard's map or among its retired records, or the
/// holder is a reader and has entered a published state that contains it.
#[derive(Clone, Copy)]
pub struct Record(NonNull<RecordHeader>);

// SAFETY: shared records change only in an atomic, and the thread that frees a record has it alone.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Record {
    /// Returns a number that no other record has as long as this one is not freed.
    pub fn address(self) -> usize {
        self.0.addr().get()
    }

    /// Allocates a record, with a reference count of its own for a rope. The lengths of key and value are within the
    /// limits of `request`.
    #[inline(always)]
    pub fn new(key: &[u8], value: Value<'_>, expires_at: Option<u64>, usage: u32) -> Self {
        let word = match value {
            Value::Inline(bytes) => {
                assert!(bytes.len() <= MAX_INLINE, "longer values are stored outside");
                bytes.len() as u16
            }
            Value::Compressed(..) => OUT_OF_LINE | TICKET,
            Value::Rope(..) => OUT_OF_LINE | ROPE,
        };
        let word = word | if expires_at.is_some() { HAS_TTL } else { 0 };
        let key_length = u16::try_from(key.len()).expect("keys have been measured");
        let header = RecordHeader { key_length, usage: AtomicU32::new(usage), value: word };
        let length = u32::try_from(value.length()).expect("values have been measured");
        let room = slabs::allocate(header.size());
        let this = room.cast::<RecordHeader>();
        let (key_at, value_at) = header.places();
        // SAFETY: the block was just allocated with this size: aligned for a header, with room for all parts, which do
        // not overlap.
        unsafe {
            this.write(header);
            if let Some(end) = expires_at {
                room.add(HEADER).cast::<u64>().write(end);
            }
            let room = room.as_ptr();
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

    /// Frees the record.
    ///
    /// # Safety
    /// No pointer to it is used any more.
    pub unsafe fn free(self) {
        let size = self.header().size();
        if self.header().value & OUT_OF_LINE != 0
            && let Value::Rope(rope_ref, _) = self.value()
        {
            // SAFETY: `new` has taken this reference count.
            drop(unsafe { Arc::from_raw(rope_ref.0.as_ptr()) });
        }
        // SAFETY: `new` has allocated it with this size, which depends only on fields that do not change.
        unsafe { slabs::free(self.0.cast(), size) };
    }

    /// Whether it is in a slab of which less than three quarters are used.
    pub(crate) fn is_in_sparse_slab(self) -> bool {
        // SAFETY: the holder of a record makes sure that it was not freed.
        unsafe { slabs::is_in_sparse_slab(self.0.cast(), self.header().size()) }
    }

    /// Whether both point to the same record.
    pub fn is_same(self, other: Self) -> bool {
        self.0 == other.0
    }

    fn header(&self) -> &RecordHeader {
        // SAFETY: the holder of a record makes sure that it was not freed.
        unsafe { self.0.as_ref() }
    }

    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: the record was not freed, as above. The callers pass ranges inside it, and these bytes never change.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(at), length) }
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        let header = self.header();
        self.bytes(header.places().0, header.key_length.into())
    }

    #[inline]
    pub fn value(&self) -> Value<'_> {
        let header = self.header();
        let (at, word) = (header.places().1, header.value & LENGTH);
        if header.value & OUT_OF_LINE == 0 {
            return Value::Inline(self.bytes(at, word.into()));
        }
        self.out_of_line(at, word)
    }

    /// Returns a value that is stored outside. `at` is the offset of the reference to it.
    #[inline(never)]
    fn out_of_line(&self, at: usize, kind: u16) -> Value<'_> {
        // SAFETY: the record was not freed, and `new` has written this reference.
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

    /// Returns when the key expires, in milliseconds since 1970.
    #[inline]
    pub fn expires_at(self) -> Option<u64> {
        (self.header().value & HAS_TTL != 0).then(|| {
            let end = self.bytes(HEADER, TTL_BYTES).try_into().expect("as many bytes");
            u64::from_ne_bytes(end)
        })
    }

    /// Whether the key has expired.
    #[inline]
    pub fn is_expired(self, time: u64) -> bool {
        self.expires_at().is_some_and(|end| end <= time)
    }

    /// Sets what is recorded of the record's use. Stores only if it has changed, so that keys that are read often stay
    /// in all processors' caches.
    #[inline]
    pub(crate) fn set_usage(self, now: u32) {
        let usage = &self.header().usage;
        // Relaxed: a value by itself, which orders nothing.
        if usage.load(Ordering::Relaxed) != now {
            // Relaxed: as above.
            usage.store(now, Ordering::Relaxed);
        }
    }

    /// Prefetches the record into the processor's cache.
    #[inline]
    pub(crate) fn prefetch(self) {
        // Relaxed: the value is not used, and the processor need not wait for it.
        std::hint::black_box(self.header().usage.load(Ordering::Relaxed));
    }

    /// Returns what is recorded of the record's use: see [`usage`](crate::state::usage).
    pub fn usage(self) -> u32 {
        // Relaxed: for the reason given in `set_usage`.
        self.header().usage.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the record and its rope, with the allocator's overhead.
    pub fn memory(self) -> usize {
        let header = self.header();
        let own = slabs::footprint(header.size());
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

impl RecordHeader {
    /// Returns the offsets of key and value.
    #[inline]
    fn places(&self) -> (usize, usize) {
        let key = HEADER + if self.value & HAS_TTL == 0 { 0 } else { TTL_BYTES };
        (key, key + usize::from(self.key_length))
    }

    /// Returns the bytes of the record.
    fn size(&self) -> usize {
        let here = self.value & OUT_OF_LINE == 0;
        let value = if here { usize::from(self.value & LENGTH) } else { INDIRECT };
        self.places().1 + value
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
        let now = 1 << 30;
        for (key, value) in [(0, 0), (1, 1), (3, 13), (65_535, 7), (5, 100_000)] {
            let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
            let rope = Rope::of(&value);
            for expires_at in [None, Some(0), Some(u64::MAX)] {
                let here = Value::Inline(&value[..value.len().min(MAX_INLINE)]);
                let away = Value::Compressed(u64::MAX - 1, value.len());
                for value in [here, away, Value::Rope(RopeRef::of(&rope), value.len())] {
                    let record = Record::new(&key, value, expires_at, now);
                    assert_eq!((record.key(), record.value()), (&key[..], value));
                    assert_eq!((record.expires_at(), record.usage()), (expires_at, now));
                    assert!(record.memory() >= key.len() + HEADER);
                    // SAFETY: no other pointer to it is used.
                    unsafe { record.free() };
                }
            }
            assert_eq!(Arc::strong_count(&rope), 1);
        }
    }

    #[test]
    fn keys_expire_on_time() {
        let record = Record::new(b"k", Value::Inline(b"v"), Some(1000), 0);
        assert!(!record.is_expired(999) && record.is_expired(1000));
        record.set_usage(5);
        assert_eq!(record.usage(), 5);
        // SAFETY: no other pointer to it is used.
        unsafe { record.free() };
    }
}
