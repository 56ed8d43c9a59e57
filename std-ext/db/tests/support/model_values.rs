//! The plain model of values of all types: what they are, and what requests about one answer.

use hedgerow_db::request::{
    Answer, End, HashChange, HashQuery, ListChange, ListQuery, Packed, Query, Request,
    RequestError, Score, SetChange, SetQuery, SortedSetChange, SortedSetQuery, StoredValue,
    ValueType,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Bytes = Vec<u8>;
pub(crate) type Fields = BTreeMap<Bytes, Bytes>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(Bytes),
    Hash(Fields),
    List(Vec<Bytes>),
    Set(BTreeSet<Bytes>),
    /// Members with the bits of their scores: -0 is another score than 0.
    SortedSet(BTreeMap<Bytes, u64>),
}

/// An answer that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    Done,
    Nothing,
    Int(i64),
    /// The bits of a score.
    Score(u64),
    Bytes(Bytes),
    Elements(Vec<Option<Bytes>>),
    /// A whole value. The order of a hash and of a set means nothing.
    Value(Value),
    Ends(Option<u64>),
    Error(RequestError),
}

pub(crate) const WRONG_TYPE: Kept = Kept::Error(RequestError::WrongType);

pub(crate) fn int(number: usize) -> Kept {
    Kept::Int(i64::try_from(number).unwrap())
}

pub(crate) fn keep(request: &Request<'_>, answer: Answer<'_>) -> Kept {
    match answer {
        Answer::Done => Kept::Done,
        Answer::Nil => Kept::Nothing,
        Answer::Int(int) => Kept::Int(int),
        Answer::Score(score) => Kept::Score(score.get().to_bits()),
        Answer::Bytes(bytes) => Kept::Bytes(bytes.to_vec()),
        Answer::ExpiresAt(end) => Kept::Ends(end),
        Answer::Error(error) => Kept::Error(error),
        Answer::Stored(StoredValue::String(value)) => Kept::Value(Value::String(value.to_vec())),
        Answer::Stored(StoredValue::Packed(value)) => Kept::Value(Value::of(value)),
        Answer::Elements(list, 0) => {
            let elements: Vec<_> = list.iter().map(|one| one.map(<[u8]>::to_vec)).collect();
            if !matches!(request, Request::Read(_, Query::Hash(HashQuery::All { .. }))) {
                return Kept::Elements(elements);
            }
            let pairs = elements.as_chunks::<2>().0.iter().cloned();
            let fields: Fields = pairs.map(|pair| pair.map(Option::unwrap).into()).collect();
            assert_eq!(2 * fields.len(), list.len(), "a field is there twice");
            Kept::Value(Value::Hash(fields))
        }
        other => panic!("{other:?}"),
    }
}

fn score(stored: &[u8]) -> Score {
    Score::parse(stored).expect("a score")
}

impl Value {
    /// Returns the value with these entries.
    pub(crate) fn of(value: Packed<'_>) -> Self {
        let mut all = Self::empty(value.value_type());
        all.add(value);
        let is_whole = !value.continues();
        assert!(!is_whole || all.len() == value.len(), "a name is there twice");
        if value.value_type() == ValueType::SortedSet {
            let places = value.iter().map(|(member, stored)| (score(stored), member));
            assert!(places.is_sorted(), "members in another order than that of their scores");
        }
        all
    }

    pub(crate) fn empty(value_type: ValueType) -> Self {
        match value_type {
            ValueType::String => Self::String(Bytes::new()),
            ValueType::Hash => Self::Hash(Fields::new()),
            ValueType::List => Self::List(Vec::new()),
            ValueType::Set => Self::Set(BTreeSet::new()),
            ValueType::SortedSet => Self::SortedSet(BTreeMap::new()),
            ValueType::Stream => panic!("the model has no streams"),
        }
    }

    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Hash(_) => ValueType::Hash,
            Self::List(_) => ValueType::List,
            Self::Set(_) => ValueType::Set,
            Self::SortedSet(_) => ValueType::SortedSet,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::String(value) => value.len(),
            Self::Hash(fields) => fields.len(),
            Self::List(elements) => elements.len(),
            Self::Set(members) => members.len(),
            Self::SortedSet(members) => members.len(),
        }
    }

    /// Returns whether a change that leaves this removes the key.
    pub(crate) fn is_gone(&self) -> bool {
        self.value_type() != ValueType::String && self.len() == 0
    }

    /// Adds the entries of a part, which is of this type.
    pub(crate) fn add(&mut self, part: Packed<'_>) {
        for (name, value) in part.iter() {
            match self {
                Self::String(_) => unreachable!("strings have no parts"),
                Self::Hash(fields) => _ = fields.insert(name.to_vec(), value.to_vec()),
                Self::List(elements) => elements.push(name.to_vec()),
                Self::Set(members) => _ = members.insert(name.to_vec()),
                Self::SortedSet(members) => {
                    members.insert(name.to_vec(), score(value).get().to_bits());
                }
            }
        }
    }
}

pub(crate) fn read_hash(fields: &Fields, query: HashQuery<'_>) -> Kept {
    let value = |field: &[u8]| fields.get(field).cloned();
    match query {
        HashQuery::Get(field) => value(field).map_or(Kept::Nothing, Kept::Bytes),
        HashQuery::GetMany { fields, .. } => {
            Kept::Elements(fields.iter().map(|field| value(field)).collect())
        }
        HashQuery::Length => int(fields.len()),
        HashQuery::Exists(field) => Kept::Int(value(field).is_some().into()),
        HashQuery::FieldLength(field) => int(value(field).map_or(0, |value| value.len())),
        HashQuery::All { .. } => Kept::Value(Value::Hash(fields.clone())),
        _ => unreachable!("not in the model"),
    }
}

pub(crate) fn change_hash(fields: &mut Fields, change: HashChange<'_>) -> Kept {
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

/// Returns the place of an index, which may count from the end.
fn place(len: usize, index: i64) -> i64 {
    let len = i64::try_from(len).unwrap();
    if index < 0 { len.saturating_add(index) } else { index }
}

fn element_at(elements: &[Bytes], index: i64) -> Option<usize> {
    usize::try_from(place(elements.len(), index)).ok().filter(|at| *at < elements.len())
}

/// Returns the elements between two indices.
fn between(elements: &[Bytes], from: i64, to: i64) -> Vec<Bytes> {
    let (from, to) = (place(elements.len(), from), place(elements.len(), to));
    let is_between = |at: usize| (from..=to).contains(&i64::try_from(at).unwrap());
    let all = elements.iter().enumerate().filter(|(at, _)| is_between(*at));
    all.map(|(_, element)| element.clone()).collect()
}

pub(crate) fn read_list(elements: &[Bytes], query: ListQuery<'_>) -> Kept {
    match query {
        ListQuery::Length => int(elements.len()),
        ListQuery::Nth(index) => {
            let at = element_at(elements, index);
            at.map_or(Kept::Nothing, |at| Kept::Bytes(elements[at].clone()))
        }
        ListQuery::Range { from, to, .. } => {
            Kept::Elements(between(elements, from, to).into_iter().map(Some).collect())
        }
        ListQuery::Positions { element, rank: 1, count: 0, compared: 0, .. } => {
            let all = elements.iter().enumerate().filter(|(_, other)| *other == element);
            Kept::Elements(all.map(|(at, _)| Some(at.to_string().into_bytes())).collect())
        }
        ListQuery::Positions { .. } => unreachable!("not in the model"),
    }
}

pub(crate) fn change_list(elements: &mut Vec<Bytes>, change: ListChange<'_>) -> Kept {
    match change {
        ListChange::Push { end, elements: new, if_present } => {
            if !if_present || !elements.is_empty() {
                for element in new {
                    put(elements, end, element.to_vec());
                }
            }
            int(elements.len())
        }
        ListChange::Pop { .. } if elements.is_empty() => Kept::Nothing,
        ListChange::Pop { end, count: None, .. } => {
            take(elements, end).map_or(Kept::Nothing, Kept::Bytes)
        }
        ListChange::Pop { end, count: Some(count), .. } => {
            let popped = (0..count).map_while(|_| take(elements, end));
            Kept::Elements(popped.map(Some).collect())
        }
        ListChange::Set(..) if elements.is_empty() => Kept::Error(RequestError::NoSuchKey),
        ListChange::Set(index, element) => {
            let Some(at) = element_at(elements, index) else {
                return Kept::Error(RequestError::IndexOutOfRange);
            };
            elements[at] = element.to_vec();
            Kept::Done
        }
        ListChange::Insert { .. } if elements.is_empty() => Kept::Int(0),
        ListChange::Insert { before, pivot, element } => {
            let Some(at) = elements.iter().position(|other| other == pivot) else {
                return Kept::Int(-1);
            };
            elements.insert(if before { at } else { at + 1 }, element.to_vec());
            int(elements.len())
        }
        ListChange::Remove { count, element } => {
            let before = elements.len();
            let mut left = if count == 0 { u64::MAX } else { count.unsigned_abs() };
            let mut keeps = |other: &Bytes| {
                let removes = other == element && left > 0;
                left -= u64::from(removes);
                !removes
            };
            if count < 0 {
                elements.reverse();
                elements.retain(&mut keeps);
                elements.reverse();
            } else {
                elements.retain(&mut keeps);
            }
            int(before - elements.len())
        }
        ListChange::Trim(from, to) => {
            *elements = between(elements, from, to);
            Kept::Done
        }
        ListChange::Splice { .. } => unreachable!("not in the model"),
    }
}

/// Removes an element at an end of a list.
pub(crate) fn take(elements: &mut Vec<Bytes>, end: End) -> Option<Bytes> {
    match end {
        End::Back => elements.pop(),
        End::Front if elements.is_empty() => None,
        End::Front => Some(elements.remove(0)),
    }
}

/// Adds an element at an end of a list.
pub(crate) fn put(elements: &mut Vec<Bytes>, end: End, element: Bytes) {
    match end {
        End::Front => elements.insert(0, element),
        End::Back => elements.push(element),
    }
}

pub(crate) fn read_set(members: &BTreeSet<Bytes>, query: SetQuery<'_>) -> Kept {
    match query {
        SetQuery::Length => int(members.len()),
        SetQuery::Contains(member) => Kept::Int(members.contains(member).into()),
        _ => unreachable!("not in the model"),
    }
}

pub(crate) fn change_set(members: &mut BTreeSet<Bytes>, change: SetChange<'_>) -> Kept {
    match change {
        SetChange::Add(new) => {
            int(new.iter().filter(|member| members.insert(member.to_vec())).count())
        }
        SetChange::Remove(names) => int(names.iter().filter(|name| members.remove(**name)).count()),
        SetChange::Pop { .. } => unreachable!("not in the model"),
    }
}

pub(crate) fn read_sorted_set(members: &BTreeMap<Bytes, u64>, query: SortedSetQuery<'_>) -> Kept {
    match query {
        SortedSetQuery::Length => int(members.len()),
        SortedSetQuery::Score(member) => {
            members.get(member).map_or(Kept::Nothing, |score| Kept::Score(*score))
        }
        _ => unreachable!("not in the model"),
    }
}

pub(crate) fn change_sorted_set(
    members: &mut BTreeMap<Bytes, u64>,
    change: SortedSetChange<'_>,
) -> Kept {
    match change {
        SortedSetChange::Set(scored) => {
            let new = |(score, member): &&(Score, &[u8])| {
                members.insert(member.to_vec(), score.get().to_bits()).is_none()
            };
            int(scored.iter().filter(new).count())
        }
        SortedSetChange::Remove(names) => {
            int(names.iter().filter(|name| members.remove(**name).is_some()).count())
        }
        _ => unreachable!("not in the model"),
    }
}
