//! The client.

use super::api;
use super::caller::{Caller, Renewal};
use super::error::{ErrorKind, EtcdError};
use super::lease::Lease;
use super::request::{
    Deleted, EtcdTransaction, GetAnswer, Invalid, Keys, Range, RangeAnswer, Transacted, count,
    signed,
};
use super::settings::ClientSettings;
use super::status::{Alarm, AlarmKind, Status, check_version};
use super::watch::EtcdWatch;
use prost::bytes::Bytes;
use std::time::Duration;

/// A client of etcd. Clones share connections, the user's token and the newest revision that they have seen. All
/// methods are called inside a runtime of tokio.
#[derive(Clone, Debug)]
pub struct EtcdClient {
    caller: Caller,
}

impl EtcdClient {
    /// Checks the settings. It connects when the first call needs it.
    ///
    /// # Errors
    /// If the settings make no sense, or a file of TLS cannot be read.
    pub fn connect(settings: &ClientSettings) -> Result<Self, EtcdError> {
        Ok(Self { caller: Caller::new(settings)? })
    }

    /// Returns a client with another time limit of calls, which shares everything else with this one.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { caller: self.caller.with_timeout(timeout) }
    }

    /// Returns a client that believes etcd anew: what this one has seen of etcd's history does not count for it. It
    /// shares everything else.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { caller: self.caller.anew() }
    }

    /// Reads the files of TLS again, and takes another password. The addresses stay. Nothing changes before
    /// [`renew`](Self::renew).
    ///
    /// # Errors
    /// If a file cannot be used.
    pub(crate) fn prepare(&self, settings: &ClientSettings) -> Result<Renewal, EtcdError> {
        self.caller.prepare(settings)
    }

    /// Uses what was read for new connections. Those that exist go on.
    pub(crate) fn renew(&self, renewal: Renewal) {
        self.caller.renew(renewal);
    }

    /// Returns the endpoint that the next call uses first.
    pub fn endpoint(&self) -> &str {
        self.caller.members()[self.caller.chosen()].url()
    }

    /// Returns each endpoint with the number of requests that failed there.
    pub fn failures(&self) -> Vec<(&str, u64)> {
        self.caller.members().iter().map(|member| (member.url(), member.failures())).collect()
    }

    /// Reads one key.
    ///
    /// # Errors
    /// If no endpoint answered in time, or etcd refused.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<GetAnswer, EtcdError> {
        let found = self.range(&Range::of(Keys::one(key)).limit(1)).await?;
        Ok(GetAnswer { revision: found.revision, pair: found.pairs.into_iter().next() })
    }

    /// Reads keys.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn range(&self, range: &Range) -> Result<RangeAnswer, EtcdError> {
        let answer = self.caller.call(&range.request()).await?;
        let revision = revision(answer.header.as_ref());
        let (pairs, more) = range.found(answer).map_err(|why| self.invalid(why))?;
        Ok(RangeAnswer { revision, pairs, more })
    }

    /// Sets the value of a key, which ends with a lease unless that is 0. Returns etcd's revision. The client sends
    /// this once: a repetition that arrives late could undo what was put since.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        lease: i64,
    ) -> Result<u64, EtcdError> {
        let request = api::PutRequest { key: key.into(), value: value.into(), lease };
        let answer = self.caller.call(&request).await?;
        Ok(revision(answer.header.as_ref()))
    }

    /// Deletes keys. The client sends this once.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, keys: Keys) -> Result<Deleted, EtcdError> {
        let answer = self.caller.call(&keys.request()).await?;
        let count = count(answer.deleted).map_err(|why| self.invalid(why))?;
        Ok(Deleted { revision: revision(answer.header.as_ref()), count })
    }

    /// Does a transaction. The client sends it once: after an error with an unknown outcome the caller decides.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn transact(&self, transaction: &EtcdTransaction) -> Result<Transacted, EtcdError> {
        let answer = self.caller.call(&transaction.request()).await?;
        let revision = revision(answer.header.as_ref());
        transaction.transacted(revision, answer).map_err(|why| self.invalid(why))
    }

    /// Lets etcd forget what was before a revision. If it has already, that is no error.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn compact(&self, revision: u64) -> Result<(), EtcdError> {
        let request = api::CompactionRequest { revision: signed(revision), physical: false };
        match self.caller.call(&request).await {
            Err(error) if matches!(error.kind(), ErrorKind::Compacted { .. }) => Ok(()),
            done => done.map(|_| ()),
        }
    }

    /// Watches keys from a revision on. The next revision after a read that found the state is the right one.
    pub fn watch(&self, keys: Keys, from: u64) -> EtcdWatch {
        self.watch_quietly(keys, from, self.caller.watch_silence())
    }

    /// The same for keys that hardly change: the watch may be silent for another time.
    pub(crate) fn watch_quietly(&self, keys: Keys, from: u64, silence: Duration) -> EtcdWatch {
        // etcd reads revision 0 as "from now on".
        EtcdWatch::start(self.caller.clone(), keys, from.max(1), silence)
    }

    /// Grants a lease, and keeps it alive until it is dropped.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn grant(&self, ttl: Duration) -> Result<Lease, EtcdError> {
        Lease::grant(&self.caller, ttl).await
    }

    /// Returns how many seconds a lease still has, whole ones; 0 if etcd has ended it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn lease_left(&self, lease: i64) -> Result<u64, EtcdError> {
        let answer = self.caller.call(&api::LeaseTimeToLiveRequest { id: lease }).await?;
        // etcd answers -1 for a lease that has ended.
        Ok(u64::try_from(answer.ttl).unwrap_or(0))
    }

    /// Asks each endpoint how it is.
    pub async fn status(&self) -> Vec<(String, Result<Status, EtcdError>)> {
        let deadline = self.caller.deadline();
        let ask = |index| {
            let caller = self.caller.clone();
            tokio::spawn(async move {
                let answer = caller.ask(index, &api::StatusRequest {}, deadline).await?;
                let url = caller.members()[index].url();
                Status::of(url, answer)
                    .map_err(|why| EtcdError::new(ErrorKind::InvalidAnswer, url, why))
            })
        };
        let members = self.caller.members();
        // All at once, so that a member that hangs does not use up the time of the others.
        let asked: Vec<_> = (0..members.len()).map(ask).collect();
        let mut all = Vec::with_capacity(asked.len());
        for (member, asked) in members.iter().zip(asked) {
            let stopped =
                |_| Err(EtcdError::new(ErrorKind::Unavailable, member.url(), "the runtime stops"));
            all.push((member.url().to_owned(), asked.await.unwrap_or_else(stopped)));
        }
        all
    }

    /// Lets the next calls go to etcd's leader, by what the endpoints have [said](Self::status). Any other member
    /// passes a change on to the leader, and hears of its outcome later: that costs each change two messages more.
    pub fn choose_leader(&self, states: &[(String, Result<Status, EtcdError>)]) {
        let leads = |status: &Status| status.member == status.leader;
        if let Some(index) = states.iter().position(|(_, state)| state.as_ref().is_ok_and(leads)) {
            self.caller.choose(index);
        }
    }

    /// Refuses versions of etcd that have faults which the database cannot live with. An endpoint that does not answer
    /// is passed over, unless none answers.
    ///
    /// # Errors
    /// If an endpoint's version is too old, or none answers.
    pub async fn check_version(&self) -> Result<Vec<Status>, EtcdError> {
        let (mut answered, mut failed) = (Vec::new(), None);
        for (url, asked) in self.status().await {
            match asked {
                Ok(status) => {
                    check_version(&url, &status.version)?;
                    answered.push(status);
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if answered.is_empty() => Err(error),
            _ => Ok(answered),
        }
    }

    /// Returns the alarms that are raised.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn alarms(&self) -> Result<Vec<Alarm>, EtcdError> {
        let answer = self.caller.call(&api::AlarmRequest::default()).await?;
        let alarm = |alarm: api::AlarmMember| Alarm {
            member: alarm.member_id,
            kind: AlarmKind::of(alarm.alarm),
        };
        Ok(answer.alarms.into_iter().map(alarm).collect())
    }

    /// Disarms an alarm.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn disarm(&self, alarm: &Alarm) -> Result<(), EtcdError> {
        let request = api::AlarmRequest {
            action: api::alarm_request::AlarmAction::Deactivate.into(),
            member_id: alarm.member,
            alarm: alarm.kind.number(),
        };
        self.caller.call(&request).await.map(|_| ())
    }

    fn invalid(&self, why: Invalid) -> EtcdError {
        EtcdError::new(ErrorKind::InvalidAnswer, self.endpoint(), why)
    }
}

/// Returns the revision in a header that [`Caller::ask`] has checked.
fn revision(header: Option<&api::ResponseHeader>) -> u64 {
    header.map_or(0, |header| header.revision.cast_unsigned())
}
