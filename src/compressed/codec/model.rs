//! Trained codecs, and the error of damaged bytes.

use super::work::Work;
use core::error::Error;
use core::fmt;

/// The result of training a [`Codec`](super::Codec): compresses and decompresses, and is immutable.
pub trait Model: Send + Sync {
    /// Compresses `plain` into the front of `into`. Returns how many bytes it has written, or `None` if there is not
    /// enough room. The caller gives only as much room as is worth while. Allocates nothing, except memory that `work`
    /// keeps.
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize>;

    /// Decompresses `stored` into `into`, which is as long as the value was. Allocates nothing, for any bytes.
    ///
    /// # Errors
    /// The model compresses no value of this length to these bytes. Not all such bytes are detected: only a checksum
    /// tells a value from another of the same length. After an error `into` may hold anything.
    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt>;

    /// Writes the model in pieces, for [`Codec::import`](super::Codec::import).
    fn export(&self, into: &mut dyn FnMut(&[u8]));

    /// Returns the bytes of the model on the heap.
    fn bytes(&self) -> usize;
}

/// The stored bytes are corrupt.
///
/// ```
/// use hedgerow::compressed::codec::Corrupt;
/// assert_eq!(Corrupt::new().to_string(), "the compressed bytes are damaged");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Corrupt;

impl Corrupt {
    /// Returns the error, for codecs in other crates.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the compressed bytes are damaged")
    }
}

impl Error for Corrupt {}
