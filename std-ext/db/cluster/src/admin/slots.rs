//! Slots on a command line.

use hedgerow_db_formats::slot_set::SlotSet;

/// Reads ranges of slots that do not overlap, as in `0-99,200`.
pub(super) fn parse(text: &str) -> Option<SlotSet> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    let mut ranges: Vec<(u16, u16)> = text.split(',').map(range).collect::<Option<_>>()?;
    ranges.sort_unstable();
    SlotSet::from_ranges(&ranges).filter(|slots| !slots.is_empty())
}
