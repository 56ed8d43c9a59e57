//! The map from slots to nodes, as `CLUSTER SLOTS` tells it.

use crate::client::address::NodeAddress;
use hedgerow_db_formats::resp::read::Reply;
use hedgerow_db_formats::slots::SLOTS;
use std::collections::HashMap;

/// A slot of which no node is known.
const UNKNOWN: u16 = u16::MAX;

/// The nodes of a cluster, and the primary of each slot.
#[derive(Clone, Debug)]
pub(super) struct SlotMap {
    /// Primaries and followers.
    nodes: Vec<NodeAddress>,
    /// For each slot the number of a node.
    owners: Vec<u16>,
}

impl SlotMap {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), owners: vec![UNKNOWN; SLOTS.into()] }
    }

    /// Reads the reply to `CLUSTER SLOTS` of a node at `asked`; `None` if it has another form.
    pub(super) fn read(reply: &Reply, asked: &NodeAddress) -> Option<Self> {
        let Reply::Array(ranges) = reply else { return None };
        let (mut map, mut numbers) = (Self::new(), HashMap::new());
        for range in ranges {
            let Reply::Array(range) = range else { return None };
            let [Reply::Integer(first), Reply::Integer(last), nodes @ ..] = &range[..] else {
                return None;
            };
            let slots = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
            let slots = map.owners.get_mut(slots)?;
            for (place, node) in nodes.iter().enumerate() {
                // A node without a known address.
                let Some(address) = read_node(node, asked)? else { continue };
                let number = *numbers.entry(address).or_insert_with_key(|address| {
                    map.nodes.push(address.clone());
                    map.nodes.len() - 1
                });
                if place == 0 {
                    slots.fill(u16::try_from(number).unwrap_or(UNKNOWN));
                }
            }
        }
        Some(map)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns all nodes that are known: primaries and followers.
    pub(super) fn nodes(&self) -> &[NodeAddress] {
        &self.nodes
    }

    /// Returns the primary of a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&NodeAddress> {
        self.nodes.get(usize::from(*self.owners.get(usize::from(slot))?))
    }

    /// Returns the primaries by their lowest slot, each once.
    pub(super) fn primaries(&self) -> impl Iterator<Item = &NodeAddress> {
        let mut seen = vec![false; self.nodes.len()];
        let is_new = move |number: &usize| {
            seen.get_mut(*number).is_some_and(|seen| !std::mem::replace(seen, true))
        };
        let numbers = self.owners.iter().map(|number| usize::from(*number));
        numbers.filter(is_new).filter_map(|number| self.nodes.get(number))
    }

    /// Sets the primary of a slot.
    pub(super) fn set(&mut self, slot: u16, address: &NodeAddress) {
        let Some(owner) = self.owners.get_mut(usize::from(slot)) else { return };
        let known = self.nodes.iter().position(|node| node == address);
        let number = known.unwrap_or_else(|| {
            self.nodes.push(address.clone());
            self.nodes.len() - 1
        });
        *owner = u16::try_from(number).unwrap_or(UNKNOWN);
    }
}

/// Reads a node of a range: `None` if it is malformed, `Some(None)` if it has no known address.
#[allow(clippy::option_option, reason = "two kinds of absence, in a function of one file")]
fn read_node(node: &Reply, asked: &NodeAddress) -> Option<Option<NodeAddress>> {
    let Reply::Array(node) = node else { return None };
    let [host, Reply::Integer(port), ..] = &node[..] else { return None };
    let host = match host {
        // The one that the client has used.
        Reply::Null => &asked.host,
        Reply::Bulk(host) if host.is_empty() => &asked.host,
        Reply::Bulk(host) => std::str::from_utf8(host).ok()?,
        _ => return None,
    };
    let port = u16::try_from(*port).ok()?;
    let is_known = port != 0 && host != "?";
    Some(is_known.then(|| NodeAddress { host: host.to_owned(), port }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_formats::resp::read;

    fn read(text: &str) -> Option<SlotMap> {
        let asked = NodeAddress::parse("asked:1").unwrap();
        let reply = match read::reply(text.replace(' ', "\r\n").as_bytes()) {
            Ok(read::ReadItem::Reply(reply, _)) => reply,
            other => panic!("{other:?}"),
        };
        SlotMap::read(&reply, &asked)
    }

    #[test]
    fn each_slot_has_the_primary_of_its_range() {
        let map = read(
            "*3 *4 :0 :99 *3 $1 a :7001 $1 x *3 $1 b :7002 $1 y \
             *3 :100 :199 *2 $-1 :7003 \
             *3 :16383 :16383 *2 $1 a :7001 ",
        )
        .unwrap();
        let owner = |slot| map.owner(slot).map_or_else(String::new, NodeAddress::to_string);
        let slots = [0, 99, 100, 199, 200, 16382, 16383, 16384, u16::MAX];
        assert_eq!(
            slots.map(owner),
            ["a:7001", "a:7001", "asked:7003", "asked:7003", "", "", "a:7001", "", ""]
        );
        let shown = |nodes: Vec<&NodeAddress>| nodes.iter().map(|node| node.to_string()).collect();
        let primaries: Vec<String> = shown(map.primaries().collect());
        assert_eq!(primaries, ["a:7001", "asked:7003"]);
        let nodes: Vec<String> = shown(map.nodes().iter().collect());
        assert_eq!(nodes, ["a:7001", "b:7002", "asked:7003"]);
    }

    #[test]
    fn a_slot_is_set_alone() {
        let mut map = read("*1 *3 :0 :16383 *2 $1 a :7001 ").unwrap();
        let (known, other) = (NodeAddress::parse("a:7001"), NodeAddress::parse("b:7002"));
        map.set(7, other.as_ref().unwrap());
        map.set(16384, other.as_ref().unwrap());
        assert_eq!(
            [6, 7, 8].map(|slot| map.owner(slot)),
            [&known, &other, &known].map(Option::as_ref)
        );
        assert_eq!(map.nodes().len(), 2);
    }

    #[test]
    fn nodes_without_an_address_are_left_out() {
        let map = read("*2 *3 :0 :9 *2 $1 ? :7001 *3 :10 :19 *2 $1 a :0 ").unwrap();
        assert!(map.is_empty() && map.owner(5).is_none() && map.owner(15).is_none());
    }

    #[test]
    fn malformed_replies_are_refused() {
        for text in [
            "$2 no ",
            "*1 :7 ",
            "*1 *1 :7 ",
            "*1 *3 :0 :16384 *2 $1 a :7001 ",
            "*1 *3 :9 :3 *2 $1 a :7001 ",
            "*1 *3 :-1 :3 *2 $1 a :7001 ",
            "*1 *3 :0 :3 $1 a ",
            "*1 *3 :0 :3 *1 $1 a ",
            "*1 *3 :0 :3 *2 $1 a :65536 ",
            "*1 *3 :0 :3 *2 :1 :7001 ",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
