//! The client.

use super::error::EtcdError;
use super::lease::Lease;
use super::request::{Deleted, Found, Got, Keys, Range, Transacted, Transaction};
use super::settings::Settings;
use super::status::{Alarm, Status};
use super::watch::Watch;
use prost::bytes::Bytes;
use std::time::Duration;

/// A client of etcd. Clones share connections, the user's token and what they know of etcd's revision. All methods are
/// called inside a runtime of tokio.
#[derive(Clone, Debug)]
pub struct Client {
    timeout: Duration,
}

impl Client {
    /// Checks the settings. It connects when the first call needs it.
    ///
    /// # Errors
    /// If the settings make no sense, or a file of TLS cannot be read.
    pub fn connect(settings: &Settings) -> Result<Self, EtcdError> {
        let _ = settings;
        todo!()
    }

    /// Returns a client with another time limit of calls, which shares everything else with this one.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Returns the endpoint that the next call uses first.
    pub fn endpoint(&self) -> &str {
        todo!()
    }

    /// Reads one key.
    ///
    /// # Errors
    /// If no endpoint answered in time, or etcd refused.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Got, EtcdError> {
        let _: Bytes = key.into();
        todo!()
    }

    /// Reads keys.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn range(&self, range: &Range) -> Result<Found, EtcdError> {
        let _ = range;
        todo!()
    }

    /// Sets the value of a key, which ends with a lease unless that is 0. Returns etcd's revision. The client repeats
    /// this: a value that is set twice is no different.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        lease: i64,
    ) -> Result<u64, EtcdError> {
        let _: (Bytes, Bytes, i64) = (key.into(), value.into(), lease);
        todo!()
    }

    /// Deletes keys. The client does not repeat this.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, keys: Keys) -> Result<Deleted, EtcdError> {
        let _ = keys;
        todo!()
    }

    /// Does a transaction, once: after an error with an unknown outcome the caller decides.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn transact(&self, transaction: &Transaction) -> Result<Transacted, EtcdError> {
        let _ = transaction;
        todo!()
    }

    /// Lets etcd forget what was before a revision. If it has already, that is no error.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn compact(&self, revision: u64) -> Result<(), EtcdError> {
        let _ = revision;
        todo!()
    }

    /// Watches keys from a revision, which must not be 0.
    pub fn watch(&self, keys: Keys, from: u64) -> Watch {
        let _ = (keys, from);
        todo!()
    }

    /// Grants a lease, and keeps it alive until it is dropped.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn grant(&self, ttl: Duration) -> Result<Lease, EtcdError> {
        let _ = ttl;
        todo!()
    }

    /// Asks each endpoint how it is.
    pub async fn status(&self) -> Vec<(String, Result<Status, EtcdError>)> {
        todo!()
    }

    /// Refuses versions of etcd that have faults which the database cannot live with. An endpoint that does not answer
    /// is passed over, unless none answers.
    ///
    /// # Errors
    /// If an endpoint's version is too old, or none answers.
    pub async fn check_version(&self) -> Result<Vec<Status>, EtcdError> {
        todo!()
    }

    /// Returns the alarms that are raised.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn alarms(&self) -> Result<Vec<Alarm>, EtcdError> {
        todo!()
    }

    /// Disarms an alarm.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn disarm(&self, alarm: &Alarm) -> Result<(), EtcdError> {
        let _ = alarm;
        todo!()
    }
}
