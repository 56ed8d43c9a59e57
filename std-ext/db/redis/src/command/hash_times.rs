//! Commands about when fields of hashes expire, as Valkey 9 has them.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::expiration::{
    TimeBase, TimeFormat, Unit, absolute_ms, condition, format, invalid, last_time,
};
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, DELETE, INSERT, RO, RW, UPDATE, key};
use hedgerow_db_engine::request::{Change, ExpireCondition, Expiry, HashChange, HashQuery, Query};
use hedgerow_db_formats::number;
use std::borrow::Cow;

const NUMBER_OF_FIELDS: CommandError =
    Cow::Borrowed("ERR numfields should be greater than 0 and match the provided number of fields");

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("hexpire", -6, "write fast", |e, a| {
        e.hexpire(a, (TimeBase::Relative, Unit::Seconds), "hexpire")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("9.0.0", Group::Hash)
    .syntax("key#0 seconds/integer [condition:<NX|XX|GT|LT>] FIELDS fields:(numfields/integer field...)")
    .summary("Sets the expiration of fields of a hash in seconds.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hpexpire", -6, "write fast", |e, a| {
        e.hexpire(a, (TimeBase::Relative, Unit::Milliseconds), "hpexpire")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("9.0.0", Group::Hash)
    .syntax(
        "key#0 milliseconds/integer [condition:<NX|XX|GT|LT>] FIELDS fields:(numfields/integer field...)",
    )
    .summary("Sets the expiration of fields of a hash in milliseconds.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hexpireat", -6, "write fast", |e, a| {
        e.hexpire(a, (TimeBase::Absolute, Unit::Seconds), "hexpireat")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("9.0.0", Group::Hash)
    .syntax(
        "key#0 unix-time-seconds/unix-time [condition:<NX|XX|GT|LT>] \
        FIELDS fields:(numfields/integer field...)",
    )
    .summary("Sets the expiration of fields of a hash to a Unix time in seconds.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hpexpireat", -6, "write fast", |e, a| {
        e.hexpire(a, (TimeBase::Absolute, Unit::Milliseconds), "hpexpireat")
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("9.0.0", Group::Hash)
    .syntax(
        "key#0 unix-time-milliseconds/unix-time [condition:<NX|XX|GT|LT>] \
        FIELDS fields:(numfields/integer field...)",
    )
    .summary("Sets the expiration of fields of a hash to a Unix time in milliseconds.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("httl", -5, "readonly fast", |e, a| e.field_times(a, true, false))
        .keys(&[key(1, RO | ACCESS)])
        .since("9.0.0", Group::Hash)
        .syntax("key#0 FIELDS fields:(numfields/integer field...)")
        .summary("Returns the remaining time to live of fields of a hash in seconds.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hpttl", -5, "readonly fast", |e, a| e.field_times(a, false, false))
        .keys(&[key(1, RO | ACCESS)])
        .since("9.0.0", Group::Hash)
        .syntax("key#0 FIELDS fields:(numfields/integer field...)")
        .summary("Returns the remaining time to live of fields of a hash in milliseconds.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hexpiretime", -5, "readonly fast", |e, a| e.field_times(a, true, true))
        .keys(&[key(1, RO | ACCESS)])
        .since("9.0.0", Group::Hash)
        .syntax("key#0 FIELDS fields:(numfields/integer field...)")
        .summary("Returns the expiration of fields of a hash as a Unix time in seconds.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hpexpiretime", -5, "readonly fast", |e, a| e.field_times(a, false, true))
        .keys(&[key(1, RO | ACCESS)])
        .since("9.0.0", Group::Hash)
        .syntax("key#0 FIELDS fields:(numfields/integer field...)")
        .summary("Returns the expiration of fields of a hash as a Unix time in milliseconds.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hpersist", -5, "write fast", |e, a| {
        let fields = counted(&a[2..], 1, NUMBER_OF_FIELDS)?;
        let (fields, condition) = (e.keep(fields), ExpireCondition::Always);
        let expire = HashChange::Expire { fields, expiry: Expiry::Never, condition };
        e.change(a[1], Change::Hash(expire), ReplyKind::Fields)
    })
    .keys(&[key(1, RW | UPDATE)])
    .since("9.0.0", Group::Hash)
    .syntax("key#0 FIELDS fields:(numfields/integer field...)")
    .summary("Removes the expiration of fields of a hash.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hgetex", -5, "write fast", |e, a| e.hgetex(a))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("9.0.0", Group::Hash)
        .syntax(
            "key#0 [expiration:<EX seconds/integer|PX milliseconds/integer|EXAT \
            unix-time-seconds/unix-time|PXAT unix-time-milliseconds/unix-time|PERSIST>] \
            FIELDS fields:(numfields/integer field...)",
        )
        .summary("Returns the values of fields of a hash, and sets or removes their expiration.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hsetex", -6, "write denyoom fast", |e, a| e.hsetex(a))
        .keys(&[key(1, RW | INSERT)])
        .since("9.0.0", Group::Hash)
        .syntax(
            "key#0 [key-condition:<NX|XX>] [fields-condition:<FNX|FXX>] [expiration:<EX \
            seconds/integer|PX milliseconds/integer|EXAT unix-time-seconds/unix-time|PXAT \
            unix-time-milliseconds/unix-time|KEEPTTL>] FIELDS fields:(numfields/integer \
            field_value:(field value)...)",
        )
        .summary("Sets the values and the expiration of fields of a hash.")
        .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
    command("hgetdel", -5, "write fast", |e, a| {
        let fields = e.keep(counted(&a[2..], 1, NUMBER_OF_FIELDS)?);
        let delete = HashChange::GetDelete { fields, most: e.room() };
        e.change(a[1], Change::Hash(delete), ReplyKind::Elements)
    })
    .keys(&[key(1, RW | ACCESS | DELETE)])
    .since("9.0.0", Group::Hash)
    .syntax("key#0 FIELDS fields:(numfields/integer field...)")
    .summary("Deletes fields of a hash, and returns their values.")
    .takes_time("O(N log M), N is the number of fields given, M that of the hash"),
];

/// Returns the fields behind `FIELDS` and their number, with which the arguments begin. Each has `words` words.
fn counted<'s, 'a>(
    arguments: &'s [&'a [u8]],
    words: usize,
    mismatch: CommandError,
) -> Result<&'s [&'a [u8]], CommandError> {
    let [token, count, fields @ ..] = arguments else { return Err(SYNTAX) };
    if !is(token, "fields") {
        return Err(SYNTAX);
    }
    let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
    let wanted = usize::try_from(count).ok().and_then(|count| count.checked_mul(words));
    match wanted {
        Some(wanted) if wanted > 0 && wanted == fields.len() => Ok(fields),
        _ => Err(mismatch),
    }
}

type Words<'s, 'a> = &'s [&'a [u8]];

/// Splits arguments into the options, and what begins with `FIELDS`.
fn split_options<'s, 'a>(
    arguments: &'s [&'a [u8]],
) -> Result<(Words<'s, 'a>, Words<'s, 'a>), CommandError> {
    let at = arguments.iter().position(|argument| is(argument, "fields"));
    let at = at.filter(|at| at + 1 < arguments.len()).ok_or(NUMBER_OF_FIELDS)?;
    Ok(arguments.split_at(at))
}

impl<'a> Execution<'_, 'a> {
    /// Returns the expiration for a time, which may have passed, but not be negative.
    fn field_expiry(
        &self,
        format: TimeFormat,
        time: &[u8],
        name: &str,
    ) -> Result<Expiry, CommandError> {
        let time = number::integer(time).ok_or(NOT_AN_INTEGER)?;
        if time < 0 {
            return Err(invalid(name));
        }
        let end = absolute_ms(format, time, || self.now(), name)?;
        // The time 0 has passed, too, and is not stored.
        Ok(Expiry::At(end.unsigned_abs().max(1)))
    }

    /// HEXPIRE and its kind.
    fn hexpire(
        &mut self,
        arguments: &[&'a [u8]],
        format: TimeFormat,
        name: &'static str,
    ) -> Result<(), CommandError> {
        let (options, rest) = split_options(&arguments[3..])?;
        let condition = condition(options)?;
        let fields = counted(rest, 1, NUMBER_OF_FIELDS)?;
        let expiry = self.field_expiry(format, arguments[2], name)?;
        let expire = HashChange::Expire { fields: self.keep(fields), expiry, condition };
        self.change(arguments[1], Change::Hash(expire), ReplyKind::Fields)
    }

    /// HTTL and its kind.
    fn field_times(
        &mut self,
        arguments: &[&'a [u8]],
        seconds: bool,
        absolute: bool,
    ) -> Result<(), CommandError> {
        let fields = self.keep(counted(&arguments[2..], 1, SYNTAX)?);
        let kind = ReplyKind::FieldTtls { seconds, absolute };
        self.read(arguments[1], Query::Hash(HashQuery::Times(fields)), kind)
    }

    /// HGETEX.
    fn hgetex(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (options, rest) = split_options(&arguments[2..])?;
        let (mut given, mut persists) = (None, false);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            if is(option, "persist") && given.is_none() && !persists {
                persists = true;
            } else {
                let format = format(option).filter(|_| !persists).ok_or(SYNTAX)?;
                given = Some(last_time(given, format, options.next())?);
            }
        }
        let fields = counted(rest, 1, NUMBER_OF_FIELDS)?;
        let (key, fields, most) = (arguments[1], self.keep(fields), self.room());
        let expiry = match given {
            Some((format, time)) => self.field_expiry(format, time, "hgetex")?,
            None if persists => Expiry::Never,
            None => {
                let read = HashQuery::GetMany { fields, most };
                return self.read(key, Query::Hash(read), ReplyKind::Elements);
            }
        };
        let expire = HashChange::GetExpire { fields, expiry, most };
        self.change(key, Change::Hash(expire), ReplyKind::Elements)
    }

    /// HSETEX.
    fn hsetex(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let (options, rest) = split_options(&arguments[2..])?;
        let (mut given, mut keeps) = (None, false);
        let (mut key_exists, mut fields_exist) = (None, None);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            if is(option, "nx") && key_exists != Some(true) {
                key_exists = Some(false);
            } else if is(option, "xx") && key_exists != Some(false) {
                key_exists = Some(true);
            } else if is(option, "fnx") && fields_exist != Some(true) {
                fields_exist = Some(false);
            } else if is(option, "fxx") && fields_exist != Some(false) {
                fields_exist = Some(true);
            } else if is(option, "keepttl") && given.is_none() {
                keeps = true;
            } else {
                let format = format(option).filter(|_| !keeps).ok_or(SYNTAX)?;
                given = Some(last_time(given, format, options.next())?);
            }
        }
        let fields = counted(rest, 2, NUMBER_OF_FIELDS)?;
        let expiry = match given {
            Some((format, time)) => self.field_expiry(format, time, "hsetex")?,
            None if keeps => Expiry::Keep,
            None => Expiry::Never,
        };
        let pairs = self.keep_pairs(fields);
        let set = HashChange::SetExpiring { pairs, fields_exist, key_exists, expiry };
        self.change(arguments[1], Change::Hash(set), ReplyKind::Integer)
    }
}
