//! Clients of etcd: the calls of hedgerow-db's own client, without a database around it.

use super::measurement::{Kind, Measurement};
use super::settings::{Random, Settings, name};
use hedgerow_db::cluster::core::batch::{BatchPiece, MOST_RAW, encode_entry, entry_bytes};
use hedgerow_db::cluster::core::{Batch, BatchChain, Entry};
use hedgerow_db::cluster::etcd::{
    self, Bytes, Compare, EtcdClient, EtcdError, EtcdTransaction, Keys, Operation,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;

/// The prefix of the keys that `put` and `range` use.
const KEYS: &str = "/cluster-load/";
/// The prefix of the keys that `batches` uses.
const LOG: &str = "/cluster-load-log/";
const TAIL: &str = "/cluster-load-log/tail";
/// Puts of one transaction of `etcd-fill`; etcd allows 128.
const FILL: u64 = 100;
/// A slow answer counts; none at all does not.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn load(settings: &Settings) -> Result<Measurement, Box<dyn Error>> {
    let clients = connect(settings).await?;
    match &*settings.work {
        "etcd-fill" => fill(settings, &clients[0]).await,
        "batches" => batches(settings, &clients[0]).await,
        _ => single(settings, &clients).await,
    }
}

/// Makes the connections, each to another member, or all to the leader.
async fn connect(settings: &Settings) -> Result<Vec<EtcdClient>, Box<dyn Error>> {
    let mut urls = settings.etcd.clone();
    let connect = |urls: &[String]| {
        let settings =
            etcd::ClientSettings { call_timeout: TIMEOUT, ..etcd::ClientSettings::new(urls) };
        EtcdClient::connect(&settings)
    };
    if settings.leader {
        let all = connect(&urls)?.status().await;
        let leads = |(url, status): (String, Result<etcd::Status, EtcdError>)| {
            status.is_ok_and(|status| status.member == status.leader).then_some(url)
        };
        urls = vec![all.into_iter().find_map(leads).ok_or("etcd has no leader")?];
    }
    let mut clients = Vec::new();
    for _ in 0..settings.connections.clamp(1, settings.clients.max(1)) {
        clients.push(connect(&urls)?);
        urls.rotate_left(1);
    }
    Ok(clients)
}

async fn fill(settings: &Settings, client: &EtcdClient) -> Result<Measurement, Box<dyn Error>> {
    let mut measurement = Measurement::begin_open();
    let mut random = Random::new(settings, 1);
    for begin in (0..settings.keys).step_by(FILL as usize) {
        let sent = Instant::now();
        let end = settings.keys.min(begin + FILL);
        let put = |key| Operation::put(path(key), random.value().to_vec());
        let transaction =
            EtcdTransaction { then: (begin..end).map(put).collect(), ..EtcdTransaction::default() };
        client.transact(&transaction).await?;
        measurement.note(Kind::Write, end - begin, sent, Instant::now());
    }
    measurement.end(Instant::now());
    Ok(measurement)
}

/// Puts or reads single keys, from all clients at once.
async fn single(
    settings: &Settings,
    clients: &[EtcdClient],
) -> Result<Measurement, Box<dyn Error>> {
    let writes = settings.work == "put";
    let shared = Rc::new(RefCell::new((Measurement::begin(settings), Random::new(settings, 7))));
    let tasks = LocalSet::new();
    let each = clients.iter().cycle().take(settings.clients).cloned();
    let running: Vec<_> = each
        .map(|client| {
            let shared = Rc::clone(&shared);
            tasks.spawn_local(async move {
                loop {
                    let (sent, key) = (Instant::now(), shared.borrow_mut().1.key());
                    if shared.borrow().0.is_over(sent) {
                        return Ok::<_, EtcdError>(());
                    }
                    let kind = if writes {
                        let value = Bytes::copy_from_slice(shared.borrow_mut().1.value());
                        client.put(path(key), value, 0).await?;
                        Kind::Write
                    } else {
                        let got = client.get(path(key)).await?;
                        shared.borrow_mut().0.misses += u64::from(got.pair.is_none());
                        Kind::Read
                    };
                    shared.borrow_mut().0.note(kind, 1, sent, Instant::now());
                }
            })
        })
        .collect();
    tasks.run_until(all(running)).await?;
    drop(tasks);
    let (measurement, _) = Rc::into_inner(shared).ok_or("a task goes on")?.into_inner();
    Ok(measurement)
}

/// Waits for all tasks.
async fn all(
    running: Vec<tokio::task::JoinHandle<Result<(), EtcdError>>>,
) -> Result<(), Box<dyn Error>> {
    for task in running {
        task.await??;
    }
    Ok(())
}

/// The entries that wait for a batch, each with its client.
struct Queue {
    waiting: VecDeque<(Vec<u8>, oneshot::Sender<()>)>,
    measurement: Measurement,
    random: Random,
}

/// Writes entries into batches as a primary does: one transaction in flight, which takes all that waits.
async fn batches(settings: &Settings, client: &EtcdClient) -> Result<Measurement, Box<dyn Error>> {
    client.delete(Keys::prefix(LOG)).await?;
    let (queue, filled) = (
        Rc::new(RefCell::new(Queue {
            waiting: VecDeque::new(),
            measurement: Measurement::begin(settings),
            random: Random::new(settings, 7),
        })),
        Rc::new(Notify::new()),
    );
    let tasks = LocalSet::new();
    let running: Vec<_> = (0..settings.clients)
        .map(|_| tasks.spawn_local(write(Rc::clone(&queue), Rc::clone(&filled))))
        .collect();
    let log = Log { client: client.clone(), queue: Rc::clone(&queue), filled };
    let log = tasks.spawn_local(log.run_to_the_end());
    tasks.run_until(all(running)).await?;
    if log.is_finished() {
        log.await??;
    }
    drop(tasks);
    client.delete(Keys::prefix(LOG)).await?;
    Ok(Rc::into_inner(queue).ok_or("a task goes on")?.into_inner().measurement)
}

/// A client of `batches`.
async fn write(queue: Rc<RefCell<Queue>>, filled: Rc<Notify>) -> Result<(), EtcdError> {
    loop {
        let (sent, (committed, told)) = (Instant::now(), oneshot::channel());
        {
            let mut queue = queue.borrow_mut();
            if queue.measurement.is_over(sent) {
                return Ok(());
            }
            let mut changes = name(queue.random.key()).into_bytes();
            changes.extend_from_slice(queue.random.value());
            queue.waiting.push_back((changes, committed));
        }
        filled.notify_one();
        if told.await.is_err() {
            // The log has failed, and its task says why.
            return Ok(());
        }
        queue.borrow_mut().measurement.note(Kind::Write, 1, sent, Instant::now());
    }
}

/// The writer of `batches`.
struct Log {
    client: EtcdClient,
    queue: Rc<RefCell<Queue>>,
    filled: Rc<Notify>,
}

impl Log {
    /// Runs until it fails. Then nobody waits for it any more.
    async fn run_to_the_end(self) -> Result<(), Box<dyn Error>> {
        let outcome = self.run().await;
        let mut queue = self.queue.borrow_mut();
        queue.measurement.end(Instant::now());
        queue.waiting.clear();
        outcome
    }

    async fn run(&self) -> Result<(), Box<dyn Error>> {
        let (mut line, mut chain) = (String::new(), BatchChain::default());
        let (mut seq, mut first) = (0_u64, 1_u64);
        loop {
            let (raw, told) = self.take(first);
            if told.is_empty() {
                self.filled.notified().await;
                continue;
            }
            seq += 1;
            let entries = told.len() as u32;
            let batch =
                Batch { epoch: 1, first, entries, piece: BatchPiece::Whole, before: chain, raw };
            chain = batch.after();
            first += u64::from(entries);
            // As long as the line of a group.
            let next =
                format!("2 1 {:040x} {:016x} {seq} {first} 1790000000000 0 3000 {chain}", 1, 1);
            let compare = if line.is_empty() {
                Compare::Absent { key: TAIL.into() }
            } else {
                Compare::Value { key: TAIL.into(), value: line.into() }
            };
            let transaction = EtcdTransaction {
                compare: vec![compare],
                then: vec![
                    Operation::put(TAIL, next.clone()),
                    Operation::put(format!("{LOG}{seq:020}"), batch.encode()),
                ],
                otherwise: Vec::new(),
            };
            if !self.client.transact(&transaction).await?.succeeded {
                return Err("another program writes the same log".into());
            }
            line = next;
            self.queue.borrow_mut().measurement.batches += 1;
            for committed in told {
                // Fails at the end only.
                let _ = committed.send(());
            }
        }
    }

    /// Takes what waits, up to the size of a batch, and encodes it.
    fn take(&self, first: u64) -> (Vec<u8>, Vec<oneshot::Sender<()>>) {
        let (mut raw, mut told) = (Vec::new(), Vec::new());
        let mut queue = self.queue.borrow_mut();
        while let Some((changes, committed)) = queue.waiting.pop_front() {
            let entry = Entry { lsn: first + told.len() as u64, time: 1_790_000_000_000, changes };
            if !told.is_empty() && raw.len() + entry_bytes(&entry) > MOST_RAW {
                queue.waiting.push_front((entry.changes, committed));
                break;
            }
            encode_entry(&entry, &mut raw);
            told.push(committed);
        }
        (raw, told)
    }
}

fn path(key: u64) -> String {
    format!("{KEYS}{}", name(key))
}
