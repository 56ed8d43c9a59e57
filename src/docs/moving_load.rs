//! Load balancing in a [`FenceMap`](crate::FenceMap): how it follows a moving hot range, and when worker threads pay
//! off.
//!
//! A `FenceMap` groups its leaves into *fences*, runs of consecutive leaves.
//! [`rebalance_step`](crate::FenceMap::rebalance_step) evens out the write load of the fences, which it reads from the
//! versions of their leaves: a busy fence gives leaves to a neighbour or is split, and idle ones are merged. No entry
//! moves.
//!
//! In the plot, two threads write to the words of some Rust sources, in order. Nine of ten writes fall on a hot range,
//! a sixteenth of the words, which jumps a few times and then wanders from one end to the other. A worker
//! (`std_ext::FenceWorkers`) rebalances every millisecond:
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("hot_range.svg")]
//! </div>
//!
//! The hot range moved 24 times. The fences had followed half of the moves after 42,000 writes, 22 after 125,000 and
//! all after 261,000; that is, no fence still held more than a fifth of the hot range. `cargo run --release --example
//! hot_range --features std-ext` draws the plot.
//!
//! # When to use workers
//!
//! Rebalancing by itself does not speed up two threads: locks belong to leaves, not to fences, and two threads rarely
//! meet in one of a hundred leaves.
//!
//! Two threads update 1 M entries of `u64 → u64`, a hundredth of them hot. The table shows nanoseconds of CPU time per
//! change, summed over all threads, and in parentheses the throughput relative to `compute`. (`cargo bench --bench
//! workers --features std-ext`, medians of nine interleaved rounds; two cores of a virtual Intel Xeon at 2.5 GHz,
//! otherwise idle. The worker shares these cores with the two writers.)
//!
//! | | a hot range that moves | uniform keys |
//! |---|--:|--:|
//! | `compute` | 142 (× 1) | 227 (× 1) |
//! | `compute`, balanced in the background | 140 (× 0.98) | 227 (× 0.99) |
//! | `submit`, done in place, ticket dropped | 170 (× 0.84) | 249 (× 0.86) |
//! | `submit` and wait, done in place | 180 (× 0.77) | 261 (× 0.87) |
//! | `apply_each` of 64, without workers | 171 (× 0.84) | 218 (× 1.01) |
//! | `submit`, all handed over, ticket dropped | 611 (× 0.21) | 737 (× 0.23) |
//! | `post_all` of 64, all handed over | 66 (× 1.33) | 173 (× 0.72) |
//!
//! - **Do not hand over single requests.** Two allocations, two mutexes and a wake-up cost several times as much as the
//!   change. `submit` therefore executes in place, unless thousands of attempts to lock a fence's leaves fail within a
//!   millisecond.
//! - **Hand over large batches** if no thread waits for the results and the keys are close together. A worker sorts
//!   thousands of changes, prefetches their leaves and locks each leaf once. `threshold(0)` hands over every request.
//!   Batches of several callers are combined only for key types that [`ByType`](crate::fence::ByType) ranks.
//! - **Ordering:** changes of a key keep their order with `threshold(0)` and one worker. Otherwise a change may be made
//!   in place while an earlier one is still queued; wait for its ticket if the order matters.
