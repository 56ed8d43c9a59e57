//! The words of requests about the bits of values. Bit 0 of a value is the highest bit of its first byte, as in Redis.

/// The unit in which a [`BitRange`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitUnit {
    /// Bytes of eight bits.
    Byte,
    /// Single bits.
    Bit,
}

/// A part of a value. Both ends are inclusive, and a negative one counts from the end of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRange {
    /// The first byte or bit.
    pub from: i64,
    /// The last byte or bit.
    pub to: i64,
    /// The unit in which both count.
    pub unit: BitUnit,
}

impl BitRange {
    /// All of a value.
    pub const ALL: Self = Self { from: 0, to: -1, unit: BitUnit::Byte };
}

/// The type of an integer in a bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u8,
}

impl FieldType {
    /// Returns the type of signed integers of 1 to 64 bits, or of unsigned ones of 1 to 63.
    pub fn new(signed: bool, bits: u8) -> Option<Self> {
        let most = if signed { 64 } else { 63 };
        (1..=most).contains(&bits).then_some(Self { signed, bits })
    }

    /// Returns whether the integers have a sign.
    pub fn is_signed(self) -> bool {
        self.signed
    }

    /// Returns the number of bits: 1 to 64.
    pub fn bits(self) -> u8 {
        self.bits
    }
}

/// The treatment of a sum or a value that a bit field has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It loses its upper bits.
    Wrap,
    /// It becomes the least or the greatest integer of the field's type.
    Saturate,
    /// The field stays as it is.
    Fail,
}

/// One operation of [`Change::Fields`](super::Change::Fields), or an integer that
/// [`Query::Fields`](super::Query::Fields) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The type of the integer.
    pub kind: FieldType,
    /// Its first bit.
    pub offset: u64,
    /// The operation on it.
    pub op: FieldOp,
}

impl Field {
    /// Returns the offset of the first byte of the field, and of the byte behind its last.
    #[doc(hidden)]
    pub fn bytes(&self) -> (u64, u64) {
        let end = self.offset.saturating_add(self.kind.bits.into());
        (self.offset / 8, end.div_ceil(8))
    }

    /// Returns whether the operation may change the value.
    #[doc(hidden)]
    pub fn writes(&self) -> bool {
        !matches!(self.op, FieldOp::Get)
    }
}

/// The operation on the integer in a bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOp {
    /// It is answered.
    Get,
    /// It is replaced, and the old one is answered.
    Set(i64, Overflow),
    /// It is added to, and the sum is answered.
    IncrementBy(i64, Overflow),
}

/// The answers to the operations of [`Change::Fields`](super::Change::Fields), or the integers of
/// [`Query::Fields`](super::Query::Fields), in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldValues<'a>(&'a [u8]);

/// Bytes of a stored answer: whether there is one, and the number.
const ANSWER_BYTES: usize = 9;

impl<'a> FieldValues<'a> {
    /// Returns the answers that these bytes store.
    #[doc(hidden)]
    pub fn stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Stores an answer behind others.
    #[doc(hidden)]
    pub fn store(value: Option<i64>, into: &mut Vec<u8>) {
        into.push(value.is_some().into());
        into.extend_from_slice(&value.unwrap_or(0).to_le_bytes());
    }

    /// Returns the bytes that store the answers.
    #[doc(hidden)]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the number of answers.
    pub fn len(self) -> usize {
        self.0.len() / ANSWER_BYTES
    }

    /// Returns whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns the answers; `None` for an operation that has failed because of an overflow.
    pub fn iter(self) -> impl Iterator<Item = Option<i64>> + use<'a> {
        let (all, _) = self.0.as_chunks::<ANSWER_BYTES>();
        all.iter()
            .map(|&[is_some, ref number @ ..]| (is_some != 0).then(|| i64::from_le_bytes(*number)))
    }
}

/// An operation on the bits of several values. A shorter value counts as followed by zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bitwise {
    /// The bits that all values have.
    And,
    /// The bits that any value has.
    Or,
    /// The bits that an odd number of values have.
    Xor,
    /// The bits that the value lacks. Further values are ignored.
    Not,
    /// The bits that the first value has, and no other.
    Diff,
    /// The bits that any value but the first has, and the first lacks.
    Diff1,
    /// The bits that the first value and any other have.
    AndOr,
    /// The bits that exactly one value has.
    One,
}
