//! Conversions between replies and values of Lua, as Redis defines them.

use crate::command::script::control::Control;
use crate::command::script::names::Names;
use hedgerow_db_formats::number::general;
use hedgerow_db_formats::resp::Protocol;
use hedgerow_db_formats::resp::read::{self, ReadItem, Reply};
use hedgerow_db_formats::resp::write::RespWriter;
use mlua::{Lua, LuaString, Table, Value};

/// Tables nested deeper than this are replaced by an error.
const DEEPEST: usize = 256;

/// Returns the value of a command's reply.
pub(super) fn reply_value(lua: &Lua, control: &Control, reply: &[u8]) -> mlua::Result<Value> {
    match read::reply(reply) {
        Ok(ReadItem::Reply(reply, _)) => value(lua, control, reply),
        _ => unreadable(lua, &control.names),
    }
}

/// Returns the error for a reply that is malformed, or of a kind that this function does not know.
fn unreadable(lua: &Lua, names: &Names) -> mlua::Result<Value> {
    error_value(lua, names, b"ERR the command has no reply that a script can read")
}

fn value(lua: &Lua, control: &Control, reply: Reply) -> mlua::Result<Value> {
    control.count_value()?;
    let names = &control.names;
    let text = |bytes: Vec<u8>| lua.create_string(bytes).map(Value::String);
    Ok(match reply {
        Reply::Simple(status) => field(lua, &names.ok, text(status)?)?,
        Reply::Error(error) => error_value(lua, names, &error)?,
        // Lua 5.1 has doubles only: beyond 2^53 the value is rounded, in Redis too.
        Reply::Integer(n) => Value::Number(n as f64),
        Reply::Bulk(bytes) => text(bytes)?,
        // RESP2's null becomes false, because nil would end the array that contains it. RESP3's becomes nil, as Redis
        // defines it.
        Reply::Null if control.protocol.get() == Protocol::Two => Value::Boolean(false),
        Reply::Null => Value::Nil,
        Reply::Boolean(yes) => Value::Boolean(yes),
        Reply::Double(x) => field(lua, &names.double, Value::Number(x))?,
        Reply::BigNumber(digits) => field(lua, &names.big_number, text(digits)?)?,
        Reply::Verbatim(format, bytes) => {
            let parts = lua.create_table()?;
            parts.raw_set(&names.string, text(bytes)?)?;
            parts.raw_set(&names.format, text(format.to_vec())?)?;
            field(lua, &names.verbatim, Value::Table(parts))?
        }
        Reply::Array(items) | Reply::Push(items) => {
            // Room for more grows with the items, each of which is counted and may stop the script.
            let table = lua.create_table_with_capacity(items.len().min(1 << 16), 0)?;
            for (at, item) in items.into_iter().enumerate() {
                table.raw_set(at + 1, value(lua, control, item)?)?;
            }
            Value::Table(table)
        }
        Reply::Map(pairs) => {
            let table = lua.create_table()?;
            for (key, item) in pairs {
                table.raw_set(value(lua, control, key)?, value(lua, control, item)?)?;
            }
            field(lua, &names.map, Value::Table(table))?
        }
        Reply::Set(items) => {
            let table = lua.create_table()?;
            for item in items {
                table.raw_set(value(lua, control, item)?, true)?;
            }
            field(lua, &names.set, Value::Table(table))?
        }
        _ => unreadable(lua, names)?,
    })
}

fn field(lua: &Lua, name: &LuaString, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

/// Returns the table of an error, whose text has its code.
pub(super) fn error_table(lua: &Lua, names: &Names, text: &[u8]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set(&names.error, lua.create_string(text)?)?;
    Ok(table)
}

/// Returns the table of an error that a command has replied, and that was counted.
pub(super) fn error_value(lua: &Lua, names: &Names, text: &[u8]) -> mlua::Result<Value> {
    let table = error_table(lua, names, text)?;
    table.raw_set(&names.counted, true)?;
    Ok(Value::Table(table))
}

/// Returns whether a value is the table of an error that was counted when a command replied it.
pub(super) fn is_counted(control: &Control, value: &Value) -> bool {
    let Value::Table(table) = value else { return false };
    matches!(table.raw_get(&control.names.counted), Ok(Value::Boolean(true)))
}

/// Returns the text of an error's table.
pub(super) fn error_text(table: &Table) -> Option<Vec<u8>> {
    match table.get("err").ok()? {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(n) => Some(n.to_string().into_bytes()),
        Value::Number(n) => Some(general(n, 14).into_bytes()),
        _ => None,
    }
}

/// Returns a value as `tostring` shows it, without calling anything of the script.
pub(super) fn shown(lua: &Lua, value: &Value) -> Vec<u8> {
    match value {
        Value::Boolean(yes) => yes.to_string().into_bytes(),
        Value::Nil => b"nil".to_vec(),
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(value.clone()).ok().flatten();
            text.map_or_else(Vec::new, |text| text.as_bytes().to_vec())
        }
        other => other.type_name().as_bytes().to_vec(),
    }
}

/// Writes the reply for a script's result. Returns whether it fits into `max_out` bytes of the output.
///
/// # Errors
/// The script has no time left.
pub(super) fn write_reply(
    control: &Control,
    out: &mut RespWriter<'_>,
    value: &Value,
    max_out: usize,
) -> mlua::Result<bool> {
    let mut replies = Replies { control, out, max_out, protocol: control.protocol.get() };
    replies.write(value, 0)
}

struct Replies<'c, 'w, 'o> {
    control: &'c Control,
    out: &'w mut RespWriter<'o>,
    max_out: usize,
    /// The protocol that the script has set.
    protocol: Protocol,
}

impl Replies<'_, '_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> mlua::Result<bool> {
        match value {
            Value::String(text) => {
                let text = text.as_bytes();
                if !self.fits(text.len()) {
                    return Ok(false);
                }
                self.out.bulk(&text);
            }
            Value::Boolean(yes) if self.protocol == Protocol::Three => self.out.boolean(*yes),
            // False in RESP2 is null: `luaReplyToRedisReply`.
            Value::Boolean(true) => self.out.integer(1),
            Value::Integer(n) => self.out.integer(*n),
            Value::Number(n) => self.out.integer(truncated(*n)),
            // Also ends the walk through a table that contains itself.
            Value::Table(_) if depth > DEEPEST => self.out.error("ERR reached lua stack limit"),
            Value::Table(table) => return self.table(table, depth),
            _ => self.out.null(),
        }
        Ok(self.fits(0))
    }

    fn fits(&self, bytes: usize) -> bool {
        self.out.len().saturating_add(bytes) <= self.max_out
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<bool> {
        // A table may contain another one many times over.
        self.control.check()?;
        let names = &self.control.names;
        if let Value::String(_) = table.raw_get(&names.error)? {
            let text = error_text(table).unwrap_or_default();
            self.out.error(text);
        } else if let Value::String(status) = table.raw_get(&names.ok)? {
            let clean = |&byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
            // As a string of C, it ends at the first zero byte.
            let status: Vec<u8> = status
                .as_bytes()
                .split(|&byte| byte == 0)
                .next()
                .unwrap_or_default()
                .iter()
                .map(clean)
                .collect();
            self.out.raw(&[b"+", &status[..], b"\r\n"].concat());
        } else if let Some(number) = number(&table.raw_get(&names.double)?) {
            self.line(b',', general(number, 17).as_bytes());
        } else if let Value::String(digits) = table.raw_get(&names.big_number)? {
            let clean = |&byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
            let digits: Vec<u8> = digits.as_bytes().iter().map(clean).collect();
            self.line(b'(', &digits);
        } else if let Value::Table(parts) = table.raw_get(&names.verbatim)?
            && let Value::String(format) = parts.raw_get(&names.format)?
            && let Value::String(text) = parts.raw_get(&names.string)?
        {
            let mut kind = [b' '; 3];
            kind.iter_mut().zip(format.as_bytes().iter()).for_each(|(to, from)| *to = *from);
            self.out.verbatim(kind, &text.as_bytes());
        } else if let Value::Table(map) = table.raw_get(&names.map)? {
            let count = map.pairs::<Value, Value>().count();
            self.out.map(count);
            for pair in map.pairs::<Value, Value>() {
                let (key, value) = pair?;
                if !self.write(&key, depth + 1)? || !self.write(&value, depth + 1)? {
                    return Ok(false);
                }
            }
        } else if let Value::Table(set) = table.raw_get(&names.set)? {
            self.out.set(set.pairs::<Value, Value>().count());
            for pair in set.pairs::<Value, Value>() {
                if !self.write(&pair?.0, depth + 1)? {
                    return Ok(false);
                }
            }
        } else {
            return self.array(table, depth);
        }
        Ok(self.fits(0))
    }

    /// Writes an array, which ends at the first nil.
    fn array(&mut self, table: &Table, depth: usize) -> mlua::Result<bool> {
        let mut count = 0;
        while !table.raw_get::<Value>(count + 1)?.is_nil() {
            count += 1;
        }
        self.out.array(count);
        for at in 1..=count {
            if !self.write(&table.raw_get(at)?, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(self.fits(0))
    }

    /// Writes a line of RESP3, which is a bulk string in RESP2.
    fn line(&mut self, mark: u8, text: &[u8]) {
        match self.out.protocol() {
            Protocol::Two => self.out.bulk(text),
            Protocol::Three => self.out.raw(&[&[mark], text, b"\r\n"].concat()),
        }
    }
}

/// Returns a value that is a number.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    }
}

/// Converts a number as a processor of x86-64 does: one that does not fit becomes the least integer.
fn truncated(number: f64) -> i64 {
    let limit = -(i64::MIN as f64);
    if number >= -limit && number < limit { number as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::Scripts;
    use std::time::Duration;

    #[test]
    fn a_long_reply_takes_no_longer_than_a_script_may() {
        let lua = Lua::new();
        let control = Control::new(&lua, &Scripts::with_defaults()).unwrap();
        let reply = format!("*1000\r\n{}", "$1\r\na\r\n".repeat(1000));
        control.begin(None);
        assert!(reply_value(&lua, &control, reply.as_bytes()).is_ok());
        control.begin(Some(Duration::ZERO));
        let stopped = reply_value(&lua, &control, reply.as_bytes());
        assert!(stopped.is_err(), "the script gets its reply too late");
    }
}
