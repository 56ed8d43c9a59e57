//! Users that break every contract that safe code can break, and oracles that judge the map's reaction.
//!
//! A [`Program`](program::Program) is a short list of operations on one map, with *manners*: how the user's `Hash`,
//! `Eq`, `Ord` and `Clone` lie, at which call user code panics or calls the map again, which allocation fails, which
//! guard is leaked. It runs on one to three threads ([`play`]). These hold for all manners:
//!
//! - no value is dropped twice, or while a reader can see it, or never (unless a guard was leaked, or a destructor
//!   panicked);
//! - no value is torn: two words that belong together agree;
//! - *lasting* keys, which no operation of the program names and about which no trait lies, are found at every time
//!   with their values, and a walk meets each of them exactly once;
//! - every call ends, and no call panics by itself.
//!
//! Programs come from a seed or from a fuzzer's bytes, and a failing one is shortened ([`minimize`]).
//!
//! ```sh
//! cargo run --release -p hedgerow-hostile -- --programs 1000000
//! cargo run --release -p hedgerow-hostile -- --replay flat_pairs 00112233…
//! ```

pub mod minimize;
pub mod play;
pub mod program;
pub mod subjects;
pub mod things;
pub mod world;

#[path = "../../support/alloc.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "the tests share it, and use more of it"
)]
mod alloc;

/// Fails where a program says so.
#[global_allocator]
static ALLOCATOR: alloc::Injected = alloc::Injected;
