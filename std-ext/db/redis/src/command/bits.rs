//! Commands about the bits of values.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use crate::command::reply::{MissingKeyReply, ReplyKind, error_text};
use crate::command::rows::{Run, command};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::command::table::keys::{ACCESS, KeyUse, OW, RO, RW, UPDATE, VARIABLE, key};
use hedgerow_db_engine::request::{
    BitRange, BitUnit, Bitwise, Change, Field, FieldOp, FieldType, LONGEST_VALUE, MultiKeyOp,
    Overflow, Query, RequestError, ValueType,
};
use hedgerow_db_formats::number;

const BAD_OFFSET: &str = "ERR bit offset is not an integer or out of range";
const BAD_BIT: &str = "ERR bit is not an integer or out of range";
const BAD_TYPE: &str = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 \
    is.";

/// Parses the offset of a bit.
fn offset(argument: &[u8]) -> Result<u64, CommandError> {
    number::integer(argument).and_then(checked_offset).ok_or(BAD_OFFSET.into())
}

/// Parses the offset of an integer of this many bits. `#2` is that of the third one of an array.
fn field_offset(argument: &[u8], bits: u8) -> Result<u64, CommandError> {
    let Some(number) = argument.strip_prefix(b"#") else { return offset(argument) };
    let index = number::integer(number);
    // Redis multiplies without a check (`getBitOffsetFromArgument`), so a great index may become another offset there.
    let at = index.and_then(|index| index.checked_mul(bits.into())).and_then(checked_offset);
    at.ok_or(BAD_OFFSET.into())
}

fn checked_offset(offset: i64) -> Option<u64> {
    u64::try_from(offset).ok().filter(|offset| offset / 8 < LONGEST_VALUE as u64)
}

/// Parses the type of an integer: a letter and the number of bits.
fn field_type(argument: &[u8]) -> Result<FieldType, CommandError> {
    let kind = argument.split_first().and_then(|(letter, bits)| {
        // Redis reads the number as a C string.
        let bits = bits.split(|byte| *byte == 0).next().unwrap_or_default();
        let bits = u8::try_from(number::integer(bits)?).ok()?;
        match letter {
            b'i' => FieldType::new(true, bits),
            b'u' => FieldType::new(false, bits),
            _ => None,
        }
    });
    kind.ok_or(BAD_TYPE.into())
}

/// Parses an argument of a range.
fn place(argument: &[u8]) -> Result<i64, ArgumentError> {
    number::integer(argument).ok_or(ArgumentError::NotAnInteger)
}

fn unit(argument: &[u8]) -> Result<BitUnit, ArgumentError> {
    match argument {
        unit if is(unit, "byte") => Ok(BitUnit::Byte),
        unit if is(unit, "bit") => Ok(BitUnit::Bit),
        _ => Err(ArgumentError::Syntax),
    }
}

/// Parses the range of BITCOUNT.
fn count_range(arguments: &[&[u8]]) -> Result<BitRange, ArgumentError> {
    let (from, to) = match arguments {
        [] => return Ok(BitRange::ALL),
        [from, to] | [from, to, _] => (place(from)?, place(to)?),
        _ => return Err(ArgumentError::Syntax),
    };
    let unit = arguments.get(2).map_or(Ok(BitUnit::Byte), |argument| unit(argument));
    // A range that ends before its beginning, both counted from the end: Redis does not read its unit.
    let unit = if to < from && from < 0 { unit.unwrap_or(BitUnit::Byte) } else { unit? };
    Ok(BitRange { from, to, unit })
}

/// Parses the range of BITPOS. Redis reads the unit before the end, so it replies another error if both are wrong.
fn find_range(arguments: &[&[u8]]) -> Result<BitRange, ArgumentError> {
    let from = match arguments {
        [] => return Ok(BitRange::ALL),
        [from] | [from, _] | [from, _, _] => place(from)?,
        _ => return Err(ArgumentError::Syntax),
    };
    let unit = arguments.get(2).map_or(Ok(BitUnit::Byte), |argument| unit(argument))?;
    let to = arguments.get(1).map_or(Ok(-1), |argument| place(argument))?;
    Ok(BitRange { from, to, unit })
}

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] = &[
    command("setbit", 4, "write denyoom", |e, a| e.setbit(a))
        .keys(&[key(1, RW | ACCESS | UPDATE)])
        .since("2.2.0", Group::Bitmap)
        .syntax("key#0 offset/integer value/integer")
        .summary("Sets or clears a bit of a value, and returns the old one."),
    command("getbit", 3, "readonly fast", |e, a| e.getbit(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.2.0", Group::Bitmap)
        .syntax("key#0 offset/integer")
        .summary("Returns a bit of a value."),
    command("bitcount", -2, "readonly", |e, a| e.bitcount(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.6.0", Group::Bitmap)
        .syntax("key#0 [index:(start/integer end/integer [index_unit:<BYTE|BIT>@7.0.0])]")
        .summary("Counts the set bits in a value or a part of it.")
        .takes_time("O(N), N is the number of bytes"),
    command("bitpos", -3, "readonly", |e, a| e.bitpos(a))
        .keys(&[key(1, RO | ACCESS)])
        .since("2.8.7", Group::Bitmap)
        .syntax(
            "key#0 bit/integer [index:(start/integer [end_index:(end/integer [index_unit:<BYTE|\
            BIT>@7.0.0])])]",
        )
        .summary("Finds the first set or clear bit in a value or a part of it.")
        .takes_time("O(N), N is the number of bytes"),
    command("bitop", -4, "write denyoom", |e, a| e.bitop(a))
        .keys(&[key(2, OW | UPDATE), key(3, RO | ACCESS).to(-1, 1)])
        .since("2.6.0", Group::Bitmap)
        .syntax("operation destkey#0 key#1...")
        .summary("Performs a bitwise operation on several values, and stores the result.")
        .takes_time("O(N), N is the number of bytes"),
    command("bitfield", -2, "write denyoom", |e, a| e.bitfield(a, false))
        .keys(&[key(1, RW | ACCESS | UPDATE | VARIABLE)
            .notes("This command allows both access and modification of the key")])
        .used_by(use_of_bitfield)
        .since("3.2.0", Group::Bitmap)
        .syntax(
            "key#0 [operation:<GET encoding_offset:(encoding offset/integer)|write:([OVERFLOW \
            wrap_sat_fail:<WRAP|SAT|FAIL>] write_operation:<SET \
            encoding_offset_value:(encoding offset/integer value/integer)|INCRBY \
            encoding_offset_increment:(encoding offset/integer increment/integer)>)>...]",
        )
        .summary("Reads and changes integers of any width in a value.")
        .takes_time("O(N), N is the number of integers"),
    command("bitfield_ro", -2, "readonly fast", |e, a| e.bitfield(a, true))
        .keys(&[key(1, RO | ACCESS)])
        .since("6.0.0", Group::Bitmap)
        .syntax("key#0 [GET encoding_offset:(encoding offset/integer)...+]")
        .summary("Reads integers of any width in a value.")
        .takes_time("O(N), N is the number of integers"),
];

impl<'a> Execution<'_, 'a> {
    /// SETBIT.
    pub(super) fn setbit(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let offset = offset(arguments[2])?;
        let bit = match number::integer(arguments[3]) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(BAD_BIT.into()),
        };
        self.batch.change(arguments[1], Change::SetBit { offset, bit }, ReplyKind::Integer);
        Ok(())
    }

    /// GETBIT.
    pub(super) fn getbit(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let query = Query::Bit(offset(arguments[2])?);
        self.batch.read(arguments[1], query, ReplyKind::Integer);
        Ok(())
    }

    /// BITCOUNT.
    pub(super) fn bitcount(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let range = count_range(&arguments[2..]);
        self.read_range(arguments[1], range.map(Query::CountBits), 0)
    }

    /// BITPOS.
    pub(super) fn bitpos(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let bit = match number::integer(arguments[2]) {
            Some(0) => false,
            Some(1) => true,
            Some(_) => return Err("ERR The bit argument must be 1 or 0.".into()),
            None => return Err(NOT_AN_INTEGER),
        };
        let range = find_range(&arguments[3..]);
        // An end that is given, even -1, ends the search (`bitposCommand`).
        let padded = arguments.len() < 5;
        let query = range.map(|range| Query::FindBit { bit, range, padded });
        self.read_range(arguments[1], query, if bit { -1 } else { 0 })
    }

    /// Adds a read of a part of a value. If the arguments are wrong, the error is the reply only if the key exists:
    /// otherwise Redis replies as for a missing key.
    fn read_range(
        &mut self,
        key: &'a [u8],
        query: Result<Query<'a>, ArgumentError>,
        missing: i8,
    ) -> Result<(), CommandError> {
        match query {
            Ok(query) => self.batch.long_read(key, query, ReplyKind::Integer),
            Err(error) => self.refuse_by_key(
                key,
                ValueType::String,
                error,
                MissingKeyReply::Integer(missing),
            )?,
        }
        Ok(())
    }

    /// BITOP.
    pub(super) fn bitop(&mut self, arguments: &[&'a [u8]]) -> Result<(), CommandError> {
        let op = match arguments[1] {
            name if is(name, "and") => Bitwise::And,
            name if is(name, "or") => Bitwise::Or,
            name if is(name, "xor") => Bitwise::Xor,
            name if is(name, "not") => Bitwise::Not,
            // From here on operations of Redis 8.2.
            name if is(name, "diff") => Bitwise::Diff,
            name if is(name, "diff1") => Bitwise::Diff1,
            name if is(name, "andor") => Bitwise::AndOr,
            name if is(name, "one") => Bitwise::One,
            _ => return Err(SYNTAX),
        };
        if op == Bitwise::Not && arguments.len() != 4 {
            return Err("ERR BITOP NOT must be called with a single source key.".into());
        }
        let has_first = matches!(op, Bitwise::Diff | Bitwise::Diff1 | Bitwise::AndOr);
        if has_first && arguments.len() < 5 {
            let name = String::from_utf8_lossy(arguments[1]).to_ascii_uppercase();
            let why = format!("ERR BITOP {name} must be called with at least two source keys.");
            return Err(why.into());
        }
        let (to, keys) = (arguments[2], self.keep(&arguments[3..]));
        self.batch.multi_key(MultiKeyOp::Bitwise { op, to, keys }, ReplyKind::Integer);
        Ok(())
    }

    /// BITFIELD, and BITFIELD_RO if `reads_only`.
    pub(super) fn bitfield(
        &mut self,
        arguments: &[&'a [u8]],
        reads_only: bool,
    ) -> Result<(), CommandError> {
        let fields = fields(&arguments[2..])?;
        // BITFIELD has the flag `denyoom`, which Redis checks before it knows that all operations are GETs.
        if !reads_only && !fields.iter().any(Field::writes) && self.lacks_memory() {
            return Err(error_text(RequestError::OutOfMemory).into());
        }
        if !fields.iter().any(Field::writes) {
            // Also without any operation: the value may be of another type.
            let query = Query::Fields(self.keep(&fields));
            self.batch.long_read(arguments[1], query, ReplyKind::Fields);
        } else if reads_only {
            return Err("ERR BITFIELD_RO only supports the GET subcommand".into());
        } else {
            let change = Change::Fields(self.keep(&fields));
            self.batch.change(arguments[1], change, ReplyKind::Fields);
        }
        Ok(())
    }
}

fn use_of_bitfield(arguments: &[&[u8]]) -> KeyUse {
    KeyUse(if bitfield_reads_only(arguments) { RO | ACCESS } else { RW | ACCESS | UPDATE })
}

/// Returns whether a BITFIELD has no other operations than GET. One that is malformed counts as a change.
fn bitfield_reads_only(arguments: &[&[u8]]) -> bool {
    let mut rest = arguments.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return true,
            [option, _, _, rest @ ..] if is(option, "get") => rest,
            [option, _, rest @ ..] if is(option, "overflow") => rest,
            _ => return false,
        };
    }
}

/// Parses the operations of BITFIELD.
fn fields(mut arguments: &[&[u8]]) -> Result<Vec<Field>, CommandError> {
    let (mut fields, mut overflow) = (Vec::new(), Overflow::Wrap);
    loop {
        let integer = |argument| number::integer(argument).ok_or(NOT_AN_INTEGER);
        arguments = match arguments {
            [] => return Ok(fields),
            [name, kind, at, rest @ ..] if is(name, "get") => {
                let kind = field_type(kind)?;
                let offset = field_offset(at, kind.bits())?;
                fields.push(Field { kind, offset, op: FieldOp::Get });
                rest
            }
            [name, kind, at, number, rest @ ..] if is(name, "set") || is(name, "incrby") => {
                let kind = field_type(kind)?;
                let offset = field_offset(at, kind.bits())?;
                let number = integer(number)?;
                let op = if is(name, "set") {
                    FieldOp::Set(number, overflow)
                } else {
                    FieldOp::IncrementBy(number, overflow)
                };
                fields.push(Field { kind, offset, op });
                rest
            }
            [name, how, rest @ ..] if is(name, "overflow") => {
                overflow = match how {
                    how if is(how, "wrap") => Overflow::Wrap,
                    how if is(how, "sat") => Overflow::Saturate,
                    how if is(how, "fail") => Overflow::Fail,
                    _ => return Err("ERR Invalid OVERFLOW type specified".into()),
                };
                rest
            }
            _ => return Err(SYNTAX),
        };
    }
}
