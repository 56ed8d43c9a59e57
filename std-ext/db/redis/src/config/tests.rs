//! Tests of all sources together, and of the texts that are made from the table.

use super::*;
use crate::config::value::ValueKind;
use hedgerow_db_engine::encodings::EncodingLimit;
use hedgerow_db_engine::options::{Eviction, Fsync};
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
        other => panic!("{other:?}"),
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
fn classes_of_output_limits_may_have_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    let lines = "client-output-buffer-limit normal 64mb 0 0\nclient-output-buffer-limit pubsub 32mb 8mb 60\n";
    fs::write(&path, lines).unwrap();
    let file = path.to_str().unwrap();
    let limits = |flags: &[&str]| {
        let server = read(flags, &[]).unwrap().server();
        (server.output.hard >> 20, server.subscriber_output.hard >> 20)
    };
    assert_eq!(limits(&[file]), (64, 32), "the first line is lost");
    let flag = ["--client-output-buffer-limit", "PUBSUB 16mb 0 0"];
    assert_eq!(limits(&[file, flag[0], flag[1]]), (64, 16));
}

#[test]
fn a_second_word_is_no_part_of_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.conf");
    let password = |line: &str| {
        fs::write(&path, format!("requirepass {line}\n")).unwrap();
        read(&[path.to_str().unwrap()], &[]).map(|config| config.get("requirepass").to_owned())
    };
    for line in ["red # a comment", "red  rose", "\"red\" rose"] {
        let why = password(line).expect_err("a comment is part of a password").to_string();
        assert!(why.contains("a string, quoted if it contains spaces"), "{why}");
    }
    assert_eq!(password("'red  # rose'").unwrap(), "red  # rose");
    assert_eq!(password("red#rose").unwrap(), "red#rose");
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
    let wanted = "--active-defrag: unknown setting 'active-defrag'; --help lists all";
    assert_eq!(error_text(&["--active-defrag", "5"], &[]), wanted);
}

#[test]
fn conflicting_settings_are_refused() {
    let cases: [&[&str]; 8] = [
        &["--port", "0"],
        &["--cluster-name", "roses"],
        &["--cluster-etcd", "http://127.0.0.1:2379"],
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
        ["--aclfile", "/etc/users"],
        ["--acllog-max-len", "5"],
        ["--acl-pubsub-default", "allchannels"],
        ["--protected-mode", "no"],
        ["--maxclients", "77"],
        ["--timeout", "7"],
        ["--busy-reply-threshold", "8"],
        ["--script-time-limit", "9"],
        ["--default-lua-flags", "none"],
        ["--tcp-keepalive", "8"],
        ["--client-output-buffer-limit", "normal 9mb 2mb 30"],
        ["--client-query-buffer-limit", "5mb"],
        ["--shutdown-timeout", "3"],
        ["--dir", "elsewhere"],
        ["--appendfsync", "always"],
        ["--snapshot-after", "1gb"],
        ["--maxmemory", "2gb"],
        ["--maxmemory-policy", "volatile-ttl"],
        ["--maxmemory-samples", "10"],
        ["--lfu-log-factor", "11"],
        ["--lfu-decay-time", "12"],
        ["--hash-max-listpack-entries", "100"],
        ["--hash-max-listpack-value", "10"],
        ["--list-max-listpack-size", "-5"],
        ["--list-compress-depth", "2"],
        ["--set-max-intset-entries", "11"],
        ["--zset-max-listpack-entries", "12"],
        ["--zset-max-listpack-value", "13"],
        ["--stream-node-max-entries", "14"],
        ["--stream-node-max-bytes", "15"],
        ["--compressed", "1mb"],
        ["--databases", "300"],
        ["--shards", "64"],
        ["--threads", "5"],
        ["--metrics-port", "9000"],
        ["--metrics-bind", "0.0.0.0"],
        ["--loglevel", "debug"],
        ["--appendonly", "yes"],
        ["--slowlog-log-slower-than", "-1"],
        ["--slowlog-max-len", "9"],
        ["--enable-debug-command", "local"],
        ["--notify-keyspace-events", "EnK$"],
        ["--tracking-table-max-keys", "8"],
        ["--latency-monitor-threshold", "7"],
        ["--latency-tracking", "no"],
        ["--latency-tracking-info-percentiles", "50"],
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
    assert_eq!(server.acl_file.as_deref(), Some(Path::new("/etc/users")));
    assert_eq!((server.max_clients, server.threads), (77, 5));
    let mut lowered = server.clone();
    lowered.set_max_clients(9);
    let shown = lowered.settings.iter().find(|(name, _)| name == "maxclients");
    assert_eq!(shown.map(|(_, value)| &**value), Some("9"), "clients are told the old maximum");
    let output = OutputLimit { hard: 9 << 20, soft: 2 << 20, soft_time: Duration::from_secs(30) };
    assert_eq!((server.output, server.query_buffer_limit), (output, 5 << 20));
    let seconds =
        [server.timeout, server.tcp_keepalive, server.shutdown_timeout].map(|time| time.as_secs());
    assert_eq!(seconds, [7, 8, 3]);
    let options = config.options();
    assert_eq!(options.folder.as_deref(), Some(Path::new("elsewhere")));
    assert_eq!((options.fsync, options.eviction), (Fsync::Always, Eviction::VolatileTtl));
    assert_eq!((options.databases, options.shards, options.max_memory), (300, 64, 2 << 30));
    assert_eq!((options.lfu_log_factor, options.lfu_decay_time), (11, 12));
    assert_eq!(options.eviction_samples, 10);
    let encodings = EncodingLimit::ALL.map(|limit| options.encodings.get(limit));
    assert_eq!(encodings, [100, 10, 11, 12, 13, 14]);
    assert_eq!((options.script_time_limit, options.allow_undeclared_keys), (9, false));
    assert_eq!((options.compressed, options.snapshot_after), (1 << 20, 1 << 30));
    assert_eq!(config.metrics(), Some(([0, 0, 0, 0], 9000).into()));
    assert_eq!(config.log_level(), "debug");
    let events = ("notify-keyspace-events".to_owned(), "$nKE".to_owned());
    assert!(server.settings.contains(&events), "the letters of events are not normalized");
    // All but TLS, gRPC and the cluster, which other tests cover.
    let set = table::all().filter(|setting| {
        let flag = format!("--{}", setting.name);
        !setting.name.contains("tls-")
            && !setting.name.contains("grpc-")
            && !setting.name.starts_with("cluster")
            && !flags.iter().any(|[name, _]| *name == flag)
    });
    assert_eq!(set.map(|setting| setting.name).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(read(&["--appendonly", "no"], &[]).unwrap().options().folder, None);
}

const CLUSTERED: [&str; 6] =
    ["--cluster", "yes", "--cluster-name", "roses", "--cluster-etcd", "http://127.0.0.1:2379"];

#[test]
fn a_node_is_of_a_cluster_if_its_settings_say_so() {
    assert_eq!(Config::default().cluster(), None);
    assert!(read(&CLUSTERED, &[]).unwrap().cluster().is_some());
}

#[test]
fn every_setting_of_the_cluster_reaches_its_field() {
    use std::path::PathBuf;
    let config = read(&CLUSTERED, &[]).unwrap();
    assert_eq!(config.server().settings.last().unwrap().1, "yes");
    let found = config.cluster().unwrap();
    let times = [found.lease, found.max_stale, found.max_skew].map(|time| time.as_millis());
    assert_eq!((times, found.copies, found.max_entry), ([3000, 10_000, 10_000], 2, 32 << 20));
    assert_eq!((found.reads, found.endpoint_type), (ClusterReads::Lease, EndpointType::Ip));
    assert_eq!((found.etcd.user, found.etcd.identity, found.etcd.quota), (None, None, 0));
    let bind = |text: &str, optional| Bind { address: text.parse().unwrap(), optional };
    assert_eq!(found.peer.binds, [bind("127.0.0.1:16379", false), bind("[::1]:16379", true)]);
    let announce = AnnouncedAddresses { port: 6379, peer_port: 16_379, ..Default::default() };
    assert_eq!((found.announce, found.peer.tls), (announce, None));
    let flags = [
        ["--cluster", "yes"],
        ["--cluster-name", "Red.roses-2_x"],
        ["--cluster-etcd", "https://a:1,https://b:2"],
        ["--cluster-etcd-user", "rose"],
        ["--cluster-etcd-password", "red"],
        ["--cluster-etcd-ca-cert-file", "ca"],
        ["--cluster-etcd-cert-file", "cert"],
        ["--cluster-etcd-key-file", "key"],
        ["--cluster-etcd-quota", "4gb"],
        ["--cluster-lease", "500"],
        ["--cluster-reads", "log"],
        ["--cluster-max-stale", "700"],
        ["--cluster-max-skew", "900"],
        ["--cluster-group", "2"],
        ["--cluster-groups", "3"],
        ["--cluster-replicas", "2"],
        ["--cluster-zone", "east-1"],
        ["--cluster-ordinal", "7"],
        ["--cluster-forget", "3"],
        ["--cluster-max-entry", "1mb"],
        ["--cluster-copies", "3"],
        ["--cluster-move-rate", "16mb"],
        ["--cluster-peer-port", "9001"],
        ["--cluster-peer-bind", "127.0.0.1"],
        ["--cluster-insecure", "yes"],
        ["--cluster-announce-ip", "fd00::1"],
        ["--cluster-announce-hostname", "one.example"],
        ["--cluster-announce-port", "9002"],
        ["--cluster-announce-tls-port", "9003"],
        ["--cluster-announce-peer-port", "9004"],
        ["--cluster-preferred-endpoint-type", "hostname"],
    ];
    let all = flags.concat();
    if cfg!(feature = "tls") {
        let found = read(&all, &[]).unwrap().cluster().unwrap();
        let wanted = ClusterSettings {
            name: "Red.roses-2_x".into(),
            group: 2,
            auto_group: false,
            groups: 3,
            replicas: 2,
            zone: "east-1".into(),
            ordinal: Some(7),
            autoscale: None,
            forget: Some(Duration::from_secs(3)),
            etcd: EtcdSettings {
                endpoints: vec!["https://a:1".into(), "https://b:2".into()],
                user: Some(("rose".into(), "red".into())),
                authorities: Some(PathBuf::from("ca")),
                identity: Some((PathBuf::from("cert"), PathBuf::from("key"))),
                quota: 4 << 30,
            },
            lease: Duration::from_millis(500),
            reads: ClusterReads::Log,
            max_stale: Duration::from_millis(700),
            max_skew: Duration::from_millis(900),
            max_entry: 1 << 20,
            copies: 3,
            move_rate: 16 << 20,
            peer: PeerSettings {
                binds: vec![bind("127.0.0.1:9001", false)],
                tls: None,
                insecure: true,
            },
            announce: AnnouncedAddresses {
                ip: Some("fd00::1".into()),
                hostname: Some("one.example".into()),
                port: 9002,
                tls_port: 9003,
                peer_port: 9004,
            },
            endpoint_type: EndpointType::Hostname,
            formats: Formats::default(),
        };
        assert_eq!(found, wanted);
    }
    let set = table::all().filter(|setting| {
        let flag = format!("--{}", setting.name);
        // The others have a test of their own.
        let is_ours = setting.name.starts_with("cluster") && !setting.name.contains("autoscale");
        is_ours && !flags.iter().any(|[name, _]| *name == flag)
    });
    assert_eq!(set.map(|setting| setting.name).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_node_may_leave_its_group_to_the_cluster() {
    let found = |group: &str| {
        let config = read(&[&CLUSTERED[..], &["--cluster-group", group]].concat(), &[]);
        config.map(|config| config.cluster().unwrap()).map(|found| (found.group, found.auto_group))
    };
    assert_eq!((found("7").unwrap(), found("auto").unwrap()), ((7, false), (0, true)));
    let why = found("4096").unwrap_err().to_string();
    assert!(why.contains("expected a number from 0 to 4095, or auto"), "{why}");
    let settings = read(&CLUSTERED, &[]).unwrap().cluster().unwrap();
    assert_eq!((settings.replicas, settings.forget), (1, Some(Duration::from_secs(600))));
    let never = read(&[&CLUSTERED[..], &["--cluster-forget", "0"]].concat(), &[]).unwrap();
    assert_eq!(never.cluster().unwrap().forget, None);
}

#[test]
fn a_node_has_the_number_of_its_host() {
    let found = |flags: &[&str]| {
        read(&[&CLUSTERED[..], flags].concat(), &[]).unwrap().cluster().unwrap().ordinal
    };
    let host = |name| found(&["--cluster-announce-hostname", name]);
    assert_eq!((found(&[]), host("roses-12.nodes-3.example")), (None, Some(12)));
    assert_eq!(
        (host("roses"), host("roses-a"), host("7"), host("roses-65536")),
        (None, None, None, None)
    );
    let both = ["--cluster-announce-hostname", "roses-12", "--cluster-ordinal", "3"];
    assert_eq!(found(&both), Some(3));
}

#[test]
fn a_cluster_asks_for_nodes_by_its_settings() {
    let on = ["--cluster-group", "auto", "--cluster-autoscale", "yes"];
    let found = |flags: &[&str]| {
        let config = read(&[&CLUSTERED[..], &on, flags].concat(), &[]);
        config.map(|config| config.cluster().unwrap().autoscale.unwrap())
    };
    let seconds = Duration::from_secs;
    let wanted = AutoscaleSettings {
        min: 0,
        max: 9,
        out_above: 750,
        out_after: seconds(120),
        full_within: Some(seconds(600)),
        in_below: 400,
        in_after: seconds(1800),
        rest_below: 600,
        average: seconds(120),
    };
    assert_eq!(found(&["--cluster-autoscale-max", "9"]).unwrap(), wanted);
    let values = [
        "min 6",
        "max 18",
        "out 80",
        "out-after 60",
        "full-within 0",
        "in 30",
        "in-after 900",
        "rest 50",
        "average 90",
    ];
    let flags: Vec<String> =
        values.iter().map(|value| format!("--cluster-autoscale-{value}")).collect();
    let flags: Vec<&str> = flags.iter().flat_map(|flag| flag.split(' ')).collect();
    let other = AutoscaleSettings {
        min: 6,
        max: 18,
        out_above: 800,
        out_after: seconds(60),
        full_within: None,
        in_below: 300,
        in_after: seconds(900),
        rest_below: 500,
        average: seconds(90),
    };
    assert_eq!(found(&flags).unwrap(), other);
    let all = table::all().filter(|setting| setting.name.starts_with("cluster-autoscale-"));
    assert_eq!(all.count(), values.len());
    let refused = |flags: &[&str], why: &str| {
        let text = found(flags).unwrap_err().to_string();
        assert!(text.contains(why), "{flags:?}: {text}");
    };
    refused(&[], "requires cluster-autoscale-max");
    refused(
        &["--cluster-autoscale-max", "9", "--cluster-group", "1"],
        "requires cluster-group auto",
    );
    let of_groups = ["--cluster-autoscale-max", "9", "--cluster-groups", "5"];
    refused(&of_groups, "at least 10");
    refused(&["--cluster-autoscale-max", "9", "--cluster-autoscale-min", "10"], "at least");
    for wrong in [["in", "60"], ["rest", "75"]] {
        let name = format!("--cluster-autoscale-{}", wrong[0]);
        refused(&["--cluster-autoscale-max", "9", &name, wrong[1]], "just released");
    }
}

#[test]
fn a_node_announces_the_only_address_that_it_listens_on() {
    let announced = |flags: &[&str]| {
        read(&[&CLUSTERED[..], flags].concat(), &[]).unwrap().cluster().unwrap().announce.ip
    };
    assert_eq!(announced(&[]), None);
    assert_eq!(announced(&["--bind", "127.0.0.1"]), Some("127.0.0.1".into()));
    let open = ["--cluster-insecure", "yes", "--bind"];
    assert_eq!(announced(&[&open[..], &["10.0.0.1"]].concat()), Some("10.0.0.1".into()));
    assert_eq!(announced(&[&open[..], &["*"]].concat()), None);
}

#[test]
fn contradictions_in_a_cluster_get_sentences() {
    let refused = |flags: &[&str], why: &str| {
        let refused = read(&[&CLUSTERED[..], flags].concat(), &[]).err();
        let text = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(why), "{flags:?}: {text}");
    };
    refused(&["--cluster-name", ""], "cluster requires cluster-name");
    refused(&["--cluster-name", "a/b"], "cluster requires cluster-name");
    refused(&["--cluster-etcd", ""], "cluster requires cluster-etcd");
    refused(&["--cluster-etcd", "http://127.0.0.1,https://127.0.0.2"], "must all begin with");
    refused(&["--appendonly", "no"], "cluster requires appendonly yes");
    refused(&["--cluster-etcd-user", "rose"], "require each other");
    refused(&["--cluster-etcd-password", "red"], "require each other");
    refused(&["--cluster-etcd-key-file", "a"], "require each other");
    refused(&["--cluster-etcd-ca-cert-file", "a"], "cluster-etcd needs https://");
    refused(&["--cluster-etcd", "http://10.0.0.1"], "requires https://, or cluster-insecure yes");
    refused(&["--port", "0", "--unixsocket", "/tmp/x"], "cluster requires port or tls-port");
    refused(&["--port", "60000"], "set cluster-peer-port");
    refused(&["--cluster-peer-port", "6379"], "cluster-peer-port and port must differ");
    refused(&["--metrics-port", "16379"], "cluster-peer-port and metrics-port must differ");
    refused(&["--bind", "*"], "the peer port on an address that other machines can reach");
    refused(&["--cluster-peer-bind", "10.0.0.1"], "the peer port on an address");
    refused(&["--cluster-announce-ip", "one.example"], "takes an IP address");
    refused(&["--cluster-zone", "a b"], "cluster-zone takes up to 255 letters");
    refused(&["--cluster-announce-hostname", "a b"], "takes up to 255 letters");
    refused(&["--cluster-preferred-endpoint-type", "hostname"], "cluster-announce-hostname");
    refused(&["--cluster-lease", "499"], "expected a number from 500 to 60000");
    let taken = |flags: &[&str]| {
        let read = read(&[&CLUSTERED[..], flags].concat(), &[]);
        assert!(read.is_ok(), "{flags:?}: {read:?}");
    };
    taken(&["--cluster-etcd", "http://localhost,http://[::1]:1"]);
    taken(&["--bind", "*", "--cluster-peer-bind", "127.0.0.1 ::1"]);
    taken(&["--bind", "*", "--cluster-insecure", "yes", "--cluster-etcd", "http://10.0.0.1"]);
    taken(&["--port", "60000", "--cluster-peer-port", "7"]);
    if cfg!(feature = "tls") {
        taken(&["--cluster-etcd", "https://10.0.0.1"]);
        let files = ["--tls-cert-file", "a", "--tls-key-file", "b", "--tls-ca-cert-file", "c"];
        taken(&[&["--bind", "*"], &files[..]].concat());
    }
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
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = fs::read_to_string(root.join("hedgerow-db.conf")).unwrap();
    assert!(text == sample(), "hedgerow-db.conf is not what `hedgerow-db --sample` shows");
    let text = fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    assert!(text.contains(&page()), "docs/configuration.md does not hold:\n{}", page());
}

/// As redis-server 7.0.15 shows them.
#[test]
fn percentiles_have_six_digits() {
    for (given, shown) in [
        ("0.0 50.10 99.999 100.0", "0 50.1 99.999 100"),
        ("33.333333333333", "33.333333"),
        ("1e1", "10"),
        ("", ""),
    ] {
        assert_eq!(ValueKind::Percentiles.parse(given).as_deref(), Ok(shown));
    }
    assert!(ValueKind::Percentiles.parse("50 101").is_err());
}
