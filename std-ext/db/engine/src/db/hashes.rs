//! Hashes in an embedding program.

use super::{Db, bytes, int};
use crate::error::Error;
use crate::request::{
    Answer, Change, HashChange, HashParts, HashQuery, Query, Request, RequestError,
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
        self.read(key.as_ref(), Query::Hash(HashQuery::Length), |answer| match answer {
            Answer::Int(number) => number.cast_unsigned() as usize,
            _ => 0,
        })
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
        let added = self.change_hash(key.as_ref(), HashChange::Set(pairs), int)?;
        Ok(added.cast_unsigned() as usize)
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
    use crate::{Db, Options};
    use std::collections::BTreeMap;

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
