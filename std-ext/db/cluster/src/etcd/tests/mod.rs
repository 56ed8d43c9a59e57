//! Tests of the client: against a scripted server, and against etcd.

mod answers;
mod failures;
mod fake;
mod real;
mod secure;
mod watches;

use super::{ClientSettings, EtcdClient};
use std::time::Duration;

/// How long a test may take, on a busy machine.
const TEST_LIMIT: Duration = Duration::from_secs(120);

/// Runs a test.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { soon("the test", TEST_LIMIT, test).await })
}

/// Waits for something that happens within a time.
async fn soon<T>(what: &str, within: Duration, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(within, happens).await;
    happened.unwrap_or_else(|_| panic!("{what} takes longer than {within:?}"))
}

/// Returns a client with time limits for a busy machine.
fn client(endpoints: &[String]) -> EtcdClient {
    let settings =
        ClientSettings { call_timeout: Duration::from_secs(10), ..ClientSettings::new(endpoints) };
    EtcdClient::connect(&settings).unwrap()
}
