//! builds: asan
//!
//! Hashes beside strings, against a plain model: random requests get the model's answers, and the database has the
//! model's content after each restart, from snapshots and the log.

#[path = "support/random.rs"]
mod random;

use hedgerow_db::log::Fsync;
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::request::{
    Answer, Change, ExpireCondition, Expiry, HashChange, HashParts, HashQuery, MultiKeyOp, Packer,
    Query, Request, RequestError, SetCondition, StoredValue,
};
use hedgerow_db::{Db, Options, Session, TransactionOutcome};
use random::Random;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

type Bytes = Vec<u8>;
type Fields = BTreeMap<Bytes, Bytes>;

/// An answer that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Done,
    Nothing,
    Int(i64),
    Bytes(Bytes),
    Elements(Vec<Option<Bytes>>),
    /// All fields with their values. Their order means nothing.
    Fields(Fields),
    Ends(Option<u64>),
    Error(RequestError),
}

fn keep(request: &Request<'_>, answer: Answer<'_>) -> Kept {
    match answer {
        Answer::Done => Kept::Done,
        Answer::Nil => Kept::Nothing,
        Answer::Int(int) => Kept::Int(int),
        Answer::Bytes(bytes) => Kept::Bytes(bytes.to_vec()),
        Answer::ExpiresAt(end) => Kept::Ends(end),
        Answer::Error(error) => Kept::Error(error),
        Answer::Elements(list, 0) => {
            let elements: Vec<_> = list.iter().map(|one| one.map(<[u8]>::to_vec)).collect();
            if !matches!(request, Request::Read(_, Query::Hash(HashQuery::All { .. }))) {
                return Kept::Elements(elements);
            }
            let pairs = elements.as_chunks::<2>().0.iter().cloned();
            let fields: Fields = pairs.map(|pair| pair.map(Option::unwrap).into()).collect();
            assert_eq!(2 * fields.len(), list.len(), "a field is there twice");
            Kept::Fields(fields)
        }
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    String(Bytes),
    Hash(Fields),
}

/// Values and expirations by key. Expirations are long past or far away.
#[derive(Clone, Default)]
struct Model(HashMap<Bytes, (Value, Option<u64>)>);

const FAR: u64 = 1 << 50;
const WRONG_TYPE: Kept = Kept::Error(RequestError::WrongType);
const ALL: Query<'_> = Query::Hash(HashQuery::All { parts: HashParts::Both, most: usize::MAX });

fn int(number: usize) -> Kept {
    Kept::Int(i64::try_from(number).unwrap())
}

impl Model {
    fn put(&mut self, key: &[u8], value: Value, end: Option<u64>) {
        let is_gone = end.is_some_and(|end| end < FAR)
            || matches!(&value, Value::Hash(fields) if fields.is_empty());
        if is_gone {
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
        match (query, found) {
            (Query::Exists, found) => Kept::Int(found.is_some().into()),
            (Query::Expiry, found) => found.map_or(Kept::Nothing, |(_, end)| Kept::Ends(*end)),
            (Query::Type | Query::Value, None) => Kept::Nothing,
            (Query::Type, Some((Value::String(_), _))) => Kept::Bytes(b"string".to_vec()),
            (Query::Type, Some((Value::Hash(_), _))) => Kept::Bytes(b"hash".to_vec()),
            (Query::Value, Some((Value::String(value), _))) => Kept::Bytes(value.clone()),
            (Query::Hash(query), Some((Value::Hash(fields), _))) => read_hash(fields, query),
            (Query::Hash(query), None) => read_hash(&Fields::new(), query),
            (Query::Hash(_) | Query::Value, _) => WRONG_TYPE,
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
            (Change::Restore { value: StoredValue::Packed(hash), expiry, replace, .. }, old) => {
                let added = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec()));
                match (hash.continues(), old) {
                    (true, Some(Value::String(_))) => return WRONG_TYPE,
                    (true, Some(Value::Hash(mut fields))) => {
                        fields.extend(added);
                        self.put(key, Value::Hash(fields), end);
                    }
                    (false, Some(_)) if !replace => return Kept::Nothing,
                    (true, None) => self.put(key, Value::Hash(added.collect()), None),
                    (false, _) => self.put(key, Value::Hash(added.collect()), end_of(expiry)),
                }
                Kept::Done
            }
            (Change::Hash(_), Some(Value::String(_)))
            | (Change::Append(_), Some(Value::Hash(_))) => WRONG_TYPE,
            (Change::Hash(change), old) => {
                let mut fields = match old {
                    Some(Value::Hash(fields)) => fields,
                    _ => Fields::new(),
                };
                let answer = change_hash(&mut fields, change);
                self.put(key, Value::Hash(fields), end);
                answer
            }
            _ => unreachable!("not in the model"),
        }
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
            MultiKeyOp::Clear => {
                self.0.clear();
                Kept::Done
            }
            _ => unreachable!("not in the model"),
        }
    }
}

fn read_hash(fields: &Fields, query: HashQuery<'_>) -> Kept {
    let value = |field: &[u8]| fields.get(field).cloned();
    match query {
        HashQuery::Get(field) => value(field).map_or(Kept::Nothing, Kept::Bytes),
        HashQuery::GetMany { fields, .. } => {
            Kept::Elements(fields.iter().map(|field| value(field)).collect())
        }
        HashQuery::Length => int(fields.len()),
        HashQuery::Exists(field) => Kept::Int(value(field).is_some().into()),
        HashQuery::FieldLength(field) => int(value(field).map_or(0, |value| value.len())),
        HashQuery::All { .. } => Kept::Fields(fields.clone()),
        _ => unreachable!("not in the model"),
    }
}

fn change_hash(fields: &mut Fields, change: HashChange<'_>) -> Kept {
    match change {
        HashChange::Set(pairs) => {
            let new = |(field, value): &&(&[u8], &[u8])| {
                fields.insert(field.to_vec(), value.to_vec()).is_none()
            };
            int(pairs.iter().filter(new).count())
        }
        HashChange::SetIfAbsent(field, value) => {
            let is_new = !fields.contains_key(field);
            if is_new {
                fields.insert(field.to_vec(), value.to_vec());
            }
            Kept::Int(is_new.into())
        }
        HashChange::Delete(names) => {
            int(names.iter().filter(|name| fields.remove(**name).is_some()).count())
        }
        HashChange::Increment(field, by) => {
            let text = fields.get(field).map(|value| String::from_utf8_lossy(value).into_owned());
            let Some(old) = text.map_or(Some(0), |text| text.parse::<i64>().ok()) else {
                return Kept::Error(RequestError::HashNotAnInteger);
            };
            let Some(sum) = old.checked_add(by) else {
                return Kept::Error(RequestError::Overflow);
            };
            fields.insert(field.to_vec(), sum.to_string().into_bytes());
            Kept::Int(sum)
        }
        _ => unreachable!("not in the model"),
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
        Self { keys: (0..12).map(|n| text("key", n)).collect(), fields, values }
    }

    fn key(&self, random: &mut Random) -> &[u8] {
        any(random, &self.keys)
    }

    /// Returns a field: often one of few.
    fn field(&self, random: &mut Random) -> &[u8] {
        let from = if random.below(3) == 0 { 0 } else { 600 };
        any(random, &self.fields[from..])
    }

    fn pairs(&self, random: &mut Random) -> Vec<(&[u8], &[u8])> {
        // Now and then enough for a hash that is a tree.
        let count = random.of(&[1, 1, 2, 3, 5, 40, 200]);
        (0..count).map(|_| (self.field(random), any(random, &self.values))).collect()
    }
}

fn any<'a>(random: &mut Random, all: &'a [Bytes]) -> &'a [u8] {
    &all[random.below(all.len() as u64) as usize]
}

fn query<'a>(random: &mut Random, parts: &'a Parts, some: &'a [&'a [u8]]) -> Query<'a> {
    let field = parts.field(random);
    random.of(&[
        Query::Exists,
        Query::Type,
        Query::Value,
        Query::Expiry,
        Query::Hash(HashQuery::Get(field)),
        Query::Hash(HashQuery::Exists(field)),
        Query::Hash(HashQuery::FieldLength(field)),
        Query::Hash(HashQuery::Length),
        Query::Hash(HashQuery::GetMany { fields: some, most: usize::MAX }),
        ALL,
    ])
}

fn change<'a>(random: &mut Random, parts: &'a Parts, round: &'a Round<'_>) -> Change<'a> {
    let expiry = random.of(&[Expiry::Never, Expiry::Never, Expiry::Keep, Expiry::At(FAR)]);
    let expiry = if random.below(30) == 0 { Expiry::At(5) } else { expiry };
    let (field, value) = (parts.field(random), any(random, &parts.values));
    match random.below(20) {
        0 => Change::Set { value, condition: SetCondition::Always, expiry, get: false },
        1 => Change::Delete,
        2 => {
            let expiry = random.of(&[Expiry::Never, Expiry::At(FAR + 1)]);
            Change::Expire { expiry, condition: ExpireCondition::Always, get: false }
        }
        3 => Change::Append(value),
        4 | 5 => {
            let packer = if random.below(2) == 0 { &round.whole } else { &round.part };
            let value = StoredValue::Packed(packer.packed());
            Change::Restore { value, expiry, replace: random.below(2) == 0, usage: None }
        }
        6 | 7 => Change::Hash(HashChange::SetIfAbsent(field, value)),
        8..11 => Change::Hash(HashChange::Increment(field, random.of(&[1, -7, i64::MAX]))),
        11..15 => Change::Hash(HashChange::Delete(&round.some)),
        _ => Change::Hash(HashChange::Set(&round.pairs)),
    }
}

/// What the requests of a round borrow.
struct Round<'p> {
    pairs: Vec<(&'p [u8], &'p [u8])>,
    some: Vec<&'p [u8]>,
    keys: Vec<&'p [u8]>,
    whole: Packer,
    part: Packer,
}

impl<'p> Round<'p> {
    fn new(random: &mut Random, parts: &'p Parts) -> Self {
        let pairs = parts.pairs(random);
        let mut whole = Packer::new(hedgerow_db::request::ValueType::Hash);
        for (field, value) in pairs.iter().copied().collect::<BTreeMap<_, _>>() {
            whole.push(field, value);
        }
        let part = whole.clone().continuing();
        let some = (0..random.of(&[1, 2, 30])).map(|_| parts.field(random)).collect();
        let keys = (0..2).map(|_| parts.key(random)).collect();
        Self { pairs, some, keys, whole, part }
    }
}

fn requests<'a>(random: &mut Random, parts: &'a Parts, round: &'a Round<'_>) -> Vec<Request<'a>> {
    let one = |random: &mut Random| match random.below(40) {
        0..16 => Request::Read(parts.key(random), query(random, parts, &round.some)),
        16..36 => Request::Change(parts.key(random), change(random, parts, round)),
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
        let reads = [Query::Type, Query::Value, Query::Expiry, ALL];
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
fn hashes_match_the_model_and_restarts_restore_them() {
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
