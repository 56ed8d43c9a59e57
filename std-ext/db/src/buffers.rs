//! Memory that is used again, by things that borrow from something else each time.

/// So many bytes of one buffer are kept for the next pipeline.
pub(crate) const KEPT: usize = 1 << 20;

/// The memory of what is dropped, for things that differ in what they borrow from alone: of one size, so that the
/// memory is used again.
pub(crate) fn emptied<T, U>(mut old: Vec<T>) -> Vec<U> {
    if old.capacity() > KEPT / size_of::<T>().max(1) {
        return Vec::new();
    }
    old.clear();
    // Nothing comes of nothing, so this is not called.
    old.into_iter().map(|_| unreachable!("it was cleared")).collect()
}
