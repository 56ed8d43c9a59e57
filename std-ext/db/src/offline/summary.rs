//! The result of an import.

use super::report::json_string;
use hedgerow_db_engine::request::LONGEST_KEY;
use hedgerow_db_redis::command::Refusal;
use hedgerow_db_redis::config::DataInvocation;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write;

/// Numbers of things by their names.
pub(super) type NamedCounts<K> = BTreeMap<K, u64>;

/// The things that an import has found, and stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Keys of RDB files that are stored.
    pub(super) keys: u64,
    /// Keys that had expired, and are not stored.
    pub(super) expired: u64,
    /// Keys of types that are not supported, by type.
    pub(super) types: NamedCounts<String>,
    /// Keys and commands of databases that are not imported.
    pub(super) databases: NamedCounts<u64>,
    /// Keys that are too long.
    pub(super) long_keys: u64,
    /// Libraries of functions, and data of modules that belongs to no key.
    pub(super) functions: u64,
    pub(super) module_data: u64,
    /// Commands of AOF files that change keys.
    pub(super) commands: u64,
    /// Commands that cannot be executed.
    pub(super) refused: NamedCounts<(Refusal, String)>,
    /// Commands that failed.
    pub(super) failed: NamedCounts<String>,
    /// Bytes at the end of an AOF file that are no complete command or transaction.
    pub(super) incomplete: u64,
}

/// Adds one to the number of a name.
pub(super) fn count<K: Ord>(counts: &mut NamedCounts<K>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn list<K: Display>(counts: &NamedCounts<K>) -> String {
    let each = counts.iter().map(|(name, count)| format!("{name} ({count})"));
    each.collect::<Vec<_>>().join(", ")
}

/// What refused commands are, and what else the user can do.
const REFUSALS: [(Refusal, &str, &str); 4] = [
    (Refusal::Unknown, "commands that are not supported here", ""),
    (
        Refusal::Script,
        "scripts, which an import does not execute",
        "BGREWRITEAOF on the Redis that wrote the file replaces them with the keys that they changed; ",
    ),
    (
        Refusal::OtherDatabase,
        "commands that move keys between databases, although only one is imported",
        "without --database, all are; ",
    ),
    (Refusal::Unexpected, "commands that Redis never writes to such a file", ""),
];

impl Summary {
    /// Returns the numbers of the commands that were refused for certain reasons.
    fn refused_because(&self, is_meant: impl Fn(Refusal) -> bool) -> NamedCounts<&str> {
        let mut names = NamedCounts::new();
        for ((_, name), count) in self.refused.iter().filter(|((why, _), _)| is_meant(*why)) {
            *names.entry(&name[..]).or_default() += count;
        }
        names
    }

    /// Returns why the file is not imported, if it is not.
    pub(super) fn refusal(&self, asked: &DataInvocation) -> Option<String> {
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string does not fail.
            let _ = write!(text, "\n- {line}");
        };
        if self.long_keys > 0 {
            line(format!("{} keys are longer than {LONGEST_KEY} bytes", self.long_keys));
        }
        if !asked.skip_other_types {
            if !self.types.is_empty() {
                line(format!(
                    "keys of types that are not supported here: {}; --skip-other-types skips them",
                    list(&self.types)
                ));
            }
            for (why, says, instead) in REFUSALS {
                let names = self.refused_because(|reason| reason == why);
                if !names.is_empty() {
                    line(format!(
                        "{says}: {}; {instead}--skip-other-types skips them",
                        list(&names)
                    ));
                }
            }
        }
        let (keys, commands) = (self.keys, self.commands);
        (!text.is_empty()).then(|| {
            format!(
                "nothing was imported; besides {keys} keys and {commands} commands there are{text}"
            )
        })
    }

    /// Returns the text for users.
    pub(super) fn text(&self) -> String {
        let mut text = format!("Imported {} keys", self.keys);
        if self.commands > 0 {
            let _ = write!(text, " and {} commands", self.commands);
        }
        text += ".\n";
        let mut line = |counted: bool, line: String| {
            if counted {
                text += &line;
                text.push('\n');
            }
        };
        line(self.expired > 0, format!("Skipped: {} expired keys.", self.expired));
        line(!self.types.is_empty(), format!("Skipped, by type: {}.", list(&self.types)));
        line(
            !self.databases.is_empty(),
            format!("Skipped, by database: {}.", list(&self.databases)),
        );
        let refused = self.refused_because(|_| true);
        line(!refused.is_empty(), format!("Skipped, commands: {}.", list(&refused)));
        line(!self.failed.is_empty(), format!("Commands that failed: {}.", list(&self.failed)));
        line(self.functions > 0, format!("Skipped: {} function libraries.", self.functions));
        line(self.module_data > 0, format!("Skipped: {} module values.", self.module_data));
        line(
            self.incomplete > 0,
            format!("Skipped: {} bytes of an incomplete command at the end.", self.incomplete),
        );
        text
    }

    /// Returns the object of JSON.
    pub(super) fn json(&self) -> String {
        let mut json = String::from("{");
        let mut pair = |name: &str, value: String| {
            let comma = if json.len() > 1 { ", " } else { "" };
            // Writing to a string does not fail.
            let _ = write!(json, "{comma}\"{name}\": {value}");
        };
        pair("keys", self.keys.to_string());
        pair("commands", self.commands.to_string());
        pair("expired", self.expired.to_string());
        pair("other_types", object(&self.types));
        pair("other_databases", object(&self.databases));
        pair("unknown_commands", object(&self.refused_because(|why| why == Refusal::Unknown)));
        pair("refused_commands", object(&self.refused_because(|why| why != Refusal::Unknown)));
        pair("failed_commands", object(&self.failed));
        pair("functions", self.functions.to_string());
        pair("module_data", self.module_data.to_string());
        pair("incomplete_bytes", self.incomplete.to_string());
        json + "}\n"
    }
}

fn object<K: Display>(counts: &NamedCounts<K>) -> String {
    let pair = |(name, count): (&K, &u64)| {
        let name = json_string(name.to_string().as_bytes()).unwrap_or_default();
        format!("{name}: {count}")
    };
    format!("{{{}}}", counts.iter().map(pair).collect::<Vec<_>>().join(", "))
}
