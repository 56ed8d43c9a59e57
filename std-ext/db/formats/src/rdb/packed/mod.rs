//! Redis's packed encodings of small collections: one string with all elements. Redis 7 writes listpacks, Redis 2.6 to
//! 6.2 ziplists, and Redis before 2.6 zipmaps; all of them intsets, for sets of integers.
//!
//! Everything that Redis checks with `sanitize-dump-payload yes` is checked here: totals in headers, the sizes that
//! link an element to the one before, that each element ends before the buffer does, and the order of an intset. In
//! addition, the end mark of a zipmap has to be its last byte, and no number of a listpack may extend into the element
//! in front of it.
//!
//! An element is checked when it is read, so damage may be found after other elements were returned.

mod element;
mod intset;
mod listpack;
mod ziplist;
mod zipmap;

pub(super) use element::{Element, Fault};
pub(super) use intset::intset;
pub(super) use listpack::ListpackWriter;

use element::{END, ENDS_EARLY, WRONG_COUNT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackedEncoding {
    Listpack,
    Ziplist,
    Zipmap,
    Intset,
}

/// A position in a packed value. The bytes are given to each call, so that their owner can hold both.
#[derive(Clone, Debug)]
pub(super) struct PackedCursor {
    encoding: PackedEncoding,
    /// Where the next element begins.
    at: usize,
    /// The elements that were read, and how many the header says there are.
    read: u64,
    count: Option<u64>,
    /// The bytes of the element before, which the next one of a ziplist repeats.
    previous: usize,
}

impl PackedCursor {
    /// Checks the header and the end mark.
    pub(super) fn new(encoding: PackedEncoding, bytes: &[u8]) -> Result<Self, Fault> {
        let (at, count) = match encoding {
            PackedEncoding::Listpack => listpack::header(bytes)?,
            PackedEncoding::Ziplist => ziplist::header(bytes)?,
            PackedEncoding::Zipmap => zipmap::header(bytes)?,
            PackedEncoding::Intset => intset::header(bytes)?,
        };
        Ok(Self { encoding, at, read: 0, count, previous: 0 })
    }

    /// Returns the next element, or `None` after the last, once the count in the header was right.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Element<'a>>, Fault> {
        if self.is_at_end(bytes) {
            return self.check_end(bytes).map(|()| None);
        }
        let rest = bytes.get(self.at..).ok_or(ENDS_EARLY)?;
        let (element, size) = match self.encoding {
            PackedEncoding::Listpack => listpack::element(rest)?,
            PackedEncoding::Ziplist => ziplist::element(rest, self.previous)?,
            // Fields and values alternate, and a value has one number more.
            PackedEncoding::Zipmap => zipmap::element(rest, self.read % 2 == 1)?,
            PackedEncoding::Intset => intset::element(bytes, self.at)?,
        };
        // No element has the last byte: that is the end mark, which intsets have none of.
        if size >= rest.len() && self.encoding != PackedEncoding::Intset {
            return Err(ENDS_EARLY);
        }
        self.at += size;
        self.previous = size;
        self.read += 1;
        Ok(Some(element))
    }

    /// Returns whether all elements were read.
    pub(super) fn is_at_end(&self, bytes: &[u8]) -> bool {
        match self.encoding {
            PackedEncoding::Intset => self.at == bytes.len(),
            _ => bytes.get(self.at..) == Some(&[END]),
        }
    }

    /// Compares the header with the elements, all of which were read.
    pub(super) fn check_end(&self, bytes: &[u8]) -> Result<(), Fault> {
        let is_right = self.count.is_none_or(|count| count == self.read)
            && (self.encoding != PackedEncoding::Ziplist
                || ziplist::ends_with(bytes, self.at - self.previous, self.read));
        if is_right { Ok(()) } else { Err(WRONG_COUNT) }
    }
}
