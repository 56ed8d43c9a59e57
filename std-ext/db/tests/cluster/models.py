"""What commands do to one key: the states and replies by which histories are checked.

A state is the value in a form that can be hashed, None if there is none: bytes, a tuple of elements (lists), of sorted
members (sets), of sorted pairs (hashes), or of pairs of score and member (sorted sets). Scores are whole numbers.
"""

# How the value of a key is read as a whole, by the kind in its name: `r1:lst:...`. Others are strings.
WHOLE = {"lst": ("LRANGE", 0, -1), "que": ("LRANGE", 0, -1), "hsh": ("HGETALL",), "set": ("SMEMBERS",),
         "zst": ("ZRANGE", 0, -1, "WITHSCORES")}


def whole(key):
    """Returns the command that reads the value of a key: its name, and what stands behind the key."""
    kind = key.split(":")[1] if key.count(":") > 1 else ""
    return WHOLE.get(kind, ("GET",))


def ordered(name, reply):
    """Returns a reply whose order means nothing in one order."""
    if name == "SMEMBERS":
        return sorted(reply)
    if name == "HGETALL":
        return flat(sorted(zip(reply[::2], reply[1::2])))
    return reply


def apply(name, arguments, state):
    """Executes a command on one key. Returns the state after it and the reply."""
    after, reply = COMMANDS[name](state, *arguments)
    return after if after != () else None, reply


def flat(pairs):
    return [part for pair in pairs for part in pair]


# ------------------------------------------------------------------------------------------------ strings

def setnx(state, value):
    return (value, 1) if state is None else (state, 0)


def append(state, value):
    after = (state or b"") + value
    return after, len(after)


# ------------------------------------------------------------------------------------------------ lists

def push(state, *values):
    after = (state or ()) + values
    return after, len(after)


def push_first(state, *values):
    after = values[::-1] + (state or ())
    return after, len(after)


def pop(state):
    return (state[:-1], state[-1]) if state else (None, None)


def pop_first(state):
    return (state[1:], state[0]) if state else (None, None)


def insert_before(state, _, pivot, value):
    if not state:
        return None, 0
    if pivot not in state:
        return state, -1
    at = state.index(pivot)
    after = (*state[:at], value, *state[at:])
    return after, len(after)


def remove_all(state, _, value):
    after = tuple(one for one in state or () if one != value)
    return after, len(state or ()) - len(after)


def trim(state, first, last):
    assert first == 0 <= last
    return (state or ())[:last + 1], "OK"


# ------------------------------------------------------------------------------------------------ hashes

def hset(state, field, value):
    fields = dict(state or ())
    return tuple(sorted({**fields, field: value}.items())), int(field not in fields)


def hdel(state, field):
    after = tuple(pair for pair in state or () if pair[0] != field)
    return after, len(state or ()) - len(after)


def hget(state, field):
    return state, dict(state or ()).get(field)


def hincrby(state, field, by):
    after = int(dict(state or ()).get(field, 0)) + by
    return hset(state, field, b"%d" % after)[0], after


# ------------------------------------------------------------------------------------------------ sets

def sadd(state, member):
    return tuple(sorted({*(state or ()), member})), int(member not in (state or ()))


def srem(state, member):
    return tuple(one for one in state or () if one != member), int(member in (state or ()))


# ------------------------------------------------------------------------------------------------ sorted sets

def zadd(state, score, member):
    others = tuple(pair for pair in state or () if pair[1] != member)
    return tuple(sorted((*others, (score, member)))), int(len(others) == len(state or ()))


def score_of(state, member):
    return {name: score for score, name in state or ()}.get(member)


def zincrby(state, by, member):
    after = (score_of(state, member) or 0) + by
    return zadd(state, after, member)[0], b"%d" % after


def zrem(state, member):
    after = tuple(pair for pair in state or () if pair[1] != member)
    return after, len(state or ()) - len(after)


def zscore(state, member):
    score = score_of(state, member)
    return state, None if score is None else b"%d" % score


def zpopmin(state):
    return (state[1:], with_scores(state[:1])) if state else (None, [])


def zremrangebyrank(state, first, last):
    assert first == 0 <= last
    after = (state or ())[last + 1:]
    return after, len(state or ()) - len(after)


def with_scores(pairs):
    return flat((member, b"%d" % score) for score, member in pairs)


def size(state):
    return state, len(state or ())


COMMANDS = {
    "GET": lambda state: (state, state), "SET": lambda state, value: (value, "OK"), "SETNX": setnx,
    "GETSET": lambda state, value: (value, state), "APPEND": append, "DEL": lambda state: (None, int(state is not None)),
    "RPUSH": push, "LPUSH": push_first, "RPOP": pop, "LPOP": pop_first, "LLEN": size, "LINSERT": insert_before,
    "LREM": remove_all, "LTRIM": trim, "LRANGE": lambda state, first, last: (state, list(state or ())),
    "HSET": hset, "HDEL": hdel, "HGET": hget, "HINCRBY": hincrby, "HLEN": size,
    "HGETALL": lambda state: (state, flat(state or ())),
    "SADD": sadd, "SREM": srem, "SCARD": size, "SISMEMBER": lambda state, member: (state, int(member in (state or ()))),
    "SMEMBERS": lambda state: (state, list(state or ())),
    "ZADD": zadd, "ZINCRBY": zincrby, "ZREM": zrem, "ZSCORE": zscore, "ZCARD": size, "ZPOPMIN": zpopmin,
    "ZREMRANGEBYRANK": zremrangebyrank, "ZRANGE": lambda state, *_: (state, with_scores(state or ())),
}
# Those that change nothing.
READS = {"GET", "LLEN", "LRANGE", "HGET", "HLEN", "HGETALL", "SCARD", "SISMEMBER", "SMEMBERS", "ZSCORE", "ZCARD", "ZRANGE"}


def random_command(kind, random):
    """Returns a random command on a key of a kind: its name, and what stands behind the key."""
    name, *more = random.choice(RANDOM[kind])
    return (name, *(make(random) if callable(make) else make for make in more))


def value(random):
    return b"%d" % random.randrange(1 << 30)


def some(random):
    """One of a few fields, members or elements."""
    return b"%d" % random.randrange(5)


def number(random):
    return random.randrange(20)


RANDOM = {
    "wrd": (("GET",), ("GET",), ("GET",), ("SET", value), ("SETNX", value), ("GETSET", value), ("APPEND", value), ("DEL",)),
    "lst": (("RPUSH", some), ("RPUSH", value), ("RPUSH", some, value), ("LPUSH", some), ("LPUSH", value, some), ("RPOP",),
            ("LPOP",), ("LLEN",), ("LRANGE", 0, -1), ("LRANGE", 0, -1), ("LINSERT", "BEFORE", some, value),
            ("LREM", 0, some), ("LTRIM", 0, 5)),
    "hsh": (("HSET", some, some), ("HSET", some, some), ("HINCRBY", some, number), ("HDEL", some), ("HGET", some),
            ("HLEN",), ("HGETALL",), ("HGETALL",)),
    "set": (("SADD", some), ("SADD", some), ("SREM", some), ("SISMEMBER", some), ("SCARD",), ("SMEMBERS",)),
    "zst": (("ZADD", number, some), ("ZADD", number, some), ("ZINCRBY", number, some), ("ZREM", some), ("ZSCORE", some),
            ("ZCARD",), ("ZPOPMIN",), ("ZREMRANGEBYRANK", 0, 1), ("ZRANGE", 0, -1, "WITHSCORES")),
}
