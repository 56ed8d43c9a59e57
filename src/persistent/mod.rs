//! Persistent collections.
mod balance;
mod block;
mod edit;
mod iter;
mod join;
mod map;
mod node;
mod tree;
pub use map::PersistentMap;
#[cfg(test)]
mod tests;
