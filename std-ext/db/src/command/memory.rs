//! MEMORY: what is taken by one key, or by all.

use crate::ask::Look;
use crate::command::arguments::{Complaint, NOT_AN_INTEGER, SYNTAX, is, part_of};
use crate::command::obey::Turn;
use crate::command::shape::Shape;
use crate::state::number;

#[derive(Clone, Copy)]
enum Part {
    Usage,
    Doctor,
    Stats,
    MallocStats,
    Purge,
    Help,
}

const PARTS: [(&str, i8, Part); 6] = [
    ("usage", -3, Part::Usage),
    ("doctor", 2, Part::Doctor),
    ("stats", 2, Part::Stats),
    ("malloc-stats", 2, Part::MallocStats),
    ("purge", 2, Part::Purge),
    ("help", 2, Part::Help),
];

const HELP: [&str; 12] = [
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return memory problems reports.",
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

impl<'a> Turn<'_, 'a> {
    /// MEMORY.
    pub(super) fn memory(&mut self, arguments: &[&'a [u8]]) -> Result<(), Complaint> {
        match part_of("memory", &PARTS, arguments)? {
            Part::Usage => {
                match &arguments[3..] {
                    [] => {}
                    [option, samples] if is(option, "samples") => {
                        if number::integer(samples).ok_or(NOT_AN_INTEGER)? < 0 {
                            return Err(SYNTAX);
                        }
                    }
                    _ => return Err(SYNTAX),
                }
                self.batch.look(arguments[2], Look::Memory, Shape::IntegerOrNull);
            }
            Part::Doctor => {
                self.reply(|out| out.verbatim(*b"txt", b"No memory problem is looked for here."));
            }
            Part::Stats => self.memory_stats(),
            Part::MallocStats => {
                self.reply(|out| {
                    out.verbatim(*b"txt", b"Stats not supported for the current allocator");
                });
            }
            Part::Purge => {
                crate::state::heap::give_back();
                self.reply(|out| out.ok());
            }
            Part::Help => self.help(&HELP),
        }
        Ok(())
    }

    fn memory_stats(&mut self) {
        self.run();
        let (figures, server) = (self.db.figures(), self.server.figures());
        let each = figures.memory.checked_div(figures.keys).unwrap_or(0);
        let resident = super::info::resident();
        self.reply(|out| {
            let lines = [
                ("total.allocated", figures.memory + server.buffers),
                ("clients.normal", server.buffers),
                ("keys.count", figures.keys),
                ("keys.bytes-per-key", each),
                ("dataset.bytes", figures.memory),
                ("allocator.resident", resident),
            ];
            out.map(lines.len());
            for (name, value) in lines {
                out.bulk(name.as_bytes());
                out.integer(value.cast_signed());
            }
        });
    }
}
