//! The names of the cluster's keys in etcd.

use std::fmt;

/// The part of the keys of batches behind the group's prefix.
const BATCHES: &str = "log/";
/// The longest name of a cluster.
const LONGEST_NAME: usize = 64;

/// The keys of one group of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupKeys {
    prefix: String,
    number: u32,
    /// The prefix of the group's keys, with which each key that the watch brings is compared.
    group: String,
}

/// A name that cannot be the name of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadName(String);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot be the name of a cluster: choose 1 to {LONGEST_NAME} letters, digits, hyphens, underscores \
             and dots with cluster-name",
            self.0
        )
    }
}

impl std::error::Error for BadName {}

impl GroupKeys {
    /// Returns the keys of a group of the cluster of this name.
    ///
    /// # Errors
    /// If the name contains anything but letters, digits, hyphens, underscores and dots.
    pub(crate) fn new(cluster: &str, group: u32) -> Result<Self, BadName> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if cluster.is_empty() || cluster.len() > LONGEST_NAME || !cluster.bytes().all(fine) {
            return Err(BadName(cluster.chars().take(LONGEST_NAME).collect()));
        }
        let prefix = format!("/hedgerow/{cluster}/");
        Ok(Self { group: format!("{prefix}g/{group}/"), number: group, prefix })
    }

    /// Returns the keys of another group of the same cluster.
    pub(crate) fn of_group(&self, number: u32) -> Self {
        let prefix = self.prefix.clone();
        Self { group: format!("{prefix}g/{number}/"), number, prefix }
    }

    /// Returns the number of the group.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Returns the key of the cluster's identity and format.
    pub(crate) fn format(&self) -> String {
        format!("{}format", self.prefix)
    }

    /// Returns the key under which a node registers itself.
    pub(crate) fn node(&self, id: &str) -> String {
        format!("{}node/{id}", self.prefix)
    }

    /// Returns the prefix of the keys of all nodes.
    pub(crate) fn nodes(&self) -> String {
        format!("{}node/", self.prefix)
    }

    /// Returns the key that says in which group a node was placed.
    pub(crate) fn place(&self, id: &str) -> String {
        format!("{}place/{id}", self.prefix)
    }

    /// Returns the prefix of the keys with the nodes' places.
    pub(crate) fn places(&self) -> String {
        format!("{}place/", self.prefix)
    }

    /// Returns the key that names the coordinator. It ends with a lease.
    pub(crate) fn coordinator(&self) -> String {
        format!("{}coord", self.prefix)
    }

    /// Returns the key of the last decision of a coordinator.
    pub(crate) fn last_decision(&self) -> String {
        format!("{}last-decision", self.prefix)
    }

    /// Returns the key of the number of nodes that the cluster wants.
    pub(crate) fn desired(&self) -> String {
        format!("{}desired", self.prefix)
    }

    /// Returns the key that says which group has which slot.
    pub(crate) fn slots(&self) -> String {
        format!("{}slots", self.prefix)
    }

    /// Returns the key that names the command that restores a backup. It ends with a lease.
    pub(crate) fn restoring(&self) -> String {
        format!("{}restoring", self.prefix)
    }

    /// Returns the prefix of the keys of moves.
    pub(crate) fn moves(&self) -> String {
        format!("{}move/", self.prefix)
    }

    /// Returns the key of the number of the last move.
    pub(crate) fn last_move(&self) -> String {
        format!("{}last-move", self.prefix)
    }

    /// Returns the key of a move.
    pub(crate) fn move_of(&self, id: u64) -> String {
        format!("{}move/{id:016x}", self.prefix)
    }

    /// Returns the number of a move by its key.
    pub(crate) fn move_id(&self, key: &[u8]) -> Option<u64> {
        let digits = key.strip_prefix(self.moves().as_bytes())?;
        let plain = digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit);
        u64::from_str_radix(str::from_utf8(digits).ok().filter(|_| plain)?, 16).ok()
    }

    /// Returns the prefix of all keys of all groups.
    pub(crate) fn groups(&self) -> String {
        format!("{}g/", self.prefix)
    }

    /// Returns the first key before the keys of all groups, and the end of these; and the same for those after them.
    pub(crate) fn around_groups(&self) -> [(String, String); 2] {
        let prefix = self.prefix.strip_suffix('/').unwrap_or(&self.prefix);
        // The byte after a slash is a zero.
        let (after, end) = (format!("{}g0", self.prefix), format!("{prefix}0"));
        [(self.prefix.clone(), self.groups()), (after, end)]
    }

    /// Returns the prefix of all keys of the group.
    pub(crate) fn group(&self) -> String {
        self.group.clone()
    }

    /// Returns the key of the group's last line: its epoch, its primary, and the end of its log.
    pub(crate) fn tail(&self) -> String {
        format!("{}tail", self.group)
    }

    /// Returns the key that names the primary. It changes with the epoch only.
    pub(crate) fn primary(&self) -> String {
        format!("{}primary", self.group)
    }

    /// Returns the key of the list of members.
    pub(crate) fn members(&self) -> String {
        format!("{}members", self.group)
    }

    /// Returns the key by which a node says that etcd lost entries.
    pub(crate) fn halt(&self) -> String {
        format!("{}halt", self.group)
    }

    /// Returns the prefix of the group's batches.
    pub(crate) fn batches(&self) -> String {
        format!("{}{BATCHES}", self.group)
    }

    /// Returns the key of a batch. Keys sort as their numbers do.
    pub(crate) fn batch(&self, seq: u64) -> String {
        format!("{}{BATCHES}{seq:020}", self.group)
    }

    /// Returns the prefix of the keys with the progress of the members' disks.
    pub(crate) fn durables(&self) -> String {
        format!("{}durable/", self.group)
    }

    /// Returns the key with the progress of a member's disk.
    pub(crate) fn durable(&self, node: &str) -> String {
        format!("{}durable/{node}", self.group)
    }

    /// Returns the key by which a member asks the primary to hand over to it.
    pub(crate) fn wanted(&self) -> String {
        format!("{}wanted", self.group)
    }

    /// Returns the number of a batch by its key.
    pub(crate) fn seq(&self, key: &[u8]) -> Option<u64> {
        let name = key.strip_prefix(self.group.as_bytes())?;
        let digits = name.strip_prefix(BATCHES.as_bytes())?;
        let plain = digits.len() == 20 && digits.iter().all(u8::is_ascii_digit);
        str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_places() {
        let keys = GroupKeys::new("roses", 0).unwrap();
        assert_eq!(keys.format(), "/hedgerow/roses/format");
        assert_eq!(keys.node("ab"), "/hedgerow/roses/node/ab");
        assert_eq!(keys.tail(), "/hedgerow/roses/g/0/tail");
        assert_eq!(keys.primary(), "/hedgerow/roses/g/0/primary");
        assert_eq!(keys.members(), "/hedgerow/roses/g/0/members");
        assert_eq!(keys.durable("ab"), "/hedgerow/roses/g/0/durable/ab");
        assert_eq!(keys.batch(42), "/hedgerow/roses/g/0/log/00000000000000000042");
        assert_eq!(keys.seq(keys.batch(42).as_bytes()), Some(42));
        assert_eq!(keys.move_of(77), "/hedgerow/roses/move/000000000000004d");
        assert_eq!(keys.move_id(keys.move_of(u64::MAX).as_bytes()), Some(u64::MAX));
        assert_eq!(keys.move_id(format!("{}4d", keys.moves()).as_bytes()), None);
        assert_eq!(keys.seq(keys.batch(u64::MAX).as_bytes()), Some(u64::MAX));
        let other = GroupKeys::new("roses", 12).unwrap();
        assert_eq!(keys.of_group(12), other);
        assert!(
            other.group().starts_with(&keys.groups()) && !keys.format().starts_with(&keys.groups())
        );
        assert_eq!(other.place("ab"), "/hedgerow/roses/place/ab");
        assert_eq!(other.batch(42), "/hedgerow/roses/g/12/log/00000000000000000042");
        assert_eq!((other.format(), other.node("ab")), (keys.format(), keys.node("ab")));
        assert_eq!(keys.seq(other.batch(42).as_bytes()), None);
    }

    #[test]
    fn what_is_around_the_groups_is_all_but_them() {
        let keys = GroupKeys::new("roses", 0).unwrap();
        let around = keys.around_groups();
        let is_around = |key: &String| around.iter().any(|(from, end)| (from..end).contains(&key));
        let common = [keys.coordinator(), keys.format(), keys.desired(), keys.node("ab")];
        let rare = [keys.place("ab"), keys.slots(), keys.move_of(7), keys.restoring()];
        assert!(common.iter().chain(&rare).all(is_around));
        let of_groups = [keys.tail(), keys.batch(0), keys.of_group(77).durable("ab")];
        assert!(!of_groups.iter().any(is_around), "all nodes read all groups");
        let other = GroupKeys::new("rose", 0).unwrap();
        assert!(![other.format(), other.node("ab"), other.slots()].iter().any(is_around));
        let longer = GroupKeys::new("roses-2", 0).unwrap();
        assert!(![longer.format(), longer.slots()].iter().any(is_around));
    }

    #[test]
    fn other_keys_are_no_batches() {
        let keys = GroupKeys::new("roses", 0).unwrap();
        for suffix in
            ["", "1", "0000000000000000004x", "+0000000000000000042", "99999999999999999999"]
        {
            assert_eq!(
                keys.seq(format!("{}{suffix}", keys.batches()).as_bytes()),
                None,
                "{suffix}"
            );
        }
        assert_eq!(keys.seq(keys.tail().as_bytes()), None);
        assert_eq!(keys.seq(GroupKeys::new("rose", 0).unwrap().batch(1).as_bytes()), None);
    }

    #[test]
    fn names_that_would_leave_the_prefix_are_refused() {
        for name in ["", "a/b", "..\u{0}", "a b", "röse", &"x".repeat(65)] {
            assert!(GroupKeys::new(name, 0).is_err(), "{name:?}");
        }
        assert!(GroupKeys::new(&"x".repeat(64), 0).is_ok());
    }
}
