//! Texts made from the table: the sample file and the tables of the documentation. `--help` is made in `flags.rs`.

use super::source::PREFIX;
use super::table::{GROUPS, Setting};
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
        write!(text, "## {}\n\n| setting | value | default | |\n|---|---|---|---|\n", group.name)
            .expect(ADDED);
        for setting in group.settings {
            let Setting { name, kind, default, .. } = setting;
            let default = if default.is_empty() { "none".into() } else { format!("`{default}`") };
            let modifiable = if setting.modifiable { " Can be changed at runtime." } else { "" };
            writeln!(text, "| `{name}` | {kind} | {default} | {}{modifiable} |", setting.help)
                .expect(ADDED);
        }
        text.push('\n');
    }
    writeln!(
        text,
        "As an environment variable: `{PREFIX}` and the name in capitals, with `_` for `-`."
    )
    .expect(ADDED);
    text
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
