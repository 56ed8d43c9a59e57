//! A place in a walk over a map.

/// Where a [`scan`](crate::FlatMap::scan) goes on: a plain number, which may be stored, sent, and used much later.
///
/// ```
/// use hedgerow::flat::Cursor;
/// let cursor = Cursor::from_bits(Cursor::default().to_bits());
/// assert_eq!(cursor, Cursor::default());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cursor(u64);

impl Cursor {
    /// The cursor as a number. The beginning is 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The cursor of a number that [`to_bits`](Self::to_bits) gave. Any other number is a cursor too: somewhere.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}
