//! What the server asks about commands that it treats in a way of their own.

use super::{CommandSpec, Flag, Id};

impl CommandSpec {
    /// Returns whether a pause of writes postpones the command, as in Redis: it changes something, is a script that
    /// may, or would reach replicas.
    pub(crate) fn is_postponed_as_write(&self, arguments: &[&[u8]]) -> bool {
        match self.id {
            Id::PFCOUNT | Id::PUBLISH | Id::SPUBLISH | Id::EVALSHA => true,
            Id::EVAL => {
                #[cfg(feature = "scripts")]
                let reads_only = crate::command::script::declares_no_writes(arguments[1]);
                #[cfg(not(feature = "scripts"))]
                let reads_only = arguments.is_empty();
                !reads_only
            }
            _ => self.has_flag(Flag::Write),
        }
    }

    /// Returns whether the command reads or changes keys of the selected database.
    pub(crate) fn accesses_keys(&self) -> bool {
        let flagged = self.has_flag(Flag::ReadOnly) || self.has_flag(Flag::Write);
        flagged || self.is_eval() || matches!(self.id, Id::MEMORY | Id::OBJECT | Id::WATCH)
    }

    /// Returns whether the command executes a script.
    #[inline]
    pub(crate) fn is_eval(&self) -> bool {
        matches!(self.id, Id::EVAL | Id::EVALSHA | Id::EVAL_RO | Id::EVALSHA_RO)
    }

    /// Returns whether a client may use the command before it has authenticated.
    pub(crate) fn allowed_unauthenticated(&self) -> bool {
        matches!(self.id, Id::AUTH | Id::HELLO | Id::QUIT | Id::RESET)
    }
}
