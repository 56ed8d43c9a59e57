//! Problems of groups that have no primary, in sentences.

use super::StoredGroup;

/// Returns which other groups with slots have no primary.
pub(super) fn problem_of_others(group: &StoredGroup) -> Option<String> {
    let is_led = |number: &u32| {
        let mut nodes = group.others.iter().map(|node| &node.registration);
        nodes.any(|node| node.group == *number && node.role == "primary")
    };
    let others = group.slots.groups().into_iter().filter(|number| *number != group.number);
    let unled: Vec<u32> = others.filter(|number| !is_led(number)).collect();
    let first = unled.first()?;
    Some(format!(
        "{} of the other groups have no registered primary, so their slots are not served: see `hedgerow-db cluster \
         status --group {first}`",
        unled.len()
    ))
}

/// Returns what is wrong with the primary.
pub(super) fn problem_of_primary(group: &StoredGroup) -> Option<String> {
    let Some(tail) = &group.tail else {
        return Some("no node has become the primary yet: start one".to_owned());
    };
    let Some(holder) = tail.holder() else {
        return Some(
            "no node is the primary: the last one released the group. A member that reaches etcd takes over within \
             seconds"
                .to_owned(),
        );
    };
    let is_there = group.registration(holder).is_some_and(|there| there.nonce == tail.nonce);
    (!is_there).then(|| {
        format!(
            "the primary {holder} is not registered: if it has stopped, a member that reaches etcd takes over after \
             its lease of {} ms",
            tail.lease
        )
    })
}
