//! The lines of CLIENT LIST.

use crate::command::arguments::{CommandError, is, shown};
use crate::command::context::ClientInfo;
use std::io::Write;

/// The types of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    Subscriber,
    /// A type of Redis that no client has here.
    Absent,
}

impl ClientType {
    pub(super) fn of(info: &ClientInfo<'_>) -> Self {
        if info.subscriptions == [0; 3] { Self::Normal } else { Self::Subscriber }
    }

    pub(super) fn read(kind: &[u8]) -> Result<Self, CommandError> {
        if is(kind, "normal") {
            return Ok(Self::Normal);
        }
        if is(kind, "pubsub") {
            return Ok(Self::Subscriber);
        }
        // Accepted, so that tools which list all types get an empty list.
        if ["master", "slave", "replica"].iter().any(|name| is(kind, name)) {
            return Ok(Self::Absent);
        }
        let kind = String::from_utf8_lossy(shown(kind, 128)).into_owned();
        Err(format!("ERR Unknown client type '{kind}'").into())
    }
}

/// Returns the letters of a client in CLIENT LIST, in the order of Redis.
fn flags(info: &ClientInfo<'_>) -> String {
    let tracking = &info.tracking;
    let letters = [
        (ClientType::of(info) == ClientType::Subscriber, 'P'),
        (info.sizes.queued.is_some(), 'x'),
        (info.waits, 'b'),
        (tracking.is_on, 't'),
        (tracking.is_broken, 'R'),
        (tracking.broadcasts, 'B'),
    ];
    let flags: String =
        letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

/// Writes the text of a client in CLIENT LIST, without the end of the line.
///
/// Client libraries parse these numbers and fail if one is missing.
pub(super) fn write(info: &ClientInfo<'_>, line: &mut Vec<u8>) {
    let text = String::from_utf8_lossy;
    let [channels, patterns, shard_channels] = info.subscriptions;
    // Writing to memory does not fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} {} events=r \
         cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
        info.id,
        info.address,
        info.local_address,
        info.descriptor,
        text(info.name),
        info.age,
        info.idle,
        flags(info),
        info.database,
        channels,
        patterns,
        shard_channels,
        info.sizes,
        info.command,
        text(info.user),
        if info.tracking.is_on { info.tracking.redirect.cast_signed() } else { -1 },
        info.protocol,
        text(info.library),
        text(info.library_version),
    );
}
