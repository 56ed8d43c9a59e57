//! Sends requests over gRPC as fast as possible, and prints the operations per second.
//!
//! ```sh
//! cargo run --release -p hedgerow-db --features grpc -- --port 0 --grpc-port 7800 --dir "$(mktemp -d)" &
//! cargo run --release -p hedgerow-db --features grpc --example grpc_load -- http://127.0.0.1:7800
//! ```
//!
//! Unary calls by 50 callers that share 4 connections; then 16 streams with 8 pending batches of 1, 16 and 64
//! operations; gets, and sets, of 64 bytes, for 2 seconds each, over 100,000 keys. One thread sends, as in
//! redis-benchmark.

#![expect(clippy::cast_precision_loss, reason = "figures to read")]

use futures_util::StreamExt;
use futures_util::stream;
use hedgerow_db::grpc::api::database_client::DatabaseClient;
use hedgerow_db::grpc::api::{BatchRequest, GetRequest, Operation, SetRequest, operation};
use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tonic::transport::Channel;

type Client = DatabaseClient<Channel>;

const TIME: Duration = Duration::from_secs(2);
const CALLERS: usize = 50;
const CONNECTIONS: usize = 4;
const STREAMS: usize = 16;
const UNDER_WAY: usize = 8;
const KEYS: u64 = 100_000;

/// SplitMix64. (Steele, Lea and Flood.)
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn key(seed: &mut u64) -> Vec<u8> {
    format!("key:{:012}", next(seed) % KEYS).into_bytes()
}

fn set(seed: &mut u64) -> SetRequest {
    SetRequest { key: key(seed).into(), value: vec![b'x'; 64].into(), ..SetRequest::default() }
}

fn get(seed: &mut u64) -> GetRequest {
    GetRequest { key: key(seed).into() }
}

fn batch(seed: &mut u64, sets: bool, size: usize) -> BatchRequest {
    let kind = |seed: &mut u64| {
        if sets { operation::Kind::Set(set(seed)) } else { operation::Kind::Get(get(seed)) }
    };
    BatchRequest { operations: (0..size).map(|_| Operation { kind: Some(kind(seed)) }).collect() }
}

async fn unary(mut client: Client, seed: u64, sets: bool, made: Rc<Cell<u64>>) {
    let (mut seed, began) = (seed, Instant::now());
    while began.elapsed() < TIME {
        if sets {
            client.set(set(&mut seed)).await.expect("it is answered");
        } else {
            client.get(get(&mut seed)).await.expect("it is answered");
        }
        made.set(made.get() + 1);
    }
}

async fn streamed(mut client: Client, seed: u64, sets: bool, size: usize, made: Rc<Cell<u64>>) {
    let (to, batches) = mpsc::channel(UNDER_WAY);
    let batches = stream::unfold(batches, |mut batches| async {
        batches.recv().await.map(|batch| (batch, batches))
    });
    let (mut seed, began) = (seed, Instant::now());
    for _ in 0..UNDER_WAY {
        to.send(batch(&mut seed, sets, size)).await.expect("it is taken");
    }
    let mut answers = client.pipeline(batches).await.expect("it is answered").into_inner();
    while began.elapsed() < TIME {
        let answered = answers.next().await.expect("there is more").expect("it is answered");
        made.set(made.get() + answered.answers.len() as u64);
        to.send(batch(&mut seed, sets, size)).await.expect("it is taken");
    }
}

async fn measure(address: &str) -> Result<(), Box<dyn Error>> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(address.to_owned()).await?);
    }
    for sets in [true, false] {
        for size in [0, 1, 16, 64] {
            let (tasks, made) = (LocalSet::new(), Rc::new(Cell::new(0)));
            let some = if size == 0 { CALLERS } else { STREAMS };
            for (seed, client) in clients.iter().cloned().cycle().take(some).enumerate() {
                let (seed, made) = (seed as u64 * 7919, Rc::clone(&made));
                if size == 0 {
                    tasks.spawn_local(unary(client, seed, sets, made));
                } else {
                    tasks.spawn_local(streamed(client, seed, sets, size, made));
                }
            }
            let began = Instant::now();
            tasks.await;
            let rate = made.get() as f64 / began.elapsed().as_secs_f64();
            let what = if sets { "sets" } else { "gets" };
            let how = if size == 0 { "unary".into() } else { format!("streams of {size}") };
            println!("{what}, {how}: {rate:.0}/s");
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("name an address, as http://127.0.0.1:7800")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&address))
}
