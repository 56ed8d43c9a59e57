"""Checkers of histories: each takes operations and final values, and returns sentences about what is wrong.

An operation is answered (`end` is a time) or not (`end` is None): then nobody knows whether it was executed, and when.
An operation that its node refused is not in the history.

| kind | operation | property |
|---|---|---|
| append, read | APPEND of a client's next token to its own register; GET by any client | linearizable, in linear time |
| incr | INCR of a shared counter | linearizable, in linear time |
| mset, mget | both keys of a pair written, and read, at once | both always equal |
| once | SET NX of one key by many clients | one of them succeeds |
| lock, held | SET NX PX of a new key, then GET on the same connection | the key is there |
| word | commands of `models.py` on a few strings, lists, hashes, sets and sorted sets | linearizable, by the search of Wing, Gong and Lowe |
| push, pop | RPUSH of a new element to a queue, BLPOP by many clients | each element is delivered once, or still there |
| stale | GET of a register at a follower | a prefix, never shorter than the one before on the connection |
| stale pair | MGET of a pair at a follower | both equal |
"""
from collections import defaultdict
from math import inf

from models import READS, apply, whole

TOKEN = 6
# States after which the search stops without a result.
MOST_STATES = 300_000
# How much earlier than its time a key may be gone, in seconds: clients measure from outside.
SLACK = 0.25


class Operation:
    """What a client did, and what it was answered."""

    __slots__ = ("kind", "key", "what", "start", "end", "reply", "via")

    def __init__(self, kind, key, what, start, end, reply, via=None):
        self.kind, self.key, self.what = kind, key, what
        self.start, self.end, self.reply, self.via = start, end, reply, via

    def __repr__(self):
        return f"{self.kind} {self.key} {self.what!r} {self.start:.3f}..{self.end} -> {self.reply!r} ({self.via})"


def token(number):
    return b"%05d." % number


# ------------------------------------------------------------------------------------------------ registers

def check_register(key, operations, final):
    """Checks a register to which one client appends tokens with rising numbers."""
    final = final or b""
    numbers = parse(final)
    if numbers is None:
        return [f"{key} has half a token"]
    appends = {one.what: one for one in operations if one.kind == "append"}
    return [*check_tokens(key, numbers, appends), *check_reads(key, final, numbers, appends, operations)]


def parse(value):
    if len(value) % TOKEN:
        return None
    try:
        return [int(value[at:at + TOKEN - 1]) for at in range(0, len(value), TOKEN)]
    except ValueError:
        return None


def check_tokens(key, numbers, appends):
    wrong = []
    if len(set(numbers)) != len(numbers):
        wrong.append(f"{key} has a token twice")
    if not set(numbers) <= appends.keys():
        wrong.append(f"{key} has a token that was never sent")
    acknowledged = {number for number, one in appends.items() if one.end is not None}
    lost = acknowledged - set(numbers)
    if lost:
        wrong.append(f"{key} has lost {len(lost)} acknowledged tokens, {min(lost)} first")
    # An unanswered token may land late, but none before one that was acknowledged when it was sent.
    earliest = inf
    for number in reversed(numbers):
        if number > earliest:
            wrong.append(f"{key} has token {number} before the earlier token {earliest}")
            break
        if number in acknowledged:
            earliest = min(earliest, number)
    return wrong


def check_reads(key, final, numbers, appends, operations):
    wrong = []
    at = {number: place for place, number in enumerate(numbers)}
    reads = sorted((one for one in operations if one.kind == "read" and one.end is not None), key=lambda r: r.start)
    # The shortest values that later reads may see, by the ends of the operations that made them so.
    floors = [(one.end, (at[number] + 1) * TOKEN, f"token {number}") for number, one in appends.items()
              if one.end is not None and number in at]
    floors += [(one.end, len(one.reply or b""), "an earlier read") for one in reads]
    floors.sort(key=lambda floor: floor[0])
    least, why, next_floor = 0, "", 0
    for read in reads:
        while next_floor < len(floors) and floors[next_floor][0] < read.start:
            if floors[next_floor][1] > least:
                least, why = floors[next_floor][1:]
            next_floor += 1
        value = read.reply or b""
        if not final.startswith(value):
            wrong.append(f"a read of {key} by {read.via} is no prefix of its final value")
        elif len(value) < least:
            wrong.append(f"a read of {key} by {read.via} lacks {why}: it is stale by {least - len(value)} bytes")
        else:
            last = appends.get(numbers[len(value) // TOKEN - 1]) if value else None
            if last and last.start > read.end:
                wrong.append(f"a read of {key} has a token that was sent later")
    return wrong[:3]


def check_stale_reads(key, operations, final):
    """Checks reads at followers, which may be old, but on one connection never get older."""
    final, wrong, longest = final or b"", [], {}
    reads = [one for one in operations if one.kind == "stale" and one.end is not None]
    for read in sorted(reads, key=lambda r: r.start):
        value = read.reply or b""
        if not final.startswith(value):
            wrong.append(f"a read of {key} at {read.via} is no prefix of its final value")
        if len(value) < longest.get(read.via, 0):
            wrong.append(f"a read of {key} at {read.via} is older than one before")
        longest[read.via] = max(longest.get(read.via, 0), len(value))
    return wrong[:3]


# ------------------------------------------------------------------------------------------------ small properties

def check_counter(key, operations, final):
    """Checks increments: the replies are distinct, and rise in real time."""
    wrong, value = [], int(final or 0)
    answered = sorted((one for one in operations if one.end is not None), key=lambda one: one.start)
    if not len(answered) <= value <= len(operations):
        wrong.append(f"{key} is {value}, not between {len(answered)} acknowledged and {len(operations)} attempted")
    replies = [one.reply for one in answered]
    if len(set(replies)) != len(replies):
        wrong.append(f"two increments of {key} have the same reply")
    if any(reply > value for reply in replies):
        wrong.append(f"an increment of {key} was answered with more than its final value")
    ended, most, next_end = sorted(answered, key=lambda one: one.end), 0, 0
    for one in answered:
        while ended[next_end].end < one.start:
            most = max(most, ended[next_end].reply)
            next_end += 1
        if one.reply <= most:
            wrong.append(f"an increment of {key} was answered with {one.reply}, after {most}")
            break
    return wrong


def check_pair(key, operations, final):
    wrong = []
    written = {one.what for one in operations if one.kind == "mset"} | {None}
    reads = [one.reply for one in operations if one.kind in ("mget", "stale pair") and one.end is not None]
    for reply in [*reads, final]:
        if reply[0] != reply[1]:
            wrong.append(f"the keys of {key} differ: {reply[0]!r} and {reply[1]!r}")
        elif reply[0] not in written:
            wrong.append(f"{key} has a value that was never sent")
    return wrong[:3]


def check_once(key, operations, final):
    wrong = []
    winners = [one.what for one in operations if one.end is not None and one.reply == "OK"]
    possible = [one.what for one in operations if one.end is None]
    if len(winners) > 1:
        wrong.append(f"SET NX of {key} succeeded {len(winners)} times")
    if winners and final != winners[0]:
        wrong.append(f"SET NX of {key} succeeded with {winners[0]!r}, and its value is {final!r}")
    if not winners and final not in [None, *possible]:
        wrong.append(f"{key} has the value {final!r} of a SET NX that did not succeed")
    if final is None and any(one.end is not None for one in operations):
        wrong.append(f"SET NX of {key} was refused, and it has no value")
    return wrong


def check_locks(operations, steps):
    """Checks that a lock that was granted is there. `steps` are times at which a clock was stepped."""
    wrong = []
    for one in operations:
        if one.end is None:
            continue
        if one.kind == "lock" and one.reply != "OK":
            wrong.append(f"SET NX PX of the new key {one.key} was refused")
        if one.kind == "held":
            # `what` is the lock's value, when it was requested, and how long it holds.
            value, since, length = one.what
            stepped = any(since - 1 <= step <= one.end for step in steps)
            if one.end - since < length - SLACK and not stepped and one.reply != value:
                wrong.append(f"{one.key} was granted for {length} s, and was gone after {one.end - since:.3f} s")
    return wrong[:3]


# ------------------------------------------------------------------------------------------------ words

def check_word(key, operations, final):
    """Searches for an order of all operations on a key that explains every reply and the final value."""
    known = [one for one in operations if one.end is not None]
    unknown = [one for one in operations if one.end is None and one.what[0] not in READS]
    last = max((one.end for one in known), default=0) + 1
    last = max([last, *(one.start + 1 for one in unknown)])
    final_read = Operation("word", key, whole(key), last, last + 1, final)
    found = explain([*known, *unknown, final_read])
    if found is None:
        return []
    return [] if found else [f"no order explains the replies of {key}: {len(known)} operations, {len(unknown)} without"]


def explain(operations):
    """Returns whether the history is linearizable; None if the search was too long."""
    operations = sorted(operations, key=lambda one: one.start)
    count = len(operations)
    ends = [inf if one.end is None else one.end for one in operations]
    wanted = sum(1 << i for i in range(count) if ends[i] != inf)
    stack, seen = [(0, None)], {(0, None)}
    while stack:
        done, state = stack.pop()
        if done & wanted == wanted:
            return True
        bound = inf
        first = (~done & (done + 1)).bit_length() - 1
        for i in range(first, count):
            if done >> i & 1:
                continue
            one = operations[i]
            # It began after another one had ended that is not in the order yet.
            if one.start > bound:
                break
            bound = min(bound, ends[i])
            after, reply = apply(one.what[0], one.what[1:], state)
            if one.end is not None and reply != one.reply:
                continue
            step = (done | 1 << i, after)
            if step not in seen:
                seen.add(step)
                stack.append(step)
        if len(seen) > MOST_STATES:
            return None
    return False


# ------------------------------------------------------------------------------------------------ queues

def check_queue(key, operations, final):
    """Checks a queue: elements are pushed at one end once, and clients wait for them at the other."""
    pushes = {one.what: one for one in operations if one.kind == "push"}
    pops = [one for one in operations if one.kind == "pop"]
    delivered = {one.reply[1]: one for one in pops if one.end is not None and one.reply is not None}
    found = [one.reply[1] for one in pops if one.end is not None and one.reply is not None] + (final or [])
    wrong = []
    if len(set(found)) != len(found):
        wrong.append(f"{key} has delivered an element twice")
    if not set(found) <= pushes.keys():
        wrong.append(f"{key} has an element that was never sent")
    # Each pop without an answer may have taken one.
    lost = [what for what, one in pushes.items() if one.end is not None and what not in set(found)]
    unanswered = sum(one.end is None for one in pops)
    if len(lost) > unanswered:
        wrong.append(f"{key} has lost {len(lost)} acknowledged elements, and {unanswered} pops had no answer")
    # An element that was pushed before another one is not taken behind it.
    order = sorted((one for what, one in pushes.items() if what in set(found)), key=lambda one: one.start)
    ended = sorted((one for one in order if one.end is not None), key=lambda one: one.end)
    latest, next_end = -inf, 0
    for one in order:
        while next_end < len(ended) and ended[next_end].end < one.start:
            taken = delivered.get(ended[next_end].what)
            latest, next_end = max(latest, taken.start if taken else inf), next_end + 1
        if one.what in delivered and delivered[one.what].end < latest:
            wrong.append(f"{key} has delivered {one.what!r} before an earlier element")
            break
    return wrong


# ------------------------------------------------------------------------------------------------ a round

CHECKS = {"reg": check_register, "cnt": check_counter, "par": check_pair, "one": check_once, "wrd": check_word,
          "lst": check_word, "hsh": check_word, "set": check_word, "zst": check_word, "que": check_queue}


def check_history(operations, finals, steps=()):
    """Checks all operations of a round. Keys have their kind as the second word: `r1:reg:...`."""
    groups, wrong = defaultdict(list), check_locks([one for one in operations if one.kind in ("lock", "held")], steps)
    for one in operations:
        if one.kind not in ("lock", "held"):
            groups[one.key].append(one)
    for key, group in groups.items():
        kind = key.split(":")[1]
        final = finals[key] if kind != "par" else (finals[key + "a"], finals[key + "b"])
        wrong += CHECKS[kind](key, group, final)
        if kind == "reg":
            wrong += check_stale_reads(key, group, final)
    return wrong


def final_keys(operations):
    """Returns the keys whose final values `check_history` needs."""
    keys = {one.key for one in operations if one.kind not in ("lock", "held")}
    pairs = {key for key in keys if key.split(":")[1] == "par"}
    return sorted((keys - pairs) | {key + name for key in pairs for name in "ab"})
