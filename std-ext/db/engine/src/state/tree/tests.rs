//! Versions of trees against models, with the shard's rules about what is freed when.

use super::version::{MAX_ENTRIES, TooManyEntries};
use super::*;
use crate::effort::rounds;
use check::{check, compare, compare_at, longest_separator, split};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::rc::Rc;

mod check;
mod sequence;

type Model = BTreeMap<Rc<[u8]>, Rc<[u8]>>;

fn live() -> usize {
    block::LIVE.get()
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % below
    }

    /// Returns a key of up to some 600 bytes, one of `number` of each kind.
    fn key(&mut self, number: usize) -> Vec<u8> {
        let chosen = self.below(number);
        let mut key = match self.below(8) {
            0 => vec![0; chosen % 12],
            1 => vec![b'p'; chosen % 600],
            2 => b"p".repeat(self.below(3) * 31),
            3 => b"q".repeat(180 + self.below(3) * 5),
            4 => [&b"r".repeat(400)[..], &chosen.to_be_bytes()[5..]].concat(),
            5 => vec![chosen as u8; 1 + chosen % 40],
            _ => (chosen as u32).wrapping_mul(0x9e37_79b9).to_be_bytes().to_vec(),
        };
        if self.below(2) == 0 {
            key.extend_from_slice(format!("field:{chosen}").as_bytes());
        }
        key
    }

    fn value(&mut self) -> Rc<[u8]> {
        let most = [1, 9, 9, 30, 200, 200, 600, 10_000][self.below(8)];
        let (length, byte) = (self.below(most), self.below(256) as u8);
        vec![byte; length].into()
    }
}

/// What a version contains.
trait Contents: Clone + Default {
    fn compare(&self, tree: Tree);
}

impl Contents for Model {
    fn compare(&self, tree: Tree) {
        compare(tree, self);
    }
}

struct Version<M> {
    tree: Tree,
    /// What it contains, or `None` if that is not checked.
    model: Option<M>,
    window: u64,
    /// What the changes since the version before have replaced.
    replaced: Vec<TreePart>,
}

/// A tree, its model, and older versions.
struct Versions<M = Model> {
    tree: Tree,
    model: M,
    window: u64,
    replaced: Vec<TreePart>,
    /// The last versions that were published, and one that a snapshot reads.
    published: VecDeque<Version<M>>,
    pinned: Option<(Tree, M, u64)>,
    freeing: Freeing,
    kept: Vec<TreePart>,
}

impl<M: Contents> Versions<M> {
    fn new() -> Self {
        let tree = Tree::new(1);
        let mut this = Self {
            tree,
            model: M::default(),
            window: 1,
            replaced: Vec::new(),
            published: VecDeque::new(),
            pinned: None,
            freeing: Freeing::default(),
            kept: Vec::new(),
        };
        this.publish(4);
        this
    }

    /// Publishes the newest version, and frees what only versions before the last `most` have.
    fn publish(&mut self, most: usize) {
        let (tree, window) = (self.tree, self.window);
        let model = (most > 1).then(|| self.model.clone());
        let replaced = std::mem::take(&mut self.replaced);
        self.published.push_back(Version { tree, model, window, replaced });
        self.window += 1;
        while self.published.len() > most {
            let oldest = self.published.pop_front().unwrap();
            if let Some(model) = oldest.model {
                model.compare(oldest.tree);
            }
            for part in self.published[0].replaced.drain(..) {
                self.freeing.push(part);
            }
        }
        let pinned = self.pinned.as_ref().map_or(0, |pinned| pinned.2);
        // SAFETY: the parts are only in versions that nobody reads any more, but the pinned one.
        while !unsafe { self.freeing.step(3, &|birth| birth <= pinned, &mut self.kept) } {}
    }

    fn undo(&mut self) {
        let last = self.published.back().unwrap();
        // SAFETY: this version was not published, and only it has these blocks.
        unsafe { free_newer(self.tree, last.window) };
        (self.tree, self.model) = (last.tree, last.model.clone().unwrap());
        self.replaced.clear();
    }

    /// Undoes the last publish, and what was changed since.
    fn roll_back(&mut self) {
        let undone = self.published.pop_back().unwrap();
        let last = self.published.back().unwrap();
        // SAFETY: nobody reads the undone versions any more, and no other has these blocks.
        unsafe { free_newer(self.tree, last.window) };
        let mut freeing = Freeing::default();
        self.replaced.drain(..).chain(undone.replaced).for_each(|part| freeing.push(part));
        // SAFETY: as above, and the last version has all that is not younger.
        while !unsafe { freeing.step(3, &|birth| birth <= last.window, &mut Vec::new()) } {}
        if self.pinned.as_ref().is_some_and(|pinned| pinned.2 > last.window) {
            self.pinned = None;
        }
        (self.tree, self.model) = (last.tree, last.model.clone().unwrap());
        self.window += 1;
    }

    fn pin(&mut self) {
        if let Some((tree, model, _)) = self.pinned.take() {
            model.compare(tree);
            self.kept.drain(..).for_each(|part| self.freeing.push(part));
        } else {
            let last = self.published.back().unwrap();
            self.pinned = Some((last.tree, last.model.clone().unwrap(), last.window));
        }
    }

    /// Frees everything.
    fn end(mut self) {
        self.publish(1);
        self.kept.drain(..).for_each(|part| self.freeing.push(part));
        self.freeing.push(TreePart::whole(self.tree));
        let mut kept = Vec::new();
        // SAFETY: nobody reads the trees any more.
        while !unsafe { self.freeing.step(7, &|_| false, &mut kept) } {}
        assert_eq!((live(), kept.len()), (0, 0), "blocks are left");
    }
}

impl Versions {
    fn insert(&mut self, key: &[u8], value: Rc<[u8]>, number: usize) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: the tree is the newest version, and each window has a number of its own.
        let is_new = unsafe { self.tree.insert(&mut edit, split(key, number), &value) };
        assert_eq!(is_new, Ok(self.model.insert(key.into(), value).is_none()));
    }

    fn remove(&mut self, key: &[u8], number: usize) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: as above.
        let was_there = unsafe { self.tree.remove(&mut edit, split(key, number)) };
        assert_eq!(was_there, self.model.remove(key).is_some());
    }

    fn remove_range(&mut self, from: usize, count: usize) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: as above.
        unsafe { self.tree.remove_range(&mut edit, from, count) };
        let keys: Vec<Rc<[u8]>> = self.model.keys().skip(from).take(count).cloned().collect();
        for key in keys {
            self.model.remove(&key);
        }
    }
}

/// Makes random changes. `number` bounds the keys of a kind, and `every` the changes between two whole comparisons.
fn change_at_random(seed: u64, number: usize, changes: u64, every: usize) {
    let (mut versions, mut random) = (Versions::<Model>::new(), Random(seed));
    let mut removals = 4;
    for change in 0..changes as usize {
        let key = random.key(number);
        if change % (4 * number) == 0 {
            removals = 2 + random.below(7);
        }
        if random.below(60) == 0 {
            let length = versions.model.len();
            let count = random.below(length + 1) / (1 + random.below(10));
            versions.remove_range(random.below(length - count + 1), count);
            check(versions.tree);
        } else if random.below(10) < removals {
            versions.remove(&key, change);
        } else {
            versions.insert(&key, random.value(), change);
        }
        compare_at(versions.tree, &versions.model, &random.key(number));
        if change % every == 0 {
            check(versions.tree);
            compare(versions.tree, &versions.model);
        }
        match random.below(40) {
            0..20 if every == 1 || random.below(10) == 0 => versions.publish(4),
            20 => versions.undo(),
            21 if versions.published.len() > 1 => versions.roll_back(),
            22 => versions.pin(),
            _ => {}
        }
    }
    check(versions.tree);
    versions.end();
}

/// Frees the blocks of a version that were made after a window.
///
/// # Safety
/// Nobody reads the version, and no other has these blocks.
unsafe fn free_newer(tree: Tree, window: u64) {
    let (mut parts, mut freeing) = (Vec::new(), Freeing::default());
    // SAFETY: the caller's promise.
    newer(unsafe { tree.view() }, window, &mut parts);
    for part in parts {
        freeing.push(part);
    }
    // SAFETY: as above.
    while !unsafe { freeing.step(100, &|_| false, &mut Vec::new()) } {}
}

#[test]
fn versions_of_small_trees_keep_their_entries() {
    for seed in 1..=rounds(6, 3) {
        change_at_random(seed, 12, rounds(800, 300), 1);
    }
}

#[test]
fn versions_of_large_trees_keep_their_entries() {
    change_at_random(77, 2000, rounds(8000, 2000), 300);
}

/// Inserts and removes keys as hashes have them, some a window, and checks the tree on the way.
#[test]
fn a_tree_that_shrinks_gives_its_memory_back() {
    for per_window in [1, 100, 1_000_000] {
        let (mut versions, mut random) = (Versions::<Model>::new(), Random(5));
        let number = rounds(6000, 1500) as u32;
        let key = |number: u32| {
            let hash = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
            [&hash[..], b"field:", number.to_string().as_bytes()].concat()
        };
        for change in 0..number {
            versions.insert(&key(change), vec![7; 8].into(), 4);
            if change % per_window == 0 {
                versions.publish(1);
            }
        }
        check(versions.tree);
        let most = versions.tree.bytes;
        let mut numbers: Vec<u32> = (0..number).collect();
        for left in (0..number as usize).rev() {
            let chosen = random.below(left + 1);
            versions.remove(&key(numbers.swap_remove(chosen)), 4);
            if left % per_window as usize == 0 {
                versions.publish(1);
            }
            if left % (number as usize / 10) == 0 {
                check(versions.tree);
                let bound = most * left as u64 / u64::from(number) * 8 / 5 + 2000;
                assert!(versions.tree.bytes < bound, "{} bytes", versions.tree.bytes);
            }
        }
        assert_eq!(check(versions.tree), 1, "more than a leaf");
        versions.end();
    }
}

/// A tree with entries `0..number` in a window, in the order that `place` gives.
fn tree_of(number: u32, window: u64, place: impl Fn(u32) -> u32, value: &[u8]) -> Tree {
    let (mut tree, mut replaced) = (Tree::new(window), Vec::new());
    for number in (0..number).map(place) {
        insert(&mut tree, window, &mut replaced, number, value);
    }
    assert!(replaced.is_empty(), "blocks of the present window are left to older versions");
    tree
}

fn insert(
    tree: &mut Tree,
    window: u64,
    replaced: &mut Vec<TreePart>,
    number: u32,
    value: &[u8],
) -> bool {
    let key = [&number.to_be_bytes()[..], b"member"].concat();
    // SAFETY: the tree is the newest version, and the windows come in order.
    unsafe { tree.insert(&mut Edit { window, replaced }, key[..].into(), value) }.unwrap()
}

/// Frees blocks, and returns in how many steps.
fn free_all(parts: impl IntoIterator<Item = TreePart>, blocks: usize) -> usize {
    let (mut freeing, mut kept, mut steps) = (Freeing::default(), Vec::new(), 1);
    for part in parts {
        freeing.push(part);
    }
    loop {
        let before = live();
        // SAFETY: nobody reads the tree any more.
        let is_done = unsafe { freeing.step(blocks, &|_| false, &mut kept) };
        assert!(before - live() <= blocks, "a step takes long");
        if is_done {
            return steps;
        }
        steps += 1;
    }
}

#[test]
fn a_full_tree_refuses_new_keys() {
    let mut tree = tree_of(100, 1, |number| number, b"");
    tree.entries = MAX_ENTRIES;
    let (before, mut replaced) = (tree, Vec::new());
    let mut edit = Edit { window: 2, replaced: &mut replaced };
    // SAFETY: the tree is the newest version.
    let refused = unsafe { tree.insert(&mut edit, b"new"[..].into(), b"") };
    assert_eq!((refused, tree), (Err(TooManyEntries), before));
    assert!(replaced.is_empty());
    assert!(!insert(&mut tree, 2, &mut replaced, 50, b"other"), "the key is not new");
    assert_eq!(tree.entries, MAX_ENTRIES);
    free_all(replaced.into_iter().chain([TreePart::whole(tree)]), 100);
    assert_eq!(live(), 0);
}

#[test]
fn entries_that_come_in_order_fill_the_nodes() {
    let number = 5000;
    let wanted = u64::from(number) * (2 + 10 + 8 + 6);
    for window in [0, 1] {
        let (mut tree, mut replaced) = (Tree::new(1), Vec::new());
        for number in 0..number {
            insert(&mut tree, 1 + u64::from(number) * window, &mut replaced, number, &[1; 8]);
            if number % 8 == 0 {
                check(tree);
            }
        }
        assert_eq!(longest_separator(tree.root), 4, "the first four bytes tell keys apart");
        let percent = tree.bytes * 100 / wanted;
        assert!(percent < 112, "{percent}% of the bytes of the entries");
        free_all(replaced.into_iter().chain([TreePart::whole(tree)]), 1000);
    }
    let scattered = tree_of(number, 1, |number| number.wrapping_mul(0x9e37_79b9), &[1; 8]);
    let percent = scattered.bytes * 100 / wanted;
    assert!(percent < 135, "{percent}% of the bytes of the entries in random order");
    free_all([TreePart::whole(scattered)], 1000);
    assert_eq!(live(), 0);
}

#[test]
fn a_window_copies_each_node_once() {
    let (number, long) = (3000, vec![1; 1000]);
    let mut tree = tree_of(number, 1, |number| number, &[1; 8]);
    let (blocks, mut replaced) = (check(tree), Vec::new());
    assert!(!insert(&mut tree, 2, &mut replaced, 7, &[2; 8]));
    assert_eq!(replaced.len(), usize::from(tree.root.level()) + 1, "more than a path is copied");
    for (byte, wanted) in [(3, blocks), (4, 0)] {
        let mut replaced = Vec::new();
        (0..number).for_each(|number| {
            insert(&mut tree, 3, &mut replaced, number, &[byte; 8]);
        });
        assert_eq!(replaced.len(), wanted, "{byte}");
        free_all(replaced, 1000);
    }
    for (window, wanted) in [(4, 0), (4, 0), (5, 1), (5, 0)] {
        let before = replaced.len();
        insert(&mut tree, window, &mut replaced, 7, &long);
        let blobs = replaced[before..].iter().filter(|part| format!("{part:?}").contains("Blob"));
        assert_eq!(blobs.count(), wanted, "blobs that were replaced in window {window}");
        check(tree);
    }
    let parts = replaced.into_iter().chain([TreePart::whole(tree)]);
    assert!(free_all(parts, 10) > blocks / 10);
    assert_eq!(live(), 0);
}

#[test]
fn a_node_that_shrinks_in_its_window_gives_memory_back() {
    let mut tree = tree_of(20, 1, |number| number, &[1; 8]);
    let (before, mut replaced) = (tree.bytes, Vec::new());
    for number in 0..15_u32 {
        let key = [&number.to_be_bytes()[..], b"member"].concat();
        let mut edit = Edit { window: 1, replaced: &mut replaced };
        // SAFETY: the tree is the newest version.
        assert!(unsafe { tree.remove(&mut edit, key[..].into()) });
        check(tree);
    }
    assert!(tree.bytes < before / 2, "{} bytes, after {before}", tree.bytes);
    free_all([TreePart::whole(tree)], 1);
    assert_eq!((live(), replaced.len()), (0, 0));
}

/// The blocks beneath a node that a snapshot may read are not looked at.
#[test]
fn a_subtree_that_is_kept_is_one_part() {
    let mut tree = tree_of(3000, 1, |number| number, &[1; 8]);
    let mut replaced = Vec::new();
    insert(&mut tree, 2, &mut replaced, 7, &[2; 8]);
    let (mut freeing, mut kept) = (Freeing::default(), Vec::new());
    freeing.push(TreePart::whole(tree));
    // SAFETY: only blocks of the first window are used any more.
    while !unsafe { freeing.step(1, &|birth| birth <= 1, &mut kept) } {}
    assert!(kept.len() < 150, "{} parts", kept.len());
    assert!(kept.iter().all(|part| part.birth() == 1));
    free_all(kept.into_iter().chain(replaced), 1000);
    assert_eq!(live(), 0);
}
