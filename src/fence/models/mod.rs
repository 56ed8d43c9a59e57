//! Models of the tree's protocols, and histories of random schedules.

#[cfg(all(hedgerow_loom, not(hedgerow_shuttle)))]
mod balance_loom;
#[cfg(all(hedgerow_loom, not(hedgerow_shuttle)))]
mod ord_map_loom;
#[cfg(hedgerow_shuttle)]
mod shuttle;
#[cfg(all(hedgerow_loom, not(hedgerow_shuttle)))]
mod tree_loom;
