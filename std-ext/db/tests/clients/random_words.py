"""Random commands for `random_commands.py`: what a client may send, right or wrong."""

import random_streams

KEYS = [b"a", b"b", b"c", b"{t}1", b"", b"key\x00\xff", b"d" * 60, b"h", b"l", b"s", b"q"]
VALUES = [b"", b"x", b"rose", b"10", b"-5", b"3.5", b"\x00\xff\x80", b"abc" * 20, b"\xff" * 9, b"00",
          b"9223372036854775807", b"hello world", b"y" * 300]
SMALL = [b"0", b"1", b"2", b"5", b"-1", b"-2", b"-5", b"100", b"-100"]
NUMBERS = [b"0", b"1", b"-1", b"2", b"7", b"63", b"64", b"9223372036854775807", b"-9223372036854775808",
           b"9223372036854775808", b"4294967295", b"4294967296", b"2147483647", b"1.5", b"1e3", b"", b" 1", b"1 ",
           b"+1", b"01", b"-0", b"abc", b"nan", b"inf", b"0x10", b"1_000", b"99999999999999999999"]
FRACTIONS = NUMBERS + [b"0.1", b"-0.1", b"3.14159265358979", b"1e-5", b"1e17", b"5e-324", b"1e400", b"infinity", b".5",
                       b"5.", b"-.5e1", b"0.30000000000000004"]
# Those whose sums are short enough for a hash with its fields in order.
SHORT_FRACTIONS = [fraction for fraction in FRACTIONS if fraction != b"1e400"]
TIMES = [b"100", b"1000", b"0", b"-1", b"9223372036854775807", b"-9223372036854775808", b"abc", b"", b"1.5",
         b"10000000000000000"]
# Short ones: in Redis, the fields of a hash with longer ones are in no order.
FIELDS = [b"f", b"g", b"name", b"", b"10", b"\x00\xff", b"F" * 64]
FIELD_VALUES = [b"", b"v", b"7", b"-5", b"3.5", b"007", b"9223372036854775807", b"\xff\x00", b"hello world", b"z" * 64]
# Few and short: a list of one node has the same payload in both, however it came about.
ELEMENTS = [b"", b"x", b"rose", b"10", b"-5", b"3.5", b"007", b"\x00\xff", b"e" * 40]
# In Redis, the members of a set that are not all integers are in no order.
INTEGERS = [b"%d" % n for n in [*range(-3, 12), 300, -70000, 5000000000]]
MEMBERS = [b"", b"m", b"n", b"member", b"10", b"-3", b"\x00\xff", b"M" * 64]
# All with the same score: in others, ranges of members have no meaning.
WORDS = [b"", b"a", b"aa", b"ab", b"b", b"c", b"cc", b"\xff"]
CHANNELS = [b"ch", b"other"]
# No channel matches both: the order of their messages is undefined.
PATTERNS = [b"c*", b"o?her"]
# The payload of `x`, those of hashes as a listpack and as pairs, of a list, of a set of integers and of a sorted set,
# one with a wrong sum, and others.
PAYLOADS = [b"\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81n\x02\x0c\x01\xff\x0a\x00\x016\x94\x81\xd3[\x89t",
            b"\x04\x02\x01f\x01v\xc0\x07\xc1\x10'\x0a\x00\x1bA\x87\x0d-0:I",
            b"\x04\x00\x0a\x00\x931\x96\xc0'\x92\x95\xbf",
            b"\x12\x01\x02\x0e\x0e\x00\x00\x00\x03\x00\x81a\x02\x07\x01\x80\x01\xff\x0a\x00H\x1b;2\xc6O\xb0\xa4",
            b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\xfb\xff\x01\x00,\x01\x0a\x00\x0f_z\x8e\xb5\x94\x09\xd2",
            b"\x11\x1c\x1c\x00\x00\x00\x06\x00\x81b\x02\x84-2.5\x05\x81a\x02\x01\x01\x80\x01\x83inf\x04\xff\x0a\x00"
            b"\x9c\xd1\xd8\x15\xb5\x1e\xb5\xdb",
            b"\x00\x01x\x0a\x00\x22\x80\x86\x5f\xbd\xe8\x48\xd0", b"", b"garbage", b"\x00\x03foo\x0a\x00" + bytes(8)]
LOADED = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
SCRIPTS = [line.strip().encode() for line in """
    return redis.call('GET', KEYS[1])
    return redis.call('SET', KEYS[1], ARGV[1])
    return redis.call('SETRANGE', KEYS[1], 3, ARGV[1])
    return redis.call('EXPIRE', KEYS[1], 100)
    return redis.call('TTL', KEYS[1])
    return redis.call('DEL', KEYS[1])
    return redis.call('MGET', unpack(KEYS))
    return redis.call('HSET', KEYS[1], 'f', #ARGV, 'g', 'v')
    return redis.call('HGETALL', KEYS[1])
    return redis.call('HDEL', KEYS[1], 'f')
    return redis.pcall('HINCRBY', KEYS[1], 'f', 1)
    redis.setresp(3) return redis.pcall('HGET', KEYS[1], 'f')
    redis.call('HSET', KEYS[1], 'f', 'w') redis.call('INCR', KEYS[1])
    return redis.call('RPUSH', 'l', 1, unpack(ARGV))
    return redis.call('LRANGE', KEYS[1], 0, -1)
    return redis.pcall('LPOP', 'l', 2)
    return redis.pcall('BLPOP', 'l', 0)
    return redis.call('SADD', 's', 7, 8)
    return redis.call('SMEMBERS', 's')
    redis.setresp(3) return redis.pcall('SMISMEMBER', KEYS[1], 7, 9)
    return redis.call('ZADD', 'q', 1.5, 'm', 2, 'n')
    return redis.pcall('ZRANGE', 'q', 0, -1, 'WITHSCORES')
    redis.setresp(3) return redis.pcall('ZSCORE', 'q', 'm')
    redis.setresp(3) return redis.pcall('ZPOPMIN', 'q')
    return redis.call('NOSUCH')
    return redis.call('GET')
    return redis.pcall('INCR', KEYS[1])
    return tostring(redis.call('STRLEN', KEYS[1]))
    return type(redis.call('GET', KEYS[1]))
    redis.call('SET', KEYS[1], 'x') redis.call('INCR', KEYS[1])
    redis.setresp(3) return redis.call('GET', KEYS[1])
    redis.setresp(3) return {map={a=1}}
    redis.setresp(3) return true
    return {1, 'a', {2, 3}, false, true}
    return {1, nil, 3}
    return {double=3.5}
    return {map={a=1}}
    return {ok='yes'}
    return {err='no'}
    return redis.error_reply('MY error')
    return redis.status_reply('FINE')
    return redis.sha1hex(ARGV[1] or '')
    return redis.REDIS_VERSION_NUM ~= nil
    return 3.99
    return -0.5
    return 1e15
    return tostring(1e15)
    return nil
    return false
    return true
    return #ARGV
    return ARGV
    return KEYS
    return cjson.encode({1, 2, {a='b'}})
    return cmsgpack.unpack(cmsgpack.pack({1, 2, 3}))
    return struct.pack('>I2', 500)
    return bit.band(7, tonumber(ARGV[1]) or 3)
    return string.format('%5.2f', tonumber(ARGV[1]) or 1)
    local t = {} for i = 1, 5 do t[i] = i * 2 end return t
    error('boom')
    error({err='My table'})
    return foo
    foo = 1
    syntax error here
""".strip().split("\n")]


class Words:
    """Makes commands of random words."""

    def __init__(self, random):
        self.random = random

    def command(self):
        name = self.random.choice(NAMES)
        words = [name, *COMMANDS[name](self)]
        # With a word more or less, some of these would change settings, or have replies that differ between any two
        # servers: with a second channel, in their order. Others would wait for ever, or choose a random member.
        if name not in (b"ACL", b"CLIENT", b"COMMAND", b"CONFIG", b"HELLO", b"HRANDFIELD", b"MEMORY", b"PFCOUNT",
                        b"PUBSUB", b"PUNSUBSCRIBE", b"SPOP", b"SRANDMEMBER", b"SUNSUBSCRIBE", b"UNSUBSCRIBE",
                        b"ZRANDMEMBER", *BLOCKING):
            self.spoil(words)
        return words

    def spoil(self, words):
        roll = self.random.random()
        if roll < 0.03 and len(words) > 1:
            words.pop()
        elif roll < 0.05:
            words.append(self.pick(b"", b"x", b"10", b"GET"))
        elif roll < 0.07:
            words[0] = words[0].lower()
        elif roll < 0.08 and len(words) > 1:
            words.insert(self.random.randrange(1, len(words)), self.pick(b"0", b"GET", b"", b"a"))

    def pick(self, *of):
        return self.random.choice(of)

    def some(self, make, least=1, most=3):
        return [make() for _ in range(self.random.randint(least, most))]

    def options(self, *of):
        """A few of these words or lists of words, in any order, some of them twice."""
        chosen = [self.random.choice(of) for _ in range(self.pick(0, 0, 0, 1, 1, 1, 2, 3))]
        return [word for option in chosen for word in (option if isinstance(option, list) else [option])]

    def mostly(self, usual, all_of):
        return self.random.choice(usual if self.random.random() < 0.7 else all_of)

    def key(self):
        return self.mostly(KEYS[:4], KEYS)

    def value(self):
        return self.random.choice(VALUES)

    def pair(self):
        return [self.key(), self.value()]

    def number(self):
        return self.mostly(SMALL, NUMBERS)

    def numbers(self):
        return [self.number(), self.number()]

    def time(self):
        return self.mostly(TIMES[:2], TIMES)

    def later(self):
        """A time that compares equal at two servers: none that is relative, and none that has just passed."""
        return self.options([b"EXAT", self.pick(b"9999999999", b"9999999999", b"0", b"1.5", b"9223372036854775807")],
                            [b"PXAT", self.pick(b"99999999999999", b"8888888888888", b"-1", b"abc")],
                            b"KEEPTTL", b"PERSIST")

    def hash_key(self):
        return self.pick(b"h", b"h", b"h", b"i", b"{t}h", self.key())

    def hash_field(self):
        return self.random.choice(FIELDS)

    def hash_pairs(self, most=4):
        pair = lambda: [self.hash_field(), self.random.choice(FIELD_VALUES)]
        return sum(self.some(pair, 1, most), [])

    def list_key(self):
        return self.pick(b"l", b"l", b"l", b"k", b"{t}l", self.key())

    def element(self):
        return self.random.choice(ELEMENTS)

    def end(self):
        return self.mostly([b"LEFT", b"RIGHT"], [b"left", b"MIDDLE"])

    def set_key(self):
        return self.pick(b"s", b"s", b"s", b"r", b"{t}s", self.key())

    def integer(self):
        return self.random.choice(INTEGERS)

    def sorted_key(self):
        return self.pick(b"q", b"q", b"q", b"p", b"{t}q", self.key())

    def member(self):
        return self.random.choice(MEMBERS)

    def score(self):
        return self.mostly([b"1", b"1", b"2", b"-3", b"1.5", b"inf", b"-inf"], FRACTIONS)

    def scored(self, most=4):
        return sum(self.some(lambda: [self.score(), self.member()], 1, most), [])

    def bound(self):
        return self.mostly([b"-inf", b"+inf", b"1", b"(1", b"(2", b"-3"], [b"(inf", b"(", b"abc", b"nan", b"1.5", b""])

    def word_bound(self):
        return self.mostly([b"-", b"+", b"[a", b"(a", b"[b", b"(cc"], [b"", b"a", b"[", b"(", b"[\xff"])

    def limit(self):
        return self.pick([], [], [b"LIMIT", *self.numbers()])

    def several(self, key, most=3):
        """Keys behind their number, which is seldom a wrong one."""
        keys = self.some(key, 1, most)
        return [self.mostly([b"%d" % len(keys)], SMALL) if self.random.random() < 0.1 else b"%d" % len(keys), *keys]

    def source(self):
        return self.pick(self.sorted_key(), self.sorted_key(), self.set_key())

    def combined(self):
        words = self.several(self.source)
        return words + self.options([b"WEIGHTS", *[self.score() for _ in words[1:]]],
                                    [b"AGGREGATE", self.pick(b"SUM", b"MIN", b"max", b"FOO")])

    def sorted_range(self):
        return self.pick([*self.numbers()], [self.bound(), self.bound(), b"BYSCORE"],
                         [self.bound(), self.bound(), b"BYSCORE", *self.limit()], [*self.numbers(), *self.limit()]) \
            + self.options(b"REV", b"FOO")

    def place(self):
        return [self.pick(b"13.361389", b"15.087269", b"-180", b"0", b"181", b"abc"),
                self.pick(b"38.115556", b"37.502669", b"0", b"85", b"86", b"")]

    def area(self):
        origin = self.pick([b"FROMLONLAT", *self.place()], [b"FROMMEMBER", self.member()])
        unit = self.mostly([b"km", b"m"], [b"mi", b"ft", b"KM", b"x"])
        shape = self.pick([b"BYRADIUS", self.pick(b"200", b"0", b"1e4", b"-1")],
                          [b"BYBOX", self.pick(b"400", b"20000"), self.pick(b"400", b"abc", b"90")])
        return origin + shape + [unit]

    def sort_options(self):
        return self.options(b"ALPHA", b"DESC", b"ASC", [b"LIMIT", *self.numbers()], [b"BY", self.pick(b"x", b"w_*")],
                            [b"GET", self.pick(b"#", b"v_*", b"h->f", b"*->f")])

    def bit_field(self):
        kind = self.pick(b"u8", b"i8", b"u1", b"i64", b"u63", b"u64", b"i65", b"u0", b"i5", b"x8", b"u", b"i32", b"U8")
        at = self.pick(b"0", b"1", b"#0", b"#1", b"#2", b"7", b"100", b"-1", b"#-1", b"#", b"abc", b"#100",
                       b"4294967296")
        return self.pick(
            [self.pick(b"GET", b"get"), kind, at],
            [b"SET", kind, at, self.number()],
            [b"INCRBY", kind, at, self.number()],
            [b"OVERFLOW", self.pick(b"WRAP", b"SAT", b"FAIL", b"sat", b"NO")],
        )

    def bit_fields(self, most):
        return [word for field in self.some(self.bit_field, 0, most) for word in field]

    def script(self):
        keys = self.some(self.key, 0, 2)
        count = self.mostly([b"%d" % len(keys)], NUMBERS) if self.random.random() < 0.1 else b"%d" % len(keys)
        return [self.random.choice(SCRIPTS), count, *keys, *self.some(self.value, 0, 2)]


# Those that wait, for a hundredth of a second at most.
BLOCKING = (b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP")
WAITS = [b"0.01", b"0.01", b"-1", b"abc", b"", b"1e400", b"nan"]
CONDITIONS = [b"NX", b"XX", b"GT", b"LT", b"ab"]
# The two servers are asked one after the other, so times relative to now are not compared with each other.
RELATIVE = [b"NX", b"XX", b"ab"]
# Long values would take seconds.
OFFSETS = [b"0", b"1", b"7", b"8", b"100", b"-1", b"536870912", b"4294967296", b"abc", b"1.5"]
# A command's name, and how its arguments are made.
COMMANDS = {
    b"GET": lambda w: [w.key()],
    b"SET": lambda w: w.pair() + w.options(
        b"NX", b"XX", b"GET", b"KEEPTTL", b"xx", b"EX", [b"EX", w.time()], [b"PX", w.pick(b"100000", b"0", b"abc")],
        [b"EXAT", b"9999999999"], [b"PXAT", w.pick(b"99999999999999", b"abc", b"0")], b"FOO"),
    b"SETNX": lambda w: w.pair(),
    b"SETEX": lambda w: [w.key(), w.time(), w.value()],
    b"PSETEX": lambda w: [w.key(), w.pick(b"100000", b"0", b"-1", b"abc", b"9223372036854775807"), w.value()],
    b"GETSET": lambda w: w.pair(),
    b"GETDEL": lambda w: [w.key()],
    b"GETEX": lambda w: [w.key()] + w.later(),
    b"MGET": lambda w: w.some(w.key, 1, 4),
    b"MSET": lambda w: sum(w.some(w.pair), []),
    b"MSETNX": lambda w: sum(w.some(w.pair), []),
    # In Redis, appending nothing changes a watched key.
    b"APPEND": lambda w: [w.key(), w.value() or b"x"],
    b"STRLEN": lambda w: [w.key()],
    b"GETRANGE": lambda w: [w.key()] + w.numbers(),
    b"SUBSTR": lambda w: [w.key()] + w.numbers(),
    b"SETRANGE": lambda w: [w.key(), w.pick(*OFFSETS), w.pick(b"", b"x", b"yy")],
    b"INCR": lambda w: [w.key()],
    b"DECR": lambda w: [w.key()],
    b"INCRBY": lambda w: [w.key(), w.number()],
    b"DECRBY": lambda w: [w.key(), w.number()],
    b"INCRBYFLOAT": lambda w: [w.key(), w.pick(*FRACTIONS)],
    b"SETBIT": lambda w: [w.key(), w.pick(*OFFSETS[:6], *OFFSETS[7:]), w.pick(b"0", b"1", b"2", b"-1", b"x")],
    b"GETBIT": lambda w: [w.key(), w.pick(*OFFSETS)],
    b"BITCOUNT": lambda w: [w.key()] + w.options(
        w.numbers(), w.numbers() + [w.pick(b"BIT", b"byte")], [w.number()], b"FOO"),
    b"BITPOS": lambda w: [w.key(), w.pick(b"0", b"1", b"2", b"-1", b"a")] + w.options(
        w.numbers(), w.numbers() + [w.pick(b"BIT", b"byte")], [w.number()]),
    b"BITOP": lambda w: [w.pick(b"AND", b"OR", b"XOR", b"NOT", b"not", b"NAND"), w.key()] + w.some(w.key),
    b"BITFIELD": lambda w: [w.key()] + w.bit_fields(4),
    b"BITFIELD_RO": lambda w: [w.key()] + w.bit_fields(3),
    b"LCS": lambda w: [w.key(), w.key()] + w.options(
        b"LEN", b"IDX", b"WITHMATCHLEN", [b"MINMATCHLEN", w.number()], b"FOO"),
    b"PFADD": lambda w: [w.key()] + w.some(w.value, 0, 3),
    # Of one key, Redis stores the number in the value.
    b"PFCOUNT": lambda w: w.some(w.key, 2, 3),
    b"PFMERGE": lambda w: w.some(w.key, 1, 3),
    b"HSET": lambda w: [w.hash_key()] + w.hash_pairs(),
    b"HMSET": lambda w: [w.hash_key()] + w.hash_pairs(),
    b"HSETNX": lambda w: [w.hash_key()] + w.hash_pairs(1),
    b"HGET": lambda w: [w.hash_key(), w.hash_field()],
    b"HMGET": lambda w: [w.hash_key()] + w.some(w.hash_field, 1, 4),
    b"HGETALL": lambda w: [w.hash_key()],
    b"HKEYS": lambda w: [w.hash_key()],
    b"HVALS": lambda w: [w.hash_key()],
    b"HLEN": lambda w: [w.hash_key()],
    b"HSTRLEN": lambda w: [w.hash_key(), w.hash_field()],
    b"HEXISTS": lambda w: [w.hash_key(), w.hash_field()],
    b"HDEL": lambda w: [w.hash_key()] + w.some(w.hash_field, 1, 4),
    b"HINCRBY": lambda w: [w.hash_key(), w.hash_field(), w.number()],
    b"HINCRBYFLOAT": lambda w: [w.hash_key(), w.hash_field(), w.pick(*SHORT_FRACTIONS)],
    # Counts with which all fields are returned, or none.
    b"HRANDFIELD": lambda w: [w.hash_key(), w.pick(b"0", b"100", b"9223372036854775807", b"abc", b"1.5", b"")]
    + w.options(b"WITHVALUES", b"withvalues", b"FOO"),
    b"HSCAN": lambda w: [w.hash_key(), w.pick(b"0", b"0", b"0", b"abc", b"99999999999999999999")] + w.options(
        [b"MATCH", w.pick(b"*", b"f*", b"[gn]*", b"", b"\x00*")], [b"COUNT", w.number()], b"FOO"),
    b"LPUSH": lambda w: [w.list_key()] + w.some(w.element, 1, 4),
    b"RPUSH": lambda w: [w.list_key()] + w.some(w.element, 1, 4),
    b"LPUSHX": lambda w: [w.list_key()] + w.some(w.element, 1, 2),
    b"RPUSHX": lambda w: [w.list_key()] + w.some(w.element, 1, 2),
    b"LPOP": lambda w: [w.list_key()] + w.options(w.number()),
    b"RPOP": lambda w: [w.list_key()] + w.options(w.number()),
    b"LLEN": lambda w: [w.list_key()],
    b"LRANGE": lambda w: [w.list_key()] + w.numbers(),
    b"LINDEX": lambda w: [w.list_key(), w.number()],
    b"LSET": lambda w: [w.list_key(), w.number(), w.element()],
    b"LINSERT": lambda w: [w.list_key(), w.pick(b"BEFORE", b"AFTER", b"before", b"FOO"), w.element(), w.element()],
    b"LREM": lambda w: [w.list_key(), w.number(), w.element()],
    b"LTRIM": lambda w: [w.list_key()] + w.numbers(),
    b"LPOS": lambda w: [w.list_key(), w.element()] + w.options(
        [b"RANK", w.number()], [b"COUNT", w.number()], [b"MAXLEN", w.number()], b"FOO"),
    b"LMOVE": lambda w: [w.list_key(), w.list_key(), w.end(), w.end()],
    b"RPOPLPUSH": lambda w: [w.list_key(), w.list_key()],
    b"LMPOP": lambda w: w.several(w.list_key) + [w.end()] + w.options([b"COUNT", w.number()]),
    b"BLPOP": lambda w: w.some(w.list_key) + [w.pick(*WAITS)],
    b"BRPOP": lambda w: w.some(w.list_key) + [w.pick(*WAITS)],
    b"BLMOVE": lambda w: [w.list_key(), w.list_key(), w.end(), w.end(), w.pick(*WAITS)],
    b"BRPOPLPUSH": lambda w: [w.list_key(), w.list_key(), w.pick(*WAITS)],
    b"BLMPOP": lambda w: [w.pick(*WAITS)] + w.several(w.list_key) + [w.end()] + w.options([b"COUNT", w.number()]),
    b"SADD": lambda w: [w.set_key()] + w.some(w.integer, 1, 5),
    b"SREM": lambda w: [w.set_key()] + w.some(w.integer, 1, 3),
    b"SCARD": lambda w: [w.set_key()],
    b"SISMEMBER": lambda w: [w.set_key(), w.integer()],
    b"SMISMEMBER": lambda w: [w.set_key()] + w.some(w.integer),
    b"SMEMBERS": lambda w: [w.set_key()],
    b"SMOVE": lambda w: [w.set_key(), w.set_key(), w.integer()],
    # Counts with which all members are returned, or none.
    b"SPOP": lambda w: [w.set_key(), w.pick(b"0", b"100", b"-1", b"abc", b"")],
    b"SRANDMEMBER": lambda w: [w.set_key(), w.pick(b"0", b"100", b"abc", b"1.5")],
    b"SINTER": lambda w: w.some(w.set_key),
    b"SUNION": lambda w: w.some(w.set_key),
    b"SDIFF": lambda w: w.some(w.set_key),
    b"SINTERCARD": lambda w: w.several(w.set_key) + w.options([b"LIMIT", w.number()]),
    b"SINTERSTORE": lambda w: [w.set_key()] + w.some(w.set_key),
    b"SUNIONSTORE": lambda w: [w.set_key()] + w.some(w.set_key),
    b"SDIFFSTORE": lambda w: [w.set_key()] + w.some(w.set_key),
    b"SSCAN": lambda w: [w.set_key(), w.pick(b"0", b"0", b"0", b"abc")] + w.options(
        [b"MATCH", w.pick(b"*", b"1*", b"[2-5]")], [b"COUNT", w.number()], b"FOO"),
    b"ZADD": lambda w: [w.sorted_key()] + w.options(b"NX", b"XX", b"GT", b"LT", b"CH", b"ch") + w.scored()
    + w.pick([], [], [], [b"INCR"]),
    b"ZINCRBY": lambda w: [w.sorted_key(), w.score(), w.member()],
    b"ZREM": lambda w: [w.sorted_key()] + w.some(w.member),
    b"ZCARD": lambda w: [w.sorted_key()],
    b"ZSCORE": lambda w: [w.sorted_key(), w.member()],
    b"ZMSCORE": lambda w: [w.sorted_key()] + w.some(w.member),
    b"ZRANK": lambda w: [w.sorted_key(), w.member()],
    b"ZREVRANK": lambda w: [w.sorted_key(), w.member()],
    b"ZCOUNT": lambda w: [w.sorted_key(), w.bound(), w.bound()],
    b"ZRANGE": lambda w: [w.sorted_key()] + w.sorted_range() + w.options(b"WITHSCORES"),
    b"ZRANGESTORE": lambda w: [w.sorted_key(), w.sorted_key()] + w.sorted_range(),
    b"ZREVRANGE": lambda w: [w.sorted_key()] + w.numbers() + w.options(b"WITHSCORES"),
    b"ZRANGEBYSCORE": lambda w: [w.sorted_key(), w.bound(), w.bound()] + w.options(b"WITHSCORES", w.limit()),
    b"ZREVRANGEBYSCORE": lambda w: [w.sorted_key(), w.bound(), w.bound()] + w.options(b"WITHSCORES", w.limit()),
    b"ZREMRANGEBYRANK": lambda w: [w.sorted_key()] + w.numbers(),
    b"ZREMRANGEBYSCORE": lambda w: [w.sorted_key(), w.bound(), w.bound()],
    b"ZPOPMIN": lambda w: [w.sorted_key()] + w.options(w.number()),
    b"ZPOPMAX": lambda w: [w.sorted_key()] + w.options(w.number()),
    b"ZMPOP": lambda w: w.several(w.sorted_key) + [w.pick(b"MIN", b"max", b"FOO")] + w.options([b"COUNT", w.number()]),
    b"BZPOPMIN": lambda w: w.some(w.sorted_key) + [w.pick(*WAITS)],
    b"BZPOPMAX": lambda w: w.some(w.sorted_key) + [w.pick(*WAITS)],
    b"BZMPOP": lambda w: [w.pick(*WAITS)] + w.several(w.sorted_key) + [w.pick(b"MIN", b"MAX", b"x")],
    b"ZRANDMEMBER": lambda w: [w.sorted_key(), w.pick(b"0", b"100", b"abc")] + w.options(b"WITHSCORES", b"FOO"),
    b"ZUNION": lambda w: w.combined() + w.options(b"WITHSCORES"),
    b"ZINTER": lambda w: w.combined() + w.options(b"WITHSCORES"),
    b"ZDIFF": lambda w: w.several(w.source) + w.options(b"WITHSCORES"),
    b"ZINTERCARD": lambda w: w.several(w.source) + w.options([b"LIMIT", w.number()]),
    b"ZUNIONSTORE": lambda w: [w.sorted_key()] + w.combined(),
    b"ZINTERSTORE": lambda w: [w.sorted_key()] + w.combined(),
    b"ZDIFFSTORE": lambda w: [w.sorted_key()] + w.several(w.source),
    b"ZSCAN": lambda w: [w.sorted_key(), w.pick(b"0", b"0", b"0", b"abc")] + w.options(
        [b"MATCH", w.pick(b"*", b"m*", b"[n]")], [b"COUNT", w.number()], b"FOO"),
    b"ZLEXCOUNT": lambda w: [b"e", w.word_bound(), w.word_bound()],
    b"ZRANGEBYLEX": lambda w: [b"e", w.word_bound(), w.word_bound()] + w.limit(),
    b"ZREVRANGEBYLEX": lambda w: [b"e", w.word_bound(), w.word_bound()] + w.limit(),
    b"ZREMRANGEBYLEX": lambda w: w.pick([b"e", w.word_bound(), w.word_bound()],
                                        [b"e", b"-", b"(a"], [b"missing", b"-", b"+"]),
    b"GEOADD": lambda w: [b"g"] + w.options(b"NX", b"XX", b"CH") + sum(
        w.some(lambda: [*w.place(), w.member()]), []),
    b"GEOPOS": lambda w: [w.pick(b"g", b"g", w.key())] + w.some(w.member),
    b"GEOHASH": lambda w: [b"g"] + w.some(w.member),
    b"GEODIST": lambda w: [b"g", w.member(), w.member()] + w.options(b"m", b"km", b"FT", b"x"),
    b"GEOSEARCH": lambda w: [b"g"] + w.area() + [w.pick(b"ASC", b"DESC")] + w.options(
        b"WITHDIST", b"WITHCOORD", b"WITHHASH", [b"COUNT", w.number()], b"FOO"),
    b"GEOSEARCHSTORE": lambda w: [w.pick(b"p", b"g"), b"g"] + w.area() + w.options(b"ASC", b"STOREDIST", b"FOO"),
    b"GEORADIUS": lambda w: [b"g", *w.place(), w.pick(b"200", b"1e4", b"-1"), w.pick(b"km", b"m", b"x"), b"ASC"]
    + w.options(b"WITHDIST", b"WITHHASH", [b"STORE", b"p"]),
    b"GEORADIUSBYMEMBER": lambda w: [b"g", w.member(), b"300", b"km", b"DESC"] + w.options(b"WITHCOORD"),
    b"DEL": lambda w: w.some(w.key),
    b"UNLINK": lambda w: w.some(w.key),
    b"EXISTS": lambda w: w.some(w.key),
    b"TOUCH": lambda w: w.some(w.key),
    b"EXPIRE": lambda w: [w.key(), w.time()] + w.options(*RELATIVE),
    b"PEXPIRE": lambda w: [w.key(), w.pick(b"100000", b"1000000", b"0", b"-1", b"abc", TIMES[4])]
    + w.options(*RELATIVE),
    b"EXPIREAT": lambda w: [w.key(), w.pick(b"9999999999", b"8888888888", b"0", b"-1", b"abc", TIMES[4])]
    + w.options(*CONDITIONS),
    b"PEXPIREAT": lambda w: [w.key(), w.pick(b"9999999999999", b"8888888888888", b"0", b"-1", b"abc", TIMES[4])]
    + w.options(*CONDITIONS),
    b"TTL": lambda w: [w.key()],
    b"EXPIRETIME": lambda w: [w.key()],
    b"PEXPIRETIME": lambda w: [w.key()],
    b"PERSIST": lambda w: [w.key()],
    b"TYPE": lambda w: [w.key()],
    b"RENAME": lambda w: [w.key(), w.key()],
    b"RENAMENX": lambda w: [w.key(), w.key()],
    b"COPY": lambda w: [w.key(), w.key()] + w.options(b"REPLACE", [b"DB", w.number()], b"FOO", [b"DB", b"1"]),
    b"MOVE": lambda w: [w.key(), w.pick(b"0", b"1", b"2", b"-1", b"16", b"abc")],
    b"SELECT": lambda w: [w.pick(b"0", b"0", b"1", b"2", b"-1", b"16", b"abc", b"")],
    b"SWAPDB": lambda w: [w.pick(b"0", b"1", b"2", b"16", b"a"), w.pick(b"0", b"1", b"2", b"-1", b"b")],
    b"DBSIZE": lambda w: [],
    b"FLUSHDB": lambda w: w.options(b"ASYNC", b"SYNC", b"FOO"),
    b"FLUSHALL": lambda w: w.options(b"ASYNC", b"SYNC"),
    # At most one key matches: the order of keys is undefined.
    b"KEYS": lambda w: [w.pick(b"z*", b"[x-z]", b"\\a\\b", b"nothing", b"a", b"[b]", b"{t}[0-9]")],
    b"SCAN": lambda w: w.pick(
        [w.pick(b"abc", b"99999999999999999999")] + w.options([b"MATCH", b"z"], [b"COUNT", w.number()], [b"TYPE", b"list"]),
        [b"0", b"MATCH", w.pick(b"a", b"[bx]", b"z*"), b"COUNT", b"1000"] + w.options(
            [b"TYPE", w.pick(b"string", b"hash", b"set", b"list", b"zset", b"stream")])),
    b"SORT": lambda w: [w.pick(b"missing", w.list_key(), w.set_key(), w.sorted_key())] + w.sort_options()
    + w.pick([], [b"STORE", w.list_key()]),
    b"SORT_RO": lambda w: [w.pick(w.list_key(), w.set_key(), w.sorted_key())] + w.sort_options(),
    b"OBJECT": lambda w: w.pick([b"ENCODING", w.pick(b"l", b"s", b"q", b"e", b"h", b"m")],
                                [b"REFCOUNT", b"missing"], [b"FREQ", w.key()], [b"IDLETIME", b"missing"],
                                [b"ENCODING", b"missing"], [b"FOO"], [b"FOO", w.key()]),
    b"DUMP": lambda w: [w.key()],
    # No time that ends during a session, and none that overflows, which redis-server takes for one of the past.
    b"RESTORE": lambda w: [w.key(), w.pick(b"0", b"0", b"100000", b"-1", b"abc"), w.pick(*PAYLOADS)]
        + w.options(b"REPLACE", b"ABSTTL", [b"IDLETIME", w.number()], [b"FREQ", w.number()]),
    b"ECHO": lambda w: [w.value()],
    b"PING": lambda w: w.some(w.value, 0, 2),
    b"MULTI": lambda w: [],
    b"EXEC": lambda w: [],
    b"DISCARD": lambda w: [],
    b"WATCH": lambda w: w.some(w.key, 1, 2),
    b"UNWATCH": lambda w: [],
    b"EVAL": lambda w: w.script(),
    b"EVAL_RO": lambda w: w.script(),
    b"EVALSHA": lambda w: [w.pick(LOADED, LOADED.upper(), b"abc"), w.number()] + w.some(w.key, 0, 2),
    b"SCRIPT": lambda w: w.pick([b"EXISTS", b"abc"], [b"EXISTS", LOADED], [b"LOAD", b"return 1"],
                                [b"LOAD", b"syntax error"], [b"FLUSH"], [b"FLUSH", b"FOO"], [b"FLUSH", b"ASYNC"],
                                [b"KILL"], [b"FOO"]),
    b"PUBLISH": lambda w: [w.pick(*CHANNELS), w.value()],
    b"SPUBLISH": lambda w: [w.pick(*CHANNELS), w.value()],
    b"PUBSUB": lambda w: w.pick([b"CHANNELS", b"x*"], [b"NUMSUB", b"ch"], [b"NUMPAT"], [b"SHARDNUMSUB", b"ch", b"x"],
                                [b"FOO"]),
    b"SUBSCRIBE": lambda w: w.some(lambda: w.pick(*CHANNELS), 1, 2),
    b"UNSUBSCRIBE": lambda w: w.some(lambda: w.pick(*CHANNELS), 1, 2),
    b"PSUBSCRIBE": lambda w: [w.pick(*PATTERNS)],
    b"PUNSUBSCRIBE": lambda w: [w.pick(*PATTERNS)],
    b"SSUBSCRIBE": lambda w: [w.pick(*CHANNELS)],
    b"SUNSUBSCRIBE": lambda w: [w.pick(*CHANNELS)],
    b"RESET": lambda w: [],
    b"HELLO": lambda w: w.pick([b"4"], [b"abc"], [b"2", b"FOO"], [b"3", b"SETNAME"], [b"3", b"AUTH", b"a"],
                               [b"2", b"AUTH", b"nobody", b"x"]),
    b"AUTH": lambda w: w.pick([b"x"], [b"default", b"x"], [b"nobody", b"x"], []),
    b"CLIENT": lambda w: w.pick(
        [b"SETNAME", w.pick(b"n", b"", b"a b", b"x\n")], [b"GETNAME"], [b"REPLY", b"ON"], [b"REPLY", b"FOO"],
        [b"NO-EVICT", b"on"], [b"NO-EVICT", b"x"], [b"TRACKING", b"off"], [b"TRACKING", b"FOO"], [b"CACHING", b"yes"],
        [b"GETREDIR"], [b"TRACKINGINFO"], [b"UNBLOCK", w.number()], [b"KILL", b"ID", b"9999999"],
        [b"KILL", b"1.2.3.4:5"], [b"KILL", b"TYPE", b"foo"], [b"KILL", b"USER", b"nobody"], [b"UNPAUSE"], [b"FOO"],
        [b"LIST", b"TYPE", b"foo"],
        [b"LIST", b"ID", b"abc"], [b"LIST", b"ID", b"9999999"]),
    b"CONFIG": lambda w: w.pick(
        [b"GET", b"nothing-*"], [b"GET", b"maxmemory-policy"], [b"GET", b"databases"], [b"GET"],
        [b"SET", b"nothing", b"1"], [b"SET", b"maxmemory"], [b"SET", b"maxmemory-policy", b"foo"], [b"RESETSTAT"],
        [b"FOO"]),
    b"COMMAND": lambda w: w.pick(
        [b"COUNT", b"x"], [b"INFO", b"nothing"], [b"DOCS", b"nothing"], [b"FOO"], [b"LIST", b"FILTERBY", b"FOO", b"x"],
        [b"LIST", b"FILTERBY", b"PATTERN", b"xge*"], [b"GETKEYS", b"MSET", b"a", b"1", b"b", b"2"],
        [b"GETKEYS", b"PING"]),
    b"SLOWLOG": lambda w: w.pick([b"RESET"], [b"GET", b"abc"], [b"GET", b"-2"], [b"FOO"], [b"LEN", b"x"]),
    b"LATENCY": lambda w: w.pick([b"RESET"], [b"HISTORY", b"nothing"], [b"FOO"], [b"LATEST"], [b"GRAPH", b"nothing"]),
    b"MEMORY": lambda w: w.pick([b"USAGE", b"missing"], [b"USAGE", b"missing", b"SAMPLES", w.number()], [b"FOO"],
                                [b"USAGE"]),
    b"ACL": lambda w: w.pick(
        [b"WHOAMI"], [b"CAT", b"foo"], [b"GETUSER", b"nobody"], [b"GETUSER", b"u"], [b"DELUSER", b"default"],
        [b"DELUSER", b"u"], [b"SETUSER", b"u", b"+foo"], [b"SETUSER", b"u", b"on", b"+@all", b"~*", b"nopass"],
        [b"GENPASS", b"5000"], [b"LIST"], [b"USERS"], [b"DRYRUN", b"default", b"GET", b"a"],
        [b"DRYRUN", b"default", b"FOO"], [b"DRYRUN", b"nobody", b"GET", b"a"], [b"FOO"], [b"LOG", b"abc"], [b"LOAD"],
        [b"SAVE"]),
    b"WAIT": lambda w: [w.pick(b"0", b"abc", b"-1"), w.pick(b"1", b"0", b"abc", b"-1")],
    b"READONLY": lambda w: [],
    b"READWRITE": lambda w: [],
    b"ASKING": lambda w: [],
    b"CLUSTER": lambda w: w.pick([b"INFO"], [b"NODES"], [b"KEYSLOT", w.key()]),
    b"DEBUG": lambda w: [b"FOO"],
    b"NOSUCH": lambda w: w.some(w.value, 0, 3),
}
# How often each is chosen; the others twice.
OFTEN = {
    b"RPUSH": 8, b"LPUSH": 6, b"LRANGE": 4, b"SADD": 10, b"SMEMBERS": 4, b"ZADD": 12, b"ZRANGE": 8, b"GEOADD": 6,
    b"SET": 8, b"GET": 4, b"HSET": 8, b"HGETALL": 4, b"HDEL": 4, b"MULTI": 4, b"EXEC": 6, b"EVAL": 12, b"EVAL_RO": 3,
    b"BITFIELD": 3, b"APPEND": 3, b"CLIENT": 3, b"FLUSHDB": 1, b"SWAPDB": 1, b"RESET": 1, b"FLUSHALL": 0.3,
    b"SUBSCRIBE": 0.3, b"PSUBSCRIBE": 0.3, b"SSUBSCRIBE": 0.3,
}
# Members of equal scores, for the commands about ranges of members.
COMMANDS[b"ZADD"] = lambda w, others=COMMANDS[b"ZADD"]: w.pick(
    others(w), others(w), [b"e"] + sum(w.some(lambda: [b"0", w.pick(*WORDS)], 1, 4), []))
COMMANDS.update(random_streams.COMMANDS)
OFTEN.update(random_streams.OFTEN)
NAMES = [name for name in COMMANDS for _ in range(int(10 * OFTEN.get(name, 2)))]
