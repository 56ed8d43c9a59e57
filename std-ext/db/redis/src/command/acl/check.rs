//! Checks of commands before they are executed.

use super::log::{AclLogEntry, LogContext, RefusalReason, cut};
use super::selector::Denied;
use super::user::User;
use super::users::Users;
use crate::command::arguments::{CommandError, resolve};
use crate::command::client_line;
use crate::command::context::ClientInfo;
use crate::command::execute::Execution;
use crate::command::table::CommandSpec;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

impl User {
    /// Returns the error if the user may not execute a command, without an entry in ACL LOG.
    pub(in crate::command) fn refuses(
        &self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> bool {
        resolve(spec, arguments).is_ok_and(|named| self.check(named, arguments).is_err())
    }
}

impl Users {
    /// Adds an entry to ACL LOG about a client that does not speak RESP, and has sent a wrong password of its user.
    /// `word` names the place of the password.
    pub fn log_wrong_password(&self, word: &[u8], client: &ClientInfo<'_>) {
        self.log_refusal(RefusalReason::Auth, LogContext::TopLevel, (word, client.user), client);
    }

    fn log_refusal(
        &self,
        reason: RefusalReason,
        context: LogContext,
        (object, user): (&[u8], &[u8]),
        info: &ClientInfo<'_>,
    ) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut client = Vec::new();
        client_line::write(info, &mut client);
        self.add_to_log(AclLogEntry {
            count: 1,
            reason,
            context,
            object: cut(object),
            user: cut(user),
            time: now.as_millis() as u64,
            first: (0, 0),
            client,
        });
    }
}

impl<'a> Execution<'_, 'a> {
    /// Returns whether a command of a client that may not do everything is executed. If it is not, replies why.
    #[cold]
    #[inline(never)]
    pub(in crate::command) fn admits(
        &mut self,
        spec: &'static CommandSpec,
        arguments: &[&'a [u8]],
    ) -> bool {
        let Some(error) = self.refusal(spec, arguments) else { return true };
        self.refuse(spec.with_part(arguments), error);
        false
    }

    /// Returns the error if a command is refused. An entry of ACL LOG says it, too.
    fn refusal(&self, spec: &'static CommandSpec, arguments: &[&[u8]]) -> Option<CommandError> {
        if !self.connection.authenticated && !spec.allowed_unauthenticated() {
            return Some("NOAUTH Authentication required.".into());
        }
        let named = match resolve(spec, arguments) {
            Ok(named) => named,
            Err(error) => return Some(error),
        };
        let denied = self.connection.user.check(named, arguments).err()?;
        let in_transaction = self.connection.queue.is_some();
        let context = if in_transaction { LogContext::Transaction } else { LogContext::TopLevel };
        self.log_denied(denied, context, (named, arguments));
        Some(match denied {
            Denied::Command => {
                let name = named.name;
                format!("NOPERM this user has no permissions to run the '{name}' command").into()
            }
            Denied::Key(_) => {
                "NOPERM this user has no permissions to access one of the keys used as arguments".into()
            }
            Denied::Channel(_) => {
                "NOPERM this user has no permissions to access one of the channels used as arguments".into()
            }
        })
    }

    /// Checks a command of a transaction again, when EXEC executes it. Returns the error in place of its reply.
    pub(in crate::command) fn refusal_at_exec(
        &self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> Option<CommandError> {
        if self.connection.is_unrestricted {
            return None;
        }
        let named = match resolve(spec, arguments) {
            Ok(named) => named,
            Err(error) => return Some(error),
        };
        let denied = self.connection.user.check(named, arguments).err()?;
        self.log_denied(denied, LogContext::Transaction, (named, arguments));
        let reason = match denied {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => "no permission to access one of the channels used as arguments",
        };
        let why = "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                   command is no longer allowed for the following reason:";
        Some(format!("NOPERM {why} {reason}").into())
    }

    /// Checks a command that a script calls. `spec` is the subcommand if the command has one.
    #[cfg(feature = "scripts")]
    pub(in crate::command) fn refusal_in_script(
        &self,
        spec: &'static CommandSpec,
        arguments: &[&[u8]],
    ) -> Option<&'static str> {
        if self.connection.is_unrestricted {
            return None;
        }
        let denied = self.connection.user.check(spec, arguments).err()?;
        self.log_denied(denied, LogContext::Script, (spec, arguments));
        Some(match denied {
            Denied::Command => {
                "ERR The user executing the script can't run this command or subcommand"
            }
            Denied::Key(_) => {
                "ERR The user executing the script can't access at least one of the keys mentioned in the command \
                 arguments"
            }
            Denied::Channel(_) => {
                "ERR The user executing the script can't publish to the channel mentioned in the command"
            }
        })
    }

    fn log_denied(
        &self,
        denied: Denied,
        context: LogContext,
        (named, arguments): (&'static CommandSpec, &[&[u8]]),
    ) {
        let (reason, object) = match denied {
            Denied::Command => (RefusalReason::Command, named.name.as_bytes()),
            Denied::Key(at) => (RefusalReason::Key, arguments[at]),
            Denied::Channel(at) => (RefusalReason::Channel, arguments[at]),
        };
        // A script is the command of its client.
        let command = match context {
            LogContext::TopLevel | LogContext::Transaction => named.name,
            #[cfg(feature = "scripts")]
            LogContext::Script => self.connection.command,
        };
        self.log(reason, context, (object, self.connection.user_name(), command));
    }

    fn log(
        &self,
        reason: RefusalReason,
        context: LogContext,
        (object, user, command): (&[u8], &[u8], &'static str),
    ) {
        let mut info = self.connection.info();
        info.command = command;
        self.server.users().log_refusal(reason, context, (object, user), &info);
    }

    /// Returns the user if the password is right. If it is not, an entry of ACL LOG says so. `command` is the word by
    /// which the client has named its command.
    pub(in crate::command) fn authenticate(
        &self,
        (user, password): (&[u8], &[u8]),
        (word, command): (&[u8], &'static str),
    ) -> Option<Arc<User>> {
        let known = self.server.users().authenticate(user, password);
        if known.is_none() {
            let in_transaction = self.connection.queue.is_some();
            let context =
                if in_transaction { LogContext::Transaction } else { LogContext::TopLevel };
            self.log(RefusalReason::Auth, context, (word, user, command));
        }
        known
    }
}
