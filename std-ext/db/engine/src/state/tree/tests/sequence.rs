//! Sequences: trees whose keys are all empty.

use super::check::check_kind;
use super::*;

type Values = Vec<Rc<[u8]>>;

impl Contents for Values {
    fn compare(&self, tree: Tree) {
        // SAFETY: the tests keep the version meanwhile.
        let view = unsafe { tree.view() };
        assert_eq!(view.len(), self.len());
        let wanted = || self.iter().map(|value| (&b""[..], &value[..]));
        assert!(view.iter().eq(wanted()), "other values");
        assert!(view.iter().rev().eq(wanted().rev()), "other values backwards");
        assert_eq!(view.nth(self.len()), None);
    }
}

/// Checks reads of a part of a version.
fn compare_part(tree: Tree, model: &Values, random: &mut Random) {
    // SAFETY: the tests keep the version meanwhile.
    let view = unsafe { tree.view() };
    let index = random.below(model.len() + 2);
    let wanted = |index: usize| model.get(index).map(|value| (&b""[..], &value[..]));
    assert_eq!(view.nth(index), wanted(index), "another value at an index");
    let (mut next, mut end) = (index, index + random.below(model.len() + 2));
    let mut values = view.iter_range(next, end);
    (next, end) = (next.min(model.len()), end.min(model.len()));
    for _ in 0..6 {
        assert_eq!(values.len(), end - next);
        let most = [1, 3, 40, 2000][random.below(4)];
        let skipped = random.below(most).min(end - next);
        if random.below(2) == 0 {
            next += skipped;
            let value = (next < end).then(|| wanted(next)).flatten();
            assert_eq!(values.nth(skipped), value, "another value after some");
            next += usize::from(next < end);
        } else {
            end -= skipped;
            let value = (next < end).then(|| wanted(end - 1)).flatten();
            assert_eq!(values.nth_back(skipped), value, "another value before some");
            end -= usize::from(next < end);
        }
    }
}

impl Versions<Values> {
    fn insert_at(&mut self, index: usize, value: Rc<[u8]>) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: the tree is the newest version, and each window has a number of its own.
        assert_eq!(unsafe { self.tree.insert_at(&mut edit, index, &value) }, Ok(()));
        self.model.insert(index, value);
    }

    fn replace_at(&mut self, index: usize, value: Rc<[u8]>) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: as above.
        unsafe { self.tree.replace_at(&mut edit, index, &value) };
        self.model[index] = value;
    }

    fn remove_at(&mut self, index: usize) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: as above.
        unsafe { self.tree.remove_at(&mut edit, index) };
        self.model.remove(index);
    }

    fn remove_range(&mut self, from: usize, count: usize) {
        let mut edit = Edit { window: self.window, replaced: &mut self.replaced };
        // SAFETY: as above.
        unsafe { self.tree.remove_range(&mut edit, from, count) };
        self.model.drain(from..from + count);
    }
}

/// Returns an index of `0..=most`: an end mostly.
fn index(random: &mut Random, most: usize) -> usize {
    match random.below(5) {
        0 | 1 => most,
        2 | 3 => 0,
        _ => random.below(most + 1),
    }
}

/// Makes random changes of a sequence that has `usual` values, more or less.
fn change_at_random(seed: u64, usual: usize, changes: u64, every: usize) {
    let (mut versions, mut random) = (Versions::<Values>::new(), Random(seed));
    let mut removals = 4;
    for change in 0..changes as usize {
        let length = versions.model.len();
        if change % usual == 0 {
            removals = if length > 2 * usual { 7 } else { 1 + random.below(6) };
        }
        match random.below(10) {
            choice if choice >= removals || length == 0 => {
                for _ in 0..=random.below(8) {
                    let index = index(&mut random, versions.model.len());
                    versions.insert_at(index, random.value());
                }
            }
            0 if random.below(4) == 0 => {
                let count = random.below(length + 1) / (1 + random.below(30));
                let from = index(&mut random, length - count);
                versions.remove_range(from, count);
                check_kind(versions.tree, true);
            }
            0 => versions.replace_at(random.below(length), random.value()),
            _ => versions.remove_at(index(&mut random, length - 1)),
        }
        compare_part(versions.tree, &versions.model, &mut random);
        if change % every == 0 {
            check_kind(versions.tree, true);
            versions.model.compare(versions.tree);
        }
        match random.below(40) {
            0..20 if every == 1 || random.below(10) == 0 => versions.publish(4),
            20 => versions.undo(),
            21 if versions.published.len() > 1 => versions.roll_back(),
            22 => versions.pin(),
            _ => {}
        }
    }
    check_kind(versions.tree, true);
    versions.end();
}

#[test]
fn versions_of_short_sequences_keep_their_values() {
    for seed in 1..=rounds(8, 3) {
        change_at_random(seed, 60, rounds(800, 300), 1);
    }
}

#[test]
fn versions_of_long_sequences_keep_their_values() {
    for seed in 1..=rounds(2, 1) {
        change_at_random(seed, 3000, rounds(6000, 2000), 300);
    }
}

#[test]
fn a_queue_fills_its_nodes_in_both_directions() {
    let (number, length) = (rounds(20_000, 6000) as usize, 4000);
    for is_forward in [true, false] {
        for windows in [0, 1] {
            let mut versions = Versions::<Values>::new();
            for change in 0..number {
                let last = versions.model.len();
                versions.insert_at(if is_forward { last } else { 0 }, vec![1; 10].into());
                if change >= length {
                    versions.remove_at(if is_forward { 0 } else { last });
                }
                if windows == 1 {
                    versions.publish(1);
                }
                if change % 500 == 0 {
                    check_kind(versions.tree, true);
                }
            }
            // A leaf has room for 37 entries.
            let blocks = check_kind(versions.tree, true);
            assert!(blocks < length / 32, "{blocks} blocks");
            versions.end();
        }
    }
}

#[test]
fn a_full_sequence_refuses_values() {
    let mut tree = Tree::new(1);
    tree.entries = MAX_ENTRIES;
    let (before, mut replaced) = (tree, Vec::new());
    let mut edit = Edit { window: 2, replaced: &mut replaced };
    // SAFETY: the tree is the newest version.
    let refused = unsafe { tree.insert_at(&mut edit, 0, b"new") };
    assert_eq!((refused, tree), (Err(TooManyEntries), before));
    free_all(replaced.into_iter().chain([TreePart::whole(tree)]), 100);
    assert_eq!(live(), 0);
}

/// Returns a sequence of short values, and some long ones, that was made in a window.
fn sequence_of(number: usize, window: u64) -> Tree {
    let (mut tree, mut replaced) = (Tree::new(window), Vec::new());
    for index in 0..number {
        let mut edit = Edit { window, replaced: &mut replaced };
        let value = [7; 300];
        let value = if index % 100 == 0 { &value[..] } else { &value[..10] };
        // SAFETY: the tree is the newest version.
        unsafe { tree.insert_at(&mut edit, index, value) }.unwrap();
    }
    assert!(replaced.is_empty(), "blocks of the present window are left to older versions");
    tree
}

#[test]
fn a_range_is_cut_out_as_whole_subtrees() {
    let number = 20_000;
    for range in [0..number, 0..19_000, 1000..number, 5000..15_000, 7777..7778] {
        let mut tree = sequence_of(number, 1);
        let (blocks, mut replaced) = (check_kind(tree, true), Vec::new());
        let mut edit = Edit { window: 2, replaced: &mut replaced };
        // SAFETY: the tree is the newest version.
        unsafe { tree.remove_range(&mut edit, range.start, range.len()) };
        let left = check_kind(tree, true);
        assert!(replaced.len() < 200, "{} parts", replaced.len());
        assert!(replaced.iter().all(|part| part.birth() == 1), "a new block is left to others");
        assert!(live() >= blocks, "blocks of the version before are freed");
        free_all(replaced, 100);
        assert_eq!(live(), left, "blocks of a range that was cut out are left");
        free_all([TreePart::whole(tree)], 100);
        assert_eq!(live(), 0);
    }
}

#[test]
fn a_range_of_the_present_window_is_freed_at_once() {
    let (mut tree, mut replaced) = (sequence_of(20_000, 1), Vec::new());
    for (window, parts) in [(1, false), (2, true)] {
        let mut edit = Edit { window, replaced: &mut replaced };
        // SAFETY: the tree is the newest version.
        unsafe {
            tree.insert_at(&mut edit, 9000, &[1; 500]).unwrap();
            tree.remove_range(&mut edit, 2000, 8000);
        }
        let left = check_kind(tree, true);
        assert_eq!(replaced.is_empty(), !parts, "parts that are left to older versions");
        free_all(replaced.drain(..), 100);
        assert_eq!(live(), left, "blocks are left");
    }
    free_all([TreePart::whole(tree)], 100);
    assert_eq!(live(), 0);
}

/// Nodes next to the seam are merged with others, also if their parents have no other child.
#[test]
fn a_few_values_at_both_ends_of_a_range_take_little_memory() {
    let mut versions = Versions::<Values>::new();
    for index in 0..10_000 {
        versions.insert_at(index, vec![2; 10].into());
    }
    versions.publish(1);
    versions.remove_range(1, 9_998);
    assert_eq!(check_kind(versions.tree, true), 1, "more than a leaf");
    versions.end();
}
