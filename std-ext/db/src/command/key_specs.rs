//! The tips and the key specifications of commands, as `COMMAND INFO` shows them.
//!
//! A client of a cluster reads in the tips which nodes should execute a command, and how it combines their replies.
//! Most key specifications follow from the places of the keys and from their use. All are those of redis-server 7.0.15.

use crate::command::acl::key_use::{has_keys, use_at};
use crate::command::table::{CommandSpec, Id};
use crate::resp::write::RespWriter;

/// Tips, and the commands that have them.
const TIPS: [(&str, &[&str]); 19] = [
    ("request_policy:multi_shard response_policy:agg_sum", &["del", "unlink", "exists", "touch"]),
    ("request_policy:multi_shard", &["mget"]),
    ("request_policy:multi_shard response_policy:all_succeeded", &["mset", "msetex"]),
    ("request_policy:multi_shard response_policy:agg_min", &["msetnx"]),
    (
        "nondeterministic_output",
        &[
            "ttl",
            "pttl",
            "dump",
            "migrate",
            "time",
            "lastsave",
            "client|list",
            "client|info",
            "cluster|count-failure-reports",
            "cluster|getkeysinslot",
            "cluster|info",
            "cluster|links",
            "cluster|nodes",
            "cluster|replicas",
            "cluster|shards",
            "cluster|slaves",
            "cluster|slots",
            "object|encoding",
            "object|idletime",
            "object|freq",
            "object|refcount",
        ],
    ),
    ("nondeterministic_output request_policy:special", &["scan"]),
    ("request_policy:all_shards nondeterministic_output_order", &["keys"]),
    ("request_policy:all_shards nondeterministic_output", &["randomkey"]),
    ("request_policy:all_shards response_policy:agg_sum", &["dbsize"]),
    (
        "request_policy:all_shards response_policy:all_succeeded",
        &["flushdb", "flushall", "ping", "memory|purge"],
    ),
    (
        "nondeterministic_output_order",
        &["command", "command|list", "command|info", "command|docs", "module|list"],
    ),
    (
        "nondeterministic_output request_policy:all_shards response_policy:special",
        &["info", "memory|stats", "memory|malloc-stats"],
    ),
    ("request_policy:all_shards response_policy:agg_min", &["wait", "waitaof"]),
    (
        "request_policy:all_nodes response_policy:all_succeeded",
        &["config|set", "slowlog|reset", "latency|reset", "script|load", "script|flush"],
    ),
    ("request_policy:all_nodes nondeterministic_output", &["slowlog|get"]),
    ("request_policy:all_nodes response_policy:agg_sum nondeterministic_output", &["slowlog|len"]),
    (
        "nondeterministic_output request_policy:all_nodes response_policy:special",
        &[
            "latency|doctor",
            "latency|graph",
            "latency|histogram",
            "latency|history",
            "latency|latest",
        ],
    ),
    ("request_policy:all_shards response_policy:agg_logical_and", &["script|exists"]),
    ("request_policy:all_shards response_policy:one_succeeded", &["script|kill"]),
];

/// Writes the tips of a command.
pub(super) fn write_tips(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    let found = TIPS.iter().find(|(_, names)| names.contains(&spec.name));
    let tips = || found.into_iter().flat_map(|(tips, _)| tips.split(' '));
    out.set(tips().count());
    tips().for_each(|tip| out.bulk(tip.as_bytes()));
}

/// A key specification: where some keys of a command are, and how it uses them.
struct KeySpec {
    notes: &'static str,
    flags: Vec<&'static str>,
    begin: Begin,
    find: Find,
}

/// Where the keys begin.
enum Begin {
    /// At this argument.
    At(u8),
    /// Behind this word, which is looked for from this argument on.
    Behind(&'static str, i64),
    Unknown,
}

/// How many keys there are.
enum Find {
    /// Up to `last`, which is relative to the first one, or counts from the end if it is negative.
    Range {
        last: i8,
        step: i8,
    },
    /// An argument tells the number of keys, which follow it with this step.
    KeyNum(i64),
    Unknown,
}

/// Writes the key specifications of a command.
pub(super) fn write_key_specs(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    let specs = key_specs(spec);
    out.set(specs.len());
    for spec in &specs {
        spec.write(out);
    }
}

fn key_specs(spec: &CommandSpec) -> Vec<KeySpec> {
    // Channels stand at the places of keys.
    let used = |place: u8| has_keys(spec).then(|| use_at(spec, place.into()));
    let found = |place: u8, last, step| KeySpec {
        notes: "",
        flags: used(place).map_or_else(|| vec!["not_key"], |used| used.names().collect()),
        begin: Begin::At(place),
        find: Find::Range { last, step },
    };
    if spec.counts_keys() {
        return vec![KeySpec { notes: notes(spec), find: Find::KeyNum(1), ..found(2, 0, 1) }];
    }
    if spec.id == Id::MSetEx {
        return vec![KeySpec { begin: Begin::At(1), find: Find::KeyNum(2), ..found(2, 0, 1) }];
    }
    let (first, last, step) = spec.keys;
    let mut specs = Vec::new();
    if first != 0 {
        // The destination of a command is the first key or the second, and is used otherwise.
        let (place, second) = (first.unsigned_abs(), (first + step).unsigned_abs());
        // `lastkey` counts from the first key, the legacy places from the command's name.
        let relative = |from: u8| if last < 0 { last } else { last - from.cast_signed() };
        if last == first || used(place) == used(second) {
            specs.push(found(place, relative(place), step));
        } else {
            specs.extend([found(place, 0, 1), found(second, relative(second), step)]);
        }
        specs[0].notes = notes(spec);
    }
    specs.extend(further(spec));
    if matches!(spec.id, Id::Set | Id::BitField) {
        specs[0].flags = vec!["RW", "access", "update", "variable_flags"];
    }
    if spec.id == Id::DelEx {
        specs[0].flags = vec!["RW", "delete", "variable_flags"];
    }
    specs
}

fn notes(spec: &CommandSpec) -> &'static str {
    match spec.id {
        Id::Set => "RW and ACCESS due to the optional `GET` argument",
        Id::GetEx => "RW and UPDATE because it changes the TTL",
        Id::BitField => "This command allows both access and modification of the key",
        Id::PfCount => {
            "RW because it may change the internal representation of the key, and propagate to replicas"
        }
        Id::Eval => {
            "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"
        }
        Id::EvalRo => {
            "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"
        }
        _ => "",
    }
}

/// The keys whose places depend on other arguments.
fn further(spec: &CommandSpec) -> Vec<KeySpec> {
    let unknown =
        |notes, flags| KeySpec { notes, flags, begin: Begin::Unknown, find: Find::Unknown };
    let patterns = || {
        let notes = "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the \
            content of the key we sort";
        unknown(notes, vec!["RO", "access"])
    };
    match spec.id {
        Id::SortRo => vec![patterns()],
        Id::Sort => {
            let notes = "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear \
                anywhere in the argument array";
            vec![patterns(), unknown(notes, vec!["OW", "update"])]
        }
        Id::Migrate => vec![KeySpec {
            notes: "",
            flags: vec!["RW", "access", "delete", "incomplete"],
            begin: Begin::Behind("KEYS", -2),
            find: Find::Range { last: -1, step: 1 },
        }],
        _ => Vec::new(),
    }
}

impl KeySpec {
    fn write(&self, out: &mut RespWriter<'_>) {
        out.map(if self.notes.is_empty() { 3 } else { 4 });
        if !self.notes.is_empty() {
            out.bulk(b"notes");
            out.bulk(self.notes.as_bytes());
        }
        out.bulk(b"flags");
        out.set(self.flags.len());
        self.flags.iter().for_each(|flag| out.simple(flag));
        out.bulk(b"begin_search");
        match self.begin {
            Begin::At(place) => write_part(out, "index", &[("index", place.into())]),
            Begin::Behind(word, from) => {
                write_type(out, "keyword");
                out.map(2);
                out.bulk(b"keyword");
                out.bulk(word.as_bytes());
                out.bulk(b"startfrom");
                out.integer(from);
            }
            Begin::Unknown => write_part(out, "unknown", &[]),
        }
        out.bulk(b"find_keys");
        match self.find {
            Find::Range { last, step } => {
                let numbers = [("lastkey", last.into()), ("keystep", step.into()), ("limit", 0)];
                write_part(out, "range", &numbers);
            }
            Find::KeyNum(step) => {
                let numbers = [("keynumidx", 0), ("firstkey", 1), ("keystep", step)];
                write_part(out, "keynum", &numbers);
            }
            Find::Unknown => write_part(out, "unknown", &[]),
        }
    }
}

fn write_type(out: &mut RespWriter<'_>, kind: &str) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
}

fn write_part(out: &mut RespWriter<'_>, kind: &str, numbers: &[(&str, i64)]) {
    write_type(out, kind);
    out.map(numbers.len());
    for (name, number) in numbers {
        out.bulk(name.as_bytes());
        out.integer(*number);
    }
}
