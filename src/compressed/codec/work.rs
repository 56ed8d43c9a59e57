//! Working memory of compressors. It is kept from value to value, so that none of them allocates or needs much stack.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

/// Places of a table of 16 KiB.
const PLACES: usize = 1 << 12;
/// Places of a table of 1 KiB.
const FEW_PLACES: usize = 1 << 8;
/// The most steps of paths through a text that are kept at once.
pub(super) const WINDOW: usize = 1024;

/// Working memory of compressors.
///
/// Each thread that compresses has its own, and passes it to each [`compress`](super::Model::compress). The result does
/// not depend on earlier values.
///
/// ```
/// use hedgerow::compressed::codec::{Codec, Lz4, Work};
///
/// let (model, mut work) = (Lz4::new().untrained().unwrap(), Work::new());
/// let (value, mut stored, mut back) = ([7; 300], [0; 300], [0; 300]);
/// let length = model.compress(&value, &mut stored, &mut work).unwrap();
/// assert!(length < 20);
/// model.decompress(&stored[..length], &mut back)?;
/// assert_eq!(back, value);
/// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
/// ```
pub struct Work {
    places: Box<[u32]>,
    /// The number of the next value's first byte, counted over all values. A place with a smaller number belongs to an
    /// earlier value, so no place is ever cleared.
    next: u32,
    /// Steps of the cheapest paths through a text.
    steps: Box<[u32]>,
    /// Values that codecs of other crates keep here.
    kept: Vec<Box<dyn Any + Send>>,
}

impl Work {
    /// Allocates 20 KiB. Aborts if the allocator has none.
    pub fn new() -> Self {
        Self::with_places(PLACES)
    }

    /// Allocates 1.5 KiB, for small budgets: values are compressed a little less.
    pub fn small() -> Self {
        Self::with_places(FEW_PLACES)
    }

    fn with_places(count: usize) -> Self {
        let steps = vec![0; WINDOW.min(count / 2)].into();
        Self { places: vec![0; count].into(), next: 1, steps, kept: Vec::new() }
    }

    /// Returns the value of a type that a codec of another crate keeps here, one for each type. The first call makes
    /// it, which allocates. A map's budget does not include the memory of these values.
    ///
    /// ```
    /// let mut work = hedgerow::compressed::codec::Work::new();
    /// work.keep::<Vec<u8>>().push(1);
    /// assert_eq!(*work.keep::<Vec<u8>>(), [1]);
    /// ```
    pub fn keep<T: Any + Send + Default>(&mut self) -> &mut T {
        let at = self.kept.iter().position(|kept| kept.is::<T>()).unwrap_or_else(|| {
            self.kept.push(Box::new(T::default()));
            self.kept.len() - 1
        });
        self.kept[at].downcast_mut().expect("found by its type")
    }

    /// Returns the bytes on the heap, without values that other codecs keep here.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.places) + size_of_val(&*self.steps)
    }

    /// Returns the table, and the number of the first of the next `length` bytes: smaller numbers in the table belong
    /// to earlier values. `None` if the length is beyond counting.
    #[cfg_attr(not(feature = "lz4"), expect(dead_code, reason = "for codecs that look back"))]
    pub(super) fn places(&mut self, length: usize) -> Option<(&mut [u32], u32)> {
        let length = u32::try_from(length).ok().filter(|&length| length < u32::MAX / 2)?;
        if self.next.checked_add(length).is_none() {
            self.places.fill(0);
            self.next = 1;
        }
        let first = self.next;
        self.next += length;
        Some((&mut self.places, first))
    }

    pub(super) fn steps(&mut self) -> &mut [u32] {
        &mut self.steps
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_forgotten_when_numbers_run_out() {
        let mut work = Work::small();
        work.next = u32::MAX - 10;
        let (places, first) = work.places(10).unwrap();
        assert_eq!(first, u32::MAX - 10);
        places.fill(first);
        let (places, first) = work.places(10).unwrap();
        assert_eq!(first, 1);
        assert!(places.iter().all(|&place| place < first), "places of earlier values are kept");
        assert!(work.places(u32::MAX as usize).is_none());
    }
}
