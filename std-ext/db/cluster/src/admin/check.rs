//! `hedgerow-db cluster check`: proves that the log in etcd is whole, and that all members have the same data at one
//! entry of it.
//!
//! The nodes digest their data as of the first watermark behind a time
//! ([`Digest`](hedgerow_db_engine::clustered::Digest)). They are asked over the peer port, a few seconds before that
//! time.

use super::chain::LogCheck;
use super::text::list;
use super::{AdminCall, AdminError, Report, StoredGroup};
use crate::etcd::{EtcdClient, Keys as KeyRange, Range};
use crate::membership::identity;
use crate::membership::keys::GroupKeys;
use crate::membership::registration::RegisteredNode;
use crate::peer::SharedTls;
use crate::peer::client::MOST_FETCHED;
use crate::peer::{GroupId, PeerClient, PeerClientOptions, PeerError};
use hedgerow_db_engine::clustered::{Digest, PARTS};
use hedgerow_db_formats::slots::SLOTS;
use hedgerow_db_group::{NodeId, Seq};
use hedgerow_db_redis::config::ClusterSettings;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The batches of one read: at 512 KiB each they are less than the 8 MiB that the client takes.
const BATCHES: u32 = 15;
/// How often a check begins again, if the log or the primary has changed meanwhile.
const ATTEMPTS: u64 = 3;
/// The time between the last registration of the primary and the digest, in milliseconds. In this time all nodes are
/// asked. A registration is a second old at most.
const AHEAD: u64 = 2000;
/// How long to wait for registrations, which nodes write within a second of a change.
const REGISTERED: Duration = Duration::from_secs(4);
/// How long a registration may differ from the map of slots, and how often both are read until then.
const SLOTS_AGREE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
/// The slots of a part of a digest.
const PART: usize = SLOTS as usize / PARTS;

#[derive(Clone, Serialize)]
struct CheckedGroup {
    log: LogCheck,
    /// The entry as of which the digests are; `null` if the nodes could not be compared.
    lsn: Option<u64>,
    nodes: Vec<NodeDigest>,
    /// The group that was checked.
    group: u32,
    /// The slots of all groups that have some.
    groups: Vec<GroupSlots>,
    problems: Vec<String>,
    /// The members whose data were not compared, and why: that is no violation.
    not_compared: Vec<String>,
}

/// The slots of a group.
#[derive(Clone, Serialize)]
struct GroupSlots {
    group: u32,
    /// Ranges with their last slot.
    slots: Vec<(u16, u16)>,
}

/// A digest of all keys of a node.
#[derive(Clone, Serialize)]
struct NodeDigest {
    node: String,
    lsn: u64,
    keys: u64,
    digest: String,
}

pub(super) fn run(call: &AdminCall) -> Result<Report, AdminError> {
    let within = call.seconds("within", 60)?;
    let (options, all) = (peer_options(&call.settings)?, call.all_groups()?);
    let every = call.block_on(async {
        let (client, keys) = (call.etcd().await?, call.keys()?);
        if !all {
            return Ok(vec![check(&client, &keys, &options, within).await?]);
        }
        let mut every = Vec::new();
        for group in StoredGroup::read_all(&client, &keys).await? {
            every.push(check(&client, &keys.of_group(group.number), &options, within).await?);
        }
        Ok(every)
    })?;
    Ok(match &every[..] {
        [checked] if !all => report(checked.text(), checked, &every),
        _ => report(every.iter().map(CheckedGroup::text_of_one).collect(), &every, &every),
    })
}

fn report(text: String, json: &impl Serialize, every: &[CheckedGroup]) -> Report {
    let is_wrong = every.iter().any(|checked| !checked.problems.is_empty());
    if !is_wrong && every.iter().any(|checked| !checked.not_compared.is_empty()) {
        return Report::incomplete(text, json);
    }
    Report::new(text, json, !is_wrong)
}

/// Checks a group.
async fn check(
    client: &EtcdClient,
    keys: &GroupKeys,
    options: &PeerClientOptions,
    within: Duration,
) -> Result<CheckedGroup, AdminError> {
    let log = read_log(client, keys).await?;
    let Comparison { nodes, problems: other, not_compared } =
        compare_nodes(client, keys, options, within).await?;
    let (group, groups, misplaced) = lasting_slot_problems(client, keys).await?;
    let mut problems = log.problems.clone();
    problems.extend(other);
    problems.extend(durable_problems(&group));
    problems.extend(misplaced);
    let lsn = nodes.first().map(|node| node.lsn);
    let lsn = lsn.filter(|lsn| nodes.iter().all(|node| node.lsn == *lsn));
    Ok(CheckedGroup { log, lsn, nodes, group: group.number, groups, problems, not_compared })
}

impl CheckedGroup {
    /// Returns the text about one of several groups.
    fn text_of_one(&self) -> String {
        format!("Group {}:\n{}\n", self.group, self.text())
    }

    fn text(&self) -> String {
        let log = &self.log;
        let several = self.groups.len() > 1 || self.group != 0;
        let mut text = match (log.first_seq, log.last_seq, log.last_lsn) {
            (Some(first), Some(last), Some(lsn)) => format!(
                "The log in etcd: batches {first} to {last}, up to entry {lsn} ({} read).\n",
                super::text::size(log.bytes)
            ),
            _ => "The log in etcd is empty.\n".to_owned(),
        };
        for node in &self.nodes {
            let NodeDigest { node, lsn, keys, digest } = node;
            // Writing to a string does not fail.
            let _ = writeln!(text, "Node {node}: {keys} keys at entry {lsn}, digest {digest}.");
        }
        if self.problems.is_empty() {
            let nodes = match (self.nodes.len(), self.not_compared.len()) {
                (1, 0) => "The only node has its data.".to_owned(),
                (nodes, 0) => format!("All {nodes} nodes have the same data."),
                (0 | 1, _) => "No nodes were compared.".to_owned(),
                (nodes, _) => format!("The {nodes} nodes that were compared have the same data."),
            };
            let _ = writeln!(text, "{nodes} The log is intact.");
            if several {
                let (checked, groups) = (self.group, self.groups.len());
                let _ = writeln!(
                    text,
                    "Only group {checked} was checked. Each slot belongs to exactly one of {groups} groups."
                );
            }
        }
        text + &list("Violations", &self.problems) + &list("Not compared", &self.not_compared)
    }
}

// ------------------------------------------------------------------------------------------------- the log

/// Reads all batches that etcd has.
async fn read_log(client: &EtcdClient, keys: &GroupKeys) -> Result<LogCheck, AdminError> {
    for _ in 0..ATTEMPTS {
        let group = StoredGroup::read(client, keys).await?;
        let Some(tail) = group.tail else {
            let mut check = LogCheck::default();
            if group.first.is_some() {
                check
                    .problems
                    .push("etcd has batches but no key `tail`: it was removed".to_owned());
            }
            return Ok(check);
        };
        if let Some(mut check) = read_batches(client, keys, group.first, tail.seq).await? {
            check.end(&tail);
            return Ok(check);
        }
    }
    Err(AdminError::from(
        "the log is trimmed faster than it can be read: try again when the write load is lower"
            .to_owned(),
    ))
}

/// Reads the batches from one to another. `None`: etcd has trimmed some of them meanwhile.
async fn read_batches(
    client: &EtcdClient,
    keys: &GroupKeys,
    first: Option<Seq>,
    last: Seq,
) -> Result<Option<LogCheck>, AdminError> {
    let mut check = LogCheck::default();
    let Some(first) = first else { return Ok(Some(check)) };
    let mut next = first;
    while next <= last {
        let range = KeyRange::between(keys.batch(next), keys.batch(last + 1));
        let found = client.range(&Range::of(range).limit(BATCHES)).await?;
        let begins = found.pairs.first().and_then(|pair| keys.seq(&pair.key));
        if begins != Some(next) {
            // Trimmed in the meantime, or missing: the first batch that is there now tells.
            let now = StoredGroup::read(client, keys).await?.first;
            if now.is_none_or(|now| now > next) {
                return Ok(None);
            }
        }
        for pair in &found.pairs {
            if let Some(seq) = keys.seq(&pair.key) {
                check.take(seq, &pair.value);
            }
        }
        match check.next().filter(|after| *after > next && !found.pairs.is_empty()) {
            Some(after) => next = after,
            // The rest is missing, as the end of the check will say.
            None => break,
        }
    }
    Ok(Some(check))
}

/// Reads the cluster, and checks its slots. A node writes its registration within a second of a change, so after a move
/// it may be older than the map: a difference is a problem only if it stays.
async fn lasting_slot_problems(
    client: &EtcdClient,
    keys: &GroupKeys,
) -> Result<(StoredGroup, Vec<GroupSlots>, Vec<String>), AdminError> {
    let begin = Instant::now();
    loop {
        let group = StoredGroup::read(client, keys).await?;
        let (groups, misplaced) = check_slots(&group);
        if misplaced.is_empty() || begin.elapsed() > SLOTS_AGREE {
            return Ok((group, groups, misplaced));
        }
        sleep(AGAIN).await;
    }
}

/// Checks that each slot has exactly one group, by the published map and by the slots that each registered node owns by
/// its log. Slots that are being moved are left out. Returns the slots of all groups, and the problems.
fn check_slots(group: &StoredGroup) -> (Vec<GroupSlots>, Vec<String>) {
    let slots_of = |of: u32| group.slots.slots_of(of).difference(&group.moving).ranges();
    let all =
        group.slots.groups().into_iter().map(|group| GroupSlots { group, slots: slots_of(group) });
    let all: Vec<_> = all.filter(|group| !group.slots.is_empty()).collect();
    let mut owners = vec![Vec::new(); usize::from(SLOTS)];
    let mut own = |group: u32, slots: &[(u16, u16)]| {
        for slot in
            slots.iter().flat_map(|&(first, last)| first..=last).filter(|slot| *slot < SLOTS)
        {
            let owners: &mut Vec<u32> = &mut owners[usize::from(slot)];
            if !owners.contains(&group) {
                owners.push(group);
            }
        }
    };
    for one in &all {
        own(one.group, &one.slots);
    }
    let mut problems = Vec::new();
    for RegisteredNode { id, registration } in group.nodes.iter().chain(&group.others) {
        let claimed = registration.claimed();
        let Some(claimed) = claimed else { continue };
        let claimed = claimed.difference(&group.moving).ranges();
        own(registration.group, &claimed);
        if claimed != slots_of(registration.group) {
            problems.push(format!(
                "node {id} believes that its group {} owns the slots {claimed:?}, but by the key `slots` in etcd it \
                 owns {:?}",
                registration.group,
                slots_of(registration.group)
            ));
        }
    }
    let moving = |slot: usize| group.moving.contains(slot as u16);
    let wrong = owners.iter().enumerate();
    let wrong = wrong.filter(|(slot, owners)| owners.len() != 1 && !moving(*slot));
    if let Some((slot, owners)) = wrong.clone().next() {
        problems.push(format!(
            "{} slots do not belong to exactly one group: slot {slot} belongs to {owners:?}",
            wrong.count()
        ));
    }
    (all, problems)
}

/// Returns what is wrong with the progress of the members' disks.
fn durable_problems(group: &StoredGroup) -> Vec<String> {
    let Some(tail) = &group.tail else { return Vec::new() };
    let members = group.members.0.iter().map(|member| member.node);
    let beyond = members.filter_map(|id| {
        let durable = group.durable(id).filter(|durable| durable.lsn > tail.lsn)?;
        Some(format!(
            "node {id} has entry {} on disk, but the log ends with entry {}: etcd was restored from an older \
             backup. Rebuild etcd with `hedgerow-db cluster adopt`",
            durable.lsn, tail.lsn
        ))
    });
    beyond.collect()
}

// ----------------------------------------------------------------------------------------------- the nodes

/// Returns the options for asking nodes, except their group.
pub(super) fn peer_options(settings: &ClusterSettings) -> Result<PeerClientOptions, AdminError> {
    let tls = SharedTls::read(settings)?;
    Ok(PeerClientOptions {
        group: GroupId::default(),
        // This command is no node. The name is for the logs of those that are asked.
        node: NodeId(identity::random()?),
        insecure: settings.peer.insecure,
        tls,
        most_bytes: MOST_FETCHED,
    })
}

/// The answer of a node: a digest, or `None` if its log had reached the time already.
type DigestAnswer = (NodeId, Result<Option<Digest>, PeerError>);

/// The members' data.
#[derive(Default)]
struct Comparison {
    nodes: Vec<NodeDigest>,
    problems: Vec<String>,
    not_compared: Vec<String>,
}

/// Takes the digests of all members and compares them.
async fn compare_nodes(
    client: &EtcdClient,
    keys: &GroupKeys,
    options: &PeerClientOptions,
    within: Duration,
) -> Result<Comparison, AdminError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let group = read_registered(client, keys, within).await?;
        let Some(time) = time_of_digest(&group, attempt) else {
            let why = "no primary is registered, so the nodes cannot be compared: see `hedgerow-db cluster status`";
            return Ok(Comparison { not_compared: vec![why.to_owned()], ..Comparison::default() });
        };
        let (asked, mut not_compared) = ask_members(&group, options, time, within).await;
        let late = asked.iter().any(|(_, answer)| matches!(answer, Ok(None)));
        let digests: Vec<_> = asked
            .iter()
            .filter_map(|(id, answer)| Some((*id, answer.as_ref().ok()?.as_ref()?)))
            .collect();
        let same_entry = digests.windows(2).all(|two| two[0].1.lsn == two[1].1.lsn);
        if (late || !same_entry) && attempt < ATTEMPTS {
            continue;
        }
        for (id, answer) in &asked {
            match answer {
                Ok(Some(_)) => {}
                Ok(None) => not_compared.push(format!(
                    "node {id} was not compared: its log was already past the time chosen for the digest; its clock \
                     or the primary's may be wrong"
                )),
                Err(why) => not_compared.push(format!("node {id} was not compared: {why}")),
            }
        }
        let (problems, late) = differences(&digests, group.holder());
        not_compared.extend(late);
        let shown = |(id, digest): &(NodeId, &Digest)| NodeDigest::new(*id, digest);
        let nodes = digests.iter().map(shown).collect();
        return Ok(Comparison { nodes, problems, not_compared });
    }
}

/// Returns a time that the clock of the primary will reach soon.
fn time_of_digest(group: &StoredGroup, attempt: u64) -> Option<u64> {
    let primary = group.registration(group.holder()?)?;
    // Both tell its clock, and each may be seconds old. A time that is too old makes nodes too late: then the next
    // attempt leaves more time.
    let clock = group.tail.as_ref().map_or(0, |tail| tail.time).max(primary.wall);
    Some(clock.saturating_add(AHEAD.saturating_mul(attempt)))
}

/// Reads the group, several times if a member seems not to serve: its registration may be from before it began to.
async fn read_registered(
    client: &EtcdClient,
    keys: &GroupKeys,
    within: Duration,
) -> Result<StoredGroup, AdminError> {
    let end = Instant::now() + within.min(REGISTERED);
    loop {
        let group = StoredGroup::read(client, keys).await?;
        let mut members = group.members.0.iter();
        let all = members.all(|member| address(&group, member.node).is_ok());
        if all || Instant::now() >= end {
            return Ok(group);
        }
        sleep(REGISTERED / 16).await;
    }
}

/// Returns the address at which other nodes reach a member, or why it cannot be asked.
fn address(group: &StoredGroup, member: NodeId) -> Result<String, &'static str> {
    let there = group.registration(member).ok_or("it is not registered, so it is not running")?;
    if there.role == "loading" {
        return Err("it is loading");
    }
    there.peer_address().ok_or("its registration has no peer port")
}

/// Asks all members for their digests at once. Returns the answers, and which members were not asked.
async fn ask_members(
    group: &StoredGroup,
    options: &PeerClientOptions,
    time: u64,
    within: Duration,
) -> (Vec<DigestAnswer>, Vec<String>) {
    let id = GroupId {
        cluster: group.format.cluster,
        incarnation: group.format.incarnation,
        group: group.number,
    };
    let options = PeerClientOptions { group: id, ..options.clone() };
    let (mut asked, mut not_asked) = (Vec::new(), Vec::new());
    for member in group.members.0.iter().map(|member| member.node) {
        match address(group, member) {
            Ok(address) => {
                let options = options.clone();
                let ask =
                    async move { PeerClient::new(&address, &options)?.digest(time, within).await };
                asked.push((member, tokio::spawn(ask)));
            }
            Err(why) => not_asked.push(format!("node {member} was not compared: {why}")),
        }
    }
    let mut answers = Vec::with_capacity(asked.len());
    for (member, asked) in asked {
        // Fails only after a panic, which has printed its message.
        let answer = asked.await.unwrap_or(Err(PeerError::GivenUp));
        answers.push((member, answer));
    }
    (answers, not_asked)
}

/// Returns how the digests differ from that of the primary, or from the first one; and which are of another entry.
fn differences(
    digests: &[(NodeId, &Digest)],
    primary: Option<NodeId>,
) -> (Vec<String>, Vec<String>) {
    let of_primary = digests.iter().find(|(id, _)| Some(*id) == primary);
    let (mut problems, mut not_compared) = (Vec::new(), Vec::new());
    let Some((first, wanted)) = of_primary.or(digests.first()).copied() else {
        return (problems, not_compared);
    };
    for (id, digest) in digests.iter().filter(|(id, _)| *id != first) {
        if (digest.lsn, digest.time) != (wanted.lsn, wanted.time) {
            not_compared.push(format!(
                "node {id} was not compared: its digest is at entry {}, that of {first} at entry {}. Perhaps \
                 another node has just become the primary: try again",
                digest.lsn, wanted.lsn
            ));
            continue;
        }
        for (part, (found, wanted)) in digest.parts.iter().zip(&wanted.parts).enumerate() {
            if found != wanted {
                problems.push(format!(
                    "the data of nodes {id} and {first} differ in the slots {} to {}, at entry {}: {} keys and {} \
                     keys. Keep a copy of both directories, find out which node is wrong, stop it, and restart it \
                     with an empty directory",
                    part * PART,
                    (part + 1) * PART - 1,
                    digest.lsn,
                    found.keys,
                    wanted.keys
                ));
            }
        }
    }
    (problems, not_compared)
}

impl NodeDigest {
    fn new(id: NodeId, digest: &Digest) -> Self {
        let sum = digest.parts.iter().fold(0_u128, |sum, part| sum.wrapping_add(part.hash));
        Self {
            node: id.to_string(),
            lsn: digest.lsn,
            keys: digest.parts.iter().map(|part| part.keys).sum(),
            digest: format!("{sum:032x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::group;
    use super::*;
    use crate::membership::slot_map::SlotMap;
    use hedgerow_db_engine::clustered::DigestPart;
    use hedgerow_db_formats::slot_set::SlotSet;

    #[test]
    fn each_slot_has_one_group() {
        let mut group = group();
        let problems = |group: &StoredGroup| check_slots(group).1;
        assert_eq!(problems(&group), [""; 0]);
        assert_eq!(check_slots(&group).0.len(), 1);
        group.slots = SlotMap::divided(3);
        group.nodes[0].registration.slots = Some(vec![(0, 5460)]);
        let mut other = group.nodes[1].clone();
        (other.registration.group, other.registration.slots) = (1, Some(vec![(5461, 10_921)]));
        group.others.push(other);
        assert_eq!((problems(&group).len(), check_slots(&group).0.len()), (0, 3));
        group.others[0].registration.slots = Some(vec![(5460, 10_921)]);
        let found = problems(&group);
        assert!(found[0].contains("owns the slots [(5460, 10921)]"), "{found:?}");
        assert!(
            found[1].contains(
                "1 slots do not belong to exactly one group: slot 5460 belongs to [0, 1]"
            ),
            "{found:?}"
        );
        // A group beyond the division has none.
        (group.others[0].registration.group, group.others[0].registration.slots) =
            (7, Some(Vec::new()));
        assert_eq!(problems(&group), [""; 0]);
        // The map follows a moment after the logs.
        group.nodes[0].registration.slots = Some(vec![(0, 99), (200, 5460)]);
        assert!(problems(&group)[0].contains("by the key `slots` in etcd it owns [(0, 5460)]"));
        group.moving = SlotSet::of_range(100..200);
        assert_eq!(problems(&group), [""; 0]);
    }

    const FIRST: NodeId = NodeId([1; 20]);
    const SECOND: NodeId = NodeId([2; 20]);

    fn digest() -> Digest {
        Digest { lsn: 41, time: 80_000, parts: [DigestPart { keys: 6, hash: 7 << 70 }; PARTS] }
    }

    #[test]
    fn digests_are_compared_with_that_of_the_primary() {
        let (one, mut other) = (digest(), digest());
        let found = |other: &Digest| differences(&[(SECOND, other), (FIRST, &one)], Some(FIRST));
        assert_eq!(found(&other), (Vec::new(), Vec::new()));
        other.parts[2].hash += 1;
        other.parts[15].keys -= 1;
        let (problems, not_compared) = found(&other);
        assert_eq!((problems.len(), not_compared.len()), (2, 0));
        let wanted = "the data of nodes 0202020202020202020202020202020202020202 and 0101";
        assert!(problems[0].starts_with(wanted), "{problems:?}");
        assert!(problems[0].contains("slots 2048 to 3071, at entry 41: 6 keys and 6 keys"));
        assert!(problems[1].contains("slots 15360 to 16383, at entry 41: 5 keys and 6 keys"));
        let other = Digest { lsn: 42, ..digest() };
        let (problems, not_compared) = found(&other);
        let refused = not_compared.iter().any(|one| one.contains("was not compared"));
        assert!(
            refused && problems.is_empty(),
            "a digest of another entry is compared: {problems:?}"
        );
    }

    #[test]
    fn a_disk_beyond_the_log_is_noticed() {
        let mut group = group();
        assert_eq!(durable_problems(&group), [""; 0]);
        group.durable[1].1.lsn = 41;
        let problems = durable_problems(&group);
        assert!(problems[0].contains("has entry 41 on disk, but the log ends with entry 40"));
        assert!(problems[0].ends_with(". Rebuild etcd with `hedgerow-db cluster adopt`"));
    }

    #[test]
    fn the_digest_is_soon() {
        let mut group = group();
        assert_eq!(time_of_digest(&group, 1), Some(79_000));
        assert_eq!(time_of_digest(&group, 2), Some(81_000));
        group.nodes.remove(0);
        assert_eq!(time_of_digest(&group, 1), None, "nobody logs a watermark");
    }

    #[test]
    fn what_was_found_is_said() {
        let nodes = vec![NodeDigest::new(FIRST, &digest()), NodeDigest::new(SECOND, &digest())];
        let mut checked = CheckedGroup {
            log: LogCheck::default(),
            lsn: Some(41),
            nodes,
            group: 0,
            groups: Vec::new(),
            problems: Vec::new(),
            not_compared: Vec::new(),
        };
        let text = checked.text();
        assert!(text.ends_with("All 2 nodes have the same data. The log is intact.\n"), "{text}");
        let verdict = |checked: CheckedGroup| {
            let report = report(String::new(), &(), &[checked]);
            (report.healthy, report.incomplete)
        };
        assert_eq!(verdict(checked.clone()), (true, false));
        checked.not_compared.push("node 03 was not compared: it is loading".to_owned());
        let text = checked.text();
        assert!(
            text.contains("\nThe 2 nodes that were compared have the same data. The log"),
            "{text}"
        );
        assert!(
            text.ends_with("\nNot compared:\n- node 03 was not compared: it is loading\n"),
            "{text}"
        );
        assert_eq!(verdict(checked.clone()), (false, true), "an absent member is a violation");
        checked.problems.push("a batch is missing".to_owned());
        assert_eq!(verdict(checked.clone()), (false, false), "a violation is overlooked");
        checked.not_compared.clear();
        let text = checked.text();
        assert!(text.ends_with("\nViolations:\n- a batch is missing\n"), "{text}");
        assert!(!text.contains("All 2 nodes"), "{text}");
    }
}
