//! The same counter on etcd: three nodes, each on a thread of its own. The primary dies, and another node takes over.
//!
//! ```text
//! etcd --data-dir /somewhere &
//! cargo run -p hedgerow-db-group --example etcd -- http://127.0.0.1:2379
//! ```
//! The driver talks to etcd's JSON gateway, one request at a time, and polls instead of watching. A real one uses gRPC,
//! sends requests without waiting for their answers, and keeps a local log: see `memory.rs`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hedgerow_db_group::{
    Action, Entry, Event, Group, GroupRole, GroupSettings, Halt, HaltOutcome, HeldEntries, Key,
    LogPosition, NodeId, Now, Objections, Read, ReadAnswer, Seq, Tail, Txn, TxnFailure, TxnOutcome,
    ValueCompare, WatchedChange,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How much is added before and after the primary dies.
const ADDED: u64 = 20;

/// The keys of one group in etcd.
struct Etcd {
    agent: ureq::Agent,
    url: String,
    prefix: String,
}

/// The answer of a transaction: its revision, whether the comparisons held, and the keys that each read found.
struct Answer {
    revision: u64,
    succeeded: bool,
    found: Vec<Vec<(Key, Vec<u8>)>>,
}

impl Answer {
    fn first(&self, read: usize) -> Option<Vec<u8>> {
        self.found.get(read)?.first().map(|(_, value)| value.clone())
    }

    fn durable(&self, read: usize) -> Vec<(NodeId, Seq)> {
        let found = self.found.get(read).into_iter().flatten();
        let record = |(key, value): &(Key, Vec<u8>)| match key {
            Key::Durable(node) => Some((*node, str::from_utf8(value).ok()?.parse().ok()?)),
            _ => None,
        };
        found.filter_map(record).collect()
    }
}

impl Etcd {
    fn new(url: &str, prefix: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_millis(500)))
            .http_status_as_error(false);
        Self { agent: config.build().into(), url: url.into(), prefix: prefix.into() }
    }

    fn key(&self, name: impl std::fmt::Display) -> String {
        STANDARD.encode(format!("{}{name}", self.prefix))
    }

    fn get(&self, key: Key) -> Value {
        json!({ "request_range": { "key": self.key(key) } })
    }

    /// Reads the keys from one up to, and without, another one.
    fn range(&self, from: &str, to: &str, limit: u64) -> Value {
        let (key, end) = (self.key(from), self.key(to));
        json!({ "request_range": { "key": key, "range_end": end, "limit": limit } })
    }

    fn durable(&self) -> Value {
        self.range("durable/", "durable0", 0)
    }

    fn put(&self, key: Key, value: &[u8]) -> Value {
        json!({ "request_put": { "key": self.key(key), "value": STANDARD.encode(value) } })
    }

    fn compare(&self, key: Key, compare: &ValueCompare) -> Option<Value> {
        let key = self.key(key);
        match compare {
            ValueCompare::Any => None,
            ValueCompare::Absent => {
                Some(json!({ "key": key, "target": "CREATE", "create_revision": "0" }))
            }
            ValueCompare::Is(value) => {
                Some(json!({ "key": key, "target": "VALUE", "value": STANDARD.encode(value) }))
            }
        }
    }

    /// Runs a transaction. Whatever goes wrong on the way, it may have been done.
    fn txn(
        &self,
        compare: &[Value],
        success: &[Value],
        failure: &[Value],
    ) -> Result<Answer, TxnFailure> {
        let unknown = |why: String| TxnFailure::Unknown(why);
        let body = json!({ "compare": compare, "success": success, "failure": failure });
        let sent = self.agent.post(format!("{}/v3/kv/txn", self.url)).send_json(body);
        let mut response = sent.map_err(|error| unknown(error.to_string()))?;
        let read = response.body_mut().with_config().limit(64 << 20).read_json();
        let answer: Value = read.map_err(|error| unknown(error.to_string()))?;
        if !response.status().is_success() {
            let why = answer["message"].as_str().unwrap_or_default().to_owned();
            return Err(match &*why {
                why if why.contains("request is too large") => TxnFailure::TooLarge,
                why if why.contains("database space exceeded") => TxnFailure::NoSpace,
                _ => unknown(why),
            });
        }
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let responses = answer["responses"].as_array().map_or(&[][..], Vec::as_slice);
        let reads = responses.iter().filter_map(|one| one.get("response_range"));
        Ok(Answer {
            revision: number(&answer["header"]["revision"]),
            succeeded: answer["succeeded"].as_bool().unwrap_or(false),
            found: reads.map(|one| self.values(&one["kvs"])).collect(),
        })
    }

    fn values(&self, found: &Value) -> Vec<(Key, Vec<u8>)> {
        let found = found.as_array().map_or(&[][..], Vec::as_slice);
        let value = |one: &Value| {
            let bytes = |name: &str| STANDARD.decode(one[name].as_str().unwrap_or("")).ok();
            let name = String::from_utf8(bytes("key")?).ok()?;
            Some((Key::parse(name.strip_prefix(&self.prefix)?)?, bytes("value")?))
        };
        found.iter().filter_map(value).collect()
    }

    fn read(&self, read: &Read) -> Result<ReadAnswer, TxnFailure> {
        Ok(match read {
            Read::Tail => {
                let gets = [Key::Tail, Key::Members, Key::Halt].map(|key| self.get(key));
                let answer = self.txn(&[], &[&gets[..], &[self.durable()]].concat(), &[])?;
                let (halt, durable) = (answer.first(2), answer.durable(3));
                ReadAnswer::Tail {
                    revision: answer.revision,
                    tail: answer.first(0),
                    members: answer.first(1),
                    objections: Objections { halt, durable },
                }
            }
            Read::Batches(from, to) => {
                let (from, to) = (Key::Batch(*from), Key::Batch(to + 1));
                let range = self.range(&from.to_string(), &to.to_string(), 64);
                let answer = self.txn(&[], &[range], &[])?;
                let batches = answer.found.into_iter().flatten().filter_map(|(key, value)| {
                    if let Key::Batch(seq) = key { Some((seq, value)) } else { None }
                });
                ReadAnswer::Batches(batches.collect())
            }
            Read::Durable => {
                let reads = [self.get(Key::Members), self.range("log/", "log0", 1), self.durable()];
                let answer = self.txn(&[], &reads, &[])?;
                let first = answer.found[1].first().and_then(|(key, _)| match key {
                    Key::Batch(seq) => Some(*seq),
                    _ => None,
                });
                ReadAnswer::Durable {
                    revision: answer.revision,
                    members: answer.first(0),
                    first,
                    durable: answer.durable(2),
                }
            }
        })
    }

    fn transact(&self, txn: &Txn) -> TxnOutcome {
        let compare: Vec<_> =
            txn.compares().filter_map(|(key, value)| self.compare(key, value)).collect();
        let puts: Vec<_> = txn.puts.iter().map(|put| self.put(put.key(), put.value())).collect();
        match self.txn(&compare, &puts, &[Key::Tail, Key::Members].map(|key| self.get(key))) {
            Ok(Answer { revision, succeeded: true, .. }) => TxnOutcome::Done { revision },
            Ok(answer) => TxnOutcome::Refused {
                revision: answer.revision,
                tail: answer.first(0),
                members: answer.first(1),
            },
            Err(failure) => TxnOutcome::Failed(failure),
        }
    }

    fn trim(&self, primary: &str, members: &ValueCompare, below: Seq) -> Result<bool, TxnFailure> {
        let is_primary = ValueCompare::Is(primary.as_bytes().to_vec());
        let compare = [(Key::Primary, &is_primary), (Key::Members, members)];
        let compare: Vec<_> =
            compare.into_iter().filter_map(|(key, value)| self.compare(key, value)).collect();
        let (from, to) = (self.key("log/"), self.key(Key::Batch(below)));
        let delete = json!({ "request_delete_range": { "key": from, "range_end": to } });
        Ok(self.txn(&compare, &[delete], &[])?.succeeded)
    }

    fn halt(&self, halt: &Halt) -> Result<HaltOutcome, TxnFailure> {
        loop {
            let read = self.txn(&[], &[Key::Tail, Key::Halt].map(|key| self.get(key)), &[])?;
            let tail = read.first(0).and_then(|line| Tail::parse(&line).ok());
            let known = read.first(1).as_deref().and_then(Halt::parse);
            if let Some(outcome) = halt.outcome(tail.as_ref(), known.as_ref()) {
                return Ok(outcome);
            }
            let same = read.first(1).map_or(ValueCompare::Absent, ValueCompare::Is);
            let compare: Vec<_> = self.compare(Key::Halt, &same).into_iter().collect();
            if self.txn(&compare, &[self.put(Key::Halt, halt.print().as_bytes())], &[])?.succeeded {
                return Ok(HaltOutcome::Recorded(tail.map_or(0, |tail| tail.lsn)));
            }
        }
    }

    /// Carries out a request of the group.
    fn answer(&self, action: &Action) -> Option<Event> {
        Some(match action {
            Action::Read { id, read } => Event::Read { id: *id, answer: self.read(read) },
            Action::Transact { id, txn } => {
                Event::Transacted { id: *id, outcome: self.transact(txn) }
            }
            Action::Trim { id, primary, members, below } => {
                Event::Trimmed { id: *id, outcome: self.trim(primary, members, *below) }
            }
            Action::Halt { id, halt } => Event::Halted { id: *id, outcome: self.halt(halt) },
            _ => return None,
        })
    }
}

/// What the threads of this program share: the counts that the nodes may show, and who shall die.
#[derive(Default)]
struct Shared {
    counts: [AtomicU64; 3],
    primary_dies: AtomicBool,
    ends: AtomicBool,
}

struct Node {
    at: usize,
    group: Group,
    etcd: Etcd,
    began: Instant,
    shared: Arc<Shared>,
    leads: bool,
    /// Entries that were appended and are not committed yet.
    waiting: u64,
}

impl Node {
    fn now(&self) -> Now {
        // A program whose machine may be suspended uses `CLOCK_BOOTTIME`, which counts that time.
        let boot = self.began.elapsed().as_millis() as u64;
        let wall = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as u64);
        Now { boot, wall }
    }

    fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.group.handle(self.now(), event, &mut actions);
            for action in actions {
                events.extend(self.etcd.answer(&action));
                events.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Apply(committed) | Action::Commit(committed) => {
                let added = committed.entries.iter().filter(|entry| entry.changes == b"+1").count();
                self.shared.counts[self.at].fetch_add(added as u64, Ordering::SeqCst);
                self.waiting = self.waiting.saturating_sub(added as u64);
                Some(Event::Applied(committed.after.lsn))
            }
            Action::Role { role, epoch, reason, .. } => {
                let boot = self.now().boot;
                println!(
                    "{boot:>6} ms: node {}: {role:?} in epoch {epoch}, because {reason}",
                    self.at
                );
                self.leads = role == GroupRole::Primary;
                Some(if self.leads {
                    Event::Serving
                } else {
                    Event::Closed { time: self.now().wall }
                })
            }
            Action::Hold => Some(Event::Closed { time: self.now().wall }),
            Action::Note(notice) => {
                println!("{:>6} ms: node {}: {notice}", self.now().boot, self.at);
                None
            }
            Action::Fenced => panic!("node {} has changes that were never committed", self.at),
            Action::Stop(why) => panic!("node {}: {why}", self.at),
            _ => None,
        }
    }

    fn run(mut self) {
        let (mut tail, mut ticks) = (None, 0_u64);
        self.handle(Event::Tick);
        while !self.shared.ends.load(Ordering::SeqCst) {
            if self.leads && self.shared.primary_dies.swap(false, Ordering::SeqCst) {
                return println!("{:>6} ms: node {} dies", self.now().boot, self.at);
            }
            // Instead of a watch: looks whether the line has changed. The group reads the batches that it counts.
            if let Ok(read) = self.etcd.txn(&[], &[self.etcd.get(Key::Tail)], &[])
                && tail != read.first(0)
            {
                tail = read.first(0);
                let seen = vec![WatchedChange::Tail(tail.clone())];
                self.handle(Event::Watched { revision: read.revision, seen });
            }
            ticks += 1;
            let count = self.shared.counts[self.at].load(Ordering::SeqCst);
            let goal = if self.group.status().epoch == 1 { ADDED } else { 2 * ADDED };
            if self.leads && self.waiting == 0 && count < goal && ticks.is_multiple_of(2) {
                self.waiting = 1;
                let (lsn, time) = (self.group.status().last + 1, self.now().wall);
                let entry = Entry { lsn, time, changes: b"+1".to_vec() };
                self.handle(Event::Appended(vec![entry]));
            }
            self.handle(Event::Tick);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits until all nodes but one that may be dead show a count.
fn wait(shared: &Shared, nodes: usize, count: u64) {
    let since = Instant::now();
    let reached =
        || shared.counts.iter().filter(|shown| shown.load(Ordering::SeqCst) == count).count();
    while reached() < nodes {
        assert!(since.elapsed() < Duration::from_secs(60), "the nodes do not agree on {count}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:2379".to_owned());
    let run = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
    let prefix = format!("/hedgerow-db-group/example/{run}/");
    let (shared, began) = (Arc::new(Shared::default()), Instant::now());
    let threads: Vec<_> = (0..3)
        .map(|at| {
            let id = NodeId([at as u8 + 1; 20]);
            let settings = GroupSettings { lease: 1000, ..GroupSettings::new(id, run + at as u64) };
            let held = HeldEntries::up_to(0);
            let group = Group::new(settings, LogPosition::default(), held, Now::default());
            let (etcd, shared) = (Etcd::new(&url, &prefix), Arc::clone(&shared));
            let node = Node { at, group, etcd, began, shared, leads: false, waiting: 0 };
            std::thread::spawn(move || node.run())
        })
        .collect();
    wait(&shared, 3, ADDED);
    println!("all nodes count {ADDED}");
    shared.primary_dies.store(true, Ordering::SeqCst);
    wait(&shared, 2, 2 * ADDED);
    println!("the other two count {}", 2 * ADDED);
    shared.ends.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().expect("no node stops");
    }
}
