//! Combinations of sets and sorted sets beside a model.

use crate::request::{
    Aggregate, Answer, Change, Combination, CombinationQuery, MultiKeyOp, Query, Request,
    RequestError, Score, Scoring, SetChange, SetOperation, SetQuery, SortedSetChange,
};
use crate::session::TransactionOutcome;
use crate::{Db, Options, Session};
use std::collections::{BTreeMap, BTreeSet};

const OPERATIONS: [SetOperation; 3] =
    [SetOperation::Union, SetOperation::Intersection, SetOperation::Difference];
const ALL: CombinationQuery = CombinationQuery::Members { with_scores: false, most: usize::MAX };

/// What an answer has.
#[derive(Debug, PartialEq)]
enum Found {
    Number(usize),
    Members(Vec<Vec<u8>>),
    Error(RequestError),
    Done,
}

fn found(answer: Answer<'_>) -> Found {
    match answer {
        Answer::Int(number) => Found::Number(number.try_into().unwrap()),
        Answer::Elements(list, _) => {
            Found::Members(list.iter().flatten().map(<[u8]>::to_vec).collect())
        }
        Answer::Error(error) => Found::Error(error),
        Answer::Done => Found::Done,
        other => panic!("{other:?}"),
    }
}

fn execute(session: &mut Session, request: Request<'_>) -> Found {
    let mut all = None;
    session.execute(&[request], &mut |_, answer| all = Some(found(answer)));
    all.unwrap()
}

/// Asks without locks, and in a transaction.
fn ask(session: &mut Session, combination: Combination<'_>, query: CombinationQuery) -> Found {
    let request = Request::Combine(combination, query);
    let (one, mut other) = (execute(session, request), None);
    let outcome =
        session.transaction(&[request], None, &mut |_, answer| other = Some(found(answer)));
    assert!(matches!(outcome, TransactionOutcome::Done(_)));
    let other = other.unwrap();
    // A set has an order of its own in each of them.
    if combination.scoring.is_none()
        && let (Found::Members(one), Found::Members(other)) = (&one, &other)
    {
        let sorted = |members: &[Vec<u8>]| members.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!((sorted(one), one.len()), (sorted(other), other.len()));
    } else {
        assert_eq!(one, other, "{request:?}");
    }
    one
}

fn members(session: &mut Session, combination: Combination<'_>) -> BTreeSet<Vec<u8>> {
    let Found::Members(members) = ask(session, combination, ALL) else { panic!("no members") };
    let found: BTreeSet<_> = members.iter().cloned().collect();
    assert_eq!(found.len(), members.len(), "a member comes twice");
    found
}

type Sets = BTreeMap<&'static [u8], BTreeSet<Vec<u8>>>;

/// Stores sets that are packed and in trees, and one of integers.
fn with_sets(session: &mut Session) -> Sets {
    let numbers = |range: std::ops::Range<u32>, step: usize, name: &str| {
        range.step_by(step).map(|number| format!("{name}{number}").into_bytes()).collect()
    };
    let sets: Sets = [
        (&b"long"[..], numbers(0..3000, 1, "m")),
        (b"other", numbers(0..4000, 3, "m")),
        (b"short", numbers(2990..3010, 1, "m")),
        (b"integers", numbers(0..40, 1, "")),
        (b"some", numbers(30..60, 2, "")),
        (b"many", numbers(0..1000, 7, "")),
        (b"missing", BTreeSet::new()),
    ]
    .into();
    for (key, set) in sets.iter().filter(|(_, set)| !set.is_empty()) {
        let all: Vec<&[u8]> = set.iter().map(Vec::as_slice).collect();
        let add = Change::Members(SetChange::Add(&all));
        assert_eq!(execute(session, Request::Change(key, add)), Found::Number(all.len()));
    }
    sets
}

fn combined(sets: &Sets, operation: SetOperation, keys: &[&[u8]]) -> BTreeSet<Vec<u8>> {
    let mut rest = keys.iter().map(|key| sets[key].clone());
    let first = rest.next().unwrap();
    rest.fold(first, |one, other| match operation {
        SetOperation::Union => &one | &other,
        SetOperation::Intersection => &one & &other,
        SetOperation::Difference => &one - &other,
    })
}

const GROUPS: [&[&[u8]]; 12] = [
    &[b"long"],
    &[b"missing"],
    &[b"long", b"other"],
    &[b"short", b"long"],
    &[b"long", b"short", b"other"],
    &[b"integers", b"some"],
    &[b"some", b"integers", b"many"],
    &[b"long", b"missing"],
    &[b"missing", b"long"],
    &[b"long", b"other", b"long"],
    &[b"some", b"some"],
    &[b"long", b"integers", b"many", b"short", b"other", b"some", b"many"],
];

#[test]
fn sets_are_combined_as_in_a_model() {
    let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
    let mut session = db.session();
    let sets = with_sets(&mut session);
    for operation in OPERATIONS {
        for keys in GROUPS {
            let combination = Combination { operation, keys, scoring: None };
            let wanted = combined(&sets, operation, keys);
            assert_eq!(members(&mut session, combination), wanted, "{combination:?}");
            let count = wanted.len();
            for (limit, number) in [(0, count), (3, count.min(3)), (5000, count)] {
                let query = CombinationQuery::Count { limit };
                let counted = ask(&mut session, combination, query);
                assert_eq!(counted, Found::Number(number), "{combination:?}");
            }
        }
    }
    // Integers alone are in their order.
    let keys: &[&[u8]] = &[b"some", b"integers"];
    let union = Combination { operation: SetOperation::Union, keys, scoring: None };
    let Found::Members(found) = ask(&mut session, union, ALL) else { panic!("no members") };
    let wanted: Vec<Vec<u8>> =
        (0..60).filter(|n| n % 2 == 0 || *n < 40).map(|n| n.to_string().into_bytes()).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_stored_combination_replaces_its_key_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
    let (db, mut wanted) = (open(), BTreeMap::new());
    let mut session = db.session();
    let sets = with_sets(&mut session);
    let mut number = 0;
    for operation in OPERATIONS {
        for keys in GROUPS {
            let to = format!("to{number}").into_bytes();
            number += 1;
            db.set(&to, "text").unwrap();
            let combination = Combination { operation, keys, scoring: None };
            let store = MultiKeyOp::StoreCombination(&to, combination);
            let set = combined(&sets, operation, keys);
            let stored = execute(&mut session, Request::MultiKey(store));
            assert_eq!(stored, Found::Number(set.len()), "{combination:?}");
            assert_eq!(db.contains_key(&to).unwrap(), !set.is_empty());
            wanted.insert(to, set);
        }
    }
    // The key is one of its sources.
    let keys: &[&[u8]] = &[b"other", b"long"];
    for (operation, to) in
        [(SetOperation::Union, &b"long"[..]), (SetOperation::Difference, b"other")]
    {
        let combination = Combination { operation, keys, scoring: None };
        let store = MultiKeyOp::StoreCombination(to, combination);
        execute(&mut session, Request::MultiKey(store));
    }
    wanted.insert(b"long".to_vec(), &sets[&b"long"[..]] | &sets[&b"other"[..]]);
    wanted.insert(b"other".to_vec(), BTreeSet::new());
    drop(session);
    let check = |db: &Db| {
        for (key, set) in &wanted {
            let found: BTreeSet<_> = db.set_members(key).unwrap().into_iter().collect();
            assert_eq!(found, *set, "{}", key.escape_ascii());
        }
    };
    check(&db);
    db.close().unwrap();
    drop(db);
    check(&open());
}

fn score(number: f64) -> Score {
    Score::new(number).unwrap()
}

/// Returns the members and their scores, in order.
fn scored(session: &mut Session, combination: Combination<'_>) -> Vec<(Vec<u8>, f64)> {
    let query = CombinationQuery::Members { with_scores: true, most: usize::MAX };
    let Found::Members(list) = ask(session, combination, query) else { panic!("no members") };
    let (pairs, []) = list.as_chunks() else { panic!("a member without a score") };
    pairs.iter().map(|[a, b]| (a.clone(), Score::parse(b).unwrap().get())).collect()
}

fn set_scores(session: &mut Session, key: &[u8], members: &[(&[u8], f64)]) {
    let members: Vec<(Score, &[u8])> =
        members.iter().map(|(member, number)| (score(*number), *member)).collect();
    let set = Change::SortedSet(SortedSetChange::Set(&members));
    assert_eq!(execute(session, Request::Change(key, set)), Found::Number(members.len()));
}

#[test]
fn scores_are_weighed_and_aggregated() {
    let inf = f64::INFINITY;
    let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
    let mut session = db.session();
    set_scores(&mut session, b"one", &[(b"a", 1.0), (b"b", 2.0), (b"up", inf), (b"z", -1.0)]);
    set_scores(&mut session, b"two", &[(b"b", 3.5), (b"c", -2.0), (b"up", -inf)]);
    let add = Change::Members(SetChange::Add(&[b"b", b"z"]));
    execute(&mut session, Request::Change(b"set", add));
    let (keys, both): (&[&[u8]], &[&[u8]]) = (&[b"one", b"two", b"set"], &[b"one", b"two"]);
    let with = |operation, keys, weights, aggregate| Combination {
        operation,
        keys,
        scoring: Some(Scoring { weights, aggregate }),
    };
    let (union, inter) = (SetOperation::Union, SetOperation::Intersection);
    let weights = [score(2.0), score(-1.0), score(0.5)];
    let none: &[Score] = &[];
    for (combination, wanted) in [
        (
            with(union, keys, none, Aggregate::Sum),
            &[("c", -2.0), ("up", 0.0), ("z", 0.0), ("a", 1.0), ("b", 6.5)][..],
        ),
        (
            with(union, keys, &weights, Aggregate::Sum),
            &[("z", -1.5), ("b", 1.0), ("a", 2.0), ("c", 2.0), ("up", inf)],
        ),
        (
            with(union, both, none, Aggregate::Min),
            &[("up", -inf), ("c", -2.0), ("z", -1.0), ("a", 1.0), ("b", 2.0)],
        ),
        (with(inter, keys, none, Aggregate::Max), &[("b", 3.5)]),
        (with(inter, both, &[score(0.0), score(1.0)], Aggregate::Sum), &[("up", 0.0), ("b", 3.5)]),
        // Unlike an intersection, a union counts the product of 0 and an infinity as 0 before it adds.
        (
            with(union, both, &[score(0.0), score(1.0)], Aggregate::Sum),
            &[("up", -inf), ("c", -2.0), ("a", 0.0), ("z", 0.0), ("b", 3.5)],
        ),
        (with(inter, both, &[score(0.0), score(0.0)], Aggregate::Max), &[("b", 0.0), ("up", 0.0)]),
        (with(SetOperation::Difference, keys, none, Aggregate::Sum), &[("a", 1.0)]),
        (with(inter, &[b"one", b"missing"], none, Aggregate::Sum), &[]),
    ] {
        let found = scored(&mut session, combination);
        let found: Vec<_> = found.iter().map(|(a, b)| (str::from_utf8(a).unwrap(), *b)).collect();
        assert_eq!(found, wanted, "{combination:?}");
        let store = MultiKeyOp::StoreCombination(b"to", combination);
        let stored = execute(&mut session, Request::MultiKey(store));
        assert_eq!(stored, Found::Number(wanted.len()));
        let again = with(union, &[b"to"], none, Aggregate::Sum);
        assert_eq!(scored(&mut session, again).len(), wanted.len());
    }
}

#[test]
fn many_names_of_one_sorted_set_take_no_longer_than_a_few() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut session = db.session();
    let names: Vec<String> = (0..3000).map(|number| format!("m{number}")).collect();
    let numbers = (0..3000_u32).map(f64::from);
    let members: Vec<(&[u8], f64)> =
        names.iter().map(|name| name.as_bytes()).zip(numbers).collect();
    set_scores(&mut session, b"one", &members);
    let keys = vec![&b"one"[..]; 100_000];
    for (aggregate, factor) in [(Aggregate::Sum, 100_000.0), (Aggregate::Max, 1.0)] {
        for operation in [SetOperation::Union, SetOperation::Intersection] {
            let scoring = Some(Scoring { weights: &[], aggregate });
            let found = scored(&mut session, Combination { operation, keys: &keys, scoring });
            assert_eq!(found.len(), 3000);
            assert_eq!(found[2999], (b"m2999".to_vec(), 2999.0 * factor));
        }
    }
}

#[test]
fn values_of_other_types_are_refused() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut session = db.session();
    db.set("text", "value").unwrap();
    set_scores(&mut session, b"sorted", &[(b"a", 1.0)]);
    with_sets(&mut session);
    let wrong = Found::Error(RequestError::WrongType);
    let scoring = Some(Scoring { weights: &[], aggregate: Aggregate::Sum });
    for operation in OPERATIONS {
        let keys: &[&[u8]] = &[b"long", b"missing", b"text"];
        for scoring in [None, scoring] {
            let combination = Combination { operation, keys, scoring };
            for query in [ALL, CombinationQuery::Count { limit: 0 }, CombinationQuery::Types] {
                assert_eq!(ask(&mut session, combination, query), wrong);
            }
            let store = MultiKeyOp::StoreCombination(b"long", combination);
            assert_eq!(execute(&mut session, Request::MultiKey(store)), wrong);
        }
        let combination =
            |scoring| Combination { operation, keys: &[b"short", b"sorted"], scoring };
        assert_eq!(ask(&mut session, combination(None), ALL), wrong);
        let types = ask(&mut session, combination(scoring), CombinationQuery::Types);
        assert_eq!(types, Found::Done);
    }
    let length = Request::Read(b"long", Query::Members(SetQuery::Length));
    assert_eq!(execute(&mut session, length), Found::Number(3000));
}

/// A reply that does not fit is not computed to its end.
#[test]
fn answers_and_results_are_bounded() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut session = db.session();
    with_sets(&mut session);
    let scoring = Some(Scoring { weights: &[], aggregate: Aggregate::Sum });
    for operation in OPERATIONS {
        for scoring in [None, scoring] {
            let combination = Combination { operation, keys: &[b"long"], scoring };
            let query = CombinationQuery::Members { with_scores: false, most: 500 };
            let request = Request::Combine(combination, query);
            session.execute(&[request], &mut |_, answer| {
                let Answer::Elements(list, _) = answer else { panic!("{answer:?}") };
                assert!(list.reply_bytes() > 500 && list.len() < 100, "{}", list.len());
            });
        }
    }
}
