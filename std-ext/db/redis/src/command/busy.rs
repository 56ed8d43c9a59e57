//! Commands while a script runs for longer than `busy-reply-threshold`: nearly all are refused, as in Redis.
//!
//! The script holds the locks of its keys' shards, so a command that needs one of them would occupy its loop as well,
//! and nobody could reach SCRIPT KILL.

use crate::command::arguments::{is, resolve};
use crate::command::execute::Execution;
use crate::command::table::{CommandSpec, Flag, Id};

const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

/// Returns whether a command or subcommand is executed while a script runs for too long.
fn is_allowed(called: &CommandSpec, arguments: &[&[u8]]) -> bool {
    let ends_at_once = |word: &&[u8]| is(word, "nosave") || is(word, "abort");
    match called.id {
        Id::SHUTDOWN => arguments[1..].iter().any(ends_at_once),
        _ => called.has_flag(Flag::AllowBusy),
    }
}

impl Execution<'_, '_> {
    /// Refuses a command because a script runs for too long. Returns whether it did: wrong commands have their own
    /// errors, and some commands are executed.
    #[cold]
    pub(super) fn refuse_while_busy(
        &mut self,
        spec: Option<&'static CommandSpec>,
        arguments: &[&[u8]],
    ) -> bool {
        let Some(spec) = spec.filter(|spec| spec.takes(arguments.len())) else { return false };
        // In the order of `processCommand`: NOAUTH comes before BUSY.
        let unknown = !self.connection.authenticated && !spec.allowed_unauthenticated();
        let is_allowed = |called| is_allowed(called, arguments);
        if unknown || resolve(spec, arguments).map_or(true, is_allowed) {
            return false;
        }
        self.refuse(spec.with_part(arguments), BUSY.into());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::diagnostics::busy::BusyScript;
    use crate::command::test_client::TestClient;

    /// The replies are those of redis-server 7.0.15 while a script runs.
    #[test]
    fn commands_are_refused_as_redis_does() {
        let mut client = TestClient::new();
        let busy = format!("-{BUSY}");
        let aborted = format!("-EXECABORT Transaction discarded because of: {BUSY}");
        let script = BusyScript::begin(client.diagnostics());
        for (request, reply) in [
            ("ping", &*busy),
            ("set k v", &busy),
            ("get k", &busy),
            ("multi", "+OK"),
            ("set k v", &busy),
            ("exec", &aborted),
            ("multi", "+OK"),
            ("exec", &aborted),
            ("exec", &aborted),
            ("multi", "+OK"),
            ("discard", "+OK"),
            ("watch a", "+OK"),
            ("unwatch", "+OK"),
            ("script exists a", &busy),
            ("script flush", &busy),
            ("eval 'return 1' 0", &busy),
            ("info", &busy),
            ("shutdown", &busy),
            ("shutdown save", &busy),
            ("client list", &busy),
            ("ping a b c", &busy),
            ("subscribe x", &busy),
            ("config get port", &busy),
            ("foo", "-ERR unknown command 'foo', with args beginning with:"),
            ("get", "-ERR wrong number of arguments for 'get' command"),
            ("client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP."),
            ("reset", "+RESET"),
        ] {
            assert_eq!(client.command(request), reply, "another reply to {request}");
        }
        #[cfg(feature = "scripts")]
        for (request, reply) in [
            ("script kill", "-NOTBUSY No scripts in execution right now."),
            ("script kill x", "-ERR wrong number of arguments for 'script|kill' command"),
        ] {
            assert_eq!(client.command(request), reply);
        }
        drop(script);
        assert_eq!(client.command("set k v"), "+OK", "a command is refused after the script");
        client.users().set_default_password(b"secret");
        client.connect_again();
        let _script = BusyScript::begin(client.diagnostics());
        assert_eq!(client.command("get k"), "-NOAUTH Authentication required.");
        assert_eq!(client.command("auth secret"), "+OK");
        assert_eq!(client.command("get k"), busy);
    }

    /// All requests of a pipeline after the script's time is over are refused one by one.
    #[test]
    fn each_command_of_a_pipeline_is_looked_at() {
        let mut client = TestClient::new();
        let script = BusyScript::begin(client.diagnostics());
        let replies = client.send(b"MULTI\r\nGET k\r\nDISCARD\r\nGET k\r\nUNWATCH\r\n");
        let wanted = format!("+OK\r\n-{BUSY}\r\n+OK\r\n-{BUSY}\r\n+OK\r\n");
        assert_eq!(String::from_utf8_lossy(&replies), wanted);
        drop(script);
        assert_eq!(client.send(b"GET k\r\n"), b"$-1\r\n");
    }
}
