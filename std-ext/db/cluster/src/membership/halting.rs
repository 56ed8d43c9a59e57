//! The record of a node that has more than etcd, which speaks against takeovers: see [`Halt`].

use crate::etcd::{Compare, EtcdClient, EtcdError, EtcdTransaction, Operation};
use crate::membership::identity::ClusterFormat;
use crate::membership::keys::GroupKeys;
use hedgerow_db_group::{Halt, HaltOutcome, Tail};

/// Puts the record of a node that has more than etcd, if etcd has the cluster that the node's entries belong to.
pub(crate) async fn put(
    client: &EtcdClient,
    keys: &GroupKeys,
    halt: &Halt,
    own: &ClusterFormat,
) -> Result<HaltOutcome, EtcdError> {
    loop {
        let then = [keys.format(), keys.tail(), keys.halt()].map(Operation::get).to_vec();
        let read = EtcdTransaction { then, ..EtcdTransaction::default() };
        let [format, tail, found] = client.transact(&read).await?.first_values();
        // Of a later incarnation: the entries were left out, perhaps on purpose.
        let is_own = |found: &ClusterFormat| {
            found.cluster == own.cluster && found.incarnation <= own.incarnation
        };
        let is_own = format
            .as_deref()
            .and_then(|text| ClusterFormat::parse(text).ok())
            .is_some_and(|found| is_own(&found));
        let Some(format) = format.filter(|_| is_own) else { return Ok(HaltOutcome::OtherCluster) };
        // A line that cannot be read has no entry that could be compared.
        let tail = tail.and_then(|line| Tail::parse(&line).ok());
        let known = found.as_deref().and_then(Halt::parse);
        if let Some(outcome) = halt.outcome(tail.as_ref(), known.as_ref()) {
            return Ok(outcome);
        }
        let is_same = Compare::Value { key: keys.format().into(), value: format.into() };
        let key = keys.halt().into();
        let before = match found {
            Some(found) => Compare::Value { key, value: found.into() },
            None => Compare::Absent { key },
        };
        let put = EtcdTransaction {
            compare: vec![is_same, before],
            then: vec![Operation::put(keys.halt(), halt.print())],
            otherwise: Vec::new(),
        };
        // Refused if something has changed since the read. Then all of it is read again.
        if client.transact(&put).await?.succeeded {
            return Ok(HaltOutcome::Recorded(tail.map_or(0, |tail| tail.lsn)));
        }
    }
}
