//! Seeds that once broke a rule, beyond those that the tests run anyway.
//!
//! A seed stays here when its fault is mended. If the plan of its scenario changes, the seed finds something else, or
//! nothing.

use super::Scenario;

pub(super) const KEPT: &[(Scenario, &[u64])] = &[
    (Scenario::Faults, &[1469, 4749, 13_692]),
    (Scenario::LogReads, &[236, 5066]),
    (Scenario::Restore, &[2345, 4196, 5595, 9639]),
    // The watch left out a change of the members, and the primary trimmed by those of before.
    (Scenario::Wide, &[3389]),
    // A folder was adopted whose last entries were not on its disk, and then its machine lost power.
    (Scenario::Adopt, &[21_431, 26_004, 28_746, 29_551, 31_418]),
    (Scenario::Wide, &[32_162]),
    // Mistakes of the simulation: the run ended while a primary gave the group away; a member whose folder was replaced
    // stayed a member, because the store was full.
    (Scenario::Wide, &[161_134, 265_031]),
];
