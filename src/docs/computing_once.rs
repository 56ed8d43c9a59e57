//! Computing each value once: request coalescing, with threads and in async code.
//!
//! A cache should compute a missing value once, no matter how many threads or tasks ask for it. `get_or_insert_with` of
//! a [`CompressedMap`](crate::CompressedMap) does that, and blocks the waiting threads. In the other maps each caller
//! computes, and one result is kept. With those maps, insert a *cell* under the key, and compute into the cell.
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
//! Put the cell into an `Arc`. A task then clones the `Arc` and holds no guard across the `await`, so its future is
//! `Send`. In practice, use the `OnceCell` of tokio or async-lock; this one is minimal:
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
//! If a computation fails, or its task is dropped before it completes, remove its cell, and no other, so that the next
//! caller tries again: `cache.remove_if(word, |_, there| Arc::ptr_eq(there, &cell))`.
//!
//! # Guards across `await`
//! A [`Ref`](crate::owned::Ref) holds a [`Guard`](crate::owned::Guard), which must not leave its thread: a future that
//! holds one across an `await` is not `Send` and does not compile where `Send` is required. To borrow a value across an
//! `await`, borrow it from [`pin_owned`](crate::HashMap::pin_owned); entries removed in that time are dropped only
//! after it, even those of other maps. [`FlatMap`](crate::FlatMap) has no guards.
//!
//! A [`ReadHandle`](crate::left_right::ReadHandle) of a left-right map is `Send` but not `Sync`, so give each task its
//! own (`factory.handle()`). Its `ReadGuard` and `Snapshot` cannot be held across an `await` in a task that may move
//! between threads; they would also delay the writer.
