//! The forms in which strings are stored.

use crate::state::rope::Rope;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

/// A string as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringValue<'a> {
    /// The value itself: at most [`MAX_INLINE`](crate::state::rope::MAX_INLINE) bytes.
    Inline(&'a [u8]),
    /// The ticket and the length of a compressed value.
    Compressed(u64, usize),
    /// The rope that contains it, and its length.
    Rope(RopeRef<'a>, usize),
}

impl StringValue<'_> {
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

    /// Returns the reference to a rope that `Arc::into_raw` has returned.
    ///
    /// # Safety
    /// The reference count that this has left is not taken back during `'a`.
    pub(crate) unsafe fn from_raw(rope: NonNull<Rope>) -> Self {
        Self(rope, PhantomData)
    }

    /// Returns the pointer to the rope.
    pub(crate) fn as_ptr(self) -> *mut Rope {
        self.0.as_ptr()
    }

    /// Returns the rope without a reference count of its own.
    pub(crate) fn rope(self) -> impl Deref<Target = Arc<Rope>> + use<'a> {
        // SAFETY: the pointer is from `Arc::as_ptr` or `Arc::into_raw`. The lifetime `'a` keeps another owner of the
        // rope alive, and `ManuallyDrop` keeps its count.
        ManuallyDrop::new(unsafe { Arc::from_raw(self.0.as_ptr()) })
    }
}
