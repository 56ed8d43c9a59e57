//! DEBUG: the subcommands that test suites of client libraries use. Only if the setting `enable-debug-command` allows
//! it.

use crate::command::arguments::{CommandError, is, shown};
use crate::command::diagnostics::DebugAccess;
use crate::command::execute::Execution;
use std::time::Duration;

const HELP: [&str; 8] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "SLEEP <seconds>",
    "    Stop the thread that serves this connection for <seconds>. Decimals allowed.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Accepted without effect: no client sees an expired key.",
];

const NOT_ALLOWED: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
    can run it from a local connection, otherwise you need to set this option in the configuration file, and then \
    restart the server.";

impl<'a> Execution<'_, 'a> {
    /// DEBUG.
    pub(super) fn debug(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let allowed = match self.meter.diagnostics.debug_access() {
            DebugAccess::No => false,
            DebugAccess::Yes => true,
            DebugAccess::Local => is_local(&self.connection.address),
        };
        if !allowed {
            return Err(NOT_ALLOWED.into());
        }
        self.execute_batch();
        match &arguments[1..] {
            [name, seconds] if is(name, "sleep") => {
                // As Redis does, which takes zero if it is no number.
                let text = String::from_utf8_lossy(seconds);
                let time =
                    text.parse().ok().and_then(|time| Duration::try_from_secs_f64(time).ok());
                std::thread::sleep(time.unwrap_or_default());
                self.reply(|out| out.ok());
            }
            [name, message] if is(name, "error") => {
                return Err(String::from_utf8_lossy(message).into_owned().into());
            }
            [name, _] if is(name, "set-active-expire") => self.reply(|out| out.ok()),
            [name] if is(name, "help") => self.help(&HELP),
            [name, ..] => {
                let name = String::from_utf8_lossy(shown(name, 128)).into_owned();
                let text = format!(
                    "ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
                );
                return Err(text.into());
            }
            [] => {}
        }
        Ok(())
    }
}

/// Returns whether a client is on this machine.
fn is_local(address: &str) -> bool {
    address.starts_with("127.") || address.starts_with("[::1]") || address.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::Client;

    #[test]
    fn debug_must_be_allowed() {
        let mut client = Client::new();
        assert!(client.command("DEBUG SLEEP 0").starts_with("-ERR DEBUG command not allowed."));
        client.command("CONFIG SET enable-debug-command local");
        let reply = client.command("DEBUG SLEEP 0");
        assert!(reply.starts_with("-ERR DEBUG"), "a client elsewhere may use DEBUG: {reply}");
        client.command("CONFIG SET enable-debug-command yes");
        assert_eq!(client.command("DEBUG SLEEP 0"), "+OK");
        assert_eq!(client.command("DEBUG ERROR 'LOADING fake message'"), "-LOADING fake message");
        for (address, local) in [
            ("127.0.0.1:5", true),
            ("[::1]:5", true),
            ("/run/socket:0", true),
            ("10.0.0.1:127", false),
            ("[::2]:1", false),
        ] {
            assert_eq!(is_local(address), local, "{address}");
        }
    }
}
