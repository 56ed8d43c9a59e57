//! Leases.

/// A lease that is kept alive until it is dropped, and is then revoked in the background.
#[derive(Debug)]
pub struct Lease {
    id: i64,
}

impl Lease {
    /// Returns the number that keys are put with.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Returns whether etcd has ended the lease. A new one must be granted then.
    pub fn is_lost(&self) -> bool {
        todo!()
    }

    /// Waits until etcd has ended the lease. A caller may drop the future without losing anything.
    pub async fn lost(&mut self) {
        todo!()
    }

    /// Revokes the lease, which deletes its keys, and waits for that, as long as a call may take.
    pub async fn revoke(self) {
        todo!()
    }
}
