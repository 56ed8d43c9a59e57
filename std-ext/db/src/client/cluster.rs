//! A blocking client for clusters: it finds the node of each key, and follows the cluster when that changes.
//!
//! A request is repeated only if no node can have executed it: a node sent it elsewhere or refused it, or it was not
//! sent completely. If a connection fails while a reply is awaited, the outcome is unknown, and the caller decides.

mod advice;
mod pipeline;
mod retry;
mod slot_map;

pub use pipeline::ClusterPipeline;

use super::address::NodeAddress;
use super::error::{Attempt, ClientError, Result, Unavailable};
use super::{Client, ClientOptions, done, integer, server_error};
use advice::Advice;
use hedgerow_db_formats::resp::read::Reply;
use hedgerow_db_formats::resp::write::request;
use hedgerow_db_formats::slots::slot;
use hedgerow_db_redis::command::first_key;
use retry::{Retry, RetryLimits, RetryReason};
use slot_map::SlotMap;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// By default a request is tried for longer than a failover takes.
const LIMITS: RetryLimits = RetryLimits { attempts: 32, time: Duration::from_secs(10) };
/// A machine that is gone answers nothing. A client that waited for it for ever would never find the next primary.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to the nodes of a cluster.
///
/// ```no_run
/// use hedgerow_db::client::ClusterClient;
///
/// // One node is enough to begin with. With more, the client can begin while a node is away.
/// let mut client = ClusterClient::connect(&["127.0.0.1:7001", "127.0.0.1:7002"])?;
/// client.set("rose", "red")?;
/// assert_eq!(client.get("rose")?.as_deref(), Some(&b"red"[..]));
///
/// let mut pipeline = client.pipeline();
/// pipeline.command(&["SET", "daisy", "white"]).command(&["STRLEN", "poppy"]);
/// let replies = pipeline.send()?;
/// # Ok::<(), hedgerow_db::client::ClientError>(())
/// ```
///
/// # Which node
/// A command goes to the primary of its first key's slot. If a key has a hash tag, as `{user:7}:name`, only that
/// counts, so keys with the same tag can be used in one command. A command without a key, such as `DBSIZE`, goes to any
/// node, and is about that node's keys: [`primaries`](Self::primaries) has the addresses of all, for a [`Client`] each.
/// The client keeps its connections as they are, so commands that change a connection, such as `READONLY`, have no
/// use here.
///
/// # When the cluster changes
/// The client follows `MOVED` and `ASK`. It waits and tries again after `TRYAGAIN`, `CLUSTERDOWN`, `LOADING`,
/// `MASTERDOWN` and `READONLY`, and if it could not send a request completely. In all these cases no node has executed
/// the request. After the last attempt that the [limits](Self::set_limits) allow, the error is
/// [`ClientError::Unavailable`], which names the attempts.
///
/// If a connection fails after a request was sent, nobody knows whether the node has executed it. The client does not
/// send it again: the error is [`ClientError::Io`], as with [`Client`]. The next request finds the next primary.
pub struct ClusterClient {
    seeds: Vec<NodeAddress>,
    options: ClientOptions,
    timeout: Option<Duration>,
    limits: RetryLimits,
    map: SlotMap,
    /// A redirection or a failed connection has shown that the map is old.
    is_old: bool,
    /// The node to which the last redirection led. It knows the change that others may not know yet.
    informed: Option<NodeAddress>,
    /// The node whose connection failed last. It may take a whole timeout, so it is asked last.
    failed: Option<NodeAddress>,
    connections: HashMap<NodeAddress, Client>,
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, map, .. } = self;
        // Without the password.
        let mut fields = f.debug_struct("ClusterClient");
        fields.field("seeds", seeds).field("nodes", &map.nodes()).finish_non_exhaustive()
    }
}

/// The node that a request is sent to.
#[derive(Clone, Debug)]
struct RequestTarget {
    address: NodeAddress,
    /// Whether `ASKING` precedes the request.
    asking: bool,
}

/// The outcome of an attempt.
#[derive(Debug)]
enum RequestOutcome {
    /// A reply, which may be an error.
    Reply(Reply),
    /// No node can have executed the request.
    NotSent(ClientError),
    /// A node may have executed the request.
    Unknown(ClientError),
}

impl RequestOutcome {
    /// Returns whether the request is not sent again.
    fn is_final(&self, asked: &NodeAddress) -> bool {
        match self {
            Self::Reply(Reply::Error(why)) => {
                Advice::of(&String::from_utf8_lossy(why), asked) == Advice::Accept
            }
            Self::Reply(_) | Self::Unknown(_) => true,
            Self::NotSent(_) => false,
        }
    }
}

impl ClusterClient {
    /// Connects to a cluster. The seeds are addresses of some of its nodes, such as `127.0.0.1:7001`. The first node
    /// that answers tells the others.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] with the reasons if no seed answers as a node of a cluster.
    pub fn connect<A: ToString>(seeds: &[A]) -> Result<Self> {
        Self::connect_with(seeds, &ClientOptions::default())
    }

    /// Connects to a cluster whose nodes require a password of the user `default`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with_password<A: ToString>(seeds: &[A], password: &str) -> Result<Self> {
        Self::connect_with(seeds, &ClientOptions::with_password(password))
    }

    /// Connects to a cluster as a user, or with TLS. The certificate of each node must have the host that the node
    /// announces to clients.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with<A: ToString>(seeds: &[A], options: &ClientOptions) -> Result<Self> {
        let seeds = seeds.iter().map(|seed| NodeAddress::of_user(&seed.to_string()));
        let mut client = Self {
            seeds: seeds.collect::<io::Result<_>>()?,
            options: options.clone(),
            timeout: Some(TIMEOUT),
            limits: LIMITS,
            map: SlotMap::new(),
            is_old: true,
            informed: None,
            failed: None,
            connections: HashMap::new(),
        };
        client.read_map(&Retry::new(LIMITS))?;
        Ok(client)
    }

    /// Sets how long to wait for a connection, for a reply, and for a request to be sent; `None` waits without limit.
    /// The default is 5 seconds. After a timeout, the client connects to the node again. As with
    /// [`Client::set_timeout`], a reply has this time as a whole, or each 64 KiB of it if it is long.
    ///
    /// # Errors
    /// If the operating system refuses; a timeout of zero is invalid.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a timeout of zero"));
        }
        self.timeout = timeout;
        self.connections.values().try_for_each(|connection| connection.set_timeout(timeout))
    }

    /// Sets the limits within which a request is tried again: the number of attempts, redirections included, and the
    /// time since the first one. By default they are 32 attempts and 10 seconds. An attempt that has begun is not
    /// interrupted: [`set_timeout`](Self::set_timeout) limits it.
    pub fn set_limits(&mut self, attempts: u32, time: Duration) {
        self.limits = RetryLimits { attempts, time };
    }

    /// Returns the addresses of the primaries that the client knows, by their lowest slot.
    pub fn primaries(&self) -> Vec<String> {
        self.map.primaries().map(NodeAddress::to_string).collect()
    }

    /// Sends any command to the node of its first key, and waits for its reply.
    ///
    /// The client knows where the keys of this database's commands are. Of any other command it takes the first
    /// argument for a key: [`command_with_key`](Self::command_with_key) names another one.
    ///
    /// # Errors
    /// [`ClientError`]; an error reply is [`ClientError::Server`].
    pub fn command<T: AsRef<[u8]>>(&mut self, arguments: &[T]) -> Result<Reply> {
        self.execute(first_key(arguments).map(slot), arguments)
    }

    /// Sends any command to the node of a key, and waits for its reply.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn command_with_key<T: AsRef<[u8]>>(
        &mut self,
        key: impl AsRef<[u8]>,
        arguments: &[T],
    ) -> Result<Reply> {
        self.execute(Some(slot(key.as_ref())), arguments)
    }

    fn execute<T: AsRef<[u8]>>(&mut self, slot: Option<u16>, arguments: &[T]) -> Result<Reply> {
        let mut bytes = Vec::new();
        request(&mut bytes, arguments);
        let mut retry = Retry::new(self.limits);
        self.read_old_map(&retry);
        let target = self.target(slot);
        let outcome = self.attempt(&target, &bytes);
        match self.finish(&bytes, slot, (target, outcome), &mut retry)? {
            Reply::Error(why) => Err(server_error(&why)),
            reply => Ok(reply),
        }
    }

    /// Repeats a request after its first attempt until a node has executed it. The reply may be an error.
    fn finish(
        &mut self,
        bytes: &[u8],
        slot: Option<u16>,
        (mut target, mut outcome): (RequestTarget, RequestOutcome),
        retry: &mut Retry,
    ) -> Result<Reply> {
        loop {
            let (advice, error) = match outcome {
                RequestOutcome::Reply(Reply::Error(why)) => {
                    let text = String::from_utf8_lossy(&why);
                    match Advice::of(&text, &target.address) {
                        Advice::Accept => return Ok(Reply::Error(why)),
                        advice => (advice, ClientError::Server(text.into_owned())),
                    }
                }
                RequestOutcome::Reply(reply) => return Ok(reply),
                RequestOutcome::NotSent(ClientError::Io(why)) => {
                    (Advice::Search, ClientError::Io(why))
                }
                // The node was connected, but refused to serve the client.
                RequestOutcome::NotSent(ClientError::Server(text)) => {
                    let error = ClientError::Server(text.clone());
                    match Advice::of(&text, &target.address) {
                        Advice::Accept => return Err(error),
                        _ => (Advice::Search, error),
                    }
                }
                RequestOutcome::NotSent(why) | RequestOutcome::Unknown(why) => return Err(why),
            };
            target = self.next_target(&advice, slot, (&target.address, error), retry)?;
            outcome = self.attempt(&target, bytes);
        }
    }

    /// Returns the node for the next attempt.
    fn next_target(
        &mut self,
        advice: &Advice,
        slot: Option<u16>,
        (node, error): (&NodeAddress, ClientError),
        retry: &mut Retry,
    ) -> Result<RequestTarget> {
        let reason = match advice {
            Advice::Moved(..) | Advice::Asking(_) => RetryReason::Redirected,
            Advice::Wait | Advice::Search | Advice::Accept => RetryReason::Unavailable,
        };
        match advice {
            Advice::Moved(moved, address) => {
                self.map.set(*moved, address);
                self.is_old = true;
                self.informed = Some(address.clone());
            }
            Advice::Search => {
                self.is_old = true;
                self.informed = None;
            }
            Advice::Asking(_) | Advice::Wait | Advice::Accept => {}
        }
        retry.again(node, error, reason)?;
        Ok(match advice {
            Advice::Moved(_, address) => RequestTarget { address: address.clone(), asking: false },
            Advice::Asking(address) => RequestTarget { address: address.clone(), asking: true },
            Advice::Wait | Advice::Accept => self.target(slot),
            Advice::Search => {
                self.read_old_map(retry);
                self.target(slot)
            }
        })
    }

    /// Returns the node of a slot. If it is not known, any node knows more.
    fn target(&self, slot: Option<u16>) -> RequestTarget {
        let owner = slot.and_then(|slot| self.map.owner(slot));
        let any = || {
            let known = self.map.primaries().chain(self.map.nodes()).chain(&self.seeds);
            let mut known = known.filter(|node| Some(*node) != self.failed.as_ref());
            known.next().or(self.seeds.first())
        };
        // `read_map` has found a node, so there is a seed.
        let address =
            owner.or_else(any).cloned().unwrap_or(NodeAddress { host: String::new(), port: 0 });
        RequestTarget { address, asking: false }
    }

    /// Sends a request to a node, and waits for its reply.
    fn attempt(&mut self, target: &RequestTarget, bytes: &[u8]) -> RequestOutcome {
        if target.asking {
            return self.attempt_asking(&target.address, bytes);
        }
        match self.send(&target.address, bytes) {
            Ok(()) => self
                .receive(&target.address)
                .map_or_else(RequestOutcome::Unknown, RequestOutcome::Reply),
            // An incomplete request is not executed.
            Err((_, why)) => RequestOutcome::NotSent(why),
        }
    }

    fn attempt_asking(&mut self, address: &NodeAddress, bytes: &[u8]) -> RequestOutcome {
        let mut both = Vec::new();
        request(&mut both, &["ASKING"]);
        both.extend_from_slice(bytes);
        if let Err((_, why)) = self.send(address, &both) {
            return RequestOutcome::NotSent(why);
        }
        // Without `ASKING`, the node sends the request back by `MOVED`.
        let replies = self.receive(address).and_then(|_| self.receive(address));
        replies.map_or_else(RequestOutcome::Unknown, RequestOutcome::Reply)
    }

    /// Sends requests to a node. If that fails, returns how many bytes were sent before.
    fn send(
        &mut self,
        address: &NodeAddress,
        bytes: &[u8],
    ) -> std::result::Result<(), (usize, ClientError)> {
        let sent = match self.connection(address) {
            Ok(connection) => {
                connection.output.clear();
                connection.output.extend_from_slice(bytes);
                let sent = connection.send_counted(0, bytes.len());
                sent.map_err(|(sent, why)| (sent, why.into()))
            }
            Err(why) => Err((0, why)),
        };
        if sent.is_err() {
            self.disconnect(address);
        }
        sent
    }

    /// Waits for the next reply of a node.
    fn receive(&mut self, address: &NodeAddress) -> Result<Reply> {
        let connection = self.connections.get_mut(address).ok_or_else(not_connected);
        let reply = connection.and_then(Client::reply);
        if reply.is_err() {
            self.disconnect(address);
        }
        reply
    }

    /// Drops a connection that has failed. The node may not be the primary any more.
    fn disconnect(&mut self, address: &NodeAddress) {
        self.connections.remove(address);
        self.is_old = true;
        self.informed.take_if(|informed| informed == address);
        self.failed = Some(address.clone());
    }

    /// Returns a connection that waits for requests.
    fn connection(&mut self, address: &NodeAddress) -> Result<&mut Client> {
        // Requests on a connection that the node has closed would have an unknown outcome without need.
        let is_open = self.connections.get_mut(address).is_some_and(Client::is_open);
        if !is_open {
            let NodeAddress { host, port } = address;
            let connection = Client::open(host, *port, &self.options, self.timeout)?;
            self.failed.take_if(|failed| failed == address);
            self.connections.insert(address.clone(), connection);
        }
        self.connections.get_mut(address).ok_or_else(not_connected)
    }

    /// Reads the map if it is known to be old. If no node answers, the next request tries again.
    fn read_old_map(&mut self, retry: &Retry) {
        if self.is_old {
            let _ = self.read_map(retry);
        }
    }

    /// Reads the map of the first node that has one.
    ///
    /// # Errors
    /// If no node answers.
    fn read_map(&mut self, retry: &Retry) -> Result<()> {
        let mut last = Vec::new();
        let mut attempts = 0;
        let mut answered = false;
        for address in self.sources() {
            attempts += 1;
            match self.map_of(&address) {
                Ok(map) if map.is_empty() => answered = true,
                Ok(map) => {
                    self.connections.retain(|address, _| map.nodes().contains(address));
                    self.map = map;
                    self.is_old = false;
                    return Ok(());
                }
                Err(error) => last.push(Attempt { node: address.to_string(), error }),
            }
            if retry.is_late() {
                break;
            }
        }
        // A cluster that begins has nodes, but no primary yet.
        if answered {
            return Ok(());
        }
        let elapsed = retry.elapsed();
        Err(ClientError::Unavailable(Unavailable { attempts, elapsed, last }))
    }

    /// Returns all known nodes in the order in which they are asked for the map.
    fn sources(&self) -> Vec<NodeAddress> {
        let mut sources: Vec<NodeAddress> = Vec::new();
        for address in self.informed.iter().chain(self.map.nodes()).chain(&self.seeds) {
            if !sources.contains(address) {
                sources.push(address.clone());
            }
        }
        // Stable: the others keep their order.
        sources.sort_by_key(|address| Some(address) == self.failed.as_ref());
        sources
    }

    fn map_of(&mut self, address: &NodeAddress) -> Result<SlotMap> {
        let reply = self.connection(address).and_then(|node| node.command(&["CLUSTER", "SLOTS"]));
        match reply {
            Ok(reply) => SlotMap::read(&reply, address).ok_or(ClientError::Unexpected(reply)),
            // The connection stays usable.
            Err(ClientError::Server(why)) => Err(ClientError::Server(why)),
            Err(why) => {
                self.disconnect(address);
                Err(why)
            }
        }
    }

    string_commands!();
}

fn not_connected() -> ClientError {
    io::Error::from(ErrorKind::NotConnected).into()
}
