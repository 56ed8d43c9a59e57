//! The sequences.

use hedgerow::PersistentVec;
use imbl::Vector;

use super::Sequence;
use crate::rivals::Role;

impl Sequence for PersistentVec<u64> {
    const NAME: &'static str = "PersistentVec";
    const ROLE: Role = Role::Ours;

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, index: usize) -> Option<u64> {
        self.get(index).copied()
    }

    #[inline]
    fn set(&mut self, index: usize, value: u64) {
        self[index] = value;
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }

    #[inline]
    fn insert(&mut self, index: usize, value: u64) {
        self.insert(index, value);
    }

    #[inline]
    fn remove(&mut self, index: usize) -> u64 {
        self.remove(index)
    }

    fn turn(&mut self, index: usize) {
        let mut tail = self.split_off(index);
        tail.append(self);
        *self = tail;
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.iter().copied().for_each(see);
    }
}

impl Sequence for Vector<u64> {
    const NAME: &'static str = "imbl";

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, index: usize) -> Option<u64> {
        self.get(index).copied()
    }

    #[inline]
    fn set(&mut self, index: usize, value: u64) {
        self[index] = value;
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push_back(value);
    }

    #[inline]
    fn insert(&mut self, index: usize, value: u64) {
        self.insert(index, value);
    }

    #[inline]
    fn remove(&mut self, index: usize) -> u64 {
        self.remove(index)
    }

    fn turn(&mut self, index: usize) {
        let mut tail = self.split_off(index);
        tail.append(std::mem::take(self));
        *self = tail;
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.iter().copied().for_each(see);
    }
}

/// std's, in which a version is a copy.
impl Sequence for Vec<u64> {
    const NAME: &'static str = "Vec";
    const ROLE: Role = Role::Yard;
    const SHARES: bool = false;

    fn new() -> Self {
        Self::new()
    }

    #[inline]
    fn get(&self, index: usize) -> Option<u64> {
        self.as_slice().get(index).copied()
    }

    #[inline]
    fn set(&mut self, index: usize, value: u64) {
        self[index] = value;
    }

    #[inline]
    fn push(&mut self, value: u64) {
        self.push(value);
    }

    #[inline]
    fn insert(&mut self, index: usize, value: u64) {
        self.insert(index, value);
    }

    #[inline]
    fn remove(&mut self, index: usize) -> u64 {
        self.remove(index)
    }

    fn turn(&mut self, index: usize) {
        self.rotate_left(index);
    }

    fn each(&self, see: impl FnMut(u64)) {
        self.iter().copied().for_each(see);
    }
}
