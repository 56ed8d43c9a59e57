//! Commands about keys whose arguments need parsing.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, is, wrong_number};
use crate::command::execute::Execution;
use crate::command::expiration::Unit;
use crate::command::expiration::comparison;
use crate::command::lcs::LcsOptions;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{
    ACCESS, DELETE, INSERT, KeyUse, OW, RM, RO, RW, UPDATE, VARIABLE, key,
};
use hedgerow_db_engine::request::SetCondition;
use hedgerow_db_engine::request::{
    Change, Expiry, LONGEST_VALUE, LongDouble, MultiKeyOp, Query, ValueType,
};
use hedgerow_db_formats::number;

/// Returns whether an argument from `first` on is one of these words. As in Redis, it may also be the value of an
/// option.
fn has_option(arguments: &[&[u8]], first: usize, words: &[&str]) -> bool {
    arguments.iter().skip(first).any(|option| words.iter().any(|word| is(option, word)))
}

/// Makes the change of a SET without options.
#[inline]
pub(super) fn plain_set(value: &[u8], get: bool) -> Change<'_> {
    Change::Set { value, condition: SetCondition::Always, expiry: Expiry::Never, get }
}

/// The options of SET whose replies show the value, or tell whether it is the given one.
const SET_READS: [&str; 5] = ["get", "ifeq", "ifne", "ifdeq", "ifdne"];

fn use_of_set(arguments: &[&[u8]]) -> KeyUse {
    let reads = has_option(arguments, 3, &SET_READS);
    KeyUse(if reads { RW | ACCESS | UPDATE } else { OW | UPDATE })
}

/// Without a condition it is DEL. The reply with one tells whether the value is the given one.
fn use_of_delex(arguments: &[&[u8]]) -> KeyUse {
    KeyUse(if arguments.len() > 2 { RW | ACCESS | DELETE } else { RM | DELETE })
}

fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    number::integer(argument).ok_or(NOT_AN_INTEGER)
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("get", 2, "readonly fast", |e, a| e.read(a[1], Query::Pieces, ReplyKind::Value))
        .keys(&[key(1, RO | ACCESS)])
        .since("1.0.0", Group::String)
        .syntax("key#0")
        .summary("Returns the value of a key."),
    command("set", -3, "write denyoom", |e, a| e.set(a))
        .keys(&[key(1, RW | ACCESS | UPDATE | VARIABLE)
            .notes("RW and ACCESS due to the optional `GET` argument")])
        .used_by(use_of_set)
        .since("1.0.0", Group::String)
        .syntax(
            "key#0 value [condition:<NX|XX|IFEQ ifeq-value@8.4.0|IFNE ifne-value@8.4.0|\
            IFDEQ ifdeq-digest/integer@8.4.0|IFDNE ifdne-digest/integer@8.4.0>@2.6.12] \
            [GET@6.2.0] [expiration:<EX seconds/integer@2.6.12|PX \
            milliseconds/integer@2.6.12|EXAT unix-time-seconds/unix-time@6.2.0|PXAT \
            unix-time-milliseconds/unix-time@6.2.0|KEEPTTL@6.0.0>]",
        )
        .summary(
            "Sets the value of a key and, optionally, its expiration. Conditions on the \
            key can be given.",
        ),
    command("getdel", 2, "write fast", |e, a| e.change(a[1], Change::GetDelete, ReplyKind::Value))
        .keys(&[key(1, RW | ACCESS | DELETE)])
        .since("6.2.0", Group::String)
        .syntax("key#0")
        .summary("Returns the value of a key after deleting the key.")
        .takes_time("O(N), N is the number of bytes"),
    command("getex", -2, "write fast", |e, a| e.get_ex(a))
        .keys(&[key(1, RW | ACCESS | UPDATE).notes("RW and UPDATE because it changes the TTL")])
        .since("6.2.0", Group::String)
        .syntax(
            "key#0 [expiration:<EX seconds/integer|PX milliseconds/integer|EXAT \
            unix-time-seconds/unix-time|PXAT unix-time-milliseconds/unix-time|PERSIST>]",
        )
        .summary("Returns the value of a key after setting its expiration."),
    command("getset", 3, "write denyoom fast", |e, a| {
        e.change(a[1], plain_set(a[2], true), ReplyKind::Value)
    })
    .keys(&[key(1, RW | ACCESS | UPDATE)])
    .since("1.0.0", Group::String)
    .syntax("key#0 value")
    .summary("Sets the value of a key and returns its old value."),
    command("setex", 4, "write denyoom", |e, a| e.set_ex(a, Unit::Seconds, "setex"))
        .keys(&[key(1, OW | UPDATE)])
        .since("2.0.0", Group::String)
        .syntax("key#0 seconds/integer value")
        .summary("Sets the value of a key and its expiration in seconds."),
    command("psetex", 4, "write denyoom", |e, a| e.set_ex(a, Unit::Milliseconds, "psetex"))
        .keys(&[key(1, OW | UPDATE)])
        .since("2.6.0", Group::String)
        .syntax("key#0 milliseconds/integer value")
        .summary("Sets the value of a key and its expiration in milliseconds."),
    command("setnx", 3, "write denyoom fast", |e, a| {
        let (value, condition) = (a[2], SetCondition::IfAbsent);
        let set = Change::Set { value, condition, expiry: Expiry::Never, get: false };
        e.change(a[1], set, ReplyKind::DoneAsInteger)
    })
    .keys(&[key(1, OW | INSERT)])
    .since("1.0.0", Group::String)
    .syntax("key#0 value")
    .summary("Sets the value of a key if the key does not exist."),
    command("mget", -2, "readonly fast", |e, a| {
        e.read_all(&a[1..], Query::Pieces, ReplyKind::Values)
    })
    .keys(&[key(1, RO | ACCESS).to(-1, 1)])
    .since("1.0.0", Group::String)
    .syntax("key#0...")
    .summary("Returns the values of one or more keys, from one snapshot.")
    .takes_time("O(N), N is the number of keys")
    .tips("request_policy:multi_shard"),
    command("mset", -3, "write denyoom", |e, a| e.mset(a, "mset"))
        .keys(&[key(1, OW | UPDATE).to(-1, 2)])
        .since("1.0.1", Group::String)
        .syntax("key_value:(key#0 value)...")
        .summary("Sets the values of one or more keys, atomically.")
        .takes_time("O(N), N is the number of keys")
        .tips("request_policy:multi_shard response_policy:all_succeeded"),
    command("msetnx", -3, "write denyoom", |e, a| e.mset(a, "msetnx"))
        .keys(&[key(1, OW | INSERT).to(-1, 2)])
        .since("1.0.1", Group::String)
        .syntax("key_value:(key#0 value)...")
        .summary("Sets the values of one or more keys, atomically, if none of them exists.")
        .takes_time("O(N), N is the number of keys")
        .tips("request_policy:multi_shard response_policy:agg_min"),
    // Of Redis 8.4. The second argument is the number of pairs; COMMAND INFO shows no places of keys.
    command("msetex", -4, "write denyoom movablekeys", |e, a| e.mset_ex(a))
        .keys(&[key(1, OW | UPDATE).counted(2)])
        .since("8.4.0", Group::String)
        .syntax(
            "numkeys/integer data:(key#0 value)... [condition:<NX|XX>] [expiration:<EX \
            seconds/integer|PX milliseconds/integer|EXAT unix-time-seconds/unix-time|PXAT \
            unix-time-milliseconds/unix-time|KEEPTTL>]",
        )
        .summary(
            "Sets the values of one or more keys and, optionally, their expiration, atomically.",
        )
        .takes_time("O(N), N is the number of keys")
        .tips("request_policy:multi_shard response_policy:all_succeeded"),
    command("incr", 2, "write denyoom fast", |e, a| {
        e.change(a[1], Change::Increment(1), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | ACCESS | UPDATE)])
    .since("1.0.0", Group::String)
    .syntax("key#0")
    .summary("Increments the integer value of a key by one."),
    command("decr", 2, "write denyoom fast", |e, a| {
        e.change(a[1], Change::Increment(-1), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | ACCESS | UPDATE)])
    .since("1.0.0", Group::String)
    .syntax("key#0")
    .summary("Decrements the integer value of a key by one."),
    command("incrby", 3, "write denyoom fast", |e, a| e.incrby(a, false))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("1.0.0", Group::String)
        .syntax("key#0 increment/integer")
        .summary("Increments the integer value of a key by a number."),
    command("decrby", 3, "write denyoom fast", |e, a| e.incrby(a, true))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("1.0.0", Group::String)
        .syntax("key#0 decrement/integer")
        .summary("Decrements the integer value of a key by a number."),
    command("incrbyfloat", 3, "write denyoom fast", |e, a| e.incrbyfloat(a))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("2.6.0", Group::String)
        .syntax("key#0 increment/double")
        .summary("Increments the floating-point value of a key by a number."),
    command("append", 3, "write denyoom fast", |e, a| {
        e.change(a[1], Change::Append(a[2]), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | INSERT)])
    .since("2.0.0", Group::String)
    .syntax("key#0 value")
    .summary("Appends a string to the value of a key."),
    command("strlen", 2, "readonly fast", |e, a| e.read(a[1], Query::Length, ReplyKind::Integer))
        .keys(&[key(1, RO)])
        .since("2.2.0", Group::String)
        .syntax("key#0")
        .summary("Returns the length of a value."),
    command("getrange", 4, "readonly", |e, a| e.getrange(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.4.0", Group::String)
        .syntax("key#0 start/integer end/integer")
        .summary("Returns a range of bytes of a value.")
        .takes_time("O(N), N is the number of bytes"),
    command("substr", 4, "readonly", |e, a| e.getrange(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("1.0.0", Group::String)
        .syntax("key#0 start/integer end/integer")
        .summary("Returns a range of bytes of a value.")
        .takes_time("O(N), N is the number of bytes"),
    command("setrange", 4, "write denyoom", |e, a| e.setrange(a))
        .keys(&[key(1, RW | UPDATE)])
        .since("2.2.0", Group::String)
        .syntax("key#0 offset/integer value")
        .summary("Overwrites a part of a value, starting at an offset.")
        .takes_time("O(N), N is the number of bytes"),
    // Of Redis 8.4.
    command("digest", 2, "readonly fast", |e, a| {
        e.batch.long_read(a[1], Query::Digest, ReplyKind::Value);
        Ok(())
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("8.4.0", Group::String)
    .syntax("key#0")
    .summary("Returns the XXH3 of a value, in hexadecimal digits.")
    .takes_time("O(N), N is the number of bytes"),
    // Of Valkey 9, not of Redis.
    command("delifeq", 3, "write fast", |e, a| {
        e.change(a[1], Change::DeleteIf(SetCondition::IfEqual(a[2])), ReplyKind::Integer)
    })
    .keys(&[key(1, RW | ACCESS | DELETE)])
    .since("9.0.0", Group::String)
    .syntax("key#0 value")
    .summary("Deletes a key if it has the given value."),
    // Of Redis 8.4.
    command("delex", -2, "write fast movablekeys", |e, a| e.del_ex(a))
        .keys(&[key(1, RW | DELETE | VARIABLE)])
        .used_by(use_of_delex)
        .since("8.4.0", Group::String)
        .syntax(
            "key#0 [condition:<IFEQ ifeq-value|IFNE ifne-value|IFDEQ ifdeq-digest/integer|\
            IFDNE ifdne-digest/integer>]",
        )
        .summary(
            "Deletes a key if its value, or the digest of that, is the given one or another one.",
        )
        .takes_time("O(N), N is the number of bytes"),
    command("lcs", -3, "readonly", |e, a| e.lcs(a))
        .keys(&[key(1, RO | ACCESS).to(1, 1)])
        .since("7.0.0", Group::String)
        .syntax("key1#0 key2#0 [LEN] [IDX] [MINMATCHLEN len/integer] [WITHMATCHLEN]")
        .summary("Finds the longest common subsequence of two values.")
        .takes_time("O(N*M), N and M are the numbers of bytes"),
];

impl<'a> Execution<'_, 'a> {
    /// MSET and MSETNX.
    pub(super) fn mset(
        &mut self,
        arguments: &[&'a [u8]],
        name: &'static str,
    ) -> Result<(), CommandError> {
        if arguments.len().is_multiple_of(2) {
            return Err(wrong_number(name));
        }
        let pairs = self.keep_pairs(&arguments[1..]);
        if name == "msetnx" {
            let (exist, expiry) = (Some(false), Expiry::Never);
            let op = MultiKeyOp::SetAllIf { pairs, exist, expiry };
            self.batch.multi_key(op, ReplyKind::Integer);
        } else {
            self.batch.multi_key(MultiKeyOp::SetAll(pairs), ReplyKind::Done);
        }
        Ok(())
    }

    /// DELEX.
    pub(super) fn del_ex(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let key = arguments[1];
        match &arguments[2..] {
            [] => self.batch.change(key, Change::Delete, ReplyKind::Integer),
            [option, value] => {
                if let Some(condition) = comparison(option, value) {
                    self.batch.change(key, Change::DeleteIf(condition), ReplyKind::DeletedIf);
                } else {
                    let missing = MissingKeyReply::Integer(0);
                    self.refuse_by_key(key, ValueType::String, ArgumentError::Condition, missing)?;
                }
            }
            _ => return Err(wrong_number("delex")),
        }
        Ok(())
    }

    /// INCRBY and DECRBY.
    pub(super) fn incrby(
        &mut self,
        arguments: &[&'a [u8]],
        less: bool,
    ) -> Result<(), CommandError> {
        let mut by = integer(arguments[2])?;
        if less {
            // The least integer has no negative. `decrbyCommand` refuses it, too.
            by = by.checked_neg().ok_or("ERR decrement would overflow")?;
        }
        self.batch.change(arguments[1], Change::Increment(by), ReplyKind::Integer);
        Ok(())
    }

    /// INCRBYFLOAT.
    pub(super) fn incrbyfloat(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let Some(by) = LongDouble::parse(arguments[2]) else {
            let error = ArgumentError::NotAFloat;
            return self.refuse_by_key(
                arguments[1],
                ValueType::String,
                error,
                MissingKeyReply::Error,
            );
        };
        self.change(arguments[1], Change::IncrementFloat(by), ReplyKind::Value)
    }

    /// GETRANGE.
    pub(super) fn getrange(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let query = Query::RangePieces(integer(arguments[2])?, integer(arguments[3])?);
        self.batch.read(arguments[1], query, ReplyKind::Range);
        Ok(())
    }

    /// SETRANGE.
    pub(super) fn setrange(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let at = integer(arguments[2])?;
        let bytes = arguments[3];
        let at = usize::try_from(at).map_err(|_| "ERR offset is out of range")?;
        let too_long = at.checked_add(bytes.len()).is_none_or(|end| end > LONGEST_VALUE);
        // `setrangeCommand` checks the length only if there is something to write.
        if too_long && !bytes.is_empty() {
            let error = ArgumentError::ValueTooLong;
            return self.refuse_by_key(
                arguments[1],
                ValueType::String,
                error,
                MissingKeyReply::Error,
            );
        }
        self.batch.change(arguments[1], Change::SetRange { offset: at, bytes }, ReplyKind::Integer);
        Ok(())
    }

    /// LCS.
    pub(super) fn lcs(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        self.batch.lcs(&arguments[1..3], LcsOptions::read(&arguments[3..]));
        Ok(())
    }

    /// Replies the lines of a HELP subcommand.
    pub(super) fn help(&mut self, lines: &[&str]) -> Result<(), CommandError> {
        self.reply(|out| {
            out.array(lines.len() + 2);
            for line in lines.iter().chain(&["HELP", "    Prints this help."]) {
                out.simple(line);
            }
        });
        Ok(())
    }
}
