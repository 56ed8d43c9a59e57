//! Thin nodes: merged with a neighbour, or given a part of its elements.
//!
//! A tree is right with nodes of any size. This keeps them few, and the tree low. So a step that finds no memory is
//! left out, and the next removal tries again.

use super::node::{Editable, INNER, Level, Node, UniqueInner};
use super::tree::Place;
use crate::memory::AllocError;

/// Whether a node should have more elements. A quarter, not a half as textbooks have it: otherwise insertions and
/// removals by turns might split and merge the same nodes again and again.
pub(super) fn is_thin(len: usize, most: usize) -> bool {
    len < most / 4
}

/// Mends the thin nodes below `node` on the way to a place.
pub(super) fn thicken_below<T: Editable>(node: &mut Node<T>, place: &Place) {
    let Level::Inner(mut inner) = node.as_own() else { return };
    let child = place.child_of(inner.height());
    if inner.height() > 1 {
        thicken_below(&mut inner.a_mut()[child], place);
    }
    let _ = thicken(&mut inner, child);
}

/// Merges a child with a neighbour, or moves elements between them, if it is thin.
pub(super) fn thicken<T: Editable>(
    inner: &mut UniqueInner<'_, T>,
    child: usize,
) -> Result<(), AllocError> {
    let node = &inner.read().a()[child];
    if node.len() == 0 {
        let emptied = inner.remove(child);
        drop(emptied);
        return Ok(());
    }
    if !is_thin(node.len(), node.most()) || inner.len() == 1 {
        return Ok(());
    }
    let left = child.saturating_sub(1);
    let children = inner.read().a();
    let most = node.most();
    if children[left].len() + children[left + 1].len() <= most - most / 4 {
        merge(inner, left)
    } else {
        even_out(inner, left)
    }
}

/// Merges the children `left` and `left + 1`.
fn merge<T: Editable>(inner: &mut UniqueInner<'_, T>, left: usize) -> Result<(), AllocError> {
    let children = inner.a_mut();
    let moved = children[left + 1].len();
    children[left].edit(moved)?;
    children[left + 1].edit(0)?;
    let (right, count, bound) = inner.remove(left + 1);
    let bound = bound.expect("a bound between two children");
    inner.b_mut()[left] += count;
    inner.a_mut()[left].append(bound, right);
    Ok(())
}

/// Moves elements between the children `left` and `left + 1`, until they have equally many.
fn even_out<T: Editable>(inner: &mut UniqueInner<'_, T>, left: usize) -> Result<(), AllocError> {
    let (children, counts, bounds) = inner.columns_mut();
    let [a, b] = &mut children[left..left + 2] else { unreachable!("two children") };
    let (a_len, b_len) = (a.len(), b.len());
    let moved = a_len.abs_diff(b_len) / 2;
    let (a_extra, b_extra) = if a_len < b_len { (moved, 0) } else { (0, moved) };
    let old;
    let gained = match (a.edit(a_extra)?, b.edit(b_extra)?) {
        (Level::Leaf(mut a), Level::Leaf(mut b)) => {
            // The bound is cloned before anything moves.
            let first =
                if a_len < b_len { &b.read().a()[moved] } else { &a.read().a()[a_len - moved] };
            let bound = T::bound(first);
            if a_len < b_len {
                a.take_front(moved, &mut (), &mut b);
            } else {
                b.take_back(moved, &mut (), &mut a);
            }
            old = Some(core::mem::replace(&mut bounds[left], bound));
            moved
        }
        (Level::Inner(mut a), Level::Inner(mut b)) => {
            old = None;
            let bound = &mut bounds[left];
            if a_len < b_len {
                a.take_front(moved, bound, &mut b);
                a.read().b()[a_len..].iter().sum()
            } else {
                b.take_back(moved, bound, &mut a);
                b.read().b()[..moved].iter().sum()
            }
        }
        _ => unreachable!("children have the same height"),
    };
    if a_len < b_len {
        (counts[left], counts[left + 1]) = (counts[left] + gained, counts[left + 1] - gained);
    } else {
        (counts[left], counts[left + 1]) = (counts[left] - gained, counts[left + 1] + gained);
    }
    // The destructor of a bound is user code: it runs last.
    drop(old);
    Ok(())
}

const _: () = assert!(INNER >= 8, "a quarter of a node is more than one child");
