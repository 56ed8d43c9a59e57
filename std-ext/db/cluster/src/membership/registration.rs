//! The registration of a node under `node/<id>`.

use crate::membership::bootstrap;
use crate::membership::load::NodeLoad;
use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_group::hex;
use hedgerow_db_group::{NodeId, Now, Tail};
use hedgerow_db_redis::config::ClusterSettings;
use hedgerow_db_redis::view::NodeAddresses;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The group of a node that waits for a place in one.
pub(crate) const NO_GROUP: u32 = u32::MAX;
/// The longest value that is read. The addresses, the zone and the load take some 500 bytes, and the slots at most
/// `SLOT_SET_BYTES` in hexadecimal digits, and [`FEW_RANGES`].
const MOST_BYTES: usize = 16 << 10;
/// With more ranges of slots than this, a bit for each slot is shorter.
const FEW_RANGES: usize = 64;
/// The role of a node that waits for a place in a group.
pub(crate) const SPARE: &str = "spare";

/// The registration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// A random number of the process.
    pub(crate) nonce: u64,
    /// The IP address.
    pub(crate) ip: String,
    /// The host name.
    #[serde(default)]
    pub(crate) hostname: String,
    /// The port for clients; 0 for none.
    pub(crate) port: u16,
    /// The port for clients with TLS; 0 for none.
    #[serde(default)]
    pub(crate) tls_port: u16,
    /// The port for other nodes.
    pub(crate) peer_port: u16,
    /// Whether that port uses TLS. `None`: an earlier version has registered the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer_tls: Option<bool>,
    /// Its limit of memory in bytes, and the policy of eviction. `None`: as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<String>,
    /// The program's version.
    #[serde(default)]
    pub(crate) version: String,
    /// The node's group; [`NO_GROUP`] as long as it has none.
    #[serde(default)]
    pub(crate) group: u32,
    /// Where the node is, as `cluster-zone` says.
    #[serde(default)]
    pub(crate) zone: String,
    /// The slots that the node takes for those of its group, as ranges with their last slot; `None` if a version of
    /// before has registered it. The first ones, if there are more than [`FEW_RANGES`].
    #[serde(default)]
    pub(crate) slots: Option<Vec<(u16, u16)>>,
    /// All of these slots, a bit for each in hexadecimal digits, if there are more ranges than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slot_bits: Option<String>,
    /// The epoch of its group's log. Of several primaries of a group, the one with the latest epoch is right.
    #[serde(default)]
    pub(crate) epoch: u64,
    /// `primary`, `follower`, `loading` or `spare`.
    #[serde(default)]
    pub(crate) role: String,
    /// The last entry that it has.
    #[serde(default)]
    pub(crate) applied: u64,
    /// The time that an entry of it would carry, in milliseconds since 1970.
    pub(crate) wall: u64,
    /// Whether the node's own disk keeps no entries at present.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) disk_fails: bool,
    /// Whether the node would not take its group over at present: it cannot apply an entry, its threads do not answer,
    /// its disk fails and another member is better, or its clock is ahead. An earlier version does not say it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cannot_lead: bool,
    /// Why the primary refuses changes at present. An earlier version does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refuses: Option<String>,
    /// Bytes of batches in etcd, as the primary counts them.
    #[serde(default)]
    pub(crate) retained: u64,
    /// The lowest and the highest format of clusters that the node reads.
    #[serde(default)]
    pub(crate) formats: (u32, u32),
    /// The node's number among those that are started and stopped together, if it has one and may leave its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ordinal: Option<u32>,
    /// Its load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load: Option<NodeLoad>,
}

impl Registration {
    /// Reads the value of a node's key.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(Some(value).filter(|value| value.len() <= MOST_BYTES)?).ok()
    }

    /// Sets the slots that the node takes for those of its group.
    pub(crate) fn set_slots(&mut self, slots: &SlotSet) {
        let mut ranges = slots.ranges();
        // After many small moves a group may have thousands of ranges, of fourteen bytes each.
        self.slot_bits = (ranges.len() > FEW_RANGES).then(|| hex::text(slots.bits()));
        ranges.truncate(FEW_RANGES);
        self.slots = Some(ranges);
    }

    /// Returns the slots that the node takes for those of its group.
    #[cfg_attr(
        not(any(test, feature = "cli")),
        expect(dead_code, reason = "for the commands of the program")
    )]
    pub(crate) fn claimed(&self) -> Option<SlotSet> {
        match &self.slot_bits {
            Some(bits) => hex::parse(bits).map(|bits| SlotSet::from_bits(&bits)),
            None => self.slots.as_deref().and_then(SlotSet::from_ranges),
        }
    }

    /// Returns the addresses that the settings tell others, with the version and the zone.
    pub(crate) fn announced(settings: &ClusterSettings, nonce: u64) -> Self {
        let announce = &settings.announce;
        let own = || bootstrap::own_address(&settings.etcd.endpoints);
        Self {
            nonce,
            ip: announce.ip.clone().unwrap_or_else(own),
            hostname: announce.hostname.clone().unwrap_or_default(),
            port: announce.port,
            tls_port: announce.tls_port,
            peer_port: announce.peer_port,
            peer_tls: Some(settings.peer.tls.is_some()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            zone: settings.zone.clone(),
            formats: (settings.formats.lowest, settings.formats.highest),
            ordinal: settings.ordinal.filter(|_| settings.auto_group),
            ..Self::default()
        }
    }

    /// Returns whether this says nothing new after another one of the same node: only the time differs, and the load a
    /// little.
    pub(crate) fn is_like(&self, before: &Self) -> bool {
        let is_near = match (&self.load, &before.load) {
            (Some(load), Some(before)) => load.is_near(before),
            (load, before) => load == before,
        };
        let (wall, load) = (before.wall, before.load);
        is_near && Self { wall, load, ..self.clone() } == *before
    }

    /// Returns whether the node waits for a place in a group.
    pub(crate) fn is_spare(&self) -> bool {
        self.group == NO_GROUP
    }

    /// Returns whether the node has said that it would not take its group over, or that its disk keeps no entries.
    pub(crate) fn is_unfit(&self) -> bool {
        self.disk_fails || self.cannot_lead
    }

    /// Returns the node's role for people: by the last line of its group's log, whatever the registration says of the
    /// primary. That stays for seconds after the process has died, when another node may have taken over.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "for the commands of the program"))]
    pub(crate) fn shown_role(&self, id: NodeId, tail: Option<&Tail>) -> &str {
        match tail {
            Some(tail) if tail.holder() == Some(id) && tail.nonce == self.nonce => "primary",
            _ if self.role == "primary" => "deposed",
            _ => &self.role,
        }
    }

    /// Returns how others reach the node.
    pub(crate) fn addresses(&self) -> NodeAddresses {
        NodeAddresses {
            ip: self.ip.clone(),
            hostname: self.hostname.clone(),
            port: self.port,
            tls_port: self.tls_port,
            peer_port: self.peer_port,
        }
    }

    /// Returns where peers reach the node, unless it has not told it.
    pub(crate) fn peer_address(&self) -> Option<String> {
        let Self { ip, peer_port, .. } = self;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
        (!ip.is_empty() && *peer_port != 0).then(|| format!("{host}:{peer_port}"))
    }
}

/// A node that is registered.
#[derive(Clone, Debug)]
pub(crate) struct RegisteredNode {
    pub(crate) id: NodeId,
    pub(crate) registration: Registration,
}

impl RegisteredNode {
    /// Returns the nodes of a group.
    pub(crate) fn of_group(nodes: &[Self], group: u32) -> Vec<Self> {
        nodes.iter().filter(|node| node.registration.group == group).cloned().collect()
    }
}

/// The clocks of the other nodes.
///
/// A registration tells the time at which it was written, so it is compared with this node's clock when it has just
/// changed: since the last time that this node has heard of all of them, a moment ago. etcd keeps a registration while
/// it is away, and an old one would make this node's clock look ahead. From then on, both clocks are taken to go on
/// alike: a node writes its registration seldom, but at once if its clock was set.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    seen: HashMap<NodeId, SeenClock>,
    /// When registrations were last heard of, boot time.
    heard: Option<u64>,
}

#[derive(Debug)]
struct SeenClock {
    /// The process, and the time that it wrote.
    written: (u64, u64),
    /// By how much it was ahead of this node's boot time when that was last known, in milliseconds.
    ahead: Option<i128>,
}

impl Clocks {
    /// The longest time in milliseconds between two looks for which a change in between counts as new. A watch is asked
    /// for a sign of life after two seconds.
    const LONGEST_PAUSE: u64 = 3000;

    /// Takes the registrations as they were just heard of. Returns how far clocks of other nodes are ahead, in
    /// milliseconds.
    pub(crate) fn see(
        &mut self,
        nodes: &[RegisteredNode],
        own: NodeId,
        now: Now,
    ) -> Vec<(NodeId, i64)> {
        let is_new = |last| now.boot.saturating_sub(last) <= Self::LONGEST_PAUSE;
        let changes_are_new = self.heard.replace(now.boot).is_some_and(is_new);
        self.seen.retain(|id, _| nodes.iter().any(|node| node.id == *id));
        for node in nodes.iter().filter(|node| node.id != own) {
            let written = (node.registration.nonce, node.registration.wall);
            let new = SeenClock { written, ahead: None };
            let seen = self.seen.entry(node.id).or_insert(new);
            if seen.written == written {
                continue;
            }
            seen.written = written;
            if changes_are_new {
                seen.ahead = Some(i128::from(node.registration.wall) - i128::from(now.boot));
            }
        }
        let own = i128::from(now.wall) - i128::from(now.boot);
        let ahead = |ahead: i128| (ahead - own).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        self.seen.iter().filter_map(|(id, seen)| Some((*id, ahead(seen.ahead?)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node whose group has every second slot is seen as any other.
    #[test]
    fn a_registration_has_room_for_scattered_slots() {
        let odd: Vec<_> = (0..16384 / 2).map(|half| (2 * half + 1, 2 * half + 1)).collect();
        let few = vec![(0, 99), (200, 16383)];
        for ranges in [few, odd, Vec::new()] {
            let slots = SlotSet::from_ranges(&ranges).unwrap();
            let mut written = Registration {
                hostname: "h".repeat(255),
                zone: "z".repeat(255),
                load: Some(NodeLoad::default()),
                ..Registration::default()
            };
            written.set_slots(&slots);
            let value = serde_json::to_vec(&written).unwrap();
            let read = Registration::read(&value).expect("the node is not seen");
            assert!(read == written && read.claimed() == Some(slots));
            assert!(value.len() < MOST_BYTES / 2, "{} bytes", value.len());
        }
    }

    /// As in a rolling upgrade.
    #[test]
    fn a_registration_of_a_version_that_names_no_troubles_is_read() {
        let troubled = Registration { cannot_lead: true, ..Registration::default() };
        let value = serde_json::to_string(&troubled).unwrap();
        assert_eq!(Registration::read(value.as_bytes()), Some(troubled));
        let earlier = value.replace(r#","cannot_lead":true"#, "");
        assert_ne!(earlier, value);
        let read = Registration::read(earlier.as_bytes());
        assert_eq!(read, Some(Registration::default()), "the node is not seen");
        let fit = serde_json::to_string(&Registration::default()).unwrap();
        assert!(!fit.contains("cannot_lead"), "{fit}");
    }

    fn now(wall: u64) -> Now {
        Now { boot: wall - 20_000, wall }
    }

    #[test]
    fn a_clock_is_compared_when_its_registration_changes() {
        let (own, other) = (NodeId([1; 20]), NodeId([2; 20]));
        let at = |wall| {
            let of = |id| RegisteredNode {
                id,
                registration: Registration { wall, ..Default::default() },
            };
            vec![of(own), of(other)]
        };
        let mut clocks = Clocks::default();
        assert_eq!(clocks.see(&at(1000), own, now(60_000)), [], "nobody knows how old that is");
        assert_eq!(clocks.see(&at(1000), own, now(61_000)), [], "an old registration counts");
        assert_eq!(clocks.see(&at(62_500), own, now(62_000)), [(other, 500)]);
        assert_eq!(clocks.see(&at(62_500), own, now(64_000)), [(other, 500)], "it stands still");
        assert_eq!(clocks.see(&at(62_500), own, now(90_000)), [(other, 500)], "etcd was away");
        let late = "a registration that was written during a pause counts as new";
        assert_eq!(clocks.see(&at(100_000), own, now(120_000)), [(other, 500)], "{late}");
        assert_eq!(clocks.see(&at(121_100), own, now(121_000)), [(other, 100)]);
        assert_eq!(clocks.see(&[], own, now(122_000)), []);
        assert_eq!(clocks.see(&at(121_100), own, now(123_000)), [], "it is another one");
    }

    /// The other registrations may be seconds old, and say nothing new meanwhile.
    #[test]
    fn a_clock_that_is_set_is_noticed_at_once() {
        let (own, other) = (NodeId([1; 20]), NodeId([2; 20]));
        let of = |wall| {
            vec![RegisteredNode {
                id: other,
                registration: Registration { wall, ..Default::default() },
            }]
        };
        let mut clocks = Clocks::default();
        assert_eq!(clocks.see(&of(60_000), own, now(60_000)), []);
        assert_eq!(clocks.see(&of(61_000), own, now(61_000)), [(other, 0)]);
        let set = Now { wall: 92_000, ..now(62_000) };
        assert_eq!(clocks.see(&of(61_000), own, set), [(other, -30_000)], "the own clock was set");
    }

    #[test]
    fn a_registration_that_says_nothing_new_is_like_the_one_before() {
        let load = NodeLoad { used: 40 << 20, max: 100 << 20, busy: 100, log: 0 };
        let before = Registration { wall: 1, load: Some(load), ..Registration::default() };
        let later = Registration { wall: 9000, ..before.clone() };
        assert!(later.is_like(&before), "each second is a reason to write");
        let near = NodeLoad { used: 42 << 20, busy: 149, ..load };
        assert!(Registration { load: Some(near), ..later.clone() }.is_like(&before));
        let other = [
            Registration { load: Some(NodeLoad { busy: 151, ..load }), ..later.clone() },
            Registration { load: Some(NodeLoad { used: 46 << 20, ..load }), ..later.clone() },
            Registration { load: None, ..later.clone() },
            Registration { applied: 1, ..later.clone() },
            Registration { disk_fails: true, ..later },
        ];
        assert!(other.iter().all(|other| !other.is_like(&before)), "nobody hears of it");
    }
}
