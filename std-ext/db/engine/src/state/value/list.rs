//! Lists.

use super::collection::{Collection, CollectionEdit, Form};
use crate::request::ValueType;
use std::ops::Range;

/// Returns the place of an index, which counts from the end if it is negative.
pub(crate) fn index_of(len: usize, index: i64) -> Option<usize> {
    let distance = usize::try_from(index.unsigned_abs()).ok()?;
    let at = if index < 0 { len.checked_sub(distance)? } else { distance };
    (at < len).then_some(at)
}

/// Returns the places between two indices, both inclusive, which count from the end if they are negative.
pub(crate) fn range_of(len: usize, from: i64, to: i64) -> Range<usize> {
    let len = len.cast_signed() as i64;
    let place = |index: i64| if index < 0 { len.saturating_add(index) } else { index };
    let (from, to) = (place(from).max(0), place(to).min(len - 1));
    let at = |place: i64| place.cast_unsigned() as usize;
    if from > to { 0..0 } else { at(from)..at(to) + 1 }
}

/// A list as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListValue<'a>(pub(super) Collection<'a>);

impl<'a> ListValue<'a> {
    /// Returns the number of elements.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len(ValueType::List)
    }

    /// Returns the element at an index.
    pub(crate) fn nth(self, index: usize) -> Option<&'a [u8]> {
        match self.0 {
            Collection::Packed(list) => list.names().nth(index),
            Collection::Tree(list) => list.view().nth(index).map(|(_, element)| element),
        }
    }

    /// Calls `each` with the elements from an index on, until it returns false.
    pub(crate) fn visit_from(self, index: usize, each: &mut dyn FnMut(&'a [u8]) -> bool) {
        let _ = match self.0 {
            Collection::Packed(list) => list.names().skip(index).all(each),
            Collection::Tree(list) => {
                list.view().iter_from_nth(index).all(|(_, element)| each(element))
            }
        };
    }

    /// Calls `each` with the elements from the last to the first, until it returns false.
    pub(crate) fn visit_back(self, each: &mut dyn FnMut(&'a [u8]) -> bool) {
        let _ = match self.0 {
            Collection::Packed(list) => {
                let elements: Vec<_> = list.names().collect();
                elements.into_iter().rev().all(each)
            }
            Collection::Tree(list) => list.view().iter().rev().all(|(_, element)| each(element)),
        };
    }
}

impl CollectionEdit<'_> {
    /// Removes elements from an index on, and puts others in their place. There are as many.
    pub(crate) fn splice(&mut self, at: usize, remove: usize, elements: &[&[u8]]) {
        if let Form::Packed(packer) = &mut self.form {
            packer.splice(at, remove, elements.iter().map(|element| (*element, &b""[..])));
            return self.limit_packed();
        }
        self.in_tree(|tree, edit| {
            // SAFETY: by the contract of `CollectionEdit::new`. The elements are there.
            unsafe {
                let replaced = remove.min(elements.len());
                for (index, element) in elements[..replaced].iter().enumerate() {
                    tree.replace_at(edit, at + index, element);
                }
                if remove > replaced {
                    tree.remove_range(edit, at + replaced, remove - replaced);
                }
                for (index, element) in elements[replaced..].iter().enumerate() {
                    // 2^32 elements take more memory than any machine that this has run on; one more is not stored.
                    let _ = tree.insert_at(edit, at + replaced + index, element);
                }
            }
        });
    }
}
