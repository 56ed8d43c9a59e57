//! Checks of a tree's structure, and of its contents against a model.

use super::super::entry::{CHILD, Entry, MAX_SHORT};
use super::super::node::{MAX_NODE, Node, ROOM, SLOT};
use super::*;

/// Checks the invariants of a tree: see [BIRTHS](super::super) and the others. Returns the number of blocks.
pub(super) fn check(tree: Tree) -> usize {
    check_kind(tree, false)
}

/// As `check`, with empty keys if it is a sequence.
pub(super) fn check_kind(tree: Tree, is_sequence: bool) -> usize {
    let mut checked = Checked { is_sequence, ..Checked::default() };
    let entries = checked.node(tree.root, None, None, [true, true], true);
    assert_eq!(entries, tree.entries, "the number of entries is wrong");
    assert_eq!(checked.bytes, tree.bytes, "the bytes are counted wrongly");
    checked.blocks
}

#[derive(Default)]
struct Checked {
    is_sequence: bool,
    blocks: usize,
    bytes: u64,
}

impl Checked {
    fn block(&mut self, size: usize) {
        self.blocks += 1;
        self.bytes += block::footprint(size) as u64;
    }

    /// Checks a node whose keys are within `low..high`, and returns the number of entries beneath.
    fn node(
        &mut self,
        node: Node,
        low: Option<&[u8]>,
        high: Option<&[u8]>,
        [is_first, is_last]: [bool; 2],
        is_root: bool,
    ) -> u32 {
        self.block(node.capacity());
        assert!(node.capacity() <= MAX_NODE && node.bytes() <= node.capacity());
        assert!(node.filled() <= ROOM);
        let used: usize = node.entries().map(|entry| entry.length() + SLOT).sum();
        assert_eq!(used, node.filled(), "holes between entries");
        assert!(is_first || is_last || used >= ROOM / 3, "{used} bytes in a node");
        assert!(node.level() == 0 || node.count() >= 2, "an inner node of one child");
        assert!(is_root || node.count() > 0, "an empty leaf");
        let keys: Vec<&[u8]> = node.entries().map(|entry| self.key(node, entry)).collect();
        if self.is_sequence {
            assert!(keys.iter().all(|key| key.is_empty()), "a key in a sequence");
        } else {
            assert!(keys.is_sorted_by(|one, next| one < next), "keys are not in order");
        }
        assert!(low.is_none_or(|low| keys[0] >= low), "a key is before its separator");
        let is_below = |high| self.is_sequence || *keys.last().unwrap() < high;
        assert!(high.is_none_or(is_below), "a key is behind the next");
        if node.level() == 0 {
            return keys.len() as u32;
        }
        assert_eq!(keys[0], low.unwrap_or(b""), "the first key of an inner node");
        for index in 0..keys.len() {
            let child = node.child(index);
            assert!(child.birth() <= node.birth(), "a node is younger than its parent");
            assert_eq!(child.level() + 1, node.level());
            let high = keys.get(index + 1).copied().or(high);
            let edges = [is_first && index == 0, is_last && index + 1 == keys.len()];
            let beneath = self.node(child, Some(keys[index]), high, edges, false);
            assert_eq!(beneath, node.child_entries(index), "an inner node counts wrongly");
        }
        node.tree_entries()
    }

    fn key<'a>(&mut self, node: Node, entry: Entry<'a>) -> &'a [u8] {
        if let Some(blob) = entry.blob() {
            self.block(blob.size());
            assert!(blob.birth() <= node.birth(), "a blob is younger than its node");
            assert!(entry.key().starts_with(entry.stored_key()));
            let value = if node.level() == 0 { entry.value().len() } else { CHILD };
            assert!(entry.key().len() + value > MAX_SHORT, "a blob of a short entry");
        } else {
            assert!(entry.length() <= 2 + MAX_SHORT);
        }
        entry.key()
    }
}

/// Returns the length of the longest key in the inner nodes.
pub(super) fn longest_separator(node: Node) -> usize {
    let inner = (0..node.count()).filter(|_| node.level() > 0);
    let lengths =
        inner.map(|index| node.entry(index).key().len().max(longest_separator(node.child(index))));
    lengths.max().unwrap_or(0)
}

/// Checks that a version has the entries of a model, in all ways to read it.
pub(super) fn compare(tree: Tree, model: &Model) {
    // SAFETY: the tests keep the version meanwhile.
    let view = unsafe { tree.view() };
    assert_eq!(view.len(), model.len());
    let wanted = || model.iter().map(|(key, value)| (&key[..], &value[..]));
    assert!(view.iter().eq(wanted()), "other entries");
    assert!(view.iter().rev().eq(wanted().rev()), "other entries backwards");
    for (index, (key, value)) in wanted().enumerate() {
        assert_eq!(view.get(split(key, index)), Some(value), "another value");
        assert_eq!(view.rank(split(key, index)), Ok(index), "another rank");
        assert_eq!(view.nth(index), Some((key, value)), "another entry at an index");
    }
    assert_eq!(view.nth(model.len()), None);
}

/// Checks look-ups of a key that the model may lack.
pub(super) fn compare_at(tree: Tree, model: &Model, key: &[u8]) {
    // SAFETY: the tests keep the version meanwhile.
    let view = unsafe { tree.view() };
    assert_eq!(view.get(key.into()), model.get(key).map(|value| &value[..]));
    let before = model.range::<[u8], _>((Unbounded, Excluded(key))).count();
    let rank = if model.contains_key(key) { Ok(before) } else { Err(before) };
    assert_eq!(view.rank(key.into()), rank);
    let wanted = model.range::<[u8], _>((Included(key), Unbounded));
    let wanted = wanted.map(|(key, value)| (&key[..], &value[..]));
    assert!(view.iter_from(key.into()).take(5).eq(wanted.clone().take(5)));
    let lower = model.range::<[u8], _>((Unbounded, Excluded(key)));
    let lower = lower.map(|(key, value)| (&key[..], &value[..]));
    assert_eq!(view.iter_before(key.into()).len(), before);
    assert!(view.iter_before(key.into()).rev().take(5).eq(lower.rev().take(5)), "others before");
    let mut entries = view.iter_from(key.into());
    assert_eq!(entries.len(), model.len() - before);
    let (mut left, mut is_front) = (wanted, true);
    for _ in 0..6 {
        let both = if is_front {
            (entries.next(), left.next())
        } else {
            (entries.next_back(), left.next_back())
        };
        assert_eq!(both.0, both.1);
        is_front = !is_front;
    }
}

/// Returns a key in two parts of different lengths.
pub(super) fn split(key: &[u8], number: usize) -> Key<'_> {
    let (prefix, rest) = key.split_at(key.len().min(number % 10));
    Key::new(prefix, rest)
}
