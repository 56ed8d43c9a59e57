//! The primary's trimming: when, and in which steps.

use super::campaign::compare;
use super::state::{Group, Phase, QuotaLevel, Trimming};
use crate::api::{Action, Read};
use crate::entry::{NodeId, Seq};
use crate::trim;

/// The pause between two looks, in milliseconds.
const PAUSE: u64 = 2000;
/// The same while there is nothing that could go.
const REST: u64 = 10_000;
/// The bytes of new batches after which a look comes early.
const EARLY: u64 = 32 << 20;
/// The batches that one step deletes: a first trim of gigabytes at once would stop all writers for a second.
const STEP: u64 = 1024;

impl Group {
    /// Looks what may go, or deletes the next step.
    pub(super) fn trim(&mut self, out: &mut Vec<Action>) {
        let id = self.ids + 1;
        let now = self.now.boot;
        let Phase::Leading(lead) = &mut self.phase else { return };
        let trim = &mut lead.trim;
        if trim.reading.is_some() || trim.deleting.is_some() {
            return;
        }
        if trim.first < trim.watermark {
            // Only deletes: under the alarm NOSPACE the store refuses what puts. Compared with `primary`, since a
            // primary that slept must not trim by records of then, and with `members`, since a member that has joined
            // since was not counted [C-10].
            let below = trim.watermark.min(trim.first.saturating_add(STEP));
            trim.deleting = Some((id, below));
            self.ids = id;
            let members = compare(trim.counted.as_ref());
            out.push(Action::Trim { id, primary: lead.primary.clone(), members, below });
        } else if now >= trim.due || trim.fresh >= EARLY {
            trim.due = now + PAUSE;
            // The store has the last batch only, and that stays. The look also tells of members, if the watch has not.
            if trim.fresh == 0 && trim.first == lead.position.seq && now < trim.rests_until {
                return;
            }
            trim.rests_until = now + REST;
            trim.fresh = 0;
            trim.reading = Some(id);
            self.ids = id;
            out.push(Action::Read { id, read: Read::Durable });
        }
    }

    /// Looks again at once.
    pub(super) fn trim_now(&mut self) {
        if let Phase::Leading(lead) = &mut self.phase {
            (lead.trim.due, lead.trim.rests_until) = (self.now.boot, 0);
        }
    }

    /// Takes the first batch in the store, and the batch that each node begins with.
    ///
    /// The members count as they were when this was read: the watch, which also tells of them, is a hint only.
    pub(super) fn durable(&mut self, first: Option<Seq>, durable: &[(NodeId, Seq)]) {
        let (copies, most) = (self.settings.copies, self.settings.most_retained);
        let Some(members) = self.members.as_ref() else { return };
        let Phase::Leading(lead) = &mut self.phase else { return };
        let Some(first) = first else { return };
        lead.trim.first = first;
        let pressed = self.quota == QuotaLevel::Short || lead.trim.retained() > most;
        lead.trim.counted.clone_from(&members.text);
        // The last batch stays: a candidate and a restarted node begin with it.
        let watermark = trim::watermark(&members.list, durable, copies, pressed);
        lead.trim.watermark = watermark.min(lead.position.seq);
    }

    /// The answer of a step.
    pub(super) fn trimmed(&mut self, id: u64, deleted: bool) {
        let Phase::Leading(lead) = &mut self.phase else { return };
        let trim = &mut lead.trim;
        let Some((_, below)) = trim.deleting.take_if(|deleting| deleting.0 == id) else { return };
        if deleted {
            trim.forget(below);
        } else {
            // Refused: this node is not the primary any more, and will hear of it; or the members are others, and the
            // next look brings them. Failed: the next look repeats it.
            trim.watermark = trim.first;
        }
    }
}

impl Trimming {
    /// Counts a batch that was put.
    pub(super) fn add(&mut self, seq: Seq, bytes: usize) {
        self.kept.push_back((seq, bytes));
        self.kept_bytes += bytes as u64;
        self.fresh += bytes as u64;
    }

    fn forget(&mut self, below: Seq) {
        self.first = self.first.max(below);
        while let Some(&(seq, bytes)) = self.kept.front()
            && seq < below
        {
            self.kept.pop_front();
            self.kept_bytes -= bytes as u64;
        }
    }

    /// The bytes of batches in the store. Those of earlier epochs count as much as the mean of this one.
    pub(super) fn retained(&self) -> u64 {
        let Some(&(oldest, _)) = self.kept.front() else { return 0 };
        let mean = self.kept_bytes / self.kept.len() as u64;
        let earlier = if self.first == 0 { 0 } else { oldest.saturating_sub(self.first) };
        self.kept_bytes + earlier.saturating_mul(mean)
    }
}
