//! builds: default
//!
//! How the rules read a file: code, comments and strings apart.

use std::fmt;

pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(path: &str, index: usize, what: String) -> Self {
        Self { path: path.into(), line: index + 1, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file's lines twice: the code without comments and strings, and the comments alone.
pub(crate) struct Source {
    pub(crate) code: Vec<String>,
    pub(crate) comments: Vec<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let (mut code, mut comments) = (String::new(), String::new());
        let mut i = 0;
        while i < chars.len() {
            let end = token_end(&chars, i);
            let comment = chars[i] == '/' && end > i + 1;
            // Only a literal or a comment is longer than one character.
            let literal = !comment && end > i + 1;
            for &c in &chars[i..end] {
                let newline = c == '\n';
                code.push(if newline || !(comment || literal) { c } else { ' ' });
                comments.push(if newline || comment { c } else { ' ' });
            }
            i = end;
        }
        let lines = |s: &str| s.split('\n').map(str::to_owned).collect();
        Self { code: lines(&code), comments: lines(&comments) }
    }

    /// Whether a comment that satisfies `wanted` stands at line `i`, in its statement, or within
    /// `reach` lines above; a comment that ends within reach counts whole.
    pub(crate) fn comment_near(
        &self,
        i: usize,
        reach: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> bool {
        let ends = |l: &str| l.is_empty() || l.ends_with([';', '{', '}']);
        let mut first = i;
        while first > 0 && i - first < 8 && !ends(self.code[first - 1].trim()) {
            first -= 1;
        }
        first = first.saturating_sub(reach);
        let bare = |l: usize| self.code[l].trim().is_empty() && !self.comments[l].trim().is_empty();
        while first > 0 && bare(first) && bare(first - 1) {
            first -= 1;
        }
        self.comments[first..=i].iter().any(|c| wanted(c))
    }

    /// Marks the lines of each item under `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
    pub(crate) fn test_lines(&self) -> Vec<bool> {
        let mut marked = vec![false; self.code.len()];
        for (i, line) in self.code.iter().enumerate() {
            let at = line.find("#[cfg(test").or_else(|| line.find("#[cfg(all(test"));
            if let Some(at) = at {
                // An item without a block ends with its semicolon.
                let ends = |k: &usize| self.code[*k].contains(';');
                let end = block_end(&self.code, i, at).or_else(|| (i..self.code.len()).find(ends));
                let end = end.unwrap_or(i);
                marked[i..=end].fill(true);
            }
        }
        marked
    }
}

/// Where the comment or literal that starts at `i` ends; `i + 1` where none starts.
fn token_end(chars: &[char], i: usize) -> usize {
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let len = chars.len();
    match (at(i), at(i + 1)) {
        ('/', '/') => (i..len).find(|&k| chars[k] == '\n').unwrap_or(len),
        ('/', '*') => {
            let (mut k, mut open) = (i + 2, 1);
            while k < len && open > 0 {
                match (at(k), at(k + 1)) {
                    ('/', '*') => (open, k) = (open + 1, k + 2),
                    ('*', '/') => (open, k) = (open - 1, k + 2),
                    _ => k += 1,
                }
            }
            k.min(len)
        }
        ('r', '"' | '#') if i == 0 || !is_word(at(i - 1)) || matches!(at(i - 1), 'b' | 'c') => {
            let hashes = (i + 1..len).take_while(|&k| chars[k] == '#').count();
            let body = i + 1 + hashes;
            if at(body) != '"' {
                return i + 1;
            }
            let closes = |k: usize| at(k) == '"' && (1..=hashes).all(|h| at(k + h) == '#');
            (body + 1..len).find(|&k| closes(k)).map_or(len, |k| k + 1 + hashes)
        }
        ('"', _) => quoted_end(chars, i, '"'),
        // A quote that closes after one character is a literal, any other a lifetime.
        ('\'', '\\') => quoted_end(chars, i, '\''),
        ('\'', _) if at(i + 2) == '\'' => i + 3,
        _ => i + 1,
    }
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut k = start + 1;
    while k < chars.len() && chars[k] != quote {
        k += if chars[k] == '\\' { 2 } else { 1 };
    }
    (k + 1).min(chars.len())
}

/// The line in which the first block after line `i`, column `at` ends; `None` if the item ends
/// without one.
pub(crate) fn block_end(code: &[String], i: usize, at: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_u32, 0_u32);
    for (k, line) in code.iter().enumerate().skip(i) {
        for c in line[if k == i { at } else { 0 }..].chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => braces += 1,
                '}' if braces <= 1 => return Some(k),
                '}' => braces -= 1,
                // A `;` inside brackets is an array's length.
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

/// Where `word` stands in `text` as a word of its own.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let joined_left = text[..at].ends_with(is_word);
        let joined_right = word.ends_with(is_word) && text[at + word.len()..].starts_with(is_word);
        !joined_left && !joined_right
    })
}

/// The first segments of the paths that follow a `crate::`: one, or those of a braced list.
pub(crate) fn first_names(rest: &str) -> Vec<&str> {
    let Some(list) = rest.strip_prefix('{') else { return vec![first_name(rest)] };
    let (mut names, mut start, mut open) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open > 0 => open -= 1,
            ',' | '}' if open == 0 => {
                names.push(first_name(&list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && start == at + 1 {
            break;
        }
    }
    names
}

/// Returns the identifier that `path` starts with, and nothing for a macro, which is at the root in any case.
pub(crate) fn first_name(path: &str) -> &str {
    let path = path.trim_start();
    let (name, rest) = path.split_at(path.find(|c| !is_word(c)).unwrap_or(path.len()));
    if rest.starts_with('!') { "" } else { name }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
