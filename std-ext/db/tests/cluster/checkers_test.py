#!/usr/bin/env python3
"""Tests of the checkers: right histories pass, and each planted error is found."""
import random
import unittest

from checkers import Operation, check_counter, check_history, check_locks, check_once, check_pair, check_queue
from checkers import check_register, check_stale_reads, check_word, explain, token
from models import RANDOM, READS, apply, random_command, whole
from rounds import KEPT, Kept, Violation


def append(number, start, end=...):
    return Operation("append", "r0:reg:0", number, start, start + 1 if end is ... else end, None)


def read(value, start, end, kind="read", via="c1"):
    return Operation(kind, "r0:reg:0", None, start, end, value, via)


def word(name, *arguments, reply, start, end):
    return Operation("word", "k", (name, *arguments), start, end, reply)


class Registers(unittest.TestCase):
    value = token(0) + token(1) + token(2)
    appends = [append(0, 0), append(1, 10), append(2, 20)]

    def check(self, operations, final, says):
        found = check_register("k", operations, final)
        self.assertEqual(bool(found), bool(says), found)
        self.assertTrue(says is None or any(says in one for one in found), found)

    def test_a_right_history_passes(self):
        reads = [read(None, 0, 1), read(token(0), 0.5, 0.7), read(self.value, 20.5, 21), read(self.value, 30, 31)]
        self.check([*self.appends, *reads], self.value, None)

    def test_a_lost_token_is_found(self):
        self.check(self.appends, token(0) + token(2), "lost 1 acknowledged")

    def test_an_unanswered_token_may_be_missing_or_late(self):
        appends = [append(0, 0), append(1, 10, None), append(2, 20)]
        self.check(appends, token(0) + token(2), None)
        self.check(appends, token(0) + token(2) + token(1), None)
        self.check(appends, token(1) + token(0) + token(2), "before the earlier")

    def test_tokens_are_there_once_and_in_order(self):
        self.check(self.appends, self.value + token(1), "twice")
        self.check(self.appends, token(1) + token(0) + token(2), "before the earlier")
        self.check(self.appends, self.value + token(3), "never sent")
        self.check(self.appends, self.value[:-1], "half a token")

    def test_stale_reads_are_found(self):
        self.check([*self.appends, read(token(0), 11.5, 12)], self.value, "stale")
        two = [read(token(0) + token(1), 10.1, 10.2), read(token(0), 10.3, 10.4)]
        self.check([*self.appends, *two], self.value, "an earlier read")
        self.check([*self.appends, read(token(1), 11.5, 12)], self.value, "no prefix")
        self.check([*self.appends, read(self.value, 5, 6)], self.value, "sent later")

    def test_followers_may_be_late_but_do_not_go_back(self):
        late = [read(token(0), 30, 31, "stale", "n1"), read(None, 32, 33, "stale", "n2")]
        self.assertEqual(check_stale_reads("k", late, self.value), [])
        back = [*late, read(None, 34, 35, "stale", "n1")]
        self.assertIn("older than one before", check_stale_reads("k", back, self.value)[0])
        self.assertIn("no prefix", check_stale_reads("k", [read(token(2), 0, 1, "stale")], self.value)[0])


class Small(unittest.TestCase):
    def incr(self, reply, start, end):
        return Operation("incr", "k", None, start, end, reply)

    def test_counters(self):
        right = [self.incr(1, 0, 1), self.incr(3, 2, 5), self.incr(2, 2, 5), self.incr(None, 3, None)]
        self.assertEqual(check_counter("k", right, b"3"), [])
        self.assertEqual(check_counter("k", right, b"4"), [])
        self.assertIn("not between", check_counter("k", right, b"5")[0])
        self.assertIn("not between", check_counter("k", right, b"2")[0])
        self.assertIn("the same reply", check_counter("k", [self.incr(1, 0, 1), self.incr(1, 2, 3)], b"2")[0])
        late = [self.incr(2, 0, 1), self.incr(1, 2, 3)]
        self.assertIn("after 2", check_counter("k", late, b"2")[0])

    def test_pairs(self):
        write = Operation("mset", "k", b"1", 0, 1, "OK")
        self.assertEqual(check_pair("k", [write, Operation("mget", "k", None, 0, 1, [None, None])], (b"1", b"1")), [])
        self.assertIn("differ", check_pair("k", [write], (b"1", None))[0])
        torn = Operation("stale pair", "k", None, 0, 1, [b"1", None])
        self.assertIn("differ", check_pair("k", [write, torn], (b"1", b"1"))[0])
        self.assertIn("never sent", check_pair("k", [write], (b"2", b"2"))[0])

    def test_once(self):
        def attempt(value, reply, end=1):
            return Operation("once", "k", value, 0, end, reply)
        self.assertEqual(check_once("k", [attempt(b"1", "OK"), attempt(b"2", None)], b"1"), [])
        self.assertEqual(check_once("k", [attempt(b"1", None, None), attempt(b"2", None)], b"1"), [])
        self.assertIn("2 times", check_once("k", [attempt(b"1", "OK"), attempt(b"2", "OK")], b"1")[0])
        self.assertIn("its value is", check_once("k", [attempt(b"1", "OK")], b"2")[0])
        self.assertIn("did not succeed", check_once("k", [attempt(b"1", None)], b"1")[0])
        self.assertIn("no value", check_once("k", [attempt(b"1", None)], None)[0])

    def test_locks(self):
        def held(reply, end):
            return Operation("held", "k", (b"1", 10.0, 3.0), end - 0.1, end, reply)
        self.assertEqual(check_locks([held(b"1", 11), held(None, 13)], []), [])
        self.assertIn("was gone", check_locks([held(None, 11)], [])[0])
        self.assertEqual(check_locks([held(None, 11)], [10.5]), [], "a clock was stepped")
        self.assertIn("refused", check_locks([Operation("lock", "k", b"1", 0, 1, None)], [])[0])


class Words(unittest.TestCase):
    def test_concurrent_writes_have_an_order(self):
        history = [word("SET", b"a", reply="OK", start=0, end=9), word("SET", b"b", reply="OK", start=0, end=9),
                   word("GET", reply=b"b", start=1, end=2), word("GET", reply=b"a", start=3, end=4)]
        self.assertEqual(check_word("k", history, b"a"), [])
        self.assertIn("no order", check_word("k", history, b"b")[0])

    def test_a_stale_read_has_no_order(self):
        history = [word("SET", b"a", reply="OK", start=0, end=1), word("SET", b"b", reply="OK", start=2, end=3),
                   word("GET", reply=b"a", start=4, end=5)]
        self.assertIn("no order", check_word("k", history, b"b")[0])

    def test_an_unanswered_write_may_have_been_done(self):
        history = [word("SET", b"a", reply="OK", start=0, end=1), word("SET", b"b", reply=None, start=2, end=None)]
        for final in (b"a", b"b"):
            self.assertEqual(check_word("k", history, final), [])
        self.assertIn("no order", check_word("k", history, None)[0])
        flipped = [*history, word("GET", reply=b"b", start=4, end=5), word("GET", reply=b"a", start=6, end=7)]
        self.assertIn("no order", check_word("k", flipped, b"a")[0])

    def test_commands_have_the_meaning_of_redis(self):
        for commands, replies, final in (
                ((("SETNX", b"a"), ("SETNX", b"b"), ("GETSET", b"c"), ("APPEND", b"d"), ("DEL",), ("DEL",)),
                 [1, 0, b"a", 2, 1, 0], None),
                ((("LPUSH", b"a", b"b"), ("RPUSH", b"c", b"a"), ("LINSERT", "BEFORE", b"c", b"d"), ("LREM", 0, b"a"),
                  ("LTRIM", 0, 1), ("LLEN",), ("RPOP",)), [2, 4, 5, 2, "OK", 2, b"d"], (b"b",)),
                ((("HSET", b"f", b"5"), ("HSET", b"f", b"6"), ("HINCRBY", b"f", 2), ("HGET", b"f"), ("HDEL", b"f"),
                  ("HGETALL",)), [1, 0, 8, b"8", 1, []], None),
                ((("SADD", b"b"), ("SADD", b"a"), ("SADD", b"b"), ("SMEMBERS",), ("SREM", b"b"), ("SISMEMBER", b"b")),
                 [1, 1, 0, [b"a", b"b"], 1, 0], (b"a",)),
                ((("ZADD", 2, b"a"), ("ZADD", 1, b"b"), ("ZINCRBY", 3, b"b"), ("ZRANGE", 0, -1, "WITHSCORES"),
                  ("ZPOPMIN",), ("ZSCORE", b"b"), ("ZREMRANGEBYRANK", 0, 1)),
                 [1, 1, b"4", [b"a", b"2", b"b", b"4"], [b"a", b"2"], b"4", 1], None)):
            state, found = None, []
            for command in commands:
                state, reply = apply(command[0], command[1:], state)
                found.append(reply)
            self.assertEqual((found, state), (replies, final))

    def test_random_runs_pass_and_one_wrong_reply_is_found(self):
        for seed in range(10):
            for kind in RANDOM:
                key = f"r0:{kind}:0"
                history, final = simulate(random.Random(seed), kind)
                self.assertTrue(explain(history), seed)
                self.assertEqual(check_word(key, history, final), [], seed)
                numbers = [one for one in history if isinstance(one.reply, int) and one.what[0] not in READS]
                numbers[len(numbers) // 2].reply += 1000
                self.assertFalse(explain(history), (kind, seed))


def simulate(random, kind):
    """Executes random commands of three clients, one after the other, each at a random time of its interval."""
    pending, now, state, history = [], 0.0, None, []
    for _ in range(40):
        pending.append((random_command(kind, random), now + random.random() * 3, now))
        now += 1
    pending.sort(key=lambda one: one[1])
    for what, at, start in pending:
        state, reply = apply(what[0], what[1:], state)
        history.append(Operation("word", "k", what, start, at + random.random() * 3, reply))
    name, *more = whole(f"r0:{kind}:0")
    return history, apply(name, more, state)[1]


class Queues(unittest.TestCase):
    def check(self, operations, final, says):
        found = check_queue("k", operations, final)
        self.assertEqual(bool(found), bool(says), found)
        self.assertTrue(says is None or says in found[0], found)

    def test_each_element_is_delivered_once_or_is_still_there(self):
        pushes = [Operation("push", "k", what, at, at + 1, 1) for at, what in ((0, b"a"), (10, b"b"), (20, b"c"))]
        taken = Operation("pop", "k", None, 30, 31, [b"k", b"a"])
        lost, nothing = Operation("pop", "k", None, 32, None, None), Operation("pop", "k", None, 34, 35, None)
        self.check([*pushes, taken, nothing], [b"b", b"c"], None)
        self.check([*pushes, taken, lost], [b"c"], None)
        self.check([*pushes, taken, lost], [], "lost 2")
        self.check([*pushes, taken, nothing], [b"c"], "lost 1")
        self.check([*pushes, taken], [b"a", b"b", b"c"], "twice")
        self.check([*pushes, taken], [b"b", b"c", b"d"], "never sent")
        self.check([*pushes, Operation("pop", "k", None, 30, 31, [b"k", b"b"])], [b"a", b"c"], "before an earlier")


class Rounds(unittest.TestCase):
    def test_a_round_is_checked_by_the_names_of_its_keys(self):
        operations = [Operation("append", "r1:reg:0", 0, 0, 1, 6), Operation("mset", "r1:par:{0}", b"x", 0, 1, "OK"),
                      Operation("incr", "r1:cnt:0", None, 0, 1, 1), Operation("once", "r1:one:0", b"m", 0, 1, "OK"),
                      Operation("word", "r1:wrd:0", ("SET", b"v"), 0, 1, "OK"),
                      Operation("word", "r1:lst:0", ("RPUSH", b"v"), 0, 1, 1), Operation("push", "r1:que:0", b"v", 0, 1, 1)]
        finals = {"r1:reg:0": token(0), "r1:par:{0}a": b"x", "r1:par:{0}b": b"x", "r1:cnt:0": b"1", "r1:one:0": b"m",
                  "r1:wrd:0": b"v", "r1:lst:0": [b"v"], "r1:que:0": [b"v"]}
        self.assertEqual(check_history(operations, finals), [])
        for key in finals:
            lost = [] if isinstance(finals[key], list) else None
            self.assertTrue(check_history(operations, {**finals, key: lost}), key)

    def test_the_values_of_an_earlier_round_must_stay(self):
        stored, removed = {}, []
        kept = Kept(lambda keys: {key: stored.get(key) for key in keys}, removed.extend)
        for number in range(KEPT + 1):
            values = {f"r{number}:reg:0": b"rose"}
            stored.update(values)
            kept.add(number, values)
        self.assertEqual(removed, ["r0:reg:0"])
        kept.check_all()
        stored["r7:reg:0"] = b"tulip"
        self.assertRaisesRegex(Violation, "the values of round 7 have changed", kept.check_all)
        stored["r1:reg:0"] = None
        self.assertRaisesRegex(Violation, "round 1 have changed", kept.add, KEPT + 1, {})


if __name__ == "__main__":
    unittest.main()
