//! Commands about hashes.

use crate::command::arguments::{
    ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is, wrong_number,
};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::scan::{COUNTS, NOT_A_COUNT, ScanOptions, cursor};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{
    Change, HashChange, HashParts, HashQuery, LongDouble, Query, ValueType,
};
use hedgerow_db_formats::number;

/// The numbers of fields that HRANDFIELD takes with WITHVALUES.
const PAIR_COUNTS: std::ops::RangeInclusive<i64> = -i64::MAX / 2..=i64::MAX / 2;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("hset", -4, "write denyoom fast", |e, a| e.hset(a, "hset", ReplyKind::Integer))
        .keys(&[key(1, RW | UPDATE)])
        .since("2.0.0", Group::Hash)
        .syntax("key#0 field_value:(field value)...")
        .summary("Sets the values of one or more fields of a hash.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hget", 3, "readonly fast", |e, a| {
        e.read(a[1], Query::Hash(HashQuery::Get(a[2])), ReplyKind::Value)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0 field")
    .summary("Returns the value of a field of a hash.")
    .takes_time("O(log N), N is the number of fields"),
    command("hmget", -3, "readonly fast", |e, a| {
        let fields = HashQuery::GetMany { fields: e.keep(&a[2..]), most: e.room() };
        e.read(a[1], Query::Hash(fields), ReplyKind::Elements)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0 field...")
    .summary("Returns the values of one or more fields of a hash.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hgetall", 2, "readonly", |e, a| e.hash_parts(a[1], HashParts::Both, ReplyKind::Map))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.0.0", Group::Hash)
        .syntax("key#0")
        .summary("Returns all fields and values of a hash.")
        .takes_time("O(N), N is the number of fields")
        .tips("nondeterministic_output_order"),
    command("hincrby", 4, "write denyoom fast", |e, a| {
        let by = number::integer(a[3]).ok_or(NOT_AN_INTEGER)?;
        e.change(a[1], Change::Hash(HashChange::Increment(a[2], by)), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | ACCESS | UPDATE)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0 field increment/integer")
    .summary("Increments the integer value of a field of a hash by a number.")
    .takes_time("O(log N), N is the number of fields"),
    command("hexists", 3, "readonly fast", |e, a| {
        e.read(a[1], Query::Hash(HashQuery::Exists(a[2])), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0 field")
    .summary("Returns whether a field of a hash exists.")
    .takes_time("O(log N), N is the number of fields"),
    command("hdel", -3, "write fast", |e, a| {
        let delete = HashChange::Delete(e.keep(&a[2..]));
        e.change(a[1], Change::Hash(delete), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0 field...")
    .summary("Deletes one or more fields of a hash, and the hash with the last of them.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hlen", 2, "readonly fast", |e, a| {
        e.read(a[1], Query::Hash(HashQuery::Length), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0")
    .summary("Returns the number of fields of a hash."),
    command("hkeys", 2, "readonly", |e, a| {
        e.hash_parts(a[1], HashParts::Fields, ReplyKind::Elements)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0")
    .summary("Returns all fields of a hash.")
    .takes_time("O(N), N is the number of fields")
    .tips("nondeterministic_output_order"),
    command("hvals", 2, "readonly", |e, a| {
        e.hash_parts(a[1], HashParts::Values, ReplyKind::Elements)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0")
    .summary("Returns all values of a hash.")
    .takes_time("O(N), N is the number of fields")
    .tips("nondeterministic_output_order"),
    command("hsetnx", 4, "write denyoom fast", |e, a| {
        e.change(a[1], Change::Hash(HashChange::SetIfAbsent(a[2], a[3])), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | INSERT)])
    .since("2.0.0", Group::Hash)
    .syntax("key#0 field value")
    .summary("Sets the value of a field of a hash if the field does not exist.")
    .takes_time("O(log N), N is the number of fields"),
    command("hmset", -4, "write denyoom fast", |e, a| e.hset(a, "hmset", ReplyKind::Ok))
        .keys(&[key(1, RW | UPDATE)])
        .since("2.0.0", Group::Hash)
        .syntax("key#0 field_value:(field value)...")
        .summary("Sets the values of one or more fields of a hash.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hincrbyfloat", 4, "write denyoom fast", |e, a| e.hincrbyfloat(a))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("2.6.0", Group::Hash)
        .syntax("key#0 field increment/double")
        .summary("Increments the floating-point value of a field of a hash by a number.")
        .takes_time("O(log N), N is the number of fields"),
    command("hstrlen", 3, "readonly fast", |e, a| {
        e.read(a[1], Query::Hash(HashQuery::FieldLength(a[2])), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("3.2.0", Group::Hash)
    .syntax("key#0 field")
    .summary("Returns the length of the value of a field of a hash.")
    .takes_time("O(log N), N is the number of fields"),
    command("hscan", -3, "readonly", |e, a| e.hscan(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.8.0", Group::Hash)
        .syntax("key#0 cursor/integer [MATCH pattern/pattern] [COUNT count/integer]")
        .summary("Iterates over the fields and values of a hash.")
        .takes_time("O(1) for each call, O(N) for all calls, N is the number of fields")
        .tips("nondeterministic_output"),
    command("hrandfield", -2, "readonly", |e, a| e.hrandfield(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("6.2.0", Group::Hash)
        .syntax("key#0 [options:(count/integer [WITHVALUES])]")
        .summary("Returns one or more random fields of a hash.")
        .takes_time("O(N), N is the number of fields returned")
        .tips("nondeterministic_output"),
];

impl<'a> Execution<'_, 'a> {
    /// HSET and HMSET.
    fn hset(
        &mut self,
        arguments: &[&'a [u8]],
        name: &'static str,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        if !arguments.len().is_multiple_of(2) {
            return Err(wrong_number(name));
        }
        let pairs = self.keep_pairs(&arguments[2..]);
        self.change(arguments[1], Change::Hash(HashChange::Set(pairs)), kind)
    }

    /// HGETALL, HKEYS and HVALS. A hash may be long, so it is not read under a lock.
    fn hash_parts(
        &mut self,
        key: &'a [u8],
        parts: HashParts,
        kind: ReplyKind,
    ) -> Result<(), CommandError> {
        let all = HashQuery::All { parts, most: self.room() };
        self.batch.unlocked_read(key, Query::Hash(all), kind);
        Ok(())
    }

    /// HINCRBYFLOAT. Unlike INCRBYFLOAT, it reads the number before it looks for the key, and refuses an infinity.
    fn hincrbyfloat(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let by = LongDouble::parse(arguments[3]).ok_or(ArgumentError::NotAFloat)?;
        if by.checked_add(LongDouble::ZERO).is_none() {
            return Err("ERR value is NaN or Infinity".into());
        }
        let increment = HashChange::IncrementFloat(arguments[2], by);
        self.change(arguments[1], Change::Hash(increment), ReplyKind::Value)
    }

    /// HRANDFIELD.
    fn hrandfield(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, most) = (arguments[1], self.room());
        let parts = HashParts::Fields;
        let Some(count) = arguments.get(2) else {
            let random = HashQuery::Random { count: None, parts, most };
            return self.read(key, Query::Hash(random), ReplyKind::Value);
        };
        let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
        if !COUNTS.contains(&count) {
            return Err(NOT_A_COUNT.into());
        }
        let (parts, kind) = match &arguments[3..] {
            [] => (parts, ReplyKind::Elements),
            [option] if is(option, "withvalues") => {
                if !PAIR_COUNTS.contains(&count) {
                    return Err("ERR value is out of range".into());
                }
                (HashParts::Both, ReplyKind::Pairs)
            }
            _ => return Err(SYNTAX),
        };
        let random = HashQuery::Random { count: Some(count), parts, most };
        self.batch.long_read(key, Query::Hash(random), kind);
        Ok(())
    }

    /// HSCAN.
    fn hscan(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, cursor) = (arguments[1], cursor(arguments[2])?);
        match ScanOptions::read(&arguments[3..], false) {
            Ok(ScanOptions { count, pattern, .. }) => {
                let scan = HashQuery::Scan { cursor, count, pattern, most: self.room() };
                self.batch.long_read(key, Query::Hash(scan), ReplyKind::Scanned);
            }
            // `hscanCommand` looks for the key before the options are read.
            Err(error) => {
                self.refuse_by_key(key, ValueType::Hash, error, MissingKeyReply::EmptyScan)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::command::test_client::TestClient;
    use hedgerow_db_formats::resp::read::Reply;
    use std::collections::{BTreeMap, BTreeSet};

    const FIELDS: usize = 2000;

    /// Returns a client of a database with a hash that is too long to be packed.
    fn with_long_hash() -> TestClient {
        let mut client = TestClient::new();
        for field in 0..FIELDS {
            client.send(format!("HSET long field{field} {field}\r\n").as_bytes());
        }
        assert_eq!(client.command("OBJECT ENCODING long"), "$9 hashtable");
        client
    }

    fn elements(reply: Reply) -> Vec<String> {
        let text = |reply| match reply {
            Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        match reply {
            Reply::Array(elements) => elements.into_iter().map(text).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn all() -> BTreeMap<String, String> {
        (0..FIELDS).map(|field| (format!("field{field}"), field.to_string())).collect()
    }

    /// Returns the fields with their values.
    fn pairs(elements: &[String]) -> BTreeMap<String, String> {
        let (pairs, []) = elements.as_chunks() else { panic!("a field without a value") };
        let found: BTreeMap<_, _> = pairs.iter().cloned().map(|[a, b]| (a, b)).collect();
        assert_eq!(found.len(), pairs.len(), "a field comes twice");
        found
    }

    #[test]
    fn all_of_a_long_hash_is_replied() {
        let mut client = with_long_hash();
        assert_eq!(pairs(&elements(client.reply("HGETALL long"))), all());
        let (keys, values) = (client.reply("HKEYS long"), client.reply("HVALS long"));
        let found = elements(keys).into_iter().zip(elements(values)).collect::<BTreeMap<_, _>>();
        assert_eq!(found, all(), "HKEYS and HVALS have different orders");
        assert_eq!(client.command("HLEN long"), format!(":{FIELDS}"));
        client.command("HELLO 3");
        let Reply::Map(found) = client.reply("HGETALL long") else { panic!("no map") };
        assert_eq!(found.len(), FIELDS);
    }

    #[test]
    fn a_walk_finds_each_field_of_a_long_hash_once() {
        let mut client = with_long_hash();
        let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let Reply::Array(reply) = client.reply(&format!("HSCAN long {cursor} COUNT 100"))
            else {
                panic!("no array");
            };
            let [next, part] = <[Reply; 2]>::try_from(reply).unwrap();
            let part = elements(part);
            assert!(part.len() <= 800, "{} elements of a call", part.len());
            found.extend(part);
            (cursor, calls) = (elements(Reply::Array(vec![next])).remove(0), calls + 1);
            if cursor == "0" {
                break;
            }
        }
        assert!(calls > 5, "{calls} calls");
        assert_eq!(pairs(&found), all());
    }

    #[test]
    fn random_fields_of_a_long_hash_are_different_or_not() {
        let mut client = with_long_hash();
        let all = all();
        let found = elements(client.reply("HRANDFIELD long 500"));
        let distinct: BTreeSet<_> = found.iter().collect();
        assert_eq!((found.len(), distinct.len()), (500, 500));
        assert!(found.iter().all(|field| all.contains_key(field)));
        assert_eq!(pairs(&elements(client.reply("HRANDFIELD long 5000 WITHVALUES"))), all);
        let found = elements(client.reply("HRANDFIELD long -5000"));
        let distinct: BTreeSet<_> = found.iter().collect();
        assert_eq!(found.len(), 5000);
        // Of 2,000 fields chosen 5,000 times, 1,836 are chosen on average.
        assert!((1700..1950).contains(&distinct.len()), "{} distinct fields", distinct.len());
    }

    /// A reply that does not fit is not sent at all.
    #[test]
    fn a_part_of_a_hash_is_never_all_of_it() {
        let mut client = with_long_hash();
        client.set_reply_limit(20_000);
        let read = "HGET long field1\r\nHGETALL long\r\n";
        let changed = "HSET long field1 1\r\nHGETALL long\r\n";
        let in_transaction = "MULTI\r\nHGETALL long\r\nEXEC\r\n";
        let random = "HRANDFIELD long -9223372036854775807\r\n";
        for input in [read, changed, in_transaction, random] {
            let replies = client.send(input.as_bytes());
            assert!(replies.len() < 100, "{}", replies.escape_ascii());
            assert_eq!(client.next(), crate::command::NextStep::Drop, "{input}");
            client.connect_again();
            client.set_reply_limit(20_000);
        }
    }
}
