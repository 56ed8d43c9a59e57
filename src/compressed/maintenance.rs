//! The state of maintenance: the sweep under way, and the buffers of the compressor.
//!
//! One thread at a time holds it, under the maintenance lock.

use super::codec::{Choice, Work};
use super::record::{RecordHead, RecordLocation};
use super::records::OpenSegment;
use super::segment::ReadScratch;
use super::trainer::RatioMonitor;
use crate::api::hash::KeyHash;
use crate::memory::AllocError;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// The result of a call that sweeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SweepOutcome {
    /// Some records were swept.
    Advanced,
    /// Another thread holds the maintenance lock.
    Busy,
    /// Codecs have to be trained first, and this call did a turn of that.
    Training,
    /// There is nothing that would make room.
    Nothing,
}

/// The treatment of the live records of a swept segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SweepKind {
    /// Of a hot segment: records that were read stay hot, the others are compressed.
    Demote,
    /// Of a cold segment: all are copied to another segment.
    Compact,
    /// Of a cold segment: records that were not read are removed, the others are copied.
    Evict,
}

/// A sweep under way.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    pub(super) number: usize,
    pub(super) kind: SweepKind,
    /// Where the next record begins.
    pub(super) at: usize,
    pub(super) end: usize,
}

/// The work that only one thread at a time may do, and its buffers.
pub(super) struct Maintenance {
    pub(super) sweep: Option<Sweep>,
    /// Where the search for the next segment to evict from begins.
    pub(super) eviction_cursor: usize,
    /// The key and the stored bytes of a record that is being moved.
    pub(super) record: Vec<MaybeUninit<usize>>,
    /// The value of a record that is compressed again.
    pub(super) plain: Vec<u8>,
    pub(super) compressor: ValueCompressor,
}

/// Compresses values, and appends them to the open cold segment.
pub(super) struct ValueCompressor {
    pub(super) cold: Option<OpenSegment>,
    /// The best compressed form so far.
    pub(super) out: Vec<u8>,
    /// Room for the next attempt.
    pub(super) spare: Vec<u8>,
    /// A value without its key.
    pub(super) rest: Vec<u8>,
    /// Made with the first buffers for records.
    pub(super) work: Option<Work>,
    /// The models in use, one for each codec at most.
    pub(super) current: Vec<usize>,
    /// Counts the recent losses of these models.
    pub(super) choice: Choice,
    pub(super) ratio: RatioMonitor,
    /// The work of all sweeps, in bytes of compressed values.
    pub(super) worked: usize,
    /// Whether the current call must not allocate.
    pub(super) no_alloc: bool,
}

/// A limit on the segments that a sweep may take to write to.
#[derive(Clone, Copy)]
pub(super) struct SegmentLimit {
    /// Free segments that it must leave.
    pub(super) keep_free: usize,
    /// Whether no segment may be made.
    pub(super) no_alloc: bool,
}

impl ValueCompressor {
    fn new() -> Self {
        Self {
            cold: None,
            out: Vec::new(),
            spare: Vec::new(),
            rest: Vec::new(),
            work: None,
            current: Vec::new(),
            choice: Choice::new(),
            ratio: RatioMonitor::new(),
            worked: 0,
            no_alloc: false,
        }
    }

    pub(super) fn add_work(&mut self, work: usize) {
        self.worked = self.worked.wrapping_add(work);
    }

    pub(super) fn limit(&self, keep_free: usize) -> SegmentLimit {
        SegmentLimit { keep_free, no_alloc: self.no_alloc }
    }
}

impl Maintenance {
    /// Returns the hot segment that is being swept, if one is.
    pub(super) fn demoted(&self) -> Option<usize> {
        let sweep = self.sweep.filter(|sweep| sweep.kind == SweepKind::Demote);
        sweep.map(|sweep| sweep.number)
    }

    pub(super) fn new() -> Self {
        Self {
            sweep: None,
            eviction_cursor: 0,
            record: Vec::new(),
            plain: Vec::new(),
            compressor: ValueCompressor::new(),
        }
    }

    /// Returns the bytes of the buffers, and of the compressors' memory.
    pub(super) fn bytes(&self) -> usize {
        let ValueCompressor { out, spare, rest, work, .. } = &self.compressor;
        self.record.capacity() * size_of::<usize>()
            + self.plain.capacity()
            + out.capacity()
            + spare.capacity()
            + rest.capacity()
            + work.as_ref().map_or(0, Work::bytes)
    }

    /// Returns the bytes of buffers for records of `longest` bytes, of which values of `compressible` bytes are
    /// compressed.
    pub(super) const fn bytes_for(longest: usize, compressible: usize) -> usize {
        ReadScratch::words_for(longest) * size_of::<usize>() + 4 * compressible
    }

    /// Whether the buffers are as long as `allocate` would make them.
    pub(super) fn has_buffers(&self, longest: usize, compressible: usize) -> bool {
        self.record.len() >= ReadScratch::words_for(longest)
            && self.compressor.rest.len() >= compressible
    }

    /// Makes the buffers longer: for records of `longest` bytes, and for compressing values of `compressible` bytes.
    /// Keeps those that it has if there is no memory.
    pub(super) fn allocate(
        &mut self,
        longest: usize,
        compressible: usize,
    ) -> Result<(), AllocError> {
        lengthen(&mut self.record, ReadScratch::words_for(longest), MaybeUninit::uninit())?;
        let ValueCompressor { out, spare, rest, .. } = &mut self.compressor;
        for buffer in [&mut self.plain, out, spare, rest] {
            lengthen(buffer, compressible, 0)?;
        }
        Ok(())
    }
}

fn lengthen<T: Clone>(buffer: &mut Vec<T>, len: usize, blank: T) -> Result<(), AllocError> {
    let more = len.saturating_sub(buffer.len());
    buffer.try_reserve_exact(more).map_err(|_| AllocError)?;
    buffer.resize(buffer.len() + more, blank);
    Ok(())
}

/// A record that a sweep has copied out of its segment.
pub(super) struct SweptRecord<'a> {
    pub(super) at: RecordLocation,
    pub(super) hash: KeyHash,
    pub(super) head: RecordHead,
    pub(super) key: &'a [u8],
    pub(super) stored: &'a [u8],
    /// Whether it was read lately.
    pub(super) was_read: bool,
    /// Whether its copy counts as read.
    pub(super) keeps_mark: bool,
}
