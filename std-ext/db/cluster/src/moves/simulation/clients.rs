//! The clients of a run, and the check of their answers.
//!
//! All clients append tokens to registers: each answer must lengthen what earlier answers have shown. Each client also
//! has keys of its own, which it sets, removes and lets expire: it knows what they may contain.

use super::STOP;
use super::node::Process;
use super::world::{SKEW, World};
use hedgerow_db_engine::lock::lock;
use hedgerow_db_engine::log::{LeaseCheck, Log as _, Lsn};
use hedgerow_db_engine::request::{
    Answer, Change, Expiry, Query, Request, RequestError, SetCondition,
};
use hedgerow_db_formats::slots::slot;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The parts of the key space: each is one slot.
pub(super) const TAGS: u64 = 12;
/// Keys of each part that nobody changes.
pub(super) const FILLERS: u64 = 5;
/// The bytes of a token.
const TOKEN: usize = 6;

pub(super) fn tag(number: u64) -> String {
    format!("{{part {number}}}")
}

pub(super) fn slot_of_tag(number: u64) -> u16 {
    slot(tag(number).as_bytes())
}

pub(super) fn filler(tag: &str, number: u64) -> (String, String) {
    (format!("{tag} filler {number}"), format!("{tag}{number}").repeat(12))
}

/// A request of a client.
#[derive(Clone, Debug)]
enum Wish {
    Append(String),
    Read,
    /// Until a time of the wall clock.
    Set(String, Option<u64>),
    Remove,
}

/// An answer: the value that was read, or the new length.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReadResult {
    Value(Option<Vec<u8>>),
    Length(usize),
    Done,
}

/// A register, as the answers show it.
#[derive(Default)]
struct Register {
    /// The tokens that were sent; for acknowledged ones, where they begin.
    tokens: BTreeMap<String, Option<usize>>,
    /// The least length that a later answer may show.
    least: usize,
    /// The longest value that was read.
    read: Vec<u8>,
}

impl Register {
    fn answer(&mut self, least: usize, wish: &Wish, got: &ReadResult) -> Result<(), String> {
        let length = match (wish, got) {
            (Wish::Append(token), ReadResult::Length(length)) => {
                self.tokens.insert(token.clone(), length.checked_sub(TOKEN));
                if *length < least + TOKEN {
                    return Err(format!("{length} bytes after an append to {least}"));
                }
                *length
            }
            (_, ReadResult::Value(value)) => {
                let value = value.clone().unwrap_or_default();
                let (short, long) = (value.len().min(self.read.len()), &self.read);
                if value[..short] != long[..short] {
                    return Err("two reads are no prefixes of each other".to_owned());
                }
                if value.len() < least {
                    return Err(format!("an old read of {} bytes instead of {least}", value.len()));
                }
                let length = value.len();
                if length > self.read.len() {
                    self.read = value;
                }
                length
            }
            _ => return Err("an answer of another kind".to_owned()),
        };
        self.least = self.least.max(length);
        Ok(())
    }

    fn finish(&self, value: &[u8]) -> Result<(), String> {
        for (token, at) in &self.tokens {
            let times = value.chunks(TOKEN).filter(|part| *part == token.as_bytes()).count();
            let there = |at: &usize| value.get(*at..at + TOKEN) == Some(token.as_bytes());
            if times > 1 {
                return Err(format!("the token {token} is there {times} times"));
            }
            if !at.as_ref().is_none_or(there) {
                return Err(format!("the acknowledged token {token} is lost: {at:?} {times}"));
            }
        }
        if !value.starts_with(&self.read) {
            return Err("a read shows what is not there".to_owned());
        }
        Ok(())
    }
}

/// The contents of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Nothing,
    /// A value, and when it expires.
    Value(String, Option<u64>),
}

impl Content {
    /// Returns what a wish leaves behind; nothing if it changes nothing.
    fn after(wish: &Wish) -> Option<Self> {
        match wish {
            Wish::Set(value, end) => Some(Self::Value(value.clone(), *end)),
            Wish::Remove => Some(Self::Nothing),
            Wish::Append(_) | Wish::Read => None,
        }
    }

    /// Whether a read between two times of the true clock may show this value.
    fn may_show(&self, value: Option<&[u8]>, (from, to): (u64, u64)) -> bool {
        match (self, value) {
            (Self::Value(own, end), Some(value)) => {
                own.as_bytes() == value && end.is_none_or(|end| from < end + SKEW)
            }
            (Self::Value(_, Some(end)), None) => to + SKEW > *end,
            (Self::Nothing, None) => true,
            _ => false,
        }
    }
}

/// All that a client's own key may contain.
struct OwnKey(Vec<Content>);

impl OwnKey {
    /// Takes the value that was read between two times of the true clock.
    fn read(&mut self, value: Option<&[u8]>, (from, to): (u64, u64)) -> Result<(), String> {
        let fits = |content: &&Content| content.may_show(value, (from, to));
        let fitting: Vec<_> = self.0.iter().filter(fits).cloned().collect();
        if fitting.is_empty() {
            let value = value.map(String::from_utf8_lossy);
            return Err(format!("it is {value:?} at {from}..{to}, not one of {:?}", self.0));
        }
        // A key that has expired does not come back.
        self.0 = if value.is_none() { vec![Content::Nothing] } else { fitting };
        Ok(())
    }
}

/// The account of all answers.
#[derive(Default)]
pub(super) struct Account {
    registers: BTreeMap<String, Register>,
    own: BTreeMap<String, OwnKey>,
    pub(super) answers: u64,
}

impl Account {
    /// Compares the account with the keys of the logs at the end.
    pub(super) fn finish(
        &mut self,
        found: &BTreeMap<Vec<u8>, Vec<u8>>,
        now: u64,
    ) -> Result<(), String> {
        for (key, register) in &self.registers {
            let value = found.get(key.as_bytes()).map_or(&[][..], |value| value);
            register.finish(value).map_err(|why| format!("{key}: {why}"))?;
        }
        for (key, own) in &mut self.own {
            let value = found.get(key.as_bytes()).map(|value| &value[..]);
            own.read(value, (now, now)).map_err(|why| format!("{key}: {why}"))?;
        }
        for tag in (0..TAGS).map(tag) {
            for (key, value) in (0..FILLERS).map(|number| filler(&tag, number)) {
                if found.get(key.as_bytes()).map(|value| &value[..]) != Some(value.as_bytes()) {
                    return Err(format!("{key}, which nobody changed, is lost"));
                }
            }
        }
        Ok(())
    }
}

/// Writes the keys that nobody changes.
pub(super) async fn fill(world: &World) {
    for number in 0..TAGS {
        let (tag, group) = (tag(number), u32::from(slot_of_tag(number) >= 8192));
        let Some(process) = world.primary(group) else { return };
        let mut last = 0;
        for (key, value) in (0..FILLERS).map(|number| filler(&tag, number)) {
            let change = Change::Set {
                value: value.as_bytes(),
                condition: SetCondition::Always,
                expiry: Expiry::Never,
                get: false,
            };
            let requests = [Request::Change(key.as_bytes(), change)];
            last = lock(&process.session).execute(&requests, &mut |_, _| {});
        }
        while !process.log.commit(last).is_ok_and(|committed| committed) {
            world.delay(1, 2).await;
        }
    }
}

/// A client.
pub(super) struct Client {
    pub(super) world: World,
    pub(super) number: u64,
    pub(super) account: Arc<Mutex<Account>>,
}

/// How a request ended without an answer.
enum Silent {
    /// It was not executed.
    Refused,
    /// It may have been.
    Unknown,
}

impl Client {
    /// Makes requests until the faults have ended, and some more.
    pub(super) async fn run(self) {
        let (mut made, world) = (0, &self.world);
        let goes_on = || {
            let healed = world.scene().healed;
            healed.is_none_or(|healed| world.handle.now() < healed + STOP)
        };
        while goes_on() {
            self.world.delay(1, 60).await;
            made += 1;
            self.request(made).await;
        }
    }

    async fn request(&self, made: u64) {
        let tag = tag(self.world.below(TAGS));
        let (kind, number) = (self.world.below(10), self.number);
        let token = format!("<{number}{made:03}>");
        let own = format!("{tag} of {number}");
        let (key, wish) = match kind {
            0..4 => (format!("{tag} register"), Wish::Append(token)),
            4 => (format!("{tag} register"), Wish::Read),
            5 => (own, Wish::Set(token, None)),
            6 => {
                let end = self.world.wall() + 100 + self.world.below(1500);
                (own, Wish::Set(token, Some(end)))
            }
            7 => (own, Wish::Remove),
            _ => (own, Wish::Read),
        };
        let (is_own, least) = {
            let mut account = lock(&self.account);
            if key.ends_with("register") {
                let register = account.registers.entry(key.clone()).or_default();
                if let Wish::Append(token) = &wish {
                    register.tokens.insert(token.clone(), None);
                }
                (false, register.least)
            } else {
                account.own.entry(key.clone()).or_insert_with(|| OwnKey(vec![Content::Nothing]));
                (true, 0)
            }
        };
        let begin = self.world.wall();
        let mut group = self.world.below(2) as u32;
        // A refused request is made again at the other group, as a client that follows redirections does.
        for _ in 0..40 {
            match self.ask(group, &key, &wish).await {
                Ok(got) => return self.account(&key, is_own, least, &wish, &got, begin),
                Err(Silent::Unknown) => {
                    if let (true, Some(own)) = (is_own, lock(&self.account).own.get_mut(&key)) {
                        own.0.extend(Content::after(&wish));
                    }
                    return;
                }
                Err(Silent::Refused) => {
                    group = 1 - group;
                    self.world.delay(1, 30).await;
                }
            }
        }
    }

    fn account(
        &self,
        key: &str,
        is_own: bool,
        least: usize,
        wish: &Wish,
        got: &ReadResult,
        begin: u64,
    ) {
        let mut account = lock(&self.account);
        account.answers += 1;
        let checked = if is_own {
            let own = account.own.get_mut(key).expect("it was made before");
            match (got, Content::after(wish)) {
                (ReadResult::Value(value), _) => {
                    own.read(value.as_deref(), (begin, self.world.wall()))
                }
                (_, Some(after)) => {
                    own.0 = vec![after];
                    Ok(())
                }
                _ => Err("an answer of another kind".to_owned()),
            }
        } else {
            let register = account.registers.get_mut(key).expect("it was made before");
            register.answer(least, wish, got)
        };
        if let Err(why) = checked {
            self.world.violate(format!("{key}: {why}, answered to {wish:?}"));
        }
    }

    /// Asks the primary of a group.
    async fn ask(&self, group: u32, key: &str, wish: &Wish) -> Result<ReadResult, Silent> {
        let Some(process) = self.world.primary(group) else { return Err(Silent::Refused) };
        // The server does not read from its clients.
        while process.log.backlog() == usize::MAX && process.is_alive() {
            self.world.scene().coverage.case("a client was held back");
            self.world.delay(1, 3).await;
        }
        if !process.is_alive() {
            return Err(Silent::Refused);
        }
        let epoch = process.log.epoch();
        let before = process.log.last();
        let (lsn, answer) = execute(&process, key.as_bytes(), wish);
        let read_index = process.log.read_index(epoch);
        let got = match answer {
            Ok(got) => got,
            Err(RequestError::SlotNotOwned | RequestError::NotPrimary) => {
                return Err(Silent::Refused);
            }
            Err(why) => {
                self.world.violate(format!("{key} is answered by {why}"));
                return Err(Silent::Unknown);
            }
        };
        loop {
            if !process.is_alive() {
                return Err(Silent::Unknown);
            }
            match (process.log.commit(lsn), process.log.check_lease(&read_index)) {
                (Err(_), _) | (_, LeaseCheck::Failed) => return Err(Silent::Unknown),
                (Ok(true), LeaseCheck::Passed) => break,
                _ => self.world.delay(1, 2).await,
            }
        }
        // Otherwise nothing was changed, and the entry is that of an earlier change.
        if lsn > before {
            self.check_owner(&process, key, lsn);
        }
        Ok(got)
    }

    /// A change was acknowledged: its group had the slot.
    fn check_owner(&self, process: &Process, key: &str, lsn: Lsn) {
        let slot = slot(key.as_bytes());
        let scene = self.world.scene();
        let owns = scene.groups[process.group as usize].owned_behind(lsn).contains(slot);
        drop(scene);
        if !owns {
            let group = process.group;
            self.world
                .violate(format!("group {group} has changed {key}, whose slot it does not own"));
        }
    }
}

fn execute(process: &Process, key: &[u8], wish: &Wish) -> (Lsn, Result<ReadResult, RequestError>) {
    let set = |value, end: Option<u64>| Change::Set {
        value,
        condition: SetCondition::Always,
        expiry: end.map_or(Expiry::Never, Expiry::At),
        get: false,
    };
    let request = match wish {
        Wish::Append(token) => Request::Change(key, Change::Append(token.as_bytes())),
        Wish::Read => Request::Read(key, Query::Value),
        Wish::Set(value, end) => Request::Change(key, set(value.as_bytes(), *end)),
        Wish::Remove => Request::Change(key, Change::Delete),
    };
    let mut got = Ok(ReadResult::Done);
    let lsn = lock(&process.session).execute(&[request], &mut |_, answer| {
        got = match answer {
            Answer::Error(why) => Err(why),
            Answer::Bytes(value) => Ok(ReadResult::Value(Some(value.to_vec()))),
            Answer::Nil if matches!(wish, Wish::Read) => Ok(ReadResult::Value(None)),
            Answer::Int(length) if matches!(wish, Wish::Append(_)) => {
                Ok(ReadResult::Length(usize::try_from(length).unwrap_or(0)))
            }
            _ => Ok(ReadResult::Done),
        };
    });
    (lsn, got)
}
