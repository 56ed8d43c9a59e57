//! builds: default
//!
//! Users and their rights over sockets: changes that one client makes reach the others, and files of users.

mod support;

use hedgerow_db::config::Config;
use std::fs;
use support::{Client, Running, command, until};

/// Returns a client that has logged in as a user without a password.
fn logged_in(server: &Running, user: &str) -> Client {
    let mut client = server.client();
    send(&mut client, &format!("AUTH {user} x"), "+OK\r\n");
    client
}

/// Sends words, and expects a reply that begins like this.
fn send(client: &mut Client, line: &str, wanted: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    client.send(command(&words));
    client.expect(wanted.as_bytes());
}

const NO_GET: &str = "-NOPERM this user has no permissions to run the 'get' command\r\n";

#[test]
fn changes_of_rights_reach_other_clients() {
    let server = Running::new(|_| {});
    let mut admin = server.client();
    send(&mut admin, "ACL SETUSER rose on nopass ~* +@all", "+OK\r\n");
    let mut clients: Vec<Client> = (0..8).map(|_| logged_in(&server, "rose")).collect();
    for _ in 0..20 {
        send(&mut admin, "ACL SETUSER rose -get", "+OK\r\n");
        for client in &mut clients {
            send(client, "GET a", NO_GET);
        }
        send(&mut admin, "ACL SETUSER rose +get", "+OK\r\n");
        for client in &mut clients {
            client.send(b"GET a\r\n");
            client.expect(b"$-1\r\n");
        }
    }
}

#[test]
fn clients_of_a_removed_user_are_closed() {
    let server = Running::new(|_| {});
    let mut admin = server.client();
    send(&mut admin, "ACL SETUSER rose on nopass ~* &* +@all", "+OK\r\n");
    let mut silent = logged_in(&server, "rose");
    let mut subscriber = logged_in(&server, "rose");
    send(&mut subscriber, "SUBSCRIBE news", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    send(&mut admin, "CLIENT KILL USER nobody", "-ERR No such user 'nobody'\r\n");
    send(&mut admin, "ACL DELUSER rose", ":1\r\n");
    silent.expect_end();
    subscriber.expect_end();
    send(&mut admin, "PUBLISH news x", ":0\r\n");
    // The user's own client gets its reply first.
    send(&mut admin, "ACL SETUSER rose on nopass +@all", "+OK\r\n");
    let mut own = logged_in(&server, "rose");
    send(&mut own, "ACL DELUSER rose", ":1\r\n");
    own.expect_end();
    // The user is shown, and found by it.
    send(&mut admin, "ACL SETUSER daisy on nopass +@all", "+OK\r\n");
    let mut daisy = logged_in(&server, "daisy");
    send(&mut admin, "CLIENT KILL USER daisy", ":1\r\n");
    daisy.expect_end();
    send(&mut admin, "PING", "+PONG\r\n");
}

#[test]
fn subscribers_without_rights_are_closed() {
    let server = Running::new(|_| {});
    let mut admin = server.client();
    for (subscribe, name, kept, lost) in [
        ("SUBSCRIBE", "news", "&n*", "&other"),
        ("PSUBSCRIBE", "n*", "&n*", "&ne*"),
        ("SSUBSCRIBE", "news", "&n*", "&other"),
    ] {
        send(&mut admin, "ACL SETUSER rose reset on nopass +@all &*", "+OK\r\n");
        let mut subscriber = logged_in(&server, "rose");
        let mut other = logged_in(&server, "rose");
        let word = subscribe.to_lowercase();
        let begun =
            format!("*3\r\n${}\r\n{word}\r\n${}\r\n{name}\r\n:1\r\n", word.len(), name.len());
        send(&mut subscriber, &format!("{subscribe} {name}"), &begun);
        send(&mut admin, &format!("ACL SETUSER rose resetchannels {kept}"), "+OK\r\n");
        send(&mut admin, "ACL SETUSER rose -get", "+OK\r\n");
        // It goes on as long as one pattern allows the channel.
        subscriber.send(b"PING\r\n");
        subscriber.expect(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n");
        send(&mut admin, &format!("ACL SETUSER rose resetchannels {lost}"), "+OK\r\n");
        subscriber.expect_end();
        send(&mut other, "PING", "+PONG\r\n");
        let refused = "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n";
        send(&mut other, &format!("{subscribe} {name}"), refused);
    }
}

#[test]
fn the_password_of_the_settings_is_that_of_default() {
    let server = Running::new(|config| config.password = Some("sesame".into()));
    let mut client = server.client();
    send(&mut client, "AUTH default sesame", "+OK\r\n");
    send(&mut client, "CONFIG SET requirepass mellon", "+OK\r\n");
    let mut other = server.client();
    send(&mut other, "AUTH sesame", "-WRONGPASS ");
    let mut other = server.client();
    send(&mut other, "AUTH mellon", "+OK\r\n");
    send(&mut client, "ACL SETUSER default >more", "+OK\r\n");
    send(&mut server.client(), "AUTH more", "+OK\r\n");
    send(&mut client, "CONFIG SET requirepass open", "+OK\r\n");
    send(&mut server.client(), "AUTH more", "-WRONGPASS ");
    send(&mut client, "ACL SETUSER default nopass", "+OK\r\n");
    send(&mut server.client(), "GET a", "$-1\r\n");
    send(&mut client, "ACL SETUSER default off", "+OK\r\n");
    send(&mut server.client(), "GET a", "-NOAUTH ");
    send(&mut client, "GET a", "$-1\r\n");
}

#[test]
fn users_are_saved_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    fs::write(&path, "user default on nopass ~* &* +@all\n\nuser rose on nopass ~r* +get\n")
        .unwrap();
    let server = Running::new(|config| config.acl_file = Some(path.clone()));
    let mut admin = server.client();
    let mut rose = logged_in(&server, "rose");
    send(&mut rose, "GET r", "$-1\r\n");
    send(&mut rose, "SET r x", "-NOPERM ");
    send(&mut admin, "ACL SETUSER daisy on >white +@all", "+OK\r\n");
    send(&mut admin, "ACL SAVE", "+OK\r\n");
    let saved = fs::read_to_string(&path).unwrap();
    assert!(saved.contains("\nuser daisy off") || saved.contains("user daisy on #"), "{saved}");
    assert!(!saved.contains("white"), "a password is saved");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    // A bad file changes nothing, and its error names the line.
    fs::write(&path, format!("{saved}user bad +nothing\n")).unwrap();
    admin.send(b"ACL LOAD\r\n");
    let line = saved.lines().count() + 1;
    admin.expect(format!(
        "-ERR {}:{line}: Error in applying operation '+nothing': Unknown command or category name in ACL. WARNING: \
         ACL errors detected, no change to the previously active ACL rules was performed\r\n",
        path.display()
    ));
    send(&mut admin, "AUTH daisy white", "+OK\r\n");
    send(&mut admin, "AUTH default x", "+OK\r\n");
    // As in Redis, the clients of all users but `default` are closed when users are loaded.
    fs::write(&path, &saved).unwrap();
    send(&mut admin, "ACL LOAD", "+OK\r\n");
    until(|| server.watcher.clients() == 1);
    fs::remove_file(&path).unwrap();
    send(&mut admin, "ACL LOAD", "-ERR Error loading ACLs, opening file '");
}

#[test]
fn a_server_does_not_start_with_bad_users() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.conf");
    let start = |text: &str| {
        fs::write(&path, text).unwrap();
        let config = Config::load(Some(path.clone()), []).map_err(|why| why.to_string())?;
        let mut config = config.server();
        config.binds[0].address.set_port(0);
        config.binds.truncate(1);
        let db = hedgerow_db::Db::open(hedgerow_db::Options::in_memory()).unwrap();
        hedgerow_db::server::Server::bind(db, config).map(drop).map_err(|why| why.to_string())
    };
    assert_eq!(
        start("user rose on >sesame ~* (~x +get)\nuser default on nopass +@all ~*\n"),
        Ok(())
    );
    let bad = "user 'rose': Unknown command or category name in ACL +nothing";
    assert!(
        start("port 1\nuser rose on +nothing\n").unwrap_err().ends_with(&format!("line 2: {bad}"))
    );
    let twice = start("user rose on\nuser rose off\n").unwrap_err();
    assert!(twice.contains("line 2: Duplicate user found."), "{twice}");
    let secret = start("user rose #sesame\n").unwrap_err();
    assert!(!secret.contains("sesame"), "a secret is shown: {secret}");
    let both = start("user rose on\naclfile users.acl\n").unwrap_err();
    assert!(both.contains("not in both"), "{both}");
    assert!(start("aclfile /nowhere/users.acl\n").unwrap_err().contains("/nowhere/users.acl"));
}

#[test]
fn users_are_written_into_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.conf");
    fs::write(&path, "user rose on nopass ~r* +get\ntimeout 7\n").unwrap();
    let config = Config::load(Some(path.clone()), []).unwrap().server();
    let server = Running::new(|mine| {
        (mine.users, mine.settings) = (config.users, config.settings);
        mine.config_file = config.config_file;
    });
    let mut admin = server.client();
    send(&mut admin, "ACL SETUSER rose +set", "+OK\r\n");
    send(&mut admin, "ACL SETUSER daisy off", "+OK\r\n");
    send(&mut admin, "CONFIG REWRITE", "+OK\r\n");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "timeout 7\n# Generated by CONFIG REWRITE\nuser daisy off resetchannels -@all\nuser default on nopass ~* &* \
         +@all\nuser rose on nopass ~r* resetchannels -@all +get +set\n"
    );
}
