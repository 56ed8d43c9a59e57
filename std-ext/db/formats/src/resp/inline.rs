//! Splits inline commands, lines of words with quotes: `set "a key" 'a value'`.
//!
//! Double quotes allow `\n`, `\r`, `\t`, `\a`, `\b`, `\x` with two hexadecimal digits, and a backslash before any other
//! character for that character; single quotes allow `\'`. A closing quote ends the word.

use super::parse::ParseError;

/// The state of the parser.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Word,
    Single,
    Double,
}

/// Splits a line into words.
///
/// # Errors
/// [`ParseError::Quotes`] if a quote is not closed, or if its end is not followed by a space.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, ParseError> {
    // As in Redis, a zero byte ends the line.
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        if at == line.len() {
            return Ok(words);
        }
        let (word, next) = word(line, at)?;
        words.push(word);
        at = next;
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Parses the word that begins at `at`. Returns the word, and where the next one may begin.
fn word(line: &[u8], mut at: usize) -> Result<(Vec<u8>, usize), ParseError> {
    let mut word = Vec::new();
    let mut within = Within::Word;
    loop {
        let Some(&byte) = line.get(at) else {
            return if within == Within::Word { Ok((word, at)) } else { Err(ParseError::Quotes) };
        };
        let next = line.get(at + 1).copied();
        at += 1;
        match (within, byte) {
            (Within::Word, b' ' | b'\n' | b'\r' | b'\t') => return Ok((word, at)),
            (Within::Word, b'"') => within = Within::Double,
            (Within::Word, b'\'') => within = Within::Single,
            (Within::Double, b'"') | (Within::Single, b'\'') => {
                let ends = next.is_none_or(is_space);
                return if ends { Ok((word, at)) } else { Err(ParseError::Quotes) };
            }
            (Within::Double, b'\\') if next.is_some() => {
                let (byte, used) = escaped(&line[at..]);
                word.push(byte);
                at += used;
            }
            (Within::Single, b'\\') if next == Some(b'\'') => {
                word.push(b'\'');
                at += 1;
            }
            _ => word.push(byte),
        }
    }
}

/// Parses an escape after its backslash, which must not be empty. Returns the byte and the length of the escape.
fn escaped(behind: &[u8]) -> (u8, usize) {
    let hex = |at: usize| behind.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    match behind[0] {
        b'x' if hex(1).is_some() && hex(2).is_some() => {
            let byte = hex(1).unwrap_or(0) * 16 + hex(2).unwrap_or(0);
            (byte as u8, 3)
        }
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'b' => (0x08, 1),
        b'a' => (0x07, 1),
        other => (other, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split(line.as_bytes()).ok()?;
        Some(words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect())
    }

    #[test]
    fn quotes_group_words() {
        let cases: [(&str, &[&str]); 10] = [
            ("get  rose\t", &["get", "rose"]),
            ("set \"a key\" 'a value'", &["set", "a key", "a value"]),
            (r#"set "\x41\x4g\n\t\"\\\q" ''"#, &["set", "Ax4g\n\t\"\\q", ""]),
            (r"'it\'s \n'", &["it's \\n"]),
            (r#"half"way there""#, &["halfway there"]),
            ("", &[]),
            (" \r", &[]),
            ("one\0two", &["one"]),
            (r"back\slash", &["back\\slash"]),
            ("a\u{b}b \u{c}c", &["a\u{b}b", "c"]),
        ];
        for (line, wanted) in cases {
            assert_eq!(
                words(line).as_deref(),
                Some(wanted)
                    .map(|w| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{line}"
            );
        }
    }

    #[test]
    fn quotes_without_an_end_are_refused() {
        for line in ["\"", "set 'a", "\"a\"b", "'a'\"b\"", "\"a\\\"", "\"a\0\""] {
            assert_eq!(split(line.as_bytes()), Err(ParseError::Quotes), "{line}");
        }
    }
}
