//! What maps of plain data ask of keys and values, with a word for those who bring something else.

/// Plain data: what can be copied. Every type that is [`Copy`] is.
///
/// Constructors ask for it so that the compiler can say which map takes other types.
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
