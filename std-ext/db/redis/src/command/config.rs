//! CONFIG: reading and changing settings.
//!
//! The database's own settings are handled here, the others by the server.

use crate::command::arguments::{CommandError, SYNTAX, shown};
use crate::command::context::SettingError;
use crate::command::diagnostics::KeyspaceCounts;
use crate::command::execute::Execution;
use crate::command::redact;
use crate::command::rows::{Run, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::config::table::{self, KEY_EVENTS};
use hedgerow_db_engine::encodings::EncodingLimit;
use hedgerow_db_engine::event_flags::EventFlags;
use hedgerow_db_engine::log::Fsync;
use hedgerow_db_engine::options::Eviction;
use hedgerow_db_formats::glob::Glob;
use hedgerow_db_formats::number;
use std::ops::RangeInclusive;

const HELP: [&str; 9] = [
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];

/// The bytes of a setting's name that are looked at. No setting has a longer name.
const LONGEST_NAME: usize = 128;

/// Older names of settings, by which Redis shows and changes them, too.
const ALIASES: [(&str, &str); 6] = [
    ("lua-time-limit", "busy-reply-threshold"),
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// A change of a setting of the database itself.
enum DbSetting {
    MaxMemory(usize),
    Policy(Eviction),
    Samples(u32),
    LfuLogFactor(u32),
    LfuDecayTime(u32),
    Encoding(EncodingLimit, usize),
}

/// Parses a change if this is a setting of the database itself.
fn db_setting(name: &str, value: &[u8]) -> Option<Result<DbSetting, SettingError>> {
    if let Some(limit) = EncodingLimit::of_name(name) {
        let parsed = if limit.is_bytes() {
            let invalid = || SettingError::Invalid("argument must be a memory value".into());
            memory(value).ok_or_else(invalid)
        } else {
            size(value)
        };
        return Some(parsed.map(|most| DbSetting::Encoding(limit, most)));
    }
    match name {
        "maxmemory" => {
            let invalid = || SettingError::Invalid("argument must be a memory value".into());
            Some(memory(value).map(DbSetting::MaxMemory).ok_or_else(invalid))
        }
        "maxmemory-policy" => {
            let named = std::str::from_utf8(value).ok().and_then(Eviction::from_name);
            let invalid = || {
                let names = Eviction::names().collect::<Vec<_>>().join(", ");
                SettingError::Invalid(format!("argument(s) must be one of the following: {names}"))
            };
            Some(named.map(DbSetting::Policy).ok_or_else(invalid))
        }
        "maxmemory-samples" => Some(number_in(value, 1..=64).map(DbSetting::Samples)),
        "lfu-log-factor" => Some(number_in(value, NATURAL).map(DbSetting::LfuLogFactor)),
        "lfu-decay-time" => Some(number_in(value, NATURAL).map(DbSetting::LfuDecayTime)),
        // Known to CONFIG GET, so the error must not be that they are unknown.
        "databases" | "save" | "appendonly" | "appendfsync" | "dir" | "proto-max-bulk-len" => {
            Some(Err(SettingError::Immutable))
        }
        _ => None,
    }
}

/// The numbers that fit into an `int` of C.
const NATURAL: RangeInclusive<u32> = 0..=i32::MAX.cast_unsigned();

/// Parses a number in a range.
fn number_in(value: &[u8], range: RangeInclusive<u32>) -> Result<u32, SettingError> {
    let parsed = number::integer(value).ok_or_else(|| {
        SettingError::Invalid("argument couldn't be parsed into an integer".into())
    })?;
    let bounded = u32::try_from(parsed).ok().filter(|number| range.contains(number));
    bounded.ok_or_else(|| {
        let (from, to) = range.into_inner();
        SettingError::Invalid(format!("argument must be between {from} and {to} inclusive"))
    })
}

/// Parses a number of any size.
fn size(value: &[u8]) -> Result<usize, SettingError> {
    let parsed = number::integer(value).ok_or_else(|| {
        SettingError::Invalid("argument couldn't be parsed into an integer".into())
    })?;
    usize::try_from(parsed).map_err(|_| {
        SettingError::Invalid(format!("argument must be between 0 and {} inclusive", i64::MAX))
    })
}

/// Parses bytes with an optional unit: 1,000-based (`k`, `m`, `g`) or 1,024-based (`kb`, `mb`, `gb`).
fn memory(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    let (digits, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    digits.parse::<usize>().ok()?.checked_mul(number::unit(unit)?)
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("config", -2, CONFIG)
    .since("2.0.0", Group::Server)
    .summary("A container for server configuration commands.")
    .without_data()];

const CONFIG: &[Row<Run>] = &[
    command("config|get", -3, "admin noscript loading stale", |e, a| {
        e.settings(&a[2..]);
        Ok(())
    })
    .since("2.0.0", Group::Server)
    .syntax("parameter:(parameter)...")
    .summary("Returns the settings that match patterns.")
    .takes_time("O(N), N is the length of the reply"),
    command("config|set", -4, "admin noscript loading stale", |e, a| e.change_settings(&a[2..]))
        .since("2.0.0", Group::Server)
        .syntax("parameter_value:(parameter value)...")
        .summary("Changes settings, all or none.")
        .tips("request_policy:all_nodes response_policy:all_succeeded"),
    command("config|resetstat", 2, "admin noscript loading stale", |e, _| e.reset_statistics())
        .since("2.0.0", Group::Server)
        .summary("Sets the statistics of INFO to zero."),
    command("config|rewrite", 2, "admin noscript loading stale", |e, _| e.rewrite())
        .since("2.8.0", Group::Server)
        .summary("Writes the changed settings to the configuration file."),
    command("config|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("5.0.0", Group::Server)
        .summary("Lists the subcommands."),
];

impl Execution<'_, '_> {
    /// CONFIG RESETSTAT.
    fn reset_statistics(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        self.server.reset_counters();
        self.meter.diagnostics.reset(KeyspaceCounts::of(&self.db.stats()));
        self.answer(|out| out.ok())
    }

    /// Calls `each_setting` with each setting of the database itself.
    fn db_settings(&self, each_setting: &mut dyn FnMut(&str, &[u8])) {
        let (db, options) = (self.db, self.db.options());
        let mut each = |name: &str, value: &str| each_setting(name, value.as_bytes());
        each("maxmemory", &db.stats().max_memory.to_string());
        each("maxmemory-policy", db.eviction().name());
        each("maxmemory-samples", &db.eviction_samples().to_string());
        each("lfu-log-factor", &db.lfu_log_factor().to_string());
        each("lfu-decay-time", &db.lfu_decay_time().to_string());
        for limit in EncodingLimit::ALL {
            each(limit.name(), &db.encoding_limit(limit).to_string());
        }
        each("databases", &options.databases.to_string());
        each("proto-max-bulk-len", &hedgerow_db_formats::resp::parse::LONGEST_ARGUMENT.to_string());
        // Snapshots depend on the log's size, not on time.
        each("save", "");
        each("appendonly", if options.folder.is_some() { "yes" } else { "no" });
        each(
            "appendfsync",
            match options.fsync {
                Fsync::Always => "always",
                Fsync::EverySecond => "everysec",
                Fsync::Never => "no",
            },
        );
        let folder = options.folder.as_ref().map(|folder| folder.to_string_lossy().into_owned());
        each("dir", &folder.unwrap_or_default());
    }

    /// CONFIG REWRITE.
    fn rewrite(&mut self) -> Result<(), CommandError> {
        self.execute_batch();
        let mut settings = Vec::new();
        for (name, value) in self.matching(&[b"*"]) {
            // Others cannot differ from the file and the flags with which the server was started.
            if !table::find(&name).is_some_and(|setting| setting.modifiable) {
                continue;
            }
            let no_text =
                "ERR Rewriting config file: a password that is not UTF-8 cannot be in a file";
            settings.push((name, String::from_utf8(value).map_err(|_| no_text)?));
        }
        self.server.rewrite_config(&settings).map_err(|why| match why {
            None => "ERR The server is running without a config file".to_owned(),
            Some(why) => format!("ERR Rewriting config file: {why}"),
        })?;
        self.reply(|out| out.ok());
        Ok(())
    }

    /// Returns the settings whose names match one of the patterns, and their values.
    fn matching(&self, given: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        // Once, and not for each name: a pattern may be as long as a request.
        let compile = |pattern: &&[u8]| Glob::folded(pattern, LONGEST_NAME);
        let patterns: Vec<Glob> = given.iter().map(compile).collect();
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, value: &[u8]| {
            // The database's own settings come first, and the server's copies of them are skipped.
            if patterns.iter().any(|pattern| pattern.matches(name.as_bytes()))
                && found.iter().all(|(other, _)| other != name)
            {
                found.push((name.to_owned(), value.to_owned()));
            }
        };
        let mut each = |name: &str, value: &[u8]| {
            add(name, value);
            for (alias, _) in ALIASES.iter().filter(|(_, setting)| *setting == name) {
                add(alias, value);
            }
        };
        self.db_settings(&mut each);
        self.server.settings(&mut each);
        found
    }

    fn settings(&mut self, patterns: &[&[u8]]) {
        let mut found = self.matching(patterns);
        if let Some((_, letters)) = found.iter_mut().find(|(name, _)| name == KEY_EVENTS) {
            // The value that is kept, and that CONFIG REWRITE writes, has all letters.
            let flags = EventFlags::parse(&String::from_utf8_lossy(letters));
            *letters = flags.unwrap_or_default().shown().into_bytes();
        }
        self.reply(|out| {
            out.map(found.len());
            for (name, value) in &found {
                out.bulk(name.as_bytes());
                out.bulk(if redact::is_shown(name) { value } else { b"" });
            }
        });
    }

    /// Changes all given settings, or none.
    fn change_settings(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        let (pairs, []) = arguments.as_chunks::<2>() else { return Err(SYNTAX) };
        // Commands before this one are subject to the old settings.
        self.execute_batch();
        let mut names: Vec<String> = Vec::new();
        let mut changes = Vec::new();
        for [name, value] in pairs {
            let mut name = String::from_utf8_lossy(shown(name, LONGEST_NAME)).to_ascii_lowercase();
            if let Some((_, setting)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
                (*setting).clone_into(&mut name);
            }
            if names.contains(&name) {
                return Err(failed(&name, "duplicate parameter"));
            }
            let change = db_setting(&name, value);
            // Before the next name is looked at: a request may have a million of them, each of which is compared with
            // those before.
            if change.is_none() && table::find(&name).is_none() {
                return Err(not_set(&name, &SettingError::Unknown));
            }
            match change.transpose() {
                Ok(change) => changes.push(change),
                Err(why) => return Err(not_set(&name, &why)),
            }
            names.push(name);
        }
        let server_changes: Vec<(&str, &[u8])> = (changes.iter().zip(&names).zip(pairs))
            .filter(|((change, _), _)| change.is_none())
            .map(|((_, name), [_, value])| (name.as_str(), *value))
            .collect();
        // The server's settings come first, because the server may refuse them. The database's own are validated
        // already.
        if !server_changes.is_empty() {
            let error = |(number, why): (usize, _)| not_set(server_changes[number].0, &why);
            self.server.set(&server_changes).map_err(error)?;
        }
        for change in changes.into_iter().flatten() {
            match change {
                DbSetting::MaxMemory(bytes) => self.db.set_max_memory(bytes),
                DbSetting::Policy(policy) => self.db.set_eviction(policy),
                DbSetting::Samples(keys) => self.db.set_eviction_samples(keys),
                DbSetting::LfuLogFactor(factor) => self.db.set_lfu_log_factor(factor),
                DbSetting::LfuDecayTime(minutes) => self.db.set_lfu_decay_time(minutes),
                DbSetting::Encoding(limit, most) => self.db.set_encoding_limit(limit, most),
            }
        }
        self.reply(|out| out.ok());
        Ok(())
    }
}

fn not_set(name: &str, why: &SettingError) -> CommandError {
    match why {
        SettingError::Unknown => {
            format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'").into()
        }
        SettingError::Immutable => failed(name, "can't set immutable config"),
        SettingError::Invalid(why) => failed(name, why),
    }
}

fn failed(name: &str, why: &str) -> CommandError {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_units() {
        let cases: [(&str, Option<usize>); 10] = [
            ("0", Some(0)),
            ("100", Some(100)),
            ("7b", Some(7)),
            ("2k", Some(2000)),
            ("2KB", Some(2048)),
            ("3m", Some(3_000_000)),
            ("3mb", Some(3 << 20)),
            ("1gb", Some(1 << 30)),
            ("1tb", None),
            ("99999999999gb", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(memory(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!([memory(b""), memory(b"-1"), memory(b"x"), memory(b"1 mb")], [None; 4]);
    }
}
