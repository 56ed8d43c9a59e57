"""redis-py: transactions, optimistic locking, locks, scripts and messages. Its cache in the client cannot run."""

import threading
import time
import unittest

import redis
from redis.cache import CacheConfig
from redis.exceptions import LockError, LockNotOwnedError, WatchError
from support import PORT, Case, eventually


class Redis(Case):
    def setUp(self):
        super().setUp()
        self.it = redis.Redis(port=PORT, decode_responses=True)
        self.addCleanup(self.it.close)

    def test_transaction(self):
        pipe = self.it.pipeline(transaction=True)
        pipe.set("rose", "red").incrby("n", 5).get("rose").mget("n", "none")
        self.assertEqual(pipe.execute(), [True, 5, "red", ["5", None]])
        # An error of one command undoes nothing, and the others have their results.
        got = pipe.incr("rose").incr("n").execute(raise_on_error=False)
        self.assertIsInstance(got[0], redis.ResponseError)
        self.assertEqual(str(got[0]), "value is not an integer or out of range")
        self.assertEqual(got[1], 6)

    def test_pipeline_without_transaction(self):
        pipe = self.it.pipeline(transaction=False)
        for n in range(1000):
            pipe.setex(f"k:{n}", 100, n)
        self.assertEqual(pipe.execute(), [True] * 1000)
        self.assertEqual(self.it.mget("k:0", "k:999"), ["0", "999"])
        self.assertEqual(len(list(self.it.scan_iter("k:*", count=100))), 1000)

    def test_watch(self):
        self.it.set("n", 0)

        def add(pipe):
            value = int(pipe.get("n"))
            pipe.multi()
            pipe.set("n", value + 1)

        def many():
            for _ in range(50):
                self.it.transaction(add, "n")

        threads = [threading.Thread(target=many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.it.get("n"), "200")
        with self.it.pipeline() as pipe:
            pipe.watch("n")
            self.it.set("n", "other")
            pipe.multi()
            pipe.set("n", "mine")
            self.assertRaises(WatchError, pipe.execute)
        self.assertEqual(self.it.get("n"), "other")

    def test_lock(self):
        lock = self.it.lock("door", timeout=10)
        self.assertTrue(lock.acquire())
        other = self.it.lock("door", timeout=10, blocking_timeout=0.2)
        self.assertFalse(other.acquire(blocking=False))
        begin = time.monotonic()
        self.assertFalse(other.acquire())
        self.assertGreater(time.monotonic() - begin, 0.1)
        self.assertTrue(lock.owned())
        self.assertFalse(other.owned())
        self.assertTrue(lock.extend(50))
        self.assertGreater(self.it.ttl("door"), 50)
        self.assertTrue(lock.reacquire())
        self.assertLessEqual(self.it.ttl("door"), 10)
        lock.release()
        self.assertRaises(LockError, lock.release)
        self.assertFalse(self.it.exists("door"))

    def test_contended_lock(self):
        inside, most, done = [], [], []

        def work():
            for _ in range(10):
                with self.it.lock("door", timeout=20, sleep=0.005):
                    inside.append(1)
                    most.append(len(inside))
                    value = int(self.it.get("n") or 0)
                    time.sleep(0.001)
                    self.it.set("n", value + 1)
                    inside.pop()
            done.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(done), max(most), self.it.get("n")), (4, 1, "40"))

    def test_lock_that_expires(self):
        lock = self.it.lock("door", timeout=0.1)
        self.assertTrue(lock.acquire())
        with self.it.lock("door", timeout=10, blocking_timeout=10) as other:
            self.assertRaises(LockNotOwnedError, lock.release)
            self.assertTrue(other.owned())

    def test_script(self):
        multiply = self.it.register_script(
            "local value = redis.call('GET', KEYS[1]) or 0\n"
            "value = tonumber(value) * ARGV[1]\n"
            "redis.call('SET', KEYS[1], value)\n"
            "return {value, KEYS[1], redis.call('TTL', KEYS[1])}"
        )
        self.it.set("n", 7)
        # The first call finds no script, and sends its text.
        self.assertEqual(multiply(keys=["n"], args=[6]), [42, "n", -1])
        self.it.script_flush()
        self.assertEqual(multiply(keys=["n"], args=[2]), [84, "n", -1])
        pipe = self.it.pipeline()
        pipe.set("m", 3)
        multiply(keys=["m"], args=[3], client=pipe)
        self.assertEqual(pipe.execute(), [True, [9, "m", -1]])
        self.assertEqual(self.it.script_exists(multiply.sha), [True])

    def test_messages(self):
        heard = []
        with self.it.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(news=lambda message: heard.append(("channel", message["data"])))
            pubsub.psubscribe(**{"ne?s": lambda message: heard.append((message["pattern"], message["data"]))})
            thread = pubsub.run_in_thread(sleep_time=0.01)
            eventually(lambda: self.it.pubsub_numsub("news") == [("news", 1)] and self.it.pubsub_numpat() == 1)
            self.assertEqual(self.it.publish("news", "hello"), 2)
            self.assertEqual(self.it.publish("others", "hello"), 0)
            eventually(lambda: len(heard) == 2)
            self.assertEqual(sorted(heard), [("channel", "hello"), ("ne?s", "hello")])
            thread.stop()
            thread.join()

    def test_sharded_messages(self):
        with self.it.pubsub() as pubsub:
            pubsub.ssubscribe("news")
            got = eventually(lambda: pubsub.get_sharded_message(timeout=1))
            self.assertEqual((got["type"], got["data"]), ("ssubscribe", 1))
            self.assertEqual(self.it.spublish("news", "hello"), 1)
            self.assertEqual(self.it.publish("news", "to others"), 0)
            got = eventually(lambda: pubsub.get_sharded_message(timeout=1))
            self.assertEqual((got["type"], got["channel"], got["data"]), ("smessage", "news", "hello"))
            pubsub.sunsubscribe("news")
            got = eventually(lambda: pubsub.get_sharded_message(timeout=1))
            self.assertEqual((got["type"], got["data"]), ("sunsubscribe", 0))

    def test_expired_keys(self):
        self.it.config_set("notify-keyspace-events", "Ex")
        self.addCleanup(self.it.config_set, "notify-keyspace-events", "")
        with self.it.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.psubscribe("__keyevent@*__:expired")
            eventually(lambda: pubsub.get_message(timeout=1) is None and self.it.pubsub_numpat() == 1)
            self.it.set("rose", "red", px=50)
            got = eventually(lambda: pubsub.get_message(timeout=1))
            self.assertEqual((got["channel"], got["data"]), ("__keyevent@0__:expired", "rose"))

    def test_cache_in_the_client(self):
        # It looks at the version of the server, and not whether there is CLIENT TRACKING.
        cached = redis.Redis(port=PORT, protocol=3, cache_config=CacheConfig())
        self.addCleanup(cached.close)
        with self.assertRaisesRegex(redis.ConnectionError, "Redis 7.4 or later"):
            cached.get("rose")

    def test_lists(self):
        self.assertEqual(self.it.rpush("list", "b", "c"), 2)
        self.assertEqual(self.it.lpush("list", "a"), 3)
        self.assertEqual(self.it.linsert("list", "BEFORE", "c", "x"), 4)
        self.assertEqual(self.it.lrange("list", 0, -1), ["a", "b", "x", "c"])
        self.assertEqual((self.it.lpos("list", "x"), self.it.lrem("list", 0, "x")), (2, 1))
        self.assertEqual(self.it.lmove("list", "other", "LEFT", "RIGHT"), "a")
        self.assertEqual(self.it.lmpop(2, "none", "list", direction="RIGHT", count=5), ["list", ["c", "b"]])
        self.assertEqual(self.it.blpop(["list", "other"], timeout=1), ("other", "a"))
        self.assertIsNone(self.it.blpop("list", timeout=0.05))
        self.assertEqual(self.keys(), [])

    def test_blocked_lists(self):
        got = []

        def work():
            with redis.Redis(port=PORT, decode_responses=True) as client:
                while (item := client.brpoplpush("todo", "done", timeout=20)) != "end":
                    got.append(item)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(100):
            self.it.lpush("todo", n)
        self.it.lpush("todo", *["end"] * 3)
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(map(int, got)), list(range(100)))
        self.assertEqual((self.it.llen("todo"), self.it.llen("done")), (0, 103))

    def test_sets(self):
        self.assertEqual(self.it.sadd("a", 1, 2, 3), 3)
        self.assertEqual(self.it.sadd("b", 2, 3, "rose"), 3)
        self.assertEqual(self.it.smembers("a"), {"1", "2", "3"})
        self.assertEqual(self.it.smismember("b", ["1", "2"]), [0, 1])
        self.assertEqual(self.it.sinter("a", "b"), {"2", "3"})
        self.assertEqual(self.it.sdiffstore("c", ["b", "a"]), 1)
        self.assertEqual((self.it.spop("c"), self.it.exists("c")), ("rose", 0))
        self.assertEqual(self.it.sintercard(2, ["a", "b"], limit=1), 1)
        self.assertEqual(set(self.it.sscan_iter("b", match="r*")), {"rose"})
        self.assertEqual(self.it.sort("a", desc=True, start=0, num=2), ["3", "2"])

    def test_sorted_sets(self):
        self.assertEqual(self.it.zadd("z", {"a": 1, "b": 2.5, "c": "inf"}), 3)
        self.assertEqual(self.it.zadd("z", {"a": 0.5}, gt=True, ch=True), 0)
        self.assertEqual(self.it.zadd("z", {"a": 2}, incr=True), 3.0)
        self.assertEqual(self.it.zrange("z", 0, -1, withscores=True), [("b", 2.5), ("a", 3.0), ("c", float("inf"))])
        self.assertEqual(self.it.zrange("z", "(2.5", "+inf", byscore=True, offset=0, num=1), ["a"])
        self.assertEqual((self.it.zrevrank("z", "c"), self.it.zmscore("z", ["b", "none"])), (0, [2.5, None]))
        self.assertEqual(self.it.zpopmax("z"), [("c", float("inf"))])
        self.assertEqual(self.it.bzpopmin("z", timeout=1), ("z", "b", 2.5))
        self.assertEqual(self.it.zunion({"z": 2, "none": 1}, withscores=True), [("a", 6.0)])
        self.assertEqual(dict(self.it.zscan_iter("z")), {"a": 3.0})
        self.it.geoadd("places", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))
        self.assertEqual(self.it.geodist("places", "Palermo", "Catania", unit="km"), 166.2742)
        found = self.it.geosearch("places", longitude=15, latitude=37, radius=200, unit="km", sort="ASC")
        self.assertEqual(found, ["Catania", "Palermo"])

    def test_streams(self):
        first = self.it.xadd("stream", {"colour": "red"}, id="1-1")
        self.it.xadd("stream", {"colour": "blue"}, id="1-2")
        self.assertEqual((first, self.it.xlen("stream")), ("1-1", 2))
        self.assertEqual(self.it.xrange("stream", min="(1-1"), [("1-2", {"colour": "blue"})])
        self.it.xgroup_create("stream", "painters", id="0")
        read = self.it.xreadgroup("painters", "ann", {"stream": ">"}, count=1)
        self.assertEqual([[name, list(entries)] for name, entries in read], [["stream", [("1-1", {"colour": "red"})]]])
        self.assertEqual(self.it.xack("stream", "painters", "1-1"), 1)
        self.assertEqual(self.it.xinfo_groups("stream")[0]["lag"], 1)

    def test_what_there_is_not(self):
        with self.lacks("LOLWUT"):
            self.it.execute_command("LOLWUT")


if __name__ == "__main__":
    unittest.main()
