//! Numbers in arguments, as Redis takes them.

/// An integer of 64 bits as it would be written: no blanks, no plus, no zeros in front.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [] | [b'0', ..] => return None,
        _ => {}
    }
    // What overflows 64 bits without a sign has more digits.
    if digits.len() > 19 {
        return None;
    }
    let mut sum = 0_u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(sum) } else { i64::try_from(sum).ok() }
}

/// A number in decimal or exponential notation, or an infinity; no blanks.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_they_are_written() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN, 1_234_567_890] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        let wrong = ["", "-", "+1", " 1", "1 ", "01", "-0", "1a", "1.0", "9223372036854775808"];
        for text in wrong.into_iter().chain(["-9223372036854775809", "99999999999999999999"]) {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn floats_are_finite_or_not() {
        assert_eq!(float(b"1.5e3"), Some(1500.0));
        assert_eq!(float(b"-inf"), Some(f64::NEG_INFINITY));
        for text in ["", " 1", "nan", "1x"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
    }
}
