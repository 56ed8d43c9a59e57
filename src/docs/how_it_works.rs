//! How each map is built, in pictures.
//!
//! This page is for users who want to know where the promises of [`guarantees`](super::guarantees) come from.
//! `ARCHITECTURE.md`, at the root of the repository, is for those who want to change the code.
//!
//! # FlatMap: bins that never move
//! A [`FlatMap`](crate::FlatMap) is a linear hash table of *bins*. A bin is one or a few cache lines, and never moves
//! or is freed while the map is shared. [`HashMap`](crate::HashMap) and [`BytesMap`](crate::BytesMap) are the same
//! table with pointers for entries. [`FlatTable`](crate::FlatTable) has the same bins in a fixed number.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/bin.svg")]
//! </div>
//!
//! - **A lookup** loads the state word, then the tags. If no tag matches and no filter bit is set, the tags alone prove
//!   that the key is absent. If a tag matches, the lookup copies key and value and loads the state again: an equal,
//!   unlocked state proves that the copy is whole.
//! - **A writer** finds its place while nothing is locked. It locks the bin by swapping the very state that it has
//!   read, makes a few stores, and unlocks with the next version.
//! - **A full bin** chains overflow lines of 64 bytes or more.
//! - **Growth** splits one bin at a time, in order of their numbers. Each insert that finds the table too full splits
//!   at most two segments. There is never a second table of the full size.
//!
//! Removed entries of owned maps are freed later. A guard announces in a slot of its thread which epoch it began in,
//! and the map frees an entry when every announced epoch is younger than the removal.
//!
//! # LeftRightMap: two sides that swap
//! A [`LeftRightMap`](crate::LeftRightMap) has two tables of the same layout. Readers use one, and its only writer
//! changes the other.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/left_right.svg")]
//! </div>
//!
//! 1. The writer changes the write side. Readers see none of it.
//! 2. [`publish`](crate::left_right::WriteHandle::publish) swaps the sides. Every read that begins afterwards uses the
//!    new read side, with all changes.
//! 3. The writer waits until each reader of the old side has finished. Each reader has a slot that tells it.
//! 4. The writer copies the slots that differ to the old side, byte by byte. It calls no `Hash`, no `Eq` and no closure
//!    again.
//!
//! A reader never waits: it announces its read in its slot, and then loads which side is the read side.
//!
//! # FenceMap: leaves with a range of keys
//! A [`FenceMap`](crate::FenceMap), and an [`OrdMap`](crate::OrdMap), is a tree of three levels: a root, *fences* of up
//! to 256 leaves, and leaves of up to 128 entries.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/fences.svg")]
//! </div>
//!
//! - **Only leaves are authoritative.** Under its seqlock a leaf holds its entries and the range of keys that it
//!   answers for. Root and fences are hints: writers change them in place, and no reader validates them.
//! - **A lookup** that lands too far left goes on to the right neighbour. If it lands too far right or on a retired
//!   leaf, it searches further left. In the picture, the leaf of 60 was split off a moment ago and is in no fence yet:
//!   a lookup of 70 finds it through its left neighbour.
//! - **A range** copies leaf by leaf, and then checks the versions of all leaves once more. If none has changed, the
//!   copies are a consistent snapshot.
//! - **A batch** locks all its leaves, stores, and unlocks, so that no thread sees a part of it.
//! - **Balancing** moves leaves from a busy fence to a neighbour. It moves no entry, and lookups do not notice it.
//!
//! # CompressedMap: segments within a budget
//! A [`CompressedMap`](crate::CompressedMap) has an index of bins, whose entries lead to records in segments.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/segments.svg")]
//! </div>
//!
//! - **An insert** appends a plain record to the front segment.
//! - **A sweep** empties the oldest hot segment. Records that were read go back to the front. Of a record that has a
//!   compressed copy, only the plain one is dropped. The others are compressed.
//! - **A read** copies the record that the index leads to, and validates the bin, as that of a `FlatMap` does. The
//!   second read of a cold record within a while copies it to the front.
//! - **A segment** without live records is free. The map compacts a cold segment once a quarter of it is dead.
//! - **At the budget**, [`Policy::Refuse`](crate::compressed::Policy) rejects inserts, and
//!   [`Policy::Evict`](crate::compressed::Policy) drops entries that were not read lately.
