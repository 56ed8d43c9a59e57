//! DUMP and RESTORE, in Redis's format.
//!
//! DUMP replies as redis-server 7.0 does, and RESTORE takes payloads of all versions up to that of Redis 8.0.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::batch::{RequestBatch, transaction_refused};
use crate::command::execute::Execution;
use crate::command::queue::Queued;
use crate::command::reply::{ReplyKind, RestoreError, error_text};
use crate::command::rows::{Run, command};
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, OW, RO, UPDATE, key};
use crate::command::table::{Id, Row};
use crate::limits::TRANSACTION_BYTES;
use hedgerow_db_engine::request::{
    Change, Expiry, OwnedValue, Packer, Query, RequestError, Score, StoredValue, StreamPacker,
    Usage, ValueType, ascending,
};
use hedgerow_db_formats::number;
use hedgerow_db_formats::rdb::payload::{
    self, CollectionPayload, PayloadError, PayloadValue, StreamPayload,
};
use std::borrow::Cow;

/// The value of a payload, or the reason why there is none.
type Restored<'p> = Result<RestoredValue<'p>, PayloadError>;

/// The value of a payload.
pub(super) enum RestoredValue<'p> {
    /// A string that is in the payload as it is.
    InPayload(&'p [u8]),
    Owned(OwnedValue),
}

impl RestoredValue<'_> {
    fn stored(&self) -> StoredValue<'_> {
        match self {
            Self::InPayload(string) => StoredValue::String(string),
            Self::Owned(value) => value.stored(),
        }
    }
}

fn restored(payload: &[u8]) -> Restored<'_> {
    Ok(match payload::restore(payload)? {
        PayloadValue::String(Cow::Borrowed(value)) => RestoredValue::InPayload(value),
        PayloadValue::String(Cow::Owned(value)) => RestoredValue::Owned(OwnedValue::string(value)),
        PayloadValue::Hash(value) => packed(ValueType::Hash, value)?,
        PayloadValue::List(value) => packed(ValueType::List, value)?,
        PayloadValue::Set(value) => packed(ValueType::Set, value)?,
        PayloadValue::SortedSet(value) => packed(ValueType::SortedSet, value)?,
        PayloadValue::Stream(value) => stream(value)?,
        _ => return Err(PayloadError::Format),
    })
}

/// Reads all of a stream.
///
/// # Errors
/// If the payload is damaged, or the stream is longer than a value may be.
fn stream(value: StreamPayload<'_>) -> Result<RestoredValue<'static>, PayloadError> {
    let (mut parts, mut packer) = (value.parts(), StreamPacker::default());
    while let Some(part) = parts.next()? {
        if !packer.push(part) {
            return Err(PayloadError::Format);
        }
    }
    Ok(RestoredValue::Owned(packer.finish()))
}

/// Reads all of a value.
///
/// # Errors
/// If the payload is damaged, or has a field or a member twice. `payload::restore` refuses an empty value.
fn packed(
    value_type: ValueType,
    value: CollectionPayload<'_>,
) -> Result<RestoredValue<'static>, PayloadError> {
    let (mut items, mut packer) = (value.items(), Packer::new(value_type));
    match value_type {
        ValueType::List | ValueType::Set => {
            while let Some(element) = items.element()? {
                packer.push(element, b"");
            }
        }
        ValueType::SortedSet => {
            while let Some((member, score)) = items.scored()? {
                let score = Score::new(score).ok_or(PayloadError::Format)?;
                packer.push(member, &score.bytes());
            }
            packer = ascending(packer);
        }
        ValueType::Stream => return Err(PayloadError::Format),
        ValueType::Hash | ValueType::String => {
            while let Some((field, value)) = items.pair()? {
                packer.push(field, value);
            }
        }
    }
    if value_type != ValueType::List && packer.packed().has_name_twice() {
        return Err(PayloadError::Format);
    }
    Ok(RestoredValue::Owned(packer.into_owned()))
}

/// The options of RESTORE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    usage: Option<Usage>,
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("dump", 2, "readonly", |e, a| e.read(a[1], Query::Stored, ReplyKind::Dump))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.6.0", Group::Generic)
        .syntax("key#0")
        .summary("Returns a key's value in Redis's format, for RESTORE.")
        .takes_time("O(N), N is the number of bytes")
        .tips("nondeterministic_output"),
    command("restore", -4, "write denyoom", |e, a| e.restore(a))
        .keys(&[key(1, OW | UPDATE)])
        .since("2.6.0", Group::Generic)
        .syntax(
            "key#0 ttl/integer serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME \
            seconds/integer@5.0.0] [FREQ frequency/integer@5.0.0]",
        )
        .summary("Stores a value that DUMP has returned.")
        .also_in("dangerous")
        .takes_time("O(N), N is the number of bytes"),
];

impl<'a> Execution<'_, 'a> {
    /// RESTORE.
    pub(super) fn restore(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        match restored(arguments[3]) {
            // The batch may borrow a value that is in the input.
            Ok(RestoredValue::InPayload(value)) => {
                self.store(arguments, Ok(StoredValue::String(value)))
            }
            Err(why) => self.store(arguments, Err(why)),
            Ok(RestoredValue::Owned(value)) => {
                self.execute_batch();
                let mut execution = self.nested(RequestBatch::default());
                if let Err(error) = execution.store(arguments, Ok(value.stored())) {
                    execution.error(error.as_ref());
                }
                execution.execute_batch();
                (self.lsn, self.next) = (execution.lsn, execution.next);
                Ok(())
            }
        }
    }

    /// Adds the RESTORE of a transaction, whose payload is known already.
    pub(super) fn restore_queued(&mut self, arguments: &[&'a [u8]], restored: &'a Restored<'_>) {
        self.connection.command = "restore";
        let value = restored.as_ref().map(RestoredValue::stored).map_err(|why| *why);
        if let Err(error) = self.store(arguments, value) {
            self.error(error.as_ref());
        }
    }

    /// Adds the change. Errors are found in Redis's order: options, the key that exists, the time, the payload.
    /// Last comes a time that is too late, which Redis takes as one that has passed.
    fn store(
        &mut self,
        arguments: &[&'a [u8]],
        value: Result<StoredValue<'a>, PayloadError>,
    ) -> Result<(), CommandError> {
        let options = options(&arguments[4..])?;
        let value = value.map_err(|why| match why {
            PayloadError::VersionOrChecksum => RestoreError::VersionOrChecksum,
            PayloadError::Format => RestoreError::Format,
        });
        let restored = time_to_live(arguments[2])
            .and_then(|ttl| Ok((value?, self.restored_expiry(ttl, options)?)));
        match restored {
            Ok((value, expiry)) => {
                let RestoreOptions { replace, usage, .. } = options;
                let change = Change::Restore { value, expiry, replace, usage };
                self.batch.change(arguments[1], change, ReplyKind::Restored);
            }
            // With REPLACE it does not matter whether the key exists, so the error is known now.
            Err(error) if options.replace => return Err(error.text().into()),
            Err(_) if self.lacks_memory() => {
                return Err(error_text(RequestError::OutOfMemory).into());
            }
            Err(error) => {
                self.batch.read(arguments[1], Query::Exists, ReplyKind::NotRestored(error));
            }
        }
        Ok(())
    }

    fn restored_expiry(&self, ttl: u64, options: RestoreOptions) -> Result<Expiry, RestoreError> {
        Ok(match ttl {
            0 => Expiry::Never,
            at if options.absolute => Expiry::At(at),
            ttl => {
                let at = self.session.now().checked_add(ttl);
                Expiry::At(
                    at.filter(|at| i64::try_from(*at).is_ok()).ok_or(RestoreError::ExpireTime)?,
                )
            }
        })
    }
}

fn time_to_live(word: &[u8]) -> Result<u64, RestoreError> {
    let ttl = number::integer(word).ok_or(RestoreError::NotAnInteger)?;
    u64::try_from(ttl).map_err(|_| RestoreError::Ttl)
}

/// Returns the values of the payloads of a transaction's commands, in order.
///
/// # Errors
/// If they need more memory than the commands of a transaction may take.
pub(super) fn restore_all<'q>(commands: &[Queued<'q>]) -> Result<Vec<Restored<'q>>, CommandError> {
    let restores = commands.iter().filter(|(spec, _)| spec.id == Id::RESTORE);
    let (mut all, mut bytes) = (Vec::new(), 0);
    for (_, arguments) in restores {
        let restored = restored(arguments[3]);
        if let Ok(RestoredValue::Owned(value)) = &restored {
            bytes += value.len();
        }
        // A compressed payload of some KiB may contain a value of many MiB, and the queue only counts the payload.
        if bytes > TRANSACTION_BYTES {
            return Err(transaction_refused("the values that RESTORE stores exceed 64 MiB"));
        }
        all.push(restored);
    }
    Ok(all)
}

fn options(words: &[&[u8]]) -> Result<RestoreOptions, CommandError> {
    let mut options = RestoreOptions::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if is(word, "replace") {
            options.replace = true;
        } else if is(word, "absttl") {
            options.absolute = true;
        } else if is(word, "idletime")
            && !matches!(options.usage, Some(Usage::Frequency(_)))
            && let Some(seconds) = words.next()
        {
            let seconds = number::integer(seconds).ok_or(NOT_AN_INTEGER)?;
            let seconds =
                u64::try_from(seconds).map_err(|_| "ERR Invalid IDLETIME value, must be >= 0")?;
            options.usage = Some(Usage::IdleSeconds(seconds));
        } else if is(word, "freq")
            && !matches!(options.usage, Some(Usage::IdleSeconds(_)))
            && let Some(often) = words.next()
        {
            let counter = number::integer(often).ok_or(NOT_AN_INTEGER)?;
            let counter = u8::try_from(counter)
                .map_err(|_| "ERR Invalid FREQ value, must be >= 0 and <= 255")?;
            options.usage = Some(Usage::Frequency(counter));
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::dumped::dumped;
    use hedgerow_db_formats::rdb::{HashEncoding, SetEncoding, SortedSetEncoding};

    fn value(value_type: ValueType, entries: &[(&[u8], &[u8])]) -> OwnedValue {
        let mut packer = Packer::new(value_type);
        for (name, value) in entries {
            packer.push(name, value);
        }
        packer.into_owned()
    }

    #[test]
    fn a_dumped_value_is_restored() {
        let (long, one) = (vec![b'l'; 3000], Score::new(1.0).unwrap().bytes());
        for value in [
            OwnedValue::string(b"rose".to_vec()),
            OwnedValue::string(long.clone()),
            OwnedValue::string(b"123".to_vec()),
            value(
                ValueType::Hash,
                &[(b"colour", b"red"), (b"", b"-7"), (b"18446744073709551616", b"007")],
            ),
            value(ValueType::Hash, &[(b"long", &long), (&long, b"")]),
            value(ValueType::List, &[(b"red", b""), (b"", b""), (b"red", b""), (&long, b"")]),
            value(ValueType::Set, &[(b"-7", b""), (b"0", b""), (b"12", b"")]),
            value(ValueType::SortedSet, &[(b"", &one), (b"b", &one), (&long, &one)]),
        ] {
            let payload = dumped(value.stored()).unwrap();
            assert_eq!(restored(&payload).unwrap().stored(), value.stored());
        }
    }

    #[test]
    fn what_has_no_payload_says_so() {
        let mut hash = Packer::new(ValueType::Hash).with_times();
        hash.push_timed(b"field", b"value", 1);
        let why = dumped(StoredValue::Packed(hash.packed())).unwrap_err();
        assert!(why.starts_with("ERR ") && why.contains("expire"), "{why}");
    }

    #[test]
    fn members_of_a_sorted_set_are_restored_in_their_order() {
        let mut payload = Vec::new();
        let members: [(&[u8], f64); 4] = [(b"c", 2.0), (b"b", 1.0), (b"a", 1.0), (b"d", 0.0)];
        payload::dump_sorted_set(SortedSetEncoding::SkipList, 4, members, &mut payload);
        let restored = restored(&payload).unwrap();
        let set = restored.stored().packed().unwrap();
        assert_eq!(set.names().collect::<Vec<_>>(), [b"d", b"a", b"b", b"c"]);
    }

    #[test]
    fn a_name_that_comes_twice_is_damage() {
        type Dump = fn(&[&[u8]], &mut Vec<u8>);
        let dumps: [Dump; 6] = [
            |names, out| {
                let pairs = names.iter().map(|name| (*name, &b"1"[..]));
                payload::dump_hash(HashEncoding::Listpack, names.len(), pairs, out);
            },
            |names, out| {
                let pairs = names.iter().map(|name| (*name, &b"1"[..]));
                payload::dump_hash(HashEncoding::HashTable, names.len(), pairs, out);
            },
            |names, out| {
                let members = names.iter().copied();
                payload::dump_set(SetEncoding::Intset, names.len(), members, out);
            },
            |names, out| {
                let members = names.iter().copied();
                payload::dump_set(SetEncoding::HashTable, names.len(), members, out);
            },
            |names, out| {
                // Other scores are no other members.
                let scored = names.iter().zip([0.5, 1.0, 7.0]).map(|(name, score)| (*name, score));
                payload::dump_sorted_set(SortedSetEncoding::Listpack, names.len(), scored, out);
            },
            |names, out| {
                let scored = names.iter().map(|name| (*name, 1.5));
                payload::dump_sorted_set(SortedSetEncoding::SkipList, names.len(), scored, out);
            },
        ];
        for (number, dump) in dumps.iter().enumerate() {
            for (names, is_right) in
                [(&[&b"1"[..], b"2", b"1"][..], false), (&[], false), (&[b"1", b"2"], true)]
            {
                let mut payload = Vec::new();
                dump(names, &mut payload);
                let found = restored(&payload).map(|_| ());
                let wanted = if is_right { Ok(()) } else { Err(PayloadError::Format) };
                assert_eq!(found, wanted, "{number}: {} names", names.len());
            }
        }
    }
}
