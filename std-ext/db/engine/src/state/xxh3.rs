//! The digests by which clients compare values: XXH3 of 64 bits, in the hexadecimal digits of Redis.

use super::cold::ColdStore;
use super::value::string::{self, StringValue};
use xxhash_rust::xxh3::Xxh3;

/// The number of digits.
pub(crate) const DIGITS: usize = 16;

/// Returns the digest of a value. A long value is read in its pieces.
pub(crate) fn digest(value: StringValue<'_>, cold: Option<&ColdStore>) -> String {
    let mut hash = Xxh3::new();
    string::visit(value, cold, 0..value.length(), &mut |piece| {
        hash.update(piece);
        true
    });
    format!("{:01$x}", hash.digest(), DIGITS)
}
