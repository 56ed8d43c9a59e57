//! The difference of two versions. Subtrees that both share are skipped, so it costs what has changed, and not what
//! the versions have.

use super::node::{Kind, Level, MAX_HEIGHT, Node};
use super::tree::Tree;
use core::cmp::Ordering;

/// A walk through a tree that goes below a node only if it must.
struct Walk<'a, T: Kind> {
    /// The nodes that are entered, from the root down, each with the index of its next child or entry.
    stack: [Option<(&'a Node<T>, usize)>; MAX_HEIGHT],
    depth: usize,
    /// The root, before it is entered.
    root: Option<&'a Node<T>>,
}

impl<T: Kind> Clone for Walk<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, T: Kind> Walk<'a, T> {
    fn new(tree: &'a Tree<T>) -> Self {
        Self { stack: [None; MAX_HEIGHT], depth: 0, root: tree.root.as_ref() }
    }

    /// Leaves the nodes whose children or entries have all been visited.
    fn settle(&mut self) {
        while self.depth > 0
            && self.stack[self.depth - 1].is_some_and(|(node, next)| next == node.len())
        {
            self.depth -= 1;
            if self.depth > 0 {
                self.skip();
            }
        }
    }

    /// Returns the node that comes next, if it has not been entered.
    fn node(&self) -> Option<&'a Node<T>> {
        let Some((node, next)) = self.depth.checked_sub(1).and_then(|top| self.stack[top]) else {
            return self.root;
        };
        match node.level() {
            Level::Inner(inner) => Some(&inner.a()[next]),
            Level::Leaf(_) => None,
        }
    }

    /// Returns the entry that comes next, if its leaf has been entered.
    fn entry(&self) -> Option<(&'a T::Key, &'a T::Value)> {
        let (node, next) = self.depth.checked_sub(1).and_then(|top| self.stack[top])?;
        match node.level() {
            Level::Leaf(leaf) => Some((&leaf.a()[next], &leaf.b()[next])),
            Level::Inner(_) => None,
        }
    }

    /// Returns whether the walk is at the beginning of a node that was entered: whether nothing of it has been visited.
    fn begins(&self, node: &Node<T>) -> Option<usize> {
        let mut depth = self.depth;
        while depth > 0 {
            let (entered, next) = self.stack[depth - 1]?;
            if next > 0 {
                return None;
            }
            depth -= 1;
            if entered.is_same(node) {
                return Some(depth);
            }
        }
        None
    }

    /// Returns the lowest node that was entered, and the index of its next child or entry.
    fn top(&mut self) -> Option<(&'a Node<T>, &mut usize)> {
        let (node, next) = self.stack[self.depth.checked_sub(1)?].as_mut()?;
        Some((node, next))
    }

    fn enter(&mut self) {
        let Some(node) = self.node() else { return };
        self.root = None;
        self.stack[self.depth] = Some((node, 0));
        self.depth += 1;
    }

    /// Passes the next child or entry.
    fn skip(&mut self) {
        match self.depth.checked_sub(1) {
            Some(top) => {
                if let Some((_, next)) = &mut self.stack[top] {
                    *next += 1;
                }
            }
            None => self.root = None,
        }
    }

    /// Passes all of a node that was entered at this depth.
    fn skip_from(&mut self, depth: usize) {
        self.depth = depth;
        self.skip();
    }
}

/// What two versions have at a key that they do not agree on.
pub(crate) enum Side<'a, T: Kind> {
    Left(&'a T::Key, &'a T::Value),
    Right(&'a T::Key, &'a T::Value),
    Both(&'a T::Key, &'a T::Value, &'a T::Value),
}

/// Finds the entries that are in one of two trees only, or in both with different values.
pub(crate) struct Differences<'a, T: Kind> {
    left: Walk<'a, T>,
    right: Walk<'a, T>,
}

impl<T: Kind> Clone for Differences<'_, T> {
    fn clone(&self) -> Self {
        Self { left: self.left.clone(), right: self.right.clone() }
    }
}

impl<'a, T: Kind> Differences<'a, T> {
    pub(crate) fn new(left: &'a Tree<T>, right: &'a Tree<T>) -> Self {
        Self { left: Walk::new(left), right: Walk::new(right) }
    }

    /// Passes what both share, and enters nodes until both walks are at entries.
    fn align(&mut self) {
        loop {
            self.left.settle();
            self.right.settle();
            match (self.left.node(), self.right.node()) {
                (Some(a), Some(b)) if a.is_same(b) => {
                    self.left.skip();
                    self.right.skip();
                }
                // The higher one first: below it there may be the other one.
                (Some(a), Some(b)) if a.height() > b.height() => self.left.enter(),
                (Some(a), Some(b)) if a.height() < b.height() => self.right.enter(),
                (Some(_), Some(_)) => {
                    self.left.enter();
                    self.right.enter();
                }
                (Some(a), None) => match self.right.begins(a) {
                    Some(depth) => {
                        self.right.skip_from(depth);
                        self.left.skip();
                    }
                    None => self.left.enter(),
                },
                (None, Some(b)) => match self.left.begins(b) {
                    Some(depth) => {
                        self.left.skip_from(depth);
                        self.right.skip();
                    }
                    None => self.right.enter(),
                },
                (None, None) => return,
            }
        }
    }
}

impl<'a, T: Kind<Key: Ord, Value: PartialEq>> Differences<'a, T> {
    /// Passes the equal entries that come next in two leaves, and returns whether there are any.
    fn skip_equal(&mut self) -> bool {
        let tops = (self.left.top(), self.right.top());
        let (Some((left, at)), Some((right, other_at))) = tops else { return false };
        let (Level::Leaf(a), Level::Leaf(b)) = (left.level(), right.level()) else { return false };
        let keys = a.a()[*at..].iter().zip(&b.a()[*other_at..]);
        let values = a.b()[*at..].iter().zip(&b.b()[*other_at..]);
        let is_equal = |((key, other_key), (value, other)): &((&T::Key, &T::Key), (_, _))| {
            key.cmp(other_key).is_eq() && value == other
        };
        let equal = keys.zip(values).take_while(is_equal).count();
        *at += equal;
        *other_at += equal;
        equal > 0
    }

    pub(crate) fn next(&mut self) -> Option<Side<'a, T>> {
        // Most entries of leaves that differ are equal, and this loop over two pairs of slices is several times as fast
        // as a step for each.
        loop {
            self.align();
            if !self.skip_equal() {
                break;
            }
        }
        let (left, right) = (self.left.entry(), self.right.entry());
        let order = match (left, right) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        if order.is_le() {
            self.left.skip();
        }
        if order.is_ge() {
            self.right.skip();
        }
        match (left, right) {
            (Some((key, old)), Some((_, new))) if order.is_eq() => Some(Side::Both(key, old, new)),
            (Some((key, old)), _) if order.is_lt() => Some(Side::Left(key, old)),
            (_, right) => right.map(|(key, new)| Side::Right(key, new)),
        }
    }
}
