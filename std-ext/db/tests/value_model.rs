//! builds: asan
//!
//! Values of all types, against plain models: random requests get the models' answers, and the database has their
//! content after each restart, from snapshots and the log.

#[path = "support/model_values.rs"]
mod model_values;
#[path = "support/random.rs"]
mod random;

use hedgerow_db::log::Fsync;
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::request::{
    Answer, Change, End, ExpireCondition, Expiry, HashChange, HashParts, HashQuery, ListChange,
    ListQuery, MultiKeyOp, Packed, Packer, Query, Request, RequestError, Score, SetChange,
    SetCondition, SetQuery, SortedSetChange, SortedSetQuery, StoredValue, ValueType,
};
use hedgerow_db::{Db, Options, Session, TransactionOutcome};
use model_values::{Bytes, Fields, Kept, Value, WRONG_TYPE, int, keep};
use random::Random;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Values and expirations by key. Expirations are long past or far away.
#[derive(Clone, Default)]
struct Model(HashMap<Bytes, (Value, Option<u64>)>);

const FAR: u64 = 1 << 50;
const ALL: Query<'_> = Query::Hash(HashQuery::All { parts: HashParts::Both, most: usize::MAX });

/// The types of values, strings first.
const TYPES: [ValueType; 5] =
    [ValueType::String, ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet];

impl Model {
    fn put(&mut self, key: &[u8], value: Value, end: Option<u64>) {
        if value.is_gone() || end.is_some_and(|end| end < FAR) {
            self.0.remove(key);
        } else {
            self.0.insert(key.to_vec(), (value, end));
        }
    }

    fn answer(&mut self, request: &Request<'_>) -> Kept {
        match *request {
            Request::Read(key, query) => self.read(key, query),
            Request::Change(key, change) => self.change(key, change),
            Request::MultiKey(together) => self.together(together),
            _ => unreachable!("not in the model"),
        }
    }

    fn read(&self, key: &[u8], query: Query<'_>) -> Kept {
        let found = self.0.get(key);
        let value = found.map(|(value, _)| value);
        // A missing key is an empty value of any type but string.
        let or_empty = |value_type| value.cloned().unwrap_or_else(|| Value::empty(value_type));
        match query {
            Query::Exists => Kept::Int(found.is_some().into()),
            Query::Expiry => found.map_or(Kept::Nothing, |(_, end)| Kept::Ends(*end)),
            Query::Type => value.map_or(Kept::Nothing, |value| {
                Kept::Bytes(value.value_type().name().as_bytes().to_vec())
            }),
            Query::Value => match value {
                None => Kept::Nothing,
                Some(Value::String(value)) => Kept::Bytes(value.clone()),
                Some(_) => WRONG_TYPE,
            },
            Query::Stored => value.map_or(Kept::Nothing, |value| Kept::Value(value.clone())),
            Query::Hash(query) => match or_empty(ValueType::Hash) {
                Value::Hash(fields) => model_values::read_hash(&fields, query),
                _ => WRONG_TYPE,
            },
            Query::List(query) => match or_empty(ValueType::List) {
                Value::List(elements) => model_values::read_list(&elements, query),
                _ => WRONG_TYPE,
            },
            Query::Members(query) => match or_empty(ValueType::Set) {
                Value::Set(members) => model_values::read_set(&members, query),
                _ => WRONG_TYPE,
            },
            Query::SortedSet(query) => match or_empty(ValueType::SortedSet) {
                Value::SortedSet(members) => model_values::read_sorted_set(&members, query),
                _ => WRONG_TYPE,
            },
            _ => unreachable!("not in the model"),
        }
    }

    fn change(&mut self, key: &[u8], change: Change<'_>) -> Kept {
        let (old, end) =
            self.0.get(key).cloned().map_or((None, None), |(value, end)| (Some(value), end));
        let end_of = |expiry| match expiry {
            Expiry::Keep => end,
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
        };
        match (change, old) {
            (Change::Set { value, expiry, .. }, _) => {
                self.put(key, Value::String(value.to_vec()), end_of(expiry));
                Kept::Done
            }
            (Change::Delete, _) => Kept::Int(self.0.remove(key).is_some().into()),
            (Change::Expire { expiry, .. }, Some(value)) => {
                let is_same = end.is_none() && expiry == Expiry::Never;
                self.put(key, value, end_of(expiry));
                Kept::Int((!is_same).into())
            }
            (Change::Expire { .. }, None) => Kept::Int(0),
            (Change::Append(tail), Some(Value::String(old))) => {
                let value = [&old, tail].concat();
                let length = value.len();
                self.put(key, Value::String(value), end);
                int(length)
            }
            (Change::Append(tail), None) => {
                self.put(key, Value::String(tail.to_vec()), None);
                int(tail.len())
            }
            (Change::Restore { value: StoredValue::Packed(part), expiry, replace, .. }, old) => {
                self.restore(key, part, (old, end), (end_of(expiry), replace))
            }
            (Change::Append(_), Some(_)) => WRONG_TYPE,
            (change, old) => {
                let value_type = match change {
                    Change::Hash(_) => ValueType::Hash,
                    Change::List(_) => ValueType::List,
                    Change::Members(_) => ValueType::Set,
                    Change::SortedSet(_) => ValueType::SortedSet,
                    _ => unreachable!("not in the model"),
                };
                let mut value = old.unwrap_or_else(|| Value::empty(value_type));
                let answer = match (&mut value, change) {
                    (Value::Hash(fields), Change::Hash(change)) => {
                        model_values::change_hash(fields, change)
                    }
                    (Value::List(elements), Change::List(change)) => {
                        model_values::change_list(elements, change)
                    }
                    (Value::Set(members), Change::Members(change)) => {
                        model_values::change_set(members, change)
                    }
                    (Value::SortedSet(members), Change::SortedSet(change)) => {
                        model_values::change_sorted_set(members, change)
                    }
                    _ => return WRONG_TYPE,
                };
                self.put(key, value, end);
                answer
            }
        }
    }

    /// Stores a packed value, or adds a part to one.
    fn restore(
        &mut self,
        key: &[u8],
        part: Packed<'_>,
        (old, end): (Option<Value>, Option<u64>),
        (new_end, replace): (Option<u64>, bool),
    ) -> Kept {
        match (part.continues(), old) {
            (true, Some(mut value)) => {
                if value.value_type() != part.value_type() {
                    return WRONG_TYPE;
                }
                value.add(part);
                self.put(key, value, end);
            }
            (false, Some(_)) if !replace => return Kept::Nothing,
            (true, None) => self.put(key, Value::of(part), None),
            (false, _) => self.put(key, Value::of(part), new_end),
        }
        Kept::Done
    }

    fn together(&mut self, together: MultiKeyOp<'_>) -> Kept {
        match together {
            MultiKeyOp::DeleteAll(keys) => {
                int(keys.iter().filter(|key| self.0.remove(**key).is_some()).count())
            }
            MultiKeyOp::Rename { from, to, .. } => {
                let Some(found) = self.0.remove(from) else {
                    return Kept::Error(RequestError::NoSuchKey);
                };
                self.0.insert(to.to_vec(), found);
                Kept::Done
            }
            MultiKeyOp::Copy { from, to, replace, .. } => {
                let Some(found) = self.0.get(from).cloned() else { return Kept::Int(0) };
                if self.0.contains_key(to) && !replace {
                    return Kept::Int(0);
                }
                self.0.insert(to.to_vec(), found);
                Kept::Int(1)
            }
            MultiKeyOp::MoveElement { from, take, to, put } => {
                self.move_element((from, take), (to, put))
            }
            MultiKeyOp::Clear => {
                self.0.clear();
                Kept::Done
            }
            _ => unreachable!("not in the model"),
        }
    }

    fn move_element(&mut self, (from, take): (&[u8], End), (to, put): (&[u8], End)) -> Kept {
        let Some((source, end)) = self.0.get(from).cloned() else { return Kept::Nothing };
        let is_list = |found: Option<&(Value, Option<u64>)>| {
            found.is_none_or(|(value, _)| matches!(value, Value::List(_)))
        };
        let Value::List(mut elements) = source else { return WRONG_TYPE };
        if !is_list(self.0.get(to)) {
            return WRONG_TYPE;
        }
        let element = model_values::take(&mut elements, take).expect("no list is empty");
        // Both may be the same list, which keeps its expiration even if it had one element.
        if from == to {
            model_values::put(&mut elements, put, element.clone());
            self.put(from, Value::List(elements), end);
            return Kept::Bytes(element);
        }
        self.put(from, Value::List(elements), end);
        let (mut target, end) = match self.0.get(to).cloned() {
            Some((Value::List(elements), end)) => (elements, end),
            _ => (Vec::new(), None),
        };
        model_values::put(&mut target, put, element.clone());
        self.put(to, Value::List(target), end);
        Kept::Bytes(element)
    }
}

/// What random requests consist of.
struct Parts {
    keys: Vec<Bytes>,
    fields: Vec<Bytes>,
    values: Vec<Bytes>,
}

impl Parts {
    fn new() -> Self {
        let text = |name: &str, n: usize| format!("{name}{n}").into_bytes();
        let mut fields: Vec<_> = (0..600).map(|n| text("a field of some length ", n)).collect();
        fields.extend((0..20).map(|n| text("", n)));
        fields.extend([vec![], vec![0, 0xFF], vec![b'f'; 300], vec![b'g'; 5000]]);
        let mut values: Vec<_> = (0..10).map(|n| text("", n)).collect();
        values.extend([vec![], i64::MAX.to_string().into(), vec![b'v'; 60], vec![b'w'; 250]]);
        values.push(vec![b'x'; 20_000]);
        Self { keys: (0..20).map(|n| text("key", n)).collect(), fields, values }
    }

    fn key(&self, random: &mut Random) -> &[u8] {
        any(random, &self.keys)
    }

    /// Returns a key: mostly one that often has a value of this type.
    fn key_of(&self, random: &mut Random, value_type: ValueType) -> &[u8] {
        let number = TYPES.iter().position(|one| *one == value_type).unwrap();
        let own = &self.keys[4 * number..][..4];
        let is_any = random.below(10) == 0;
        any(random, if is_any { &self.keys } else { own })
    }

    /// Returns a field, a member or an element: often one of few.
    fn field(&self, random: &mut Random) -> &[u8] {
        let from = if random.below(3) == 0 { 0 } else { 600 };
        any(random, &self.fields[from..])
    }

    fn fields(&self, random: &mut Random, counts: &[usize]) -> Vec<&[u8]> {
        (0..random.of(counts)).map(|_| self.field(random)).collect()
    }

    fn pairs(&self, random: &mut Random, count: usize) -> Vec<(&[u8], &[u8])> {
        (0..count).map(|_| (self.field(random), any(random, &self.values))).collect()
    }

    fn scored(&self, random: &mut Random, count: usize) -> Vec<(Score, &[u8])> {
        (0..count).map(|_| (any_score(random), self.field(random))).collect()
    }
}

fn any_score(random: &mut Random) -> Score {
    let number = random.of(&[0.0, -1.0, 1.0, 1.5, -3.25, f64::INFINITY, f64::NEG_INFINITY, 1e300]);
    let number = if random.below(2) == 0 { number } else { f64::from(random.below(100) as u32) };
    Score::new(number).unwrap()
}

/// Returns an index of a short list, or of a long one.
fn any_index(random: &mut Random) -> i64 {
    let most = random.of(&[3, 30, 500]);
    let index = random.below(most).cast_signed();
    if random.below(2) == 0 { index } else { -1 - index }
}

fn any_end(random: &mut Random) -> End {
    random.of(&[End::Front, End::Back])
}

fn any<'a>(random: &mut Random, all: &'a [Bytes]) -> &'a [u8] {
    &all[random.below(all.len() as u64) as usize]
}

fn query<'a>(
    random: &mut Random,
    parts: &'a Parts,
    some: &'a [&'a [u8]],
    value_type: ValueType,
) -> Query<'a> {
    let (field, most) = (parts.field(random), usize::MAX);
    let (from, to) = (any_index(random), any_index(random));
    if random.below(4) == 0 {
        let general = [Query::Exists, Query::Type, Query::Value, Query::Expiry, Query::Stored];
        return random.of(&general);
    }
    match value_type {
        ValueType::String | ValueType::Stream => Query::Value,
        ValueType::Hash => random.of(&[
            Query::Hash(HashQuery::Get(field)),
            Query::Hash(HashQuery::Exists(field)),
            Query::Hash(HashQuery::FieldLength(field)),
            Query::Hash(HashQuery::Length),
            Query::Hash(HashQuery::GetMany { fields: some, most }),
            ALL,
        ]),
        ValueType::List => Query::List(random.of(&[
            ListQuery::Length,
            ListQuery::Nth(from),
            ListQuery::Range { from, to, most },
            ListQuery::Range { from: 0, to: -1, most },
            ListQuery::Positions { element: field, rank: 1, count: 0, compared: 0, most },
        ])),
        ValueType::Set => Query::Members(random.of(&[SetQuery::Length, SetQuery::Contains(field)])),
        ValueType::SortedSet => {
            Query::SortedSet(random.of(&[SortedSetQuery::Length, SortedSetQuery::Score(field)]))
        }
    }
}

fn change<'a>(
    random: &mut Random,
    parts: &'a Parts,
    round: &'a Round<'_>,
    value_type: ValueType,
) -> Change<'a> {
    if value_type == ValueType::String || random.below(4) == 0 {
        return general_change(random, parts, round);
    }
    let (field, value) = (parts.field(random), any(random, &parts.values));
    match value_type {
        ValueType::String | ValueType::Hash | ValueType::Stream => {
            Change::Hash(match random.below(14) {
                0 | 1 => HashChange::SetIfAbsent(field, value),
                2..5 => HashChange::Increment(field, random.of(&[1, -7, i64::MAX])),
                5..9 => HashChange::Delete(&round.some),
                _ => HashChange::Set(&round.pairs),
            })
        }
        ValueType::List => Change::List(list_change(random, round, (field, value))),
        ValueType::Set => Change::Members(match random.below(3) {
            0 => SetChange::Remove(&round.some),
            _ => SetChange::Add(&round.many),
        }),
        ValueType::SortedSet => Change::SortedSet(match random.below(3) {
            0 => SortedSetChange::Remove(&round.some),
            _ => SortedSetChange::Set(&round.scored),
        }),
    }
}

fn list_change<'a>(
    random: &mut Random,
    round: &'a Round<'_>,
    (element, other): (&'a [u8], &'a [u8]),
) -> ListChange<'a> {
    let (end, most) = (any_end(random), usize::MAX);
    let (from, to) = (any_index(random), any_index(random));
    match random.below(16) {
        0..6 => ListChange::Push { end, elements: &round.many, if_present: random.below(5) == 0 },
        6 => ListChange::Pop { end, count: None, most },
        7 | 8 => ListChange::Pop { end, count: Some(random.of(&[0, 1, 2, 30, 200])), most },
        9 | 10 => ListChange::Set(from, other),
        11 | 12 => {
            ListChange::Insert { before: random.below(2) == 0, pivot: element, element: other }
        }
        13 | 14 => ListChange::Remove { count: random.of(&[0, 1, -1, 2, -2, 50]), element },
        _ => ListChange::Trim(from, to),
    }
}

fn general_change<'a>(random: &mut Random, parts: &'a Parts, round: &'a Round<'_>) -> Change<'a> {
    let expiry = random.of(&[Expiry::Never, Expiry::Never, Expiry::Keep, Expiry::At(FAR)]);
    let expiry = if random.below(30) == 0 { Expiry::At(5) } else { expiry };
    let value = any(random, &parts.values);
    match random.below(8) {
        0 => Change::Set { value, condition: SetCondition::Always, expiry, get: false },
        1 => Change::Delete,
        2 | 3 => {
            let expiry = random.of(&[Expiry::Never, Expiry::At(FAR + 1)]);
            Change::Expire { expiry, condition: ExpireCondition::Always, get: false }
        }
        4 => Change::Append(value),
        _ => {
            let packer = if random.below(2) == 0 { &round.whole } else { &round.part };
            let value = StoredValue::Packed(packer.packed());
            Change::Restore { value, expiry, replace: random.below(2) == 0, usage: None }
        }
    }
}

/// What the requests of a round borrow.
struct Round<'p> {
    pairs: Vec<(&'p [u8], &'p [u8])>,
    scored: Vec<(Score, &'p [u8])>,
    many: Vec<&'p [u8]>,
    some: Vec<&'p [u8]>,
    keys: Vec<&'p [u8]>,
    whole: Packer,
    part: Packer,
}

impl<'p> Round<'p> {
    fn new(random: &mut Random, parts: &'p Parts) -> Self {
        // Now and then enough for a value that is a tree.
        let counts = [1, 1, 2, 3, 5, 40, 200];
        let count = random.of(&counts);
        let (pairs, scored) = (parts.pairs(random, count), parts.scored(random, count));
        let many = parts.fields(random, &counts);
        let whole = packed(random, &pairs, &scored, &many);
        let part = whole.clone().continuing();
        let some = parts.fields(random, &[1, 2, 30]);
        let keys = (0..2).map(|_| parts.key(random)).collect();
        Self { pairs, scored, many, some, keys, whole, part }
    }
}

/// Packs a value of any type but string.
fn packed(
    random: &mut Random,
    pairs: &[(&[u8], &[u8])],
    scored: &[(Score, &[u8])],
    elements: &[&[u8]],
) -> Packer {
    let value_type = random.of(&TYPES[1..]);
    let mut packer = Packer::new(value_type);
    match value_type {
        ValueType::String | ValueType::Hash | ValueType::Stream => {
            for (field, value) in pairs.iter().copied().collect::<BTreeMap<_, _>>() {
                packer.push(field, value);
            }
        }
        ValueType::List => elements.iter().for_each(|element| packer.push(element, b"")),
        ValueType::Set => {
            let members = elements.iter().copied().collect::<BTreeSet<_>>();
            for member in members {
                packer.push(member, b"");
            }
        }
        ValueType::SortedSet => {
            let members: BTreeMap<_, _> =
                scored.iter().map(|(score, member)| (*member, *score)).collect();
            let mut members: Vec<_> =
                members.into_iter().map(|(member, score)| (score, member)).collect();
            members.sort();
            for (score, member) in members {
                packer.push(member, &score.bytes());
            }
        }
    }
    packer
}

fn requests<'a>(random: &mut Random, parts: &'a Parts, round: &'a Round<'_>) -> Vec<Request<'a>> {
    let one = |random: &mut Random| match random.below(40) {
        0..14 => {
            let of = random.of(&TYPES);
            Request::Read(parts.key_of(random, of), query(random, parts, &round.some, of))
        }
        14..34 => {
            let of = random.of(&TYPES);
            Request::Change(parts.key_of(random, of), change(random, parts, round, of))
        }
        34 | 35 => {
            let mut key = || parts.key_of(random, ValueType::List);
            let (from, to) = (key(), key());
            let (take, put) = (any_end(random), any_end(random));
            Request::MultiKey(MultiKeyOp::MoveElement { from, take, to, put })
        }
        36 => Request::MultiKey(MultiKeyOp::DeleteAll(&round.keys)),
        37 if random.below(20) == 0 => Request::MultiKey(MultiKeyOp::Clear),
        37 | 38 => {
            let (from, to) = (parts.key(random), parts.key(random));
            Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: false })
        }
        _ => {
            let (from, to, replace) = (parts.key(random), parts.key(random), random.below(2) == 0);
            Request::MultiKey(MultiKeyOp::Copy { from, to, database: 0, replace })
        }
    };
    (0..=random.below(8)).map(|_| one(random)).collect()
}

fn answers(session: &mut Session, requests: &[Request<'_>], as_transaction: bool) -> Vec<Kept> {
    let mut kept = vec![None; requests.len()];
    let mut take = |number: usize, answer: Answer<'_>| {
        let before = kept[number].replace(keep(&requests[number], answer));
        assert!(before.is_none(), "answered twice");
    };
    if as_transaction {
        let outcome = session.transaction(requests, None, &mut take);
        assert!(matches!(outcome, TransactionOutcome::Done(_)), "{outcome:?}");
    } else {
        session.execute(requests, &mut take);
    }
    kept.into_iter().map(|kept| kept.expect("every request is answered")).collect()
}

fn compare(db: &Db, model: &mut Model) {
    let (mut session, mut keys, mut from) = (db.session(), Vec::new(), 0);
    loop {
        from = session.scan(from, 100, &mut |record| keys.push(record.key().to_vec()));
        if from == 0 {
            break;
        }
    }
    keys.sort();
    keys.dedup();
    let mut wanted: Vec<_> = model.0.keys().cloned().collect();
    wanted.sort();
    assert_eq!(keys, wanted);
    for key in &keys {
        let reads = [Query::Type, Query::Stored, Query::Expiry, ALL];
        let reads = reads.map(|query| Request::Read(key, query));
        let wanted: Vec<_> = reads.iter().map(|read| model.answer(read)).collect();
        assert_eq!(answers(&mut session, &reads, false), wanted);
        if let Some((Value::Hash(fields), _)) = model.0.get(key) {
            assert_eq!(&scanned(&mut session, key), fields);
        }
    }
}

/// Returns the fields that a walk over a hash visits.
fn scanned(session: &mut Session, key: &[u8]) -> Fields {
    let (mut fields, mut next) = (Fields::new(), 0);
    loop {
        let (cursor, count) = (next, 7);
        let scan = HashQuery::Scan { cursor, count, pattern: None, most: usize::MAX };
        session.execute(&[Request::Read(key, Query::Hash(scan))], &mut |_, answer| {
            let Answer::Elements(list, cursor) = answer else { panic!("{answer:?}") };
            let elements: Vec<_> = list.iter().map(|one| one.unwrap().to_vec()).collect();
            for [field, value] in elements.as_chunks::<2>().0 {
                let before = fields.insert(field.clone(), value.clone());
                assert!(before.is_none(), "a field was visited twice");
            }
            next = cursor;
        });
        if next == 0 {
            return fields;
        }
    }
}

fn open(path: &Path, disk: &FaultyDisk, random: &mut Random) -> Db {
    let mut options = Options::at(path);
    (options.fsync, options.snapshot_after) = (Fsync::Never, 0);
    options.shards = random.of(&[1, 4, 16]);
    Db::open_on_disk(options, Arc::new(disk.clone())).unwrap()
}

#[test]
fn values_match_the_models_and_restarts_restore_them() {
    let memory = Path::new("/dev/shm");
    let parts = Parts::new();
    for seed in 0..6 {
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let (folder, disk) = (folder.unwrap(), FaultyDisk::new());
        let (mut model, mut random) = (Model::default(), Random(seed));
        for _ in 0..6 {
            let db = open(folder.path(), &disk, &mut random);
            compare(&db, &mut model);
            let mut session = db.session();
            for step in 0..100 {
                let round = Round::new(&mut random, &parts);
                let requests = requests(&mut random, &parts, &round);
                let found = answers(&mut session, &requests, random.below(3) == 0);
                for (request, found) in requests.iter().zip(found) {
                    let wanted = model.answer(request);
                    assert_eq!(found, wanted, "seed {seed}, step {step}, {request:?}");
                }
                if random.below(40) == 0 {
                    db.snapshot().unwrap();
                }
            }
            compare(&db, &mut model);
            drop(session);
            db.close().unwrap();
        }
    }
}
