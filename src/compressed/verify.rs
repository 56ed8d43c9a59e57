//! Scrubbing: finds memory that no longer holds the bytes that were stored in it.
//!
//! A cold record never changes until its segment is reused. A full cold segment therefore has a checksum, which was
//! computed while its records were appended.

use super::codec::Corrupt;
use super::pool::Pool;
use super::segment::{Segment, Use};
use crc32fast::Hasher;

/// Bytes that are read at a time.
const PIECE: usize = 256;

/// A scrub under way: the segment, the generation in which it was opened, and its checksum so far.
#[derive(Default)]
pub(super) struct Scrub {
    number: usize,
    generation: usize,
    at: usize,
    sum: Hasher,
}

impl Scrub {
    /// Verifies about `bytes` bytes of cold segments. The caller holds the maintenance lock, so no segment is reused
    /// meanwhile.
    ///
    /// # Errors
    /// The checksum of a segment is wrong.
    pub(super) fn advance(&mut self, pool: &Pool, bytes: usize) -> Result<usize, Corrupt> {
        let count = pool.numbers();
        let (mut done, mut passed) = (0, 0);
        while done < bytes && passed < count {
            let cold = pool.segment(self.number).filter(|segment| segment.is(Use::Cold));
            let Some(segment) = cold else {
                self.skip(count);
                passed += 1;
                continue;
            };
            // A segment that was reused since the last call has another checksum: begin again.
            if self.at == 0 || self.generation != segment.generation() {
                *self = Self { number: self.number, ..Self::default() };
                (self.at, self.generation) = (pool.shape.begin(), segment.generation());
            }
            done += self.sum_up(segment, bytes - done);
            if self.at >= segment.end() {
                let whole = self.sum.clone().finalize() == segment.sum();
                self.skip(count);
                passed += 1;
                if !whole {
                    return Err(Corrupt);
                }
            }
        }
        Ok(done)
    }

    /// Begins the segment again. Its memory is about to be freed: a new segment of the same number counts its
    /// generations anew, and would be taken for the one before.
    pub(super) const fn restart_segment(&mut self) {
        self.at = 0;
    }

    /// Moves on to the next segment.
    fn skip(&mut self, count: usize) {
        *self = Self { number: (self.number + 1) % count, ..Self::default() };
    }

    /// Adds up to `most` bytes of the segment to the checksum. Returns how many.
    fn sum_up(&mut self, segment: Segment<'_>, most: usize) -> usize {
        let begin = self.at;
        let mut piece = [0; PIECE];
        while self.at < segment.end() && self.at - begin < most {
            let piece = &mut piece[..PIECE.min(segment.end() - self.at)];
            segment.copy_out(self.at, piece);
            self.sum.update(piece);
            self.at += piece.len();
        }
        self.at - begin
    }
}
