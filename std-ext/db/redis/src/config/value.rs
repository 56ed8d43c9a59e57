//! The kinds of values that settings take.

use super::server::OutputLimit;
use hedgerow_db_engine::event_flags::EventFlags;
use hedgerow_db_formats::number::unit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// `yes` or `no`.
    Flag,
    /// An integer.
    Number {
        /// The minimum.
        min: u64,
        /// The maximum.
        max: u64,
    },
    /// An integer that may be negative.
    Signed {
        /// The minimum.
        min: i64,
        /// The maximum.
        max: i64,
    },
    /// Percentages separated by spaces, or nothing.
    Percentiles,
    /// An integer, or `auto`.
    NumberOrAuto {
        /// The minimum.
        min: u64,
        /// The maximum.
        max: u64,
    },
    /// Bytes, as a number with an optional `k`, `kb`, `m`, `mb`, `g` or `gb`.
    Bytes {
        /// The minimum.
        min: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// The path of a file, or nothing.
    File,
    /// The path of a directory.
    Folder,
    /// IP addresses separated by spaces.
    Addresses,
    /// IP addresses separated by spaces, or nothing.
    AddressesOrNone,
    /// One IP address.
    Address,
    /// URLs of etcd's members, separated by commas or spaces, or nothing.
    Endpoints,
    /// Permissions in octal, or nothing.
    Mode,
    /// Limits of unsent replies in Redis's format: for each class of clients its name, two numbers of bytes and a
    /// number of seconds.
    OutputLimits,
    /// Redis's letters for kinds of events about keys, or nothing.
    KeyEvents,
}

impl ValueKind {
    /// Normalizes a value: words in lower case, bytes as a number.
    ///
    /// # Errors
    /// A description of the expected values.
    pub fn parse(self, value: &str) -> Result<String, String> {
        let expected = || self.to_string();
        let lower = value.to_ascii_lowercase();
        match self {
            Self::Flag => match &*lower {
                "yes" | "no" => Ok(lower),
                _ => Err(expected()),
            },
            Self::Number { min, max } => {
                let number = value.parse().ok().filter(|n| (min..=max).contains(n));
                number.map(|n: u64| n.to_string()).ok_or_else(expected)
            }
            Self::Signed { min, max } => {
                let number = value.parse().ok().filter(|n| (min..=max).contains(n));
                number.map(|n: i64| n.to_string()).ok_or_else(expected)
            }
            Self::Percentiles => {
                let percentage = |word: &str| {
                    let number = word.parse::<f64>().ok().filter(|n| (0.0..=100.0).contains(n))?;
                    // As Redis shows it, which keeps six digits.
                    let digits = format!("{number:.6}");
                    Some(digits.trim_end_matches('0').trim_end_matches('.').to_owned())
                };
                let words: Option<Vec<String>> = value.split_whitespace().map(percentage).collect();
                words.map(|words| words.join(" ")).ok_or_else(expected)
            }
            Self::NumberOrAuto { .. } if lower == "auto" => Ok(lower),
            Self::NumberOrAuto { min, max } => {
                Self::Number { min, max }.parse(value).map_err(|_| expected())
            }
            Self::Bytes { min } => {
                let bytes = read_bytes(&lower).filter(|n| *n >= min);
                bytes.map(|n| n.to_string()).ok_or_else(expected)
            }
            Self::Choice(words) => {
                let word = words.contains(&&*lower);
                word.then_some(lower).ok_or_else(expected)
            }
            Self::Text | Self::File | Self::Folder => Ok(value.to_owned()),
            Self::Addresses => match read_addresses(value) {
                Some(some) if !some.is_empty() => Ok(value.to_owned()),
                _ => Err(expected()),
            },
            Self::AddressesOrNone => {
                read_addresses(value).map(|_| value.to_owned()).ok_or_else(expected)
            }
            Self::Endpoints => endpoints(value).map(|all| all.join(" ")).ok_or_else(expected),
            Self::Address => match read_addresses(value).as_deref() {
                Some([_]) => Ok(value.to_owned()),
                _ => Err(expected()),
            },
            Self::Mode => {
                let mode = u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o777);
                (mode || value.is_empty()).then(|| value.to_owned()).ok_or_else(expected)
            }
            Self::OutputLimits => {
                output_limits_over(DEFAULT_OUTPUT_LIMITS, &lower).map_err(|_| expected())
            }
            Self::KeyEvents => EventFlags::parse(value).map(EventFlags::text).ok_or_else(expected),
        }
    }
}

impl std::fmt::Display for ValueKind {
    /// Writes what is expected.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("yes or no"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Signed { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Percentiles => f.write_str("percentages separated by spaces, such as 50 99 99.9"),
            Self::NumberOrAuto { min, max } => write!(f, "a number from {min} to {max}, or auto"),
            Self::Bytes { min: 0 } => f.write_str("bytes, such as 1000, 64kb, 100mb or 2gb"),
            Self::Bytes { min } => {
                write!(f, "bytes, such as 64kb, 100mb or 2gb, at least {min}")
            }
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Text => f.write_str("a string"),
            Self::File | Self::Folder => f.write_str("a path"),
            Self::Addresses | Self::AddressesOrNone => {
                f.write_str("IP addresses separated by spaces, such as 127.0.0.1 ::1")
            }
            Self::Endpoints => f.write_str(
                "URLs separated by commas or spaces, such as http://10.0.0.1:2379,http://10.0.0.2:2379",
            ),
            Self::Address => f.write_str("an IP address, such as 127.0.0.1"),
            Self::Mode => f.write_str("permissions in octal, such as 770"),
            Self::OutputLimits => f.write_str(
                "classes (normal, replica, pubsub), each with bytes, bytes and seconds, such as normal 1gb 256mb 60 \
                 pubsub 32mb 8mb 60, the first of normal at least 64kb",
            ),
            Self::KeyEvents => f.write_str("letters of Ag$lshzxeKEtmdn"),
        }
    }
}

/// Parses bytes as Redis does: `k` is 1,000, `kb` is 1,024.
fn read_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = unit(&text[digits.len()..])? as u64;
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads a value that [`ValueKind::parse`] has normalized to digits: that of a [`ValueKind::Number`] or
/// [`ValueKind::Bytes`].
///
/// # Panics
/// If it is no number.
pub(crate) fn number(value: &str) -> u64 {
    value.parse().expect("the table has checked the number")
}

/// The lowest hard limit that [`ValueKind::OutputLimits`] accepts.
const MIN_OUTPUT_LIMIT: usize = 64 << 10;

/// The errors of CONFIG SET; the first three are Redis's.
const WRONG_WORDS: &str = "Wrong number of arguments in buffer limit configuration.";
const WRONG_CLASS: &str = "Invalid client class specified in buffer limit configuration.";
const WRONG_LIMITS: &str =
    "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
const TOO_LOW: &str = "the hard limit of the class normal must be 0 or at least 64kb";

/// The limits of unsent output of each class, as the setting begins.
pub(super) const DEFAULT_OUTPUT_LIMITS: &str =
    "normal 1gb 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60";

/// The limits of unsent output of each class of clients, as far as they are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputLimits {
    pub(crate) normal: Option<OutputLimit>,
    /// Accepted without effect: no client is a replica.
    replica: Option<OutputLimit>,
    pub(crate) subscriber: Option<OutputLimit>,
}

/// Parses limits of unsent output. The last ones of a class win.
///
/// # Errors
/// Redis's text for a word that is invalid.
pub(crate) fn output_limits(text: &str) -> Result<OutputLimits, &'static str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (classes, []) = words.as_chunks::<4>() else { return Err(WRONG_WORDS) };
    let mut all = OutputLimits::default();
    for &[class, hard, soft, time] in classes {
        let of_class = match class {
            "normal" => &mut all.normal,
            "replica" | "slave" => &mut all.replica,
            "pubsub" => &mut all.subscriber,
            _ => return Err(WRONG_CLASS),
        };
        let limit = class_limit(hard, soft, time).ok_or(WRONG_LIMITS)?;
        // A lower limit would cut off the reply to the CONFIG SET that raises it again.
        if class == "normal" && limit.hard != 0 && limit.hard < MIN_OUTPUT_LIMIT {
            return Err(TOO_LOW);
        }
        *of_class = Some(limit);
    }
    Ok(all)
}

/// Parses the limits of a class.
fn class_limit(hard: &str, soft: &str, time: &str) -> Option<OutputLimit> {
    let bytes = |text| usize::try_from(read_bytes(text)?).ok();
    // The seconds are stored as milliseconds.
    let seconds: u32 = time.parse().ok()?;
    let soft_time = Duration::from_secs(seconds.into());
    Some(OutputLimit { hard: bytes(hard)?, soft: bytes(soft)?, soft_time })
}

/// Parses limits of unsent output. Classes that are not named keep their present limits.
///
/// # Errors
/// As [`output_limits`].
pub(crate) fn output_limits_over(present: &str, text: &str) -> Result<String, &'static str> {
    let (old, new) = (output_limits(present).unwrap_or_default(), output_limits(text)?);
    let shown = |name: &str, limit: OutputLimit| {
        format!("{name} {} {} {}", limit.hard, limit.soft, limit.soft_time.as_secs())
    };
    let all = [
        ("normal", new.normal.or(old.normal)),
        ("slave", new.replica.or(old.replica)),
        ("pubsub", new.subscriber.or(old.subscriber)),
    ];
    let all: Vec<String> =
        all.iter().map(|(name, limit)| shown(name, limit.unwrap_or_default())).collect();
    Ok(all.join(" "))
}

/// Parses addresses, each with whether it may be missing on this machine.
pub(super) fn read_addresses(text: &str) -> Option<Vec<(IpAddr, bool)>> {
    let one = |word: &str| {
        let (word, optional) = word.strip_prefix('-').map_or((word, false), |word| (word, true));
        let address = match word {
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            "::*" => Ipv6Addr::UNSPECIFIED.into(),
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            _ => word.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
        };
        Some((address, optional))
    };
    text.split_whitespace().map(one).collect()
}

/// Parses the URLs of etcd's members, separated by commas or spaces. A missing port becomes 2379. `None` if one is no
/// URL of a host.
pub(super) fn endpoints(text: &str) -> Option<Vec<String>> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    words.map(endpoint).collect()
}

/// Parses the URL of one member of etcd.
fn endpoint(word: &str) -> Option<String> {
    const PORT: u16 = 2379;
    let (scheme, rest) = word.trim_end_matches('/').split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, PORT),
    };
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let known = inside.map_or_else(
        || !host.is_empty() && host.chars().all(plain),
        |ip| ip.parse::<Ipv6Addr>().is_ok(),
    );
    (known && port != 0).then(|| format!("{scheme}://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_SHOWN: &str =
        "normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";

    #[test]
    fn invalid_values_report_what_is_expected() {
        let choice = ValueKind::Choice(&["always", "no"]);
        let number = ValueKind::Number { min: 1, max: 9 };
        let bytes = ValueKind::Bytes { min: 1000 };
        let good = [
            (ValueKind::Flag, "Yes", "yes"),
            (choice, "ALWAYS", "always"),
            (number, "9", "9"),
            (ValueKind::NumberOrAuto { min: 0, max: 9 }, "9", "9"),
            (ValueKind::NumberOrAuto { min: 0, max: 9 }, "Auto", "auto"),
            (bytes, "1k", "1000"),
            (bytes, "3KB", "3072"),
            (bytes, "2mb", "2097152"),
            (bytes, "1gb", "1073741824"),
            (ValueKind::Text, "As It Is", "As It Is"),
            (ValueKind::Addresses, "10.0.0.1 -::1 * ::*", "10.0.0.1 -::1 * ::*"),
            (ValueKind::AddressesOrNone, "", ""),
            (ValueKind::AddressesOrNone, "10.0.0.1 ::1", "10.0.0.1 ::1"),
            (ValueKind::Endpoints, "", ""),
            (
                ValueKind::Endpoints,
                "http://a:1,https://[::1]:2 , http://10.0.0.1/",
                "http://a:1 https://[::1]:2 http://10.0.0.1:2379",
            ),
            (ValueKind::Endpoints, "http://[::1]", "http://[::1]:2379"),
            (ValueKind::Mode, "770", "770"),
            (ValueKind::Mode, "", ""),
            (ValueKind::OutputLimits, "", DEFAULT_SHOWN),
            (
                ValueKind::OutputLimits,
                "Normal 1MB 0 0",
                "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            ),
            (
                ValueKind::OutputLimits,
                "pubsub 3kb 1 6 normal 0 1kb 7 replica 0 0 0",
                "normal 0 1024 7 slave 0 0 0 pubsub 3072 1 6",
            ),
        ];
        for (kind, text, expected) in good {
            assert_eq!(kind.parse(text).as_deref(), Ok(expected), "{text}");
        }
        let bad = [
            (ValueKind::Flag, "true"),
            (choice, "sometimes"),
            (number, "0"),
            (number, "10"),
            (number, "-1"),
            (number, ""),
            (bytes, "999"),
            (bytes, "1tb"),
            (bytes, "gb"),
            (bytes, "99999999999gb"),
            (ValueKind::Addresses, ""),
            (ValueKind::Addresses, "example.org"),
            (ValueKind::Address, "127.0.0.1 ::1"),
            (ValueKind::AddressesOrNone, "here"),
            (ValueKind::Endpoints, "10.0.0.1:2379"),
            (ValueKind::Endpoints, "ftp://10.0.0.1"),
            (ValueKind::Endpoints, "http://"),
            (ValueKind::Endpoints, "http://a:0"),
            (ValueKind::Endpoints, "http://a:65536"),
            (ValueKind::Endpoints, "http://[::1"),
            (ValueKind::Endpoints, "http://::1"),
            (ValueKind::Endpoints, "http://a:1,http://user@b:1"),
            (ValueKind::Endpoints, "http://a/path"),
            (ValueKind::Mode, "888"),
            (ValueKind::Mode, "7777"),
            (ValueKind::OutputLimits, "1gb"),
            (ValueKind::OutputLimits, "normal 1gb 0"),
            (ValueKind::OutputLimits, "normal 1kb 0 0"),
            (ValueKind::OutputLimits, "normal 1gb 0 99999999999"),
            (ValueKind::OutputLimits, "pubsub 32mb 8mb 99999999999"),
            (ValueKind::OutputLimits, "other 0 0 0"),
        ];
        for (kind, text) in bad {
            assert_eq!(kind.parse(text), Err(kind.to_string()), "{text}");
        }
    }

    #[test]
    fn invalid_limits_of_output_have_the_errors_of_redis() {
        for (text, why) in [
            ("wrong number", WRONG_WORDS),
            ("normal 0 0 0 pubsub 5 5", WRONG_WORDS),
            ("invalid_class 10mb 10mb 60", WRONG_CLASS),
            ("master 10mb 10mbs 60", WRONG_CLASS),
            ("normal 10mbs 10mb 60", WRONG_LIMITS),
            ("replica 0mb 10mbs 60", WRONG_LIMITS),
            ("pubsub 10mb 10mb 60s", WRONG_LIMITS),
            ("normal 1mb 1mb -1", WRONG_LIMITS),
            ("normal -1 0 0", WRONG_LIMITS),
            ("normal 1kb 0 0", TOO_LOW),
        ] {
            assert_eq!(output_limits(text), Err(why), "another error: {text}");
        }
        let subscriber = OutputLimit { hard: 1, soft: 2, soft_time: Duration::from_secs(3) };
        let read = output_limits("pubsub 1 2 3").map(|all| all.subscriber);
        assert_eq!(read, Ok(Some(subscriber)));
    }

    #[test]
    fn addresses_may_be_optional() {
        let read = read_addresses("127.0.0.1 -[::1]").unwrap();
        assert_eq!(read, [(Ipv4Addr::LOCALHOST.into(), false), (Ipv6Addr::LOCALHOST.into(), true)]);
    }
}
