//! The surroundings of a simulated mover. A process can end at each of its calls: it never comes back from one then.

use super::executor::Handle;
use super::node::Process;
use super::plan::Plan;
use super::world::{World, keys, publishes};
use crate::etcd::{EtcdTransaction, KeyValue, Operation, Range};
use crate::membership::slot_map::SlotMap;
use crate::moves::env::{Env, EnvParts};
use crate::moves::etcd::EtcdAccess;
use crate::peer::Asked;
use crate::peer::{self, Exported};
use hedgerow_db_engine::log::{Log as _, Lsn};
use hedgerow_db_engine::state::State;
use hedgerow_db_engine::state::transfer::Export;
use hedgerow_db_formats::slot_set::SlotSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The bytes of a message.
const MESSAGE: usize = 600;
/// How often the source's state is asked for changes.
const POLL: Duration = Duration::from_millis(4);
/// How often the target is told that it has all, in polls.
const TELL: u32 = 5;
/// After this time a call has no answer.
const SILENCE: Duration = Duration::from_millis(700);

/// A client of the fake etcd.
#[derive(Clone)]
pub(super) struct SimEtcd {
    world: World,
    /// The process that asks; nothing for an administrator.
    of: Option<Arc<Process>>,
}

impl SimEtcd {
    pub(super) fn of_administrator(world: &World) -> Self {
        Self { world: world.clone(), of: None }
    }

    /// Goes on if the process is alive.
    async fn live(&self) {
        if self.of.as_ref().is_some_and(|process| !process.is_alive()) {
            std::future::pending::<()>().await;
        }
    }
}

impl SimEtcd {
    /// Returns whether a request about this key gets no answer.
    fn is_silent(&self, key: &[u8]) -> bool {
        let Some(process) = self.of.as_ref().filter(|_| keys(0).move_id(key).is_some()) else {
            return false;
        };
        let scene = &mut *self.world.scene();
        scene.faults.is_silent(process.group, |step| scene.steps.contains_key(&step))
    }

    /// Waits for an answer that does not come.
    async fn wait_in_vain<T>(&self) -> Result<T, String> {
        self.world.handle.sleep(SILENCE).await;
        self.live().await;
        Err("no answer in time".to_owned())
    }

    /// Stops a process that publishes slots, if the scenario wants it, until the scenario lets it go on.
    async fn pause(&self, asked: &EtcdTransaction) {
        let Some(process) = self.of.as_ref().filter(|_| publishes(asked)) else { return };
        if !self.world.scene().faults.pauses(process.group) {
            return;
        }
        self.world
            .note(|| format!("the primary {} of group {} stops", process.epoch, process.group));
        while self.world.scene().faults.is_paused() {
            self.world.handle.sleep(POLL).await;
        }
        self.world
            .note(|| format!("the primary {} of group {} goes on", process.epoch, process.group));
    }
}

impl EtcdAccess for SimEtcd {
    type Error = String;

    async fn range(&self, range: &Range) -> Result<Vec<KeyValue>, String> {
        self.world.delay(0, 3).await;
        let (from, end) = range.keys.bounds();
        if end.is_empty() && self.is_silent(from) {
            return self.wait_in_vain().await;
        }
        let found = self.world.read_etcd(from, end);
        self.world.delay(0, 3).await;
        self.live().await;
        Ok(found)
    }

    async fn transact(&self, transaction: &EtcdTransaction) -> Result<bool, String> {
        self.live().await;
        let is_silent = |operation: &Operation| match operation {
            Operation::Put { key, .. } => self.is_silent(key),
            _ => false,
        };
        if transaction.then.iter().any(is_silent) {
            return self.wait_in_vain().await;
        }
        self.pause(transaction).await;
        let (world, of, asked) = (self.world.clone(), self.of.clone(), transaction.clone());
        let Plan { arrives_late, loses_answers, .. } = world.scene().plan;
        let (is_late, is_lost) = (world.chance(arrives_late), world.chance(loses_answers));
        let (answer, answered) = oneshot::channel();
        // Not a task of the process: a request that it has sent arrives, even if it ends.
        self.world.handle.spawn(async move {
            if is_late {
                world.delay(700, 3000).await;
                world.scene().coverage.case("a transaction arrived late");
            } else {
                world.delay(1, 5).await;
            }
            if let Some(done) = world.transact(&asked, of.as_ref()) {
                // Fails if nobody waits any more.
                let _ = answer.send(done);
            }
        });
        if is_late || is_lost {
            return self.wait_in_vain().await;
        }
        // An error: the process has ended.
        let done = answered.await;
        self.world.delay(0, 3).await;
        self.live().await;
        done.map_err(|_| "etcd has lost the request".to_owned())
    }
}

/// The surroundings of a process.
#[derive(Clone)]
pub(super) struct SimEnv {
    etcd: SimEtcd,
    process: Arc<Process>,
}

impl SimEnv {
    pub(super) fn new(world: &World, process: &Arc<Process>) -> Self {
        let etcd = SimEtcd { world: world.clone(), of: Some(Arc::clone(process)) };
        Self { etcd, process: Arc::clone(process) }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.world().handle
    }

    fn world(&self) -> &World {
        &self.etcd.world
    }

    /// Returns whether the process hears of changes at once: of those of a part of the time only later.
    fn hears(&self) -> bool {
        !(self.handle().now() / 600_000).is_multiple_of(4)
    }

    /// Returns the process that is taken for the primary of a group, after a way to it.
    async fn primary_of(&self, group: u32) -> Result<Arc<Process>, String> {
        self.etcd.live().await;
        self.world().delay(0, 3).await;
        let primary = self.world().primary(group);
        primary.ok_or_else(|| format!("group {group} has no primary at present"))
    }
}

impl Env for SimEnv {
    type Etcd = SimEtcd;
    type Parts = SimParts;

    fn etcd(&self) -> &SimEtcd {
        &self.etcd
    }

    fn may_have_moves(&self) -> bool {
        self.hears() && !self.world().scene().moves.is_empty()
    }

    fn heard_map(&self, groups: u32) -> Option<SlotMap> {
        let found = self.world().read_etcd(keys(self.process.group).slots().as_bytes(), &[]);
        match found.first().filter(|_| self.hears()) {
            Some(pair) => SlotMap::parse(&pair.value).ok(),
            None => self.hears().then(|| SlotMap::divided(groups)),
        }
    }

    async fn on_state<T: Send + 'static>(
        &self,
        change: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, String> {
        self.world().delay(0, 2).await;
        self.etcd.live().await;
        let changed = change(&self.process.state);
        self.world().delay(0, 2).await;
        self.etcd.live().await;
        Ok(changed)
    }

    async fn committed(&self, entry: Lsn) -> Result<(), String> {
        loop {
            match self.process.log.commit(entry) {
                Ok(true) => return Ok(()),
                Ok(false) => self.world().delay(1, 2).await,
                Err(why) => return Err(why.to_string()),
            }
            self.etcd.live().await;
        }
    }

    async fn export(&self, group: u32, slots: &SlotSet) -> Result<SimParts, String> {
        let source = self.primary_of(group).await?;
        let export = Export::new(Arc::clone(&source.state), slots.clone());
        Ok(SimParts { env: self.clone(), source, slots: slots.clone(), export, idle: 0 })
    }

    async fn leave(&self, group: u32, id: u64) -> Result<(), String> {
        let (done, mut left) = oneshot::channel();
        let primary = self.primary_of(group).await?;
        // Fails if the process has ended.
        let _ = primary.asks.send(Asked::Leave { id, to: self.process.group, done });
        let mut waited = Duration::ZERO;
        while waited < 3 * SILENCE {
            if let Ok(answer) = left.try_recv() {
                self.etcd.live().await;
                return answer;
            }
            self.handle().sleep(POLL).await;
            waited += POLL;
        }
        Err("the source does not answer".to_owned())
    }

    async fn taken(&self, group: u32, id: u64) -> Result<(), String> {
        let primary = self.primary_of(group).await?;
        // As above.
        let _ = primary.asks.send(Asked::Taken { id });
        Ok(())
    }

    fn show(&self, _: SlotMap) {}

    fn is_stopped(&self) -> bool {
        !self.process.is_alive()
    }

    async fn sleep(&self, time: Duration) {
        self.handle().sleep(time).await;
        self.etcd.live().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.process.spawn(self.handle(), task);
    }
}

/// The keys that another process sends. The messages are those of the program, without the wire.
pub(super) struct SimParts {
    env: SimEnv,
    source: Arc<Process>,
    slots: SlotSet,
    export: Export,
    idle: u32,
}

impl EnvParts for SimParts {
    async fn next(&mut self) -> Result<Exported, String> {
        loop {
            self.env.etcd.live().await;
            if !self.source.is_alive() {
                self.env.handle().sleep(SILENCE).await;
                return Err("the source does not answer".to_owned());
            }
            let next = peer::next(&self.source.state, &self.slots, &mut self.export, MESSAGE);
            let part = match next {
                peer::NextPart::Items(items) => {
                    self.idle = 0;
                    Exported::Items(items)
                }
                peer::NextPart::Frozen { horizon, keys } => Exported::Frozen { horizon, keys },
                peer::NextPart::Over => return Err("it is not the primary of its group".to_owned()),
                peer::NextPart::Nothing { horizon } => {
                    self.idle += 1;
                    if self.idle % TELL != 1 {
                        self.env.handle().sleep(POLL).await;
                        continue;
                    }
                    Exported::CaughtUp { horizon }
                }
            };
            self.env.world().delay(0, 5).await;
            return Ok(part);
        }
    }
}
