//! Answers that consist of values inside of values, as those about streams do.

use super::elements::{ElementList, ElementListBuilder};

/// A value in an answer, or the beginning of several: each element of an [`ElementList`] is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nested<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number.
    Int(i64),
    /// As many values follow.
    Array(usize),
    /// As many pairs of values follow.
    Map(usize),
    /// No value.
    Nil,
    /// No array.
    NilArray,
    /// An error, which names a key and a group. It is the whole answer.
    Error(&'a [u8]),
}

const BYTES: u8 = b'$';
const INT: u8 = b':';
const ARRAY: u8 = b'*';
const MAP: u8 = b'%';
const NIL: u8 = b'_';
const NIL_ARRAY: u8 = b'0';
const ERROR: u8 = b'-';

impl<'a> Nested<'a> {
    /// Returns the values of an answer.
    pub fn all(list: ElementList<'a>) -> impl Iterator<Item = Self> {
        list.iter().flatten().filter_map(Self::parse)
    }

    fn parse(element: &'a [u8]) -> Option<Self> {
        let (kind, bytes) = element.split_first()?;
        let number = || Some(i64::from_le_bytes(*bytes.first_chunk()?));
        let count = || usize::try_from(number()?).ok();
        Some(match *kind {
            BYTES => Self::Bytes(bytes),
            INT => Self::Int(number()?),
            ARRAY => Self::Array(count()?),
            MAP => Self::Map(count()?),
            NIL_ARRAY => Self::NilArray,
            ERROR => Self::Error(bytes),
            _ => Self::Nil,
        })
    }
}

/// Makes such an answer.
#[derive(Debug)]
pub(crate) struct NestedBuilder {
    list: ElementListBuilder,
    element: Vec<u8>,
}

/// An array whose length is not known yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenArray(usize);

impl NestedBuilder {
    /// Makes an empty answer, whose reply may have this many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { list: ElementListBuilder::new(most), element: Vec::new() }
    }

    fn push(&mut self, kind: u8, bytes: &[u8]) {
        self.element.clear();
        self.element.push(kind);
        self.element.extend_from_slice(bytes);
        self.list.push(&self.element);
    }

    fn number(&mut self, kind: u8, number: u64) {
        self.push(kind, &number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.push(BYTES, bytes.as_ref());
    }

    pub(crate) fn int(&mut self, number: u64) {
        self.number(INT, number);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number(INT, number.cast_unsigned());
    }

    pub(crate) fn array(&mut self, len: usize) {
        self.number(ARRAY, len as u64);
    }

    pub(crate) fn map(&mut self, len: usize) {
        self.number(MAP, len as u64);
    }

    pub(crate) fn nil(&mut self) {
        self.push(NIL, b"");
    }

    pub(crate) fn nil_array(&mut self) {
        self.push(NIL_ARRAY, b"");
    }

    pub(crate) fn error(&mut self, text: impl AsRef<[u8]>) {
        self.push(ERROR, text.as_ref());
    }

    /// Begins an array whose length `close` will tell.
    pub(crate) fn open(&mut self) -> OpenArray {
        self.array(0);
        OpenArray(self.list.stored_bytes())
    }

    pub(crate) fn close(&mut self, array: OpenArray, len: usize) {
        self.list.overwrite(array.0, &(len as u64).to_le_bytes());
    }

    /// Returns whether there was no room for a value.
    pub(crate) fn is_full(&self) -> bool {
        self.list.is_full()
    }

    /// Returns the answer.
    pub(crate) fn list(&self) -> ElementList<'_> {
        self.list.list()
    }
}
