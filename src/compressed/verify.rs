//! Looking for memory that does not hold any more what was stored in it.
//!
//! Cold records do not change from the time they are appended to the time their segment is written anew, so a
//! segment that is full has a checksum, which was made as records were appended.

use super::codec::Corrupt;
use super::segment::{Segment, Use};
use super::store::{Open, Store};
use crc32fast::Hasher;

/// Bytes that are looked at at a time.
const PIECE: usize = 256;

/// Where looking is: in which segment, as it was opened in which generation, and what was summed up so far.
#[derive(Default)]
pub(super) struct Check {
    number: usize,
    generation: usize,
    at: usize,
    sum: Hasher,
}

impl Check {
    /// Goes on with the next segment.
    fn next(&mut self, count: usize) {
        *self = Self { number: (self.number + 1) % count, ..Self::default() };
    }

    /// Sums up to `most` bytes of the segment; how many.
    fn go_on(&mut self, segment: Segment<'_>, most: usize) -> usize {
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

impl Store {
    /// The cold segment is full: notes its checksum. The caller has the house.
    pub(super) fn note_sum(&self, open: &Open) {
        if let Some(segment) = self.pool.segment(open.number) {
            segment.set_sum(open.sum.clone().finalize());
        }
    }

    pub(super) fn verify(&self, bytes: usize) -> Result<usize, Corrupt> {
        let Some(mut house) = self.house.try_lock() else { return Ok(0) };
        let (check, count) = (&mut house.check, self.pool.numbers());
        let (mut done, mut passed) = (0, 0);
        while done < bytes && passed < count {
            let cold = self.pool.segment(check.number).filter(|segment| segment.is(Use::Cold));
            let Some(segment) = cold else {
                check.next(count);
                passed += 1;
                continue;
            };
            // It was written anew since the last look.
            if check.at == 0 || check.generation != segment.generation() {
                *check = Check { number: check.number, ..Check::default() };
                (check.at, check.generation) = (self.shape().begin(), segment.generation());
            }
            done += check.go_on(segment, bytes - done);
            if check.at >= segment.end() {
                let whole = check.sum.clone().finalize() == segment.sum();
                check.next(count);
                passed += 1;
                if !whole {
                    return Err(Corrupt);
                }
            }
        }
        Ok(done)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use crate::compressed::builder::Builder;

    #[test]
    fn a_bit_that_turned_is_found() {
        let mut store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        for n in 0..400u32 {
            store.insert(&n.to_le_bytes(), &[n as u8; 60]).expect("there is room");
        }
        store.shrink();
        let finds = || (0..1_000).any(|_| store.verify(200).is_err());
        assert!(!finds());
        let cold = |number: &usize| store.pool.segment(*number).is_some_and(|s| s.is(Use::Cold));
        let number = (0..store.pool.numbers()).find(cold).expect("all was made cold");
        let segment = store.pool.segment(number).expect("it is there");
        for at in [store.shape().begin(), segment.end() - 1, segment.end() / 2] {
            let mut byte = [0];
            segment.copy_out(at, &mut byte);
            segment.put_kind(at, byte[0] ^ 4);
            assert!(finds(), "a bit that turned at {at} is not found");
            segment.put_kind(at, byte[0]);
            assert!(!finds(), "at {at}");
        }
    }
}
