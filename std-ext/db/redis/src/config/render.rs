//! Texts made from the table: the sample file and the tables of the documentation. `--help` is made in `flags.rs`.

use super::table::{GROUPS, Setting};
use super::value::ValueKind;
use std::fmt::Write;

const ADDED: &str = "writing to a string does not fail";

/// Returns a configuration file with all settings at their defaults.
pub fn sample() -> String {
    let mut text = String::from(
        "# All settings of hedgerow-db at their defaults. Pass this file as the first argument:\n\
         #     hedgerow-db hedgerow-db.conf\n\
         # Environment variables and flags override it.\n",
    );
    for group in GROUPS {
        write!(text, "\n# ---- {}\n", group.name).expect(ADDED);
        for setting in group.settings {
            text.push('\n');
            wrapped(&mut text, setting.help, "# ", 100);
            wrapped(&mut text, &format!("Expects {}.", setting.kind), "# ", 100);
            let value = if setting.default.is_empty() { "\"\"" } else { setting.default };
            writeln!(text, "# {} {value}", setting.name).expect(ADDED);
        }
    }
    text
}

/// Returns the tables of the documentation, in Markdown.
pub fn page() -> String {
    let mut text = String::new();
    for group in GROUPS {
        write!(
            text,
            "## {}\n\n| setting | default (values) | meaning |\n|---|---|---|\n",
            group.name
        )
        .expect(ADDED);
        for Setting { name, kind, default, modifiable, help } in group.settings {
            let default = if default.is_empty() { "none".into() } else { format!("`{default}`") };
            let values = in_a_cell(kind);
            let dynamic = if *modifiable { " *Dynamic.*" } else { "" };
            writeln!(text, "| `{name}` | {default}{values} | {help}{dynamic} |").expect(ADDED);
        }
        text.push('\n');
    }
    text
}

/// Returns the values that a setting takes, as they follow the default in a table.
fn in_a_cell(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Flag => String::new(),
        ValueKind::Number { min, max } => format!(" ({min}–{max})"),
        ValueKind::NumberOrAuto { min, max } => format!(" ({min}–{max}, `auto`)"),
        ValueKind::Signed { min, max } => format!(" ({min} to {max})"),
        ValueKind::Bytes { min: 0 } => " (bytes)".into(),
        ValueKind::Bytes { min } => format!(" (bytes, at least {min})"),
        ValueKind::Choice(words) => format!(" (`{}`)", words.join("`, `")),
        ValueKind::Text => " (string)".into(),
        ValueKind::File | ValueKind::Folder => " (path)".into(),
        ValueKind::Addresses | ValueKind::AddressesOrNone => " (IP addresses)".into(),
        ValueKind::Address => " (IP address)".into(),
        ValueKind::Endpoints => " (URLs)".into(),
        ValueKind::Mode => " (octal)".into(),
        ValueKind::Percentiles => " (percentages)".into(),
        ValueKind::OutputLimits => " (class, bytes, bytes, seconds; `normal` at least 64kb)".into(),
        ValueKind::KeyEvents => " (letters)".into(),
    }
}

/// Appends a text, wrapped into lines with this prefix and a maximum length.
fn wrapped(into: &mut String, text: &str, begin: &str, most: usize) {
    let mut line = String::from(begin);
    for word in text.split_whitespace() {
        if line.len() > begin.len() && line.len() + word.len() >= most {
            into.push_str(line.trim_end());
            into.push('\n');
            begin.clone_into(&mut line);
        }
        line.push_str(word);
        line.push(' ');
    }
    into.push_str(line.trim_end());
    into.push('\n');
}
