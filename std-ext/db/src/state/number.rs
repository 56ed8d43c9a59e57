//! Numbers as text, as Redis takes and writes them.

/// An integer of 64 bits as it would be written: no blanks, no plus, no zeros in front.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [] | [b'0', ..] => return None,
        _ => {}
    }
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

/// How many bytes a unit is, in small letters, as Redis has them: of 1,000 or 1,024.
pub(crate) fn unit(name: &str) -> Option<usize> {
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

/// A number in decimal or exponential notation, or an infinity; no blanks.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// A finite number with as many digits as it takes to read it again, without an exponent.
pub(crate) fn float_text(number: f64) -> String {
    // No negative zero.
    format!("{}", number + 0.0)
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
    fn floats_are_written_without_exponent() {
        let sum = |text: &[u8], by| float_text(float(text).unwrap() + by);
        assert_eq!(sum(b"10.50", 0.1), "10.6");
        assert_eq!(sum(b"5.0e3", 2.0e2), "5200");
        assert_eq!(sum(b"-1", 1.0), "0");
        assert_eq!(float_text(1e20), "100000000000000000000");
        for text in ["", " 1", "nan", "1x", "0x10"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
    }
}
