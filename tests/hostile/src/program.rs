//! A program: a header of eight bytes, and eight bytes an operation. Any bytes are a program.

use crate::things::{Key, Thing};
use crate::world::{LASTING, Lie, Manners};
use std::fmt::Write;

/// The most operations in a program.
pub const MOST_OPS: usize = 64;

/// An operation, if the map has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the methods' names say it")]
pub enum Verb {
    Insert,
    InsertIfAbsent,
    TryInsert,
    Get,
    TryGet,
    GetMany,
    GetEach,
    Remove,
    Take,
    Update,
    Compute,
    TryCompute,
    TryRemove,
    Entry,
    /// Looks a value up, and inserts one if there is none.
    GetOrInsert,
    GetCloned,
    Retain,
    /// Removes entries one by one.
    Extract,
    /// Clones the map, compares it with its clone, and consumes the clone.
    Clone,
    Iterate,
    Scan,
    InsertMany,
    RemoveMany,
    Reserve,
    Grow,
    /// Holds a guard, a borrowed entry, an iterator or a snapshot while the next operations run.
    Hold,
    /// Forgets a guard, or a value that holds one.
    Leak,
    Reclaim,
    Publish,
    TryPublish,
    Finish,
    Range,
    RemoveRange,
    Near,
    Pop,
    Batch,
    Rebalance,
    Transfer,
    Train,
    Defer,
    /// Makes a handle, or drops one and makes it again.
    Handle,
    Submit,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    verb: u8,
    key: u8,
    /// The number of the value to store.
    pub value: u8,
    /// Another argument: a number, a time, a choice.
    pub arg: u8,
    fuse: u8,
    reentry: u8,
    scarcity: u8,
    thread: u8,
}

impl Op {
    fn of(bytes: [u8; 8]) -> Self {
        let [verb, key, value, arg, fuse, reentry, scarcity, thread] = bytes;
        Self { verb, key, value, arg, fuse, reentry, scarcity, thread }
    }

    fn bytes(self) -> [u8; 8] {
        let Self { verb, key, value, arg, fuse, reentry, scarcity, thread } = self;
        [verb, key, value, arg, fuse, reentry, scarcity, thread]
    }

    /// Returns the verb among those of a map. Verbs come in groups, which maps may share.
    pub fn verb(self, groups: &[&[Verb]]) -> Verb {
        let count = groups.iter().copied().flatten().count();
        let verb = groups.iter().copied().flatten().nth(usize::from(self.verb) % count);
        *verb.expect("the place is below the number of verbs")
    }

    /// Makes its key, which is not a lasting one. Most operations share a few keys.
    pub fn key<T: Thing>(self) -> Key<T> {
        Key::make(self.id())
    }

    /// The number of that key.
    pub fn id(self) -> u32 {
        let few = if self.key < 192 { 16 } else { 200 };
        LASTING + u32::from(self.key) % few
    }

    /// The keys of a batch: the next keys, and the same keys once more.
    pub fn ids(self) -> impl Iterator<Item = u32> {
        let count = u32::from(self.arg % 20);
        (0..count).map(move |n| self.id() + n * 3 % 17)
    }

    /// Makes the value that it stores.
    pub fn value<T: Thing>(self) -> T {
        T::make(1000 + u32::from(self.value))
    }

    /// A closure's choice about a key that does not last.
    pub fn picks(self, id: u32) -> bool {
        !(id + u32::from(self.value)).is_multiple_of(3)
    }

    /// How many entries of this size to reserve: from few to more than there can be.
    pub fn amount(self, size: usize) -> usize {
        match self.arg % 8 {
            0 => usize::MAX,
            1 => usize::MAX / 2,
            2 => isize::MAX as usize,
            3 => 3000 / (1 + size / 1000),
            few => usize::from(few) * 20 / (1 + size / 1000),
        }
    }

    /// The number of calls after which user code panics.
    pub fn fuse(self) -> Option<u32> {
        countdown(self.fuse)
    }

    /// The number of calls after which user code calls the map.
    pub fn reentry(self) -> Option<u32> {
        countdown(self.reentry)
    }

    /// The number of allocations that succeed, and the number that fail after them.
    pub fn scarcity(self) -> Option<(u64, u64)> {
        let left = self.scarcity.checked_sub(192)?;
        Some((u64::from(left % 4), if left < 32 { 1 } else { u64::MAX }))
    }
}

/// Makes a number of calls of a byte: most bytes give none, the others mostly as few as an operation makes, and some as
/// many as growth makes.
fn countdown(byte: u8) -> Option<u32> {
    match byte {
        0..176 => None,
        176..236 => Some(u32::from(byte) % 6),
        236.. => Some(u32::from(byte - 236) * 5),
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    head: [u8; 8],
    ops: Vec<Op>,
}

impl Program {
    /// Makes a program of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut head = [0; 8];
        let (first, rest) = bytes.split_at(bytes.len().min(8));
        head[..first.len()].copy_from_slice(first);
        let ops = rest.chunks_exact(8).take(MOST_OPS);
        let ops = ops.map(|op| Op::of(op.try_into().expect("eight bytes"))).collect();
        Self { head, ops }
    }

    /// Makes the program of this number.
    pub fn numbered(number: u64, seed: u64) -> Self {
        let mut state = number.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ seed;
        let mut bytes = Vec::new();
        let mut next = || {
            // SplitMix64. (Steele, Lea and Flood.)
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let word = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            word ^ word >> 31
        };
        let length = 2 + next() as usize % MOST_OPS;
        for _ in 0..length {
            bytes.extend(next().to_le_bytes());
        }
        Self::of(&bytes)
    }

    /// Returns its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.ops.iter().fold(self.head.to_vec(), |mut bytes, op| {
            bytes.extend(op.bytes());
            bytes
        })
    }

    /// The bytes in hexadecimal, to be replayed.
    pub fn hex(&self) -> String {
        self.bytes().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes all");
            text
        })
    }

    /// Parses a program; returns `None` if the text is no program.
    pub fn of_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes().chunks_exact(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        Some(Self::of(&digits.map(byte).collect::<Option<Vec<_>>>()?))
    }

    /// The behaviour of user code.
    pub fn manners(&self) -> Manners {
        let [hash, eq, order, clone, others, ..] = self.head;
        Manners {
            hash: Lie::of(hash),
            eq: Lie::of(eq),
            order: Lie::of(order),
            clone: Lie::of(clone),
            slow: others % 8 == 7,
            drops: others & 64 != 0,
        }
    }

    /// Whether the hasher mixes its input.
    pub fn spreads(&self) -> bool {
        !self.head[5].is_multiple_of(4)
    }

    /// Whether guards may be leaked.
    pub fn leaks(&self) -> bool {
        self.head[6] >= 248
    }

    /// A number by which a subject's construction may choose.
    pub fn choice(&self) -> u8 {
        self.head[7]
    }

    /// The number of threads that run it; one in half of the cases.
    pub fn threads(&self) -> usize {
        [1, 1, 2, 3][usize::from(self.head[5] / 64)]
    }

    /// The operations of one thread.
    pub fn ops_of(&self, thread: usize) -> impl Iterator<Item = Op> {
        let threads = self.threads();
        self.ops.iter().copied().filter(move |op| usize::from(op.thread) % threads == thread)
    }

    /// Returns programs that are a little shorter than this one, the shortest first.
    pub fn shorter(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut length = self.ops.len() / 2;
        while length > 0 {
            for start in (0..self.ops.len()).step_by(length) {
                let mut less = self.clone();
                less.ops.drain(start..(start + length).min(self.ops.len()));
                all.push(less);
            }
            length /= 2;
        }
        for at in 0..8 {
            if self.head[at] != 0 {
                let mut plain = self.clone();
                plain.head[at] = u8::from(at == 5);
                all.push(plain);
            }
        }
        for at in 0..self.ops.len() {
            for field in [4, 5, 6] {
                let mut bytes = self.ops[at].bytes();
                if std::mem::take(&mut bytes[field]) != 0 {
                    let mut calm = self.clone();
                    calm.ops[at] = Op::of(bytes);
                    all.push(calm);
                }
            }
        }
        all.retain(|other| other != self);
        all
    }
}
