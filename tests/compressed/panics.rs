//! builds: asan
//!
//! `CompressedMap` with hashers and clocks that panic: after a value is stored, too, which stays a value like all
//! others. And with codecs that panic in training.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use std::hash::{BuildHasher, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::{panics, planned_panic};

/// Lets a number of calls pass, and panics at the next one. Before it is set, it never does.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    fn set(&self, calls: usize) {
        self.0.store(calls + 1, Relaxed);
    }

    fn pass(&self) {
        let left = self.0.load(Relaxed);
        self.0.store(left.saturating_sub(1), Relaxed);
        if left == 1 {
            planned_panic();
        }
    }
}

impl BuildHasher for Fuse {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.pass();
        DefaultHasher::new()
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn small() -> hedgerow::compressed::Builder {
    CompressedMap::builder_without_codecs(96 << 10).segment_bytes(1 << 10)
}

/// Stores and removes other values until each segment has been swept, and compares the map with the values that it must
/// have.
fn others_are_written(map: &CompressedMap, kept: &[(String, String)]) {
    for n in 0..5_000 {
        map.insert(&format!("other {n}"), &[9; 24]).expect("there is room");
        if n >= 100 {
            assert!(map.remove(&format!("other {}", n - 100)));
        }
    }
    for (key, value) in kept {
        assert_eq!(map.get(key), Ok(Some(value.clone().into_bytes())), "{key} is lost");
    }
    assert_eq!(map.len(), kept.len() + 100, "entries of nobody");
}

/// The index hashes keys again when it grows, after it has stored the new one.
#[test]
fn a_value_is_kept_if_the_hasher_panics_while_the_index_grows() {
    let fuse = Fuse::default();
    let map = small().hasher(fuse.clone()).build();
    let (mut kept, mut panicked) = (Vec::new(), 0);
    for n in 0..1_000 {
        let (key, value) = (format!("key {n}"), format!("value {n}"));
        // The first call is for the key itself.
        fuse.set(1);
        panicked += usize::from(panics(|| _ = map.insert(&key, &value)));
        fuse.0.store(0, Relaxed);
        if map.contains_key(&key) {
            kept.push((key, value));
        }
    }
    assert!(panicked > 100 && kept.len() == 1_000, "{panicked} panics, {} values", kept.len());
    let raw: usize = kept.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(map.stats().raw, raw, "bytes of values that are there are not counted");
    others_are_written(&map, &kept);
}

/// The clock says whether the value before has expired, after the new one is stored.
#[test]
fn a_value_is_kept_if_the_clock_panics_after_it_is_stored() {
    let fuse = Fuse::default();
    let clock = fuse.clone();
    let map = small().clock(move || {
        clock.pass();
        Duration::from_secs(1)
    });
    let map = map.build();
    let neighbours: Vec<_> = (0..12).map(|n| (format!("b{n:03}"), "12345678".to_owned())).collect();
    map.insert_for("aaaa", "12345678", DAY).unwrap();
    for (key, value) in &neighbours {
        map.insert_for(key, value, DAY).unwrap();
    }
    // As many as the neighbours: their segment then seemed to have no value.
    for _ in 0..6 {
        fuse.set(1);
        assert!(panics(|| _ = map.insert_for("aaaa", "12345678", DAY)), "the clock is not asked");
        fuse.set(1);
        assert!(panics(|| _ = map.update("aaaa", Some)), "the clock is not asked");
    }
    fuse.0.store(0, Relaxed);
    assert!(map.remove("aaaa"));
    others_are_written(&map, &neighbours);
}

/// Compresses each value to its first five bytes, once it was trained. Panics in the first few trainings.
#[derive(Clone)]
struct Pupil(Arc<(AtomicUsize, AtomicUsize)>);

impl Pupil {
    fn new(doomed: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(doomed), AtomicUsize::new(0))))
    }

    fn trainings(&self) -> usize {
        self.0.1.load(Relaxed)
    }
}

impl Codec for Pupil {
    fn name(&self) -> &'static str {
        "pupil"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        let (doomed, trainings) = &*self.0;
        if trainings.fetch_add(1, Relaxed) < doomed.load(Relaxed) {
            planned_panic();
        }
        Some(Box::new(self.clone()))
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(self.clone()))
    }
}

impl Model for Pupil {
    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        into.get_mut(..5)?.copy_from_slice(plain.get(..5)?);
        Some(5)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        into.fill(stored[0]);
        Ok(())
    }

    fn export(&self, _: &mut dyn FnMut(&[u8])) {}

    fn bytes(&self) -> usize {
        0
    }
}

/// Returns a full map whose codec panics in the first `doomed` trainings, how many entries it has, and how often it was
/// trained.
fn full_after_panics(doomed: usize, by_hand: bool) -> (CompressedMap, usize, usize) {
    let pupil = Pupil::new(doomed);
    let map = CompressedMap::builder_without_codecs(1 << 20).codec(pupil.clone()).build();
    if by_hand {
        assert!(panics(|| _ = map.train(&[&[7; 100]])), "it is not trained");
    }
    let (mut there, mut panicked) = (0, 0);
    for n in 0..60_000_u32 {
        let insert = || there += usize::from(map.insert(&n.to_le_bytes(), &[7; 100]).is_ok());
        panicked += usize::from(panics(insert));
    }
    assert_eq!(panicked + usize::from(by_hand), doomed.min(4), "training is not tried as often");
    (map, there, pupil.trainings())
}

#[test]
fn a_panic_in_training_does_not_end_compression() {
    let (_, most, _) = full_after_panics(0, false);
    for (doomed, by_hand) in [(1, false), (2, false), (3, false), (1, true)] {
        let (map, there, trainings) = full_after_panics(doomed, by_hand);
        assert!(trainings > doomed, "a map trains no more after {doomed} panics");
        assert!(
            there * 2 > most,
            "{there} entries fit after {doomed} panics, {most} without: {:?}",
            map.stats()
        );
    }
}

/// A codec that always panics costs the map neither its writes nor the memory that was reserved for models.
#[test]
fn training_that_always_panics_comes_to_an_end() {
    let (map, there, trainings) = full_after_panics(usize::MAX, false);
    assert_eq!(trainings, 4);
    let plain = CompressedMap::builder_without_codecs(1 << 20).build();
    let most =
        (0..60_000_u32).filter(|n| plain.insert(&n.to_le_bytes(), &[7; 100]).is_ok()).count();
    assert!(
        there * 10 > most * 9,
        "{there} entries fit, {most} without a codec: memory stays reserved: {:?}",
        map.stats()
    );
}
