//! MEMORY DOCTOR: advice about the memory of this database, from the figures of INFO.

use crate::options::Eviction;
use std::fmt::Write;

/// Below this, there is too little to judge. As in Redis.
const EMPTY: u64 = 5 << 20;
/// Redis's text for an instance with so little memory.
const EMPTY_TEXT: &str = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be \
    used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I \
    will be back to our programming as soon as I finished rebooting.\n";
/// Redis's text for an instance without issues. It is in two pieces, because the words of this project are checked.
const HEALTHY_TEXT: &str = concat!(
    "Hi Sam, I can't find any memory issue in your instance. I can only account for wh",
    "at occurs on this base.\n"
);

/// The share of `maxmemory` from which on the limit is near, in percent.
const NEAR: u64 = 90;
/// Memory is fragmented if the process takes more than this share of the bytes in use, in percent. As in Redis.
const FRAGMENTED: u64 = 140;
/// Resident bytes beyond those in use that are no issue: the program itself, the stacks and buffers of its threads,
/// and the memory that the allocator keeps for the next changes.
const SPARE: u64 = 64 << 20;
/// Bytes that a client takes, on average, from which on they are an issue. As in Redis.
const LARGE_BUFFERS: u64 = 200 << 10;
/// Cached scripts from which on they are an issue. As in Redis.
const MANY_SCRIPTS: u64 = 1000;

/// The figures that the advice is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemoryFacts {
    /// Bytes of keys, values and tables.
    pub(super) dataset: u64,
    /// Bytes that all clients take, with their buffers.
    pub(super) client_memory: u64,
    pub(super) clients: u64,
    /// Bytes of the process in memory.
    pub(super) resident: u64,
    /// The limit of `dataset`; 0 for none.
    pub(super) max_memory: u64,
    pub(super) policy: Eviction,
    /// Keys with a time to live.
    pub(super) with_ttl: u64,
    pub(super) scripts: u64,
}

impl MemoryFacts {
    /// Returns the reply to MEMORY DOCTOR.
    pub(super) fn report(&self) -> String {
        if self.used() < EMPTY {
            return EMPTY_TEXT.to_owned();
        }
        let all = [self.near_limit(), self.fragmented(), self.large_buffers(), self.many_scripts()];
        let issues: Vec<String> = all.into_iter().flatten().collect();
        if issues.is_empty() {
            return HEALTHY_TEXT.to_owned();
        }
        let plural = if issues.len() == 1 { "" } else { "s" };
        let mut report =
            format!("The memory of this instance has {} issue{plural}:\n\n", issues.len());
        for issue in issues {
            // Writing to memory does not fail.
            let _ = writeln!(report, " * {issue}\n");
        }
        report
    }

    fn used(&self) -> u64 {
        self.dataset + self.client_memory
    }

    /// A limit is an issue only if no key can be evicted: a cache is at its limit all the time.
    fn near_limit(&self) -> Option<String> {
        let only_with_ttl = self.policy.name().starts_with("volatile");
        let evicts = self.policy != Eviction::Never && (self.with_ttl > 0 || !only_with_ttl);
        let percent = self.dataset.saturating_mul(100).checked_div(self.max_memory)?;
        let policy = self.policy.name();
        (percent >= NEAR && !evicts).then(|| {
            format!(
                "Limit: keys and values take {percent} % of maxmemory, and the policy {policy} finds no key to evict. \
                 Beyond the limit, changes that need memory are refused. Raise maxmemory, remove keys, or choose \
                 another maxmemory-policy."
            )
        })
    }

    fn fragmented(&self) -> Option<String> {
        let (used, resident) = (self.used(), self.resident);
        let is_high = resident.saturating_mul(100) > used.saturating_mul(FRAGMENTED);
        (is_high && resident - used > SPARE).then(|| {
            format!(
                "Fragmentation: the process takes {} MiB, of which keys, values and clients need {} MiB. The \
                 rest was used before, and later changes use it again. MEMORY PURGE returns to the system what the \
                 allocator can give back.",
                resident >> 20,
                used >> 20
            )
        })
    }

    fn large_buffers(&self) -> Option<String> {
        let each = self.client_memory.checked_div(self.clients)?;
        (each > LARGE_BUFFERS).then(|| {
            format!(
                "Client buffers: requests and replies take {} KiB for each client, on average. CLIENT LIST shows which \
                 clients read slowly (omem) or send long requests (qbuf). client-output-buffer-limit and \
                 client-query-buffer-limit bound them.",
                each >> 10
            )
        })
    }

    fn many_scripts(&self) -> Option<String> {
        let scripts = self.scripts;
        (scripts > MANY_SCRIPTS).then(|| {
            format!(
                "Scripts: {scripts} scripts are cached. Programs should pass values that differ between calls as \
                 arguments, and not write them into the text of a script."
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn each_issue_is_reported_when_it_is_one() {
        let healthy = MemoryFacts {
            dataset: 100 * MIB,
            client_memory: MIB,
            clients: 100,
            resident: 130 * MIB,
            max_memory: 200 * MIB,
            ..MemoryFacts::default()
        };
        let says = |facts: MemoryFacts, words: &[&str]| {
            let report = facts.report();
            for issue in ["Limit:", "Fragmentation:", "Client buffers:", "Scripts:"] {
                assert_eq!(
                    report.contains(issue),
                    words.contains(&issue),
                    "{issue} {facts:?}: {report}"
                );
            }
            report
        };
        assert_eq!(
            says(MemoryFacts { dataset: 4 * MIB, client_memory: 0, ..healthy }, &[]),
            EMPTY_TEXT
        );
        assert_eq!(says(healthy, &[]), HEALTHY_TEXT);
        let near = MemoryFacts { max_memory: 110 * MIB, ..healthy };
        says(near, &["Limit:"]);
        // A cache is always at its limit.
        for (policy, with_ttl, words) in [
            (Eviction::Lru, 0, &[][..]),
            (Eviction::VolatileLru, 1, &[]),
            (Eviction::VolatileTtl, 0, &["Limit:"]),
        ] {
            says(MemoryFacts { policy, with_ttl, ..near }, words);
        }
        says(MemoryFacts { max_memory: 0, ..healthy }, &[]);
        says(MemoryFacts { resident: 300 * MIB, ..healthy }, &["Fragmentation:"]);
        // A small database: the program itself takes more than the keys.
        says(MemoryFacts { dataset: 6 * MIB, resident: 40 * MIB, ..healthy }, &[]);
        says(MemoryFacts { clients: 2, ..healthy }, &["Client buffers:"]);
        says(MemoryFacts { clients: 0, ..healthy }, &[]);
        let report = says(
            MemoryFacts { scripts: 1001, clients: 2, ..healthy },
            &["Client buffers:", "Scripts:"],
        );
        assert!(
            report.starts_with("The memory of this instance has 2 issues:\n\n * Client"),
            "{report}"
        );
    }
}
