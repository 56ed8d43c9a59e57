//! Scripts that all connections share: their texts by SHA-1, and the switches that stop running ones.

use crate::limits::{SCRIPT_BYTES, SCRIPT_CACHE_BYTES};
use hedgerow_db_engine::Db;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::script_settings::ScriptSettings;
use sha1::{Digest, Sha1};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Bytes that a cached script takes besides its text.
const SCRIPT_HEAD: usize = 256;

/// The SHA-1 of a script, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScriptId([u8; 40]);

impl ScriptId {
    /// Returns the id of a text.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut id = [0; 40];
        for (pair, byte) in id.as_chunks_mut::<2>().0.iter_mut().zip(Sha1::digest(text)) {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        Self(id)
    }

    /// Reads an id in any case. It need not be one of a text.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut id: [u8; 40] = text.try_into().ok()?;
        id.make_ascii_lowercase();
        Some(Self(id))
    }

    /// Returns the forty characters.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The texts of scripts, and the scripts that run.
pub(crate) struct Scripts {
    texts: Mutex<ScriptTexts>,
    /// Rises when a text is removed, so that threads forget what they have compiled.
    removals: AtomicU64,
    switches: Mutex<Vec<Weak<Switch>>>,
    settings: Arc<ScriptSettings>,
}

#[derive(Default)]
struct ScriptTexts {
    by_id: HashMap<ScriptId, Arc<[u8]>>,
    /// The ids of scripts that came with EVAL, in the order in which they came. They are removed if there is no room.
    evaluated: VecDeque<ScriptId>,
    bytes: usize,
}

impl Scripts {
    /// Returns the scripts of a database.
    pub(crate) fn of(db: &Db) -> &Arc<Self> {
        let make = || Arc::new(Self::new(Arc::clone(db.script_settings())));
        db.state().extensions.get_or_init(make)
    }

    /// Knows no script.
    pub(crate) fn new(settings: Arc<ScriptSettings>) -> Self {
        Self {
            texts: Mutex::default(),
            removals: AtomicU64::new(0),
            switches: Mutex::default(),
            settings,
        }
    }

    /// Knows no script, and stops none.
    #[cfg(test)]
    pub(crate) fn with_defaults() -> Self {
        Self::new(Arc::new(ScriptSettings::new(0, true)))
    }

    /// Returns the settings of all scripts.
    pub(crate) fn settings(&self) -> &ScriptSettings {
        &self.settings
    }

    /// Returns the text of a script.
    pub(crate) fn get(&self, id: &ScriptId) -> Option<Arc<[u8]>> {
        lock(&self.texts).by_id.get(id).cloned()
    }

    /// Keeps a text. One that came with EVAL stays until others need its room; one of SCRIPT LOAD stays until SCRIPT
    /// FLUSH. Returns whether there was room.
    pub(crate) fn insert(&self, id: ScriptId, text: &[u8], evaluated: bool) -> bool {
        let bytes = text.len() + SCRIPT_HEAD;
        if text.len() > SCRIPT_BYTES {
            return false;
        }
        let mut texts = lock(&self.texts);
        if texts.by_id.contains_key(&id) {
            if !evaluated {
                texts.evaluated.retain(|other| *other != id);
            }
            return true;
        }
        let mut removed = false;
        while texts.bytes + bytes > SCRIPT_CACHE_BYTES {
            let Some(oldest) = texts.evaluated.pop_front() else { return evaluated };
            let text = texts.by_id.remove(&oldest);
            texts.bytes -= text.map_or(0, |text| text.len() + SCRIPT_HEAD);
            removed = true;
        }
        texts.bytes += bytes;
        texts.by_id.insert(id, text.into());
        if evaluated {
            texts.evaluated.push_back(id);
        }
        drop(texts);
        if removed {
            self.note_removal();
        }
        true
    }

    /// Returns the number of texts.
    pub(crate) fn count(&self) -> usize {
        lock(&self.texts).by_id.len()
    }

    /// Forgets all texts.
    pub(crate) fn clear(&self) {
        *lock(&self.texts) = ScriptTexts::default();
        self.note_removal();
    }

    fn note_removal(&self) {
        // Release: pairs with the acquire in `removals`. A thread that sees the new number compiles anew, and so does
        // not find a text that was removed before the number rose.
        self.removals.fetch_add(1, Ordering::Release);
    }

    /// Returns a number that rises when texts are removed.
    pub(crate) fn removals(&self) -> u64 {
        // Acquire: pairs with the release in `note_removal`, for the reason given there.
        self.removals.load(Ordering::Acquire)
    }

    /// Makes the switch of a thread that runs scripts.
    pub(crate) fn add_switch(&self) -> Arc<Switch> {
        let switch = Arc::new(Switch::default());
        let mut switches = lock(&self.switches);
        switches.retain(|other| other.strong_count() != 0);
        switches.push(Arc::downgrade(&switch));
        switch
    }

    /// Stops all scripts that run. Returns whether there were any.
    pub(crate) fn kill(&self) -> bool {
        let switches = lock(&self.switches);
        // Not `any`: all of them are stopped.
        switches.iter().filter_map(Weak::upgrade).filter(|switch| switch.kill()).count() != 0
    }

    /// Returns whether a script runs.
    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        // Relaxed: the switch is all that the threads share here.
        let runs = |switch: Arc<Switch>| switch.0.load(Ordering::Relaxed) == RUNNING;
        lock(&self.switches).iter().filter_map(Weak::upgrade).any(runs)
    }
}

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const KILLED: u8 = 2;

/// The switch by which other threads stop the script of a thread.
#[derive(Debug, Default)]
pub(crate) struct Switch(AtomicU8);

impl Switch {
    /// Notes that a script begins or ends.
    pub(crate) fn set_running(&self, running: bool) {
        // Relaxed: the switch is all that the threads share here.
        self.0.store(if running { RUNNING } else { IDLE }, Ordering::Relaxed);
    }

    /// Returns whether the script that runs has to stop.
    pub(crate) fn is_killed(&self) -> bool {
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed) == KILLED
    }

    fn kill(&self) -> bool {
        // Relaxed: as above. A script that has ended meanwhile is not marked, so the next one of the thread runs.
        let killed = self.0.compare_exchange(RUNNING, KILLED, Ordering::Relaxed, Ordering::Relaxed);
        killed.is_ok() || self.is_killed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sha1_in_hexadecimal() {
        let id = ScriptId::of(b"return 1");
        assert_eq!(id.as_bytes(), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(ScriptId::parse(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(id));
        assert_eq!(ScriptId::parse(b"e0e1"), None);
    }

    #[test]
    fn the_cache_is_bounded() {
        let scripts = Scripts::with_defaults();
        let loaded = b"return 'loaded'";
        assert!(scripts.insert(ScriptId::of(loaded), loaded, false));
        let before = scripts.removals();
        let text = |n: usize| format!("return {n} --{}", "x".repeat(SCRIPT_BYTES / 2)).into_bytes();
        let count = 4 * SCRIPT_CACHE_BYTES / SCRIPT_BYTES;
        for n in 0..count {
            assert!(scripts.insert(ScriptId::of(&text(n)), &text(n), true));
            assert!(lock(&scripts.texts).bytes <= SCRIPT_CACHE_BYTES);
        }
        assert!(scripts.get(&ScriptId::of(&text(0))).is_none());
        assert!(scripts.get(&ScriptId::of(&text(count - 1))).is_some());
        assert!(scripts.get(&ScriptId::of(loaded)).is_some());
        assert!(scripts.removals() > before);
        // Loaded scripts are not removed for others, so there is no room at last.
        let room =
            (0..count).take_while(|n| scripts.insert(ScriptId::of(&text(*n)), &text(*n), false));
        assert!(room.count() < count);
        assert!(!scripts.insert(ScriptId::of(b""), &vec![b' '; SCRIPT_BYTES + 1], true));
        scripts.clear();
        assert!(scripts.get(&ScriptId::of(loaded)).is_none());
    }

    #[test]
    fn only_running_scripts_are_killed() {
        let scripts = Scripts::with_defaults();
        let (one, other) = (scripts.add_switch(), scripts.add_switch());
        assert!(!scripts.kill());
        one.set_running(true);
        assert!(scripts.kill() && one.is_killed() && !other.is_killed());
        assert!(scripts.kill(), "it has not ended yet");
        one.set_running(false);
        assert!(!scripts.kill() && !one.is_killed());
    }
}
