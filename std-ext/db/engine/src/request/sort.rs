//! How the elements of a list, a set or a sorted set are sorted.

/// By what elements are sorted, and what is answered of each. A pattern has a `*`, in whose place the element stands.
/// It names a key, whose string counts, or, with `->` and a field behind it, a field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort<'a> {
    /// By what.
    pub by: SortBy<'a>,
    /// Whether a set that would keep its own order is sorted by its members' bytes instead: what is stored, and what a
    /// script does, must not depend on that order.
    pub repeatable: bool,
    /// Whether it is compared by its bytes, and not as a number.
    pub by_bytes: bool,
    /// Whether the greatest is first.
    pub descending: bool,
    /// How many of the sorted elements are left out, and how many follow; all, if the latter is negative.
    pub limit: Option<(i64, i64)>,
    /// The patterns of what is answered of each element; `#` is the element itself. Without any, the element is.
    pub answered: &'a [&'a [u8]],
    /// The answer's reply may take as many bytes.
    pub most: usize,
}

/// By what elements are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy<'a> {
    /// The elements themselves.
    Element,
    /// The order that the value has.
    OwnOrder,
    /// What a pattern names.
    Pattern(&'a [u8]),
}

impl Sort<'_> {
    /// Returns whether other keys are read, whose names depend on the elements.
    pub fn names_keys(&self) -> bool {
        matches!(self.by, SortBy::Pattern(_))
            || self.answered.iter().any(|pattern| names_key(pattern))
    }
}

/// Returns whether a pattern names a key.
fn names_key(pattern: &[u8]) -> bool {
    pattern.contains(&b'*')
}

/// Returns the key that a pattern names for an element, and the field if that is a field of a hash.
pub(crate) fn named<'p>(pattern: &'p [u8], element: &[u8]) -> Option<(Vec<u8>, Option<&'p [u8]>)> {
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = behind.windows(2).position(|pair| pair == b"->");
    let (behind, field) = match arrow.filter(|arrow| arrow + 2 < behind.len()) {
        Some(arrow) => (&behind[..arrow], Some(&behind[arrow + 2..])),
        None => (behind, None),
    };
    Some(([before, element, behind].concat(), field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_a_key_or_a_field() {
        let key = |key: &str, field: Option<&'static str>| {
            Some((key.as_bytes().to_vec(), field.map(str::as_bytes)))
        };
        for (pattern, wanted) in [
            ("weight_*", key("weight_7", None)),
            ("*", key("7", None)),
            ("a*b*", key("a7b*", None)),
            ("h*->field", key("h7", Some("field"))),
            ("h*x->field->y", key("h7x", Some("field->y"))),
            ("h*->", key("h7->", None)),
            ("h->*", key("h->7", None)),
            ("nosort", None),
        ] {
            assert_eq!(named(pattern.as_bytes(), b"7"), wanted, "{pattern}");
        }
    }
}
