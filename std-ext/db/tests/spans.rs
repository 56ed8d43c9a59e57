//! builds: default
//!
//! Spans, for programs that collect them.

mod support;

use hedgerow_db::{Db, Options};
use std::sync::{Arc, Mutex};
use support::Running;
use tracing::Subscriber;
use tracing::span::Attributes;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// The names of spans, and of their fields.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_new_span(&self, span: &Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        let metadata = span.metadata();
        if metadata.target().starts_with("hedgerow_db") {
            let fields: Vec<_> = metadata.fields().iter().map(|field| field.name()).collect();
            self.0.lock().unwrap().push(format!("{} {}", metadata.name(), fields.join(" ")));
        }
    }
}

#[test]
fn long_work_and_requests_have_spans() {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(Options::at(folder.path())).unwrap();
    db.snapshot().unwrap();
    let server = Running::over(db, |_| {});
    let mut client = server.client();
    client.send(b"PING\r\n");
    client.expect(b"+PONG\r\n");
    drop(client);
    server.end();
    let seen: Vec<_> = seen.0.lock().unwrap().iter().take(3).cloned().collect();
    assert_eq!(seen, ["open ", "snapshot ", "requests client"]);
}
