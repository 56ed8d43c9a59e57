//! Keys whose comparison is a test's code.

use std::cell::Cell;

/// `PartialOrd`, `PartialEq` and `Eq` of types, by their `Ord`.
#[allow(unused_macros, reason = "each test binary uses a part of these helpers")]
macro_rules! compare_by_cmp {
    ($($name:ty),*) => {$(
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl Eq for $name {}
    )*};
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use compare_by_cmp;

thread_local! {
    /// The number of comparisons that have changed the map; `None` if they must not change it.
    static MEDDLED: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Runs `work`, whose comparisons call [`meddle`] to change the leaf that they are in.
pub(crate) fn meddling<T>(work: impl FnOnce() -> T) -> T {
    MEDDLED.set(Some(0));
    let done = work();
    MEDDLED.set(None);
    done
}

/// Called by a comparison: within [`meddling`], calls `change` with the number of changes before this one. Comparisons
/// that `change` makes change nothing.
pub(crate) fn meddle(change: impl FnOnce(u32)) {
    let Some(calls) = MEDDLED.take() else { return };
    assert!(calls < 10_000, "an operation that may not wait begins again and again");
    change(calls);
    MEDDLED.set(Some(calls + 1));
}
