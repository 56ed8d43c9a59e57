//! Messages for the clients of a worker.

use super::ServerWorker;

impl ServerWorker {
    /// Delivers the messages that clients of this worker have got. All replies of this cycle are free or held.
    pub(super) fn deliver_mail(&mut self) {
        let mut with_mail = std::mem::take(&mut self.with_mail);
        self.shared.hub.take_announced(self.number, &mut with_mail);
        for key in with_mail.drain(..) {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.deliver(&mut self.context);
            self.update(key);
        }
        self.with_mail = with_mail;
    }

    /// Ends the subscriptions to channels of slots that another node of the cluster has now. The worker looks for them
    /// once a second.
    pub(super) fn leave_lost_channels(&mut self) {
        if !self.context.is_clustered() || self.shared.hub.counts().shard_channels == 0 {
            return;
        }
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.clients[key].leave_lost_channels(&mut self.context);
            self.queue(key);
        }
    }
}
