//! The arguments of commands, as COMMAND DOCS returns them. Tools such as redis-cli show them as hints.
//!
//! The tables of commands have the arguments as texts:
//!
//! | text | argument |
//! |---|---|
//! | `value` | a string of this name |
//! | `seconds/integer` | of another type |
//! | `key#0` | a key, which the first key specification finds; also `pattern/pattern#1` |
//! | `GET` | this word |
//! | `sorting:ALPHA` | a word, if the argument's name is another one |
//! | `EX seconds/integer` | an argument behind a word |
//! | `unit:<BYTE\|BIT>` | one of several arguments |
//! | `pair:(key#0 value)` | several arguments in this order |
//! | `GET@6.2.0` | since this version of Redis |
//! | `ip:port!2.8.12` | deprecated since this version |
//! | `key#0...`, `PREFIX prefix...+` | may be repeated; with its word each time |
//! | `[GET]` | may be left out |

use hedgerow_db_formats::resp::write::RespWriter;

/// The types of arguments that a text names.
const TYPES: [&str; 4] = ["integer", "double", "pattern", "unix-time"];
/// The letters that end a name.
const ENDS: [char; 11] = [' ', '|', '<', '>', '(', ')', '[', ']', '#', '@', '!'];

/// An argument of a command.
#[derive(Debug, Default)]
struct ArgumentSyntax<'t> {
    name: String,
    kind: &'t str,
    key_spec: Option<i64>,
    /// The word before it, or which it is.
    token: Option<&'t str>,
    since: Option<&'t str>,
    deprecated_since: Option<&'t str>,
    flags: Vec<&'static str>,
    /// Its parts, or the arguments of which it is one.
    arguments: Vec<Self>,
}

/// Writes the arguments of a text, which must have some.
pub(super) fn write_arguments(text: &str, out: &mut RespWriter<'_>) {
    write(&parse(text), out);
}

fn write(arguments: &[ArgumentSyntax<'_>], out: &mut RespWriter<'_>) {
    out.array(arguments.len());
    for argument in arguments {
        argument.write(out);
    }
}

impl ArgumentSyntax<'_> {
    fn write(&self, out: &mut RespWriter<'_>) {
        let texts = [
            ("token", self.token),
            ("since", self.since),
            ("deprecated_since", self.deprecated_since),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let others = [self.key_spec.is_some(), !self.flags.is_empty(), !self.arguments.is_empty()];
        let others = others.into_iter().filter(|has| *has).count();
        out.map(2 + texts.clone().count() + others);
        for (name, text) in [("name", &*self.name), ("type", self.kind)] {
            out.bulk(name.as_bytes());
            out.bulk(text.as_bytes());
        }
        if let Some(number) = self.key_spec {
            out.bulk(b"key_spec_index");
            out.integer(number);
        }
        for (name, text) in texts {
            out.bulk(name.as_bytes());
            out.bulk(text.as_bytes());
        }
        if !self.flags.is_empty() {
            out.bulk(b"flags");
            out.set(self.flags.len());
            self.flags.iter().for_each(|flag| out.simple(flag));
        }
        if !self.arguments.is_empty() {
            out.bulk(b"arguments");
            write(&self.arguments, out);
        }
    }
}

fn parse(text: &str) -> Vec<ArgumentSyntax<'_>> {
    let mut parser = Parser { rest: text };
    let arguments = parser.arguments(' ');
    debug_assert!(parser.rest.is_empty(), "{text}: {}", parser.rest);
    arguments
}

/// The part of a text that was not parsed.
struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    /// Parses arguments with this letter between them.
    fn arguments(&mut self, between: char) -> Vec<ArgumentSyntax<'t>> {
        let mut arguments = vec![self.argument()];
        while self.takes(between) {
            arguments.push(self.argument());
        }
        arguments
    }

    fn argument(&mut self) -> ArgumentSyntax<'t> {
        let optional = self.takes('[');
        let word = self.name();
        let mut argument = if !is_word(word) {
            self.named(word)
        // A word before a name is its token. Two words in a row are two arguments.
        } else if self.rest.strip_prefix(' ').is_some_and(|rest| rest.starts_with(is_lower)) {
            self.takes(' ');
            let name = self.name();
            ArgumentSyntax { token: Some(word), ..self.named(name) }
        } else {
            pure_token(word.to_ascii_lowercase(), word)
        };
        argument.since = self.takes('@').then(|| self.version());
        argument.deprecated_since = self.takes('!').then(|| self.version());
        let multiple = self.rest.strip_prefix("...");
        self.rest = multiple.unwrap_or(self.rest);
        let multiple_token = self.takes('+');
        let flags = [
            (optional, "optional"),
            (multiple.is_some(), "multiple"),
            (multiple_token, "multiple_token"),
        ];
        argument.flags = flags.into_iter().filter(|(has, _)| *has).map(|(_, flag)| flag).collect();
        if optional {
            self.takes(']');
        }
        argument
    }

    /// Parses the rest of an argument that begins with this name.
    fn named(&mut self, name: &'t str) -> ArgumentSyntax<'t> {
        if let Some(name) = name.strip_suffix(':') {
            let (between, end, kind) = match self.rest.chars().next() {
                Some('<') => ('|', '>', "oneof"),
                Some('(') => (' ', ')', "block"),
                // The empty word.
                _ => return pure_token(name.to_owned(), ""),
            };
            self.rest = &self.rest[1..];
            let arguments = self.arguments(between);
            self.takes(end);
            return ArgumentSyntax {
                name: name.to_owned(),
                kind,
                arguments,
                ..ArgumentSyntax::default()
            };
        }
        if let Some((name, word)) = name.split_once(':').filter(|(_, word)| is_word(word)) {
            return pure_token(name.to_owned(), word);
        }
        let key_spec = self.takes('#').then(|| self.digit());
        let typed = name.rsplit_once('/').filter(|(_, kind)| TYPES.contains(kind));
        let (name, kind) =
            typed.unwrap_or((name, if key_spec.is_some() { "key" } else { "string" }));
        ArgumentSyntax { name: name.to_owned(), kind, key_spec, ..ArgumentSyntax::default() }
    }

    fn takes(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a name, up to the letters that have a meaning.
    fn name(&mut self) -> &'t str {
        let end = self.rest.find(ENDS).unwrap_or(self.rest.len());
        let end = self.rest[..end].find("...").unwrap_or(end);
        self.take(end)
    }

    fn version(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let version = &self.rest[..end.unwrap_or(self.rest.len())];
        // The dots behind it say that the argument is repeated.
        self.take(version.trim_end_matches('.').len())
    }

    fn digit(&mut self) -> i64 {
        self.take(1).parse().unwrap_or_default()
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

fn pure_token(name: String, token: &str) -> ArgumentSyntax<'_> {
    ArgumentSyntax { name, kind: "pure-token", token: Some(token), ..ArgumentSyntax::default() }
}

fn is_lower(letter: char) -> bool {
    letter.is_ascii_lowercase()
}

/// Returns whether a user writes this text as it is.
fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_uppercase() || "=~*$".contains(letter))
}
