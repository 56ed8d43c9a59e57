//! Two clients for clusters beside each other: the blocking one of this crate, and that of redis-rs.
//!
//! Start nodes as the page `docs::cluster` says, or any Redis Cluster, and name one of them or more:
//!
//! ```text
//! cargo run -p hedgerow-db --example cluster_clients -- 127.0.0.1:7011 127.0.0.1:7013
//! ```

use hedgerow_db::client::ClusterClient;
use hedgerow_db::resp::read::Reply;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut nodes: Vec<String> = std::env::args().skip(1).collect();
    if nodes.is_empty() {
        nodes.push("127.0.0.1:7001".to_owned());
    }
    by_this_crate(&nodes)?;
    by_redis_rs(&nodes)
}

fn by_this_crate(nodes: &[String]) -> Result<(), Box<dyn Error>> {
    let mut client = ClusterClient::connect(nodes)?;
    println!("primaries: {}", client.primaries().join(", "));
    client.set("rose", "red")?;
    let mut pipeline = client.pipeline();
    for flower in ["rose", "daisy", "poppy"] {
        pipeline.command(&["APPEND", flower, " petals"]);
    }
    // The replies stand in the order of the commands, though several nodes have sent them.
    let lengths: Vec<Reply> = pipeline.send()?;
    println!("hedgerow-db: {lengths:?}");
    Ok(())
}

fn by_redis_rs(nodes: &[String]) -> Result<(), Box<dyn Error>> {
    let nodes = nodes.iter().map(|node| format!("redis://{node}/"));
    let mut connection = redis::cluster::ClusterClient::new(nodes)?.get_connection()?;
    let () = redis::cmd("SET").arg("rose").arg("red").query(&mut connection)?;
    let mut pipeline = redis::cluster::cluster_pipe();
    for flower in ["rose", "daisy", "poppy"] {
        pipeline.cmd("APPEND").arg(flower).arg(" petals");
    }
    let lengths: Vec<i64> = pipeline.query(&mut connection)?;
    println!("redis-rs: {lengths:?}");
    Ok(())
}
