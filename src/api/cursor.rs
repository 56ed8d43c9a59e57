//! A position in a walk over a map.

/// A position from which [`scan`](crate::FlatMap::scan) continues: a plain number, which can be stored, sent, and used
/// much later.
///
/// ```
/// use hedgerow::flat::Cursor;
/// let cursor = Cursor::from_bits(Cursor::default().to_bits());
/// assert_eq!(cursor, Cursor::default());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cursor(u64);

impl Cursor {
    /// Returns the cursor as a number. The beginning is 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the cursor of a number that [`to_bits`](Self::to_bits) returned. Any other number is some cursor too.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}
