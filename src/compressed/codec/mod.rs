//! Ways to compress single values: what one is asked to do, and those that come with this crate.
//!
//! A [`Codec`] learns from samples of values and gives a [`Model`], which compresses and decompresses, and never
//! changes. Whoever stores what a model made keeps the model, and the length of the value. Learning again gives
//! another model, and takes nothing from the first.
//!
//! | codec | for | without having learned |
//! |---|---|---|
#![cfg_attr(
    feature = "lz4",
    doc = "| [`Lz4`] | what repeats itself or other values over many bytes | only what repeats itself |"
)]
//! | [`SmallText`] | short texts that have words, names and syntax in common | nothing |
//!
//! Which of several is best differs from value to value: [`Choice`] tries, and remembers what was in vain. Any other
//! one is plugged in by implementing the two traits: `benches/examples/own_codec.rs` does it.

mod choice;
#[cfg(feature = "lz4")]
mod lz4;
mod samples;
mod small_text;
pub(super) mod training;
mod work;

pub use choice::Choice;
#[cfg(feature = "lz4")]
pub use lz4::Lz4;
pub use small_text::SmallText;
pub use training::{Samples, TrainingTask};
pub use work::Work;

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

/// A way to compress values.
///
/// A codec, its models and a [`Merge`](super::Merge) must not change the map that they work for, because they may work
/// for a change that others wait for. With `std` a call that would wait for itself panics; without, it never returns.
/// They may read the map.
pub trait Codec: Send + Sync {
    /// What it is called where it is reported on, and where what it made is imported: at most 255 bytes, and not what
    /// another codec of the same map is called. A map asks once.
    fn name(&self) -> &'static str;

    /// What compresses without having learned; `None` where that makes no sense.
    fn untrained(&self) -> Option<Box<dyn Model>>;

    /// Learns from samples of values; `None` where they are too few, or nothing is to be learned, or not in a model
    /// that takes `room` bytes.
    ///
    /// Takes bounded time and memory, however many the samples are: of more than it can use it takes some from
    /// everywhere.
    fn train(&self, samples: &[&[u8]], room: usize) -> Option<Box<dyn Model>>;

    /// As [`train`](Self::train), a little at a time: a map whose codecs all can has them learn between other things,
    /// where it else would have to stop.
    ///
    /// # Errors
    /// The samples, where this codec cannot, as by default.
    ///
    /// A map gives a lesson up that is still pending after 65,536 polls, as if nothing was to be learned.
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

    /// A model as [`Model::export`] wrote it.
    ///
    /// # Errors
    /// The bytes are no such thing. Bytes that were made to do harm do none: what comes of them is an error, or a
    /// model that decompresses to something else.
    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt>;
}

/// What a [`Codec`] has learned: compresses and decompresses, and never changes.
pub trait Model: Send + Sync {
    /// Compresses `plain` into the front of `into`: how many bytes, or `None` where it takes more than there is room
    /// for. Whoever calls gives no more room than is worth while. Allocates nothing, but for what `work` keeps.
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize>;

    /// The inverse: fills `into`, which is as long as the value was. Allocates nothing, whatever the bytes.
    ///
    /// # Errors
    /// The bytes are none that this model compresses a value of this length to. Not all such are found: only a
    /// checksum tells a value from another of the same length. `into` then holds anything.
    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt>;

    /// Hands the model over in pieces, for [`Codec::import`].
    fn export(&self, into: &mut dyn FnMut(&[u8]));

    /// How many bytes it has on the heap.
    fn bytes(&self) -> usize;
}

/// The bytes are not what they should be.
///
/// ```
/// use hedgerow::compressed::codec::Corrupt;
/// assert_eq!(Corrupt::new().to_string(), "the compressed bytes are damaged");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Corrupt;

impl Corrupt {
    /// For codecs from outside.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the compressed bytes are damaged")
    }
}

impl Error for Corrupt {}
