//! Runs scripts that call every library with odd values, and arbitrary texts as scripts. Each has one reply, touches no
//! key that it does not declare unless it may, ends in time, and leaves nothing for the next one: neither a variable, nor
//! a field, nor an interpreter without memory. One that was stopped has changed nothing.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use hedgerow_db::resp::read::{self, Malformed, ReadItem, Reply};
use hedgerow_db::{Db, Options, Session};
use hedgerow_fuzz::server::{answers, clear};
use libfuzzer_sys::fuzz_target;
use std::fmt::Write;
use std::sync::{LazyLock, Mutex};

/// Functions that scripts call.
const FUNCTIONS: &str = "
    assert error getmetatable ipairs loadstring next pairs pcall rawequal rawget rawset select
    setmetatable tonumber tostring type unpack xpcall collectgarbage bit.band bit.bnot
    bit.lshift bit.tohex cjson.decode cjson.decode_max_depth cjson.encode
    cjson.encode_keep_buffer cjson.encode_max_depth cjson.encode_number_precision
    cjson.encode_sparse_array cjson.new cmsgpack.pack cmsgpack.unpack cmsgpack.unpack_limit
    cmsgpack.unpack_one coroutine.create coroutine.resume coroutine.running coroutine.status
    coroutine.wrap coroutine.yield math.abs math.floor math.fmod math.frexp math.max
    math.random math.randomseed redis.acl_check_cmd redis.breakpoint redis.call redis.call
    redis.call redis.error_reply redis.log redis.pcall redis.pcall redis.replicate_commands
    redis.set_repl redis.setresp redis.sha1hex redis.status_reply string.byte string.char
    string.dump string.find string.format string.gmatch string.gsub string.len string.match
    string.rep string.reverse string.sub struct.pack struct.size struct.unpack table.concat
    table.foreach table.getn table.insert table.maxn table.remove table.sort";
/// Texts that mean something to a function or a command.
const WORDS: &str = "
    get set append incrbyfloat mget mset del setrange bitfield bitop bitcount pfadd pfcount
    lcs expire pexpireat copy rename restore dump flushall config hello eval px nx get or u8
    #0 other %d%5.3s (.-)%1 [^%a]-$ %b() <i4>s!8Bx n k __index __gc [1,{\"a\":null}]
    \\147\\1\\161a\\192";
/// How deep values and blocks are nested.
const DEEPEST: usize = 5;
/// Milliseconds that a script may take.
const LIMIT: u64 = 100;
/// Says what scripts find: all fields of all libraries, their types and lengths, and the first number of `math.random`.
const FOUND: &str = "local found = {tostring(math.random()), #KEYS, #ARGV, tostring(next(KEYS))}
for name, value in pairs(_G) do
    found[#found + 1] = name .. type(value)
    if type(value) == 'table' and name ~= '_G' then
        found[#found + 1] = name .. #value
        for field, part in pairs(value) do found[#found + 1] = name .. tostring(field) .. type(part) end
    end
end
for field, part in pairs(getmetatable('')) do found[#found + 1] = field .. type(part) end
table.sort(found, function(one, other) return tostring(one) < tostring(other) end)
return cjson.encode(found)";

static DB: LazyLock<Db> = LazyLock::new(|| {
    let mut options = Options::in_memory();
    options.shards = 4;
    Db::open(options).expect("it is in memory")
});

static SESSION: LazyLock<Mutex<Session>> = LazyLock::new(|| Mutex::new(DB.session()));

static FOUND_FIRST: LazyLock<String> =
    LazyLock::new(|| found(&mut SESSION.lock().expect("a panic ends the run")));

/// Returns what scripts find.
fn found(session: &mut Session) -> String {
    // On a busy machine it may take longer than others may.
    DB.set_script_time_limit(0);
    let reply = ask(session, &[b"eval", FOUND.as_bytes(), b"0"]);
    DB.set_script_time_limit(LIMIT);
    match reply {
        Reply::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// Keeps LeakSanitizer from false alarms: `mlua` counts the owners of a value in an `Rc<()>`, and keeps the address of
/// the `()`, which is behind the end of the allocation.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:clone_shared".as_ptr()
}

/// A script in the making.
struct Writer<'u, 'b> {
    source: &'u mut Unstructured<'b>,
    text: String,
}

impl Writer<'_, '_> {
    fn number(&mut self, below: u8) -> u8 {
        u8::arbitrary(self.source).unwrap_or(0) % below
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn push_one_of(&mut self, words: &str) {
        let count = words.split_ascii_whitespace().count() as u8;
        let at = usize::from(self.number(count));
        self.text.extend(words.split_ascii_whitespace().nth(at));
    }

    /// Writes some statements, and a value that they return.
    fn block(&mut self, depth: usize) {
        for _ in 0..self.number(4) {
            self.statement(depth + 1);
        }
        self.push(" return ");
        self.value(depth + 1);
        self.push(" ");
    }

    fn statement(&mut self, depth: usize) {
        // Most values raise errors, which would end the script.
        let is_protected = self.number(8) != 0;
        self.push(if is_protected { " pcall(function()" } else { "" });
        match self.number(if depth > DEEPEST || self.source.is_empty() { 3 } else { 8 }) {
            0..=2 => {
                let variable = self.number(4);
                let _ = write!(self.text, " v{variable} = ");
                self.value(depth);
            }
            3 => {
                self.push(" v0[");
                self.value(depth);
                self.push("] = ");
                self.value(depth);
            }
            4 => {
                let count = self.number(20);
                let _ = write!(self.text, " for i = 1, {count} do");
                self.statement(depth + 1);
                self.push(" end");
            }
            5 => {
                self.push(" if ");
                self.value(depth);
                self.push(" then");
                self.statement(depth + 1);
                self.push(" end");
            }
            6 => {
                self.push(" _G['");
                self.push_one_of(WORDS);
                self.push("'] = 1");
            }
            _ => {
                self.push(" table.insert(");
                self.push_one_of("redis _G string KEYS v0");
                self.push(", ");
                self.value(depth);
                self.push(")");
            }
        }
        self.push(if is_protected { " end);" } else { ";" });
    }

    fn value(&mut self, depth: usize) {
        match self.number(if depth > DEEPEST || self.source.is_empty() { 6 } else { 14 }) {
            0 => self.push("nil"),
            1 => {
                let number = i64::arbitrary(self.source).unwrap_or(0) >> self.number(64);
                let _ = write!(self.text, "({number})");
            }
            2 => {
                let number = f64::arbitrary(self.source).unwrap_or(0.0);
                let shown = if number.is_finite() { number } else { 1e300 };
                let _ = write!(self.text, "({shown:e})");
            }
            3 => {
                self.push("'");
                self.push_one_of(WORDS);
                self.push("'");
            }
            4 => self.push_one_of("KEYS[1] ARGV[1] redis _G string true"),
            5 => {
                let variable = self.number(4);
                let _ = write!(self.text, "v{variable}");
            }
            6 => {
                self.push("\"");
                for _ in 0..self.number(40) {
                    let byte = self.number(255);
                    let _ = write!(self.text, "\\{byte:03}");
                }
                self.push("\"");
            }
            7 => {
                self.push("{");
                for _ in 0..self.number(4) {
                    self.value(depth + 1);
                    self.push(",");
                }
                self.push("k = ");
                self.value(depth + 1);
                self.push("}");
            }
            8 => {
                self.push("(function(...) ");
                self.block(depth + 1);
                self.push("end)");
            }
            9 => {
                self.push("(");
                self.value(depth + 1);
                self.push(" ");
                self.push_one_of(".. + / == < and");
                self.push(" ");
                self.value(depth + 1);
                self.push(")");
            }
            _ => {
                self.push_one_of(FUNCTIONS);
                self.push("(");
                for at in 0..self.number(5) {
                    self.push(if at == 0 { "" } else { ", " });
                    self.value(depth + 1);
                }
                self.push(")");
            }
        }
    }
}

/// Returns the reply to a request.
fn ask(session: &mut Session, words: &[&[u8]]) -> Reply {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    let out = answers(&DB, session, &request, &mut || usize::MAX >> 1);
    match read::reply(&out) {
        Ok(ReadItem::Reply(reply, used)) if used == out.len() => reply,
        // A table that contains itself.
        Err(Malformed::TooDeep) => Reply::Null,
        other => panic!("{other:?} of {}", out.escape_ascii()),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else { return };
    let mut source = Unstructured::new(rest);
    let script = if first % 8 == 0 {
        rest.to_vec()
    } else {
        let mut writer =
            Writer { source: &mut source, text: "local v0, v1, v2, v3 = {}".to_owned() };
        writer.block(0);
        writer.text.into_bytes()
    };
    let found_first = &*FOUND_FIRST;
    let session = &mut *SESSION.lock().expect("a panic ends the run");
    clear(&DB, session);
    ask(session, &[b"mset", b"k", b"kept", b"other", b"kept"]);
    let is_strict = first < 128;
    DB.set_allow_undeclared_keys(!is_strict);
    let reply = ask(session, &[b"eval", &script, b"1", b"k", b"argument"]);
    let shown = || script.escape_ascii().to_string();
    if let Reply::Error(text) = &reply
        && text.starts_with(b"ERR Script stopped")
    {
        let values = ask(session, &[b"mget", b"k", b"other"]);
        let kept = Reply::Bulk(b"kept".to_vec());
        assert_eq!(values, Reply::Array(vec![kept.clone(), kept]), "{}", shown());
    }
    if is_strict {
        assert_eq!(ask(session, &[b"get", b"other"]), Reply::Bulk(b"kept".to_vec()), "{}", shown());
    }
    assert_eq!(&found(session), found_first, "after {}", shown());
});
