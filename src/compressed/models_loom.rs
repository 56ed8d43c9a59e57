//! A model of the publication of a codec's model. The thread that adds it comes first: it is the main thread.

use super::codec::{Corrupt, Model, Work};
use super::models::Models;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

/// A model that loom watches: it reports a read that is not ordered after the initialization.
struct Watched(UnsafeCell<usize>);

// SAFETY: loom checks each access to the cell.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Model for Watched {
    fn compress(&self, _: &[u8], _: &mut [u8], _: &mut Work) -> Option<usize> {
        None
    }

    fn decompress(&self, _: &[u8], _: &mut [u8]) -> Result<(), Corrupt> {
        Err(Corrupt::new())
    }

    fn export(&self, _: &mut dyn FnMut(&[u8])) {}

    fn bytes(&self) -> usize {
        // SAFETY: no thread writes any more; loom reports it otherwise.
        self.0.with(|place| unsafe { *place })
    }
}

#[test]
fn loom_a_published_model_is_initialized() {
    explore(3, ["none", "7"], |saw| {
        let models = Arc::new(Models::new(Vec::new()));
        let other = models.clone();
        let reader = thread::spawn(move || other.model(0).map(Model::bytes));
        let made = Watched(UnsafeCell::new(0));
        // SAFETY: no other thread has it yet.
        made.0.with_mut(|place| unsafe { *place = 7 });
        assert_eq!(models.add(Box::new(made), 0, 7), Some(0));
        saw(reader.join().unwrap().map_or("none".into(), |bytes| format!("{bytes}")));
    });
}
