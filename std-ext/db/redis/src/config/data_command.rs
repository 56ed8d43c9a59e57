//! The command lines of `hedgerow-db import`, `export`, `check` and `dump`: commands about a directory that no server
//! has open.

use super::error::ConfigError;
use super::flags;
use super::redis_url::RedisAddress;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// A command about a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataCommand {
    /// Stores the keys of a file of Redis, or of a running Redis.
    Import,
    /// Writes a file that Redis loads.
    Export,
    /// Reads all of a directory, and reports damage.
    Check,
    /// Prints all keys.
    Dump,
}

/// The commands with their names and effects.
const COMMANDS: [(DataCommand, &str, &str); 4] = [
    (
        DataCommand::Import,
        "import",
        "Import keys into a directory: from an RDB file, an AOF file, or the manifest of a multi-part AOF; or \
         from a running Redis, which the import follows until it is stopped",
    ),
    (
        DataCommand::Export,
        "export",
        "Write all keys of a directory to an RDB file, for Redis 5 and later",
    ),
    (
        DataCommand::Check,
        "check",
        "Read the whole log and snapshot of a directory, and report the first error",
    ),
    (
        DataCommand::Dump,
        "dump",
        "Print all keys of a directory, as commands for redis-cli or as JSON",
    ),
];

/// A request to run a command about a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataInvocation {
    /// The command.
    pub command: DataCommand,
    /// The directory.
    pub dir: PathBuf,
    /// The file that is read or written, if the command has one.
    pub file: PathBuf,
    /// Whether to print JSON.
    pub json: bool,
    /// Whether keys, or the file that is written, may be replaced.
    pub replace: bool,
    /// Whether values that are no strings are left out.
    pub skip_other_types: bool,
    /// The database to import, if it was named.
    pub database: Option<u64>,
    /// The running Redis to import, instead of a file.
    pub live: Option<Box<LiveSource>>,
}

/// A running Redis that is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveSource {
    /// Its address.
    pub address: RedisAddress,
    /// The file with its password, instead of the one of the address.
    pub password_file: Option<PathBuf>,
    /// The certificates, if the address has TLS.
    pub tls: Option<LiveTls>,
    /// Whether the import ends by itself.
    pub until_caught_up: bool,
    /// For how long to connect again after the connection was lost.
    pub reconnect: Duration,
}

/// The certificates for a running Redis, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveTls {
    /// The file with the authorities that sign its certificate.
    pub authorities: PathBuf,
    /// The files with the certificate that the import shows, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Returns the command of this name.
pub(super) fn find(name: &str) -> Option<DataCommand> {
    COMMANDS.iter().find(|(_, known, _)| *known == name).map(|(command, ..)| *command)
}

/// Reads the words behind a command's name.
///
/// # Errors
/// If they are wrong. `Ok(Err(text))` is a text to print: the help.
pub(super) fn read(
    command: DataCommand,
    words: impl Iterator<Item = String>,
) -> Result<Result<DataInvocation, String>, ConfigError> {
    let program = std::iter::once(flags::NAME.to_owned());
    let found = match clap_command(command).try_get_matches_from(program.chain(words)) {
        Ok(found) => found,
        Err(why) if why.kind() == ErrorKind::DisplayHelp => {
            return Ok(Err(why.render().to_string()));
        }
        Err(why) => {
            let text = why.render().to_string();
            let text = text.lines().next().unwrap_or_default();
            let text = text.strip_prefix("error: ").unwrap_or(text);
            let name = name_of(command);
            return Err(ConfigError::Usage(format!(
                "{name}: {text} See `{} {name} --help`",
                flags::NAME
            )));
        }
    };
    invocation(command, &found).map(Ok)
}

fn invocation(command: DataCommand, found: &ArgMatches) -> Result<DataInvocation, ConfigError> {
    // A flag that the command does not have is not set.
    let has = |name| matches!(found.try_get_one::<bool>(name), Ok(Some(true)));
    let path = |name| match found.try_get_one::<PathBuf>(name) {
        Ok(Some(path)) => path.clone(),
        _ => PathBuf::new(),
    };
    let database = found.try_get_one::<u64>("database").ok().flatten().copied();
    let live = match found.try_get_one::<String>("live") {
        Ok(Some(text)) => {
            let live = live_source(text, found).map_err(|why| wrong_address(command, why))?;
            Some(Box::new(live))
        }
        _ => None,
    };
    Ok(DataInvocation {
        command,
        dir: path("dir"),
        file: path("file"),
        json: has("json"),
        replace: has("replace"),
        skip_other_types: has("skip-other-types"),
        database,
        live,
    })
}

/// Returns the running Redis of this address.
///
/// # Errors
/// If the address is none, or does not fit the flags about TLS.
fn live_source(text: &str, found: &ArgMatches) -> Result<LiveSource, &'static str> {
    let path = |name| found.get_one::<PathBuf>(name).cloned();
    let address = RedisAddress::parse(text)?;
    let tls = match (address.tls, path("cacert")) {
        (true, Some(authorities)) => {
            Some(LiveTls { authorities, own: path("cert").zip(path("key")) })
        }
        (true, None) => return Err("rediss:// needs --cacert"),
        (false, Some(_)) => return Err("--cacert needs rediss://"),
        (false, None) => None,
    };
    Ok(LiveSource {
        address,
        password_file: path("password-file"),
        tls,
        until_caught_up: found.get_flag("until-caught-up"),
        reconnect: Duration::from_secs(found.get_one("reconnect").copied().unwrap_or(RECONNECT)),
    })
}

fn wrong_address(command: DataCommand, why: &str) -> ConfigError {
    let name = name_of(command);
    ConfigError::Usage(format!("{name}: --live: {why}; see `{} {name} --help`", flags::NAME))
}

fn name_of(command: DataCommand) -> &'static str {
    COMMANDS.iter().find(|(known, ..)| *known == command).map_or("", |(_, name, _)| name)
}

/// The arguments of `import`, behind its name.
const IMPORT_USAGE: &str = "FILE --dir DIR [--replace] [--skip-other-types] [--database NUMBER] [--json]
       hedgerow-db import --live ADDRESS --dir DIR [--password-file FILE] [--cacert FILE [--cert FILE --key FILE]] \
    [--until-caught-up] [--reconnect SECONDS] [--replace] [--skip-other-types] [--json]";

/// The seconds for which the import connects again by default.
const RECONNECT: u64 = 60;

/// Returns the arguments of `import` about a running Redis.
fn live_arguments() -> Vec<Arg> {
    let file = |name, help| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .requires("live")
            .conflicts_with("file")
            .help(help)
    };
    vec![
        Arg::new("live").long("live").value_name("ADDRESS").help(
            "Import all databases of a running Redis, and apply its writes until Ctrl-C: \
             redis://[[USER]:PASSWORD@]HOST[:PORT], or rediss:// with TLS",
        ),
        file(
            "password-file",
            "File with the password of that Redis, which keeps it out of the process list.",
        ),
        file("cacert", "CA certificates that verify the certificate of that Redis, in PEM."),
        file("cert", "Client certificate for that Redis, in PEM.")
            .requires("cacert")
            .requires("key"),
        file("key", "Private key of the client certificate, in PEM.").requires("cert"),
        Arg::new("until-caught-up")
            .long("until-caught-up")
            .action(ArgAction::SetTrue)
            .requires("live")
            .conflicts_with("file")
            .help("Stop once the import has caught up with that Redis."),
        Arg::new("reconnect")
            .long("reconnect")
            .value_name("SECONDS")
            .value_parser(value_parser!(u64).range(..=86_400))
            .requires("live")
            .conflicts_with("file")
            .help(
                "Seconds to keep trying to reconnect after the connection was lost; 60 by default.",
            ),
    ]
}

fn clap_command(command: DataCommand) -> Command {
    let named = COMMANDS.iter().find(|(known, ..)| *known == command);
    let (name, about) = named.map_or(("", ""), |(_, name, about)| (*name, *about));
    let switch = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let path = || value_parser!(PathBuf);
    let file = |help| {
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .value_parser(path())
            .value_hint(ValueHint::FilePath)
            .help(help)
    };
    let dir = Arg::new("dir")
        .value_name("DIR")
        .required(true)
        .value_parser(path())
        .value_hint(ValueHint::DirPath);
    let dir_flag =
        dir.clone().long("dir").help("Directory of the database. No server may be using it.");
    let (usage, arguments) = match command {
        DataCommand::Import => (
            IMPORT_USAGE,
            vec![
                file("RDB file, AOF file, manifest, or directory with a manifest.")
                    .required(false)
                    .required_unless_present("live")
                    .conflicts_with("live"),
                dir_flag,
                switch(
                    "replace",
                    "Import into a directory that has data. Existing keys are overwritten.",
                ),
                switch(
                    "skip-other-types",
                    "Skip keys of types that are not supported, and such commands.",
                ),
                Arg::new("database")
                    .long("database")
                    .value_name("NUMBER")
                    .value_parser(value_parser!(u64))
                    .conflicts_with("live")
                    .help("Import only this database, as database 0."),
            ]
            .into_iter()
            .chain(live_arguments())
            .collect(),
        ),
        DataCommand::Export => (
            "FILE --dir DIR [--replace] [--json]",
            vec![
                file("The file to write."),
                dir_flag,
                switch("replace", "Replace the file if it exists."),
            ],
        ),
        DataCommand::Check | DataCommand::Dump => (
            "DIR [--json]",
            vec![dir.help("Directory of the database. No server may be using it.")],
        ),
    };
    Command::new(flags::NAME)
        .about(about)
        .override_usage(format!("{} {name} {usage}", flags::NAME))
        .after_help(
            "Exit status: 0 if all is well, 1 if the command failed or found an error, 2 for a wrong command line.",
        )
        .max_term_width(100)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(arguments)
        .arg(switch("json", "Print JSON."))
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::HelpShort).help("Print this help."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(line: &str) -> Result<DataInvocation, String> {
        let mut words = line.split(' ').map(str::to_owned);
        let command = find(&words.next().unwrap()).unwrap();
        match read(command, words) {
            Ok(Ok(invocation)) => Ok(invocation),
            Ok(Err(help)) => Err(help),
            Err(why) => Err(why.to_string()),
        }
    }

    #[test]
    fn clap_accepts_all_commands() {
        for (command, name, about) in COMMANDS {
            clap_command(command).debug_assert();
            let help = invocation(&format!("{name} --help")).unwrap_err();
            assert!(help.contains(&about[..30]) && help.contains("--json"), "{help}");
        }
    }

    #[test]
    fn words_are_read() {
        let found = invocation("import a.rdb --dir b --replace --database 3").unwrap();
        assert_eq!((found.dir.to_str(), found.file.to_str()), (Some("b"), Some("a.rdb")));
        assert!(found.replace && !found.skip_other_types && !found.json);
        assert_eq!(found.database, Some(3));
        let found = invocation("check b --json").unwrap();
        assert!(found.json && found.dir.to_str() == Some("b"));
    }

    #[test]
    fn the_address_of_a_running_redis_is_read() {
        let found =
            invocation("import --live redis://:pw@old:7 --dir b --until-caught-up").unwrap();
        assert!(!format!("{found:?}").contains("pw"));
        let live = found.live.unwrap();
        assert!(live.until_caught_up && live.password_file.is_none());
        assert_eq!((&live.address.host[..], live.address.port), ("old", 7));
        assert_eq!((live.tls, live.reconnect), (None, Duration::from_secs(60)));
        let line = "import --live rediss://old --dir b --cacert c --cert d --key e --reconnect 0";
        let live = invocation(line).unwrap().live.unwrap();
        let tls = LiveTls { authorities: "c".into(), own: Some(("d".into(), "e".into())) };
        assert_eq!((live.tls, live.reconnect), (Some(tls), Duration::ZERO));
        let why = invocation("import --live redis://:pw@old:x --dir b").unwrap_err();
        assert!(why.contains("--live: the port") && !why.contains("pw"), "{why}");
    }

    #[test]
    fn wrong_words_get_sentences() {
        for (line, wanted) in [
            ("import a.rdb", "import: the following required arguments were not provided"),
            ("check a b", "check: unexpected argument 'b' found"),
            ("dump a --replace", "dump: unexpected argument '--replace' found"),
            (
                "import a --dir b --database x",
                "import: invalid value 'x' for '--database <NUMBER>'",
            ),
            ("import a --live redis://b --dir c", "cannot be used with"),
            ("import --live redis://b --dir c --database 1", "cannot be used with"),
            ("import a --dir b --until-caught-up", "cannot be used with"),
            ("import --live redis://b/1 --dir c", "import: --live: the address names a database"),
            ("import --live rediss://b --dir c", "import: --live: rediss:// needs --cacert"),
            ("import --live redis://b --dir c --cacert d", "--live: --cacert needs rediss://"),
            ("import --live rediss://b --dir c --cacert d --cert e", "were not provided"),
            ("import --live redis://b --dir c --reconnect 86401", "invalid value '86401'"),
        ] {
            let why = invocation(line).unwrap_err();
            assert!(why.contains(wanted) && why.ends_with("--help`"), "{why}");
        }
    }
}
