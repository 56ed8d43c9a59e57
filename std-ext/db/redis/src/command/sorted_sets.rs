//! Commands about sorted sets.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::lists::PopArguments;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::scan::{COUNTS, NOT_A_COUNT, ScanOptions, cursor};
use crate::command::sorted_ranges::{
    RangeArguments, RangeBy, RangeKind, index_range, member_range, score_range,
};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, OW, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{
    Change, MultiKeyOp, Popped, Query, Score, ScoreCondition, SortedSetChange, SortedSetQuery,
    SortedSetRange, ValueType,
};
use hedgerow_db_formats::number;
use hedgerow_db_formats::score;
use std::cmp::Ordering;

/// The numbers of members that ZRANDMEMBER takes with WITHSCORES.
const PAIR_COUNTS: std::ops::RangeInclusive<i64> = -i64::MAX / 2..=i64::MAX / 2;

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("zadd", -4, "write denyoom fast", |e, a| e.zadd(a))
    .keys(&[key(1, RW | UPDATE)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 [condition:<NX|XX>@3.0.2] [comparison:<GT|LT>@6.2.0] [change:CH@3.0.2] [increment:INCR@3.0.2] \
             score_member:(score/double member)...")
    .summary("Adds members to a sorted set, or sets their scores.")
    .takes_time("O(N log M), N is the number of members given, M that of the sorted set"),
    command("zincrby", 4, "write denyoom fast", |e, a| e.zincrby(a))
    .keys(&[key(1, RW | ACCESS | UPDATE)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 increment/integer member")
    .summary("Increments the score of a member of a sorted set by a number.")
    .takes_time("O(log N), N is the number of members"),
    command("zrem", -3, "write fast", |e, a| {
        let remove = SortedSetChange::Remove(e.keep(&a[2..]));
        e.change(a[1], Change::SortedSet(remove), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 member...")
    .summary("Removes members from a sorted set, and the sorted set with the last of them.")
    .takes_time("O(N log M), N is the number of members given, M that of the sorted set"),
    command("zremrangebyrank", 4, "write", |e, a| {
        e.remove_scored_range(a[1], index_range(a[2], a[3])?)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("2.0.0", Group::SortedSet)
    .syntax("key#0 start/integer stop/integer")
    .summary("Removes the members of a sorted set between two indices.")
    .takes_time("O(M log N), N is the number of members, M of those removed"),
    command("zremrangebyscore", 4, "write", |e, a| {
        e.remove_scored_range(a[1], score_range(a[2], a[3])?)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 min/double max/double")
    .summary("Removes the members of a sorted set with scores between two.")
    .takes_time("O(M log N), N is the number of members, M of those removed"),
    command("zremrangebylex", 4, "write", |e, a| {
        e.remove_scored_range(a[1], member_range(a[2], a[3])?)
    })
    .keys(&[key(1, RW | DELETE)])
    .since("2.8.9", Group::SortedSet)
    .syntax("key#0 min max")
    .summary("Removes the members of a sorted set between two others.")
    .takes_time("O(M log N), N is the number of members, M of those removed"),
    command("zrange", -4, "readonly", |e, a| e.zrange(a, RangeBy::default()))
    .keys(&[key(1, RO | ACCESS)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 start stop [sortby:<BYSCORE|BYLEX>@6.2.0] [REV@6.2.0] \
             [LIMIT offset_count:(offset/integer count/integer)@6.2.0] [WITHSCORES]")
    .summary("Returns the members of a sorted set in a range of indices, scores or members.")
    .takes_time("O(log N + M), N is the number of members, M of those returned"),
    command("zrangestore", -5, "write denyoom", |e, a| e.zrangestore(a))
    .keys(&[key(1, OW | UPDATE), key(2, RO | ACCESS)])
    .since("6.2.0", Group::SortedSet)
    .syntax("dst#0 src#1 min max [sortby:<BYSCORE|BYLEX>] [REV] [LIMIT offset_count:(offset/integer count/integer)]")
    .summary("Stores the members of a sorted set in a range as another sorted set.")
    .takes_time("O(log N + M), N is the number of members, M of those stored"),
    command("zrangebyscore", -4, "readonly", |e, a| {
        e.zrange(a, RangeBy { kind: Some(RangeKind::Scores), reverse: Some(false) })
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("1.0.5", Group::SortedSet)
    .syntax("key#0 min/double max/double [WITHSCORES@2.0.0] [LIMIT offset_count:(offset/integer count/integer)]")
    .summary("Returns the members of a sorted set with scores between two.")
    .takes_time("O(log N + M), N is the number of members, M of those returned"),
    command("zrevrangebyscore", -4, "readonly", |e, a| {
        e.zrange(a, RangeBy { kind: Some(RangeKind::Scores), reverse: Some(true) })
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.2.0", Group::SortedSet)
    .syntax("key#0 max/double min/double [WITHSCORES] [LIMIT offset_count:(offset/integer count/integer)]")
    .summary("Returns the members of a sorted set with scores between two, from the highest on.")
    .takes_time("O(log N + M), N is the number of members, M of those returned"),
    command("zrangebylex", -4, "readonly", |e, a| {
        e.zrange(a, RangeBy { kind: Some(RangeKind::Members), reverse: Some(false) })
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.8.9", Group::SortedSet)
    .syntax("key#0 min max [LIMIT offset_count:(offset/integer count/integer)]")
    .summary("Returns the members of a sorted set between two others.")
    .takes_time("O(log N + M), N is the number of members, M of those returned"),
    command("zrevrangebylex", -4, "readonly", |e, a| {
        e.zrange(a, RangeBy { kind: Some(RangeKind::Members), reverse: Some(true) })
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.8.9", Group::SortedSet)
    .syntax("key#0 max min [LIMIT offset_count:(offset/integer count/integer)]")
    .summary("Returns the members of a sorted set between two others, from the last on.")
    .takes_time("O(log N + M), N is the number of members, M of those returned"),
    command("zcount", 4, "readonly fast", |e, a| {
        let count = SortedSetQuery::Count(score_range(a[2], a[3])?);
        e.read(a[1], Query::SortedSet(count), ReplyKind::Integer)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::SortedSet)
    .syntax("key#0 min/double max/double")
    .summary("Returns how many members of a sorted set have scores between two.")
    .takes_time("O(log N), N is the number of members"),
    command("zlexcount", 4, "readonly fast", |e, a| {
        let count = SortedSetQuery::Count(member_range(a[2], a[3])?);
        e.read(a[1], Query::SortedSet(count), ReplyKind::Integer)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.8.9", Group::SortedSet)
    .syntax("key#0 min max")
    .summary("Returns how many members of a sorted set are between two others.")
    .takes_time("O(log N), N is the number of members"),
    command("zrevrange", -4, "readonly", |e, a| {
        e.zrange(a, RangeBy { kind: Some(RangeKind::Indices), reverse: Some(true) })
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 start/integer stop/integer [WITHSCORES]")
    .summary("Returns the members of a sorted set between two indices, from the highest score on.")
    .takes_time("O(log N + M), N is the number of members, M of those returned"),
    command("zcard", 2, "readonly fast", |e, a| {
        e.read(a[1], Query::SortedSet(SortedSetQuery::Length), ReplyKind::Integer)
    })
    .keys(&[key(1, RO)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0")
    .summary("Returns the number of members of a sorted set."),
    command("zscore", 3, "readonly fast", |e, a| {
        e.read(a[1], Query::SortedSet(SortedSetQuery::Score(a[2])), ReplyKind::Score)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("1.2.0", Group::SortedSet)
    .syntax("key#0 member")
    .summary("Returns the score of a member of a sorted set.")
    .takes_time("O(log N), N is the number of members"),
    command("zmscore", -3, "readonly fast", |e, a| {
        let scores = SortedSetQuery::Scores { members: e.keep(&a[2..]), most: e.room() };
        e.read(a[1], Query::SortedSet(scores), ReplyKind::Scores)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("6.2.0", Group::SortedSet)
    .syntax("key#0 member...")
    .summary("Returns the scores of members of a sorted set.")
    .takes_time("O(N log M), N is the number of members given, M that of the sorted set"),
    command("zrank", 3, "readonly fast", |e, a| {
        let rank = SortedSetQuery::Rank { member: a[2], reverse: false };
        e.read(a[1], Query::SortedSet(rank), ReplyKind::IntegerOrNull)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::SortedSet)
    .syntax("key#0 member")
    .summary("Returns the index of a member of a sorted set.")
    .takes_time("O(log N), N is the number of members"),
    command("zrevrank", 3, "readonly fast", |e, a| {
        let rank = SortedSetQuery::Rank { member: a[2], reverse: true };
        e.read(a[1], Query::SortedSet(rank), ReplyKind::IntegerOrNull)
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("2.0.0", Group::SortedSet)
    .syntax("key#0 member")
    .summary("Returns the index of a member of a sorted set, from the highest score on.")
    .takes_time("O(log N), N is the number of members"),
    command("zscan", -3, "readonly", |e, a| e.zscan(a))
    .keys(&[key(1, RO | ACCESS)])
    .since("2.8.0", Group::SortedSet)
    .syntax("key#0 cursor/integer [MATCH pattern/pattern] [COUNT count/integer]")
    .summary("Iterates over the members and scores of a sorted set.")
    .takes_time("O(1) for each call, O(N) for all calls, N is the number of members")
    .tips("nondeterministic_output"),
    command("zpopmin", -2, "write fast", |e, a| e.zpop(a, true))
    .keys(&[key(1, RW | ACCESS | DELETE)])
    .since("5.0.0", Group::SortedSet)
    .syntax("key#0 [count/integer]")
    .summary("Removes and returns the members of a sorted set with the lowest scores.")
    .takes_time("O(M log N), N is the number of members, M of those returned"),
    command("zpopmax", -2, "write fast", |e, a| e.zpop(a, false))
    .keys(&[key(1, RW | ACCESS | DELETE)])
    .since("5.0.0", Group::SortedSet)
    .syntax("key#0 [count/integer]")
    .summary("Removes and returns the members of a sorted set with the highest scores.")
    .takes_time("O(M log N), N is the number of members, M of those returned"),
    command("zmpop", -4, "write movablekeys", |e, a| {
        let pop = PopArguments::read(a, 1, lowest)?;
        let popped = Popped::SortedSet { lowest: pop.what };
        e.pop_first(pop.keys, popped, pop.count, ReplyKind::PoppedScored);
        Ok(())
    })
    .keys(&[key(1, RW | ACCESS | DELETE).counted(1)])
    .since("7.0.0", Group::SortedSet)
    .syntax("numkeys/integer key#0... where:<MIN|MAX> [COUNT count/integer]")
    .summary("Removes and returns members of the first of several sorted sets that has any.")
    .takes_time("O(K + M log N), K is the number of keys, M of members returned, N of the sorted set's"),
    command("zrandmember", -2, "readonly", |e, a| e.zrandmember(a))
    .keys(&[key(1, RO | ACCESS)])
    .since("6.2.0", Group::SortedSet)
    .syntax("key#0 [options:(count/integer [WITHSCORES])]")
    .summary("Returns one or more random members of a sorted set.")
    .takes_time("O(N), N is the number of members returned")
    .tips("nondeterministic_output"),
];

/// Reads the name of an end of a sorted set.
pub(super) fn lowest(name: &[u8]) -> Result<bool, CommandError> {
    match name {
        name if is(name, "min") => Ok(true),
        name if is(name, "max") => Ok(false),
        _ => Err(SYNTAX),
    }
}

/// Reads a score.
pub(super) fn read_score(text: &[u8]) -> Result<Score, CommandError> {
    let score = score::parse(text).and_then(Score::new);
    score.ok_or_else(|| ArgumentError::NotAFloat.into())
}

/// The options of ZADD.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "words that a client gives or not, in any combination"
)]
struct AddOptions {
    if_missing: bool,
    if_present: bool,
    if_greater: bool,
    if_less: bool,
    counts_changed: bool,
    increments: bool,
}

impl AddOptions {
    /// Reads the options at the beginning of some arguments. Returns also the others.
    fn read<'s, 'a>(mut rest: &'s [&'a [u8]]) -> (Self, &'s [&'a [u8]]) {
        let mut options = Self::default();
        while let [option, behind @ ..] = rest {
            *match option {
                option if is(option, "nx") => &mut options.if_missing,
                option if is(option, "xx") => &mut options.if_present,
                option if is(option, "gt") => &mut options.if_greater,
                option if is(option, "lt") => &mut options.if_less,
                option if is(option, "ch") => &mut options.counts_changed,
                option if is(option, "incr") => &mut options.increments,
                _ => break,
            } = true;
            rest = behind;
        }
        (options, rest)
    }

    /// Returns the condition, if there can be such a one, of as many members.
    fn condition(&self, members: usize) -> Result<ScoreCondition, CommandError> {
        if self.if_missing && self.if_present {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        let comparisons = u8::from(self.if_greater) + u8::from(self.if_less);
        if comparisons + u8::from(self.if_missing) > 1 && comparisons > 0 {
            return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
        }
        if self.increments && members > 1 {
            return Err("ERR INCR option supports a single increment-element pair".into());
        }
        let exists = match (self.if_missing, self.if_present) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            _ => None,
        };
        let compares = match (self.if_greater, self.if_less) {
            (true, _) => Some(Ordering::Greater),
            (_, true) => Some(Ordering::Less),
            _ => None,
        };
        Ok(ScoreCondition { exists, compares })
    }
}

impl<'a> Execution<'_, 'a> {
    /// ZADD.
    fn zadd(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (options, rest) = AddOptions::read(&arguments[2..]);
        let (pairs, []) = rest.as_chunks() else { return Err(SYNTAX) };
        if pairs.is_empty() {
            return Err(SYNTAX);
        }
        let condition = options.condition(pairs.len())?;
        let scored = |&[score, member]: &[&'a [u8]; 2]| Ok((read_score(score)?, member));
        let members: Vec<(Score, &[u8])> =
            pairs.iter().map(scored).collect::<Result<_, CommandError>>()?;
        if let (true, [(by, member)]) = (options.increments, &members[..]) {
            let increment = SortedSetChange::Increment { member, by: *by, condition };
            return self.change(arguments[1], Change::SortedSet(increment), ReplyKind::Score);
        }
        let (members, counts_changed) = (self.keep(&members), options.counts_changed);
        let change = SortedSetChange::SetIf { members, condition, counts_changed };
        self.change(arguments[1], Change::SortedSet(change), ReplyKind::Integer)
    }

    /// ZINCRBY.
    fn zincrby(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (by, condition) = (read_score(arguments[2])?, ScoreCondition::default());
        let increment = SortedSetChange::Increment { member: arguments[3], by, condition };
        self.change(arguments[1], Change::SortedSet(increment), ReplyKind::Score)
    }

    /// ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX.
    fn remove_scored_range(
        &mut self,
        key: &'a [u8],
        range: SortedSetRange<'a>,
    ) -> Result<(), CommandError> {
        let remove = SortedSetChange::RemoveRange(range);
        self.change(key, Change::SortedSet(remove), ReplyKind::Integer)
    }

    /// ZRANGE and its older forms. A range may be long, so it is not read under a lock.
    fn zrange(&mut self, arguments: &[&'a [u8]], by: RangeBy) -> Result<(), CommandError> {
        let range = RangeArguments::read(&arguments[2..], by, true)?;
        let with_scores = range.with_scores;
        let kind = if with_scores { ReplyKind::Scored } else { ReplyKind::Elements };
        let most = self.room();
        let selection = &self.keep(&[range.selection])[0];
        let query = SortedSetQuery::Range { selection, with_scores, most };
        self.batch.unlocked_read(arguments[1], Query::SortedSet(query), kind);
        Ok(())
    }

    /// ZRANGESTORE.
    fn zrangestore(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (to, from) = (arguments[1], arguments[2]);
        let range = RangeArguments::read(&arguments[3..], RangeBy::default(), false)?;
        let selection = &self.keep(&[range.selection])[0];
        let op = MultiKeyOp::StoreRange { from, selection, to };
        self.batch.multi_key(op, ReplyKind::Integer);
        Ok(())
    }

    /// ZPOPMIN and ZPOPMAX.
    fn zpop(&mut self, arguments: &[&'a [u8]], lowest: bool) -> Result<(), CommandError> {
        let (count, kind) = match &arguments[2..] {
            [] => (1, ReplyKind::FlatScored),
            [count] => {
                let count = number::integer(count).and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or("ERR value is out of range, must be positive")?;
                (count, ReplyKind::Scored)
            }
            _ => return Err(SYNTAX),
        };
        let pop = SortedSetChange::Pop { lowest, count, most: self.room() };
        self.change(arguments[1], Change::SortedSet(pop), kind)
    }

    /// ZRANDMEMBER.
    fn zrandmember(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, most) = (arguments[1], self.room());
        let Some(count) = arguments.get(2) else {
            let random = SortedSetQuery::Random { count: None, with_scores: false, most };
            return self.read(key, Query::SortedSet(random), ReplyKind::Value);
        };
        let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
        if !COUNTS.contains(&count) {
            return Err(NOT_A_COUNT.into());
        }
        let (with_scores, kind) = match &arguments[3..] {
            [] => (false, ReplyKind::Elements),
            [option] if is(option, "withscores") => {
                if !PAIR_COUNTS.contains(&count) {
                    return Err("ERR value is out of range".into());
                }
                (true, ReplyKind::Scored)
            }
            _ => return Err(SYNTAX),
        };
        let random = SortedSetQuery::Random { count: Some(count), with_scores, most };
        self.batch.long_read(key, Query::SortedSet(random), kind);
        Ok(())
    }

    /// ZSCAN.
    fn zscan(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, cursor) = (arguments[1], cursor(arguments[2])?);
        match ScanOptions::read(&arguments[3..], false) {
            Ok(ScanOptions { count, pattern, .. }) => {
                let scan = SortedSetQuery::Scan { cursor, count, pattern, most: self.room() };
                self.batch.long_read(key, Query::SortedSet(scan), ReplyKind::Scanned);
            }
            // `zscanCommand` looks for the key before the options are read.
            Err(error) => {
                let missing = MissingKeyReply::EmptyScan;
                self.refuse_by_key(key, ValueType::SortedSet, error, missing)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::command::test_client::TestClient;
    use hedgerow_db_formats::resp::read::Reply;

    const MEMBERS: usize = 2000;

    /// Returns a client of a database with a sorted set that is too long to be packed.
    fn with_long_set() -> TestClient {
        let mut client = TestClient::new();
        for member in 0..MEMBERS {
            client.send(format!("ZADD long {} member{member}\r\n", member / 2).as_bytes());
        }
        assert_eq!(client.command("OBJECT ENCODING long"), "$8 skiplist");
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

    #[test]
    fn a_walk_finds_each_member_of_a_long_sorted_set_once() {
        let mut client = with_long_set();
        let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let request = format!("ZSCAN long {cursor} COUNT 100");
            let Reply::Array(reply) = client.reply(&request) else { panic!("no array") };
            let [next, part] = <[Reply; 2]>::try_from(reply).unwrap();
            found.extend(elements(part));
            (cursor, calls) = (elements(Reply::Array(vec![next])).remove(0), calls + 1);
            if cursor == "0" {
                break;
            }
        }
        assert!(calls > 5, "{calls} calls");
        let (pairs, []) = found.as_chunks() else { panic!("a member without a score") };
        let mut pairs: Vec<&[String; 2]> = pairs.iter().collect();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!((pairs.len(), found.len()), (MEMBERS, 2 * MEMBERS));
        assert!(pairs.iter().all(|[member, score]| {
            member["member".len()..].parse::<usize>().unwrap() / 2
                == score.parse::<usize>().unwrap()
        }));
    }

    #[test]
    fn ranges_of_a_long_sorted_set_are_removed() {
        let mut client = with_long_set();
        assert_eq!(client.command("ZREMRANGEBYSCORE long 10 (20"), ":20");
        assert_eq!(client.command("ZREMRANGEBYRANK long -100 -1"), ":100");
        assert_eq!(client.command("ZCARD long"), ":1880");
        let popped = elements(client.reply("ZPOPMIN long 22"));
        assert_eq!((popped.len(), &*popped[42], &*popped[43]), (44, "member41", "20"));
        assert_eq!(client.command("ZREMRANGEBYRANK long 0 -1"), ":1858");
        assert_eq!(client.command("EXISTS long"), ":0");
    }

    /// A reply that does not fit is not sent at all, and what it would show is not removed.
    #[test]
    fn a_part_of_a_sorted_set_is_never_all_of_it() {
        let mut client = with_long_set();
        client.set_reply_limit(20_000);
        for input in [
            "ZSCORE long member1\r\nZRANGE long 0 -1\r\n",
            "MULTI\r\nZRANGE long 0 -1 WITHSCORES\r\nEXEC\r\n",
            "ZRANDMEMBER long -9223372036854775807\r\n",
            "ZPOPMIN long 2000\r\n",
        ] {
            let replies = client.send(input.as_bytes());
            assert!(replies.len() < 100, "{}", replies.escape_ascii());
            assert_eq!(client.next(), crate::command::NextStep::Drop, "{input}");
            client.connect_again();
            client.set_reply_limit(20_000);
        }
        assert_eq!(client.command("ZCARD long"), format!(":{MEMBERS}"));
    }
}
