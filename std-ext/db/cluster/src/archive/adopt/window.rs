//! The last batches of a folder, as etcd had them: made again from the entries and the marks in the folder's log.
//!
//! A member that stopped a little earlier finds its place among them, and follows on. The body of a batch is its
//! entries without the mark, so that its bytes, and by them the chain, come out the same. Batches before one that does
//! not come out the same are left out: an entry in parts of an unusual size, or a part without an end.

use super::survey::Logged;
use crate::log::changes::CHANGES;
use hedgerow_db_group::batch::{Batch, BatchPiece, MOST_RAW, encode_entry};
use hedgerow_db_group::format::time_behind;
use hedgerow_db_group::{BatchChain, Entry, LogPosition, Mark, Seq};
use std::collections::VecDeque;

/// The most bytes of batches that are made. The last batch is made in any case.
pub(crate) const MOST_BYTES: usize = 16 << 20;

/// The last batches of a folder, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The batches with their numbers.
    pub(crate) batches: Vec<(Seq, Vec<u8>)>,
    /// The position behind them.
    pub(crate) end: LogPosition,
}

impl Window {
    /// Adds a batch of one entry, which no folder has.
    pub(crate) fn add(&mut self, time: u64, changes: Vec<u8>) {
        let LogPosition { seq, lsn, epoch, chain, time: latest } = self.end;
        let entry = Entry { lsn: lsn + 1, time: time.max(latest), changes };
        let mut raw = Vec::new();
        encode_entry(&entry, &mut raw);
        let (first, piece) = (entry.lsn, BatchPiece::Whole);
        let batch = Batch { epoch, first, entries: 1, piece, before: chain, raw };
        let chain = batch.after();
        self.batches.push((seq + 1, batch.encode()));
        self.end = LogPosition { seq: seq + 1, lsn: first, epoch, chain, time: entry.time };
    }
}

/// Makes a window of the entries of a log.
#[derive(Default)]
pub(crate) struct WindowBuilder {
    batches: VecDeque<(Seq, Vec<u8>)>,
    bytes: usize,
    /// The batch whose entries are coming.
    open: Option<OpenWindow>,
    /// The latest time of an entry since the clock was set back last.
    time: u64,
}

/// A batch whose entries are coming.
struct OpenWindow {
    mark: Mark,
    entries: u32,
    raw: Vec<u8>,
    /// It has more entries than any batch: a program without a cluster wrote some of them.
    too_long: bool,
}

/// The batches of one mark.
struct WindowPieces {
    batches: Vec<Batch>,
    after: BatchChain,
}

impl WindowBuilder {
    /// Takes the next entry.
    pub(crate) fn take(&mut self, logged: &Logged) {
        let Logged { mark, entry } = logged;
        self.time = time_behind(CHANGES, self.time, [entry]);
        if let Some(mark) = mark {
            self.close(Some(mark));
            self.open =
                Some(OpenWindow { mark: *mark, entries: 0, raw: Vec::new(), too_long: false });
        }
        let Some(open) = &mut self.open else { return };
        if open.entries > 0 && open.raw.len() > MOST_RAW {
            // Its bytes are of no use. Without them, memory is bounded.
            open.too_long = true;
            open.raw = Vec::new();
        }
        open.entries = open.entries.saturating_add(1);
        if !open.too_long {
            encode_entry(entry, &mut open.raw);
        }
    }

    /// Returns the window, unless the last batch cannot be made again.
    pub(crate) fn finish(mut self) -> Option<Window> {
        let end = self.close(None)?;
        Some(Window { batches: self.batches.into(), end })
    }

    /// Makes the batches that are open. `next` is the mark behind them. Returns the position behind them, if they could
    /// be made, and are those that `next` continues.
    fn close(&mut self, next: Option<&Mark>) -> Option<LogPosition> {
        let open = self.open.take()?;
        let Mark { seq, epoch, first, .. } = open.mark;
        let last = first + u64::from(open.entries) - 1;
        let made = open.pieces().filter(|pieces| {
            let number = seq + pieces.batches.len() as u64;
            next.is_none_or(|next| {
                // The chain in the next mark is the only proof that the bytes are those that etcd had.
                (next.seq, next.first, next.chain) == (number, last + 1, pieces.after)
            })
        });
        let Some(WindowPieces { batches, after }) = made else {
            // No node can read on over the gap.
            self.batches.clear();
            self.bytes = 0;
            return None;
        };
        let count = batches.len();
        for (seq, batch) in (seq..).zip(batches) {
            let value = batch.encode();
            self.bytes += value.len();
            self.batches.push_back((seq, value));
        }
        while self.bytes > MOST_BYTES && self.batches.len() > count {
            let oldest = self.batches.pop_front();
            self.bytes -= oldest.map_or(0, |(_, value)| value.len());
        }
        let seq = seq + count as u64 - 1;
        Some(LogPosition { seq, lsn: last, epoch, chain: after, time: self.time })
    }
}

impl OpenWindow {
    /// Returns the batches that had these entries.
    fn pieces(self) -> Option<WindowPieces> {
        let Self { mark, entries, raw, too_long } = self;
        let batch = |piece, entries, before, raw: &[u8]| Batch {
            epoch: mark.epoch,
            first: mark.first,
            entries,
            piece,
            before,
            raw: raw.to_vec(),
        };
        // Only one long entry is ever cut into parts.
        if too_long || raw.len() > MOST_RAW && entries > 1 {
            return None;
        }
        if raw.len() <= MOST_RAW {
            let whole = batch(BatchPiece::Whole, entries, mark.chain, &raw);
            let after = whole.after();
            return Some(WindowPieces { batches: vec![whole], after });
        }
        let (mut batches, mut before) = (Vec::new(), mark.chain);
        let parts = raw.chunks(MOST_RAW);
        let last = parts.len() - 1;
        for (number, part) in parts.enumerate() {
            let (piece, ends) =
                if number == last { (BatchPiece::LastPart, 1) } else { (BatchPiece::Part, 0) };
            let part = batch(piece, ends, before, part);
            before = part.after();
            batches.push(part);
        }
        Some(WindowPieces { batches, after: before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_engine::log::change;
    use hedgerow_db_group::HeldEntries;
    use hedgerow_db_group::join::Joiner;

    /// A log of batches with these lengths of entries.
    fn logged(batches: &[&[usize]]) -> (Vec<Logged>, BatchChain) {
        let (mut all, mut chain, mut seq, mut lsn) = (Vec::new(), BatchChain([9; 16]), 7, 100);
        for lengths in batches {
            let mark = Mark { seq, epoch: 3, chain, first: lsn };
            let mut builder = WindowBuilder::default();
            for (number, &length) in lengths.iter().enumerate() {
                let entry = Entry { lsn, time: 50 + lsn, changes: vec![lsn as u8; length] };
                lsn += 1;
                let logged = Logged { mark: (number == 0).then_some(mark), entry };
                builder.take(&logged);
                all.push(logged);
            }
            let end = builder.finish().expect("a batch").end;
            (seq, chain) = (end.seq + 1, end.chain);
        }
        (all, chain)
    }

    fn window(logged: &[Logged]) -> Option<Window> {
        let mut builder = WindowBuilder::default();
        for logged in logged {
            builder.take(logged);
        }
        builder.finish()
    }

    #[test]
    fn a_node_reads_the_window_from_any_batch_on() {
        let (logged, chain) = logged(&[&[5, 0, 9], &[3 * MOST_RAW], &[MOST_RAW - 12], &[7; 50]]);
        let window = window(&logged).expect("a window");
        let seqs: Vec<_> = window.batches.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, [7, 8, 9, 10, 11, 12, 13], "a long entry has parts");
        assert_eq!((window.end.seq, window.end.chain), (13, chain));
        for begin in logged.iter().filter_map(|logged| logged.mark) {
            let before = begin.before(0);
            let mut joiner = Joiner::new(CHANGES, before, HeldEntries::up_to(before.lsn));
            let mut read = Vec::new();
            for (_, value) in window.batches.iter().filter(|(seq, _)| *seq >= begin.seq) {
                let batch = Batch::decode(value).expect("a batch");
                read.extend(joiner.take(&batch).expect("it is next").map(|new| new.entries));
            }
            let wanted = logged.iter().map(|logged| &logged.entry);
            let wanted: Vec<_> = wanted.filter(|entry| entry.lsn >= begin.first).cloned().collect();
            assert_eq!(read.concat(), wanted);
            assert_eq!(*joiner.position(), window.end);
        }
    }

    #[test]
    fn a_node_reads_the_batch_that_no_folder_has() {
        let (logged, _) = logged(&[&[5], &[6]]);
        let mut window = window(&logged).expect("a window");
        let before = window.end;
        // No entry is earlier than the last watermark.
        window.add(before.time - 1, vec![1, 2, 3]);
        let mut joiner = Joiner::new(CHANGES, before, HeldEntries::up_to(before.lsn));
        let batch = Batch::decode(&window.batches.last().expect("one").1).expect("a batch");
        let read = joiner.take(&batch).expect("it is next").map(|new| new.entries);
        let wanted = Entry { lsn: before.lsn + 1, time: before.time, changes: vec![1, 2, 3] };
        assert_eq!(read, Some(vec![wanted]));
        assert_eq!(*joiner.position(), window.end);
    }

    #[test]
    fn a_window_ends_at_the_time_to_which_the_clock_was_set_back() {
        let (mut logged, _) = logged(&[&[5], &[0], &[6]]);
        logged[0].entry.time = 9_000_000;
        change::clock(9_000_000, &mut logged[1].entry.changes);
        // The chain counts the entry's bytes, so the marks behind it are others.
        let (_, end) = (logged.pop(), logged[1].entry.time);
        let window = window(&logged).expect("a window");
        assert_eq!(window.end.time, end, "the next epoch begins at the old time");
    }

    #[test]
    fn batches_that_do_not_come_out_the_same_are_left_out() {
        let (mut all, _) = logged(&[&[5], &[6], &[7], &[8]]);
        all[1].entry.changes[0] ^= 1;
        let cut = window(&all).expect("a window");
        let batches: Vec<_> = cut.batches.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(batches, [9, 10], "batches before the changed one");
        // Entries of a program without a cluster, behind the last batch.
        let (mut all, _) = logged(&[&[5], &[6]]);
        for lsn in 102..105 {
            let entry = Entry { lsn, time: 1, changes: vec![0; MOST_RAW] };
            all.push(Logged { mark: None, entry });
        }
        assert_eq!(window(&all[..2]).map(|window| window.end.lsn), Some(101));
        assert_eq!(window(&all), None);
        // No mark at all.
        assert_eq!(window(&all[2..]), None);
    }

    #[test]
    fn only_the_last_bytes_are_kept() {
        let long = [400_000_usize];
        let batches: Vec<&[usize]> = vec![&long; 45];
        let (mut all, _) = logged(&batches);
        for logged in &mut all {
            // Bytes that do not compress.
            let mut random = logged.entry.lsn;
            for byte in &mut logged.entry.changes {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (random >> 56) as u8;
            }
        }
        let (mut chain, mut seq) = (BatchChain([9; 16]), 7);
        for logged in &mut all {
            let mark = Mark { seq, chain, ..logged.mark.expect("each has one") };
            logged.mark = Some(mark);
            let end = window(std::slice::from_ref(logged)).expect("a batch").end;
            (seq, chain) = (end.seq + 1, end.chain);
        }
        let kept = window(&all).expect("a window").batches;
        let bytes: usize = kept.iter().map(|(_, value)| value.len()).sum();
        assert!(bytes <= MOST_BYTES && bytes > MOST_BYTES - 500_000, "{bytes} bytes");
        assert_eq!(kept.last().map(|(seq, _)| *seq), Some(51));
    }
}
