//! Numbers as C's `printf` writes them.

/// Writes a number as `%.Ng` does, with up to `digits` significant digits.
pub(super) fn general(number: f64, digits: usize) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:.*e}", digits.max(1) - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || usize::try_from(exponent).is_ok_and(|exponent| exponent >= digits) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(digits as i64 - 1 - i64::from(exponent)).unwrap_or(0);
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
