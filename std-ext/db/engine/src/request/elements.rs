//! Lists of keys, fields and values, as answers have them.

/// In place of the length of an element that is missing.
const NIL: u32 = u32::MAX;

/// Some byte strings, of which some may be missing: keys, or the fields and values of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementList<'a> {
    /// Each element behind its length in four bytes.
    stored: &'a [u8],
    len: usize,
    reply_bytes: usize,
}

impl<'a> ElementList<'a> {
    /// Stores the list, and the cursor of the next elements.
    #[doc(hidden)]
    pub fn store(self, next: u64, into: &mut Vec<u8>) {
        for number in [next, self.len as u64, self.reply_bytes as u64] {
            into.extend_from_slice(&number.to_le_bytes());
        }
        into.extend_from_slice(self.stored);
    }

    /// Returns the list and the cursor that these bytes store.
    #[doc(hidden)]
    pub fn stored(bytes: &'a [u8]) -> (Self, u64) {
        let (numbers, stored) = bytes.split_at(3 * size_of::<u64>());
        let number = |at: usize| u64::from_le_bytes(numbers.as_chunks().0[at]);
        (Self { stored, len: number(1) as usize, reply_bytes: number(2) as usize }, number(0))
    }

    /// Returns the number of elements.
    pub fn len(self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the bytes that a reply with these elements has at least, in the protocol of Redis. If this is more than
    /// the query wanted, elements are missing.
    pub fn reply_bytes(self) -> usize {
        self.reply_bytes
    }

    /// Returns the elements; `None` in place of one that is missing.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut rest = self.stored;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = u32::from_le_bytes(*length);
            if length == NIL {
                rest = behind;
                return Some(None);
            }
            let (element, behind) = behind.split_at(length as usize);
            rest = behind;
            Some(Some(element))
        })
    }
}

/// Collects the elements of an [`ElementList`].
#[derive(Debug)]
pub(crate) struct ElementListBuilder {
    stored: Vec<u8>,
    len: usize,
    reply_bytes: usize,
    /// Bytes that the reply may have.
    most: usize,
}

impl ElementListBuilder {
    /// The least that an element takes of a reply: `$0\r\n\r\n`.
    pub(crate) const SHORTEST: usize = 6;

    /// Makes an empty list, whose reply may have this many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { stored: Vec::new(), len: 0, reply_bytes: 0, most }
    }

    /// Adds an element, if there is room for it.
    pub(crate) fn push(&mut self, element: &[u8]) {
        self.reply_bytes = self.reply_bytes.saturating_add(element.len() + Self::SHORTEST);
        if let (false, Ok(length)) = (self.is_full(), u32::try_from(element.len())) {
            // A vector of bytes begins with eight, and would grow for each of the first elements.
            if self.stored.capacity() == 0 {
                self.stored.reserve(64);
            }
            self.stored.extend_from_slice(&length.to_le_bytes());
            self.stored.extend_from_slice(element);
            self.len += 1;
        }
    }

    /// Adds an element, or that it is missing, if there is room for it.
    pub(crate) fn push_or_nil(&mut self, element: Option<&[u8]>) {
        let Some(element) = element else {
            self.reply_bytes = self.reply_bytes.saturating_add(Self::SHORTEST);
            if !self.is_full() {
                self.stored.extend_from_slice(&NIL.to_le_bytes());
                self.len += 1;
            }
            return;
        };
        self.push(element);
    }

    /// Returns the bytes of the elements so far.
    pub(super) fn stored_bytes(&self) -> usize {
        self.stored.len()
    }

    /// Replaces the last bytes of the element that ends at `end`, unless there was no room for it.
    pub(super) fn overwrite(&mut self, end: usize, bytes: &[u8]) {
        if !self.is_full() {
            self.stored[end - bytes.len()..end].copy_from_slice(bytes);
        }
    }

    /// Returns whether there was no room for an element.
    pub(crate) fn is_full(&self) -> bool {
        self.reply_bytes > self.most
    }

    /// Returns the list.
    pub(crate) fn list(&self) -> ElementList<'_> {
        ElementList { stored: &self.stored, len: self.len, reply_bytes: self.reply_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_all_lengths_come_back() {
        let elements = [vec![], b"rose".to_vec(), vec![b'k'; 70_000], vec![0]];
        let mut builder = ElementListBuilder::new(usize::MAX);
        builder.push_or_nil(None);
        for element in &elements {
            builder.push_or_nil(Some(element));
        }
        let list = builder.list();
        let found: Vec<_> = list.iter().collect();
        assert_eq!(found[0], None);
        assert_eq!(found[1..].iter().map(|found| found.unwrap()).collect::<Vec<_>>(), elements);
        assert_eq!((list.len(), list.is_empty()), (5, false));
        assert_eq!(list.reply_bytes(), 4 + 70_000 + 1 + 5 * 6);
        let mut bytes = Vec::new();
        list.store(7, &mut bytes);
        assert_eq!(ElementList::stored(&bytes), (list, 7));
    }

    #[test]
    fn a_list_keeps_no_more_than_it_may() {
        let mut builder = ElementListBuilder::new(20);
        builder.push(b"rose");
        builder.push(b"pink");
        assert!(!builder.is_full());
        builder.push(b"");
        assert!(builder.is_full());
        let list = builder.list();
        assert_eq!((list.len(), list.reply_bytes(), list.iter().count()), (2, 26, 2));
        let mut builder = ElementListBuilder::new(5);
        builder.push_or_nil(None);
        assert!(builder.is_full() && builder.list().is_empty());
    }
}
