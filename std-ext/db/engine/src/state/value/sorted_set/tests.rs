//! Sorted sets in both of their forms beside a model, at the level of requests.

use crate::request::{
    Answer, Change, Query, Request, Score, ScoreCondition, SortedSetChange, SortedSetQuery,
    SortedSetRange, SortedSetSelection,
};
use crate::state::random::Random;
use crate::{Db, Options, Session};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

const KEY: &[u8] = b"z";

fn score(number: f64) -> Score {
    Score::new(number).unwrap()
}

/// A database with one sorted set, and a model of it.
struct Checked {
    _db: Db,
    session: Session,
    model: BTreeMap<Vec<u8>, f64>,
}

impl Checked {
    fn new() -> Self {
        let db = Db::open(Options { shards: 1, ..Options::in_memory() }).unwrap();
        Self { session: db.session(), _db: db, model: BTreeMap::new() }
    }

    fn ask<R>(&mut self, request: Request<'_>, take: impl Fn(Answer<'_>) -> R) -> R {
        let mut taken = None;
        self.session.execute(&[request], &mut |_, answer| taken = Some(take(answer)));
        taken.unwrap()
    }

    fn change(&mut self, change: SortedSetChange<'_>) -> i64 {
        self.ask(Request::Change(KEY, Change::SortedSet(change)), |answer| match answer {
            Answer::Int(number) => number,
            other => panic!("{other:?}"),
        })
    }

    fn set(&mut self, member: &[u8], number: f64) {
        let added = self.change(SortedSetChange::Set(&[(score(number), member)]));
        assert_eq!(added, i64::from(self.model.insert(member.to_vec(), number).is_none()));
    }

    /// Returns the members in order.
    fn ordered(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> =
            self.model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
        all
    }

    fn query<R>(&mut self, query: SortedSetQuery<'_>, take: impl Fn(Answer<'_>) -> R) -> R {
        self.ask(Request::Read(KEY, Query::SortedSet(query)), take)
    }

    fn selected(&mut self, selection: SortedSetSelection<'_>) -> Vec<(Vec<u8>, f64)> {
        let query =
            SortedSetQuery::Range { selection: &selection, with_scores: true, most: usize::MAX };
        self.query(query, pairs)
    }

    fn number(&mut self, query: SortedSetQuery<'_>) -> i64 {
        self.query(query, |answer| match answer {
            Answer::Int(number) => number,
            other => panic!("{other:?}"),
        })
    }

    fn check(&mut self) {
        let all = self.ordered();
        let selection = SortedSetSelection {
            range: SortedSetRange::Indices(0, -1),
            reverse: false,
            limit: None,
        };
        assert_eq!(self.selected(selection), all);
        let mut back = self.selected(SortedSetSelection { reverse: true, ..selection });
        back.reverse();
        assert_eq!(back, all);
        assert_eq!(self.number(SortedSetQuery::Length), all.len().cast_signed() as i64);
        for (index, (member, number)) in all.iter().enumerate().step_by(all.len() / 50 + 1) {
            let rank = SortedSetQuery::Rank { member, reverse: false };
            assert_eq!(self.number(rank), index.cast_signed() as i64);
            let found = self.query(SortedSetQuery::Score(member), |answer| match answer {
                Answer::Score(score) => Some(score),
                _ => None,
            });
            assert_eq!(found, Some(score(*number)));
        }
    }
}

fn pairs(answer: Answer<'_>) -> Vec<(Vec<u8>, f64)> {
    let Answer::Elements(elements, _) = answer else { panic!("{answer:?}") };
    let mut all = elements.iter().flatten();
    let pair = || {
        let member = all.next()?.to_vec();
        Some((member, Score::parse(all.next()?).unwrap().get()))
    };
    std::iter::from_fn(pair).collect()
}

#[test]
fn members_are_in_the_order_of_scores_and_then_of_their_bytes() {
    // Packed, and as a tree.
    for others in [0, 1000] {
        let mut set = Checked::new();
        for number in 0..others {
            set.set(format!("other{number}").as_bytes(), f64::from(number % 7) - 3.5);
        }
        let numbers = [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, -1e300, 5e-324];
        for number in numbers {
            for member in ["b", "", "a", "aa", "\0", "\u{ff}"] {
                set.set(format!("{member}{}", number.abs()).as_bytes(), number);
            }
        }
        set.check();
        // The member of another score moves, and that of an equal one stays as it is.
        set.set(b"b1.5", -2.0);
        set.set(b"b0", 0.0);
        set.check();
    }
}

#[test]
fn random_changes_leave_what_a_model_has() {
    let mut random = Random::of_seed(7);
    let mut set = Checked::new();
    for step in 0..6000_u32 {
        // It grows into a tree, and is emptied again.
        let grows = step % 2000 < 1500;
        let member = format!("member{}", random.next() % 900).into_bytes();
        let number = f64::from((random.next() % 40) as u32) / 4.0 - 5.0;
        match random.next() % 20 {
            0..=11 if grows => set.set(&member, number),
            12..=14 => {
                let gone = set.model.remove(&member).is_some();
                let members = [&member[..]];
                assert_eq!(set.change(SortedSetChange::Remove(&members)), i64::from(gone));
            }
            15 => {
                let limit = score(number);
                let range = SortedSetRange::Scores(
                    Bound::Included(limit),
                    Bound::Excluded(score(number + 0.5)),
                );
                let (before, low) = (set.model.len(), number);
                set.model.retain(|_, there| *there < low || *there >= low + 0.5);
                let removed = before - set.model.len();
                assert_eq!(set.number(SortedSetQuery::Count(range)), removed.cast_signed() as i64);
                assert_eq!(
                    set.change(SortedSetChange::RemoveRange(range)),
                    removed.cast_signed() as i64
                );
            }
            16 => pop(&mut set, number > 0.0),
            17 => {
                let condition =
                    ScoreCondition { exists: Some(true), compares: Some(Ordering::Greater) };
                let members = [(score(number), &member[..])];
                let change =
                    SortedSetChange::SetIf { members: &members, condition, counts_changed: true };
                let there = set.model.get_mut(&member).filter(|there| number > **there);
                let wanted = i64::from(there.is_some());
                if let Some(there) = there {
                    *there = number;
                }
                assert_eq!(set.change(change), wanted);
            }
            _ => {}
        }
        if step % 97 == 0 {
            set.check();
        }
    }
    set.check();
}

fn pop(set: &mut Checked, lowest: bool) {
    let mut wanted = set.ordered();
    if !lowest {
        wanted.reverse();
    }
    wanted.truncate(5);
    let pop = SortedSetChange::Pop { lowest, count: 5, most: usize::MAX };
    let found = set.ask(Request::Change(KEY, Change::SortedSet(pop)), |answer| {
        if answer == Answer::Nil { Vec::new() } else { pairs(answer) }
    });
    assert_eq!(found, wanted);
    for (member, _) in found {
        set.model.remove(&member);
    }
}

#[test]
fn an_equal_score_changes_nothing() {
    let db = Db::open(Options { shards: 1, ..Options::in_memory() }).unwrap();
    let mut session = db.session();
    let mut set = |number| {
        let members = [(score(number), &b"a"[..]), (score(2.0), b"b")];
        let change = Change::SortedSet(SortedSetChange::Set(&members));
        session.execute(&[Request::Change(KEY, change)], &mut |_, _| {})
    };
    let made = set(0.0);
    assert_eq!(set(-0.0), made, "a log entry about nothing");
    assert!(set(1.0) > made);
}

#[test]
fn limits_leave_out_what_they_say() {
    let mut set = Checked::new();
    for number in 0..10 {
        set.set(format!("m{number}").as_bytes(), f64::from(number));
    }
    let range = SortedSetRange::Scores(Bound::Included(score(2.0)), Bound::Excluded(score(7.0)));
    for (reverse, limit, wanted) in [
        (false, None, "23456"),
        (true, None, "65432"),
        (false, Some((1, 2)), "34"),
        (true, Some((1, 2)), "54"),
        (true, Some((4, 100)), "2"),
        (false, Some((5, 1)), ""),
        (false, Some((0, -1)), "23456"),
        (false, Some((-1, 3)), ""),
        (false, Some((i64::MAX, i64::MAX)), ""),
    ] {
        let found = set.selected(SortedSetSelection { range, reverse, limit });
        let found: String = found.iter().map(|(_, score)| score.to_string()).collect();
        assert_eq!(found, wanted, "{reverse} {limit:?}");
    }
}
