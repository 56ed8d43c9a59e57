//! Glob patterns with `*`, `?` and `[...]`, as `KEYS` and `SCAN` take them.
//!
//! On a mismatch, only the last star is extended. That is enough: any byte that an earlier star could match in
//! addition, the last star can match as well. So the time is at most the product of the two lengths, for any pattern.

/// Returns whether `pattern` matches all of `text`. If `fold`, the case of ASCII letters is ignored.
pub(crate) fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    find(&Source { pattern, fold }, text)
}

/// A pattern that many texts are compared with. The bytes of each class were looked up once, so a class as
/// long as the largest request takes no longer than a letter.
pub(crate) struct Glob {
    elements: Vec<Element>,
    classes: Vec<[u64; 4]>,
    /// The length of the shortest text that matches.
    shortest: usize,
}

#[derive(Clone, Copy)]
enum Element {
    Star,
    Any,
    Byte(u8),
    /// A byte of a class, by the index of its set.
    OneOf(u32),
}

impl Glob {
    pub(crate) fn new(pattern: &[u8]) -> Self {
        let (mut elements, mut classes) = (Vec::new(), Vec::new());
        let (mut rest, mut shortest) = (pattern, 0);
        while let [first, behind @ ..] = rest {
            let (element, length) = match (first, behind) {
                (b'*', _) => (Element::Star, 1),
                (b'?', _) => (Element::Any, 1),
                (b'\\', [literal, ..]) => (Element::Byte(*literal), 2),
                (b'[', _) => {
                    let (set, length) = bytes_of(behind);
                    classes.push(set);
                    (Element::OneOf(classes.len() as u32 - 1), 1 + length)
                }
                (literal, _) => (Element::Byte(*literal), 1),
            };
            let follows_star = matches!(elements.last(), Some(Element::Star));
            match element {
                Element::Star if follows_star => {}
                Element::Star => elements.push(element),
                _ => {
                    elements.push(element);
                    shortest += 1;
                }
            }
            rest = &rest[length..];
        }
        Self { elements, classes, shortest }
    }

    /// Returns whether the pattern matches all of `text`.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.shortest <= text.len() && find(self, text)
    }
}

/// The elements of a pattern, each at a position.
trait Elements {
    /// Returns the position behind the last element.
    fn end(&self) -> usize;
    fn is_star(&self, at: usize) -> bool;
    /// Returns the position of the next element if the one at `at`, which is not a star, matches this byte.
    fn behind(&self, at: usize, byte: u8) -> Option<usize>;
}

/// Returns whether a pattern matches all of `text`.
#[inline]
fn find(pattern: &impl Elements, text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // After the last star: the position in the pattern, and the position in the text up to which the star matches.
    let mut star: Option<(usize, usize)> = None;
    loop {
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
}

impl Elements for Glob {
    fn end(&self) -> usize {
        self.elements.len()
    }

    fn is_star(&self, at: usize) -> bool {
        matches!(self.elements.get(at), Some(Element::Star))
    }

    fn behind(&self, at: usize, byte: u8) -> Option<usize> {
        let hit = match *self.elements.get(at)? {
            Element::Star => false,
            Element::Any => true,
            Element::Byte(literal) => literal == byte,
            Element::OneOf(class) => {
                self.classes[class as usize][usize::from(byte / 64)] >> (byte % 64) & 1 == 1
            }
        };
        hit.then_some(at + 1)
    }
}

/// A pattern as it was written.
struct Source<'p> {
    pattern: &'p [u8],
    fold: bool,
}

impl Elements for Source<'_> {
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

/// Returns whether a class matches this byte, and the length of the class after its bracket.
fn class(class: &[u8], byte: u8, fold: bool) -> (bool, usize) {
    let small = |byte: u8| if fold { byte.to_ascii_lowercase() } else { byte };
    let byte = small(byte);
    let mut hit = false;
    let (is_negated, length) = for_each_range(class, |from, to| {
        let (from, to) = (small(from), small(to));
        hit |= (from..=to).contains(&byte);
    });
    (hit != is_negated, length)
}

/// Returns the bytes that a class matches, as a set, and the length of the class after its bracket.
fn bytes_of(class: &[u8]) -> ([u64; 4], usize) {
    let mut contained = [false; 256];
    let (is_negated, length) = for_each_range(class, |from, to| {
        // Of a long class, nearly all ranges repeat others.
        if from != to || !contained[usize::from(from)] {
            contained[usize::from(from)..=usize::from(to)].fill(true);
        }
    });
    let set = std::array::from_fn(|word| {
        (0..64)
            .fold(0, |bits, bit| bits | u64::from(contained[word * 64 + bit] != is_negated) << bit)
    });
    (set, length)
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
                Glob::new(pattern.as_bytes()).matches(text.as_bytes()),
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
            let glob = Glob::new(&pattern);
            for text in &texts {
                let found = [matches(&pattern, text, false), glob.matches(text)];
                assert_eq!(found, [slow(&pattern, text); 2], "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn classes_are_what_their_definition_says() {
        let texts: Vec<[u8; 1]> = (0..=255).map(|byte| [byte]).collect();
        for pattern in words(b"[a^-]\\b", 6) {
            let glob = Glob::new(&pattern);
            for text in &texts {
                let wanted = matches(&pattern, text, false);
                assert_eq!(glob.matches(text), wanted, "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = b"*a".repeat(500);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &b"a".repeat(20_000), false));
        // Without the set, each byte of a text would be compared with a million ranges: for a minute.
        let class = [&b"*["[..], &b"b-y".repeat(1 << 20), b"]"].concat();
        let glob = Glob::new(&class);
        assert!(!glob.matches(&b"a".repeat(60_000)) && glob.matches(b"ab"));
    }
}
