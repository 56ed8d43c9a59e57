//! Tests of users and their rights.

use super::users::Users;
use crate::command::table::keys::{Begin, Find};
use crate::command::table::{COMMANDS, CommandSpec, Id, SUBCOMMANDS};
use crate::command::test_client::TestClient;
use hedgerow_db_formats::resp::read::Reply;

const NO_KEY: &str =
    "-NOPERM this user has no permissions to access one of the keys used as arguments";

/// Returns a client whose user has these rights besides `+@all`.
fn client(rules: &str) -> TestClient {
    let mut client = TestClient::new();
    assert_eq!(client.command(&format!("acl setuser rose on nopass +@all {rules}")), "+OK");
    assert_eq!(client.command("auth rose x"), "+OK");
    client
}

/// Returns requests for a command with keys, as many words as it may need.
fn words(spec: &CommandSpec) -> Vec<String> {
    let mut words: Vec<String> = spec.name.split('|').map(str::to_owned).collect();
    let count = usize::from(spec.arity.unsigned_abs()).max(if spec.arity < 0 { 6 } else { 0 });
    let more = match spec.id {
        Id::EVAL | Id::EVALSHA | Id::EVAL_RO | Id::EVALSHA_RO => vec!["return 1", "2"],
        _ if spec.name == "bitop" => vec!["and"],
        _ => vec![],
    };
    words.extend(more.into_iter().map(str::to_owned));
    while words.len() < count {
        words.push(format!("ok:{}", words.len()));
    }
    for keys in spec.key_specs {
        if let (Begin::At(at), Find::Counted { .. }) = (keys.begin, keys.find) {
            words[usize::from(at)] = "2".to_owned();
        }
    }
    let streams: &[&str] = match spec.name {
        "xread" => &["streams", "ok:1", "0"],
        "xreadgroup" => &["group", "group", "consumer", "streams", "ok:1", "0"],
        _ => &[],
    };
    if !streams.is_empty() {
        words.truncate(1);
        words.extend(streams.iter().map(|word| (*word).to_owned()));
    }
    if spec.name == "sort" {
        words[2..4].clone_from_slice(&["asc".to_owned(), "store".to_owned()]);
    }
    words
}

/// A user with rights to the pattern `ok:*` alone must be refused as soon as any key has another name.
#[test]
fn every_key_of_every_command_is_checked() {
    let all = COMMANDS.iter().chain(SUBCOMMANDS);
    let mut checked = 0;
    for spec in all.filter(|spec| spec.has_keys()) {
        if !spec.parts().is_empty() && !spec.name.contains('|') {
            continue;
        }
        let words = words(spec);
        let bytes: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let places: Vec<usize> = spec.key_range(&bytes).places().collect();
        assert!(!places.is_empty(), "{words:?} has no key");
        let quoted = |words: &[String]| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")
        };
        let answer = client("~ok:*").command(&quoted(&words));
        assert!(!answer.starts_with("-NOPERM"), "{words:?} is refused: {answer}");
        for place in places {
            let mut words = words.clone();
            words[place] = "secret".to_owned();
            assert_eq!(client("~ok:*").command(&quoted(&words)), NO_KEY, "{words:?} is executed");
            let mut queued = client("~ok:*");
            queued.command("multi");
            assert_eq!(queued.command(&quoted(&words)), NO_KEY, "{words:?} is queued");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked} keys");
}

#[test]
fn scripts_have_the_rights_of_their_client() {
    let mut client = client("~ok:* -incr");
    let call = |command: &str| format!("eval \"return redis.call({command})\" 1 ok:a");
    assert_eq!(client.command(&call("'set', KEYS[1], 'v'")), "+OK");
    for (command, why) in [
        ("'incr', KEYS[1]", "can't run this command or subcommand"),
        ("'get', 'secret'", "can't access at least one of the keys"),
        ("'publish', 'secret', 'x'", "can't publish to the channel"),
        ("'spublish', 'secret', 'x'", "can't publish to the channel"),
    ] {
        let answer = client.command(&call(command));
        assert!(answer.contains(why), "a script executes {command}: {answer}");
    }
    // A script cannot declare a key that its client may not use.
    assert_eq!(client.command("eval \"return 1\" 2 ok:a secret"), NO_KEY);
}

#[test]
fn a_transaction_is_checked_again_when_it_is_executed() {
    for script in ["time", "eval \"return 1\" 0"] {
        let mut client = client("~* &*");
        for line in ["multi", "acl setuser rose -get", "set a 1", "get a", "publish c x", script] {
            client.command(line);
        }
        let answer = client.command("exec");
        // Commands about keys are executed before ACL SETUSER. They had the right to be.
        assert!(answer.contains("+OK +OK $1 1 :0"), "{answer}");
        assert_eq!(
            client.command("get a"),
            "-NOPERM this user has no permissions to run the 'get' command"
        );
        for line in ["multi", "acl setuser rose -publish", "publish c x", script] {
            client.command(line);
        }
        let answer = client.command("exec");
        assert!(answer.contains("-NOPERM ACLs rules changed between"), "{answer}");
    }
}

/// The rights of another connection's change reach the commands of a transaction that were queued before.
#[test]
fn rights_that_another_client_takes_stop_a_transaction() {
    for script in [false, true] {
        let mut client = client("~*");
        client.command("multi");
        client.command("set a 1");
        client.command("get b");
        if script {
            client.command("eval \"return 1\" 0");
        }
        let rules: [&[u8]; 2] = [b"resetkeys", b"~b"];
        client.users().set(b"rose", &rules).unwrap();
        let answer = client.command("exec");
        let why = "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                   command is no longer allowed for the following reason: no permission to touch the specified keys";
        let wanted = format!("-NOPERM {why} $-1");
        assert!(answer.contains(&wanted), "a command is executed without rights: {answer}");
        client.users().set(b"rose", &[b"~*"]).unwrap();
        assert_eq!(client.command("get a"), "$-1", "a command without rights is executed");
    }
}

/// Returns the entries of ACL LOG, without times and clients: the count, the reason, the context, the object and user.
fn log(client: &mut TestClient) -> Vec<String> {
    let Reply::Array(entries) = client.reply("ACL LOG 100") else { panic!("no array") };
    let text = |reply: &Reply| match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Reply::Integer(n) => n.to_string(),
        other => panic!("{other:?}"),
    };
    let entry = |entry: &Reply| match entry {
        Reply::Array(fields) => {
            let names: Vec<String> = fields.iter().step_by(2).map(text).collect();
            assert_eq!(
                names.join(" "),
                "count reason context object username age-seconds client-info entry-id timestamp-created \
                 timestamp-last-updated"
            );
            let [created, updated] = [17, 19].map(|at| text(&fields[at]).parse::<u64>().unwrap());
            assert!(created <= updated, "an entry was updated before it was made");
            let age: f64 = text(&fields[11]).parse().unwrap();
            assert!((0.0..60.0).contains(&age), "{age}");
            assert!(text(&fields[13]).contains(" user="), "{}", text(&fields[13]));
            let values: Vec<String> = fields.iter().skip(1).step_by(2).map(text).collect();
            values[..5].join(" ")
        }
        other => panic!("{other:?}"),
    };
    entries.iter().map(entry).collect()
}

#[test]
fn refused_commands_are_logged() {
    let mut client = TestClient::new();
    client.command("acl setuser rose on >sesame ~ok &news +@all -flushall -config|set -incr");
    client.command("auth rose wrong");
    client.command("auth nobody sesame");
    client.command("hello 2 auth rose wrong");
    client.command("auth rose sesame");
    for line in [
        "get secret",
        "get secret",
        "mget ok secret",
        "flushall",
        "config set maxmemory 1",
        "publish other x",
        "multi",
        "get secret",
        "discard",
        "eval \"return redis.pcall('incr', KEYS[1])\" 1 ok",
    ] {
        client.command(line);
    }
    assert_eq!(
        log(&mut client),
        [
            "1 command lua incr rose",
            "1 key multi secret rose",
            "1 channel toplevel other rose",
            "1 command toplevel config|set rose",
            "1 command toplevel flushall rose",
            "3 key toplevel secret rose",
            "1 auth toplevel hello rose",
            "1 auth toplevel auth nobody",
            "1 auth toplevel auth rose",
        ]
    );
    let Reply::Array(some) = client.reply("ACL LOG 2") else { panic!("no array") };
    assert_eq!(some.len(), 2);
    assert_eq!(client.command("acl log reset"), "+OK");
    assert_eq!(client.command("acl log"), "*0");
    client.users().set_log_length(2);
    for key in ["a", "b", "c"] {
        client.command(&format!("get {key}"));
    }
    assert_eq!(
        log(&mut client),
        ["1 key toplevel c rose", "1 key toplevel b rose"],
        "ACL LOG is too long"
    );
}

#[test]
fn who_is_not_logged_in_has_no_rights() {
    let mut client = TestClient::new();
    client.users().set_default_password(b"sesame");
    client.command("reset");
    for line in ["get a", "acl whoami", "multi", "ping", "subscribe a"] {
        assert_eq!(client.command(line), "-NOAUTH Authentication required.", "{line}");
    }
    // Once the user needs no password, nobody has to log in.
    client.users().set_default_password(b"");
    assert_eq!(client.command("get a"), "$-1");
    client.users().set_default_password(b"sesame");
    assert_eq!(client.command("get a"), "-NOAUTH Authentication required.");
    // A client that has logged in stays so.
    assert_eq!(client.command("auth sesame"), "+OK");
    client.users().set_default_password(b"other");
    assert_eq!(client.command("get a"), "$-1");
}

#[test]
fn a_user_that_was_removed_executes_nothing() {
    let mut client = client("~*");
    assert_eq!(client.users().delete(&[b"rose"]), 1);
    // A new user of the same name is another one.
    client.users().set(b"rose", &[b"on", b"nopass", b"+@all", b"~*"]).unwrap();
    assert_eq!(client.send_some(b"SET a 1\r\n"), b"", "a removed user's command is answered");
    assert_eq!(client.next(), crate::command::NextStep::Close);
    assert_eq!(
        {
            client.connect_again();
            client.command("get a")
        },
        "$-1"
    );
}

/// Returns users whose names and patterns have spaces that are none of ASCII, quotes, and parentheses.
fn odd_users() -> Users {
    let users = Users::default();
    let rules: [&[&[u8]]; 3] = [
        &[b"on", b"nopass", "~a\u{a0}~*".as_bytes(), b"+get|\"x", b"&\\"],
        &[b"~\"a\"", b"+@read", b"(~a\\x) ~\"b\\\"c\" +get)"],
        &[b"(%R~\"x'y)\" &(z -@all +set|a))"],
    ];
    let names = ["\"rose".as_bytes(), "\u{2003}".as_bytes(), b"'"];
    for (name, rules) in names.iter().zip(rules) {
        users.set(name, rules).unwrap();
    }
    users
}

#[test]
fn odd_users_come_back_from_a_file_of_users() {
    let lines = odd_users().lines();
    let again = Users::default();
    again.load("users", &lines.join(&b'\n')).unwrap();
    assert_eq!(again.lines(), lines, "a user has other rights");
}

#[test]
fn odd_users_come_back_from_a_file_of_settings() {
    use crate::config::rewrite::{self, UserLines};
    let lines = odd_users().lines();
    let shown: Vec<String> = lines.iter().cloned().map(|l| String::from_utf8(l).unwrap()).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    rewrite::rewrite(file.path(), &[], Some(&UserLines::new(&shown, false))).unwrap();
    let config = crate::config::Config::load(Some(file.path().to_owned()), []).unwrap();
    let again = Users::default();
    for (_, words) in &config.server().users {
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        again.configure(words[0], &words[1..]).unwrap();
    }
    // A user that was there before gets the flag `sanitize-payload`, as in Redis.
    let without_flag = |line: &Vec<u8>| {
        String::from_utf8_lossy(line)
            .replace("default on nopass sanitize-payload ", "default on nopass ")
    };
    let read: Vec<String> = again.lines().iter().map(without_flag).collect();
    assert_eq!(read, shown, "a user has other rights");
}

#[test]
fn a_bad_file_changes_nothing() {
    let users = Users::default();
    users.set(b"rose", &[b"on", b">sesame", b"+get"]).unwrap();
    let before = users.lines();
    for (text, wanted) in [
        ("usr a on", "users:1 should start with user keyword followed by the username. "),
        ("\nuser", "users:2 should start with user keyword followed by the username. "),
        ("user a on\nuser a off", "WARNING: Duplicate user 'a' found on line 2. "),
        (
            "user a on +nothing",
            "users:1: Error in applying operation '+nothing': Unknown command or category name in ACL. ",
        ),
        ("user a on secret other", "users:1: Syntax error. "),
        ("user a (~x", "users:1: Unmatched parenthesis in selector definition."),
        (
            "user a #secret\nuser b ~* ~a",
            "users:1: The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
             characters. users:2: Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
             not have any effect. Try 'resetkeys' to start with an empty list of patterns. ",
        ),
    ] {
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        let why = users.load("users", text.as_bytes()).expect_err("a bad file is read");
        assert_eq!(String::from_utf8(why).unwrap(), format!("{wanted}{end}"), "{text}");
        assert_eq!(users.lines(), before, "a bad file changes users: {text}");
    }
}

/// A rule that would become several words or lines in a file of users or of settings.
#[test]
fn rules_have_no_spaces() {
    let users = Users::default();
    for argument in ["a b", "a\nuser evil on nopass ~* +@all", "a\0", ""] {
        let rule = format!("+get|{argument}");
        assert!(users.set(b"rose", &[rule.as_bytes()]).is_err(), "{rule:?} is a rule");
    }
    assert!(users.set(b"rose", &[b"+get|a"]).is_ok());
}

/// The reply of a SET with a condition on the value tells the value, so a user who may only write must not send it.
#[test]
fn a_condition_on_the_value_needs_the_right_to_read() {
    let mut client = TestClient::new();
    for line in ["SET secret red", "ACL SETUSER w on nopass %W~* +set", "AUTH w x"] {
        assert_eq!(client.command(line), "+OK", "{line}");
    }
    assert_eq!(client.command("SET secret red"), "+OK");
    for condition in ["IFEQ red", "IFNE red", "ifne red GET", "GET"] {
        let reply = client.command(&format!("SET secret red {condition}"));
        assert!(reply.starts_with("-NOPERM "), "{condition}: {reply}");
    }
}

#[test]
fn users_are_read_as_they_were_written() {
    let users = Users::default();
    let rules: [&[&[u8]]; 4] = [
        &[b"on", b">sesame", b"%R~a*", b"%W~b", b"~c", b"&news*", b"+@read", b"-get", b"+select|0"],
        &[b"nopass", b"+@all", b"-@dangerous", b"allkeys", b"allchannels", b"+lpush"],
        &[b"(~x +get)", b"(%R~y &z allcommands)", b"skip-sanitize-payload"],
        &[b"+client", b"-client|kill", b"+config|get"],
    ];
    for (name, rules) in ["a", "b", "c", "d"].iter().zip(rules) {
        users.set(name.as_bytes(), rules).unwrap();
    }
    let lines = users.lines();
    let other = Users::default();
    other.load("users", &lines.join(&b'\n')).unwrap();
    assert_eq!(other.lines(), lines, "users are lost in a file");
    assert!(other.authenticate(b"a", b"sesame").is_some());
    // Without a line of its own, `default` gets all rights back.
    other.load("users", &lines[0]).unwrap();
    assert_eq!(other.lines().len(), 2);
}

fn is_open(users: &Users) -> bool {
    users.lines().iter().any(|line| line.starts_with(b"user default on nopass"))
}

/// An empty file of users beside `requirepass` would otherwise let everybody in.
#[test]
fn a_file_without_the_default_user_opens_nothing() {
    let users = Users::default();
    users.set_default_password(b"sesame");
    users.set(b"default", &[b"-@all"]).unwrap();
    for text in ["", "user rose on >red ~* +@all"] {
        users.load("users", text.as_bytes()).unwrap();
        assert!(!is_open(&users), "{text:?} opens the server");
        assert!(users.authenticate(b"default", b"sesame").is_some());
        assert!(users.authenticate(b"default", b"").is_none());
    }
    let line = users.lines().into_iter().find(|line| line.starts_with(b"user default")).unwrap();
    assert!(line.ends_with(b" ~* &* +@all"), "{}", line.escape_ascii());
    users.set(b"default", &[b"off", b"nopass"]).unwrap();
    users.load("users", b"").unwrap();
    assert!(!is_open(&users), "a user that was off is open");
}

#[test]
fn a_user_is_implied_by_its_password() {
    let users = Users::default();
    assert!(users.are_implied_by(b"") && !users.are_implied_by(b"x"));
    users.set_default_password(b"x");
    assert!(users.are_implied_by(b"x") && !users.are_implied_by(b""));
    users.set(b"default", &[b"-get"]).unwrap();
    assert!(!users.are_implied_by(b"x"));
}
