//! Commands that set an expiration: SET and its variants, EXPIRE and its variants.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is, shown};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind};
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{
    Change, ExpireCondition, Expiry, MultiKeyOp, Query, SetCondition, ValueType,
};
use hedgerow_db_formats::number;
use std::mem::discriminant;

/// Whether a time is relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeBase {
    Relative,
    Absolute,
}

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

pub(super) type TimeFormat = (TimeBase, Unit);

/// Returns the time format that an option of SET names.
pub(super) fn format(option: &[u8]) -> Option<TimeFormat> {
    let options = [
        ("ex", (TimeBase::Relative, Unit::Seconds)),
        ("px", (TimeBase::Relative, Unit::Milliseconds)),
        ("exat", (TimeBase::Absolute, Unit::Seconds)),
        ("pxat", (TimeBase::Absolute, Unit::Milliseconds)),
    ];
    options.iter().find(|(name, _)| is(option, name)).map(|&(_, format)| format)
}

/// Returns the time that an option names, unless another option has named one. Of the same option given twice, Redis
/// takes the last.
pub(super) fn last_time<'a>(
    before: Option<(TimeFormat, &[u8])>,
    format: TimeFormat,
    time: Option<&&'a [u8]>,
) -> Result<(TimeFormat, &'a [u8]), CommandError> {
    match time {
        Some(time) if before.is_none_or(|(before, _)| before == format) => Ok((format, time)),
        _ => Err(SYNTAX),
    }
}

pub(super) fn invalid(name: &str) -> CommandError {
    format!("ERR invalid expire time in '{name}' command").into()
}

/// Converts a time to milliseconds since 1970; the result may be negative.
pub(super) fn absolute_ms(
    (from, unit): TimeFormat,
    time: i64,
    now: impl FnOnce() -> u64,
    name: &str,
) -> Result<i64, CommandError> {
    let time = match unit {
        // Overflow is an invalid expire time, as in `getExpireMillisecondsOrReply`.
        Unit::Seconds => time.checked_mul(1000),
        Unit::Milliseconds => Some(time),
    };
    let now = || i64::try_from(now()).unwrap_or(i64::MAX);
    let time_ms = match from {
        TimeBase::Relative => time.and_then(|time| time.checked_add(now())),
        TimeBase::Absolute => time,
    };
    time_ms.ok_or_else(|| invalid(name))
}

/// Returns the condition that compares the old value, if the option is one. Redis 7 has none: IFEQ is of Valkey 8.1,
/// and all are of Redis 8.4.
pub(super) fn comparison<'a>(option: &[u8], value: &'a [u8]) -> Option<SetCondition<'a>> {
    match option {
        option if is(option, "ifeq") => Some(SetCondition::IfEqual(value)),
        option if is(option, "ifne") => Some(SetCondition::IfNotEqual(value)),
        option if is(option, "ifdeq") => Some(SetCondition::IfDigest(value)),
        option if is(option, "ifdne") => Some(SetCondition::IfNotDigest(value)),
        _ => None,
    }
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("expire", -3, "write fast", |e, a| {
        e.expire(a, (TimeBase::Relative, Unit::Seconds), "expire")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("1.0.0", Group::Generic)
    .syntax("key#0 seconds/integer [condition:<NX|XX|GT|LT>@7.0.0]")
    .summary("Sets the expiration of a key in seconds."),
    command("pexpire", -3, "write fast", |e, a| {
        e.expire(a, (TimeBase::Relative, Unit::Milliseconds), "pexpire")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("2.6.0", Group::Generic)
    .syntax("key#0 milliseconds/integer [condition:<NX|XX|GT|LT>@7.0.0]")
    .summary("Sets the expiration of a key in milliseconds."),
    command("expireat", -3, "write fast", |e, a| {
        e.expire(a, (TimeBase::Absolute, Unit::Seconds), "expireat")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("1.2.0", Group::Generic)
    .syntax("key#0 unix-time-seconds/unix-time [condition:<NX|XX|GT|LT>@7.0.0]")
    .summary("Sets the expiration of a key to a Unix time in seconds."),
    command("pexpireat", -3, "write fast", |e, a| {
        e.expire(a, (TimeBase::Absolute, Unit::Milliseconds), "pexpireat")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("2.6.0", Group::Generic)
    .syntax("key#0 unix-time-milliseconds/unix-time [condition:<NX|XX|GT|LT>@7.0.0]")
    .summary("Sets the expiration of a key to a Unix time in milliseconds."),
    command("ttl", 2, "readonly fast", |e, a| e.read(a[1], Query::Expiry, ttl(true, false)))
        .keys(&[key(1, RO | ACCESS)])
        .since("1.0.0", Group::Generic)
        .syntax("key#0")
        .summary("Returns the remaining time to live of a key in seconds.")
        .tips("nondeterministic_output"),
    command("pttl", 2, "readonly fast", |e, a| e.read(a[1], Query::Expiry, ttl(false, false)))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.6.0", Group::Generic)
        .syntax("key#0")
        .summary("Returns the remaining time to live of a key in milliseconds.")
        .tips("nondeterministic_output"),
    command("expiretime", 2, "readonly fast", |e, a| e.read(a[1], Query::Expiry, ttl(true, true)))
        .keys(&[key(1, RO | ACCESS)])
        .since("7.0.0", Group::Generic)
        .syntax("key#0")
        .summary("Returns the expiration of a key as a Unix time in seconds."),
    command("pexpiretime", 2, "readonly fast", |e, a| {
        e.read(a[1], Query::Expiry, ttl(false, true))
    })
    .keys(&[key(1, RO | ACCESS)])
    .since("7.0.0", Group::Generic)
    .syntax("key#0")
    .summary("Returns the expiration of a key as a Unix time in milliseconds."),
    command("persist", 2, "write fast", |e, a| {
        e.persist(a[1]);
        Ok(())
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("2.2.0", Group::Generic)
    .syntax("key#0")
    .summary("Removes the expiration of a key."),
];

impl<'a> Execution<'_, 'a> {
    /// Returns the expiration for a time that must be positive.
    fn expiry(&self, format: TimeFormat, time: &[u8], name: &str) -> Result<Expiry, CommandError> {
        let time = number::integer(time).ok_or(NOT_AN_INTEGER)?;
        // SET and GETEX refuse it (`getExpireMillisecondsOrReply`); EXPIRE takes it as a time that has passed.
        if time <= 0 {
            return Err(invalid(name));
        }
        let end = absolute_ms(format, time, || self.now(), name)?;
        Ok(Expiry::At(end.unsigned_abs()))
    }

    /// SET with options.
    pub(super) fn set(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (key, value) = (arguments[1], arguments[2]);
        let (mut condition, mut get) = (SetCondition::Always, false);
        let mut expiry: Option<(TimeFormat, &[u8])> = None;
        let mut keeps = false;
        let mut options = arguments[3..].iter();
        while let Some(option) = options.next() {
            use SetCondition::{Always, IfAbsent, IfPresent};
            if is(option, "nx") && matches!(condition, Always | IfAbsent) {
                condition = IfAbsent;
            } else if is(option, "xx") && matches!(condition, Always | IfPresent) {
                condition = IfPresent;
            } else if let Some(value) = options.as_slice().first()
                && let Some(compares) = comparison(option, value)
                // Of the same option given twice, Redis takes the last.
                && (condition == Always || discriminant(&condition) == discriminant(&compares))
            {
                options.next();
                condition = compares;
            } else if is(option, "get") {
                get = true;
            } else if is(option, "keepttl") && expiry.is_none() {
                keeps = true;
            } else {
                let format = format(option).filter(|_| !keeps).ok_or(SYNTAX)?;
                expiry = Some(last_time(expiry, format, options.next())?);
            }
        }
        let expiry = self.given_expiry(expiry, keeps, "set")?;
        let kind = if get { ReplyKind::Value } else { ReplyKind::Done };
        self.batch.change(key, Change::Set { value, condition, expiry, get }, kind);
        Ok(())
    }

    /// Returns the expiration of a command that has options for it.
    fn given_expiry(
        &self,
        given: Option<(TimeFormat, &[u8])>,
        keeps: bool,
        name: &str,
    ) -> Result<Expiry, CommandError> {
        match given {
            Some((format, time)) => self.expiry(format, time, name),
            None if keeps => Ok(Expiry::Keep),
            None => Ok(Expiry::Never),
        }
    }

    /// MSETEX.
    pub(super) fn mset_ex(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let count = number::integer(arguments[1]).and_then(|count| i32::try_from(count).ok());
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
        // At most twice an `i32`, so it cannot overflow.
        let words = 2 * count.ok_or("ERR invalid numkeys value")?;
        let all = &arguments[2..];
        let (pairs, options) =
            all.split_at_checked(words).ok_or("ERR wrong number of key-value pairs")?;
        let (mut exist, mut expiry, mut keeps) = (None, None, false);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            if is(option, "nx") && exist != Some(true) {
                exist = Some(false);
            } else if is(option, "xx") && exist != Some(false) {
                exist = Some(true);
            } else if is(option, "keepttl") && expiry.is_none() {
                keeps = true;
            } else {
                let format = format(option).filter(|_| !keeps).ok_or(SYNTAX)?;
                expiry = Some(last_time(expiry, format, options.next())?);
            }
        }
        let expiry = self.given_expiry(expiry, keeps, "msetex")?;
        let op = MultiKeyOp::SetAllIf { pairs: self.keep_pairs(pairs), exist, expiry };
        self.batch.multi_key(op, ReplyKind::Integer);
        Ok(())
    }

    /// SETEX and PSETEX.
    pub(super) fn set_ex(
        &mut self,
        arguments: &[&'a [u8]],
        unit: Unit,
        name: &'static str,
    ) -> Result<(), CommandError> {
        let expiry = self.expiry((TimeBase::Relative, unit), arguments[2], name)?;
        let (value, condition) = (arguments[3], SetCondition::Always);
        let set = Change::Set { value, condition, expiry, get: false };
        self.batch.change(arguments[1], set, ReplyKind::Done);
        Ok(())
    }

    /// GETEX.
    pub(super) fn get_ex(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let key = arguments[1];
        let (mut expiry, mut persists) = (None, false);
        let mut options = arguments[2..].iter();
        while let Some(option) = options.next() {
            if is(option, "persist") && expiry.is_none() {
                persists = true;
            } else {
                let format = format(option).filter(|_| !persists).ok_or(SYNTAX)?;
                expiry = Some(last_time(expiry, format, options.next())?);
            }
        }
        let expiry = match expiry {
            Some((format, time)) => {
                // `getexCommand` looks for the key first: a missing one replies null even to a wrong time.
                let Ok(expiry) = self.expiry(format, time, "getex") else {
                    let error = match number::integer(time) {
                        Some(_) => ArgumentError::ExpireTime,
                        None => ArgumentError::NotAnInteger,
                    };
                    return self.refuse_by_key(
                        key,
                        ValueType::String,
                        error,
                        MissingKeyReply::Null,
                    );
                };
                expiry
            }
            None if persists => Expiry::Never,
            None => {
                // Without options it is GET: no lock, and no log entry to wait for.
                self.batch.read(key, Query::Pieces, ReplyKind::Value);
                return Ok(());
            }
        };
        let live = Change::Expire { expiry, condition: ExpireCondition::Always, get: true };
        self.batch.change(key, live, ReplyKind::Value);
        Ok(())
    }

    /// PERSIST.
    pub(super) fn persist(&mut self, key: &'a [u8]) {
        let live = Change::Expire {
            expiry: Expiry::Never,
            condition: ExpireCondition::Always,
            get: false,
        };
        self.batch.change(key, live, ReplyKind::Integer);
    }

    /// EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT.
    pub(super) fn expire(
        &mut self,
        arguments: &[&'a [u8]],
        format: TimeFormat,
        name: &'static str,
    ) -> Result<(), CommandError> {
        let condition = condition(&arguments[3..])?;
        let time = number::integer(arguments[2]).ok_or(NOT_AN_INTEGER)?;
        let end = absolute_ms(format, time, || self.now(), name)?;
        // A time before 1970 has the effect of 1970: the key is removed.
        let expiry = Expiry::At(u64::try_from(end).unwrap_or(0));
        self.batch.change(
            arguments[1],
            Change::Expire { expiry, condition, get: false },
            ReplyKind::Integer,
        );
        Ok(())
    }
}

fn ttl(seconds: bool, absolute: bool) -> ReplyKind {
    ReplyKind::Ttl { seconds, absolute }
}

/// Reads the options of EXPIRE.
pub(super) fn condition(options: &[&[u8]]) -> Result<ExpireCondition, CommandError> {
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for option in options {
        if is(option, "nx") {
            nx = true;
        } else if is(option, "xx") {
            xx = true;
        } else if is(option, "gt") {
            gt = true;
        } else if is(option, "lt") {
            lt = true;
        } else {
            let option = String::from_utf8_lossy(shown(option, usize::MAX)).into_owned();
            return Err(format!("ERR Unsupported option {option}").into());
        }
    }
    if nx && (xx || gt || lt) {
        let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
        return Err(text.into());
    }
    if gt && lt {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    Ok(match (nx, xx, gt, lt) {
        (true, ..) => ExpireCondition::NoExpiry,
        // A key without expiration counts as expiring latest of all, so XX adds nothing to GT.
        (_, _, true, _) => ExpireCondition::Later,
        (_, true, _, true) => ExpireCondition::HasExpiryAndSooner,
        (_, _, _, true) => ExpireCondition::Sooner,
        (_, true, ..) => ExpireCondition::HasExpiry,
        _ => ExpireCondition::Always,
    })
}
