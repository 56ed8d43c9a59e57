//! Sizing and tuning a [`CompressedMap`](crate::CompressedMap): budget, codecs, background work.
//!
//! A `CompressedMap` stores byte strings within a memory budget. The budget covers index, values, codec models and
//! working memory, except for [up to 1 MiB while codecs train](crate::docs::limits#memory-budget). Recently read values
//! are kept uncompressed, as many as fit; the others are compressed.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("cold_rows.svg")]
//! </div>
//!
//! The rows are 12,369 JSON objects of 1.2 KB (the crates.io index of this crate's dependencies), read by Zipf's law
//! with exponent 0.99. `cargo run --release --example cold_rows --features std -- FILES` draws the plot for the lines
//! of your own files.
//!
//! # Choosing a budget
//!
//! - **Minimum:** insert a sample into a map with a large budget, [`train`](crate::CompressedMap::train) it, and
//!   [`shrink`](crate::CompressedMap::shrink) it, which compresses all values. In its
//!   [`stats`](crate::CompressedMap::stats), `cold` plus `index`, divided by the number of entries, is the memory per
//!   entry. Add an eighth for compacting replaced records.
//! - **More memory** holds uncompressed copies. A miss costs a few hundred nanoseconds to a few microseconds more than
//!   a hit, depending on the length of the value.
//! - **When the budget is used up**, [`Policy::Refuse`](crate::compressed::Policy) makes inserts fail, for a store;
//!   [`Policy::Evict`](crate::compressed::Policy) evicts entries that have not been read recently, for a cache.
//! - **Expiration:** set a default TTL with [`Builder::time_to_live`](crate::compressed::Builder::time_to_live), or one
//!   per entry with [`insert_for`](crate::CompressedMap::insert_for). Each takes six bytes.
//!   [`Builder::on_removal`](crate::compressed::Builder::on_removal) registers a listener for expired and evicted
//!   entries.
//! - **Maximum entry size:** an entry has to fit into a segment. By default a segment is a 64th of the budget, rounded
//!   down to a power of two, and at most 64 KiB; [`segment_bytes`](crate::compressed::Builder::segment_bytes) changes
//!   that.
//!
//! # Choosing a codec
//!
//! Each value is compressed separately. Codecs therefore learn from samples what values have in common:
//!
//! - [`SmallText`](crate::compressed::codec::SmallText) suits values of up to a few hundred bytes that share words,
//!   names and syntax: rows, JSON, addresses, log lines. It compresses slowly and decompresses fast.
//! - `Lz4` (feature `lz4`) suits values that repeat themselves or, through its dictionary, each other: HTML, source
//!   text, long JSON, binary structures.
//!
//! By default a map uses both and stores the shorter result, or the uncompressed value if neither saves a tenth. If
//! compression time matters, keep one: the first [`codec`](crate::compressed::Builder::codec) given to a builder
//! replaces the defaults. A codec of your own implements two short traits; `benches/examples/own_codec.rs` plugs in
//! Snappy.
//!
//! # Background work
//!
//! No background thread is needed: when room runs short, writers make some, about 1 KiB at a time. For lower write
//! latency, call [`compress_step`](crate::CompressedMap::compress_step) from a main loop, or let `std_ext::Compressor`
//! call it in a thread:
//!
//! - A step makes room ahead of time, so that writers only append. Its argument bounds the bytes to compress, and it
//!   returns whether there was work.
//! - Steps also train the codecs before anything is compressed: about fifty milliseconds of work, in small parts.
//!   Without steps, writers begin training when half of the budget is in use. If you have samples, call
//!   [`train`](crate::CompressedMap::train) at startup instead.
//!
//! Latency per call, for city names with 105 bytes each, in half the memory of an uncompressed map, with a step after
//! every eight writes (AMD EPYC, otherwise idle):
//!
//! | | write, p99.99 | write, max | step, p99 | step, p99.99 | step, max |
//! |---|---|---|---|---|---|
//! | no steps, loading | 0.19 ms | 0.25 ms | | | |
//! | no steps, replacing | 0.07 ms | 0.12 ms | | | |
//! | steps of 4096, loading | 0.05 ms | 0.3 ms | 0.09 ms | 0.3 ms | 0.4 ms |
//!
//! Values that are longer or hardly compress take two to four times as long. Writers that are faster than the
//! background thread slow down to its pace.
//!
//! # Microcontrollers
//!
//! A map of 32 KiB, on a board with 64 KiB of RAM, holds 283 rows (29 KB), and 45 more if a main loop calls steps.
//! `tests/embedded` runs it on Cortex-M and RISC-V. Two settings are needed:
//!
//! - [`segment_bytes`](crate::compressed::Builder::segment_bytes) of 1 KiB, which is then also the maximum length of an
//!   entry.
//! - A codec that needs no training on the device, where there are too few samples and a
//!   [`SmallText`](crate::compressed::codec::SmallText) model would take a third of the memory.
//!   `tests/embedded/src/packed.rs` shows one: its [`untrained`](crate::compressed::codec::Codec::untrained) model is
//!   an `Lz4` dictionary imported from flash, and takes three times the size of the dictionary.
//!
//! # When not to use it
//!
//! - **Incompressible values** (images, encrypted or compressed data) are stored uncompressed. The map then only saves
//!   the overhead of the allocator and the table.
//! - **Uniformly read values** gain nothing from uncompressed copies.
//! - **Write-heavy loads on many threads:** one thread at a time appends, so four threads that only write are no faster
//!   than one.
//! - **With plenty of memory**, [`BytesMap`](crate::BytesMap) reads without copying.
