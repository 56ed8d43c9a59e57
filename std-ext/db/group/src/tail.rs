//! The one line that everything hangs on: `tail`.
//!
//! ```text
//! 2 epoch node nonce seq lsn time beat lease chain
//! ```
//!
//! Each transaction of the primary compares the *whole value* with the line that it wrote last [C-4]. The line has a
//! random number of the process, the batch and a counter of beats, so two different writers never write the same one,
//! also after the store was restored from a backup.

use super::chain::BatchChain;
use super::entry::{Epoch, MOST_NUMBER, NodeId, Seq};
use super::hex;
use crate::entry::Lsn;
use std::fmt;

/// The longest lease: ten minutes, in milliseconds.
pub const MOST_LEASE: u64 = 600_000;
/// The longest line that is read.
const MOST_BYTES: usize = 512;

/// The contents of `tail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The epoch.
    pub epoch: Epoch,
    /// The primary; in a released group the node to take it over, or nobody in particular.
    pub node: Option<NodeId>,
    /// The random number of the primary's process. 0: the group is released.
    pub nonce: u64,
    /// The last batch.
    pub seq: Seq,
    /// The last entry that is complete.
    pub lsn: Lsn,
    /// The primary's clock when it wrote the line, in milliseconds since 1970. It is no earlier than any entry, and
    /// goes back only together with a batch that says that the clock was set back: until the store has that batch, the
    /// next primary must not begin before the keys expired that this one may have removed.
    pub time: u64,
    /// Rises with each line without a batch.
    pub beat: u64,
    /// The lease that the primary claims, in milliseconds.
    pub lease: u64,
    /// The chain behind the last batch.
    pub chain: BatchChain,
}

impl Tail {
    /// The node that may serve under this line.
    pub fn holder(&self) -> Option<NodeId> {
        self.node.filter(|_| self.nonce != 0)
    }

    /// Orders the lines of one history: a later one is greater.
    pub fn age(&self) -> (Epoch, Seq, u64) {
        (self.epoch, self.seq, self.beat)
    }

    /// The end of the lease of a line that was first sent at `sent`, for its writer [C-8]. The others wait longer.
    pub fn until(&self, sent: u64) -> u64 {
        sent + self.lease - self.lease / 10
    }

    /// The earliest time at which another node may take over under this line, received at `received` [C-8].
    ///
    /// The holder serves until nine tenths of the lease after it sent the line; a tenth more than the lease after it
    /// was received allows for clocks of different rates.
    pub fn claimable(&self, received: u64) -> u64 {
        received.saturating_add(self.lease + self.lease / 10)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// If it is not one, with a sentence that says why.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |why: &str| {
            let shown: String = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into();
            format!("the key `tail` cannot be read ({why}): {shown:?}")
        };
        let text = (bytes.len() <= MOST_BYTES).then(|| std::str::from_utf8(bytes).ok()).flatten();
        let text = text.ok_or_else(|| wrong("it is too long, or not text"))?;
        let words: Vec<&str> = text.split(' ').collect();
        // The version first: another one may have other words.
        if words[0] != "2" {
            return Err(wrong("another version wrote it: upgrade this node"));
        }
        let &[_, epoch, node, nonce, seq, lsn, time, beat, lease, chain] = &words[..] else {
            return Err(wrong("it must have ten words"));
        };
        let number = |text: &str| number(text).ok_or_else(|| wrong("a number is out of range"));
        let tail = Self {
            epoch: number(epoch)?,
            node: match node {
                "-" => None,
                id => Some(id.parse().map_err(|_| wrong("the node is not one"))?),
            },
            nonce: hex::parse(nonce)
                .map(u64::from_be_bytes)
                .ok_or_else(|| wrong("the nonce is none"))?,
            seq: number(seq)?,
            lsn: number(lsn)?,
            time: number(time)?,
            beat: number(beat)?,
            lease: number(lease)?,
            chain: BatchChain::parse(chain).ok_or_else(|| wrong("the chain is none"))?,
        };
        if tail.epoch == 0 || tail.seq == 0 || tail.lsn == 0 {
            return Err(wrong("a number must not be 0"));
        }
        if tail.lease == 0 || tail.lease > MOST_LEASE {
            return Err(wrong("the lease must be between 1 ms and ten minutes"));
        }
        if tail.node.is_none() && tail.nonce != 0 {
            return Err(wrong("a process without a node holds the group"));
        }
        Ok(tail)
    }
}

/// Reads a number as `Display` prints it: no sign, no zeros in front.
fn number(text: &str) -> Option<u64> {
    // One spelling for each line, because lines are compared as text.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let short = text == "0" || !text.starts_with('0');
    let number = text.parse().ok().filter(|_| plain && short)?;
    (number < MOST_NUMBER).then_some(number)
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, nonce, seq, lsn, time, beat, lease, chain, .. } = self;
        write!(f, "2 {epoch} ")?;
        match self.node {
            Some(node) => write!(f, "{node}")?,
            None => f.write_str("-")?,
        }
        write!(f, " {nonce:016x} {seq} {lsn} {time} {beat} {lease} {chain}")
    }
}
