//! The scores of sorted sets as text: what Redis reads as a number, and how it writes one.
//!
//! Redis reads them with C's `strtod`, so numbers may also be hexadecimal, and writes them with `%.17g`.

use crate::number;
use rustc_apfloat::ieee::Double;
use rustc_apfloat::{Float as _, Round, Status};

/// A number that was read.
struct Parsed {
    number: f64,
    /// Whether the text has a number that is too large, or is not zero although this one is.
    is_lost: bool,
}

/// Parses a score, or any other number that an argument is. `None` for NaNs, for overflow and underflow to zero, and
/// for any other text.
pub fn parse(text: &[u8]) -> Option<f64> {
    strtod(text).filter(|parsed| !parsed.is_lost).map(|parsed| parsed.number)
}

/// Parses a limit of a range of scores, which Redis reads as a string of C: up to a zero byte, with spaces before the
/// number. No text is 0, and a number that is too large is infinite.
pub fn parse_limit(text: &[u8]) -> Option<f64> {
    read_in_c(text).map(|parsed| parsed.number)
}

fn read_in_c(text: &[u8]) -> Option<Parsed> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(Parsed { number: 0.0, is_lost: false });
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0B;
    let begin = text.iter().position(|byte| !is_space(byte))?;
    strtod(&text[begin..])
}

/// As `parse`, of a text that Redis reads as a string of C: see [`parse_limit`].
pub fn parse_in_c(text: &[u8]) -> Option<f64> {
    read_in_c(text).filter(|parsed| !parsed.is_lost).map(|parsed| parsed.number)
}

/// Parses a number that is the whole text.
fn strtod(text: &[u8]) -> Option<Parsed> {
    let text = str::from_utf8(text).ok()?;
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if rest.eq_ignore_ascii_case("inf") || rest.eq_ignore_ascii_case("infinity") {
        return Some(Parsed { number: sign * f64::INFINITY, is_lost: false });
    }
    let parsed = match rest.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => hexadecimal(rest, digits)?,
        [b'0'..=b'9' | b'.', ..] => {
            let number: f64 = rest.parse().ok()?;
            let mantissa = rest.split(['e', 'E']).next().unwrap_or_default();
            let is_zero = !mantissa.contains(|c: char| matches!(c, '1'..='9'));
            Parsed { number, is_lost: number.is_infinite() || number == 0.0 && !is_zero }
        }
        _ => return None,
    };
    Some(Parsed { number: sign * parsed.number, ..parsed })
}

/// Parses an unsigned hexadecimal number, whose exponent may be missing. `digits` are those behind the `0x`.
fn hexadecimal(text: &str, digits: &[u8]) -> Option<Parsed> {
    let (mantissa, exponent) = match digits.iter().position(|byte| matches!(byte, b'p' | b'P')) {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &b"0"[..]),
    };
    let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
    let is_number = mantissa.iter().any(u8::is_ascii_hexdigit)
        && !exponent.is_empty()
        && exponent.iter().all(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    let has_exponent = digits.len() > mantissa.len();
    let text = if has_exponent { text.to_owned() } else { format!("{text}p0") };
    let parsed = Double::from_str_r(&text, Round::NearestTiesToEven).ok()?;
    let number = f64::from_bits(parsed.value.to_bits() as u64);
    let is_lost = number.is_infinite() || number == 0.0 && parsed.status != Status::OK;
    Some(Parsed { number, is_lost })
}

/// Calls `with` with the text of a score, or of another double of a reply, and returns the result.
pub fn with_text<R>(score: f64, with: impl FnOnce(&[u8]) -> R) -> R {
    /// All whole numbers below have at most 15 digits.
    const WHOLE: f64 = 1e15;
    if score.abs() < WHOLE && score.fract() == 0.0 && (score != 0.0 || score.is_sign_positive()) {
        return with(itoa::Buffer::new().format(score as i64).as_bytes());
    }
    if score.is_nan() {
        return with(b"nan");
    }
    with(number::general(score, 17).as_bytes())
}

/// As `with_text`, of a score in a listpack, as ZSCAN shows it: Redis stores whole numbers as integers there.
pub fn with_packed_text<R>(score: f64, with: impl FnOnce(&[u8]) -> R) -> R {
    /// Half of the largest integer of 64 bits, up to which Redis looks whether a number is whole.
    const LARGEST_INTEGER: f64 = 4_611_686_018_427_387_904.0;
    if score.abs() <= LARGEST_INTEGER && score.fract() == 0.0 {
        return with(itoa::Buffer::new().format(score as i64).as_bytes());
    }
    with_text(score, with)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What redis-server 7.0.15 accepts in ZADD, and in a limit of ZCOUNT.
    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        let (tiny, inf) = (5e-324, f64::INFINITY);
        for (text, score, limit) in [
            ("", None, Some(0.0)),
            ("0", Some(0.0), Some(0.0)),
            ("+1", Some(1.0), Some(1.0)),
            (" 1", None, Some(1.0)),
            ("1 ", None, None),
            ("0x10", Some(16.0), Some(16.0)),
            ("0x1p3", Some(8.0), Some(8.0)),
            ("-0x1.8p1", Some(-3.0), Some(-3.0)),
            ("0x.8", Some(0.5), Some(0.5)),
            ("0X1P+3", Some(8.0), Some(8.0)),
            ("0x", None, None),
            ("0xp1", None, None),
            ("0x1p", None, None),
            ("0x1p+", None, None),
            ("InFiNiTy", Some(inf), Some(inf)),
            ("-inf", Some(-inf), Some(-inf)),
            ("infin", None, None),
            ("nan", None, None),
            ("-nan(1)", None, None),
            ("1e400", None, Some(inf)),
            ("-1e400", None, Some(-inf)),
            ("1e-400", None, Some(0.0)),
            ("0e400", Some(0.0), Some(0.0)),
            ("2e-324", None, Some(0.0)),
            ("3e-324", Some(tiny), Some(tiny)),
            (".5", Some(0.5), Some(0.5)),
            ("5.", Some(5.0), Some(5.0)),
            (".", None, None),
            ("1e", None, None),
            ("e5", None, None),
            ("--1", None, None),
            ("1.5e3", Some(1500.0), Some(1500.0)),
            ("1\x002", None, Some(1.0)),
            ("0x1p-1074", Some(tiny), Some(tiny)),
            ("0x1p-1075", None, Some(0.0)),
            ("0x1.8p-1075", Some(tiny), Some(tiny)),
            ("0x1p1024", None, Some(inf)),
            ("0x1.fffffffffffff8p1023", None, Some(inf)),
            ("0x1.00000000000008p0", Some(1.0), Some(1.0)),
            ("1_0", None, None),
        ] {
            assert_eq!(parse(text.as_bytes()), score, "{text:?}");
            assert_eq!(parse_limit(text.as_bytes()), limit, "{text:?}");
        }
        assert!(parse(b"-0").is_some_and(f64::is_sign_negative));
    }

    #[test]
    fn numbers_are_written_as_redis_writes_them() {
        for (score, text, packed) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "0"),
            (-3.0, "-3", "-3"),
            (0.1, "0.10000000000000001", "0.10000000000000001"),
            (1e15, "1000000000000000", "1000000000000000"),
            (1e15 + 0.25, "1000000000000000.2", "1000000000000000.2"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17", "123456789012345680"),
            (1e17, "1e+17", "100000000000000000"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879e+18", "4611686018427387904"),
            (1e19, "1e+19", "1e+19"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
        ] {
            with_text(score, |written| assert_eq!(written, text.as_bytes()));
            with_packed_text(score, |written| assert_eq!(written, packed.as_bytes()));
        }
    }
}
