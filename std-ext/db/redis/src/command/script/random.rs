//! `math.random` as Redis has it: the generator `drand48`, which begins anew for each script.

use crate::command::script::arguments::{bad_argument, int};
use crate::command::script::control::{Control, error_here};
use mlua::{Lua, MultiValue, Table};
use std::rc::Rc;

/// The state at the beginning of each script: that of Redis after its start.
pub(super) const SEED: u64 = 0x1234_abcd_330e;

const START: u64 = 0x330e;
const FACTOR: u64 = 0x5_deec_e66d;
const SUM: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;

/// Returns the state for a seed.
pub(super) fn seeded(seed: i32) -> u64 {
    u64::from(seed.cast_unsigned()) << 16 | START
}

/// Returns the next state.
pub(super) fn next(state: u64) -> u64 {
    state.wrapping_mul(FACTOR).wrapping_add(SUM) & MASK
}

/// Returns the fraction from 0 to 1, without 1, that a state stands for.
pub(super) fn fraction(state: u64) -> f64 {
    // `REDIS_LRAND48_MAX` is 2^31 - 1, so the modulo is what Lua's `math_random` makes of `rand() % RAND_MAX`.
    let most = f64::from(i32::MAX);
    ((state >> 17) as f64 % most) / most
}

/// Sets `math.random` and `math.randomseed`.
pub(super) fn add(lua: &Lua, control: &Rc<Control>, math: &Table) -> mlua::Result<()> {
    let of = Rc::clone(control);
    let random = lua.create_function(move |lua, arguments: MultiValue| {
        of.random.set(next(of.random.get()));
        let r = fraction(of.random.get());
        let limit = |at| int(lua, &arguments, at, "random");
        let empty = |at| bad_argument(lua, at, "random", "interval is empty");
        match arguments.len() {
            0 => Ok(r),
            1 => {
                let most = limit(0)?;
                if most < 1 { Err(empty(0)) } else { Ok((r * f64::from(most)).floor() + 1.0) }
            }
            2 => {
                let (least, most) = (limit(0)?, limit(1)?);
                if most < least {
                    return Err(empty(1));
                }
                // Redis computes the length as an `int`.
                let length = most.wrapping_sub(least).wrapping_add(1);
                Ok((r * f64::from(length)).floor() + f64::from(least))
            }
            _ => Err(error_here(lua, "wrong number of arguments")),
        }
    })?;
    math.raw_set("random", random)?;
    let of = Rc::clone(control);
    let seed = lua.create_function(move |lua, arguments: MultiValue| {
        of.random.set(seeded(int(lua, &arguments, 0, "randomseed")?));
        Ok(())
    })?;
    math.raw_set("randomseed", seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_redis() {
        let first = next(SEED);
        assert_eq!(format!("{:.14}", fraction(first)), "0.39646477363839");
        assert_eq!(format!("{:.0}", (fraction(next(first)) * 10.0).floor() + 1.0), "9");
        assert_eq!(seeded(-1), 0xffff_ffff_330e);
    }
}
