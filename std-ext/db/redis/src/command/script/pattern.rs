//! Lua's patterns, with bounds: a search ends when its script has to, and does not nest deeply.
//!
//! Lua's own functions cannot be interrupted, and some patterns take them years.

/// The most captures of a pattern.
const CAPTURES: usize = 32;
/// The most items of a pattern that a match may have begun at a time.
const DEEPEST: usize = 200;
/// Steps between two looks at the clock.
const STEPS: u32 = 4096;
const ESCAPE: u8 = b'%';

/// Why a search has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    /// The pattern is invalid, for this reason.
    Invalid(&'static str),
    /// The script has to end.
    Stopped,
}

type FoundMatch<T> = Result<T, PatternError>;

/// A capture: its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    Open(usize),
    Text(usize, usize),
    Position(usize),
}

/// A search of a pattern in a text.
pub(super) struct PatternSearch<'s> {
    text: &'s [u8],
    pattern: &'s [u8],
    captures: Vec<Capture>,
    depth: usize,
    steps: u32,
    /// Returns whether the script may go on.
    go_on: &'s dyn Fn() -> bool,
}

impl<'s> PatternSearch<'s> {
    /// Makes a search. As in Lua 5.1, the pattern ends at its first zero byte.
    pub(super) fn new(text: &'s [u8], pattern: &'s [u8], go_on: &'s dyn Fn() -> bool) -> Self {
        let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        let pattern = &pattern[..end];
        Self { text, pattern, captures: Vec::new(), depth: 0, steps: 0, go_on }
    }

    /// Matches the pattern from offset `from` of it on at offset `at` of the text. Returns where the match ends.
    pub(super) fn match_at(&mut self, at: usize, from: usize) -> FoundMatch<Option<usize>> {
        self.captures.clear();
        self.depth = 0;
        self.matches(at, from)
    }

    /// Returns the captures of the last match, or the match itself if it has none and `whole` is given.
    pub(super) fn captures(&self, whole: Option<(usize, usize)>) -> FoundMatch<Vec<Capture>> {
        let whole = whole.filter(|_| self.captures.is_empty());
        let all = whole.map(|(from, to)| Capture::Text(from, to)).into_iter();
        let all: Vec<Capture> = all.chain(self.captures.iter().copied()).collect();
        if all.iter().any(|capture| matches!(capture, Capture::Open(_))) {
            return Err(PatternError::Invalid("unfinished capture"));
        }
        Ok(all)
    }

    /// Returns one capture. Number 0 of a match without captures is the match.
    pub(super) fn capture(&self, number: usize, whole: (usize, usize)) -> FoundMatch<Capture> {
        match self.captures.get(number) {
            None if number == 0 => Ok(Capture::Text(whole.0, whole.1)),
            None => Err(PatternError::Invalid("invalid capture index")),
            Some(Capture::Open(_)) => Err(PatternError::Invalid("unfinished capture")),
            Some(capture) => Ok(*capture),
        }
    }

    fn step(&mut self) -> FoundMatch<()> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) && !(self.go_on)() {
            return Err(PatternError::Stopped);
        }
        Ok(())
    }

    fn pattern_at(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    fn matches(&mut self, at: usize, from: usize) -> FoundMatch<Option<usize>> {
        self.depth += 1;
        // Lua 5.1 has no such bound, and each capture and each repetition takes some of the stack of C.
        if self.depth > DEEPEST {
            return Err(PatternError::Invalid("pattern too complex"));
        }
        let end = self.match_items(at, from);
        self.depth -= 1;
        end
    }

    fn match_items(&mut self, mut at: usize, mut from: usize) -> FoundMatch<Option<usize>> {
        loop {
            self.step()?;
            let next = self.pattern_at(from + 1);
            match self.pattern_at(from) {
                _ if from >= self.pattern.len() => return Ok(Some(at)),
                b'(' if next == b')' => return self.start(at, from + 2, Capture::Position(at)),
                b'(' => return self.start(at, from + 1, Capture::Open(at)),
                b')' => return self.end(at, from + 1),
                // Anywhere else it is an ordinary byte.
                b'$' if from + 1 == self.pattern.len() => {
                    return Ok((at == self.text.len()).then_some(at));
                }
                ESCAPE if next == b'b' => match self.balanced(at, from + 2)? {
                    Some(end) => (at, from) = (end, from + 4),
                    None => return Ok(None),
                },
                // The manual of Lua 5.1 does not have it, but its `lstrlib.c` has.
                ESCAPE if next == b'f' => match self.frontier(at, from + 2)? {
                    Some(behind) => from = behind,
                    None => return Ok(None),
                },
                ESCAPE if next.is_ascii_digit() => match self.back_reference(at, next)? {
                    Some(end) => (at, from) = (end, from + 2),
                    None => return Ok(None),
                },
                _ => {
                    let behind = self.class_end(from)?;
                    let first = self.matches_one(at, from, behind);
                    match self.pattern_at(behind) {
                        b'?' => {
                            if first && let Some(end) = self.matches(at + 1, behind + 1)? {
                                return Ok(Some(end));
                            }
                            from = behind + 1;
                        }
                        b'*' => return self.expand(at, (from, behind), 0),
                        b'+' if first => return self.expand(at + 1, (from, behind), 0),
                        b'-' => return self.expand_least(at, (from, behind)),
                        b'+' => return Ok(None),
                        _ if first => (at, from) = (at + 1, behind),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn start(&mut self, at: usize, from: usize, capture: Capture) -> FoundMatch<Option<usize>> {
        if self.captures.len() >= CAPTURES {
            return Err(PatternError::Invalid("too many captures"));
        }
        let before = self.captures.len();
        self.captures.push(capture);
        let end = self.matches(at, from)?;
        if end.is_none() {
            self.captures.truncate(before);
        }
        Ok(end)
    }

    fn end(&mut self, at: usize, from: usize) -> FoundMatch<Option<usize>> {
        let is_open = |capture: &Capture| matches!(capture, Capture::Open(_));
        let open = self.captures.iter().rposition(is_open);
        let number = open.ok_or(PatternError::Invalid("invalid pattern capture"))?;
        let Capture::Open(start) = self.captures[number] else { return Ok(None) };
        self.captures[number] = Capture::Text(start, at);
        let end = self.matches(at, from)?;
        if end.is_none() {
            self.captures[number] = Capture::Open(start);
        }
        Ok(end)
    }

    /// Matches as many as possible, and then fewer, until the rest matches.
    fn expand(
        &mut self,
        at: usize,
        item: (usize, usize),
        least: usize,
    ) -> FoundMatch<Option<usize>> {
        let mut count = 0;
        while self.matches_one(at + count, item.0, item.1) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(end) = self.matches(at + count, item.1 + 1)? {
                return Ok(Some(end));
            }
            if count == least {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// Matches as few as possible.
    fn expand_least(&mut self, mut at: usize, item: (usize, usize)) -> FoundMatch<Option<usize>> {
        loop {
            if let Some(end) = self.matches(at, item.1 + 1)? {
                return Ok(Some(end));
            }
            if !self.matches_one(at, item.0, item.1) {
                return Ok(None);
            }
            at += 1;
        }
    }

    /// Returns where the item of the pattern ends that begins at `from`.
    fn class_end(&self, from: usize) -> FoundMatch<usize> {
        match self.pattern_at(from) {
            ESCAPE if from + 1 >= self.pattern.len() => {
                Err(PatternError::Invalid("malformed pattern (ends with '%')"))
            }
            ESCAPE => Ok(from + 2),
            b'[' => {
                let mut at = from + 1;
                if self.pattern_at(at) == b'^' {
                    at += 1;
                }
                loop {
                    if at >= self.pattern.len() {
                        return Err(PatternError::Invalid("malformed pattern (missing ']')"));
                    }
                    at += if self.pattern_at(at) == ESCAPE && at + 1 < self.pattern.len() {
                        2
                    } else {
                        1
                    };
                    if self.pattern_at(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(from + 1),
        }
    }

    fn matches_one(&self, at: usize, from: usize, behind: usize) -> bool {
        let Some(&byte) = self.text.get(at) else { return false };
        match self.pattern_at(from) {
            b'.' => true,
            ESCAPE => matches_class(byte, self.pattern_at(from + 1)),
            b'[' => self.matches_set(byte, from, behind - 1),
            wanted => byte == wanted,
        }
    }

    /// Returns whether a set, from its `[` to its `]`, contains a byte.
    fn matches_set(&self, byte: u8, from: usize, end: usize) -> bool {
        let mut at = from + 1;
        let negated = self.pattern_at(at) == b'^';
        if negated {
            at += 1;
        }
        while at < end {
            let first = self.pattern_at(at);
            if first == ESCAPE {
                at += 1;
                if matches_class(byte, self.pattern_at(at)) {
                    return !negated;
                }
            } else if self.pattern_at(at + 1) == b'-' && at + 2 < end {
                at += 2;
                if (first..=self.pattern_at(at)).contains(&byte) {
                    return !negated;
                }
            } else if first == byte {
                return !negated;
            }
            at += 1;
        }
        negated
    }

    fn balanced(&mut self, at: usize, from: usize) -> FoundMatch<Option<usize>> {
        if from + 1 >= self.pattern.len() {
            return Err(PatternError::Invalid("unbalanced pattern"));
        }
        let (open, close) = (self.pattern_at(from), self.pattern_at(from + 1));
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for end in at + 1..self.text.len() {
            self.step()?;
            let byte = self.text[end];
            // Before `open`: of two equal letters, the second one closes.
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(end + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn frontier(&self, at: usize, from: usize) -> FoundMatch<Option<usize>> {
        if self.pattern_at(from) != b'[' {
            return Err(PatternError::Invalid("missing '[' after '%f' in pattern"));
        }
        let behind = self.class_end(from)?;
        // Before the text, as at its end, Lua sees a zero byte.
        let before = at.checked_sub(1).map_or(0, |before| self.text[before]);
        let here = self.text.get(at).copied().unwrap_or(0);
        let is_in = |byte| self.matches_set(byte, from, behind - 1);
        Ok((!is_in(before) && is_in(here)).then_some(behind))
    }

    fn back_reference(&mut self, at: usize, digit: u8) -> FoundMatch<Option<usize>> {
        let number = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = number.and_then(|number| self.captures.get(number));
        let Some(Capture::Text(from, to)) = capture.copied() else {
            // Lua compares a position capture as a very long text, which matches nowhere.
            return match capture {
                Some(Capture::Position(_)) => Ok(None),
                _ => Err(PatternError::Invalid("invalid capture index")),
            };
        };
        // A comparison is one step for each byte.
        for _ in 0..(to - from) / 64 {
            self.step()?;
        }
        let end = at + (to - from);
        Ok((self.text.get(at..end) == Some(&self.text[from..to])).then_some(end))
    }
}

/// Returns whether a byte is in a class such as `%a`.
fn matches_class(byte: u8, class: u8) -> bool {
    // ASCII only: Redis sets no locale but LC_COLLATE, so C's functions are those of the locale "C".
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // Not `is_ascii_whitespace`, which lacks C's vertical tab.
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
