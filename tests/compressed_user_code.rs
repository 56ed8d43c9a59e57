//! `CompressedMap`: codecs, merges and closures that panic, lie, or call the map.

mod support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use hedgerow::compressed::{ReadError, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::{ignore, must_panic, panics, planned_panic};

/// Which call of a codec goes wrong, counted down; none where it is 0.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    fn set(&self, calls: usize) {
        self.0.store(calls, Relaxed);
    }

    fn is_burnt(&self) -> bool {
        let left = self.0.load(Relaxed);
        self.0.store(left.saturating_sub(1), Relaxed);
        left == 1
    }

    fn burn(&self) {
        if self.is_burnt() {
            planned_panic();
        }
    }
}

/// Leaves out every second byte, which have to be blanks.
struct Blanks(Fuse);

impl Codec for Blanks {
    fn name(&self) -> &'static str {
        "blanks"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(Blanks(self.0.clone())))
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        self.0.burn();
        None
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(Blanks(self.0.clone())))
    }
}

impl Model for Blanks {
    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        self.0.burn();
        let mut len = 0;
        for pair in plain.chunks(2) {
            if pair.len() < 2 || pair[1] != b' ' {
                return None;
            }
            *into.get_mut(len)? = pair[0];
            len += 1;
        }
        Some(len)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        self.0.burn();
        if stored.len() * 2 != into.len() {
            return Err(Corrupt::new());
        }
        for (pair, &byte) in into.chunks_mut(2).zip(stored) {
            pair.copy_from_slice(&[byte, b' ']);
        }
        Ok(())
    }

    fn export(&self, _: &mut dyn FnMut(&[u8])) {
        self.0.burn();
    }

    fn bytes(&self) -> usize {
        0
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("key-{n}").into_bytes()
}

fn value(n: usize) -> Vec<u8> {
    format!("{n:040}").bytes().flat_map(|byte| [byte, b' ']).collect()
}

const KEYS: usize = 1_500;

/// Whatever call of the codec panics: all that was stored is there, and everything goes on.
#[test]
fn a_codec_that_panics_loses_nothing() {
    for doomed in 1..support::effort(120_usize) {
        let fuse = Fuse::default();
        let builder = CompressedMap::builder(160 << 10).codec(Blanks(fuse.clone()));
        let map = builder.segment_bytes(1 << 10).build();
        fuse.set(doomed);
        let mut there = Vec::new();
        for n in 0..KEYS {
            let mut stored = None;
            let panicked = panics(|| stored = Some(map.insert(&key(n), &value(n))));
            // Who makes room for others does so before or after its own entry.
            match stored {
                Some(Ok(_)) => there.push(n),
                Some(Err(error)) => assert_eq!(error, StoreError::BudgetExceeded),
                None => assert!(panicked),
            }
        }
        fuse.set(0);
        assert!(there.len() > KEYS / 2, "{} after {doomed}", there.len());
        for &n in &there {
            assert_eq!(map.get(&key(n)), Some(value(n)), "{n} after {doomed}");
        }
        assert_eq!(map.iter().count(), map.len());
        map.clear();
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
    }
}

#[test]
fn a_read_that_panics_leaves_the_value() {
    let fuse = Fuse::default();
    let builder = CompressedMap::builder(160 << 10).codec(Blanks(fuse.clone()));
    let mut map = builder.segment_bytes(1 << 10).build();
    (0..KEYS / 2).for_each(|n| ignore(map.insert(&key(n), &value(n)).expect("there is room")));
    map.shrink();
    let mut into = [0; 80];
    fuse.set(1);
    must_panic("a codec", || ignore(map.peek_into(&key(7), &mut into)));
    fuse.set(1);
    must_panic("a codec", || ignore(map.export(|_| Ok::<_, ()>(()))));
    assert_eq!(map.peek_into(&key(7), &mut into), Ok(Some(80)));
    assert_eq!(into[..], value(7)[..]);
    assert_eq!(
        map.peek_into(&key(7), &mut into[..79]),
        Err(ReadError::BufferTooSmall { need: 80 })
    );
}

#[test]
fn closures_may_panic_and_call_the_map() {
    let merge = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
        if changes.contains(&&b"doom"[..]) {
            planned_panic();
        }
        [value.unwrap_or_default(), &changes.concat()].concat()
    };
    let map = CompressedMap::builder(64 << 10).merge(merge).build();
    (0..100).for_each(|n| ignore(map.insert(&key(n), &value(n)).expect("there is room")));
    must_panic("update", || ignore(map.update(&key(1), |_| planned_panic())));
    must_panic("retain", || map.retain(|_, _| planned_panic()));
    must_panic("get_with", || map.get_with(&key(1), |_| planned_panic()).expect("it is there"));
    assert_eq!(map.len(), 100);
    map.modify_deferred(&key(3), "doom").expect("there is room");
    must_panic("a merge", || ignore(map.get(&key(3))));
    must_panic("a merge", || ignore(map.iter().count()));
    assert!(map.remove(&key(3)) && map.len() == 99);

    let within = map.update(&key(4), |value| {
        map.insert(&key(5), "other").expect("there is room");
        assert_eq!(map.get(&key(4)), Some(value.clone()));
        Some([value, b"more".to_vec()].concat())
    });
    assert_eq!(within, Ok(true));
    assert_eq!(map.get(&key(4)), Some([value(4), b"more".to_vec()].concat()));
    map.retain(|key, _| !map.remove(key));
    assert!(map.is_empty());
}

/// What a dishonest model answers, by the lengths of the value and of the buffer.
type Answer = fn(usize, usize) -> usize;

/// Fills the buffer and answers whatever it likes. What it stored, it says, decompresses to blanks.
#[derive(Clone)]
struct Liar(Answer);

impl Codec for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(self.clone()))
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        None
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(self.clone()))
    }
}

impl Model for Liar {
    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        into.fill(0xA5);
        Some((self.0)(plain.len(), into.len()))
    }

    fn decompress(&self, _: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        into.fill(b' ');
        Ok(())
    }

    fn export(&self, _: &mut dyn FnMut(&[u8])) {}

    fn bytes(&self) -> usize {
        0
    }
}

/// The key's value, by a buffer that is long enough for any.
fn read(map: &CompressedMap, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    let mut into = vec![0; 1 << 17];
    Ok(map.get_into(key, &mut into)?.map(|len| into[..len].to_vec()))
}

/// Of any length: some fill most of a segment.
fn any_value(n: usize, segment: usize) -> Vec<u8> {
    let noise = |at: usize| (at * 31 + n * 7919 + (at * n) / 13) as u8;
    (0..[40, 90, segment / 3, segment - 200][n % 4]).map(noise).collect()
}

/// A length beyond the buffer is an answer like "does not fit": nothing is stored by it, nothing is written by it.
#[test]
fn a_length_beyond_the_buffer_is_not_believed() {
    let lies: [Answer; 8] = [
        |_, room| room + 1,
        |plain, _| plain + 1,
        |plain, _| 2 * plain,
        |plain, room| room + plain / 16 + 20,
        |_, _| 1 << 16,
        |_, _| 1 << 21,
        |_, _| isize::MAX as usize,
        |_, _| usize::MAX,
    ];
    for segment in [1 << 10, 4 << 10, 64 << 10] {
        for (index, lie) in lies.into_iter().enumerate() {
            // Before and behind a codec whose answer is the best so far.
            for place in 0..3 {
                let builder = CompressedMap::builder(160 * segment).segment_bytes(segment);
                let blanks = || Blanks(Fuse::default());
                let mut map = match place {
                    0 => builder.codec(Liar(lie)),
                    1 => builder.codec(Liar(lie)).codec(blanks()),
                    _ => builder.codec(blanks()).codec(Liar(lie)),
                }
                .build();
                let any = |n: usize| if n % 3 == 0 { value(n) } else { any_value(n, segment) };
                let there = |n: &usize| map.insert(&key(*n), &any(*n)).is_ok();
                let there: Vec<usize> = (0..100).filter(there).collect();
                assert!(there.len() > 60, "{} of 100", there.len());
                map.shrink();
                let codecs = map.stats().codecs;
                let liar = codecs.iter().find(|codec| codec.name == "liar").expect("it is there");
                let where_ = format!("lie {index}, segments of {segment}, place {place}");
                assert_eq!(liar.records, 0, "a length beyond the buffer was believed: {where_}");
                for n in there {
                    assert_eq!(read(&map, &key(n)), Ok(Some(any(n))), "{n}: {where_}");
                }
            }
        }
    }
}

/// A length within the buffer may be a lie, too: then the value is another one, and nothing else is.
#[test]
fn a_length_within_the_buffer_harms_only_its_own_value() {
    let lies: [Answer; 3] = [|_, _| 0, |_, _| 1, |_, room| room];
    for lie in lies {
        let builder = CompressedMap::builder(256 << 10).segment_bytes(1 << 10);
        let mut map = builder.codec(Liar(lie)).build();
        (0..100).for_each(|n| ignore(map.insert(&key(n), &any_value(n, 1 << 10))));
        map.shrink();
        for n in 0..100 {
            let blanks = vec![b' '; any_value(n, 1 << 10).len()];
            assert_eq!(read(&map, &key(n)), Ok(Some(blanks)), "{n}");
            assert!(map.remove(&key(n)));
        }
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
    }
}

/// What a merge function makes may have any length. One that a segment does not hold is folded when it is read,
/// and stored never.
#[test]
fn a_merge_of_any_length_stays_within_a_segment() {
    for len in (900..1_040).chain([0, 1, 4_000, 70_000, 1 << 21]) {
        let merge = move |key: &[u8], _: Option<&[u8]>, _: &[&[u8]]| vec![key[key.len() - 1]; len];
        let builder = CompressedMap::builder(64 << 10).segment_bytes(1 << 10);
        let mut map = builder.merge(merge).build();
        // So that what sweeps work in has room for a whole segment.
        map.insert("long", &[1; 600]).expect("there is room");
        for n in 0..8 {
            map.modify_deferred(&key(n), "x").expect("there is room");
        }
        // Pushes them out of the hot front.
        for n in 100..500 {
            ignore(map.insert(&key(n), &value(n)));
        }
        map.shrink();
        for n in 0..8 {
            let folded = vec![key(n)[key(n).len() - 1]; len];
            let mut into = vec![0; len + 1];
            let read = map.get_into(&key(n), &mut into);
            assert_eq!(read, Ok(Some(len)), "a folded value of {len} bytes is lost");
            assert_eq!(into[..len], folded[..], "a folded value of {len} bytes was written over");
        }
        for n in 100..500 {
            let there = read(&map, &key(n));
            assert!(there == Ok(None) || there == Ok(Some(value(n))), "{n} beside {len}");
        }
        map.clear();
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
    }
}
