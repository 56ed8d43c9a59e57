//! What commands can be told about the server.

use super::shared::Shared;
use crate::command::ServerFacts;
use std::sync::Arc;

/// A server, as commands see it.
pub(super) struct Facts {
    shared: Arc<Shared>,
}

impl Facts {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

impl ServerFacts for Facts {
    fn password_is(&self, word: &[u8]) -> bool {
        self.shared.config.password.as_ref().is_some_and(|password| same(password.as_bytes(), word))
    }
}

/// Whether two texts are the same, in a time that tells nothing of where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}
