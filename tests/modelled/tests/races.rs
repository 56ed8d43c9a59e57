//! The model checker finds each race of `programs`, and none in the programs without it.
#![cfg(any(loom, shuttle))]

use hedgerow::{HashMap, LeftRightMap};
use hedgerow_modelled::model::{both, check};
use hedgerow_modelled::programs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Checks that there is an execution in which `program` panics with this message.
fn finds(message: &str, program: impl Fn() + Send + Sync + 'static) {
    let panic = catch_unwind(AssertUnwindSafe(|| check(program))).expect_err("no race was found");
    let panic = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied());
    assert!(panic.is_some_and(|panic| panic.contains(message)), "{panic:?}");
}

const TWO_OWNERS: &str = "both threads have the name, or none";
const LOST: &str = "an event is not counted";
const WRONG_SUM: &str = "money is missing, or there is too much";

fn registers_once(register: fn(&HashMap<&'static str, u32>, &'static str, u32) -> bool) {
    let owners = Arc::new(HashMap::new());
    let shared = owners.clone();
    let (one, other) = both(|| register(&owners, "rose", 1), move || register(&shared, "rose", 2));
    assert!(one != other, "{TWO_OWNERS}");
}

fn counts_both(count: fn(&HashMap<&'static str, u32>, &'static str)) {
    let counts = Arc::new(HashMap::new());
    let shared = counts.clone();
    both(|| count(&counts, "hit"), move || count(&shared, "hit"));
    assert_eq!(counts.get("hit").as_deref(), Some(&2), "{LOST}");
}

fn sums_to_100(sum: fn(&hedgerow::left_right::ReadHandle<&'static str, i64>) -> i64) {
    let (mut writer, reader) = LeftRightMap::new();
    writer.insert("savings", 100);
    writer.publish();
    let transfer = move || {
        writer.insert("savings", 60);
        writer.insert("current", 40);
        writer.publish();
    };
    let (seen, ()) = both(|| sum(&reader), transfer);
    assert_eq!(seen, 100, "{WRONG_SUM}");
}

#[test]
fn a_name_that_two_threads_get() {
    finds(TWO_OWNERS, || registers_once(programs::register_by_look_and_insert));
    check(|| registers_once(programs::register));
}

#[test]
fn a_count_that_is_lost() {
    finds(LOST, || counts_both(programs::count_by_get_and_insert));
    check(|| counts_both(programs::count));
}

#[test]
fn a_sum_across_a_publish() {
    finds(WRONG_SUM, || sums_to_100(programs::sum_of_two_reads));
    check(|| sums_to_100(programs::sum));
}
