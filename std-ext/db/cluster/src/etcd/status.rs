//! The state of a member of etcd, and the versions that the database can live with.

use super::api;
use super::error::{ErrorKind, EtcdError};
use super::request::Invalid;

/// A member's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The endpoint that was asked.
    pub endpoint: String,
    /// The version of etcd.
    pub version: String,
    /// The cluster's id.
    pub cluster: u64,
    /// The member's id.
    pub member: u64,
    /// The leader's id, or 0 if the member knows of none.
    pub leader: u64,
    /// The number of the last entry in the member's raft log.
    pub raft_index: u64,
    /// The number of the last entry that the member has applied.
    pub raft_applied: u64,
    /// The size of the database's file, in bytes.
    pub size: u64,
    /// The part of it that is in use, in bytes.
    pub size_in_use: u64,
    /// The limit of the size in bytes, if the version tells it.
    pub quota: Option<u64>,
    /// Whether the member is a learner, which answers no linearizable request.
    pub learner: bool,
    /// Errors that the member reports, raised alarms among them.
    pub errors: Vec<String>,
}

/// A kind of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlarmKind {
    /// The quota is used up.
    NoSpace,
    /// The members' data differ.
    Corrupt,
    /// Any other.
    Other(i32),
}

/// An alarm that a member has raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The member's id.
    pub member: u64,
    /// The kind of the alarm.
    pub kind: AlarmKind,
}

impl Status {
    pub(super) fn of(endpoint: &str, answer: api::StatusResponse) -> Result<Self, Invalid> {
        let size = |size: i64| u64::try_from(size).map_err(|_| "a size is negative");
        let header = answer.header.unwrap_or_default();
        Ok(Self {
            endpoint: endpoint.into(),
            version: answer.version,
            cluster: header.cluster_id,
            member: header.member_id,
            leader: answer.leader,
            raft_index: answer.raft_index,
            raft_applied: answer.raft_applied_index,
            size: size(answer.db_size)?,
            size_in_use: size(answer.db_size_in_use)?,
            // etcd 3.5 has no such field, which is 0 then.
            quota: Some(size(answer.db_size_quota)?).filter(|&quota| quota != 0),
            learner: answer.is_learner,
            errors: answer.errors,
        })
    }
}

impl AlarmKind {
    pub(super) fn of(number: i32) -> Self {
        match api::AlarmType::try_from(number) {
            Ok(api::AlarmType::Nospace) => Self::NoSpace,
            Ok(api::AlarmType::Corrupt) => Self::Corrupt,
            _ => Self::Other(number),
        }
    }

    pub(super) fn number(self) -> i32 {
        match self {
            Self::NoSpace => api::AlarmType::Nospace.into(),
            Self::Corrupt => api::AlarmType::Corrupt.into(),
            Self::Other(number) => number,
        }
    }
}

/// The first version of etcd without the faults that matter here: watches that lose events at compactions, members
/// whose revisions differ, and leases that an old leader revokes.
const LEAST: [u32; 3] = [3, 5, 16];

/// Refuses a version that is older than 3.5.16.
pub(super) fn check_version(endpoint: &str, version: &str) -> Result<(), EtcdError> {
    let mut parts = version.split('.').map(|part| {
        // A version may end with a suffix, as in 3.6.0-rc.1.
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse().ok()
    });
    let mut part = || parts.next().flatten();
    match (part(), part(), part()) {
        (Some(major), Some(minor), Some(patch)) if [major, minor, patch] >= LEAST => Ok(()),
        (Some(_), Some(_), Some(_)) => {
            let detail = format!("it has {version}");
            Err(EtcdError::new(ErrorKind::VersionTooOld, endpoint, detail))
        }
        _ => {
            let detail = format!("{version:?} is no version");
            Err(EtcdError::new(ErrorKind::InvalidAnswer, endpoint, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_refused_by_name() {
        for version in ["3.5.16", "3.5.21", "3.6.0", "3.6.0-rc.1", "3.10.2", "4.0.0"] {
            assert_eq!(check_version("e", version), Ok(()), "{version}");
        }
        for version in ["3.4.23", "3.5.15", "3.5.9", "3.5.0-alpha.1", "2.3.8"] {
            let error = check_version("http://e:1", version).expect_err("an old version is taken");
            assert_eq!(
                error.to_string(),
                format!(
                    "etcd at http://e:1: etcd's version is too old (it has {version}); install etcd 3.5.16 or later"
                ),
            );
        }
        for version in ["", "3", "3.5", "3.5.x", "three", "3..16", "99999999999.5.16"] {
            let error = check_version("e", version).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidAnswer, "{version}");
        }
    }
}
