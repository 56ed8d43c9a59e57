//! MEMORY: memory usage of one key or of the server.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::ReplyKind;
use crate::command::rows::{Run, command, container};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{RO, key};
use hedgerow_db_engine::request::Query;
use hedgerow_db_formats::number;

const HELP: [&str; 10] = [
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[container("memory", -2, MEMORY)
    .since("4.0.0", Group::Server)
    .summary("A container for memory diagnostics commands.")
    .brief()];

const MEMORY: &[Row<Run>] = &[
    command("memory|usage", -3, "readonly", |e, a| e.memory_usage(a))
        .keys(&[key(2, RO)])
        .since("4.0.0", Group::Server)
        .syntax("key#0 [SAMPLES count/integer]")
        .summary("Returns the bytes of memory of a key.")
        .takes_time("O(N), N is the number of bytes"),
    command("memory|stats", 2, "", |e, _| {
        e.memory_stats();
        Ok(())
    })
    .since("4.0.0", Group::Server)
    .summary("Returns the use of memory in detail.")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special"),
    command("memory|malloc-stats", 2, "", |e, _| {
        e.answer(|out| out.verbatim(*b"txt", b"Stats not supported for the current allocator"))
    })
    .since("4.0.0", Group::Server)
    .summary("Returns the statistics of the allocator.")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special"),
    command("memory|purge", 2, "", |e, _| {
        // On this thread, which it holds up: an operator has asked for it, and waits for the reply.
        hedgerow_db_engine::state::heap::trim();
        e.answer(|out| out.ok())
    })
    .since("4.0.0", Group::Server)
    .summary("Gives free memory back to the operating system.")
    .tips("request_policy:all_shards response_policy:all_succeeded"),
    command("memory|help", 2, "loading stale", |e, _| e.help(&HELP))
        .since("4.0.0", Group::Server)
        .summary("Lists the subcommands."),
];

impl<'a> Execution<'_, 'a> {
    /// MEMORY USAGE.
    fn memory_usage(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        match &arguments[3..] {
            [] => {}
            [option, samples] if is(option, "samples") => {
                if number::integer(samples).ok_or(NOT_AN_INTEGER)? < 0 {
                    return Err(SYNTAX);
                }
            }
            _ => return Err(SYNTAX),
        }
        self.read(arguments[2], Query::MemoryUsage, ReplyKind::IntegerOrNull)
    }

    /// MEMORY STATS: the fields of Redis. This server counts its data and its clients itself, and knows of its
    /// allocator only how much memory the process has.
    #[allow(clippy::cast_precision_loss)] // Of a ratio, six digits say enough.
    fn memory_stats(&mut self) {
        self.execute_batch();
        let (stats, server) = (self.db.stats(), self.server.stats());
        let used = stats.memory + server.client_memory;
        let (resident, peak) = (super::info::resident(), super::info::peak(used));
        let beyond = resident.cast_signed() - used.cast_signed();
        let ratio =
            |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let bytes = [
            ("peak.allocated", peak),
            ("total.allocated", used),
            ("startup.allocated", 0),
            ("replication.backlog", 0),
            ("clients.slaves", 0),
            ("clients.normal", server.client_memory),
            ("cluster.links", 0),
            ("aof.buffer", 0),
            ("lua.caches", 0),
            ("functions.caches", 0),
            ("overhead.total", server.client_memory),
            ("keys.count", stats.keys),
            ("keys.bytes-per-key", stats.memory.checked_div(stats.keys).unwrap_or(0)),
            ("dataset.bytes", stats.memory),
            ("allocator.allocated", used),
            ("allocator.active", resident),
            ("allocator.resident", resident),
        ];
        let ratios = [
            ("dataset.percentage", 100.0 * ratio(stats.memory, used)),
            ("peak.percentage", 100.0 * ratio(used, peak)),
            ("allocator-fragmentation.ratio", ratio(resident, used)),
            ("allocator-rss.ratio", 1.0),
            ("rss-overhead.ratio", 1.0),
            ("fragmentation", ratio(resident, used)),
        ];
        let differences = [
            ("allocator-fragmentation.bytes", beyond),
            ("allocator-rss.bytes", 0),
            ("rss-overhead.bytes", 0),
            ("fragmentation.bytes", beyond),
        ];
        self.reply(|out| {
            out.map(bytes.len() + ratios.len() + differences.len());
            let bytes = bytes.map(|(name, value)| (name, value.cast_signed()));
            for (name, value) in bytes.into_iter().chain(differences) {
                out.bulk(name.as_bytes());
                out.integer(value);
            }
            for (name, value) in ratios {
                out.bulk(name.as_bytes());
                out.double(value);
            }
        });
    }
}
