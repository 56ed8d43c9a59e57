//! Hashes in an embedding program.

use super::Db;
use super::answers::{bytes, count, int, length};
use crate::error::Error;
use crate::request::{
    Answer, Change, ExpireCondition, Expiry, HashChange, HashParts, HashQuery, Query, Request,
    RequestError,
};

/// A field and its value.
pub type HashEntry = (Vec<u8>, Vec<u8>);

/// Hashes: keys whose values are fields with a value each. A missing key is an empty hash. O(log n) in the number of
/// fields, unless a method says otherwise.
///
/// ```
/// # use hedgerow_db_engine::{Db, Options};
/// let db = Db::open(Options::in_memory())?;
/// assert!(db.hash_set("rose", "colour", "red")?);
/// db.hash_add("rose", "petals", 5)?;
/// assert_eq!(db.hash_get("rose", "petals")?.as_deref(), Some(&b"5"[..]));
/// assert_eq!(db.hash_len("rose")?, 2);
/// assert!(db.hash_remove("rose", "colour")?);
/// assert_eq!(db.hash_entries("rose")?, [(b"petals".to_vec(), b"5".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Db {
    /// Returns the value of a field.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`RequestError::WrongType`] if the key's value is not a hash.
    pub fn hash_get(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.read(key.as_ref(), Query::Hash(HashQuery::Get(field.as_ref())), bytes)
    }

    /// Returns the number of fields. O(1).
    ///
    /// # Errors
    /// As [`hash_get`](Self::hash_get).
    pub fn hash_len(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.read(key.as_ref(), Query::Hash(HashQuery::Length), length)
    }

    /// Returns all fields with their values, as of one time. O(n). A short hash is in the order in which its fields
    /// were added; the order of a long one means nothing.
    ///
    /// # Errors
    /// As [`hash_get`](Self::hash_get).
    pub fn hash_entries(&self, key: impl AsRef<[u8]>) -> Result<Vec<HashEntry>, Error> {
        let all = HashQuery::All { parts: HashParts::Both, most: usize::MAX };
        self.read(key.as_ref(), Query::Hash(all), |answer| {
            let Answer::Elements(elements, _) = answer else { return Vec::new() };
            let mut rest = elements.iter().flatten().map(<[u8]>::to_vec);
            std::iter::from_fn(|| Some((rest.next()?, rest.next()?))).collect()
        })
    }

    /// Stores a field. Returns whether it was missing.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`RequestError::WrongType`] if the key's value is not a hash.
    pub fn hash_set(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let added = self.hash_set_all(key, &[(field.as_ref(), value.as_ref())])?;
        Ok(added == 1)
    }

    /// Stores fields, all at once. Returns how many were missing.
    ///
    /// # Errors
    /// As [`hash_set`](Self::hash_set).
    pub fn hash_set_all(
        &self,
        key: impl AsRef<[u8]>,
        pairs: &[(&[u8], &[u8])],
    ) -> Result<usize, Error> {
        self.change_hash(key.as_ref(), HashChange::Set(pairs), count)
    }

    /// Removes a field, and the key with its last field. Returns whether the field was there.
    ///
    /// # Errors
    /// As [`hash_set`](Self::hash_set).
    pub fn hash_remove(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let removed = self.change_hash(key.as_ref(), HashChange::Delete(&[field.as_ref()]), int)?;
        Ok(removed == 1)
    }

    /// Adds to the decimal integer in a field; a missing field counts as 0. Returns the sum.
    ///
    /// # Errors
    /// As [`hash_set`](Self::hash_set); [`RequestError::HashNotAnInteger`] and [`RequestError::Overflow`].
    pub fn hash_add(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
        by: i64,
    ) -> Result<i64, Error> {
        self.change_hash(key.as_ref(), HashChange::Increment(field.as_ref(), by), int)
    }

    /// Sets the time at which a field expires, in milliseconds since 1970; with `None` it does not expire. A field
    /// whose time has passed is removed. Returns whether the field was there. The first call for a hash of more than
    /// 512 fields takes no longer than others.
    ///
    /// # Errors
    /// As [`hash_set`](Self::hash_set).
    pub fn hash_expire_at(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
        time: Option<u64>,
    ) -> Result<bool, Error> {
        let expiry = time.map_or(Expiry::Never, |time| Expiry::At(time.max(1)));
        let condition = ExpireCondition::Always;
        let expire = HashChange::Expire { fields: &[field.as_ref()], expiry, condition };
        self.change_hash(key.as_ref(), expire, |answer| match answer {
            Answer::Fields(made) => Ok(made.iter().flatten().next() != Some(-2)),
            Answer::Error(error) => Err(error),
            _ => Ok(false),
        })
    }

    /// Returns when a field expires, in milliseconds since 1970, or `Some(None)` if it does not; `None` if the field is
    /// missing.
    ///
    /// # Errors
    /// As [`hash_get`](Self::hash_get).
    pub fn hash_expires_at(
        &self,
        key: impl AsRef<[u8]>,
        field: impl AsRef<[u8]>,
    ) -> Result<Option<Option<u64>>, Error> {
        let fields = [field.as_ref()];
        let times = HashQuery::Times(&fields);
        self.read(key.as_ref(), Query::Hash(times), |answer| match answer {
            Answer::Fields(times) => match times.iter().flatten().next() {
                Some(-1) => Some(None),
                time => time.and_then(|time| u64::try_from(time).ok()).map(Some),
            },
            _ => None,
        })
    }

    fn change_hash<R>(
        &self,
        key: &[u8],
        change: HashChange<'_>,
        take: fn(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        self.execute(Request::Change(key, Change::Hash(change)), take)
    }
}

#[cfg(test)]
mod tests {
    use crate::state::maintenance;
    use crate::{Db, Options, TimeSource};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Short and long, with changes before and behind the snapshot.
    #[test]
    fn hashes_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
        let (db, mut wanted) = (open(), BTreeMap::new());
        for number in 0..3000_u32 {
            let (field, value) = (number.to_string(), vec![number as u8; number as usize % 300]);
            assert!(db.hash_set("long", &field, &value).unwrap());
            wanted.insert(field.into_bytes(), value);
            if number == 2000 {
                db.snapshot().unwrap();
            }
        }
        for number in (0..3000_u32).step_by(3) {
            assert!(db.hash_remove("long", number.to_string()).unwrap());
            wanted.remove(number.to_string().as_bytes());
        }
        db.hash_set("short", "field", "value").unwrap();
        assert_eq!(db.hash_add("short", "number", -7).unwrap(), -7);
        let entries =
            |db: &Db, key| db.hash_entries(key).unwrap().into_iter().collect::<BTreeMap<_, _>>();
        let order = db.hash_entries("long").unwrap();
        assert_eq!(entries(&db, "long"), wanted);
        assert_eq!(db.hash_len("long").unwrap(), wanted.len());
        db.close().unwrap();
        drop(db);
        // From the log, and then from a snapshot.
        for _ in 0..2 {
            let db = open();
            assert!(db.hash_entries("long").unwrap() == order, "another order after a restart");
            assert_eq!(db.hash_get("short", "number").unwrap().as_deref(), Some(&b"-7"[..]));
            db.snapshot().unwrap();
            db.close().unwrap();
        }
    }

    /// A short and a long hash, with a clock that is moved. The times are in the log, in a snapshot, or in both; some
    /// fields expire before the restart, some after it.
    #[test]
    fn fields_expire_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let open = || {
            let time = TimeSource::Manual(Arc::clone(&clock));
            Db::open(Options { shards: 1, time, ..Options::at(folder.path()) }).unwrap()
        };
        let set = |time: u64| clock.store(time, Ordering::Relaxed);
        let (mut db, mut model) = (open(), BTreeMap::new());
        for round in 0..6_u64 {
            let now = 1_000_000 + round * 1000;
            set(now);
            for (key, fields) in [("short", 20), ("long", 2000)] {
                for field in 0..fields {
                    // Some are stored anew, which removes the time; some get another one, or lose it.
                    let place = (key, format!("field{field}"));
                    let change = (field * 7 + round * 5) % 11;
                    let exists = model.get(&place).is_some_and(|end| *end > now);
                    if change < 2 || round == 0 {
                        assert_eq!(db.hash_set(key, &place.1, "value").unwrap(), !exists);
                        model.insert(place.clone(), u64::MAX);
                    }
                    let exists = model.get(&place).is_some_and(|end| *end > now);
                    if (2..5).contains(&change) || round == 0 && change < 8 {
                        let end = now + 500 + field % 4 * 1000;
                        let done = db.hash_expire_at(key, &place.1, Some(end)).unwrap();
                        assert_eq!(done, exists);
                        if exists {
                            model.insert(place, end);
                        }
                    } else if change == 5 && exists {
                        assert!(db.hash_expire_at(key, &place.1, None).unwrap());
                        model.insert(place, u64::MAX);
                    }
                }
            }
            if round % 3 == 1 {
                db.snapshot().unwrap();
            }
            check(&db, &mut model, now);
            if round % 2 == 1 {
                db.close().unwrap();
                drop(db);
                set(now + 100);
                db = open();
                check(&db, &mut model, now + 100);
            }
        }
        // All that have a time.
        set(2_000_000);
        check(&db, &mut model, 2_000_000);
        assert!(!model.is_empty() && model.values().all(|end| *end == u64::MAX));
    }

    type Model = BTreeMap<(&'static str, String), u64>;

    /// Compares before and after the fields were removed.
    fn check(db: &Db, model: &mut Model, now: u64) {
        model.retain(|_, end| *end > now);
        for round in 0..2 {
            for key in ["short", "long"] {
                let wanted: BTreeMap<_, _> = model
                    .iter()
                    .filter(|((of, _), _)| *of == key)
                    .map(|((_, field), end)| (field.clone().into_bytes(), *end))
                    .collect();
                let entries = db.hash_entries(key).unwrap();
                let found: BTreeMap<_, _> = entries
                    .iter()
                    .map(|(field, _)| {
                        let end = db.hash_expires_at(key, field).unwrap().unwrap();
                        (field.clone(), end.unwrap_or(u64::MAX))
                    })
                    .collect();
                assert!(found == wanted, "{key} at {now}");
                assert_eq!(entries.len(), wanted.len());
                if round == 1 {
                    assert_eq!(db.hash_len(key).unwrap(), wanted.len(), "{key} at {now}");
                }
            }
            while maintenance::run_cycle(&db.with_session(|session| session.state())) {}
        }
    }

    #[test]
    fn a_value_of_another_type_stays() {
        let db = Db::open(Options::in_memory()).unwrap();
        db.set("text", "value").unwrap();
        db.hash_set("hash", "field", "value").unwrap();
        assert!(db.hash_set("text", "field", "value").is_err());
        assert!(db.hash_get("text", "field").is_err());
        assert!(db.append("hash", "tail").is_err() && db.get("hash").is_err());
        assert_eq!(db.get("text").unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(db.hash_len("hash").unwrap(), 1);
    }
}
