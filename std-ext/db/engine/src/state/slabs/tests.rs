//! Blocks are nobody else's, and memory that is free serves others.

use super::lists::{FreeChain, LONGEST, MALLOC_ONLY, SLAB};
use super::pool::{CHUNK_SLABS, Slabs};
use super::*;
use crate::lock::lock;
use crate::options::Options;
use crate::state::State;
use crate::state::maintenance::{compact_all, run_cycle};
use crate::state::random::Random;
use crate::state::record::Record;
use std::collections::HashSet;
use std::sync::Mutex;

/// A block, its size, and the byte that fills it.
struct Filled(NonNull<u8>, usize, u8);

// SAFETY: a block belongs to the thread that has it.
unsafe impl Send for Filled {}

impl Filled {
    fn new(size: usize, byte: u8) -> Self {
        let block = allocate(size);
        assert!(block.cast::<u64>().is_aligned());
        // SAFETY: the block has `size` bytes.
        unsafe { block.write_bytes(byte, size) };
        Self(block, size, byte)
    }

    fn free(self) {
        let Self(block, size, byte) = self;
        // SAFETY: the block was filled.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
        assert!(
            bytes.iter().all(|found| *found == byte),
            "a block of {size} bytes is another's too"
        );
        // SAFETY: nothing refers to it any more.
        unsafe { free(block, size) };
    }
}

/// Held by tests that allocate much in slabs that all tests share.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn blocks_do_not_overlap() {
    let _alone = lock(&ALONE);
    let work = |seed: u64| {
        let (mut random, mut blocks) = (Random::of_seed(seed), Vec::new());
        for _ in 0..20_000 {
            let size = match random.next() % 4 {
                0 => 1 + random.next() as usize % 900,
                1 => LONGEST - random.next() as usize % 20 + 10,
                _ => 80 + random.next() as usize % 20,
            };
            blocks.push(Filled::new(size, random.next() as u8));
            if blocks.len() > 500 || random.next().is_multiple_of(3) {
                let at = random.next() as usize % blocks.len();
                blocks.swap_remove(at).free();
            }
        }
        blocks
    };
    let threads: Vec<_> = (0..4).map(|seed| std::thread::spawn(move || work(seed))).collect();
    // Freed by another thread than that which has allocated them.
    for thread in threads {
        thread.join().unwrap().into_iter().for_each(Filled::free);
    }
}

/// Takes blocks until they fill this many slabs.
fn fill(slabs: &Slabs, class: SizeClass, count: usize) -> Vec<NonNull<FreeBlock>> {
    let (mut blocks, mut chain) = (Vec::new(), FreeChain::EMPTY);
    slabs.take(class, count * class.capacity(), &mut chain);
    blocks.extend(std::iter::from_fn(|| chain.pop()));
    assert_eq!(blocks.len(), count * class.capacity());
    blocks
}

fn give_all(slabs: &Slabs, class: SizeClass, blocks: impl IntoIterator<Item = NonNull<FreeBlock>>) {
    for block in blocks {
        let mut one = FreeChain::EMPTY;
        // SAFETY: the block was taken from these slabs, and is given back once.
        unsafe {
            one.push(block);
            slabs.give(class, 1, &mut one);
        }
    }
}

#[test]
fn empty_slabs_serve_another_class() {
    static OWN: Slabs = Slabs::new();
    let (small, large) = (SizeClass(4), SizeClass(50));
    let blocks = fill(&OWN, small, 10);
    assert_eq!(OWN.sizes(), (10 * SLAB, 0));
    give_all(&OWN, small, blocks);
    assert_eq!(OWN.sizes(), (SLAB, SLAB), "one slab stays, for the next block");
    let pool = || {
        let pool = lock(&OWN.pool);
        (pool.clean.len(), pool.dirty.len())
    };
    assert_eq!(pool(), (CHUNK_SLABS - 10, 9));
    let blocks = fill(&OWN, large, 8);
    assert_eq!(pool(), (CHUNK_SLABS - 10, 1), "an empty slab is not used again");
    OWN.purge(SLAB);
    assert_eq!(pool().1, 1, "pages are given back that were to be kept");
    OWN.purge(0);
    assert_eq!(pool(), (CHUNK_SLABS - 9, 0));
    give_all(&OWN, large, blocks);
}

#[test]
fn blocks_come_from_the_fullest_slabs() {
    static OWN: Slabs = Slabs::new();
    let class = SizeClass(10);
    let mut blocks = fill(&OWN, class, 8);
    blocks.sort_unstable();
    // One block in ten of half of the slabs stays, and nine in ten of the others.
    let is_sparse =
        |block: NonNull<FreeBlock>| (SlabHead::of(block).addr().get() / SLAB).is_multiple_of(2);
    let mut number = 0;
    let (given, mut kept): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| {
        number += 1;
        is_sparse(*block) == (number % 10 != 0)
    });
    let room = given.iter().filter(|block| !is_sparse(**block)).count();
    give_all(&OWN, class, given);
    for block in &kept {
        // SAFETY: the block is in use.
        let found = unsafe { SlabHead::is_sparse(SlabHead::of(*block)) };
        assert_eq!(found, is_sparse(*block), "the use of a slab is wrong");
    }
    let mut chain = FreeChain::EMPTY;
    OWN.take(class, room, &mut chain);
    let taken: Vec<_> = std::iter::from_fn(|| chain.pop()).collect();
    let wrong = taken.iter().filter(|block| is_sparse(**block)).count();
    assert_eq!(wrong, 0, "blocks of slabs that are used little");
    kept.extend(taken);
    give_all(&OWN, class, kept);
    assert_eq!(OWN.sizes(), (SLAB, SLAB));
}

#[test]
fn a_thread_gives_its_free_blocks_back_at_its_end() {
    // No record is so short but that of an empty value under an empty key.
    let class = SizeClass::of(1).filter(|_| !MALLOC_ONLY);
    let Some(class) = class else { return };
    for _ in 0..2 * class.capacity() / class.batch() {
        std::thread::spawn(|| Filled::new(1, 1).free()).join().unwrap();
    }
    let slab = lock(&SLABS.classes[class.0]).fullest().expect("all slabs are full");
    // From one of the fullest slabs: this one, or one that is fuller.
    let hold = Filled::new(1, 1);
    // SAFETY: slabs stay readable, and this one stays of its class while a thread's cache has a block of it.
    let is_sparse = unsafe { SlabHead::is_sparse(slab) };
    assert!(is_sparse, "threads that have ended keep blocks");
    hold.free();
}

/// The length of a key's value.
fn length(key: u32) -> usize {
    80 + key as usize % 50 * 8
}

/// Whether a key stays: one or two in each slab.
fn stays(key: u32) -> bool {
    (key / 50).is_multiple_of(80)
}

fn value(key: u32) -> Vec<u8> {
    vec![key as u8; length(key)]
}

/// Returns a database of values of fifty lengths.
fn state_with(keys: u32) -> State {
    let options = Options { shards: 128, ..Options::in_memory() };
    State::without_log(&options, |shards| {
        for key in 0..keys {
            let end = key.is_multiple_of(2).then_some(u64::MAX / 2);
            shards.load(&key.to_be_bytes(), end, &value(key));
        }
    })
}

fn number(record: Record) -> u32 {
    u32::from_be_bytes(record.key().try_into().unwrap())
}

/// Returns the number of slabs that have the database's records.
fn slabs_of(state: &State) -> usize {
    let cores: Vec<_> = state.shards.iter().map(|shard| shard.lock()).collect();
    let records = cores.iter().flat_map(|core| core.records());
    records.map(|record| record.key().as_ptr().addr() / SLAB).collect::<HashSet<_>>().len()
}

/// One key in eighty stays, so that nearly every slab has one.
#[test]
fn records_move_out_of_slabs_that_are_used_little() {
    if MALLOC_ONLY {
        return;
    }
    let _alone = lock(&ALONE);
    let state = state_with(200_000);
    for shard in state.shards.iter() {
        let mut core = shard.lock();
        core.remove_where(|record| !stays(number(record)));
        core.records().for_each(|record| record.set_usage(7));
        state.publish_relocated(shard, &mut core);
        assert!(core.reclaim(0), "a reader is left");
    }
    flush_cache();
    let before = slabs_of(&state);
    for _ in 0..30 {
        run_cycle(&state);
        compact_all(&state);
    }
    let after = slabs_of(&state);
    assert!(before > 800, "{before} slabs are too few for this test");
    assert!(after < 50, "of {before} slabs {after} stay");
    let mut left = 0;
    for shard in state.shards.iter() {
        let core = shard.lock();
        for record in core.records() {
            let key = number(record);
            let end = key.is_multiple_of(2).then_some(u64::MAX / 2);
            assert!(stays(key) && record.expires_at() == end && record.usage() == 7);
            core.read(record.string().unwrap(), |found| {
                assert!(found == value(key), "another value");
            });
            left += 1;
        }
    }
    assert_eq!(left, 2_500);
}
