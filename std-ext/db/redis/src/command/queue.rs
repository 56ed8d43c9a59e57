//! The queue of a transaction: copies of the commands between MULTI and EXEC.

use crate::command::table::CommandSpec;
use crate::limits::TRANSACTION_BYTES;

/// A command of a transaction, and its arguments.
pub(super) type Queued<'q> = (&'static CommandSpec, &'q [&'q [u8]]);

/// Bytes that a queued command and its argument take besides the arguments' own, also while EXEC runs.
const COMMAND_BYTES: usize = 128;
const ARGUMENT_BYTES: usize = 32;

/// The commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(super) struct CommandQueue {
    /// Each command and the number of its arguments.
    commands: Vec<(&'static CommandSpec, usize)>,
    lengths: Vec<usize>,
    bytes: Vec<u8>,
    /// An estimate of the memory that all this takes.
    size: usize,
    /// A command was refused, so EXEC executes nothing.
    aborted: bool,
}

impl CommandQueue {
    /// Adds a command. Returns whether there was room.
    pub(super) fn push(&mut self, spec: &'static CommandSpec, arguments: &[&[u8]]) -> bool {
        // Nobody will execute it.
        if self.aborted {
            return true;
        }
        let bytes = arguments.iter().map(|argument| argument.len() + ARGUMENT_BYTES);
        self.size += COMMAND_BYTES + bytes.sum::<usize>();
        if self.size > TRANSACTION_BYTES {
            return false;
        }
        self.commands.push((spec, arguments.len()));
        for argument in arguments {
            self.lengths.push(argument.len());
            self.bytes.extend_from_slice(argument);
        }
        true
    }

    /// Notes that a command was refused, and frees the others.
    pub(super) fn abort(&mut self) {
        *self = Self { aborted: true, ..Self::default() };
    }

    /// Returns the arguments of all commands.
    pub(super) fn arguments(&self) -> Vec<&[u8]> {
        let mut rest = &self.bytes[..];
        let arguments = self.lengths.iter().map(|length| {
            let (argument, behind) = rest.split_at(*length);
            rest = behind;
            argument
        });
        arguments.collect()
    }

    /// Returns each command with its own of these [`arguments`](Self::arguments).
    pub(super) fn commands<'q>(&self, arguments: &'q [&'q [u8]]) -> Vec<Queued<'q>> {
        let mut rest = arguments;
        let commands = self.commands.iter().map(|(spec, count)| {
            let (own, behind) = rest.split_at(*count);
            rest = behind;
            (*spec, own)
        });
        commands.collect()
    }

    /// Returns whether one of the commands changes something.
    pub(super) fn writes(&self) -> bool {
        let all = self.arguments();
        self.commands(&all).iter().any(|(spec, arguments)| spec.is_postponed_as_write(arguments))
    }

    /// Returns the number of commands.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Returns an estimate of the bytes that the commands take.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns whether a command was refused.
    pub(super) fn is_aborted(&self) -> bool {
        self.aborted
    }
}
