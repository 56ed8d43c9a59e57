//! The processes that had a node's data before this one, as far as they have certainly ended [C-15].
//!
//! A primary that dies leaves its line in the store. Other nodes wait until its lease has run out, because it may be
//! alive. The next process on the same data knows better if it can prove that the former one has ended, and takes the
//! group over at once.
//!
//! The proof is a lock that the operating system releases once a process has ended, and a *place* in which at most one
//! process can hold it: each process keeps the numbers of those before it (the nonces of their lines), and its place,
//! beside its data. The next one believes these numbers if the place is its own. A copy of the data is in another
//! place, and so waits as any other node.

use serde::{Deserialize, Serialize};

/// The processes that are named. A process that ends before it has taken over leaves the line of one before it.
pub const MOST: usize = 16;

/// Where a process runs. At any time, at most one process is in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlace {
    /// The kernel, since it was started.
    pub boot: String,
    /// The directory that the process has locked.
    pub device: u64,
    /// The same.
    pub inode: u64,
}

/// The processes that have had this place, as text that a process keeps beside its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    #[serde(flatten)]
    place: ProcessPlace,
    /// Their numbers, the latest last.
    numbers: Vec<u64>,
}

impl Processes {
    /// Returns the numbers of the processes that have ended, if `text` says some of this place.
    pub fn ended(text: &str, place: &ProcessPlace) -> Vec<u64> {
        let read: Option<Self> = serde_json::from_str(text).ok();
        read.filter(|read| read.place == *place).map_or(Vec::new(), |read| read.numbers)
    }

    /// Returns the text for the next process: the latest of those that have ended, and this one.
    pub fn print(ended: &[u64], number: u64, place: &ProcessPlace) -> String {
        let latest = &ended[ended.len().saturating_sub(MOST - 1)..];
        let numbers = latest.iter().copied().chain([number]).collect();
        let all = Self { place: place.clone(), numbers };
        serde_json::to_string(&all).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: [u64; 0] = [];

    #[test]
    fn only_the_same_place_counts() {
        let place = ProcessPlace { boot: "a boot".to_owned(), device: 1, inode: 2 };
        let text = Processes::print(&[], 7, &place);
        assert_eq!(Processes::ended(&text, &place), [7]);
        let others = [
            ProcessPlace { boot: "another".to_owned(), ..place.clone() },
            ProcessPlace { device: 9, ..place.clone() },
            ProcessPlace { inode: 9, ..place.clone() },
        ];
        for other in others {
            assert_eq!(Processes::ended(&text, &other), NOBODY, "{other:?}");
        }
        for damaged in ["", "{}", &text[..text.len() - 1], &text.replace('7', "-7")] {
            assert_eq!(Processes::ended(damaged, &place), NOBODY, "{damaged}");
        }
    }
}
