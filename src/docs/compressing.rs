//! More data in the same memory: which budget and which codec a [`CompressedMap`](crate::CompressedMap) needs.
//!
//! A `CompressedMap` holds byte strings for byte strings within a budget that it never exceeds: index, values, what its
//! codecs have learned and the room that they work in are all counted. What was read lately is there as it is, all
//! else compressed, and where the line runs is its own affair: compressed values take what they need, and plain ones
//! have the rest.
//!
//! <div>
#![doc = include_str!("cold_rows.svg")]
//! </div>
//!
//! The picture is of `cargo run --release --example cold_rows --features std`, on a machine that had other things to
//! do as well: the index of the crates that this one is built from, 12,369 JSON objects of 1.2 KB, read by Zipf's law
//! with exponent 0.99 in random order. Name files of yours, and it is drawn of their lines.
//!
//! # The budget
//!
//! - To find the least: insert a sample into a map of plenty, [`train`](crate::CompressedMap::train) it,
//!   [`shrink`](crate::CompressedMap::shrink) it, which compresses all that was not read, and look at
//!   [`stats`](crate::CompressedMap::stats). What `cold` and `index` add up to, by the number of entries, is what each
//!   will take; an eighth more lets the map compact what it replaces.
//! - What is more than that holds plain copies. `hits` and `misses` say what they are worth: a hit costs a look-up
//!   and a copy, a miss some hundred nanoseconds to some microseconds more, by the value's length.
//! - At the budget, [`Policy::Refuse`](crate::compressed::Policy) has inserts fail, and
//!   [`Policy::Evict`](crate::compressed::Policy) drops what was not read lately: the one is a store, the other a
//!   cache.
//! - No entry is longer than a segment, which is a power of two of at most 64 KiB and a sixtieth of the budget, unless
//!   [`segment_bytes`](crate::compressed::Builder::segment_bytes) says otherwise. Larger ones waste less at their ends,
//!   smaller ones let a small budget go further.
//!
//! # The codec
//!
//! Values are compressed one by one, so that one can be read alone. That asks for codecs that learn from samples what
//! values have in common:
//!
//! - [`SmallText`](crate::compressed::codec::SmallText) is for what has words, names and syntax in common: rows, JSON,
//!   addresses, log lines of up to some hundred bytes. It compresses slowly and decompresses fast.
//! - `Lz4` (feature `lz4`, which is on by default) is for what repeats itself, and with its dictionary for what repeats
//!   other values: HTML, source text, long JSON, binary structures.
//!
//! By default a map has both, and for each value keeps what is smallest, or the value itself where neither saves a
//! tenth. Leave one out where its time to compress hurts:
//! [`CompressedMap::builder`](crate::CompressedMap::builder) has none until it is given some. Another one is two short
//! traits: `benches/examples/own_codec.rs` plugs in Snappy.
//!
//! # Who does the work
//!
//! Nobody has to: a writer that finds no room makes some, a few kibibytes at a time. Two things are better left to
//! others:
//!
//! - Learning takes up to some tenths of a second. The first writer that has to compress does it, while others go on,
//!   unless somebody calls for steps: a main loop, or the thread of `std_ext::Compressor`. With samples at hand,
//!   [`train`](crate::CompressedMap::train) at the start is best.
//! - A step makes room ahead, so that writers append and are done.
//!
//! # What it is not for
//!
//! Values that do not resemble each other (pictures, keys, what is compressed already) are stored as they are: the
//! map then saves the allocator's and the table's waste, and nothing else. Values that are all read equally often
//! find the plain copies useless, and pay for them. One writer at a time appends: four threads that only write are
//! no faster than one. And where memory is plenty, [`StrMap`](crate::StrMap) reads without a copy.
