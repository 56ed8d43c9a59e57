//! DEBUG: the subcommands that test suites of client libraries use. Only if the setting `enable-debug-command` allows
//! it.

use crate::command::arguments::{CommandError, is, wrong_part};
use crate::command::diagnostics::DebugAccess;
use crate::command::execute::Execution;
use crate::command::rows::{Run, alone};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::write::RespWriter;
use std::time::Duration;

const HELP: [&str; 16] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "SLEEP <seconds>",
    "    Stop the thread that serves this connection for <seconds>. Decimals allowed.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Accepted without effect: no client sees an expired key.",
    "PAUSE-CRON <0|1>",
    "    Accepted without effect: the tasks in the background go on.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted without effect: lists have no quicklist.",
];

/// Subcommands that have nothing to change here, but without which tests of lists and expiration stop.
const WITHOUT_EFFECT: [&str; 3] = ["set-active-expire", "pause-cron", "quicklist-packed-threshold"];

const NOT_ALLOWED: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
    can run it from a local connection, otherwise you need to set this option in the configuration file, and then \
    restart the server.";

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] =
    &[alone("debug", -2, "admin noscript loading stale", |e, a| e.debug(a))
        .since("1.0.0", Group::Server)
        .summary("A container for debugging commands.")];

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
                // It blocks its loop on purpose, as Redis blocks: test suites use it to make a server late. The setting
                // keeps it from others.
                std::thread::sleep(time.unwrap_or_default());
                self.reply(|out| out.ok());
            }
            [name, message] if is(name, "error") => {
                return Err(String::from_utf8_lossy(message).into_owned().into());
            }
            [name, kind] if is(name, "protocol") => {
                let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
                self.reply(|out| sample(&kind, out));
            }
            [name, _] if WITHOUT_EFFECT.iter().any(|one| is(name, one)) => {
                self.reply(|out| out.ok());
            }
            [name] if is(name, "help") => return self.help(&HELP),
            [name, ..] => return Err(wrong_part("DEBUG", name)),
            [] => {}
        }
        Ok(())
    }
}

/// Replies a value of this type, as Redis does.
#[expect(clippy::approx_constant, reason = "the number of Redis, which is not pi")]
fn sample(kind: &str, out: &mut RespWriter<'_>) {
    match kind {
        "string" => out.bulk(b"Hello World"),
        "integer" => out.integer(12345),
        "double" => out.double(3.141),
        "bignum" => out.big_number("1234567999999999999999999999999999999"),
        "null" => out.null(),
        "array" | "set" => {
            if kind == "set" {
                out.set(3);
            } else {
                out.array(3);
            }
            (0..3).for_each(|n| out.integer(n));
        }
        "map" => {
            out.map(3);
            for n in 0..3 {
                out.integer(n);
                out.boolean(n == 1);
            }
        }
        "attrib" => {
            // No other reply has an attribute, and RESP2 knows none.
            if out.protocol() == Protocol::Three {
                out.raw(b"|1\r\n");
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.integer(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        // As in Redis: in RESP2 nothing tells a push from a reply.
        "push" if out.protocol() == Protocol::Two => {
            out.error("ERR RESP2 is not supported by this command");
        }
        "push" => {
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.integer(42);
            out.bulk(b"Some real reply following the push reply");
        }
        "verbatim" => out.verbatim(*b"txt", b"This is a verbatim\nstring"),
        "true" | "false" => out.boolean(kind == "true"),
        _ => out.error(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
        ),
    }
}

/// Returns whether a client is on this machine.
fn is_local(address: &str) -> bool {
    address.starts_with("127.") || address.starts_with("[::1]") || address.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::test_client::TestClient;

    #[test]
    fn debug_must_be_allowed() {
        let mut client = TestClient::new();
        assert!(client.command("DEBUG SLEEP 0").starts_with("-ERR DEBUG command not allowed."));
        client.command("CONFIG SET enable-debug-command local");
        let reply = client.command("DEBUG SLEEP 0");
        assert!(reply.starts_with("-ERR DEBUG"), "a client elsewhere may use DEBUG: {reply}");
        client.command("CONFIG SET enable-debug-command yes");
        assert_eq!(client.command("DEBUG SLEEP 0"), "+OK");
        for without_effect in
            ["SET-ACTIVE-EXPIRE 0", "pause-cron 1", "quicklist-packed-threshold 1b"]
        {
            assert_eq!(client.command(&format!("DEBUG {without_effect}")), "+OK");
        }
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
    /// The replies of redis-server 7.0.15 in RESP2 and RESP3.
    const SAMPLES: [(&str, &str, &str); 13] = [
        ("string", "$11\r\nHello World\r\n", ""),
        ("INTEGER", ":12345\r\n", ""),
        ("double", "$5\r\n3.141\r\n", ",3.141\r\n"),
        ("null", "$-1\r\n", "_\r\n"),
        ("array", "*3\r\n:0\r\n:1\r\n:2\r\n", ""),
        ("set", "*3\r\n:0\r\n:1\r\n:2\r\n", "~3\r\n:0\r\n:1\r\n:2\r\n"),
        (
            "map",
            "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n",
            "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n",
        ),
        (
            "attrib",
            "$39\r\nSome real reply following the attribute\r\n",
            "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n\
             $39\r\nSome real reply following the attribute\r\n",
        ),
        (
            "push",
            "-ERR RESP2 is not supported by this command\r\n",
            ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n\
             $40\r\nSome real reply following the push reply\r\n",
        ),
        (
            "verbatim",
            "$25\r\nThis is a verbatim\nstring\r\n",
            "=29\r\ntxt:This is a verbatim\nstring\r\n",
        ),
        ("true", ":1\r\n", "#t\r\n"),
        (
            "bignum",
            "$37\r\n1234567999999999999999999999999999999\r\n",
            "(1234567999999999999999999999999999999\r\n",
        ),
        (
            "rose",
            "-ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false\r\n",
            "",
        ),
    ];

    #[test]
    fn there_is_a_reply_of_each_type() {
        let mut client = TestClient::new();
        client.command("CONFIG SET enable-debug-command yes");
        for (protocol, of) in [("2", 0), ("3", 1)] {
            client.command(&format!("HELLO {protocol}"));
            for (kind, two, three) in SAMPLES {
                let wanted = if of == 1 && !three.is_empty() { three } else { two };
                let reply = client.send(format!("DEBUG PROTOCOL {kind}\r\n").as_bytes());
                assert_eq!(String::from_utf8_lossy(&reply), wanted, "{kind}");
            }
        }
    }
}
