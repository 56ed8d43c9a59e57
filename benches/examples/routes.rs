//! A router's tables in one map, reloaded from their files while readers look packets up in them.
//!
//! ```text
//! cargo run --release --example routes --features std [-- [--seconds N] [FILE...]]
//! ```
//!
//! A look-up finds the route of a packet (the one with the longest prefix) and the name of its service
//! in one snapshot. With no file it reads the machine's own tables, `/proc/net/route` and
//! `/etc/services`. Files have lines of the same forms, or of the form of `ip route`: a prefix or
//! `default`, and then the next hop.
//!
//! The tables rest for N seconds (2), and for N more seconds the program reloads them every 0.1 s. A
//! load publishes the differences. To have some, it also rewrites one entry in a hundred. Each entry
//! has the number of the load that wrote it: a reader that meets a mixture of loads fails the program.

use hedgerow::LeftRightMap;
use hedgerow::left_right::{ReadHandle, WriteHandle};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{array, env, fs, hint, thread};

const OWN_TABLES: [&str; 2] = ["/proc/net/route", "/etc/services"];
/// Each load rewrites one entry in this many.
const SHARE: u64 = 100;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// The entry about the tables as a whole: see `summary`.
    All,
    /// An address, and how many of its bits count; the others are 0.
    Route(u32, u32),
    /// A port, and the number of the protocol.
    Service(u16, u8),
}

struct Entry {
    /// The next hop, or the service's name.
    text: String,
    /// The load that wrote the entry.
    written: u64,
}

fn summary(entries: usize, new: usize) -> String {
    format!("{entries} entries, {new} of them written by this load")
}

/// How many times were how long, in buckets that are a sixteenth of their times wide, or narrower.
type Times = [u64; 1024];

struct Felt {
    times: [Times; 2],
    states: usize,
    /// How many look-ups and states were mixtures of loads.
    mixed: usize,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|why| {
        eprintln!("routes: {why}\nusage: routes [--seconds N] [FILE...]");
        ExitCode::from(2)
    })
}

fn run() -> Result<ExitCode, String> {
    let (mut seconds, mut files) = (2, env::args().skip(1).collect::<Vec<_>>());
    if files.first().is_some_and(|first| first == "--seconds") {
        seconds = files.get(1).and_then(|n| n.parse().ok()).ok_or("--seconds wants a number")?;
        files.drain(..2);
    }
    if files.is_empty() {
        let own = OWN_TABLES.iter().filter(|own| fs::exists(own).is_ok_and(|exists| exists));
        files.extend(own.map(|own| (*own).into()));
    }
    let (mut tables, reader) = LeftRightMap::new();
    load(&mut tables, &files)?;
    let keys = tables.iter().map(|(key, _)| *key);
    let services: Vec<Key> = keys.filter(|key| matches!(key, Key::Service(..))).collect();
    let routes = tables.len() - services.len() - 1;
    let clock = (0..10_000).map(|_| Instant::now().elapsed()).sum::<Duration>() / 10_000;
    println!("{}: {routes} routes, {} services", files.join(" and "), services.len());
    println!("of each look-up's time reading the clock takes {clock:?}\n");

    let half = AtomicUsize::new(0); // 0: at rest, 1: while reloading, 2: the end
    let mut spent = vec![[0; 1024]; 3];
    let felt: Vec<Felt> = thread::scope(|scope| {
        let readers = thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1);
        let spawn = |seed| {
            let (reader, services, half) = (reader.clone(), &services, &half);
            scope.spawn(move || read(&reader, services, half, seed))
        };
        let threads: Vec<_> = (1..=readers as u64).map(spawn).collect();
        thread::sleep(Duration::from_secs(seconds));
        // relaxed, and wherever it is used: it is the join that hands the results over.
        half.store(1, Ordering::Relaxed);
        let second_half = Instant::now();
        while second_half.elapsed().as_secs() < seconds {
            thread::sleep(Duration::from_millis(100));
            match load(&mut tables, &files) {
                Ok(steps) => (0..3).for_each(|at| spent[at][bucket(steps[at])] += 1),
                Err(why) => eprintln!("routes: {why}; the tables stay as they were"),
            }
        }
        half.store(2, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no reader panics")).collect()
    });

    println!("{:22}number       p50       p99     p99.9    p99.99       max", "");
    let all = |half: usize| array::from_fn(|at| felt.iter().map(|felt| felt.times[half][at]).sum());
    show("look-ups at rest", &all(0));
    show("   while reloading", &all(1));
    show("reading files", &spent[0]);
    show("comparing entries", &spent[1]);
    show("publishing", &spent[2]);
    let states = felt.iter().map(|felt| felt.states).min().unwrap_or(0);
    let mixed: usize = felt.iter().map(|felt| felt.mixed).sum();
    let (loads, readers) = (tables.generation(), felt.len());
    println!("\n{readers} readers, each saw at least {states} of {loads} loads; mixtures: {mixed}");
    // Nothing was wrong only if something was looked at.
    Ok(if mixed == 0 && states > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks packets up until there is no such `half`.
fn read(tables: &ReadHandle<Key, Entry>, services: &[Key], half: &AtomicUsize, seed: u64) -> Felt {
    let mut felt = Felt { times: [[0; 1024]; 2], states: 0, mixed: 0 };
    let (mut last, mut random) = (0, seed);
    while let Some(times) = felt.times.get_mut(half.load(Ordering::Relaxed)) {
        // Knuth's generator, whose high bits are random enough.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let address = (random >> 32) as u32;
        let service = services.get((random >> 24) as usize % services.len().max(1));

        let began = Instant::now();
        let snapshot = tables.enter();
        let route = |n| snapshot.get(&Key::Route(prefix(address, n), n));
        let route = (0..=32).rev().find_map(route);
        let service = service.and_then(|service| snapshot.get(service));
        let load = snapshot.generation();
        let found = hint::black_box([route, service]);
        let mut whole = snapshot.get(&Key::All).is_some_and(|all| all.written == load);
        whole &= found.into_iter().flatten().all(|entry| entry.written <= load);
        drop(snapshot);
        times[bucket(began.elapsed())] += 1;

        felt.mixed += usize::from(!whole || load < last);
        if last != load {
            // A load that is new to this reader: it goes through all entries, off the clock.
            let snapshot = tables.enter();
            let load = snapshot.generation();
            let (all, rest) = (snapshot.get(&Key::All), snapshot.len() - 1);
            let new = snapshot.values().filter(|entry| entry.written == load).count() - 1;
            let whole = all.is_some_and(|all| all.text == summary(rest, new));
            felt.mixed += usize::from(!whole);
            felt.states += 1;
            last = load;
        }
    }
    felt
}

fn bucket(time: Duration) -> usize {
    let nanos = time.as_nanos() as u64;
    let shift = (nanos | 31).ilog2() - 4;
    shift as usize * 16 + (nanos >> shift) as usize
}

fn show(what: &str, counts: &Times) {
    let all: u64 = counts.iter().sum();
    print!("{what:18}{all:>10}");
    for share in [50_000, 99_000, 99_900, 99_990, 100_000] {
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen * 100_000 >= all * share
        });
        let at = at.unwrap_or(0) as u64;
        let shift = (at / 16).saturating_sub(1);
        print!("{:>10.1?}", Duration::from_nanos(((at - shift * 16 + 1) << shift) - 1));
    }
    println!();
}

/// Publishes what differs from the files. Returns how long it took to read, to compare, to publish.
fn load(tables: &mut WriteHandle<Key, Entry>, files: &[String]) -> Result<[Duration; 3], String> {
    let began = Instant::now();
    let entries = read_files(files)?;
    let read = Instant::now();
    let (written, count, mut new) = (tables.generation() + 1, entries.len(), 0);
    tables.retain(|key, _| *key == Key::All || entries.contains_key(key));
    for (at, (key, text)) in (0..).zip(entries) {
        let same = tables.get(&key).is_some_and(|old| old.text == text);
        if !same || at % SHARE == written % SHARE {
            tables.insert(key, Entry { text, written });
            new += 1;
        }
    }
    tables.insert(Key::All, Entry { text: summary(count, new), written });
    let changed = Instant::now();
    tables.publish();
    Ok([read - began, changed - read, changed.elapsed()])
}

fn read_files(paths: &[String]) -> Result<HashMap<Key, String>, String> {
    let mut entries = HashMap::new();
    for path in paths {
        let text = fs::read_to_string(path).map_err(|why| format!("{path}: {why}"))?;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or(line);
            let words: Vec<&str> = line.split_whitespace().collect();
            if !words.is_empty() && words[0] != "Iface" {
                let (key, text) = parse(&words)
                    .ok_or(format!("{path}:{number}: neither a route nor a service: {line}"))?;
                // Of several the first counts, as it does in the kernel.
                entries.entry(key).or_insert(text);
            }
        }
    }
    if entries.is_empty() { Err("there is nothing to look up".into()) } else { Ok(entries) }
}

fn parse(words: &[&str]) -> Option<(Key, String)> {
    // As the kernel writes routes: addresses are words whose bytes are in the network's order.
    if let [device, net, gateway, _, _, _, _, mask, ..] = words
        && let [Ok(net), Ok(gateway), Ok(mask)] =
            [net, gateway, mask].map(|word| u32::from_str_radix(word, 16).map(u32::to_be))
    {
        let gateway = Ipv4Addr::from_bits(gateway);
        return Some((Key::Route(net, mask.count_ones()), format!("via {gateway} dev {device}")));
    }
    let (first, rest) = words.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let first = if *first == "default" { "0.0.0.0/0" } else { first };
    let (address, length) = first.split_once('/').unwrap_or((first, "32"));
    if let Ok(address) = address.parse::<Ipv4Addr>() {
        let (net, length) = (address.to_bits(), length.parse().ok()?);
        let is_prefix = length <= 32 && net == prefix(net, length);
        return is_prefix.then(|| (Key::Route(net, length), rest.join(" ")));
    }
    let (port, protocol) = rest[0].split_once('/')?;
    let numbers = [("tcp", 6), ("udp", 17), ("dccp", 33), ("ddp", 37), ("sctp", 132)];
    let (_, protocol) = numbers.into_iter().find(|(name, _)| *name == protocol)?;
    Some((Key::Service(port.parse().ok()?, protocol), first.into()))
}

/// The first `length` bits of an address.
fn prefix(address: u32, length: u32) -> u32 {
    address & !u32::MAX.checked_shr(length).unwrap_or(0)
}
