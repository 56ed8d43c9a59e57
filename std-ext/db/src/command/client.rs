//! Commands about the connection itself.

use crate::cluster::view::MemberRole;
use crate::command::COMPATIBLE;
use crate::command::acl::user::DEFAULT;
use crate::command::arguments::{
    CommandError, NOT_AN_INTEGER, SYNTAX, is, shown, subcommand, wrong_number, wrong_part,
};
use crate::command::client_line::{self, ClientType};
use crate::command::connection::{Connection, ReplyMode};
use crate::command::context::ClientInfo;
use crate::command::execute::{Execution, NextStep};
use crate::limits::LONGEST_NAME;
use crate::resp::Protocol;
use crate::state::number;

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

#[derive(Clone, Copy)]
enum Subcommand {
    Id,
    GetName,
    SetName,
    List,
    Info,
    SetInfo,
    Reply,
    Switch,
    GetRedir,
    Kill,
    Unblock,
    Tracking,
    Caching,
    TrackingInfo,
    Pause,
    Unpause,
    Help,
}

const SUBCOMMANDS: [(&str, i8, Subcommand); 18] = [
    ("id", 2, Subcommand::Id),
    ("getname", 2, Subcommand::GetName),
    ("setname", 3, Subcommand::SetName),
    ("list", -2, Subcommand::List),
    ("info", 2, Subcommand::Info),
    ("setinfo", 4, Subcommand::SetInfo),
    ("reply", 3, Subcommand::Reply),
    ("no-evict", 3, Subcommand::Switch),
    ("no-touch", 3, Subcommand::Switch),
    ("getredir", 2, Subcommand::GetRedir),
    ("kill", -3, Subcommand::Kill),
    ("unblock", -3, Subcommand::Unblock),
    ("tracking", -3, Subcommand::Tracking),
    ("caching", 3, Subcommand::Caching),
    ("trackinginfo", 2, Subcommand::TrackingInfo),
    ("pause", -3, Subcommand::Pause),
    ("unpause", 2, Subcommand::Unpause),
    ("help", 2, Subcommand::Help),
];

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
    "    Unblock the specified blocked client. No command blocks on this server.",
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

    /// CLIENT.
    pub(super) fn client(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        // Subcommands with fewer arguments have none.
        let argument = arguments.get(2).copied().unwrap_or_default();
        match subcommand("client", &SUBCOMMANDS, arguments)? {
            Subcommand::Id => {
                let id = self.connection.id.cast_signed();
                self.reply(|out| out.integer(id));
            }
            Subcommand::GetName => match self.connection.name.take() {
                None => self.reply(|out| out.null()),
                Some(name) => {
                    self.reply(|out| out.bulk(&name));
                    self.connection.name = Some(name);
                }
            },
            Subcommand::SetName => {
                self.connection.name = plain_name(argument)?;
                self.reply(|out| out.ok());
            }
            Subcommand::SetInfo => self.set_info(argument, arguments[3])?,
            Subcommand::List => self.list(arguments)?,
            Subcommand::Info => {
                let mut line = Vec::new();
                client_line::write(&self.own_info(arguments), &mut line);
                line.push(b'\n');
                self.reply(|out| out.verbatim(*b"txt", &line));
            }
            Subcommand::Reply => self.set_reply_mode(argument)?,
            Subcommand::Switch => {
                if !is(argument, "on") && !is(argument, "off") {
                    return Err(SYNTAX);
                }
                self.reply(|out| out.ok());
            }
            Subcommand::GetRedir => self.redirection(),
            Subcommand::Tracking => self.tracking(&arguments[2..])?,
            Subcommand::Caching => self.caching(argument)?,
            Subcommand::Kill => self.kill(&arguments[2..])?,
            Subcommand::Unblock => self.unblock(arguments)?,
            Subcommand::TrackingInfo => self.tracking_info(),
            Subcommand::Pause => self.pause(arguments)?,
            Subcommand::Unpause => self.unpause(),
            Subcommand::Help => self.help(&HELP),
        }
        Ok(())
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

    /// CLIENT UNBLOCK. No command blocks here, so no client can be unblocked.
    fn unblock(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        match &arguments[2..] {
            [_] => {}
            [_, how] if is(how, "timeout") || is(how, "error") => {}
            [_, _] => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
            _ => return Err(wrong_part("CLIENT", arguments[1])),
        }
        number::integer(arguments[2]).ok_or(NOT_AN_INTEGER)?;
        self.reply(|out| out.integer(0));
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
