//! The bound on keys and values of maps of plain data, with an error message that names the other maps.

/// Plain data: types that can be copied. Every type that is [`Copy`] is plain data.
///
/// Constructors require it, so that the compiler's error can name the map for other types.
///
/// ```compile_fail,E0277
/// let names = hedgerow::FlatMap::<String, u32>::new(); // `HashMap` is for these
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data: maps of plain data copy their keys and values",
    label = "`{Self}` is not `Copy`",
    note = "`hedgerow::HashMap` and `hedgerow::OrdMap` take keys and values of any type"
)]
pub trait Plain: Copy {}

impl<T: Copy> Plain for T {}
