//! The output of each row's last failure, kept beside the trees. If only `says` or `hangs` of a row changes, the
//! runner judges the kept output without another run.

use crate::{check::Outcome, tree::Tree};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The output of one failed run.
pub struct Kept {
    file: PathBuf,
    reuse: bool,
}

impl Kept {
    /// The output in `folder` under a fingerprint of everything that decides it. The runner always writes it, and
    /// reads it if `reuse` is set.
    pub fn new(folder: &Path, print: &str, reuse: bool) -> Self {
        Self { file: folder.join(print), reuse }
    }

    pub fn is_there(&self) -> bool {
        self.file.is_file()
    }

    /// Copies the output to the place of a run's output.
    pub fn take(&self, tree: &Tree) -> Option<Outcome> {
        let text = fs::read_to_string(&self.file).ok().filter(|_| self.reuse)?;
        let (word, output) = text.split_once('\n')?;
        let outcome = match word {
            "red" => Outcome::Red,
            "hung" => Outcome::Hung,
            _ => return None,
        };
        tree.set_output(output);
        Some(outcome)
    }

    /// Keeps the output of a failure. A check may pass because its threads did not meet, so passes are not kept.
    pub fn put(&self, outcome: Outcome, tree: &Tree) {
        let word = match outcome {
            Outcome::Red => "red",
            Outcome::Hung => "hung",
            _ => return,
        };
        let folder = self.file.parent().expect("in a folder");
        // A row whose output could not be kept runs again.
        let _ = fs::create_dir_all(folder);
        let _ = fs::write(&self.file, format!("{word}\n{}", tree.whole_output()));
    }
}
