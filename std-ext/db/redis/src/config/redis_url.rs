//! The address of a running Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/]`, or `rediss://` with TLS.

use std::fmt;

/// The port of Redis, if the address has none.
const PORT: u16 = 6379;
/// The beginnings of an address, and whether there is TLS.
const SCHEMES: [(&str, bool); 2] = [("redis://", false), ("rediss://", true)];

/// The address of a running Redis, and how a client authenticates there.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisAddress {
    /// A name, or an address of IP without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection has TLS.
    pub tls: bool,
    /// The user, if the address names one.
    pub user: Option<Vec<u8>>,
    /// The password, if the address has one.
    pub password: Option<Vec<u8>>,
}

impl fmt::Debug for RedisAddress {
    /// Shows no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for RedisAddress {
    /// Shows neither user nor password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl RedisAddress {
    /// Parses an address. An error does not contain the text, which may have a password.
    ///
    /// # Errors
    /// The fault of the text.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut schemes = SCHEMES.iter();
        let found = schemes.find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, *tls)));
        let (rest, tls) = found.ok_or("the address must begin with redis:// or rediss://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A password may contain `@` and `/`.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (None, None),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self { host: host.to_owned(), port, tls, user, password })
    }
}

/// Splits a host from its port. The host is not empty.
fn host_and_port(place: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the address has a [ without a ]")?;
            match port.strip_prefix(':') {
                None if !port.is_empty() => return Err("after the ] there must be a port"),
                port => (host, port),
            }
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err("the address has no host");
    }
    if host.contains('/') {
        return Err("the address names a database, but all databases are imported");
    }
    let port = match port {
        None => PORT,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err("the port of the address is not a number from 1 to 65535"),
        },
    };
    Ok((host, port))
}

/// Decodes `%` and two hexadecimal digits. Returns nothing for an empty text.
fn decoded(text: &str) -> Result<Option<Vec<u8>>, &'static str> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let digit = |digit: &u8| char::from(*digit).to_digit(16).map(|digit| digit as u8);
        let Some((high, low)) = after.first().and_then(digit).zip(after.get(1).and_then(digit))
        else {
            return Err("in the address, % is not followed by two hexadecimal digits");
        };
        decoded.push(high << 4 | low);
        rest = &after[2..];
    }
    Ok((!decoded.is_empty()).then_some(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        for (text, host, port, user, password) in [
            ("redis://old", "old", 6379, None, None),
            ("redis://old:7000/", "old", 7000, None, None),
            ("redis://[::1]:7", "::1", 7, None, None),
            ("redis://[::1]", "::1", 6379, None, None),
            ("redis://:s%40e%2F@old", "old", 6379, None, Some("s@e/")),
            ("redis://me:a@b:c@old:1", "old", 1, Some("me"), Some("a@b:c")),
            ("redis://me@old", "old", 6379, Some("me"), None),
            ("rediss://me@old:1", "old", 1, Some("me"), None),
        ] {
            let found = RedisAddress::parse(text).unwrap();
            let login = (found.user.as_deref(), found.password.as_deref());
            assert_eq!((&found.host[..], found.port), (host, port), "{text}");
            assert_eq!(found.tls, text.starts_with("rediss:"), "{text}");
            assert_eq!(login, (user.map(str::as_bytes), password.map(str::as_bytes)), "{text}");
            assert!(!format!("{found:?}").contains("s@e/"));
        }
        assert_eq!(RedisAddress::parse("redis://[::1]:7").unwrap().to_string(), "[::1]:7");
    }

    #[test]
    fn wrong_addresses_get_a_reason() {
        for (text, wanted) in [
            ("old:6379", "redis://"),
            ("redisss://old", "redis:// or rediss://"),
            ("redis://", "no host"),
            ("redis://:6379", "no host"),
            ("redis://old:", "port"),
            ("redis://old:0", "port"),
            ("redis://old:65536", "port"),
            ("redis://[::1", "without a ]"),
            ("redis://[::1]x", "after the ]"),
            ("redis://old/3", "all databases"),
            ("redis://:%4@old", "hexadecimal"),
            ("redis://:%zz@old", "hexadecimal"),
        ] {
            let why = RedisAddress::parse(text).unwrap_err();
            assert!(why.contains(wanted), "{text}: {why}");
        }
    }
}
