//! The command ACL.

use super::file;
use super::log::{AclLog, AclLogEntry};
use super::selector::{Denied, Selector};
use super::user::DEFAULT;
use crate::command::arguments::{
    CommandError, NOT_AN_INTEGER, is, shown, wrong_number, wrong_part,
};
use crate::command::execute::{Execution, NextStep};
use crate::command::hexadecimal;
use crate::command::rows::{Run, command, container};
use crate::command::table::groups::{CATEGORIES, Group};
use crate::command::table::{self, CommandSpec, Row};
use hedgerow_db_formats::number;
use hedgerow_db_formats::resp::write::RespWriter;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const HELP: [&str; 27] = [
    "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];

/// Bits of a password that GENPASS makes, by default and at most.
const BITS: i64 = 256;
const MAX_BITS: usize = 4096;

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users \
    via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in \
    order to store users in the Redis configuration.";
const NOT_SAVED: &str = "ERR There was an error trying to save the ACLs. Please check the server logs for more \
    information";
/// Entries of ACL LOG that are shown if the client gives no number.
const SHOWN_ENTRIES: usize = 10;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("acl", -2, ACL)
    .since("6.0.0", Group::Server)
    .summary("A container for access list control commands.")
    .without_data()];

const ACL: &[Row<Run>] = &[
    command("acl|cat", -2, "noscript loading stale", |e, a| e.categories(a))
        .since("6.0.0", Group::Server)
        .syntax("[categoryname]")
        .summary("Lists the categories, or the commands of one."),
    command("acl|deluser", -3, "admin noscript loading stale", |e, a| e.delete_users(&a[2..]))
        .since("6.0.0", Group::Server)
        .syntax("username...")
        .summary("Removes users, and closes their connections."),
    command("acl|dryrun", -4, "admin noscript loading stale", |e, a| e.dry_run(&a[2..]))
        .since("7.0.0", Group::Server)
        .syntax("username command [arg...]")
        .summary("Tells whether a user may execute a command, without executing it."),
    command("acl|genpass", -2, "noscript loading stale", |e, a| e.make_password(a))
        .since("6.0.0", Group::Server)
        .syntax("[bits/integer]")
        .summary("Generates a password."),
    command("acl|getuser", 3, "admin noscript loading stale", |e, a| {
        e.user(a[2]);
        Ok(())
    })
    .since("6.0.0", Group::Server)
    .syntax("username")
    .summary("Returns the rules of a user."),
    command("acl|list", 2, "admin noscript loading stale", |e, _| e.user_lines())
        .since("6.0.0", Group::Server)
        .summary("Lists the users with their rules, as lines of a file.")
        .takes_time("O(N), N is the length of the reply"),
    command("acl|load", 2, "admin noscript loading stale", |e, _| e.load_users())
        .since("6.0.0", Group::Server)
        .summary("Reads the users from the file."),
    command("acl|log", -2, "admin noscript loading stale", |e, a| e.acl_log(a))
        .since("6.0.0", Group::Server)
        .syntax("[operation:<count/integer|RESET>]")
        .summary("Returns the latest commands and logins that were denied.")
        .takes_time("O(N), N is the length of the reply"),
    command("acl|save", 2, "admin noscript loading stale", |e, _| e.save_users())
        .since("6.0.0", Group::Server)
        .summary("Writes the users to the file."),
    command("acl|setuser", -3, "admin noscript loading stale", |e, a| e.set_user(&a[2..]))
        .since("6.0.0", Group::Server)
        .syntax("username [rule...]")
        .summary("Creates a user, or changes one."),
    command("acl|users", 2, "admin noscript loading stale", |e, _| e.user_names())
        .since("6.0.0", Group::Server)
        .summary("Lists the names of all users."),
    command("acl|whoami", 2, "noscript loading stale", |e, _| e.own_user())
        .since("6.0.0", Group::Server)
        .summary("Returns the user of the connection."),
    command("acl|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("6.0.0", Group::Server)
        .summary("Lists the subcommands."),
];

impl Execution<'_, '_> {
    /// ACL LIST.
    fn user_lines(&mut self) -> Result<(), CommandError> {
        let lines = self.server.users().lines();
        self.answer(|out| {
            out.array(lines.len());
            for line in &lines {
                out.bulk(line);
            }
        })
    }

    /// ACL USERS.
    fn user_names(&mut self) -> Result<(), CommandError> {
        let users = self.server.users().all();
        self.answer(|out| {
            out.array(users.len());
            for user in &users {
                out.bulk(user.name());
            }
        })
    }

    /// ACL WHOAMI.
    fn own_user(&mut self) -> Result<(), CommandError> {
        let user = Arc::clone(&self.connection.user);
        self.answer(|out| out.bulk(user.name()))
    }

    /// ACL SETUSER.
    fn set_user(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        // Commands before this one are subject to the old rights.
        self.execute_batch();
        self.server.users().set(words[0], &words[1..]).map_err(|why| error(&why))?;
        self.reply(|out| out.ok());
        self.take_own_user();
        Ok(())
    }

    /// ACL DELUSER.
    fn delete_users(&mut self, names: &[&[u8]]) -> Result<(), CommandError> {
        if names.contains(&DEFAULT) {
            return Err("ERR The 'default' user cannot be removed".into());
        }
        self.execute_batch();
        let deleted = self.server.users().delete(names);
        self.reply(|out| out.integer(deleted.cast_signed() as i64));
        self.take_own_user();
        Ok(())
    }

    /// Takes the newest snapshot of the connection's own user, for the commands behind this one. The connection ends if
    /// the command has taken away what it needs.
    fn take_own_user(&mut self) {
        if !self.connection.refresh_user(self.server.users()) {
            self.next = NextStep::Close;
        }
    }

    /// ACL LOAD.
    fn load_users(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        let users = self.server.users();
        let file = users.file().ok_or(NO_FILE)?;
        let name = file.display().to_string();
        let text = std::fs::read(file).map_err(|why| {
            format!("ERR Error loading ACLs, opening file '{name}': {}", reason(&why))
        })?;
        users.load(&name, &text).map_err(|why| error(&why))?;
        self.reply(|out| out.ok());
        self.take_own_user();
        Ok(())
    }

    /// ACL SAVE.
    fn save_users(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        let users = self.server.users();
        let file = users.file().ok_or(NO_FILE)?;
        file::write(file, &users.lines()).map_err(|why| {
            tracing::error!("cannot write the users to {}: {why}", file.display());
            NOT_SAVED
        })?;
        self.reply(|out| out.ok());
        Ok(())
    }

    /// ACL CAT.
    fn categories(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let name = match &arguments[2..] {
            [] => {
                self.reply(|out| {
                    out.array(CATEGORIES.len());
                    for name in CATEGORIES {
                        out.bulk(name.as_bytes());
                    }
                });
                return Ok(());
            }
            [name] => name,
            _ => return Err(wrong_part("ACL", arguments[1])),
        };
        let Some(category) = CATEGORIES.iter().position(|category| is(name, category)) else {
            return Err(format!("ERR Unknown category '{}'", text(name, 128)).into());
        };
        // Subcommands are commands of their own here, as in `aclCatWithFlags`.
        let is_in = |spec: &&CommandSpec| spec.categories.has(category);
        self.reply(|out| {
            out.array(table::in_order().filter(is_in).count());
            table::in_order().filter(is_in).for_each(|spec| out.bulk(spec.name.as_bytes()));
        });
        Ok(())
    }

    /// ACL DRYRUN.
    fn dry_run(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        let (user, command) = (words[0], &words[1..]);
        let Some(user) = self.server.users().get(user) else {
            return Err(format!("ERR User '{}' not found", text(user, usize::MAX)).into());
        };
        let mut spec = table::find(command[0]);
        if let Some(part) = command.get(1)
            && spec.is_some_and(|spec| !spec.parts().is_empty())
        {
            spec = table::find_part(command[0], part);
        }
        let Some(spec) = spec else {
            let name = text(command[0], usize::MAX);
            return Err(format!("ERR Command '{name}' not found").into());
        };
        if !spec.takes(command.len()) {
            return Err(wrong_number(spec.name));
        }
        // No entry in ACL LOG: nobody was refused anything.
        let why = match user.check(spec, command) {
            Ok(()) => {
                self.reply(|out| out.ok());
                return Ok(());
            }
            Err(Denied::Command) => format!("run the '{}' command", spec.name),
            Err(Denied::Key(at)) => format!("access the '{}' key", text(command[at], usize::MAX)),
            Err(Denied::Channel(at)) => {
                format!("access the '{}' channel", text(command[at], usize::MAX))
            }
        };
        let why = format!("This user has no permissions to {why}");
        self.reply(|out| out.bulk(why.as_bytes()));
        Ok(())
    }

    /// ACL GENPASS: random hexadecimal digits, four bits each.
    fn make_password(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let bits = match &arguments[2..] {
            [] => BITS,
            [bits] => number::integer(bits).ok_or(NOT_AN_INTEGER)?,
            _ => return Err(wrong_part("ACL", arguments[1])),
        };
        let Some(bits) = usize::try_from(bits).ok().filter(|bits| (1..=MAX_BITS).contains(bits))
        else {
            let text = "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number \
                up to 4096";
            return Err(text.into());
        };
        let digits = bits.div_ceil(4);
        let mut random = vec![0; digits.div_ceil(2)];
        // Not `Random`, whose numbers can be predicted.
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut random))
            .map_err(|why| format!("ERR the system's random number generator failed: {why}"))?;
        let mut password = hexadecimal(&random);
        password.truncate(digits);
        self.reply(|out| out.bulk(password.as_bytes()));
        Ok(())
    }

    /// ACL GETUSER.
    fn user(&mut self, name: &[u8]) {
        let Some(user) = self.server.users().get(name) else {
            return self.reply(|out| out.null());
        };
        self.reply(|out| {
            out.map(6);
            out.bulk(b"flags");
            let flags = user.flags();
            out.set(flags.len());
            for flag in flags {
                out.bulk(flag.as_bytes());
            }
            out.bulk(b"passwords");
            let passwords = user.password_digits();
            out.array(passwords.len());
            passwords.for_each(|digits| out.bulk(digits.as_bytes()));
            write_selector(&user.root, out);
            out.bulk(b"selectors");
            out.array(user.selectors.len());
            for selector in &user.selectors {
                out.map(3);
                write_selector(selector, out);
            }
        });
    }

    /// ACL LOG.
    fn acl_log(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let users = self.server.users();
        let count = match &arguments[2..] {
            [] => SHOWN_ENTRIES,
            [word] if is(word, "reset") => {
                users.with_log(AclLog::clear);
                self.reply(|out| out.ok());
                return Ok(());
            }
            [count] => {
                let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
                // Redis shows nothing for a negative count.
                usize::try_from(count).unwrap_or(0)
            }
            _ => return Err(wrong_part("ACL", arguments[1])),
        };
        // Copies, so that threads that log refusals do not wait for the reply to be written.
        let entries: Vec<AclLogEntry> = users.with_log(|log| log.newest(count).cloned().collect());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.reply(|out| {
            out.array(entries.len());
            for entry in &entries {
                write_entry(entry, now as u64, out);
            }
        });
        Ok(())
    }
}

/// Writes the rights of a selector, as fields of a map.
fn write_selector(selector: &Selector, out: &mut RespWriter<'_>) {
    out.bulk(b"commands");
    out.bulk(&selector.commands.rules());
    out.bulk(b"keys");
    out.bulk(&selector.key_rules());
    out.bulk(b"channels");
    out.bulk(&selector.channel_rules());
}

/// Writes an entry of ACL LOG. `now` is in milliseconds since 1970.
fn write_entry(entry: &AclLogEntry, now: u64, out: &mut RespWriter<'_>) {
    out.map(10);
    out.bulk(b"count");
    out.integer(entry.count.cast_signed());
    for (name, value) in [("reason", entry.reason()), ("context", entry.context())] {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    for (name, value) in [("object", &entry.object), ("username", &entry.user)] {
        out.bulk(name.as_bytes());
        out.bulk(value);
    }
    out.bulk(b"age-seconds");
    #[expect(clippy::cast_precision_loss, reason = "no entry is so old")]
    out.double(now.saturating_sub(entry.time) as f64 / 1000.0);
    out.bulk(b"client-info");
    out.bulk(&entry.client);
    let (id, created) = entry.first;
    let numbers =
        [("entry-id", id), ("timestamp-created", created), ("timestamp-last-updated", entry.time)];
    for (name, number) in numbers {
        out.bulk(name.as_bytes());
        out.integer(number.cast_signed());
    }
}

/// Returns the reply for an error whose text may have any bytes.
fn error(why: &[u8]) -> CommandError {
    format!("ERR {}", text(why, usize::MAX)).into()
}

/// Returns the reason of an error as C names it, without the number.
fn reason(why: &std::io::Error) -> String {
    let why = why.to_string();
    why.split(" (os error").next().unwrap_or_default().to_owned()
}

fn text(word: &[u8], most: usize) -> String {
    String::from_utf8_lossy(shown(word, most)).into_owned()
}
