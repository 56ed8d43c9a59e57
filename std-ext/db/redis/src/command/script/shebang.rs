//! The first line of a script, with its flags: `#!lua flags=no-writes`, or `--!df flags=allow-undeclared-keys` as for
//! Dragonfly.

use hedgerow_db_formats::resp::inline;

/// The flags of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of Redis")]
pub(super) struct Flags {
    /// Whether there is a first line with flags. A script without one has no flags, and Redis's old rules hold.
    pub(super) declared: bool,
    pub(super) no_writes: bool,
    pub(super) allow_oom: bool,
    pub(super) no_cluster: bool,
    pub(super) allow_cross_slot_keys: bool,
    /// Of Dragonfly: whether it may access keys that are not in `KEYS`, also if others may not.
    pub(super) allow_undeclared_keys: bool,
}

impl Flags {
    /// Returns whether the script is refused while memory is full.
    pub(super) fn needs_memory(self) -> bool {
        self.declared && !self.no_writes && !self.allow_oom
    }
}

const UNDECLARED: &[u8] = b"allow-undeclared-keys";

/// Returns whether the first line of a script says that it changes nothing.
pub(crate) fn declares_no_writes(text: &[u8]) -> bool {
    parse(text).is_ok_and(|(flags, _)| flags.no_writes)
}

/// Returns the flags, and the script from the end of the first line on.
///
/// # Errors
/// The line is not one of Redis.
pub(super) fn parse(text: &[u8]) -> Result<(Flags, &[u8]), String> {
    let mut flags = Flags::default();
    if let Some(line) = text.strip_prefix(b"--!df flags=") {
        // To Redis, and to Lua, it is a comment: flags that are unknown here have no effect.
        let names = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        flags.allow_undeclared_keys =
            names.split(|&byte| byte == b',').any(|name| name.trim_ascii() == UNDECLARED);
        return Ok((flags, text));
    }
    if !text.starts_with(b"#!") {
        return Ok((flags, text));
    }
    let end = text.iter().position(|&byte| byte == b'\n').ok_or("Invalid script shebang")?;
    let words = inline::split(&text[..end]).map_err(|_| "Invalid engine in script shebang")?;
    let shown = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let (engine, options) = words.split_first().ok_or("Invalid engine in script shebang")?;
    if engine != b"#!lua" {
        return Err(format!("Unexpected engine in script shebang: {}", shown(engine)));
    }
    flags.declared = true;
    for option in options {
        let Some(names) = option.strip_prefix(b"flags=") else {
            return Err(format!("Unknown lua shebang option: {}", shown(option)));
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|&byte| byte == b',') {
            match name {
                b"no-writes" => flags.no_writes = true,
                b"allow-oom" => flags.allow_oom = true,
                b"no-cluster" => flags.no_cluster = true,
                b"allow-cross-slot-keys" => flags.allow_cross_slot_keys = true,
                // A node that is too old to read from executes no script.
                b"allow-stale" => {}
                UNDECLARED => flags.allow_undeclared_keys = true,
                _ => return Err(format!("Unexpected flag in script shebang: {}", shown(name))),
            }
        }
    }
    Ok((flags, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_that_of_redis() {
        let flags = Flags { declared: true, ..Flags::default() };
        let undeclared = Flags { allow_undeclared_keys: true, ..Flags::default() };
        for (text, wanted) in [
            ("--!df flags=allow-undeclared-keys\nx", {
                Ok((undeclared, "--!df flags=allow-undeclared-keys\nx"))
            }),
            ("--!df flags=no-idea, allow-undeclared-keys", {
                Ok((undeclared, "--!df flags=no-idea, allow-undeclared-keys"))
            }),
            ("--!df flags=\nallow-undeclared-keys", {
                Ok((Flags::default(), "--!df flags=\nallow-undeclared-keys"))
            }),
            ("#!lua flags=allow-undeclared-keys,allow-cross-slot-keys\nx", {
                let allow_cross_slot_keys = true;
                Ok((Flags { declared: true, allow_cross_slot_keys, ..undeclared }, "\nx"))
            }),
            ("return 1", Ok((Flags::default(), "return 1"))),
            ("#!lua\nreturn 1", Ok((flags, "\nreturn 1"))),
            ("#!lua flags=\nx", Ok((flags, "\nx"))),
            ("#!lua flags=no-writes,allow-oom\nx", {
                Ok((Flags { no_writes: true, allow_oom: true, ..flags }, "\nx"))
            }),
            ("#!lua", Err("Invalid script shebang")),
            ("#!lua \"\nx", Err("Invalid engine in script shebang")),
            ("#!python\nx", Err("Unexpected engine in script shebang: #!python")),
            ("#!lua name=x\nx", Err("Unknown lua shebang option: name=x")),
            ("#!lua flags=x\nx", Err("Unexpected flag in script shebang: x")),
        ] {
            let found = parse(text.as_bytes());
            let wanted = wanted.map(|(flags, body)| (flags, body.as_bytes()));
            assert_eq!(found, wanted.map_err(str::to_owned), "{text}");
        }
    }
}
