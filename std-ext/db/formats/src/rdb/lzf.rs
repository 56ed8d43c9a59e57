//! LZF, the compression of strings in Redis's format.
//!
//! ```text
//! 000LLLLL                    L + 1 bytes follow as they are
//! LLLooooo oooooooo           copy L + 2 bytes from o + 1 bytes before; L is 1 to 6
//! 111ooooo LLLLLLLL oooooooo  copy L + 9 bytes from o + 1 bytes before
//! ```
//!
//! The crate `lzf` is deprecated.

/// The longest run of bytes that are not compressed.
const LONGEST_RUN: usize = 1 << 5;
/// A copy reaches back fewer bytes than this, and one more.
const FARTHEST: usize = 1 << 13;
/// The longest copy.
const LONGEST_COPY: usize = (1 << 8) + (1 << 3);
/// The length in the first byte that says that another byte follows.
const LONG: usize = 7;
/// Bits of the hash of three bytes.
const HASH_BITS: u32 = 16;

/// Returns how many bytes `compressed` bytes can become at most: three of them copy 264 bytes.
pub fn longest(compressed: usize) -> usize {
    compressed.saturating_mul(LONGEST_COPY / 3)
}

/// Decompresses to exactly `length` bytes. Returns `None` if the input makes another number of bytes, ends within a
/// step, or copies from before the beginning.
///
/// The output grows with the input: a wrong `length` takes no memory.
pub fn decompress(mut input: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > longest(input.len()) {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    while let Some((&first, rest)) = input.split_first() {
        let first = usize::from(first);
        if first < LONGEST_RUN {
            let (run, rest) = rest.split_at_checked(first + 1)?;
            if run.len() > length - out.len() {
                return None;
            }
            out.extend_from_slice(run);
            input = rest;
            continue;
        }
        let (mut copied, mut rest) = (first >> 5, rest);
        if copied == LONG {
            let (more, behind) = rest.split_first()?;
            (copied, rest) = (copied + usize::from(*more), behind);
        }
        let (low, behind) = rest.split_first()?;
        (copied, input) = (copied + 2, behind);
        let back = ((first & 0x1F) << 8 | usize::from(*low)) + 1;
        let from = out.len().checked_sub(back)?;
        if copied > length - out.len() {
            return None;
        }
        copy_within(&mut out, from, copied);
    }
    (out.len() == length).then_some(out)
}

/// Appends bytes of the output to it. A copy that is longer than the distance repeats what it has written.
fn copy_within(out: &mut Vec<u8>, from: usize, mut bytes: usize) {
    while bytes > 0 {
        // Each round doubles the repeated part.
        let part = bytes.min(out.len() - from);
        out.extend_from_within(from..from + part);
        bytes -= part;
    }
}

/// Compresses strings one after the other. Makes the bytes that Redis makes, so that replies to `DUMP` are the same.
pub struct LzfCompressor {
    /// Where three bytes with this hash were last, plus `base`. Lower numbers are from earlier strings.
    places: Vec<u32>,
    base: u32,
}

impl Default for LzfCompressor {
    fn default() -> Self {
        Self { places: vec![0; 1 << HASH_BITS], base: 0 }
    }
}

impl LzfCompressor {
    /// Compresses to at most `most` bytes, or returns `None`.
    pub fn compress(&mut self, input: &[u8], most: usize) -> Option<Vec<u8>> {
        let length = u32::try_from(input.len()).ok().filter(|&length| length > 0)?;
        if self.base.checked_add(length).is_none() {
            self.places.fill(0);
            self.base = 0;
        }
        let base = self.base;
        self.base += length;
        self.compress_from(base, input, most)
    }

    /// Returns the place before `at` with the same three bytes, and notes this one.
    fn note(&mut self, base: u32, input: &[u8], at: usize) -> Option<usize> {
        let place = &mut self.places[hash(&input[at..])];
        let before = place.checked_sub(base);
        *place = base + at as u32;
        // As in Redis, the first byte is never copied from.
        let before = before.filter(|&before| before > 0)? as usize;
        let near = at - before <= FARTHEST;
        (near && input[before..before + 3] == input[at..at + 3]).then_some(before)
    }

    fn compress_from(&mut self, base: u32, input: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(most.min(input.len()));
        // The byte at `run` will say how many bytes after it are not compressed.
        let (mut at, mut run) = (0, begin_run(&mut out));
        while at + 2 < input.len() {
            let Some(before) = self.note(base, input, at) else {
                if out.len() >= most {
                    return None;
                }
                run = push(&mut out, run, input[at]);
                at += 1;
                continue;
            };
            let bytes = same_bytes(input, before, at);
            let empty_run = usize::from(out.len() - run == 1);
            if out.len() - empty_run + 4 >= most {
                return None;
            }
            end_run(&mut out, run);
            write_copy(&mut out, at - before - 1, bytes);
            run = begin_run(&mut out);
            at += bytes;
            // Of the copied bytes, only the last two are noted.
            for noted in at - 2..at {
                if at + 2 < input.len() {
                    self.note(base, input, noted);
                }
            }
        }
        if out.len() + 3 > most {
            return None;
        }
        for byte in &input[at..] {
            run = push(&mut out, run, *byte);
        }
        end_run(&mut out, run);
        Some(out)
    }
}

fn hash(bytes: &[u8]) -> usize {
    let value = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    ((value >> (24 - HASH_BITS)).wrapping_sub(value.wrapping_mul(5)) & ((1 << HASH_BITS) - 1))
        as usize
}

/// Returns how many bytes one copy takes, of which three are known to be the same.
fn same_bytes(input: &[u8], before: usize, at: usize) -> usize {
    let most = match (input.len() - at - 2).min(LONGEST_COPY) {
        short @ ..=16 => short,
        // Redis compares 16 more bytes before it looks at the limit.
        17..=18 => 19,
        long => long,
    };
    let mut bytes = 3;
    while bytes < most && input[before + bytes] == input[at + bytes] {
        bytes += 1;
    }
    bytes
}

/// Adds a byte to a run. Returns the place of the run to which the next one belongs.
fn push(out: &mut Vec<u8>, run: usize, byte: u8) -> usize {
    out.push(byte);
    if out.len() - run - 1 < LONGEST_RUN {
        return run;
    }
    end_run(out, run);
    begin_run(out)
}

fn begin_run(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// Writes the length of a run before it, or removes the byte for it if the run is empty.
fn end_run(out: &mut Vec<u8>, run: usize) {
    match out.len() - run - 1 {
        0 => out.truncate(run),
        bytes => out[run] = bytes as u8 - 1,
    }
}

fn write_copy(out: &mut Vec<u8>, back: usize, bytes: usize) {
    let (high, length) = ((back >> 8) as u8, bytes - 2);
    if length < LONG {
        out.push(high | (length as u8) << 5);
    } else {
        out.extend([high | (LONG as u8) << 5, (length - LONG) as u8]);
    }
    out.push(back as u8);
}

#[cfg(test)]
impl LzfCompressor {
    /// Acts as after strings that leave its numbers room for `left` bytes.
    pub(super) fn use_up(&mut self, left: u32) {
        self.base = u32::MAX - left;
    }
}
