//! The findings of a command.

use serde::Serialize;

/// The findings of a command, for people and for programs.
pub(crate) struct Report {
    pub(super) text: String,
    pub(super) json: String,
    pub(super) healthy: bool,
    /// Nothing that was looked at is wrong, but not everything could be looked at.
    pub(super) incomplete: bool,
}

impl Report {
    /// Makes a report of a text of whole lines, and of the same as JSON. If it is not `healthy`, the program exits
    /// with 1.
    pub(crate) fn new(text: String, json: &impl Serialize, healthy: bool) -> Self {
        // Fails only for maps with keys that are no texts.
        let json = serde_json::to_string_pretty(json).unwrap_or_default() + "\n";
        Self { text, json, healthy, incomplete: false }
    }

    /// The same of a command that found nothing wrong, and could not look at everything: the program exits with 3.
    pub(crate) fn incomplete(text: String, json: &impl Serialize) -> Self {
        Self { incomplete: true, ..Self::new(text, json, false) }
    }
}
