//! The ranges of sorted sets that commands name.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use hedgerow_db_engine::request::{Score, SortedSetRange, SortedSetSelection};
use hedgerow_db_formats::number;
use hedgerow_db_formats::score;
use std::ops::Bound;

/// By what a range is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeKind {
    Indices,
    Scores,
    Members,
}

/// What the name of a command says about its range. Options say the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RangeBy {
    pub(super) kind: Option<RangeKind>,
    pub(super) reverse: Option<bool>,
}

/// The arguments of ZRANGE and its like from the range on.
#[derive(Clone, Copy, Debug)]
pub(super) struct RangeArguments<'a> {
    pub(super) selection: SortedSetSelection<'a>,
    pub(super) with_scores: bool,
}

impl<'a> RangeArguments<'a> {
    /// Reads the limits of a range, and its options. Only a command that replies members `shows` scores.
    pub(super) fn read(
        arguments: &[&'a [u8]],
        by: RangeBy,
        shows: bool,
    ) -> Result<Self, CommandError> {
        let RangeBy { mut kind, mut reverse } = by;
        let (mut limit, mut with_scores) = (None, false);
        let [from, to, rest @ ..] = arguments else { return Err(SYNTAX) };
        let mut rest = rest;
        while let [option, behind @ ..] = rest {
            rest = behind;
            match (option, behind) {
                (option, _) if shows && is(option, "withscores") => with_scores = true,
                (option, [offset, count, behind @ ..]) if is(option, "limit") => {
                    let offset = number::integer(offset).ok_or(NOT_AN_INTEGER)?;
                    let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
                    (limit, rest) = (Some((offset, count)), behind);
                }
                (option, _) if reverse.is_none() && is(option, "rev") => reverse = Some(true),
                (option, _) if kind.is_none() && is(option, "bylex") => {
                    kind = Some(RangeKind::Members);
                }
                (option, _) if kind.is_none() && is(option, "byscore") => {
                    kind = Some(RangeKind::Scores);
                }
                _ => return Err(SYNTAX),
            }
        }
        let (kind, reverse) = (kind.unwrap_or(RangeKind::Indices), reverse.unwrap_or(false));
        // As in Redis, -1 is the same as no limit.
        if kind == RangeKind::Indices && limit.is_some_and(|(_, count)| count != -1) {
            return Err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX".into());
        }
        if kind == RangeKind::Members && with_scores {
            return Err(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX".into()
            );
        }
        let (min, max) = if reverse { (to, from) } else { (from, to) };
        let range = match kind {
            RangeKind::Indices => {
                limit = None;
                index_range(from, to)?
            }
            RangeKind::Scores => score_range(min, max)?,
            RangeKind::Members => member_range(min, max)?,
        };
        Ok(Self { selection: SortedSetSelection { range, reverse, limit }, with_scores })
    }
}

/// Reads two indices.
pub(super) fn index_range<'a>(from: &[u8], to: &[u8]) -> Result<SortedSetRange<'a>, CommandError> {
    let index = |text: &[u8]| number::integer(text).ok_or(NOT_AN_INTEGER);
    Ok(SortedSetRange::Indices(index(from)?, index(to)?))
}

/// Reads two scores; `(` excludes one.
pub(super) fn score_range<'a>(min: &[u8], max: &[u8]) -> Result<SortedSetRange<'a>, CommandError> {
    let limit = |text: &[u8]| match text {
        [b'(', text @ ..] => score::parse_limit(text).and_then(Score::new).map(Bound::Excluded),
        text => score::parse_limit(text).and_then(Score::new).map(Bound::Included),
    };
    let limits = limit(min).zip(limit(max)).ok_or("ERR min or max is not a float")?;
    Ok(SortedSetRange::Scores(limits.0, limits.1))
}

/// A limit of a range of members.
enum MemberLimit<'a> {
    First,
    Last,
    At(Bound<&'a [u8]>),
}

impl<'a> MemberLimit<'a> {
    fn read(text: &'a [u8]) -> Option<Self> {
        // Redis compares the first two bytes with strings of C.
        match text {
            [b'-'] | [b'-', 0, ..] => Some(Self::First),
            [b'+'] | [b'+', 0, ..] => Some(Self::Last),
            [b'[', member @ ..] => Some(Self::At(Bound::Included(member))),
            [b'(', member @ ..] => Some(Self::At(Bound::Excluded(member))),
            _ => None,
        }
    }
}

/// Reads two members: `[` includes one, `(` excludes it, and `-` and `+` are before and after all.
pub(super) fn member_range<'a>(
    min: &'a [u8],
    max: &'a [u8],
) -> Result<SortedSetRange<'a>, CommandError> {
    /// No member is less than an empty one.
    const NONE: SortedSetRange<'_> =
        SortedSetRange::Members(Bound::Unbounded, Bound::Excluded(b""));
    let limits = MemberLimit::read(min).zip(MemberLimit::read(max));
    let (min, max) = limits.ok_or("ERR min or max not valid string range item")?;
    let min = match min {
        MemberLimit::First => Bound::Unbounded,
        MemberLimit::At(limit) => limit,
        MemberLimit::Last => return Ok(NONE),
    };
    let max = match max {
        MemberLimit::Last => Bound::Unbounded,
        MemberLimit::At(limit) => limit,
        MemberLimit::First => return Ok(NONE),
    };
    Ok(SortedSetRange::Members(min, max))
}
