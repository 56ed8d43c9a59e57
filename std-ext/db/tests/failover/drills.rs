//! builds: default
//!
//! The work of an operator after a loss: the commands of the page `docs/backup.md`, as they stand there, on real nodes.

use crate::LIMIT;
use crate::etcd::Etcd;
use crate::groups::{ask, command, key_of_each_slot, wait};
use crate::nodes::{arguments, free_ports, print_messages, role, spawn};
use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PAGE: &str = include_str!("../../docs/backup.md");
/// Milliseconds: a busy machine must not make another primary by itself.
const LEASE: &str = "3000";
/// The most nodes of a cluster here.
const MOST: usize = 5;
/// Milliseconds since 1970, far in the future.
const EXPIRES: u64 = 4_000_000_000_123;

/// A cluster of several groups. Dropping it kills its processes.
struct Cluster {
    name: &'static str,
    /// Nodes of each group.
    members: usize,
    ports: Vec<u16>,
    children: Vec<Option<Child>>,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Cluster {
    /// Starts the nodes, and waits until they serve all slots.
    fn start(etcd: &Etcd, name: &'static str, groups: usize, members: usize) -> Self {
        let mut arguments = arguments(&etcd.endpoints().join(","), LEASE);
        let place = arguments.iter().position(|word| word == "test").unwrap();
        name.clone_into(&mut arguments[place]);
        arguments.extend(["--cluster-groups".to_owned(), groups.to_string()]);
        let ports = free_ports::<MOST>()[..groups * members].to_vec();
        let children = ports.iter().map(|_| None).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { name, members, ports, children, arguments, folder };
        cluster.start_nodes();
        cluster
    }

    fn start_nodes(&mut self) {
        for n in 0..self.ports.len() {
            let group = (n / self.members).to_string();
            let arguments = [&self.arguments[..], &["--cluster-group".to_owned(), group]].concat();
            self.children[n] = Some(spawn(&self.nodes(), n, self.ports[n], &arguments));
        }
        let known = format!("cluster_known_nodes:{}", self.ports.len());
        let serves = |port: &u16| {
            let info = ask(*port, &["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&known)
        };
        wait(|| (self.ports.iter().all(serves) && self.follow()).then_some(()));
    }

    /// Whether each group has a primary, and its other nodes follow it.
    fn follow(&self) -> bool {
        self.ports.chunks(self.members).all(|group| {
            let roles: Vec<_> = group.iter().map(|port| role(*port).unwrap_or_default()).collect();
            let count = |wanted| roles.iter().filter(|role| *role == wanted).count();
            count("master") == 1 && count("slave connected") == group.len() - 1
        })
    }

    /// Returns the folder with the folders of the nodes.
    fn nodes(&self) -> PathBuf {
        let nodes = self.folder.path().join("nodes");
        fs::create_dir_all(&nodes).unwrap();
        nodes
    }

    fn kill(&mut self) {
        for child in self.children.iter_mut().filter_map(Option::take) {
            end(child);
        }
    }

    /// Returns the port of the primary of a group.
    fn primary(&self, group: usize) -> u16 {
        let ports = &self.ports[group * self.members..][..self.members];
        let leads = |port: &&u16| role(**port).as_deref() == Some("master");
        wait(|| ports.iter().find(leads).copied())
    }

    fn connect(&self) -> ClusterConnection {
        let url = format!("redis://127.0.0.1:{}/", self.ports[0]);
        let client = ClusterClient::builder([url]).retries(50).max_retry_wait(100).build().unwrap();
        let connection = client.get_connection().unwrap();
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        connection
    }

    /// Sends commands to the nodes of their keys, in order.
    fn write(&self, commands: &[Vec<String>]) {
        let mut connection = self.connect();
        for commands in commands.chunks(200) {
            let mut pipe = cluster_pipe();
            for command in commands {
                pipe.cmd(&command[0]).arg(&command[1..]).ignore();
            }
            pipe.query::<()>(&mut connection).unwrap();
        }
    }

    /// Returns the replies of the nodes that have the keys, as texts.
    fn ask(&self, commands: &[Vec<String>]) -> Vec<Option<String>> {
        let mut pipe = cluster_pipe();
        for command in commands {
            pipe.cmd(&command[0]).arg(&command[1..]);
        }
        pipe.query(&mut self.connect()).unwrap()
    }

    fn get(&self, command: &[&str]) -> Option<String> {
        self.ask(&[words(command)]).remove(0)
    }

    /// Runs a block of the page. Returns whether it has succeeded, and its output.
    fn run(&self, etcd: &Etcd, drill: &str, backup: &Path) -> (bool, String) {
        let folder = |name: &str| self.folder.path().join(name).display().to_string();
        let script = block(drill)
            .replace("/backups", &folder("backups"))
            .replace("/restored", &folder("restored"))
            .replace("/nodes/*", &folder("nodes/[0-9]"));
        let program = Path::new(env!("CARGO_BIN_EXE_hedgerow-db")).parent().unwrap().to_owned();
        let mut path = program.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HEDGEROW_DB_")) {
            command.env_remove(name);
        }
        command.env("PATH", path).env("backup", backup);
        command.env("HEDGEROW_DB_CLUSTER_NAME", self.name);
        command.env("HEDGEROW_DB_CLUSTER_ETCD", etcd.endpoints().join(","));
        let output = command.args(["-euc", &script]).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    #[track_caller]
    fn runs(&self, etcd: &Etcd, drill: &str, backup: &Path) -> String {
        let (fine, said) = self.run(etcd, drill, backup);
        assert!(fine, "{drill}: {said}");
        said
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_messages(&self.nodes(), self.ports.len());
        }
        self.kill();
    }
}

fn end(mut child: Child) {
    // It may have ended on its own.
    let _ = child.kill();
    let _ = child.wait();
}

/// Returns the commands of a block of the page.
fn block(drill: &str) -> &'static str {
    let begin = format!("<!-- drill: {drill} -->\n```sh\n");
    let (_, rest) = PAGE.split_once(&begin).unwrap_or_else(|| panic!("the page has no {drill}"));
    rest.split_once("```").unwrap().0
}

/// Returns the digest of a whole cluster, as `restore` prints it.
fn digest(said: &str) -> &str {
    let (_, digest) = said.rsplit_once("match the backup, digest ").unwrap_or_default();
    digest.split('.').next().unwrap_or_default()
}

/// Runs the script that restores a backup into a cluster of its own. Returns its output.
fn drill_script(backup: &Path, groups: usize) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/drill");
    let mut command = Command::new(script);
    command.arg(backup).arg(groups.to_string()).arg(env!("CARGO_BIN_EXE_hedgerow-db"));
    command.env("HEDGEROW_DRILL_PORT", free_range(2 + 2 * groups as u16).to_string());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("was restored into {groups} groups in ")), "{said}");
    said
}

/// Returns the first of several ports in a row that are free.
fn free_range(ports: u16) -> u16 {
    let [begin] = free_ports::<1>();
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let free = |first: &u16| (*first..first + ports).all(is_free);
    (begin..begin + 1000).step_by(20).find(free).unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns commands that store keys of many slots, in all the ways in which keys differ.
fn commands() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for (slot, key) in key_of_each_slot().iter().enumerate().step_by(41) {
        all.push(words(&["SET", key, &format!("value of {slot}")]));
        match slot % 5 {
            0 => all.push(words(&["PEXPIREAT", key, &EXPIRES.to_string()])),
            1 => all.push(words(&["DEL", key])),
            2 => all.push(words(&["APPEND", key, "!"])),
            _ => {}
        }
    }
    all
}

/// Starts two groups between which slots have moved.
fn two_groups(etcd: &Etcd) -> Cluster {
    let cluster = Cluster::start(etcd, "test", 2, 2);
    cluster.write(&commands());
    let (fine, said) = command(etcd, &["move", "--slots", "0-99,5000", "--to", "1"]);
    assert!(fine, "{said}");
    // Not all nodes have heard of it yet, and a pipeline of redis-rs fails if its node sends it to another one.
    let knows = |port: &u16| ask(*port, &["CLUSTER", "NODES"]).contains(" connected 0-99 5000 ");
    wait(|| cluster.ports.iter().all(knows).then_some(()));
    cluster
}

#[test]
fn a_backup_is_restored_into_other_numbers_of_groups() {
    let Some(etcd) = Etcd::start(1) else { return };
    let two = two_groups(&etcd);
    let keys = key_of_each_slot();
    let long = "long value ".repeat(40_000);
    two.write(&[words(&["SET", &keys[7], &long, "PXAT", &EXPIRES.to_string()])]);
    // Of one group the snapshot has most, of the other one the log.
    ask(two.primary(1), &["SAVE"]);
    let said = two.runs(&etcd, "back up", Path::new(""));
    assert!(said.contains("Group 1, 8293 slots: all changes up to entry"), "{said}");
    let backups = fs::read_dir(two.folder.path().join("backups")).unwrap();
    let backup = backups.map(|found| found.unwrap().path()).next().unwrap();
    two.write(&[words(&["SET", &keys[0], "later"])]);
    let (fine, said) = two.run(&etcd, "restore", &backup);
    assert!(
        !fine && said.contains("keys, but a backup can only be restored into an empty"),
        "{said}"
    );

    let mut digests = vec![digest(&drill_script(&backup, 2)).to_owned()];
    let five = Cluster::start(&etcd, "five", 5, 1);
    let one = Cluster::start(&etcd, "one", 1, 1);
    for cluster in [&five, &one] {
        let said = cluster.runs(&etcd, "restore", &backup);
        digests.push(digest(&said).to_owned());
        let expires = EXPIRES.to_string();
        for (command, slot, wanted) in [
            ("GET", 0, Some("value of 0")),
            ("PEXPIRETIME", 0, Some(&*expires)),
            ("GET", 41, None),
            ("GET", 82, Some("value of 82!")),
            ("GET", 7, Some(&*long)),
            ("PEXPIRETIME", 7, Some(&*expires)),
        ] {
            let found = cluster.get(&[command, &keys[slot]]);
            assert!(found.as_deref() == wanted, "{command} of slot {slot} in {}", cluster.name);
        }
    }
    drop((two, five));
    // And back into two groups, from a backup of one.
    one.runs(&etcd, "back up", Path::new(""));
    let backups = fs::read_dir(one.folder.path().join("backups")).unwrap();
    let backup = backups.map(|found| found.unwrap().path()).next().unwrap();
    let two = Cluster::start(&etcd, "again", 2, 1);
    digests.push(digest(&two.runs(&etcd, "restore", &backup)).to_owned());
    assert!(digests.iter().all(|one| *one == digests[0] && one.len() == 32), "{digests:?}");
    drop(two);
    copied(&etcd, one, &backup);
}

/// Continues with a copy of the directory in a backup of one group.
fn copied(etcd: &Etcd, mut one: Cluster, backup: &Path) {
    one.write(&[words(&["SET", "later", "gone"])]);
    one.kill();
    etcd.etcdctl(&["del", "--prefix", "/hedgerow/one/"]);
    one.runs(etcd, "copy", backup);
    let node = one.nodes().join("0");
    fs::remove_dir_all(&node).unwrap();
    fs::rename(one.folder.path().join("restored/group-0"), &node).unwrap();
    one.start_nodes();
    let key = &key_of_each_slot()[82];
    assert_eq!(one.get(&["GET", key]).as_deref(), Some("value of 82!"));
    assert_eq!(one.get(&["GET", "later"]), None);
}

#[test]
fn the_page_has_no_other_commands_than_those_that_were_run() {
    let begin = "<!-- drill: ";
    let drills = PAGE.lines().filter_map(|line| line.strip_prefix(begin)?.strip_suffix(" -->"));
    let drills: Vec<_> = drills.collect();
    assert_eq!(drills, ["back up", "restore", "copy", "adopt", "check"]);
    assert_eq!(PAGE.matches("```sh").count(), drills.len(), "a block without a name");
}

#[test]
fn a_destroyed_etcd_is_filled_from_the_nodes() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let mut two = two_groups(&etcd);
    // Until now all is in etcd, and a moment later in the directories.
    wait(|| two.follow().then_some(()));
    etcd.kill(0);
    two.kill();
    fs::remove_dir_all(etcd.data(0)).unwrap();
    etcd.restart(0);
    assert!(etcd.wait_until_healthy());

    let said = two.runs(&etcd, "adopt", Path::new(""));
    assert_eq!(said.matches("etcd continues after entry").count(), 2, "{said}");
    two.start_nodes();
    let said = two.runs(&etcd, "check", Path::new(""));
    assert_eq!(said.matches("Each slot belongs to exactly one of 2 groups.").count(), 2, "{said}");
    let keys = key_of_each_slot();
    let asked: Vec<_> = keys.iter().step_by(41).map(|key| words(&["GET", key])).collect();
    for (slot, found) in (0..).step_by(41).zip(two.ask(&asked)) {
        let wanted = match slot % 5 {
            1 => None,
            2 => Some(format!("value of {slot}!")),
            _ => Some(format!("value of {slot}")),
        };
        assert_eq!(found, wanted, "slot {slot}");
    }
    // The slots that had moved stay where they were, and can move again.
    for (slot, group) in [(0, 1), (99, 1), (100, 0), (5000, 1), (8192, 1)] {
        two.write(&[words(&["SET", &keys[slot], "after"])]);
        assert_eq!(ask(two.primary(group), &["GET", &keys[slot]]), "after", "slot {slot}");
    }
    let (fine, said) = command(&etcd, &["move", "--slots", "0-99", "--to", "0"]);
    assert!(fine, "{said}");
    assert_eq!(two.get(&["GET", &keys[99]]).as_deref(), Some("after"));
}
