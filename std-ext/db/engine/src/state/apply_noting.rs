//! Applying a change while events about keys are published.

use super::apply::Apply;
use super::shard::Core;
use super::stream_events::{has_consumer, stream_events};
use crate::event_flags::EventFlags;
use crate::log::change::{LoggedChanges, LoggedOp};
use crate::request::{
    Answer, Change, End, Expiry, HashChange, ListChange, SetChange, SortedSetChange,
    SortedSetRange, ValueType,
};

/// Applies a change, and notes its events.
#[cold]
pub(super) fn apply_noting(
    apply: Apply<'_, '_>,
    change: &Change<'_>,
    answer: &mut dyn FnMut(Answer<'_>),
) {
    let Apply { core, time, full, log, key } = apply;
    let alias = core.events.take_alias();
    let is_alive = |core: &Core| core.find(key).map(|record| !record.is_expired(time));
    let (before, begin) = (is_alive(core), log.len());
    let had_consumer = has_consumer(core, key, change);
    let (mut refused, mut done, mut is_one) = (false, false, false);
    let mut noting = |made: Answer<'_>| {
        refused = matches!(made, Answer::Error(_));
        done = made == Answer::Done;
        is_one = made == Answer::Int(1);
        answer(made);
    };
    Apply { core: &mut *core, time, full, log: &mut *log, key }.run(change, &mut noting);
    let after = is_alive(core);
    let has_new_consumer = !had_consumer && has_consumer(core, key, change);
    let removes_range = matches!(change, Change::Stream(_))
        && LoggedChanges::new(&log[begin..])
            .any(|logged| matches!(logged, Ok(LoggedOp::Change(_, Change::RemoveRange(..)))));
    let logged = LoggedChanges::new(&log[begin..]).find_map(Result::ok);
    let logged = match &logged {
        Some(LoggedOp::Change(_, logged)) => Some(logged),
        _ => None,
    };
    let events = &mut core.events;
    // Redis expires a key when a command looks it up, and reports that before the command's own event. If the record is
    // still there, the active expire cycle will report it.
    if before == Some(false) && after != Some(false) {
        events.note(EventFlags::EXPIRED, "expired", key);
    }
    // `lookupKey` reports misses of reads only. These changes read first, by `getGenericCommand` and its like.
    if reads(change) && before != Some(true) && !refused {
        events.note_miss(key);
    }
    // The value was stored, and has expired at once.
    let is_over = done && after.is_none() && matches!(change, Change::Set { .. });
    let replaces = alias.map_or_else(
        || matches!(change, Change::Restore { value, .. } if !value.continues() && logged.is_some()),
        |alias| alias.is_new,
    );
    // `new` is reported by `dbAdd`. RESTORE REPLACE and COPY REPLACE delete the old key first, so theirs is new, too.
    if is_over && before != Some(true) || after == Some(true) && (before != after || replaces) {
        events.note(EventFlags::NEW, "new", key);
    }
    // A command of several keys is executed as single changes, and must not be reported as those.
    if let Some(alias) = alias {
        if logged.is_some() {
            events.note(alias.kind, alias.name, key);
        }
        return;
    }
    if let (Change::Stream(change), Some(_)) = (change, logged) {
        for name in stream_events(change, removes_range, has_new_consumer).into_iter().flatten() {
            events.note(EventFlags::STREAM, name, key);
        }
        return;
    }
    if let Change::Hash(change) = change
        && let Some(noted) = field_events(*change, &log[begin..], (time, is_one))
    {
        for name in noted.into_iter().flatten() {
            events.note(EventFlags::HASH, name, key);
        }
        if before == Some(true) && after.is_none() || noted[2].is_some() && after.is_none() {
            events.note(EventFlags::GENERIC, "del", key);
        }
        return;
    }
    for (kind, name) in names(change, logged, is_over, refused).into_iter().flatten() {
        events.note(kind, name, key);
    }
    // The value has lost its last entry.
    let loses = matches!(
        change,
        Change::Hash(_)
            | Change::List(_)
            | Change::Members(_)
            | Change::SortedSet(_)
            | Change::RemoveNames(_)
    );
    if loses && before == Some(true) && after.is_none() {
        events.note(EventFlags::GENERIC, "del", key);
    }
}

/// Returns the events of a change about the times of fields, in order; `None` if it is none.
fn field_events(
    change: HashChange<'_>,
    logged: &[u8],
    (time, is_one): (u64, bool),
) -> Option<[Option<&'static str>; 3]> {
    let (mut stores, mut removes, mut expires, mut persists) = (false, false, false, false);
    for logged in LoggedChanges::new(logged).filter_map(Result::ok) {
        match logged {
            LoggedOp::Change(_, Change::RemoveNames(_)) => removes = true,
            LoggedOp::Change(_, Change::Restore { value, .. }) => {
                let times = value.packed().map(|part| part.timed().any(|(.., time)| time != 0));
                stores |= value.packed().is_some_and(|part| !part.has_only_times());
                (expires, persists) = (expires || times == Some(true), times == Some(false));
            }
            _ => {}
        }
    }
    let when = |is, name| if is { Some(name) } else { None };
    match change {
        HashChange::SetExpiring { expiry: Expiry::At(end), .. } if end <= time => {
            // As in Valkey, where the fields are stored, and expire at once.
            Some([when(is_one, "hset"), when(is_one, "hexpire"), when(is_one, "hexpired")])
        }
        HashChange::SetExpiring { expiry, .. } => {
            let expires = stores && matches!(expiry, Expiry::At(_));
            Some([when(stores, "hset"), when(expires, "hexpire"), None])
        }
        HashChange::Expire { expiry, .. } | HashChange::GetExpire { expiry, .. } => {
            let persists = persists && expiry == Expiry::Never;
            Some([when(expires, "hexpire"), when(persists, "hpersist"), when(removes, "hexpired")])
        }
        HashChange::GetDelete { .. } => Some([when(removes, "hdel"), None, None]),
        _ => None,
    }
}

/// Returns whether a change reads its key, too.
fn reads(change: &Change<'_>) -> bool {
    matches!(
        change,
        Change::GetDelete | Change::Set { get: true, .. } | Change::Expire { get: true, .. }
    )
}

/// Returns the events of a change, in order. `logged` is its outcome, if it has changed anything.
fn names(
    change: &Change<'_>,
    logged: Option<&Change<'_>>,
    is_over: bool,
    refused: bool,
) -> [Option<(EventFlags, &'static str)>; 3] {
    let string = |name| Some((EventFlags::STRING, name));
    let generic = |name| Some((EventFlags::GENERIC, name));
    let expired = Some((EventFlags::EXPIRED, "expired"));
    let one = match (change, logged) {
        // Here the SET has removed the key at once. Redis reports the two steps that it took, and the expiration at the
        // next access.
        (Change::Set { .. }, Some(Change::Delete)) => {
            return [string("set"), generic("expire"), expired];
        }
        (Change::Set { .. }, None) if is_over => {
            return [string("set"), generic("expire"), expired];
        }
        (Change::Set { expiry: Expiry::At(_), .. }, Some(_)) => {
            return [string("set"), generic("expire"), None];
        }
        // Redis reports also that nothing was appended.
        (Change::Append(_), _) if !refused => string("append"),
        (_, None) => None,
        // In front of the next line: SPOP may remove all members, and `del` comes behind it.
        (Change::Members(change), _) => Some((
            EventFlags::SET,
            match change {
                SetChange::Add(_) => "sadd",
                SetChange::Remove(_) => "srem",
                SetChange::Pop { .. } => "spop",
            },
        )),
        // Also EXPIRE and GETEX with a time in the past: both delete, and report `del`.
        (_, Some(Change::Delete)) => generic("del"),
        (_, Some(Change::Expire { expiry: Expiry::Never, .. })) => generic("persist"),
        (_, Some(Change::Expire { .. })) => generic("expire"),
        (Change::Set { .. }, _) => string("set"),
        (Change::Restore { value, .. }, _) if value.continues() => None,
        (Change::Restore { .. }, _) => generic("restore"),
        (Change::Hash(change), _) => Some((
            EventFlags::HASH,
            match change {
                HashChange::Set(_) | HashChange::SetIfAbsent(..) => "hset",
                HashChange::Delete(_) => "hdel",
                HashChange::Increment(..) => "hincrby",
                HashChange::IncrementFloat(..) => "hincrbyfloat",
                HashChange::Expire { .. }
                | HashChange::SetExpiring { .. }
                | HashChange::GetExpire { .. }
                | HashChange::GetDelete { .. } => return [None; 3],
            },
        )),
        (Change::List(change), _) => list_event(*change),
        (Change::SortedSet(change), _) => Some((EventFlags::SORTED_SET, sorted_set_event(*change))),
        (Change::RemoveNames(names), _) => match names.value_type() {
            ValueType::Set => Some((EventFlags::SET, "srem")),
            ValueType::SortedSet => Some((EventFlags::SORTED_SET, "zrem")),
            ValueType::Stream => None,
            _ => Some((EventFlags::HASH, "hdel")),
        },
        (Change::IncrementFloat(_), _) => string("incrbyfloat"),
        (Change::Increment(_), _) => string("incrby"),
        (Change::SetRange { .. }, _) => string("setrange"),
        (Change::SetBit { .. } | Change::Fields(_), _) => string("setbit"),
        (Change::AddElements(_), _) => string("pfadd"),
        (
            Change::Append(_)
            | Change::Delete
            | Change::DeleteIf(_)
            | Change::GetDelete
            | Change::Expire { .. }
            | Change::Stream(_)
            | Change::RemoveRange(..),
            _,
        ) => None,
    };
    [one, None, None]
}

fn sorted_set_event(change: SortedSetChange<'_>) -> &'static str {
    match change {
        SortedSetChange::Set(_) | SortedSetChange::SetIf { .. } => "zadd",
        SortedSetChange::Increment { .. } => "zincr",
        SortedSetChange::Remove(_) => "zrem",
        SortedSetChange::RemoveRange(SortedSetRange::Indices(..)) => "zremrangebyrank",
        SortedSetChange::RemoveRange(SortedSetRange::Scores(..)) => "zremrangebyscore",
        SortedSetChange::RemoveRange(SortedSetRange::Members(..)) => "zremrangebylex",
        SortedSetChange::Pop { lowest: true, .. } => "zpopmin",
        SortedSetChange::Pop { lowest: false, .. } => "zpopmax",
    }
}

fn list_event(change: ListChange<'_>) -> Option<(EventFlags, &'static str)> {
    let name = match change {
        ListChange::Push { end: End::Front, .. } => "lpush",
        ListChange::Push { end: End::Back, .. } => "rpush",
        ListChange::Pop { end: End::Front, .. } => "lpop",
        ListChange::Pop { end: End::Back, .. } => "rpop",
        ListChange::Set(..) => "lset",
        ListChange::Insert { .. } => "linsert",
        ListChange::Remove { .. } => "lrem",
        ListChange::Trim(..) => "ltrim",
        // What another node has done is reported there.
        ListChange::Splice { .. } => return None,
    };
    Some((EventFlags::LIST, name))
}
