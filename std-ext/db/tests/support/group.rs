//! Two servers that are nodes of a group, whose views the test publishes. Each server has a database of its own.
#![allow(dead_code, reason = "each test uses some of it")]

use crate::support::Running;
use hedgerow_db::cluster::view::{
    KnownGroup, MemberRole, MemberView, NodeAddresses, NodeHealth, SlotOwners, View, Views,
};
use redis::Commands;
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::cluster_read_routing::RandomReplicaStrategy;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use hedgerow_db::config::EndpointType;

const GROUP: &str = "00000000000000000000000000000000000000cc";

/// A server, and the cell with its view.
pub(crate) struct Node {
    pub(crate) id: String,
    server: Running,
    pub(crate) views: Arc<Views>,
}

impl Node {
    fn new(number: usize, endpoint_type: EndpointType) -> Self {
        let first = View { own_id: format!("{number:040x}"), ..View::default() };
        let id = first.own_id.clone();
        let views = Arc::new(Views::new(first, endpoint_type, Duration::from_secs(3600)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        views.set_as_of(u64::try_from(now).unwrap(), 0);
        let server = Running::node(Arc::clone(&views));
        Self { id, server, views }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn member(&self) -> MemberView {
        let (ip, port) = (self.address().ip().to_string(), self.address().port());
        let addresses =
            NodeAddresses { ip, hostname: "localhost".into(), port, ..NodeAddresses::default() };
        let id = self.id.clone();
        MemberView { id, addresses, health: NodeHealth::Online, ..MemberView::default() }
    }
}

/// Two nodes.
pub(crate) struct Cluster(pub(crate) Vec<Node>);

impl Cluster {
    /// Starts two nodes, the first of which is the primary.
    pub(crate) fn new(endpoint_type: EndpointType) -> Self {
        let cluster = Self((0..2).map(|number| Node::new(number, endpoint_type)).collect());
        cluster.make_primary(0);
        cluster
    }

    /// Makes a node the primary, in everybody's view.
    pub(crate) fn make_primary(&self, primary: usize) {
        let members: Vec<MemberView> = self.0.iter().map(Node::member).collect();
        for (number, node) in self.0.iter().enumerate() {
            node.views.publish(View {
                own_id: node.id.clone(),
                role: if number == primary { MemberRole::Primary } else { MemberRole::Follower },
                group: KnownGroup {
                    number: 0,
                    id: GROUP.into(),
                    epoch: primary as u64 + 1,
                    primary: Some(self.0[primary].id.clone()),
                    is_led: true,
                    members: members.clone(),
                },
                ..View::default()
            });
        }
    }

    /// Starts two nodes, each of which is the primary of a group of its own.
    pub(crate) fn of_two_groups(endpoint_type: EndpointType) -> Self {
        let cluster = Self((0..2).map(|number| Node::new(number, endpoint_type)).collect());
        let group = |number: usize| KnownGroup {
            number: number as u32,
            id: format!("{number:040x}"),
            epoch: number as u64 + 1,
            primary: Some(cluster.0[number].id.clone()),
            is_led: true,
            members: vec![cluster.0[number].member()],
        };
        for (number, node) in cluster.0.iter().enumerate() {
            node.views.publish(View {
                own_id: node.id.clone(),
                role: MemberRole::Primary,
                group: group(number),
                others: vec![group(1 - number)],
                owners: SlotOwners::divided(2),
                ..View::default()
            });
        }
        cluster
    }

    /// Ends the primary's lease, in everybody's view.
    pub(crate) fn lose_primary(&self) {
        for node in &self.0 {
            let mut view = View::clone(&node.views.current());
            (view.role, view.group.is_led) = (MemberRole::Follower, false);
            node.views.publish(view);
        }
    }

    /// Connects a client that knows one node.
    pub(crate) fn connect(&self, number: usize, read_from_replicas: bool) -> ClusterConnection {
        let url = format!("redis://{}/", self.0[number].address());
        let mut builder = ClusterClient::builder([url]).retries(50).max_retry_wait(100);
        if read_from_replicas {
            builder = builder.read_routing_strategy(RandomReplicaStrategy).retries(3);
        }
        let connection = builder.build().unwrap().get_connection().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        connection
    }

    /// Returns what a node itself has.
    pub(crate) fn stored(&self, number: usize, key: &str) -> String {
        let url = format!("redis://{}/", self.0[number].address());
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let _: () = redis::cmd("READONLY").query(&mut connection).unwrap();
        connection.get::<_, Option<String>>(key).unwrap().unwrap_or_default()
    }
}
