//! The command line: the work, then settings as `name=value`.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

/// The bytes from which values are cut: random letters and digits, which hardly compress.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NOISE: usize = 1 << 20;

/// The work, and its settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) work: String,
    /// The node's port.
    pub(crate) port: u16,
    /// The URLs of etcd's members.
    pub(crate) etcd: Vec<String>,
    /// Whether only etcd's leader is asked.
    pub(crate) leader: bool,
    /// Connections to etcd. Clients share them.
    pub(crate) connections: usize,
    pub(crate) clients: usize,
    /// Requests that a client of a node sends together.
    pub(crate) pipeline: usize,
    /// The part of the requests that are reads, for `mix`.
    pub(crate) reads: f64,
    /// Whether a client of a node begins with `READONLY`.
    pub(crate) readonly: bool,
    pub(crate) keys: u64,
    /// The exponent of Zipf's law by which keys are chosen; 0 for uniform ones.
    pub(crate) zipf: f64,
    /// The bytes of a value.
    pub(crate) value: usize,
    /// Requests a second at most; 0 for as many as possible.
    pub(crate) rate: f64,
    /// The time before anything counts.
    pub(crate) warm: Duration,
    pub(crate) time: Duration,
}

impl Settings {
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut settings = Self {
            work: String::new(),
            port: 7001,
            etcd: Vec::new(),
            leader: false,
            connections: 4,
            clients: 64,
            pipeline: 1,
            reads: 0.5,
            readonly: false,
            keys: 100_000,
            zipf: 0.0,
            value: 64,
            rate: 0.0,
            warm: Duration::from_millis(300),
            time: Duration::from_secs(2),
        };
        for argument in arguments {
            let Some((name, value)) = argument.split_once('=') else {
                settings.work = argument;
                continue;
            };
            settings.set(name, value).map_err(|why| format!("{argument}: {why}"))?;
        }
        settings.keys = settings.keys.max(1);
        settings.pipeline = settings.pipeline.max(1);
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
        match name {
            "port" => self.port = number(value)?,
            "etcd" => self.etcd = value.split(',').map(str::to_owned).collect(),
            "leader" => self.leader = number(value)?,
            "connections" => self.connections = number(value)?,
            "clients" => self.clients = number(value)?,
            "pipeline" => self.pipeline = number(value)?,
            "reads" => self.reads = number(value)?,
            "readonly" => self.readonly = number(value)?,
            "keys" => self.keys = number(value)?,
            "zipf" => self.zipf = number(value)?,
            "value" => self.value = number(value)?,
            "rate" => self.rate = number(value)?,
            "warm" => self.warm = Duration::try_from_secs_f64(number(value)?)?,
            "seconds" => self.time = Duration::try_from_secs_f64(number(value)?)?,
            _ => return Err("there is no such setting: see settings.rs".into()),
        }
        Ok(())
    }
}

fn number<T: FromStr<Err: Error + 'static>>(text: &str) -> Result<T, Box<dyn Error>> {
    Ok(text.parse()?)
}

/// A source of keys and values. The same seed gives the same ones.
pub(crate) struct Random {
    seed: u64,
    keys: u64,
    value: usize,
    /// The sums of the keys' probabilities, if they are not uniform.
    sums: Vec<f64>,
    noise: Vec<u8>,
}

impl Random {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        let mut random = Self {
            seed,
            keys: settings.keys,
            value: settings.value,
            sums: Vec::new(),
            noise: Vec::new(),
        };
        let letter = |number: u64| ALPHABET[number as usize % ALPHABET.len()];
        let length = NOISE.max(2 * settings.value);
        random.noise = (0..length).map(|_| letter(random.number())).collect();
        if settings.zipf > 0.0 {
            let mut sum = 0.0;
            let weights = (1..=settings.keys).map(|rank| (rank as f64).powf(-settings.zipf));
            random.sums = weights
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect();
        }
        random
    }

    /// SplitMix64. (Steele, Lea and Flood.)
    pub(crate) fn number(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 to below 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns the number of a key.
    pub(crate) fn key(&mut self) -> u64 {
        let Some(most) = self.sums.last().copied() else { return self.number() % self.keys };
        let wanted = self.part() * most;
        let rank = self.sums.partition_point(|sum| *sum < wanted) as u64;
        // Neighbours by rank are no neighbours by name. The factor is a prime above any number of keys used here.
        rank.min(self.keys - 1).wrapping_mul(15_485_863) % self.keys
    }

    /// Returns a value.
    pub(crate) fn value(&mut self) -> &[u8] {
        let begin = self.number() as usize % (self.noise.len() - self.value);
        &self.noise[begin..begin + self.value]
    }
}

/// Returns the name of a key.
pub(crate) fn name(key: u64) -> String {
    format!("key:{key:012}")
}
