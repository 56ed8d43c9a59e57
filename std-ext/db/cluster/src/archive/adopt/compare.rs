//! Compares two folders of one cluster: whether one has all entries of the other.

use super::survey::{Logged, Survey, read_log};
use crate::membership::error::StartError;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_group::HeldEntries;
use std::sync::Arc;

/// How a folder is related to one that has at least as many entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The longer one has the same entries, and perhaps more.
    Prefix,
    /// They have different entries.
    Fork,
    /// The longer one has these entries in its snapshot only, or the shorter one has no batch of the cluster.
    Unknown,
}

/// Compares the last batch of `shorter` with the log of `longer`.
///
/// That is enough: the mark of a batch has the running hash of all batches before it [C-13].
///
/// # Errors
/// If the longer log cannot be read any more.
pub(crate) fn relation(
    longer: (&Arc<Folder>, &Survey),
    shorter: &Survey,
) -> Result<Relation, StartError> {
    let Some(mark) = shorter.mark else {
        return Ok(if shorter.last == 0 { Relation::Prefix } else { Relation::Unknown });
    };
    let wanted = shorter.held;
    let mut again = HeldEntries::up_to(wanted.first() - 1);
    let (mut is_there, mut begins_there) = (false, None);
    read_log(longer.0, &mut |Logged { mark: begins, entry }| {
        if entry.lsn == mark.first {
            (is_there, begins_there) = (true, begins);
        }
        if entry.lsn == again.last() + 1 && entry.lsn <= wanted.last() {
            again.add(entry.time, &entry.changes);
        }
    })?;
    // The longer log may begin within the batch. Then its snapshot has the mark.
    let in_snapshot = longer.1.mark.filter(|last| last.first <= mark.first);
    let found = if is_there { begins_there } else { in_snapshot };
    Ok(match found {
        None if !is_there => Relation::Unknown,
        Some(found) if found == mark && again.last() < wanted.last() => Relation::Unknown,
        Some(found) if found == mark && again == wanted => Relation::Prefix,
        _ => Relation::Fork,
    })
}

#[cfg(test)]
mod tests {
    use super::super::survey::tests::{Made, folder};
    use super::*;

    fn relation_of(longer: &Made, shorter: &Made) -> Relation {
        let [one, other] = [longer, shorter].map(|made| Survey::of(&made.folder).unwrap());
        relation((&longer.folder, &one), &other).unwrap()
    }

    #[test]
    fn the_last_batch_decides() {
        let longer = folder(&[&[1, 2], &[3], &[4, 5, 6]]);
        let table: [(&[&[u8]], Relation); 9] = [
            (&[], Relation::Prefix),
            (&[&[1]], Relation::Prefix),
            (&[&[1, 2], &[3], &[4, 5]], Relation::Prefix),
            (&[&[1, 2], &[3], &[4, 5, 6]], Relation::Prefix),
            // Other entries in the last batch.
            (&[&[1, 2], &[3], &[4, 7]], Relation::Fork),
            (&[&[1, 7]], Relation::Fork),
            // Other entries before it.
            (&[&[7, 2], &[3], &[4, 5]], Relation::Fork),
            // The same entries, in other batches before the last one, and in the last one.
            (&[&[1, 2, 3], &[4]], Relation::Fork),
            (&[&[1, 2], &[3, 4]], Relation::Prefix),
        ];
        for (batches, wanted) in table {
            assert_eq!(relation_of(&longer, &folder(batches)), wanted, "{batches:?}");
        }
    }
}
