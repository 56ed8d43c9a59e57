//! Pipelines over several nodes.

use super::retry::Retry;
use super::{ClusterClient, RequestOutcome, RequestTarget};
use crate::client::PIPELINE_PART;
use crate::client::address::NodeAddress;
use crate::client::error::{Attempt, ClientError, Result, Unavailable};
use hedgerow_db_formats::resp::read::Reply;
use hedgerow_db_formats::resp::write::request;
use hedgerow_db_formats::slots::slot;
use hedgerow_db_redis::command::first_key;
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

/// Commands for a cluster that are sent together. Each node gets its own at once.
///
/// The node of a slot executes the commands of that slot in order. If a node refuses a command or sends it elsewhere,
/// the client sends it again, alone, after the replies to all others, and later commands of its slot that were not sent
/// yet follow it. Commands of one slot that were sent together can change their order if the slot moves to another node
/// while they are executed. After a command whose outcome is unknown, no further commands of its slot are sent.
#[derive(Debug)]
pub struct ClusterPipeline<'c> {
    client: &'c mut ClusterClient,
    bytes: Vec<u8>,
    requests: Vec<NodeRequest>,
}

/// A request in the buffer.
#[derive(Debug)]
struct NodeRequest {
    bytes: Range<usize>,
    slot: Option<u16>,
}

/// The requests of one node, in order.
#[derive(Debug)]
struct NodeQueue {
    address: NodeAddress,
    requests: Vec<usize>,
    /// The number of those that were sent, or that are not sent to this node any more.
    sent: usize,
}

/// The state of all requests.
#[derive(Debug)]
struct PipelineProgress {
    /// The outcome of the first attempt at each request; `None` if there was none.
    outcomes: Vec<Option<(RequestTarget, RequestOutcome)>>,
    /// Slots with a request that was not executed. Their further requests wait for it.
    held: HashSet<Option<u16>>,
}

impl ClusterClient {
    /// Starts a pipeline: commands that are sent together before the first reply is awaited.
    pub fn pipeline(&mut self) -> ClusterPipeline<'_> {
        ClusterPipeline { client: self, bytes: Vec::new(), requests: Vec::new() }
    }
}

impl ClusterPipeline<'_> {
    /// Adds any command. Its node is found as by [`ClusterClient::command`].
    pub fn command<T: AsRef<[u8]>>(&mut self, arguments: &[T]) -> &mut Self {
        self.add(first_key(arguments).map(slot), arguments)
    }

    /// Adds any command for the node of a key.
    pub fn command_with_key<T: AsRef<[u8]>>(
        &mut self,
        key: impl AsRef<[u8]>,
        arguments: &[T],
    ) -> &mut Self {
        self.add(Some(slot(key.as_ref())), arguments)
    }

    fn add<T: AsRef<[u8]>>(&mut self, slot: Option<u16>, arguments: &[T]) -> &mut Self {
        let from = self.bytes.len();
        request(&mut self.bytes, arguments);
        self.requests.push(NodeRequest { bytes: from..self.bytes.len(), slot });
        self
    }

    /// Sends the commands, and waits for all replies, in the order of the commands. An error reply is a
    /// [`Reply::Error`] among them.
    ///
    /// # Errors
    /// The first one of [`send_each`](Self::send_each).
    pub fn send(self) -> Result<Vec<Reply>> {
        self.send_each().into_iter().collect()
    }

    /// Sends the commands, and returns the result of each, in the order of the commands. An error reply is a
    /// [`Reply::Error`]. The other nodes' replies arrive even if one node fails.
    ///
    /// Among the errors are [`ClientError::Io`], if it is unknown whether the command was executed, and
    /// [`ClientError::Unavailable`], if it was certainly not executed.
    pub fn send_each(mut self) -> Vec<Result<Reply>> {
        let mut retry = Retry::new(self.client.limits);
        self.client.read_old_map(&retry);
        let outcomes = self.requests.iter().map(|_| None).collect();
        let mut progress = PipelineProgress { outcomes, held: HashSet::new() };
        let mut queues = self.queues();
        // All nodes work while the replies of the first one are read.
        loop {
            let mut in_flight = Vec::new();
            for queue in &mut queues {
                let sent = self.send_part(queue, &mut progress);
                in_flight.push(sent);
            }
            if in_flight.iter().all(Vec::is_empty) {
                break;
            }
            for (queue, sent) in queues.iter_mut().zip(in_flight) {
                self.receive_part(queue, &sent, &mut progress);
            }
        }
        retry.next(true);
        self.finish_each(progress, &mut retry)
    }

    /// Divides the requests by node.
    fn queues(&self) -> Vec<NodeQueue> {
        let mut queues: Vec<NodeQueue> = Vec::new();
        for (number, request) in self.requests.iter().enumerate() {
            let RequestTarget { address, .. } = self.client.target(request.slot);
            match queues.iter_mut().find(|queue| queue.address == address) {
                Some(queue) => queue.requests.push(number),
                None => queues.push(NodeQueue { address, requests: vec![number], sent: 0 }),
            }
        }
        queues
    }

    /// Sends the next requests of a node, and returns their numbers. They are as many as the connection takes while
    /// nobody reads.
    fn send_part(&mut self, queue: &mut NodeQueue, progress: &mut PipelineProgress) -> Vec<usize> {
        let (mut part, mut bytes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(&number) = queue.requests.get(queue.sent) {
            let NodeRequest { bytes: range, slot } = &self.requests[number];
            if !part.is_empty() && bytes.len() + range.len() > PIPELINE_PART {
                break;
            }
            queue.sent += 1;
            if !progress.held.contains(slot) {
                bytes.extend_from_slice(&self.bytes[range.clone()]);
                ends.push(bytes.len());
                part.push(number);
            }
        }
        if part.is_empty() {
            return part;
        }
        let Err((sent, why)) = self.client.send(&queue.address, &bytes) else { return part };
        // An incomplete request is not executed.
        let complete = ends.partition_point(|end| *end <= sent);
        for (place, number) in part.into_iter().enumerate() {
            let outcome =
                if place < complete { RequestOutcome::Unknown } else { RequestOutcome::NotSent };
            self.note(number, queue, outcome(again(&why)), progress);
        }
        queue.sent = queue.requests.len();
        Vec::new()
    }

    /// Reads the replies to requests that were sent to a node.
    fn receive_part(
        &mut self,
        queue: &mut NodeQueue,
        sent: &[usize],
        progress: &mut PipelineProgress,
    ) {
        for (place, &number) in sent.iter().enumerate() {
            let why = match self.client.receive(&queue.address) {
                Ok(reply) => {
                    self.note(number, queue, RequestOutcome::Reply(reply), progress);
                    continue;
                }
                Err(why) => why,
            };
            for &number in &sent[place + 1..] {
                self.note(number, queue, RequestOutcome::Unknown(again(&why)), progress);
            }
            self.note(number, queue, RequestOutcome::Unknown(why), progress);
            queue.sent = queue.requests.len();
            return;
        }
    }

    fn note(
        &self,
        number: usize,
        queue: &NodeQueue,
        outcome: RequestOutcome,
        progress: &mut PipelineProgress,
    ) {
        let target = RequestTarget { address: queue.address.clone(), asking: false };
        if !outcome.is_final(&target.address) {
            progress.held.insert(self.requests[number].slot);
        }
        progress.outcomes[number] = Some((target, outcome));
    }

    /// Sends requests again that were not executed, one after another, and returns the results of all.
    fn finish_each(&mut self, progress: PipelineProgress, retry: &mut Retry) -> Vec<Result<Reply>> {
        let mut failed = HashSet::new();
        let mut results = Vec::with_capacity(progress.outcomes.len());
        for (request, first) in self.requests.iter().zip(progress.outcomes) {
            let slot = request.slot;
            let bytes = &self.bytes[request.bytes.clone()];
            let is_final =
                first.as_ref().is_some_and(|(target, outcome)| outcome.is_final(&target.address));
            let result = if !is_final && failed.contains(&slot) {
                Err(left_out(&self.client.target(slot).address))
            } else {
                let first = first.unwrap_or_else(|| {
                    let target = self.client.target(slot);
                    let outcome = self.client.attempt(&target, bytes);
                    (target, outcome)
                });
                let result = self.client.finish(bytes, slot, first, retry);
                if !is_final {
                    retry.next(result.is_ok());
                }
                result
            };
            if result.is_err() {
                failed.insert(slot);
            }
            results.push(result);
        }
        results
    }
}

/// Returns an error like one that several requests have.
fn again(why: &ClientError) -> ClientError {
    match why {
        ClientError::Io(why) => io::Error::new(why.kind(), why.to_string()).into(),
        ClientError::Malformed(why) => ClientError::Malformed(*why),
        ClientError::Server(why) => ClientError::Server(why.clone()),
        other => io::Error::other(other.to_string()).into(),
    }
}

/// Returns the error of a request that was not sent because an earlier one of its slot has failed.
fn left_out(address: &NodeAddress) -> ClientError {
    let why = "an earlier command of the same slot failed, so this one was not sent";
    let error = io::Error::new(ErrorKind::NotConnected, why).into();
    let last = vec![Attempt { node: address.to_string(), error }];
    ClientError::Unavailable(Unavailable { attempts: 0, elapsed: Duration::ZERO, last })
}
