//! The keyspace notifications of a change of a stream.

use super::apply_stream::stream_of;
use super::shard::Core;
use crate::request::{Change, GroupAction, StreamChange, StreamClaim, stream_key};

/// Returns whether a change names a consumer that exists, and that it would create otherwise.
pub(super) fn has_consumer(core: &Core, key: &[u8], change: &Change<'_>) -> bool {
    let Change::Stream(StreamChange::Group(change)) = change else { return false };
    let (GroupAction::Read { consumer, .. }
    | GroupAction::CreateConsumer(consumer)
    | GroupAction::AutoClaim { consumer, .. }
    | GroupAction::Claim(StreamClaim { consumer, .. })) = change.action
    else {
        return false;
    };
    let name = [&stream_key::consumers(change.group), consumer].concat();
    core.find(key).as_ref().and_then(stream_of).is_some_and(|stream| stream.get(&name).is_some())
}

/// Returns the events of a change that was made, in order.
pub(super) fn stream_events(
    change: &StreamChange<'_>,
    removes_range: bool,
    has_new_consumer: bool,
) -> [Option<&'static str>; 2] {
    match change {
        StreamChange::Add { .. } => [Some("xadd"), removes_range.then_some("xtrim")],
        StreamChange::Delete(_) => [Some("xdel"), None],
        StreamChange::Trim(_) => [Some("xtrim"), None],
        StreamChange::SetId { .. } => [Some("xsetid"), None],
        StreamChange::Group(change) => {
            let created = has_new_consumer.then_some("xgroup-createconsumer");
            let own = match change.action {
                GroupAction::Create { .. } => Some("xgroup-create"),
                GroupAction::SetId { .. } => Some("xgroup-setid"),
                GroupAction::Destroy => Some("xgroup-destroy"),
                GroupAction::DeleteConsumer(_) => Some("xgroup-delconsumer"),
                GroupAction::CreateConsumer(_)
                | GroupAction::Read { .. }
                | GroupAction::Acknowledge(_)
                | GroupAction::Refused { .. }
                | GroupAction::Claim(_)
                | GroupAction::AutoClaim { .. } => None,
            };
            [created, own]
        }
    }
}
