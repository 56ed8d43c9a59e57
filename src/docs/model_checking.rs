//! Model checking: running a program that uses the maps under [loom](https://docs.rs/loom) or
//! [shuttle](https://docs.rs/shuttle).
//!
//! Both run a test repeatedly, each time with a different schedule of its threads: loom with all schedules up to a
//! bound, shuttle with random ones. In such a build, each operation on a map is one step, before which the checker may
//! switch to another thread.
//!
//! # Setup
//! No feature is needed. `--cfg loom` or `--cfg shuttle` in `RUSTFLAGS` makes hedgerow depend on the checker of that
//! name (loom 0.7, shuttle 0.9). Add the checker to your own `Cargo.toml` as well:
//!
//! ```toml
//! [target.'cfg(loom)'.dependencies]
//! loom = "0.7"
//!
//! [target.'cfg(shuttle)'.dependencies]
//! shuttle = "0.9"
//!
//! [lints.rust]
//! unexpected_cfgs = { level = "warn", check-cfg = ["cfg(loom)", "cfg(shuttle)"] }
//! ```
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --release --test races
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test races
//! ```
//!
//! # Example
//! A registry hands out names. It checks that a name is free, and then takes it:
//!
//! ```
//! use hedgerow::HashMap;
//!
//! fn register(owners: &HashMap<&'static str, u32>, name: &'static str, owner: u32) -> bool {
//!     if owners.contains_key(name) {
//!         return false;
//!     }
//!     owners.insert(name, owner); // another thread may have taken the name since
//!     true
//! }
//! # assert!(register(&HashMap::new(), "rose", 1));
//! ```
//!
//! Loom finds the schedule in which both threads get the name:
//!
//! ```ignore
//! #[test]
//! fn a_name_has_one_owner() {
//!     loom::model(|| {
//!         let owners = Arc::new(HashMap::new()); // inside the closure: each execution needs a new map
//!         let shared = owners.clone();
//!         let other = loom::thread::spawn(move || register(&shared, "rose", 2));
//!         let one = register(&owners, "rose", 1);
//!         assert_ne!(one, other.join().unwrap());
//!     });
//! }
//! ```
//!
//! The test passes once `register` is a single operation, `owners.insert_if_absent(name, owner).is_ok()`. With shuttle,
//! replace `loom::model(...)` by `shuttle::check_random(..., 1000)` and `loom::thread` by `shuttle::thread`.
//! `tests/modelled` in the repository is a complete crate with this race and two others.
//!
//! # What is explored
//! - **Every order of operations** on the same map, within the checker's bound. This includes operations that a closure
//!   calls, and closures that run again because an entry has changed.
//! - **Iteration and batched lookups:** `iter` and `get_many` take a step per entry, `retain` and `clear` one per few
//!   entries. `range`, `snapshot_many` and `apply_batch` of ordered maps are one step.
//! - **Left-right maps:** beginning and ending a read are steps, and so is each check of its readers by a waiting
//!   writer. Unpublished changes are not steps.
//! - **Claims:** two threads that want to be the writer or the last reader of a
//!   [`LeftRightTable`](crate::LeftRightTable), and the lock of a
//!   [`SharedWriteHandle`](crate::left_right::SharedWriteHandle).
//! - **Values computed once:** a thread that finds another one computing a value waits for it.
//! - **Happens-before** (loom): an operation synchronizes with all earlier operations on the same map, so access to
//!   data that a thread reached through a map is not reported as a race.
//!
//! # What is not explored
//! - **The inside of an operation.** The map is the real one, but the checker does not see its atomics; hedgerow's own
//!   models explore those.
//! - **Weak memory between operations on one map.** In a model all threads agree on one order of them, but the maps
//!   guarantee that only [per key](super::ordering): two threads that each insert a key and then look up the other's
//!   may both miss, unless both execute a `SeqCst` fence. A model does not show this, nor a missing happens-before
//!   between operations on different keys.
//! - **Contention.** Errors such as [`Busy`](crate::error::Busy) occur only while another thread is in a closure or a
//!   destructor.
//! - **When removed entries are dropped:** almost always with the map.
//!
//! # Rules
//! - Create maps in the closure of the model. A map that was used in one execution panics in the next, because its
//!   entries would still be there. Replace a `static` by the checker's own `lazy_static!`.
//! - Use the checker's threads and synchronization, not those of std. On other threads, including those of rayon and of
//!   feature `std-ext`, and outside a model, operations panic.
//! - Keep models deterministic: use the default hasher, which has a constant seed in these builds, not std's
//!   `RandomState`; and give a [`CompressedMap`](crate::CompressedMap) that expires entries a
//!   [`clock`](crate::compressed::Builder::clock) that does not read the time.
//!
//! # Small models
//! The number of executions that loom needs grows exponentially with the number of steps. For threads that insert, look
//! up (and remove) the same key of a `FlatMap`, these are the numbers with all preemptions, and with at most two:
//!
//! | threads × operations | all | two | two, if every atomic of the map were visible |
//! |---|--:|--:|--:|
//! | 2 × 2 | 14 | 9 | 524 (all: 271,952) |
//! | 2 × 3 | 50 | 16 | |
//! | 3 × 2 | 1,981 | 68 | over 500,000 |
//! | 3 × 3 | 42,390 | 126 | |
//!
//! - Begin with two threads and two or three operations each, which suffice for nearly all races.
//! - Bound the preemptions of larger models: `LOOM_MAX_PREEMPTIONS=2`, or `loom::model::Builder::preemption_bound`.
//!   Loom also limits an execution to 1,000 branches (`LOOM_MAX_BRANCHES`), and a model to five threads.
//! - Use shuttle where loom takes too long. It runs models of any size, but passing proves nothing.
//! - Build with `--release` if a model overflows its stack in a debug build. The threads of a model have small stacks:
//!   32 KiB with loom, and 60 KiB with shuttle, unless `Config::stack_size` says otherwise.
