//! The arguments of MIGRATE.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use hedgerow_db_formats::number;
use std::time::Duration;

/// The timeout if the argument is not positive, as in Redis.
const DEFAULT_TIMEOUT: u64 = 1000;
/// The longest timeout, in milliseconds: a day.
const LONGEST_TIMEOUT: u64 = 86_400_000;

/// A parsed MIGRATE.
pub(super) struct MigrateCall<'a> {
    pub(super) host: &'a [u8],
    pub(super) port: &'a [u8],
    /// The number of the other server's database.
    pub(super) database: i64,
    /// The longest time that connecting, sending or a reply may take.
    pub(super) timeout: Duration,
    pub(super) keys: Vec<&'a [u8]>,
    /// Whether the keys stay here.
    pub(super) copy: bool,
    /// Whether keys of the other server are replaced.
    pub(super) replace: bool,
    /// The arguments of AUTH: a password, or a name and a password.
    pub(super) login: Vec<&'a [u8]>,
}

impl<'a> MigrateCall<'a> {
    /// Parses the arguments. Errors are found in Redis's order.
    pub(super) fn parse(arguments: &[&'a [u8]]) -> Result<Self, CommandError> {
        let mut call = Self {
            host: arguments[1],
            port: arguments[2],
            database: 0,
            timeout: Duration::ZERO,
            keys: vec![arguments[3]],
            copy: false,
            replace: false,
            login: Vec::new(),
        };
        let mut options = &arguments[6..];
        loop {
            options = match options {
                [] => break,
                [option, rest @ ..] if is(option, "copy") => {
                    call.copy = true;
                    rest
                }
                [option, rest @ ..] if is(option, "replace") => {
                    call.replace = true;
                    rest
                }
                [option, password, rest @ ..] if is(option, "auth") => {
                    call.login = vec![password];
                    rest
                }
                [option, user, password, rest @ ..] if is(option, "auth2") => {
                    call.login = vec![user, password];
                    rest
                }
                [option, keys @ ..] if is(option, "keys") => {
                    if !arguments[3].is_empty() {
                        let why = "ERR When using MIGRATE KEYS option, the key argument must be \
                                   set to the empty string";
                        return Err(why.into());
                    }
                    call.keys = keys.to_vec();
                    // Everything after KEYS is a key (`migrateCommand`), even one that is named like an option.
                    &[]
                }
                _ => return Err(SYNTAX),
            };
        }
        let timeout = number::integer(arguments[5]).ok_or(NOT_AN_INTEGER)?;
        call.database = number::integer(arguments[4]).ok_or(NOT_AN_INTEGER)?;
        let timeout = u64::try_from(timeout).ok().filter(|timeout| *timeout > 0);
        let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT);
        call.timeout = Duration::from_millis(timeout);
        Ok(call)
    }
}
