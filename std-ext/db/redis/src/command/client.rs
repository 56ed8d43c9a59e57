//! Commands about the connection itself.

use crate::command::COMPATIBLE;
use crate::command::acl::user::DEFAULT;
use crate::command::arguments::{
    CommandError, NOT_AN_INTEGER, SYNTAX, is, shown, wrong_number, wrong_part,
};
use crate::command::client_line::{self, ClientType};
use crate::command::connection::{Connection, ReplyMode};
use crate::command::context::ClientInfo;
use crate::command::execute::{Execution, NextStep};
use crate::command::rows::{Run, alone, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::limits::LONGEST_NAME;
use crate::view::MemberRole;
use hedgerow_db_engine::state::waiters::WaitEnd;
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::Protocol;

const WRONG_PASSWORD: CommandError =
    CommandError::Borrowed("WRONGPASS invalid username-password pair or user is disabled.");
const NO_HELLO: CommandError = CommandError::Borrowed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
    <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP \
    protocol version at the same time",
);
const NO_PASSWORD: CommandError = CommandError::Borrowed(
    "ERR AUTH <password> called without any password configured for the default user. Are you \
    sure your configuration is correct?",
);

const HELP: [&str; 46] = [
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0), LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from, or to, the specified address",
    "    * ID <client-id>, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <username>",
    "      Kill connections by id, type or user.",
    "    * MAXAGE <seconds>",
    "      Kill connections that are at least this old.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF), NO-TOUCH (ON|OFF)",
    "    Accepted without effect.",
];

/// Returns whether a text can be a value in a line of CLIENT LIST.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    alone("ping", -1, "fast", |e, a| e.ping(a))
        .since("1.0.0", Group::Connection)
        .syntax("[message]")
        .summary("Returns PONG or the given message, to test the connection.")
        .tips("request_policy:all_shards response_policy:all_succeeded")
        .without_data()
        .brief(),
    alone("echo", 2, "loading stale fast", |e, a| e.answer(|out| out.bulk(a[1])))
        .since("1.0.0", Group::Connection)
        .syntax("message")
        .summary("Returns the given message.")
        .without_data()
        .brief(),
    alone("hello", -1, "noscript loading stale fast no_auth allow_busy", |e, a| e.hello(a))
        .since("6.0.0", Group::Connection)
        .syntax(
            "[arguments:(protover/integer [AUTH username_password:(username password)] \
            [SETNAME clientname])]",
        )
        .summary("Selects the version of RESP and returns information about the server.")
        .without_data(),
    alone("auth", -2, "noscript loading stale fast no_auth allow_busy", |e, a| e.auth(a))
        .since("1.0.0", Group::Connection)
        .syntax("[username@6.0.0] password")
        .summary("Authenticates the connection.")
        .without_data(),
    alone("reset", 1, "noscript loading stale fast no_auth allow_busy", |e, _| {
        e.reset();
        Ok(())
    })
    .since("6.2.0", Group::Connection)
    .summary("Resets the connection.")
    .without_data(),
    alone("quit", -1, "noscript loading stale fast no_auth allow_busy", |e, _| {
        e.next = NextStep::Close;
        e.answer(|out| out.ok())
    })
    .since("1.0.0", Group::Connection)
    .summary("Closes the connection."),
    container("client", -2, CLIENT)
        .since("2.4.0", Group::Connection)
        .summary("A container for client connection commands.")
        .without_data(),
];

const CLIENT: &[Row<Run>] = &[
    command("client|id", 2, "noscript loading stale", |e, _| e.client_id())
        .since("5.0.0", Group::Connection)
        .summary("Returns the id of the connection."),
    command("client|getname", 2, "noscript loading stale", |e, _| e.client_name())
        .since("2.6.9", Group::Connection)
        .summary("Returns the name of the connection."),
    command("client|setname", 3, "noscript loading stale", |e, a| {
        e.connection.name = plain_name(a[2])?;
        e.answer(|out| out.ok())
    })
    .since("2.6.9", Group::Connection)
    .syntax("connection-name")
    .summary("Names the connection."),
    command("client|list", -2, "admin noscript loading stale", |e, a| e.list(a))
        .since("2.4.0", Group::Connection)
        .syntax(
            "[TYPE normal_master_replica_pubsub:<NORMAL|MASTER|REPLICA|PUBSUB>@5.0.0] [ID \
            id:(client-id/integer...)@6.2.0]",
        )
        .summary("Lists the connections.")
        .takes_time("O(N), N is the number of connections")
        .tips("nondeterministic_output"),
    command("client|info", 2, "noscript loading stale", |e, a| e.client_info(a))
        .since("6.2.0", Group::Connection)
        .summary("Describes the connection.")
        .tips("nondeterministic_output"),
    command("client|reply", 3, "noscript loading stale", |e, a| e.set_reply_mode(a[2]))
        .since("3.2.0", Group::Connection)
        .syntax("on_off_skip:<ON|OFF|SKIP>")
        .summary("Turns the replies to later commands on or off."),
    command("client|setinfo", 4, "noscript loading stale", |e, a| e.set_info(a[2], a[3]))
        .since("7.2.0", Group::Connection)
        .syntax("attr:<LIB-NAME libname|LIB-VER libver>")
        .summary("Sets the name or the version of the client library."),
    command("client|no-evict", 3, "admin noscript loading stale", |e, a| e.switch(a[2]))
        .since("7.0.0", Group::Connection)
        .syntax("enabled:<ON|OFF>")
        .summary("Exempts the connection from client eviction."),
    command("client|no-touch", 3, "noscript loading stale", |e, a| e.switch(a[2]))
        .since("7.2.0", Group::Connection)
        .syntax("enabled:<ON|OFF>")
        .summary("Reads keys without updating their last access time."),
    command("client|getredir", 2, "noscript loading stale", |e, _| {
        e.redirection();
        Ok(())
    })
    .since("6.0.0", Group::Connection)
    .summary("Returns the id of the connection that receives the invalidation messages."),
    command("client|kill", -3, "admin noscript loading stale", |e, a| e.kill(&a[2..]))
        .since("2.4.0", Group::Connection)
        .syntax(
            "filter:<ip:port!2.8.12|new-format:<[ID client-id/integer@2.8.12]|[TYPE \
            normal_master_slave_pubsub:<NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|\
            PUBSUB>@2.8.12]|[USER username]|[ADDR ip:port]|[LADDR ip:port@6.2.0]|[SKIPME \
            yes/no]>...>",
        )
        .summary("Closes connections.")
        .takes_time("O(N), N is the number of connections"),
    command("client|unblock", -3, "admin noscript loading stale", |e, a| e.unblock(a))
        .since("5.0.0", Group::Connection)
        .syntax("client-id/integer [timeout_error:<TIMEOUT|ERROR>]")
        .summary("Unblocks another connection."),
    command("client|tracking", -3, "noscript loading stale", |e, a| e.tracking(&a[2..]))
        .since("6.0.0", Group::Connection)
        .syntax(
            "status:<ON|OFF> [REDIRECT client-id/integer] [PREFIX prefix...+] [BCAST] \
            [OPTIN] [OPTOUT] [NOLOOP]",
        )
        .summary("Turns invalidation messages for the keys that the client has read on or off."),
    command("client|caching", 3, "noscript loading stale", |e, a| e.caching(a[2]))
        .since("6.0.0", Group::Connection)
        .syntax("mode:<YES|NO>")
        .summary("Includes the keys of the next command in tracking, or leaves them out."),
    command("client|trackinginfo", 2, "noscript loading stale", |e, _| {
        e.tracking_info();
        Ok(())
    })
    .since("6.2.0", Group::Connection)
    .summary("Describes the tracking of the connection."),
    command("client|pause", -3, "admin noscript loading stale", |e, a| e.pause(a))
        .since("2.9.50", Group::Connection)
        .syntax("timeout/integer [mode:<WRITE|ALL>@6.2.0]")
        .summary("Suspends the commands of all clients for some milliseconds."),
    command("client|unpause", 2, "admin noscript loading stale", |e, _| {
        e.unpause();
        Ok(())
    })
    .since("6.2.0", Group::Connection)
    .summary("Ends CLIENT PAUSE."),
    command("client|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("5.0.0", Group::Connection)
        .summary("Lists the subcommands."),
];

impl<'a> Execution<'_, 'a> {
    /// PING.
    pub(super) fn ping(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let confined = self.connection.is_confined();
        match arguments {
            // In RESP2 a subscriber tells this reply from messages by its form (`pingCommand`).
            [_] | [_, _] if confined => {
                let text = arguments.get(1).copied().unwrap_or_default();
                self.reply(|out| {
                    out.array(2);
                    out.bulk(b"pong");
                    out.bulk(text);
                });
            }
            [_] => self.reply(|out| out.simple("PONG")),
            [_, text] => self.reply(|out| out.bulk(text)),
            _ => return Err(wrong_number("ping")),
        }
        Ok(())
    }

    /// RESET.
    pub(super) fn reset(&mut self) {
        self.execute_batch();
        self.connection.reset(self.server.users());
        self.session.set_database(self.connection.database);
        self.reply(|out| out.simple("RESET"));
    }

    /// AUTH.
    pub(super) fn auth(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (user, password) = match *arguments {
            // Any password would be right (`authCommand`): the client would take a server without a password for one
            // with its own.
            [_, _] if self.server.users().default_user().needs_no_password() => {
                return Err(NO_PASSWORD);
            }
            [_, password] => (DEFAULT, password),
            [_, user, password] => (user, password),
            _ => return Err(SYNTAX),
        };
        let known = self.authenticate((user, password), (arguments[0], "auth"));
        self.connection.log_in(known.ok_or(WRONG_PASSWORD)?);
        self.reply(|out| out.ok());
        Ok(())
    }

    /// HELLO.
    pub(super) fn hello(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        self.execute_batch();
        let mut protocol = self.connection.protocol;
        if let Some(version_argument) = arguments.get(1) {
            let invalid = "ERR Protocol version is not an integer or out of range";
            protocol = match number::integer(version_argument).ok_or(invalid)? {
                2 => Protocol::Two,
                3 => Protocol::Three,
                _ => return Err("NOPROTO unsupported protocol version".into()),
            };
        }
        let (mut secret, mut name) = (None, None);
        let mut options = arguments.get(2..).unwrap_or_default();
        loop {
            options = match options {
                [] => break,
                [option, user, password, rest @ ..] if is(option, "auth") => {
                    secret = Some((*user, *password));
                    rest
                }
                [option, given, rest @ ..] if is(option, "setname") => {
                    name = Some(plain_name(given)?);
                    rest
                }
                [option, ..] => {
                    let option = String::from_utf8_lossy(shown(option, usize::MAX)).into_owned();
                    return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
                }
            };
        }
        // Only now that all options are known to be right. Redis applies each one as it reads it, and gives a name even
        // to a client that it then refuses.
        if let Some(secret) = secret {
            let known = self.authenticate(secret, (arguments[0], "hello"));
            self.connection.log_in(known.ok_or(WRONG_PASSWORD)?);
        }
        if !self.connection.authenticated {
            return Err(NO_HELLO);
        }
        if let Some(name) = name {
            self.connection.name = name;
        }
        self.connection.protocol = protocol;
        if let Some(tracking) = &self.connection.tracking {
            tracking.set_protocol(protocol);
        }
        self.connection.update_blocked();
        let (id, version) = (self.connection.id, self.connection.version());
        let role = self.group().map(|group| group.view().role);
        let mode = if role.is_some() { "cluster" } else { "standalone" };
        // A node that is loading is a replica: a client must not write to it.
        let role =
            if role.is_none_or(|role| role == MemberRole::Primary) { "master" } else { "replica" };
        self.reply(|out| {
            out.map(7);
            out.bulk(b"server");
            out.bulk(b"redis");
            out.bulk(b"version");
            out.bulk(COMPATIBLE.as_bytes());
            out.bulk(b"proto");
            out.integer(version.into());
            out.bulk(b"id");
            out.integer(id.cast_signed());
            out.bulk(b"mode");
            out.bulk(mode.as_bytes());
            out.bulk(b"role");
            out.bulk(role.as_bytes());
            out.bulk(b"modules");
            out.array(0);
        });
        Ok(())
    }

    /// CLIENT ID.
    fn client_id(&mut self) -> Result<(), CommandError> {
        let id = self.connection.id.cast_signed();
        self.answer(|out| out.integer(id))
    }

    /// CLIENT GETNAME.
    fn client_name(&mut self) -> Result<(), CommandError> {
        match self.connection.name.take() {
            None => self.reply(|out| out.null()),
            Some(name) => {
                self.reply(|out| out.bulk(&name));
                self.connection.name = Some(name);
            }
        }
        Ok(())
    }

    /// CLIENT INFO.
    fn client_info(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let mut line = Vec::new();
        client_line::write(&self.own_info(arguments), &mut line);
        line.push(b'\n');
        self.answer(|out| out.verbatim(*b"txt", &line))
    }

    /// CLIENT NO-EVICT and CLIENT NO-TOUCH, which change nothing here.
    fn switch(&mut self, argument: &[u8]) -> Result<(), CommandError> {
        if is(argument, "on") || is(argument, "off") {
            return self.answer(|out| out.ok());
        }
        Err(SYNTAX)
    }

    /// CLIENT SETINFO.
    fn set_info(&mut self, option: &[u8], value: &[u8]) -> Result<(), CommandError> {
        let (name, first) = match option {
            option if is(option, "lib-name") => ("lib-name", true),
            option if is(option, "lib-ver") => ("lib-ver", false),
            option => {
                let option = String::from_utf8_lossy(shown(option, 128)).into_owned();
                return Err(format!("ERR Unrecognized option '{option}'").into());
            }
        };
        if value.len() > LONGEST_NAME {
            return Err(format!("ERR {name} cannot be longer than {LONGEST_NAME} bytes.").into());
        }
        if !is_plain(value) {
            let text = format!("ERR {name} cannot contain spaces, newlines or special characters.");
            return Err(text.into());
        }
        let library = self.connection.library.get_or_insert_default();
        *if first { &mut library.0 } else { &mut library.1 } = value.to_vec();
        self.reply(|out| out.ok());
        Ok(())
    }

    /// Returns what CLIENT LIST shows of the client that sends this command.
    fn own_info(&self, arguments: &[&[u8]]) -> ClientInfo<'_> {
        let mut info = self.connection.info();
        let sizes = &mut info.sizes;
        // Known better here than in the list of clients, which has the sizes as of the last turn.
        sizes.input = self.input.len() as u64;
        sizes.arguments = arguments.iter().map(|argument| argument.len() as u64).sum();
        (sizes.reply_bytes, sizes.reply_buffer) =
            (self.out.len() as u64, self.out.capacity() as u64);
        let held = size_of::<Connection>() as u64 + sizes.queued_bytes;
        sizes.total = held + sizes.input + sizes.arguments + sizes.reply_buffer;
        info
    }

    /// CLIENT LIST.
    fn list(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let mut ids = None;
        let mut class = None;
        match &arguments[2..] {
            [] => {}
            [option, kind] if is(option, "type") => class = Some(ClientType::read(kind)?),
            [option, wanted @ ..] if is(option, "id") && !wanted.is_empty() => {
                let wanted: Option<Vec<i64>> =
                    wanted.iter().map(|id| number::integer(id)).collect();
                let mut wanted = wanted.ok_or("ERR Invalid client ID")?;
                // The list is locked while each of its clients is looked for here.
                wanted.sort_unstable();
                ids = Some(wanted);
            }
            _ => return Err(SYNTAX),
        }
        let mut lines = Vec::new();
        let mut each = |info: &ClientInfo<'_>| {
            let id = info.id.cast_signed();
            let wanted = ids.as_ref().is_none_or(|ids| ids.binary_search(&id).is_ok());
            if wanted && class.is_none_or(|class| class == ClientType::of(info)) {
                client_line::write(info, &mut lines);
                lines.push(b'\n');
            }
        };
        // The list of clients knows its own line as of its last turn only.
        each(&self.own_info(arguments));
        self.server.clients(self.connection.id, &mut each);
        self.reply(|out| out.verbatim(*b"txt", &lines));
        Ok(())
    }

    /// CLIENT KILL.
    fn kill(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let (filter, skips_own) = match *arguments {
            // The old form: CLIENT KILL addr.
            [address] => (Filter { address: Some(address), ..Filter::default() }, false),
            _ => Filter::read(arguments)?,
        };
        if let Some(user) = filter.user.filter(|user| self.server.users().get(user).is_none()) {
            let user = String::from_utf8_lossy(shown(user, 128)).into_owned();
            return Err(format!("ERR No such user '{user}'").into());
        }
        // Commands before this one are executed even if it closes the connection.
        self.execute_batch();
        let mut killed = self.server.kill(self.connection.id, &mut |info| filter.matches(info));
        // Its own connection ends only after the reply.
        let ends = !skips_own && filter.matches(&self.connection.info());
        killed += u64::from(ends);
        match (arguments.len(), killed) {
            (1, 0) => return Err("ERR No such client".into()),
            (1, _) => self.reply(|out| out.ok()),
            _ => self.reply(|out| out.integer(killed.cast_signed())),
        }
        if ends {
            self.next = NextStep::Close;
        }
        Ok(())
    }

    /// CLIENT UNBLOCK.
    fn unblock(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let why = match &arguments[2..] {
            [_] => WaitEnd::TimedOut,
            [_, how] if is(how, "timeout") => WaitEnd::TimedOut,
            [_, how] if is(how, "error") => WaitEnd::Unblocked,
            [_, _] => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
            _ => return Err(wrong_part("CLIENT", arguments[1])),
        };
        let id = number::integer(arguments[2]).ok_or(NOT_AN_INTEGER)?;
        // Commands before this one may serve the client.
        self.execute_batch();
        let ends = self.server.unblock(id.cast_unsigned(), why);
        self.reply(|out| out.integer(ends.into()));
        Ok(())
    }

    /// CLIENT REPLY.
    fn set_reply_mode(&mut self, argument: &[u8]) -> Result<(), CommandError> {
        // Replies to earlier commands are subject to the old mode.
        self.execute_batch();
        if is(argument, "on") {
            self.connection.reply_mode = ReplyMode::All;
            self.reply(|out| out.ok());
        } else if is(argument, "off") {
            self.connection.reply_mode = ReplyMode::None;
        } else if is(argument, "skip") {
            // After OFF, SKIP must not bring replies back (`CLIENT_REPLY_OFF` in `clientCommand`).
            if self.connection.reply_mode != ReplyMode::None {
                self.connection.reply_mode = ReplyMode::SkipNext;
            }
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    }
}

/// The clients that CLIENT KILL closes: those that match all given options.
#[derive(Default)]
struct Filter<'f> {
    id: Option<u64>,
    address: Option<&'f [u8]>,
    local_address: Option<&'f [u8]>,
    /// The least age, in seconds.
    age: u64,
    class: Option<ClientType>,
    user: Option<&'f [u8]>,
}

impl<'f> Filter<'f> {
    /// Reads the options. Also returns whether the calling connection is spared.
    fn read(options: &[&'f [u8]]) -> Result<(Self, bool), CommandError> {
        let (pairs, []) = options.as_chunks::<2>() else { return Err(SYNTAX) };
        let (mut filter, mut skips_own) = (Self::default(), true);
        for &[option, value] in pairs {
            if is(option, "id") {
                let id = number::integer(value).and_then(|id| u64::try_from(id).ok());
                let invalid = "ERR client-id should be greater than 0";
                filter.id = Some(id.filter(|id| *id > 0).ok_or(invalid)?);
            } else if is(option, "type") {
                filter.class = Some(ClientType::read(value)?);
            } else if is(option, "addr") {
                filter.address = Some(value);
            } else if is(option, "laddr") {
                filter.local_address = Some(value);
            } else if is(option, "maxage") {
                let age = number::integer(value);
                let age = age.ok_or("ERR maxage is not an integer or out of range")?;
                let age = u64::try_from(age).ok().filter(|age| *age > 0);
                filter.age = age.ok_or("ERR maxage should be greater than 0")?;
            } else if is(option, "user") {
                filter.user = Some(value);
            } else if is(option, "skipme") && (is(value, "yes") || is(value, "no")) {
                skips_own = is(value, "yes");
            } else {
                return Err(SYNTAX);
            }
        }
        Ok((filter, skips_own))
    }

    fn matches(&self, info: &ClientInfo<'_>) -> bool {
        let is_all = |wanted: Option<&[u8]>, text: &str| {
            wanted.is_none_or(|wanted| wanted == text.as_bytes())
        };
        self.class.is_none_or(|class| class == ClientType::of(info))
            && info.age >= self.age
            && self.user.is_none_or(|user| user == info.user)
            && self.id.is_none_or(|id| id == info.id)
            && is_all(self.address, info.address)
            && is_all(self.local_address, info.local_address)
    }
}

/// Checks a connection name; an empty one removes the name.
fn plain_name(name: &[u8]) -> Result<Option<Box<[u8]>>, CommandError> {
    if name.len() > LONGEST_NAME {
        let text = format!("ERR Client names cannot be longer than {LONGEST_NAME} bytes.");
        return Err(text.into());
    }
    if !is_plain(name) {
        let text = "ERR Client names cannot contain spaces, newlines or special characters.";
        return Err(text.into());
    }
    Ok((!name.is_empty()).then(|| name.into()))
}
