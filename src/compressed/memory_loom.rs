//! A model of writers that claim entries of the index. The first one is the main thread.

use super::memory::MemoryFigures;
use crate::facade::atomic::AtomicUsize;
use crate::sync::hint::Statistic;
use crate::sync::loom::explore;
use ::loom::sync::Arc;
use ::loom::thread;
use alloc::format;

/// Two writers add an entry each. One of them sees the other's entry, claimed or counted: together they never take the
/// same place.
#[test]
fn loom_claims_and_entries_count_each_writer() {
    explore(3, ["0 1", "1 0"], |saw| {
        let all = Arc::new((MemoryFigures::new(1 << 20, 0), Statistic::<AtomicUsize>::new(0)));
        let add = |(memory, entries): &(MemoryFigures, Statistic<AtomicUsize>)| {
            let (claim, others) = memory.claim_entry();
            let place = entries.load() + others;
            entries.add(1);
            drop(claim);
            // An entry may be counted twice, while its claim lasts.
            place.min(1)
        };
        let other = all.clone();
        let writer = thread::spawn(move || add(&other));
        let place = add(&all);
        let places = format!("{place} {}", writer.join().unwrap());
        assert_ne!(places, "0 0", "two writers have claimed one entry");
        saw(places);
    });
}
