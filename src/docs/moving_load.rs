//! Load that moves: how a [`FenceMap`](crate::FenceMap) follows it, with and without workers.
//!
//! A `FenceMap` lists its leaves in *fences*, runs of consecutive leaves. The versions that leaves have anyway tell
//! where writes happen, and [`rebalance_step`](crate::FenceMap::rebalance_step) evens out the work of the fences: a
//! busy fence gives leaves to a neighbour or is split, idle ones are joined. No entry moves.
//!
//! In the plot two threads write to the words of some Rust sources, in order. Nine writes of ten fall on a sixteenth of
//! the words, the hot range, which jumps a few times and then wanders from one end to the other. A worker
//! (`std_ext::FenceWorkers`) balances every millisecond:
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("hot_range.svg")]
//! </div>
//!
//! `cargo run --release --example hot_range --features std-ext` draws the plot. It made 24 moves and checked every
//! 20,000 writes whether the fences had followed, that is, whether no fence had more than a fifth of the hot range any
//! more. They had after 42,000 writes for half of the moves, after 125,000 for 22 of them, and after 261,000 for all.
//! The worker goes by the clock, so these numbers depend on how often it runs and on how many fences it looks at: here
//! 32 of some tens, each millisecond in which it had a processor, on two processors that had other work as well.
//!
//! # When to have workers
//!
//! Balancing alone gains two threads nothing: fences have no locks, leaves do, and two threads seldom meet in one of a
//! hundred leaves. The table is about two threads that change 1 M entries of `u64 → u64`, a hundredth of them hot. It
//! has the processor time of a change, all threads together, in ns, and in parentheses the throughput relative to
//! `compute`. (`cargo bench --bench workers --features std-ext`, medians of nine interleaved rounds. One CPU type: two
//! cores of a virtual Intel Xeon at 2.5 GHz, otherwise idle.)
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
//! A third thread, the worker, has to share the two cores with the two that write. Conclusions:
//!
//! - Do not hand over single requests: two allocations, two mutexes and a wake-up cost several times what the change
//!   does. So requests are executed in place unless a fence is *hot*, which takes thousands of failed attempts to lock
//!   a leaf within a millisecond. Two threads had fewer than five in 800,000 changes.
//! - Hand over many requests together, if no thread waits for the answers and their keys are close together: a worker
//!   sorts thousands of changes, prefetches their leaves and locks each leaf once for all its changes. `threshold(0)`
//!   hands over all requests. A worker applies batches of several callers together only if
//!   [`ByType`](crate::fence::ByType) supports the type of the keys and ranks them: any other `Ord` may panic, and then
//!   only its own batch must fail.
//! - With `threshold(0)` and one worker, all changes of a key are made in the order in which they were handed over.
//!   Otherwise a change may be made in place while an earlier one still waits. If the order matters, wait for the
//!   ticket.
