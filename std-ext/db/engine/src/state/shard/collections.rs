//! Changing values of other types than string.

use super::undo::Undo;
use super::{Core, present_window};
use crate::request::ValueType;
#[cfg(any(test, feature = "test-support"))]
use crate::request::{OwnedValue, StoredValue};
use crate::state::record::Record;
use crate::state::tree::{Tree, TreePart};
use crate::state::value::Value;
use crate::state::value::collection::{Collection, CollectionEdit, CollectionTree, Form};

/// The approximate bytes of a block that a tree has lost.
const CUT_BYTES: usize = 512;

impl Core {
    /// Returns a copy of a record's value.
    #[cfg(any(test, feature = "test-support"))]
    pub fn stored_value(&self, record: Record) -> OwnedValue {
        record.value().with_stored(self.cold(), |value: StoredValue<'_>| value.to_owned())
    }

    /// Changes the value of a key, which may be missing, and returns the result. `current` is `old` if that is alive,
    /// and of the type, which is not string. The key is removed if no entry is left. O(what `change` does), and for a
    /// short value its length.
    pub(crate) fn edit_collection<R>(
        &mut self,
        value_type: ValueType,
        (old, current): (Option<Record>, Option<Record>),
        key: &[u8],
        expires_at: Option<u64>,
        change: impl FnOnce(&mut CollectionEdit<'_>) -> R,
    ) -> R {
        let before = current.as_ref().and_then(|record| record.value().collection());
        // Before the change, which may free the root.
        let tree = current.and_then(|record| record.tree());
        let (born, bytes) = (tree.map(Tree::birth), tree.map(Tree::bytes));
        let is_in_place = self.window != 0 && born == Some(self.window);
        let (mut window, mut buffer) = (self.window, std::mem::take(&mut self.scratch));
        let mut number = || present_window(&mut window);
        // SAFETY: the caller has the lock, and the map the newest version. The nodes of the present window were not
        // published ([TR-1]), and no other record has them ([TR-2]).
        let mut edit = unsafe {
            let limits = &self.context.encodings;
            CollectionEdit::new(value_type, before, limits, &mut number, &mut buffer)
        };
        let result = change(&mut edit);
        let is_empty = edit.len() == 0;
        let (form, (is_table, next_time), cut) = edit.finish();
        self.window = window;
        // A part may be most of a tree.
        let lost = match (&form, bytes) {
            (Form::Tree(tree), Some(before)) => before.saturating_sub(tree.bytes()) as usize,
            _ => 0,
        };
        self.replaced = self.replaced.saturating_add(lost.max(cut.len() * CUT_BYTES));
        self.unpublished.extend(cut.into_iter().map(Undo::Cut));
        let step = |record| {
            if is_in_place {
                Undo::Superseded(record)
            } else {
                Undo::Removed { record, moved_out: born.is_some(), moved_in: false }
            }
        };
        let value = match &form {
            Form::Packed(packer) => Collection::Packed(packer.packed()),
            // SAFETY: nobody changes or frees the tree before it is in the record.
            Form::Tree(tree) => Collection::Tree(unsafe {
                CollectionTree::new(*tree, is_table).with_next_time(next_time)
            }),
        };
        if is_empty {
            if let Some(old) = old {
                self.writer.remove(key);
                self.count_removed(old);
                self.retire(step(old));
            }
        } else {
            let usage = self.usage_clock().of_written(old);
            let new = Record::new(key, Value::of_collection(value_type, value), expires_at, usage);
            self.insert(new, old, false, step);
        }
        match form {
            Form::Packed(packer) => self.scratch = packer.into_buffer(),
            // An empty leaf, which no record has.
            Form::Tree(tree) if is_empty => self.pins.free_part(TreePart::whole(tree)),
            Form::Tree(_) => {}
        }
        result
    }
}
