//! CLUSTER SLOT-STATS, as Valkey has it: the number of keys and their bytes of each slot.

use crate::command::arguments::{CommandError, NOT_AN_INTEGER, SYNTAX, is};
use crate::command::execute::Execution;
use hedgerow_db_engine::state::slot_counts::SlotCount;
use hedgerow_db_formats::number;
use hedgerow_db_formats::slots::SLOTS;
use std::cmp::Reverse;
use std::ops::RangeInclusive;

/// As Valkey says it.
pub(super) const LIMIT: &str =
    concat!("ERR Limit has to lie ", "in between 1 and 16384 (maximum number of slots).");

/// The slots that are shown, and their order.
enum SlotSelection {
    Range(RangeInclusive<u16>),
    Order { by: Metric, most: usize, ascending: bool },
}

type Metric = fn(&SlotCount) -> usize;

impl SlotSelection {
    fn parse(arguments: &[&[u8]]) -> Result<Self, CommandError> {
        match arguments {
            [by, first, last] if is(by, "slotsrange") => {
                let (first, last) = (slot_of(first)?, slot_of(last)?);
                if first > last {
                    return Err(format!(
                        "ERR Start slot number {first} is greater than end slot number {last}"
                    )
                    .into());
                }
                Ok(Self::Range(first..=last))
            }
            [by, metric, options @ ..] if is(by, "orderby") => {
                let by = metric_of(metric)?;
                let (most, ascending) = order_of(options)?;
                Ok(Self::Order { by, most, ascending })
            }
            _ => Err(SYNTAX),
        }
    }

    /// Selects of all slots, which are in ascending order. Those with the same value stay so.
    fn of(&self, all: &mut Vec<(u16, SlotCount)>) {
        match self {
            Self::Range(range) => all.retain(|(slot, _)| range.contains(slot)),
            Self::Order { by, most, ascending } => {
                if *ascending {
                    all.sort_by_key(|(_, count)| by(count));
                } else {
                    all.sort_by_key(|(_, count)| Reverse(by(count)));
                }
                all.truncate(*most);
            }
        }
    }
}

impl Execution<'_, '_> {
    /// CLUSTER SLOT-STATS.
    #[cold]
    pub(super) fn slot_stats(&mut self, arguments: &[&[u8]]) -> Result<(), CommandError> {
        self.shown()?;
        let selection = SlotSelection::parse(arguments)?;
        self.execute_batch();
        let mut all = self.session.slot_counts();
        // Any entry may have changed a key that was counted.
        self.wait_for_last_entry();
        selection.of(&mut all);
        self.reply(|out| {
            out.array(all.len());
            for (slot, count) in &all {
                out.array(2);
                out.integer((*slot).into());
                out.map(2);
                for (name, value) in [("key-count", count.keys), ("memory-bytes", count.bytes)] {
                    out.bulk(name.as_bytes());
                    out.integer(value.cast_signed() as i64);
                }
            }
        });
        Ok(())
    }
}

fn slot_of(argument: &[u8]) -> Result<u16, CommandError> {
    let slot = number::integer(argument).and_then(|slot| u16::try_from(slot).ok());
    slot.filter(|slot| *slot < SLOTS).ok_or_else(|| "ERR Invalid or out of range slot".into())
}

fn metric_of(name: &[u8]) -> Result<Metric, CommandError> {
    match name {
        name if is(name, "key-count") => Ok(|count| count.keys),
        name if is(name, "memory-bytes") => Ok(|count| count.bytes),
        _ => Err("ERR Unrecognized sort metric for ORDERBY.".into()),
    }
}

/// Returns the most slots that are wanted, and whether they ascend.
fn order_of(mut options: &[&[u8]]) -> Result<(usize, bool), CommandError> {
    let (mut most, mut ascending) = (None, None);
    loop {
        options = match options {
            [] => return Ok((most.unwrap_or(SLOTS.into()), ascending.unwrap_or(false))),
            [option, number, rest @ ..] if is(option, "limit") && most.is_none() => {
                let number = number::integer(number).ok_or(NOT_AN_INTEGER)?;
                let number = usize::try_from(number).ok();
                let fits = number.filter(|number| (1..=usize::from(SLOTS)).contains(number));
                most = Some(fits.ok_or(LIMIT)?);
                rest
            }
            [order, rest @ ..]
                if (is(order, "asc") || is(order, "desc")) && ascending.is_none() =>
            {
                ascending = Some(is(order, "asc"));
                rest
            }
            _ => return Err(SYNTAX),
        };
    }
}
