//! Codecs for single values: the traits, and the implementations of this crate.
//!
//! A [`Codec`] is trained with samples of values and returns a [`Model`], which compresses and decompresses, and is
//! immutable. The caller keeps the model as long as any value that it has compressed, and the length of each value.
//! Training again returns another model.
//!
//! | codec | for | without training |
//! |---|---|---|
#![cfg_attr(
    feature = "lz4",
    doc = "| [`Lz4`] | values that repeat themselves or each other | values that repeat themselves |"
)]
//! | [`SmallText`] | short texts that have words, names and syntax in common | nothing |
//!
//! Which codec is best differs from value to value, so [`Choice`] tries several, and tries those less often that lose.
//! To add a codec, implement the two traits, as in the example of [`Codec`] or, for Snappy, in
//! `benches/examples/own_codec.rs`.

mod choice;
#[cfg(feature = "lz4")]
mod lz4;
mod model;
mod samples;
mod small_text;
pub(super) mod training;
mod work;

pub use choice::Choice;
#[cfg(feature = "lz4")]
pub use lz4::Lz4;
pub use model::{Corrupt, Model};
pub use small_text::SmallText;
pub use training::{Samples, TrainingTask};
pub use work::Work;

use alloc::boxed::Box;

/// A compression algorithm, and how to train it.
///
/// A codec, its models and a [`Merge`](super::Merge) may read their own map but must not change it, because they may
/// run within a write that other writers wait for. A call that would wait for itself panics with `std`, and never
/// returns without.
///
/// A codec that needs no training can be its own model:
///
/// ```
/// use hedgerow::CompressedMap;
/// use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
///
/// /// Stores a run of equal bytes as its length and one of them.
/// #[derive(Clone, Copy)]
/// struct Runs;
///
/// impl Model for Runs {
///     fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
///         let mut len = 0;
///         for run in plain.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255)) {
///             into.get_mut(len..len + 2)?.copy_from_slice(&[run.len() as u8, run[0]]);
///             len += 2;
///         }
///         Some(len)
///     }
///
///     fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
///         let (runs, rest) = stored.as_chunks::<2>();
///         let mut len = 0;
///         for &[count, byte] in runs {
///             let end = len + usize::from(count);
///             into.get_mut(len..end).ok_or(Corrupt::new())?.fill(byte);
///             len = end;
///         }
///         if rest.is_empty() && len == into.len() { Ok(()) } else { Err(Corrupt::new()) }
///     }
///
///     fn export(&self, _into: &mut dyn FnMut(&[u8])) {}
///
///     fn bytes(&self) -> usize {
///         0
///     }
/// }
///
/// impl Codec for Runs {
///     fn name(&self) -> &'static str {
///         "runs"
///     }
///
///     fn untrained(&self) -> Option<Box<dyn Model>> {
///         Some(Box::new(*self))
///     }
///
///     fn train(&self, _samples: &[&[u8]], _room: usize) -> Option<Box<dyn Model>> {
///         None
///     }
///
///     fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
///         if bytes.is_empty() { Ok(Box::new(*self)) } else { Err(Corrupt::new()) }
///     }
/// }
///
/// let map = CompressedMap::builder(1 << 20).codec(Runs).build();
/// map.insert("rule", &"-".repeat(80))?;
/// assert_eq!(map.get("rule")?, Some("-".repeat(80).into_bytes()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Codec: Send + Sync {
    /// Returns the codec's name, for statistics and imports: at most 255 bytes, and different from those of the map's
    /// other codecs. A map calls this once.
    fn name(&self) -> &'static str;

    /// Returns a model that needs no training; `None` if there is none.
    fn untrained(&self) -> Option<Box<dyn Model>>;

    /// Returns a model trained from samples of values. Returns `None` if the samples are too few, or no model is worth
    /// its memory, or none fits into `room` bytes.
    ///
    /// Takes bounded time and memory, however many samples there are. If there are more than it can use, it takes some
    /// from everywhere.
    fn train(&self, samples: &[&[u8]], room: usize) -> Option<Box<dyn Model>>;

    /// Starts training as [`train`](Self::train) does, but in turns. A map polls the task between other work. Without
    /// it, training stops the map for its whole duration.
    ///
    /// # Errors
    /// The samples, if this codec cannot train in turns. This is the default.
    ///
    /// A map cancels a task that is still pending after 65,536 polls, as if there was nothing to learn.
    ///
    /// ```
    /// use hedgerow::compressed::codec::{Codec, Samples, SmallText};
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let samples: Samples = (0..500).map(|n| format!(r#"{{"id":{n},"name":"row {n}"}}"#)).collect();
    /// let mut task = SmallText::new().start_training(samples, 1 << 20).unwrap();
    /// let mut stops = 0;
    /// let model = loop {
    ///     match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
    ///         Poll::Ready(model) => break model,
    ///         Poll::Pending => stops += 1,
    ///     }
    /// };
    /// assert!(model.is_some() && stops > 10);
    /// ```
    fn start_training(&self, samples: Samples, room: usize) -> Result<TrainingTask, Samples> {
        let _ = room;
        Err(samples)
    }

    /// Returns the model that [`Model::export`] has written.
    ///
    /// # Errors
    /// The bytes are not those of a model. Malicious bytes do no harm: the result is an error, or a model that
    /// decompresses to other values.
    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt>;
}
