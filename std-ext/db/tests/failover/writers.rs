//! Clients that write new keys all the time, each in a thread or a process of its own.
//!
//! A client is asked by lines, and answers each by a line:
//!
//! - `report`: how many writes were acknowledged, how many failed, and the milliseconds of the longest time without an
//!   acknowledgement since the last report, one that has not ended included;
//! - `stop`: the same, and from then on it writes nothing more;
//! - `read`: how many of the acknowledged writes it finds at the primary;
//! - `replicas`: how many of them it finds when it reads from replicas.

use crate::LIMIT;
use hedgerow_db_engine::not_run::not_run;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// The programs of the clients in other languages.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// How long a client may fail before it says why.
const SILENT: Duration = Duration::from_secs(10);

/// A client that writes.
pub(crate) struct Writer {
    pub(crate) name: &'static str,
    question: Box<dyn FnMut(&str)>,
    answers: Receiver<String>,
    /// Milliseconds.
    longest_gap: u64,
    errors: u64,
    child: Option<Child>,
}

impl Writer {
    /// Asks a question, and returns the answer. Clients repeat a wrong read for half of the limit.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        (self.question)(question);
        let answer = self.answers.recv_timeout(2 * LIMIT);
        answer.unwrap_or_else(|why| panic!("{} does not answer {question}: {why}", self.name))
    }

    /// Returns how many writes were acknowledged.
    pub(crate) fn report(&mut self) -> u64 {
        self.note("report")
    }

    /// Makes the client stop to write, and returns how many writes were acknowledged, and how many failed.
    pub(crate) fn stop(&mut self) -> (u64, u64) {
        (self.note("stop"), self.errors)
    }

    fn note(&mut self, question: &str) -> u64 {
        let answer = self.ask(question);
        let numbers: Vec<u64> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
        let [acknowledged, errors, gap] = numbers[..] else { panic!("{}: {answer}", self.name) };
        self.errors = errors;
        self.longest_gap = self.longest_gap.max(gap);
        acknowledged
    }

    /// Forgets the longest gap.
    pub(crate) fn forget_gap(&mut self) {
        self.report();
        self.longest_gap = 0;
    }

    /// Returns the longest gap as text.
    pub(crate) fn gap(&self) -> String {
        format!("{} {} ms", self.name, self.longest_gap)
    }

    /// Starts a client in a thread of its own. `run` answers the questions of the first channel in the second.
    pub(crate) fn in_thread(
        name: &'static str,
        run: impl FnOnce(Receiver<String>, Sender<String>) + Send + 'static,
    ) -> Self {
        let (questions, asked) = mpsc::channel::<String>();
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || run(asked, answer));
        // If the thread has ended, there is no answer.
        let question = Box::new(move |question: &str| drop(questions.send(question.to_owned())));
        Self { name, question, answers, longest_gap: 0, errors: 0, child: None }
    }

    /// Starts a client in a process of its own.
    fn in_process(name: &'static str, command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| answer.send(line))
        });
        // If the process has ended, there is no answer.
        let question = Box::new(move |question: &str| drop(writeln!(input, "{question}")));
        Self { name, question, answers, longest_gap: 0, errors: 0, child: Some(child) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended on its own.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the client of the redis-py that the system has, if it has one.
pub(crate) fn redis_py(ports: [u16; 3]) -> Option<Writer> {
    let has_client = |program: &&&str| {
        let output = Command::new(program).args(["-c", "import redis.cluster"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(program) = ["/usr/bin/python3", "python3"].iter().find(has_client) else {
        not_run("no redis-py (apt-get install python3-redis)");
        return None;
    };
    let mut command = Command::new(program);
    command.arg(format!("{PROGRAMS}/failover.py")).args(["redis-py"]);
    Some(Writer::in_process("redis-py", command.args(ports.map(|port| port.to_string()))))
}

/// Starts the client of a newer redis-py, if there is one.
pub(crate) fn new_redis_py(ports: [u16; 3]) -> Option<Writer> {
    let Some(folder) = std::env::var_os("HEDGEROW_REDIS_PY") else {
        not_run("no newer redis-py (pip install --target FOLDER redis; HEDGEROW_REDIS_PY=FOLDER)");
        return None;
    };
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", folder)
        .arg("-Wignore")
        .arg(format!("{PROGRAMS}/failover.py"))
        .arg("new-redis-py");
    Some(Writer::in_process("new-redis-py", command.args(ports.map(|port| port.to_string()))))
}

/// Starts ioredis's client, if it is installed.
pub(crate) fn ioredis(ports: [u16; 3]) -> Option<Writer> {
    let folder = std::env::var_os("HEDGEROW_IOREDIS").map(PathBuf::from);
    let Some(folder) = folder.filter(|folder| folder.join("node_modules/ioredis").is_dir()) else {
        not_run("no ioredis (npm install --prefix FOLDER ioredis@5; HEDGEROW_IOREDIS=FOLDER)");
        return None;
    };
    let mut command = Command::new("node");
    command.arg(format!("{PROGRAMS}/failover.mjs")).args(ports.map(|port| port.to_string()));
    Some(Writer::in_process("ioredis", command.current_dir(folder)))
}

/// A client of a library, as the loop below uses it.
pub(crate) trait Client {
    /// Sets a key, which does not exist yet.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String>;

    /// Reads these keys, each of which has itself as value, and returns how many are there; with `replicas`, at
    /// replicas.
    fn count(&mut self, keys: &[String], replicas: bool) -> usize;
}

/// Writes and answers until nobody asks any more.
pub(crate) fn serve(
    name: &str,
    pace: Duration,
    client: &mut impl Client,
    asked: &Receiver<String>,
    answer: &Sender<String>,
) {
    let (mut keys, mut errors, mut number) = (Vec::<String>::new(), 0, 0);
    let (mut last, mut gap, mut writes) = (Instant::now(), Duration::ZERO, true);
    loop {
        match asked.try_recv() {
            Ok(question) => {
                let counts = |gap: Duration| {
                    format!("{} {errors} {}", keys.len(), gap.max(last.elapsed()).as_millis())
                };
                writes &= question == "report";
                let answered = answer.send(match &*question {
                    "report" | "stop" => counts(std::mem::take(&mut gap)),
                    _ => client.count(&keys, question == "replicas").to_string(),
                });
                if answered.is_err() {
                    return;
                }
            }
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) if writes => {
                // A key that got no answer is not used again: it may be there or not.
                let key = format!("{name}:{number}");
                number += 1;
                match client.set(&key, &key) {
                    Ok(()) => {
                        keys.push(key);
                        gap = gap.max(last.elapsed());
                        last = Instant::now();
                    }
                    Err(why) => {
                        errors += 1;
                        if last.elapsed() > SILENT {
                            println!("{name} has not written for {:?}: {why}", last.elapsed());
                        }
                    }
                }
                std::thread::sleep(pace);
            }
            Err(TryRecvError::Empty) => std::thread::sleep(pace),
        }
    }
}
