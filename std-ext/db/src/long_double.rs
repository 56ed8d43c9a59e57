//! Software arithmetic for 80-bit floats, x86-64's `long double`, so that sums are byte for byte those of Redis on
//! x86-64, on every platform.
//!
//! A number has a significand of 64 bits. Parsing rounds correctly, as glibc's `strtold` does, and so does addition.
//! Formatting writes 17 digits after the point, as `%.17Lf` does, without trailing zeros.

use std::cmp::Ordering;
use std::fmt::Write;

/// The longest text that is parsed, in bytes: Redis's limit.
const LONGEST: usize = 5 * 1024 - 1;
/// The range of the exponent of a significand's last bit.
const MIN_EXPONENT: i64 = -16_445;
const MAX_EXPONENT: i64 = 16_320;
/// With any digits that fit into [`LONGEST`], a larger power of ten overflows, and a smaller one underflows.
const MAX_POWER: i64 = 20_000;
/// Digits after the point.
const DIGITS: usize = 17;
/// 10 to the power of [`DIGITS`].
const SCALE: u128 = 100_000_000_000_000_000;
/// The largest power of five that fits into 64 bits.
const FIVES: usize = 27;

/// An 80-bit float: a number or an infinity. No operation here makes a NaN.
#[derive(Clone, Copy, Debug)]
pub struct LongDouble {
    negative: bool,
    /// `None` for an infinity.
    finite: Option<Finite>,
}

/// A significand times 2 to the power of `exponent`. The first bit of the significand is set unless the exponent is the
/// lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finite {
    significand: u64,
    exponent: i64,
}

const ZERO: Finite = Finite { significand: 0, exponent: MIN_EXPONENT };

impl LongDouble {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, finite: Some(ZERO) };

    /// Parses a number as Redis does: decimal or hexadecimal, with or without an exponent, or an infinity. `None` for
    /// anything else, for overflow, and for underflow to zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, rest) = sign(text);
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, finite: None });
        }
        let finite = match rest {
            [b'0', b'x' | b'X', digits @ ..] => Literal::read::<16>(digits)?.binary(),
            digits => Literal::read::<10>(digits)?.decimal(),
        };
        finite.map(|finite| Self { negative, finite: Some(finite) })
    }

    /// Returns whether the number is finite.
    pub fn is_finite(self) -> bool {
        self.finite.is_some()
    }

    /// Returns the sum, rounded to nearest, ties to even; `None` if it is not finite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (mut large, mut small) =
            ((self.negative, self.finite?), (other.negative, other.finite?));
        if large.1.exponent < small.1.exponent {
            (large, small) = (small, large);
        }
        let by = large.1.exponent - small.1.exponent;
        // One bit is left for a carry, and 63 bits follow the larger number's last. Of the bits shifted out beyond
        // these, it only matters whether one is set, because then the sum loses at most one leading bit.
        let whole = u128::from(large.1.significand) << 63;
        let part = u128::from(small.1.significand) << 63;
        let part = match u32::try_from(by).ok().filter(|by| *by < 127) {
            Some(by) => part >> by | u128::from(part >> by << by != part),
            None => u128::from(part != 0),
        };
        let (negative, sum) = match (large.0 == small.0, whole.cmp(&part)) {
            (true, _) => (large.0, whole + part),
            (false, Ordering::Greater) => (large.0, whole - part),
            (false, Ordering::Less) => (small.0, part - whole),
            (false, Ordering::Equal) => (false, 0),
        };
        let finite = Finite::rounded(sum, large.1.exponent - 63, false)?;
        Some(Self { negative, finite: Some(finite) })
    }

    /// Formats a finite number as Redis does: without an exponent, with up to 17 digits after the point, correctly
    /// rounded. `None` for an infinity.
    pub fn text(self) -> Option<String> {
        let finite = self.finite?;
        let mut text = match finite.exponent {
            // A significand has 64 bits and 17 digits take 57, so with more than 127 bits after the point nothing is
            // left.
            ..-127 => "0".to_owned(),
            -127..=0 => {
                let (all, by) = (u128::from(finite.significand) * SCALE, -finite.exponent);
                let (whole, rest) = (all >> by, all & ((1 << by) - 1));
                let half = if by == 0 { u128::MAX } else { 1 << (by - 1) };
                let up = rest > half || rest == half && whole % 2 == 1;
                let all = whole + u128::from(up);
                let (whole, part) = (all / SCALE, all % SCALE);
                let text = format!("{whole}.{part:0DIGITS$}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            1..=64 => (u128::from(finite.significand) << finite.exponent).to_string(),
            _ => {
                let mut whole = Big::of(finite.significand);
                whole.shift(finite.exponent.unsigned_abs() as usize);
                whole.text()
            }
        };
        // Redis writes no negative zero.
        if self.negative && text != "0" {
            text.insert(0, '-');
        }
        Some(text)
    }
}

impl From<f64> for LongDouble {
    /// Converts exactly; a NaN becomes an infinity.
    fn from(number: f64) -> Self {
        let (bits, negative) = (number.to_bits(), number.is_sign_negative());
        let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7FF).cast_signed());
        let finite = match exponent {
            0x7FF => None,
            0 => Finite::rounded(fraction.into(), -1074, false),
            _ => Finite::rounded((fraction | 1 << 52).into(), exponent - 1075, false),
        };
        Self { negative, finite }
    }
}

impl PartialEq for LongDouble {
    /// Compares the numbers; the two zeros are equal.
    fn eq(&self, other: &Self) -> bool {
        let zero = self.finite == Some(ZERO);
        self.finite == other.finite && (zero || self.negative == other.negative)
    }
}

impl Finite {
    /// Returns the number nearest to `bits` times 2 to the power of `exponent`, ties to even. If `rest`, the exact
    /// value is slightly larger than that; then `bits` must have more than 64 bits. `None` on overflow.
    fn rounded(bits: u128, exponent: i64, rest: bool) -> Option<Self> {
        let length = i64::from(128 - bits.leading_zeros());
        let by = (length - 64).max(MIN_EXPONENT - exponent);
        let Ok(right) = u32::try_from(by) else {
            // Fewer bits than a significand has.
            let significand = (bits << -by) as u64;
            return Self::normal(significand, exponent + by);
        };
        let (kept, lost, half) = match right {
            0 => (bits, 0, 1),
            1..128 => (bits >> right, bits & ((1 << right) - 1), 1 << (right - 1)),
            128 => (0, bits, 1 << 127),
            // Less than half of the last bit.
            _ => (0, u128::from(bits != 0), u128::MAX),
        };
        let up = lost > half || lost == half && (rest || kept % 2 == 1);
        let kept = kept + u128::from(up);
        match u64::try_from(kept) {
            Ok(significand) => Self::normal(significand, exponent + by),
            // The rounding carried through all bits: the next number is a power of two.
            Err(_) => Self::normal(1 << 63, exponent + by + 1),
        }
    }

    fn normal(significand: u64, exponent: i64) -> Option<Self> {
        if significand == 0 {
            return Some(ZERO);
        }
        (exponent <= MAX_EXPONENT).then_some(Self { significand, exponent })
    }
}

/// A number as it was written: its digits without the point, and its exponent.
struct Literal<'a> {
    whole: &'a [u8],
    part: &'a [u8],
    power: i64,
}

impl<'a> Literal<'a> {
    fn read<const BASE: u32>(text: &'a [u8]) -> Option<Self> {
        let digits = |text: &'a [u8]| {
            let other = |byte: &u8| !char::from(*byte).is_digit(BASE);
            text.split_at(text.iter().position(other).unwrap_or(text.len()))
        };
        let (whole, rest) = digits(text);
        let (part, rest) = match rest {
            [b'.', rest @ ..] => digits(rest),
            rest => (&[][..], rest),
        };
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let power = match (BASE, rest) {
            (_, []) => 0,
            (10, [b'e' | b'E', rest @ ..]) | (16, [b'p' | b'P', rest @ ..]) => power(rest)?,
            _ => return None,
        };
        Some(Self { whole, part, power })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        let digits = self.whole.iter().chain(self.part);
        digits.map(|digit| char::from(*digit).to_digit(16).map_or(0, |digit| digit as u8))
    }

    /// `None` on overflow, or underflow to zero.
    fn binary(&self) -> Option<Finite> {
        let (mut upper, mut rest) = (0_u128, false);
        let mut exponent = self.power.saturating_sub(4 * bits(self.part.len()));
        for digit in self.digits() {
            if upper >> 120 == 0 {
                upper = upper << 4 | u128::from(digit);
            } else {
                rest |= digit != 0;
                exponent = exponent.saturating_add(4);
            }
        }
        let exponent = exponent.clamp(-8 * MAX_POWER, 8 * MAX_POWER);
        Finite::rounded(upper, exponent, rest).filter(|made| upper == 0 || *made != ZERO)
    }

    /// As `binary`.
    fn decimal(&self) -> Option<Finite> {
        let power = self.power.saturating_sub(bits(self.part.len())).clamp(-MAX_POWER, MAX_POWER);
        let first = self.digits().position(|digit| digit != 0);
        let Some(first) = first else { return Some(ZERO) };
        let count = self.whole.len() + self.part.len() - first;
        let made = if count <= 19 && power.unsigned_abs() <= FIVES as u64 {
            let digits = self.digits().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit));
            let fives = 5_u64.pow(power.unsigned_abs() as u32);
            if power >= 0 {
                Finite::rounded(u128::from(digits) * u128::from(fives), power, false)
            } else {
                // Shift as far to the left as possible: then the quotient has more than 64 bits.
                let by = u128::from(digits).leading_zeros();
                let (bits, fives) = (u128::from(digits) << by, u128::from(fives));
                Finite::rounded(bits / fives, power - i64::from(by), bits % fives != 0)
            }
        } else {
            self.decimal_of_many(power)
        };
        made.filter(|made| *made != ZERO)
    }

    /// As `decimal`, for any number of digits and any exponent.
    #[cold]
    fn decimal_of_many(&self, power: i64) -> Option<Finite> {
        let mut digits = Big::of(0);
        for digit in self.digits() {
            digits.times_and(10, digit.into());
        }
        let mut fives = Big::of(1);
        for _ in 0..power.unsigned_abs() {
            fives.times_and(5, 0);
        }
        if power >= 0 {
            let product = digits.times(&fives);
            let by = product.length().saturating_sub(128);
            let (upper, rest) = product.high_bits(by);
            return Finite::rounded(upper, power + bits(by), rest);
        }
        // The quotient has 65 or 66 bits.
        let by = 66 + bits(fives.length()) - bits(digits.length());
        if let Ok(by) = usize::try_from(by) {
            digits.shift(by);
        } else {
            fives.shift(by.unsigned_abs() as usize);
        }
        let (bits, rest) = digits.divided_by(fives, 66);
        Finite::rounded(bits, power - by, rest)
    }
}

/// Returns whether there is a minus, and the text after the sign.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    let rest = text.strip_prefix(b"-");
    (rest.is_some(), rest.or(text.strip_prefix(b"+")).unwrap_or(text))
}

/// Converts a length to an exponent.
fn bits(length: usize) -> i64 {
    length.cast_signed() as i64
}

/// Parses an exponent with an optional sign. It is capped where the longest text cannot compensate for it any more.
fn power(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let most = 16 * MAX_POWER;
    let sum = digits.iter().fold(0, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(most));
    Some(if negative { -sum } else { sum })
}

/// An integer of any size: the least significant word comes first, and the last word is not zero.
struct Big(Vec<u64>);

impl Big {
    fn of(number: u64) -> Self {
        let mut this = Self(vec![number]);
        this.trim();
        this
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Returns the number of bits.
    fn length(&self) -> usize {
        self.0.last().map_or(0, |last| self.0.len() * 64 - last.leading_zeros() as usize)
    }

    /// Multiplies by one number and adds another.
    fn times_and(&mut self, by: u64, and: u64) {
        let mut carry = u128::from(and);
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(by) + carry;
            (*word, carry) = (product as u64, product >> 64);
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
    }

    fn times(&self, other: &Self) -> Self {
        let mut sum = vec![0_u64; self.0.len() + other.0.len()];
        for (at, by) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (to, word) in sum[at..].iter_mut().zip(other.0.iter().chain([&0])) {
                let product = u128::from(*word) * u128::from(*by) + u128::from(*to) + carry;
                (*to, carry) = (product as u64, product >> 64);
            }
        }
        let mut sum = Self(sum);
        sum.trim();
        sum
    }

    /// Multiplies by 2 to the power of `by`.
    fn shift(&mut self, by: usize) {
        self.times_and(1 << (by % 64), 0);
        if !self.0.is_empty() {
            self.0.splice(..0, std::iter::repeat_n(0, by / 64));
        }
    }

    /// Returns the highest 128 bits, which begin at bit `at`, and whether a lower bit is set.
    fn high_bits(&self, at: usize) -> (u128, bool) {
        let bit = |at: usize| self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        let bits = (at..at + 128).rev().fold(0, |bits, at| bits << 1 | u128::from(bit(at)));
        (bits, (0..at).any(bit))
    }

    /// Returns the quotient, of at most `bits` bits, and whether there is a remainder.
    fn divided_by(mut self, mut by: Self, bits: usize) -> (u128, bool) {
        by.shift(bits);
        let mut quotient = 0;
        for _ in 0..=bits {
            quotient <<= 1;
            if self.0.len() > by.0.len()
                || self.0.len() == by.0.len() && self.0.iter().rev().ge(by.0.iter().rev())
            {
                self.less(&by);
                quotient |= 1;
            }
            by.halve();
        }
        (quotient, !self.0.is_empty())
    }

    /// Subtracts a number that is not larger.
    fn less(&mut self, other: &Self) {
        let mut borrow = false;
        for (word, less) in self.0.iter_mut().zip(other.0.iter().chain(std::iter::repeat(&0))) {
            let (left, under) = word.overflowing_sub(*less);
            let (left, again) = left.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (left, under || again);
        }
        self.trim();
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for word in self.0.iter_mut().rev() {
            (*word, carry) = (*word >> 1 | carry << 63, *word & 1);
        }
        self.trim();
    }

    fn text(mut self) -> String {
        const CHUNK: u64 = 10_000_000_000_000_000_000;
        let mut chunks = Vec::new();
        while !self.0.is_empty() {
            let mut rest = 0;
            for word in self.0.iter_mut().rev() {
                let all = rest << 64 | u128::from(*word);
                (*word, rest) = ((all / u128::from(CHUNK)) as u64, all % u128::from(CHUNK));
            }
            chunks.push(rest as u64);
            self.trim();
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            write!(text, "{chunk:019}").expect("writing to a string does not fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LongDouble {
        LongDouble::parse(text.as_bytes()).unwrap()
    }

    /// Up to the 27th power of five, parsing takes the short path; this compares the two.
    #[test]
    fn short_and_long_ways_of_reading_agree() {
        for power in -30..30 {
            for digits in
                ["1", "3", "7205759403792794", "9999999999999999999", "4611686018427387905"]
            {
                let text = format!("{digits}e{power}");
                let written = Literal::read::<10>(text.as_bytes()).unwrap();
                assert_eq!(written.decimal(), written.decimal_of_many(power), "{text}");
            }
        }
    }

    #[test]
    fn numbers_of_64_bits_stay_as_they_are() {
        for number in [0.1, -2.5, 1e300, 5e-324, f64::MIN_POSITIVE, f64::MAX, 123_456.75] {
            let exact = format!("{number:.1100}");
            assert_eq!(LongDouble::from(number), read(&exact), "{number:e}");
        }
        assert!(
            !LongDouble::from(f64::NAN).is_finite() && !LongDouble::from(f64::INFINITY).is_finite()
        );
        assert_eq!(LongDouble::from(-0.0), LongDouble::ZERO);
    }

    #[test]
    fn text_that_is_too_long_is_invalid() {
        let zeros = |count| LongDouble::parse("0".repeat(count).as_bytes());
        assert_eq!(zeros(LONGEST), Some(LongDouble::ZERO));
        assert_eq!(zeros(LONGEST + 1), None);
    }
}
