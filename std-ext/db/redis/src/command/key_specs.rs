//! The tips and the key specifications of commands, as `COMMAND INFO` shows them.
//!
//! A client of a cluster reads in the tips which nodes should execute a command, and how it combines their replies.

use crate::command::table::CommandSpec;
use crate::command::table::keys::{Begin, Find, KeySpec};
use hedgerow_db_formats::resp::write::RespWriter;

/// Writes the tips of a command.
pub(super) fn write_tips(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    let tips = || spec.tips.split(' ').filter(|tip| !tip.is_empty());
    out.set(tips().count());
    tips().for_each(|tip| out.bulk(tip.as_bytes()));
}

/// Writes the key specifications of a command.
pub(super) fn write_key_specs(spec: &CommandSpec, out: &mut RespWriter<'_>) {
    out.set(spec.key_specs.len());
    for spec in spec.key_specs {
        spec.write(out);
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
        out.set(self.flags.names().count());
        self.flags.names().for_each(|flag| out.simple(flag));
        out.bulk(b"begin_search");
        match self.begin {
            Begin::At(place) => write_part(out, "index", &[("index", place.into())]),
            Begin::Behind(word, from) => {
                write_type(out, "keyword");
                out.map(2);
                out.bulk(b"keyword");
                out.bulk(word.as_bytes());
                out.bulk(b"startfrom");
                out.integer(from.into());
            }
            Begin::Unknown => write_part(out, "unknown", &[]),
        }
        out.bulk(b"find_keys");
        match self.find {
            Find::Range { last, step, limit } => {
                let numbers =
                    [("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())];
                write_part(out, "range", &numbers);
            }
            Find::Counted { step } => {
                let numbers = [("keynumidx", 0), ("firstkey", 1), ("keystep", step.into())];
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
