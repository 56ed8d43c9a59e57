//! The functions of the commands, by the commands' numbers.

use crate::command::rows::Run;
use crate::command::table::families::with_families;
use crate::command::table::{COMMANDS, CommandSpec, NUMBERS};

macro_rules! runs {
    ($($family:ident)*) => {
        const fn runs() -> [Run; NUMBERS] {
            let mut all = [$crate::command::strings::COMMANDS[0].run; NUMBERS];
            let (mut number, mut next) = (0, COMMANDS.len());
            $(
                let (rows, mut row) = ($crate::command::$family::COMMANDS, 0);
                while row < rows.len() {
                    all[number] = rows[row].run;
                    let (parts, mut part) = (rows[row].parts, 0);
                    while part < parts.len() {
                        all[next] = parts[part].run;
                        next += 1;
                        part += 1;
                    }
                    number += 1;
                    row += 1;
                }
            )*
            all
        }
    };
}
with_families!(runs);

static RUNS: [Run; NUMBERS] = runs();

/// Returns the function of a command or subcommand.
#[inline]
pub(super) fn run_of(spec: &CommandSpec) -> Run {
    RUNS[usize::from(spec.id.number())]
}
