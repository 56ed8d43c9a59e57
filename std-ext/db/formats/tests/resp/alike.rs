//! Compares the parsers with the slow ones, for tests and for fuzzing.

use crate::slow;
use hedgerow_db_formats::resp::parse::{Limits, ParseError, ParsedItem, Requests};
use hedgerow_db_formats::resp::{inline, read};

/// The requests, the bytes that they take, and the error in the next one.
pub(crate) type Taken = (Vec<Vec<Vec<u8>>>, usize, Option<ParseError>);

/// Parses requests that arrive in pieces, as a server does.
pub(crate) fn taken(input: &[u8], limits: Limits, mut piece: impl FnMut() -> usize) -> Taken {
    let (mut found, mut from, mut to) = (Vec::new(), 0, 0);
    let mut requests = Requests::default();
    let mut wanted = 0;
    loop {
        let mut arguments = Vec::new();
        let next = requests.next(&input[from..to], limits, &mut arguments);
        let used = match next {
            ParsedItem::Request(used) => {
                found.push(arguments.iter().map(|argument| argument.to_vec()).collect());
                used
            }
            ParsedItem::Quoted(used) => match inline::split(&input[from..from + used]) {
                Ok(words) => {
                    found.extend(Some(words).filter(|words| !words.is_empty()));
                    used
                }
                Err(why) => return (found, from, Some(why)),
            },
            ParsedItem::Nothing(used) => used,
            ParsedItem::Invalid(why) => return (found, from, Some(why)),
            ParsedItem::Unfinished(least) => {
                assert!(least > to - from, "{least} of {from}..{to} in {input:?}");
                if to == input.len() {
                    return (found, from, None);
                }
                wanted = least;
                to = (to + piece().max(1)).min(input.len());
                continue;
            }
        };
        // It took at least the announced bytes.
        assert!(used >= wanted && used <= to - from, "{used} of {wanted} in {input:?}");
        (from, wanted) = (from + used, 0);
    }
}

/// Checks that a reply is parsed as the slow parser does, and that none of its prefixes is a reply.
pub(crate) fn read_alike(input: &[u8]) {
    let wanted = slow::reply(input);
    let found = read::reply(input);
    match (&found, &wanted) {
        // NaN does not equal itself.
        (Ok(read::ReadItem::Reply(reply, used)), Some((wanted, length))) => {
            assert_eq!((format!("{reply:?}"), used), (format!("{wanted:?}"), length));
            for end in 0..*used {
                let beginning = read::reply(&input[..end]);
                let Ok(read::ReadItem::Unfinished(least)) = beginning else {
                    panic!("{beginning:?} of {}", input[..end].escape_ascii());
                };
                assert!(
                    least > end && least <= *used,
                    "{least} of {}",
                    input[..end].escape_ascii()
                );
            }
        }
        (Ok(read::ReadItem::Unfinished(least)), None) => assert!(*least > input.len()),
        (Err(_), None) => {}
        _ => panic!("{found:?}, not {wanted:?}, of {}", input.escape_ascii()),
    }
}
