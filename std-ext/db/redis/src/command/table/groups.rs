//! The groups of commands in Redis's documentation, and the categories of ACL.

use super::flags::{Flag, FlagSet};

/// The categories of Redis 7, in its order.
pub(crate) const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// A set of categories: one bit for each of [`CATEGORIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Categories(u32);

impl Categories {
    pub(super) const NONE: Self = Self(0);
    pub(super) const SLOW: Self = Self::parse("slow");

    /// Returns the categories with these names, which are separated by spaces.
    pub(crate) const fn parse(names: &str) -> Self {
        let (mut set, mut bit) = (0, 0);
        while bit < CATEGORIES.len() {
            if super::flags::contains_word(names.as_bytes(), CATEGORIES[bit].as_bytes()) {
                set |= 1 << bit;
            }
            bit += 1;
        }
        Self(set)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether the set has the category with this index in [`CATEGORIES`].
    pub(crate) fn has(self, category: usize) -> bool {
        self.0 >> category & 1 == 1
    }

    /// Returns the names of the categories, in Redis's order.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let named = CATEGORIES.into_iter().enumerate();
        named.filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
    }
}

/// A group of commands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    HyperLogLog,
    List,
    PubSub,
    Scripting,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
}

impl Group {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::HyperLogLog => "hyperloglog",
            Self::List => "list",
            Self::PubSub => "pubsub",
            Self::Scripting => "scripting",
            Self::Server => "server",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::String => "string",
            Self::Transactions => "transactions",
        }
    }

    /// Returns the categories of a command of the group with these flags, as Redis derives them
    /// (`setImplicitACLCategories`).
    pub(super) const fn categories(self, flags: FlagSet) -> Categories {
        let own = match self {
            Self::Generic => Categories::parse("keyspace"),
            Self::Transactions => Categories::parse("transaction"),
            Self::SortedSet => Categories::parse("sortedset"),
            Self::Cluster | Self::PubSub | Self::Server => Categories::NONE,
            _ => Categories::parse(self.name()),
        };
        let read = if matches!(self, Self::Scripting) { "" } else { "read" };
        own.and(implied(flags, Flag::Write, "write"))
            .and(implied(flags, Flag::ReadOnly, read))
            .and(implied(flags, Flag::Admin, "admin dangerous"))
            .and(implied(flags, Flag::PubSub, "pubsub"))
            .and(implied(flags, Flag::Blocking, "blocking"))
            .and(Categories::parse(if flags.has(Flag::Fast) { "fast" } else { "slow" }))
    }
}

const fn implied(flags: FlagSet, flag: Flag, categories: &str) -> Categories {
    if flags.has(flag) { Categories::parse(categories) } else { Categories::NONE }
}
