//! Maintenance outside of writes: steps that sweep ahead of writers, removal of expired entries, and shrinking.

use super::expiry::RemovalCause;
use super::index::IndexLayout;
use super::maintenance::SweepOutcome;
use super::record::RecordLocation;
use super::store::Store;
use super::sweep::COMPACT_FIRST_PART;
use crate::api::hash::KeyHash;
use crate::sync::backoff::Backoff;
use crate::table::walk::WalkPosition;
use alloc::vec::Vec;
use core::cell::Cell;

/// Bytes that a step sweeps before it releases the maintenance lock.
const SLICE: usize = 1024;
/// The work that counts for one bin when expired entries are searched, in bytes.
const EXPIRING: usize = 256;
/// The work that counts for growing the index, in bytes.
const GROWING: usize = 4096;
/// Entries for which the index is grown ahead, if it has four times as many.
const AHEAD_ENTRIES: usize = 1024;
/// With fewer entries than this, growing the index when it is full is little work.
const FEW_ENTRIES: usize = 256;
/// Backoff steps for which a step leaves the maintenance lock to a waiting writer.
const YIELD: usize = 32;

impl Store {
    /// Does the maintenance that writers would soon have to do. Returns whether there was anything to do.
    pub(super) fn step(&self, bytes: usize) -> bool {
        self.training.note_step();
        let expired = self.expire_some(bytes / EXPIRING) > 0;
        let (mut left, mut any) = (bytes, self.grow_some() || expired);
        if self.grow_index() {
            (left, any) = (left.saturating_sub(GROWING), true);
        }
        let is_needed = || self.memory.room() < self.ahead() || self.has_samples();
        if self.training.is_due() && is_needed() {
            let done = left > 0 && self.train_some(left);
            // Sweeping before the first training would compress with nothing.
            if done || !self.training.is_done() {
                return any || done;
            }
        }
        while left > 0 || !any {
            let Some(mut maintenance) = self.maintenance.try_lock() else { return any };
            if maintenance.sweep.is_none() && self.memory.room() >= self.ahead() {
                return any;
            }
            let before = maintenance.compressor.worked;
            let swept = self.sweep_locked(&mut maintenance, left.min(SLICE), None);
            if swept != SweepOutcome::Advanced {
                return any;
            }
            left = left.saturating_sub(maintenance.compressor.worked.wrapping_sub(before));
            drop(maintenance);
            self.yield_to_writer();
            any = true;
        }
        true
    }

    /// Leaves the maintenance lock to a writer that has no room and waits for it.
    fn yield_to_writer(&self) {
        if self.sweep_wanted.load() {
            self.sweep_wanted.store(false);
            let mut backoff = Backoff::spinning();
            for _ in 0..YIELD {
                let _ = backoff.wait_long();
            }
        }
    }

    /// Gives the index a few bins for entries to come. Returns whether it did. An index outside of segments takes no
    /// more than the next entries need, because its memory is not given back.
    fn grow_index(&self) -> bool {
        let table = &self.index.table;
        let len = table.len_within();
        let wanted = IndexLayout::bins_for(len + (len / 32).max(AHEAD_ENTRIES.min(len / 4)));
        if len < FEW_ENTRIES || !table.has_arena() || table.has(wanted) {
            return false;
        }
        let _ = self.provide_index(len + AHEAD_ENTRIES);
        table
            .grow_to(wanted, 1, &self.index.rehash(&Cell::new(false)), &mut Backoff::never())
            .is_ok()
    }

    /// Removes the expired entries of the next `bins` bins. Returns how many.
    pub(super) fn expire_some(&self, bins: usize) -> usize {
        if !self.expiry.is_used() {
            return 0;
        }
        // The lock is not held during the walk: two walks at once remove the same entries once.
        let mut position = *self.expiry.next.lock();
        let (mut entries, mut removed) = (Vec::new(), 0);
        for _ in 0..bins {
            let next = self.index.copy_bin(position, &mut entries);
            for entry in entries.drain(..) {
                let chain = &entry.chain;
                if !self.expiry.has_passed(chain.deadline()) {
                    continue;
                }
                let generation = |top| self.records().generation(top);
                let exactly = |top| top == chain.top && generation(top) == chain.generation;
                let hash = self.index.hash(&entry.key);
                let cause = RemovalCause::Expired;
                removed += usize::from(self.discard(hash, &entry.key, exactly, cause));
            }
            position = next.unwrap_or(WalkPosition::START);
            if next.is_none() {
                break;
            }
        }
        *self.expiry.next.lock() = position;
        removed
    }

    /// Removes the entry that `wanted` accepts, for the map's own reasons, and calls the listener. Returns whether
    /// there was one.
    pub(super) fn discard(
        &self,
        hash: KeyHash,
        key: &[u8],
        wanted: impl Fn(RecordLocation) -> bool,
        cause: RemovalCause,
    ) -> bool {
        let Some(listener) = &self.expiry.listener else {
            return self.unlink(hash, wanted).is_some();
        };
        let Some(found) = self.read_any_entry(hash, wanted, key) else { return false };
        // The listener must get the very value that was removed, so only that is removed.
        let gone = self.unlink_exactly(hash, found.top, found.generation);
        if gone {
            listener(key, found.value.as_deref().map_err(|&corrupt| corrupt), cause);
        }
        gone
    }

    /// Compresses all hot values, compacts, and frees the segments that are empty afterwards.
    pub(super) fn shrink(&mut self) {
        self.memory.set_scarce(true);
        self.seal_hot();
        let most = self.shape().bytes().saturating_mul(4 * self.pool().made());
        let mut swept = 0;
        let wanted =
            || self.pool().most_dead(COMPACT_FIRST_PART).is_some() || self.pool().hot() > 0;
        while swept < most && wanted() {
            let mut maintenance = self.maintenance.lock();
            let outcome = self.sweep_locked(&mut maintenance, self.shape().bytes(), None);
            if outcome != SweepOutcome::Advanced {
                break;
            }
            swept += self.shape().bytes();
        }
        let mut maintenance = self.maintenance.lock();
        let begin = self.shape().begin();
        let unused = maintenance.compressor.cold.take_if(|open| open.at == begin);
        if let Some(open) = unused {
            self.pool().give_back(open.number);
        }
        let kept = maintenance.compressor.current.clone();
        drop(maintenance);
        self.index.records.models.drop_unused(&kept);
        self.index.records.pool.shrink();
        self.memory.count_models(self.models());
    }
}
