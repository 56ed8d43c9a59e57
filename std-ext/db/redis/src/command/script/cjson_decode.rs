//! `cjson.decode`: a value of Lua from JSON.

use crate::command::script::cjson_settings::Settings;
use crate::command::script::control::{Control, error_here};
use crate::command::script::output::ScriptOutput;
use mlua::{Lua, LuaString, Table, Value};

/// The greatest depth, also if a script sets a greater one: each level takes two references to values of Lua.
const DEEPEST: usize = 2000;

/// Returns the value of a JSON text.
///
/// # Errors
/// The text is not valid, the script has no memory, or it must end.
pub(super) fn decode(
    lua: &Lua,
    control: &Control,
    text: &[u8],
    settings: Settings,
) -> mlua::Result<Value> {
    // A zero byte here means a wider encoding (RFC 4627, section 3, to which `json_decode` refers).
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(error_here(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut decoder = JsonDecoder { lua, control, text, settings, at: 0, open: Vec::new() };
    let steps = super::output::StepCounter::new(control);
    let token = decoder.token()?;
    let mut done = decoder.value(token)?;
    loop {
        steps.step()?;
        done = match done {
            // A table has begun.
            None => decoder.first()?,
            Some(value) => match decoder.open.last_mut() {
                None => {
                    let token = decoder.token()?;
                    return match token.kind {
                        TokenKind::End => Ok(value),
                        _ => Err(decoder.unexpected("the end", &token)),
                    };
                }
                Some(open) => {
                    open.add(value)?;
                    decoder.following()?
                }
            },
        };
    }
}

/// The kind of a token.
enum TokenKind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    String(LuaString),
    Number(f64),
    Boolean(bool),
    Null,
    End,
    /// Anything else, and why.
    Error(&'static str),
}

/// A token, and where it begins.
struct Token {
    kind: TokenKind,
    at: usize,
}

/// A table whose end is not read.
enum OpenValue {
    Array(Table, usize),
    /// The key whose value comes next.
    Object(Table, Option<LuaString>),
}

impl OpenValue {
    fn add(&mut self, value: Value) -> mlua::Result<()> {
        match self {
            Self::Array(table, count) => {
                *count += 1;
                table.raw_set(*count, value)
            }
            Self::Object(table, key) => match key.take() {
                Some(key) => table.raw_set(key, value),
                None => Ok(()),
            },
        }
    }

    fn table(self) -> Value {
        match self {
            Self::Array(table, _) | Self::Object(table, _) => Value::Table(table),
        }
    }
}

struct JsonDecoder<'d> {
    lua: &'d Lua,
    control: &'d Control,
    text: &'d [u8],
    settings: Settings,
    at: usize,
    /// The tables around the current value. It is a list, so that deep texts need no stack.
    open: Vec<OpenValue>,
}

impl JsonDecoder<'_> {
    /// Returns a value, or nothing for the beginning of a table, which is open then.
    fn value(&mut self, token: Token) -> mlua::Result<Option<Value>> {
        Ok(Some(match token.kind {
            TokenKind::String(text) => Value::String(text),
            TokenKind::Number(number) => Value::Number(number),
            TokenKind::Boolean(yes) => Value::Boolean(yes),
            TokenKind::Null => Value::NULL,
            TokenKind::ArrayBegin | TokenKind::ObjectBegin => {
                let depth = self.open.len() + 1;
                let allowed = usize::try_from(self.settings.decode_depth).unwrap_or(0);
                if depth > allowed.min(DEEPEST) {
                    let at = self.at;
                    let why = format!(
                        "Found too many nested data structures ({depth}) at character {at}"
                    );
                    return Err(error_here(self.lua, why));
                }
                let table = self.lua.create_table()?;
                self.open.push(match token.kind {
                    TokenKind::ArrayBegin => OpenValue::Array(table, 0),
                    _ => OpenValue::Object(table, None),
                });
                return Ok(None);
            }
            _ => return Err(self.unexpected("value", &token)),
        }))
    }

    /// Reads what comes first in a table.
    fn first(&mut self) -> mlua::Result<Option<Value>> {
        let token = self.token()?;
        match (self.open.last(), &token.kind) {
            (Some(OpenValue::Array(..)), TokenKind::ArrayEnd)
            | (Some(OpenValue::Object(..)), TokenKind::ObjectEnd) => {
                Ok(self.open.pop().map(OpenValue::table))
            }
            _ => self.item(token),
        }
    }

    /// Reads what comes behind an item: the end of the table, or the next item.
    fn following(&mut self) -> mlua::Result<Option<Value>> {
        let token = self.token()?;
        match (self.open.last(), &token.kind) {
            (Some(OpenValue::Array(..)), TokenKind::ArrayEnd)
            | (Some(OpenValue::Object(..)), TokenKind::ObjectEnd) => {
                Ok(self.open.pop().map(OpenValue::table))
            }
            (_, TokenKind::Comma) => {
                let token = self.token()?;
                self.item(token)
            }
            (Some(OpenValue::Array(..)), _) => Err(self.unexpected("comma or array end", &token)),
            _ => Err(self.unexpected("comma or object end", &token)),
        }
    }

    /// Reads an item of a table: a value, with the key before it in an object.
    fn item(&mut self, token: Token) -> mlua::Result<Option<Value>> {
        if !matches!(self.open.last(), Some(OpenValue::Object(..))) {
            return self.value(token);
        }
        let TokenKind::String(text) = token.kind else {
            return Err(self.unexpected("object key string", &token));
        };
        if let Some(OpenValue::Object(_, key)) = self.open.last_mut() {
            *key = Some(text);
        }
        let token = self.token()?;
        if !matches!(token.kind, TokenKind::Colon) {
            return Err(self.unexpected("colon", &token));
        }
        let token = self.token()?;
        self.value(token)
    }

    fn unexpected(&self, wanted: &str, token: &Token) -> mlua::Error {
        let found = match token.kind {
            TokenKind::ObjectBegin => "T_OBJ_BEGIN",
            TokenKind::ObjectEnd => "T_OBJ_END",
            TokenKind::ArrayBegin => "T_ARR_BEGIN",
            TokenKind::ArrayEnd => "T_ARR_END",
            TokenKind::Colon => "T_COLON",
            TokenKind::Comma => "T_COMMA",
            TokenKind::String(_) => "T_STRING",
            TokenKind::Number(_) => "T_NUMBER",
            TokenKind::Boolean(_) => "T_BOOLEAN",
            TokenKind::Null => "T_NULL",
            TokenKind::End => "T_END",
            TokenKind::Error(why) => why,
        };
        let at = token.at + 1;
        error_here(self.lua, format!("Expected {wanted} but found {found} at character {at}"))
    }

    /// Returns a byte of the text. As a string of C, it has a zero byte behind it.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn token(&mut self) -> mlua::Result<Token> {
        let mut spaces = 0_usize;
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
            spaces += 1;
            // A text of nothing but spaces is one token, and no step of `decode`.
            if spaces.is_multiple_of(1 << 16) {
                self.control.check()?;
            }
        }
        let at = self.at;
        let single = match self.byte(at) {
            b'{' => TokenKind::ObjectBegin,
            b'}' => TokenKind::ObjectEnd,
            b'[' => TokenKind::ArrayBegin,
            b']' => TokenKind::ArrayEnd,
            b':' => TokenKind::Colon,
            b',' => TokenKind::Comma,
            // Also a zero byte within the text: lua-cjson takes it for the end, and ignores the rest.
            0 => return Ok(Token { kind: TokenKind::End, at }),
            b'"' => {
                let kind = self.string()?;
                let at = if matches!(kind, TokenKind::Error(_)) { self.at } else { at };
                return Ok(Token { kind, at });
            }
            _ => return Ok(Token { kind: self.word(), at }),
        };
        self.at += 1;
        Ok(Token { kind: single, at })
    }

    /// Reads a number or a name.
    fn word(&mut self) -> TokenKind {
        let rest = &self.text[self.at..];
        for (name, kind) in [
            ("true", TokenKind::Boolean(true)),
            ("false", TokenKind::Boolean(false)),
            ("null", TokenKind::Null),
        ] {
            if rest.starts_with(name.as_bytes()) {
                self.at += name.len();
                return kind;
            }
        }
        let is_number = matches!(rest[0], b'-' | b'0'..=b'9');
        let is_invalid = is_invalid_number(rest);
        if is_number && is_invalid && !self.settings.decode_invalid {
            return TokenKind::Error("invalid number");
        }
        if !(is_number || is_invalid && self.settings.decode_invalid) {
            return TokenKind::Error("invalid token");
        }
        match parse_number(rest) {
            None => TokenKind::Error("invalid number"),
            Some((number, length)) => {
                self.at += length;
                TokenKind::Number(number)
            }
        }
    }

    /// Reads a string. After an error, the position is where it is.
    fn string(&mut self) -> mlua::Result<TokenKind> {
        let mut out = ScriptOutput::new(self.control);
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            // In steps, so that each is short.
            let rest = &rest[..rest.len().min(1 << 16)];
            let plain = memchr::memchr3(b'"', b'\\', 0, rest).unwrap_or(rest.len());
            out.push(&rest[..plain])?;
            self.at += plain;
            if plain > 0 && plain == rest.len() {
                continue;
            }
            match self.byte(self.at) {
                b'"' => break,
                0 => return Ok(TokenKind::Error("unexpected end of string")),
                _ => {}
            }
            let escaped = match self.byte(self.at + 1) {
                byte @ (b'"' | b'\\' | b'/') => byte,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let Some((letter, length)) = self.unicode() else {
                        return Ok(TokenKind::Error("invalid unicode escape code"));
                    };
                    out.push(&utf8(letter))?;
                    self.at += length;
                    continue;
                }
                _ => return Ok(TokenKind::Error("invalid escape code")),
            };
            out.push(&[escaped])?;
            self.at += 2;
        }
        self.at += 1;
        self.lua.create_string(out.as_bytes()).map(TokenKind::String)
    }

    /// Returns the code point of an escape, and the length of the escape.
    fn unicode(&self) -> Option<(u32, usize)> {
        let first = self.hexadecimal(self.at + 2)?;
        if first & 0xf800 != 0xd800 {
            return Some((first, 6));
        }
        let is_pair =
            first & 0x400 == 0 && self.byte(self.at + 6) == b'\\' && self.byte(self.at + 7) == b'u';
        let second = if is_pair { self.hexadecimal(self.at + 8)? } else { 0 };
        // Half of a surrogate pair has no UTF-8, and lua-cjson refuses it.
        (second & 0xfc00 == 0xdc00)
            .then_some((0x1_0000 + (((first & 0x3ff) << 10) | (second & 0x3ff)), 12))
    }

    fn hexadecimal(&self, at: usize) -> Option<u32> {
        (at..at + 4).try_fold(0, |all, at| Some(all * 16 + char::from(self.byte(at)).to_digit(16)?))
    }
}

/// Returns a code point in UTF-8.
fn utf8(letter: u32) -> Vec<u8> {
    let letter = char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER);
    letter.to_string().into_bytes()
}

/// Returns whether these bytes begin with a number that C reads, and JSON does not have.
fn is_invalid_number(text: &[u8]) -> bool {
    let text = match text {
        [b'+', ..] => return true,
        [b'-', rest @ ..] => rest,
        text => text,
    };
    let begins = |name: &[u8]| text.len() >= 3 && text[..3].eq_ignore_ascii_case(name);
    match text {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [b'0'..=b'9', ..] => false,
        _ => begins(b"inf") || begins(b"nan"),
    }
}

/// Returns the number at the beginning of a text, and its length, as `strtod` of C does.
pub(super) fn parse_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let signed = |number: f64| if text[0] == b'-' { -number } else { number };
    let rest = &text[sign..];
    let begins =
        |name: &[u8]| rest.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
    for (name, number) in
        [(&b"infinity"[..], f64::INFINITY), (b"inf", f64::INFINITY), (b"nan", f64::NAN)]
    {
        if begins(name) {
            return Some((signed(number), sign + name.len()));
        }
    }
    if begins(b"0x") {
        let (number, length) = parse_hexadecimal(&rest[2..]).unwrap_or((0.0, 0));
        // Without digits, the number is the zero before the letter.
        let length = if length == 0 { 1 } else { 2 + length };
        return Some((signed(number), sign + length));
    }
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    if rest.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        end += if whole + fraction > 0 { 1 + fraction } else { 0 };
    }
    if end == 0 {
        return None;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        // Without digits the `e` is not part of the number, as for `strtod`.
        let count = if exponent <= rest.len() { digits(exponent) } else { 0 };
        end = if count > 0 { exponent + count } else { end };
    }
    let number: f64 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((signed(number), sign + end))
}

/// Returns the hexadecimal number behind `0x`, and its length, or nothing without digits.
fn parse_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (mut number, mut at, mut exponent, mut seen, mut point) = (0.0_f64, 0, 0_i32, false, false);
    while let Some(&byte) = text.get(at) {
        if let Some(digit) = char::from(byte).to_digit(16) {
            number = number * 16.0 + f64::from(digit);
            exponent = exponent.saturating_sub(if point { 4 } else { 0 });
            seen = true;
        } else if byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        at += 1;
    }
    if !seen {
        return None;
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let from = at + 1 + sign;
        let count =
            text[from.min(text.len())..].iter().take_while(|it| it.is_ascii_digit()).count();
        if count > 0 {
            let digits = std::str::from_utf8(&text[from..from + count]).ok()?;
            let given: i32 = digits.parse().unwrap_or(i32::MAX / 2).min(i32::MAX / 2);
            let given = if text[at + 1] == b'-' { -given } else { given };
            (exponent, at) = (exponent.saturating_add(given), from + count);
        }
    }
    Some((number * 2.0_f64.powi(exponent), at))
}
