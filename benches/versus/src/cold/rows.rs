//! Rows of real data, from files, and the order in which they are asked for.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::keys::Rng;
use crate::work::zipf::Zipf;

/// Longer values are cut: a row is to fit into any map's smallest part.
const LONGEST: usize = 60_000;

/// Room for any value.
pub const ROOM: usize = 1 << 16;

/// Where the rows of a set are.
#[derive(Clone)]
pub struct Source {
    /// The name of the set.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

impl Source {
    /// `NAME=FILE`.
    pub fn parse(word: &str) -> Result<Self, String> {
        let (name, path) = word.split_once('=').ok_or(format!("{word} is no NAME=FILE"))?;
        Ok(Self { name: name.into(), path: path.into() })
    }

    /// All files of rows in a folder; none, if there is no such folder.
    pub fn all(folder: &Path) -> Vec<Self> {
        let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
        let mut paths: Vec<_> =
            paths.filter(|path| is_lines(path) || piece(path).is_some()).collect();
        paths.sort();
        let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into();
        paths.into_iter().map(|path| Self { name: name(&path), path }).collect()
    }

    /// Bytes an entry takes in Redis, if somebody has asked it: `redis-memory` leaves that beside the rows.
    pub fn redis(&self) -> Option<f64> {
        fs::read_to_string(self.path.with_extension("redis")).ok()?.trim().parse().ok()
    }
}

fn is_lines(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("rows"))
}

/// How long the pieces are into which a file without lines is cut: its ending says that.
fn piece(path: &Path) -> Option<usize> {
    path.extension()?.to_str()?.parse().ok().filter(|&bytes| bytes > 0)
}

/// A key and a value.
pub type Row = (Box<[u8]>, Box<[u8]>);

/// Reads a set, in random order, the same each time.
pub fn load(path: &Path) -> io::Result<Vec<Row>> {
    let text = fs::read(path)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |key: Option<&[u8]>, value: &[u8]| {
        let number = rows.len().to_string();
        let key = key.unwrap_or(number.as_bytes());
        rows.push((key.into(), value[..value.len().min(LONGEST)].into()));
    };
    if let Some(bytes) = piece(path) {
        text.chunks(bytes).for_each(|value| add(None, value));
    } else {
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match line.iter().position(|&byte| byte == b'\t') {
                Some(tab) => add(Some(&line[..tab]), &line[tab + 1..]),
                None => add(None, line),
            }
        }
    }
    if rows.len() < 1000 {
        return Err(io::Error::other("fewer than a thousand rows"));
    }
    Rng::new(1).shuffle(&mut rows);
    Ok(rows)
}

/// Bytes of the keys and values themselves.
pub fn text(rows: &[Row]) -> usize {
    rows.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Returns the rows of `asks` look-ups in their order, evenly or by Zipf's law. The frequent rows are independent of the
/// order of insertion.
pub fn order(rows: usize, asks: usize, zipf: bool, seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    if !zipf {
        return (0..asks).map(|_| rng.below(rows as u64) as u32).collect();
    }
    let mut ranks: Vec<u32> = (0..rows as u32).collect();
    // The same rows are frequent for all seeds.
    Rng::new(2).shuffle(&mut ranks);
    let law = Zipf::new(rows);
    (0..asks).map(|_| ranks[law.draw(&mut rng) as usize]).collect()
}

/// One look-up to be made.
#[derive(Clone, Copy)]
pub struct Call {
    start: u32,
    key: u32,
    /// The checksum of the expected value.
    want: u64,
    /// The row.
    pub row: u32,
}

/// Look-ups, their keys side by side as in a caller's buffer: the caller has the key in its cache.
pub struct Stream {
    text: Vec<u8>,
    asks: Vec<Call>,
}

impl Stream {
    /// Look-ups of these rows.
    pub fn new(rows: &[Row], order: &[u32]) -> Self {
        let mut stream = Self { text: vec![], asks: Vec::with_capacity(order.len()) };
        for &row in order {
            let (key, value) = &rows[row as usize];
            let start = u32::try_from(stream.text.len()).expect("keys are short");
            stream.text.extend_from_slice(key);
            stream.asks.push(Call { start, key: key.len() as u32, want: look(value), row });
        }
        stream
    }

    /// All of them.
    pub fn asks(&self) -> &[Call] {
        &self.asks
    }

    /// The key that is asked for.
    #[inline]
    pub fn key(&self, ask: Call) -> &[u8] {
        &self.text[ask.start as usize..][..ask.key as usize]
    }
}

impl Call {
    /// A wrong answer ends everything: there is no figure for less than the work.
    #[inline]
    pub fn check(self, value: &[u8], name: &str) {
        if look(value) != self.want {
            eprintln!("{name} answered wrongly");
            std::process::exit(1);
        }
    }
}

/// Reads a value as far as a caller would who wants to use it: its length and a part of each of its ends.
#[inline]
fn look(value: &[u8]) -> u64 {
    let [first, last] = [value.first(), value.last()].map(|byte| u64::from(*byte.unwrap_or(&0)));
    (value.len() as u64) << 16 | first << 8 | last
}

#[cfg(test)]
mod tests {
    use super::{Stream, load, order};
    use std::fs;

    #[test]
    fn lines_and_pieces_are_rows() {
        let folder = std::env::temp_dir().join(format!("rows-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let line = |i: u32| [format!("key {i}\tvalue {i}"), "no key".into()];
        let lines = (0..1000).flat_map(line).collect::<Vec<_>>().join("\n");
        fs::write(folder.join("some.rows"), lines).expect("a file");
        fs::write(folder.join("others.3"), vec![7; 3001]).expect("a file");
        let found = super::Source::all(&folder);
        let names: Vec<_> = found.iter().map(|source| &*source.name).collect();
        assert_eq!(names, ["others", "some"]);
        let pieces = load(&found[0].path).expect("rows");
        assert_eq!(pieces.len(), 1001);
        assert_eq!(pieces.iter().filter(|(_, value)| **value == [7; 3]).count(), 1000);
        let mut rows = load(&found[1].path).expect("rows");
        rows.sort();
        rows.dedup_by(|a, b| a.0 == b.0);
        assert_eq!(rows.len(), 2000);
        assert!(rows.iter().any(|(key, value)| **key == *b"key 7" && **value == *b"value 7"));
        fs::remove_dir_all(&folder).expect("it is ours");
    }

    #[test]
    fn streams_ask_for_the_rows_of_their_order() {
        let rows: Vec<_> = (0..1000u32)
            .map(|i| (i.to_string().into_bytes().into(), i.to_le_bytes().into()))
            .collect();
        for zipf in [false, true] {
            let order = order(rows.len(), 5000, zipf, 3);
            let stream = Stream::new(&rows, &order);
            for (ask, &row) in stream.asks().iter().zip(&order) {
                let (key, value) = &rows[row as usize];
                assert_eq!(stream.key(*ask), &**key);
                ask.check(value, "the model");
            }
            let most = |n: u32| order.iter().filter(|&&row| row == n).count();
            assert_eq!((0..1000).any(|row| most(row) > 100), zipf);
        }
    }
}
