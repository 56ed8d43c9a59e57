//! The maps of each suite.

use crate::contest::{self, Outcome, Pace, Runners};
use crate::data::Word;
use crate::pairs::{self, Pair};
use crate::rivals::{self, Bench, Singly, Visitor};
use crate::run::Holder;
use crate::run::pairs::PairRunner;
use crate::run::trees::TreeRunner;
use crate::run::versions::{MapRunner, SequenceRunner};
use crate::trees::{self, Tree};
use crate::versions::{self, Key, Sequence, Versioned};
use crate::work::pairs::Script;
use crate::work::texts::TextStream;
use crate::work::trees::Course;
use crate::work::versions::{Deeds, Places};
use crate::work::words::Stream;
use crate::work::{Row, Suite};

/// Runs `rows` of `suite`, all at `n` keys.
pub fn run(suite: Suite, rows: &[Row], n: usize, pace: &Pace) -> Vec<Outcome> {
    match suite {
        Suite::Values(8) => contest::run(words::<[u64; 1]>(), rows, n, pace, Stream::new),
        Suite::Values(64) => contest::run(words::<[u64; 8]>(), rows, n, pace, Stream::new),
        Suite::Values(_) => contest::run(words::<[u64; 32]>(), rows, n, pace, Stream::new),
        Suite::Strings => contest::run(texts(), rows, n, pace, TextStream::new),
        Suite::LeftRight => contest::run(pairs(), rows, n, pace, Script::new),
        Suite::Ordered => contest::run(ordered(), rows, n, pace, Course::new),
        Suite::Snapshots => contest::run(snapshots(), rows, n, pace, Course::new),
        Suite::Persistent => contest::run(persistent::<u64>(), rows, n, pace, Deeds::new),
        Suite::PersistentText => contest::run(persistent::<String>(), rows, n, pace, Deeds::new),
        Suite::Sequences => contest::run(sequences(), rows, n, pace, Places::new),
        _ => contest::run(numbers(suite), rows, n, pace, Stream::new),
    }
}

/// Gives each map that it is shown a runner.
struct Usher<S>(Runners<S>);

impl<V: Word> Visitor<u64, V> for Usher<Stream> {
    fn visit<M: Bench<Key = u64, Value = V>>(&mut self) {
        self.0.push(Box::new(Holder::<M>::new()));
    }
}

impl Visitor<String, String> for Usher<TextStream> {
    fn visit<M: Bench<Key = String, Value = String>>(&mut self) {
        self.0.push(Box::new(Holder::<M>::new()));
    }
}

impl pairs::Visitor<u64> for Usher<Script> {
    fn visit<P: Pair<u64>>(&mut self) {
        self.0.push(Box::new(PairRunner::<P>::new()));
    }
}

impl trees::Visitor for Usher<Course> {
    fn visit<T: Tree>(&mut self) {
        self.0.push(Box::new(TreeRunner::<T>::new()));
    }
}

impl<K: Key> versions::Visitor<K> for Usher<Deeds<K>> {
    fn visit<M: Versioned<K>>(&mut self) {
        self.0.push(Box::new(MapRunner::<K, M>::new()));
    }
}

impl versions::SequenceVisitor for Usher<Places> {
    fn visit<S: Sequence>(&mut self) {
        self.0.push(Box::new(SequenceRunner::<S>::new()));
    }
}

fn words<V: Word>() -> Runners<Stream> {
    let mut usher = Usher(vec![]);
    rivals::words::<V>(&mut usher);
    usher.0
}

fn numbers(suite: Suite) -> Runners<Stream> {
    let mut usher = Usher(vec![]);
    rivals::numbers(&mut usher);
    if suite == Suite::Batches {
        usher.0.insert(2, Box::new(Holder::<Singly>::new()));
    }
    usher.0
}

fn texts() -> Runners<TextStream> {
    let mut usher = Usher(vec![]);
    rivals::texts(&mut usher);
    usher.0
}

fn pairs() -> Runners<Script> {
    let mut usher = Usher(vec![]);
    pairs::numbers(&mut usher);
    usher.0
}

fn ordered() -> Runners<Course> {
    let mut usher = Usher(vec![]);
    trees::all(&mut usher);
    usher.0
}

fn snapshots() -> Runners<Course> {
    let mut usher = Usher(vec![]);
    trees::with_snapshots(&mut usher);
    usher.0
}

fn persistent<K: Key>() -> Runners<Deeds<K>> {
    let mut usher = Usher(vec![]);
    versions::maps(&mut usher);
    usher.0
}

fn sequences() -> Runners<Places> {
    let mut usher = Usher(vec![]);
    versions::sequences(&mut usher);
    usher.0
}

#[cfg(test)]
mod tests {
    use super::{Pace, Row, Suite, run};
    use crate::contest::Figure;
    use crate::rivals::Role;
    use std::time::Duration;

    /// A wrong checksum ends the process, so getting through is most of it.
    #[test]
    fn every_map_does_all_the_work_of_its_suites() {
        let pace = Pace { rounds: 3, short: 1, long: 1, time: Duration::ZERO };
        let n = 1024;
        for suite in Suite::ALL {
            let works = suite.workloads().iter();
            let rows = works
                .flat_map(|&workload| [1, 2].map(|threads| Row { suite, workload, n, threads }));
            for outcome in run(suite, &rows.collect::<Vec<_>>(), n, &pace) {
                // With two threads a busy machine may give none.
                if outcome.row.threads == 1 {
                    // Some rows are for some maps only, in a suite of many kinds.
                    let done = |figure: &Figure| {
                        let special = matches!(
                            suite,
                            Suite::LeftRight
                                | Suite::Ordered
                                | Suite::Snapshots
                                | Suite::Persistent
                                | Suite::PersistentText
                        );
                        figure.cost().is_some() || special && figure.kept_out()
                    };
                    assert!(outcome.figures.iter().all(done));
                    assert!(outcome.figures.iter().any(|figure| figure.role == Role::Peer));
                }
            }
        }
    }
}
