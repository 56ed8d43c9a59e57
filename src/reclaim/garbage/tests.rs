//! Tests of the pace of garbage: batches, barriers, yields.

use super::*;
use crate::api::hash::KeyHash;
use crate::facade::atomic::Ordering;
use crate::reclaim::node::NodeHeader;
use alloc::alloc::Layout;
use core::ptr::NonNull;

#[repr(C)]
struct Plain(NodeHeader);

// SAFETY: the header is the first field, and `plain` allocates with the layout of the type.
unsafe impl ReclaimNode for Plain {
    unsafe fn clear(node: NonNull<Self>) -> NodeMemory {
        // SAFETY: the caller promises that nothing else uses the node.
        unsafe { NodeMemory::from_raw(node.cast(), Layout::new::<Self>()) }
    }
}

fn plain() -> NodePtr<Plain> {
    NodePtr(NonNull::from(Box::leak(Box::new(Plain(NodeHeader::new(KeyHash(0)))))))
}

/// Frees all nodes at the end of a test.
fn free(mut garbage: Garbage<Plain>) {
    let mut all = List::new();
    garbage.move_to(&mut all);
    // SAFETY: the test has no reader any more.
    unsafe { free_all(&mut all) };
}

/// Adds a node as the operation of a reader does. Returns whether it yields.
fn change(domain: &Domain, garbage: &Garbage<Plain>, reader: usize) -> bool {
    let yields = garbage.cell(|| reader).yields.load();
    drop(garbage.free_one_before(|| domain, || reader, true));
    // SAFETY: no map has had the node.
    unsafe { garbage.add_and_free(|| domain, || reader, plain()) };
    yields
}

/// Where a barrier takes longer, more nodes wait for it.
#[test]
fn batches_are_as_long_as_barriers() {
    for (fences, batch) in [(0, BATCH), (3 * BATCH, 3 * BATCH), (usize::MAX, MAX_BATCH)] {
        let (domain, garbage) = (Domain::new(), Garbage::<Plain>::new());
        domain.barrier_in_fences.store(fences, Ordering::Relaxed);
        (0..40 * BATCH).for_each(|_| _ = change(&domain, &garbage, 0));
        let barriers = 40 * BATCH / batch;
        let seen = domain.barriers();
        assert!((barriers * 3 / 4..=barriers).contains(&seen), "{seen} barriers of {fences}");
        let pending = garbage.len();
        assert!(pending <= 3 * batch + 2 * ADVANCE_EVERY as usize, "{pending} of {batch}");
        free(garbage);
    }
}

#[test]
fn threads_share_barriers() {
    let (domain, garbage) = (Domain::new(), Garbage::<Plain>::new());
    garbage.spread();
    // Each bag is in another phase, so none finds its batch served because all seal at the same time.
    for reader in 0..BAG_COUNT {
        (0..reader * BATCH / BAG_COUNT).for_each(|_| _ = change(&domain, &garbage, reader));
    }
    (0..20 * BATCH * BAG_COUNT).for_each(|n| _ = change(&domain, &garbage, n % BAG_COUNT));
    let (seals, barriers) =
        (garbage.bags().map(|cell| cell.lock().next_other).sum::<u32>(), domain.barriers());
    assert!(barriers * 8 <= seals as usize, "{barriers} barriers for {seals} batches");
    let pending = garbage.len();
    let most = 4 * BATCH * BAG_COUNT;
    assert!(pending < most, "{pending} nodes are pending without a reader");
    garbage.reclaim(&domain);
    assert_eq!(domain.barriers() - barriers, 1, "barriers of a call of `reclaim`");
    assert_eq!(garbage.len(), 0, "nodes that `reclaim` leaves");
    free(garbage);
}

#[test]
fn a_barrier_that_never_ends_is_not_waited_for() {
    let (domain, garbage) = (Domain::new(), Garbage::<Plain>::new());
    (0..=BATCH).for_each(|_| _ = change(&domain, &garbage, 0));
    domain.begin_endless_barrier();
    (0..10 * BATCH).for_each(|_| _ = change(&domain, &garbage, 0));
    let pending = garbage.len();
    assert!(pending < 8 * BATCH, "{pending} nodes wait for a barrier that never ends");
    free(garbage);
}

/// A bag that no thread has used for so long that the numbers of barriers have come round.
#[test]
fn a_stamp_of_long_ago_is_renewed() {
    let (domain, garbage) = (Domain::new(), Garbage::<Plain>::new());
    (0..=BATCH + 20).for_each(|_| _ = change(&domain, &garbage, 0));
    domain.skip_barriers(usize::MAX / 4 + 2);
    (0..10 * BATCH).for_each(|_| _ = change(&domain, &garbage, 0));
    let pending = garbage.len();
    assert!(pending < 8 * BATCH, "{pending} nodes wait for a barrier of long ago");
    free(garbage);
}

#[test]
fn insertions_yield_once_for_each_batch_that_readers_keep() {
    let (domain, garbage) = (Domain::new(), Garbage::<Plain>::new());
    let slot = domain.claim().unwrap();
    domain.pin(slot);
    let yields = (0..10 * BATCH).filter(|_| change(&domain, &garbage, 0)).count();
    // One batch is sealed, and the open list is longer than two for the last seven.
    assert!((7..=8).contains(&yields), "{yields} yields");
    while !change(&domain, &garbage, 0) {}
    // SAFETY: as above.
    (0..2 * BATCH).for_each(|_| unsafe { garbage.add(|| &domain, || 0, plain()) });
    drop(garbage.free_one_before(|| &domain, || 0, false));
    assert!(garbage.first.yields.load(), "an insertion that must not wait yields");

    Domain::unpin(slot);
    garbage.reclaim(&domain);
    let yields = (0..10 * BATCH).filter(|_| change(&domain, &garbage, 0)).count();
    assert!(yields <= 1, "{yields} yields without a reader");
    free(garbage);
}
