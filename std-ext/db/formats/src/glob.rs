//! Glob patterns with `*`, `?` and `[...]`, as `KEYS` and `SCAN` take them.
//!
//! On a mismatch, only the last star is extended. That is enough: any byte that an earlier star could match in
//! addition, the last star can match as well. So the time is at most the product of the two lengths, for any pattern.
//!
//! Crates for globs match paths or UTF-8. Redis's patterns are of any bytes, and it has its own rules for `[a-`, `[^`,
//! a range in the wrong order and a backslash at the end.

/// Steps of a comparison that must not take long, and those that each byte of the text adds. A text of up to 255 bytes
/// needs no more with any pattern: the elements behind a star are compared at each place up to which it can match, so
/// there are at most a quarter of the square of the length plus one, and twice the length for stars and the text.
const BRIEF_STEPS: usize = 1 << 14;
const BRIEF_STEPS_OF_BYTE: usize = 4;

#[cfg(any(test, feature = "test-support"))]
thread_local! {
    /// How many patterns this thread has compiled.
    pub static COMPILED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns whether `pattern` matches all of `text`. If `fold`, the case of ASCII letters is ignored.
pub fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    find(&PatternSource { pattern, fold }, text, usize::MAX)
}

/// A pattern that many texts are compared with. The bytes of each class were looked up once, so a class as
/// long as the largest request takes about as long as a letter.
pub struct Glob {
    /// One element behind the other, in at most twice as many bytes as the pattern: `*` and `?`; `\` and a byte; `[`,
    /// the number of a class's ranges, and the two ends of each, in order; any other byte.
    elements: Box<[u8]>,
    /// The length of the shortest text that matches; [`NONE`](Self::NONE) if none does.
    shortest: usize,
    /// Whether the case of ASCII letters is ignored: the elements are for texts in small letters.
    fold: bool,
}

impl Glob {
    /// No text is as long.
    const NONE: usize = usize::MAX;

    /// Compiles a pattern for texts of at most `longest` bytes. One that matches only longer texts is read no further
    /// than is necessary to know that.
    pub fn new(pattern: &[u8], longest: usize) -> Self {
        Self::compile(pattern, longest, false)
    }

    /// As `new`, but the case of ASCII letters is ignored.
    pub fn folded(pattern: &[u8], longest: usize) -> Self {
        Self::compile(pattern, longest, true)
    }

    fn compile(pattern: &[u8], longest: usize, fold: bool) -> Self {
        #[cfg(any(test, feature = "test-support"))]
        COMPILED.set(COMPILED.get() + 1);
        let nothing = || Self { elements: Box::default(), shortest: Self::NONE, fold };
        let small = |byte: u8| small(byte, fold);
        let (mut elements, mut rest, mut shortest) = (Vec::new(), pattern, 0);
        let mut follows_star = false;
        while let [first, behind @ ..] = rest {
            let is_star = *first == b'*';
            let length = match (first, behind) {
                (b'*', _) if follows_star => 1,
                (b'\\', [literal, ..]) => {
                    elements.extend([b'\\', small(*literal)]);
                    2
                }
                (b'[', _) => {
                    let (class, length) = bytes_of(behind, fold);
                    if class == ByteSet::default() {
                        return nothing();
                    }
                    class.push_ranges(&mut elements);
                    1 + length
                }
                // A backslash at the end stands for itself.
                (b'\\', []) => {
                    elements.extend(*b"\\\\");
                    1
                }
                (other, _) => {
                    elements.push(small(*other));
                    1
                }
            };
            shortest += usize::from(!is_star);
            if shortest > longest {
                return nothing();
            }
            follows_star = is_star;
            rest = &rest[length..];
        }
        Self { elements: elements.into(), shortest, fold }
    }

    /// Returns whether the pattern matches all of `text`.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.is_found(text, usize::MAX)
    }

    /// Returns whether the pattern matches all of `text`, and finding out does not take long: at most
    /// `BRIEF_STEPS` steps, and some for each byte of the text.
    pub fn matches_briefly(&self, text: &[u8]) -> bool {
        let steps = text.len().saturating_mul(BRIEF_STEPS_OF_BYTE).saturating_add(BRIEF_STEPS);
        self.is_found(text, steps)
    }

    fn is_found(&self, text: &[u8], steps: usize) -> bool {
        if text.len() < self.shortest {
            return false;
        }
        if self.fold && text.iter().any(u8::is_ascii_uppercase) {
            return find(self, &text.to_ascii_lowercase(), steps);
        }
        find(self, text, steps)
    }
}

/// The elements of a pattern, each at a position.
trait PatternElements {
    /// Returns the position behind the last element.
    fn end(&self) -> usize;
    fn is_star(&self, at: usize) -> bool;
    /// Returns the position of the next element if the one at `at`, which is not a star, matches this byte.
    fn behind(&self, at: usize, byte: u8) -> Option<usize>;
}

/// Returns whether a pattern matches all of `text`, and no more than `steps` steps show it.
#[inline]
fn find(pattern: &impl PatternElements, text: &[u8], steps: usize) -> bool {
    let (mut at, mut place) = (0, 0);
    // After the last star: the position in the pattern, and the position in the text up to which the star matches.
    let mut star: Option<(usize, usize)> = None;
    for _ in 0..steps {
        if pattern.is_star(at) {
            at += 1;
            if at == pattern.end() {
                return true;
            }
            star = Some((at, place));
            continue;
        }
        if place == text.len() {
            // Extending a star would leave less text for the rest of the pattern.
            return at == pattern.end();
        }
        match pattern.behind(at, text[place]) {
            Some(next) => (at, place) = (next, place + 1),
            None => match &mut star {
                Some((behind, taken)) => {
                    *taken += 1;
                    (at, place) = (*behind, *taken);
                }
                None => return false,
            },
        }
    }
    false
}

impl PatternElements for Glob {
    fn end(&self) -> usize {
        self.elements.len()
    }

    fn is_star(&self, at: usize) -> bool {
        self.elements.get(at) == Some(&b'*')
    }

    fn behind(&self, at: usize, byte: u8) -> Option<usize> {
        match *self.elements.get(at..)? {
            [b'?', ..] => Some(at + 1),
            [b'[', ranges, ref behind @ ..] => {
                let length = 2 * usize::from(ranges);
                let (ranges, _) = behind[..length].as_chunks::<2>();
                let first = ranges.partition_point(|[_, to]| *to < byte);
                let is_in = ranges.get(first).is_some_and(|[from, _]| *from <= byte);
                is_in.then_some(at + 2 + length)
            }
            [b'\\', literal, ..] => (literal == byte).then_some(at + 2),
            [literal, ..] => (literal == byte).then_some(at + 1),
            [] => None,
        }
    }
}

/// A set of bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct ByteSet([u64; 4]);

impl ByteSet {
    /// Adds the bytes from one to another.
    fn add(&mut self, from: u8, to: u8) {
        for word in from / 64..=to / 64 {
            let low = if word == from / 64 { from % 64 } else { 0 };
            let high = if word == to / 64 { to % 64 } else { 63 };
            self.0[usize::from(word)] |= u64::MAX >> (63 - (high - low)) << low;
        }
    }

    /// Returns the first byte from one on that is in the set, or that is not; 256 if there is none.
    fn next(&self, mut from: usize, is_in: bool) -> usize {
        while from < 256 {
            let word = self.0[from / 64];
            let those = if is_in { word } else { !word } >> (from % 64);
            if those != 0 {
                return from + those.trailing_zeros() as usize;
            }
            from = (from / 64 + 1) * 64;
        }
        from
    }

    /// Adds the element of a class that has these bytes.
    fn push_ranges(&self, elements: &mut Vec<u8>) {
        let head = elements.len();
        elements.extend([b'[', 0]);
        let mut from = self.next(0, true);
        while from < 256 {
            let behind = self.next(from, false);
            elements.extend([from as u8, (behind - 1) as u8]);
            // At most 128: there is a byte between two ranges.
            elements[head + 1] += 1;
            from = self.next(behind, true);
        }
    }
}

/// A pattern as it was written.
struct PatternSource<'p> {
    pattern: &'p [u8],
    fold: bool,
}

impl PatternElements for PatternSource<'_> {
    fn end(&self) -> usize {
        self.pattern.len()
    }

    fn is_star(&self, at: usize) -> bool {
        self.pattern.get(at) == Some(&b'*')
    }

    fn behind(&self, at: usize, byte: u8) -> Option<usize> {
        one(&self.pattern[at..], byte, self.fold).map(|used| at + used)
    }
}

/// Returns the length of the pattern's first element if it matches this byte.
fn one(pattern: &[u8], byte: u8, fold: bool) -> Option<usize> {
    let same = |a: u8, b: u8| a == b || fold && a.eq_ignore_ascii_case(&b);
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let (hit, used) = class(rest, byte, fold);
            hit.then_some(1 + used)
        }
        [b'\\', literal, ..] => same(*literal, byte).then_some(2),
        [literal, ..] => same(*literal, byte).then_some(1),
    }
}

/// Returns a byte of a text whose case is ignored if `fold`.
fn small(byte: u8, fold: bool) -> u8 {
    if fold { byte.to_ascii_lowercase() } else { byte }
}

/// Returns whether a class matches this byte, and the length of the class after its bracket.
fn class(class: &[u8], byte: u8, fold: bool) -> (bool, usize) {
    let byte = small(byte, fold);
    let mut hit = false;
    let (is_negated, length) = for_each_range(class, |from, to| {
        let (from, to) = (small(from, fold), small(to, fold));
        hit |= (from..=to).contains(&byte);
    });
    (hit != is_negated, length)
}

/// Returns the bytes that a class matches, and the length of the class after its bracket. If `fold`, those of a text in
/// small letters.
fn bytes_of(class: &[u8], fold: bool) -> (ByteSet, usize) {
    let mut set = ByteSet::default();
    let (is_negated, length) = for_each_range(class, |from, to| {
        let (from, to) = (small(from, fold), small(to, fold));
        // As in Redis, the ends may be in the wrong order now: `[Z-a]` matches nothing.
        if from <= to {
            set.add(from, to);
        }
    });
    (if is_negated { ByteSet(set.0.map(|word| !word)) } else { set }, length)
}

/// Calls `each` with the ends of each range of a class, the lower one first. Returns whether the class matches what is
/// in none of them, and its length after its bracket. A class without an end extends to the end of the pattern.
#[inline]
fn for_each_range(class: &[u8], mut each: impl FnMut(u8, u8)) -> (bool, usize) {
    let is_negated = class.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => return (is_negated, at),
            [b']', ..] => return (is_negated, at + 1),
            [b'\\', literal, ..] => {
                each(*literal, *literal);
                at += 2;
            }
            [from, b'-', to, ..] => {
                each(*from.min(to), *from.max(to));
                at += 3;
            }
            [literal, ..] => {
                each(*literal, *literal);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: a star matches nothing, or one more byte.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => slow(rest, text) || !text.is_empty() && slow(pattern, &text[1..]),
            _ => match text {
                [] => false,
                [byte, behind @ ..] => {
                    one(pattern, *byte, false).is_some_and(|used| slow(&pattern[used..], behind))
                }
            },
        }
    }

    /// Returns all words of these letters, up to a length.
    fn words(letters: &[u8], longest: u32) -> Vec<Vec<u8>> {
        let n = letters.len();
        let word = |length: u32, i: usize| {
            (0..length).map(|at| letters[i / n.pow(at) % n]).collect::<Vec<u8>>()
        };
        let of_length = |length: u32| (0..n.pow(length)).map(move |i| word(length, i));
        (0..=longest).flat_map(of_length).collect()
    }

    #[test]
    fn patterns_match_like_redis() {
        let cases = [
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hello", false),
            (r"[\]]", "]", true),
            ("[a", "a", true),
            ("[", "a", false),
            ("a\\", "a\\", true),
            ("a[]b", "ab", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, text, wanted) in cases {
            let found = [
                matches(pattern.as_bytes(), text.as_bytes(), false),
                Glob::new(pattern.as_bytes(), 100).matches(text.as_bytes()),
            ];
            assert_eq!(found, [wanted; 2], "{pattern} {text}");
        }
        assert!(matches(b"MAX*", b"maxmemory", true) && !matches(b"MAX*", b"maxmemory", false));
        assert!(matches(b"[A-C]", b"b", true) && matches(b"[a-c]", b"B", true));
    }

    #[test]
    fn extending_only_the_last_star_is_enough() {
        let texts = words(b"ab", 6);
        for pattern in words(b"ab*?", 5) {
            let glob = Glob::new(&pattern, 6);
            for text in &texts {
                let found = [
                    matches(&pattern, text, false),
                    glob.matches(text),
                    glob.matches_briefly(text),
                ];
                assert_eq!(found, [slow(&pattern, text); 3], "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn classes_are_what_their_definition_says() {
        let texts: Vec<[u8; 1]> = (0..=255).map(|byte| [byte]).collect();
        for pattern in words(b"[a^-]\\b", 6) {
            let glob = Glob::new(&pattern, pattern.len());
            let length = glob.elements.len();
            assert!(length <= 2 * pattern.len(), "{pattern:?} is compiled to {length} bytes");
            for text in &texts {
                let wanted = matches(&pattern, text, false);
                assert_eq!(glob.matches(text), wanted, "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn a_folded_pattern_matches_as_its_source_does() {
        let texts: Vec<Vec<u8>> = words(b"aBZz[_", 2);
        for pattern in words(b"[^aZ-]\\", 6) {
            let glob = Glob::folded(&pattern, 2);
            for text in &texts {
                let wanted = matches(&pattern, text, true);
                assert_eq!(glob.matches(text), wanted, "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn a_pattern_is_compiled_for_the_longest_text() {
        for (pattern, shortest) in [("*?[a-c]*\\**", 3), ("[^a]xyz", 4), ("[^]x*", 2)] {
            let compiled = |longest| Glob::new(pattern.as_bytes(), longest).shortest;
            let found = [compiled(shortest - 1), compiled(shortest)];
            assert_eq!(found, [Glob::NONE, shortest], "compiled too far or too short: {pattern}");
        }
        let long: Vec<u8> = (1..=255).step_by(2).flat_map(|byte| [b'\\', byte]).collect();
        let classes = [&b"["[..], &long, b"]"].concat();
        let glob = Glob::new(&[&b"****"[..], &classes, b"***"].concat(), 1);
        let length = 1 + 2 + 2 * 128 + 1;
        assert_eq!(glob.elements.len(), length, "stars are compiled one by one");
        assert!((0..=255).all(|byte| glob.matches(&[byte]) == (byte % 2 == 1)));
    }

    #[test]
    fn short_texts_are_compared_to_the_end() {
        // Of all patterns with one star these take longest.
        for length in [254, 255] {
            let text = [&vec![b'a'; length - 1][..], b"b"].concat();
            for elements in [1, length / 2 - 1, length / 2, length / 2 + 1, length] {
                let pattern = [&b"*"[..], &text[length - elements..]].concat();
                let glob = Glob::new(&pattern, length);
                assert!(glob.matches_briefly(&text), "{elements} elements of {length}");
            }
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = b"*a".repeat(500);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &b"a".repeat(20_000), false));
        // Without the set, each byte of a text would be compared with a million ranges: for a minute.
        let class = [&b"*["[..], &b"b-y".repeat(1 << 20), b"]"].concat();
        let glob = Glob::new(&class, 60_000);
        assert!(!glob.matches(&b"a".repeat(60_000)) && glob.matches(b"ab"));
    }
}
