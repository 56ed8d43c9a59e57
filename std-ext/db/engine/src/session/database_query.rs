//! Questions about all keys of a database: without a lock, and in a transaction on locked shards, where they see its
//! changes.

use super::Session;
use super::multi_key::ApplyMany;
use super::scan::random_part;
use crate::glob::Glob;
use crate::log::Lsn;
use crate::request::{Answer, DatabaseQuery, ElementListBuilder, KeyScan, LONGEST_KEY, ValueType};
use crate::state::random::Random;
use crate::state::record::Record;
use crate::state::shard::Core;

/// Keys that are visited between two checks whether the answer has become too long.
const STRIDE: usize = 4096;

/// The keys that a scan has found.
struct ScannedKeys {
    pattern: Option<Glob>,
    value_type: Option<ValueType>,
    list: ElementListBuilder,
}

impl ScannedKeys {
    fn new(scan: &KeyScan<'_>) -> Self {
        let pattern = scan.pattern.map(|pattern| Glob::new(pattern, LONGEST_KEY));
        Self { pattern, value_type: scan.value_type, list: ElementListBuilder::new(scan.most) }
    }

    /// Adds the key of a record if it matches.
    fn collect(&mut self, record: Record) {
        let is_wanted = |wanted: ValueType| record.value().value_type() == wanted;
        if self.pattern.as_ref().is_none_or(|pattern| pattern.matches(record.key()))
            && self.value_type.is_none_or(is_wanted)
        {
            self.list.push(record.key());
        }
    }
}

impl Session {
    /// Answers a question from the published state. Returns the log entry that must be committed before the answer is
    /// shown.
    pub(super) fn ask_database(
        &mut self,
        query: DatabaseQuery<'_>,
        answer: impl FnOnce(Answer<'_>),
    ) -> Lsn {
        self.since.note_read();
        match query {
            DatabaseQuery::Count => answer(Answer::count(self.len())),
            DatabaseQuery::RandomKey => {
                let key = self.random_key();
                answer(key.as_deref().map_or(Answer::Nil, Answer::Bytes));
            }
            DatabaseQuery::Scan(scan) => {
                let (mut found, mut left, mut next) =
                    (ScannedKeys::new(&scan), scan.count, scan.cursor);
                loop {
                    // COUNT may be as large as the client likes, and a pattern may match every key.
                    let part = left.min(STRIDE);
                    next = self.scan(next, part, &mut |record| found.collect(record));
                    left -= part;
                    if next == 0 || left == 0 || found.list.is_full() {
                        break;
                    }
                }
                answer(Answer::Elements(found.list.list(), next));
            }
        }
        // Any entry may have changed a key that was found.
        self.state.log.last()
    }
}

impl ApplyMany<'_, '_> {
    /// Answers a question about the selected database, all of whose shards are locked.
    pub(super) fn ask_database(&self, query: DatabaseQuery<'_>, answer: impl FnOnce(Answer<'_>)) {
        match query {
            DatabaseQuery::Count => answer(Answer::count(self.count())),
            DatabaseQuery::RandomKey => {
                let key = self.random_key();
                answer(key.as_ref().map_or(Answer::Nil, |record| Answer::Bytes(record.key())));
            }
            DatabaseQuery::Scan(scan) => {
                let mut found = ScannedKeys::new(&scan);
                let next = self.scan(&scan, &mut found);
                answer(Answer::Elements(found.list.list(), next));
            }
        }
    }

    fn count(&self) -> usize {
        let mut count = 0;
        for (number, core) in self.own_shards() {
            if self.state.has_slot_marks() {
                self.state.for_each_owned(number, core, |_, of_slot| count += of_slot.keys);
            } else {
                count += core.len();
            }
        }
        count
    }

    /// Visits all keys of one shard after the other. Returns the cursor of the first shard that it has not visited.
    fn scan(&self, scan: &KeyScan<'_>, found: &mut ScannedKeys) -> u64 {
        // The cursor has the form of one without locks, so a walk may go on with or without a transaction. It can only
        // name the beginning of a shard here: locked shards are visited in no order of positions.
        let within = self.state.cursor_bits();
        let first = (scan.cursor >> within) as usize;
        let mut visited = 0;
        for (place, (_, core)) in self.own_shards().enumerate().skip(first) {
            if place != first && (visited >= scan.count || found.list.is_full()) {
                return (place as u64) << within;
            }
            for record in core.records().filter(|record| self.is_shown(*record)) {
                visited += 1;
                found.collect(record);
            }
        }
        0
    }

    /// Returns a random key: a shard is chosen by its number of keys, and each of its keys has the same probability.
    fn random_key(&self) -> Option<Record> {
        let mut random = Random::new();
        // Expired keys count here, as they do without locks: only a walk over all shards would tell.
        let chosen = random_part(&mut random, self.own_shards().map(|(_, core)| core.len()))?;
        let (before, from) = (self.own_shards(), self.own_shards().skip(chosen));
        // If all keys of the chosen shard have expired, another shard has the key.
        from.chain(before).find_map(|(_, core)| {
            let shown = core.records().filter(|record| self.is_shown(*record));
            let mut kept = None;
            for (seen, record) in shown.enumerate() {
                // Replaces the key kept so far with probability 1/n at the n-th one, so all have the same in the end.
                if random.next().is_multiple_of(seen as u64 + 1) {
                    kept = Some(record);
                }
            }
            kept
        })
    }

    fn is_shown(&self, record: Record) -> bool {
        self.state.is_shown(record, self.time)
    }

    /// Returns the shards of the selected database, and their numbers.
    fn own_shards(&self) -> impl Iterator<Item = (usize, &Core)> + Clone {
        self.own_numbers().map(|shard| {
            let place = self.cores.binary_search_by_key(&shard, |(number, _)| *number);
            let (number, core) = &self.cores[place.expect("every shard of the database is locked")];
            (*number, &**core)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Change, Expiry, Query, Request, SetCondition};
    use crate::{Db, Options, TransactionOutcome};
    use std::collections::{BTreeSet, HashMap};
    use std::time::Duration;

    fn database(keys: usize) -> Db {
        let db = Db::open(Options { shards: 4, ..Options::in_memory() }).unwrap();
        (0..keys).for_each(|key| db.set(format!("key{key}"), "").unwrap());
        db
    }

    fn set(key: &[u8]) -> Request<'_> {
        let (condition, expiry) = (SetCondition::Always, Expiry::Never);
        Request::Change(key, Change::Set { value: b"", condition, expiry, get: false })
    }

    fn part(cursor: u64, count: usize) -> KeyScan<'static> {
        KeyScan { cursor, count, pattern: None, value_type: None, most: usize::MAX }
    }

    /// The keys and the cursor of the last answer of a transaction.
    fn scanned(session: &mut Session, requests: &[Request<'_>]) -> (Vec<Vec<u8>>, u64) {
        let mut last = None;
        let outcome = session.transaction(requests, None, &mut |_, answer| {
            if let Answer::Elements(keys, next) = answer {
                last = Some((keys.iter().flatten().map(<[u8]>::to_vec).collect(), next));
            }
        });
        assert!(matches!(outcome, TransactionOutcome::Done(_)), "{outcome:?}");
        last.expect("a list of keys")
    }

    fn scan_of(scan: KeyScan<'_>) -> Request<'_> {
        Request::Database(DatabaseQuery::Scan(scan))
    }

    #[test]
    fn parts_of_a_walk_in_transactions_find_every_key_once() {
        let db = database(1000);
        let mut session = db.session();
        let (mut found, mut cursor, mut parts) = (Vec::new(), 0, 0);
        loop {
            let (keys, next) = scanned(&mut session, &[scan_of(part(cursor, 1))]);
            found.extend(keys);
            (cursor, parts) = (next, parts + 1);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!((found.len(), parts), (1000, 4));
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 1000);
    }

    #[test]
    fn a_walk_goes_on_in_a_transaction_and_behind_it() {
        let db = database(1000);
        let mut session = db.session();
        for steps in 1..40 {
            let (mut found, mut cursor, mut number) = (BTreeSet::new(), 0, 0);
            loop {
                number += 1;
                if number == steps {
                    let (keys, next) = scanned(&mut session, &[scan_of(part(cursor, 10))]);
                    (found, cursor) = (found.into_iter().chain(keys).collect(), next);
                } else {
                    cursor = session.scan(cursor, 10, &mut |record| {
                        found.insert(record.key().to_vec());
                    });
                }
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(found.len(), 1000, "a transaction at step {steps}");
        }
        // A cursor that no walk has returned.
        let (keys, next) = scanned(&mut session, &[scan_of(part(u64::MAX, 10))]);
        assert_eq!((keys.len(), next), (0, 0));
    }

    #[test]
    fn a_transaction_sees_its_own_changes() {
        let db = database(2);
        let mut session = db.session();
        let count = Request::Database(DatabaseQuery::Count);
        let requests = [
            Request::Change(b"key0", Change::Delete),
            set(b"new"),
            count,
            Request::Select(3),
            count,
            set(b"there"),
            count,
            scan_of(part(0, 10)),
            Request::Select(0),
            Request::Read(b"new", Query::Exists),
            scan_of(part(0, 10)),
        ];
        let mut counts = Vec::new();
        session.transaction(&requests, None, &mut |number, answer| {
            if let (2 | 4 | 6, Answer::Int(keys)) = (number, answer) {
                counts.push(keys);
            }
            if let Answer::Elements(keys, next) = answer {
                let found: BTreeSet<&[u8]> = keys.iter().flatten().collect();
                let expected: &[&[u8]] = if number == 7 { &[b"there"] } else { &[b"key1", b"new"] };
                assert_eq!((found, next), (expected.iter().copied().collect(), 0));
            }
        });
        assert_eq!((&counts[..], session.len()), (&[2, 0, 1][..], 2));
    }

    #[test]
    fn a_transaction_finds_no_expired_key() {
        let db = database(0);
        let soon = Duration::from_millis(1);
        (0..100).for_each(|key| db.set_with_ttl(format!("key{key}"), "", soon).unwrap());
        while db.get("key99").unwrap().is_some() {}
        db.set("stays", "").unwrap();
        let mut session = db.session();
        let requests = [scan_of(part(0, 200)), Request::Database(DatabaseQuery::RandomKey)];
        let mut answers = Vec::new();
        session.transaction(&requests, None, &mut |_, answer| {
            answers.push(match answer {
                Answer::Elements(keys, 0) => keys.iter().flatten().collect::<Vec<_>>().join(&b' '),
                Answer::Bytes(key) => key.to_vec(),
                other => panic!("{other:?}"),
            });
        });
        assert_eq!(answers, [b"stays", b"stays"]);
    }

    #[test]
    fn a_walk_ends_when_its_answer_is_too_long() {
        let db = database(1000);
        let mut session = db.session();
        let scan = KeyScan { most: 100, ..part(0, usize::MAX) };
        let check = &mut |answer: Answer<'_>| {
            let Answer::Elements(keys, next) = answer else { panic!("{answer:?}") };
            assert!(keys.reply_bytes() > 100 && keys.len() < 12, "{} keys", keys.len());
            assert_ne!(next, 0);
        };
        session.transaction(&[scan_of(scan)], None, &mut |_, answer| check(answer));
        let _ = session.ask_database(DatabaseQuery::Scan(KeyScan { count: 5, ..scan }), |answer| {
            assert!(matches!(answer, Answer::Elements(keys, _) if keys.len() >= 5), "{answer:?}");
        });
        (0..10 * STRIDE).for_each(|key| db.set(format!("more{key}"), "").unwrap());
        let _ = session.ask_database(DatabaseQuery::Scan(scan), check);
    }

    #[test]
    fn all_keys_are_equally_likely_random_keys_of_a_transaction() {
        let db = database(60);
        let mut session = db.session();
        let mut found: HashMap<Vec<u8>, usize> = HashMap::new();
        let random = [Request::Database(DatabaseQuery::RandomKey)];
        for _ in 0..100 * 60 {
            session.transaction(&random, None, &mut |_, answer| {
                let Answer::Bytes(key) = answer else { panic!("{answer:?}") };
                *found.entry(key.to_vec()).or_default() += 1;
            });
        }
        // Six and a half standard deviations of 100 expected times.
        let odd: Vec<_> = found.iter().filter(|(_, times)| !(35..=165).contains(*times)).collect();
        assert!(found.len() == 60 && odd.is_empty(), "{} keys, and {odd:?}", found.len());
        let all = Request::MultiKey(crate::request::MultiKeyOp::Clear);
        session.transaction(&[all, random[0]], None, &mut |number, answer| {
            assert!(number == 0 || answer == Answer::Nil, "{answer:?}");
        });
    }
}
