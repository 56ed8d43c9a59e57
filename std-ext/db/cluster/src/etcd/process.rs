//! Processes of etcd, for tests. Its programs are taken from the folder that `HEDGEROW_ETCD` names; without it a test
//! says that it is not run.

use hedgerow_db_engine::not_run::not_run;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long members may take to start and to elect a leader, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Ports are free when they are chosen. Another program may take one before etcd does.
const ATTEMPTS: usize = 5;

/// A cluster of etcd on this machine. Dropping it kills its processes and removes its files.
#[derive(Debug)]
pub(crate) struct Etcd {
    programs: PathBuf,
    members: Vec<EtcdProcess>,
    folder: TempDir,
}

#[derive(Debug)]
struct EtcdProcess {
    name: String,
    client_url: String,
    metrics: SocketAddr,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// Files with which members serve TLS and want their clients' certificates.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Etcd {
    /// Starts a cluster and waits until it answers. Returns `None`, and says so, if there is no etcd.
    pub(crate) fn start(members: usize) -> Option<Self> {
        Self::start_with(members, &[], None)
    }

    /// Starts a cluster with more arguments for each member.
    pub(crate) fn start_with(
        members: usize,
        arguments: &[&str],
        tls: Option<&TlsFiles>,
    ) -> Option<Self> {
        let Some(programs) = std::env::var_os("HEDGEROW_ETCD").map(PathBuf::from) else {
            not_run("HEDGEROW_ETCD names no folder with etcd");
            return None;
        };
        assert!(programs.join("etcd").is_file(), "{} has no etcd", programs.display());
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir().expect("a folder");
            let members = plan(members, folder.path(), arguments, tls);
            let mut etcd = Self { programs: programs.clone(), members, folder };
            (0..etcd.members.len()).for_each(|index| etcd.spawn(index));
            if etcd.wait_until_healthy() {
                return Some(etcd);
            }
        }
        panic!("etcd does not start; its messages are above");
    }

    /// Returns the members' URLs for clients.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.client_url.clone()).collect()
    }

    /// Returns the folder of a member's data.
    pub(crate) fn data(&self, index: usize) -> PathBuf {
        self.folder.path().join(&self.members[index].name)
    }

    /// Returns a folder for a test's own files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the arguments that a member was started with.
    pub(crate) fn arguments(&self, index: usize) -> &[String] {
        &self.members[index].arguments
    }

    /// Kills a member without notice.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.members[index].child.take() {
            // It may have ended on its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts a member that was killed, with its data.
    pub(crate) fn restart(&mut self, index: usize) {
        self.kill(index);
        self.spawn(index);
    }

    /// Stops a member's process, whose connections stay open.
    pub(crate) fn freeze(&self, index: usize) {
        self.signal(index, Signal::STOP);
    }

    /// Lets a process that was stopped go on.
    pub(crate) fn thaw(&self, index: usize) {
        self.signal(index, Signal::CONT);
    }

    fn signal(&self, index: usize, signal: Signal) {
        let child = self.members[index].child.as_ref().expect("the member runs");
        kill_process(Pid::from_child(child), signal).expect("a signal");
    }

    /// Waits for a leader, and returns its index.
    pub(crate) fn leader(&self) -> usize {
        let end = Instant::now() + START_LIMIT;
        loop {
            let leads = |index: &usize| {
                let answer = get(self.members[*index].metrics, "/metrics");
                answer.is_ok_and(|text| text.contains("\netcd_server_is_leader 1\n"))
            };
            let running = |index: &usize| self.members[*index].child.is_some();
            if let Some(index) = (0..self.members.len()).filter(running).find(leads) {
                return index;
            }
            assert!(Instant::now() < end, "etcd elects no leader");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until all members that run answer. Returns false if one of them has ended.
    pub(crate) fn wait_until_healthy(&mut self) -> bool {
        let end = Instant::now() + START_LIMIT;
        for index in 0..self.members.len() {
            while let Some(child) = &mut self.members[index].child {
                if child.try_wait().expect("a process").is_some() {
                    self.print_messages(index);
                    return false;
                }
                let answer = get(self.members[index].metrics, "/health");
                if answer.is_ok_and(|text| text.contains(r#""health":"true""#)) {
                    break;
                }
                if Instant::now() > end {
                    self.print_messages(index);
                    return false;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        true
    }

    /// Returns the sum of a member's counters whose lines begin with one of these names.
    pub(crate) fn count(&self, index: usize, names: &[&str]) -> f64 {
        let text = get(self.members[index].metrics, "/metrics").expect("etcd's metrics");
        let counted = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Runs etcdctl with arguments against all members, and returns what it printed.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> String {
        let mut command = clean(&self.programs.join("etcdctl"));
        command.arg("--endpoints").arg(self.endpoints().join(",")).args(arguments);
        let output = command.output().expect("etcdctl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let error = text(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {error}");
        text(&output.stdout)
    }

    fn spawn(&mut self, index: usize) {
        let log = self.log(index);
        let log = File::options().create(true).append(true).open(log).expect("a file");
        let mut command = clean(&self.programs.join("etcd"));
        let member = &mut self.members[index];
        command.args(&member.arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        member.child = Some(command.spawn().expect("etcd starts"));
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("{}.log", self.members[index].name))
    }

    fn print_messages(&self, index: usize) {
        println!("{}", std::fs::read_to_string(self.log(index)).unwrap_or_default());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|index| self.kill(index));
    }
}

/// Chooses ports and arguments.
fn plan(count: usize, folder: &Path, more: &[&str], tls: Option<&TlsFiles>) -> Vec<EtcdProcess> {
    // All ports are held until all are chosen, so that they differ.
    let listen = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let held: Vec<TcpListener> = (0..3 * count).map(listen).collect();
    let address = |index: usize| held[index].local_addr().expect("an address");
    let peer = |index: usize| format!("http://{}", address(3 * index + 1));
    let name = |index: usize| format!("m{index}");
    let peers: Vec<_> =
        (0..count).map(|index| format!("{}={}", name(index), peer(index))).collect();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let member = |index: usize| {
        let (client, metrics) =
            (format!("{scheme}://{}", address(3 * index)), address(3 * index + 2));
        let mut arguments: Vec<String> = [
            ("--name", name(index)),
            ("--data-dir", folder.join(name(index)).display().to_string()),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client.clone()),
            ("--listen-peer-urls", peer(index)),
            ("--initial-advertise-peer-urls", peer(index)),
            ("--initial-cluster", peers.join(",")),
            ("--initial-cluster-token", folder.display().to_string()),
            ("--listen-metrics-urls", format!("http://{metrics}")),
            ("--log-level", "warn".into()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        // Processes are killed here, but no machine loses its memory.
        arguments.push("--unsafe-no-fsync".into());
        if let Some(files) = tls {
            let file = |path: &Path| path.display().to_string();
            arguments.push("--client-cert-auth".into());
            arguments.extend(["--trusted-ca-file".into(), file(&files.ca)]);
            arguments.extend(["--cert-file".into(), file(&files.cert)]);
            arguments.extend(["--key-file".into(), file(&files.key)]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        EtcdProcess { name: name(index), client_url: client, metrics, arguments, child: None }
    };
    (0..count).map(member).collect()
}

/// Returns a command without the variables that would set flags of etcd.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| name.starts_with("ETCD")) {
        command.env_remove(name);
    }
    command
}

/// Returns the answer to a request over HTTP.
fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
