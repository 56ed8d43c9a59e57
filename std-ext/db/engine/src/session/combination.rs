//! How the sets and sorted sets of several keys are combined.
//!
//! Redis walks through sorted sets from the shortest to the longest, which decides in what order scores are added.

use crate::number;
use crate::request::{
    Aggregate, Answer, Combination, CombinationQuery, ElementListBuilder, RequestError, Score,
    Scoring, SetOperation,
};
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::set::{SetValue, sort_integers};
use crate::state::value::sorted_set::SortedSetValue;
use std::collections::{HashMap, HashSet};

/// With more sets than this, a member is looked for in a table of the members so far, and not in each set.
const FEW_SETS: usize = 4;
/// A request of a few bytes for each name may have a million names of one sorted set. From so many on, the weights of
/// one are added, although the sum may be rounded in another way.
const MANY_NAMES: usize = 1024;

/// What a key has.
#[derive(Clone, Copy)]
enum Source<'r> {
    Set(SetValue<'r>),
    Sorted(SortedSetValue<'r>),
}

impl<'r> Source<'r> {
    fn len(self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::Sorted(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Set(set) => set.contains(member).then_some(1.0),
            Self::Sorted(set) => set.score(member).map(Score::get),
        }
    }

    fn visit(self, each: &mut dyn FnMut(&'r [u8], f64) -> bool) {
        match self {
            Self::Set(set) => set.visit_unsorted(&mut |member| each(member, 1.0)),
            Self::Sorted(set) => set.visit(&mut |member, score| each(member, score.get())),
        }
    }
}

/// The set of a key, and what it is in the request.
#[derive(Clone, Copy)]
struct Input<'r> {
    source: Source<'r>,
    /// The same for two names of one value.
    address: usize,
    weight: f64,
}

/// The sets of several keys, of which all have the right type.
pub(super) struct Inputs<'r> {
    /// Those of the keys that exist, in the order of their names.
    found: Vec<Input<'r>>,
    operation: SetOperation,
    scoring: Option<Aggregate>,
    /// Whether nothing can be in the result.
    is_empty: bool,
}

impl<'r> Inputs<'r> {
    /// Takes what was found of each key.
    ///
    /// # Errors
    /// A value is of another type.
    pub(super) fn new(
        records: &'r [Option<Record>],
        combination: Combination<'_>,
    ) -> Result<Self, RequestError> {
        let Combination { operation, scoring, .. } = combination;
        let weights = scoring.map_or(&[][..], |Scoring { weights, .. }| weights);
        let mut found = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            let Some(record) = record else { continue };
            let source = match (record.value(), scoring) {
                (Value::Set(set), _) => Source::Set(set),
                (Value::SortedSet(set), Some(_)) => Source::Sorted(set),
                _ => return Err(RequestError::WrongType),
            };
            let weight = weights.get(at).map_or(1.0, |weight| weight.get());
            found.push(Input { source, address: record.address(), weight });
        }
        let is_empty = match operation {
            SetOperation::Union => found.is_empty(),
            SetOperation::Intersection => found.is_empty() || found.len() < records.len(),
            SetOperation::Difference => records.first().is_none_or(Option::is_none),
        };
        let scoring = scoring.map(|scoring| scoring.aggregate);
        Ok(Self { found, operation, scoring, is_empty })
    }

    /// Calls `each` with the members and their scores, until it returns false: in the order of the scores, or in any
    /// order if there are none. `most` is what the names take that `each` takes.
    pub(super) fn visit(self, most: usize, each: &mut dyn FnMut(&'r [u8], Score) -> bool) {
        let is_difference = self.operation == SetOperation::Difference;
        let Some(aggregate) = self.scoring else {
            return self.visit_members(&mut |member, score| each(member, score_of(score)));
        };
        let mut all = Vec::new();
        if is_difference {
            self.visit_members(&mut add_to(&mut all, most));
        } else if self.operation == SetOperation::Union {
            self.union_scores(aggregate, most, &mut all);
        } else {
            self.visit_intersection_scores(aggregate, &mut add_to(&mut all, most));
        }
        all.sort_unstable_by(|(member, score), (other, others)| {
            score_of(*score).cmp(&score_of(*others)).then_with(|| member.cmp(other))
        });
        let _ = all.into_iter().all(|(member, score)| each(member, score_of(score)));
    }

    /// Calls `each` with the members, and their scores in the first set that has them, until it returns false.
    fn visit_members(mut self, each: &mut dyn FnMut(&'r [u8], f64) -> bool) {
        if self.is_empty {
            return;
        }
        if self.operation == SetOperation::Intersection {
            self.found.sort_by_key(|input| input.source.len());
        }
        // One set may be named a million times.
        let (first, mut seen) = (self.found[0].address, HashSet::new());
        let is_first_twice = self.found[1..].iter().any(|input| input.address == first);
        self.found.retain(|input| seen.insert(input.address));
        let sets: Vec<Source<'r>> = self.found.iter().map(|input| input.source).collect();
        match self.operation {
            SetOperation::Union => visit_union(&sets, each),
            SetOperation::Intersection => sets[0].visit(&mut |member, score| {
                !sets[1..].iter().all(|set| set.score(member).is_some()) || each(member, score)
            }),
            SetOperation::Difference if is_first_twice => {}
            SetOperation::Difference => sets[0].visit(&mut |member, score| {
                sets[1..].iter().any(|set| set.score(member).is_some()) || each(member, score)
            }),
        }
    }

    /// Computes the scores of members that are in all sets, as `zunionInterDiffGenericCommand` does.
    fn visit_intersection_scores(
        mut self,
        aggregate: Aggregate,
        each: &mut dyn FnMut(&'r [u8], f64) -> bool,
    ) {
        if self.is_empty {
            return;
        }
        self.sort_by_length(aggregate);
        let [first, others @ ..] = &self.found[..] else { return };
        first.source.visit(&mut |member, score| {
            let mut sum = number_or_zero(first.weight * score);
            for other in others {
                let Some(score) = other.source.score(member) else { return true };
                sum = aggregated(aggregate, sum, other.weight * score);
            }
            each(member, sum)
        });
    }

    /// Computes the scores of members that are in any set. Ends early once their names take more than `most` bytes.
    fn union_scores(mut self, aggregate: Aggregate, most: usize, all: &mut Vec<(&'r [u8], f64)>) {
        self.sort_by_length(aggregate);
        let (mut scores, mut bytes) = (HashMap::new(), 0_usize);
        for input in &self.found {
            input.source.visit(&mut |member, score| {
                let product = number_or_zero(input.weight * score);
                scores
                    .entry(member)
                    .and_modify(|sum| *sum = aggregated(aggregate, *sum, product))
                    .or_insert_with(|| {
                        bytes = bytes.saturating_add(member.len() + ElementListBuilder::SHORTEST);
                        product
                    });
                bytes <= most
            });
        }
        all.extend(scores);
    }

    /// Sorts the sets from the shortest to the longest.
    fn sort_by_length(&mut self, aggregate: Aggregate) {
        if self.found.len() > MANY_NAMES {
            self.merge_names(aggregate);
        }
        // Stable, as the `qsort` of glibc.
        self.found.sort_by_key(|input| input.source.len());
    }

    /// Leaves two names of each set at most, with the weights that decide its scores.
    fn merge_names(&mut self, aggregate: Aggregate) {
        let mut all = std::mem::take(&mut self.found);
        all.sort_by(|one, other| {
            one.address.cmp(&other.address).then(one.weight.total_cmp(&other.weight))
        });
        for same in all.chunk_by(|one, other| one.address == other.address) {
            let (least, greatest) = (same[0], same[same.len() - 1]);
            if aggregate == Aggregate::Sum {
                let weight = number_or_zero(same.iter().map(|input| input.weight).sum());
                self.found.push(Input { weight, ..least });
            } else {
                self.found.extend([least, greatest]);
            }
        }
    }
}

/// Calls `each` with the members of all sets, until it returns false.
fn visit_union<'r>(sets: &[Source<'r>], each: &mut dyn FnMut(&'r [u8], f64) -> bool) {
    let (mut seen, mut continues) = (HashSet::new(), true);
    for (at, set) in sets.iter().enumerate() {
        set.visit(&mut |member, score| {
            let is_new = if sets.len() > FEW_SETS {
                seen.insert(member)
            } else {
                sets[..at].iter().all(|before| before.score(member).is_none())
            };
            continues = !is_new || each(member, score);
            continues
        });
        if !continues {
            return;
        }
    }
}

/// Returns a function that collects members, until they take more than `most` bytes of a reply.
fn add_to<'v, 'r>(
    all: &'v mut Vec<(&'r [u8], f64)>,
    most: usize,
) -> impl FnMut(&'r [u8], f64) -> bool + use<'v, 'r> {
    let mut bytes = 0_usize;
    move |member, score| {
        all.push((member, score));
        bytes = bytes.saturating_add(member.len() + ElementListBuilder::SHORTEST);
        bytes <= most
    }
}

/// Combines a score with another one, as `zunionInterAggregate` does.
fn aggregated(aggregate: Aggregate, score: f64, other: f64) -> f64 {
    match aggregate {
        Aggregate::Sum => number_or_zero(score + other),
        Aggregate::Min if other < score => other,
        Aggregate::Max if other > score => other,
        Aggregate::Min | Aggregate::Max => score,
    }
}

/// Returns 0 for what is no number: an infinity times 0, or the sum of two opposite ones.
fn number_or_zero(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number }
}

fn score_of(number: f64) -> Score {
    Score::new(number).expect("what is no number counts as 0")
}

/// Answers a question about a combination from what was found of each key. A set of up to `most_integers` integers is
/// in their order, as Redis stores it.
pub(super) fn answer_combination(
    records: &[Option<Record>],
    (combination, query): (Combination<'_>, CombinationQuery),
    most_integers: usize,
    answer: impl FnOnce(Answer<'_>),
) {
    let inputs = match Inputs::new(records, combination) {
        Ok(inputs) => inputs,
        Err(error) => return answer(Answer::Error(error)),
    };
    match query {
        CombinationQuery::Types => answer(Answer::Done),
        CombinationQuery::Count { limit } => {
            let mut number = 0;
            inputs.visit_members(&mut |_, _| {
                number += 1;
                number != limit
            });
            answer(Answer::count(number));
        }
        CombinationQuery::Members { with_scores, most } => {
            let mut list = ElementListBuilder::new(most);
            inputs.visit(most, &mut |member, score| {
                list.push(member);
                if with_scores {
                    list.push(&score.bytes());
                }
                !list.is_full()
            });
            if combination.scoring.is_none() && list.list().len() <= most_integers {
                list = with_sorted_integers(list, most);
            }
            answer(Answer::Elements(list.list(), 0));
        }
    }
}

/// Sorts a list of members if all are integers.
fn with_sorted_integers(list: ElementListBuilder, most: usize) -> ElementListBuilder {
    let mut members: Vec<&[u8]> = list.list().iter().flatten().collect();
    if list.is_full() || !members.iter().all(|member| number::integer(member).is_some()) {
        return list;
    }
    sort_integers(&mut members);
    let mut sorted = ElementListBuilder::new(most);
    for member in members {
        sorted.push(member);
    }
    sorted
}
