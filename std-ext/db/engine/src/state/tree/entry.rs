//! The entries of nodes, and the blobs of those that are long.
//!
//! ```text
//! of a leaf:        key's length 8 | value's length 8 | key | value
//! of an inner node: key's length 8 | 12           8 | key | child 64 | entries beneath 32
//! long, of a leaf:  length of what follows 8 | 255 8 | the key's first bytes | blob 64
//! long, of an inner node:                  | 254 8 | the key's first bytes | blob 64 | child 64 | entries beneath 32
//! blob: birth 64 | key's length 32 | value's length 32 | key | value
//! ```

use super::block;
use super::layout::{Node, ROOM, SLOT};
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// The longest key and value that are stored in a node, together. So a node that is full has at least four entries.
pub(super) const MAX_SHORT: usize = 192;
/// The bytes of a long key that are stored in the node.
pub(super) const LONG_PREFIX: usize = 32;
/// In place of the value's length.
const LONG: u8 = 255;
const LONG_SEPARATOR: u8 = 254;
/// The bytes of the two lengths, of a pointer, and of the reference to a child.
const LENGTHS: usize = 2;
const POINTER: usize = size_of::<*mut u8>();
pub(super) const CHILD: usize = POINTER + size_of::<u32>();
/// The longest entry, with its slot.
pub(super) const MAX_ENTRY: usize = LENGTHS + MAX_SHORT + SLOT;

const _: () = assert!(MAX_SHORT < LONG_SEPARATOR as usize);
const _: () = assert!(LENGTHS + LONG_PREFIX + POINTER + CHILD <= LENGTHS + MAX_SHORT);
const _: () = assert!(ROOM / MAX_ENTRY >= 3);

/// The longest first part of a [`Key`]: a byte and a score.
pub(super) const MAX_PREFIX: usize = 9;

/// The bytes of a key in two parts, so that callers need not join them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    prefix: [u8; MAX_PREFIX],
    prefix_length: u8,
    rest: &'a [u8],
    /// The first eight bytes of the key, as a number that has the order of the bytes. A shorter key has zeros there.
    head: u64,
}

impl<'a> Key<'a> {
    /// The key of each entry of a sequence.
    pub(super) const EMPTY: Self =
        Self { prefix: [0; MAX_PREFIX], prefix_length: 0, rest: b"", head: 0 };

    /// Returns the key that begins with `prefix`, of at most 9 bytes.
    #[inline]
    pub(crate) fn new(prefix: &[u8], rest: &'a [u8]) -> Self {
        let (mut bytes, mut head) = ([0; MAX_PREFIX], [0; 8]);
        bytes[..prefix.len()].copy_from_slice(prefix);
        let of_prefix = prefix.len().min(head.len());
        head[..of_prefix].copy_from_slice(&prefix[..of_prefix]);
        let more = rest.len().min(head.len() - of_prefix);
        head[of_prefix..][..more].copy_from_slice(&rest[..more]);
        let head = u64::from_be_bytes(head);
        Self { prefix: bytes, prefix_length: prefix.len() as u8, rest, head }
    }

    fn prefix(&self) -> &[u8] {
        &self.prefix[..self.prefix_length.into()]
    }

    fn len(&self) -> usize {
        self.prefix().len() + self.rest.len()
    }

    /// Returns the first four bytes of the key.
    #[inline(always)]
    pub(super) fn head4(&self) -> u32 {
        (self.head >> 32) as u32
    }

    /// Compares the key with that of an entry in a node.
    #[inline]
    pub(super) fn compare(&self, entry: Entry<'_>) -> Ordering {
        let of_head = self.head.cmp(&entry.head());
        if of_head != Ordering::Equal {
            return of_head;
        }
        if entry.is_long() {
            // The bytes in the node decide most comparisons, without a look into the blob.
            let begin = entry.stored_key();
            let of_begin = self.compare_bytes(begin, begin.len());
            if of_begin != Ordering::Equal {
                return of_begin;
            }
        }
        self.compare_bytes(entry.key(), usize::MAX)
    }

    /// Compares the first `most` bytes of the key with `other`.
    fn compare_bytes(&self, other: &[u8], most: usize) -> Ordering {
        let prefix = self.prefix();
        let prefix = &prefix[..prefix.len().min(most)];
        let rest = &self.rest[..self.rest.len().min(most - prefix.len())];
        let (begin, end) = other.split_at(prefix.len().min(other.len()));
        prefix.cmp(begin).then_with(|| rest.cmp(end))
    }

    /// Writes the first `length` bytes of the key.
    ///
    /// # Safety
    /// The key is as long, and there is room.
    unsafe fn write(&self, to: *mut u8, length: usize) {
        let prefix = &self.prefix()[..self.prefix().len().min(length)];
        // SAFETY: the caller's promise.
        unsafe {
            to.copy_from_nonoverlapping(prefix.as_ptr(), prefix.len());
            let rest = &self.rest[..length - prefix.len()];
            to.add(prefix.len()).copy_from_nonoverlapping(rest.as_ptr(), rest.len());
        }
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(key: &'a [u8]) -> Self {
        Self::new(b"", key)
    }
}

#[repr(C)]
pub(super) struct BlobHeader {
    birth: u64,
    key_length: u32,
    value_length: u32,
}

/// A pointer to a long entry's key and value. They do not change.
///
/// The holder makes sure that the blob was not freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blob(NonNull<BlobHeader>);

// SAFETY: blobs do not change, and the thread that frees one has it alone.
unsafe impl Send for Blob {}
// SAFETY: as above.
unsafe impl Sync for Blob {}

impl Blob {
    fn new(birth: u64, key: &Key<'_>, value: &[u8]) -> Self {
        let length = |length: usize| u32::try_from(length).expect("keys and values were measured");
        let header =
            BlobHeader { birth, key_length: length(key.len()), value_length: length(value.len()) };
        let block = block::allocate(size_of::<BlobHeader>() + key.len() + value.len());
        // SAFETY: the block was just allocated with room for all parts, and is aligned for a `u64`.
        unsafe {
            block.cast().write(header);
            let bytes = block.as_ptr().add(size_of::<BlobHeader>());
            key.write(bytes, key.len());
            bytes.add(key.len()).copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        Self(block.cast())
    }

    /// # Safety
    /// No pointer to the blob is used any more.
    pub(super) unsafe fn free(self) {
        // SAFETY: `new` has allocated it with this size.
        unsafe { block::free(self.0.cast(), self.size()) };
    }

    fn header(&self) -> &BlobHeader {
        // SAFETY: the holder of a blob makes sure that it was not freed.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn birth(self) -> u64 {
        self.header().birth
    }

    /// Returns the bytes of its block.
    pub(super) fn size(self) -> usize {
        let header = self.header();
        size_of::<BlobHeader>() + header.key_length as usize + header.value_length as usize
    }

    /// # Safety
    /// The blob is not freed during `'a`.
    unsafe fn parts<'a>(self) -> (&'a [u8], &'a [u8]) {
        let header = self.header();
        let (key, value) = (header.key_length as usize, header.value_length as usize);
        // SAFETY: `new` has written key and value behind the header, and they do not change.
        unsafe {
            let bytes = self.0.add(1).cast::<u8>().as_ptr();
            let value = std::slice::from_raw_parts(bytes.add(key), value);
            (std::slice::from_raw_parts(bytes, key), value)
        }
    }
}

/// A pointer to an entry, which is neither freed nor changed during `'a`. At least eight bytes behind one that is in a
/// node can be read.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a>(NonNull<u8>, PhantomData<&'a [u8]>);

impl<'a> Entry<'a> {
    /// # Safety
    /// There is an entry, and it is as described above.
    #[inline(always)]
    pub(super) unsafe fn at(at: NonNull<u8>) -> Self {
        Self(at, PhantomData)
    }

    pub(super) fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// # Safety
    /// The bytes are part of the entry or of the eight bytes behind it, and initialized.
    #[inline(always)]
    unsafe fn read<T: Copy>(self, at: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at).cast::<T>().read_unaligned() }
    }

    #[inline(always)]
    fn stored_length(self) -> usize {
        // SAFETY: an entry begins with two lengths.
        unsafe { self.read::<u8>(0) }.into()
    }

    #[inline(always)]
    fn kind(self) -> u8 {
        // SAFETY: as above.
        unsafe { self.read::<u8>(1) }
    }

    pub(super) fn is_long(self) -> bool {
        self.kind() >= LONG_SEPARATOR
    }

    /// Returns the first eight bytes of the key, as those of a [`Key`]. The entry is in a node.
    #[inline(always)]
    fn head(self) -> u64 {
        // SAFETY: eight bytes behind each entry can be read.
        let bytes = u64::from_be(unsafe { self.read(LENGTHS) });
        match self.stored_length() {
            8.. => bytes,
            0 => 0,
            length => bytes & u64::MAX << (64 - 8 * length),
        }
    }

    /// Returns the first four bytes of the key.
    pub(super) fn head4(self) -> u32 {
        let (mut head, key) = ([0; 4], self.stored_key());
        let length = key.len().min(4);
        head[..length].copy_from_slice(&key[..length]);
        u32::from_be_bytes(head)
    }

    /// Returns the bytes of the key that are stored in the node.
    pub(super) fn stored_key(self) -> &'a [u8] {
        // SAFETY: they follow the lengths.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(LENGTHS), self.stored_length()) }
    }

    #[inline]
    pub(super) fn blob(self) -> Option<Blob> {
        if !self.is_long() {
            return None;
        }
        // SAFETY: a long entry has this pointer behind the stored bytes of the key.
        Some(Blob(unsafe { self.read(LENGTHS + self.stored_length()) }))
    }

    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        match self.blob() {
            None => self.stored_key(),
            // SAFETY: a blob lives as long as the entry.
            Some(blob) => unsafe { blob.parts().0 },
        }
    }

    /// Returns the value of a leaf's entry.
    #[inline]
    pub(super) fn value(self) -> &'a [u8] {
        match self.blob() {
            // SAFETY: the value follows the key.
            None => unsafe {
                let at = self.0.as_ptr().add(LENGTHS + self.stored_length());
                std::slice::from_raw_parts(at, self.kind().into())
            },
            // SAFETY: a blob lives as long as the entry.
            Some(blob) => unsafe { blob.parts().1 },
        }
    }

    /// Returns the bytes of the entry in the node.
    #[inline]
    pub(super) fn length(self) -> usize {
        let behind = match self.kind() {
            LONG => POINTER,
            LONG_SEPARATOR => POINTER + CHILD,
            value => value.into(),
        };
        LENGTHS + self.stored_length() + behind
    }

    #[inline(always)]
    fn child_at(self) -> usize {
        let blob = if self.kind() == LONG_SEPARATOR { POINTER } else { 0 };
        LENGTHS + self.stored_length() + blob
    }

    /// # Safety
    /// It is an entry of an inner node.
    #[inline(always)]
    pub(super) unsafe fn child(self) -> Node {
        // SAFETY: there is a reference to a child.
        unsafe { self.read(self.child_at()) }
    }

    /// # Safety
    /// As for `child`.
    #[inline(always)]
    pub(super) unsafe fn child_entries(self) -> u32 {
        // SAFETY: there is a reference to a child.
        unsafe { self.read(self.child_at() + POINTER) }
    }

    /// # Safety
    /// As for `child`, and the caller may write to the entry.
    pub(super) unsafe fn set_child(self, child: Node, entries: u32) {
        // SAFETY: there is room for a reference to a child. The pointer is written as such, so it keeps its provenance.
        unsafe {
            let at = self.0.add(self.child_at());
            at.cast::<Node>().write_unaligned(child);
            at.add(POINTER).cast::<u32>().write_unaligned(entries);
        }
    }

    /// # Safety
    /// There is room, outside of this entry.
    pub(super) unsafe fn copy_to(self, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { to.copy_from_nonoverlapping(self.0.as_ptr(), self.length()) };
    }
}

/// An entry that is not in a node yet. If it is long, its blob was allocated.
pub(super) struct EntryBytes([MaybeUninit<u8>; LENGTHS + MAX_SHORT]);

impl EntryBytes {
    /// Returns an entry of a leaf.
    #[inline]
    pub(super) fn of(key: &Key<'_>, value: &[u8], window: u64) -> Self {
        let mut this = Self([MaybeUninit::uninit(); LENGTHS + MAX_SHORT]);
        if key.len() + value.len() > MAX_SHORT {
            this.put_long(LONG, key, value, window);
            return this;
        }
        this.put_key(key, key.len(), value.len() as u8);
        // SAFETY: the length was checked.
        unsafe {
            let at = this.as_mut_ptr().add(LENGTHS + key.len());
            at.copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        this
    }

    /// Returns an entry of an inner node.
    pub(super) fn separator(key: &[u8], child: Node, window: u64) -> Self {
        let mut this = Self([MaybeUninit::uninit(); LENGTHS + MAX_SHORT]);
        let key = Key::from(key);
        if key.len() + CHILD > MAX_SHORT {
            this.put_long(LONG_SEPARATOR, &key, b"", window);
        } else {
            this.put_key(&key, key.len(), CHILD as u8);
        }
        let at = NonNull::from(&mut this.0).cast();
        // SAFETY: the lengths are those of an inner node's entry, and nobody else has it.
        unsafe { Entry::at(at).set_child(child, child.tree_entries()) };
        this
    }

    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }

    fn put_long(&mut self, kind: u8, key: &Key<'_>, value: &[u8], window: u64) {
        let blob = Blob::new(window, key, value);
        let stored = key.len().min(LONG_PREFIX);
        self.put_key(key, stored, kind);
        // SAFETY: there is room, as a constant assertion checks.
        unsafe { self.as_mut_ptr().add(LENGTHS + stored).cast::<Blob>().write_unaligned(blob) };
    }

    /// Writes the lengths, and this many bytes of the key.
    fn put_key(&mut self, key: &Key<'_>, stored: usize, kind: u8) {
        assert!(stored <= MAX_SHORT, "longer keys are not stored in nodes");
        self.0[0].write(stored as u8);
        self.0[1].write(kind);
        // SAFETY: the length was checked.
        unsafe { key.write(self.as_mut_ptr().add(LENGTHS), stored) };
    }

    /// Returns the entry, with which no key is compared: nothing can be read behind it.
    #[inline]
    pub(super) fn entry(&self) -> Entry<'_> {
        Entry(NonNull::from(&self.0).cast(), PhantomData)
    }
}
