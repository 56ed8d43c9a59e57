//! Loads a node of hedgerow-db, or etcd itself, for some seconds, and prints one line of JSON. `benches/cluster/run`
//! starts it, and says what its figures mean.
//!
//! ```sh
//! cargo run --release -p hedgerow-db --features cluster --example cluster_load -- set port=7001 clients=64
//! cargo run --release -p hedgerow-db --features cluster --example cluster_load -- put \
//!     etcd=http://127.0.0.1:2379 clients=64
//! ```
//!
//! | work | does |
//! |---|---|
//! | `fill` | stores every key in a node |
//! | `set`, `get`, `mix` | writes, reads, or both at a node |
//! | `etcd-fill` | stores every key in etcd |
//! | `put`, `range` | puts, or linearizable reads, of one key each at etcd |
//! | `batches` | the same writes into batches in etcd, one transaction at a time: a primary without a database |
//!
//! Clients send again as soon as they are answered. All of them run in one thread; the program reports its processor
//! time, because a busy generator measures itself.

#![expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures to read")]

mod etcd;
mod measurement;
mod resp;
mod settings;

use settings::Settings;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(std::env::args().skip(1))?;
    let measurement = match &*settings.work {
        "fill" => resp::fill(&settings)?,
        "set" | "get" | "mix" => resp::load(&settings)?,
        "etcd-fill" | "put" | "range" | "batches" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(etcd::load(&settings))?
        }
        other => return Err(format!("{other} is no work: see the table in main.rs").into()),
    };
    println!("{}", measurement.json());
    Ok(())
}
