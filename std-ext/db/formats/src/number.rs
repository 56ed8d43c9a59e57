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
}
