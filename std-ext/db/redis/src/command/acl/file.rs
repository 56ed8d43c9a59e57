//! The file of users: each line is `user`, a name and rules.

use super::rules::{RuleError, has_spaces, join_selectors};
use super::user::User;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The words that Redis adds to the errors of a file.
const UNCHANGED: &[u8] =
    b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

/// Reads users from a text. `new_user` makes the user of a name.
///
/// # Errors
/// The errors of all lines.
pub(super) fn parse(
    file: &str,
    text: &[u8],
    all_channels: bool,
    mut new_user: impl FnMut(&[u8]) -> User,
) -> Result<Vec<User>, Vec<u8>> {
    let (mut users, mut errors): (Vec<User>, Vec<u8>) = (Vec::new(), Vec::new());
    for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let place = format!("{file}:{}", at + 1);
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [b"user", name, rules @ ..] = &words[..] else {
            let why = format!("{place} should start with user keyword followed by the username. ");
            errors.extend(why.as_bytes());
            continue;
        };
        let name: &[u8] = name;
        if has_spaces(name) {
            errors.extend(format!("'{place}: username '").as_bytes());
            errors.extend([name, b"' contains invalid characters. "].concat());
            continue;
        }
        if users.iter().any(|user| *user.name == *name) {
            errors.extend([&b"WARNING: Duplicate user '"[..], name].concat());
            errors.extend(format!("' found on line {}. ", at + 1).as_bytes());
            continue;
        }
        let mut user = new_user(name);
        apply_all(&mut user, (rules, all_channels), &place, &mut errors);
        users.push(user);
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors.extend(UNCHANGED);
    Err(errors)
}

/// Applies the rules of a line. Of the errors that may show a secret, only the kind of the first is told.
fn apply_all(
    user: &mut User,
    (rules, all_channels): (&[&[u8]], bool),
    place: &str,
    errors: &mut Vec<u8>,
) {
    let Ok(rules) = join_selectors(rules) else {
        errors.extend(format!("{place}: Unmatched parenthesis in selector definition.").as_bytes());
        return;
    };
    let mut told = false;
    for rule in &rules {
        let rule = rule.trim_ascii();
        match user.apply(rule, all_channels) {
            Err(why @ RuleError::UnknownName) => {
                errors.extend(format!("{place}: Error in applying operation '").as_bytes());
                errors.extend([rule, format!("': {why}. ").as_bytes()].concat());
            }
            Err(why) if !told => {
                errors.extend(format!("{place}: {why}. ").as_bytes());
                told = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Writes lines to a file in place of its contents. A crash leaves the old or the new contents.
pub(super) fn write(path: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    // A symbolic link stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let new = path.with_file_name(name);
    // A crash may have left one behind.
    let _ = fs::remove_file(&new);
    let written = write_new(&path, &new, lines);
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, new: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(new)?;
    // An operator may have given a group the right to read the file. Otherwise only its owner reads the digests.
    if let Ok(known) = fs::metadata(path) {
        file.set_permissions(known.permissions())?;
    }
    for line in lines {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    // Before the rename: otherwise a crash may leave the new name with no contents.
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
