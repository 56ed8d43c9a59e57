//! A slow and simple second implementation of RESP, with which tests and fuzzing compare the parsers.

use hedgerow_db_formats::resp::inline;
use hedgerow_db_formats::resp::parse::{
    LONGEST_ARGUMENT, LONGEST_LINE, MOST_ARGUMENTS, ParseError,
};
use hedgerow_db_formats::resp::read::Reply;

/// A value, and the bytes that it took.
type Taken<T> = Option<(T, usize)>;

/// Returns the requests in `input`, the bytes that they take, and the error in the next one.
pub(crate) fn requests(
    input: &[u8],
    unauthenticated: bool,
) -> (Vec<Vec<Vec<u8>>>, usize, Option<ParseError>) {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let rest = &input[at..];
        let next = match rest.first() {
            None => return (found, at, None),
            Some(b'*') => array(rest, unauthenticated),
            Some(_) => words(rest),
        };
        match next {
            Err(why) => return (found, at, Some(why)),
            Ok(None) => return (found, at, None),
            Ok(Some((request, used))) => {
                at += used;
                if !request.is_empty() {
                    found.push(request);
                }
            }
        }
    }
}

fn words(input: &[u8]) -> Result<Taken<Vec<Vec<u8>>>, ParseError> {
    match input.iter().take(LONGEST_LINE + 1).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some((inline::split(&input[..end])?, end + 1))),
        None if input.len() > LONGEST_LINE => Err(ParseError::Line),
        None => Ok(None),
    }
}

fn array(input: &[u8], unauthenticated: bool) -> Result<Taken<Vec<Vec<u8>>>, ParseError> {
    let Some((count, mut at)) = number(input, 1).ok_or(ParseError::Count)? else { return Ok(None) };
    if count > MOST_ARGUMENTS {
        return Err(ParseError::Count);
    }
    if unauthenticated && count > 10 {
        return Err(ParseError::UnauthenticatedCount);
    }
    let mut arguments = Vec::new();
    for _ in 0..count {
        match input.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => return Err(ParseError::Expected(*other)),
        }
        let Some((length, from)) = number(input, at + 1).ok_or(ParseError::Length)? else {
            return Ok(None);
        };
        if !(0..=LONGEST_ARGUMENT).contains(&length) {
            return Err(ParseError::Length);
        }
        if unauthenticated && length > 16 << 10 {
            return Err(ParseError::UnauthenticatedLength);
        }
        let to = from + usize::try_from(length).expect("it is positive");
        if input.len() < to + 2 {
            return Ok(None);
        }
        arguments.push(input[from..to].to_vec());
        at = to + 2;
    }
    Ok(Some((arguments, at)))
}

/// Parses a number in its canonical form, followed by a carriage return and any byte. `None` if it is no number.
fn number(input: &[u8], at: usize) -> Option<Taken<i64>> {
    let text: Vec<u8> = input[at..].iter().copied().take_while(|byte| *byte != b'\r').collect();
    let end = at + text.len();
    let text = String::from_utf8(text).ok()?;
    let number = text.parse::<i64>().ok().filter(|n| *n != i64::MIN && n.to_string() == text);
    if end >= input.len() {
        // It may become one.
        return (number.is_some() || ["", "-", "-0"].contains(&&*text)).then_some(None);
    }
    let number = number?;
    Some((input.len() > end + 1).then_some((number, end + 2)))
}

/// Returns the reply at the beginning of `input`; `None` if it is incomplete or invalid.
pub(crate) fn reply(input: &[u8]) -> Taken<Reply> {
    nested(input, 0)
}

fn nested(input: &[u8], depth: usize) -> Taken<Reply> {
    if depth > 64 {
        return None;
    }
    let end = input.windows(2).position(|end| end == b"\r\n")?;
    let (line, behind) = (&input[..end], end + 2);
    if end >= 64 << 10 || line.contains(&b'\n') {
        return None;
    }
    let (mark, text) = line.split_first()?;
    let text = text.to_vec();
    let word = String::from_utf8(text.clone());
    let word = word.as_deref();
    let done = |reply| Some((reply, behind));
    match mark {
        b'+' => return done(Reply::Simple(text)),
        b'-' => return done(Reply::Error(text)),
        b':' => return done(Reply::Integer(word.ok()?.parse().ok()?)),
        b',' => return done(Reply::Double(word.ok()?.parse().ok()?)),
        b'#' if text == b"t" => return done(Reply::Boolean(true)),
        b'#' if text == b"f" => return done(Reply::Boolean(false)),
        b'_' if text.is_empty() => return done(Reply::Null),
        b'(' => {
            let digits = word.ok()?.trim_start_matches(['+', '-']);
            let signs = text.len() - digits.len();
            let good =
                signs < 2 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            return good.then_some((Reply::BigNumber(text), behind));
        }
        _ => {}
    }
    let count: i64 = word.ok()?.parse().ok()?;
    if count == -1 && matches!(mark, b'$' | b'*') {
        return done(Reply::Null);
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= 1 << 30)?;
    if matches!(mark, b'$' | b'!' | b'=') {
        let text = input.get(behind..behind + count)?.to_vec();
        let end = behind + count + 2;
        if input.get(end - 2..end)? != b"\r\n" {
            return None;
        }
        return Some((
            match mark {
                b'$' => Reply::Bulk(text),
                b'!' => Reply::Error(text),
                _ if text.get(3) == Some(&b':') => {
                    Reply::Verbatim([text[0], text[1], text[2]], text[4..].to_vec())
                }
                _ => return None,
            },
            end,
        ));
    }
    let mut at = behind;
    let mut next = || {
        let (reply, used) = nested(&input[at..], depth + 1)?;
        at += used;
        Some(reply)
    };
    let pairs = matches!(mark, b'%' | b'|');
    // No input has that many bytes.
    if count > input.len() {
        return None;
    }
    let many: Vec<Reply> =
        (0..if pairs { 2 * count } else { count }).map(|_| next()).collect::<Option<_>>()?;
    let reply = match mark {
        b'*' => Reply::Array(many),
        b'~' => Reply::Set(many),
        b'>' => Reply::Push(many),
        b'%' => Reply::Map(many.chunks(2).map(|two| (two[0].clone(), two[1].clone())).collect()),
        b'|' => next()?,
        _ => return None,
    };
    Some((reply, at))
}
