//! The cluster as clients see it: an immutable topology, and the cell by which the server's threads read it.
//!
//! The node publishes a new [`View`] when something has changed. Each thread of the server keeps the last one, and asks
//! the cell once a cycle whether there is a newer one. So a command reads the view without a lock and without an
//! atomic.

pub mod broadcast;

use crate::config::EndpointType;
use broadcast::Broadcast;
use hedgerow_db_engine::clock::milliseconds;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_formats::slot_set::{MOST_GROUPS, share};
use hedgerow_db_formats::slots::SLOTS;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The part that a node has in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MemberRole {
    /// It reads the data that the group had before it came. It serves nothing.
    #[default]
    Loading,
    /// It follows the group's log, and serves reads that may be stale.
    Follower,
    /// It writes the group's log.
    Primary,
}

/// The state of a member, as far as the group knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NodeHealth {
    /// It serves clients.
    Online,
    /// It is loading.
    #[default]
    Loading,
    /// Its registration in etcd has ended.
    Failed,
}

/// How clients and other nodes reach a node.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeAddresses {
    /// The IP address, without brackets; empty if it is not known yet.
    pub ip: String,
    /// The host name; empty for none.
    pub hostname: String,
    /// The port for clients without TLS; 0 for none.
    pub port: u16,
    /// The port for clients with TLS; 0 for none.
    pub tls_port: u16,
    /// The port for other nodes.
    pub peer_port: u16,
}

/// A member of the group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MemberView {
    /// The node's id: 40 hexadecimal digits.
    pub id: String,
    /// Its addresses.
    pub addresses: NodeAddresses,
    /// Its state.
    pub health: NodeHealth,
    /// The last entry of the log that it is known to have.
    pub offset: u64,
    /// Seconds since it was last heard of.
    pub lag: u64,
}

/// A group of nodes with one log, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownGroup {
    /// Its number.
    pub number: u32,
    /// Its id, which is the same on all nodes: 40 hexadecimal digits.
    pub id: String,
    /// The epoch of its log.
    pub epoch: u64,
    /// The id of the primary, or of the last one, if it is known.
    pub primary: Option<String>,
    /// Whether the primary serves. It does not from the end of its lease until the next one has taken over.
    pub is_led: bool,
    /// All members in a fixed order.
    pub members: Vec<MemberView>,
}

impl KnownGroup {
    /// Returns the member with this id.
    pub fn member(&self, id: &str) -> Option<&MemberView> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Returns the primary, or the last one.
    pub fn primary(&self) -> Option<&MemberView> {
        self.member(self.primary.as_deref()?)
    }

    /// Returns whether this member is the primary, or the last one.
    pub fn is_primary(&self, member: &MemberView) -> bool {
        self.primary.as_deref() == Some(&member.id)
    }

    /// Returns all members except the primary.
    pub fn followers(&self) -> impl Iterator<Item = &MemberView> + Clone {
        self.members.iter().filter(move |member| !self.is_primary(member))
    }
}

/// The groups that have the hash slots.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SlotOwners(
    /// The group of each slot; `None` if group 0 has all of them.
    Option<Arc<[u16]>>,
);

impl SlotOwners {
    /// Returns the owners by the published map, as a group knows better by its own log. A slot that the map gives to
    /// that group, and that it does not own, is being moved: no group serves it.
    pub fn of(map: &[u16], group: u32, owned: &hedgerow_db_formats::slot_set::SlotSet) -> Self {
        let owner = |(slot, owner): (usize, &u16)| match owned.contains(slot as u16) {
            true => group as u16,
            false if u32::from(*owner) == group => *owner | Self::LEAVING,
            false => *owner,
        };
        let owners: Arc<[u16]> = map.iter().enumerate().map(owner).collect();
        let is_whole = owners.iter().all(|owner| *owner == 0);
        Self((!is_whole).then_some(owners))
    }

    /// The bit of a slot that its group has lost, and that the next one does not have yet.
    const LEAVING: u16 = 1 << 15;

    /// Returns the groups of the slots in a new cluster of this many groups.
    pub fn divided(groups: u32) -> Self {
        let groups = groups.clamp(1, MOST_GROUPS);
        let owners = (0..groups).flat_map(|group| share(group, groups).map(move |_| group as u16));
        Self((groups > 1).then(|| owners.collect()))
    }

    /// Returns the group that serves a slot. During a move there is none for some milliseconds: one group has lost the
    /// slot, and the next one does not have it yet.
    #[inline]
    pub fn owner(&self, slot: u16) -> Option<u32> {
        let owner = self.0.as_ref().map_or(0, |owners| owners[usize::from(slot)]);
        (owner < Self::LEAVING).then_some(owner.into())
    }

    /// Returns the slots in ranges, each of one group, as clients are told them. A slot that no group serves is listed
    /// with the group that it leaves: many clients take a list without some slots for a broken cluster.
    pub fn ranges(&self) -> Vec<SlotRange> {
        let whole = [SlotRange { first: 0, last: SLOTS - 1, group: 0 }];
        let Some(owners) = &self.0 else { return whole.to_vec() };
        let mut first = 0;
        let listed = |owner: u16| owner & !Self::LEAVING;
        let ranges = owners.chunk_by(|one, other| listed(*one) == listed(*other)).map(|slots| {
            let (last, group) = (first + (slots.len() - 1) as u16, listed(slots[0]).into());
            let range = SlotRange { first, last, group };
            first = range.last.wrapping_add(1);
            range
        });
        ranges.collect()
    }
}

/// Some slots of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first slot.
    pub first: u16,
    /// The last slot.
    pub last: u16,
    /// The number of the group.
    pub group: u32,
}

impl SlotRange {
    /// Returns how many slots these are.
    pub fn count(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

/// A topology of the cluster at one time, as one of its nodes sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct View {
    /// The id of this node: 40 hexadecimal digits.
    pub own_id: String,
    /// This node's part. Only a node that may serve changes is [`MemberRole::Primary`].
    pub role: MemberRole,
    /// This node's group, with this node.
    pub group: KnownGroup,
    /// The other groups of which a node is known, by their numbers.
    pub others: Vec<KnownGroup>,
    /// The groups that have the slots.
    pub owners: SlotOwners,
    /// Whether the node has not read yet which other nodes there are.
    pub is_new: bool,
    /// How many nodes wait for a place in a group.
    pub spares: u64,
    /// Whether this node coordinates the cluster.
    pub coordinates: bool,
}

impl View {
    /// Returns the groups of which a node is known, by their numbers.
    pub fn groups(&self) -> impl Iterator<Item = &KnownGroup> + Clone {
        let at = self.others.partition_point(|other| other.number < self.group.number);
        let (before, behind) = self.others.split_at(at);
        before.iter().chain(std::iter::once(&self.group)).chain(behind)
    }

    /// Returns the group with this number, if one of its nodes is known.
    pub fn group(&self, number: u32) -> Option<&KnownGroup> {
        self.groups().find(|group| group.number == number)
    }

    /// Returns whether this node's group has all slots.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.owners.0.is_none() && self.group.number == 0
    }

    /// Returns whether this node's group has a slot.
    #[inline]
    pub fn owns(&self, slot: u16) -> bool {
        self.owners.owner(slot) == Some(self.group.number)
    }
}

/// Asks the primary to hand over to this node. Returns at once; an error says why this cannot be asked.
pub type HandOver = dyn Fn() -> Result<(), String> + Send + Sync;

/// Returns the time that the server's threads have worked, in nanoseconds, and their number.
pub type WorkTime = dyn Fn() -> Option<(u64, usize)> + Send + Sync;

/// The number of nodes that the cluster wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredNodes {
    /// The number.
    pub nodes: u32,
    /// Whether the log is the bottleneck.
    pub log_saturated: bool,
    /// The page `/cluster/desired`, as JSON.
    pub page: String,
}

/// The cell that has the current view.
///
/// A node that stops being primary publishes the view that says so *before* its log refuses changes and has another
/// epoch. This has two consequences:
///
/// - A command that the log has refused finds the new view here, and its client is not sent back to this node.
/// - Reads in a follower's epoch need no lease check. A thread that takes the log's epoch and then the view never
///   executes a read as the primary in that epoch.
pub struct Views {
    /// The number of views that were published.
    version: AtomicU64,
    current: Mutex<Arc<View>>,
    /// The time of the newest entry or beat of the primary that this node has, in milliseconds since 1970.
    as_of: AtomicU64,
    /// When that arrived, by `uptime`.
    received: AtomicU64,
    /// Returns milliseconds since some time, by a clock that is never set.
    uptime: fn() -> u64,
    /// Milliseconds.
    max_stale: u64,
    endpoint_type: EndpointType,
    hand_over: Mutex<Option<Box<HandOver>>>,
    /// The lease that a client has set, in milliseconds; 0 if there is no new one.
    lease: AtomicU64,
    work: Mutex<Option<Box<WorkTime>>>,
    desired: Mutex<Option<DesiredNodes>>,
    broadcast: Broadcast,
}

impl Views {
    /// Creates a cell with a first view. A follower serves reads while its data is not older than `max_stale`.
    pub fn new(view: View, endpoint_type: EndpointType, max_stale: Duration) -> Self {
        Self {
            version: AtomicU64::new(0),
            current: Mutex::new(Arc::new(view)),
            as_of: AtomicU64::new(0),
            received: AtomicU64::new(0),
            uptime: || 0,
            max_stale: milliseconds(max_stale),
            endpoint_type,
            hand_over: Mutex::default(),
            lease: AtomicU64::new(0),
            work: Mutex::default(),
            desired: Mutex::default(),
            broadcast: Broadcast::default(),
        }
    }

    /// Sets the clock by which the age of a follower's data is counted besides the times that the primary gives. It
    /// returns milliseconds, and is never set. Without it, these times alone count.
    #[must_use]
    pub fn with_uptime(self, uptime: fn() -> u64) -> Self {
        Self { uptime, ..self }
    }

    /// Replaces the view. A view that equals the current one changes nothing.
    pub fn publish(&self, view: View) {
        let mut current = lock(&self.current);
        if **current != view {
            *current = Arc::new(view);
            // Relaxed: readers take the view under the lock. One that loads the old number here acts on the old view
            // for one more cycle.
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the current view.
    pub fn current(&self) -> Arc<View> {
        Arc::clone(&lock(&self.current))
    }

    /// Notes the time of the newest entry or beat of the primary that this node has, in milliseconds since 1970, and
    /// when it arrived, by the clock that is never set.
    pub fn set_as_of(&self, time: u64, received: u64) {
        // Relaxed: each number stands for itself. A thread that loads an older one takes the data for older than it is.
        self.as_of.store(time, Ordering::Relaxed);
        // Relaxed: as above.
        self.received.store(received, Ordering::Relaxed);
    }

    /// Returns the milliseconds by which a follower's data may be older than the primary's, given the time.
    pub fn staleness(&self, now: u64) -> u64 {
        // Relaxed: as in `set_as_of`.
        let (as_of, received) =
            (self.as_of.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed));
        // The primary's clock may be ahead of this node's, so its time may make the data look too young. They are at
        // least as old as their stay here.
        now.saturating_sub(as_of).max((self.uptime)().saturating_sub(received))
    }

    /// Returns whether a follower may serve reads at this time.
    pub fn is_fresh(&self, now: u64) -> bool {
        self.staleness(now) <= self.max_stale
    }

    /// Returns the kind of address to which clients are sent.
    pub fn endpoint_type(&self) -> EndpointType {
        self.endpoint_type
    }

    /// Sets the lease that the node claims from now on, in milliseconds.
    pub fn set_lease(&self, lease: u64) {
        // Relaxed: the number stands for itself, and the node looks at it ten times a second.
        self.lease.store(lease, Ordering::Relaxed);
    }

    /// Returns the lease that was set since the last call.
    pub fn take_lease(&self) -> Option<u64> {
        // Relaxed: as in `set_lease`.
        Some(self.lease.swap(0, Ordering::Relaxed)).filter(|&lease| lease != 0)
    }

    /// Sets the function that says how much the server's threads have worked.
    pub fn on_work(&self, work: Box<WorkTime>) {
        *lock(&self.work) = Some(work);
    }

    /// Returns the time that the server's threads have worked since its start, in nanoseconds, and their number; `None`
    /// without a server.
    pub fn work(&self) -> Option<(u64, usize)> {
        lock(&self.work).as_ref().and_then(|work| work())
    }

    /// Sets the number of nodes that the cluster wants.
    pub fn set_desired(&self, desired: Option<DesiredNodes>) {
        *lock(&self.desired) = desired;
    }

    /// Returns the number of nodes that the cluster wants, if it says so.
    pub fn desired(&self) -> Option<DesiredNodes> {
        lock(&self.desired).clone()
    }

    /// Returns what passes messages of channels between the nodes.
    pub fn broadcast(&self) -> &Broadcast {
        &self.broadcast
    }

    /// Sets the callback of `CLUSTER FAILOVER` on a follower.
    pub fn on_hand_over(&self, hand_over: Box<HandOver>) {
        *lock(&self.hand_over) = Some(hand_over);
    }

    /// Asks the primary to hand over to this node.
    ///
    /// # Errors
    /// Why this cannot be asked.
    pub fn hand_over(&self) -> Result<(), String> {
        match &*lock(&self.hand_over) {
            Some(hand_over) => hand_over(),
            None => Err("this node cannot take over yet".to_owned()),
        }
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("current", &self.current).finish_non_exhaustive()
    }
}

/// A thread's own reference to the current view.
#[derive(Debug)]
pub struct ViewReader {
    views: Arc<Views>,
    version: u64,
    view: Arc<View>,
}

impl ViewReader {
    /// Creates a reader of the current view.
    pub fn new(views: &Arc<Views>) -> Self {
        // Relaxed: a number from before the view at worst, so the next `refresh` takes the view again.
        let version = views.version.load(Ordering::Relaxed);
        Self { views: Arc::clone(views), version, view: views.current() }
    }

    /// Takes the current view if it has changed.
    #[inline]
    pub fn refresh(&mut self) {
        // Relaxed: as in `publish`.
        let version = self.views.version.load(Ordering::Relaxed);
        if version != self.version {
            self.version = version;
            self.view = self.views.current();
        }
    }

    /// Returns the view of the last [`refresh`](Self::refresh).
    #[inline]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Returns the cell.
    #[inline]
    pub fn views(&self) -> &Views {
        &self.views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_take_the_newest_view() {
        let views = Arc::new(Views::new(View::default(), EndpointType::Ip, Duration::ZERO));
        let mut reader = ViewReader::new(&views);
        let first = std::ptr::from_ref(reader.view());
        views.publish(View::default());
        reader.refresh();
        assert_eq!(std::ptr::from_ref(reader.view()), first, "an equal view was published");
        let of = |epoch| View {
            group: KnownGroup { epoch, ..KnownGroup::default() },
            ..View::default()
        };
        views.publish(of(7));
        assert_eq!((reader.view().group.epoch, views.current().group.epoch), (0, 7));
        reader.refresh();
        assert_eq!(reader.view().group.epoch, 7);
    }

    #[test]
    fn each_slot_has_a_group() {
        let whole = View::default();
        assert!(whole.is_whole() && whole.owns(16_383) && SlotOwners::divided(1) == whole.owners);
        let range = |first, last, group| SlotRange { first, last, group };
        assert_eq!(whole.owners.ranges(), [range(0, 16_383, 0)]);
        let group = |number| KnownGroup { number, is_led: number != 2, ..KnownGroup::default() };
        let owners = SlotOwners::divided(3);
        let view = View { group: group(1), others: vec![group(0), group(2)], owners, ..whole };
        let numbers = |view: &View| view.groups().map(|group| group.number).collect::<Vec<_>>();
        assert_eq!(numbers(&view), [0, 1, 2]);
        let wanted = [range(0, 5460, 0), range(5461, 10_921, 1), range(10_922, 16_383, 2)];
        assert_eq!(view.owners.ranges(), wanted);
        assert_eq!(
            [5460, 5461, 10_921, 10_922].map(|slot| view.owns(slot)),
            [false, true, true, false]
        );
        assert_eq!((view.group(2).map(|group| group.number), view.is_whole()), (Some(2), false));
        let alone = View { others: Vec::new(), ..view };
        assert_eq!((numbers(&alone), alone.group(0)), (vec![1], None));
        let more = View { group: group(1), ..View::default() };
        assert!(!more.is_whole() && !more.owns(0), "a group beyond the division has slots");
    }

    #[test]
    fn a_follower_is_fresh_until_its_data_is_too_old() {
        let views = Views::new(View::default(), EndpointType::Ip, Duration::from_millis(500));
        assert!(!views.is_fresh(1_000_000), "it has read nothing yet");
        views.set_as_of(1_000_000, 0);
        let found = [999_000, 1_000_500, 1_000_501].map(|now| views.is_fresh(now));
        assert_eq!(found, [true, true, false]);
        assert_eq!(views.staleness(1_000_501), 501);
        // The primary's clock is ahead by nine seconds.
        let views = views.with_uptime(|| 20_000);
        for (received, fresh) in [(19_500, true), (19_499, false)] {
            views.set_as_of(1_009_000, received);
            assert_eq!(views.is_fresh(1_000_501), fresh, "data that arrived at {received}");
        }
        assert_eq!(views.staleness(1_009_900), 900, "the time counts, not the arrival");
    }

    #[test]
    fn a_hand_over_is_refused_until_the_node_can_do_it() {
        let views = Views::new(View::default(), EndpointType::Ip, Duration::ZERO);
        assert!(views.hand_over().is_err());
        views.on_hand_over(Box::new(|| Ok(())));
        assert_eq!(views.hand_over(), Ok(()));
    }

    #[test]
    fn a_lease_is_taken_once() {
        let views = Views::new(View::default(), EndpointType::Ip, Duration::from_secs(1));
        assert_eq!(views.take_lease(), None);
        views.set_lease(500);
        views.set_lease(700);
        assert_eq!((views.take_lease(), views.take_lease()), (Some(700), None));
    }
}
