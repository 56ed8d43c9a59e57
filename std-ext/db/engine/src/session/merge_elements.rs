//! The union of HyperLogLogs of several keys.

use super::multi_key::ApplyMany;
use crate::event_flags::EventFlags;
use crate::request::{Answer, Expiry, LONGEST_KEY, RequestError};
use crate::state::apply_hyperloglog::read;
use crate::state::hyperloglog::{self, REGISTERS};
use crate::state::record::Record;
use std::collections::HashSet;

impl ApplyMany<'_, '_> {
    /// Stores the union of HyperLogLogs, that of `to` included. Nothing changes if one of them is corrupt.
    pub(super) fn merge_elements(&mut self, to: &[u8], keys: &[&[u8]]) -> Answer<'static> {
        if to.len() > LONGEST_KEY {
            return Answer::Error(RequestError::KeyTooLong);
        }
        let (mut registers, mut dense) = (Box::new([0; REGISTERS]), false);
        let cold = self.state.cold.as_deref();
        let all = std::iter::once(&to).chain(keys);
        let mut records: Vec<Record> = all.filter_map(|key| self.find_source(key)).collect();
        // Names may be the same a million times. The first error counts, so the order stays.
        let mut seen = HashSet::new();
        records.retain(|record| seen.insert(record.address()));
        for record in records {
            let merged = read(record, cold, |value| {
                dense |= hyperloglog::is_dense(value);
                hyperloglog::merge(value, &mut registers)
            });
            if let Ok(Err(error)) | Err(error) = merged {
                return Answer::Error(error);
            }
        }
        // Starts from the present value, so a sparse one stays sparse unless a source is dense or a register needs it.
        let old = self.find_alive(to);
        let value = old.map(|record| read(record, cold, <[u8]>::to_vec));
        let raised = value
            .unwrap_or_else(|| Ok(hyperloglog::empty()))
            .and_then(|value| hyperloglog::raised(value, &registers, dense));
        match raised {
            Err(error) => Answer::Error(error),
            Ok(value) => {
                let expiry = old.and_then(|record| record.expires_at());
                self.name_next(to, EventFlags::STRING, "pfadd");
                self.set(to, &value, if expiry.is_some() { Expiry::Keep } else { Expiry::Never });
                Answer::Done
            }
        }
    }
}
