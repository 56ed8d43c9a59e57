//! Lists in an embedding program.

use super::Db;
use super::answers::{bytes, count, done, elements, length, taken};
use crate::error::Error;
use crate::request::{Answer, Change, End, ListChange, ListQuery, Query, Request, RequestError};

/// Lists: keys whose values are elements in an order. A missing key is an empty list. An index counts from 0, or, if it
/// is negative, from the end: -1 is the last element. O(log n) in the number of elements, and what is found.
///
/// ```
/// # use hedgerow_db_engine::{Db, Options};
/// let db = Db::open(Options::in_memory())?;
/// db.list_push_back("jobs", "water")?;
/// assert_eq!(db.list_push_back_all("jobs", &[b"prune", b"weed"])?, 3);
/// assert_eq!(db.list_get("jobs", -1)?.as_deref(), Some(&b"weed"[..]));
/// db.list_set("jobs", 1, "plant")?;
/// assert_eq!(db.list_range("jobs", 0, -1)?, [&b"water"[..], b"plant", b"weed"]);
/// assert_eq!(db.list_pop_front("jobs")?.as_deref(), Some(&b"water"[..]));
/// assert_eq!(db.list_len("jobs")?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Db {
    /// Returns the element at an index.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`RequestError::WrongType`] if the key's value is not a list.
    pub fn list_get(&self, key: impl AsRef<[u8]>, index: i64) -> Result<Option<Vec<u8>>, Error> {
        self.read(key.as_ref(), Query::List(ListQuery::Nth(index)), bytes)
    }

    /// Returns the number of elements. O(1).
    ///
    /// # Errors
    /// As [`list_get`](Self::list_get).
    pub fn list_len(&self, key: impl AsRef<[u8]>) -> Result<usize, Error> {
        self.read(key.as_ref(), Query::List(ListQuery::Length), length)
    }

    /// Returns the elements between two indices, both inclusive, as of one time: 0 and -1 are all elements.
    ///
    /// # Errors
    /// As [`list_get`](Self::list_get).
    pub fn list_range(
        &self,
        key: impl AsRef<[u8]>,
        from: i64,
        to: i64,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let range = ListQuery::Range { from, to, most: usize::MAX };
        self.read(key.as_ref(), Query::List(range), elements)
    }

    /// Adds an element before the first one. Returns the new length.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`RequestError::WrongType`] if the key's value is not a list.
    pub fn list_push_front(
        &self,
        key: impl AsRef<[u8]>,
        element: impl AsRef<[u8]>,
    ) -> Result<usize, Error> {
        self.list_push(key.as_ref(), End::Front, &[element.as_ref()])
    }

    /// Adds an element behind the last one. Returns the new length.
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front).
    pub fn list_push_back(
        &self,
        key: impl AsRef<[u8]>,
        element: impl AsRef<[u8]>,
    ) -> Result<usize, Error> {
        self.list_push(key.as_ref(), End::Back, &[element.as_ref()])
    }

    /// Adds elements behind the last one, all at once. Returns the new length.
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front).
    pub fn list_push_back_all(
        &self,
        key: impl AsRef<[u8]>,
        elements: &[&[u8]],
    ) -> Result<usize, Error> {
        self.list_push(key.as_ref(), End::Back, elements)
    }

    /// Removes the first element, and the key with its last element. Returns it.
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front).
    pub fn list_pop_front(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.list_pop(key.as_ref(), End::Front)
    }

    /// Removes the last element, and the key with it if there is no other. Returns it.
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front).
    pub fn list_pop_back(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.list_pop(key.as_ref(), End::Back)
    }

    /// Replaces the element at an index.
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front); [`RequestError::NoSuchKey`] if there is no list, and
    /// [`RequestError::IndexOutOfRange`] if it has no such element.
    pub fn list_set(
        &self,
        key: impl AsRef<[u8]>,
        index: i64,
        element: impl AsRef<[u8]>,
    ) -> Result<(), Error> {
        self.change_list(key.as_ref(), ListChange::Set(index, element.as_ref()), done)
    }

    /// Removes all elements but those between two indices, both inclusive.
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front).
    pub fn list_trim(&self, key: impl AsRef<[u8]>, from: i64, to: i64) -> Result<(), Error> {
        self.change_list(key.as_ref(), ListChange::Trim(from, to), done)
    }

    /// Removes all elements that equal another one. Returns how many there were. O(n).
    ///
    /// # Errors
    /// As [`list_push_front`](Self::list_push_front).
    pub fn list_remove(
        &self,
        key: impl AsRef<[u8]>,
        element: impl AsRef<[u8]>,
    ) -> Result<usize, Error> {
        let remove = ListChange::Remove { count: 0, element: element.as_ref() };
        self.change_list(key.as_ref(), remove, count)
    }

    fn list_push(&self, key: &[u8], end: End, elements: &[&[u8]]) -> Result<usize, Error> {
        let push = ListChange::Push { end, elements, if_present: false };
        self.change_list(key, push, count)
    }

    fn list_pop(&self, key: &[u8], end: End) -> Result<Option<Vec<u8>>, Error> {
        let pop = ListChange::Pop { end, count: None, most: usize::MAX };
        self.change_list(key, pop, taken)
    }

    fn change_list<R>(
        &self,
        key: &[u8],
        change: ListChange<'_>,
        take: fn(Answer<'_>) -> Result<R, RequestError>,
    ) -> Result<R, Error> {
        self.execute(Request::Change(key, Change::List(change)), take)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Db, Options};
    use std::collections::VecDeque;

    /// Short and long, with changes before and behind the snapshot.
    #[test]
    fn lists_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Db::open(Options { shards: 4, ..Options::at(folder.path()) }).unwrap();
        let (db, mut wanted) = (open(), VecDeque::new());
        for number in 0..3000_u32 {
            let element = format!("element {}", number % 700).into_bytes();
            if number % 3 == 0 {
                db.list_push_front("long", &element).unwrap();
                wanted.push_front(element);
            } else {
                db.list_push_back("long", &element).unwrap();
                wanted.push_back(element);
            }
            if number == 2000 {
                db.snapshot().unwrap();
            }
        }
        for _ in 0..500 {
            assert_eq!(db.list_pop_front("long").unwrap(), wanted.pop_front());
            assert_eq!(db.list_pop_back("long").unwrap(), wanted.pop_back());
        }
        let removed = db.list_remove("long", "element 7").unwrap();
        wanted.retain(|element| element != b"element 7");
        assert!(removed > 0);
        db.list_set("long", -2, "red").unwrap();
        let place = wanted.len() - 2;
        wanted[place] = b"red".to_vec();
        db.list_trim("long", 3, -1).unwrap();
        wanted.drain(..3);
        db.list_push_back_all("short", &[b"a", b"b", b"a"]).unwrap();
        db.close().unwrap();
        drop(db);
        // From the log, and then from a snapshot.
        for _ in 0..2 {
            let db = open();
            assert!(wanted == db.list_range("long", 0, -1).unwrap(), "another list");
            assert_eq!(db.list_get("long", 17).unwrap().as_ref(), wanted.get(17));
            assert_eq!(db.list_len("long").unwrap(), wanted.len());
            assert_eq!(db.list_range("short", -2, 9).unwrap(), [b"b", b"a"]);
            db.snapshot().unwrap();
            db.close().unwrap();
        }
    }

    #[test]
    fn the_last_element_is_removed_with_its_key() {
        let db = Db::open(Options::in_memory()).unwrap();
        assert_eq!(db.list_push_back("list", "a").unwrap(), 1);
        assert_eq!(db.list_pop_back("list").unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(db.list_pop_front("list").unwrap(), None);
        assert!(!db.contains_key("list").unwrap());
        assert!(db.list_set("list", 0, "a").is_err(), "there is no list");
        db.set("text", "value").unwrap();
        assert!(db.list_push_front("text", "a").is_err() && db.list_pop_front("text").is_err());
        assert!(db.list_range("text", 0, -1).is_err() && db.list_trim("text", 0, 0).is_err());
    }
}
