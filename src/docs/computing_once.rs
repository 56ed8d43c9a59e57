//! One thread or task computes a value, and the others wait for it.
//!
//! A cache of expensive results should compute each key once, however many threads request it at the same time.
//! [`CompressedMap`](crate::CompressedMap) does so for bytes, by `get_or_insert_with`, which blocks waiting threads.
//! The other maps let each caller compute, and keep one result, because none holds a lock meanwhile: a thread that
//! computes under a map's lock delays all others, and in async code a task that holds a lock across an `await` blocks
//! other tasks or deadlocks. There, put a *cell* under the key at once, and compute into the cell, outside of the map.
//!
//! # Threads
//! The cell is std's `OnceLock`. The first thread computes; the others wait for the cell, not for the map.
//!
//! ```
//! use hedgerow::HashMap;
//! use std::sync::OnceLock;
//! use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
//!
//! let cache = HashMap::<String, OnceLock<usize>>::new();
//! let computed = AtomicUsize::new(0);
//! let length_of = |word: &str| {
//!     let cell = match cache.get(word) {
//!         Some(cell) => cell,
//!         None => cache.get_or_insert_with(word.to_owned(), OnceLock::new),
//!     };
//!     *cell.get_or_init(|| {
//!         computed.fetch_add(1, Relaxed);
//!         word.len()
//!     })
//! };
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| assert_eq!(length_of("hawthorn"), 8));
//!     }
//! });
//! assert_eq!(computed.load(Relaxed), 1);
//! ```
//!
//! # Tasks
//! The cell is behind an `Arc`, so that a task holds no guard while it waits: it looks the cell up once and keeps the
//! clone across the `await`, and the future is `Send`. Runtimes have a cell for this (tokio's `sync::OnceCell`,
//! async-lock's); the one below is minimal.
//!
//! ```
//! use hedgerow::HashMap;
//! use std::future::poll_fn;
//! use std::sync::{Arc, Mutex, OnceLock};
//! use std::task::{Context, Poll, Waker};
//!
//! #[derive(Default)]
//! struct Cell {
//!     value: OnceLock<usize>,
//!     waiting: Mutex<Vec<Waker>>,
//! }
//!
//! impl Cell {
//!     fn set(&self, value: usize) {
//!         self.value.set(value).expect("one task computes");
//!         self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
//!     }
//!
//!     async fn wait(&self) -> usize {
//!         poll_fn(|context| {
//!             let mut waiting = self.waiting.lock().unwrap();
//!             if let Some(&value) = self.value.get() {
//!                 return Poll::Ready(value);
//!             }
//!             waiting.push(context.waker().clone());
//!             Poll::Pending
//!         })
//!         .await
//!     }
//! }
//!
//! static CACHE: std::sync::LazyLock<HashMap<String, Arc<Cell>>> = std::sync::LazyLock::new(Default::default);
//!
//! async fn length_of(word: &str) -> usize {
//!     // The task that stores its own cell computes. The guard is dropped before the first `await`.
//!     let mine = Arc::new(Cell::default());
//!     let cell = Arc::clone(&CACHE.get_or_insert_with(word.to_owned(), || mine.clone()));
//!     if Arc::ptr_eq(&cell, &mine) {
//!         cell.set(compute(word).await);
//!     }
//!     cell.wait().await
//! }
//! # async fn compute(word: &str) -> usize {
//! #     let mut turns = 0;
//! #     poll_fn(|context| {
//! #         turns += 1;
//! #         context.waker().wake_by_ref();
//! #         if turns < 3 { Poll::Pending } else { Poll::Ready(()) }
//! #     })
//! #     .await;
//! #     word.len()
//! # }
//!
//! fn is_send<T: Send>(task: T) -> T {
//!     task
//! }
//! let tasks = [is_send(length_of("hawthorn")), is_send(length_of("hawthorn"))];
//! # let mut tasks = tasks.map(Box::pin);
//! # let mut context = Context::from_waker(Waker::noop());
//! # let mut done = [None; 2];
//! # for _ in 0..5 {
//! #     for (task, done) in tasks.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
//! #         if let Poll::Ready(length) = task.as_mut().poll(&mut context) {
//! #             *done = Some(length);
//! #         }
//! #     }
//! # }
//! # assert_eq!(done, [Some(8); 2]);
//! ```
//!
//! A computation that fails, or a task that is dropped before its end, should remove its cell, and no other, so that
//! the next caller tries again: `cache.remove_if(word, |_, there| Arc::ptr_eq(there, &cell))`.
//!
//! # Guards and `await`
//! A [`Ref`](crate::owned::Ref) holds a [`Guard`](crate::owned::Guard), which stays in its thread. So a future that
//! holds one across an `await` is not `Send`, and the compiler says so. It blocks no other task, though. If a borrowed
//! value has to outlive an `await`, borrow it from the map that [`pin_owned`](crate::HashMap::pin_owned) returns, which
//! may be held across it. Entries that are removed meanwhile, from any map, are dropped after that pinned map.
//! [`FlatMap`](crate::FlatMap) has no guards at all.
//!
//! A [`ReadHandle`](crate::left_right::ReadHandle) of a left-right map is `Send` and not `Sync`: give each task a
//! handle of its own (`factory.handle()`), by value. A `ReadGuard` or a `Snapshot` cannot be held across an `await` of
//! a task that may move between threads. It would delay the writer, too.
