//! The bytes of a command that a script executes, and of its reply. The next command reuses their memory.

use crate::buffers::emptied;
use crate::command::script::numbers;
use crate::limits::SCRIPT_MEMORY;
use mlua::{MultiValue, Value};

/// Commands with more arguments need a vector for them.
const FEW: usize = 8;

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
        if arguments.is_empty() {
            let why = "ERR Please specify at least one argument for this redis lib call";
            return Err(why.to_owned());
        }
        let bytes = &mut self.bytes;
        for argument in arguments {
            match argument {
                Value::String(text) => {
                    let text = text.as_bytes();
                    // The same string may be given many times, and is copied each time.
                    if bytes.len() + text.len() > SCRIPT_MEMORY {
                        let why = "ERR the arguments of a command of a script are too long";
                        return Err(why.to_owned());
                    }
                    bytes.extend_from_slice(&text);
                }
                Value::Integer(n) => {
                    bytes.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
                }
                Value::Number(n) => bytes.extend_from_slice(numbers::general(*n, 17).as_bytes()),
                _ => {
                    let why = "ERR Lua redis lib command arguments must be strings or integers";
                    return Err(why.to_owned());
                }
            }
            self.ends.push(bytes.len());
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
