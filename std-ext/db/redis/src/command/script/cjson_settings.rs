//! The settings of the library `cjson`.

/// The settings of an instance of the library.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    /// A sparse array becomes an object, and is no error.
    pub(super) sparse_convert: bool,
    /// An array is sparse if its last index is greater than `sparse_safe`, and than its items times this.
    pub(super) sparse_ratio: i32,
    pub(super) sparse_safe: i32,
    pub(super) encode_depth: i32,
    pub(super) decode_depth: i32,
    pub(super) precision: i32,
    pub(super) encode_invalid: InvalidSetting,
    pub(super) decode_invalid: bool,
    pub(super) keep_buffer: bool,
}

/// The treatment of a number that JSON does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidSetting {
    Refused,
    Written,
    Null,
}

impl Settings {
    pub(super) const DEFAULT: Self = Self {
        sparse_convert: false,
        sparse_ratio: 2,
        sparse_safe: 10,
        encode_depth: 1000,
        decode_depth: 1000,
        precision: 14,
        encode_invalid: InvalidSetting::Refused,
        decode_invalid: true,
        keep_buffer: true,
    };
}
