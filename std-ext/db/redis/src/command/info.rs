//! INFO: the server's statistics, under the names that Redis's dashboards and exporters read.

use crate::command::COMPATIBLE;
use crate::command::arguments::is;
use crate::command::cluster::nodes::{Coverage, ShownNodes};
use crate::command::command_stats::{command_stats, error_stats, latency_stats};
use crate::command::context::ServerStats;
use crate::command::diagnostics::KeyspaceCounts;
use crate::command::execute::Execution;
use crate::command::info_lines::{Lines, ratio};
use crate::command::redirects::port;
use crate::command::replication::LinkState;
use crate::command::rows::{Run, alone};
use crate::command::table::Row;
use crate::command::table::groups::Group;
use crate::tracking::Tracking;
use crate::view::{MemberRole, ViewReader};
use hedgerow_db_engine::db::Stats;
use hedgerow_db_engine::log::Fsync;
use hedgerow_db_engine::state::databases::DatabaseStats;
use hedgerow_db_engine::state::slabs::is_compacting;
use std::fmt::Write;
use std::fs::read_to_string;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Clock ticks in a second in Linux's `/proc`.
const TICKS: f64 = 100.0;

type Section = fn(&Execution<'_, '_>, &ServerStats, &Stats, &mut Lines<'_>);

const SECTIONS: [(&str, Section); 12] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Commandstats", command_stats),
    ("Errorstats", error_stats),
    ("Latencystats", latency_stats),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
];

/// The commands of this family.
pub(in crate::command) const COMMANDS: &[Row<Run>] =
    &[alone("info", -1, "loading stale", |e, a| {
        e.info(&a[1..]);
        Ok(())
    })
    .since("1.0.0", Group::Server)
    .syntax("[section...]")
    .summary("Returns information and statistics about the server.")
    .also_in("dangerous")
    .takes_time("O(N), N is the length of the reply")
    .tips("nondeterministic_output request_policy:all_shards response_policy:special")
    .without_data()];

impl<'a> Execution<'_, 'a> {
    /// INFO.
    pub(super) fn info(&mut self, names: &[&'a [u8]]) {
        self.execute_batch();
        let is_wanted = |section: &str| {
            // As in `genInfoSectionDict`: these have a line for each command, so they come only by name or with `all`.
            let by_default = !matches!(section, "Commandstats" | "Latencystats");
            let named = |name: &&[u8]| {
                let is_all = is(name, "all") || is(name, "everything");
                is(name, section) || is_all || by_default && is(name, "default")
            };
            names.is_empty() && by_default || names.iter().any(named)
        };
        let (server, stats) = (self.server.stats(), self.db.stats());
        let mut text = String::new();
        for (name, section) in SECTIONS.iter().filter(|(name, _)| is_wanted(name)) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            section(self, &server, &stats, &mut Lines(&mut text));
        }
        self.reply(|out| out.verbatim(*b"txt", text.as_bytes()));
    }
}

fn server(execution: &Execution<'_, '_>, server: &ServerStats, _: &Stats, out: &mut Lines<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let run = std::env::current_exe().map(|file| file.to_string_lossy().into_owned());
    out.line("redis_version", COMPATIBLE);
    // As a release of Redis has them: tools look for the lines.
    out.line("redis_git_sha1", "00000000");
    out.line("redis_git_dirty", 0);
    out.line("hedgerow_db_version", env!("CARGO_PKG_VERSION"));
    let clustered = execution.group().is_some();
    out.line("redis_mode", if clustered { "cluster" } else { "standalone" });
    out.line("os", format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    out.line("arch_bits", usize::BITS);
    out.line("process_id", std::process::id());
    out.line("run_id", &server.run_id);
    out.line("tcp_port", server.port);
    out.line("server_time_usec", now.as_micros());
    out.line("uptime_in_seconds", server.uptime);
    out.line("uptime_in_days", server.uptime / (24 * 60 * 60));
    out.line("executable", run.unwrap_or_default());
    out.line("config_file", &server.config_file);
    out.line("io_threads_active", u8::from(server.threads > 1));
    out.line("server_threads", server.threads);
}

fn clients(execution: &Execution<'_, '_>, server: &ServerStats, _: &Stats, out: &mut Lines<'_>) {
    out.lines(&[
        ("connected_clients", server.clients),
        ("cluster_connections", 0),
        ("maxclients", server.max_clients),
        ("blocked_clients", execution.meter.diagnostics.blocked_clients()),
        ("tracking_clients", Tracking::of(execution.db.state()).counts().clients),
    ]);
}

fn memory(execution: &Execution<'_, '_>, server: &ServerStats, stats: &Stats, out: &mut Lines<'_>) {
    let resident = resident();
    // What the server counts itself. The allocator's own view differs by fragmentation, for which INFO has other lines.
    let used = stats.memory + server.client_memory;
    out.bytes("used_memory", used);
    out.bytes("used_memory_rss", resident);
    out.bytes("used_memory_peak", peak(used));
    out.line("used_memory_dataset", stats.memory);
    out.line("mem_clients_normal", server.client_memory);
    out.bytes("total_system_memory", system_memory());
    #[cfg(feature = "scripts")]
    out.line("number_of_cached_scripts", crate::scripts::Scripts::of(execution.db).count());
    out.bytes("maxmemory", stats.max_memory);
    out.line("maxmemory_policy", execution.db.eviction().name());
    out.line("mem_fragmentation_ratio", format_args!("{:.2}", ratio(resident, used)));
    out.line("mem_fragmentation_bytes", resident.cast_signed() - used.cast_signed());
    // `maxmemory` is a limit of the data.
    out.line("mem_not_counted_for_evict", server.client_memory);
    out.line("mem_allocator", "system");
    out.line("active_defrag_running", u8::from(is_compacting()));
    out.line("lazyfree_pending_objects", 0);
    out.line("lazyfreed_objects", 0);
}

fn persistence(execution: &Execution<'_, '_>, _: &ServerStats, stats: &Stats, out: &mut Lines<'_>) {
    let options = execution.db.options();
    let status = |fine| if fine { "ok" } else { "err" };
    out.lines(&[
        ("loading", 0),
        ("async_loading", 0),
        ("rdb_changes_since_last_save", stats.entries_since_snapshot),
        ("rdb_bgsave_in_progress", stats.snapshot_in_progress.into()),
        ("rdb_last_save_time", execution.saved_at()),
    ]);
    out.line("rdb_last_bgsave_status", status(!stats.snapshot_failed));
    out.line("rdb_last_load_keys_loaded", execution.db.opened().snapshot_keys);
    out.line("aof_enabled", u8::from(options.folder.is_some()));
    out.line("aof_rewrite_in_progress", 0);
    out.line("aof_rewrite_scheduled", 0);
    out.line("aof_last_bgrewrite_status", "ok");
    // The log of a follower is written by the primary.
    let follows = execution.db.state().role.get().follows();
    out.line("aof_last_write_status", status(follows || execution.db.log().writable()));
    out.line("aof_current_size", stats.log_bytes);
    out.line("log_last_entry", stats.last_entry);
    out.line("log_safe_entry", execution.db.log().committed());
    out.line(
        "log_fsync",
        match options.fsync {
            Fsync::Always => "always",
            Fsync::EverySecond => "everysec",
            Fsync::Never => "no",
        },
    );
    out.line("snapshot_longest_pause_usec", stats.snapshot_pause.as_micros());
}

fn stats(execution: &Execution<'_, '_>, server: &ServerStats, stats: &Stats, out: &mut Lines<'_>) {
    let diagnostics = &execution.meter.diagnostics;
    let keyspace = diagnostics.since_reset(KeyspaceCounts::of(stats));
    let subscribed = execution.server.hub().counts();
    let tracked = Tracking::of(execution.db.state()).counts();
    out.lines(&[
        ("total_connections_received", server.connections),
        ("total_commands_processed", server.commands),
        ("instantaneous_ops_per_sec", server.commands_per_second),
        ("total_net_input_bytes", server.bytes_in),
        ("total_net_output_bytes", server.bytes_out),
        ("rejected_connections", server.rejected),
        ("expired_keys", keyspace.expired),
        ("evicted_keys", keyspace.evicted),
        ("keyspace_hits", keyspace.hits),
        ("keyspace_misses", keyspace.misses),
        ("pubsub_channels", subscribed.channels),
        ("pubsub_patterns", subscribed.patterns),
        ("pubsubshard_channels", subscribed.shard_channels),
        ("latest_fork_usec", 0),
        // MIGRATE keeps no connection.
        ("migrate_cached_sockets", 0),
        ("tracking_total_keys", tracked.keys),
        ("tracking_total_items", tracked.items),
        ("tracking_total_prefixes", tracked.prefixes),
        ("total_error_replies", diagnostics.errors().values().sum()),
    ]);
}

fn replication(
    execution: &Execution<'_, '_>,
    server: &ServerStats,
    stats: &Stats,
    out: &mut Lines<'_>,
) {
    match execution.shown_nodes() {
        None => {
            out.line("role", "master");
            out.line("connected_slaves", 0);
            history(&server.run_id, stats.last_entry, out);
        }
        Some(shown) => {
            if shown.view.role == MemberRole::Primary {
                out.line("role", "master");
                followers(&shown, out);
            } else {
                link(&shown, out);
            }
            history(&shown.view.group.id, shown.own_offset, out);
        }
    }
}

/// Writes the followers of a primary.
fn followers(shown: &ShownNodes<'_>, out: &mut Lines<'_>) {
    let online = shown.online_followers();
    out.line("connected_slaves", online.clone().count());
    for (number, member) in online.enumerate() {
        let (ip, port) = (&member.addresses.ip, port(member, shown.tls));
        let (offset, lag) = (member.offset, member.lag);
        out.line(
            &format!("slave{number}"),
            format_args!("ip={ip},port={port},state=online,offset={offset},lag={lag}"),
        );
    }
}

/// Writes how a follower follows the primary.
fn link(shown: &ShownNodes<'_>, out: &mut Lines<'_>) {
    let primary = shown.view.group.primary();
    let (state, silent) = (LinkState::of(shown), shown.views.staleness(shown.now) / 1000);
    let up = state == LinkState::Connected;
    out.line("role", "slave");
    out.line("master_host", primary.map_or("", |primary| &primary.addresses.ip));
    out.line("master_port", primary.map_or(0, |primary| port(primary, shown.tls)));
    out.line("master_link_status", if up { "up" } else { "down" });
    if up {
        out.line("master_last_io_seconds_ago", silent);
    } else {
        out.line("master_last_io_seconds_ago", -1);
    }
    out.line("master_sync_in_progress", u8::from(state == LinkState::Sync));
    out.line("slave_read_repl_offset", shown.own_offset);
    out.line("slave_repl_offset", shown.own_offset);
    if !up {
        out.line("master_link_down_since_seconds", silent);
    }
    out.line("slave_priority", 100);
    out.line("slave_read_only", 1);
    out.line("replica_announced", 1);
    out.line("connected_slaves", 0);
}

/// Writes the name of the history of changes, and its end.
fn history(name: &str, offset: u64, out: &mut Lines<'_>) {
    out.line("master_failover_state", "no-failover");
    out.line("master_replid", name);
    out.line("master_repl_offset", offset);
    out.line("repl_backlog_active", 0);
}

fn cpu(_: &Execution<'_, '_>, _: &ServerStats, _: &Stats, out: &mut Lines<'_>) {
    let (user, system) = times();
    for (name, seconds) in
        [("sys", system), ("user", user), ("sys_children", 0.0), ("user_children", 0.0)]
    {
        out.line(&format!("used_cpu_{name}"), format_args!("{seconds:.6}"));
    }
}

fn cluster(execution: &Execution<'_, '_>, _: &ServerStats, _: &Stats, out: &mut Lines<'_>) {
    let group = execution.group().map(ViewReader::view);
    out.line("cluster_enabled", u8::from(group.is_some()));
    if let Some(view) = group {
        let coverage = Coverage::of(view);
        out.line("cluster_state", coverage.state());
        out.line("cluster_epoch", view.group.epoch);
        out.line("cluster_known_nodes", coverage.nodes);
        out.line("cluster_spares", view.spares);
        out.line("cluster_coordinates", u8::from(view.coordinates));
    }
}

fn keyspace(execution: &Execution<'_, '_>, _: &ServerStats, _: &Stats, out: &mut Lines<'_>) {
    for DatabaseStats { number, keys, expires, .. } in execution.db.database_stats() {
        let name = format!("db{number}");
        // 0 is what Redis shows before its active expire cycle has sampled any TTL.
        out.line(&name, format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}

/// Returns the resident memory of the process, if the system reports it.
pub(super) fn resident() -> u64 {
    hedgerow_db_engine::state::heap::resident() as u64
}

/// Returns the peak of the used memory, which is `used` now. Usage is not tracked at each allocation, so the peak of
/// the process's resident memory stands in for it.
pub(super) fn peak(used: u64) -> u64 {
    kilobytes("/proc/self/status", "VmHWM:").max(used)
}

fn system_memory() -> u64 {
    kilobytes("/proc/meminfo", "MemTotal:")
}

/// Reads a value in kilobytes from a file of named values, and returns it in bytes.
fn kilobytes(file: &str, name: &str) -> u64 {
    let text = read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) << 10
}

/// Returns the process's CPU time in seconds: user and system.
fn times() -> (f64, f64) {
    let text = read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, which may contain anything, is in parentheses.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse().unwrap_or(0.0));
    let mut next = || fields.next().unwrap_or(0.0) / TICKS;
    (next(), next())
}
