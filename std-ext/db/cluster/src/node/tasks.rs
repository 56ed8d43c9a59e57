//! Tasks that run as long as the node does, and their panics.

use crate::node::message::{DriverMessage, Inbox};
use std::future::Future;

/// Starts a task that the node needs. If it panics, the process starts anew: the node would look well, and would never
/// be found again, or never end a move of slots.
pub(crate) fn needed<F>(what: &'static str, inbox: Inbox, task: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    on_panic(task, move || {
        // Fails only after the driver has stopped.
        let _ = inbox.send(DriverMessage::Restart(format!("the task that {what} has panicked")));
    });
}

/// Starts a task. If it panics, `then` is called.
pub(crate) fn on_panic<F>(task: F, then: impl FnOnce() + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let task = tokio::spawn(task);
    tokio::spawn(async move {
        // It is cancelled when the node stops.
        if task.await.is_err_and(|why| why.is_panic()) {
            then();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_node_does_not_go_on_without_a_task_that_it_needs() {
        let (inbox, mut messages) = unbounded_channel();
        needed("ends", inbox.clone(), async {});
        needed("fails", inbox, async { panic!("as wanted by the test") });
        let told = timeout(Duration::from_secs(60), messages.recv()).await;
        let Ok(Some(DriverMessage::Restart(why))) = told else { panic!("nobody hears of a panic") };
        assert_eq!(why, "the task that fails has panicked");
        assert!(messages.recv().await.is_none(), "a task that has ended is no panic");
    }
}
