//! A record: key, value and metadata in one allocation. Nothing in it changes but the record of its use. A long
//! value is stored outside, and several records may share it.
//!
//! ```text
//! key's length 16 | value's length and flags 16 | usage 32 | expiration 64, if any | key | value, or a reference
//! reference to a string: its length 32 | pointer or ticket 64
//! reference to a tree: number of entries 32 | root 64 | bytes of memory, and whether it is a table 64
//!     | the first time at which a field expires 64, if one does
//! ```

use crate::request::{Packed, ValueType};
use crate::state::rope::{MAX_INLINE, Rope};
use crate::state::slabs;
use crate::state::tree::Tree;
use crate::state::value::Value;
use crate::state::value::collection::{Collection, CollectionTree, LONGEST_PACKED};
use crate::state::value::string::{RopeRef, StringValue};
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Flags beside the value's length: the key has a TTL; the value is no string in the record, and the length is one of
/// the kinds below.
const HAS_TTL: u16 = 1 << 15;
const SPECIAL: u16 = 1 << 14;
const LENGTH: u16 = SPECIAL - 1;
/// In place of the length: the value is compressed, in a rope, or in the tree of a type, whose number is added; or it
/// is packed, of as many bytes more than [`PACKED`].
const TICKET: u16 = 0;
const ROPE: u16 = 1;
const TREE: u16 = 2;
/// A hash in a tree, of which a field expires.
const TIMED_TREE: u16 = 15;
const PACKED: u16 = 16;

const _: () = assert!(LONGEST_PACKED <= (LENGTH - PACKED) as usize);

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
/// Bytes of the reference to a tree, whose last number has this flag.
const TREE_BYTES: usize = INDIRECT + size_of::<u64>();
const IS_TABLE: u64 = 1 << 63;

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
        let (word, here): (u16, &[u8]) = match value {
            Value::String(StringValue::Inline(bytes)) => {
                assert!(bytes.len() <= MAX_INLINE, "longer values are stored outside");
                (bytes.len() as u16, bytes)
            }
            Value::String(StringValue::Compressed(..)) => (SPECIAL | TICKET, b""),
            Value::String(StringValue::Rope(..)) => (SPECIAL | ROPE, b""),
            _ => match value.collection() {
                Some(Collection::Packed(packed)) => {
                    assert!(packed.bytes().len() <= LONGEST_PACKED, "longer values are trees");
                    (SPECIAL | (PACKED + packed.bytes().len() as u16), packed.bytes())
                }
                Some(Collection::Tree(tree)) if tree.next_time().is_some() => {
                    (SPECIAL | TIMED_TREE, b"")
                }
                _ => (SPECIAL | (TREE + value.value_type() as u16), b""),
            },
        };
        let word = word | if expires_at.is_some() { HAS_TTL } else { 0 };
        let key_length = u16::try_from(key.len()).expect("keys have been measured");
        let header = RecordHeader { key_length, usage: AtomicU32::new(usage), value: word };
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
            to.copy_from_nonoverlapping(here.as_ptr(), here.len());
            if word & SPECIAL != 0 {
                write_reference(value, to);
            }
        }
        Self(this)
    }

    /// Frees the record, and not a tree, which another record may have taken over.
    ///
    /// # Safety
    /// No pointer to it is used any more.
    pub unsafe fn free(self) {
        let size = self.header().size();
        if self.header().value & SPECIAL != 0
            && let Value::String(StringValue::Rope(rope_ref, _)) = self.value()
        {
            // SAFETY: `new` has taken this reference count.
            drop(unsafe { Arc::from_raw(rope_ref.as_ptr()) });
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
        if header.value & SPECIAL == 0 {
            return Value::String(StringValue::Inline(self.bytes(at, word.into())));
        }
        self.special(at, word)
    }

    /// Returns a value that is no string in the record. `at` is the offset of the value, or of the reference to it.
    #[inline(never)]
    fn special(&self, at: usize, kind: u16) -> Value<'_> {
        if kind >= PACKED {
            let bytes = self.bytes(at, (kind - PACKED).into());
            let packed = Packed::trusted(bytes);
            return Value::of_collection(packed.value_type(), Collection::Packed(packed));
        }
        // SAFETY: the record was not freed, and `new` has written this reference. The value lives as long as it.
        unsafe {
            let at = self.0.as_ptr().cast::<u8>().add(at);
            let length = at.cast::<u32>().read_unaligned();
            let (at, behind) = (at.add(INDIRECT_LENGTH), at.add(INDIRECT));
            match kind {
                TICKET => {
                    let ticket = at.cast::<u64>().read_unaligned();
                    Value::String(StringValue::Compressed(ticket, length as usize))
                }
                ROPE => {
                    let rope = NonNull::new_unchecked(at.cast::<*mut Rope>().read_unaligned());
                    Value::String(StringValue::Rope(RopeRef::from_raw(rope), length as usize))
                }
                _ => {
                    let root = NonNull::new_unchecked(at.cast::<*mut u8>().read_unaligned());
                    let last = behind.cast::<u64>().read_unaligned();
                    let tree = Tree::from_parts((root, length, last & !IS_TABLE));
                    let mut tree = CollectionTree::new(tree, last & IS_TABLE != 0);
                    if kind == TIMED_TREE {
                        let time = behind.add(size_of::<u64>()).cast::<u64>().read_unaligned();
                        tree = tree.with_next_time(time);
                    }
                    Value::of_collection(tree_type(kind), Collection::Tree(tree))
                }
            }
        }
    }

    /// Returns the value if it is a string.
    #[inline]
    pub fn string(&self) -> Option<StringValue<'_>> {
        self.value().string()
    }

    /// Whether the value is a string in the record.
    #[inline]
    pub(crate) fn is_whole(self) -> bool {
        self.header().value & SPECIAL == 0
    }

    /// Returns the tree of a value that has one.
    #[inline]
    pub(crate) fn tree(self) -> Option<Tree> {
        match self.value().collection()? {
            Collection::Tree(tree) => Some(tree.tree()),
            Collection::Packed(_) => None,
        }
    }

    /// Returns the ticket of a compressed value.
    pub(crate) fn ticket(self) -> Option<u64> {
        match self.value() {
            Value::String(StringValue::Compressed(ticket, _)) => Some(ticket),
            _ => None,
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

    /// Returns the first time at which a field of a hash expires, in milliseconds since 1970. Does not read a tree, as
    /// [`memory`](Self::memory).
    #[inline]
    pub(crate) fn next_field_time(self) -> Option<u64> {
        let header = self.header();
        let kind = header.value & LENGTH;
        if header.value & SPECIAL == 0 || kind < TIMED_TREE {
            return None;
        }
        // Without a call for values that are packed: each change of one comes here.
        let has_times = kind == TIMED_TREE || Packed::is_timed(self.bytes(header.places().1, 1)[0]);
        if has_times { self.special_field_time() } else { None }
    }

    #[inline(never)]
    fn special_field_time(self) -> Option<u64> {
        self.value().collection()?.next_time()
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

    /// Returns the bytes of the record and what it refers to, with the allocator's overhead. Does not read a tree,
    /// which may have changed since: see [`Undo::Superseded`](super::shard::undo::Undo).
    pub fn memory(self) -> usize {
        let header = self.header();
        let own = slabs::footprint(header.size());
        if header.value & SPECIAL == 0 { own } else { own + self.memory_outside() }
    }

    #[inline(never)]
    fn memory_outside(self) -> usize {
        match self.value() {
            Value::String(StringValue::Rope(rope_ref, length)) => rope_ref.rope().memory(length),
            _ => self.tree().map_or(0, |tree| tree.bytes() as usize),
        }
    }
}

/// Writes the reference to a value, with a reference count of its own for a rope. Nothing if the value is in the
/// record.
///
/// # Safety
/// There is room for it.
#[inline(never)]
unsafe fn write_reference(value: Value<'_>, to: *mut u8) {
    let length = match (value, value.collection()) {
        (Value::String(value), _) => {
            u32::try_from(value.length()).expect("values have been measured")
        }
        (_, Some(Collection::Tree(tree))) => tree.tree().entries(),
        _ => return,
    };
    // SAFETY: the caller has promised the room.
    unsafe {
        to.cast::<u32>().write_unaligned(length);
        let (away, behind) = (to.add(INDIRECT_LENGTH), to.add(INDIRECT));
        match value {
            Value::String(StringValue::Compressed(ticket, _)) => {
                away.cast::<u64>().write_unaligned(ticket);
            }
            Value::String(StringValue::Rope(rope_ref, _)) => {
                let share = Arc::into_raw(Arc::clone(&rope_ref.rope()));
                away.cast::<*const Rope>().write_unaligned(share);
            }
            _ => {
                let Some(Collection::Tree(tree)) = value.collection() else { return };
                let flag = if tree.is_table() { IS_TABLE } else { 0 };
                let (root, _, bytes) = tree.tree().into_parts();
                away.cast::<*mut u8>().write_unaligned(root.as_ptr());
                behind.cast::<u64>().write_unaligned(bytes | flag);
                if let Some(time) = tree.next_time() {
                    behind.add(size_of::<u64>()).cast::<u64>().write_unaligned(time);
                }
            }
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
        let length = self.value & LENGTH;
        let value = if self.value & SPECIAL == 0 { length.into() } else { special_bytes(length) };
        self.places().1 + value
    }
}

/// Returns the bytes in the record of a value of a kind.
fn special_bytes(kind: u16) -> usize {
    match kind {
        TICKET | ROPE => INDIRECT,
        TREE..TIMED_TREE => TREE_BYTES,
        TIMED_TREE => TREE_BYTES + size_of::<u64>(),
        packed => (packed - PACKED).into(),
    }
}

/// Returns the type of a value that is a tree.
fn tree_type(kind: u16) -> ValueType {
    if kind == TIMED_TREE { ValueType::Hash } else { ValueType::ALL[usize::from(kind - TREE)] }
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
    use crate::request::Packer;

    #[test]
    fn a_record_is_what_it_was_made_of() {
        let now = 1 << 30;
        for (key, value) in [(0, 0), (1, 1), (3, 13), (65_535, 7), (5, 100_000)] {
            let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
            let rope = Rope::of(&value);
            for expires_at in [None, Some(0), Some(u64::MAX)] {
                let here = StringValue::Inline(&value[..value.len().min(MAX_INLINE)]);
                let away = StringValue::Compressed(u64::MAX - 1, value.len());
                let rope = StringValue::Rope(RopeRef::of(&rope), value.len());
                let mut packer = Packer::new(ValueType::Hash);
                packer.push(b"field", &value[..value.len().min(LONGEST_PACKED - 20)]);
                let packed =
                    Value::of_collection(ValueType::Hash, Collection::Packed(packer.packed()));
                for value in [here, away, rope].map(Value::String).into_iter().chain([packed]) {
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
        let record = Record::new(b"k", Value::String(StringValue::Inline(b"v")), Some(1000), 0);
        assert!(!record.is_expired(999) && record.is_expired(1000));
        record.set_usage(5);
        assert_eq!(record.usage(), 5);
        // SAFETY: no other pointer to it is used.
        unsafe { record.free() };
    }
}
