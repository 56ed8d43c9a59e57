//! One computes, the others wait for it: threads, or tasks of an async runtime.
//!
//! A cache of dear results wants each key computed once, however many ask for it at the same time. No map
//! can do that by itself: whoever computes under the map's lock holds everybody up, and in async code
//! whoever holds a lock, or a guard that is one, across an `await` blocks other tasks or deadlocks. The pattern
//! that works puts a *cell* under the key, at once, and computes into the cell, outside of the map.
//!
//! # Threads
//! The cell is std's `OnceLock`. The first to ask computes; others wait for the cell, not for the map.
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
//! The cell is behind an `Arc`, so that no guard has to be held while a task waits: the map is asked once, the
//! clone is kept across the `await`, and the future is `Send`. Runtimes bring such a cell (tokio's
//! `sync::OnceCell`, async-lock's); this one is as small as can be.
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
//!     // Whoever gets its own cell in is the one to compute. The guard goes before the first `await`.
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
//! A computation that fails, or a task that is dropped amid it, should take its cell out again with
//! [`remove_if`](crate::HashMap::remove_if), so that the next one to ask tries anew.
//!
//! # Guards and `await`
//! A [`Ref`](crate::owned::Ref) holds a [`Guard`](crate::owned::Guard), which stays in its thread. So a future that
//! holds one across an `await` is not `Send`, and the compiler says so. It blocks no other task, though. If a borrowed
//! value has to outlive an `await`, borrow it from what [`pin_owned`](crate::HashMap::pin_owned) returns, which may be
//! held across it; what is removed meanwhile, from any map, is dropped after it.
//! [`FlatMap`](crate::FlatMap) has no guards at all.
