//! Freeing blocks: those that a version no longer has, those of a whole tree, and those of changes that are undone.

use super::block;
use super::entry::Blob;
use super::node::Node;
use super::read::TreeView;
use super::version::Tree;

/// A block that the newest version does not have, or a node with all that is beneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreePart(Part);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Node(Node),
    Blob(Blob),
    Subtree(Node),
}

const _: () = assert!(size_of::<TreePart>() <= 16);

impl TreePart {
    /// Returns all of a tree that is removed as a whole.
    pub(crate) fn whole(tree: Tree) -> Self {
        Self::subtree(tree.root)
    }

    pub(super) fn node(node: Node) -> Self {
        Self(Part::Node(node))
    }

    /// Returns a node with all that is beneath.
    pub(super) fn subtree(node: Node) -> Self {
        Self(Part::Subtree(node))
    }

    pub(super) fn blob(blob: Blob) -> Self {
        Self(Part::Blob(blob))
    }

    /// Returns the window in which the block was made. No version that was published before has it.
    pub(crate) fn birth(self) -> u64 {
        match self.0 {
            Part::Node(node) | Part::Subtree(node) => node.birth(),
            Part::Blob(blob) => blob.birth(),
        }
    }
}

/// Parts that are freed step by step, so that no step takes long.
#[derive(Default)]
pub(crate) struct Freeing {
    stack: Vec<TreePart>,
    /// Parts that were added since `take_added`.
    added: usize,
}

impl Freeing {
    pub(crate) fn push(&mut self, part: TreePart) {
        self.stack.push(part);
        self.added += 1;
    }

    /// Returns how many parts were added since the last call.
    pub(crate) fn take_added(&mut self) -> usize {
        std::mem::take(&mut self.added)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    /// Frees up to so many blocks, and returns whether nothing is left. Parts for whose births `keep` is true are moved
    /// to `kept` instead, each as one block: `keep` must be true for all earlier births too, and by [BIRTHS](super)
    /// nothing beneath a node is younger.
    ///
    /// # Safety
    /// But for what is kept, no version that is read or will be read has the blocks, and no other part contains them.
    pub(crate) unsafe fn step(
        &mut self,
        blocks: usize,
        keep: &dyn Fn(u64) -> bool,
        kept: &mut Vec<TreePart>,
    ) -> bool {
        for _ in 0..blocks {
            let Some(part) = self.stack.pop() else { break };
            if keep(part.birth()) {
                kept.push(part);
                continue;
            }
            if let Part::Subtree(node) = part.0 {
                for entry in node.entries() {
                    self.stack.extend(entry.blob().map(TreePart::blob));
                }
                if node.level() > 0 {
                    let children = (0..node.count()).map(|index| node.child(index));
                    self.stack.extend(children.map(TreePart::subtree));
                }
            }
            match part.0 {
                // SAFETY: the caller's promise, and nothing on the stack needs the node to reach its children.
                Part::Node(node) | Part::Subtree(node) => unsafe { node.free() },
                // SAFETY: the caller's promise.
                Part::Blob(blob) => unsafe { blob.free() },
            }
        }
        self.stack.is_empty()
    }
}

/// Returns the footprint of a node and of all blocks beneath.
pub(super) fn footprint(node: Node) -> u64 {
    let mut bytes = block::footprint(node.capacity()) as u64;
    for entry in node.entries() {
        bytes += entry.blob().map_or(0, |blob| block::footprint(blob.size()) as u64);
    }
    if node.level() > 0 {
        bytes += (0..node.count()).map(|index| footprint(node.child(index))).sum::<u64>();
    }
    bytes
}

/// Adds the blocks of a version that were made after a window. By [BIRTHS](super) these are at the top.
pub(crate) fn newer(tree: TreeView<'_>, window: u64, into: &mut Vec<TreePart>) {
    newer_nodes(tree.root(), window, into);
}

fn newer_nodes(node: Node, window: u64, into: &mut Vec<TreePart>) {
    if node.birth() <= window {
        return;
    }
    for entry in node.entries() {
        into.extend(entry.blob().filter(|blob| blob.birth() > window).map(TreePart::blob));
        if node.level() > 0 {
            // SAFETY: the entries of inner nodes refer to children.
            newer_nodes(unsafe { entry.child() }, window, into);
        }
    }
    into.push(TreePart::node(node));
}
