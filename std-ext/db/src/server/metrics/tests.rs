use super::{ReportSource, text};
use crate::config::ServerConfig;
use crate::server::Server;
use crate::{Db, Options};
use std::collections::BTreeSet;
use std::fmt::Write;
#[cfg(feature = "cluster")]
use std::sync::Arc;

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
    let source = ReportSource::default();
    let early = text(&source);
    let config = ServerConfig { binds: Vec::new(), ..ServerConfig::default() };
    let db = Db::open(Options::in_memory()).unwrap();
    #[cfg(feature = "cluster")]
    let server = {
        use crate::cluster::NodeMonitor;
        use crate::cluster::view::{DesiredNodes, View, Views};
        use crate::config::EndpointType;
        assert!(source.node.set(NodeMonitor::with_etcd("http://127.0.0.1:1")).is_ok());
        let views =
            Arc::new(Views::new(View::default(), EndpointType::Ip, std::time::Duration::ZERO));
        views.set_desired(Some(DesiredNodes {
            nodes: 3,
            log_saturated: false,
            page: String::new(),
        }));
        assert!(source.views.set(Arc::clone(&views)).is_ok());
        Server::bind_node(db, config, views)
    };
    #[cfg(not(feature = "cluster"))]
    let server = Server::bind(db, config);
    let server = server.unwrap();
    assert!(source.server.set(server.monitor()).is_ok());
    [early, text(&source)]
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
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/monitoring.md");
    let document = std::fs::read_to_string(file).unwrap();
    let (_, document) = document.split_once("\n# Metrics\n").expect("the section about metrics");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.filter(|row| cfg!(feature = "cluster") || !row.starts_with("| `cluster_"));
    let rows: Vec<_> = rows.map(|row| format!("{row}\n")).collect();
    assert_eq!(rows.concat(), table, "docs/monitoring.md does not hold:\n{table}");
}
