//! The coordinator: one node of the cluster that places nodes in groups, and replaces members that are gone for good.
//!
//! Any node may be it. The key `coord`, which ends with a lease, names it. Nothing rests on there being only one: each
//! decision is one transaction, which compares what the decision rests on, and the decision before it. A second
//! coordinator is refused, reads again, and decides anew: two of them are slow, and not wrong.
//!
//! | key | value |
//! |---|---|
//! | `coord` | the coordinator, and the members that it has seen go; with a lease |
//! | `last-decision` | the last decision, for people. Each transaction compares its revision, and replaces it |
//! | `place/<node>` | the group in which a node was placed |
//!
//! [`view`] reads what the cluster is, [`absence`] measures how long members have been gone, [`decide`] says what to do
//! about it, and [`transaction`] how. [`waiting`] is the other side: a node without a group, which waits for a place.

mod absence;
mod decide;
mod holder;
#[cfg(test)]
mod tests;
mod transaction;
mod turn;
mod view;
mod waiting;

pub(super) use decide::Rules;
pub(super) use turn::Coordinator;
pub(super) use waiting::Waiting;
