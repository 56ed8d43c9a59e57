//! Tests of all sources together, and of the texts that are made from the table.

use super::*;
use crate::log::Fsync;
use crate::options::Eviction;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
    match Config::read(words(flags), variables)? {
        Invocation::Serve(config) => Ok(*config),
        other @ Invocation::Print(_) => panic!("{other:?}"),
    }
}

fn error_text(flags: &[&str], variables: &[(&str, &str)]) -> String {
    read(flags, variables).unwrap_err().to_string()
}

#[test]
fn later_sources_override_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    fs::write(&path, "port 7001\ntimeout 1\nMAXCLIENTS 5\nthreads 3\n").unwrap();
    let file = path.to_str().unwrap();
    let variables = [("HEDGEROW_DB_TIMEOUT", "2"), ("HEDGEROW_DB_MAXCLIENTS", "6")];
    let config = read(&[file, "--maxclients", "7"], &variables).unwrap();
    let found = ["port", "timeout", "maxclients", "threads", "dir"].map(|name| config.get(name));
    assert_eq!(found, ["7001", "2", "7", "3", "./hedgerow-db-data"]);
    assert_eq!(config.file(), Some(&*path));
    // The environment can name the file; an argument overrides it.
    let config = read(&[], &[("HEDGEROW_DB_CONFIG", file)]).unwrap();
    assert_eq!(config.get("port"), "7001");
    let missing = [("HEDGEROW_DB_CONFIG", "/nowhere/a.conf")];
    assert!(read(&[file], &missing).is_ok());
    assert!(error_text(&[], &missing).starts_with("/nowhere/a.conf cannot be read: "));
}

#[test]
fn load_reads_file_and_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    fs::write(&path, "port 7001\ntimeout 1\n").unwrap();
    let variable = || [("HEDGEROW_DB_TIMEOUT".to_owned(), "2".to_owned())];
    let config = Config::load(Some(path), variable()).unwrap();
    assert_eq!((config.get("port"), config.get("timeout")), ("7001", "2"));
    assert_eq!(Config::load(None, variable()).unwrap().get("port"), "6379");
}

#[test]
fn errors_name_the_origin_and_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    fs::write(&path, "port 7001\nappendfsync sometimes\n").unwrap();
    let file = path.to_str().unwrap();
    let wanted = format!(
        "{file}, line 2: invalid value 'sometimes' for appendfsync: expected one of always, everysec, no"
    );
    assert_eq!(error_text(&[file], &[]), wanted);
    fs::write(&path, "prot 7001\n").unwrap();
    let wanted = format!("{file}, line 1: unknown setting 'prot'; did you mean 'port'?");
    assert_eq!(error_text(&[file], &[]), wanted);
    let wanted = "environment variable HEDGEROW_DB_TIMEOUT: invalid value 'soon' for timeout: \
                  expected a number from 0 to 2147483";
    assert_eq!(error_text(&[], &[("HEDGEROW_DB_TIMEOUT", "soon")]), wanted);
    let wanted = "--lua-time-limit: unknown setting 'lua-time-limit'; --help lists all";
    assert_eq!(error_text(&["--lua-time-limit", "5"], &[]), wanted);
}

#[test]
fn conflicting_settings_are_refused() {
    let cases: [&[&str]; 6] = [
        &["--port", "0"],
        &[
            "--tls-port",
            "6379",
            "--tls-cert-file",
            "a",
            "--tls-key-file",
            "b",
            "--tls-auth-clients",
            "no",
        ],
        &["--metrics-port", "6379"],
        &["--tls-port", "7000"],
        &["--tls-port", "7000", "--tls-cert-file", "a", "--tls-auth-clients", "no"],
        &["--tls-port", "7000", "--tls-cert-file", "a", "--tls-key-file", "b"],
    ];
    for flags in cases {
        assert!(matches!(read(flags, &[]), Err(ConfigError::Conflict(_))), "{flags:?}");
    }
    assert!(read(&["--port", "0", "--unixsocket", "/tmp/x"], &[]).is_ok());
}

#[test]
fn grpc_is_not_left_open_by_mistake() {
    let grpc = |flags: &[&str]| read(&[&["--grpc-port", "7000"], flags].concat(), &[]);
    if cfg!(not(feature = "grpc")) {
        assert!(grpc(&[]).is_err());
        return;
    }
    assert_eq!(grpc(&[]).unwrap().grpc(), Some(([127, 0, 0, 1], 7000).into()));
    for flags in [&["--bind", "*"][..], &["--grpc-tls", "yes"], &["--port", "7000"]] {
        assert!(matches!(grpc(flags), Err(ConfigError::Conflict(_))), "{flags:?}");
    }
    for flags in [["--requirepass", "word"], ["--protected-mode", "no"]] {
        assert!(grpc(&[&["--bind", "*"], &flags[..]].concat()).is_ok(), "{flags:?}");
    }
}

#[test]
fn every_setting_reaches_its_option() {
    let flags = [
        ["--port", "7000"],
        ["--bind", "10.0.0.1 -::1"],
        ["--unixsocket", "/run/x"],
        ["--unixsocketperm", "660"],
        ["--requirepass", "word"],
        ["--protected-mode", "no"],
        ["--maxclients", "77"],
        ["--timeout", "7"],
        ["--tcp-keepalive", "8"],
        ["--client-output-buffer-limit", "normal 9mb 2mb 30"],
        ["--client-query-buffer-limit", "5mb"],
        ["--shutdown-timeout", "3"],
        ["--dir", "elsewhere"],
        ["--appendfsync", "always"],
        ["--snapshot-after", "1gb"],
        ["--maxmemory", "2gb"],
        ["--maxmemory-policy", "volatile-ttl"],
        ["--compressed", "1mb"],
        ["--shards", "64"],
        ["--threads", "5"],
        ["--metrics-port", "9000"],
        ["--metrics-bind", "0.0.0.0"],
        ["--loglevel", "debug"],
        ["--appendonly", "yes"],
    ];
    let config = read(&flags.concat(), &[]).unwrap();
    let server = config.server();
    let bind = |text: &str, optional| Bind { address: text.parse().unwrap(), optional };
    assert_eq!(server.binds, [bind("10.0.0.1:7000", false), bind("[::1]:7000", true)]);
    assert_eq!(server.tls_binds, []);
    assert_eq!(
        (server.unix.as_deref(), server.unix_mode),
        (Some(Path::new("/run/x")), Some(0o660))
    );
    assert_eq!((server.password.as_deref(), server.protected_mode), (Some("word"), false));
    assert_eq!((server.max_clients, server.threads, server.output_buffer_limit), (77, 5, 9 << 20));
    assert_eq!((server.soft_output_buffer_limit, server.query_buffer_limit), (2 << 20, 5 << 20));
    assert_eq!(server.soft_output_buffer_time, Duration::from_secs(30));
    let seconds =
        [server.timeout, server.tcp_keepalive, server.shutdown_timeout].map(|time| time.as_secs());
    assert_eq!(seconds, [7, 8, 3]);
    let options = config.options();
    assert_eq!(options.folder.as_deref(), Some(Path::new("elsewhere")));
    assert_eq!((options.fsync, options.eviction), (Fsync::Always, Eviction::VolatileTtl));
    assert_eq!((options.shards, options.max_memory), (64, 2 << 30));
    assert_eq!((options.compressed, options.snapshot_after), (1 << 20, 1 << 30));
    assert_eq!(config.metrics(), Some(([0, 0, 0, 0], 9000).into()));
    assert_eq!(config.log_level(), "debug");
    // All but TLS and gRPC, which other tests cover.
    let set = table::all().filter(|setting| {
        let flag = format!("--{}", setting.name);
        !setting.name.contains("tls-")
            && !setting.name.contains("grpc-")
            && !flags.iter().any(|[name, _]| *name == flag)
    });
    assert_eq!(set.map(|setting| setting.name).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(read(&["--appendonly", "no"], &[]).unwrap().options().folder, None);
}

#[test]
fn the_sample_is_a_file_of_defaults() {
    // With its comment marks removed from the settings, the sample sets every setting to its default.
    let known = |line: &str| {
        let rest = line.strip_prefix("# ")?;
        let name = rest.split(' ').next()?;
        (table::all().any(|setting| setting.name == name)).then(|| rest.to_owned())
    };
    let text: Vec<String> = sample().lines().filter_map(known).collect();
    assert_eq!(text.len(), table::all().count());
    let mut config = Config::default();
    config.apply(source::file(Path::new("sample"), &text.join("\n")).unwrap()).unwrap();
    assert_eq!(config.values, Config::default().values);
}

/// The files in the repository that are made from the table.
#[test]
fn committed_files_match_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("hedgerow-db.conf")).unwrap();
    assert!(text == sample(), "hedgerow-db.conf is not what `hedgerow-db --sample` shows");
    let text = fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    assert!(text.contains(&page()), "docs/configuration.md does not hold:\n{}", page());
}
