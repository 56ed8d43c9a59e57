//! Digests of keys on the wire.

use super::error::PeerError;
use super::wire::{DigestPart as WirePart, DigestResponse, Identity};
use hedgerow_db_engine::clustered::{Digest, DigestPart, PARTS};
use std::time::Duration;

/// The longest time for which a node waits for the entry of a digest.
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Returns a digest as a message. `None`: the node's log had reached the time already.
pub(super) fn to_wire(of: Identity, digest: Option<&Digest>) -> DigestResponse {
    let Some(digest) = digest else {
        return DigestResponse { of: Some(of), ..DigestResponse::default() };
    };
    let part = |part: &DigestPart| WirePart {
        keys: part.keys,
        hash: part.hash.to_le_bytes().to_vec().into(),
    };
    DigestResponse {
        of: Some(of),
        lsn: digest.lsn,
        time: digest.time,
        parts: digest.parts.iter().map(part).collect(),
    }
}

/// Reads what [`to_wire`] makes, without the sender.
pub(super) fn from_wire(sent: &DigestResponse) -> Result<Option<Digest>, PeerError> {
    if sent.lsn == 0 {
        return Ok(None);
    }
    if sent.parts.len() != PARTS {
        return Err(PeerError::Invalid("a digest has the wrong number of parts"));
    }
    let mut parts = [DigestPart::default(); PARTS];
    for (part, sent) in parts.iter_mut().zip(&sent.parts) {
        let hash = sent.hash[..].try_into();
        let hash = hash.map_err(|_| PeerError::Invalid("a hash does not have 16 bytes"))?;
        *part = DigestPart { keys: sent.keys, hash: u128::from_le_bytes(hash) };
    }
    Ok(Some(Digest { lsn: sent.lsn, time: sent.time, parts }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_was_written() {
        let mut parts = [DigestPart { keys: 7, hash: 1 << 100 }; PARTS];
        parts[3].keys = u64::MAX;
        let digest = Digest { lsn: 40, time: 77_000, parts };
        let wire = to_wire(Identity::default(), Some(&digest));
        assert_eq!(from_wire(&wire).unwrap(), Some(digest));
        assert_eq!(from_wire(&to_wire(Identity::default(), None)).unwrap(), None);
        let mut few = wire.clone();
        few.parts.pop();
        let mut short = wire;
        short.parts[0].hash = vec![0; 15].into();
        for wrong in [few, short] {
            assert!(
                matches!(from_wire(&wrong), Err(PeerError::Invalid(_))),
                "a wrong digest is taken"
            );
        }
    }
}
