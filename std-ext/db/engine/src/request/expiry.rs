//! When keys and fields of hashes are to expire.

/// The expiration that a change gives a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Keeps the expiration that the key has.
    Keep,
    /// The key does not expire.
    Never,
    /// The key expires at this time, in milliseconds since 1970.
    At(u64),
}

/// When [`Change::Expire`](super::Change::Expire) changes the expiration. A key without one counts as expiring latest
/// of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireCondition {
    /// Always.
    Always,
    /// If the key has no expiration.
    NoExpiry,
    /// If the key has an expiration.
    HasExpiry,
    /// If the new expiration is later.
    Later,
    /// If the new expiration is sooner.
    Sooner,
    /// If the key has an expiration and the new one is sooner.
    HasExpiryAndSooner,
}
