//! More data in the same memory: the budget and the codec of a [`CompressedMap`](crate::CompressedMap).
//!
//! A `CompressedMap` stores byte strings for byte strings within a budget: it covers the index, the values, the models
//! of codecs, and the room that they work in; [training](crate::docs::limits#a-fixed-budget) alone comes on top. The
//! map keeps entries that were read lately plain, and compresses the others. It moves the border between the two by
//! itself: compressed values take what they need, and plain ones have the rest.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("cold_rows.svg")]
//! </div>
//!
//! `cargo run --release --example cold_rows --features std` draws the plot, here on a machine that had other work as
//! well. The rows are the index of the crates that this one is built from: 12,369 JSON objects of 1.2 KB, read in
//! random order by Zipf's law with exponent 0.99. With names of files it draws the plot for their lines.
//!
//! # The budget
//!
//! - **The least budget.** Insert a sample into a map with a large budget, [`train`](crate::CompressedMap::train) it,
//!   [`shrink`](crate::CompressedMap::shrink) it, which compresses all values, and look at
//!   [`stats`](crate::CompressedMap::stats). The sum of `cold` and `index`, divided by the number of entries, is what
//!   each will take. An eighth more lets the map compact replaced records.
//! - **More than that** holds plain copies. `hits` and `misses` show what they are worth: a hit costs a lookup and a
//!   copy, a miss some hundred nanoseconds to some microseconds more, depending on the value's length.
//! - **At the budget**, [`Policy::Refuse`](crate::compressed::Policy) makes inserts fail, and
//!   [`Policy::Evict`](crate::compressed::Policy) drops entries that were not read lately. The first is a store, the
//!   second a cache.
//! - **Expiration**: [`Builder::time_to_live`](crate::compressed::Builder::time_to_live) and
//!   [`insert_for`](crate::CompressedMap::insert_for) set a time to live, and
//!   [`Builder::on_removal`](crate::compressed::Builder::on_removal) names a listener, which the map calls for each
//!   entry that expires or is evicted. A value with a time to live takes six bytes more.
//! - **Segments**: no entry is longer than a segment, a power of two of at most 64 KiB and a 64th of the budget,
//!   unless [`segment_bytes`](crate::compressed::Builder::segment_bytes) says otherwise. Larger segments waste less at
//!   their ends; smaller ones use a small budget better.
//!
//! # The codec
//!
//! Values are compressed one by one, so that each can be read alone. That needs codecs that learn from samples what
//! values have in common:
//!
//! - [`SmallText`](crate::compressed::codec::SmallText) suits values that share words, names and syntax: rows, JSON,
//!   addresses, log lines of up to some hundred bytes. It compresses slowly and decompresses fast.
//! - `Lz4` (feature `lz4`) suits values that repeat themselves and, with its dictionary, values that repeat other
//!   values: HTML, source text, long JSON, binary structures.
//!
//! A value that contains its key, of four bytes or more, is compressed without it: the id within an object, or the word
//! with which a line of an index begins, takes a byte or two in place of itself.
//!
//! By default a map has both, and stores for each value the shorter result, or the value itself if neither saves a
//! tenth. Leave one out if its time to compress hurts: the first [`codec`](crate::compressed::Builder::codec) that a
//! builder is given replaces both. A codec of your own is two short traits: `benches/examples/own_codec.rs` plugs in
//! Snappy.
//!
//! # Which thread does the work
//!
//! No other thread has to: if room runs short, a writer makes some, 1 KiB at a time, and more often the less there is.
//! It is better to leave that to a main loop, or to the thread of `std_ext::Compressor`, which call
//! [`compress_step`](crate::CompressedMap::compress_step):
//!
//! - A step makes room ahead, so that writers only append. Its argument bounds its work, as if all of it were
//!   compressing that many bytes, plus one value. It returns whether there was work, so that a loop can rest.
//! - A step also makes room for the index and lets codecs train: some fifty milliseconds of work, done in small parts,
//!   before anything is compressed. Without steps, writers begin that when half of the budget is in use. If samples are
//!   at hand, call [`train`](crate::CompressedMap::train) at the start instead.
//!
//! The longest times of a call (cities of the world by name, 105 bytes each, half the memory of a plain map, a step
//! after every eight writes; one CPU type: AMD EPYC, otherwise idle):
//!
//! | | a write, p99.99 | the longest write | a step, p99 | p99.99 | the longest |
//! |---|---|---|---|---|---|
//! | no steps, loading | 0.19 ms | 0.25 ms | | | |
//! | no steps, replacing | 0.07 ms | 0.12 ms | | | |
//! | steps of 4096, loading | 0.05 ms | 0.3 ms | 0.09 ms | 0.3 ms | 0.4 ms |
//!
//! If values hardly compress, or are longer, it takes two to four times as long. Without steps the index takes longest:
//! all entries of some bins are hashed again. A thread helps as long as it gets a processor: if writers are faster than
//! it, they slow down to its pace, and compress 1 KiB themselves now and then.
//!
//! # A small map
//!
//! A map of 48 KiB has room for 500 rows of 110 bytes on 64 bits, index included. On a board with 64 KiB of RAM a map
//! of 32 KiB has room for 283 rows, 29 KB, and for 45 more if a main loop calls steps (`tests/embedded` runs it on
//! Cortex-M and RISC-V). That takes two settings:
//!
//! - [`segment_bytes`](crate::compressed::Builder::segment_bytes) of 1 KiB, which then bounds the length of an entry.
//! - A codec that need not train there: a small map has too few samples, and a model of
//!   [`SmallText`](crate::compressed::codec::SmallText) takes a third of it. `tests/embedded/src/packed.rs` has a codec
//!   of a few lines that never trains. Its [`untrained`](crate::compressed::codec::Codec::untrained) model is what
//!   `Lz4` imports from a dictionary in flash, and takes three times the dictionary.
//!
//! # What it is not for
//!
//! - **Values that do not resemble each other** (pictures, keys, compressed data) are stored as they are: the map then
//!   saves only the waste of the allocator and the table.
//! - **Values that are all read equally often** gain nothing from plain copies, and pay for them.
//! - **Many writers**: one thread at a time appends, so four threads that only write are no faster than one.
//! - **Plenty of memory**: [`BytesMap`](crate::BytesMap) reads without a copy.
