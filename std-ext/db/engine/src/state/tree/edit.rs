//! Changes of a tree: from the leaf up, each node of the path is edited in place, copied, split or merged.
//!
//! A change that is not made, because a key is missing or too many are there, copies nothing. What may panic, which is
//! only a key or value of 4 GiB, comes before the first edit.

use super::block;
use super::entry::{Entry, EntryBytes, Key};
use super::free::TreePart;
use super::node::{MAX_NODE, Node, ROOM, SLOT, node_bytes};
use super::place::{Gap, Index, Place};
use super::version::{MAX_ENTRIES, TooManyEntries, Tree};

mod range;

/// A node with less than this in entries is merged with a neighbour or takes some of its entries.
const LEAST: usize = ROOM / 3;

/// Where a change is made.
pub(crate) struct Edit<'a> {
    /// The number of the present window: greater than that of each block of the tree that was published. A tree that
    /// comes from another shard may be younger than a window that has begun; its change needs a new number.
    pub(crate) window: u64,
    /// Receives the blocks that only older versions have from now on.
    pub(crate) replaced: &'a mut Vec<TreePart>,
}

/// What became of a node of the version before.
#[derive(Clone, Copy)]
struct Edited {
    /// The node or what stands in its place.
    node: Node,
    /// Its right half, if it was split.
    right: Option<Node>,
    /// Whether entries of it were removed or became shorter.
    is_smaller: bool,
}

impl Edited {
    fn one(node: Node) -> Self {
        Self { node, right: None, is_smaller: false }
    }
}

/// Whether a node is the first or the last one of its level.
#[derive(Clone, Copy)]
struct Edges {
    is_first: bool,
    is_last: bool,
}

impl Edges {
    const ROOT: Self = Self { is_first: true, is_last: true };
    const NONE: Self = Self { is_first: false, is_last: false };

    fn of_child(self, node: Node, index: usize) -> Self {
        let (is_first, is_last) = (index == 0, index + 1 == node.count());
        Self { is_first: self.is_first && is_first, is_last: self.is_last && is_last }
    }
}

/// Where a node without room is split.
#[derive(Clone, Copy)]
enum SplitPoint {
    Middle,
    /// Entries come in ascending order: the left node stays full.
    End,
    /// Entries come in descending order: the right node stays full.
    Start,
}

/// A change that is being made.
struct Editor<'a, 'b> {
    edit: &'a mut Edit<'b>,
    /// The footprint of all blocks of the new version.
    bytes: u64,
    /// Whether the tree has an entry more, or one less.
    change: i32,
}

impl Tree {
    /// Inserts an entry, or replaces the value of a key. Returns whether the key is new.
    ///
    /// # Safety
    /// The tree is the newest version, and the caller is its only writer. Nobody reads this version any more, nor uses
    /// parts of it, unless it was published in an earlier window. `edit.window` is the number of no other publication,
    /// and no node of the tree was made in a later window.
    pub(crate) unsafe fn insert(
        &mut self,
        edit: &mut Edit<'_>,
        key: Key<'_>,
        value: &[u8],
    ) -> Result<bool, TooManyEntries> {
        if self.entries == MAX_ENTRIES {
            // SAFETY: the caller is the only writer.
            let view = unsafe { self.view() };
            view.get(key).ok_or(TooManyEntries)?;
        }
        Ok(self.put(edit, &key, &key, value))
    }

    /// Inserts a value into a sequence, before the one at `index`, or at the end.
    ///
    /// # Safety
    /// As for `insert`, and all keys are empty.
    pub(crate) unsafe fn insert_at(
        &mut self,
        edit: &mut Edit<'_>,
        index: usize,
        value: &[u8],
    ) -> Result<(), TooManyEntries> {
        assert!(index <= self.entries as usize, "a gap {index} of {}", self.entries);
        if self.entries == MAX_ENTRIES {
            return Err(TooManyEntries);
        }
        self.put(edit, Gap(Index { at: index, of: self.entries }), &Key::EMPTY, value);
        Ok(())
    }

    /// Replaces a value of a sequence.
    ///
    /// # Safety
    /// As for `insert_at`.
    pub(crate) unsafe fn replace_at(&mut self, edit: &mut Edit<'_>, index: usize, value: &[u8]) {
        assert!(index < self.entries as usize, "entry {index} of {}", self.entries);
        self.put(edit, Index { at: index, of: self.entries }, &Key::EMPTY, value);
    }

    /// Inserts an entry, or replaces the one that is there. Returns whether it is new. The caller has promised what
    /// `insert` demands.
    #[inline(always)]
    fn put(&mut self, edit: &mut Edit<'_>, place: impl Place, key: &Key<'_>, value: &[u8]) -> bool {
        debug_assert!(self.root.birth() <= edit.window, "a later window");
        let mut editor = Editor { edit, bytes: self.bytes, change: 0 };
        let Edited { node, right, .. } = editor.insert(self.root, place, key, value, Edges::ROOT);
        self.root = right.map_or(node, |right| editor.root_of(node, right));
        (self.bytes, self.entries) =
            (editor.bytes, self.entries.wrapping_add_signed(editor.change));
        editor.change == 1
    }

    /// Removes an entry, and returns whether there was one.
    ///
    /// # Safety
    /// As for `insert`.
    pub(crate) unsafe fn remove(&mut self, edit: &mut Edit<'_>, key: Key<'_>) -> bool {
        self.take(edit, &key)
    }

    /// Removes an entry at an index.
    ///
    /// # Safety
    /// As for `insert`.
    pub(crate) unsafe fn remove_at(&mut self, edit: &mut Edit<'_>, index: usize) {
        assert!(index < self.entries as usize, "entry {index} of {}", self.entries);
        self.take(edit, Index { at: index, of: self.entries });
    }

    /// Removes an entry, and returns whether there was one. The caller has promised what `insert` demands.
    #[inline(always)]
    fn take(&mut self, edit: &mut Edit<'_>, place: impl Place) -> bool {
        debug_assert!(self.root.birth() <= edit.window, "a later window");
        let mut editor = Editor { edit, bytes: self.bytes, change: -1 };
        let Some(edited) = editor.remove(self.root, place) else { return false };
        self.root = editor.smaller_root(edited);
        (self.bytes, self.entries) = (editor.bytes, self.entries - 1);
        true
    }
}

impl Editor<'_, '_> {
    fn insert(
        &mut self,
        node: Node,
        place: impl Place,
        key: &Key<'_>,
        value: &[u8],
        edges: Edges,
    ) -> Edited {
        if node.level() > 0 {
            let (index, place) = place.child(node);
            let (child, of_child) = (node.descend(index), edges.of_child(node, index));
            let edited = self.insert(child, place, key, value, of_child);
            return self.adopt(node, index, child, edited, of_child);
        }
        let entry = EntryBytes::of(key, value, self.edit.window);
        self.count_blob(&entry);
        match place.entry(node) {
            Ok(index) => self.replace(node, index, &entry),
            Err(index) => {
                self.change = 1;
                let at = match edges {
                    Edges { is_last: true, .. } if index == node.count() => SplitPoint::End,
                    Edges { is_first: true, .. } if index == 0 => SplitPoint::Start,
                    _ => SplitPoint::Middle,
                };
                self.insert_entry(node, index, &entry, at)
            }
        }
    }

    fn remove(&mut self, node: Node, place: impl Place) -> Option<Edited> {
        if node.level() > 0 {
            let (index, place) = place.child(node);
            let child = node.descend(index);
            let edited = self.remove(child, place)?;
            return Some(self.adopt(node, index, child, edited, Edges::NONE));
        }
        let index = place.entry(node).ok()?;
        let node = self.remove_entry(node, index);
        Some(Edited { is_smaller: true, ..Edited::one(node) })
    }

    /// Replaces a leaf's entry.
    fn replace(&mut self, node: Node, index: usize, entry: &EntryBytes) -> Edited {
        let (old, new) = (node.entry(index).length(), entry.entry().length());
        self.drop_blob(node.entry(index));
        let node = self.writable(node, new.saturating_sub(old));
        if old == new {
            // SAFETY: the node is of the present window, and the lengths are the same.
            unsafe { node.overwrite(index, entry) };
            return Edited::one(node);
        }
        // SAFETY: the node is of the present window.
        unsafe { node.remove(index) };
        let edited = self.insert_entry(node, index, entry, SplitPoint::Middle);
        Edited { is_smaller: new < old, ..edited }
    }

    /// Makes an inner node refer to what became of a child, which has these edges.
    fn adopt(
        &mut self,
        node: Node,
        index: usize,
        child: Node,
        edited: Edited,
        edges: Edges,
    ) -> Edited {
        if edited.node == child && edited.right.is_none() && self.change == 0 && !edited.is_smaller
        {
            return Edited::one(node);
        }
        let entries = node.child_entries(index).wrapping_add_signed(self.change);
        let node = self.writable(node, 0);
        if let Some(right) = edited.right {
            let left = edited.node;
            // SAFETY: the node is of the present window.
            unsafe { node.set_child(index, left, left.tree_entries()) };
            let separator = self.separator(left, right);
            let at = match edges {
                Edges { is_last: true, .. } => SplitPoint::End,
                Edges { is_first: true, .. } => SplitPoint::Start,
                Edges { .. } => SplitPoint::Middle,
            };
            return self.insert_entry(node, index + 1, &separator, at);
        }
        // SAFETY: as above.
        unsafe { node.set_child(index, edited.node, entries) };
        if edited.is_smaller && edited.node.filled() < LEAST && node.count() > 1 {
            return self.balance(node, index.saturating_sub(1));
        }
        Edited::one(node)
    }

    /// Merges two children of an inner node of the present window if one node has room for both, and distributes their
    /// entries evenly otherwise.
    fn balance(&mut self, node: Node, index: usize) -> Edited {
        let (left, right) = (node.child(index), node.child(index + 1));
        let (merged, rest) = self.distribute(left, right);
        for child in [left, right].into_iter().filter(|child| *child != merged) {
            self.drop_node(child);
        }
        // SAFETY: the node is of the present window.
        unsafe { node.set_child(index, merged, merged.tree_entries()) };
        let node = self.remove_entry(node, index + 1);
        let edited = match rest {
            None => Edited::one(node),
            Some(rest) => {
                let separator = self.separator(merged, rest);
                self.insert_entry(node, index + 1, &separator, SplitPoint::Middle)
            }
        };
        Edited { is_smaller: true, ..edited }
    }

    /// Returns one node with the entries of two, or two if one has no room for them.
    fn distribute(&mut self, left: Node, right: Node) -> (Node, Option<Node>) {
        // No copy for a stack, whose last leaf is made and emptied again and again.
        if left.count() == 0 {
            return (right, None);
        }
        if right.count() == 0 {
            return (left, None);
        }
        let entries: Vec<Entry<'_>> = left.entries().chain(right.entries()).collect();
        if left.filled() + right.filled() <= ROOM {
            return (self.build(left.level(), &entries), None);
        }
        let (first, second) = entries.split_at(middle(&entries));
        let second = self.build(left.level(), second);
        (self.build(left.level(), first), Some(second))
    }

    /// Inserts an entry that is counted already. Without room, the node is split.
    fn insert_entry(
        &mut self,
        node: Node,
        index: usize,
        entry: &EntryBytes,
        at: SplitPoint,
    ) -> Edited {
        let more = entry.entry().length() + SLOT;
        if node.filled() + more > ROOM {
            return self.split(node, index, entry.entry(), at);
        }
        let node = self.writable(node, more);
        // SAFETY: the node is of the present window, and has room.
        unsafe { node.insert(index, entry.entry()) };
        Edited::one(node)
    }

    /// Splits a node that has no room for another entry.
    fn split(&mut self, node: Node, index: usize, entry: Entry<'_>, at: SplitPoint) -> Edited {
        if node.level() == 0 {
            match at {
                SplitPoint::Middle => {}
                SplitPoint::End => {
                    let right = self.build(0, &[entry]);
                    return Edited { right: Some(right), ..Edited::one(node) };
                }
                SplitPoint::Start => {
                    let left = self.build(0, &[entry]);
                    return Edited { right: Some(node), ..Edited::one(left) };
                }
            }
        }
        let mut entries: Vec<Entry<'_>> = node.entries().collect();
        entries.insert(index, entry);
        // An inner node has two children at least.
        let at = match at {
            SplitPoint::Middle => middle(&entries),
            SplitPoint::End => entries.len() - 2,
            SplitPoint::Start => 2,
        };
        let (left, right) = entries.split_at(at);
        let (left, right) = (self.build(node.level(), left), self.build(node.level(), right));
        self.drop_node(node);
        Edited { right: Some(right), ..Edited::one(left) }
    }

    /// Removes an entry and its blob. Returns the node or what stands in its place.
    fn remove_entry(&mut self, node: Node, index: usize) -> Node {
        self.drop_blob(node.entry(index));
        let node = self.writable(node, 0);
        // SAFETY: the node is of the present window.
        unsafe { node.remove(index) };
        // A node that many changes of one window make smaller gives memory back.
        if node.bytes() + node.bytes() / 4 + 32 < node.capacity() {
            self.moved(node, 0)
        } else {
            node
        }
    }

    /// Returns the entry for the right one of two neighbours: see [SEPARATORS](super).
    fn separator(&mut self, left: Node, right: Node) -> EntryBytes {
        let mut key = right.entry(0).key();
        if right.level() == 0 {
            let before = left.entry(left.count() - 1).key();
            let common = before.iter().zip(key).take_while(|(before, key)| before == key).count();
            // The keys of a sequence are all empty.
            key = &key[..key.len().min(common + 1)];
        }
        let separator = EntryBytes::separator(key, right, self.edit.window);
        self.count_blob(&separator);
        separator
    }

    fn root_of(&mut self, left: Node, right: Node) -> Node {
        let first = EntryBytes::separator(b"", left, self.edit.window);
        let second = self.separator(left, right);
        self.build(left.level() + 1, &[first.entry(), second.entry()])
    }

    /// Returns the root of a tree that has become smaller.
    fn smaller_root(&mut self, Edited { mut node, right, .. }: Edited) -> Node {
        if let Some(right) = right {
            node = self.root_of(node, right);
        }
        while node.level() > 0 && node.count() == 1 {
            // Its key is empty, so it has no blob.
            let child = node.child(0);
            self.drop_node(node);
            node = child;
        }
        node
    }

    /// Returns the node if it is of the present window and has room for `more` bytes, or a copy of it.
    fn writable(&mut self, node: Node, more: usize) -> Node {
        let bytes = node.bytes() + more;
        match node.birth() == self.edit.window {
            true if bytes <= node.capacity() => node,
            // Some room for further entries. The copies of a window with one change would never use it.
            true => self.moved(node, more + bytes / 8),
            false => self.moved(node, more),
        }
    }

    /// Moves a node to a block of the present window, with room for `more` bytes, or for as many as a node may have.
    fn moved(&mut self, node: Node, more: usize) -> Node {
        let bytes = (node.bytes() + more).min(MAX_NODE);
        let copy = self.new_node(node.level(), bytes);
        // SAFETY: the copy was just made, with room for all entries.
        unsafe { node.copy_to(copy) };
        self.drop_node(node);
        copy
    }

    fn build(&mut self, level: u8, entries: &[Entry<'_>]) -> Node {
        let node = self.new_node(level, node_bytes(filled(entries)));
        for (index, entry) in entries.iter().enumerate() {
            // SAFETY: the node was just made, with room for all entries.
            unsafe { node.insert(index, *entry) };
        }
        node
    }

    fn new_node(&mut self, level: u8, bytes: usize) -> Node {
        let node = Node::new(level, self.edit.window, bytes);
        self.bytes += block::footprint(node.capacity()) as u64;
        node
    }

    fn count_blob(&mut self, entry: &EntryBytes) {
        if let Some(blob) = entry.entry().blob() {
            self.bytes += block::footprint(blob.size()) as u64;
        }
    }

    /// Frees a node that the new version does not have, or leaves it to older versions.
    fn drop_node(&mut self, node: Node) {
        self.bytes -= block::footprint(node.capacity()) as u64;
        if node.birth() == self.edit.window {
            // SAFETY: no other version has it, and this one does not use it any more.
            unsafe { node.free() };
        } else {
            self.edit.replaced.push(TreePart::node(node));
        }
    }

    /// Frees an entry's blob, if it has one, or leaves it to older versions.
    fn drop_blob(&mut self, entry: Entry<'_>) {
        let Some(blob) = entry.blob() else { return };
        self.bytes -= block::footprint(blob.size()) as u64;
        if blob.birth() == self.edit.window {
            // SAFETY: no other version has it, and this one does not use it any more.
            unsafe { blob.free() };
        } else {
            self.edit.replaced.push(TreePart::blob(blob));
        }
    }
}

/// Returns the bytes of entries and their slots.
fn filled(entries: &[Entry<'_>]) -> usize {
    entries.iter().map(|entry| entry.length() + SLOT).sum()
}

/// Returns where to split entries so that both parts have about as many bytes, and one entry at least.
fn middle(entries: &[Entry<'_>]) -> usize {
    let (all, mut before) = (filled(entries), 0);
    for (index, entry) in entries.iter().enumerate() {
        let length = entry.length() + SLOT;
        // Less is before this entry than behind it.
        if index > 0 && 2 * before + length >= all {
            return index;
        }
        before += length;
    }
    entries.len() - 1
}
