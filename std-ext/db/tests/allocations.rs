//! builds: default
//!
//! Allocations of a pipeline whose buffers have grown: none for reads, and for changes only the data that the database
//! stores.

use hedgerow_db::command::{Connection, Context, Scratch, ServerApi, Users, process_input};
use hedgerow_db::pubsub::Hub;
use hedgerow_db::request::{
    Answer, Change, ExpireCondition, Expiry, MultiKeyOp, Request, SetCondition,
};
use hedgerow_db::{Db, Options, Session};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Arc, LazyLock};

/// The system's allocator, with a count of each thread's allocations.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator; the thread-local counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is exiting has no counter any more.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller upholds the contract of `alloc`, which is the same for the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `alloc` above, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A server without statistics or settings.
struct Server;

impl ServerApi for Server {
    fn users(&self) -> &Users {
        static USERS: LazyLock<Users> = LazyLock::new(Users::default);
        &USERS
    }

    fn hub(&self) -> &Arc<Hub> {
        static HUB: LazyLock<Arc<Hub>> = LazyLock::new(|| Hub::new(0));
        &HUB
    }
}

fn on_one_node<'c>(session: &'c mut Session, db: &'c Db, scratch: &'c mut Scratch) -> Context<'c> {
    Context { session, db, server: &Server, scratch, cluster: None }
}

#[test]
fn pipelines_allocate_nothing() {
    let db = Db::open(Options::in_memory()).unwrap();
    let (mut session, mut scratch) = (db.session(), Scratch::default());
    let mut connection = Connection::new(1, "here".into(), "there".into(), Server.users());
    for n in 0..64 {
        db.set(format!("key:{n}"), "a value that is not short").unwrap();
    }
    let mut allocated = |line: &dyn Fn(usize) -> String| {
        let input: Vec<u8> = (0..64).flat_map(|n| line(n).into_bytes()).collect();
        let mut out = Vec::with_capacity(1 << 16);
        let mut count = 0;
        for _ in 0..3 {
            out.clear();
            let before = COUNT.get();
            let context = &mut on_one_node(&mut session, &db, &mut scratch);
            let outcome = process_input(&mut connection, context, &input, &mut out);
            count = COUNT.get() - before;
            assert_eq!((outcome.commands, outcome.consumed), (64, input.len()));
        }
        count
    };
    assert_eq!(
        allocated(&|n| format!("*2\r\n$3\r\nGET\r\n${}\r\nkey:{n}\r\n", 4 + n.to_string().len())),
        0
    );
    assert_eq!(allocated(&|n| format!("MGET key:{n} key:1 none\r\n")), 0);
    assert_eq!(allocated(&|n| format!("TTL key:{n}\r\n")), 0);
    assert_eq!(allocated(&|n| format!("EXISTS key:{n} none\r\n")), 0);
    assert_eq!(allocated(&|_| "PING\r\n".into()), 0);
    // Reads among changes, whose answers arrive out of order.
    let some = |n: usize| match n {
        7 => "DEL none\r\n".to_owned(),
        _ => format!("GET key:{n}\r\n"),
    };
    assert_eq!(allocated(&some), 0);
    // Each one makes a record that is stored.
    let set = |n: usize| format!("SET key:{n} another\r\n");
    assert!(allocated(&set) <= 64 + 8);
}

/// For any length of the value.
#[test]
fn changes_of_long_values_allocate_in_proportion_to_the_change() {
    const LENGTH: usize = 16 << 20;
    let db = Db::open(Options::in_memory()).unwrap();
    let mut session = db.session();
    db.set("a", vec![b'v'; LENGTH]).unwrap();
    let mut bytes_for = |request: Request<'_>| {
        let before = BYTES.get();
        session.execute(&[request], &mut |_, answer| {
            assert!(matches!(answer, Answer::Int(1..) | Answer::Done), "{answer:?}");
        });
        BYTES.get() - before
    };
    let live = |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
    let rename = |from, to| Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: false });
    let small = [
        Request::Change(b"a", live(Expiry::At(1 << 50))),
        Request::Change(b"a", live(Expiry::Never)),
        rename(b"a", b"another"),
        rename(b"another", b"a"),
    ];
    for request in small {
        let bytes = bytes_for(request);
        assert!(bytes < 10_000, "{bytes} bytes allocated for {request:?} of 16 MiB");
    }
    // The first append may convert the value to pieces, just as storing it did.
    bytes_for(Request::Change(b"a", Change::Append(b"tail")));
    let mut appended = 0;
    for _ in 0..1000 {
        appended += bytes_for(Request::Change(b"a", Change::Append(&[b't'; 100])));
    }
    assert!(appended < 1 << 20, "{appended} bytes allocated for 1,000 times APPEND of 100 bytes");
    for at in [0, 300_000, LENGTH - 1, LENGTH + 100_000] {
        let bytes =
            bytes_for(Request::Change(b"a", Change::SetRange { offset: at, bytes: b"part" }));
        assert!(bytes < 600_000, "{bytes} bytes allocated for SETRANGE of 4 bytes of 16 MiB");
    }
    // The same for values that grow from nothing.
    let mut grown = 0;
    for _ in 0..20_000 {
        grown += bytes_for(Request::Change(b"grows", Change::Append(&[b't'; 100])));
    }
    assert!(grown < 20 << 20, "{grown} bytes allocated for 20,000 times APPEND of 100 bytes");
}

#[test]
fn a_long_value_is_copied_once_if_nothing_is_logged() {
    const LENGTH: usize = 16 << 20;
    let db = Db::open(Options::in_memory()).unwrap();
    let mut session = db.session();
    let (value, expiry) = (vec![b'v'; LENGTH], Expiry::Never);
    let set = Change::Set { value: &value, condition: SetCondition::Always, expiry, get: false };
    for change in [set, Change::Append(&value), Change::SetRange { offset: 0, bytes: &value }] {
        session.execute(&[Request::Change(b"a", Change::Delete)], &mut |_, _| {});
        let before = BYTES.get();
        session.execute(&[Request::Change(b"a", change)], &mut |_, answer| {
            assert!(matches!(answer, Answer::Int(_) | Answer::Done), "{answer:?}");
        });
        let bytes = BYTES.get() - before;
        assert!(bytes < LENGTH * 3 / 2, "{bytes} bytes allocated to store 16 MiB");
    }
}

#[test]
fn object_encoding_reads_only_the_beginning_of_a_value() {
    let db = Db::open(Options::in_memory()).unwrap();
    let (mut session, mut scratch) = (db.session(), Scratch::default());
    let mut connection = Connection::new(1, "here".into(), "here".into(), Server.users());
    db.set("a", vec![b'1'; 1 << 20]).unwrap();
    // Now the value is stored in pieces, which a plain read joins.
    session.execute(&[Request::Change(b"a", Change::Append(b"1"))], &mut |_, _| {});
    let (mut out, before) = (Vec::new(), BYTES.get());
    let context = &mut on_one_node(&mut session, &db, &mut scratch);
    process_input(&mut connection, context, b"OBJECT ENCODING a\r\n", &mut out);
    let bytes = BYTES.get() - before;
    assert_eq!(out, b"$3\r\nraw\r\n");
    assert!(bytes < 10_000, "{bytes} bytes allocated for OBJECT ENCODING of 1 MiB");
}

#[test]
fn a_value_in_pieces_is_not_joined_for_a_reply() {
    const LENGTH: usize = 4 << 20;
    let db = Db::open(Options::in_memory()).unwrap();
    let (mut session, mut scratch) = (db.session(), Scratch::default());
    let mut connection = Connection::new(1, "here".into(), "here".into(), Server.users());
    let mut value: Vec<u8> = (0..LENGTH).map(|at| (at / 1000) as u8).collect();
    db.set("a", &value).unwrap();
    session.execute(&[Request::Change(b"a", Change::Append(b"tail"))], &mut |_, _| {});
    value.extend_from_slice(b"tail");
    let bulk = [format!("${}\r\n", value.len()).as_bytes(), &value[..], b"\r\n"].concat();
    for (request, head) in [(&b"GET a\r\n"[..], &b""[..]), (b"MGET a\r\n", b"*1\r\n")] {
        let mut out = Vec::with_capacity(LENGTH + 100);
        let context = &mut on_one_node(&mut session, &db, &mut scratch);
        let before = BYTES.get();
        process_input(&mut connection, context, request, &mut out);
        let bytes = BYTES.get() - before;
        assert!(out == [head, &bulk].concat(), "the reply is not the value");
        assert!(bytes < 100_000, "{bytes} bytes allocated for the reply of 4 MiB");
    }
    // Next to a change, answers wait in another buffer.
    let mut out = Vec::new();
    let context = &mut on_one_node(&mut session, &db, &mut scratch);
    process_input(&mut connection, context, b"GET a\r\nSET b 1\r\nGET a\r\n", &mut out);
    assert!(out == [&bulk[..], b"+OK\r\n", &bulk].concat(), "replies beside a change");
}
