//! builds: default
//!
//! `CompressedMap` with its budget used up: models stay within it, and removals always make room again.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use std::time::Duration;
use support::rng::Rng;

const SEGMENT: usize = 4 << 10;
const LEN: usize = 120;

/// A codec that compresses values very well that begin like its last sample, and others hardly.
struct Fashion {
    model_bytes: usize,
}

struct Taste {
    like: u8,
    bytes: usize,
}

/// Returns a value that follows from its first five bytes.
fn value(like: u8, n: usize) -> [u8; LEN] {
    let mut value = [like; LEN];
    // Not the bytes of the key, which would not be stored.
    value[1..5].copy_from_slice(&(n as u32).to_be_bytes());
    value
}

fn key(n: usize) -> [u8; 4] {
    (n as u32).to_le_bytes()
}

impl Codec for Fashion {
    fn name(&self) -> &'static str {
        "fashion"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    /// Ignores the limit on the size of the model.
    fn train(&self, samples: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        let like = *samples.last()?.first()?;
        Some(Box::new(Taste { like, bytes: self.model_bytes }))
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        let [like] = *bytes else { return Err(Corrupt::new()) };
        Ok(Box::new(Taste { like, bytes: self.model_bytes }))
    }
}

impl Model for Taste {
    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        if plain.len() != LEN {
            return None;
        }
        let len = if plain[0] == self.like { 5 } else { LEN * 7 / 8 };
        into.get_mut(..len)?.copy_from_slice(&plain[..len]);
        Some(len)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        into.fill(*stored.first().ok_or(Corrupt::new())?);
        into.get_mut(..stored.len()).ok_or(Corrupt::new())?.copy_from_slice(stored);
        Ok(())
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        into(&[self.like]);
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

fn last(_: &[u8], value: Option<&[u8]>, operands: &[&[u8]]) -> Vec<u8> {
    let mut value = value.unwrap_or_default().to_vec();
    for operand in operands {
        match &mut value[..] {
            [like, _, _, _, _, rest @ ..] if operand.len() <= 1 => rest.fill(*like),
            _ => value = operand.to_vec(),
        }
    }
    value
}

fn map(budget: usize, model_bytes: usize) -> CompressedMap {
    let builder = CompressedMap::builder_without_codecs(budget).codec(Fashion { model_bytes });
    builder.segment_bytes(SEGMENT).merge(last).build()
}

/// Returns a map that was trained on values of 'a', with a model of no bytes.
fn trained(budget: usize) -> CompressedMap {
    let map = map(budget, 0);
    assert!(map.train(&[&value(b'a', 0)]));
    map
}

fn shuffled(count: usize) -> Vec<usize> {
    let mut keys: Vec<usize> = (0..count).collect();
    Rng::new(support::seed()).shuffle(&mut keys);
    keys
}

/// Returns a map to which values of one kind were added until one was refused, and how many they are.
fn full(budget: usize, like: u8) -> (CompressedMap, usize) {
    let map = trained(budget);
    let refused = (0..budget).find(|&n| map.insert(&key(n), &value(like, n)).is_err());
    (map, refused.expect("the map fills up"))
}

/// A sweep of a segment may meet values that an old model compressed well and the new one does not. Compressed again,
/// they would fill more segments than the sweep frees, and no sweep could go on.
#[test]
fn new_models_leave_room_for_sweeps() {
    for budget in [128 << 10, 512 << 10] {
        let count = full(budget, b'a').1 * 4 / 5;
        let map = trained(budget);
        for n in 0..count {
            map.insert(&key(n), &value(b'a', n)).unwrap();
        }
        assert!(map.train(&[&value(b'b', 0)]));
        for n in shuffled(count) {
            let changed = map.update(&key(n), |_| Some(value(b'b', n).to_vec()));
            let changed = changed.is_ok_and(|found| found);
            assert!(changed, "sweeps lack room at {n} of {count}: {:?}", map.stats());
        }
        for n in 0..count {
            assert_eq!(map.get(&key(n)), Ok(Some(value(b'b', n).to_vec())));
        }
    }
}

/// Models stay as long as the map, and segments may have taken the whole budget.
#[test]
fn models_stay_within_the_budget() {
    let budget = 512 << 10;
    let map = map(budget, 4 << 10);
    let mut adopted = 0;
    for n in 0.. {
        if n % 100 == 0 && n < 300 {
            adopted += usize::from(map.train(&[&value(b'a', n)]));
        }
        let stored = map.insert(&key(n), &value(b'a', n));
        let stats = map.stats();
        assert!(stats.memory_bytes <= budget, "{stats:?}");
        if stored.is_err() {
            break;
        }
    }
    assert_eq!(adopted, 3);
    for like in b'a'..b'q' {
        map.train(&[&value(like, 0)]);
        let stats = map.stats();
        assert!(stats.memory_bytes <= budget, "models are over budget: {stats:?}");
    }
}

/// A map that has refused values has room again after removals.
#[test]
fn a_map_that_has_refused_takes_again_what_was_removed() {
    support::rounds(6, Duration::from_secs(6), |round| {
        let mut rng = Rng::new(support::seed() + u64::from(round));
        let budget = [96 << 10, 200 << 10, 400 << 10][rng.below(3)];
        let map = map(budget, rng.below(2000));
        let likes = |rng: &mut Rng| b'a' + rng.below(4) as u8;
        let (mut next, mut refused) = (0, 0);
        for _ in 0..4 {
            let most = refused + 50;
            while refused < most {
                let (like, n) = (likes(&mut rng), rng.below(next + 1));
                let done = match rng.below(100) {
                    0 => {
                        map.train(&[&value(like, n)]);
                        Ok(())
                    }
                    1..50 => {
                        next += 1;
                        map.insert(&key(next), &value(like, next)).map(drop).map_err(drop)
                    }
                    50..70 => map.insert(&key(n), &value(like, n)).map(drop).map_err(drop),
                    70..85 => map.modify_deferred(&key(n), &value(like, n)).map_err(drop),
                    85..95 => map.modify_deferred(&key(n), b"").map_err(drop),
                    _ => {
                        let changed = map.update(&key(n), |_| Some(value(like, n).to_vec()));
                        changed.map(drop).map_err(drop)
                    }
                };
                refused += usize::from(done.is_err());
                assert!(map.stats().memory_bytes <= budget, "{:?}", map.stats());
            }
            let removed = (0..=next).filter(|n| n % 4 != 0 && map.remove(&key(*n))).count();
            for n in 0..removed / 8 {
                let stored = map.insert(&key(next + 1 + n), &value(b'a', n));
                assert!(stored.is_ok(), "{n} of {removed}: {:?}", map.stats());
            }
            next += removed / 8;
        }
    });
}

/// Operands are short, and the folded values are long: one hot segment fills more than one cold segment, and the last
/// free one must stay.
#[test]
fn deferred_changes_leave_room_to_compact() {
    for budget in [96 << 10, 200 << 10, 400 << 10] {
        let (map, count) = full(budget, b'b');
        let keys = shuffled(count);
        let (gone, kept) = keys.split_at(count / 10);
        assert!(gone.iter().all(|&n| map.remove(&key(n))));
        for &n in kept {
            let done = map.modify_deferred(&key(n), b"");
            assert!(done.is_ok(), "no room to put off {n} of {count}: {:?}", map.stats());
        }
        for &n in kept {
            let done = map.update(&key(n), Some);
            assert!(done == Ok(true), "{n} of {count}: {:?}", map.stats());
        }
    }
}
