//! The flags of commands that decide how a command is executed.

/// A flag of a command, as `COMMAND INFO` shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flag {
    Admin,
    AllowBusy,
    Blocking,
    DenyOom,
    Fast,
    Loading,
    NoMulti,
    NoScript,
    PubSub,
    ReadOnly,
    Write,
}

impl Flag {
    pub(super) const ALL: [(Self, &str); 11] = [
        (Self::Admin, "admin"),
        (Self::AllowBusy, "allow_busy"),
        (Self::Blocking, "blocking"),
        (Self::DenyOom, "denyoom"),
        (Self::Fast, "fast"),
        (Self::Loading, "loading"),
        (Self::NoMulti, "no_multi"),
        (Self::NoScript, "noscript"),
        (Self::PubSub, "pubsub"),
        (Self::ReadOnly, "readonly"),
        (Self::Write, "write"),
    ];
}

/// A set of flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlagSet(u16);

impl FlagSet {
    /// Returns the flags of a text. Those that are only shown to clients are left out.
    pub(super) const fn parse(text: &str) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < Flag::ALL.len() {
            let (flag, name) = Flag::ALL[at];
            if contains_word(text.as_bytes(), name.as_bytes()) {
                set |= 1 << flag as u16;
            }
            at += 1;
        }
        Self(set)
    }

    /// Returns whether the set has this flag.
    #[inline]
    pub(super) const fn has(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u16 != 0
    }
}

/// Returns whether a text has this word. Words are separated by spaces.
pub(super) const fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let mut start = 0;
    while start < text.len() {
        let mut end = start;
        while end < text.len() && text[end] != b' ' {
            end += 1;
        }
        let mut same = 0;
        while same < word.len() && start + same < end && text[start + same] == word[same] {
            same += 1;
        }
        if same == word.len() && start + same == end {
            return true;
        }
        start = end + 1;
    }
    false
}
