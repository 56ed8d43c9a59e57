//! What a node measures: time, counts and sizes, and how long failures last.

pub(super) mod clock;
pub(super) mod counters;
pub(super) mod failures;
pub(crate) mod histogram;
