//! More data in the same memory: which budget and which codec a [`CompressedMap`](crate::CompressedMap) needs.
//!
//! A `CompressedMap` holds byte strings for byte strings within a budget that it never exceeds: index, values, what its
//! codecs have learned and the room that they work in are all counted. What was read lately is there as it is, all
//! else compressed, and where the line runs is its own affair: compressed values take what they need, and plain ones
//! have the rest.
//!
//! <div style="overflow-x:auto">
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
//! - [`Builder::time_to_live`](crate::compressed::Builder::time_to_live) and
//!   [`insert_for`](crate::CompressedMap::insert_for) have values expire, and
//!   [`Builder::on_removal`](crate::compressed::Builder::on_removal) names a listener, which hears of each entry that
//!   expires or is dropped. A value that expires takes six bytes more.
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
//! - `Lz4` (feature `lz4`) is for what repeats itself, and with its dictionary for what repeats
//!   other values: HTML, source text, long JSON, binary structures.
//!
//! By default a map has both, and for each value keeps what is smallest, or the value itself where neither saves a
//! tenth. Leave one out where its time to compress hurts:
//! [`CompressedMap::builder`](crate::CompressedMap::builder) has none until it is given some. Another one is two short
//! traits: `benches/examples/own_codec.rs` plugs in Snappy.
//!
//! # Who does the work
//!
//! Nobody has to: where room runs short a writer makes some, a kibibyte at a time, and more often the less there is.
//! It is better left to others, a main loop or the thread of `std_ext::Compressor`, which call
//! [`compress_step`](crate::CompressedMap::compress_step):
//!
//! - A step makes room ahead, so that writers append and are done. What it does is counted as if all of it were
//!   compressing so many bytes, of which one value is the last. It says whether there was anything to do, so that a
//!   loop can rest.
//! - It gives the index room, too, and has codecs learn: some fifty thousandths of a second of work, which is done a
//!   turn at a time, before anything is compressed. Writers who are alone with that begin when half of the budget is
//!   in use. With samples at hand, [`train`](crate::CompressedMap::train) at the start is best.
//!
//! What a call takes at most, on an AMD EPYC that had nothing else to do (cities of the world by name, 105 bytes each,
//! half the memory of a plain map; a step after every eight writes):
//!
//! | | a write, of 10,000 all but one | the longest write | a step, of 100 all but one | of 10,000 | the longest |
//! |---|---|---|---|---|---|
//! | no steps, loading | 0.19 ms | 0.25 ms | | | |
//! | no steps, replacing | 0.07 ms | 0.12 ms | | | |
//! | steps of 4096, loading | 0.05 ms | 0.3 ms | 0.09 ms | 0.3 ms | 0.4 ms |
//!
//! Where values hardly compress, or are longer, it is two to four times as much. Without steps it is the index that
//! takes longest: all entries of some bins are hashed anew. A thread helps as long as it gets a processor: where
//! writers outrun it they slow down to its pace, and do a kibibyte themselves now and then.
//!
//! # A small map
//!
//! A map of 48 KiB has room for 500 rows of 110 bytes on 64 bits, index and all. On a board with 64 KiB of RAM one of
//! 32 KiB has room for 283 rows, 29 KB, and for 45 more where a main loop makes steps (`tests/embedded` runs it on
//! Cortex-M and RISC-V). It is as small as that where
//!
//! - [`segment_bytes`](crate::compressed::Builder::segment_bytes) is a kibibyte, which no entry is longer than;
//! - nothing has to be learned there: of so little there are too few samples, and a model of
//!   [`SmallText`](crate::compressed::codec::SmallText) takes a third of it. A codec of a few lines whose
//!   [`untrained`](crate::compressed::codec::Codec::untrained) model is what `Lz4` imports of a dictionary from flash,
//!   and which never trains, takes three times the dictionary: `tests/embedded/src/packed.rs` has one.
//!
//! # What it is not for
//!
//! Values that do not resemble each other (pictures, keys, what is compressed already) are stored as they are: the
//! map then saves the allocator's and the table's waste, and nothing else. Values that are all read equally often
//! find the plain copies useless, and pay for them. One writer at a time appends: four threads that only write are
//! no faster than one. And where memory is plenty, [`BytesMap`](crate::BytesMap) reads without a copy.
