//! Folders of several groups, between which slots have moved.

use super::*;
use crate::archive::adopt::ownership::decide;
use crate::node::tests::groups::{self, knows_all};
use hedgerow_db_engine::request::OwnedValue;
use hedgerow_db_engine::state::transfer::TransferItem;
use hedgerow_db_formats::slot_set::share;
use hedgerow_db_formats::slots::slot;
use std::ops::Range;

/// A folder of one of two groups, which has got (`true`) and lost slots.
fn folder(group: u32, changes: &[(Range<u16>, bool)]) -> made::Made {
    let made = of_group(made::folder(&[&[1]]), 1, (group, 2));
    for (slots, owned) in changes {
        made::assign(&made, slots.clone(), *owned);
    }
    made
}

/// Returns the slots that the two groups will have.
fn decided(
    folders: [made::Made; 2],
    assign: &[(Range<u16>, u32)],
) -> Result<Vec<FolderOwnership>, String> {
    let found = super::groups(folders.into()).map_err(|why| why.to_string())?;
    let assign = assign.iter().map(|(slots, group)| (SlotSet::of_range(slots.clone()), *group));
    decide(&found, &assign.collect::<Vec<_>>()).map_err(|why| why.to_string())
}

fn slots(ownership: &FolderOwnership) -> Vec<(u16, u16)> {
    ownership.slots.ranges()
}

#[test]
fn slots_go_by_the_logs_of_the_groups() {
    let own = decided([folder(0, &[]), folder(1, &[])], &[]).unwrap();
    assert_eq!([slots(&own[0]), slots(&own[1])], [[(0, 8191)], [(8192, 16_383)]]);
    assert!(own.iter().all(|own| own.changes().is_none()));
    assert!(ownership::map(2, (0..).zip(own.iter().map(|own| own.slots.clone()))).is_none());
    let moved = || [folder(0, &[(0..100, false)]), folder(1, &[(0..100, true)])];
    let own = decided(moved(), &[]).unwrap();
    assert_eq!(slots(&own[0]), [(100, 8191)]);
    assert_eq!(slots(&own[1]), [(0, 99), (8192, 16_383)]);
    assert!(own.iter().all(|own| own.changes().is_none()));
    let map = ownership::map(2, (0..).zip(own.iter().map(|own| own.slots.clone()))).unwrap();
    assert_eq!(map.slots_of(1), own[1].slots);
}

#[test]
fn disputed_slots_are_refused_until_they_are_assigned() {
    let refused = |folders: [made::Made; 2], wanted: &str| {
        let why = decided(folders, &[]).err().unwrap_or_default();
        assert!(why.contains(wanted) && why.contains("Nothing was changed"), "{wanted:?}: {why:?}");
    };
    // The target's log ends before the entry by which it gets them.
    let unowned = || [folder(0, &[(0..100, false)]), folder(1, &[])];
    refused(
        unowned(),
        "the slots 0-99 have no group: group 0 was giving them away in a move, and has their keys; add --assign \
         0-99=0",
    );
    let own = decided(unowned(), &[(0..100, 0)]).unwrap();
    assert_eq!(slots(&own[0]), [(0, 8191)]);
    assert_eq!((own[0].gains.ranges(), own[0].loses.is_empty()), (vec![(0, 99)], true));
    assert!(own[1].changes().is_none());
    // The source's log ends before the entry by which it loses them.
    let twice = || [folder(0, &[]), folder(1, &[(0..100, true)])];
    refused(
        twice(),
        "the slots 0-99 belong to the groups 0 and 1: group 1 received them in a move, and has their keys; add \
         --assign 0-99=1",
    );
    let own = decided(twice(), &[(0..100, 1)]).unwrap();
    assert_eq!(
        [slots(&own[0]), slots(&own[1])],
        [vec![(100, 8191)], vec![(0, 99), (8192, 16_383)]]
    );
    assert_eq!((own[0].loses.ranges(), own[1].changes()), (vec![(0, 99)], None));
    // Nothing says which group has the keys.
    let both = [folder(0, &[(0..100, false), (0..100, true)]), folder(1, &[(0..100, true)])];
    refused(both, "add --assign 0-99=GROUP");
}

#[test]
fn assignments_are_checked() {
    let refused = |assign: &[(Range<u16>, u32)], wanted: &str| {
        let why = decided([folder(0, &[]), folder(1, &[])], assign).err().unwrap_or_default();
        assert!(why.contains(wanted), "{wanted:?}: {why:?}");
    };
    refused(&[(0..100, 0), (99..200, 1)], "gives some slots to several groups");
    refused(&[(0..100, 2)], "gives slots to group 2, but no directory");
    let one = super::groups(vec![folder(1, &[])]).unwrap();
    let why = decide(&one, &[]).err().unwrap().to_string();
    assert!(why.contains("the slots 0-8191 have no group: add --assign 0-8191=GROUP"), "{why}");
    let rest = (SlotSet::of_range(share(0, 2)), 1);
    assert_eq!(decide(&one, &[rest]).unwrap()[0].slots, SlotSet::all());
    let other = of_group(made::folder(&[&[1]]), 1, (0, 3));
    let why = super::groups(vec![folder(1, &[]), other]).err().unwrap().to_string();
    assert!(why.contains("disagree about the number of groups"), "{why}");
}

#[test]
fn entries_of_another_group_may_stay_as_they_are() {
    let found = super::groups(vec![folder(0, &[]), folder(1, &[])]).unwrap();
    let format = ClusterFormat { cluster: [7; 16], ..ClusterFormat::new(1, 2).unwrap() };
    let target = AdoptTarget {
        text: None,
        format: Some(format.clone()),
        tails: BTreeMap::new(),
        known: BTreeMap::new(),
    };
    let check = |standings: [Standing; 2]| {
        let all = found.iter().map(|one| &one.taken).zip(standings);
        let all: Vec<_> = all.collect();
        let done = may_replace("roses", &all, &target, &format, None);
        done.map_err(|why| why.to_string())
    };
    let last = found[1].taken.survey.last;
    check([Standing::Behind(0), Standing::Complete(last)]).unwrap();
    check([Standing::Empty, Standing::Behind(0)]).unwrap();
    let why = check([Standing::Empty, Standing::Fork(70)]).unwrap_err();
    assert!(why.contains("may have been acknowledged to clients"), "{why}");
    let why = check([Standing::Behind(0), Standing::Complete(last + 1)]).unwrap_err();
    assert!(why.contains("start the nodes of this group until"), "entries are lost: {why}");
    let why = check([Standing::Complete(last), Standing::Complete(last)]).unwrap_err();
    assert!(why.contains("nothing is lost, so start the nodes"), "{why}");
}

#[test]
fn a_new_etcd_gets_all_groups() {
    let Some(lost) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let begin = |etcd: &Etcd| -> Vec<Vec<Node>> {
        let of = |group: u32| {
            let settings = groups::of_group(etcd, "all", group);
            groups::start(&settings, &folders[group as usize])
        };
        (0..2).map(of).collect()
    };
    let nodes = begin(&lost);
    let written = pairs(0, 60);
    let of = |key: &str| usize::from(slot(key.as_bytes()) >= 8192);
    for (key, value) in &written {
        write(&nodes[of(key)], key, value);
    }
    let own = |group: usize| {
        let own = written.iter().filter(|(key, _)| of(key) == group);
        own.cloned().collect::<Vec<_>>()
    };
    (0..2).for_each(|group| agree(&nodes[group], &own(group)));
    drop((nodes, lost));

    let Some(etcd) = Etcd::start(1) else { return };
    let settings = groups::of_group(&etcd, "all", 1);
    let all = folders.iter().flat_map(|group| [group.at(0), group.at(1)]);
    let all: Vec<_> = all.map(Path::to_owned).collect();
    let prepare = |folders: &[PathBuf], assign: Vec<(SlotSet, u32)>| {
        let choices = Choices { assign, ..Choices::default() };
        AdoptPlan::prepare(&settings, folders, &choices)
    };
    let why = prepare(&all[..2], Vec::new()).err().unwrap().to_string();
    assert!(why.contains("the slots 8192-16383 have no group"), "{why}");
    // A slot of the first group goes to the other one, which has no key of it.
    let plan = prepare(&all, vec![(SlotSet::of_range(0..1), 1)]).unwrap();
    let text = plan.text();
    for wanted in
        ["group 0, ", "group 1, ", "Group 1 gets the slots 0-0", "Group 0 loses the slots 0-0"]
    {
        assert!(text.contains(wanted), "{wanted:?} is missing in {text}");
    }
    let adopted = plan.carry_out().unwrap();
    assert_eq!((adopted.incarnation, adopted.groups.len()), (2, 2));
    let mut nodes = begin(&etcd);
    for (group, nodes) in nodes.iter().enumerate() {
        agree(nodes, &own(group));
        nodes.iter().for_each(knows_all);
    }
    for round in 0..2 {
        for (group, nodes) in nodes.iter().enumerate() {
            let owned = nodes[0].db().state().ownership.slots();
            assert_eq!(owned.contains(0), group == 1, "round {round}, group {group}");
            assert_eq!(owned.len(), [8191, 8193][group], "round {round}, group {group}");
        }
        // Also after the folders have it.
        nodes.clear();
        nodes = begin(&etcd);
        (0..2).for_each(|group| agree(&nodes[group], &own(group)));
    }
    let shown = etcd.etcdctl(&["get", "--print-value-only", "/hedgerow/all/slots"]);
    assert!(shown.contains("[0,0,1],[1,8191,0]"), "{shown}");
    let key = pairs(0, 100_000).into_iter().find(|(key, _)| slot(key.as_bytes()) == 0).unwrap().0;
    write(&nodes[1], &key, "here");
}

#[test]
fn slots_that_were_leaving_are_given_back() {
    let Some(lost) = Etcd::start(1) else { return };
    let folders = [Folders::new(2), Folders::new(2)];
    let begin = |etcd: &Etcd| -> Vec<Vec<Node>> {
        let of = |group: u32| {
            let settings = groups::of_group(etcd, "leaving", group);
            groups::start(&settings, &folders[group as usize])
        };
        (0..2).map(of).collect()
    };
    let nodes = begin(&lost);
    let moved = SlotSet::of_range(0..4096);
    let all = pairs(0, 400).into_iter();
    let written: Vec<_> = all.filter(|(key, _)| slot(key.as_bytes()) < 8192).collect();
    for (key, value) in &written {
        write(&nodes[0], key, value);
    }
    write(&nodes[1], "a", "other group");
    // The source has lost the slots, and the target has an old value of one key.
    let [source, target] = [0, 1].map(|group: usize| nodes[group][primary(&nodes[group])].db());
    let (entry, _) = source.state().lose_slots(1, &moved).unwrap();
    source.log().wait(entry).unwrap();
    let has_left = |(key, _): &&(String, String)| moved.contains(slot(key.as_bytes()));
    let key = &written.iter().find(has_left).unwrap().0;
    let old =
        TransferItem::Set(key.clone().into_bytes(), None, OwnedValue::string(b"old".to_vec()));
    let entry = target.state().import(&moved, &[old], true).unwrap();
    target.log().wait(entry).unwrap();
    for nodes in &nodes {
        agree(nodes, &[]);
    }
    drop((nodes, lost));

    let Some(etcd) = Etcd::start(1) else { return };
    let settings = groups::of_group(&etcd, "leaving", 0);
    let all = folders.iter().flat_map(|group| [group.at(0), group.at(1)]);
    let all: Vec<_> = all.map(Path::to_owned).collect();
    let prepare = |assign: Vec<(SlotSet, u32)>| {
        let choices = Choices { assign, ..Choices::default() };
        AdoptPlan::prepare(&settings, &all, &choices)
    };
    let why = prepare(Vec::new()).err().unwrap().to_string();
    assert!(
        why.contains("group 0 was giving them away in a move") && why.contains("0-4095=0"),
        "{why}"
    );
    prepare(vec![(moved, 0)]).unwrap().carry_out().unwrap();
    let nodes = begin(&etcd);
    agree(&nodes[0], &written);
    write(&nodes[0], key, "new");
    assert!(nodes[1].iter().all(|node| node.db().get(key).is_err()), "two groups have a slot");
}
