//! 80-bit floats, x86-64's `long double`, so that sums are byte for byte those of Redis on x86-64, on every platform.
//!
//! LLVM's software floats parse and add, and round as glibc's `strtold` and the processor do. Only two parts are ours:
//! which texts Redis accepts, and formatting as `%.17Lf`, because LLVM rounds ties up instead of to even.

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float as _, FloatConvert as _, Round, Status};
use std::fmt::Write as _;

/// The longest text that is parsed, in bytes: Redis's limit.
const LONGEST: usize = 5 * 1024 - 1;
/// Digits after the point.
const DIGITS: usize = 17;
/// 10 to the power of [`DIGITS`].
const SCALE: u128 = 100_000_000_000_000_000;

/// An 80-bit float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Zero.
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Parses a number as Redis does: decimal or hexadecimal, with or without an exponent, or an infinity. `None` for
    /// anything else, for overflow, and for underflow to zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST)?;
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest.eq_ignore_ascii_case("inf") || rest.eq_ignore_ascii_case("infinity") {
            let infinity = X87DoubleExtended::INFINITY;
            return Some(Self(if text.starts_with('-') { -infinity } else { infinity }));
        }
        // LLVM also accepts NaNs, and a decimal exponent without digits. It needs an exponent in hexadecimal.
        let with_exponent;
        let text = match rest.as_bytes() {
            [b'0', b'x' | b'X', ..] if rest.contains(['p', 'P']) => text,
            [b'0', b'x' | b'X', ..] => {
                with_exponent = format!("{text}p0");
                &with_exponent
            }
            [b'0'..=b'9' | b'.', .., b'0'..=b'9' | b'.'] | [b'0'..=b'9'] => text,
            _ => return None,
        };
        let parsed = X87DoubleExtended::from_str_r(text, Round::NearestTiesToEven).ok()?;
        let is_lost = parsed.value.is_zero() && parsed.status != Status::OK;
        (parsed.value.is_finite() && !is_lost).then_some(Self(parsed.value))
    }

    /// Returns the sum, rounded to nearest, ties to even; `None` if it is not finite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }

    /// Returns a thousand times the number, rounded up; `None` if that is no 64-bit integer.
    pub fn thousandfold(self) -> Option<i64> {
        let product = (self.0 * X87DoubleExtended::from_u128(1000).value).value;
        let mut is_exact = false;
        let integer = product.to_i128_r(64, Round::TowardPositive, &mut is_exact);
        let is_lost = integer.status.contains(Status::INVALID_OP);
        i64::try_from(integer.value).ok().filter(|_| !is_lost)
    }

    /// Formats a finite number as Redis does: without an exponent, with up to 17 digits after the point, correctly
    /// rounded. `None` for an infinity.
    pub fn text(self) -> Option<String> {
        if !self.0.is_finite() {
            return None;
        }
        let bits = self.0.abs().to_bits();
        let (significand, exponent) =
            (bits & u128::from(u64::MAX), (bits >> 64) as i32 - (16383 + 63));
        let mut text = match exponent {
            // A significand has 64 bits and 17 digits take 57, so with more than 127 bits after the point nothing is
            // left.
            ..-127 => "0".to_owned(),
            -127..=0 => {
                let (all, by) = (significand * SCALE, -exponent);
                let (whole, rest) = (all >> by, all & ((1 << by) - 1));
                let half = if by == 0 { u128::MAX } else { 1 << (by - 1) };
                let up = rest > half || rest == half && whole % 2 == 1;
                let all = whole + u128::from(up);
                let (whole, part) = (all / SCALE, all % SCALE);
                let text = format!("{whole}.{part:0DIGITS$}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            1.. => digits(significand as u64, exponent.cast_unsigned()),
        };
        // Redis writes no negative zero.
        if self.0.is_negative() && text != "0" {
            text.insert(0, '-');
        }
        Some(text)
    }
}

/// Returns the digits of `number * 2^exponent`. LLVM takes milliseconds to write the up to 4,932 digits of a number.
fn digits(number: u64, mut exponent: u32) -> String {
    /// Nine digits, so that a group shifted by 32 bits, with a carry, fits into 64 bits.
    const BASE: u64 = 1_000_000_000;
    // From the last digits to the first.
    let mut groups = Vec::new();
    let mut carry = number;
    loop {
        while carry > 0 {
            groups.push(carry % BASE);
            carry /= BASE;
        }
        if exponent == 0 {
            break;
        }
        let by = exponent.min(32);
        exponent -= by;
        for group in &mut groups {
            let shifted = (*group << by) + carry;
            (*group, carry) = (shifted % BASE, shifted / BASE);
        }
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        // Writing to a string does not fail.
        let _ = write!(text, "{group:09}");
    }
    text
}

impl From<f64> for LongDouble {
    /// Converts exactly.
    fn from(number: f64) -> Self {
        Self(Double::from_bits(number.to_bits().into()).convert(&mut false).value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_times_a_number_is_rounded_up() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1e-10", Some(1)),
            ("0.0015", Some(2)),
            ("2.5", Some(2500)),
            ("-0.0015", Some(-1)),
            ("0x1p-9", Some(2)),
            ("9223372036854775", Some(9_223_372_036_854_775_000)),
            ("9223372036854776", None),
            ("1e400", None),
            ("inf", None),
        ] {
            let number = LongDouble::parse(text.as_bytes()).unwrap();
            assert_eq!(number.thousandfold(), wanted, "{text}");
        }
    }

    #[test]
    fn numbers_of_64_bits_stay_as_they_are() {
        for number in [0.1, -2.5, 1e300, 5e-324, f64::MIN_POSITIVE, f64::MAX, 123_456.75] {
            let exact = LongDouble::parse(format!("{number:.1100}").as_bytes());
            assert_eq!(Some(LongDouble::from(number)), exact, "{number:e}");
        }
        for number in [f64::NAN, f64::INFINITY] {
            let number = LongDouble::from(number);
            assert_eq!((number.checked_add(LongDouble::ZERO), number.text()), (None, None));
        }
        assert_eq!(LongDouble::from(-0.0), LongDouble::ZERO);
    }

    #[test]
    fn large_numbers_are_written_exactly() {
        let mut number = LongDouble::parse(b"12345678901234567890").unwrap();
        // With fewer places, LLVM would round, or write an exponent.
        while let Some(next) = number.checked_add(number) {
            assert_eq!(number.text(), Some(format!("{:5000.5000}", number.0)));
            number = LongDouble(-next.0);
            for _ in 0..96 {
                number = number.checked_add(number).unwrap_or(number);
            }
        }
        assert_eq!(number.text().map(|text| text.len()), Some(4933));
    }

    #[test]
    fn text_that_is_too_long_is_invalid() {
        let zeros = |count| LongDouble::parse("0".repeat(count).as_bytes());
        assert_eq!(zeros(LONGEST), Some(LongDouble::ZERO));
        assert_eq!(zeros(LONGEST + 1), None);
    }
}
