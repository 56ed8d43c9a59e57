//! The role of a node.

use std::sync::atomic::{AtomicU8, Ordering};

/// The role of a node. Only [`Alone`](Self::Alone) and [`Primary`](Self::Primary) change anything by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// A database on one machine.
    #[default]
    Alone,
    /// A node of a cluster that has not caught up with the log yet.
    Loading,
    /// A node that applies the entries of another one.
    Follower,
    /// The node that appends to the log.
    Primary,
}

impl Role {
    /// Returns whether the node changes its state only as the log of another node says.
    #[doc(hidden)]
    pub fn follows(self) -> bool {
        matches!(self, Self::Loading | Self::Follower)
    }
}

const ROLES: [Role; 4] = [Role::Alone, Role::Loading, Role::Follower, Role::Primary];

/// The present role, which any thread may read.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct RoleCell(AtomicU8);

impl RoleCell {
    #[doc(hidden)]
    pub fn new(role: Role) -> Self {
        Self(AtomicU8::new(role as u8))
    }

    #[inline]
    #[doc(hidden)]
    pub fn get(&self) -> Role {
        // Relaxed: the role changes under the locks of all shards, so a thread that holds the lock of one sees the
        // present role. Other threads use the role as a hint only, and check it again under a lock.
        ROLES[usize::from(self.0.load(Ordering::Relaxed))]
    }

    /// Sets the role. The caller holds the locks of all shards, or no other thread knows the state yet.
    #[doc(hidden)]
    pub fn set(&self, role: Role) {
        // Relaxed: ordered by the shards' locks, as `get` says.
        self.0.store(role as u8, Ordering::Relaxed);
    }
}
