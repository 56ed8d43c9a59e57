//! A model of a number that goes from thread to thread.

use super::thread_number::Numbers;
use crate::sync::loom::explore;
use crate::sync::stripes::ShardedCounter;
use ::loom::sync::Arc;
use ::loom::thread;
use std::format;

/// Two threads count, with the same number one after the other, or with two numbers at the same time.
#[test]
fn loom_a_number_goes_from_thread_to_thread() {
    explore(3, ["0 0", "0 1", "1 0"], |saw| {
        let both = Arc::new((Numbers::new(), ShardedCounter::new()));
        both.1.spread();
        let count = |both: &(Numbers, ShardedCounter)| {
            let number = both.0.claim().unwrap();
            both.1.add_as(Some(number), 1);
            both.0.release(number);
            number
        };
        let theirs = both.clone();
        let other = thread::spawn(move || count(&theirs));
        let number = count(&both);
        saw(format!("{number} {}", other.join().unwrap()));
        assert_eq!(both.1.total(), 2, "an addition is lost");
    });
}
