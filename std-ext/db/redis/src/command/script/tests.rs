//! Tests of scripts through a connection.

use crate::command::test_client::TestClient;
use hedgerow_db_engine::request::{Change, Expiry, Request, SetCondition};
use hedgerow_db_engine::session::{Breadth, LockedKeys};
use std::time::{Duration, Instant};

/// Returns the reply to a script, as text.
fn run(client: &mut TestClient, script: &str, arguments: &[&str]) -> String {
    let mut request = vec!["EVAL", script];
    request.extend(arguments);
    let mut bytes = Vec::new();
    let words: Vec<Vec<u8>> = request.iter().map(|word| word.as_bytes().to_vec()).collect();
    hedgerow_db_formats::resp::write::request(&mut bytes, &words);
    String::from_utf8_lossy(&client.send(&bytes)).into_owned()
}

/// Milliseconds that a script which ends by itself needs on no machine, however busy it is.
const AMPLE_TIME: u64 = 10_000;

#[test]
fn a_lock_is_released_by_its_holder() {
    let release = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";
    let mut client = TestClient::new();
    assert_eq!(client.send(b"SET lock mine\r\n"), b"+OK\r\n");
    assert_eq!(
        run(&mut client, "return redis.call('get', KEYS[1])", &["1", "lock"]),
        "$4\r\nmine\r\n"
    );
    assert_eq!(run(&mut client, release, &["1", "lock", "other"]), ":0\r\n");
    assert_eq!(run(&mut client, release, &["1", "lock", "mine"]), ":1\r\n");
    assert_eq!(run(&mut client, release, &["1", "lock", "mine"]), ":0\r\n");
    assert_eq!(client.send(b"GET lock\r\n"), b"$-1\r\n");
}

#[test]
fn a_script_finds_subsequences_and_sorts_its_keys() {
    let mut client = TestClient::new();
    client.db.set_allow_undeclared_keys(false);
    client.send(b"MSET a ohmytext b mynewtext d 1\r\n");
    let find = "return redis.call('lcs', KEYS[1], KEYS[2])";
    assert_eq!(run(&mut client, find, &["2", "a", "b"]), "$6\r\nmytext\r\n");
    let sort = "return redis.call('sort', KEYS[1], 'store', ARGV[1])";
    let reply = run(&mut client, sort, &["1", "missing", "d"]);
    assert!(reply.contains("a key that is not in its KEYS: 'd'"), "{reply}");
    let sort = "return redis.call('sort', KEYS[1], 'store', KEYS[2])";
    assert_eq!(run(&mut client, sort, &["2", "missing", "d"]), ":0\r\n");
    assert_eq!(client.send(b"EXISTS d\r\n"), b":0\r\n");
}

/// The pipeline has replies that were not sent. They leave the script as much room for a reply as it has without them.
#[test]
fn a_script_gets_all_fields_of_a_hash() {
    let mut client = TestClient::new();
    let (long, longer) = ("v".repeat(10 << 20), "v".repeat(60 << 20));
    let mut input = Vec::new();
    for words in [
        &["SET", "other", &longer][..],
        &["HSET", "h", "a", "1", "b", &long, "c", "2"],
        &["GET", "other"],
        &["EVAL", "return #redis.call('hgetall', KEYS[1])", "1", "h"],
    ] {
        hedgerow_db_formats::resp::write::request(&mut input, words);
    }
    let replies = client.send(&input);
    assert!(replies.ends_with(b"\r\n:6\r\n"), "{}", replies[replies.len() - 20..].escape_ascii());
}

/// The interpreter has a stack of references, which scripts can fill.
#[test]
fn an_exhausted_interpreter_is_replaced() {
    let mut client = TestClient::new();
    for value in [
        "string.gmatch('a', 'a')",
        "coroutine.wrap(function() end)",
        "coroutine.create(function() end)",
        "cjson.new()",
    ] {
        // More than the interpreter has room for, and some less, which are garbage when the next script begins.
        for count in [20_000, 3_000, 3_000, 3_000] {
            let script =
                format!("local t = {{}} for i = 1, {count} do t[i] = {value} end return #t");
            let reply = run(&mut client, &script, &["0"]);
            let is_right = reply == format!(":{count}\r\n");
            assert!(
                is_right || count == 20_000 && reply.starts_with("-ERR"),
                "{value} after another script: {reply:.300}"
            );
            let next = run(&mut client, "return cjson.encode({1, 2})", &["0"]);
            assert_eq!(next, "$5\r\n[1,2]\r\n", "{value} spoils the next script");
        }
    }
    // It ends without an error, and leaves no room.
    let fill = "local t = {} while true do local done, g = pcall(string.gmatch, 'a', 'a') \
        if not done then return #t > 2000 end t[#t + 1] = g end";
    assert_eq!(run(&mut client, fill, &["0"]), ":1\r\n");
    let next = run(&mut client, "return cjson.encode({1, 2})", &["0"]);
    assert_eq!(next, "$5\r\n[1,2]\r\n", "it spoils the next script");
}

/// Functions that are garbage, and texts, take no place on the stack of references for long.
#[test]
fn scripts_make_many_functions_and_sort_many_texts() {
    let mut client = TestClient::new();
    client.set_script_time_limit(60_000);
    let much = "local much = {} for i = 1, 100000 do much[i] = {i} end ";
    for made in [
        "for w in string.gmatch('a b', '%w') do n = n + 1 end",
        "n = n + coroutine.wrap(function() return 2 end)()",
        "n = n + cjson.new().encode_max_depth(2)",
    ] {
        let script = format!("{much}local n = 0 for i = 1, 20000 do {made} end return n");
        assert_eq!(run(&mut client, &script, &["0"]), ":40000\r\n", "{made}");
    }
    // Each text twice.
    let sort = "local t = {} for i = 1, 100000 do t[i] = 'k' .. i * 7919 % 50000 end table.sort(t) \
        for i = 2, #t do if t[i - 1] > t[i] then return i end end return {#t, t[1], t[2], t[3], t[100000]}";
    assert_eq!(
        run(&mut client, sort, &["0"]),
        "*5\r\n:100000\r\n$2\r\nk0\r\n$2\r\nk0\r\n$2\r\nk1\r\n$5\r\nk9999\r\n"
    );
    let mixed =
        "local t = {'b', 'a', 1} local done, why = pcall(table.sort, t) return {why, t[1], t[2]}";
    let reply = run(&mut client, mixed, &["0"]);
    assert!(reply.starts_with("*3\r\n$"), "{reply}");
    assert!(reply.contains("attempt to compare "), "{reply}");
    let sort = "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t";
    assert_eq!(run(&mut client, sort, &["0"]), "*3\r\n:3\r\n:2\r\n:1\r\n");
}

/// One long text may be thousands of arguments.
#[test]
fn no_call_reads_a_long_text_thousands_of_times() {
    let mut client = TestClient::new();
    client.set_script_time_limit(AMPLE_TIME);
    let began = Instant::now();
    for (call, wanted) in [
        ("math.max(unpack(t))", "-ERR not enough memory"),
        ("math.min(unpack(t))", "-ERR not enough memory"),
        ("string.char(unpack(t))", "-ERR not enough memory"),
        ("string.format(('%d'):rep(#t), unpack(t))", "-ERR not enough memory"),
        ("bit.bor(unpack(t))", "-ERR user_script:1: bad argument #1 to 'bor' (number expected"),
        ("redis.log(0, unpack(t))", "$-1\r\n"),
        ("redis.log(0, 1.5, 'a', nil, 7) return math.max(1, '3', 2)", ":3\r\n"),
        ("math.max({})", "-ERR user_script:1: bad argument #1 to 'max' (number expected"),
        ("return string.format('%d %s', '12', 'x')", "$4\r\n12 x\r\n"),
        ("return string.char(72, '105')", "$2\r\nHi\r\n"),
        ("return bit.bor('1', ('0'):rep(1022) .. '2')", ":3\r\n"),
    ] {
        let fill = "local s = ('0'):rep(2 ^ 24) local t = {} for i = 1, 300 do t[i] = s end";
        let reply = run(&mut client, &format!("{fill} {call}"), &["0"]);
        assert!(reply.starts_with(wanted), "{call}: {reply:.300}");
        assert!(began.elapsed() < Duration::from_secs(20), "{call} takes long");
    }
}

/// Where a script has taken all references, its functions fail, and the interpreter goes on.
#[test]
fn no_function_panics_without_references() {
    let mut client = TestClient::new();
    for last in ["getmetatable(m)", "setmetatable(m, nil)", "setmetatable(m, {})"] {
        for (free, catches) in [(0, false), (0, true), (1, false), (1, true)] {
            let last = if catches { format!("pcall(function() {last} end)") } else { last.into() };
            let script = format!(
                "local m = setmetatable({{}}, {{}}) local k = {{}} local f = function() end \
                 for i = 1, {free} do k[#k + 1] = coroutine.wrap(f) end for i = 1, 9000 do \
                 local done, g = pcall(string.gmatch, 'a', 'b') if not done then break end k[#k + 1] = g end \
                 {last} return 1"
            );
            let reply = run(&mut client, &script, &["0"]);
            assert!(!reply.contains("failed"), "{last} panics: {reply}");
            assert!(reply.starts_with("-ERR") || reply == ":1\r\n", "{last}: {reply}");
        }
    }
    let protected = "local m = setmetatable({}, {__metatable = 7}) \
        return {getmetatable(m), select(2, pcall(setmetatable, m, {}))}";
    assert_eq!(
        run(&mut client, protected, &["0"]),
        "*2\r\n:7\r\n$35\r\ncannot change a protected metatable\r\n"
    );
    let protected = "setmetatable(setmetatable({}, {__metatable = 7}), nil)";
    let reply = run(&mut client, protected, &["0"]);
    assert!(reply.starts_with("-ERR user_script:1: cannot change a protected"), "{reply}");
}

/// Lua 5.1 has a hash of each text that takes some of its bytes. Here it takes the same ones of all.
#[test]
fn texts_with_one_hash_take_no_longer_than_a_script_may() {
    let mut client = TestClient::new();
    client.set_script_time_limit(50);
    let texts: Vec<String> = (0..60_000)
        .map(|number: u32| {
            let mut text = [b'x'; 64];
            let digits = format!("{number:06}");
            for (place, digit) in [62, 61, 59, 58, 56, 55].into_iter().zip(digits.bytes()) {
                text[place] = digit;
            }
            String::from_utf8(text.to_vec()).unwrap()
        })
        .collect();
    let mut arguments = vec!["0"];
    arguments.extend(texts.iter().map(String::as_str));
    let reply = run(&mut client, "return #ARGV", &arguments);
    assert!(reply.starts_with("-ERR Script stopped, because it has run for 50 ms"), "{reply}");
    assert_eq!(run(&mut client, "return #ARGV", &["0", "a", "b"]), ":2\r\n");
}

/// The limit of memory is lifted while this crate makes the values of a call, and not longer.
#[test]
fn the_memory_of_a_script_is_limited() {
    let mut client = TestClient::new();
    client.set_script_time_limit(0);
    client.send(b"SET k kept\r\n");
    for first in ["", "redis.call('get', KEYS[1]) ", "redis.pcall('nothing') "] {
        let fill = "local s, t = ('x'):rep(1e6), {} for i = 1, 200 do t[i] = s .. i end return #t";
        let reply = run(&mut client, &format!("{first}{fill}"), &["1", "k"]);
        assert!(
            reply.starts_with('-'),
            "a script that begins with `{first}` takes 200 MB: {reply}"
        );
    }
    assert_eq!(
        run(&mut client, "return redis.call('get', KEYS[1])", &["1", "k"]),
        "$4\r\nkept\r\n"
    );
}

/// Hostile scripts, and the beginnings of their replies. None of them takes long, or leaves anything.
#[test]
fn hostile_scripts_end() {
    const STOPPED: &str =
        "-ERR Script stopped, because it has run for 100 ms of processor time; its changes";
    let mut client = TestClient::new();
    client.db.set_allow_undeclared_keys(false);
    client.send(b"SET k kept\r\n");
    for (script, wanted) in [
        ("while true do end", STOPPED),
        ("while true do pcall(function() while true do end end) end", STOPPED),
        ("xpcall(function() while true do end end, function() end) return 1", STOPPED),
        ("coroutine.wrap(function() while true do end end)()", STOPPED),
        ("return {coroutine.resume(coroutine.create(function() while true do end end))}", STOPPED),
        ("redis.call('set', KEYS[1], 'lost') while true do end", STOPPED),
        ("redis.call('del', KEYS[1]) redis.call('incr', KEYS[1]) while true do end", STOPPED),
        ("return string.find(('a'):rep(30000), ('.-'):rep(30) .. 'b')", STOPPED),
        ("return string.gsub(('a'):rep(30000), ('a?'):rep(99) .. 'b', '')", STOPPED),
        ("local t = {'x'} for i = 1, 60 do t = {t, t} end return t", STOPPED),
        ("return #string.rep('x', 1e9)", "-ERR not enough memory"),
        ("return #string.rep('', 2e9)", ":0"),
        ("return #(('x'):rep(1e6):gsub('.', ('y'):rep(1e6)))", "-ERR not enough memory"),
        (
            "local y = ('y'):rep(2e7) local function f(depth) local n = 0 return (('xx'):gsub('.', function() n = n \
             + 1 if n == 1 then return y end if depth > 0 then f(depth - 1) end return '' end)) end return #f(20)",
            "-ERR not enough memory",
        ),
        ("local s = 'x' while true do s = s .. s end", "-ERR Error running script "),
        ("local t = {} for i = 1, 1e9 do t[i] = i end", "-ERR "),
        ("local function f() return 1 + f() end return f()", "-ERR user_script:1: stack overflow"),
        ("local function f() return coroutine.wrap(f)() end return f()", "-ERR user_script:1: "),
        ("return string.find('x', ('('):rep(40))", "-ERR user_script:1: too many captures"),
        (
            "return string.find(('x'):rep(999), ('x?'):rep(999))",
            "-ERR user_script:1: pattern too complex",
        ),
        ("return {unpack({}, 1, 1e8)}", "-ERR user_script:1: too many results to unpack"),
        ("return unpack({}, 0, 2147483647)", "-ERR user_script:1: too many results to unpack"),
        ("unpack({}, -2147483648, 2147483647)", "-ERR user_script:1: too many results to unpack"),
        ("return {pcall(unpack, {}, -2, 2147483647)}", "*2\r\n$-1\r\n$26\r\ntoo many results"),
        ("return {unpack({1, 2, 3}, 2)}", "*2\r\n:2\r\n:3\r\n"),
        ("return {unpack({1, 2, 3}, -1, 1)}", "*0\r\n"),
        ("return {unpack({1}, 1, nil)}", "*1\r\n:1\r\n"),
        ("local t = {} for i = 25, 0, -1 do t[2 ^ i] = 1 end return table.remove(t, 1)", STOPPED),
        ("return {pcall(table.insert, {1, 2, 3}, -1000000000, 5)}", STOPPED),
        (
            "local t = {} for i = 25, 0, -1 do t[2 ^ i] = 1 end table.sort(t)",
            "-ERR attempt to compare",
        ),
        (
            "local t = {1, 2, 3} return {table.remove(t, 1), table.remove(t), t[1], #t}",
            "*4\r\n:1\r\n:3\r\n:2\r\n:1\r\n",
        ),
        ("return {table.remove({}), table.remove({1}, 2), 7}", "*0\r\n"),
        ("return select(2, loadstring('\\27Lua'))", "$"),
        ("return tostring(getfenv)", "-ERR user_script:1: Script attempted"),
        ("redis.call('set', 'other', 1)", "-ERR Script attempted to access a key that is not in"),
        ("redis.call('rename', KEYS[1], 'other')", "-ERR Script attempted to access a key"),
        ("return redis.call('keys', '*')", "-ERR KEYS is not supported in scripts"),
        ("return redis.call('flushall')", "-ERR FLUSHALL is not supported in scripts"),
        ("return redis.call('restore', KEYS[1], 0, 'x')", "-ERR RESTORE is not supported"),
        ("table.insert(string, 1) rawset(table, 1, 1)", "-ERR Attempt to modify a readonly table"),
        ("return #string", ":0"),
        ("KEYS = nil", "-ERR user_script:1: Attempt to modify a readonly table"),
        ("getmetatable('').__index = nil", "-ERR user_script:1: Attempt to modify"),
        ("collectgarbage('stop') return ('x'):rep(3)", "$3\r\nxxx"),
        ("error({})", "-ERR unknown error"),
        ("return redis.call('get', KEYS[1])", "$4\r\nkept\r\n"),
    ] {
        let began = Instant::now();
        client.set_script_time_limit(if wanted == STOPPED { 100 } else { AMPLE_TIME });
        let reply = run(&mut client, script, &["1", "k"]);
        assert!(reply.starts_with(wanted), "{script}: {reply:.300}");
        // A step that does not look at the clock may take minutes.
        assert!(began.elapsed() < Duration::from_secs(30), "{script} took more than 30 s");
    }
    assert_eq!(client.send(b"GET k\r\nDBSIZE\r\n"), b"$4\r\nkept\r\n:1\r\n");
}

/// Lua looks at the clock after some of its own instructions. These scripts need few of them, and much time.
#[test]
fn loops_over_functions_of_c_end() {
    const STOPPED: &str = "-ERR Script stopped, because it has run for 100 ms";
    let mut client = TestClient::new();
    for (script, wanted) in [
        (
            "local t = {} for i = 24, 0, -1 do t[2 ^ i] = 1 end table.foreachi(t, redis.debug)",
            STOPPED,
        ),
        (
            "local t = {} for i = 1, 250 do t[{string.byte(('x'):rep(7900), 1, -1)}] = redis.debug end \
             return table.foreach(t, table.foreach)",
            STOPPED,
        ),
        ("local t = {} for i = 17, 0, -1 do t[2 ^ i] = 1 end table.sort(t, redis.debug)", STOPPED),
        (
            "local x, t = setmetatable({}, {__lt = redis.debug}), {} for i = 1, 5e4 do t[i] = x end \
             return table.sort(t)",
            STOPPED,
        ),
        (
            "local n = 0 table.foreach({5, 6, x = 7}, function(k, v) n = n + v end) return {n, \
             table.foreach({5, x = 1}, function(k, v) if v == 5 then return k end end)}",
            "*2\r\n:18\r\n:1\r\n",
        ),
        (
            "local n = 0 table.foreachi({5, 6, x = 7}, function(k, v) n = n + k * v end) return {n, \
             table.foreachi({5, 6}, function(k, v) if v == 6 then return k end end)}",
            "*2\r\n:17\r\n:2\r\n",
        ),
        (
            "table.foreach(1, redis.debug)",
            "-ERR user_script:1: bad argument #1 to 'foreach' (table",
        ),
        ("table.foreachi({})", "-ERR user_script:1: bad argument #2 to 'foreachi' (function"),
    ] {
        client.set_script_time_limit(if wanted == STOPPED { 100 } else { AMPLE_TIME });
        let reply = run(&mut client, script, &["0"]);
        assert!(reply.starts_with(wanted), "{script}: {reply:.300}");
    }
}

#[test]
fn a_stopped_script_takes_its_transaction_with_it() {
    let mut client = TestClient::new();
    client.set_script_time_limit(50);
    client.send(b"SET k kept\r\nMULTI\r\nSET k lost\r\nSET new 1\r\n");
    let script = "redis.call('append', KEYS[1], 'x') while true do end";
    assert_eq!(run(&mut client, script, &["1", "k"]), "+QUEUED\r\n");
    let reply = client.send(b"EXEC\r\n");
    assert!(reply.starts_with(b"-EXECABORT Transaction discarded because of: Script stopped"));
    assert_eq!(client.send(b"GET k\r\nGET new\r\n"), b"$4\r\nkept\r\n$-1\r\n");
    assert_eq!(
        run(&mut client, "return redis.call('append', KEYS[1], '!')", &["1", "k"]),
        ":5\r\n"
    );
}

/// A script that fails keeps its changes, as in Redis.
#[test]
fn a_failed_script_keeps_its_changes() {
    let mut client = TestClient::new();
    let script = "redis.call('set', KEYS[1], 1) error('late')";
    assert!(run(&mut client, script, &["1", "k"]).starts_with("-ERR user_script:1: late"));
    assert_eq!(client.send(b"GET k\r\n"), b"$1\r\n1\r\n");
}

/// Scripts wait for `TIME`, also in redis-rs's own tests. The times to live of keys stand still meanwhile.
#[test]
fn time_goes_on_for_time_alone() {
    let mut client = TestClient::new();
    let script = "redis.call('set', KEYS[1], 1, 'px', 500) \
        local function now() local t = redis.call('time') return t[1] * 1e6 + t[2] end \
        local ends = now() + 2500 while now() < ends do end return redis.call('pttl', KEYS[1])";
    assert_eq!(run(&mut client, script, &["1", "k"]), ":500\r\n");
}

/// A script changes the selected database, and no other.
#[test]
fn scripts_run_in_the_selected_database() {
    let mut client = TestClient::new();
    client.send(b"SET k zero\r\nSELECT 3\r\n");
    assert_eq!(
        run(&mut client, "return redis.call('set', KEYS[1], 'three')", &["1", "k"]),
        "+OK\r\n"
    );
    let stopped = "redis.call('set', KEYS[1], 'lost') while true do end";
    client.set_script_time_limit(50);
    assert!(run(&mut client, stopped, &["1", "k"]).starts_with("-ERR Script stopped"));
    assert_eq!(
        client.send(b"GET k\r\nSELECT 0\r\nGET k\r\n"),
        b"$5\r\nthree\r\n+OK\r\n$4\r\nzero\r\n"
    );
}

/// Scripts that give our libraries hostile input, and the beginnings of their replies.
#[test]
fn libraries_survive_hostile_input() {
    const STOPPED: &str = "-ERR Script stopped, because it has run for 500 ms";
    let mut client = TestClient::new();
    let mut wrong = Vec::new();
    for (script, wanted) in [
        ("local t = {} t.t = t cjson.encode(t)", "-ERR user_script:1: Cannot serialise, excessive"),
        (
            "cjson.encode_max_depth(2^31 - 1) local t = {} t[1] = t cjson.encode(t)",
            "-ERR user_script:1: Cannot serialise, excessive nesting (2001)",
        ),
        (
            "cjson.decode_max_depth(2^31 - 1) cjson.decode(('['):rep(1e6))",
            "-ERR user_script:1: Found too many nested data structures (2001) at character 2001",
        ),
        ("local t = {'x'} for i = 1, 60 do t = {t, t} end cjson.encode(t)", STOPPED),
        ("while true do pcall(cjson.decode, '[') end", STOPPED),
        ("local t = ('/'):rep(6e6) for i = 1, 4 do t = {t, t} end cjson.encode(t)", "-ERR "),
        ("cjson.encode_sparse_array(false, 0) cjson.encode({[2^31 - 1] = 1})", "-ERR "),
        ("cjson.encode_sparse_array(true) return cjson.encode({[2^40] = 1})", "$"),
        ("cjson.encode({[2^60] = 1})", "-ERR user_script:1: Cannot serialise table: excessively"),
        ("cjson.decode('[' .. ('1,'):rep(3e6))", "-ERR "),
        ("cjson.decode((' '):rep(1e6))", "-ERR user_script:1: Expected value but found T_END"),
        ("cjson.decode('\"\\\\u')", "-ERR user_script:1: Expected value but found invalid unicode"),
        ("cjson.decode('\"\\\\')", "-ERR user_script:1: Expected value but found invalid escape"),
        ("return tostring(cjson.decode('0x'))", "-ERR user_script:1: Expected the end but found"),
        ("return tostring(cjson.decode('1e99999999999'))", "$3\r\ninf"),
        ("return tostring(cjson.decode('0x1p99999999999'))", "$3\r\ninf"),
        (
            "return cjson.decode('-.')",
            "-ERR user_script:1: Expected value but found invalid number",
        ),
        ("cjson.encode_max_depth(5) cjson.new().encode_max_depth(7) return 1", ":1"),
        ("return cjson.encode_max_depth()", ":1000"),
        ("cjson.null = 1", "-ERR user_script:1: Attempt to modify a readonly table"),
        ("while true do cjson.new() end", STOPPED),
        ("return #cmsgpack.pack(('x'):rep(3e7), ('x'):rep(3e7))", "-ERR "),
        ("local t = {'x'} for i = 1, 15 do t = {t, t, t, t} end cmsgpack.pack(t)", STOPPED),
        ("cmsgpack.unpack(('\\145'):rep(1e6))", "-ERR user_script:1: stack overflow"),
        ("cmsgpack.unpack(('\\1'):rep(1e6))", "-ERR user_script:1: too many results"),
        (
            "cmsgpack.unpack_limit(('\\161x'):rep(1e6), 2^40)",
            "-ERR user_script:1: too many results",
        ),
        ("return {cmsgpack.unpack(('\\161x'):rep(2000))}", "*2000"),
        ("return cmsgpack.unpack('\\207' .. ('\\255'):rep(8))", ":-1"),
        ("cmsgpack.unpack('\\221\\255\\255\\255\\255\\1')", "-ERR user_script:1: Missing bytes"),
        ("cmsgpack.unpack('\\219\\255\\255\\255\\255')", "-ERR user_script:1: Missing bytes"),
        ("cmsgpack.unpack('\\223\\255')", "-ERR user_script:1: Missing bytes"),
        ("cmsgpack.unpack('\\129\\203\\127\\248' .. ('\\0'):rep(7))", "-ERR table index is NaN"),
        ("cmsgpack.unpack_one('x', 2^63)", "-ERR user_script:1: Start offset"),
        ("struct.unpack(('b'):rep(1e5), ('x'):rep(1e5))", "-ERR user_script:1: stack overflow"),
        ("struct.unpack('c2147483647', 'x')", "-ERR user_script:1: bad argument #2"),
        ("struct.unpack('>dc0', struct.pack('>d', -1))", "-ERR user_script:1: bad argument #2"),
        ("struct.unpack('>dc0', struct.pack('>d', 1e300))", "-ERR user_script:1: bad argument #2"),
        ("struct.unpack('b', 'x', 2^62)", "-ERR user_script:1: bad argument #2"),
        ("return #struct.pack('!1073741824i32i', 1, 1)", ":36"),
        ("while true do struct.size(('b'):rep(1e5)) end", STOPPED),
        ("struct.pack = 1", "-ERR user_script:1: Attempt to modify a readonly table"),
    ] {
        client.set_script_time_limit(if wanted == STOPPED { 500 } else { AMPLE_TIME });
        let reply = run(&mut client, script, &["0"]);
        if !reply.starts_with(wanted) {
            wrong.push(format!("{script}: {reply:.300}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns a key whose shard is not that of `key`.
fn elsewhere(client: &TestClient, key: &[u8]) -> String {
    let state = client.db.state();
    let keys = (0..).map(|number| format!("other{number}"));
    let shard = state.shard_of(key);
    keys.into_iter().find(|other| state.shard_of(other.as_bytes()) != shard).unwrap()
}

/// A script must not wait for a shard while it has others: it leaves no trace, and begins anew with all of them.
#[test]
fn a_script_that_finds_a_shard_locked_begins_anew() {
    for in_transaction in [false, true] {
        let mut client = TestClient::new();
        let other = elsewhere(&client, b"k");
        let mailbox = std::sync::Arc::new(crate::pubsub::Mailbox::new(99));
        let mut subscriptions = crate::pubsub::Subscriptions::with_mailbox(
            client.hub(),
            std::sync::Arc::clone(&mailbox),
        );
        subscriptions.add(crate::pubsub::ChannelKind::Channel, b"c");
        let (locked, has_locked) = std::sync::mpsc::channel();
        let db = client.db.clone();
        let reply = std::thread::scope(|scope| {
            let key = other.clone();
            scope.spawn(move || {
                let mut session = db.session();
                let state = session.state();
                let keys = [key.as_bytes()];
                let of = (&mut session, &*state);
                let mut keys =
                    LockedKeys::lock(of, &keys, None, (true, Breadth::Keys)).unwrap().unwrap();
                locked.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                let (condition, expiry) = (SetCondition::Always, Expiry::Never);
                let set = Change::Set { value: b"5", condition, expiry, get: false };
                keys.execute(&[Request::Change(key.as_bytes(), set)], &mut |_, _| {});
                session.finish_locked(keys, || {});
            });
            has_locked.recv().unwrap();
            let script = "redis.call('incr', KEYS[1]) redis.call('publish', 'c', 'x') \
                return pcall(function() return redis.call('incr', ARGV[1]) end) and redis.call('get', ARGV[1])";
            if in_transaction {
                client.send(b"MULTI\r\nINCR k\r\n");
                run(&mut client, script, &["1", "k", &other]);
                client.command("exec")
            } else {
                run(&mut client, script, &["1", "k", &other])
            }
        });
        let wanted = if in_transaction { "*2 :1 $1 6" } else { "$1\r\n6\r\n" };
        assert_eq!(reply, wanted, "the script has not seen the change, or was executed twice");
        let count = if in_transaction { "$1 2" } else { "$1 1" };
        assert_eq!(client.command("get k"), count, "a change of the first attempt has remained");
        let mut messages = Vec::new();
        mailbox.take(usize::MAX, &mut messages);
        assert_eq!(messages.len(), 1, "the message of the first attempt was sent");
    }
}

#[test]
fn flags_and_the_setting_allow_undeclared_keys() {
    let mut client = TestClient::new();
    let (set, count) = ("return redis.call('set', 'a', 1)", "return redis.call('dbsize')");
    assert_eq!(run(&mut client, set, &["0"]), "+OK\r\n");
    assert_eq!(run(&mut client, count, &["0"]), ":1\r\n");
    client.db.set_allow_undeclared_keys(false);
    let reply = run(&mut client, set, &["0"]);
    assert!(reply.starts_with("-ERR Script attempted to access a key that is not"), "{reply}");
    let reply = run(&mut client, count, &["0"]);
    assert!(reply.starts_with("-ERR DBSIZE is not supported in scripts without"), "{reply}");
    for flag in ["#!lua flags=allow-undeclared-keys", "--!df flags=allow-undeclared-keys"] {
        assert_eq!(run(&mut client, &format!("{flag}\n{set}"), &["0"]), "+OK\r\n", "{flag}");
        assert_eq!(run(&mut client, &format!("{flag}\n{count}"), &["0"]), ":1\r\n", "{flag}");
    }
}
