//! The program: a database on one node, for clients of Redis.

mod banner;
#[cfg_attr(not(feature = "cluster"), path = "no_node.rs")]
mod node;
mod reload;

use banner::banner;
use hedgerow_db::config::{Config, DataInvocation, Invocation};
use hedgerow_db::log::OpenError;
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::server::{Loading, Server, ServerConfig, StopHandle};
use hedgerow_db::{Db, Options, Progress, offline};
use reload::{Hangup, Reload};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Exit status if the configuration is wrong.
const EXIT_BAD_CONFIG: u8 = 2;
/// Exit status if the server could not start, or failed.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
    let (arguments, environment) = match arguments_and_environment() {
        Ok(arguments_and_environment) => arguments_and_environment,
        Err(why) => return fail(&why, EXIT_BAD_CONFIG),
    };
    match Config::read(arguments, environment) {
        Ok(Invocation::Serve(config)) => match lacking(&config) {
            Some(why) => fail(why, EXIT_BAD_CONFIG),
            None => match serve(&config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failed) => fail(&failed.why, failed.code),
            },
        },
        Ok(Invocation::Cluster(asked)) => node::administer(&asked),
        Ok(Invocation::Data(asked)) => run_offline(&asked),
        Ok(Invocation::Ephemeral) => match serve_ephemeral() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(&why.to_string(), EXIT_FAILED),
        },
        Ok(Invocation::Print(text)) => print(&text),
        Err(why) => fail(&why.to_string(), EXIT_BAD_CONFIG),
    }
}

/// What a build without the feature says.
const NO_CLUSTER: &str = "cluster requires a build with the feature `cluster`";
const NO_GRPC: &str = "grpc-port requires a build with the feature `grpc`";

/// Returns what these settings need and this build does not have, if there is something.
fn lacking(config: &Config) -> Option<&'static str> {
    if cfg!(not(feature = "cluster")) && config.cluster().is_some() {
        Some(NO_CLUSTER)
    } else if cfg!(not(feature = "grpc")) && config.grpc().is_some() {
        Some(NO_GRPC)
    } else {
        None
    }
}

/// Serves an empty database in memory, until standard input ends or a client stops it.
fn serve_ephemeral() -> io::Result<()> {
    let db = Db::open(Options::in_memory()).map_err(io::Error::other)?;
    let mut settings = ServerConfig::default();
    settings.fit_max_clients_to_file_limit();
    let server = Server::bind(db, settings)?;
    let stop = server.stop_handle();
    for address in server.addresses() {
        print(&format!("redis://{address}\n"));
    }
    let wait = move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stop.stop();
    };
    thread::Builder::new().name("stdin".into()).spawn(wait)?;
    server.run().map(drop)
}

/// Runs a command about a directory that no server has open.
fn run_offline(asked: &DataInvocation) -> ExitCode {
    let mut say = |line: &str| {
        let _ = writeln!(io::stderr(), "{line}");
    };
    let stopped = Arc::<AtomicBool>::default();
    if asked.live.is_some()
        && let Err(why) = note_signals(&stopped)
    {
        return fail(&format!("cannot install signal handlers: {why}"), EXIT_FAILED);
    }
    // Relaxed: a flag that orders nothing.
    let stop = || stopped.load(Ordering::Relaxed);
    match offline::run(asked, &mut io::stdout().lock(), &mut say, &stop) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(why) => fail(&why, EXIT_FAILED),
    }
}

/// Lets SIGINT and SIGTERM set a flag. A second one ends the program at once.
fn note_signals(stopped: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let (flag, status) = (Arc::clone(stopped), EXIT_FAILED.into());
        signal_hook::flag::register_conditional_shutdown(signal, status, flag)?;
        signal_hook::flag::register(signal, Arc::clone(stopped))?;
    }
    Ok(())
}

/// The arguments without the program's name, and the environment variables.
type ProcessInputs = (Vec<String>, Vec<(String, String)>);

/// Reads the arguments and the environment. Text that is not UTF-8 is an error: a password that was converted would
/// lock all clients out, and one that was skipped would let all clients in.
fn arguments_and_environment() -> Result<ProcessInputs, String> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_) if name.starts_with("HEDGEROW_DB_") => {
                return Err(format!("environment variable {name}: not valid UTF-8"));
            }
            Err(_) => {}
        }
    }
    let arguments = std::env::args_os().skip(1).map(|word| {
        word.into_string().map_err(|word| format!("{}: not valid UTF-8", word.to_string_lossy()))
    });
    Ok((arguments.collect::<Result<_, _>>()?, environment))
}

/// Prints to standard output, which may be closed.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

fn fail(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "hedgerow-db: {why}");
    ExitCode::from(code)
}

/// Writes log lines of the configured level to standard error.
fn log_to_stderr(config: &Config) {
    let level = match config.log_level() {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    };
    // Only errors and warnings of the libraries matter here: they log each message.
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN));
    let targets = targets.with_target("hedgerow", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

/// Why the server ends, and its exit code.
struct Failed {
    why: String,
    code: u8,
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self { why, code: EXIT_FAILED }
    }
}

fn serve(config: &Config) -> Result<(), Failed> {
    log_to_stderr(config);
    let (stopper, hangup) = (Arc::<OnceLock<Stopper>>::default(), Arc::<Hangup>::default());
    install_signal_handlers(Arc::clone(&stopper), Arc::clone(&hangup))
        .map_err(|why| format!("cannot install signal handlers: {why}"))?;
    let http = match config.metrics() {
        None => None,
        Some(address) => Some(HttpServer::start(address).map_err(|why| {
            format!("cannot listen on {address}: {why}\n{}", advice(&why, "metrics-port"))
        })?),
    };
    let mut settings = config.server();
    settings.fit_max_clients_to_file_limit();
    let plan = node::Plan::of(config);
    let views = plan.views().map(Arc::clone);
    if let (Some(views), Some(http)) = (&views, &http) {
        http.set_views(views);
    }
    let closed = |why: io::Error| {
        let advice = advice(&why, "port");
        // Wrong users and certificates do not become right by a restart.
        let is_wrong = why.kind() == io::ErrorKind::InvalidInput;
        let code = if is_wrong { EXIT_BAD_CONFIG } else { EXIT_FAILED };
        let why = format!("{why}{}{advice}", if advice.is_empty() { "" } else { "\n" });
        Failed { why, code }
    };
    // Loading can take minutes. Until it is done, clients can connect and get -LOADING replies.
    let progress = Arc::new(Progress::default());
    if let Some(http) = &http {
        http.set_progress(&progress);
    }
    let loading = Loading::start(settings, Arc::clone(&progress)).map_err(closed)?;
    let of_node = Arc::clone(&stopper);
    let stop = move || of_node.get().map(|stopper| stopper.server.stop()).is_some();
    let node = plan.start(config, &progress, stop)?;
    let db = match node.db() {
        Some(db) => db,
        None => Db::open_with_progress(config.options(), &progress)
            .map_err(|why| explain_open_error(&why))?,
    };
    let server = loading.finish(db.clone(), views).map_err(closed)?;
    #[cfg(feature = "grpc")]
    let grpc = grpc(config, &server)?;
    if let Some(http) = &http {
        http.set_server(server.monitor());
        node.report_at(http);
    }
    let release = Mutex::new(node.releaser());
    let stops = Stopper { server: server.stop_handle(), release };
    // Set once, here.
    let _ = stopper.set(stops);
    hangup.set(Reload {
        read: Box::new(read_again),
        config: config.clone(),
        server: server.reloader(),
        #[cfg(feature = "grpc")]
        grpc: grpc.as_ref().map(hedgerow_db::grpc::GrpcServer::reloader),
        node: node.renewer(),
        failed: http.as_ref().map(HttpServer::reload_failed),
    });
    print(&banner(config, &db, server.addresses(), http.as_ref()));
    let ended = server.run().map_err(|why| why.to_string());
    #[cfg(feature = "grpc")]
    drop(grpc);
    let ended = node.end().and(ended);
    tracing::info!("the server has stopped; writing the rest of the log");
    if matches!(&ended, Ok(ended) if ended.save == Some(true))
        && db.options().folder.is_some()
        && let Err(why) = db.snapshot()
    {
        tracing::error!("{why}");
    }
    db.close().map_err(|why| format!("{why}: the last changes may be lost"))?;
    ended.map(drop).map_err(Failed::from)
}

/// Stops the program in an orderly way.
struct Stopper {
    server: StopHandle,
    /// Releases the group of a node, before the server stops.
    release: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Stopper {
    /// Stops the server. A second call stops it at once.
    fn stop(&self) {
        if let Some(release) = self.release.lock().ok().and_then(|mut release| release.take()) {
            let server = self.server.clone();
            // A thread of its own, because a second signal must still be noticed.
            let stop = move || {
                release();
                server.stop();
            };
            if thread::Builder::new().name("release".into()).spawn(stop).is_ok() {
                return;
            }
        }
        self.server.stop();
    }
}

/// Starts the gRPC server, if there is one. It stops when the returned value is dropped.
#[cfg(feature = "grpc")]
fn grpc(
    config: &Config,
    server: &hedgerow_db::server::Server,
) -> Result<Option<hedgerow_db::grpc::GrpcServer>, String> {
    let Some(address) = config.grpc() else { return Ok(None) };
    let options = hedgerow_db::grpc::GrpcOptions::of(config).map_err(|why| why.to_string())?;
    let started = hedgerow_db::grpc::GrpcServer::start_beside(server, address, options);
    started.map(Some).map_err(|why| {
        format!("cannot serve gRPC on {address}: {why}\n{}", advice(&why, "grpc-port"))
    })
}

/// Reads the settings as they were read at the start.
fn read_again() -> Result<Config, String> {
    let (arguments, environment) = arguments_and_environment()?;
    match Config::read(arguments, environment) {
        Ok(Invocation::Serve(config)) => Ok(*config),
        Ok(_) => Err("the arguments do not start a server".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// Shuts the server down at a first signal, and exits at once at a second one. SIGHUP reads certificates and passwords
/// again.
fn install_signal_handlers(stopper: Arc<OnceLock<Stopper>>, hangup: Arc<Hangup>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let handle = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                hangup.heard();
                continue;
            }
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            match stopper.get() {
                Some(stopper) => {
                    tracing::info!("received {name}: shutting down; a second signal exits at once");
                    stopper.stop();
                }
                // No client has been served yet, so no acknowledgement can be lost.
                None => std::process::exit(0),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle).map(drop)
}

/// Returns what to do about an error of listening, or nothing.
fn advice(why: &io::Error, port: &str) -> String {
    match why.kind() {
        ErrorKind::AddrInUse => format!(
            "Another process listens there, perhaps another server. Stop it, or choose another port: --{port} NUMBER"
        ),
        ErrorKind::PermissionDenied if port == "port" => {
            "Ports below 1024 need root. Choose another port: --port NUMBER".to_owned()
        }
        _ => String::new(),
    }
}

fn explain_open_error(why: &OpenError) -> String {
    let advice = match why {
        OpenError::InUse(_) => {
            "Perhaps the server is running already (`fuser DIR` prints the process). Stop it, or choose another \
             directory: --dir DIR. Removing the file `lock` does not help: the lock belongs to the process."
        }
        OpenError::Lost { .. } => {
            "Acknowledged changes are missing. Restore the directory from a backup: a copy of all its files, made \
             while the server was stopped. To continue with the data that is left, copy the directory and then remove \
             the file `manifest` from it."
        }
        OpenError::Damaged { .. } | OpenError::Gap { .. } => {
            "No file was changed. Copy the directory before you do anything else; see docs/guarantees.md."
        }
        _ => "Choose a writable directory: --dir DIR",
    };
    format!("{why}\n{advice}")
}
