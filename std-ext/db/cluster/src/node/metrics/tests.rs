//! Tests of the whole page, and of what a node counts.

use super::groups_without_primary;
use crate::node::status::NodeMonitor;
use hedgerow_db_engine::{Db, Options};
use hedgerow_db_redis::config::{EndpointType, ServerConfig};
use hedgerow_db_redis::server::Server;
use hedgerow_db_redis::server::http::HttpServer;
use hedgerow_db_redis::view::{DesiredNodes, KnownGroup, SlotOwners, View, Views};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// A metric as a page shows it.
struct Metric {
    name: String,
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// Reads the metrics of a page.
fn metrics(page: &str) -> Vec<Metric> {
    let mut all: Vec<Metric> = Vec::new();
    for line in page.lines().take_while(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match [words.next(), words.next(), words.next(), words.next()] {
            [Some("#"), Some("HELP"), Some(name), Some(help)] => all.push(Metric {
                name: name.to_owned(),
                kind: String::new(),
                help: help.to_owned(),
                labels: BTreeSet::new(),
            }),
            [Some("#"), Some("TYPE"), Some(_), Some(kind)] => {
                let last = all.last_mut().expect("a HELP line comes first");
                last.kind = kind.to_owned();
                if kind == "counter" {
                    last.name.push_str("_total");
                }
            }
            _ => {
                let last = all.last_mut().expect("a HELP line comes first");
                let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
                let pairs = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
                let names = pairs.filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
                last.labels.extend(names.filter(|name| *name != "le").map(str::to_owned));
            }
        }
    }
    all
}

/// Returns what is shown while the data is loaded, and afterwards.
fn pages() -> [String; 2] {
    let http = HttpServer::start(([127, 0, 0, 1], 0).into()).unwrap();
    let page = || {
        let mut client = TcpStream::connect(http.address().unwrap()).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").expect("an answer has a head").1.to_owned()
    };
    let early = page();
    http.set_node(NodeMonitor::with_etcd("http://127.0.0.1:1"));
    let views = Arc::new(Views::new(View::default(), EndpointType::Ip, Duration::ZERO));
    let desired = DesiredNodes { nodes: 3, log_saturated: false, page: String::new() };
    views.set_desired(Some(desired));
    http.set_views(&views);
    let mut config = ServerConfig::default();
    config.binds.clear();
    let db = Db::open(Options::in_memory()).unwrap();
    let server = Server::bind_node(db, config, views).unwrap();
    http.set_server(server.monitor());
    [early, page()]
}

/// Dashboards and rules of alerts are written by the page about monitoring.
#[test]
fn the_page_about_monitoring_lists_every_metric() {
    let [early, full] = pages().map(|page| metrics(&page));
    let known: BTreeSet<String> = full.iter().map(|metric| metric.name.clone()).collect();
    let loading = early.into_iter().filter(|metric| !known.contains(&metric.name));
    let mut table = String::new();
    for Metric { name, kind, help, labels } in full.into_iter().chain(loading) {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels) = (name.trim_start_matches("hedgerow_db_"), labels.join(", "));
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/monitoring.md");
    let document = std::fs::read_to_string(file).unwrap();
    let (_, document) = document.split_once("\n# Metrics\n").expect("the section about metrics");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<_> = rows.map(|row| format!("{row}\n")).collect();
    assert_eq!(rows.concat(), table, "docs/monitoring.md does not hold:\n{table}");
}

#[test]
fn groups_with_slots_need_a_primary() {
    let group = |number, is_led| KnownGroup { number, is_led, ..KnownGroup::default() };
    let mut view = View { owners: SlotOwners::divided(3), ..View::default() };
    assert_eq!(groups_without_primary(&view), 3, "no node of two groups is known");
    (view.group, view.others) = (group(1, true), vec![group(0, true), group(2, false)]);
    assert_eq!(groups_without_primary(&view), 1, "the last group has none");
    view.others[1].is_led = true;
    // A group without slots need not be led.
    view.others.push(group(7, false));
    assert_eq!(groups_without_primary(&view), 0, "all slots have a primary");
}
