//! The lines of INFO's sections.

use std::fmt::{Display, Write};

/// The lines of a section.
pub(super) struct Lines<'s>(pub(super) &'s mut String);

impl Lines<'_> {
    pub(super) fn line(&mut self, name: &str, value: impl Display) {
        // Writing to memory does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    pub(super) fn lines(&mut self, all: &[(&str, u64)]) {
        for (name, value) in all {
            self.line(name, value);
        }
    }

    /// Writes a number of bytes, and again in human-readable form.
    pub(super) fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.line(&format!("{name}_human"), human(bytes));
    }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other.max(1) as f64
}

/// Formats bytes as Redis does for people.
fn human(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let Some((shift, unit)) = UNITS.iter().find(|(shift, _)| bytes >= 1 << shift) else {
        return format!("{bytes}B");
    };
    format!("{:.2}{unit}", ratio(bytes, 1 << shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_for_people_too() {
        let cases =
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (966_280, "943.63K"), (3 << 30, "3.00G")];
        for (bytes, wanted) in cases {
            assert_eq!(human(bytes), wanted);
        }
    }
}
