//! The settings of the cluster: plain data, and the checks that only they need.

use super::autoscale::AutoscaleSettings;
use super::error::{ConfigError, conflict};
use super::load::{Config, binds};
use super::server::Bind;
use super::value;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a primary knows that a read is not stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClusterReads {
    /// Its lease has not ended by its own clock.
    #[default]
    Lease,
    /// etcd has said so after the read.
    Log,
}

/// The kind of address to which clients are sent (`cluster-preferred-endpoint-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EndpointType {
    /// The IP address.
    #[default]
    Ip,
    /// The host name.
    Hostname,
    /// None: the client takes the address that it has used already, with the port that it is told.
    Unknown,
}

/// The formats of clusters that a node reads. It writes what the format of its cluster has, and nothing later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// The lowest one.
    pub lowest: u32,
    /// The highest one, in which new clusters are made.
    pub highest: u32,
}

impl Default for Formats {
    /// Those of this program. In format 1 there is one group; from 2 on, slots may move between groups.
    fn default() -> Self {
        Self { lowest: 1, highest: 2 }
    }
}

/// The settings of a node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster's name, which is a part of all keys in etcd.
    pub name: String,
    /// The number of the group that the node belongs to; 0 as long as the cluster has to place the node.
    pub group: u32,
    /// Whether the cluster places the node in a group, unless its directory has one.
    pub auto_group: bool,
    /// How many groups a new cluster divides its slots among.
    pub groups: u32,
    /// Up to how many followers groups are filled.
    pub replicas: u32,
    /// The place where the node is, or nothing.
    pub zone: String,
    /// The node's number among those that are started and stopped together, if it has one.
    pub ordinal: Option<u32>,
    /// When the cluster wants further nodes, or fewer. `None`: never.
    pub autoscale: Option<AutoscaleSettings>,
    /// How long a member may be gone until it is removed from its group. `None`: for ever.
    pub forget: Option<Duration>,
    /// How etcd is reached.
    pub etcd: EtcdSettings,
    /// How long a primary may serve after its last change of the log's tail.
    pub lease: Duration,
    /// How a primary knows that a read is not stale.
    pub reads: ClusterReads,
    /// How old the data of a follower may be that serves reads.
    pub max_stale: Duration,
    /// By how much a node's clock may be ahead of the others' if it is to become primary.
    pub max_skew: Duration,
    /// The longest entry of the log, in bytes.
    pub max_entry: usize,
    /// How many members must have an entry on disk before it may be removed from etcd.
    pub copies: usize,
    /// The most bytes a second that are read for a move of slots; 0 for no limit.
    pub move_rate: u64,
    /// How other nodes reach this one.
    pub peer: PeerSettings,
    /// The addresses that the node tells; see [`AnnouncedAddresses`].
    pub announce: AnnouncedAddresses,
    /// The kind of address to which clients are sent.
    pub endpoint_type: EndpointType,
    /// The formats that the node reads: those of this program, except in tests of upgrades.
    pub formats: Formats,
}

/// How etcd is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdSettings {
    /// The URLs of its members, all with the same scheme: `http` or `https`.
    pub endpoints: Vec<String>,
    /// The user and the password, if it wants them.
    pub user: Option<(String, String)>,
    /// The certificates that sign those of etcd's members, in PEM; without them, the system's.
    pub authorities: Option<PathBuf>,
    /// The certificate and the key that this node shows, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// etcd's limit of its database in bytes, as given to `--quota-backend-bytes`; 0 for the limit that etcd reports.
    pub quota: u64,
}

/// The peer port, on which nodes ask each other for data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The addresses to listen on.
    pub binds: Vec<Bind>,
    /// The certificates for TLS in both directions: the chain, its key, and those that sign the other nodes'.
    pub tls: Option<PeerCertificates>,
    /// Whether the nodes may do without TLS also on addresses that other machines can reach.
    pub insecure: bool,
}

/// The certificate files of the peer port, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificates {
    /// The node's certificate and its chain.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The certificates that sign those of the other nodes.
    pub authorities: PathBuf,
}

/// The addresses that a node tells others.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AnnouncedAddresses {
    /// The IP address. `None`: the one address of `bind`, if it is one, or else the address of this machine on its
    /// connection with etcd.
    pub ip: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// The port for clients without TLS; 0 for none.
    pub port: u16,
    /// The port for clients with TLS; 0 for none.
    pub tls_port: u16,
    /// The port for other nodes.
    pub peer_port: u16,
}

/// The distance of the peer port from the port for clients, as that of Redis's bus.
const PEER_OFFSET: u16 = 10_000;
/// The longest name of a cluster.
const LONGEST_CLUSTER_NAME: usize = 64;
/// The value of `cluster-group` of nodes that the cluster places.
const AUTO: &str = "auto";
/// The longest host name.
const LONGEST_HOSTNAME: usize = 255;

impl Config {
    /// Returns the settings of the cluster; `None` without `cluster yes`.
    pub fn cluster(&self) -> Option<ClusterSettings> {
        if !self.flag("cluster") {
            return None;
        }
        let milliseconds = |name| Duration::from_millis(self.number(name));
        let identity = self.path("cluster-etcd-cert-file");
        let user = Some(self.get("cluster-etcd-user")).filter(|user| !user.is_empty());
        let auto_group = self.get("cluster-group") == AUTO;
        Some(ClusterSettings {
            name: self.get("cluster-name").to_owned(),
            group: if auto_group { 0 } else { self.number("cluster-group") as u32 },
            auto_group,
            groups: self.number("cluster-groups") as u32,
            replicas: self.number("cluster-replicas") as u32,
            zone: self.get("cluster-zone").to_owned(),
            ordinal: self.cluster_ordinal(),
            autoscale: self.autoscale(),
            forget: Some(self.number("cluster-forget"))
                .filter(|seconds| *seconds != 0)
                .map(Duration::from_secs),
            etcd: EtcdSettings {
                endpoints: value::endpoints(self.get("cluster-etcd")).unwrap_or_default(),
                user: user.map(|user| (user.into(), self.get("cluster-etcd-password").into())),
                authorities: self.path("cluster-etcd-ca-cert-file"),
                identity: identity.zip(self.path("cluster-etcd-key-file")),
                quota: self.number("cluster-etcd-quota"),
            },
            lease: milliseconds("cluster-lease"),
            reads: match self.get("cluster-reads") {
                "log" => ClusterReads::Log,
                _ => ClusterReads::Lease,
            },
            max_stale: milliseconds("cluster-max-stale"),
            max_skew: milliseconds("cluster-max-skew"),
            max_entry: self.number("cluster-max-entry") as usize,
            copies: self.number("cluster-copies") as usize,
            move_rate: self.number("cluster-move-rate"),
            peer: PeerSettings {
                binds: self.cluster_peer_binds(),
                tls: self.cluster_peer_tls(),
                insecure: self.flag("cluster-insecure"),
            },
            announce: self.cluster_announce(),
            endpoint_type: match self.get("cluster-preferred-endpoint-type") {
                "hostname" => EndpointType::Hostname,
                "unknown-endpoint" => EndpointType::Unknown,
                _ => EndpointType::Ip,
            },
            formats: Formats::default(),
        })
    }

    /// Returns the peer port, or `None` if the one that follows from the port for clients is none.
    fn cluster_peer_port(&self) -> Option<u16> {
        self.port("cluster-peer-port").or_else(|| {
            self.port("port").or_else(|| self.port("tls-port"))?.checked_add(PEER_OFFSET)
        })
    }

    fn cluster_peer_binds(&self) -> Vec<Bind> {
        let own = Some(self.get("cluster-peer-bind")).filter(|text| !text.is_empty());
        binds(own.unwrap_or_else(|| self.get("bind")), self.cluster_peer_port())
    }

    fn cluster_peer_tls(&self) -> Option<PeerCertificates> {
        Some(PeerCertificates {
            certificate: self.path("tls-cert-file")?,
            key: self.path("tls-key-file")?,
            authorities: self.path("tls-ca-cert-file")?,
        })
    }

    fn cluster_announce(&self) -> AnnouncedAddresses {
        let text = |name| Some(self.get(name).to_owned()).filter(|text| !text.is_empty());
        let port = |announced, own| self.port(announced).or_else(|| self.port(own)).unwrap_or(0);
        // A `bind` that names one address of this machine says under which the others reach it.
        let only = match &value::read_addresses(self.get("bind")).unwrap_or_default()[..] {
            [(ip, _)] if !ip.is_unspecified() => Some(ip.to_string()),
            _ => None,
        };
        let peer_port = self.port("cluster-announce-peer-port");
        AnnouncedAddresses {
            ip: text("cluster-announce-ip").or(only),
            hostname: text("cluster-announce-hostname"),
            port: port("cluster-announce-port", "port"),
            tls_port: port("cluster-announce-tls-port", "tls-port"),
            peer_port: peer_port.or_else(|| self.cluster_peer_port()).unwrap_or(0),
        }
    }

    /// Checks the settings of the cluster against each other and against the others.
    pub(super) fn check_cluster(&self) -> Result<(), ConfigError> {
        if !self.flag("cluster") {
            return Ok(());
        }
        self.check_cluster_name()?;
        self.check_cluster_ports()?;
        self.check_cluster_etcd()?;
        self.check_cluster_peer()?;
        self.check_autoscale()
    }

    /// Checks that a server without `cluster yes` is not meant for a cluster. It would start as a database of its own,
    /// and lose its data with its disk.
    #[cfg(feature = "cli")]
    pub(super) fn check_meant_alone(&self) -> Result<(), ConfigError> {
        let given =
            ["cluster-name", "cluster-etcd"].into_iter().find(|name| !self.get(name).is_empty());
        let Some(name) = given.filter(|_| !self.flag("cluster")) else { return Ok(()) };
        let advice = "set that, or leave it out";
        conflict(&format!("{name} has no effect without `cluster yes`: {advice}"))
    }

    fn check_cluster_name(&self) -> Result<(), ConfigError> {
        let name = self.get("cluster-name");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > LONGEST_CLUSTER_NAME || !name.chars().all(plain) {
            return conflict(
                "cluster requires cluster-name: up to 64 letters, digits, hyphens, underscores and dots, the same on \
                 all nodes",
            );
        }
        if !self.flag("appendonly") {
            return conflict(
                "cluster requires appendonly yes: a node keeps its id and its copy of the log in dir",
            );
        }
        let hostname = self.get("cluster-announce-hostname");
        if hostname.len() > LONGEST_HOSTNAME || !hostname.chars().all(plain) {
            return conflict(
                "cluster-announce-hostname takes up to 255 letters, digits, hyphens, underscores and dots",
            );
        }
        if hostname.is_empty() && self.get("cluster-preferred-endpoint-type") == "hostname" {
            return conflict(
                "cluster-preferred-endpoint-type hostname requires cluster-announce-hostname",
            );
        }
        let zone = self.get("cluster-zone");
        if zone.len() > LONGEST_HOSTNAME || !zone.chars().all(plain) {
            return conflict(
                "cluster-zone takes up to 255 letters, digits, hyphens, underscores and dots",
            );
        }
        let ip = self.get("cluster-announce-ip");
        if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
            return conflict(
                "cluster-announce-ip takes an IP address; for a name, use cluster-announce-hostname",
            );
        }
        Ok(())
    }

    fn check_cluster_ports(&self) -> Result<(), ConfigError> {
        if self.number("port") == 0 && self.number("tls-port") == 0 {
            return conflict(
                "cluster requires port or tls-port: clients find nodes by their TCP ports",
            );
        }
        let Some(peer_port) = self.cluster_peer_port() else {
            return conflict(
                "cluster-peer-port is port + 10000 by default, which is above 65535: set cluster-peer-port",
            );
        };
        let others = ["port", "tls-port", "grpc-port", "metrics-port"];
        match others.iter().find(|name| self.port(name) == Some(peer_port)) {
            Some(other) => conflict(&format!("cluster-peer-port and {other} must differ")),
            None => Ok(()),
        }
    }

    fn check_cluster_etcd(&self) -> Result<(), ConfigError> {
        let given = |name| !self.get(name).is_empty();
        let endpoints = value::endpoints(self.get("cluster-etcd")).unwrap_or_default();
        let Some(first) = endpoints.first() else {
            return conflict(
                "cluster requires cluster-etcd: the URLs of etcd's members, such as http://10.0.0.1:2379",
            );
        };
        let secure = first.starts_with("https://");
        if endpoints.iter().any(|url| url.starts_with("https://") != secure) {
            return conflict(
                "the URLs of cluster-etcd must all begin with http:// or all with https://",
            );
        }
        if given("cluster-etcd-user") != given("cluster-etcd-password") {
            return conflict("cluster-etcd-user and cluster-etcd-password require each other");
        }
        if given("cluster-etcd-cert-file") != given("cluster-etcd-key-file") {
            return conflict("cluster-etcd-cert-file and cluster-etcd-key-file require each other");
        }
        if secure {
            if cfg!(not(feature = "tls")) {
                return conflict(
                    "https:// in cluster-etcd requires a build with the feature `tls`",
                );
            }
            return Ok(());
        }
        if given("cluster-etcd-cert-file") || given("cluster-etcd-ca-cert-file") {
            return conflict(
                "certificates for etcd have no effect with http://; cluster-etcd needs https://",
            );
        }
        if !self.flag("cluster-insecure") && !endpoints.iter().all(|url| is_local(url)) {
            return conflict(
                "cluster-etcd on other machines requires https://, or cluster-insecure yes: all data goes over this \
                 connection",
            );
        }
        Ok(())
    }

    fn check_cluster_peer(&self) -> Result<(), ConfigError> {
        if self.cluster_peer_tls().is_some() && cfg!(feature = "tls")
            || self.flag("cluster-insecure")
        {
            return Ok(());
        }
        if self.cluster_peer_binds().iter().all(|bind| bind.address.ip().is_loopback()) {
            return Ok(());
        }
        conflict(
            "the peer port on an address that other machines can reach requires tls-cert-file, tls-key-file and \
             tls-ca-cert-file, or cluster-insecure yes: any program that reaches it can read all data",
        )
    }
}

/// Returns whether a URL is one of this machine.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    is_loopback(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

/// Returns whether `host` or `host:port` is this machine.
pub fn is_loopback(address: &str) -> bool {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let in_brackets = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(ip) = in_brackets.unwrap_or(address).parse::<IpAddr>() {
        return ip.to_canonical().is_loopback();
    }
    address.split_once(':').map_or(address, |(host, _)| host) == "localhost"
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn a_url_is_of_this_machine_by_its_host() {
        let local = [
            "http://localhost",
            "https://localhost:2379/",
            "http://127.0.0.1",
            "http://127.8.9.1:2379/path",
            "http://[::1]",
            "http://[::1]:2379",
            "http://[::ffff:127.0.0.1]:2379",
            "http://user:word@localhost:2379",
            "::1",
        ];
        assert_eq!(local.iter().find(|url| !is_local(url)), None);
        let far = [
            "http://10.0.0.1:2379",
            "http://[2001:db8::1]:2379",
            "http://localhost.example.org",
            "http://localhost:2379@example.org",
            "http://127.0.0.1@example.org/",
            "http://example.org/127.0.0.1",
            "http://example.org?@localhost",
            "",
        ];
        assert_eq!(far.iter().find(|url| is_local(url)), None);
    }
}
