//! Commands that say until when a key lives: the options of SET and its kin, and EXPIRE and its kin.

use crate::ask::{Change, Life, LiveWhen, Look, When};
use crate::command::arguments::{Complaint, NOT_AN_INTEGER, SYNTAX, is, shown};
use crate::command::obey::Turn;
use crate::command::shape::Shape;
use crate::state::number;

/// From when a time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    FromNow,
    At,
}

/// In what a time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

type Counted = (Moment, Unit);

/// How an option counts time, if it does.
fn counted(option: &[u8]) -> Option<Counted> {
    let options = [
        ("ex", (Moment::FromNow, Unit::Seconds)),
        ("px", (Moment::FromNow, Unit::Milliseconds)),
        ("exat", (Moment::At, Unit::Seconds)),
        ("pxat", (Moment::At, Unit::Milliseconds)),
    ];
    options.iter().find(|(name, _)| is(option, name)).map(|&(_, counted)| counted)
}

fn invalid(name: &str) -> Complaint {
    format!("ERR invalid expire time in '{name}' command").into()
}

/// The moment in milliseconds since 1970, which may lie before that.
fn moment(
    (from, unit): Counted,
    time: i64,
    now: impl FnOnce() -> u64,
    name: &str,
) -> Result<i64, Complaint> {
    let time = match unit {
        Unit::Seconds => time.checked_mul(1000),
        Unit::Milliseconds => Some(time),
    };
    let now = || i64::try_from(now()).unwrap_or(i64::MAX);
    let moment = match from {
        Moment::FromNow => time.and_then(|time| time.checked_add(now())),
        Moment::At => time,
    };
    moment.ok_or_else(|| invalid(name))
}

impl<'a> Turn<'_, 'a> {
    /// Until when a key lives that is given this time, of which none is less than one.
    fn life(&self, counted: Counted, time: &[u8], name: &str) -> Result<Life, Complaint> {
        let time = number::integer(time).ok_or(NOT_AN_INTEGER)?;
        if time <= 0 {
            return Err(invalid(name));
        }
        let end = moment(counted, time, || self.session.now(), name)?;
        Ok(Life::Until(end.unsigned_abs()))
    }

    /// SET with options.
    pub(super) fn set(&mut self, arguments: &[&'a [u8]]) -> Result<(), Complaint> {
        let (key, value) = (arguments[1], arguments[2]);
        let (mut when, mut get) = (When::Always, false);
        let mut life: Option<(Counted, &[u8])> = None;
        let mut keeps = false;
        let mut options = arguments[3..].iter();
        while let Some(option) = options.next() {
            if is(option, "nx") && when != When::Present {
                when = When::Absent;
            } else if is(option, "xx") && when != When::Absent {
                when = When::Present;
            } else if is(option, "get") {
                get = true;
            } else if is(option, "keepttl") && life.is_none() {
                keeps = true;
            } else if let Some(counted) = counted(option)
                && !keeps
                // The same once more is taken for better knowledge.
                && life.is_none_or(|(before, _)| before == counted)
                && let Some(time) = options.next()
            {
                life = Some((counted, *time));
            } else {
                return Err(SYNTAX);
            }
        }
        let life = match life {
            Some((counted, time)) => self.life(counted, time, "set")?,
            None if keeps => Life::Keep,
            None => Life::Ever,
        };
        let shape = if get { Shape::Value } else { Shape::Done };
        self.batch.change(key, Change::Set { value, when, life, get }, shape);
        Ok(())
    }

    /// SETEX and PSETEX.
    pub(super) fn set_ex(
        &mut self,
        arguments: &[&'a [u8]],
        unit: Unit,
        name: &'static str,
    ) -> Result<(), Complaint> {
        let life = self.life((Moment::FromNow, unit), arguments[2], name)?;
        let (value, when) = (arguments[3], When::Always);
        let set = Change::Set { value, when, life, get: false };
        self.batch.change(arguments[1], set, Shape::Done);
        Ok(())
    }

    /// GETEX.
    pub(super) fn get_ex(&mut self, arguments: &[&'a [u8]]) -> Result<(), Complaint> {
        let key = arguments[1];
        let life = match &arguments[2..] {
            [] => {
                self.batch.look(key, Look::InPieces, Shape::Value);
                return Ok(());
            }
            [option] if is(option, "persist") => Life::Ever,
            [option, time] => {
                let counted = counted(option).ok_or(SYNTAX)?;
                self.life(counted, time, "getex")?
            }
            _ => return Err(SYNTAX),
        };
        let live = Change::Live { life, when: LiveWhen::Always, get: true };
        self.batch.change(key, live, Shape::Value);
        Ok(())
    }

    /// PERSIST.
    pub(super) fn persist(&mut self, key: &'a [u8]) {
        let live = Change::Live { life: Life::Ever, when: LiveWhen::Always, get: false };
        self.batch.change(key, live, Shape::Integer);
    }

    /// EXPIRE and its kin.
    pub(super) fn expire(
        &mut self,
        arguments: &[&'a [u8]],
        counted: Counted,
        name: &'static str,
    ) -> Result<(), Complaint> {
        let when = condition(&arguments[3..])?;
        let time = number::integer(arguments[2]).ok_or(NOT_AN_INTEGER)?;
        let end = moment(counted, time, || self.session.now(), name)?;
        // What ended before 1970 has ended as well as what ended then.
        let life = Life::Until(u64::try_from(end).unwrap_or(0));
        self.batch.change(arguments[1], Change::Live { life, when, get: false }, Shape::Integer);
        Ok(())
    }
}

/// The condition of EXPIRE.
fn condition(options: &[&[u8]]) -> Result<LiveWhen, Complaint> {
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for option in options {
        if is(option, "nx") {
            nx = true;
        } else if is(option, "xx") {
            xx = true;
        } else if is(option, "gt") {
            gt = true;
        } else if is(option, "lt") {
            lt = true;
        } else {
            let option = String::from_utf8_lossy(shown(option, usize::MAX)).into_owned();
            return Err(format!("ERR Unsupported option {option}").into());
        }
    }
    if nx && (xx || gt || lt) {
        let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
        return Err(text.into());
    }
    if gt && lt {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    Ok(match (nx, xx, gt, lt) {
        (true, ..) => LiveWhen::Endless,
        // No end is the latest, so what gets a later one has one.
        (_, _, true, _) => LiveWhen::Later,
        (_, true, _, true) => LiveWhen::EndingSooner,
        (_, _, _, true) => LiveWhen::Sooner,
        (_, true, ..) => LiveWhen::Ending,
        _ => LiveWhen::Always,
    })
}
