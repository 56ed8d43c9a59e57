//! The channels on which events about keys are published.

use crate::pubsub::hub::Hub;
use hedgerow_db_engine::event_flags::EventFlags;

impl Hub {
    /// Publishes an event about a key of a database, on the channels that the flags name.
    pub(crate) fn publish_key_event(
        &self,
        flags: EventFlags,
        database: u16,
        (event, key): (&str, &[u8]),
    ) {
        if flags.by_key() {
            let channel = [format!("__keyspace@{database}__:").as_bytes(), key].concat();
            self.publish(&channel, event.as_bytes());
        }
        if flags.by_event() {
            self.publish(format!("__keyevent@{database}__:{event}").as_bytes(), key);
        }
    }
}
