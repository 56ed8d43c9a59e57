//! The command line, made from the [table](super::table) with clap: flags, `--help`, shell completions and the manual
//! page.

use super::error::ConfigError;
use super::render::sample;
use super::source::{PREFIX, RawSetting, SettingOrigin};
use super::table::{self, GROUPS, Setting};
use super::value::ValueKind;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;
use std::ffi::OsStr;
use std::path::PathBuf;

/// The name of the program.
pub(super) const NAME: &str = "hedgerow-db";
/// Flags that are not settings. Those that take no value come first.
const ACTIONS: [&str; 5] = ["help", "version", "sample", "man", "completions"];
const SWITCHES: usize = 4;

/// The parsed arguments: the action that they request.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Serve.
    Serve(Arguments),
    /// Print a text and exit.
    Print(String),
}

/// The settings given by the arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) file: Option<PathBuf>,
    pub(super) given: Vec<RawSetting>,
}

/// Returns the command line: a flag for each setting of the table.
fn command() -> Command {
    let settings = GROUPS.iter().flat_map(|group| {
        group.settings.iter().map(|setting| flag(setting).help_heading(group.name))
    });
    let instead = |name| Arg::new(name).long(name).help_heading("Other actions");
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "A durable in-memory key-value database, on one node or as a cluster, for Redis and gRPC clients",
        )
        .override_usage(format!("{NAME} [FILE] [--NAME VALUE]..."))
        .after_help(format!(
            "Settings can also be given in FILE, one per line as NAME VALUE, or as environment variables: \
             maxmemory-policy is {PREFIX}MAXMEMORY_POLICY, and {PREFIX}CONFIG names FILE. Flags override the \
             environment, and the environment overrides the file. `{NAME} cluster --help` lists the commands that \
             manage a cluster. `{NAME} import`, `export`, `check` and `dump` work on a directory that no server is \
             using; `{NAME} ephemeral` serves tests. Each has its own --help."
        ))
        .max_term_width(100)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .help("Configuration file."),
        )
        .args(settings)
        .arg(instead("help").short('h').action(ArgAction::HelpShort).help("Print this help."))
        .arg(
            instead("version")
                .short('V')
                .short_alias('v')
                .action(ArgAction::Version)
                .help("Print the version."),
        )
        .arg(
            instead("sample")
                .action(ArgAction::SetTrue)
                .help("Print a configuration file with all settings at their defaults."),
        )
        .arg(instead("man").action(ArgAction::SetTrue).help("Print the manual page."))
        .arg(
            instead("completions")
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .help("Print the completions for a shell."),
        )
}

/// Returns the flag of a setting.
pub(super) fn flag(setting: &'static Setting) -> Arg {
    let hint = match setting.kind {
        ValueKind::File => ValueHint::FilePath,
        ValueKind::Folder => ValueHint::DirPath,
        ValueKind::Addresses | ValueKind::AddressesOrNone | ValueKind::Address => {
            ValueHint::Hostname
        }
        ValueKind::Endpoints => ValueHint::Url,
        _ => ValueHint::Other,
    };
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(value_name(setting.kind))
        .value_hint(hint)
        .value_parser(FlagWords(setting.kind))
        .hide_possible_values(true)
        .help(format!("{} Expects {}.", setting.help, setting.kind));
    // clap only displays the default: if the flag is missing, the other sources decide.
    if setting.default.is_empty() { arg } else { arg.default_value(setting.default) }
}

/// Returns the placeholder for a value in `--help`.
fn value_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Flag => "yes|no",
        ValueKind::Number { .. } | ValueKind::Signed { .. } | ValueKind::NumberOrAuto { .. } => {
            "NUMBER"
        }
        ValueKind::Percentiles => "PERCENTAGES",
        ValueKind::Bytes { .. } => "BYTES",
        ValueKind::Choice(_) => "WORD",
        ValueKind::Text => "TEXT",
        ValueKind::File => "FILE",
        ValueKind::Folder => "DIR",
        ValueKind::Addresses | ValueKind::AddressesOrNone => "ADDRESSES",
        ValueKind::Endpoints => "URLS",
        ValueKind::Address => "ADDRESS",
        ValueKind::Mode => "MODE",
        ValueKind::OutputLimits => "LIMITS",
        ValueKind::KeyEvents => "LETTERS",
    }
}

/// Accepts any value, because [`ValueKind::parse`] validates the values of all sources. It exists so that shell
/// completions offer the words of a choice.
#[derive(Clone)]
struct FlagWords(ValueKind);

impl TypedValueParser for FlagWords {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = match self.0 {
            ValueKind::Flag => &["yes", "no"],
            ValueKind::Choice(words) => words,
            _ => return None,
        };
        Some(Box::new(words.iter().map(PossibleValue::new)))
    }
}

/// Returns what `--help` shows.
pub fn help() -> String {
    command().render_help().to_string()
}

/// Returns the manual page, in roff.
pub fn manual() -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(command()).render(&mut page).expect("memory takes all");
    String::from_utf8_lossy(&page).into_owned()
}

/// Returns the completions of a shell: `bash`, `elvish`, `fish`, `powershell` or `zsh`. `None` for any other.
pub fn completions(shell: &str) -> Option<String> {
    shell.parse().ok().map(|shell: Shell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), NAME, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    })
}

/// Reads the arguments, without the program's name: a file, and flags as `--name value` or `--name=value`.
pub(super) fn read(words: impl Iterator<Item = String>) -> Result<Parsed, ConfigError> {
    let switch = |flag: &str| ACTIONS[..SWITCHES].contains(&flag);
    let joined = join_values(words, |flag| if switch(flag) { Takes::None } else { Takes::All });
    let words = std::iter::once(NAME.to_owned()).chain(joined);
    let found = match command().try_get_matches_from(words) {
        Ok(found) => found,
        Err(why) => {
            return match why.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Ok(Parsed::Print(why.render().to_string()))
                }
                _ => Err(to_config_error(&why)),
            };
        }
    };
    if found.get_flag("sample") {
        return Ok(Parsed::Print(sample()));
    }
    if found.get_flag("man") {
        return Ok(Parsed::Print(manual()));
    }
    if let Some(shell) = found.get_one::<Shell>("completions") {
        return Ok(Parsed::Print(completions(&shell.to_string()).unwrap_or_default()));
    }
    Ok(Parsed::Serve(Arguments {
        file: found.get_one("file").map(|file: &String| file.into()),
        given: given(&found),
    }))
}

/// Returns the settings among parsed arguments.
pub(super) fn given(found: &ArgMatches) -> Vec<RawSetting> {
    let given = table::all().filter_map(|Setting { name, .. }| {
        found.value_source(name).filter(|source| *source == ValueSource::CommandLine)?;
        let value = found.get_one::<String>(name)?.clone();
        Some(RawSetting {
            words: Vec::new(),
            name: (*name).to_owned(),
            value,
            origin: SettingOrigin::Flag(format!("--{name}")),
        })
    });
    given.collect()
}

/// The words behind a flag that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// None.
    None,
    /// The next word, unless that is a flag.
    One,
    /// All words up to the next flag.
    All,
}

/// Joins each flag with its values. Those of settings extend to the next flag, as in Redis's command line: some take
/// several words, and some words begin with a hyphen.
pub(super) fn join_values(
    words: impl Iterator<Item = String>,
    takes: impl Fn(&str) -> Takes,
) -> Vec<String> {
    let mut all = Vec::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            all.push(word);
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let name = name.to_ascii_lowercase();
        let most = match takes(&name) {
            Takes::None => 0,
            Takes::One => 1,
            Takes::All => usize::MAX,
        };
        let value = value.or_else(|| {
            let more = || words.next_if(|word| !word.starts_with("--"));
            let values: Vec<String> = std::iter::from_fn(more).take(most).collect();
            (!values.is_empty()).then(|| values.join(" "))
        });
        all.push(match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        });
    }
    all
}

/// An error of clap's in the words that a file's or the environment's would have.
pub(super) fn to_config_error(why: &clap::Error) -> ConfigError {
    let text = |kind| match why.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    // As in `--port <NUMBER>`.
    let arg = text(ContextKind::InvalidArg);
    let flag = arg.split(' ').next().unwrap_or_default().to_owned();
    let origin = SettingOrigin::Flag(flag.clone());
    match (why.kind(), flag.strip_prefix("--")) {
        (ErrorKind::UnknownArgument, Some(name)) => {
            let (name, suggestion) = (name.to_owned(), table::suggestion(name));
            ConfigError::Unknown { origin, name, suggestion }
        }
        (ErrorKind::InvalidValue, _) if text(ContextKind::InvalidValue).is_empty() => {
            ConfigError::Syntax(origin, "the value is missing")
        }
        (ErrorKind::InvalidValue, _) => {
            let shells: Vec<String> =
                <Shell as clap::ValueEnum>::value_variants().iter().map(Shell::to_string).collect();
            let value = text(ContextKind::InvalidValue);
            let expected = format!("one of {}", shells.join(", "));
            ConfigError::InvalidValue { origin, name: "completions", value, expected }
        }
        (ErrorKind::TooManyValues, _) => {
            ConfigError::Syntax(origin, "this flag does not take a value")
        }
        _ => ConfigError::Syntax(origin, "expected a flag of the form --name value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn arguments(words: &[&str]) -> Result<Parsed, ConfigError> {
        read(words.iter().map(|word| (*word).to_owned()))
    }

    fn shown(words: &[&str]) -> String {
        match arguments(words).unwrap() {
            Parsed::Print(text) => text,
            Parsed::Serve(arguments) => panic!("{arguments:?}"),
        }
    }

    fn served(words: &[&str]) -> Arguments {
        match arguments(words).unwrap() {
            Parsed::Serve(arguments) => arguments,
            Parsed::Print(text) => panic!("{text}"),
        }
    }

    fn pairs(given: &[RawSetting]) -> Vec<(&str, &str)> {
        given.iter().map(|given| (&*given.name, &*given.value)).collect()
    }

    #[test]
    fn the_command_line_is_one_that_clap_accepts() {
        command().debug_assert();
        let ours = command();
        let others = ours.get_arguments().filter_map(Arg::get_long);
        let others: Vec<&str> = others.filter(|name| table::find(name).is_none()).collect();
        assert_eq!(others, ACTIONS);
    }

    #[test]
    fn flag_values_extend_to_the_next_flag() {
        let read = served(&["my.conf", "--bind", "10.0.0.1", "-::1", "--port=7000", "--DIR", "a"]);
        assert_eq!(read.file.as_deref(), Some(Path::new("my.conf")));
        // In the order of the table.
        assert_eq!(pairs(&read.given), [("port", "7000"), ("bind", "10.0.0.1 -::1"), ("dir", "a")]);
        assert_eq!(pairs(&served(&["--requirepass="]).given), [("requirepass", "")]);
        assert_eq!(pairs(&served(&["--port", "1", "--port", "2"]).given), [("port", "2")]);
        assert_eq!(served(&[]), Arguments::default());
        let refused = [
            (&["--port"][..], "--port: the value is missing"),
            (&["--port", "--dir", "a"], "--port: the value is missing"),
            (&["a", "b"], "b: expected a flag of the form --name value"),
            (&["-x"], "-x: expected a flag of the form --name value"),
            (&["--man=yes"], "--man: this flag does not take a value"),
            (
                &["--completions", "cmd"],
                "--completions: invalid value 'cmd' for completions: \
                 expected one of bash, elvish, fish, powershell, zsh",
            ),
        ];
        for (words, expected) in refused {
            assert_eq!(arguments(words).unwrap_err().to_string(), expected, "{words:?}");
        }
    }

    /// Everything made from the table contains all settings.
    #[test]
    fn help_manual_and_completions_have_every_setting() {
        let version = concat!("hedgerow-db ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!((shown(&["-V"]), shown(&["-v"])), (version.to_owned(), version.to_owned()));
        assert_eq!((shown(&["-h"]), shown(&["--help"])), (help(), help()));
        assert_eq!((shown(&["--man"]), shown(&["--sample"])), (manual(), sample()));
        let manual = manual().replace("\\-", "-");
        let mut texts = vec![("help", help()), ("the manual page", manual)];
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = shown(&["--completions", shell]);
            assert_eq!(Some(&script), completions(shell).as_ref());
            texts.push((shell, script));
        }
        assert_eq!(completions("cmd"), None);
        for (what, text) in texts {
            for setting in table::all() {
                // Fish writes `-l port`.
                let known = ["--", "-l "].map(|hyphens| format!("{hyphens}{}", setting.name));
                assert!(known.iter().any(|name| text.contains(name)), "{what}: {}", setting.name);
            }
            // The words of a choice too, for shells that complete them.
            if ["bash", "fish", "zsh"].contains(&what) {
                assert!(text.contains("allkeys-random"), "{what} lacks the words of a choice");
            }
        }
    }
}
