"""Random commands about streams for `random_words.py`. No reply has an id that the server chose, or how long an entry
has been pending."""

FIELDS = [b"f", b"g", b"", b"10", b"\x00\xff", b"f" * 70]
WAITS = [b"1", b"1", b"-1", b"abc"]
# Idle times that every entry has, and that none has.
IDLE = [b"0", b"0", b"0", b"100000000", b"-1", b"abc"]


def key(w):
    return w.pick(b"m", b"m", b"m", b"m", b"w", b"{t}m")


def any_key(w):
    return w.key() if w.random.random() < 0.1 else key(w)


def entry_id(w):
    ms = w.random.randrange(1, 30)
    return w.mostly([b"%d-0" % ms, b"%d-1" % ms, b"%d" % ms], [b"0", b"0-0", b"x", b"", b"-1", b"1-1-1", b"5-x", b"99",
                                                             b"18446744073709551615-18446744073709551615", b"$", b"*"])


def new_id(w):
    """An id that is mostly greater than those before it in this session."""
    w.milliseconds = getattr(w, "milliseconds", 0) + w.pick(0, 0, 1)
    now = w.milliseconds + 1
    return w.mostly([b"%d-*" % now, b"%d-*" % now, b"%d-0" % now, b"%d" % now],
                    [b"0-0", b"0-*", b"1-1", b"x", b"-", b"%d-5" % now, b"5-5-5"])


def pairs(w):
    return sum(w.some(lambda: [w.pick(*FIELDS), w.value()], 1, 3), [])


def trim(w):
    # How much `~` removes is the server's choice, so nothing is to be removed there.
    return w.pick([b"MAXLEN", w.pick(b"0", b"2", b"5", b"100", b"-1", b"abc")], [b"MAXLEN", b"=", b"3"],
                  [b"MINID", entry_id(w)], [b"MAXLEN", b"~", b"1000"], [b"MAXLEN", b"~", b"1000", b"LIMIT", b"2"],
                  [b"MAXLEN", b"3", b"LIMIT", b"2"], [b"MINID", b"~", b"0"], [b"FOO", b"3"])


def bound(w):
    return w.mostly([entry_id(w), b"(" + entry_id(w)], [b"-", b"+"])


def bounds(w):
    return [w.pick(b"-", bound(w)), w.pick(b"+", bound(w))]


def count(w):
    return w.options([b"COUNT", w.pick(b"0", b"1", b"2", b"10", b"-1", b"abc")])


def group(w):
    return w.mostly([b"g"], [b"h", b"12", b""])


def consumer(w):
    return w.pick(b"c", b"d", b"7")


def ids(w):
    return w.some(lambda: entry_id(w), 1, 4)


def wait(w):
    return [b"BLOCK", w.pick(*WAITS)] if w.random.random() < 0.1 else []


def streams(w, make):
    keys = w.some(lambda: any_key(w), 1, 2)
    return [b"STREAMS", *keys, *[make() for _ in keys]]


def of_group(w):
    return w.pick(
        [b"CREATE", key(w), group(w), w.pick(b"0", b"$", entry_id(w))] + w.options(
            b"MKSTREAM", [b"ENTRIESREAD", w.number()]),
        [b"CREATE", key(w), group(w), b"0", b"MKSTREAM"],
        [b"SETID", any_key(w), group(w), w.pick(b"0", b"$", entry_id(w))] + w.options([b"ENTRIESREAD", w.number()]),
        [b"DESTROY", any_key(w), group(w)], [b"CREATECONSUMER", any_key(w), group(w), consumer(w)],
        [b"DELCONSUMER", any_key(w), group(w), consumer(w)], [b"HELP"], [b"FOO", key(w)])


def claim(w):
    return w.options(b"JUSTID", b"FORCE", [b"RETRYCOUNT", w.number()], [b"IDLE", w.pick(b"0", b"1000", b"abc")],
                     [b"TIME", w.pick(b"5000", b"abc")], [b"LASTID", entry_id(w)], b"FOO")


COMMANDS = {
    b"XADD": lambda w: [key(w)] + w.pick([], [], [], [b"NOMKSTREAM"]) + w.pick([], [], [], [], trim(w))
    + [new_id(w)] + pairs(w),
    b"XLEN": lambda w: [any_key(w)],
    b"XRANGE": lambda w: [any_key(w)] + bounds(w) + count(w),
    b"XREVRANGE": lambda w: [any_key(w)] + bounds(w)[::-1] + count(w),
    b"XREAD": lambda w: count(w) + wait(w) + streams(w, lambda: w.pick(entry_id(w), b"$", b"0")),
    b"XDEL": lambda w: [any_key(w)] + ids(w),
    b"XTRIM": lambda w: [any_key(w)] + trim(w),
    b"XSETID": lambda w: [any_key(w), entry_id(w)] + w.pick(
        [], [b"ENTRIESADDED", w.number(), b"MAXDELETEDID", entry_id(w)]),
    b"XINFO": lambda w: w.pick([b"STREAM", any_key(w)], [b"STREAM", any_key(w), b"FULL"] + count(w),
                               [b"GROUPS", any_key(w)], [b"CONSUMERS", any_key(w), group(w)], [b"HELP"], [b"FOO"]),
    b"XGROUP": of_group,
    b"XREADGROUP": lambda w: [b"GROUP", group(w), consumer(w)] + count(w) + wait(w) + w.options(b"NOACK")
    + streams(w, lambda: w.pick(b">", b">", b">", b"0", entry_id(w))),
    b"XACK": lambda w: [any_key(w), group(w)] + ids(w),
    # With the entries themselves, the reply has how long they have been idle.
    b"XPENDING": lambda w: [any_key(w), group(w)] + w.pick(
        [], [], [b"IDLE", b"100000000", b"-", b"+", b"10"], [b"-", b"+", b"0"], [b"-", b"+", b"10", b"nobody"],
        [b"-", b"+", b"abc"]),
    b"XCLAIM": lambda w: [any_key(w), group(w), consumer(w), w.pick(*IDLE)] + ids(w) + claim(w),
    b"XAUTOCLAIM": lambda w: [any_key(w), group(w), consumer(w), w.pick(*IDLE), w.pick(b"0", b"-", bound(w))]
    + count(w) + w.options(b"JUSTID"),
}
OFTEN = {b"XADD": 14, b"XGROUP": 6, b"XREADGROUP": 8, b"XACK": 3, b"XINFO": 4}
