//! The bytes of a command that a script executes, and of its reply. The next command reuses their memory.

use crate::limits::SCRIPT_MEMORY;
use hedgerow_db_engine::buffers::emptied;
use hedgerow_db_formats::number::general;
use mlua::{MultiValue, Value};

/// Commands with more arguments need a vector for them.
const FEW: usize = 8;

/// An argument that a script gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument<'a> {
    Text(&'a [u8]),
    Integer(i64),
    /// A number that is no integer of 64 bits.
    Number(f64),
    /// Of a type that no command takes.
    Other,
}

/// The bytes of a command and of its reply.
#[derive(Default)]
pub(super) struct CommandBytes {
    pub(super) arguments: ArgumentBytes,
    pub(super) reply: Vec<u8>,
}

/// The arguments of a command, one behind the other.
#[derive(Default)]
pub(super) struct ArgumentBytes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl CommandBytes {
    /// Empties the buffers. Frees those that have become large.
    pub(super) fn emptied(self) -> Self {
        let ArgumentBytes { bytes, ends } = self.arguments;
        let arguments = ArgumentBytes { bytes: emptied(bytes), ends: emptied(ends) };
        Self { arguments, reply: emptied(self.reply) }
    }
}

impl ArgumentBytes {
    /// Adds the arguments that a script gives.
    ///
    /// # Errors
    /// They are no command. The text is the error that the script gets, with its code.
    pub(super) fn add(&mut self, arguments: &MultiValue) -> Result<(), String> {
        for argument in arguments {
            match argument {
                Value::String(text) => self.add_one(Argument::Text(&text.as_bytes()))?,
                Value::Integer(n) => self.add_one(Argument::Integer(*n))?,
                Value::Number(n) => self.add_one(Argument::Number(*n))?,
                _ => self.add_one(Argument::Other)?,
            }
        }
        self.check_some()
    }

    /// Adds an argument.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(super) fn add_one(&mut self, argument: Argument<'_>) -> Result<(), String> {
        let bytes = &mut self.bytes;
        match argument {
            // The same string may be given many times, and is copied each time.
            Argument::Text(text) if bytes.len() + text.len() > SCRIPT_MEMORY => {
                return Err("ERR the arguments of a command of a script are too long".to_owned());
            }
            Argument::Text(text) => bytes.extend_from_slice(text),
            Argument::Integer(n) => {
                bytes.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            }
            // `%.17g`, as in `luaArgsToRedisArgv`: 17 digits identify a double.
            Argument::Number(n) => bytes.extend_from_slice(general(n, 17).as_bytes()),
            Argument::Other => {
                let why = "ERR Lua redis lib command arguments must be strings or integers";
                return Err(why.to_owned());
            }
        }
        self.ends.push(bytes.len());
        Ok(())
    }

    /// Refuses a call without arguments.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(super) fn check_some(&self) -> Result<(), String> {
        if self.ends.is_empty() {
            let why = "ERR Please specify at least one argument for this redis lib call";
            return Err(why.to_owned());
        }
        Ok(())
    }

    /// Calls `with` with the arguments.
    pub(super) fn with<R>(&self, with: impl FnOnce(&[&[u8]]) -> R) -> R {
        let mut start = 0;
        let texts =
            self.ends.iter().map(|&end| &self.bytes[std::mem::replace(&mut start, end)..end]);
        if self.ends.len() > FEW {
            return with(&texts.collect::<Vec<_>>());
        }
        let mut few = [&[][..]; FEW];
        few.iter_mut().zip(texts).for_each(|(to, text)| *to = text);
        with(&few[..self.ends.len()])
    }
}
