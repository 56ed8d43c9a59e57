use super::test_client::TestClient;

/// Sends a request. Returns its reply, or nothing if it waits.
fn sent(client: &mut TestClient, request: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    let outcome = client.process(request, &mut out);
    assert_eq!(outcome.postponed, outcome.consumed == 0, "{request:?}");
    (!outcome.postponed).then(|| String::from_utf8(out).unwrap())
}

#[test]
fn a_request_without_words_hides_nothing_from_a_pause() {
    let mut client = TestClient::new();
    assert_eq!(client.command("CLIENT PAUSE 1000000 WRITE"), "+OK");
    for request in [&b"\r\nSET a b\r\n"[..], b"*0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"] {
        assert_eq!(sent(&mut client, request), None, "a write is executed during a pause");
    }
}

#[test]
fn a_pause_of_writes_holds_writes() {
    let mut client = TestClient::new();
    assert_eq!(client.command("CLIENT PAUSE 1000000 WRITE"), "+OK");
    let postponed = None;
    for write in ["SET a b", "DEL a", "INCR a", "FLUSHALL", "SET a \"b c\"", "MSET a b"] {
        let reply = sent(&mut client, format!("{write}\r\n").as_bytes());
        assert_eq!(reply, postponed, "{write} is executed during a pause");
    }
    assert_eq!(sent(&mut client, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"), postponed);
    // They would reach replicas, or may write.
    for request in
        ["PFCOUNT a", "PUBLISH news 1", "SPUBLISH news 1", "EVAL 'return 1' 0", "EVALSHA ab 0"]
    {
        let reply = sent(&mut client, format!("{request}\r\n").as_bytes());
        assert_eq!(reply, postponed, "{request} is executed during a pause");
    }
    #[cfg(feature = "scripts")]
    for request in ["EVAL_RO 'return 1' 0", "EVAL \"#!lua flags=no-writes\\nreturn 1\" 0"] {
        let reply = sent(&mut client, format!("{request}\r\n").as_bytes());
        assert_eq!(reply.as_deref(), Some(":1\r\n"), "{request}");
    }
    for (request, reply) in [
        ("GET a", "$-1\r\n"),
        ("PING", "+PONG\r\n"),
        ("SET a", "-ERR wrong number of arguments for 'set' command\r\n"),
        ("MULTI", "+OK\r\n"),
        ("SET a b", "+QUEUED\r\n"),
    ] {
        assert_eq!(sent(&mut client, format!("{request}\r\n").as_bytes()).as_deref(), Some(reply));
    }
    assert_eq!(
        sent(&mut client, b"EXEC\r\n"),
        postponed,
        "a transaction is executed during a pause"
    );
    assert_eq!(client.command("DISCARD"), "+OK");
    assert_eq!(client.command("CLIENT UNPAUSE"), "+OK");
    assert_eq!(sent(&mut client, b"SET a b\r\n").as_deref(), Some("+OK\r\n"));
}

#[test]
fn a_pause_of_all_holds_all_but_its_end() {
    let mut client = TestClient::new();
    assert_eq!(client.command("CLIENT PAUSE 1000000"), "+OK");
    for request in [&b"GET a\r\n"[..], b"PING\r\n", b"CLIENT ID\r\n", b"SHUTDOWN\r\n"] {
        assert_eq!(sent(&mut client, request), None);
    }
    assert_eq!(client.command("CLIENT UNPAUSE"), "+OK");
    assert_eq!(client.command("PING"), "+PONG");
    // Commands in front of one that waits are executed.
    client.command("CLIENT PAUSE 1000000 WRITE");
    let (mut out, input) = (Vec::new(), b"GET a\r\nPING\r\nSET a b\r\nGET a\r\n");
    let mut at = 0;
    loop {
        let outcome = client.process(&input[at..], &mut out);
        at += outcome.consumed;
        if outcome.postponed {
            break;
        }
    }
    assert_eq!((out, at), (b"$-1\r\n+PONG\r\n".to_vec(), 13));
}
