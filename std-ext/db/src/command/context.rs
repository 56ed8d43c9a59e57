//! Stub.
#![allow(unreachable_pub, dead_code, clippy::pedantic)]
use crate::{Db, Session};

/// Stub.
pub struct Context<'a> {
    /// Stub.
    pub session: &'a mut Session,
    /// Stub.
    pub db: &'a Db,
    /// Stub.
    pub server: &'a dyn ServerFacts,
}

/// Stub.
pub trait ServerFacts {
    /// Stub.
    fn password_is(&self, word: &[u8]) -> bool;
}
