//! The command line of `hedgerow-db cluster`: its commands with their own words, as plain data, and the reader.
//!
//! A command takes the settings of a node, too, from flags, environment and file. So the configuration of a node
//! says how to reach its cluster.

use super::error::ConfigError;
use super::flags::{self, Arguments, Takes};
use super::load::Config;
use super::source::{PREFIX, RawSetting, SettingOrigin};
use super::table::{self, GROUPS};
use super::value::ValueKind;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, ValueHint};
use std::path::PathBuf;

/// The word that begins these command lines.
pub(super) const WORD: &str = "cluster";
/// The groups of settings that `--help` shows.
const SHOWN: [&str; 2] = ["Cluster", "TLS"];

/// A command of `hedgerow-db cluster`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subcommand {
    /// Its name.
    pub name: &'static str,
    /// Its effect, as shown to users.
    pub about: &'static str,
    /// The word that it takes besides flags, and its meaning.
    pub operand: Option<(&'static str, &'static str)>,
    /// Its flags. Every command takes `--json`, too.
    pub flags: &'static [ProgramFlag],
}

/// A flag of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramFlag {
    /// The name, without hyphens.
    pub name: &'static str,
    /// The placeholder of its value, which is one word. `None`: it takes no value.
    pub value: Option<&'static str>,
    /// Its effect, as shown to users.
    pub help: &'static str,
}

/// A flag without a value.
const fn switch(name: &'static str, help: &'static str) -> ProgramFlag {
    ProgramFlag { name, value: None, help }
}

/// A flag with a value. It may be given several times.
const fn option(name: &'static str, value: &'static str, help: &'static str) -> ProgramFlag {
    ProgramFlag { name, value: Some(value), help }
}

const JSON: ProgramFlag = switch("json", "Print JSON.");
const GROUP: ProgramFlag = option("group", "NUMBER", "Group; by default that of cluster-group.");

const CHECK: ProgramFlag = switch(
    "check",
    "Read the whole backup and verify its checksums, without restoring it. Needs no cluster, nor its settings.",
);
const ALL_GROUPS: ProgramFlag =
    switch("all-groups", "All groups, one after the other, as a list in JSON.");

/// All commands.
pub const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "status",
        about: "Print the state of the group: the primary, the members, the log, and the members of etcd",
        operand: None,
        flags: &[GROUP, ALL_GROUPS],
    },
    Subcommand {
        name: "nodes",
        about: "Print the nodes of all groups, the spare nodes, and the coordinator",
        operand: None,
        flags: &[],
    },
    Subcommand {
        name: "check",
        about: "Check that the log has no gaps, all nodes have the same data, and each slot belongs to one group",
        operand: None,
        flags: &[
            GROUP,
            ALL_GROUPS,
            option(
                "within",
                "SECONDS",
                "Seconds that nodes may take to reach the compared entry; 60 by default.",
            ),
        ],
    },
    Subcommand {
        name: "handover",
        about: "Hand the group over to another node, and wait until that is the primary",
        operand: None,
        flags: &[
            GROUP,
            option(
                "to",
                "NODE",
                "Id of the next primary, or the beginning of its id. By default, any follower.",
            ),
            option("within", "SECONDS", "Seconds to wait for it; 30 by default."),
        ],
    },
    Subcommand {
        name: "forget",
        about: "Remove a node that will not return, so that etcd need not keep entries for it",
        operand: Some(("NODE", "Id of the node, or the beginning of its id.")),
        flags: &[
            GROUP,
            switch(
                "force",
                "Remove it even if fewer than cluster-copies nodes have the log on disk afterwards.",
            ),
        ],
    },
    Subcommand {
        name: "upgrade",
        about: "Print which formats the nodes can read, or raise the format of the cluster",
        operand: None,
        flags: &[switch(
            "finish",
            "Raise the format to the latest one. After that, nodes cannot be downgraded.",
        )],
    },
    Subcommand {
        name: "move",
        about: "Move hash slots from one group to another while both serve clients, or print the moves in progress",
        operand: None,
        flags: &[
            option(
                "slots",
                "RANGES",
                "Slots, as in 0-99,200. Without this flag, print the moves in progress.",
            ),
            option("to", "GROUP", "Group that receives them."),
            option("from", "GROUP", "Group that owns them; by default, the one that etcd names."),
            option("within", "SECONDS", "Seconds to wait for the end; 3600 by default."),
            switch("no-wait", "Do not wait for the end."),
            option("cancel", "MOVE", "Cancel a move that can still be cancelled."),
            option(
                "return",
                "MOVE",
                "Return the slots of a finished move whose new group is permanently lost.",
            ),
        ],
    },
    Subcommand {
        name: "rebalance",
        about: "Move slots until all groups have about the same amount of data",
        operand: None,
        flags: &[
            option(
                "within",
                "PERCENT",
                "Percentage by which a group may differ from the mean; 10 by default.",
            ),
            switch("dry-run", "Only print the moves."),
        ],
    },
    Subcommand {
        name: "drain",
        about: "Move all slots of a group to the others, so that its nodes can be stopped",
        operand: None,
        flags: &[
            option("group", "NUMBER", "Group to drain."),
            switch("dry-run", "Only print the moves."),
        ],
    },
    Subcommand {
        name: "adopt",
        about: "Rebuild etcd from the directories of nodes after it was lost or restored from an older backup",
        operand: None,
        flags: &[
            option(
                "from",
                "DIR",
                "Another directory, besides that of --dir. For each group, the one with the latest entry is used.",
            ),
            option(
                "replace",
                "ID",
                "Delete the cluster with this id from etcd, even if it is a different one or has entries that the \
                 directories lack.",
            ),
            option(
                "assign",
                "SLOTS=GROUP",
                "Assign slots to a group, as in 0-99,200=1, overriding the directories. May be repeated.",
            ),
            switch("yes", "Do not ask."),
        ],
    },
    Subcommand {
        name: "backup",
        about: "Back up a running cluster, from one node of each group",
        operand: None,
        flags: &[
            option("to", "DIR", "Directory for the backup. It must be empty or not exist."),
            option(
                "node",
                "NODE",
                "Node to copy its group from: its id, or the beginning of it. By default, the follower with the \
                 most entries. May be repeated for other groups.",
            ),
            option("within", "SECONDS", "Seconds to wait for slot moves to end; 600 by default."),
        ],
    },
    Subcommand {
        name: "restore",
        about: "Restore a backup into an empty cluster of any number of groups, and compare digests",
        operand: None,
        flags: &[
            option("from", "DIR", "Directory of the backup."),
            CHECK,
            option(
                "within",
                "SECONDS",
                "Seconds to wait for primaries and for slot moves to end; 60 by default.",
            ),
        ],
    },
];

/// A request to run a command of `hedgerow-db cluster`.
#[derive(Clone, Debug)]
pub struct ClusterInvocation {
    /// The command.
    pub command: &'static Subcommand,
    /// The word that it takes besides flags; empty if it takes none.
    pub operand: String,
    /// The flags with their values, in the order of the table.
    given: Vec<(&'static str, String)>,
    /// The settings. `cluster` is `yes`, unless the command [needs no cluster](Self::is_offline).
    pub config: Config,
}

impl ClusterInvocation {
    /// Returns whether the command needs no cluster, and no settings of one: `restore --check`.
    pub fn is_offline(&self) -> bool {
        is_offline(&self.given)
    }

    /// Returns whether a flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == flag)
    }

    /// Returns the last value of a flag.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.values(flag).last()
    }

    /// Returns all values of a flag, in their order.
    pub fn values(&self, flag: &str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| &value[..])
    }
}

fn is_offline(given: &[(&str, String)]) -> bool {
    given.iter().any(|(name, _)| *name == CHECK.name)
}

/// The parsed words of a command.
#[derive(Debug)]
pub(super) struct ParsedWords {
    command: &'static Subcommand,
    operand: String,
    given: Vec<(&'static str, String)>,
    settings: Arguments,
}

impl ParsedWords {
    /// Adds the settings of the other sources.
    ///
    /// # Errors
    /// If a setting is wrong or missing.
    pub(super) fn invocation(
        self,
        environment: Vec<(String, String)>,
    ) -> Result<ClusterInvocation, ConfigError> {
        let Self { command, operand, given, settings: Arguments { file, given: mut flags } } = self;
        // The commands are about nothing but a cluster. A flag counts more than the other sources.
        let value = if is_offline(&given) { "no" } else { "yes" };
        flags.push(RawSetting {
            words: Vec::new(),
            name: "cluster".to_owned(),
            value: value.to_owned(),
            origin: SettingOrigin::Flag("--cluster".to_owned()),
        });
        let config = Config::from_all_sources(file, environment, flags)?;
        Ok(ClusterInvocation { command, operand, given, config })
    }
}

/// Reads the words behind `cluster`.
///
/// # Errors
/// If they are no command. `Ok(Err(text))` is a text to print: the help.
pub(super) fn read(
    mut words: impl Iterator<Item = String>,
) -> Result<Result<ParsedWords, String>, ConfigError> {
    let name = words.next().unwrap_or_default();
    if matches!(&*name, "--help" | "-h" | "help") {
        return Ok(Err(overview()));
    }
    let Some(command) = SUBCOMMANDS.iter().find(|command| command.name == name) else {
        let names: Vec<_> = SUBCOMMANDS.iter().map(|command| command.name).collect();
        let names = names.join(", ");
        return Err(ConfigError::Usage(if name.is_empty() {
            format!("cluster needs a command: one of {names}")
        } else {
            format!("cluster has no command '{name}': expected one of {names}")
        }));
    };
    let joined = flags::join_values(words, |flag| takes(command, flag));
    let program = std::iter::once(flags::NAME.to_owned());
    let found = match clap_command(command).try_get_matches_from(program.chain(joined)) {
        Ok(found) => found,
        Err(why) if why.kind() == ErrorKind::DisplayHelp => {
            return Ok(Err(why.render().to_string()));
        }
        Err(why) => return Err(usage_error(command, &why)),
    };
    let operand = command.operand.and_then(|(name, _)| found.get_one::<String>(name)).cloned();
    let mut given = Vec::new();
    for flag in own_flags(command) {
        if flag.value.is_none() {
            given.extend(found.get_flag(flag.name).then(|| (flag.name, String::new())));
        } else if let Some(values) = found.get_many::<String>(flag.name) {
            given.extend(values.map(|value| (flag.name, value.clone())));
        }
    }
    let settings = Arguments {
        file: found.get_one("config").map(|file: &String| PathBuf::from(file)),
        given: flags::given(&found),
    };
    Ok(Ok(ParsedWords { command, operand: operand.unwrap_or_default(), given, settings }))
}

fn own_flags(command: &Subcommand) -> impl Iterator<Item = &'static ProgramFlag> {
    std::iter::once(&JSON).chain(command.flags)
}

/// Returns how many words belong to a flag. Settings that are one word leave the next one to the command.
fn takes(command: &Subcommand, flag: &str) -> Takes {
    if let Some(own) = own_flags(command).find(|own| own.name == flag) {
        return if own.value.is_some() { Takes::One } else { Takes::None };
    }
    let several = [ValueKind::Addresses, ValueKind::AddressesOrNone, ValueKind::OutputLimits];
    match table::find(flag) {
        Some(setting) if several.contains(&setting.kind) => Takes::All,
        Some(_) => Takes::One,
        None if flag == "config" => Takes::One,
        None => Takes::None,
    }
}

/// Returns the command line of one command: its own words, and a flag for each setting.
fn clap_command(command: &'static Subcommand) -> Command {
    let settings = GROUPS.iter().flat_map(|group| {
        let hidden = !SHOWN.contains(&group.name);
        let flag = move |setting| flags::flag(setting).hide(hidden).help_heading(group.name);
        group.settings.iter().map(flag)
    });
    let own = own_flags(command).map(|flag| {
        let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
        match flag.value {
            Some(value) => arg.value_name(value).action(ArgAction::Append),
            None => arg.action(ArgAction::SetTrue),
        }
    });
    let (word, meaning) = command.operand.unzip();
    let operand = word.map(|word| {
        Arg::new(word).value_name(word).required(true).help(meaning.unwrap_or_default())
    });
    let word = word.map(|word| format!(" {word}")).unwrap_or_default();
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .help("Configuration file, such as a node's.");
    Command::new(flags::NAME)
        .about(command.about)
        .override_usage(format!(
            "{} {WORD} {}{word} [--json] [--config FILE] [--NAME VALUE]...",
            flags::NAME,
            command.name
        ))
        .after_help(format!(
            "The cluster is reached by the settings of a node. They can also be given in FILE, which {PREFIX}CONFIG \
             may name, or as environment variables: cluster-name is {PREFIX}CLUSTER_NAME. Exit status: 0 if all is \
             well, 1 if the command failed or found an error, 2 for a wrong command line, 3 if `check` found no \
             error but could not compare all members."
        ))
        .max_term_width(100)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(operand)
        .args(own)
        .arg(config)
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::HelpShort).help("Print this help."))
        .args(settings)
}

/// Returns the list of all commands.
pub(super) fn overview() -> String {
    use std::fmt::Write;
    let name = flags::NAME;
    let mut text = format!(
        "Commands that manage a cluster\n\nUsage: {name} {WORD} COMMAND [--json] [--NAME VALUE]...\n\nCommands:\n"
    );
    for command in SUBCOMMANDS {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:<9} {}", command.name, command.about);
    }
    text + &format!("\nRun `{name} {WORD} COMMAND --help` for details.\n")
}

fn usage_error(command: &Subcommand, why: &clap::Error) -> ConfigError {
    let more = format!("see `{} {WORD} {} --help`", flags::NAME, command.name);
    if why.kind() == ErrorKind::MissingRequiredArgument {
        let word = command.operand.map_or("a word", |(word, _)| word);
        return ConfigError::Usage(format!("{WORD} {}: {word} is missing; {more}", command.name));
    }
    match flags::to_config_error(why) {
        ConfigError::Syntax(
            SettingOrigin::Flag(flag),
            "expected a flag of the form --name value",
        ) => ConfigError::Usage(format!(
            "{WORD} {}: unexpected argument {flag}; {more}",
            command.name
        )),
        other => other,
    }
}

// Without the feature all of it is refused.
#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<Result<ParsedWords, String>, ConfigError> {
        read(words.iter().map(|word| (*word).to_owned()))
    }

    fn invocation(given: &[&str]) -> Result<ClusterInvocation, ConfigError> {
        let variables = [("HEDGEROW_DB_CLUSTER_ETCD", "http://127.0.0.1:2379")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        words(given)?.expect("no help").invocation(variables.to_vec())
    }

    fn error_text(given: &[&str]) -> String {
        invocation(given).unwrap_err().to_string()
    }

    #[test]
    fn clap_accepts_all_commands() {
        for command in SUBCOMMANDS {
            clap_command(command).debug_assert();
            for flag in own_flags(command) {
                assert!(table::find(flag.name).is_none(), "{} is a setting", flag.name);
            }
        }
    }

    #[test]
    fn a_command_takes_its_words_and_the_settings() {
        let asked = invocation(&["forget", "--json", "ab12", "--cluster-name", "roses", "--force"]);
        let asked = asked.unwrap();
        assert_eq!((asked.command.name, &*asked.operand), ("forget", "ab12"));
        assert!(asked.has("json") && asked.has("force") && !asked.has("to"));
        let settings = asked.config.cluster().expect("it is about a cluster");
        assert_eq!((&*settings.name, settings.etcd.endpoints.len()), ("roses", 1));
        let asked = invocation(&["handover", "--cluster-name=roses", "--to", "a", "--to=b"]);
        let asked = asked.unwrap();
        assert_eq!(asked.values("to").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((asked.value("to"), asked.value("within")), (Some("b"), None));
        // A setting of one word leaves the next word to the command.
        let asked = invocation(&["forget", "--cluster-name", "roses", "ab12"]).unwrap();
        assert_eq!(asked.operand, "ab12");
    }

    #[test]
    fn the_configuration_of_a_node_may_be_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        std::fs::write(&path, "cluster-name roses\nport 7001\ncluster no\n").unwrap();
        let asked = invocation(&["status", "--config", path.to_str().unwrap()]).unwrap();
        assert_eq!(asked.config.cluster().expect("it is about a cluster").name, "roses");
    }

    #[test]
    fn wrong_words_get_sentences() {
        let cases: [(&[&str], &str); 8] = [
            (&[], "cluster needs a command: one of status, nodes, check, handover, forget"),
            (&["stats"], "cluster has no command 'stats': expected one of status, "),
            (
                &["forget"],
                "cluster forget: NODE is missing; see `hedgerow-db cluster forget --help`",
            ),
            (&["status", "now"], "cluster status: unexpected argument now; "),
            (&["forget", "a", "b"], "cluster forget: unexpected argument b; "),
            (&["handover", "--to"], "--to: the value is missing"),
            (&["status", "--cluster-nam", "x"], "did you mean 'cluster-name'?"),
            (&["status"], "cluster requires cluster-name"),
        ];
        for (given, wanted) in cases {
            let text = error_text(given);
            assert!(text.contains(wanted), "{given:?}: {text}");
        }
    }

    #[test]
    fn help_says_what_there_is() {
        let text = words(&["--help"]).unwrap().unwrap_err();
        for command in SUBCOMMANDS {
            assert!(text.contains(command.about), "{text}");
            let own = words(&[command.name, "--help"]).unwrap().unwrap_err();
            assert!(own.contains(command.about) && own.contains("--cluster-etcd"), "{own}");
            assert!(!own.contains("--maxmemory"), "{own}");
            for flag in own_flags(command) {
                assert!(own.contains(&format!("--{}", flag.name)), "{own}");
            }
        }
    }
}
