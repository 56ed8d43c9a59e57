//! Secrets in the arguments of commands, which neither the slow log nor MONITOR shows.

use crate::command::arguments::is;

const REDACTED: &[u8] = b"(redacted)";
const ETCD_PASSWORD: &str = "cluster-etcd-password";
/// Settings whose values are secrets.
const SECRET_SETTINGS: [&str; 2] = ["requirepass", ETCD_PASSWORD];

/// Returns whether CONFIG GET shows the setting's value. Redis shows `requirepass`. The password of etcd would give a
/// client that may only look at settings the right to change every key of the cluster.
pub(super) fn is_shown(setting: &str) -> bool {
    setting != ETCD_PASSWORD
}

/// Returns the arguments of a request without passwords.
pub(super) fn redacted<'a>(arguments: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut shown = arguments.to_vec();
    let (Some(name), words) = (arguments.first(), arguments.get(1..).unwrap_or_default()) else {
        return shown;
    };
    let subcommand = |wanted: &str| words.first().is_some_and(|word| is(word, wanted));
    if is(name, "auth") {
        shown[1..].fill(REDACTED);
    } else if is(name, "hello") {
        hide_behind(&mut shown, "auth", 2);
    } else if is(name, "migrate") {
        hide_behind(&mut shown, "auth", 1);
        hide_behind(&mut shown, "auth2", 2);
    } else if is(name, "acl") && subcommand("setuser") {
        // All rules: a password may be given by `>`, `<`, `#` or `!`, and inside a selector's quotes.
        shown[2..].fill(REDACTED);
    } else if is(name, "config") && subcommand("set") {
        for at in (2..shown.len().saturating_sub(1)).step_by(2) {
            if SECRET_SETTINGS.iter().any(|secret| is(arguments[at], secret)) {
                shown[at + 1] = REDACTED;
            }
        }
    }
    shown
}

/// Hides `count` arguments behind each option of this name.
fn hide_behind(arguments: &mut [&[u8]], option: &str, count: usize) {
    let mut at = 1;
    while at < arguments.len() {
        if is(arguments[at], option) {
            let end = (at + 1 + count).min(arguments.len());
            arguments[at + 1..end].fill(REDACTED);
            at = end;
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let cases = [
            ("AUTH sesame", "AUTH (redacted)"),
            ("auth default sesame", "auth (redacted) (redacted)"),
            (
                "HELLO 3 AUTH default sesame SETNAME rose",
                "HELLO 3 AUTH (redacted) (redacted) SETNAME rose",
            ),
            ("hello 3 setname auth", "hello 3 setname auth"),
            ("hello 3 auth default", "hello 3 auth (redacted)"),
            (
                "CONFIG SET timeout 1 REQUIREPASS sesame",
                "CONFIG SET timeout 1 REQUIREPASS (redacted)",
            ),
            ("config set requirepass", "config set requirepass"),
            ("config get requirepass", "config get requirepass"),
            ("ACL SETUSER rose on >sesame", "ACL SETUSER (redacted) (redacted) (redacted)"),
            (
                "MIGRATE h 1 k 0 9 AUTH2 u p KEYS a",
                "MIGRATE h 1 k 0 9 AUTH2 (redacted) (redacted) KEYS a",
            ),
            ("SET auth sesame", "SET auth sesame"),
        ];
        for (given, wanted) in cases {
            let arguments: Vec<&[u8]> = given.split(' ').map(str::as_bytes).collect();
            let shown = redacted(&arguments).join(&b' ');
            assert_eq!(String::from_utf8_lossy(&shown), wanted, "a secret is shown");
        }
    }
}
