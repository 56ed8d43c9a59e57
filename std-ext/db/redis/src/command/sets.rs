//! Commands about sets.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::scan::{COUNTS, NOT_A_COUNT, ScanOptions, cursor};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, RO, RW, key};
use hedgerow_db_engine::request::{Change, MultiKeyOp, Query, SetChange, SetQuery, ValueType};
use hedgerow_db_formats::number;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("sadd", -3, "write denyoom fast", |e, a| {
        let add = SetChange::Add(e.keep(&a[2..]));
        e.change(a[1], Change::Members(add), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | INSERT)])
    .since("1.0.0", Group::Set)
    .syntax("key#0 member...")
    .summary("Adds one or more members to a set.")
    .takes_time("O(N log M), N is the number of members given, M that of the set"),
    command("sismember", 3, "readonly fast", |e, a| {
        e.read(a[1], Query::Members(SetQuery::Contains(a[2])), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("1.0.0", Group::Set)
    .syntax("key#0 member")
    .summary("Returns whether a set has a member.")
    .takes_time("O(log N), N is the number of members"),
    command("smembers", 2, "readonly", |e, a| {
        // A set may be long, so it is not read under a lock.
        let all = SetQuery::All { most: e.room() };
        e.batch.unlocked_read(a[1], Query::Members(all), ReplyKind::Members);
        Ok(())
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("1.0.0", Group::Set)
    .syntax("key#0")
    .summary("Returns all members of a set.")
    .takes_time("O(N), N is the number of members")
    .tips("nondeterministic_output_order"),
    command("srem", -3, "write fast", |e, a| {
        let remove = SetChange::Remove(e.keep(&a[2..]));
        e.change(a[1], Change::Members(remove), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("1.0.0", Group::Set)
    .syntax("key#0 member...")
    .summary("Removes one or more members from a set, and the set with the last of them.")
    .takes_time("O(N log M), N is the number of members given, M that of the set"),
    command("scard", 2, "readonly fast", |e, a| {
        e.read(a[1], Query::Members(SetQuery::Length), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("1.0.0", Group::Set)
    .syntax("key#0")
    .summary("Returns the number of members of a set."),
    command("smismember", -3, "readonly fast", |e, a| {
        let members = SetQuery::ContainsAll(e.keep(&a[2..]));
        e.read(a[1], Query::Members(members), ReplyKind::Fields)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("6.2.0", Group::Set)
    .syntax("key#0 member...")
    .summary("Returns for each of several members whether a set has it.")
    .takes_time("O(N log M), N is the number of members given, M that of the set"),
    command("spop", -2, "write fast", |e, a| e.spop(a))
        .keys(&[key(1, RW | ACCESS | DELETE)])
        .since("1.0.0", Group::Set)
        .syntax("key#0 [count/integer@3.2.0]")
        .summary("Removes one or more random members from a set, and returns them.")
        .takes_time("O(N log M), N is the number of members removed, M that of the set")
        .tips("nondeterministic_output"),
    command("srandmember", -2, "readonly", |e, a| e.srandmember(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("1.0.0", Group::Set)
        .syntax("key#0 [count/integer@2.6.0]")
        .summary("Returns one or more random members of a set.")
        .takes_time("O(N), N is the number of members returned")
        .tips("nondeterministic_output"),
    command("smove", 4, "write fast", |e, a| {
        let op = MultiKeyOp::MoveMember { from: a[1], to: a[2], member: a[3] };
        e.batch.multi_key(op, ReplyKind::Integer);
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)])
    .since("1.0.0", Group::Set)
    .syntax("source#0 destination#1 member")
    .summary("Moves a member from one set to another.")
    .takes_time("O(log N), N is the number of members"),
    command("sscan", -3, "readonly", |e, a| e.sscan(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.8.0", Group::Set)
        .syntax("key#0 cursor/integer [MATCH pattern/pattern] [COUNT count/integer]")
        .summary("Iterates over the members of a set.")
        .takes_time("O(1) for each call, O(N) for all calls, N is the number of members")
        .tips("nondeterministic_output"),
];

impl<'a> Execution<'_, 'a> {
    /// SPOP.
    fn spop(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, most) = (arguments[1], self.room());
        let (count, kind) = match &arguments[2..] {
            [] => (None, ReplyKind::Value),
            [count] => {
                let count = number::integer(count).and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or("ERR value is out of range, must be positive")?;
                (Some(count), ReplyKind::Members)
            }
            _ => return Err(SYNTAX),
        };
        self.change(key, Change::Members(SetChange::Pop { count, most }), kind)
    }

    /// SRANDMEMBER.
    fn srandmember(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, most) = (arguments[1], self.room());
        let count = match &arguments[2..] {
            [] => {
                let random = SetQuery::Random { count: None, most };
                return self.read(key, Query::Members(random), ReplyKind::Value);
            }
            [count] => number::integer(count).ok_or(NOT_AN_INTEGER)?,
            _ => return Err(SYNTAX),
        };
        if !COUNTS.contains(&count) {
            return Err(NOT_A_COUNT.into());
        }
        let random = SetQuery::Random { count: Some(count), most };
        self.batch.long_read(key, Query::Members(random), ReplyKind::Elements);
        Ok(())
    }

    /// SSCAN.
    fn sscan(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, cursor) = (arguments[1], cursor(arguments[2])?);
        match ScanOptions::read(&arguments[3..], false) {
            Ok(ScanOptions { count, pattern, .. }) => {
                let scan = SetQuery::Scan { cursor, count, pattern, most: self.room() };
                self.batch.long_read(key, Query::Members(scan), ReplyKind::Scanned);
            }
            // `sscanCommand` looks for the key before the options are read.
            Err(error) => {
                self.refuse_by_key(key, ValueType::Set, error, MissingKeyReply::EmptyScan)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::command::test_client::TestClient;
    use hedgerow_db_formats::resp::read::Reply;
    use std::collections::BTreeSet;

    const MEMBERS: usize = 2000;

    /// Returns a client of a database with a set that is too long to be packed.
    fn with_long_set() -> TestClient {
        let mut client = TestClient::new();
        for member in 0..MEMBERS {
            client.send(format!("SADD long member{member}\r\n").as_bytes());
        }
        assert_eq!(client.command("OBJECT ENCODING long"), "$9 hashtable");
        client
    }

    fn members(reply: Reply) -> Vec<String> {
        let text = |reply| match reply {
            Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        match reply {
            Reply::Array(members) => members.into_iter().map(text).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn all() -> BTreeSet<String> {
        (0..MEMBERS).map(|member| format!("member{member}")).collect()
    }

    /// Returns the members, none of which comes twice.
    fn distinct(members: &[String]) -> BTreeSet<String> {
        let distinct: BTreeSet<_> = members.iter().cloned().collect();
        assert_eq!(distinct.len(), members.len(), "a member comes twice");
        distinct
    }

    #[test]
    fn a_walk_finds_each_member_of_a_long_set_once() {
        let mut client = with_long_set();
        assert_eq!(distinct(&members(client.reply("SMEMBERS long"))), all());
        let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let Reply::Array(reply) = client.reply(&format!("SSCAN long {cursor} COUNT 100"))
            else {
                panic!("no array");
            };
            let [next, part] = <[Reply; 2]>::try_from(reply).unwrap();
            let part = members(part);
            assert!(part.len() <= 400, "{} members of a call", part.len());
            found.extend(part);
            (cursor, calls) = (members(Reply::Array(vec![next])).remove(0), calls + 1);
            if cursor == "0" {
                break;
            }
        }
        assert!(calls > 5, "{calls} calls");
        assert_eq!(distinct(&found), all());
    }

    #[test]
    fn random_members_are_chosen_and_removed() {
        let mut client = with_long_set();
        let found = members(client.reply("SRANDMEMBER long 500"));
        assert_eq!(found.len(), 500);
        assert!(distinct(&found).is_subset(&all()));
        let found = members(client.reply("SRANDMEMBER long -5000"));
        let different: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(found.len(), 5000);
        // Of 2,000 members chosen 5,000 times, 1,836 are chosen on average.
        assert!((1700..1950).contains(&different.len()), "{} members", different.len());
        // Some, most and all of those that are left.
        let mut removed = Vec::new();
        for (count, left) in [(300, 1700), (1500, 200), (5000, 0)] {
            removed.extend(members(client.reply(&format!("SPOP long {count}"))));
            assert_eq!(client.command("SCARD long"), format!(":{left}"));
        }
        assert_eq!(distinct(&removed), all());
        assert_eq!(client.command("EXISTS long"), ":0");
    }

    /// What cannot be sent is not removed.
    #[test]
    fn members_that_do_not_fit_into_a_reply_stay() {
        let mut client = with_long_set();
        client.set_reply_limit(20_000);
        assert!(client.send(b"SPOP long 1999\r\n").is_empty());
        assert_eq!(client.next(), crate::command::NextStep::Drop);
        client.connect_again();
        assert_eq!(client.command("SCARD long"), format!(":{MEMBERS}"));
        for input in ["SMEMBERS long\r\n", "SUNION long long\r\n", "SDIFF long missing\r\n"] {
            client.set_reply_limit(20_000);
            assert!(client.send(input.as_bytes()).is_empty(), "{input}");
            assert_eq!(client.next(), crate::command::NextStep::Drop, "{input}");
            client.connect_again();
        }
    }
}
