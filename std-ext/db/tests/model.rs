//! builds: asan
//!
//! The database against a plain model: random requests, in random pipelines, get the model's answers.

#![allow(clippy::cast_possible_wrap, reason = "the model counts to a few hundred")]

#[path = "support/model_bits.rs"]
mod model_bits;
#[path = "support/random.rs"]
mod random;

use hedgerow_db::options::Eviction;
use hedgerow_db::request::{
    Answer, Change, DatabaseQuery, ExpireCondition, Expiry, Field, KeyScan, LongDouble, MultiKeyOp,
    Query, Request, RequestError, SetCondition,
};
use hedgerow_db::{Db, KeyWatch, Options, Session, TransactionOutcome};
use random::Random;
use std::collections::{BTreeSet, HashMap};
use xxhash_rust::xxh3::xxh3_64;

/// An answer that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Done,
    Nothing,
    Int(i64),
    Bytes(Vec<u8>),
    Fields(Vec<Option<i64>>),
    Lives(Option<u64>),
    Keys(BTreeSet<Vec<u8>>),
    Error(RequestError),
}

fn keep(answer: Answer<'_>) -> Kept {
    match answer {
        Answer::Done => Kept::Done,
        Answer::Nil => Kept::Nothing,
        Answer::Int(int) => Kept::Int(int),
        Answer::Bytes(bytes) => Kept::Bytes(bytes.to_vec()),
        Answer::Pieces(pieces) => Kept::Bytes(pieces.concat()),
        Answer::Fields(values) => Kept::Fields(values.iter().collect()),
        Answer::ExpiresAt(end) => Kept::Lives(end),
        Answer::Elements(keys, next) => {
            assert_eq!(next, 0, "the cursor behind all keys");
            Kept::Keys(keys.iter().flatten().map(<[u8]>::to_vec).collect())
        }
        Answer::Error(error) => Kept::Error(error),
        Answer::Stored(_) | Answer::Score(_) => unreachable!("not asked for"),
    }
}

const DATABASES: u16 = 4;

/// The databases, and the number of the selected one.
#[derive(Default)]
struct Models([Model; DATABASES as usize], u16);

impl Models {
    fn selected(&mut self) -> &mut Model {
        &mut self.0[usize::from(self.1)]
    }

    fn together(&mut self, together: MultiKeyOp<'_>) -> Kept {
        if together_databases(together).any(|number| number >= DATABASES) {
            return Kept::Error(RequestError::NoSuchDatabase);
        }
        match together {
            MultiKeyOp::Move { key, to } => {
                if !self.selected().0.contains_key(key)
                    || self.0[usize::from(to)].0.contains_key(key)
                {
                    return Kept::Int(0);
                }
                let found = self.selected().0.remove(key).unwrap();
                self.0[usize::from(to)].0.insert(key.to_vec(), found);
                Kept::Int(1)
            }
            MultiKeyOp::Copy { from, to, database, replace } => {
                let Some(found) = self.selected().0.get(from).cloned() else {
                    return Kept::Int(0);
                };
                let target = &mut self.0[usize::from(database)].0;
                if target.contains_key(to) && !replace {
                    return Kept::Int(0);
                }
                target.insert(to.to_vec(), found);
                Kept::Int(1)
            }
            MultiKeyOp::ClearAll => {
                self.0.iter_mut().for_each(|model| model.0.clear());
                Kept::Done
            }
            MultiKeyOp::SwapDatabases(one, other) => {
                self.0.swap(one.into(), other.into());
                Kept::Done
            }
            together => self.selected().together(together),
        }
    }

    fn answer(&mut self, request: &Request<'_>) -> Kept {
        match *request {
            Request::Read(key, query) | Request::MultiRead(key, query, _) => {
                self.selected().read(key, query)
            }
            Request::Change(key, change) => self.selected().change(key, change),
            Request::Combine(..) => unreachable!("not in the model"),
            Request::MultiKey(together) => self.together(together),
            Request::Select(number) if number < DATABASES => {
                self.1 = number;
                Kept::Done
            }
            Request::Select(_) => Kept::Error(RequestError::NoSuchDatabase),
            Request::Database(query) => self.selected().ask(query),
        }
    }
}

/// Returns the databases that an operation names.
fn together_databases(together: MultiKeyOp<'_>) -> impl Iterator<Item = u16> {
    let named = match together {
        MultiKeyOp::Move { to, .. } => vec![to],
        MultiKeyOp::Copy { database, .. } => vec![database],
        MultiKeyOp::SwapDatabases(one, other) => vec![one, other],
        _ => vec![],
    };
    named.into_iter()
}

/// Values and expirations by key. Expirations are long past or far away, so the current time does not matter.
#[derive(Default)]
struct Model(HashMap<Vec<u8>, (Vec<u8>, Option<u64>)>);

const FAR: u64 = 1 << 50;

impl Model {
    fn value(&self, key: &[u8]) -> Kept {
        self.0.get(key).map_or(Kept::Nothing, |(value, _)| Kept::Bytes(value.clone()))
    }

    fn read(&self, key: &[u8], query: Query<'_>) -> Kept {
        let found = self.0.get(key);
        match query {
            Query::Exists | Query::Touch => Kept::Int(found.is_some().into()),
            Query::Digest => {
                found.map_or(Kept::Nothing, |(value, _)| Kept::Bytes(digest_of(value).into_bytes()))
            }
            Query::Length => Kept::Int(found.map_or(0, |(value, _)| value.len() as i64)),
            Query::Expiry => found.map_or(Kept::Nothing, |(_, end)| Kept::Lives(*end)),
            Query::Range(from, to) => {
                let value = found.map_or(&[][..], |(value, _)| value);
                let length = value.len() as i64;
                // As in Redis, an offset before the beginning counts as the beginning.
                let at = |place: i64| if place < 0 { (place + length).max(0) } else { place };
                let inside = |(place, byte): (usize, &u8)| {
                    let place = place as i64;
                    (at(from)..=at(to)).contains(&place).then_some(*byte)
                };
                let none = from < 0 && to < 0 && from > to;
                let part = value.iter().enumerate().filter_map(inside);
                Kept::Bytes(if none { vec![] } else { part.collect() })
            }
            Query::Fields(fields) => {
                let value = found.map_or(&[][..], |(value, _)| value);
                Kept::Fields(model_bits::fields(value, fields))
            }
            Query::Bit(_) | Query::CountBits(_) | Query::FindBit { .. } => {
                let value = found.map(|(value, _)| &value[..]);
                Kept::Int(model_bits::read(value, query))
            }
            _ => self.value(key),
        }
    }

    fn ask(&self, query: DatabaseQuery<'_>) -> Kept {
        match query {
            DatabaseQuery::Count => Kept::Int(self.0.len() as i64),
            DatabaseQuery::Scan(scan) => {
                let prefix = scan.pattern.map_or(&b""[..], |pattern| &pattern[..pattern.len() - 1]);
                let found = self.0.keys().filter(|key| key.starts_with(prefix));
                Kept::Keys(found.cloned().collect())
            }
            DatabaseQuery::RandomKey => unreachable!("not in the model"),
        }
    }

    fn live(&mut self, key: &[u8], expiry: Expiry, condition: ExpireCondition) -> bool {
        let Some((_, end)) = self.0.get_mut(key) else { return false };
        let wanted = match expiry {
            Expiry::Keep => return false,
            Expiry::Never if end.is_none() => return false,
            Expiry::Never => None,
            Expiry::At(wanted) => Some(wanted),
        };
        let late = |end: Option<u64>| end.unwrap_or(u64::MAX);
        let allowed = match condition {
            ExpireCondition::Always => true,
            ExpireCondition::NoExpiry => end.is_none(),
            ExpireCondition::HasExpiry => end.is_some(),
            ExpireCondition::Later => late(wanted) > late(*end),
            ExpireCondition::Sooner => late(wanted) < late(*end),
            ExpireCondition::HasExpiryAndSooner => end.is_some() && late(wanted) < late(*end),
        };
        if allowed {
            *end = wanted;
            if wanted.is_some_and(|end| end < FAR) {
                self.0.remove(key);
            }
        }
        allowed
    }

    /// Sets a value if the condition holds. Returns whether it does.
    fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        when: SetCondition<'_>,
        expiry: Expiry,
    ) -> Result<bool, RequestError> {
        let old = self.0.get(key).cloned();
        let allowed = allows(old.as_ref().map(|(old, _)| &old[..]), when)?;
        if allowed {
            let end = match expiry {
                Expiry::Keep => old.and_then(|(_, end)| end),
                Expiry::Never => None,
                Expiry::At(end) => Some(end),
            };
            if end.is_some_and(|end| end < FAR) {
                self.0.remove(key);
            } else {
                self.0.insert(key.to_vec(), (value.to_vec(), end));
            }
        }
        Ok(allowed)
    }

    fn change(&mut self, key: &[u8], change: Change<'_>) -> Kept {
        let before = self.value(key);
        let (old, end) =
            self.0.get(key).cloned().map_or((None, None), |(value, end)| (Some(value), end));
        let text = old.as_ref().map(|old| String::from_utf8_lossy(old).into_owned());
        match change {
            Change::Set { value, condition, expiry, get } => {
                match (self.set(key, value, condition, expiry), get) {
                    (Err(error), _) => Kept::Error(error),
                    (Ok(_), true) => before,
                    (Ok(true), false) => Kept::Done,
                    (Ok(false), false) => Kept::Nothing,
                }
            }
            Change::Delete => Kept::Int(self.0.remove(key).is_some().into()),
            Change::DeleteIf(condition) => match allows(old.as_deref(), condition) {
                Ok(allowed) => Kept::Int((allowed && self.0.remove(key).is_some()).into()),
                Err(error) => Kept::Error(error),
            },
            Change::GetDelete => {
                self.0.remove(key);
                before
            }
            Change::Expire { expiry, condition, get } => {
                let done = self.live(key, expiry, condition);
                if get { before } else { Kept::Int(done.into()) }
            }
            Change::Increment(by) => {
                let number = text.map_or(Some(0), |text| {
                    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
                });
                let Some(number) = number else { return Kept::Error(RequestError::NotAnInteger) };
                let Some(sum) = number.checked_add(by) else {
                    return Kept::Error(RequestError::Overflow);
                };
                self.0.insert(key.to_vec(), (sum.to_string().into(), end));
                Kept::Int(sum)
            }
            Change::IncrementFloat(by) => {
                let number =
                    text.map_or(Some(LongDouble::ZERO), |text| LongDouble::parse(text.as_bytes()));
                let Some(number) = number else { return Kept::Error(RequestError::NotAFloat) };
                let sum = number.checked_add(by).and_then(LongDouble::text);
                let Some(sum) = sum.map(String::into_bytes) else {
                    return Kept::Error(RequestError::NotFinite);
                };
                self.0.insert(key.to_vec(), (sum.clone(), end));
                Kept::Bytes(sum)
            }
            Change::Append(tail) => {
                let value = [old.unwrap_or_default(), tail.to_vec()].concat();
                self.0.insert(key.to_vec(), (value.clone(), end));
                Kept::Int(value.len() as i64)
            }
            Change::SetRange { offset: at, bytes } => {
                let mut value = old.unwrap_or_default();
                if !bytes.is_empty() {
                    value.resize(value.len().max(at + bytes.len()), 0);
                    value[at..at + bytes.len()].copy_from_slice(bytes);
                    self.0.insert(key.to_vec(), (value.clone(), end));
                }
                Kept::Int(value.len() as i64)
            }
            Change::SetBit { offset, bit } => {
                let mut value = old.unwrap_or_default();
                let before = model_bits::set(&mut value, offset, bit);
                self.0.insert(key.to_vec(), (value, end));
                Kept::Int(before.into())
            }
            // Recorded replies of Redis check these, and `value_model` does the other types.
            Change::AddElements(_)
            | Change::Restore { .. }
            | Change::Hash(_)
            | Change::List(_)
            | Change::Members(_)
            | Change::SortedSet(_)
            | Change::Stream(_)
            | Change::RemoveNames(_)
            | Change::RemoveRange(..) => {
                unreachable!("not in the model")
            }
            Change::Fields(fields) => {
                let mut value = old.clone().unwrap_or_default();
                let answers = model_bits::change(&mut value, fields);
                if old.is_some() || !value.is_empty() {
                    self.0.insert(key.to_vec(), (value, end));
                }
                Kept::Fields(answers)
            }
        }
    }

    fn together(&mut self, together: MultiKeyOp<'_>) -> Kept {
        match together {
            MultiKeyOp::SetAll(pairs) => {
                for (key, value) in pairs {
                    self.0.insert(key.to_vec(), (value.to_vec(), None));
                }
                Kept::Done
            }
            MultiKeyOp::SetAllIf { pairs, exist, expiry } => {
                let fits = |(key, _): &(&[u8], &[u8])| {
                    exist.is_none_or(|exist| self.0.contains_key(*key) == exist)
                };
                if !pairs.iter().all(fits) {
                    return Kept::Int(0);
                }
                for (key, value) in pairs {
                    self.set(key, value, SetCondition::Always, expiry).unwrap();
                }
                Kept::Int(1)
            }
            MultiKeyOp::DeleteAll(keys) => {
                Kept::Int(keys.iter().filter(|key| self.0.remove(**key).is_some()).count() as i64)
            }
            MultiKeyOp::Rename { from, to, if_absent: absent } => {
                let Some(found) = self.0.get(from).cloned() else {
                    return Kept::Error(RequestError::NoSuchKey);
                };
                if absent && self.0.contains_key(to) {
                    return Kept::Int(0);
                }
                self.0.remove(from);
                self.0.insert(to.to_vec(), found);
                if absent { Kept::Int(1) } else { Kept::Done }
            }
            MultiKeyOp::Bitwise { op, to, keys } => {
                let value = |key: &&[u8]| self.0.get(*key).map_or(&[][..], |(value, _)| value);
                let result = model_bits::combine(op, &keys.iter().map(value).collect::<Vec<_>>());
                let length = result.len() as i64;
                self.0.remove(to);
                if length > 0 {
                    self.0.insert(to.to_vec(), (result, None));
                }
                Kept::Int(length)
            }
            MultiKeyOp::MergeElements { .. }
            | MultiKeyOp::MoveElement { .. }
            | MultiKeyOp::MoveMember { .. }
            | MultiKeyOp::PopFirst { .. }
            | MultiKeyOp::StoreCombination(..)
            | MultiKeyOp::Sort { .. } => unreachable!("not in the model"),
            MultiKeyOp::Clear => {
                self.0.clear();
                Kept::Done
            }
            _ => unreachable!("it is about several databases"),
        }
    }
}

/// Returns whether a condition allows to change this value.
fn allows(old: Option<&[u8]>, when: SetCondition<'_>) -> Result<bool, RequestError> {
    let digest = |digest: &[u8]| match old {
        Some(_) if digest.len() != 16 => Err(RequestError::NotADigest),
        old => Ok(old.is_some_and(|old| digest_of(old).as_bytes() == digest)),
    };
    Ok(match when {
        SetCondition::Always => true,
        SetCondition::IfAbsent => old.is_none(),
        SetCondition::IfPresent => old.is_some(),
        SetCondition::IfEqual(other) => old == Some(other),
        SetCondition::IfNotEqual(other) => old != Some(other),
        SetCondition::IfDigest(other) => digest(other)?,
        SetCondition::IfNotDigest(other) => !digest(other)?,
    })
}

fn digest_of(value: &[u8]) -> String {
    format!("{:016x}", xxh3_64(value))
}

/// The digests of two values of the test, and no digest.
const DIGESTS: [&[u8]; 3] = [b"2d06800538d394c2", b"ce8c4eab62e79424", b"rose"];

const LIVES: [Expiry; 4] = [Expiry::Keep, Expiry::Never, Expiry::At(5), Expiry::At(FAR)];
const WHENS: [ExpireCondition; 6] = [
    ExpireCondition::Always,
    ExpireCondition::NoExpiry,
    ExpireCondition::HasExpiry,
    ExpireCondition::Later,
    ExpireCondition::Sooner,
    ExpireCondition::HasExpiryAndSooner,
];

fn change<'a>(random: &mut Random, values: &[&'a [u8]], fields: &'a [Field]) -> Change<'a> {
    let get = random.below(2) == 0;
    let (other, digest) = (random.of(values), random.of(&DIGESTS));
    let comparison = random.of(&[
        SetCondition::IfEqual(other),
        SetCondition::IfNotEqual(other),
        SetCondition::IfDigest(digest),
        SetCondition::IfNotDigest(digest),
    ]);
    match random.below(15) {
        0..4 => {
            let condition = random.of(&[
                SetCondition::Always,
                SetCondition::Always,
                SetCondition::IfAbsent,
                SetCondition::IfPresent,
                comparison,
                comparison,
            ]);
            Change::Set { value: random.of(values), condition, expiry: random.of(&LIVES), get }
        }
        4 if get => Change::DeleteIf(comparison),
        4 => Change::Delete,
        5 => Change::GetDelete,
        6 => {
            let expiry = if random.below(3) == 0 {
                Expiry::At(FAR + random.below(9))
            } else {
                random.of(&LIVES)
            };
            Change::Expire { expiry, condition: random.of(&WHENS), get }
        }
        7 | 8 => Change::Increment(random.of(&[1, -5, i64::MAX])),
        9 => Change::IncrementFloat(random.of(&[0.5, -2.25]).into()),
        10 => Change::Append(random.of(values)),
        11 => Change::SetBit { offset: model_bits::any_offset(random), bit: get },
        12 | 13 => Change::Fields(fields),
        _ => {
            // Now and then in long values, or values of several pieces.
            let far = random.of(&[0, 0, 0, 0, 0, 16_300, 17_000, 19_990, 262_100, 300_000]);
            Change::SetRange { offset: far + random.below(80) as usize, bytes: random.of(values) }
        }
    }
}

fn any_query<'a>(random: &mut Random, fields: &'a [Vec<Field>]) -> Query<'a> {
    use Query::{Digest, Exists, Expiry, Length, Pieces, Touch, Value};
    let part = Query::Range(random.below(20) as i64 - 10, random.below(20) as i64 - 10);
    if random.below(3) == 0 {
        let fields = &fields[random.below(fields.len() as u64) as usize];
        return model_bits::any_query(random, fields);
    }
    random.of(&[Value, Pieces, Exists, Touch, Length, Expiry, Digest, part])
}

fn any_database_query(random: &mut Random) -> DatabaseQuery<'static> {
    let pattern = random.of(&[None, Some(&b"key1*"[..])]);
    let all = KeyScan { cursor: 0, count: usize::MAX, pattern, value_type: None, most: usize::MAX };
    random.of(&[DatabaseQuery::Count, DatabaseQuery::Scan(all)])
}

fn answers(session: &mut Session, requests: &[Request<'_>]) -> Vec<Kept> {
    let mut kept = vec![None; requests.len()];
    session.execute(requests, &mut |number, answer| {
        assert!(kept[number].replace(keep(answer)).is_none(), "answered twice");
    });
    kept.into_iter().map(|kept| kept.expect("every request is answered")).collect()
}

/// As [`answers`], of a transaction. No watched key has changed.
fn transaction_answers(session: &mut Session, requests: &[Request<'_>]) -> Vec<Kept> {
    let (mut kept, mut watch) = (Vec::new(), KeyWatch::default());
    assert!(session.watch_keys(&mut watch, &[b"key1", b"key2", b"nothing"]));
    let outcome = session.transaction(requests, Some(&watch), &mut |number, answer| {
        assert_eq!(number, kept.len(), "answers are in order");
        kept.push(keep(answer));
    });
    assert!(matches!(outcome, TransactionOutcome::Done(_)), "{outcome:?}");
    assert_eq!(kept.len(), requests.len(), "every request is answered");
    kept
}

/// Returns a change of several databases. Databases are swapped outside of transactions only.
fn of_databases<'a>(random: &mut Random, keys: &[&'a [u8]], swaps: bool) -> MultiKeyOp<'a> {
    let mut number = || random.below(u64::from(DATABASES) + 1) as u16;
    let (one, other) = (number(), number());
    let (key, to) = (random.of(keys), random.of(keys));
    match random.below(8) {
        0..3 => MultiKeyOp::Move { key, to: one },
        3..6 => MultiKeyOp::Copy { from: key, to, database: one, replace: random.below(2) == 0 },
        6 if random.below(4) == 0 => MultiKeyOp::ClearAll,
        _ if swaps => MultiKeyOp::SwapDatabases(one, other),
        _ => MultiKeyOp::Move { key, to: other },
    }
}

fn play(mut options: Options, seed: u64, rounds: usize) -> (Db, Models) {
    options.databases = DATABASES;
    let db = Db::open(options).unwrap();
    let (mut session, mut model, mut random) = (db.session(), Models::default(), Random(seed));
    let keys: Vec<Vec<u8>> = (0..40).map(|key| format!("key{key}").into_bytes()).collect();
    let mut values: Vec<Vec<u8>> = (0..10).map(|value| (value * 7).to_string().into()).collect();
    values.extend([vec![], b"rose".repeat(40), b"3.5".to_vec(), b"07".to_vec()]);
    values.push(b"long".repeat(5000));
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let values: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    for _ in 0..rounds {
        // Each key at most twice, so that reordering the requests between cannot differ from the model's order.
        let pairs: Vec<(&[u8], &[u8])> =
            (0..=random.below(4)).map(|_| (random.of(&keys), random.of(&values))).collect();
        let some: Vec<&[u8]> = (0..=random.below(4)).map(|_| random.of(&keys)).collect();
        let fields: Vec<Vec<Field>> = (0..3).map(|_| model_bits::any_fields(&mut random)).collect();
        let as_transaction = random.below(3) == 0;
        let requests: Vec<Request<'_>> = (0..=random.below(12))
            .map(|_| match random.below(35) {
                33 | 34 => Request::Database(any_database_query(&mut random)),
                30 => Request::Select(random.below(u64::from(DATABASES) + 1) as u16),
                31 | 32 => Request::MultiKey(of_databases(&mut random, &keys, !as_transaction)),
                0..11 => Request::Read(random.of(&keys), any_query(&mut random, &fields)),
                11..14 => {
                    let several = random.below(6) as usize;
                    let query = any_query(&mut random, &fields);
                    Request::MultiRead(random.of(&keys), query, several)
                }
                14..27 => {
                    let fields = &fields[random.below(3) as usize];
                    Request::Change(random.of(&keys), change(&mut random, &values, fields))
                }
                _ => Request::MultiKey(match random.below(15) {
                    0 => MultiKeyOp::SetAllIf {
                        pairs: &pairs,
                        exist: random.of(&[None, Some(false), Some(true)]),
                        expiry: random.of(&LIVES),
                    },
                    1..3 => MultiKeyOp::SetAll(&pairs),
                    3..5 => MultiKeyOp::SetAllIf {
                        pairs: &pairs,
                        exist: Some(false),
                        expiry: Expiry::Never,
                    },
                    5..8 => MultiKeyOp::DeleteAll(&some),
                    8..11 => {
                        let (from, to) = (random.of(&keys), random.of(&keys));
                        MultiKeyOp::Rename { from, to, if_absent: random.below(2) == 0 }
                    }
                    11 => MultiKeyOp::Clear,
                    _ => {
                        let (op, to) = (random.of(&model_bits::OPERATIONS), random.of(&keys));
                        MultiKeyOp::Bitwise { op, to, keys: &some }
                    }
                }),
            })
            .collect();
        let found = if as_transaction {
            transaction_answers(&mut session, &requests)
        } else {
            answers(&mut session, &requests)
        };
        for (request, found) in requests.iter().zip(found) {
            assert_eq!(found, model.answer(request), "{request:?}");
        }
    }
    drop(session);
    (db, model)
}

fn compare(db: &Db, models: &Models) {
    for (number, model) in (0..).zip(&models.0) {
        compare_database(&db.database(number).unwrap(), model);
    }
}

fn compare_database(db: &Db, model: &Model) {
    let mut session = db.session();
    let (mut from, mut seen) = (0, HashMap::new());
    loop {
        from = session
            .scan(from, 5, &mut |record| *seen.entry(record.key().to_vec()).or_insert(0) += 1);
        if from == 0 {
            break;
        }
    }
    let mut met: Vec<&Vec<u8>> = seen.keys().collect();
    let mut wanted: Vec<&Vec<u8>> = model.0.keys().collect();
    met.sort();
    wanted.sort();
    assert_eq!(met, wanted);
    assert_eq!(db.len(), model.0.len());
    for (key, (value, end)) in &model.0 {
        let requests = [Request::Read(key, Query::Value), Request::Read(key, Query::Expiry)];
        assert_eq!(
            answers(&mut session, &requests),
            [Kept::Bytes(value.clone()), Kept::Lives(*end)]
        );
    }
}

#[test]
fn answers_match_the_model() {
    for seed in 0..20 {
        let mut options = Options::in_memory();
        options.shards = [1, 4, 64][seed as usize % 3];
        options.compressed = if seed % 2 == 0 { 0 } else { 4 << 20 };
        let (db, model) = play(options, seed, 400);
        compare(&db, &model);
    }
}

#[test]
fn memory_is_counted_and_freed() {
    let (db, _) = play(Options::in_memory(), 99, 500);
    let empty = Db::open({
        let mut options = Options::in_memory();
        options.databases = DATABASES;
        options
    })
    .unwrap();
    for number in 0..DATABASES {
        // Its tables are made when it is first used.
        assert_eq!(empty.database(number).unwrap().get("rose").unwrap(), None);
    }
    let empty = empty.stats();
    let all = Request::MultiKey(MultiKeyOp::ClearAll);
    db.session().execute(&[all], &mut |_, answer| assert_eq!(answer, Answer::Done));
    let stats = db.stats();
    assert_eq!((stats.keys, stats.expires), (0, 0));
    // The writers' buffers keep their capacity; records that were not freed would be ten times as much.
    let notes = 64 * u64::from(DATABASES) * stats.shards as u64;
    assert!((empty.memory..=empty.memory + notes).contains(&stats.memory), "{stats:?}");
}

#[test]
fn a_scan_visits_all_keys_while_the_map_grows() {
    let mut options = Options::in_memory();
    options.shards = 4;
    let db = Db::open(options).unwrap();
    let mut session = db.session();
    for key in 0..1000 {
        db.set(format!("stays{key}"), "").unwrap();
    }
    let (mut from, mut seen, mut more) = (0, std::collections::HashSet::new(), 0);
    loop {
        from = session.scan(from, 10, &mut |record| {
            seen.insert(record.key().to_vec());
        });
        for _ in 0..50 {
            more += 1;
            db.set(format!("comes{more}"), "").unwrap();
        }
        if from == 0 {
            break;
        }
    }
    assert!(more > 1000);
    assert!((0..1000).all(|key| seen.contains(format!("stays{key}").as_bytes())));
    assert!(session.random_key().is_some());
}

/// Also a read that is queued behind a change of its shard.
#[test]
fn every_read_is_counted() {
    let mut options = Options::in_memory();
    options.shards = 1;
    let db = Db::open(options).unwrap();
    let value = |key| Request::Read(key, Query::Value);
    let set = Change::Set {
        value: b"red",
        condition: SetCondition::Always,
        expiry: Expiry::Never,
        get: false,
    };
    let mut session = db.session();
    session
        .execute(&[value(b"rose"), Request::Change(b"rose", set), value(b"rose")], &mut |_, _| {});
    assert_eq!((db.stats().hits, db.stats().misses), (1, 1), "hits and misses");
    let requests = [Request::Change(b"rose", Change::Delete), value(b"rose"), value(b"daisy")];
    session.execute(&requests, &mut |_, _| {});
    assert_eq!((db.stats().hits, db.stats().misses), (1, 3), "hits and misses");
}

#[test]
fn an_offset_behind_the_longest_value_is_refused() {
    let far = |offset, bytes| Request::Change(b"rose", Change::SetRange { offset, bytes });
    // With full memory, the bytes that a batch adds are estimated first.
    for full in [false, true] {
        let mut options = Options::in_memory();
        (options.max_memory, options.eviction) = (full.into(), Eviction::Lru);
        let db = Db::open(options).unwrap();
        let mut session = db.session();
        let refused = if full { RequestError::OutOfMemory } else { RequestError::ValueTooLong };
        let refused = Kept::Error(refused);
        let empty = if full { refused.clone() } else { Kept::Int(0) };
        for offset in [usize::MAX, usize::MAX - 1, 1 << 40] {
            // Three, because their sum must not overflow either.
            let requests = [far(offset, b"x"), far(offset, b"x"), far(offset, b"")];
            let wanted = [refused.clone(), refused.clone(), empty.clone()];
            assert_eq!(answers(&mut session, &requests), wanted, "{offset}");
        }
    }
}
