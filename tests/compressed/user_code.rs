//! builds: asan
//!
//! `CompressedMap` with codecs, merge functions and closures that panic, lie, or call the map.

use crate::support;

use hedgerow::CompressedMap;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Samples, TrainingTask, Work};
use hedgerow::compressed::{
    Encode, ExportError, ImportError, Policy, ReadError, StoreError, TypedMap,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use support::{ignore, must_panic, panics, planned_panic, within};

/// Counts down to the call of a codec that goes wrong; 0 means that no call does.
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

/// The behaviour of a codec without training: it has one model, of no bytes.
trait Untrained: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize>;
    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt>;
}

/// The codec, and its model.
#[derive(Clone)]
struct Of<T>(T);

impl<T: Untrained> Codec for Of<T> {
    fn name(&self) -> &'static str {
        T::NAME
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

impl<T: Untrained> Model for Of<T> {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        self.0.compress(plain, into, work)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        self.0.decompress(stored, into)
    }

    fn export(&self, _: &mut dyn FnMut(&[u8])) {}

    fn bytes(&self) -> usize {
        0
    }
}

/// Removes every second byte, which must be a blank.
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

/// If any call of the codec panics, all stored values stay, and the map works on.
#[test]
fn a_codec_that_panics_loses_nothing() {
    for doomed in 1..support::effort(120_usize) {
        let fuse = Fuse::default();
        let builder = CompressedMap::builder_without_codecs(160 << 10).codec(Blanks(fuse.clone()));
        let map = builder.segment_bytes(1 << 10).build();
        fuse.set(doomed);
        let mut there = Vec::new();
        for n in 0..KEYS {
            let mut stored = None;
            let panicked = panics(|| stored = Some(map.insert(&key(n), &value(n))));
            // A writer makes room before it inserts its entry, or afterwards.
            match stored {
                Some(Ok(_)) => there.push(n),
                Some(Err(error)) => assert_eq!(error, StoreError::BudgetExceeded),
                None => assert!(panicked),
            }
        }
        fuse.set(0);
        assert!(there.len() > KEYS / 2, "{} after {doomed}", there.len());
        for &n in &there {
            assert_eq!(map.get(&key(n)), Ok(Some(value(n))), "{n} after {doomed}");
        }
        assert_eq!(map.iter().count(), map.len());
        map.clear();
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
    }
}

/// A codec that panics at one certain value.
#[derive(Clone)]
struct Picky(&'static [u8]);

impl Untrained for Picky {
    const NAME: &'static str = "picky";

    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        if plain == self.0 {
            planned_panic();
        }
        Blanks(Fuse::default()).compress(plain, into, work)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        Blanks(Fuse::default()).decompress(stored, into)
    }
}

/// A sweep skips a value at which a codec always panics: only the first writer panics.
#[test]
fn a_value_that_no_codec_survives_stops_nobody() {
    let builder = CompressedMap::builder_without_codecs(160 << 10).codec(Of(Picky(b"doom")));
    let map = builder.segment_bytes(1 << 10).build();
    map.insert("the one", "doom").expect("there is room");
    let (mut stored, mut panicked) = (0, 0);
    for n in 0..KEYS {
        let insert = || stored += usize::from(map.insert(&key(n), &value(n)).is_ok());
        panicked += usize::from(panics(insert));
    }
    assert!((1..20).contains(&panicked), "one value makes {panicked} of {KEYS} writes panic");
    assert!(stored > KEYS / 2, "{stored}");
    assert_eq!(map.get("the one"), Ok(Some(b"doom".to_vec())));
}

#[test]
fn a_read_that_panics_leaves_the_value() {
    let fuse = Fuse::default();
    let builder = CompressedMap::builder_without_codecs(160 << 10).codec(Blanks(fuse.clone()));
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
    let map = CompressedMap::builder_without_codecs(64 << 10).merge(merge).build();
    (0..100).for_each(|n| ignore(map.insert(&key(n), &value(n)).expect("there is room")));
    must_panic("update", || ignore(map.update(&key(1), |_| planned_panic())));
    must_panic("retain", || map.retain(|_, _| planned_panic()));
    must_panic("get_with", || ignore(map.get_with(&key(1), |_| planned_panic())));
    assert_eq!(map.len(), 100);
    map.modify_deferred(&key(3), "doom").expect("there is room");
    must_panic("a merge", || ignore(map.get(&key(3))));
    must_panic("a merge", || ignore(map.iter().count()));
    assert!(map.remove(&key(3)) && map.len() == 99);

    let within = map.update(&key(4), |value| {
        map.insert(&key(5), "other").expect("there is room");
        assert_eq!(map.get(&key(4)), Ok(Some(value.clone())));
        Some([value, b"more".to_vec()].concat())
    });
    assert_eq!(within, Ok(true));
    assert_eq!(map.get(&key(4)), Ok(Some([value(4), b"more".to_vec()].concat())));
    map.retain(|key, _| !map.remove(key));
    assert!(map.is_empty());
}

/// The answer of a dishonest model, from the lengths of the value and of the buffer.
type Answer = fn(usize, usize) -> usize;

/// A model that fills the buffer and returns any length. It decompresses all bytes to blanks.
#[derive(Clone)]
struct Liar(Answer);

impl Untrained for Liar {
    const NAME: &'static str = "liar";

    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        into.fill(0xA5);
        Some((self.0)(plain.len(), into.len()))
    }

    fn decompress(&self, _: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        into.fill(b' ');
        Ok(())
    }
}

/// Returns the key's value, read into a buffer that is long enough for any.
fn read(map: &CompressedMap, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    let mut into = vec![0; 1 << 17];
    Ok(map.get_into(key, &mut into)?.map(|len| into[..len].to_vec()))
}

/// Returns a value of any length. Some fill most of a segment.
fn any_value(n: usize, segment: usize) -> Vec<u8> {
    let noise = |at: usize| (at * 31 + n * 7919 + (at * n) / 13) as u8;
    (0..[40, 90, segment / 3, segment - 200][n % 4]).map(noise).collect()
}

/// A length beyond the buffer counts as "does not fit": no value is stored or written by it.
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
            // The liar comes before and behind the codec with the best answer so far.
            for place in 0..3 {
                let builder =
                    CompressedMap::builder_without_codecs(160 * segment).segment_bytes(segment);
                let blanks = || Blanks(Fuse::default());
                let mut map = match place {
                    0 => builder.codec(Of(Liar(lie))),
                    1 => builder.codec(Of(Liar(lie))).codec(blanks()),
                    _ => builder.codec(blanks()).codec(Of(Liar(lie))),
                }
                .build();
                let any =
                    |n: usize| if n.is_multiple_of(3) { value(n) } else { any_value(n, segment) };
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

/// A length within the buffer may be a lie, too. Then this value is wrong, and no other.
#[test]
fn a_length_within_the_buffer_harms_only_its_own_value() {
    let lies: [Answer; 3] = [|_, _| 0, |_, _| 1, |_, room| room];
    for lie in lies {
        let builder = CompressedMap::builder_without_codecs(256 << 10).segment_bytes(1 << 10);
        let mut map = builder.codec(Of(Liar(lie))).build();
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

/// A merge function may return a value of any length. If a segment has no room for it, it is folded by each read, and
/// never stored.
#[test]
fn a_merge_of_any_length_stays_within_a_segment() {
    for len in [0, 1, 100, 4_000, 70_000, 1 << 21].into_iter().chain((936..1_030).step_by(4)) {
        let merge = move |key: &[u8], _: Option<&[u8]>, _: &[&[u8]]| vec![key[key.len() - 1]; len];
        let builder = CompressedMap::builder_without_codecs(64 << 10).segment_bytes(1 << 10);
        let mut map = builder.merge(merge).build();
        // Makes the buffers of sweeps as long as a segment.
        map.insert("long", &[1; 600]).expect("there is room");
        for n in 0..8 {
            map.modify_deferred(&key(n), "x").expect("there is room");
        }
        // Pushes the operands out of the hot front.
        let again = (0..2_000).map(|n| 100 + n % 350);
        let stored = again.filter(|&n| map.insert(&key(n), &value(n)).is_ok()).count();
        assert!(stored > 1_500, "a folded value of {len} bytes stops all writes: {stored} of 2000");
        map.shrink();
        let left = map.stats().hot_segments;
        assert_eq!(left, 0, "a folded value of {len} bytes stops the sweep of its segment");
        for n in 0..8 {
            let folded = vec![key(n)[key(n).len() - 1]; len];
            let mut into = vec![0; len + 1];
            let read = map.get_into(&key(n), &mut into);
            assert_eq!(read, Ok(Some(len)), "a folded value of {len} bytes is lost");
            assert_eq!(into[..len], folded[..], "a folded value of {len} bytes was written over");
        }
        for n in 100..450 {
            let there = read(&map, &key(n));
            assert!(there == Ok(None) || there == Ok(Some(value(n))), "{n} beside {len}");
        }
        map.clear();
        let stats = map.stats();
        assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
    }
}

/// Stores all bytes of a value but the last, and returns errors once it is told to.
#[derive(Clone, Default)]
struct Forgetful(Arc<AtomicBool>);

impl Untrained for Forgetful {
    const NAME: &'static str = "forgetful";

    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        let (stored, rest) = plain.split_first_chunk::<8>()?;
        into.first_chunk_mut::<8>()?.copy_from_slice(stored);
        rest.iter().all(|&byte| byte == b'.').then_some(8)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        if self.0.load(Relaxed) {
            return Err(Corrupt::new());
        }
        into.fill(b'.');
        into.get_mut(..8).ok_or(Corrupt::new())?.copy_from_slice(stored);
        Ok(())
    }
}

/// Damage is an error of every operation that needs the value, and of no other. No operation takes a damaged value for
/// absent, and none removes it unless the caller requests that.
#[test]
fn damage_is_an_error_and_never_an_absence() {
    let forgets = Forgetful::default();
    let append = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
        [value.unwrap_or_default(), &changes.concat()].concat()
    };
    let builder =
        CompressedMap::builder_without_codecs(256 << 10).segment_bytes(1 << 10).merge(append);
    let mut map = builder.codec(Of(forgets.clone())).build();
    let dotted = |n: usize| format!("{n:08}................................").into_bytes();
    (0..100).for_each(|n| ignore(map.insert(&key(n), &dotted(n)).expect("there is room")));
    map.shrink();
    (100..110).for_each(|n| ignore(map.insert(&key(n), &value(n)).expect("there is room")));
    map.modify_deferred(&key(7), "more").expect("there is room");
    forgets.0.store(true, Relaxed);

    let lost = "damage was taken for an absence";
    for n in [0, 7, 99] {
        assert_eq!(map.get(&key(n)), Err(Corrupt::new()), "{lost}");
        assert_eq!(map.get_with(&key(n), <[u8]>::len), Err(Corrupt::new()), "{lost}");
        assert_eq!(map.get_into(&key(n), &mut [0; 80]), Err(ReadError::Corrupt), "{lost}");
        assert_eq!(map.peek_into(&key(n), &mut [0; 80]), Err(ReadError::Corrupt), "{lost}");
        assert_eq!(map.update(&key(n), Some), Err(StoreError::Corrupt), "{lost}");
        assert!(map.contains_key(&key(n)));
    }
    assert_eq!(map.get(&key(105)), Ok(Some(value(105))));
    assert_eq!(map.get("none"), Ok(None));
    let (whole, damaged): (Vec<_>, Vec<_>) = map.iter().partition(|(_, value)| value.is_ok());
    assert_eq!((whole.len(), damaged.len()), (10, 100), "{lost}");
    assert!(damaged.iter().any(|(of, _)| *of == key(7)), "{lost}");
    let exported = map.export(|_| Ok::<_, ()>(()));
    assert!(matches!(exported, Err(ExportError::Corrupt { .. })), "{lost}: {exported:?}");

    let map = TypedMap::<Vec<u8>, Vec<u8>>::new(map);
    assert_eq!(map.get(&key(3)), Err(Corrupt::new()), "{lost}");
    assert_eq!(map.update(&key(3), Some), Err(StoreError::Corrupt), "{lost}");
    assert_eq!(map.iter().filter(Result::is_err).count(), 100, "{lost}");
    let map = map.into_map();

    // The caller of `retain` decides; other operations keep damaged values.
    let mut told = 0;
    map.retain(|_, value| {
        told += usize::from(value.is_err());
        true
    });
    assert_eq!((told, map.len()), (100, 110), "a damaged value was removed unasked");
    // A damaged value may be replaced and removed.
    assert_eq!(map.insert(&key(0), "new"), Ok(true));
    assert!(map.remove(&key(1)));
    map.retain(|_, value| value.is_ok());
    assert_eq!(map.len(), 11);
    assert_eq!(map.get(&key(0)), Ok(Some(b"new".to_vec())));
    let count = map.export(|_| Ok::<_, ()>(()));
    assert_eq!(count, Ok(11));
    map.clear();
    let stats = map.stats();
    assert_eq!((stats.len, stats.raw, stats.cold, stats.hot), (0, 0, 0, 0), "{stats:?}");
}

/// A value that is no `V` is an error, also if it became a `V` during the update.
#[test]
fn an_update_of_a_value_of_another_type_runs_again() {
    struct Even(u64);
    impl Encode for Even {
        fn with_bytes<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
            look(&self.0.to_le_bytes())
        }
    }
    thread_local! {
        static MEANWHILE: std::cell::Cell<Option<fn()>> = const { std::cell::Cell::new(None) };
        static MAP: TypedMap<u64, Even> = TypedMap::new(CompressedMap::with_budget(64 << 10));
    }
    impl hedgerow::compressed::Decode for Even {
        fn decode(bytes: &[u8]) -> Option<Self> {
            if let Some(meanwhile) = MEANWHILE.take() {
                meanwhile();
            }
            let number = u64::from_le_bytes(bytes.try_into().ok()?);
            number.is_multiple_of(2).then_some(Self(number))
        }
    }
    MAP.with(|map| {
        map.insert(&1, &Even(3)).expect("there is room");
        assert_eq!(map.update(&1, Some), Err(StoreError::Corrupt));
        let stored = || map.as_map().get(&1u64.to_le_bytes());
        assert_eq!(stored(), Ok(Some(3u64.to_le_bytes().to_vec())), "it stays");
        // Good when it is read, and another value when it is stored.
        map.insert(&1, &Even(4)).expect("there is room");
        MEANWHILE.set(Some(|| MAP.with(|map| ignore(map.insert(&1, &Even(6))))));
        assert_eq!(map.update(&1, |Even(n)| Some(Even(n + 10))), Ok(true));
        assert_eq!(stored(), Ok(Some(16u64.to_le_bytes().to_vec())));
    });
}

/// A codec that may return another name at each call, with models of any size.
struct Strange {
    name: fn(usize) -> &'static str,
    asked: AtomicUsize,
    bytes: usize,
    exports: usize,
}

impl Strange {
    fn named(name: fn(usize) -> &'static str) -> Self {
        Self { name, asked: AtomicUsize::new(0), bytes: 0, exports: 0 }
    }
}

impl Codec for Strange {
    fn name(&self) -> &'static str {
        (self.name)(self.asked.fetch_add(1, Relaxed))
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(StrangeModel(self.bytes, self.exports)))
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        self.untrained()
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(StrangeModel(self.bytes, self.exports)))
    }
}

struct StrangeModel(usize, usize);

impl Model for StrangeModel {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        Forgetful::default().compress(plain, into, work)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        Forgetful::default().decompress(stored, into)
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        let piece = vec![0; 1 << 16];
        for begin in (0..self.1).step_by(piece.len()) {
            into(&piece[..piece.len().min(self.1 - begin)]);
        }
    }

    fn bytes(&self) -> usize {
        self.0
    }
}

const NAME_OF_255: &str = {
    const BYTES: [u8; 255] = [b'n'; 255];
    match std::str::from_utf8(&BYTES) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
};
const NAME_OF_256: &str = {
    const BYTES: [u8; 256] = [b'n'; 256];
    match std::str::from_utf8(&BYTES) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
};

fn dotted(n: usize) -> Vec<u8> {
    format!("{n:08}................................").into_bytes()
}

/// Exports and imports cold values of the same codec.
fn there_and_back(codec: impl Fn() -> Strange) -> Result<usize, String> {
    let build = || {
        CompressedMap::builder_without_codecs(256 << 10)
            .segment_bytes(1 << 10)
            .codec(codec())
            .build()
    };
    let mut map = build();
    (0..100).for_each(|n| ignore(map.insert(&key(n), &dotted(n)).expect("there is room")));
    map.shrink();
    assert_eq!(map.stats().codecs[0].records, 100, "nothing was compressed");
    let mut bytes = Vec::new();
    let exported = map.export(|part| {
        bytes.extend_from_slice(part);
        Ok::<_, std::fmt::Error>(())
    });
    exported.map_err(|error| error.to_string())?;
    let (other, mut rest) = (build(), &bytes[..]);
    let imported = other.import(|into| std::io::Read::read(&mut rest, into));
    let imported = imported.map_err(|error: ImportError<std::io::Error>| error.to_string())?;
    (0..100).for_each(|n| assert_eq!(other.get(&key(n)), Ok(Some(dotted(n))), "{n}"));
    Ok(imported)
}

/// Values of a codec with any name can be exported and imported, or the map refuses the codec.
#[test]
fn a_codec_of_any_name_can_be_exported_and_imported() {
    let names: [fn(usize) -> &'static str; 4] = [
        |_| "",
        |_| NAME_OF_255,
        // Another name at each call.
        |asked| ["one", "two", "three", "four", "five"][asked % 5],
        |asked| if asked == 0 { "one" } else { NAME_OF_256 },
    ];
    for (index, name) in names.into_iter().enumerate() {
        let told = "an export cannot be imported";
        assert_eq!(there_and_back(|| Strange::named(name)), Ok(100), "{told}: name {index}");
    }
    let refused = std::panic::catch_unwind(|| {
        ignore(
            CompressedMap::builder_without_codecs(1 << 20).codec(Strange::named(|_| NAME_OF_256)),
        );
    });
    let payload = refused.expect_err("a name was accepted that no export has room for");
    assert_eq!(support::message(&*payload), "a codec's name has more than 255 bytes");

    let sized = |exports| move || Strange { exports, ..Strange::named(|_| "large") };
    assert_eq!(there_and_back(sized(1 << 20)), Ok(100));
    let told = there_and_back(sized((1 << 26) + 1));
    assert_eq!(told, Err("a model of codec \"large\" takes more than 67108864 bytes".into()));
}

/// A model may report any size, and counts with that.
#[test]
fn a_model_of_any_size_is_counted() {
    for bytes in [usize::MAX, usize::MAX - 100, isize::MAX as usize, 1 << 40] {
        let codec = || Strange { bytes, ..Strange::named(|_| "large") };
        for budget in [64 << 10, 1 << 20, usize::MAX >> 1] {
            let map = CompressedMap::builder_without_codecs(budget).codec(codec()).build();
            let inserted = map.insert("key", "value");
            let fits = bytes < budget;
            assert_eq!(inserted.is_ok(), fits, "a model of {bytes} bytes in {budget}");
            assert!(map.stats().memory_bytes >= bytes);
            assert!(!map.train(&[b"one", b"another"]), "there was no room for it");
            assert_eq!(map.get("key"), Ok(fits.then(|| b"value".to_vec())));
        }
    }
}

/// A codec whose training never ends.
struct Endless(Arc<AtomicUsize>);

impl Codec for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        None
    }

    fn start_training(&self, _: Samples, _: usize) -> Result<TrainingTask, Samples> {
        let polls = self.0.clone();
        Ok(Box::pin(std::future::poll_fn(move |_| {
            polls.fetch_add(1, Relaxed);
            Poll::Pending
        })))
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Err(Corrupt::new())
    }
}

#[test]
fn training_that_never_ends_is_cancelled() {
    let polls = Arc::new(AtomicUsize::new(0));
    let told = polls.clone();
    within(60, "an insert during training without end", move || {
        let builder = CompressedMap::builder_without_codecs(128 << 10).codec(Endless(polls));
        let map = builder.codec(Blanks(Fuse::default())).build();
        let there = (0..KEYS).filter(|&n| map.insert(&key(n), &value(n)).is_ok()).count();
        assert!(there > 500, "{there}");
        let read = (0..there).filter(|&n| map.get(&key(n)) == Ok(Some(value(n)))).count();
        assert!(read > 500, "{read}");
        assert!(map.stats().codecs[1].records > 0, "the other codec goes on");
    });
    assert!(told.load(Relaxed) > 1_000, "training was cancelled too soon");
    // Steps do not wait forever either.
    let polls = Arc::new(AtomicUsize::new(0));
    within(60, "a step during training without end", move || {
        let map = CompressedMap::builder_without_codecs(128 << 10).codec(Endless(polls)).build();
        (0..300).for_each(|n| ignore(map.insert(&key(n), &value(n))));
        while map.compress_step(usize::MAX) {}
    });
}

/// A codec that writes to its own map during training, until the map refuses.
struct Author(Arc<OnceLock<Weak<CompressedMap>>>);

impl Codec for Author {
    fn name(&self) -> &'static str {
        "author"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        let map = self.0.get()?.upgrade()?;
        (0..100_000).for_each(|n| ignore(map.insert(&format!("by its author {n}"), &value(n))));
        None
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Err(Corrupt::new())
    }
}

/// A codec in training must not wait for the room that only the end of its training makes.
#[test]
fn a_codec_that_writes_to_its_own_map_during_training_panics() {
    within(60, "an insert by a codec in training", || {
        let it = Arc::new(OnceLock::new());
        let map = Arc::new(
            CompressedMap::builder_without_codecs(128 << 10).codec(Author(it.clone())).build(),
        );
        it.set(Arc::downgrade(&map)).expect("it is set once");
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..100_000).for_each(|n| ignore(map.insert(&key(n), &value(n))));
        }));
        let told =
            told.expect_err("a codec wrote to its own map during training, and did not panic");
        let told = support::message(&*told).to_owned();
        assert!(told.contains("codecs must not change their own map"), "{told}");
        assert_eq!(map.get(&key(0)), Ok(Some(value(0))));
    });
}

/// Extreme budgets, sizes and steps.
#[test]
fn any_parameter_is_taken() {
    let ends = [0, 1, 1 << 10, 1 << 20, u32::MAX as usize, isize::MAX as usize, usize::MAX];
    for budget in ends {
        for segment in ends {
            for policy in [Policy::Refuse, Policy::Evict] {
                let builder = CompressedMap::builder_without_codecs(budget)
                    .segment_bytes(segment)
                    .policy(policy);
                let mut map = builder.codec(Blanks(Fuse::default())).build();
                let there = (0..40).filter(|&n| map.insert(&key(n), &value(n)).is_ok()).count();
                assert!(there == 40 || budget <= 1 << 10, "{there} in {budget}");
                for bytes in ends {
                    while map.compress_step(bytes) {}
                    assert!(
                        map.insert("long", &vec![1; bytes.min(1 << 22)]).is_err()
                            || bytes < 1 << 16
                    );
                }
                assert_eq!(map.get_into(&key(0), &mut []).is_err(), there > 0);
                map.shrink();
                assert_eq!(map.get(&key(0)), Ok((there > 0).then(|| value(0))));
                ignore(map.stats());
            }
        }
    }
}
