//! The prefixes of clients in broadcasting mode.

use std::collections::{BTreeMap, HashMap, HashSet};

/// The clients of each prefix.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    clients: HashMap<Box<[u8]>, HashSet<u64>>,
    /// The number of prefixes of each length. A change looks up one prefix of each length, and not each prefix: clients
    /// that add many must not slow down every writer.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    pub(super) fn add(&mut self, prefix: &[u8], client: u64) {
        if !self.clients.contains_key(prefix) {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        self.clients.entry(prefix.into()).or_default().insert(client);
    }

    pub(super) fn remove(&mut self, prefix: &[u8], client: u64) {
        let Some(clients) = self.clients.get_mut(prefix) else { return };
        clients.remove(&client);
        if !clients.is_empty() {
            return;
        }
        self.clients.remove(prefix);
        if let Some(number) = self.lengths.get_mut(&prefix.len()) {
            *number -= 1;
            if *number == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// Returns the number of prefixes.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns those of the keys that have each prefix, and the clients of the prefix.
    pub(super) fn matches<'k>(
        &self,
        keys: &[&'k [u8]],
    ) -> impl Iterator<Item = (Vec<&'k [u8]>, &HashSet<u64>)> {
        let mut found: BTreeMap<&'k [u8], Vec<&'k [u8]>> = BTreeMap::new();
        for key in keys {
            for length in self.lengths.range(..=key.len()).map(|(length, _)| *length) {
                if self.clients.contains_key(&key[..length]) {
                    found.entry(&key[..length]).or_default().push(key);
                }
            }
        }
        found.into_iter().filter_map(|(prefix, keys)| Some((keys, self.clients.get(prefix)?)))
    }
}
