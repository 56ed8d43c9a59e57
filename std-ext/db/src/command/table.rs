//! The command table: names, arities and key positions.
//!
//! A name is found in any case. Its bytes, folded to lower case, form one number, and a hash table of these numbers is
//! computed at compile time.

use crate::command::flags::{Flag, FlagSet};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Id {
    Get,
    Set,
    GetDel,
    GetEx,
    GetSet,
    SetEx,
    PSetEx,
    Del,
    DelIfEq,
    DelEx,
    Unlink,
    Exists,
    Touch,
    MGet,
    MSet,
    MSetNx,
    MSetEx,
    SetNx,
    Incr,
    Decr,
    IncrBy,
    DecrBy,
    IncrByFloat,
    Append,
    StrLen,
    Digest,
    GetRange,
    Substr,
    SetRange,
    SetBit,
    GetBit,
    BitCount,
    BitPos,
    BitOp,
    BitField,
    BitFieldRo,
    Lcs,
    Sort,
    SortRo,
    PfAdd,
    PfCount,
    PfMerge,
    Expire,
    PExpire,
    ExpireAt,
    PExpireAt,
    Ttl,
    PTtl,
    ExpireTime,
    PExpireTime,
    Persist,
    Type,
    Dump,
    Restore,
    Migrate,
    Scan,
    Keys,
    RandomKey,
    Rename,
    RenameNx,
    Copy,
    Move,
    SwapDb,
    DbSize,
    FlushDb,
    FlushAll,
    Ping,
    Echo,
    Hello,
    Auth,
    Client,
    Command,
    Config,
    Info,
    Memory,
    Object,
    Select,
    Time,
    Wait,
    WaitAof,
    Role,
    ReplicaOf,
    SlaveOf,
    Cluster,
    ReadOnly,
    ReadWrite,
    Asking,
    LastSave,
    Save,
    BgSave,
    BgRewriteAof,
    Shutdown,
    SlowLog,
    Latency,
    Acl,
    Debug,
    Monitor,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Reset,
    Quit,
    Subscribe,
    Unsubscribe,
    PSubscribe,
    PUnsubscribe,
    SSubscribe,
    SUnsubscribe,
    Publish,
    SPublish,
    PubSub,
    Eval,
    EvalSha,
    EvalRo,
    EvalShaRo,
    Script,
    Module,
}

/// The static properties of a command.
#[derive(Debug)]
pub(crate) struct CommandSpec {
    pub(crate) name: &'static str,
    pub(crate) id: Id,
    /// The number of arguments, including the name; if negative, the minimum.
    pub(crate) arity: i8,
    /// The positions of the first and the last key, and the step between keys. The first is 0 for no keys; a negative
    /// last counts from the end.
    pub(crate) keys: (i8, i8, i8),
    /// The flags of `COMMAND INFO`.
    pub(crate) flags: &'static str,
    /// Those of them that decide how the command is executed. Scripts check several for each command.
    flag_set: FlagSet,
    /// The categories of `COMMAND INFO`, without `@`.
    pub(crate) categories: &'static str,
}

impl CommandSpec {
    /// Returns whether the command takes this many arguments, including its name.
    #[inline]
    pub(crate) fn takes(&self, count: usize) -> bool {
        takes(self.arity, count)
    }

    /// Returns whether `COMMAND INFO` shows this flag.
    #[inline]
    pub(crate) fn has_flag(&self, flag: Flag) -> bool {
        self.flag_set.has(flag)
    }

    /// Returns whether a pause of writes postpones the command, as in Redis: it changes something, is a script that
    /// may, or would reach replicas.
    pub(crate) fn is_postponed_as_write(&self, arguments: &[&[u8]]) -> bool {
        match self.id {
            Id::PfCount | Id::Publish | Id::SPublish | Id::EvalSha => true,
            Id::Eval => {
                #[cfg(feature = "scripts")]
                let reads_only = super::script::declares_no_writes(arguments[1]);
                #[cfg(not(feature = "scripts"))]
                let reads_only = arguments.is_empty();
                !reads_only
            }
            _ => self.has_flag(Flag::Write),
        }
    }

    /// Returns whether the command reads or changes keys of the selected database.
    pub(crate) fn accesses_keys(&self) -> bool {
        let flagged = self.has_flag(Flag::ReadOnly) || self.has_flag(Flag::Write);
        flagged || self.counts_keys() || matches!(self.id, Id::Memory | Id::Object | Id::Watch)
    }

    /// Returns whether the third argument is the number of keys, which follow it.
    #[inline]
    pub(crate) fn counts_keys(&self) -> bool {
        matches!(self.id, Id::Eval | Id::EvalSha | Id::EvalRo | Id::EvalShaRo)
    }

    /// Returns whether the arguments decide how many keys the command has, and where.
    #[inline]
    pub(crate) fn finds_keys(&self) -> bool {
        self.counts_keys() || matches!(self.id, Id::Sort | Id::Migrate | Id::MSetEx)
    }

    /// Returns whether a client may use the command before it has authenticated.
    pub(crate) fn allowed_unauthenticated(&self) -> bool {
        matches!(self.id, Id::Auth | Id::Hello | Id::Quit | Id::Reset)
    }
}

/// Returns whether a command of this arity takes this many arguments.
#[inline]
pub(super) fn takes(arity: i8, count: usize) -> bool {
    let wanted = usize::from(arity.unsigned_abs());
    if arity < 0 { count >= wanted } else { count == wanted }
}

pub(super) const fn spec(
    (name, id, arity): (&'static str, Id, i8),
    keys: (i8, i8, i8),
    flags: &'static str,
    categories: &'static str,
) -> CommandSpec {
    let flag_set = FlagSet::parse(flags);
    CommandSpec { name, id, arity, keys, flags, flag_set, categories }
}

pub(super) const NONE: (i8, i8, i8) = (0, 0, 0);
const ONE: (i8, i8, i8) = (1, 1, 1);
const THIRD: (i8, i8, i8) = (3, 3, 1);
const THIRD_ARGUMENT: (i8, i8, i8) = (2, 2, 1);
const TWO: (i8, i8, i8) = (1, 2, 1);
const ALL: (i8, i8, i8) = (1, -1, 1);
const PAIRS: (i8, i8, i8) = (1, -1, 2);
const SORTS: &str = "write set sortedset list slow dangerous";
const SORTS_READ_ONLY: &str = "read set sortedset list slow dangerous";
const BEHIND_OPERATION: (i8, i8, i8) = (2, -1, 1);
const SUBSCRIBES: &str = "pubsub noscript loading stale";
const FOLLOWS: &str = "admin noscript stale no_async_loading";

const SCRIPT: &str = "noscript stale skip_monitor no_mandatory_keys movablekeys";
const READ_SCRIPT: &str = "readonly noscript stale skip_monitor no_mandatory_keys movablekeys";

/// All commands, with Redis 7's names, flags and categories.
pub(crate) static COMMANDS: [CommandSpec; 119] = [
    spec(("get", Id::Get, 2), ONE, "readonly fast", "read string fast"),
    spec(("set", Id::Set, -3), ONE, "write denyoom", "write string slow"),
    spec(("getdel", Id::GetDel, 2), ONE, "write fast", "write string fast"),
    spec(("getex", Id::GetEx, -2), ONE, "write fast", "write string fast"),
    spec(("getset", Id::GetSet, 3), ONE, "write denyoom fast", "write string fast"),
    spec(("setex", Id::SetEx, 4), ONE, "write denyoom", "write string slow"),
    spec(("psetex", Id::PSetEx, 4), ONE, "write denyoom", "write string slow"),
    spec(("del", Id::Del, -2), ALL, "write", "keyspace write slow"),
    // Of Valkey 9, not of Redis.
    spec(("delifeq", Id::DelIfEq, 3), ONE, "write fast", "write string fast"),
    // Of Redis 8.4.
    spec(("delex", Id::DelEx, -2), ONE, "write fast movablekeys", "write string fast"),
    spec(("unlink", Id::Unlink, -2), ALL, "write fast", "keyspace write fast"),
    spec(("exists", Id::Exists, -2), ALL, "readonly fast", "keyspace read fast"),
    spec(("touch", Id::Touch, -2), ALL, "readonly fast", "keyspace read fast"),
    spec(("mget", Id::MGet, -2), ALL, "readonly fast", "read string fast"),
    spec(("mset", Id::MSet, -3), PAIRS, "write denyoom", "write string slow"),
    spec(("msetnx", Id::MSetNx, -3), PAIRS, "write denyoom", "write string slow"),
    // Of Redis 8.4. The second argument is the number of pairs; COMMAND INFO shows no places of keys.
    spec(
        ("msetex", Id::MSetEx, -4),
        THIRD_ARGUMENT,
        "write denyoom movablekeys",
        "write string slow",
    ),
    spec(("setnx", Id::SetNx, 3), ONE, "write denyoom fast", "write string fast"),
    spec(("incr", Id::Incr, 2), ONE, "write denyoom fast", "write string fast"),
    spec(("decr", Id::Decr, 2), ONE, "write denyoom fast", "write string fast"),
    spec(("incrby", Id::IncrBy, 3), ONE, "write denyoom fast", "write string fast"),
    spec(("decrby", Id::DecrBy, 3), ONE, "write denyoom fast", "write string fast"),
    spec(("incrbyfloat", Id::IncrByFloat, 3), ONE, "write denyoom fast", "write string fast"),
    spec(("append", Id::Append, 3), ONE, "write denyoom fast", "write string fast"),
    spec(("strlen", Id::StrLen, 2), ONE, "readonly fast", "read string fast"),
    // Of Redis 8.4.
    spec(("digest", Id::Digest, 2), ONE, "readonly fast", "read string fast"),
    spec(("getrange", Id::GetRange, 4), ONE, "readonly", "read string slow"),
    spec(("substr", Id::Substr, 4), ONE, "readonly", "read string slow"),
    spec(("setrange", Id::SetRange, 4), ONE, "write denyoom", "write string slow"),
    spec(("setbit", Id::SetBit, 4), ONE, "write denyoom", "write bitmap slow"),
    spec(("getbit", Id::GetBit, 3), ONE, "readonly fast", "read bitmap fast"),
    spec(("bitcount", Id::BitCount, -2), ONE, "readonly", "read bitmap slow"),
    spec(("bitpos", Id::BitPos, -3), ONE, "readonly", "read bitmap slow"),
    spec(("bitop", Id::BitOp, -4), BEHIND_OPERATION, "write denyoom", "write bitmap slow"),
    spec(("bitfield", Id::BitField, -2), ONE, "write denyoom", "write bitmap slow"),
    spec(("bitfield_ro", Id::BitFieldRo, -2), ONE, "readonly fast", "read bitmap fast"),
    spec(("lcs", Id::Lcs, -3), TWO, "readonly", "read string slow"),
    spec(("sort", Id::Sort, -2), ONE, "write denyoom movablekeys", SORTS),
    spec(("sort_ro", Id::SortRo, -2), ONE, "readonly movablekeys", SORTS_READ_ONLY),
    spec(("pfadd", Id::PfAdd, -2), ONE, "write denyoom fast", "write hyperloglog fast"),
    spec(("pfcount", Id::PfCount, -2), ALL, "readonly", "read hyperloglog slow"),
    spec(("pfmerge", Id::PfMerge, -2), ALL, "write denyoom", "write hyperloglog slow"),
    spec(("expire", Id::Expire, -3), ONE, "write fast", "keyspace write fast"),
    spec(("pexpire", Id::PExpire, -3), ONE, "write fast", "keyspace write fast"),
    spec(("expireat", Id::ExpireAt, -3), ONE, "write fast", "keyspace write fast"),
    spec(("pexpireat", Id::PExpireAt, -3), ONE, "write fast", "keyspace write fast"),
    spec(("ttl", Id::Ttl, 2), ONE, "readonly fast", "keyspace read fast"),
    spec(("pttl", Id::PTtl, 2), ONE, "readonly fast", "keyspace read fast"),
    spec(("expiretime", Id::ExpireTime, 2), ONE, "readonly fast", "keyspace read fast"),
    spec(("pexpiretime", Id::PExpireTime, 2), ONE, "readonly fast", "keyspace read fast"),
    spec(("persist", Id::Persist, 2), ONE, "write fast", "keyspace write fast"),
    spec(("type", Id::Type, 2), ONE, "readonly fast", "keyspace read fast"),
    spec(("dump", Id::Dump, 2), ONE, "readonly", "keyspace read slow"),
    spec(("restore", Id::Restore, -4), ONE, "write denyoom", "keyspace write slow dangerous"),
    spec(("migrate", Id::Migrate, -6), THIRD, "write movablekeys", "keyspace write slow dangerous"),
    spec(("scan", Id::Scan, -2), NONE, "readonly", "keyspace read slow"),
    spec(("keys", Id::Keys, 2), NONE, "readonly", "keyspace read slow dangerous"),
    spec(("randomkey", Id::RandomKey, 1), NONE, "readonly", "keyspace read slow"),
    spec(("rename", Id::Rename, 3), TWO, "write", "keyspace write slow"),
    spec(("renamenx", Id::RenameNx, 3), TWO, "write fast", "keyspace write fast"),
    spec(("copy", Id::Copy, -3), TWO, "write denyoom", "keyspace write slow"),
    spec(("move", Id::Move, 3), ONE, "write fast", "keyspace write fast"),
    spec(("swapdb", Id::SwapDb, 3), NONE, "write fast", "keyspace write fast dangerous"),
    spec(("dbsize", Id::DbSize, 1), NONE, "readonly fast", "keyspace read fast"),
    spec(("flushdb", Id::FlushDb, -1), NONE, "write", "keyspace write slow dangerous"),
    spec(("flushall", Id::FlushAll, -1), NONE, "write", "keyspace write slow dangerous"),
    spec(("ping", Id::Ping, -1), NONE, "fast", "fast connection"),
    spec(("echo", Id::Echo, 2), NONE, "loading stale fast", "fast connection"),
    spec(
        ("hello", Id::Hello, -1),
        NONE,
        "noscript loading stale fast no_auth allow_busy",
        "fast connection",
    ),
    spec(
        ("auth", Id::Auth, -2),
        NONE,
        "noscript loading stale fast no_auth allow_busy",
        "fast connection",
    ),
    spec(("client", Id::Client, -2), NONE, "", "slow"),
    spec(("command", Id::Command, -1), NONE, "loading stale", "slow connection"),
    spec(("config", Id::Config, -2), NONE, "", "slow"),
    spec(("info", Id::Info, -1), NONE, "loading stale", "slow dangerous"),
    spec(("memory", Id::Memory, -2), NONE, "", "slow"),
    spec(("object", Id::Object, -2), NONE, "", "slow"),
    spec(("select", Id::Select, 2), NONE, "loading stale fast", "fast connection"),
    spec(("time", Id::Time, 1), NONE, "loading stale fast", "fast"),
    spec(("wait", Id::Wait, 3), NONE, "noscript", "slow connection"),
    // Of Redis 7.2.
    spec(("waitaof", Id::WaitAof, 4), NONE, "noscript", "slow connection"),
    spec(("role", Id::Role, 1), NONE, "noscript loading stale fast", "admin fast dangerous"),
    spec(("cluster", Id::Cluster, -2), NONE, "", "slow"),
    spec(("readonly", Id::ReadOnly, 1), NONE, "loading stale fast", "fast connection"),
    spec(("readwrite", Id::ReadWrite, 1), NONE, "loading stale fast", "fast connection"),
    spec(("asking", Id::Asking, 1), NONE, "fast", "fast connection"),
    spec(("lastsave", Id::LastSave, 1), NONE, "loading stale fast", "admin fast dangerous"),
    spec(
        ("save", Id::Save, 1),
        NONE,
        "admin noscript no_async_loading no_multi",
        "admin slow dangerous",
    ),
    spec(
        ("bgsave", Id::BgSave, -1),
        NONE,
        "admin noscript no_async_loading",
        "admin slow dangerous",
    ),
    spec(
        ("bgrewriteaof", Id::BgRewriteAof, 1),
        NONE,
        "admin noscript no_async_loading",
        "admin slow dangerous",
    ),
    spec(("replicaof", Id::ReplicaOf, 3), NONE, FOLLOWS, "admin slow dangerous"),
    spec(("slaveof", Id::SlaveOf, 3), NONE, FOLLOWS, "admin slow dangerous"),
    spec(
        ("shutdown", Id::Shutdown, -1),
        NONE,
        "admin noscript loading stale no_multi allow_busy",
        "admin slow dangerous",
    ),
    spec(("slowlog", Id::SlowLog, -2), NONE, "", "slow"),
    spec(("latency", Id::Latency, -2), NONE, "", "slow"),
    spec(("acl", Id::Acl, -2), NONE, "", "slow"),
    spec(("debug", Id::Debug, -2), NONE, "admin noscript loading stale", "admin slow dangerous"),
    spec(("monitor", Id::Monitor, 1), NONE, "admin noscript loading stale", "admin slow dangerous"),
    spec(
        ("multi", Id::Multi, 1),
        NONE,
        "noscript loading stale fast allow_busy",
        "fast transaction",
    ),
    spec(("exec", Id::Exec, 1), NONE, "noscript loading stale skip_slowlog", "slow transaction"),
    spec(
        ("discard", Id::Discard, 1),
        NONE,
        "noscript loading stale fast allow_busy",
        "fast transaction",
    ),
    spec(
        ("watch", Id::Watch, -2),
        ALL,
        "noscript loading stale fast allow_busy",
        "fast transaction",
    ),
    spec(
        ("unwatch", Id::Unwatch, 1),
        NONE,
        "noscript loading stale fast allow_busy",
        "fast transaction",
    ),
    spec(
        ("reset", Id::Reset, 1),
        NONE,
        "noscript loading stale fast no_auth allow_busy",
        "fast connection",
    ),
    spec(
        ("quit", Id::Quit, -1),
        NONE,
        "noscript loading stale fast no_auth allow_busy",
        "fast connection",
    ),
    spec(("subscribe", Id::Subscribe, -2), NONE, SUBSCRIBES, "pubsub slow"),
    spec(("unsubscribe", Id::Unsubscribe, -1), NONE, SUBSCRIBES, "pubsub slow"),
    spec(("psubscribe", Id::PSubscribe, -2), NONE, SUBSCRIBES, "pubsub slow"),
    spec(("punsubscribe", Id::PUnsubscribe, -1), NONE, SUBSCRIBES, "pubsub slow"),
    spec(("ssubscribe", Id::SSubscribe, -2), ALL, SUBSCRIBES, "pubsub slow"),
    spec(("sunsubscribe", Id::SUnsubscribe, -1), ALL, SUBSCRIBES, "pubsub slow"),
    spec(("publish", Id::Publish, 3), NONE, "pubsub loading stale fast", "pubsub fast"),
    spec(("spublish", Id::SPublish, 3), ONE, "pubsub loading stale fast", "pubsub fast"),
    spec(("pubsub", Id::PubSub, -2), NONE, "", "slow"),
    spec(("eval", Id::Eval, -3), NONE, SCRIPT, "slow scripting"),
    spec(("evalsha", Id::EvalSha, -3), NONE, SCRIPT, "slow scripting"),
    spec(("eval_ro", Id::EvalRo, -3), NONE, READ_SCRIPT, "slow scripting"),
    spec(("evalsha_ro", Id::EvalShaRo, -3), NONE, READ_SCRIPT, "slow scripting"),
    spec(("script", Id::Script, -2), NONE, "", "slow"),
    spec(("module", Id::Module, -2), NONE, "", "slow"),
];

/// The longest name; anything longer is no command.
const LONGEST: usize = 16;
/// Folds letters to lower case. No other byte becomes a letter, but `_` and the byte 0x7F become the same one.
const SMALL: u128 = 0x2020_2020_2020_2020_2020_2020_2020_2020;
/// Slots of the hash table. About a fifth is in use.
const PLACES: usize = 512;
/// An unused slot.
const FREE: u8 = u8::MAX;
/// A flag beside the index of a command whose name has an underscore: it must be compared.
const UNDERSCORE: u8 = 1 << 7;

/// The hash table: the folded name and the index in [`COMMANDS`], at the slot of its hash or the next free one.
static BY_NAME: [(u128, u8); PLACES] = by_name();

const fn by_name() -> [(u128, u8); PLACES] {
    assert!(COMMANDS.len() < UNDERSCORE as usize, "an index must leave the flag clear");
    let mut table = [(0, FREE); PLACES];
    let mut n = 0;
    while n < COMMANDS.len() {
        let name = COMMANDS[n].name.as_bytes();
        let folded = fold(name);
        let mut place = place(folded, name.len());
        while table[place].1 != FREE {
            place = (place + 1) % PLACES;
        }
        let mut at = 0;
        while at < name.len() && name[at] != b'_' {
            at += 1;
        }
        table[place] = (folded, n as u8 | if at < name.len() { UNDERSCORE } else { 0 });
        n += 1;
    }
    table
}

/// Folds a name of up to [`LONGEST`] bytes to a number. Different names of one length have different numbers: the words
/// read from the two ends overlap and so cover all bytes.
#[inline]
const fn fold(name: &[u8]) -> u128 {
    let wide = match name {
        [] => 0,
        [first, ..] if name.len() < 4 => {
            let (middle, last) = (name[name.len() / 2], name[name.len() - 1]);
            (*first as u128) | (middle as u128) << 8 | (last as u128) << 16
        }
        _ if name.len() < 8 => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first) as u128) | (u32::from_le_bytes(*last) as u128) << 32
            }
            _ => 0,
        },
        _ => match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                (u64::from_le_bytes(*first) as u128) | (u64::from_le_bytes(*last) as u128) << 64
            }
            _ => 0,
        },
    };
    wide | SMALL
}

/// Returns the slot where the search begins.
#[inline]
const fn place(folded: u128, length: usize) -> usize {
    let mixed = (folded as u64) ^ ((folded >> 64) as u64).rotate_left(21) ^ (length as u64) << 40;
    (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> 55) as usize % PLACES
}

/// Returns the command of this name.
#[inline(always)]
pub(crate) fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    if name.len() > LONGEST {
        return None;
    }
    let folded = fold(name);
    let mut place = place(folded, name.len());
    loop {
        let (at, n) = BY_NAME[place];
        if n == FREE {
            return None;
        }
        let spec = &COMMANDS[usize::from(n & !UNDERSCORE)];
        if at == folded && spec.name.len() == name.len() {
            // Equal numbers of one length are equal names, except for the byte that `SMALL` folds onto `_`.
            let same = n & UNDERSCORE == 0 || name.eq_ignore_ascii_case(spec.name.as_bytes());
            return same.then_some(spec);
        }
        place = (place + 1) % PLACES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_whatever_its_case() {
        for spec in &COMMANDS {
            for name in [spec.name.to_owned(), spec.name.to_uppercase(), capitals_turn(spec.name)] {
                let found = find(name.as_bytes()).map(|found| found.id);
                assert_eq!(found, Some(spec.id), "{name}");
            }
        }
    }

    fn capitals_turn(name: &str) -> String {
        let execution = |(n, c): (usize, char)| if n % 2 == 0 { c.to_ascii_uppercase() } else { c };
        name.chars().enumerate().map(execution).collect()
    }

    #[test]
    fn similar_names_are_not_found() {
        for spec in &COMMANDS {
            let name = spec.name.as_bytes();
            for at in 0..name.len() {
                for byte in 0..=u8::MAX {
                    let mut other = name.to_vec();
                    other[at] = byte;
                    let wanted =
                        COMMANDS.iter().find(|s| s.name.as_bytes().eq_ignore_ascii_case(&other));
                    let found = find(&other);
                    assert_eq!(found.map(|s| s.id), wanted.map(|s| s.id), "{other:?}");
                }
            }
            assert!(find(&name[1..]).is_none_or(|found| found.name.as_bytes() == &name[1..]));
            let twice = [name, name].concat();
            assert!(find(&twice).is_none());
        }
        assert!(find(b"").is_none());
        assert!(find(&[b'g'; 100]).is_none());
    }

    #[test]
    fn searches_are_short() {
        let probes = |spec: &CommandSpec| {
            let from = place(fold(spec.name.as_bytes()), spec.name.len());
            let n = COMMANDS.iter().position(|other| other.id == spec.id).unwrap();
            let at = BY_NAME
                .iter()
                .position(|&(_, m)| m != FREE && usize::from(m & !UNDERSCORE) == n)
                .unwrap();
            (at + PLACES - from) % PLACES
        };
        assert_eq!(COMMANDS.iter().take(2).map(probes).sum::<usize>(), 0, "GET and SET");
        assert!(COMMANDS.iter().map(probes).max().unwrap() < 6);
    }

    #[test]
    fn flags_are_those_of_the_texts() {
        for (flag, name) in Flag::ALL {
            for spec in &COMMANDS {
                let shown = spec.flags.split(' ').any(|shown| shown == name);
                assert_eq!(spec.has_flag(flag), shown, "{name} of {}", spec.name);
            }
            assert!(COMMANDS.iter().any(|spec| spec.has_flag(flag)), "no command has {name}");
        }
    }
}
