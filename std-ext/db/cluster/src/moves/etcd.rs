//! The requests to etcd that moves make. A node's client makes them, or that of a simulation.

use crate::etcd::{EtcdClient, EtcdError, EtcdTransaction, KeyValue, Keys, Range};
use std::fmt::Display;

/// A client of etcd.
pub(crate) trait EtcdAccess: Clone + Send + Sync + 'static {
    /// Why a request failed.
    type Error: Display + Send;

    /// Reads keys.
    fn range(
        &self,
        range: &Range,
    ) -> impl Future<Output = Result<Vec<KeyValue>, Self::Error>> + Send;

    /// Does a transaction. Returns whether its conditions held. After an error it may have taken effect, or may still
    /// take effect.
    fn transact(
        &self,
        transaction: &EtcdTransaction,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Reads one key.
    fn read(
        &self,
        key: String,
    ) -> impl Future<Output = Result<Option<KeyValue>, Self::Error>> + Send {
        async move {
            let found = self.range(&Range::of(Keys::one(key)).limit(1)).await?;
            Ok(found.into_iter().next())
        }
    }
}

impl EtcdAccess for EtcdClient {
    type Error = EtcdError;

    async fn range(&self, range: &Range) -> Result<Vec<KeyValue>, EtcdError> {
        Ok(Self::range(self, range).await?.pairs)
    }

    async fn transact(&self, transaction: &EtcdTransaction) -> Result<bool, EtcdError> {
        Ok(Self::transact(self, transaction).await?.succeeded)
    }
}
