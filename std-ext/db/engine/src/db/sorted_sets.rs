//! Sorted sets in an embedding program.

use super::Db;
use super::answers::{count, int};
use crate::error::Error;
use crate::request::{
    Answer, Change, Query, Request, RequestError, Score, ScoreCondition, SortedSetChange,
    SortedSetQuery, SortedSetRange, SortedSetSelection,
};
use std::ops::{Bound, RangeBounds};

/// A member and its score.
pub type ScoredMember = (Vec<u8>, f64);

/// Sorted sets: keys whose values are members with a score each, in the order of the scores, and of the members' bytes
/// where scores are equal. A missing key is an empty sorted set. O(log n) in the number of members, and what is found.
///
/// ```
/// # use hedgerow_db_engine::{Db, Options};
/// let db = Db::open(Options::in_memory())?;
/// assert!(db.sorted_set_set("heights", "rose", 1.5)?);
/// db.sorted_set_set("heights", "oak", 30.0)?;
/// db.sorted_set_add("heights", "rose", 0.25)?;
/// assert_eq!(db.sorted_set_score("heights", "rose")?, Some(1.75));
/// assert_eq!(db.sorted_set_rank("heights", "oak")?, Some(1));
/// assert_eq!(db.sorted_set_by_score("heights", 10.0..)?, [(b"oak".to_vec(), 30.0)]);
/// assert_eq!(db.sorted_set_pop_lowest("heights", 1)?, [(b"rose".to_vec(), 1.75)]);
/// assert_eq!(db.sorted_set_len("heights")?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Db {
    /// Returns the score of a member.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`RequestError::WrongType`] if the key's value is not a sorted set.
    pub fn sorted_set_score(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<Option<f64>, Error> {
        let query = SortedSetQuery::Score(member.as_ref());
        self.read(key.as_ref(), Query::SortedSet(query), |answer| match answer {
            Answer::Score(score) => Some(score.get()),
            _ => None,
        })
    }

    /// Returns the number of members. O(1).
    ///
    /// # Errors
    /// As [`sorted_set_score`](Self::sorted_set_score).
    pub fn sorted_set_len(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        let length = self.read(key.as_ref(), Query::SortedSet(SortedSetQuery::Length), index)?;
        Ok(length.unwrap_or(0))
    }

    /// Returns the index of a member, from the lowest score on.
    ///
    /// # Errors
    /// As [`sorted_set_score`](Self::sorted_set_score).
    pub fn sorted_set_rank(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<Option<usize>, Error> {
        let query = SortedSetQuery::Rank { member: member.as_ref(), reverse: false };
        self.read(key.as_ref(), Query::SortedSet(query), index)
    }

    /// Returns the members between two indices, both inclusive, from the lowest score on. Negative indices count from
    /// the end: 0 and -1 are all members.
    ///
    /// # Errors
    /// As [`sorted_set_score`](Self::sorted_set_score).
    pub fn sorted_set_by_index(
        &self,
        key: impl AsRef<[u8]>,
        from: i64,
        to: i64,
    ) -> Result<Vec<ScoredMember>, Error> {
        self.sorted_set_range(key.as_ref(), SortedSetRange::Indices(from, to))
    }

    /// Returns the members with scores in a range, from the lowest score on. There are none if a limit is NaN.
    ///
    /// # Errors
    /// As [`sorted_set_score`](Self::sorted_set_score).
    pub fn sorted_set_by_score(
        &self,
        key: impl AsRef<[u8]>,
        scores: impl RangeBounds<f64>,
    ) -> Result<Vec<ScoredMember>, Error> {
        let (Some(min), Some(max)) = (limit(scores.start_bound()), limit(scores.end_bound()))
        else {
            return Ok(Vec::new());
        };
        self.sorted_set_range(key.as_ref(), SortedSetRange::Scores(min, max))
    }

    fn sorted_set_range(
        &self,
        key: &[u8],
        range: SortedSetRange<'_>,
    ) -> Result<Vec<ScoredMember>, Error> {
        let selection = SortedSetSelection { range, reverse: false, limit: None };
        let (selection, most) = (&selection, usize::MAX);
        let query = SortedSetQuery::Range { selection, with_scores: true, most };
        self.read(key, Query::SortedSet(query), scored)
    }

    /// Stores a member with its score. Returns whether the member was missing.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`RequestError::WrongType`] if the key's value is not a sorted set, and
    /// [`RequestError::ScoreNotANumber`] for a score that is NaN.
    pub fn sorted_set_set(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
        score: f64,
    ) -> Result<bool, Error> {
        Ok(self.sorted_set_set_all(key, &[(score, member.as_ref())])? == 1)
    }

    /// Stores members with their scores, all at once. Returns how many were missing.
    ///
    /// # Errors
    /// As [`sorted_set_set`](Self::sorted_set_set).
    pub fn sorted_set_set_all(
        &self,
        key: impl AsRef<[u8]>,
        members: &[(f64, &[u8])],
    ) -> Result<usize, Error> {
        let scored = |(score, member): &(f64, _)| Ok((number(*score)?, *member));
        let members: Vec<(Score, &[u8])> =
            members.iter().map(scored).collect::<Result<_, Error>>()?;
        self.change_sorted_set(key.as_ref(), SortedSetChange::Set(&members), count)
    }

    /// Adds to the score of a member, which counts as 0 if the member is missing. Returns the sum.
    ///
    /// # Errors
    /// As [`sorted_set_set`](Self::sorted_set_set); [`RequestError::ScoreNotANumber`] also for the sum of an infinity
    /// and its negative.
    pub fn sorted_set_add(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
        by: f64,
    ) -> Result<f64, Error> {
        let (member, by) = (member.as_ref(), number(by)?);
        let increment =
            SortedSetChange::Increment { member, by, condition: ScoreCondition::default() };
        self.change_sorted_set(key.as_ref(), increment, |answer| match answer {
            Answer::Score(score) => Ok(score.get()),
            Answer::Error(error) => Err(error),
            _ => Ok(0.0),
        })
    }

    /// Removes a member, and the key with its last member. Returns whether the member was there.
    ///
    /// # Errors
    /// As [`sorted_set_set`](Self::sorted_set_set).
    pub fn sorted_set_remove(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let members = [member.as_ref()];
        let remove = SortedSetChange::Remove(&members);
        Ok(self.change_sorted_set(key.as_ref(), remove, int)? == 1)
    }

    /// Removes the members with the lowest scores, and returns them.
    ///
    /// # Errors
    /// As [`sorted_set_set`](Self::sorted_set_set).
    pub fn sorted_set_pop_lowest(
        &self,
        key: impl AsRef<[u8]>,
        count: usize,
    ) -> Result<Vec<ScoredMember>, Error> {
        self.sorted_set_pop(key.as_ref(), true, count)
    }

    /// Removes the members with the highest scores, and returns them, the highest score first.
    ///
    /// # Errors
    /// As [`sorted_set_set`](Self::sorted_set_set).
    pub fn sorted_set_pop_highest(
        &self,
        key: impl AsRef<[u8]>,
        count: usize,
    ) -> Result<Vec<ScoredMember>, Error> {
        self.sorted_set_pop(key.as_ref(), false, count)
    }

    fn sorted_set_pop(
        &self,
        key: &[u8],
        lowest: bool,
        count: usize,
    ) -> Result<Vec<ScoredMember>, Error> {
        let pop = SortedSetChange::Pop { lowest, count, most: usize::MAX };
        self.change_sorted_set(key, pop, |answer| match answer {
            Answer::Error(error) => Err(error),
            answer => Ok(scored(answer)),
        })
    }

    fn change_sorted_set<R>(
        &self,
        key: &[u8],
        change: SortedSetChange<'_>,
        take: fn(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        self.execute(Request::Change(key, Change::SortedSet(change)), take)
    }
}

fn number(score: f64) -> Result<Score, Error> {
    Score::new(score).ok_or(Error::Request(RequestError::ScoreNotANumber))
}

/// Returns a limit of a range; `None` for NaN.
fn limit(bound: Bound<&f64>) -> Option<Bound<Score>> {
    Some(match bound {
        Bound::Included(score) => Bound::Included(Score::new(*score)?),
        Bound::Excluded(score) => Bound::Excluded(Score::new(*score)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

fn index(answer: Answer<'_>) -> Option<usize> {
    if let Answer::Int(number) = answer { usize::try_from(number).ok() } else { None }
}

/// Returns the members that alternate with their scores in an answer.
fn scored(answer: Answer<'_>) -> Vec<ScoredMember> {
    let Answer::Elements(elements, _) = answer else { return Vec::new() };
    let mut rest = elements.iter().flatten();
    std::iter::from_fn(|| Some((rest.next()?.to_vec(), Score::parse(rest.next()?)?.get())))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::request::Score;
    use crate::{Db, Options};

    /// Short and long, with changes before and behind the snapshot.
    #[test]
    fn sorted_sets_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
        let db = open();
        for number in 0..3000_u32 {
            let score = f64::from(number % 100) - 0.5;
            assert!(db.sorted_set_set("long", number.to_string(), score).unwrap());
            if number == 2000 {
                db.snapshot().unwrap();
            }
        }
        for number in (0..3000_u32).step_by(3) {
            assert!(db.sorted_set_remove("long", number.to_string()).unwrap());
        }
        assert_eq!(db.sorted_set_pop_highest("long", 20).unwrap().len(), 20);
        db.sorted_set_set("short", "a", f64::INFINITY).unwrap();
        let sum = db.sorted_set_add("short", "b", -0.25).unwrap();
        assert_eq!(Score::new(sum), Score::new(-0.25));
        assert!(db.sorted_set_add("short", "a", f64::NEG_INFINITY).is_err());
        assert!(db.sorted_set_set("short", "a", f64::NAN).is_err());
        let all = db.sorted_set_by_index("long", 0, -1).unwrap();
        assert_eq!(all.len(), 1980);
        assert!(all.is_sorted_by(|a, b| (a.1, &a.0) <= (b.1, &b.0)));
        db.close().unwrap();
        drop(db);
        // From the log, and then from a snapshot.
        for _ in 0..2 {
            let db = open();
            assert!(db.sorted_set_by_index("long", 0, -1).unwrap() == all);
            assert_eq!(db.sorted_set_rank("long", &all[7].0).unwrap(), Some(7));
            let found = db.sorted_set_by_score("long", 0.0..2.0).unwrap();
            assert!(found.iter().all(|(_, score)| [0.5, 1.5].contains(score)) && found.len() > 30);
            assert!(db.sorted_set_by_score("long", f64::NAN..).unwrap().is_empty());
            assert_eq!(db.sorted_set_score("short", "b").unwrap(), Some(-0.25));
            assert_eq!(db.sorted_set_len("short").unwrap(), 2);
            db.snapshot().unwrap();
            db.close().unwrap();
        }
    }

    #[test]
    fn a_value_of_another_type_stays() {
        let db = Db::open(Options::in_memory()).unwrap();
        db.set("text", "value").unwrap();
        assert!(db.sorted_set_set("text", "member", 1.0).is_err());
        assert!(db.sorted_set_score("text", "member").is_err());
        assert!(db.sorted_set_pop_lowest("text", 1).is_err());
        assert_eq!(db.get("text").unwrap().as_deref(), Some(&b"value"[..]));
    }
}
