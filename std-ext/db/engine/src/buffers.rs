//! Reuse of a vector's memory for elements of another lifetime.

/// Larger buffers are freed instead of reused.
pub const KEPT: usize = 1 << 20;

/// Empties a vector and reuses its memory for another element type. The types must differ only in lifetimes: for
/// elements of the same size, collecting in place keeps the allocation.
pub fn emptied<T, U>(mut old: Vec<T>) -> Vec<U> {
    if old.capacity() > KEPT / size_of::<T>().max(1) {
        return Vec::new();
    }
    old.clear();
    // The vector is empty, so the closure is never called.
    old.into_iter().map(|_| unreachable!("it was cleared")).collect()
}
