//! Runs a program on a map, and returns the faults of the outcome.

use crate::program::{Op, Program, Verb};
use crate::world::{self, HONEST, LASTING};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex, MutexGuard, Once};
use std::thread;

/// A map under test.
pub trait Subject: Send + Sync + Sized + 'static {
    /// The verbs that it has, in groups. A verb that is listed twice occurs twice as often.
    const VERBS: &'static [&'static [Verb]];
    /// Whether it has lasting keys: keys without a place for a number cannot last.
    const LASTS: bool;
    /// The part of it that each thread has.
    type Local;

    /// Makes a map with the lasting keys, each with its own number as its value.
    fn new(program: &Program) -> Self;

    /// Called by each thread before its first operation.
    fn join(&self, program: &Program) -> Self::Local;

    /// Runs an operation. `rest` runs some of the next ones, for operations that hold a guard meanwhile.
    fn act(&self, local: &Self::Local, op: Op, rest: &mut dyn FnMut());

    /// Calls the map from user code that the map has called.
    fn reenter(&self, local: &Self::Local) {
        let _ = local;
    }

    /// Looks up a lasting key: returns whether it is present, and the number of its value if it has one.
    fn lasting(&self, local: &Self::Local, id: u32) -> Option<Option<u32>>;

    /// Called when all threads are done, before the map is dropped.
    fn end(&mut self) {}
}

/// The stack of a thread. A build without optimization has dozens of copies of a value of 64 KiB on it.
pub const STACK: usize = 32 << 20;

/// Plays the program and returns its findings.
pub fn play<S: Subject>(program: &Program) -> Vec<String> {
    let _one = one_at_a_time();
    catch_messages();
    world::begin();
    let subject = guarded("new", || S::new(program));
    if let Some(subject) = subject {
        let subject = Arc::new(subject);
        world::behave(program.manners());
        let start = Barrier::new(program.threads());
        thread::scope(|scope| {
            for number in 1..program.threads() {
                let (start, subject) = (&start, &subject);
                let work = move || act_all(subject, program, number, start);
                let thread = thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, work).expect("a thread starts");
            }
            act_all(&subject, program, 0, &start);
        });
        world::behave(HONEST);
        let subject = Arc::into_inner(subject);
        guarded("the end", || {
            let mut subject = subject.expect("all threads are done");
            check_all(&subject, program);
            subject.end();
        });
    }
    let alive = world::alive();
    if alive != 0 && !world::leaked() {
        world::note(|| format!("{alive} values were never dropped"));
    }
    world::take_findings()
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs code that must not panic.
fn guarded<R>(what: &str, work: impl FnOnce() -> R) -> Option<R> {
    world::arm(None, None);
    let played = PLAYS.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    PLAYS.set(played);
    result.inspect_err(|payload| judge(what, payload.as_ref())).ok()
}

fn act_all<S: Subject>(subject: &Arc<S>, program: &Program, number: usize, start: &Barrier) {
    world::seed(u64::from(program.choice()) << 8 | number as u64);
    let local = guarded("join", || subject.join(program));
    let played = PLAYS.replace(true);
    start.wait();
    let Some(local) = local else { return PLAYS.set(played) };
    let local = Rc::new(local);
    let (of_hook, its_local) = (Arc::clone(subject), Rc::clone(&local));
    world::set_hook(Some(Rc::new(move || of_hook.reenter(&its_local))));
    let ops = RefCell::new(program.ops_of(number));
    while let Some(op) = next(&ops) {
        act(&**subject, &local, op, &ops);
    }
    world::set_hook(None);
    guarded("a handle's end", || drop(local));
    PLAYS.set(played);
}

fn next(ops: &RefCell<impl Iterator<Item = Op>>) -> Option<Op> {
    ops.borrow_mut().next()
}

fn act<S: Subject>(subject: &S, local: &S::Local, op: Op, ops: &RefCell<impl Iterator<Item = Op>>) {
    world::arm(op.fuse(), op.reentry());
    let result = catch_unwind(AssertUnwindSafe(|| {
        subject.act(local, op, &mut || {
            for _ in 0..op.arg % 8 {
                let Some(op) = next(ops) else { break };
                act(subject, local, op, ops);
            }
        });
    }));
    world::arm(None, None);
    if let Err(payload) = result {
        judge(&format!("{:?}", op.verb(S::VERBS)), payload.as_ref());
    }
    if S::LASTS && op.arg.is_multiple_of(3) {
        guarded("get", || check(subject, local, op.id() % LASTING));
    }
}

/// Checks that a lasting key is present, which no program may change.
fn check<S: Subject>(subject: &S, local: &S::Local, id: u32) {
    match subject.lasting(local, id) {
        None => world::note(|| format!("the lasting key {id} is not found")),
        Some(Some(value)) if value != id => {
            world::note(|| format!("the lasting key {id} has the value {value}"));
        }
        Some(_) => {}
    }
}

fn check_all<S: Subject>(subject: &S, program: &Program) {
    if S::LASTS {
        let local = subject.join(program);
        (0..LASTING).for_each(|id| check(subject, &local, id));
    }
}

/// The lasting keys that a walk met.
#[derive(Debug, Default)]
pub struct Walk {
    met: [u8; LASTING as usize],
}

impl Walk {
    /// The walk meets this key.
    pub fn meet(&mut self, id: u32) {
        if let Some(times) = self.met.get_mut(id as usize) {
            *times = times.saturating_add(1);
        }
    }

    /// Checks at the end of the walk that it met every lasting key once.
    pub fn end(&self, what: &str) {
        for (id, &times) in self.met.iter().enumerate() {
            if times != 1 {
                world::note(|| format!("{what} met the lasting key {id} {times} times"));
            }
        }
    }
}

// ------------------------------------------------------------------------------------------ panics

thread_local! {
    /// The place and the message of this thread's last panic.
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
    /// Whether this thread plays a program. A failing test of another thread reports as usual.
    static PLAYS: Cell<bool> = const { Cell::new(false) };
}

/// Planned panics do not call the hook; others are findings, with their place.
fn catch_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !PLAYS.try_with(Cell::get).unwrap_or(true) {
                return others(info);
            }
            let mut text = String::new();
            let _ = write!(text, "{info}");
            let _ = MESSAGE.try_with(|message| message.replace(text));
        }));
    });
}

/// Panics that the docs promise: the one of std's collections if a size exceeds the address space, and the one of a
/// shared writer that user code calls under its lock.
const PROMISED: [&str; 3] = [
    "capacity overflow",
    "this thread has the lock of the shared writer",
    "codecs must not change their own map",
];

/// Notes an unplanned panic as a finding.
fn judge(what: &str, payload: &(dyn Any + Send)) {
    if world::is_planned(payload) {
        return;
    }
    let message = MESSAGE.take();
    let is_promised = PROMISED.iter().any(|promise| message.contains(promise));
    if !is_promised {
        world::note(|| format!("{what} {}", message.replace('\n', " ")));
    }
}
