//! `hedgerow-db cluster status` prints the small keys of a cluster in etcd, and the problems that they show.

use super::problems::{problem_of_others, problem_of_primary};
use super::text::{list, row, seconds, size, table};
use super::{AdminCall, AdminError, Report, StoredGroup};
use crate::etcd::{self, Alarm, AlarmKind, EtcdClient, EtcdError};
use crate::membership::keys::GroupKeys;
use crate::membership::registration::{RegisteredNode, Registration};
use crate::node::quota::known_quota;
use hedgerow_db_engine::clock::{TimeSource, milliseconds};
use hedgerow_db_group::hex;
use hedgerow_db_group::{Member, NodeId};
use hedgerow_db_redis::config::ClusterSettings;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How far a registration may be behind the others, in milliseconds, before it is looked at twice. Nodes renew theirs
/// every second.
const LATE: u64 = 2500;
/// The pause between the two looks.
const AGAIN: Duration = Duration::from_millis(1500);
/// The part of etcd's quota, in percent, from which on it is a problem.
const FULL: u64 = 75;

/// The whole status. The names of its fields are a promise to programs.
#[derive(Serialize)]
struct ClusterStatus {
    cluster: String,
    id: String,
    format: u32,
    incarnation: u64,
    made_ms: u64,
    revision: u64,
    /// The group that is shown, and its slots as ranges with their last slot.
    group: u32,
    slots: Vec<(u16, u16)>,
    /// How many groups the slots are divided among.
    groups: u32,
    log: Option<LogStatus>,
    members: Vec<NodeStatus>,
    /// Registered nodes that are no members.
    others: Vec<NodeStatus>,
    etcd: Vec<EtcdStatus>,
    alarms: Vec<AlarmStatus>,
    problems: Vec<String>,
    /// How many of the problems, at the end, are those of all groups.
    #[serde(skip)]
    common: usize,
}

/// The group's last line, and the batches in etcd.
#[derive(Serialize)]
struct LogStatus {
    epoch: u64,
    primary: Option<String>,
    released: bool,
    lease_ms: u64,
    seq: u64,
    lsn: u64,
    time_ms: u64,
    beat: u64,
    chain: String,
    first_seq: Option<u64>,
    batches: u64,
    /// As the primary said last.
    bytes: Option<u64>,
}

/// A node. Fields are `null` if the node is not registered, or has not told them.
#[derive(Default, Serialize)]
struct NodeStatus {
    node: String,
    state: String,
    since_ms: Option<u64>,
    ip: Option<String>,
    hostname: Option<String>,
    port: Option<u16>,
    tls_port: Option<u16>,
    peer_port: Option<u16>,
    version: Option<String>,
    applied_lsn: Option<u64>,
    behind: Option<u64>,
    durable_lsn: Option<u64>,
    durable_seq: Option<u64>,
    clock_ahead_ms: Option<i64>,
    disk_fails: Option<bool>,
    cannot_lead: Option<bool>,
    /// Why the node, as the primary, refuses changes.
    refuses: Option<String>,
}

/// A member of etcd.
#[derive(Clone, Serialize)]
struct EtcdStatus {
    endpoint: String,
    version: Option<String>,
    member: Option<String>,
    leader: bool,
    learner: bool,
    size_bytes: Option<u64>,
    in_use_bytes: Option<u64>,
    quota_bytes: Option<u64>,
    error: Option<String>,
}

#[derive(Clone, Serialize)]
struct AlarmStatus {
    member: String,
    kind: String,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let all = call.all_groups()?;
    let (groups, silent, asked, alarms) = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        let (groups, silent) = read_groups(&client, &keys, all).await?;
        Ok((groups, silent, client.status().await, client.alarms().await?))
    })?;
    let settings = &call.settings;
    let etcd = asked.into_iter().map(|asked| EtcdStatus::new(asked, settings.etcd.quota)).collect();
    let now = TimeSource::System.now();
    let context = StatusContext { settings, all, silent, etcd, alarms, now };
    let every: Vec<ClusterStatus> =
        groups.iter().map(|group| ClusterStatus::new(group, &context)).collect();
    let healthy = every.iter().all(|status| status.problems.is_empty());
    Ok(match &every[..] {
        [status] if !all => Report::new(status.text(), status, healthy),
        _ => Report::new(text_of_all(&every), &every, healthy),
    })
}

/// What the statuses of all groups are made of, besides the groups.
struct StatusContext<'a> {
    settings: &'a ClusterSettings,
    /// Whether all groups are shown.
    all: bool,
    /// The nodes that have not renewed their registrations.
    silent: BTreeSet<NodeId>,
    etcd: Vec<EtcdStatus>,
    alarms: Vec<Alarm>,
    now: u64,
}

impl StatusContext<'_> {
    /// Returns whether a node has stopped renewing its registration. Under the alarm NOSPACE none can renew it.
    fn is_silent(&self, id: NodeId) -> bool {
        let is_full = self.alarms.iter().any(|alarm| alarm.kind == AlarmKind::NoSpace);
        self.silent.contains(&id) && !is_full
    }
}

/// Reads one group, or all. Returns them, and the nodes that have not renewed their registrations.
///
/// A registration stays for seconds after its process has died, and a node that lives writes its own seldom. So if one
/// is old, or names a primary that the log does not, its lease says whether the node still renews it. If it does not,
/// or is no primary any more, the groups are read again.
async fn read_groups(
    client: &EtcdClient,
    keys: &GroupKeys,
    all: bool,
) -> Result<(Vec<StoredGroup>, BTreeSet<NodeId>), AdminError> {
    let read = async || {
        if all {
            return StoredGroup::read_all(client, keys).await;
        }
        Ok(vec![StoredGroup::read(client, keys).await?])
    };
    let first = read().await?;
    let now = TimeSource::System.now();
    let suspects: BTreeMap<_, _> = first.iter().flat_map(|group| suspects(group, now)).collect();
    let unrenewed = StoredGroup::unrenewed(client, &first, suspects.keys().copied()).await;
    let is_deposed = |group: &StoredGroup| {
        group.nodes.iter().any(|node| {
            let role = node.registration.shown_role(node.id, group.tail.as_ref());
            role == "deposed" && suspects.contains_key(&node.id)
        })
    };
    // As a rule, one look is enough.
    if unrenewed.is_empty() && !first.iter().any(is_deposed) {
        return Ok((first, BTreeSet::new()));
    }
    tokio::time::sleep(AGAIN).await;
    let second = read().await?;
    let silent = second.iter().flat_map(|group| silent(group, &suspects));
    let silent = StoredGroup::unrenewed(client, &second, silent).await;
    Ok((second, silent))
}

/// Returns the nodes whose registrations may be from before their processes died, with the revisions at which these
/// were written.
fn suspects(group: &StoredGroup, now: u64) -> Vec<(NodeId, u64)> {
    let walls = group.nodes.iter().chain(&group.others).map(|node| node.registration.wall);
    let newest = walls.fold(now, u64::max);
    let is_suspect = |node: &&RegisteredNode| {
        let RegisteredNode { id, registration } = node;
        registration.wall.saturating_add(LATE) < newest
            || registration.shown_role(*id, group.tail.as_ref()) == "deposed"
    };
    let of_node = |node: &RegisteredNode| Some((node.id, *group.written.get(&node.id)?));
    group.nodes.iter().filter(is_suspect).filter_map(of_node).collect()
}

/// Returns which suspects have not written since.
fn silent<'a>(
    group: &'a StoredGroup,
    suspects: &'a BTreeMap<NodeId, u64>,
) -> impl Iterator<Item = NodeId> + 'a {
    let ids = group.nodes.iter().map(|node| node.id);
    ids.filter(|id| suspects.get(id).is_some_and(|at| group.written.get(id) == Some(at)))
}

/// Returns the status of all groups as a text.
fn text_of_all(every: &[ClusterStatus]) -> String {
    let Some(first) = every.first() else { return "There are no groups.\n".to_owned() };
    let mut text = first.title();
    let mut problems = Vec::new();
    for status in every {
        text += &status.text_of_group();
        text.push('\n');
        let own = &status.problems[..status.problems.len() - status.common];
        problems.extend(own.iter().map(|problem| format!("group {}: {problem}", status.group)));
    }
    problems.extend_from_slice(&first.problems[first.problems.len() - first.common..]);
    text + &first.text_of_etcd() + &verdict(&problems)
}

fn verdict(problems: &[String]) -> String {
    if problems.is_empty() { "\nNo problems.\n".to_owned() } else { list("Problems", problems) }
}

impl ClusterStatus {
    fn new(group: &StoredGroup, context: &StatusContext<'_>) -> Self {
        let members = group.members.0.iter();
        let members = members.map(|member| NodeStatus::of_member(member, group, context)).collect();
        let others = group.nodes.iter().filter(|node| !group.members.has(node.id));
        let others = others.map(|node| NodeStatus::of_other(node, group, context)).collect();
        let alarm = |alarm: &Alarm| AlarmStatus {
            member: format!("{:x}", alarm.member),
            kind: match alarm.kind {
                AlarmKind::NoSpace => "NOSPACE".to_owned(),
                AlarmKind::Corrupt => "CORRUPT".to_owned(),
                AlarmKind::Other(number) => number.to_string(),
            },
        };
        let mut status = Self {
            cluster: context.settings.name.clone(),
            id: hex::text(&group.format.cluster),
            format: group.format.number,
            incarnation: group.format.incarnation,
            made_ms: group.format.made,
            revision: group.revision,
            group: group.number,
            slots: group.slots.slots_of(group.number).ranges(),
            groups: group.format.groups,
            log: LogStatus::new(group),
            members,
            others,
            etcd: context.etcd.clone(),
            alarms: context.alarms.iter().map(alarm).collect(),
            problems: Vec::new(),
            common: 0,
        };
        status.problems = status.problems_of_group(group, context.settings);
        status.problems.extend(problem_of_others(group).filter(|_| !context.all));
        let common = status.problems_of_etcd();
        status.common = common.len();
        status.problems.extend(common);
        status
    }

    fn problems_of_group(&self, group: &StoredGroup, settings: &ClusterSettings) -> Vec<String> {
        let mut problems = Vec::new();
        let lost = group.lost();
        problems.extend(lost.clone().or_else(|| problem_of_primary(group)));
        for member in &self.members {
            let id = &member.node;
            match &*member.state {
                "absent" => {
                    let remedy = match lost {
                        Some(_) => "Keep its directory".to_owned(),
                        None => format!("If it will not return: hedgerow-db cluster forget {id}"),
                    };
                    problems.push(format!(
                        "member {id} is not registered: it has stopped, or cannot reach etcd. {remedy}"
                    ));
                }
                "silent" => problems.push(format!(
                    "member {id} does not renew its registration: it has stopped, hangs, or cannot reach etcd"
                )),
                "deposed" => problems.push(format!(
                    "member {id} registers itself as the primary, but etcd names another one: it has not read that yet"
                )),
                _ => {}
            }
            if let Some(why) = &member.refuses {
                problems.push(format!(
                    "the primary {id} refuses writes (-MISCONF): {why}. See docs/etcd.md for how to free space"
                ));
            }
            if member.disk_fails == Some(true) {
                problems.push(format!(
                    "member {id} cannot write to its disk, so it does not count as a copy and takes over only if no \
                     other member can: check whether the disk is full or hangs, and read the node's log"
                ));
            }
            let is_open = lost.is_none() && member.disk_fails != Some(true);
            if member.cannot_lead == Some(true) && is_open {
                problems.push(format!(
                    "member {id} cannot take over at present: it cannot apply an entry, its threads do not respond, \
                     or its clock is ahead; read the node's log"
                ));
            }
            let most = i64::try_from(milliseconds(settings.max_skew)).unwrap_or(i64::MAX);
            if let Some(ahead) = member.clock_ahead_ms.filter(|ahead| *ahead > most) {
                problems.push(format!(
                    "the clock of member {id} is {} ahead of this machine's: check the time synchronization of both",
                    seconds(ahead)
                ));
            }
        }
        let (copies, wanted) = (group.copies_without(None), settings.copies);
        if group.tail.is_some() && copies < wanted {
            problems.push(format!(
                "{copies} of {} members have the beginning of the log on disk, but cluster-copies is {wanted}: \
                 start more nodes, and check the disks of the others",
                self.members.len()
            ));
        }
        problems
    }

    fn problems_of_etcd(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for member in &self.etcd {
            if let Some(why) = &member.error {
                problems.push(why.clone());
            }
            if let (Some(used), Some(quota)) = (member.in_use_bytes, member.quota_bytes)
                && used.saturating_mul(100) >= quota.saturating_mul(FULL)
            {
                problems.push(format!(
                    "etcd at {} uses {} of its quota of {}: raise --quota-backend-bytes and cluster-etcd-quota",
                    member.endpoint,
                    size(used),
                    size(quota)
                ));
            }
        }
        problems.extend(self.alarms.iter().map(|alarm| {
            format!(
                "etcd has raised the alarm {} (`etcdctl alarm list`): see docs/etcd.md",
                alarm.kind
            )
        }));
        problems
    }

    /// Says which group this is, if there are several.
    fn group_text(&self) -> String {
        let Self { group, groups, slots, .. } = self;
        if (*group, *groups) == (0, 1) {
            return String::new();
        }
        let range = |(first, last): &(u16, u16)| format!("{first} to {last}");
        let slots = match slots.iter().map(range).collect::<Vec<_>>() {
            slots if slots.is_empty() => "no slots".to_owned(),
            slots => format!("the slots {}", slots.join(", ")),
        };
        format!("Group {group} has {slots}. The slots are divided among {groups} groups.\n")
    }

    fn text(&self) -> String {
        let group = self.text_of_group();
        format!("{}{group}\n{}{}", self.title(), self.text_of_etcd(), verdict(&self.problems))
    }

    fn title(&self) -> String {
        let Self { cluster, id, incarnation, .. } = self;
        format!("Cluster {cluster}, id {id}, incarnation {incarnation}.\n")
    }

    fn text_of_group(&self) -> String {
        let head = ["NODE", "STATE", "CLIENTS", "ENTRY", "BEHIND", "ON DISK", "CLOCK", "VERSION"];
        let mut nodes = vec![row(head)];
        nodes.extend(self.members.iter().chain(&self.others).map(NodeStatus::row));
        let log = self.log.as_ref().map_or_else(String::new, LogStatus::text);
        format!("{}{log}\n{}", self.group_text(), table(&nodes))
    }

    fn text_of_etcd(&self) -> String {
        let mut etcd = vec![row(["ETCD", "VERSION", "ROLE", "SIZE", "IN USE", "QUOTA"])];
        etcd.extend(self.etcd.iter().map(EtcdStatus::row));
        table(&etcd)
    }
}

impl LogStatus {
    fn new(group: &StoredGroup) -> Option<Self> {
        let tail = group.tail.as_ref()?;
        let holder = tail.holder();
        let batches = group.first.zip(group.last);
        let retained = holder.and_then(|id| group.registration(id)).map(|there| there.retained);
        Some(Self {
            epoch: tail.epoch,
            primary: holder.map(|id| id.to_string()),
            released: holder.is_none(),
            lease_ms: tail.lease,
            seq: tail.seq,
            lsn: tail.lsn,
            time_ms: tail.time,
            beat: tail.beat,
            chain: tail.chain.to_string(),
            first_seq: group.first,
            batches: batches.map_or(0, |(first, last)| last.saturating_sub(first) + 1),
            bytes: retained,
        })
    }

    fn text(&self) -> String {
        let Self { epoch, lease_ms, lsn, seq, .. } = self;
        let primary = match &self.primary {
            Some(id) => format!("primary {id}"),
            None => "no primary".to_owned(),
        };
        let bytes = self.bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
        let kept = match self.first_seq {
            Some(first) => format!("those from {first} on{bytes}"),
            None => "none".to_owned(),
        };
        format!(
            "Epoch {epoch}, {primary}, lease {lease_ms} ms.\nLog: {lsn} entries in {seq} batches. etcd keeps {kept}.\n"
        )
    }
}

impl NodeStatus {
    fn of_member(member: &Member, group: &StoredGroup, context: &StatusContext<'_>) -> Self {
        let mut status = Self::new(member.node, group);
        match group.nodes.iter().find(|node| node.id == member.node) {
            Some(node) => status = Self::of_other(node, group, context),
            None => "absent".clone_into(&mut status.state),
        }
        status.since_ms = Some(member.since);
        status
    }

    fn of_other(node: &RegisteredNode, group: &StoredGroup, context: &StatusContext<'_>) -> Self {
        let RegisteredNode { id, registration } = node;
        let mut status = Self::new(*id, group);
        status.set(registration, group, context.now);
        let role = registration.shown_role(*id, group.tail.as_ref());
        let state = if context.is_silent(*id) { "silent" } else { role };
        state.clone_into(&mut status.state);
        status.refuses = registration.refuses.clone().filter(|_| status.state == "primary");
        status
    }

    fn new(id: NodeId, group: &StoredGroup) -> Self {
        let durable = group.durable(id);
        Self {
            node: id.to_string(),
            durable_lsn: durable.map(|durable| durable.lsn),
            durable_seq: durable.map(|durable| durable.seq),
            ..Self::default()
        }
    }

    fn set(&mut self, there: &Registration, group: &StoredGroup, now: u64) {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let port = |port: u16| Some(port).filter(|port| *port != 0);
        let last = group.tail.as_ref().map_or(0, |tail| tail.lsn);
        let ahead = i128::from(there.wall) - i128::from(now);
        self.ip = text(&there.ip);
        self.hostname = text(&there.hostname);
        self.port = port(there.port);
        self.tls_port = port(there.tls_port);
        self.peer_port = port(there.peer_port);
        self.version = text(&there.version);
        self.applied_lsn = Some(there.applied);
        self.behind = Some(last.saturating_sub(there.applied));
        self.clock_ahead_ms = Some(i64::try_from(ahead).unwrap_or(i64::MAX));
        self.disk_fails = Some(there.disk_fails);
        self.cannot_lead = Some(there.cannot_lead);
    }

    fn row(&self) -> Vec<String> {
        let number =
            |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let host = match &self.ip {
            Some(ip) if ip.contains(':') => Some(format!("[{ip}]")),
            ip => ip.clone(),
        };
        let clients = host.zip(self.port.or(self.tls_port));
        vec![
            self.node.clone(),
            self.state.clone(),
            clients.map_or("-".to_owned(), |(host, port)| format!("{host}:{port}")),
            number(self.applied_lsn),
            number(self.behind),
            number(self.durable_lsn),
            self.clock_ahead_ms.map_or("-".to_owned(), seconds),
            self.version.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

impl EtcdStatus {
    fn new(
        (endpoint, asked): (String, Result<etcd::Status, EtcdError>),
        quota_setting: u64,
    ) -> Self {
        match asked {
            Ok(status) => Self {
                endpoint,
                quota_bytes: known_quota(&status, quota_setting),
                leader: status.leader != 0 && status.leader == status.member,
                learner: status.learner,
                member: Some(format!("{:x}", status.member)),
                version: Some(status.version),
                size_bytes: Some(status.size),
                in_use_bytes: Some(status.size_in_use),
                error: None,
            },
            Err(why) => Self {
                endpoint,
                version: None,
                member: None,
                leader: false,
                learner: false,
                size_bytes: None,
                in_use_bytes: None,
                quota_bytes: None,
                error: Some(why.to_string()),
            },
        }
    }

    fn row(&self) -> Vec<String> {
        let bytes = |bytes: Option<u64>| bytes.map_or("-".to_owned(), size);
        let role = match self {
            Self { error: Some(_), .. } => "silent",
            Self { leader: true, .. } => "leader",
            Self { learner: true, .. } => "learner",
            Self { .. } => "member",
        };
        vec![
            self.endpoint.clone(),
            self.version.clone().unwrap_or_else(|| "-".to_owned()),
            role.to_owned(),
            bytes(self.size_bytes),
            bytes(self.in_use_bytes),
            bytes(self.quota_bytes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::group;
    use super::*;
    use crate::etcd::ErrorKind;
    use crate::membership::slot_map::SlotMap;

    const NOW: u64 = 77_400;

    fn settings() -> ClusterSettings {
        let arguments = ["status", "--cluster-name", "roses"];
        let arguments = std::iter::once("cluster").chain(arguments).map(str::to_owned);
        let etcd = ("HEDGEROW_DB_CLUSTER_ETCD".to_owned(), "http://127.0.0.1:2379".to_owned());
        match hedgerow_db_redis::config::Config::read(arguments, [etcd]).unwrap() {
            hedgerow_db_redis::config::Invocation::Cluster(asked) => {
                asked.config.cluster().unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    fn member() -> etcd::Status {
        etcd::Status {
            endpoint: "http://127.0.0.1:2379".to_owned(),
            version: "3.5.16".to_owned(),
            cluster: 1,
            member: 0xAB,
            leader: 0xAB,
            raft_index: 1,
            raft_applied: 1,
            size: 3 << 20,
            size_in_use: 1 << 20,
            quota: None,
            learner: false,
            errors: Vec::new(),
        }
    }

    fn status(group: &StoredGroup, member: etcd::Status, alarms: &[Alarm]) -> ClusterStatus {
        let etcd = vec![EtcdStatus::new((member.endpoint.clone(), Ok(member)), 0)];
        of(group, etcd, alarms, &BTreeSet::new(), false)
    }

    fn of(
        group: &StoredGroup,
        etcd: Vec<EtcdStatus>,
        alarms: &[Alarm],
        silent: &BTreeSet<NodeId>,
        all: bool,
    ) -> ClusterStatus {
        let (settings, silent, alarms) = (&settings(), silent.clone(), alarms.to_vec());
        ClusterStatus::new(group, &StatusContext { settings, all, silent, etcd, alarms, now: NOW })
    }

    #[test]
    fn a_healthy_group_has_no_problems() {
        let status = status(&group(), member(), &[]);
        assert_eq!(status.problems, [""; 0]);
        let text = status.text();
        assert!(text.contains("etcd keeps those from 4 on, 0 B."), "{text}");
        assert!(text.contains("127.0.0.1:7001  40     0       40       -0.4 s  0.1.0"), "{text}");
        assert!(text.contains("3.5.16   leader  3.0 MiB  1.0 MiB  -"), "{text}");
        assert!(text.ends_with("\nNo problems.\n"), "{text}");
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["log"]["primary"], "01".repeat(20));
        assert_eq!(json["members"][1]["clock_ahead_ms"], -400);
        assert_eq!(json["etcd"][0]["member"], "ab");
        assert_eq!((&json["group"], &json["groups"]), (&0.into(), &1.into()));
    }

    #[test]
    fn a_group_of_several_shows_its_slots() {
        let mut group = group();
        (group.number, group.format.groups) = (1, 2);
        group.slots = SlotMap::divided(2);
        let text = status(&group, member(), &[]).text();
        let wanted = "Group 1 has the slots 8192 to 16383. The slots are divided among 2 groups.\n";
        assert!(text.contains(wanted), "{text}");
        has(&status(&group, member(), &[]), "1 of the other groups have no registered primary");
        let mut other = group.nodes[0].clone();
        other.registration.group = 0;
        group.others.push(other);
        assert_eq!(status(&group, member(), &[]).problems, [""; 0]);
        group.number = 7;
        let text = status(&group, member(), &[]).text();
        assert!(text.contains("Group 7 has no slots."), "{text}");
    }

    #[track_caller]
    fn has(status: &ClusterStatus, wanted: &str) {
        let problems = &status.problems;
        assert!(problems.iter().any(|one| one.contains(wanted)), "{wanted:?}: {problems:?}");
        assert!(status.text().contains(wanted), "{}", status.text());
    }

    #[test]
    fn every_problem_gets_a_sentence() {
        let mut absent = group();
        absent.nodes.remove(2);
        let id = "03".repeat(20);
        has(&status(&absent, member(), &[]), &format!("hedgerow-db cluster forget {id}"));
        assert_eq!(status(&absent, member(), &[]).members[2].state, "absent");
        absent.nodes.remove(0);
        has(&status(&absent, member(), &[]), "the primary 0101");
        let mut restarted = group();
        restarted.nodes[0].registration.nonce = 9;
        has(&status(&restarted, member(), &[]), "the primary 0101");
        let mut released = group();
        released.tail.as_mut().unwrap().nonce = 0;
        has(&status(&released, member(), &[]), "released the group");
        let mut empty = group();
        (empty.tail, empty.first, empty.last) = (None, None, None);
        empty.durable.clear();
        has(&status(&empty, member(), &[]), "no node has become the primary yet");
        let mut fast = group();
        fast.nodes[1].registration.wall = NOW + 10_001;
        has(&status(&fast, member(), &[]), "is 10.0 s ahead");
        let mut full = group();
        full.nodes[1].registration.disk_fails = true;
        has(&status(&full, member(), &[]), &format!("member {} cannot write", "02".repeat(20)));
        let mut barred = group();
        barred.nodes[1].registration.cannot_lead = true;
        has(&status(&barred, member(), &[]), &format!("member {} cannot take", "02".repeat(20)));
        let mut few = group();
        few.durable.truncate(1);
        has(&status(&few, member(), &[]), "1 of 3 members have the beginning of the log on disk");
        let full = etcd::Status { quota: Some(4 << 20), size_in_use: 3 << 20, ..member() };
        has(&status(&group(), full.clone(), &[]), "uses 3.0 MiB of its quota of 4.0 MiB: raise");
        for (setting, shown) in [(3 << 20, 3), (5 << 20, 4)] {
            let shown_quota =
                EtcdStatus::new((String::new(), Ok(full.clone())), setting).quota_bytes;
            assert_eq!(shown_quota, Some(shown << 20), "nodes apply the smaller of both quotas");
        }
        let alarm = Alarm { member: 0xAB, kind: AlarmKind::NoSpace };
        has(&status(&group(), member(), &[alarm]), "the alarm NOSPACE");
        let gone = EtcdError::new(ErrorKind::Unreachable, "http://127.0.0.1:2379", "refused");
        let etcd = vec![EtcdStatus::new(("http://127.0.0.1:2379".to_owned(), Err(gone)), 0)];
        has(&of(&group(), etcd, &[], &BTreeSet::new(), false), "127.0.0.1:2379");
        let mut full = group();
        full.nodes[0].registration.refuses = Some("etcd is full".to_owned());
        has(&status(&full, member(), &[]), "refuses writes (-MISCONF): etcd is full.");
        let json = serde_json::to_value(status(&full, member(), &[])).unwrap();
        assert_eq!(json["members"][0]["refuses"], "etcd is full");
    }

    /// Returns the states of the members.
    fn states(status: &ClusterStatus) -> Vec<&str> {
        status.members.iter().map(|member| &*member.state).collect()
    }

    #[test]
    fn the_log_says_which_node_is_the_primary() {
        let mut group = group();
        assert_eq!(suspects(&group, NOW), []);
        // The first node was killed, the second has taken over, and both are registered as the primary.
        group.nodes[1].registration.role = "primary".to_owned();
        let tail = group.tail.as_mut().unwrap();
        (tail.node, tail.nonce, tail.epoch) = (Some(NodeId([2; 20])), 2, 4);
        let first = NodeId([1; 20]);
        let found = suspects(&group, NOW);
        assert_eq!(found, [(first, 90)]);
        let found = found.into_iter().collect();
        let silent: BTreeSet<_> = silent(&group, &found).collect();
        assert_eq!(silent, [first].into());
        let dead = of(&group, Vec::new(), &[], &silent, false);
        assert_eq!(states(&dead), ["silent", "primary", "follower"]);
        has(&dead, &format!("member {first} does not renew its registration"));
        let alarm = Alarm { member: 0xAB, kind: AlarmKind::NoSpace };
        let full = of(&group, Vec::new(), &[alarm], &silent, false);
        assert_eq!(states(&full)[0], "deposed", "nobody can register");
        // It lives, and has not noticed.
        group.written.insert(first, 101);
        assert_eq!(super::silent(&group, &found).count(), 0);
        let alive = of(&group, Vec::new(), &[], &BTreeSet::new(), false);
        assert_eq!(states(&alive), ["deposed", "primary", "follower"]);
        has(&alive, &format!("member {first} registers itself as the primary"));
        // The new primary has the line before its registration says so.
        group.nodes[1].registration.role = "loading".to_owned();
        let early = of(&group, Vec::new(), &[], &silent, false);
        assert_eq!(states(&early)[1], "primary");
    }

    #[test]
    fn a_late_registration_is_looked_at_twice() {
        let mut group = group();
        assert_eq!(suspects(&group, 77_000 + LATE), []);
        assert_eq!(suspects(&group, 77_001 + LATE).len(), 3, "by the clock of this machine");
        group.nodes[0].registration.wall += LATE + 1;
        let late: Vec<_> = suspects(&group, NOW).into_iter().map(|(id, _)| id).collect();
        assert_eq!(late, [NodeId([2; 20]), NodeId([3; 20])], "by the clocks of the others");
    }

    #[test]
    fn all_groups_have_one_verdict() {
        let mut other = group();
        (other.number, other.format.groups, other.slots) = (1, 2, SlotMap::divided(2));
        other.nodes.remove(2);
        let mut first = group();
        (first.format.groups, first.slots) = (2, SlotMap::divided(2));
        let alarm = Alarm { member: 0xAB, kind: AlarmKind::NoSpace };
        let etcd = || vec![EtcdStatus::new((member().endpoint, Ok(member())), 0)];
        let of = |group: &StoredGroup| of(group, etcd(), &[alarm], &BTreeSet::new(), true);
        let text = text_of_all(&[of(&first), of(&other)]);
        assert_eq!(text.matches("Cluster roses").count(), 1, "{text}");
        assert_eq!(text.matches("3.5.16   leader").count(), 1, "{text}");
        assert_eq!(text.matches("the alarm NOSPACE").count(), 1, "{text}");
        assert!(text.contains("\n- group 1: member 0303"), "{text}");
        assert!(text.contains("Group 0 has the slots 0 to 8191.") && text.contains("Group 1 has"));
        assert!(!text.contains("No problems") && !text.contains("other groups"), "{text}");
    }

    #[test]
    fn entries_that_etcd_lost_come_first_and_nobody_is_forgotten() {
        let mut lost = group();
        lost.nodes.remove(0);
        lost.durable[0].1.seq = 10;
        let all = status(&lost, member(), &[]).problems;
        assert!(
            all[0].contains("ends with entry 40") && all[0].contains("cluster adopt"),
            "{all:?}"
        );
        assert!(!all.concat().contains("forget"), "{all:?}");
    }

    #[test]
    fn a_node_that_is_no_member_is_shown_apart() {
        let mut group = group();
        group.members = group.members.without(NodeId([3; 20]));
        let status = status(&group, member(), &[]);
        assert_eq!((status.members.len(), status.others.len()), (2, 1));
        assert_eq!(status.others[0].state, "follower");
    }
}
