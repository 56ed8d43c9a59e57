//! The kinds of events about keys that are published, in the letters of Redis's setting `notify-keyspace-events`.

/// Kinds of events, and the channels on which they are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFlags(u32);

/// The letters in the order in which Redis shows them. `A` stands for those before `n`.
const LETTERS: &[u8] = b"g$lshzxetdnKEm";
/// The flags that `A` stands for.
const ALL: u32 = (1 << 10) - 1;

impl EventFlags {
    /// Events that each type of value has, such as `del` and `expire`.
    pub(crate) const GENERIC: Self = Self::of(b'g');
    /// Events of strings.
    pub const STRING: Self = Self::of(b'$');
    pub const LIST: Self = Self::of(b'l');
    pub const SET: Self = Self::of(b's');
    pub const HASH: Self = Self::of(b'h');
    pub const SORTED_SET: Self = Self::of(b'z');
    pub const STREAM: Self = Self::of(b't');
    /// A key was added that did not exist.
    pub const NEW: Self = Self::of(b'n');
    /// A read has not found its key.
    pub(crate) const MISS: Self = Self::of(b'm');
    /// An expired key was removed.
    pub(crate) const EXPIRED: Self = Self::of(b'x');
    /// A key was evicted.
    pub(crate) const EVICTED: Self = Self::of(b'e');

    const fn of(letter: u8) -> Self {
        let mut at = 0;
        while LETTERS[at] != letter {
            at += 1;
        }
        Self(1 << at)
    }

    /// Parses Redis's letters; `None` if there is another one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut flags = 0;
        for letter in text.bytes() {
            flags |= match LETTERS.iter().position(|known| *known == letter) {
                _ if letter == b'A' => ALL,
                Some(at) => 1 << at,
                None => return None,
            };
        }
        Some(Self(flags))
    }

    /// Returns all letters, with `A` for those that it stands for.
    pub fn text(self) -> String {
        let all = self.0 & ALL == ALL;
        let shown = |at: usize| self.0 & 1 << at != 0 && !(all && ALL & 1 << at != 0);
        let letters = (0..LETTERS.len()).filter(|at| shown(*at)).map(|at| char::from(LETTERS[at]));
        all.then_some('A').into_iter().chain(letters).collect()
    }

    /// Returns the letters as Redis's `CONFIG GET` shows them: it omits `n` beside `A`.
    pub fn shown(self) -> String {
        let text = self.text();
        if text.starts_with('A') { text.replace('n', "") } else { text }
    }

    /// Returns whether events are published on the channel of their key (`__keyspace@0__:key`).
    pub fn by_key(self) -> bool {
        self.intersects(Self::of(b'K'))
    }

    /// Returns whether events are published on the channel of their name (`__keyevent@0__:name`).
    pub fn by_event(self) -> bool {
        self.intersects(Self::of(b'E'))
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_shown_as_redis_does() {
        let cases = [
            ("AKEn", "AKE"),
            ("gxEK", "gxKE"),
            ("Kn$", "$nK"),
            ("KEA", "AKE"),
            ("mnAKE", "AKEm"),
            ("Em", "Em"),
            ("KEg$lshzxetd", "AKE"),
            ("", ""),
        ];
        for (given, shown) in cases {
            let flags = EventFlags::parse(given).map(EventFlags::shown);
            assert_eq!(flags.as_deref(), Some(shown), "for the letters {given}");
        }
    }

    #[test]
    fn the_text_has_every_letter() {
        for bits in 0..1 << LETTERS.len() {
            let flags = EventFlags(bits);
            assert_eq!(EventFlags::parse(&flags.text()), Some(flags), "{}", flags.text());
        }
    }

    #[test]
    fn other_letters_are_refused() {
        for text in ["KEZ", "k", " ", "K E", "\u{e9}", "A\0"] {
            assert_eq!(EventFlags::parse(text), None, "{text}");
        }
    }
}
