//! Undoing changes: see [Rollback](super#rollback).

use super::Core;
use super::undo::Undo;
use crate::log::Lsn;
use crate::state::record::Record;
use crate::state::tree;

impl Core {
    /// Undoes all changes since the last publish, which began with [`record_undo`](Self::record_undo). The caller
    /// publishes the result as of log entry 0: its steps must never be undone a second time.
    pub(crate) fn undo_unpublished(&mut self) {
        let steps = std::mem::take(&mut self.unpublished);
        self.undo(steps);
    }

    /// Undoes the changes of log entries after `committed`. The caller publishes the result.
    pub fn roll_back(&mut self, committed: Lsn) {
        let from = self.deferred.partition_point(|(entry, _)| *entry <= committed);
        let mut steps: Vec<Undo> = self.deferred.drain(from..).map(|(_, step)| step).collect();
        // One publish is one entry: all of its steps are undone, or none.
        if self.retired_lsn > committed {
            steps.append(&mut self.retired);
        }
        // A panic may have left changes without a log entry.
        steps.append(&mut self.unpublished);
        self.undo(steps);
    }

    fn undo(&mut self, steps: Vec<Undo>) {
        // In reverse order: an earlier step of a key expects the record that it left.
        for step in steps.into_iter().rev() {
            match step {
                Undo::Inserted { record, moved_in } => self.undo_insertion(record, moved_in),
                Undo::Removed { record, moved_out, moved_in } => {
                    let successor = self.find(record.key());
                    self.count_inserted(record, successor);
                    self.writer.insert(record, ());
                    if let Some(successor) = successor {
                        self.undo_replacement(record, successor, (moved_out, moved_in));
                    }
                }
                // Readers never had it, but the other side of the map may still meet its key.
                Undo::Superseded(record) => self.unpublished.push(Undo::Superseded(record)),
                Undo::Cut(_) => {}
            }
        }
    }

    fn undo_insertion(&mut self, record: Record, moved_in: bool) {
        // Not `record` itself, in whose place is the last of those that have superseded it.
        let Some(last) = self.find(record.key()) else { return };
        if moved_in {
            // The other record owns the value again, so freeing this one must not free that.
            self.remove_moved(last);
        } else {
            self.remove(last);
        }
    }

    /// Retires the record that had replaced one which is there again.
    fn undo_replacement(
        &mut self,
        record: Record,
        successor: Record,
        (moved_out, moved_in): (bool, bool),
    ) {
        let mut shares = moved_in;
        if let (true, Some(before), Some(after)) = (moved_out, record.tree(), successor.tree()) {
            let mut parts = Vec::new();
            // SAFETY: neither version was freed: their steps were not final.
            let after = unsafe { after.view() };
            // What is younger than the version before is not part of it.
            tree::newer(after, before.birth(), &mut parts);
            self.unpublished.extend(parts.into_iter().map(Undo::Cut));
            shares = true;
        }
        self.retire(Undo::Removed { record: successor, moved_out: shares, moved_in: false });
    }
}
