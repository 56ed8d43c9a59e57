//! Random requests that change a database.
#![allow(dead_code, missing_docs, unreachable_pub)]

use crate::random::Random;
use hedgerow_db::request::{Change, ExpireCondition, Expiry, MultiKeyOp, Request, SetCondition};

/// A time that no test reaches, in milliseconds.
pub const FAR: u64 = 1 << 50;
pub const LIVES: [Expiry; 4] = [Expiry::Keep, Expiry::Never, Expiry::At(5), Expiry::At(FAR)];

pub const KEYS: [&[u8]; 24] = [
    b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j", b"k", b"l", b"m", b"n", b"o", b"p",
    b"q", b"r", b"s", b"t", b"u", b"{u}v", b"{u}w", b"",
];
pub const VALUES: [&[u8]; 9] = [
    b"",
    b"0",
    b"41",
    b"-7",
    b"2.5",
    b"rose",
    &[b'x'; 300],
    b"9223372036854775807",
    &[b'l'; 20_000],
];

/// Returns a change that sets a value without conditions or an expiration.
pub fn plain_set(value: &[u8]) -> Change<'_> {
    let (condition, expiry) = (SetCondition::Always, Expiry::Never);
    Change::Set { value, condition, expiry, get: false }
}

/// Returns a random change. Expirations are past, far away, or one of `lives`.
pub fn change(random: &mut Random, lives: &[Expiry]) -> Change<'static> {
    let (value, expiry, get) = (random.of(&VALUES), random.of(lives), random.below(2) == 0);
    match random.below(12) {
        0..4 => {
            let condition = random.of(&[
                SetCondition::Always,
                SetCondition::Always,
                SetCondition::IfAbsent,
                SetCondition::IfPresent,
            ]);
            Change::Set { value, condition, expiry, get }
        }
        4 => Change::Delete,
        5 => Change::GetDelete,
        6 => Change::Expire {
            expiry,
            condition: random.of(&[ExpireCondition::Always, ExpireCondition::Later]),
            get,
        },
        7 | 8 => Change::Increment(random.of(&[1, -5, 1 << 40])),
        9 => Change::IncrementFloat(random.of(&[0.5, -2.25]).into()),
        10 => Change::Append(value),
        _ => {
            let far = random.of(&[0, 0, 0, 0, 0, 0, 0, 17_000, 19_990, 262_100]);
            Change::SetRange { offset: far + random.below(80) as usize, bytes: value }
        }
    }
}

/// Makes a pipeline and passes it to `run`.
pub fn with_pipeline(random: &mut Random, lives: &[Expiry], run: impl FnOnce(&[Request<'_>])) {
    let pairs: Vec<_> = (0..4).map(|_| (random.of(&KEYS), random.of(&VALUES))).collect();
    let some: Vec<_> = (0..3).map(|_| random.of(&KEYS)).collect();
    let requests: Vec<_> = (0..=random.below(12))
        .map(|_| match random.below(30) {
            0..25 => Request::Change(random.of(&KEYS), change(random, lives)),
            25 => Request::MultiKey(MultiKeyOp::SetAll(&pairs)),
            26 => Request::MultiKey(MultiKeyOp::SetAllIfAbsent(&pairs[..2])),
            27 => Request::MultiKey(MultiKeyOp::DeleteAll(&some)),
            28 if random.below(8) == 0 => Request::MultiKey(MultiKeyOp::Clear),
            _ => {
                let (from, to) = (random.of(&KEYS), random.of(&KEYS));
                Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: random.below(2) == 0 })
            }
        })
        .collect();
    run(&requests);
}
