//! Load that moves: how a [`FenceMap`](crate::FenceMap) follows it, and what workers are for.
//!
//! A `FenceMap` lists its leaves in *fences*, runs of keys that follow each other. Where the writes fall is told by the
//! versions that leaves have anyway, and [`rebalance_step`](crate::FenceMap::rebalance_step) evens out what the fences
//! have to do: a busy one gives leaves to a neighbour or is split, idle ones are joined. No entry moves.
//!
//! Two threads write to the words of some Rust sources, in order; nine writes of ten fall on a sixteenth of them, which
//! is first here, then there, and at last on its way from one end to the other. A worker
//! (`std_ext::FenceWorkers`) balances, every millisecond:
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("hot_range.svg")]
//! </div>
//!
//! The picture is of `cargo run --release --example hot_range --features std-ext`. Of 24 moves, looked at every 20,000
//! writes, half were followed within 42,000 writes, 22 within 125,000 and all within 261,000: no fence had more than a
//! fifth of the hot range any more. The worker goes by the clock, so that depends on how often it looks, and at how
//! many fences: at 32 of some tens, each millisecond that it had a processor, on two of them that had other things to
//! do as well.
//!
//! # When to have workers
//!
//! Balancing alone gains two threads nothing: fences hold no locks, leaves do, and two threads seldom meet in one
//! of a hundred leaves. Two threads, 1 M entries of `u64` for `u64`, a hundredth of them hot; processors' time for a
//! change, all threads together, in ns, and behind it the throughput by that of `compute`
//! (`cargo bench --bench workers --features std-ext`, medians of nine rounds in turns, two cores of a virtual Xeon at
//! 2.5 GHz with nothing else to do):
//!
//! | | a hot range that moves | everywhere |
//! |---|--:|--:|
//! | `compute` | 142 (× 1) | 227 (× 1) |
//! | `compute`, balanced in the background | 140 (× 0.98) | 227 (× 0.99) |
//! | `submit`, done in place, ticket dropped | 170 (× 0.84) | 249 (× 0.86) |
//! | `submit` and wait, done in place | 180 (× 0.77) | 261 (× 0.87) |
//! | `apply_each` of 64, without workers | 171 (× 0.84) | 218 (× 1.01) |
//! | `submit`, all handed over, ticket dropped | 611 (× 0.21) | 737 (× 0.23) |
//! | `post_all` of 64, all handed over | 66 (× 1.33) | 173 (× 0.72) |
//!
//! A third thread, the worker, has to share the two cores with the two that write. What follows from the figures:
//!
//! - A single request is not worth a hand-over: two allocations, two mutexes and a wake-up cost several times what
//!   the change does. So requests are done in place unless a fence is *hot*, which takes thousands of failed attempts
//!   to lock a leaf in a millisecond. Two threads came to fewer than five in 800,000 changes.
//! - Many requests are, where nobody waits for the answers and they fall close together: a worker sorts thousands of
//!   changes, asks for their leaves ahead and locks each once for all its changes. Put changes together, and have all
//!   of them handed over: `threshold(0)`.
//! - With `threshold(0)` and one worker, all changes of a key are done in the order in which they were handed over.
//!   Otherwise a change may be done in place while an earlier one still waits: who minds waits for the ticket.
