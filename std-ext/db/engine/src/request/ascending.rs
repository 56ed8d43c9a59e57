//! Sorted sets of other programs, whose members may come in any order.

use super::packed::Packer;
use super::score::Score;
use super::value_type::ValueType;

/// Returns the packed members of a sorted set, or of a part of one, in ascending order, as values are stored.
pub fn ascending(members: Packer) -> Packer {
    let packed = members.packed();
    let scored = packed.iter().filter_map(|(member, stored)| {
        let score = Score::parse(stored)?;
        Some((score, member, stored))
    });
    let mut scored: Vec<_> = scored.collect();
    // Redis writes a long one from the last to the first: the sort finds that in one pass.
    if scored.is_sorted() {
        return members;
    }
    scored.sort();
    let mut sorted = Packer::new(ValueType::SortedSet);
    if packed.continues() {
        sorted = sorted.continuing();
    }
    for (_, member, stored) in scored {
        sorted.push(member, stored);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_the_order_of_their_scores_and_bytes() {
        let mut members = Packer::new(ValueType::SortedSet).continuing();
        let scored: [(&[u8], f64); 5] =
            [(b"c", 2.0), (b"b", 0.0), (b"a", -0.0), (b"e", f64::INFINITY), (b"d", -1.5)];
        for (member, score) in scored {
            members.push(member, &Score::new(score).unwrap().bytes());
        }
        let sorted = ascending(members);
        let found: Vec<_> = sorted.packed().names().collect();
        assert_eq!(found, [b"d", b"a", b"b", b"c", b"e"]);
        assert!(sorted.packed().continues());
        // Negative zero is stored as it came.
        let stored = sorted.packed().iter().nth(1).and_then(|(_, score)| Score::parse(score));
        assert!(stored.is_some_and(|score| score.get().is_sign_negative()));
        let again = ascending(sorted.clone());
        assert_eq!(again.packed(), sorted.packed());
    }
}
