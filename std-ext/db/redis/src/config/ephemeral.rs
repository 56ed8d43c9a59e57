//! The command line of `hedgerow-db ephemeral`: a server for tests, which leaves nothing behind.

use super::error::ConfigError;
use super::flags::NAME;
use clap::Command;
use clap::error::ErrorKind;

/// The name of the command.
pub(super) const WORD: &str = "ephemeral";

/// Reads the words behind the name.
///
/// # Errors
/// If there are any. `Ok(Some(text))` is a text to print: the help.
pub(super) fn read(words: impl Iterator<Item = String>) -> Result<Option<String>, ConfigError> {
    let program = std::iter::once(NAME.to_owned());
    match command().try_get_matches_from(program.chain(words)) {
        Ok(_) => Ok(None),
        Err(why) if why.kind() == ErrorKind::DisplayHelp => Ok(Some(why.render().to_string())),
        Err(_) => Err(ConfigError::Usage(format!(
            "{WORD}: it takes no arguments. See `{NAME} {WORD} --help`"
        ))),
    }
}

fn command() -> Command {
    Command::new(NAME)
        .override_usage(format!("{NAME} {WORD}"))
        .about("Serve an empty database in memory, for tests")
        .after_help(
            "The server listens on a free port of 127.0.0.1, and prints its URL as the first line. It stops when its \
             standard input ends, and so when the process that has started it does. It reads no configuration file \
             and no environment variables, and writes no files.",
        )
        .max_term_width(100)
}
