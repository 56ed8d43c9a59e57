//! Applying changes of lists. The log contains splices: where elements were removed, how many, and what was put in
//! their place.

use crate::log::change;
use crate::request::{
    Answer, ElementListBuilder, End, ListChange, Packed, RequestError, ValueType,
};
use crate::state::apply::Apply;
use crate::state::apply_collection::{Before, check_lengths};
use crate::state::record::Record;
use crate::state::value::Value;
use crate::state::value::list::{ListValue, index_of, range_of};

impl Apply<'_, '_> {
    /// Changes elements of a list.
    pub(super) fn list(
        &mut self,
        before: Before,
        change: ListChange<'_>,
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let current = before.1;
        let list = current.as_ref().and_then(list_of);
        let len = list.map_or(0, ListValue::len);
        match change {
            ListChange::Push { end, elements, if_present } => {
                if let Err(error) = check_lengths(elements.iter().copied()) {
                    return answer(Answer::Error(error));
                }
                if elements.is_empty() || if_present && list.is_none() {
                    return answer(Answer::count(len));
                }
                match end {
                    End::Back => self.splice_list(before, (len, 0), elements),
                    End::Front => {
                        let reversed: Vec<&[u8]> = elements.iter().rev().copied().collect();
                        self.splice_list(before, (0, 0), &reversed);
                    }
                }
                answer(Answer::count(len + elements.len()));
            }
            ListChange::Pop { end, count, most } => self.pop(before, (end, count, most), answer),
            ListChange::Set(index, element) => answer(self.set_element(before, index, element)),
            ListChange::Insert { before: is_before, pivot, element } => {
                answer(self.insert_element(before, (is_before, pivot), element));
            }
            ListChange::Remove { count, element } => {
                answer(Answer::count(self.remove_elements(before, count, element)));
            }
            ListChange::Trim(from, to) => {
                let kept = range_of(len, from, to);
                if kept.len() < len {
                    // From the end, so that what is behind does not move.
                    self.splice_list(before, (kept.end, len - kept.end), &[]);
                    let before = self.again();
                    self.splice_list(before, (0, kept.start), &[]);
                } else if let Some(record) = current {
                    // As in Redis, the key counts as changed.
                    self.core.touch(record);
                    change::splice(self.key, (0, 0), &[], self.log);
                }
                answer(Answer::Done);
            }
            ListChange::Splice { at, remove, elements } => {
                answer(self.replay_splice(before, (at, remove), elements));
            }
        }
    }

    /// Returns the record of the key after a change.
    fn again(&self) -> Before {
        let stored = self.core.find(self.key);
        (stored, stored)
    }

    /// Replaces elements, which are there, by others, and logs that.
    fn splice_list(&mut self, before: Before, (at, remove): (usize, usize), elements: &[&[u8]]) {
        if remove == 0 && elements.is_empty() {
            return;
        }
        self.edit(ValueType::List, before, |edit| edit.splice(at, remove, elements));
        change::splice(self.key, (at, remove), elements, self.log);
    }

    fn replay_splice(
        &mut self,
        before: Before,
        (at, remove): (u64, u64),
        elements: Packed<'_>,
    ) -> Answer<'static> {
        let len = before.1.as_ref().and_then(list_of).map_or(0, ListValue::len) as u64;
        // A log that was written for another state.
        if at.checked_add(remove).is_none_or(|end| end > len) {
            return Answer::Error(RequestError::IndexOutOfRange);
        }
        let elements: Vec<&[u8]> = elements.names().collect();
        self.splice_list(before, (at as usize, remove as usize), &elements);
        Answer::Done
    }

    fn pop(
        &mut self,
        before: Before,
        (end, count, most): (End, Option<usize>, usize),
        answer: &mut dyn FnMut(Answer<'_>),
    ) {
        let Some(record) = before.1 else { return answer(Answer::Nil) };
        let Some(list) = list_of(&record) else { return answer(Answer::Nil) };
        let len = list.len();
        let popped = count.unwrap_or(1).min(len);
        let at = if end == End::Front { 0 } else { len - popped };
        let mut answered = ElementListBuilder::new(most);
        let mut elements = Vec::with_capacity(popped);
        if popped > 0 {
            list.visit_from(at, &mut |element| {
                elements.push(element);
                elements.len() < popped
            });
        }
        if end == End::Back {
            elements.reverse();
        }
        if count.is_none() {
            answer(elements.first().map_or(Answer::Nil, |element| Answer::Bytes(element)));
        } else {
            for element in &elements {
                answered.push(element);
            }
            answer(Answer::Elements(answered.list(), 0));
            // The reply would be too long: what was removed could not be shown.
            if answered.is_full() {
                return;
            }
        }
        // Behind the answer: the elements may lie in nodes that the change edits in place.
        self.splice_list(before, (at, popped), &[]);
    }

    fn set_element(&mut self, before: Before, index: i64, element: &[u8]) -> Answer<'static> {
        let Some(list) = before.1.as_ref().and_then(list_of) else {
            return Answer::Error(RequestError::NoSuchKey);
        };
        let Some(at) = index_of(list.len(), index) else {
            return Answer::Error(RequestError::IndexOutOfRange);
        };
        if let Err(error) = check_lengths([element]) {
            return Answer::Error(error);
        }
        self.splice_list(before, (at, 1), &[element]);
        Answer::Done
    }

    fn insert_element(
        &mut self,
        before: Before,
        (is_before, pivot): (bool, &[u8]),
        element: &[u8],
    ) -> Answer<'static> {
        let Some(list) = before.1.as_ref().and_then(list_of) else { return Answer::Int(0) };
        if let Err(error) = check_lengths([element]) {
            return Answer::Error(error);
        }
        let mut at = 0_usize;
        list.visit_from(0, &mut |other| {
            at += 1;
            other != pivot
        });
        let (len, is_there) = (list.len(), list.nth(at.wrapping_sub(1)) == Some(pivot));
        if !is_there {
            return Answer::Int(-1);
        }
        self.splice_list(before, (at - usize::from(is_before), 0), &[element]);
        Answer::count(len + 1)
    }

    fn remove_elements(&mut self, before: Before, count: i64, element: &[u8]) -> usize {
        let Some(list) = before.1.as_ref().and_then(list_of) else { return 0 };
        let wanted = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
        let mut found = Vec::new();
        let (len, mut index) = (list.len(), 0);
        let mut compare = |other: &[u8]| {
            if other == element {
                found.push(if count < 0 { len - 1 - index } else { index });
            }
            index += 1;
            found.len() < wanted
        };
        if count < 0 {
            list.visit_back(&mut compare);
        } else {
            list.visit_from(0, &mut compare);
        }
        found.sort_unstable();
        let removed = found.len();
        // Runs of neighbours together, from the end, so that the others do not move.
        let mut before = before;
        while let Some(last) = found.pop() {
            let mut first = last;
            while let Some(next) = found.pop_if(|next| *next + 1 == first) {
                first = next;
            }
            self.splice_list(before, (first, last + 1 - first), &[]);
            before = self.again();
        }
        if removed == 0
            && let Some(record) = before.1
        {
            self.core.touch(record);
        }
        removed
    }
}

fn list_of(record: &Record) -> Option<ListValue<'_>> {
    if let Value::List(list) = record.value() { Some(list) } else { None }
}
