//! Glob patterns with `*`, `?` and `[...]`, as `KEYS` and `SCAN` take them.
//!
//! On a mismatch, only the last star is extended. That is enough: any byte that an earlier star could match in
//! addition, the last star can match as well. So the time is at most the product of the two lengths, for any pattern.

/// Returns whether `pattern` matches all of `text`. If `fold`, the case of ASCII letters is ignored.
pub(crate) fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut at, mut place) = (0, 0);
    // After the last star: the position in the pattern, and the position in the text up to which the star matches.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            star = Some((at, place));
            continue;
        }
        if place == text.len() {
            // Extending a star would leave less text for the rest of the pattern.
            return at == pattern.len();
        }
        match one(&pattern[at..], text[place], fold) {
            Some(used) => (at, place) = (at + used, place + 1),
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

/// Returns whether a class matches this byte, and the length of the class after its bracket. A class without an end
/// extends to the end of the pattern.
fn class(class: &[u8], byte: u8, fold: bool) -> (bool, usize) {
    let small = |byte: u8| if fold { byte.to_ascii_lowercase() } else { byte };
    let byte = small(byte);
    let not = class.first() == Some(&b'^');
    let mut at = usize::from(not);
    let mut hit = false;
    loop {
        match class.get(at..).unwrap_or_default() {
            [] => return (hit != not, at),
            [b']', ..] => return (hit != not, at + 1),
            [b'\\', literal, ..] => {
                hit |= small(*literal) == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (small(*from.min(to)), small(*from.max(to)));
                hit |= (from..=to).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                hit |= small(*literal) == byte;
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
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                wanted,
                "{pattern} {text}"
            );
        }
        assert!(matches(b"MAX*", b"maxmemory", true) && !matches(b"MAX*", b"maxmemory", false));
        assert!(matches(b"[A-C]", b"b", true) && matches(b"[a-c]", b"B", true));
    }

    #[test]
    fn extending_only_the_last_star_is_enough() {
        // All patterns and texts over few letters.
        let words = |letters: &[u8], longest: u32| -> Vec<Vec<u8>> {
            let n = letters.len();
            let word = |length: u32, i: usize| {
                (0..length).map(|at| letters[i / n.pow(at) % n]).collect::<Vec<u8>>()
            };
            (0..=longest)
                .flat_map(|length| (0..n.pow(length)).map(move |i| (length, i)))
                .map(|(length, i)| word(length, i))
                .collect()
        };
        let texts = words(b"ab", 6);
        for pattern in words(b"ab*?", 5) {
            for text in &texts {
                assert_eq!(
                    matches(&pattern, text, false),
                    slow(&pattern, text),
                    "{pattern:?} {text:?}"
                );
            }
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = b"*a".repeat(500);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &b"a".repeat(20_000), false));
    }
}
