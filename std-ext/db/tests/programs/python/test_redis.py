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
        with self.lacks("LPUSH"):
            self.it.lpush("list", 1)


if __name__ == "__main__":
    unittest.main()
