//! The coordinator: one node of the cluster that places nodes in groups, and replaces members that are gone for good.
//!
//! Any node may coordinate. The key `coord`, which ends with a lease, names the one that does. Nothing rests on there
//! being only one: each decision is one transaction, which compares its grounds, and the decision before it. A second
//! coordinator is refused, reads again, and decides anew: two of them are slow, and not wrong.
//!
//! | key | value |
//! |---|---|
//! | `coord` | the coordinator, and the members that it has seen go; with a lease |
//! | `last-decision` | the last decision, for people. Each transaction compares its revision, and replaces it |
//! | `place/<node>` | the group in which a node was placed, or that it shall leave |
//! | `desired` | the number of nodes that the cluster wants |
//!
//! [`view`] reads the cluster, [`absence`] measures for how long members have been gone, [`decide`] makes decisions of
//! both by the [`rules`], and [`transaction`] a transaction of each. [`scaling`] decides how many nodes there should
//! be, and moves slots; [`shape`] says which groups and nodes go. [`waiting`] is the other side: a node without a
//! group, which waits for a place, and [`leaving`], a node that shall have no group any more.

mod absence;
mod decide;
mod holder;
mod leaving;
mod rules;
mod scaling;
mod shape;
#[cfg(test)]
mod tests;
mod transaction;
mod turn;
mod view;
mod waiting;

pub(crate) use turn::Coordinator;
#[cfg(feature = "cli")]
pub(crate) use view::CoordinatorView;
pub(crate) use waiting::Waiting;
