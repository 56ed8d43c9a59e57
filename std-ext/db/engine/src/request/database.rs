//! Questions about all keys of a database, and lists of keys.

/// A question about all keys of the selected database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseQuery<'a> {
    /// The number of keys, including expired ones that have not been removed yet: [`Answer::Int`](super::Answer::Int).
    Count,
    /// A random key: [`Answer::Bytes`](super::Answer::Bytes), or [`Answer::Nil`](super::Answer::Nil) if there is none.
    RandomKey,
    /// A part of a walk over all keys: [`Answer::Keys`](super::Answer::Keys).
    Scan(KeyScan<'a>),
}

/// A part of a walk over all keys of a database.
///
/// A walk begins with the cursor 0, and goes on with the cursor of the last answer, until that is 0. A key that exists
/// during the whole walk is found at least once, maybe more often. In a transaction, a part of a walk has at least all
/// keys of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyScan<'a> {
    /// Where the walk goes on.
    pub cursor: u64,
    /// About how many keys are visited.
    pub count: usize,
    /// The glob pattern that the keys of the answer match, in Redis's notation.
    pub pattern: Option<&'a [u8]>,
    /// The walk ends once the keys that it has found take more bytes than this: see [`KeyList::reply_bytes`].
    pub most: usize,
}

/// Some keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyList<'a> {
    /// Each key behind its length in two bytes.
    stored: &'a [u8],
    len: usize,
    reply_bytes: usize,
}

impl<'a> KeyList<'a> {
    /// Stores the list, and the cursor of the next keys.
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

    /// Returns the number of keys.
    pub fn len(self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the bytes that a reply with these keys has at least, in the protocol of Redis. If this is more than the
    /// query wanted, keys are missing.
    pub fn reply_bytes(self) -> usize {
        self.reply_bytes
    }

    /// Returns the keys.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.stored;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let (key, behind) = behind.split_at(u16::from_le_bytes(*length).into());
            rest = behind;
            Some(key)
        })
    }
}

/// Collects the keys of a [`KeyList`].
#[derive(Debug)]
pub(crate) struct KeyListBuilder {
    stored: Vec<u8>,
    len: usize,
    reply_bytes: usize,
    /// Bytes that the reply may have.
    most: usize,
}

impl KeyListBuilder {
    /// The least that a key takes of a reply: `$0\r\n\r\n`.
    const SHORTEST: usize = 6;

    /// Makes an empty list, whose reply may have this many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { stored: Vec::new(), len: 0, reply_bytes: 0, most }
    }

    /// Adds a key, if there is room for it.
    pub(crate) fn push(&mut self, key: &[u8]) {
        self.reply_bytes += key.len() + Self::SHORTEST;
        if let (false, Ok(length)) = (self.is_full(), u16::try_from(key.len())) {
            self.stored.extend_from_slice(&length.to_le_bytes());
            self.stored.extend_from_slice(key);
            self.len += 1;
        }
    }

    /// Returns whether there was no room for a key.
    pub(crate) fn is_full(&self) -> bool {
        self.reply_bytes > self.most
    }

    /// Returns the list.
    pub(crate) fn list(&self) -> KeyList<'_> {
        KeyList { stored: &self.stored, len: self.len, reply_bytes: self.reply_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_lengths_come_back() {
        let keys = [vec![], b"rose".to_vec(), vec![b'k'; super::super::LONGEST_KEY], vec![0]];
        let mut builder = KeyListBuilder::new(usize::MAX);
        for key in &keys {
            builder.push(key);
        }
        let list = builder.list();
        assert_eq!(list.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), keys);
        assert_eq!((list.len(), list.is_empty()), (4, false));
        assert_eq!(list.reply_bytes(), 4 + 65535 + 1 + 4 * 6);
        let mut bytes = Vec::new();
        list.store(7, &mut bytes);
        assert_eq!(KeyList::stored(&bytes), (list, 7));
    }

    #[test]
    fn a_list_keeps_no_more_than_it_may() {
        let mut builder = KeyListBuilder::new(20);
        builder.push(b"rose");
        builder.push(b"pink");
        assert!(!builder.is_full());
        builder.push(b"");
        assert!(builder.is_full());
        let list = builder.list();
        assert_eq!((list.len(), list.reply_bytes(), list.iter().count()), (2, 26, 2));
    }
}
