//! Verifies a backup.

use super::files::{CLUSTER, group_folder, is_data, is_group_folder};
use super::manifest::{BackupContents, FileInfo, GroupContents, NAME};
use crate::archive::adopt::Survey;
use crate::membership::error::StartError;
use crate::membership::slot_claims::Disputed;
use hedgerow_db_engine::log::folder::Folder;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::hex;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Reads all of a backup, and checks every byte of it.
///
/// It needs memory for one entry, and writes nothing but the files `lock`, by which no other process uses the folders
/// meanwhile.
///
/// # Errors
/// A sentence that says what is damaged, missing, or of another version.
pub fn verify(backup: &Path) -> Result<BackupContents, StartError> {
    let contents = BackupContents::read(backup)?;
    check_groups(&contents, backup)?;
    for group in &contents.groups {
        verify_group(&contents, group, &backup.join(group_folder(group.group)), backup)?;
    }
    Ok(contents)
}

/// Checks that each slot is in one of the groups, and that the folder has no other groups.
fn check_groups(contents: &BackupContents, backup: &Path) -> Result<(), StartError> {
    let described = backup.join(NAME);
    let damaged = |why: &str| StartError::new(format!("{} is damaged: {why}", described.display()));
    let mut claims = Vec::new();
    for group in &contents.groups {
        if claims.iter().any(|(other, _)| *other == group.group) {
            return Err(damaged(&format!("it lists group {} twice", group.group)));
        }
        let slots = SlotSet::from_ranges(&group.slots);
        let slots = slots.ok_or_else(|| damaged("the slots of a group are out of order"))?;
        claims.push((group.group, slots));
    }
    let disputed = Disputed::of(claims.iter().map(|(group, slots)| (*group, slots)));
    if let Some(first) = disputed.sentences().first() {
        return Err(damaged(first));
    }
    let unreadable = |why| StartError::new(format!("{}: {why}", backup.display()));
    for found in fs::read_dir(backup).map_err(unreadable)? {
        let name = found.map_err(unreadable)?.file_name();
        let name = name.to_string_lossy();
        let is_known = |group: &GroupContents| group_folder(group.group) == name;
        if is_group_folder(&name) && !contents.groups.iter().any(is_known) {
            return Err(added(&backup.join(&*name)));
        }
    }
    Ok(())
}

fn verify_group(
    contents: &BackupContents,
    group: &GroupContents,
    path: &Path,
    backup: &Path,
) -> Result<(), StartError> {
    for file in &group.files {
        // The checksum of `backup.json` protects against damage, and not against somebody who writes one.
        check_name(backup, &file.name)?;
        let found = FileInfo::of(path, &file.name).map_err(|why| unreadable(path, file, &why))?;
        check_file(path, file, &found)?;
    }
    let folder = Folder::claim(path)?;
    let names = folder.disk().list(path).map_err(|why| folder.io_error(why))?;
    let known = |name: &String| group.files.iter().any(|file| file.name == *name);
    // A log or a snapshot that was added would be loaded together with the others.
    if let Some(other) = names.iter().find(|name| is_data(name) && !known(name)) {
        return Err(added(&folder.at(other)));
    }
    check_data((contents, group), &Survey::of(&folder)?, backup)
}

fn added(path: &Path) -> StartError {
    StartError::new(format!("{} was added to the backup later: remove it", path.display()))
}

/// Refuses names that would lead out of the folder.
fn check_name(backup: &Path, name: &str) -> Result<(), StartError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (is_data(name) || name == CLUSTER) && name.chars().all(plain) {
        return Ok(());
    }
    Err(StartError::new(format!(
        "{} is damaged: it names the file {name:?}, which is not a backup's",
        backup.join(NAME).display()
    )))
}

fn unreadable(backup: &Path, file: &FileInfo, why: &io::Error) -> StartError {
    let path = backup.join(&file.name);
    StartError::new(match why.kind() {
        ErrorKind::NotFound => format!("{} is missing", path.display()),
        _ => format!("{}: {why}", path.display()),
    })
}

fn check_file(backup: &Path, wanted: &FileInfo, found: &FileInfo) -> Result<(), StartError> {
    let path = backup.join(&wanted.name);
    if found.bytes != wanted.bytes {
        return Err(StartError::new(format!(
            "{} is damaged: it has {} bytes instead of {}",
            path.display(),
            found.bytes,
            wanted.bytes
        )));
    }
    if found.sha256 != wanted.sha256 {
        return Err(StartError::new(format!(
            "{} is damaged: its checksum is wrong",
            path.display()
        )));
    }
    Ok(())
}

/// Checks that the files have what the backup says.
fn check_data(
    (contents, group): (&BackupContents, &GroupContents),
    survey: &Survey,
    backup: &Path,
) -> Result<(), StartError> {
    let belonging = survey.belonging.as_ref();
    let cluster = belonging.and_then(|belonging| belonging.cluster());
    let whose = (
        belonging.map_or("", |belonging| belonging.name()),
        cluster.map(|id| hex::text(&id)).unwrap_or_default(),
        belonging.map_or(0, |belonging| belonging.incarnation()),
        belonging.map_or(0, |belonging| belonging.group()),
    );
    let end = (survey.last, survey.mark.map_or(0, |mark| mark.seq), survey.time);
    let BackupContents { name, cluster, incarnation, .. } = contents;
    let GroupContents { group, lsn, seq, time_ms, slots, .. } = group;
    let is_whose = whose == (&name[..], cluster.clone(), *incarnation, *group);
    if is_whose && end == (*lsn, *seq, *time_ms) && survey.slots.ranges() == *slots {
        return Ok(());
    }
    Err(StartError::new(format!(
        "{} does not match the files of group {group}: they have entries up to {} instead of {lsn}, different \
         slots, or belong to another group or cluster",
        backup.join(NAME).display(),
        survey.last
    )))
}
