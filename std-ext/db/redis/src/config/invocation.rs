//! The action that the command line requests.

use super::data_command::{self, DataInvocation};
use super::ephemeral;
use super::error::ConfigError;
use super::flags::{self, Parsed};
use super::load::Config;
use super::subcommand::{self, ClusterInvocation};

/// The action that the command line requests.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// Serve with this configuration.
    Serve(Box<Config>),
    /// Run a command of `hedgerow-db cluster`.
    Cluster(Box<ClusterInvocation>),
    /// Run a command about a directory.
    Data(DataInvocation),
    /// Serve an empty database in memory, for tests.
    Ephemeral,
    /// Print this text and exit: help, version, sample file, completions or manual page.
    Print(String),
}

impl Config {
    /// Reads the settings from the file that the arguments or `HEDGEROW_DB_CONFIG` name, from variables that begin with
    /// `HEDGEROW_DB_`, and from the arguments. `arguments` does not include the program's name. If the first of them is
    /// `cluster`, `import`, `export`, `check`, `dump` or `ephemeral`, they are a command.
    ///
    /// # Errors
    /// [`ConfigError`] names the place of the error and the expected value.
    pub fn read(
        arguments: impl IntoIterator<Item = String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Invocation, ConfigError> {
        let environment = environment.into_iter().collect();
        let mut arguments = arguments.into_iter().peekable();
        if arguments.next_if(|word| word == subcommand::WORD).is_some() {
            return Ok(match subcommand::read(arguments)? {
                Ok(words) => Invocation::Cluster(Box::new(words.invocation(environment)?)),
                Err(text) => Invocation::Print(text),
            });
        }
        if arguments.next_if(|word| word == ephemeral::WORD).is_some() {
            let text = ephemeral::read(arguments)?;
            return Ok(text.map_or(Invocation::Ephemeral, Invocation::Print));
        }
        if let Some(command) = arguments.peek().and_then(|word| data_command::find(word)) {
            return Ok(match data_command::read(command, arguments.skip(1))? {
                Ok(asked) => Invocation::Data(asked),
                Err(text) => Invocation::Print(text),
            });
        }
        Ok(match flags::read(arguments)? {
            Parsed::Print(text) => Invocation::Print(text),
            Parsed::Serve(arguments) => {
                let config = Self::from_all_sources(arguments.file, environment, arguments.given)?;
                // Not for `hedgerow-db cluster`, which needs no such setting.
                config.check_meant_alone()?;
                Invocation::Serve(Box::new(config))
            }
        })
    }
}
