//! Random requests that change a database.
#![allow(dead_code, missing_docs, unreachable_pub)]

use crate::random::Random;
use hedgerow_db::request::{
    Bitwise, Change, ExpireCondition, Expiry, Field, FieldOp, FieldType, HashChange, MultiKeyOp,
    Overflow, Request, SetCondition,
};
use std::sync::LazyLock;

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

/// Operations on integers in a value, also in a long one, and behind its end.
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let ops = [
        FieldOp::Set(-3, Overflow::Wrap),
        FieldOp::IncrementBy(1 << 40, Overflow::Fail),
        FieldOp::Get,
        FieldOp::IncrementBy(i64::MAX, Overflow::Saturate),
    ];
    let field = |(at, op)| Field {
        kind: FieldType::new(at % 3 == 0, [5, 33, 63][at % 3]).expect("a type of Redis"),
        offset: [3, 77, 2_397, 136_001, 2_097_150][at % 5],
        op,
    };
    ops.into_iter().cycle().take(12).enumerate().map(field).collect()
});

/// A field and its value.
type Pair = (&'static [u8], &'static [u8]);

/// Fields of hashes: enough for one that is a tree, and some that are long.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let short = (0..400).map(|n| {
        let (field, value) = (format!("a field {n}"), format!("{n}"));
        (&*field.into_bytes().leak(), &*value.into_bytes().leak())
    });
    let long = VALUES.iter().map(|value| (*value, *value));
    short.chain(long).collect()
});
static NAMES: LazyLock<Vec<&[u8]>> =
    LazyLock::new(|| PAIRS.iter().map(|(field, _)| *field).collect());

/// Returns some of the pairs or names: one, a few, or many.
fn some<T>(random: &mut Random, all: &'static [T]) -> &'static [T] {
    let count = random.of(&[1, 2, 3, 250]);
    let from = random.below((all.len() - 1) as u64) as usize;
    &all[from..(from + count).min(all.len())]
}

/// Returns a random change of a hash.
fn hash_change(random: &mut Random) -> HashChange<'static> {
    let (field, value) = random.of(&PAIRS);
    match random.below(10) {
        0..3 => HashChange::Set(some(random, &PAIRS)),
        3 => HashChange::SetIfAbsent(field, value),
        4 | 5 => HashChange::Delete(some(random, &NAMES)),
        6 => HashChange::Increment(field, random.of(&[1, -5, 1 << 40])),
        7 | 8 => HashChange::Expire {
            fields: some(random, &NAMES),
            expiry: random.of(&[Expiry::At(1 << 50), Expiry::At(1 << 51), Expiry::Never]),
            condition: ExpireCondition::Always,
        },
        _ => HashChange::IncrementFloat(field, 0.5.into()),
    }
}

/// Returns a change that sets a value without conditions or an expiration.
pub fn plain_set(value: &[u8]) -> Change<'_> {
    let (condition, expiry) = (SetCondition::Always, Expiry::Never);
    Change::Set { value, condition, expiry, get: false }
}

/// Returns a random change. Expirations are past, far away, or one of `lives`.
pub fn change(random: &mut Random, lives: &[Expiry]) -> Change<'static> {
    let (value, expiry, get) = (random.of(&VALUES), random.of(lives), random.below(2) == 0);
    match random.below(20) {
        16.. => Change::Hash(hash_change(random)),
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
        13 | 14 => {
            let from = random.below(VALUES.len() as u64) as usize;
            Change::AddElements(&VALUES[from..])
        }
        11 => {
            let offset = random.of(&[0, 7, 300, 2_399, 136_000, 159_999, 2_097_151]);
            Change::SetBit { offset: offset + random.below(9), bit: get }
        }
        12 => {
            let from = random.below(FIELDS.len() as u64) as usize;
            Change::Fields(
                &FIELDS[from..][..random.below(4).min((FIELDS.len() - from) as u64) as usize],
            )
        }
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
        .map(|_| match random.below(31) {
            0..25 => Request::Change(random.of(&KEYS), change(random, lives)),
            25 => Request::MultiKey(MultiKeyOp::SetAll(&pairs)),
            26 => Request::MultiKey(MultiKeyOp::SetAllIf {
                pairs: &pairs[..2],
                exist: Some(false),
                expiry: Expiry::Never,
            }),
            27 => Request::MultiKey(MultiKeyOp::DeleteAll(&some)),
            28 if random.below(2) == 0 => {
                Request::MultiKey(MultiKeyOp::MergeElements { to: random.of(&KEYS), keys: &some })
            }
            28 if random.below(8) == 0 => Request::MultiKey(MultiKeyOp::Clear),
            29 => {
                let op = random.of(&[Bitwise::And, Bitwise::Or, Bitwise::Xor, Bitwise::Not]);
                Request::MultiKey(MultiKeyOp::Bitwise { op, to: random.of(&KEYS), keys: &some })
            }
            _ => {
                let (from, to) = (random.of(&KEYS), random.of(&KEYS));
                Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: random.below(2) == 0 })
            }
        })
        .collect();
    run(&requests);
}
