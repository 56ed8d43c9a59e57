//! Transactions of an embedded database: a closure reads and changes keys as if nobody else used them.
//!
//! Reads are optimistic. Each key is watched before it is read, changes are collected, and at the end the database
//! executes them together if no watched key was changed. Otherwise the closure is called again. This is the protocol
//! of Redis's WATCH and EXEC; software transactional memories know it as lazy versioning with early validation.

use crate::clock::milliseconds;
use crate::db::Db;
use crate::error::Error;
use crate::log::LogError;
use crate::number;
use crate::request::{
    Answer, Change, Expiry, LONGEST_KEY, LONGEST_VALUE, Query, Request, RequestError, SetCondition,
};
use crate::session::TransactionOutcome;
use crate::state::watched_keys::KeyWatch;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A collected change of a key.
enum PendingCommit {
    Set(Vec<u8>, Expiry),
    Delete,
}

/// A transaction that is being prepared. [`Db::transaction`] gives it to its closure.
///
/// Its methods see the changes that it has made itself. They take no lock beyond the call.
pub struct Transaction<'a> {
    db: &'a Db,
    watch: KeyWatch,
    pending: BTreeMap<Vec<u8>, PendingCommit>,
    has_conflict: bool,
}

impl Transaction<'_> {
    /// Returns the value of a key. All values that a transaction reads were there at one point in time.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a key that was read before has changed: return the error, and the closure is called
    /// again. [`RequestError::TransactionTooLarge`] if the keys that were read take more than 1 MiB, at 128 bytes each
    /// and twice their length. Otherwise as [`Db::get`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.as_ref();
        match self.pending.get(key) {
            Some(PendingCommit::Set(value, _)) => return Ok(Some(value.clone())),
            Some(PendingCommit::Delete) => return Ok(None),
            None => {}
        }
        let (mut value, mut refused) = (None, None);
        self.db.with_session(|session| {
            if !session.watch_keys(&mut self.watch, &[key]) {
                refused = Some(RequestError::TransactionTooLarge);
                return;
            }
            session.execute(&[Request::Read(key, Query::Value)], &mut |_, answer| match answer {
                Answer::Bytes(bytes) => value = Some(bytes.to_vec()),
                Answer::Error(error) => refused = Some(error),
                _ => {}
            });
        });
        // If no key has changed by now, all values were there together at this read. A writer sets the flag before it
        // publishes the values, and a read of one of them acquires what was stored before.
        if self.watch.is_changed() {
            self.has_conflict = true;
            return Err(Error::Conflict);
        }
        refused.map_or(Ok(value), |error| Err(error.into()))
    }

    /// Returns whether a key exists.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains_key(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.get(key)?.is_some())
    }

    /// Stores a value without expiration.
    ///
    /// # Errors
    /// [`RequestError::KeyTooLong`] or [`RequestError::ValueTooLong`].
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.insert(key.as_ref(), value.as_ref(), Expiry::Never)
    }

    /// Stores a value that expires after `ttl`, counted from this call.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<(), Error> {
        let end = self.db.now().saturating_add(milliseconds(ttl));
        self.insert(key.as_ref(), value.as_ref(), Expiry::At(end))
    }

    /// Adds to a decimal integer, and returns the sum. A missing key counts as 0. The expiration stays.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`set`](Self::set). [`RequestError::NotAnInteger`] if the value is no integer, and
    /// [`RequestError::Overflow`] if the sum does not fit into an `i64`.
    pub fn add(&mut self, key: impl AsRef<[u8]>, by: i64) -> Result<i64, Error> {
        let key = key.as_ref();
        let value = self.get(key)?;
        let value = value.map_or(Some(0), |value| number::integer(&value));
        let value = value.ok_or(RequestError::NotAnInteger)?;
        let sum = value.checked_add(by).ok_or(RequestError::Overflow)?;
        let expiry = match self.pending.get(key) {
            Some(PendingCommit::Set(_, expiry)) => *expiry,
            Some(PendingCommit::Delete) => Expiry::Never,
            None => Expiry::Keep,
        };
        self.insert(key, sum.to_string().as_bytes(), expiry)?;
        Ok(sum)
    }

    /// Removes a key, if it exists.
    ///
    /// # Errors
    /// [`RequestError::KeyTooLong`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.change(key.as_ref(), PendingCommit::Delete)
    }

    fn insert(&mut self, key: &[u8], value: &[u8], expiry: Expiry) -> Result<(), Error> {
        if value.len() > LONGEST_VALUE {
            return Err(RequestError::ValueTooLong.into());
        }
        self.change(key, PendingCommit::Set(value.to_vec(), expiry))
    }

    fn change(&mut self, key: &[u8], pending: PendingCommit) -> Result<(), Error> {
        // The database executes the other changes of a transaction if one of them fails, so none may fail.
        if key.len() > LONGEST_KEY {
            return Err(RequestError::KeyTooLong.into());
        }
        self.pending.insert(key.to_vec(), pending);
        Ok(())
    }

    /// Executes the changes if no key that was read has changed. Returns whether it did.
    fn commit(&self) -> Result<bool, Error> {
        let requests: Vec<Request<'_>> = self
            .pending
            .iter()
            .map(|(key, pending)| Request::Change(key, pending.to_change()))
            .collect();
        let log = self.db.log();
        let (epoch, mut failed) = (log.epoch(), None);
        let outcome = self.db.with_session(|session| {
            session.transaction(&requests, Some(&self.watch), &mut |_, answer| {
                if let Answer::Error(error) = answer {
                    failed = Some(error);
                }
            })
        });
        let read_index = log.read_index(epoch);
        match outcome {
            TransactionOutcome::Done(lsn) => {
                log.wait(lsn)?;
                log.wait_lease_check(&read_index)?;
                failed.map_or(Ok(true), |error| Err(error.into()))
            }
            TransactionOutcome::Conflict => Ok(false),
            TransactionOutcome::Refused(error, _) => Err(error.into()),
        }
    }
}

impl PendingCommit {
    fn to_change(&self) -> Change<'_> {
        match self {
            Self::Set(value, expiry) => {
                let (condition, expiry) = (SetCondition::Always, *expiry);
                Change::Set { value, condition, expiry, get: false }
            }
            Self::Delete => Change::Delete,
        }
    }
}

impl Db {
    /// Executes a closure as one transaction: its reads and changes happen at one point in time, and a crash leaves all
    /// of its changes or none.
    ///
    /// If a key that the closure has read is changed before its end, it is called again, as often as it takes; whenever
    /// it is, another change was made. So it should have no other effects, and must not change by other means a key
    /// that it reads. If it returns an error or panics, nothing changes. An error is returned only if the values that
    /// led to it were there together, as those of a successful call.
    ///
    /// ```
    /// # use hedgerow_db_engine as hedgerow_db;
    /// use hedgerow_db::{Db, Error, Options};
    ///
    /// let db = Db::open(Options::in_memory())?;
    /// db.set("ada", "30")?;
    /// let paid = db.transaction(|tx| {
    ///     let can_pay = tx.add("ada", -20)? >= 0;
    ///     if can_pay {
    ///         tx.add("bob", 20)?;
    ///     } else {
    ///         tx.add("ada", 20)?;
    ///     }
    ///     Ok::<_, Error>(can_pay)
    /// })?;
    /// assert!(paid);
    /// assert_eq!(db.get("bob")?.as_deref(), Some(&b"20"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Blocks until the log is as durable as the options require. The locks of all shards that it touches are held only
    /// while its changes are executed, after the closure has returned.
    ///
    /// # Errors
    /// The error of the closure, or [`Error`] if the changes could not be made, or may be lost, as for
    /// [`set`](Self::set).
    pub fn transaction<T, E: From<Error>>(
        &self,
        mut run: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            let (watch, pending) = (KeyWatch::default(), BTreeMap::new());
            let mut transaction = Transaction { db: self, watch, pending, has_conflict: false };
            let result = run(&mut transaction);
            if transaction.has_conflict {
                continue;
            }
            if result.is_err() {
                transaction.pending.clear();
            }
            let is_read_only = transaction.pending.is_empty();
            match transaction.commit() {
                Ok(true) => return result,
                Ok(false) => {}
                // It has read a change that was never acknowledged.
                Err(Error::Log(LogError::RolledBack)) if is_read_only => {}
                Err(error) => return result.and(Err(error.into())),
            }
        }
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = (self.watch.keys().count(), self.pending.len());
        f.debug_struct("Transaction").field("read", &keys.0).field("changed", &keys.1).finish()
    }
}
