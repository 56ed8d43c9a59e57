//! What the server counts: each thread its own, added up when somebody asks.

use super::latency::Latency;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, written by one thread and read by any.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        // One thread writes, so no sum is lost. Relaxed: a figure for people; nothing else is known from it.
        self.0.store(self.get() + more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $text:literal])* $name:ident,)*) => {
        /// One thread's counts, on cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $($(#[doc = $text])* pub(crate) $name: Count,)*
            /// How long commands took, from the beginning of a turn to their answers.
            pub(crate) latency: Latency,
        }

        /// Counts at a moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counted {
            $($(#[doc = $text])* pub $name: u64,)*
        }

        impl Counted {
            /// Adds a thread's counts.
            pub(crate) fn add(&mut self, of: &Counters) {
                $(self.$name += of.$name.get();)*
            }

            /// What was counted since then.
            pub(crate) fn since(mut self, then: &Self) -> Self {
                $(self.$name = self.$name.saturating_sub(then.$name);)*
                self
            }
        }
    };
}

counters! {
    /// Connections that were taken.
    connections,
    /// Connections that ended.
    ended,
    /// Connections refused because there were too many.
    rejected,
    /// Connections refused by protected mode.
    denied,
    /// Connections closed because nothing came for too long.
    idle,
    /// Connections closed because they did not read what they asked for.
    slow,
    /// Connections closed because the log failed before their answers were safe.
    failed,
    /// Commands that were obeyed.
    commands,
    /// Bytes read.
    bytes_in,
    /// Bytes written.
    bytes_out,
    /// Turns of the loop that had work.
    turns,
    /// Turns in which answers had to wait for the log.
    parked,
}
