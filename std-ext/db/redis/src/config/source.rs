//! The sources of settings: a file and environment variables, each read into names and values with their origin. Flags
//! are read in `flags.rs`.

use std::fmt;
use std::path::PathBuf;

/// The prefix of environment variables.
pub(super) const PREFIX: &str = "HEDGEROW_DB_";

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingOrigin {
    /// A line of a file.
    Line(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{}, line {line}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A name and a value as they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawSetting {
    pub(super) name: String,
    pub(super) value: String,
    /// The words of the value, if it is a line of a file.
    pub(super) words: Vec<String>,
    pub(super) origin: SettingOrigin,
}

/// The place of a syntax error, and its description.
pub(super) type SyntaxError = (SettingOrigin, &'static str);

/// Parses a file: each line is a name and a value, parts of which may be quoted. `#` begins a comment line.
pub(super) fn file(path: &std::path::Path, text: &str) -> Result<Vec<RawSetting>, SyntaxError> {
    let mut all = Vec::new();
    // Some editors begin a file with a byte order mark.
    for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let origin = SettingOrigin::Line(path.to_owned(), i + 1);
        let line = line.trim_matches(is_space);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match words(line) {
            Err(why) => return Err((origin, why)),
            Ok(mut words) => {
                let name = words.remove(0);
                if words.is_empty() {
                    return Err((origin, "the value is missing; write \"\" for an empty one"));
                }
                all.push(RawSetting { name, value: words.join(" "), words, origin });
            }
        }
    }
    Ok(all)
}

/// Returns whether a character separates words. As in Redis, only spaces of ASCII do: a password or a pattern may have
/// others, like the no-break space.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// Splits a line into words, as Redis does. Double quotes allow `\n`, `\r`, `\t`, `\xff` and `\` before any other
/// character; single quotes allow only `\'`.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut all = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|&c| is_space(c)).is_some() {}
        let Some(&first) = rest.peek() else { return Ok(all) };
        let quote = (first == '"' || first == '\'').then_some(first);
        let mut word = String::new();
        if let Some(quote) = quote {
            rest.next();
            loop {
                match rest.next().ok_or("unclosed quote")? {
                    c if c == quote => break,
                    '\\' if quote == '"' => word.push(escaped(&mut rest)?),
                    '\\' if rest.peek() == Some(&'\'') => word.extend(rest.next()),
                    c => word.push(c),
                }
            }
            if rest.peek().is_some_and(|&c| !is_space(c)) {
                return Err("a closing quote must be followed by a space");
            }
        } else {
            while let Some(c) = rest.next_if(|&c| !is_space(c)) {
                word.push(c);
            }
        }
        all.push(word);
    }
}

fn escaped(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    Ok(match rest.next().ok_or("unclosed quote")? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'x' => {
            let digits: Option<String> = [rest.next(), rest.next()].into_iter().collect();
            let byte = digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok());
            byte.filter(u8::is_ascii)
                .map(char::from)
                .ok_or("\\x must be followed by two hexadecimal digits, up to 7f")?
        }
        other => other,
    })
}

/// Returns the variables that begin with `HEDGEROW_DB_`. Kubernetes sets such variables for a service named
/// hedgerow-db; those are skipped.
pub(super) fn environment(variables: impl Iterator<Item = (String, String)>) -> Vec<RawSetting> {
    let mut all = Vec::new();
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let of_service = rest.starts_with("SERVICE_")
            || rest
                .strip_prefix("PORT_")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            || rest == "PORT" && value.contains("://");
        if rest == "CONFIG" || of_service {
            continue;
        }
        let name = rest.to_ascii_lowercase().replace('_', "-");
        all.push(RawSetting {
            name,
            value,
            words: Vec::new(),
            origin: SettingOrigin::Variable(variable),
        });
    }
    // The order of variables is random; sorting them makes the reported error deterministic.
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn pairs(given: &[RawSetting]) -> Vec<(&str, &str)> {
        given.iter().map(|given| (&*given.name, &*given.value)).collect()
    }

    #[test]
    fn lines_are_a_name_and_a_value() {
        let text = "\u{feff}# a comment\n\n  port 7000 \r\nbind 10.0.0.1 -::1\n\
            requirepass \"a b\\x41\\\"\"\nunixsocket ''\nuser \u{a0}a\u{2003}b\u{a0}\n";
        let given = file(Path::new("a.conf"), text).unwrap();
        let expected = [
            ("port", "7000"),
            ("bind", "10.0.0.1 -::1"),
            ("requirepass", "a bA\""),
            ("unixsocket", ""),
            ("user", "\u{a0}a\u{2003}b\u{a0}"),
        ];
        assert_eq!(pairs(&given), expected);
        assert_eq!(given[1].origin.to_string(), "a.conf, line 4");
        for (text, line) in
            [("port", 1), ("port 1\ndir \"a", 2), ("dir \"a\"b", 1), ("dir \"\\xzz\"", 1)]
        {
            let (origin, _) = file(Path::new("a.conf"), text).unwrap_err();
            assert_eq!(origin, SettingOrigin::Line("a.conf".into(), line), "{text}");
        }
    }

    #[test]
    fn variables_set_by_kubernetes_are_skipped() {
        let variables = [
            ("HEDGEROW_DB_PORT", "tcp://10.3.0.7:6379"),
            ("HEDGEROW_DB_PORT_6379_TCP_ADDR", "10.3.0.7"),
            ("HEDGEROW_DB_SERVICE_HOST", "10.3.0.7"),
            ("HEDGEROW_DB_CONFIG", "a.conf"),
            ("HEDGEROW_DB_TLS_PORT", "7001"),
            ("HEDGEROW_DB_MAXMEMORY", "1gb"),
            ("PATH", "/bin"),
        ];
        let given = environment(variables.iter().map(|(a, b)| ((*a).into(), (*b).into())));
        assert_eq!(pairs(&given), [("maxmemory", "1gb"), ("tls-port", "7001")]);
        let given = environment([("HEDGEROW_DB_PORT".into(), "7000".into())].into_iter());
        assert_eq!(pairs(&given), [("port", "7000")]);
    }
}
