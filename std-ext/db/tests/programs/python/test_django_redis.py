"""django-redis, which adds to Django's cache."""

import threading
import unittest

from django.conf import settings
from support import URL, Case

settings.configure(
    CACHES={
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": URL,
            "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
        },
        "compressed": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": URL,
            "KEY_PREFIX": "small",
            "OPTIONS": {
                "COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor",
                "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            },
        },
    },
)
from django.core.cache import cache, caches  # noqa: E402
from django_redis import get_redis_connection  # noqa: E402


class DjangoRedis(Case):
    def test_values(self):
        cache.set("a", [1, 2], timeout=None)
        self.assertEqual(cache.get("a"), [1, 2])
        self.assertFalse(cache.set("a", 3, nx=True))
        self.assertTrue(cache.add("b", 1))
        self.assertEqual(cache.incr("b", 4), 5)
        # Of a value that is no plain number, a script counts.
        self.assertRaises(ValueError, cache.incr, "none")
        cache.set_many({"x": 1, "y": 2})
        self.assertEqual(cache.get_many(["x", "y", "z"]), {"x": 1, "y": 2})
        self.assertEqual(cache.delete_many(["x", "y"]), 2)
        self.assertEqual(get_redis_connection("default").get(":1:b"), b"5")

    def test_ttl(self):
        cache.set("a", 1, timeout=30)
        self.assertTrue(20 < cache.ttl("a") <= 30)
        self.assertTrue(20_000 < cache.pttl("a") <= 30_000)
        self.assertTrue(cache.persist("a"))
        self.assertIsNone(cache.ttl("a"))
        self.assertEqual(cache.ttl("none"), 0)
        self.assertTrue(cache.expire("a", timeout=60))
        self.assertTrue(50 < cache.ttl("a") <= 60)
        self.assertTrue(cache.pexpire("a", timeout=5000))
        self.assertLessEqual(cache.pttl("a"), 5000)
        self.assertTrue(cache.touch("a", 100))
        self.assertGreater(cache.ttl("a"), 60)

    def test_patterns(self):
        for n in range(300):
            cache.set(f"foo:{n}", n)
        cache.set("bar", 1)
        self.assertEqual(sorted(cache.keys("foo:1??")), sorted(f"foo:{n}" for n in range(100, 200)))
        self.assertEqual(len(set(cache.iter_keys("foo:*"))), 300)
        self.assertEqual(cache.delete_pattern("foo:2*", itersize=10), 111)
        self.assertEqual(len(set(cache.iter_keys("*"))), 190)
        cache.delete_pattern("foo:*")
        self.assertEqual(cache.keys("*"), ["bar"])

    def test_lock(self):
        most, inside = [], []

        def work():
            for _ in range(10):
                with cache.lock("door", timeout=20, sleep=0.005):
                    inside.append(1)
                    most.append(len(inside))
                    cache.set("n", cache.get("n", 0) + 1)
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((cache.get("n"), max(most)), (30, 1))

    def test_compressor(self):
        it = caches["compressed"]
        it.set("long", {"text": "rose " * 1000})
        self.assertEqual(it.get("long"), {"text": "rose " * 1000})
        self.assertLess(self.plain.strlen("small:1:long"), 200)
        it.clear()
        self.assertEqual(self.keys(), [])

    def test_sets(self):
        self.assertEqual(cache.sadd("a", 1, "two", (3, 4)), 3)
        self.assertEqual(cache.smembers("a"), {1, "two", (3, 4)})
        self.assertEqual(cache.sadd("b", 1, 5), 2)
        self.assertEqual((cache.sinter("a", "b"), cache.sdiff("b", "a")), ({1}, {5}))
        self.assertEqual(cache.sunionstore("all", "a", "b"), 4)
        self.assertEqual(cache.smismember("all", 5, 6), [True, False])
        self.assertTrue(cache.smove("all", "other", 5))
        self.assertEqual(cache.spop("other"), 5)
        self.assertEqual(cache.srem("all", 1, "none"), 1)
        self.assertEqual(set(cache.sscan_iter("all")), {"two", (3, 4)})
        self.assertIn(cache.srandmember("all"), {"two", (3, 4)})

    def test_sorted_sets(self):
        self.assertEqual(cache.zadd("z", {"a": 1, "b": 2.5, "c": 4}), 3)
        self.assertEqual(cache.zincrby("z", 2, "a"), 3.0)
        self.assertEqual(cache.zrange("z", 0, -1, withscores=True), [("b", 2.5), ("a", 3.0), ("c", 4.0)])
        self.assertEqual(cache.zrangebyscore("z", "(2.5", "+inf"), ["a", "c"])
        self.assertEqual((cache.zrank("z", "c"), cache.zscore("z", "c"), cache.zcount("z", 3, 4)), (2, 4.0, 2))
        self.assertEqual(cache.zpopmin("z"), ("b", 2.5))
        self.assertEqual((cache.zremrangebyscore("z", 3, 3), cache.zcard("z")), (1, 1))


if __name__ == "__main__":
    unittest.main()
