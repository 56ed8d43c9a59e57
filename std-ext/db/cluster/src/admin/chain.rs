//! The check of the log in etcd: its batches have no gap, are undamaged, continue each other, and end where the last
//! line says.

use hedgerow_db_engine::log::Lsn;
use hedgerow_db_group::batch::{self, BatchPiece};
use hedgerow_db_group::{Batch, BatchChain, Epoch, Seq, Tail};
use serde::Serialize;

/// After this many violations no further ones are listed.
const MOST_PROBLEMS: usize = 20;

/// The batches that were read, and the violations that they show.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct LogCheck {
    pub(super) first_seq: Option<Seq>,
    pub(super) last_seq: Option<Seq>,
    pub(super) first_lsn: Option<Lsn>,
    pub(super) last_lsn: Option<Lsn>,
    pub(super) batches: u64,
    pub(super) bytes: u64,
    #[serde(skip)]
    pub(super) problems: Vec<String>,
    /// The state behind the last batch; `None` at the beginning, and behind a batch that cannot be read.
    #[serde(skip)]
    behind: Option<Behind>,
}

/// The state behind a batch.
#[derive(Clone, Copy, Debug)]
struct Behind {
    epoch: Epoch,
    lsn: Lsn,
    chain: BatchChain,
    /// The batch is a part of an entry, and not the last one.
    open: bool,
}

impl LogCheck {
    /// Returns the number that the next batch must have.
    pub(super) fn next(&self) -> Option<Seq> {
        self.last_seq.map(|seq| seq + 1)
    }

    /// Takes the next batch.
    pub(super) fn take(&mut self, seq: Seq, value: &[u8]) {
        if let Some(next) = self.next().filter(|next| seq > *next) {
            let last = seq - 1;
            let missing =
                if next == last { format!("{next} is") } else { format!("{next} to {last} are") };
            self.wrong(format!("the log in etcd has a gap: {missing} missing"));
            // The next batch would be reported for the same reason.
            self.behind = None;
        }
        self.first_seq.get_or_insert(seq);
        self.last_seq = Some(seq);
        self.batches += 1;
        self.bytes += value.len() as u64;
        let batch = match Batch::decode(value) {
            Ok(batch) => batch,
            Err(why) => {
                self.behind = None;
                return self.wrong(format!("batch {seq} cannot be read: {why}"));
            }
        };
        if let Some(behind) = self.behind {
            self.compare(seq, &batch, behind);
        }
        if batch.piece == BatchPiece::Whole
            && let Err(why) = batch::decode_entries(&batch.raw, batch.first, batch.entries)
        {
            self.wrong(format!("batch {seq} cannot be read: {why}"));
        }
        self.first_lsn.get_or_insert(batch.first);
        let lsn = batch.first - 1 + u64::from(batch.entries);
        self.last_lsn = Some(lsn);
        let open = batch.piece == BatchPiece::Part;
        self.behind = Some(Behind { epoch: batch.epoch, lsn, chain: batch.after(), open });
    }

    fn compare(&mut self, seq: Seq, batch: &Batch, behind: Behind) {
        if batch.before != behind.chain {
            self.wrong(format!(
                "batch {seq} does not follow from the previous one: its chain value is {}, but the previous batch \
                 has {}",
                batch.before, behind.chain
            ));
        }
        if batch.epoch < behind.epoch {
            let epoch = batch.epoch;
            self.wrong(format!(
                "batch {seq} is of epoch {epoch}, but follows epoch {}",
                behind.epoch
            ));
        }
        if batch.first != behind.lsn + 1 {
            let first = batch.first;
            self.wrong(format!(
                "batch {seq} begins with entry {first}, but follows entry {}",
                behind.lsn
            ));
        }
        // A new epoch begins with whole entries: the parts of the one before never happened.
        let same = batch.epoch == behind.epoch;
        let (opens, goes_on) = (behind.open && same, batch.piece == BatchPiece::LastPart);
        if opens && batch.piece == BatchPiece::Whole || goes_on && !opens {
            self.wrong(format!("batch {seq} does not fit among the parts of a long entry"));
        }
    }

    /// Compares the end with the last line, which was read before the batches.
    pub(super) fn end(&mut self, tail: &Tail) {
        let Some(last) = self.last_seq else {
            return self.wrong(format!(
                "etcd has no batches, although the key `tail` counts {}: they were removed by hand, or etcd was \
                 restored",
                tail.seq
            ));
        };
        if last < tail.seq {
            let seq = tail.seq;
            self.wrong(format!(
                "the key `tail` counts {seq} batches, but etcd has none after batch {last}"
            ));
        }
        // Only at its own batch can the line be compared. Later ones were written after it was read.
        let Some(behind) = self.behind.filter(|_| last == tail.seq) else { return };
        if (behind.chain, behind.lsn) != (tail.chain, tail.lsn) || behind.epoch > tail.epoch {
            self.wrong(format!(
                "the key `tail` names entry {} of epoch {} with chain value {}, but the last batch ends with entry \
                 {} of epoch {} with chain value {}",
                tail.lsn, tail.epoch, tail.chain, behind.lsn, behind.epoch, behind.chain
            ));
        }
    }

    fn wrong(&mut self, why: String) {
        match self.problems.len() {
            listed if listed < MOST_PROBLEMS => self.problems.push(why),
            MOST_PROBLEMS => self.problems.push("the log has more errors".to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_group::{Entry, NodeId};

    /// Returns batches of one entry each, the last of which is number 5, and the line behind them.
    fn log() -> (Vec<(Seq, Vec<u8>)>, Tail) {
        let (mut chain, mut batches) = (BatchChain([9; 16]), Vec::new());
        for seq in 2..=5 {
            let lsn = 10 + seq;
            let entry = Entry { lsn, time: 1000, changes: vec![seq as u8; 20] };
            let mut raw = Vec::new();
            batch::encode_entry(&entry, &mut raw);
            let (piece, before) = (BatchPiece::Whole, chain);
            let batch = Batch { epoch: seq / 3 + 1, first: lsn, entries: 1, piece, before, raw };
            chain = batch.after();
            batches.push((seq, batch.encode()));
        }
        let tail = Tail {
            epoch: 2,
            node: Some(NodeId([1; 20])),
            nonce: 1,
            seq: 5,
            lsn: 15,
            time: 1000,
            beat: 0,
            lease: 3000,
            chain,
        };
        (batches, tail)
    }

    fn check(batches: &[(Seq, Vec<u8>)], tail: &Tail) -> LogCheck {
        let mut check = LogCheck::default();
        for (seq, value) in batches {
            check.take(*seq, value);
        }
        check.end(tail);
        check
    }

    #[track_caller]
    fn has(check: &LogCheck, wanted: &str) {
        let problems = &check.problems;
        assert!(problems.iter().any(|one| one.contains(wanted)), "{wanted:?}: {problems:?}");
    }

    /// Changes a batch, with a right checksum.
    fn changed(batches: &mut [(Seq, Vec<u8>)], at: usize, change: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::decode(&batches[at].1).unwrap();
        change(&mut batch);
        batches[at].1 = batch.encode();
    }

    #[test]
    fn a_whole_log_has_no_violation() {
        let (batches, tail) = log();
        let check = check(&batches, &tail);
        assert_eq!(check.problems, [""; 0]);
        assert_eq!((check.first_seq, check.last_seq, check.batches), (Some(2), Some(5), 4));
        assert_eq!((check.first_lsn, check.last_lsn), (Some(12), Some(15)));
    }

    #[test]
    fn every_violation_gets_a_sentence() {
        let (batches, tail) = log();
        let mut gap = batches.clone();
        gap.remove(1);
        has(&check(&gap, &tail), "3 is missing");
        gap.remove(1);
        has(&check(&gap, &tail), "3 to 4 are missing");
        has(&check(&batches[..3], &tail), "etcd has none after batch 4");
        has(&check(&[], &tail), "etcd has no batches");
        let mut damaged = batches.clone();
        damaged[1].1[50] ^= 1;
        has(&check(&damaged, &tail), "batch 3 cannot be read: its checksum is wrong");
        let mut other = batches.clone();
        changed(&mut other, 1, |batch| batch.before = BatchChain([1; 16]));
        has(&check(&other, &tail), "batch 3 does not follow from the previous one");
        has(&check(&other, &tail), "batch 4 does not follow from the previous one");
        let mut text = batches.clone();
        changed(&mut text, 1, |batch| batch.raw[15] ^= 1);
        has(&check(&text, &tail), "batch 4 does not follow from the previous one");
        let mut older = batches.clone();
        changed(&mut older, 2, |batch| batch.epoch = 1);
        has(&check(&older, &tail), "batch 4 is of epoch 1, but follows epoch 2");
        let mut skipped = batches.clone();
        changed(&mut skipped, 2, |batch| batch.first += 1);
        has(&check(&skipped, &tail), "batch 4 begins with entry 15, but follows entry 13");
        let mut cut = batches.clone();
        changed(&mut cut, 2, |batch| batch.raw.push(0));
        has(&check(&cut, &tail), "batch 4 cannot be read: it has bytes after its last entry");
        let mut part = batches.clone();
        changed(&mut part, 2, |batch| batch.piece = BatchPiece::LastPart);
        has(&check(&part, &tail), "batch 4 does not fit among the parts");
        for wrong in [
            Tail { chain: BatchChain([2; 16]), ..tail },
            Tail { lsn: 16, ..tail },
            Tail { epoch: 1, ..tail },
        ] {
            has(&check(&batches, &wrong), "the key `tail` names entry");
        }
    }

    #[test]
    fn few_violations_are_listed() {
        let (batches, tail) = log();
        let mut check = LogCheck::default();
        for turn in 0..100 {
            check.take(10 * turn, &batches[0].1);
        }
        check.end(&tail);
        assert_eq!(check.problems.len(), MOST_PROBLEMS + 1);
    }
}
