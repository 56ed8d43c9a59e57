//! What a member of etcd says about itself.

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
    /// What it is about.
    pub kind: AlarmKind,
}
