//! ACL: the one user, with all rights.

use crate::command::arguments::{
    CommandError, NOT_AN_INTEGER, is, shown, subcommand, wrong_number,
};
use crate::command::command_info::find_spec;
use crate::command::execute::Execution;
use crate::command::subcommands;
use crate::command::table::{COMMANDS, CommandSpec};
use crate::state::number;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;

#[derive(Clone, Copy)]
enum Subcommand {
    Cat,
    DelUser,
    DryRun,
    GenPass,
    GetUser,
    List,
    File,
    Log,
    SetUser,
    Users,
    WhoAmI,
    Help,
}

const SUBCOMMANDS: [(&str, i8, Subcommand); 13] = [
    ("cat", -2, Subcommand::Cat),
    ("deluser", -3, Subcommand::DelUser),
    ("dryrun", -4, Subcommand::DryRun),
    ("genpass", -2, Subcommand::GenPass),
    ("getuser", 3, Subcommand::GetUser),
    ("list", 2, Subcommand::List),
    ("load", 2, Subcommand::File),
    ("save", 2, Subcommand::File),
    ("log", -2, Subcommand::Log),
    ("setuser", -3, Subcommand::SetUser),
    ("users", 2, Subcommand::Users),
    ("whoami", 2, Subcommand::WhoAmI),
    ("help", 2, Subcommand::Help),
];

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

/// The categories of Redis 7, in its order.
const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The only user.
pub(super) const USER: &[u8] = b"default";
/// Bits of a password that GENPASS makes, by default and at most.
const BITS: i64 = 256;
const MAX_BITS: usize = 4096;

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users \
    via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in \
    order to store users in the Redis configuration.";
const ONE_USER: &str = "ERR there is one user, 'default', whose password is the setting 'requirepass'; users and their \
    rights are not supported";

impl<'a> Execution<'_, 'a> {
    /// ACL.
    pub(super) fn acl(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let named = subcommand("acl", &SUBCOMMANDS, arguments)?;
        let words = &arguments[2..];
        match named {
            Subcommand::Cat => self.categories(words)?,
            Subcommand::DelUser => {
                if words.contains(&USER) {
                    return Err("ERR The 'default' user cannot be removed".into());
                }
                self.reply(|out| out.integer(0));
            }
            Subcommand::DryRun => self.dry_run(words)?,
            Subcommand::GenPass => self.make_password(words)?,
            Subcommand::GetUser => self.user(words[0]),
            Subcommand::List => {
                let secret = self.server.password_digest();
                let secret = secret.map_or("nopass".to_owned(), |digest| format!("#{digest}"));
                self.reply(|out| {
                    out.array(1);
                    out.bulk(format!("user default on {secret} ~* &* +@all").as_bytes());
                });
            }
            Subcommand::File => return Err(NO_FILE.into()),
            Subcommand::Log => self.acl_log(words)?,
            Subcommand::SetUser => return Err(ONE_USER.into()),
            Subcommand::Users => self.reply(|out| {
                out.array(1);
                out.bulk(USER);
            }),
            Subcommand::WhoAmI => self.reply(|out| out.bulk(USER)),
            Subcommand::Help => self.help(&HELP),
        }
        Ok(())
    }

    fn categories(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        let name = match words {
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
            _ => return Err(wrong_part("CAT")),
        };
        let Some(category) = CATEGORIES.iter().find(|category| is(name, category)) else {
            return Err(format!("ERR Unknown category '{}'", text(name)).into());
        };
        let all =
            || COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(subcommands::of(spec)));
        let is_in = |spec: &&CommandSpec| spec.categories.split(' ').any(|name| name == *category);
        self.reply(|out| {
            out.array(all().filter(is_in).count());
            all().filter(is_in).for_each(|spec| out.bulk(spec.name.as_bytes()));
        });
        Ok(())
    }

    /// ACL DRYRUN. The user may do everything, so only the command is checked.
    fn dry_run(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        let (user, command) = (words[0], &words[1..]);
        if user != USER {
            return Err(format!("ERR User '{}' not found", text(user)).into());
        }
        let part = command.get(1).and_then(|part| subcommands::find(command[0], part));
        let Some(spec) = part.or_else(|| find_spec(command[0])) else {
            return Err(format!("ERR Command '{}' not found", text(command[0])).into());
        };
        if !spec.takes(command.len()) {
            return Err(wrong_number(spec.name));
        }
        self.reply(|out| out.ok());
        Ok(())
    }

    /// ACL GENPASS: random hexadecimal digits, four bits each.
    fn make_password(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        let bits = match words {
            [] => BITS,
            [bits] => number::integer(bits).ok_or(NOT_AN_INTEGER)?,
            _ => return Err(wrong_part("GENPASS")),
        };
        let Some(bits) = usize::try_from(bits).ok().filter(|bits| (1..=MAX_BITS).contains(bits))
        else {
            let text = "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number \
                up to 4096";
            return Err(text.into());
        };
        let digits = bits.div_ceil(4);
        let mut random = vec![0; digits.div_ceil(2)];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut random))
            .map_err(|why| format!("ERR the system has no random numbers: {why}"))?;
        let mut password = hexadecimal(&random);
        password.truncate(digits);
        self.reply(|out| out.bulk(password.as_bytes()));
        Ok(())
    }

    fn user(&mut self, name: &[u8]) {
        if name != USER {
            return self.reply(|out| out.null());
        }
        let secret = self.server.password_digest();
        let flags: &[&[u8]] = if secret.is_some() { &[b"on"] } else { &[b"on", b"nopass"] };
        self.reply(|out| {
            out.map(6);
            out.bulk(b"flags");
            out.set(flags.len());
            for flag in flags {
                out.bulk(flag);
            }
            out.bulk(b"passwords");
            out.array(usize::from(secret.is_some()));
            if let Some(digest) = &secret {
                out.bulk(digest.as_bytes());
            }
            for (name, value) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
                out.bulk(name.as_bytes());
                out.bulk(value.as_bytes());
            }
            out.bulk(b"selectors");
            out.array(0);
        });
    }

    /// ACL LOG. Nothing is refused because of a user's rights.
    fn acl_log(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        match words {
            [] => self.reply(|out| out.array(0)),
            [word] if is(word, "reset") => self.reply(|out| out.ok()),
            [count] => {
                number::integer(count).ok_or(NOT_AN_INTEGER)?;
                self.reply(|out| out.array(0));
            }
            _ => return Err(wrong_part("LOG")),
        }
        Ok(())
    }
}

/// Returns bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(shown(word, 128)).into_owned()
}

fn wrong_part(name: &str) -> CommandError {
    format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP.")
        .into()
}
