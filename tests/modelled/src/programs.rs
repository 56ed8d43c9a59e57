//! Three mistakes that no single operation of a map can prevent, and the operation that does what was meant.

use hedgerow::left_right::ReadHandle;
use hedgerow::{HashMap, Op};

/// Gives a name to whoever asks first. Returns false if the name is taken.
///
/// The race: between the two operations, another thread may find the name free, too. Both get it.
pub fn register_by_look_and_insert(
    owners: &HashMap<&'static str, u32>,
    name: &'static str,
    owner: u32,
) -> bool {
    if owners.contains_key(name) {
        return false;
    }
    owners.insert(name, owner);
    true
}

/// Does what `register_by_look_and_insert` was meant to do, in one operation.
pub fn register(owners: &HashMap<&'static str, u32>, name: &'static str, owner: u32) -> bool {
    owners.insert_if_absent(name, owner).is_ok()
}

/// Counts an event.
///
/// The race: of two threads that have read the same count, one overwrites the other's.
pub fn count_by_get_and_insert(counts: &HashMap<&'static str, u32>, event: &'static str) {
    let count = counts.get(event).map_or(0, |count| *count);
    counts.insert(event, count + 1);
}

/// Counts an event in one operation.
pub fn count(counts: &HashMap<&'static str, u32>, event: &'static str) {
    counts.compute(event, |count| Op::Insert(count.unwrap_or(&0) + 1));
}

/// Returns the sum of two accounts, between which the writer moves money.
///
/// The race: the writer may publish between the two reads.
pub fn sum_of_two_reads(accounts: &ReadHandle<&'static str, i64>) -> i64 {
    let of = |name| accounts.get_copied(name).unwrap_or(0);
    of("savings") + of("current")
}

/// Returns the sum as of one published state.
pub fn sum(accounts: &ReadHandle<&'static str, i64>) -> i64 {
    let state = accounts.enter();
    let of = |name| state.get(name).copied().unwrap_or(0);
    of("savings") + of("current")
}
