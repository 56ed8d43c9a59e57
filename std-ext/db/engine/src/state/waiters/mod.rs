//! Clients that wait until a key has an element (`BLPOP` and its like) or an entry (`XREAD` with `BLOCK`).
//!
//! A [`Waiter`] is in the queue of each of its keys, in the [table](table) of the key's shard. It is put there under
//! the same locks under which its keys were found empty, so no element can come between. The change that makes an
//! element available decides, still under its shard's lock, who gets it: the first in the queue that waits for a value
//! of this type. The element is taken by a change of its own in the same log entry, so a crash never takes it twice or
//! loses it. The client is [told](Waiter::finish) the entry, and shows the element once that is durable.
//!
//! A transaction, a script, and any other change of several keys first make all of their changes. Waiters do not see
//! what they add and remove again.
//!
//! A waiter that moves its element to another list (`BLMOVE`) needs the locks of both shards, which whoever added the
//! element may not take while holding one of them. Such a waiter is served right after that lock was released, before
//! the reply to that change. Waiters behind it are served after it.
//!
//! [Readers](readers) of streams take nothing from each other, unless they are of one group.

mod readers;
pub mod serve;
mod stream_reader;
pub mod table;
pub mod waiter;

pub use waiter::{WaitEnd, WaitOutcome, Waiter};

#[cfg(test)]
mod tests;
