//! The program: a database on one node, for clients of Redis.

use hedgerow_db::config::{Config, Invocation};
use hedgerow_db::log::{Corrupt, Fsync};
use hedgerow_db::server::http::HttpServer;
use hedgerow_db::server::{Address, Loading, StopHandle};
use hedgerow_db::{Db, Opened, Progress};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::thread;
use tracing_subscriber::filter::LevelFilter;

/// Ends by it: the settings are wrong.
const EXIT_BAD_CONFIG: u8 = 2;
/// Ends by it: it could not start, or failed.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
    let (arguments, environment) = match process_inputs() {
        Ok(process_inputs) => process_inputs,
        Err(why) => return fail(&why, EXIT_BAD_CONFIG),
    };
    match Config::read(arguments, environment) {
        Ok(Invocation::Serve(config)) => match serve(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(&why, EXIT_FAILED),
        },
        Ok(Invocation::Print(text)) => print(&text),
        Err(why) => fail(&why.to_string(), EXIT_BAD_CONFIG),
    }
}

/// The arguments without the program's name, and the variables of the environment.
type ProcessInputs = (Vec<String>, Vec<(String, String)>);

/// What the settings are read of. What is no text is refused: a password that is not the one that was given would lock
/// everybody out, and one that is passed over would let everybody in.
fn process_inputs() -> Result<ProcessInputs, String> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_) if name.starts_with("HEDGEROW_DB_") => {
                return Err(format!("the environment's {name} is not UTF-8"));
            }
            Err(_) => {}
        }
    }
    let arguments = std::env::args_os().skip(1).map(|word| {
        word.into_string().map_err(|word| format!("{}: not UTF-8", word.to_string_lossy()))
    });
    Ok((arguments.collect::<Result<_, _>>()?, environment))
}

/// To standard output, which may be closed.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

fn fail(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "hedgerow-db: {why}");
    ExitCode::from(code)
}

fn serve(config: &Config) -> Result<(), String> {
    let level = match config.log_level() {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).init();
    let stopper: Arc<OnceLock<StopHandle>> = Arc::default();
    install_signal_handlers(Arc::clone(&stopper)).map_err(|why| format!("signals: {why}"))?;
    let http = match config.metrics() {
        None => None,
        Some(address) => Some(HttpServer::start(address).map_err(|why| {
            format!("cannot listen on {address}: {why}\n{}", advice(&why, "metrics-port"))
        })?),
    };
    let mut settings = config.server();
    settings.max_clients = fit_to_file_limit(settings.max_clients);
    let closed = |why: io::Error| {
        let advice = advice(&why, "port");
        format!("{why}{}{advice}", if advice.is_empty() { "" } else { "\n" })
    };
    // Loading can take a while: the server tells clients so meanwhile.
    let progress = Arc::new(Progress::default());
    if let Some(http) = &http {
        http.set_progress(&progress);
    }
    let loading = Loading::start(settings, Arc::clone(&progress)).map_err(closed)?;
    let db = Db::open_with_progress(config.options(), &progress)
        .map_err(|why| explain_open_error(&why))?;
    let server = loading.finish(db.clone()).map_err(closed)?;
    #[cfg(feature = "grpc")]
    let grpc = grpc(config, &server)?;
    if let Some(http) = &http {
        http.set_server(server.monitor());
    }
    // A second one cannot be there: it is set here alone.
    let _ = stopper.set(server.stop_handle());
    print(&banner(config, &db, server.addresses(), http.as_ref()));
    let ended = server.run().map_err(|why| why.to_string());
    #[cfg(feature = "grpc")]
    drop(grpc);
    tracing::info!("the server has ended; what is left is written");
    if matches!(&ended, Ok(ended) if ended.save == Some(true))
        && db.options().folder.is_some()
        && let Err(why) = db.snapshot()
    {
        tracing::error!("{why}");
    }
    db.close().map_err(|why| format!("{why}: what was last changed may be lost"))?;
    ended.map(drop)
}

/// Serves gRPC beside, until what this returns is dropped.
#[cfg(feature = "grpc")]
fn grpc(
    config: &Config,
    server: &hedgerow_db::server::Server,
) -> Result<Option<hedgerow_db::grpc::GrpcServer>, String> {
    let Some(address) = config.grpc() else { return Ok(None) };
    let options = config.grpc_options().map_err(|why| why.to_string())?;
    let started = hedgerow_db::grpc::GrpcServer::start_beside(server, address, options);
    started.map(Some).map_err(|why| {
        format!("cannot serve gRPC on {address}: {why}\n{}", advice(&why, "grpc-port"))
    })
}

/// Whether the process was started with SIGHUP ignored, as `nohup` does. Only Linux tells.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// Ends the server at a signal, and at once at a second one. If the process was started with SIGHUP
/// ignored, it stays ignored.
fn install_signal_handlers(stopper: Arc<OnceLock<StopHandle>>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    if !ignores_hangup() {
        signals.add_signal(SIGHUP)?;
    }
    let handle = move || {
        for signal in signals.forever() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            match stopper.get() {
                Some(stopper) => {
                    tracing::info!("{name}: it ends; a second one ends it at once");
                    stopper.stop();
                }
                // It has not begun to serve, so nobody was told anything.
                None => std::process::exit(0),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle).map(drop)
}

/// What to do about it.
fn advice(why: &io::Error, port: &str) -> String {
    match why.kind() {
        ErrorKind::AddrInUse => format!(
            "Another program listens there, perhaps a database that runs already. End it, or take another port: \
             --{port} NUMBER"
        ),
        ErrorKind::PermissionDenied if port == "port" => {
            "Ports below 1024 are kept for the system. Take another: --port NUMBER".to_owned()
        }
        _ => String::new(),
    }
}

fn explain_open_error(why: &Corrupt) -> String {
    let advice = match why {
        Corrupt::InUse(_) => {
            "Perhaps it runs already. End that one, or take another folder: --dir FOLDER"
        }
        Corrupt::Lost { .. } => {
            "What was acknowledged is gone. Restore the folder from a backup, which is a copy of all its files. To go \
             on with what is left, keep a copy of the folder and then remove the file `manifest` in it."
        }
        Corrupt::Damaged { .. } | Corrupt::Gap { .. } => {
            "Nothing was changed. Keep a copy of the folder before anything else; the page of guarantees says what can \
             be done."
        }
        _ => "Give a folder that can be written: --dir FOLDER",
    };
    format!("{why}\n{advice}")
}

/// How many clients there may be with the files that the system lets this process open.
fn fit_to_file_limit(clients: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    /// Files besides those of clients.
    const OTHERS: u64 = 256;
    let wanted = clients as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let Some(now) = limit.current.filter(|now| *now < wanted) else { return clients };
    let most = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let raised = rustix::process::Rlimit { current: Some(most), maximum: limit.maximum };
    let got = if setrlimit(Resource::Nofile, raised).is_ok() { most } else { now };
    if got < wanted {
        let fewer = got.saturating_sub(OTHERS).max(1);
        tracing::warn!(
            "the system lets this process open {got} files, so {fewer} clients are served at once instead of \
             {clients}; `ulimit -n` or LimitNOFILE allows more"
        );
        return fewer as usize;
    }
    clients
}

fn banner(config: &Config, db: &Db, addresses: &[Address], http: Option<&HttpServer>) -> String {
    use std::fmt::Write as _;
    let mut text = concat!("hedgerow-db ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    // Writing to a text does not fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(persistence_line(db));
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    line(format!("Listening on {}.", all.join(", ")));
    if let Some(address) = config.grpc() {
        line(format!("gRPC at {address}."));
    }
    if let Some(address) = http.and_then(HttpServer::address) {
        line(format!("Metrics at http://{address}/metrics."));
    }
    let tcp = addresses.iter().find_map(|address| match address {
        Address::Tcp(address) => Some(address),
        _ => None,
    });
    if let Some(address) = tcp {
        let host = match address.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => String::new(),
            ip => format!(" -h {ip}"),
        };
        let password = if config.get("requirepass").is_empty() { "" } else { " --askpass" };
        line(format!("Try: redis-cli{host} -p {}{password} set rose red", address.port()));
    }
    line("Ctrl-C ends it.".to_owned());
    text
}

/// Where data is kept, and what was found there.
fn persistence_line(db: &Db) -> String {
    let Some(folder) = &db.options().folder else {
        return "Nothing is kept: the end loses all.".to_owned();
    };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let when = match db.options().fsync {
        Fsync::Always => "before each change is acknowledged",
        Fsync::EverySecond => "once a second",
        Fsync::Never => "when the system likes",
    };
    format!(
        "Data in {}, forced to the disk {when}.\n{}",
        folder.display(),
        recovery_lines(&folder, db)
    )
}

fn recovery_lines(folder: &Path, db: &Db) -> String {
    let Opened { snapshot_keys, log_entries, truncated_bytes, discarded_entries, took, .. } =
        *db.opened();
    if cut > 0 {
        tracing::warn!(
            "the last {cut} bytes of the log in {} were no whole entry, as a crash leaves it, and were cut off",
            folder.display()
        );
    }
    if discarded_entries > 0 {
        tracing::warn!(
            "{discarded_entries} whole entries were behind it, as a loss of power may leave them that were not forced to the \
             disk; they are kept in a file whose name begins with \"cut-\""
        );
    }
    if snapshot_keys == 0 && entries == 0 {
        return "It was empty.".to_owned();
    }
    let keys = db.stats().keys;
    format!(
        "Loaded {keys} keys in {took:.2?}: {snapshot_keys} from a snapshot, {entries} log entries behind it."
    )
}
