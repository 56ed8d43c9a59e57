//! The first meeting of a node with its etcd: waits until etcd answers, and checks that it is the right one.

use crate::etcd::{
    self, ClientSettings, Compare, ErrorKind, EtcdClient, EtcdError, EtcdTransaction, Operation,
    TlsSettings,
};
use crate::membership::error::StartError;
use crate::membership::halting;
use crate::membership::identity::{self, Age, Belonging, ClusterFormat};
use crate::membership::keys::GroupKeys;
use hedgerow_db_engine::clock::TimeSource;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_group::Halt;
use hedgerow_db_redis::config::ClusterSettings;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

/// How often a node that waits for etcd says so.
const AGAIN: Duration = Duration::from_secs(1);
/// The bounds of the time that a call to etcd may take: a third of the lease between them.
const SHORTEST_CALL: Duration = Duration::from_millis(300);
const LONGEST_CALL: Duration = Duration::from_secs(2);

/// Returns how long a call to etcd may take, so that a primary can repeat it before its lease ends.
pub(crate) fn call_timeout(lease: Duration) -> Duration {
    (lease / 3).clamp(SHORTEST_CALL, LONGEST_CALL)
}

/// Returns how etcd is reached.
pub(crate) fn etcd_settings(settings: &ClusterSettings) -> ClientSettings {
    let call = call_timeout(settings.lease);
    let (cert, key) = settings.etcd.identity.clone().unzip();
    ClientSettings {
        user: settings.etcd.user.clone(),
        tls: TlsSettings { ca: settings.etcd.authorities.clone(), cert, key },
        call_timeout: call,
        connect_timeout: call.min(Duration::from_secs(1)),
        ..ClientSettings::new(&settings.etcd.endpoints)
    }
}

/// Waits until etcd answers, and returns the cluster that it has, and when the folder got its data. The first node of
/// all makes the cluster.
///
/// # Errors
/// A sentence, if etcd cannot be used, or has another cluster than the folder belongs to. Nothing was changed then.
pub(crate) async fn bootstrap(
    client: &EtcdClient,
    keys: &GroupKeys,
    settings: &ClusterSettings,
    folder: &Folder,
) -> Result<(ClusterFormat, Age), StartError> {
    let belonging = belonging_of(folder)?;
    let format = find_cluster(client, keys, settings, belonging.is_none()).await?;
    let etcd = Belonging::new(&settings.name, &format, settings.group);
    let age = match &belonging {
        Some(own) => {
            if own.is_after(&etcd) {
                // `check` refuses such a directory. Before this node stops, the others must learn that they lack
                // entries.
                object(client, keys, own, (&format, folder)).await?;
            }
            let (age, now) = (own.check(&etcd)?, revision(client, keys).await);
            if now != 0 && !own.is_before(now) {
                // etcd was restored from a backup. Keys that change from now on are about these data.
                own.clone().since(now).write(folder)?;
            }
            age
        }
        None => etcd.since(revision(client, keys).await).write(folder).map(|()| Age::Current)?,
    };
    note_groups(settings, &format);
    Ok((format, age))
}

/// Says in etcd that the folder has entries of a later incarnation, so that no node with an earlier one takes over.
async fn object(
    client: &EtcdClient,
    keys: &GroupKeys,
    own: &Belonging,
    (format, folder): (&ClusterFormat, &Folder),
) -> Result<(), StartError> {
    let halt = Halt::of_a_later_incarnation(identity::node_id(folder)?);
    let own = ClusterFormat { incarnation: own.incarnation(), ..format.clone() };
    if let Err(why) = halting::put(client, keys, &halt, &own).await {
        tracing::warn!("other nodes could not be told that etcd was restored from a backup: {why}");
    }
    Ok(())
}

/// Returns the revision of etcd; 0 if it does not answer.
async fn revision(client: &EtcdClient, keys: &GroupKeys) -> u64 {
    client.get(keys.format()).await.map_or(0, |got| got.revision)
}

/// Returns the cluster that a folder belongs to, if it belongs to one.
///
/// # Errors
/// If the folder has the data of a database that is not a node of a cluster.
pub(crate) fn belonging_of(folder: &Folder) -> Result<Option<Belonging>, StartError> {
    let belonging = Belonging::of(folder)?;
    if belonging.is_none() && has_data(folder)? {
        return Err(StartError::new(format!(
            "{} holds the data of a database that is not a node of a cluster. Make it the first node of one with \
             `hedgerow-db cluster adopt`, or choose an empty directory with --dir",
            folder.path().display()
        )));
    }
    Ok(belonging)
}

/// Waits until etcd answers, and returns the cluster that it has. If there is none, makes one if `may_make` allows it.
///
/// # Errors
/// A sentence, if etcd cannot be used, or has no such cluster.
pub(crate) async fn find_cluster(
    client: &EtcdClient,
    keys: &GroupKeys,
    settings: &ClusterSettings,
    may_make: bool,
) -> Result<ClusterFormat, StartError> {
    loop {
        match try_to_meet(client, keys, settings, may_make).await {
            Ok(Some(format)) if format.adopter.is_some() => tracing::warn!(
                "waiting for `hedgerow-db cluster adopt`, which has not finished filling etcd. If it was \
                 interrupted, run it again"
            ),
            Ok(Some(format)) => return Ok(format),
            Ok(None) => {
                return Err(StartError::new(format!(
                    "etcd has no cluster {:?}, but this directory belongs to it: etcd was emptied, or cluster-etcd \
                     or cluster-name is wrong. If etcd is lost, fill a new one from the directory with the latest \
                     data by `hedgerow-db cluster adopt`",
                    settings.name
                )));
            }
            Err(MeetError::Start(why)) => return Err(why),
            Err(MeetError::Etcd(why)) if is_final(&why) => {
                return Err(StartError::new(why.to_string()));
            }
            Err(MeetError::Etcd(why)) => tracing::warn!("waiting for etcd: {why}"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Says what a setting does not do.
fn note_groups(settings: &ClusterSettings, format: &ClusterFormat) {
    if settings.groups != 1 && settings.groups != format.groups {
        tracing::warn!(
            "cluster-groups {} is ignored, because the cluster was created with {}: only the first node of a new \
             cluster uses this setting",
            settings.groups,
            format.groups
        );
    }
    if settings.group >= format.groups {
        tracing::warn!(
            "cluster-group is {}, but the slots of this cluster were divided among the groups 0 to {}: this node's \
             group has no slots yet",
            settings.group,
            format.groups - 1
        );
    }
}

/// Returns the cluster that etcd has. If there is none, makes one if `may_make` allows it.
async fn try_to_meet(
    client: &EtcdClient,
    keys: &GroupKeys,
    settings: &ClusterSettings,
    may_make: bool,
) -> Result<Option<ClusterFormat>, MeetError> {
    client.check_version().await?;
    loop {
        if let Some(pair) = client.get(keys.format()).await?.pair {
            let format = ClusterFormat::parse(&pair.value)?;
            format.check(settings.formats, keys.number())?;
            return Ok(Some(format));
        }
        if !may_make {
            return Ok(None);
        }
        let number = settings.formats.highest;
        let new = ClusterFormat {
            number,
            ..ClusterFormat::new(TimeSource::System.now(), settings.groups)?
        };
        let transaction = EtcdTransaction {
            compare: vec![Compare::Absent { key: keys.format().into() }],
            then: vec![Operation::put(keys.format(), new.print())],
            otherwise: Vec::new(),
        };
        // The next read says which cluster etcd has, also after an unknown outcome.
        if let Err(why) = client.transact(&transaction).await
            && why.outcome() == etcd::CallOutcome::NotDone
        {
            return Err(why.into());
        }
    }
}

/// Why a meeting failed.
enum MeetError {
    Etcd(EtcdError),
    Start(StartError),
}

impl From<EtcdError> for MeetError {
    fn from(why: EtcdError) -> Self {
        Self::Etcd(why)
    }
}

impl From<StartError> for MeetError {
    fn from(why: StartError) -> Self {
        Self::Start(why)
    }
}

/// Whether an error says that etcd cannot be used, however long a node waits.
fn is_final(why: &EtcdError) -> bool {
    matches!(
        why.kind(),
        ErrorKind::Settings
            | ErrorKind::VersionTooOld
            | ErrorKind::PermissionDenied
            | ErrorKind::AuthenticationFailed
            | ErrorKind::Corrupt
            | ErrorKind::ClusterIdMismatch
            | ErrorKind::RevisionWentBack { .. }
    )
}

/// Whether a folder has a log or a snapshot.
pub(crate) fn has_data(folder: &Folder) -> Result<bool, StartError> {
    let logs = folder.numbered(hedgerow_db_engine::log::LOG)?;
    Ok(!logs.is_empty() || !folder.numbered(hedgerow_db_engine::snapshot::NAME)?.is_empty())
}

/// Returns the address under which others reach this machine: the one from which it reaches etcd.
pub(crate) fn own_address(endpoints: &[String]) -> String {
    let found = endpoints.iter().find_map(|url| {
        let host = url.split_once("://").map_or(&url[..], |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or(host);
        let towards = |any: IpAddr| {
            // Connecting a UDP socket sends nothing: it only chooses the address.
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect(host).ok()?;
            socket.local_addr().ok()
        };
        towards(Ipv4Addr::UNSPECIFIED.into()).or_else(|| towards(Ipv6Addr::UNSPECIFIED.into()))
    });
    found.map_or_else(|| Ipv4Addr::LOCALHOST.to_string(), |address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_is_that_towards_etcd() {
        let addresses = |url: &str| own_address(&[url.to_owned()]);
        assert_eq!(addresses("http://127.0.0.1:2379"), "127.0.0.1");
        assert_eq!(addresses("nonsense"), "127.0.0.1");
    }
}
