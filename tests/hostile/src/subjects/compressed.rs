//! `CompressedMap` with a codec that returns wrong answers.

use super::keeps;
use crate::play::{Subject, Walk};
use crate::program::{Op, Program, Verb};
use crate::world::{self, LASTING};
use hedgerow::CompressedMap;
use hedgerow::compressed::Policy;
use hedgerow::compressed::codec::{Codec, Corrupt, Model, Samples, SmallText, TrainingTask, Work};
use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

pub(super) struct Map(CompressedMap);

/// The fault of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Never,
    /// Returns a length above the room.
    Longer,
    /// Returns another length than it wrote.
    Other,
    /// Refuses to decompress, at times.
    Refuses,
    /// Never ends training.
    Endless,
}

/// Compresses values of which all bytes but the first ones are the same, or come in pairs. Its answers depend on how
/// it is wrong.
#[derive(Clone, Copy, Debug)]
struct Runs(Wrong);

/// The first bytes of a value, which are stored as they are.
const PLAIN: usize = 5;

static CALLS: AtomicU32 = AtomicU32::new(0);

fn now_and_then() -> bool {
    CALLS.fetch_add(1, Relaxed).is_multiple_of(4)
}

impl Model for Runs {
    fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
        world::step();
        if self.0 == Wrong::Longer && now_and_then() {
            return Some(
                into.len() + [1, 60_000, usize::MAX - into.len()][(world::random() % 3) as usize],
            );
        }
        let (head, body) = plain.split_at_checked(PLAIN)?;
        let is_run = body.windows(2).all(|pair| pair[0] == pair[1]);
        let is_paired = body.len().is_multiple_of(2) && body.chunks(2).all(|p| p[0] == p[1]);
        let stored = match (is_run, is_paired) {
            (true, _) => PLAIN + 1,
            (false, true) => PLAIN + body.len() / 2,
            (false, false) => return None,
        };
        let (first, rest) = into.get_mut(..stored)?.split_at_mut(PLAIN);
        first.copy_from_slice(head);
        rest[0] = body.first().copied().unwrap_or_default();
        rest.iter_mut().zip(body.iter().step_by(2)).for_each(|(to, &byte)| *to = byte);
        Some(if self.0 == Wrong::Other && now_and_then() { 3 } else { stored })
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        world::step();
        let damaged = Corrupt::new();
        let (head, body) = stored.split_at_checked(PLAIN).ok_or(damaged)?;
        let (first, rest) = into.split_at_mut_checked(PLAIN).ok_or(damaged)?;
        if self.0 == Wrong::Refuses && now_and_then() {
            return Err(damaged);
        }
        first.copy_from_slice(head);
        match *body {
            [byte] => rest.fill(byte),
            _ if rest.len() == 2 * body.len() => {
                rest.chunks_mut(2).zip(body).for_each(|(pair, &byte)| pair.fill(byte));
            }
            _ => return Err(damaged),
        }
        Ok(())
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        into(&[1, 2, 3]);
    }

    fn bytes(&self) -> usize {
        8
    }
}

/// A training task that never ends.
struct Endless;

impl Future for Endless {
    type Output = Option<Box<dyn Model>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        world::step();
        Poll::Pending
    }
}

impl Codec for Runs {
    fn name(&self) -> &'static str {
        "runs"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        world::step();
        Some(Box::new(*self))
    }

    fn train(&self, samples: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        world::step();
        (samples.len() > 2).then(|| Box::new(*self) as Box<dyn Model>)
    }

    fn start_training(&self, samples: Samples, _: usize) -> Result<TrainingTask, Samples> {
        if self.0 == Wrong::Endless { Ok(Box::pin(Endless)) } else { Err(samples) }
    }

    fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        if now_and_then() { Err(Corrupt::new()) } else { Ok(Box::new(*self)) }
    }
}

fn key(id: u32) -> [u8; 4] {
    id.to_le_bytes()
}

/// A value's number, another byte, and as a rule many of a third. One in eight is long and has nothing to compress. As
/// many compress to half their length, which is more than a look-up has room for without allocating.
fn value(id: u32) -> Vec<u8> {
    let noise = |at: u32| (at.wrapping_add(id).wrapping_mul(0x9E37_79B9) >> 24) as u8;
    let mut bytes: Vec<u8> = match id % 8 {
        5 => (0..1500).map(noise).collect(),
        3 => (0..3005u32).map(|at| noise(at.div_ceil(2))).collect(),
        _ => vec![id as u8; PLAIN + (id as usize * 37) % 700],
    };
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    bytes[4] = 7;
    bytes
}

/// Returns the number of a value, if it is whole. A wrong codec may have changed it in any way.
fn number(bytes: &[u8], wrong: bool) -> u32 {
    let id = bytes.first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
    if !wrong && (id > 10_000 || bytes != value(id)) {
        world::note(|| format!("a torn value of {} bytes", bytes.len()));
    }
    id
}

/// The state of each thread.
pub(super) struct Local {
    /// Whether values may be wrong.
    wrong: bool,
    /// The key that is being read, until another value replaces what it had.
    read: Cell<Option<u32>>,
}

impl Local {
    /// Looks at a value that the map returned.
    fn see(&self, bytes: Result<&[u8], Corrupt>) {
        self.check(bytes.is_ok());
        if let Ok(bytes) = bytes {
            number(bytes, self.wrong);
        }
    }

    /// Only a codec that is wrong may make the map say that something is damaged.
    fn check(&self, is_well: bool) {
        if !is_well && !self.wrong {
            world::note(|| "a value is said to be damaged".into());
        }
    }
}

fn wrong(program: &Program) -> Wrong {
    match program.choice() / 32 {
        0..4 => Wrong::Never,
        4 => Wrong::Longer,
        5 => Wrong::Other,
        6 => Wrong::Refuses,
        _ => Wrong::Endless,
    }
}

impl Map {
    fn iterate(&self, local: &Local) {
        let mut walk = Walk::default();
        for (key, bytes) in &self.0 {
            local.see(bytes.as_deref().map_err(|&damage| damage));
            walk.meet(key.try_into().map_or(0, u32::from_le_bytes));
        }
        if !local.wrong {
            walk.end("iter");
        }
    }

    /// Runs a look-up. Half of them find another value than before when they have allocated for the first time, as if
    /// another thread had written meanwhile. Later allocations may be under locks, which that thread would wait for.
    fn read<R>(local: &Local, op: Op, look_up: impl FnOnce() -> R) -> R {
        struct Done<'a>(&'a Local);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.read.set(None);
            }
        }
        let _done = Done(local);
        if op.value >= 128 {
            return look_up();
        }
        local.read.set(Some(op.id()));
        world::with_calling_allocator(1, look_up)
    }

    /// Replaces a key while another thread reads it.
    fn replace(&self, id: u32) {
        let name = key(id);
        match world::random() % 8 {
            0 => drop(self.0.remove(&name)),
            1 => drop(self.0.modify_deferred(&name, &value(1))),
            2 => drop(self.0.insert(&name, &value(19))),
            3 => drop(self.0.insert(&name, &value(5))),
            _ => drop(self.0.insert(&name, &value(1))),
        }
    }

    fn get(&self, local: &Local, op: Op) {
        let mut buffer = [0; 1000];
        let buffer = if op.value % 128 < 32 { &mut buffer[..300] } else { &mut buffer[..] };
        let found = Self::read(local, op, || {
            if op.arg.is_multiple_of(4) {
                self.0.peek_into(&key(op.id()), buffer)
            } else {
                self.0.get_into(&key(op.id()), buffer)
            }
        });
        if let Ok(Some(length)) = found {
            number(&buffer[..length], local.wrong);
        }
        let found = Self::read(local, op, || {
            self.0.get_with(&key(op.id()), |bytes| {
                world::step();
                number(bytes, local.wrong)
            })
        });
        local.check(found.is_ok());
    }

    fn transfer(&self, local: &Local) {
        let mut bytes = Vec::new();
        let written = self.0.export(|piece| -> Result<(), ()> {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        local.check(written.is_ok());
        let flip = world::random() as usize % bytes.len().max(1);
        if now_and_then() && !bytes.is_empty() {
            bytes[flip] ^= 0x10;
        }
        let other = CompressedMap::builder_without_codecs(1 << 20)
            .segment_bytes(4 << 10)
            .codec(Runs(Wrong::Never))
            .build();
        let mut left = &bytes[..];
        let _ = other.import(|into| -> Result<usize, ()> {
            let length = left.len().min(into.len());
            into[..length].copy_from_slice(&left[..length]);
            left = &left[length..];
            Ok(length)
        });
    }
}

impl Subject for Map {
    const VERBS: &'static [&'static [Verb]] = &[&[
        Verb::Insert,
        Verb::Insert,
        Verb::Insert,
        Verb::InsertMany,
        Verb::Get,
        Verb::Get,
        Verb::Remove,
        Verb::Update,
        Verb::Defer,
        Verb::Retain,
        Verb::Iterate,
        Verb::Finish,
        Verb::Finish,
        Verb::Transfer,
        Verb::Train,
    ]];
    const LASTS: bool = true;
    type Local = Local;

    fn new(program: &Program) -> Self {
        let wrong = wrong(program);
        CALLS.store(0, Relaxed);
        let builder = CompressedMap::builder_without_codecs(96 << 10)
            .segment_bytes(4 << 10)
            .codec(Runs(wrong));
        let merge = |_: &[u8], before: Option<&[u8]>, operands: &[&[u8]]| {
            world::step();
            let last = operands.last().or(before.as_ref());
            last.map(|bytes| bytes.to_vec()).unwrap_or_default()
        };
        let builder =
            if program.choice().is_multiple_of(3) { builder.merge(merge) } else { builder };
        let builder = if program.choice().is_multiple_of(5) {
            builder.codec(SmallText::new())
        } else {
            builder
        };
        let builder = builder.policy(Policy::default());
        let map = builder.build();
        for id in 0..LASTING {
            let stored = map.insert(&key(id), &value(id));
            assert!(stored.is_ok(), "there is room for lasting keys");
        }
        Self(map)
    }

    fn join(&self, program: &Program) -> Local {
        let wrong = !matches!(wrong(program), Wrong::Never | Wrong::Endless);
        Local { wrong, read: Cell::new(None) }
    }

    fn act(&self, local: &Local, op: Op, _: &mut dyn FnMut()) {
        let (map, name) = (&self.0, key(op.id()));
        let bytes = || value(op.id() + u32::from(op.arg));
        match op.verb(Self::VERBS) {
            Verb::Insert => drop(map.insert(&name, &bytes())),
            Verb::InsertMany => {
                for id in 0..u32::from(op.arg) {
                    let _ = map.insert(&key(LASTING + id), &value(op.id() + id));
                }
            }
            Verb::Get => self.get(local, op),
            Verb::Remove => drop(map.remove(&name)),
            Verb::Update => drop(map.update(&name, |before| {
                world::step();
                number(&before, local.wrong);
                op.picks(op.id()).then(bytes)
            })),
            Verb::Defer => drop(map.modify_deferred(&name, &bytes())),
            Verb::Retain => map.retain(|key, bytes| {
                local.see(bytes);
                keeps(key.try_into().map_or(0, u32::from_le_bytes), op)
            }),
            Verb::Iterate => self.iterate(local),
            Verb::Finish => {
                map.compress_step(usize::from(op.arg) * 100);
            }
            Verb::Transfer => self.transfer(local),
            _ => {
                let samples: Vec<Vec<u8>> = op.ids().map(value).collect();
                let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
                map.train(&samples);
            }
        }
    }

    fn reenter(&self, local: &Local) {
        if let Some(id) = local.read.take() {
            return self.replace(id);
        }
        let id = LASTING + (world::random() % 8) as u32;
        if !self.0.remove(&key(id + 1)) {
            let _ = self.0.insert(&key(id), &value(1));
        }
    }

    fn lasting(&self, local: &Local, id: u32) -> Option<Option<u32>> {
        let found = self.0.get_with(&key(id), |bytes| number(bytes, local.wrong));
        if local.wrong { Some(None) } else { found.ok().flatten().map(Some) }
    }

    fn end(&mut self) {
        self.0.shrink();
    }
}
