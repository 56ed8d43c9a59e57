//! The limit of open files, which bounds the number of clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors for everything but clients.
const OTHERS: u64 = 256;

/// How many clients the limit of open files allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllowedClients {
    /// As many as are wanted.
    All,
    /// This many, because the process may have no more than `files` open files.
    Fewer { clients: u64, files: u64 },
}

/// Raises the limit of open files if this number of clients needs it. Returns how many it allows then.
pub(crate) fn raise_for(clients: u64) -> AllowedClients {
    let wanted = clients.saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    let Some(now) = limit.current.filter(|now| *now < wanted) else { return AllowedClients::All };
    let most = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, raised).is_ok() { most } else { now };
    if files >= wanted {
        return AllowedClients::All;
    }
    AllowedClients::Fewer { clients: files.saturating_sub(OTHERS).max(1), files }
}
