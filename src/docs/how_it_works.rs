//! How each map works, in pictures.
//!
//! `ARCHITECTURE.md`, at the root of the repository, has the details that you need to change the code.
//!
//! # FlatMap: bins that never move
//! A [`FlatMap`](crate::FlatMap) is a linear hash table. Its buckets, called *bins*, are one or a few cache lines each,
//! and are neither moved nor freed while the map is shared. [`HashMap`](crate::HashMap) and
//! [`BytesMap`](crate::BytesMap) are the same table with pointers for entries; [`FlatTable`](crate::FlatTable) has a
//! fixed number of the same bins.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/bin.svg")]
//! </div>
//!
//! - **Lookups** are optimistic. A lookup loads the bin's state word, then its tags. If no tag matches and no overflow
//!   filter bit is set, the key is absent. If a tag matches, the lookup copies key and value and loads the state again:
//!   an equal, unlocked state proves that the copy is consistent.
//! - **Writers** look the key up and call closures before they lock anything. A compare-and-swap on the state they have
//!   read locks the bin; a few stores later, the next version number unlocks it.
//! - **Overflow:** a full bin chains lines of 64 bytes or more.
//! - **Growth** is incremental. Bins are split one at a time, in order of their numbers, and an insert splits at most
//!   two segments of them. There is never a second table of the full size.
//!
//! Maps of owned data use epoch-based reclamation. A guard announces, in a slot of its thread, the epoch in which it
//! began; the map frees a removed entry once every announced epoch is later than the removal. Each
//! [collector](crate::owned::Collector) has its own epochs and slots.
//!
//! # LeftRightMap: two tables and a swap
//! A [`LeftRightMap`](crate::LeftRightMap) has two tables of the same layout. Readers use one while the single writer
//! changes the other.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/left_right.svg")]
//! </div>
//!
//! 1. The writer changes the write side. Readers see none of it.
//! 2. [`publish`](crate::left_right::WriteHandle::publish) swaps the sides. Every read that begins afterwards sees all
//!    changes.
//! 3. The writer waits until every reader has left the old side. Each reader has a slot that shows which side it is in.
//! 4. The writer copies the slots that differ to the old side, byte by byte, and calls no `Hash`, `Eq` or closure
//!    again.
//!
//! A reader announces itself in its slot and then loads which side to read, so it never waits.
//!
//! # FenceMap: a tree with authoritative leaves
//! [`FenceMap`](crate::FenceMap) and [`OrdMap`](crate::OrdMap) are trees of three levels: a root, *fences* of up to 256
//! leaves, and leaves of up to 128 entries.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/fences.svg")]
//! </div>
//!
//! - **Leaves** hold, under a seqlock, their entries and the range of keys that they are responsible for. Only leaves
//!   are authoritative. Root and fences are hints, which writers change in place and readers do not validate.
//! - **Lookups** correct wrong hints. A lookup that lands too far left moves to the right neighbour; one that lands too
//!   far right, or on a retired leaf, searches further left. In the picture, the leaf of 60 has just been split off and
//!   is in no fence yet: a lookup of 70 finds it through its left neighbour.
//! - **Ranges** copy leaf by leaf, then check all versions once more. If none has changed, the copies are a consistent
//!   snapshot.
//! - **Batches** lock all their leaves before they store anything, so no thread sees part of a batch.
//! - **Balancing** moves leaves from a busy fence to a neighbour. It moves no entry and does not disturb lookups.
//!
//! # CompressedMap: segments within a budget
//! A [`CompressedMap`](crate::CompressedMap) has an index of bins, whose entries point to records in segments.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("pictures/segments.svg")]
//! </div>
//!
//! - **Inserts** append a plain record to the front segment.
//! - **Sweeps** empty the oldest hot segment. Recently read records move back to the front. The others are compressed,
//!   or just dropped if a compressed copy exists.
//! - **Reads** copy the record that the index points to and validate the bin, as in a `FlatMap`. A second read of a
//!   cold record soon after the first promotes it to the front.
//! - **Compaction:** a segment without live records is free; a cold one is compacted once a quarter of it is dead.
//! - **At the budget**, [`Policy::Refuse`](crate::compressed::Policy) rejects inserts, and
//!   [`Policy::Evict`](crate::compressed::Policy) evicts entries that have not been read recently.
