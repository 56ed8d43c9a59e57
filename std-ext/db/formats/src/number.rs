//! Numbers as text, in Redis's notation.

/// Parses a 64-bit integer. Accepts only the text that formatting it would give: no spaces, no plus sign, no leading
/// zeros.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [] | [b'0', ..] => return None,
        _ => {}
    }
    // 19 digits fit into 64 bits, so the sum below cannot overflow. Beyond the signed range it is refused at the end.
    if digits.len() > 19 {
        return None;
    }
    let mut sum = 0u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(sum) } else { i64::try_from(sum).ok() }
}

/// Returns the bytes of a unit in lower case, as Redis defines it: `k` is 1,000 and `kb` is 1,024.
pub fn unit(name: &str) -> Option<usize> {
    Some(match name {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    })
}

/// Writes a number as C's `%.Ng` does, with up to `digits` significant digits.
pub fn general(number: f64, digits: usize) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || usize::try_from(exponent).is_ok_and(|exponent| exponent >= digits) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (digits - 1).saturating_add_signed((-exponent) as isize);
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

/// Removes zeros at the end of a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_they_are_written() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN, 1_234_567_890] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        let wrong = [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "1a",
            "9223372036854775808",
            "-9223372036854775809",
        ];
        for text in wrong.into_iter().chain(["99999999999999999999", "1.0"]) {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_in_c() {
        for (number, digits, text) in [
            (0.0, 17, "0"),
            (-0.0, 17, "-0"),
            (1.5, 17, "1.5"),
            (0.1, 17, "0.10000000000000001"),
            (0.1, 14, "0.1"),
            (1e15 / 3.0, 17, "333333333333333.31"),
            (1e16, 17, "10000000000000000"),
            (1e17, 17, "1e+17"),
            (123_456_789.0, 3, "1.23e+08"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (f64::INFINITY, 14, "inf"),
            (99999.5, 5, "1e+05"),
        ] {
            assert_eq!(general(number, digits), text);
        }
    }
}
