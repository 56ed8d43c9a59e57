//! Sets in an embedding program.

use super::Db;
use super::answers::{bytes, count, elements, int, length, taken};
use crate::error::Error;
use crate::request::{Answer, Change, Query, Request, RequestError, SetChange, SetQuery};

/// Sets: keys whose values are members, each of them once. A missing key is an empty set. O(log n) in the number of
/// members, unless a method says otherwise.
///
/// ```
/// # use hedgerow_db_engine::{Db, Options};
/// let db = Db::open(Options::in_memory())?;
/// assert!(db.set_add("colours", "red")?);
/// assert_eq!(db.set_add_all("colours", &[b"red", b"blue"])?, 1);
/// assert!(db.set_contains("colours", "blue")?);
/// assert!(db.set_remove("colours", "red")?);
/// assert_eq!(db.set_members("colours")?, [b"blue"]);
/// assert_eq!(db.set_pop("colours")?.as_deref(), Some(&b"blue"[..]));
/// assert_eq!(db.set_len("colours")?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Db {
    /// Returns whether a set has a member.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`RequestError::WrongType`] if the key's value is not a set.
    pub fn set_contains(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        let contains = SetQuery::Contains(member.as_ref());
        self.read(key.as_ref(), Query::Members(contains), |answer| answer == Answer::Int(1))
    }

    /// Returns the number of members. O(1).
    ///
    /// # Errors
    /// As [`set_contains`](Self::set_contains).
    pub fn set_len(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.read(key.as_ref(), Query::Members(SetQuery::Length), length)
    }

    /// Returns all members, as of one time. O(n). The order means nothing.
    ///
    /// # Errors
    /// As [`set_contains`](Self::set_contains).
    pub fn set_members(&self, key: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        let all = SetQuery::All { most: usize::MAX };
        self.read(key.as_ref(), Query::Members(all), elements)
    }

    /// Returns a random member.
    ///
    /// # Errors
    /// As [`set_contains`](Self::set_contains).
    pub fn set_random(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let random = SetQuery::Random { count: None, most: usize::MAX };
        self.read(key.as_ref(), Query::Members(random), bytes)
    }

    /// Adds a member. Returns whether it was missing.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`RequestError::WrongType`] if the key's value is not a set.
    pub fn set_add(&self, key: impl AsRef<[u8]>, member: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.set_add_all(key, &[member.as_ref()])? == 1)
    }

    /// Adds members, all at once. Returns how many were missing.
    ///
    /// # Errors
    /// As [`set_add`](Self::set_add).
    pub fn set_add_all(&self, key: impl AsRef<[u8]>, members: &[&[u8]]) -> Result<usize, Error> {
        self.change_set(key.as_ref(), SetChange::Add(members), count)
    }

    /// Removes a member, and the key with its last member. Returns whether the member was there.
    ///
    /// # Errors
    /// As [`set_add`](Self::set_add).
    pub fn set_remove(
        &self,
        key: impl AsRef<[u8]>,
        member: impl AsRef<[u8]>,
    ) -> Result<bool, Error> {
        Ok(self.change_set(key.as_ref(), SetChange::Remove(&[member.as_ref()]), int)? == 1)
    }

    /// Removes a random member, and returns it.
    ///
    /// # Errors
    /// As [`set_add`](Self::set_add).
    pub fn set_pop(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let pop = SetChange::Pop { count: None, most: usize::MAX };
        self.change_set(key.as_ref(), pop, taken)
    }

    fn change_set<R>(
        &self,
        key: &[u8],
        change: SetChange<'_>,
        take: fn(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        self.execute(Request::Change(key, Change::Members(change)), take)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Db, Options};
    use std::collections::BTreeSet;

    /// Short and long, with changes before and behind the snapshot.
    #[test]
    fn sets_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
        let (db, mut wanted) = (open(), BTreeSet::new());
        for number in 0..3000_u32 {
            let member = format!("member {number}").into_bytes();
            assert!(db.set_add("long", &member).unwrap());
            assert!(db.set_add("integers", number.to_string()).unwrap());
            wanted.insert(member);
            if number == 2000 {
                db.snapshot().unwrap();
            }
        }
        for _ in 0..1000 {
            let popped = db.set_pop("long").unwrap().unwrap();
            assert!(wanted.remove(&popped), "a member that was not there");
        }
        db.set_add_all("short", &[b"-7", b"500", b"-7"]).unwrap();
        let members =
            |db: &Db| db.set_members("long").unwrap().into_iter().collect::<BTreeSet<_>>();
        assert_eq!(members(&db), wanted);
        let order = db.set_members("long").unwrap();
        db.close().unwrap();
        drop(db);
        // From the log, and then from a snapshot.
        for _ in 0..2 {
            let db = open();
            assert!(db.set_members("long").unwrap() == order, "another order after a restart");
            assert_eq!(db.set_members("short").unwrap(), [&b"-7"[..], b"500"]);
            assert_eq!(db.set_len("integers").unwrap(), 3000);
            assert!(wanted.contains(&db.set_random("long").unwrap().unwrap()));
            db.snapshot().unwrap();
            db.close().unwrap();
        }
    }

    #[test]
    fn the_last_member_is_removed_with_its_key() {
        let db = Db::open(Options::in_memory()).unwrap();
        db.set_add_all("set", &[b"a", b"b"]).unwrap();
        assert!(db.set_pop("set").unwrap().is_some() && db.set_pop("set").unwrap().is_some());
        assert_eq!(db.set_pop("set").unwrap(), None);
        assert_eq!(db.set_random("set").unwrap(), None);
        assert!(!db.contains_key("set").unwrap());
        db.set("text", "value").unwrap();
        assert!(db.set_add("text", "a").is_err() && db.set_pop("text").is_err());
        assert!(db.set_members("text").is_err());
    }
}
