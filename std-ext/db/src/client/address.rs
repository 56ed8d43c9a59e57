//! Addresses of nodes, as users and nodes write them.

use std::fmt;
use std::io::{self, ErrorKind};

/// The host and port of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

impl NodeAddress {
    /// Parses `host:port`. An IPv6 address may be in brackets, and the host may be empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let port = port.parse().ok().filter(|port| *port != 0)?;
        Some(Self { host: inner.unwrap_or(host).to_owned(), port })
    }

    /// Parses the address of a user, which has a host.
    ///
    /// # Errors
    /// If the text is something else.
    pub(super) fn of_user(text: &str) -> io::Result<Self> {
        let address = Self::parse(text).filter(|address| !address.host.is_empty());
        address.ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidInput, format!("{text:?} is not HOST:PORT"))
        })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_parsed() {
        for (text, host, port, shown) in [
            ("127.0.0.1:7001", "127.0.0.1", 7001, "127.0.0.1:7001"),
            ("[::1]:7001", "::1", 7001, "[::1]:7001"),
            // So Redis writes it.
            ("::1:7001", "::1", 7001, "[::1]:7001"),
            ("rose.example:1", "rose.example", 1, "rose.example:1"),
            (":65535", "", 65535, ":65535"),
        ] {
            let address = NodeAddress::parse(text).unwrap();
            assert_eq!((&*address.host, address.port), (host, port));
            assert_eq!(address.to_string(), shown);
        }
        for text in ["", "rose", "rose:", "rose:0", "rose:65536", "rose:-1", "rose:seven"] {
            assert_eq!(NodeAddress::parse(text), None, "{text}");
        }
    }
}
