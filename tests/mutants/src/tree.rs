//! A copy of the source tree that may be broken, with build folders of its own.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

pub struct Tree {
    /// `tree` has the sources, `build-*` the artifacts, `output` the output of the last command.
    home: PathBuf,
}

impl Tree {
    /// Makes `count` copies of the files that git tracks or would track, with their present content.
    pub fn copies(root: &Path, count: usize) -> io::Result<Vec<Self>> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        // An absolute path, because commands run in other folders.
        let target = std::path::absolute(target)?.join("mutants");
        (0..count).map(|n| Self::copy(root, target.join(n.to_string()))).collect()
    }

    fn copy(root: &Path, home: PathBuf) -> io::Result<Self> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let list = Command::new("git").args(list).current_dir(root).output()?;
        if !list.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&list.stderr)));
        }
        let tree = home.join("tree");
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        for name in String::from_utf8_lossy(&list.stdout).split_terminator('\0') {
            let (from, to) = (root.join(name), tree.join(name));
            // Git still lists a file that was deleted and not committed.
            if from.is_file() {
                fs::create_dir_all(to.parent().expect("below the tree"))?;
                // Writes a new file instead of copying its time, so that cargo notices the change.
                fs::write(to, fs::read(from)?)?;
            }
        }
        Ok(Self { home })
    }

    pub fn sources(&self) -> PathBuf {
        self.home.join("tree")
    }

    /// Returns the build folder of one set of compiler flags. In a shared folder each set would compile
    /// everything again.
    pub fn build(&self, flavour: &str) -> PathBuf {
        self.home.join(format!("build-{flavour}"))
    }

    /// Makes a new file for a command's output, which [`Self::last_output`] reads.
    pub fn output(&self) -> File {
        File::create(self.home.join("output")).expect("the copy is writable")
    }

    /// Returns the end of the last command's output.
    pub fn last_output(&self) -> String {
        let text = self.whole_output();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    pub fn whole_output(&self) -> String {
        let bytes = fs::read(self.home.join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns why the test did not run, or a part of it, if it has said so.
    pub fn not_run(&self) -> Option<String> {
        let text = self.whole_output();
        let said = text.lines().find_map(|line| line.strip_prefix("NOT RUN: "))?;
        Some(said.split_once(": ").map_or(said, |(_, why)| why).to_owned())
    }

    /// Returns the first message of an unplanned panic in the last command's output.
    pub fn reason(&self) -> String {
        let text = self.whole_output();
        let mut lines = text.lines();
        while lines.any(|line| line.contains("panicked at")) {
            match lines.next() {
                Some(message) if !message.contains("planned panic") => return message.to_owned(),
                _ => {}
            }
        }
        String::new()
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.sources().join(file)).expect("the copy has the file")
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.sources().join(file), text).expect("the copy is writable");
    }
}
