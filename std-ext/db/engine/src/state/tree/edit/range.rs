//! Removing a range of entries.
//!
//! First the range is cut out: whole subtrees are given away, and only the nodes that the two ends of the range pass
//! through are changed. This leaves short nodes on both sides of the *seam*, the place where the range was. They may
//! have no sibling to be merged with, before their parents are merged. So the tree is then mended from the root down,
//! one node at a time.

use super::{Edges, Edit, Edited, Editor, LEAST};
use crate::state::tree::free::{self, TreePart};
use crate::state::tree::node::{Node, node_bytes};
use crate::state::tree::place::Index;
use crate::state::tree::version::Tree;
use std::ops::Range;

/// So many entries are removed one by one: for each, a cut and the mending of the tree take four times as many
/// instructions.
const FEW: usize = 3;

impl Tree {
    /// Removes `count` entries from an index on. O(log n + blocks that are cut): their footprint is summed up. A
    /// subtree that is cut out is one part, so the parts do not tell how much memory waits to be freed.
    ///
    /// # Safety
    /// As for `insert`.
    pub(crate) unsafe fn remove_range(&mut self, edit: &mut Edit<'_>, from: usize, count: usize) {
        let entries = self.entries as usize;
        assert!(from <= entries && count <= entries - from, "{count} from {from} of {entries}");
        debug_assert!(self.root.birth() <= edit.window, "a later window");
        if count <= FEW && count < entries {
            for _ in 0..count {
                self.take(edit, Index { at: from, of: self.entries });
            }
            return;
        }
        let mut editor = Editor { edit, bytes: self.bytes, change: 0 };
        if count == entries {
            editor.cut(self.root);
            self.root = editor.new_node(0, node_bytes(0));
        } else {
            let root = editor.cut_range(self.root, from..from + count);
            self.root = editor.smaller_root(Edited::one(root));
            while let Some(edited) = editor.mend(self.root, from) {
                self.root = editor.smaller_root(edited);
            }
        }
        (self.bytes, self.entries) = (editor.bytes, self.entries - count as u32);
    }
}

impl Editor<'_, '_> {
    /// Removes some, but not all, of the entries beneath a node. What is left may have too few entries.
    fn cut_range(&mut self, mut node: Node, range: Range<usize>) -> Node {
        if node.level() == 0 {
            return self.remove_entries(node, range);
        }
        node = self.writable(node, 0);
        let (mut before, mut cut) = (0, 0..0);
        for index in 0..node.count() {
            let (child, entries) = (node.child(index), node.child_entries(index));
            let from = range.start.saturating_sub(before);
            let to = range.end.saturating_sub(before).min(entries as usize);
            before += entries as usize;
            if from >= to {
                continue;
            }
            if to - from == entries as usize {
                self.cut(child);
                cut = if cut.is_empty() { index } else { cut.start }..index + 1;
            } else {
                let child = self.cut_range(child, from..to);
                // SAFETY: the node is of the present window.
                unsafe { node.set_child(index, child, entries - (to - from) as u32) };
            }
        }
        if cut.start == 0 && !cut.is_empty() {
            // The first key stays, because the node above has it too. It is also a separator for the child behind.
            let (child, entries) = (node.child(cut.end), node.child_entries(cut.end));
            // SAFETY: as above.
            unsafe { node.set_child(0, child, entries) };
            cut = 1..cut.end + 1;
        }
        self.remove_entries(node, cut)
    }

    fn remove_entries(&mut self, node: Node, range: Range<usize>) -> Node {
        range.rev().fold(node, |node, index| self.remove_entry(node, index))
    }

    /// Frees a node and all that is beneath, or leaves it to older versions.
    fn cut(&mut self, node: Node) {
        // By [BIRTHS](super::super) nothing beneath an older node is of the present window.
        if node.birth() != self.edit.window {
            self.bytes -= free::footprint(node);
            self.edit.replaced.push(TreePart::subtree(node));
            return;
        }
        for index in 0..node.count() {
            self.drop_blob(node.entry(index));
            if node.level() > 0 {
                self.cut(node.child(index));
            }
        }
        self.drop_node(node);
    }

    /// Merges the highest node next to the seam that has too few entries, which is before the entry `seam` beneath this
    /// node. Returns `None` if there is none.
    fn mend(&mut self, node: Node, seam: usize) -> Option<Edited> {
        if node.level() == 0 {
            return None;
        }
        let mut before = 0;
        for index in 0..node.count() {
            let (child, entries) = (node.child(index), node.child_entries(index) as usize);
            // Between two children, both are next to the seam.
            if (before..=before + entries).contains(&seam) {
                if child.filled() < LEAST && node.count() > 1 {
                    let node = self.writable(node, 0);
                    return Some(self.balance(node, index.saturating_sub(1)));
                }
                if let Some(edited) = self.mend(child, seam - before) {
                    return Some(self.adopt(node, index, child, edited, Edges::NONE));
                }
            }
            before += entries;
        }
        None
    }
}
