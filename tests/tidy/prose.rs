//! builds: default
//!
//! Rules of language for comments, doc pages, messages and names, as `CONTRIBUTING.md` states them.
//!
//! Prose is read in blocks: consecutive comment lines, a paragraph of a page, or one string literal with several
//! words. Code spans and fenced code are not prose. A phrase is found across line ends, but not across punctuation.

use crate::{
    judge,
    source::{Source, Violation, has_extension, is_word},
};

/// Phrases with a plain replacement. Each word stands for itself, in any case.
const PHRASES: &[(&str, &str)] = &[
    ("so many", "give the number, or say \"that many\""),
    ("such a", "name the thing"),
    ("such an", "name the thing"),
    ("of one moment", "\"consistent as of a single point in time\", then \"snapshot\""),
    ("at one moment", "\"at a single point in time\""),
    ("is to be", "\"must be\" or \"is\""),
    ("are to be", "\"must be\" or \"are\""),
    ("was to be", "\"had to be\" or \"was\""),
    ("none is", "\"there is no\", or name the actor"),
    ("none are", "\"there are no\", or name the actor"),
    ("in whose", "start a new sentence"),
    ("be it", "\"if\" or \"whether\""),
    ("that there is", "say what exists"),
    ("that there are", "say what exists"),
    ("by and by", "\"over time\""),
    ("in turn", "\"one after another\""),
    ("comes to", "name what happens"),
    ("is led", "name who moves where"),
    ("are led", "name who moves where"),
    ("was led", "name who moves where"),
    ("lies in", "\"is stored in\""),
    ("lie in", "\"are stored in\""),
    ("lies at", "\"is stored at\""),
    ("asks for", "\"requests\" or \"calls\""),
    ("gives up", "\"stops\", \"returns\" or \"fails\""),
    ("the house", "\"the crate\" or \"the project\""),
    ("house rules", "\"the project's rules\""),
    ("looks away", "\"ends the read section\""),
    ("look away", "\"end the read section\""),
    ("end of life", "\"expiration\""),
    ("ends of life", "\"expirations\""),
    ("garbage list", "\"list of retired entries\""),
    ("whoever", "name the actor"),
    ("whomever", "name the actor"),
    ("whatever", "\"any\", or name the thing"),
    ("whichever", "\"any\", or name the thing"),
    ("whom", "name the actor"),
];

/// Words of a private dialect: the left column of the dictionary, as far as a word has no plain use here.
const DIALECT: &[&str] = &[
    "afar", "born", "crew", "deed", "desk", "heed", "heeds", "lend", "lends", "lent", "lesson",
    "lessons", "obey", "obeyed", "obeys", "ripe", "seat", "seats", "settle", "settled", "settles",
    "strife", "trash", "unborn", "watchman",
];

/// Identifiers that have another name now.
const NAMES: &[&str] = &[
    "Afar",
    "Aim",
    "Answered",
    "Arrival",
    "Ask",
    "Bell",
    "Class",
    "Contrary",
    "Deed",
    "Desk",
    "Door",
    "Draft",
    "EntryMap",
    "Expelled",
    "FenceEntryMap",
    "Figures",
    "House",
    "Lack",
    "Lesson",
    "Life",
    "LiveWhen",
    "LookAtOnce",
    "NotYet",
    "Obeyed",
    "Pen",
    "Room",
    "Seat",
    "Sought",
    "Stand",
    "StrMap",
    "Strife",
    "Tally",
    "Together",
    "Trail",
    "Watchman",
    "Way",
    "giver",
    "plant",
    "scan_weak",
    "set_for",
    "set_patience",
    "stuck_readers",
    "tries",
];

/// The same, but only in the crates: tests and benches use these words plainly.
const NAMES_OF_CRATES: &[&str] = &["Counted", "Few", "Fused", "Look"];

/// Parts of identifiers that have another name now: `is_born` and `BornSlot` have the part `born`.
const PARTS: &[&str] = &[
    "afar",
    "born",
    "complaint",
    "crew",
    "deed",
    "desk",
    "expelled",
    "heed",
    "lent",
    "lesson",
    "obey",
    "obeyed",
    "obeys",
    "patience",
    "ripe",
    "settle",
    "settled",
    "sought",
    "stranger",
    "strife",
    "trash",
    "unborn",
    "watchman",
];

/// Words after which a clause with `who` or `what` has no noun.
const JOINING: &[&str] = &[
    "and", "because", "but", "if", "nor", "once", "or", "so", "than", "that", "then", "though",
    "unless", "until", "when", "where", "while", "yet",
];
const PREPOSITIONS: &[&str] = &[
    "after", "against", "all", "among", "around", "as", "at", "before", "behind", "beside",
    "between", "beyond", "by", "except", "for", "from", "in", "into", "like", "of", "on", "only",
    "over", "per", "through", "to", "under", "with", "within", "without",
];
/// "It depends on what the codec does": an indirect question, which needs no noun.
const QUESTIONING: &[&str] = &[
    "based",
    "depend",
    "depending",
    "depends",
    "matter",
    "matters",
    "regardless",
    "relies",
    "rely",
    "question",
];

pub(crate) fn phrases_are_plain(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for block in blocks(path, text) {
        let words = block.words();
        for i in 0..words.len() {
            for &(phrase, instead) in PHRASES {
                if follows(&words[i..], phrase) {
                    let what = format!("\"{phrase}\": {instead}");
                    found.push(Violation::new(path, words[i].line, what));
                }
            }
            // As the first word of a description it names a place.
            if words[i].lower == "where" && words[i].first && !words[i].leads && !words[i].asks {
                let what = "a sentence that begins with \"where\": \"if\" or \"when\"".to_owned();
                found.push(Violation::new(path, words[i].line, what));
            }
            if DIALECT.contains(&&*words[i].lower) {
                let what =
                    format!("\"{}\" is dialect: see the dictionary of names", words[i].lower);
                found.push(Violation::new(path, words[i].line, what));
            }
        }
    }
    found
}

fn follows(words: &[Word], phrase: &str) -> bool {
    let mut wanted = phrase.split(' ').enumerate();
    wanted.all(|(k, part)| words.get(k).is_some_and(|w| w.lower == part && (k == 0 || !w.apart)))
}

/// Finds relative clauses that belong to no noun: `who asks waits`, `what is removed is dropped`.
pub(crate) fn clauses_have_nouns(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for block in blocks(path, text) {
        let words = block.words();
        for (i, word) in words.iter().enumerate() {
            let at = |back: usize| i.checked_sub(back).map_or("", |k| &*words[k].lower);
            let next = words.get(i + 1).map_or("", |w| &*w.lower);
            let (before, second) = if word.apart { ("", "") } else { (at(1), at(2)) };
            let headless = match &*word.lower {
                // A heading may be a question.
                _ if block.heading || word.asks => false,
                // A description that begins so is a fragment: see below.
                "what" | "which" | "whose" if word.leads => false,
                // These two are no clauses: `what to do`, `what if`.
                "what" if ["to", "if"].contains(&next) => false,
                "what" if QUESTIONING.contains(&second) => false,
                "who" | "what" => {
                    word.apart || JOINING.contains(&before) || PREPOSITIONS.contains(&before)
                }
                "which" | "whose" => word.first,
                _ => false,
            };
            if headless {
                let what = format!("\"{} {next}\": a clause without a noun", word.lower);
                found.push(Violation::new(path, word.line, what));
            }
        }
    }
    found
}

/// Finds descriptions that name nothing: `What a buffer begins with` for "The first bytes of a buffer".
pub(crate) fn descriptions_name_things(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for block in blocks(path, text).iter().filter(|block| !block.heading) {
        let words = block.words();
        for word in words.iter().filter(|word| word.leads && !word.asks) {
            if ["what", "which", "whose"].contains(&&*word.lower) {
                let what =
                    format!("a description that begins with \"{}\": name the thing", word.lower);
                found.push(Violation::new(path, word.line, what));
            }
        }
    }
    found
}

pub(crate) fn names_are_known(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    if !has_extension(path, "rs") {
        return found;
    }
    for (i, line) in Source::read(text).code.iter().enumerate() {
        for name in line.split(|c| !is_word(c)).filter(|name| !name.is_empty()) {
            let is_crate = path.starts_with("src/") || path.starts_with("std-ext/");
            let old = NAMES.contains(&name) || is_crate && NAMES_OF_CRATES.contains(&name);
            if old || parts(name).iter().any(|part| PARTS.contains(&&**part)) {
                found.push(Violation::new(
                    path,
                    i,
                    format!("`{name}`: see the dictionary of names"),
                ));
            }
        }
    }
    found
}

/// The words that an identifier is made of, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && small) {
            parts.push(String::new());
        }
        small = c.is_lowercase() || c.is_ascii_digit();
        if c != '_' {
            parts.last_mut().expect("never empty").extend(c.to_lowercase());
        }
    }
    parts
}

/// A run of prose: lines with their numbers.
struct Block {
    heading: bool,
    lines: Vec<(usize, String)>,
}

#[allow(clippy::struct_excessive_bools, reason = "facts about the place of a word")]
struct Word {
    lower: String,
    line: usize,
    /// First of its sentence.
    first: bool,
    /// Behind punctuation, or first.
    apart: bool,
    /// First of its block, or behind a colon or the border of a cell.
    leads: bool,
    /// In a sentence that ends with a question mark.
    asks: bool,
}

impl Block {
    fn words(&self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let (mut first, mut apart, mut leads, mut sentence) = (true, true, true, 0);
        for (line, text) in &self.lines {
            let mut rest = &**text;
            while let Some(c) = rest.chars().next() {
                if is_word(c) {
                    let inside = |c: char| is_word(c) || c == '\'' || c == '-';
                    let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
                    let lower = rest[..end].to_lowercase();
                    words.push(Word { lower, line: *line, first, apart, leads, asks: false });
                    (first, apart, leads) = (false, false, false);
                    rest = &rest[end..];
                    continue;
                }
                let after = &rest[c.len_utf8()..];
                let ends = !after.starts_with(|c: char| is_word(c) || c == '.');
                if matches!(c, '.' | '!' | '?') && ends {
                    if c == '?' {
                        words[sentence..].iter_mut().for_each(|word| word.asks = true);
                    }
                    (first, apart, sentence) = (true, true, words.len());
                } else if !c.is_whitespace()
                    && !matches!(c, '*' | '_' | '[' | ']' | '"' | '\'' | '/')
                {
                    apart = true;
                    leads |= matches!(c, ':' | '|');
                }
                rest = after;
            }
        }
        words
    }
}

/// The prose of a file: a page, or the comments and the longer strings of code.
fn blocks(path: &str, text: &str) -> Vec<Block> {
    if has_extension(path, "md") {
        return split(text.lines().enumerate().map(|(i, line)| (i, line.to_owned())));
    }
    if !has_extension(path, "rs") {
        // A script, a manifest: comments are whole lines, or follow code after two spaces.
        let comment = |line: &str| {
            let whole = line.trim_start().strip_prefix('#').map(str::to_owned);
            whole.or_else(|| line.split_once("  # ").map(|(_, comment)| comment.to_owned()))
        };
        return split(text.lines().enumerate().map(|(i, l)| (i, comment(l).unwrap_or_default())));
    }
    let source = Source::read(text);
    let mut blocks = split(source.comments.iter().enumerate().map(|(i, line)| {
        let line = line.trim();
        let bare = line.trim_start_matches('/').trim_start_matches('!');
        (i, bare.trim_start_matches('*').to_owned())
    }));
    // These files name the forbidden phrases.
    if !path.starts_with("tests/tidy/") {
        blocks.extend(source.strings.into_iter().filter(|s| is_sentence(&s.1)).map(
            |(line, text)| {
                let lines = text.lines().enumerate().map(|(i, l)| (line + i, without_spans(l)));
                Block { heading: false, lines: lines.collect() }
            },
        ));
    }
    blocks
}

/// A string that a person reads: at least four words, most of it letters.
fn is_sentence(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic() || *c == ' ').count();
    text.split_whitespace().count() >= 4 && letters * 10 >= text.chars().count() * 8
}

/// Paragraphs: an empty line ends one, a heading or an item of a list begins one, fenced code is none.
fn split(lines: impl Iterator<Item = (usize, String)>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for (i, line) in lines {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            (fenced, open) = (!fenced, false);
            continue;
        }
        if fenced || line.is_empty() {
            // A block of code ends where the comment does.
            open = false;
            continue;
        }
        let heading = line.starts_with('#') && line.trim_start_matches('#').starts_with(' ');
        let item = line.starts_with("- ") || line.starts_with("* ") || line.starts_with("| ");
        if heading || item || !open {
            blocks.push(Block { heading, lines: Vec::new() });
        }
        blocks.last_mut().expect("just pushed").lines.push((i, without_spans(line)));
        open = !heading;
    }
    blocks
}

/// A code span, and a value that `format!` puts in, are nouns to the sentence around them.
fn without_spans(line: &str) -> String {
    let line = line.replace(['{', '}'], "`");
    let mut parts = line.split('`');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    while let (Some(_), rest) = (parts.next(), parts.next()) {
        plain.push('x');
        plain.push_str(rest.unwrap_or_default());
    }
    plain
}

#[test]
fn a_clause_without_a_noun_is_found() {
    let planted = [
        "// Who asks waits.",
        "/// Waits for the lock. What is removed is dropped.",
        "//! The writer waits, who reads goes on.",
        "// The map frees it if\n// what was removed is garbage.",
        "// Drops it for who comes next.",
        "// A copy of what is stored.",
        "fn f() { panic!(\"the lock is held by others, and who waits is told\") }",
        "// The lock is free. Which is rare.",
    ];
    let clean = [
        "// The thread who asks waits. A reader whose slot is free goes on, which is rare.",
        "// Decides what to do, says who waits, and tells which bin it was.",
        "// Depends on what the codec does. Who waits? What is removed?",
        "//! # What it costs\n//! Nothing.",
        "/// A clause of `who asks` and of [`what`].\n/// ```\n/// // what is left\n/// ```",
        "fn who(what: &str) { panic!(\"{what}: the planned panic did not come\") }",
    ];
    judge(clauses_have_nouns, "src/flat/map.rs", &planted, &clean);
    judge(clauses_have_nouns, "README.md", &["It is fast.\nWho waits\nloses."], &["# Who waits\n"]);
    judge(
        clauses_have_nouns,
        ".ci/run",
        &["run # x\n# Not here. Who waits loses."],
        &["echo and who"],
    );
}

#[test]
fn a_description_that_names_nothing_is_found() {
    let planted =
        ["/// What a buffer begins with.", "//! Which readers wait.", "//! - [`x`]: what holds."];
    let clean =
        ["/// The first bytes of a buffer.\n/// It says what follows.", "//! # What it costs"];
    judge(descriptions_name_things, "src/flat/map.rs", &planted, &clean);
    judge(descriptions_name_things, "README.md", &["| `a` | what it is |"], &["What is it for?"]);
}

#[test]
fn a_phrase_or_word_of_dialect_is_found() {
    let planted = [
        "// There are so\n// many of them.",
        "/// Such a key is rare.",
        "// WHOEVER comes, waits",
        "// The memory is lent.",
        "// It waits. Where it may not, it fails.",
        "fn f() { panic!(\"the bin has none, and none is free\") }",
    ];
    let clean = [
        "// It is so. Many of them wait.",
        "/// Where the value starts. It ends where the bin does.",
        "// A warehouse, `such a` thing, is reborn",
        "fn lent() { so_many(\"none is\") }",
    ];
    judge(phrases_are_plain, "src/flat/map.rs", &planted, &clean);
    judge(
        phrases_are_plain,
        "tests/mutants/Cargo.toml",
        &["x = 1\n# By and by."],
        &["x = \"by and by\""],
    );
}

#[test]
fn a_name_of_dialect_is_found() {
    let planted =
        ["struct EntryMap;", "fn is_born() {}", "const AFAR_MAX: u8 = 1;", "x.tries()", "LentBins"];
    let clean = [
        "// EntryMap\nlet s = \"Bell\";",
        "fn reborn() {}",
        "let bell = retries;",
        "struct Bellows;",
    ];
    judge(names_are_known, "src/flat/map.rs", &planted, &clean);
    judge(names_are_known, "README.md", &[], &planted);
    judge(names_are_known, "src/sync/shared.rs", &["struct Counted;"], &[]);
    judge(names_are_known, "tests/flat/api.rs", &["struct Bell;"], &["struct Counted;"]);
}
