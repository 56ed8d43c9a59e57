"""Django's own cache on Redis."""

import unittest

from django.conf import settings
from support import PORT, URL, Case, eventually

settings.configure(
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": URL, "KEY_PREFIX": "site"},
        "other": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://127.0.0.1:{PORT}/1"},
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    USE_TZ=True,
)
import django  # noqa: E402

django.setup()
from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache, caches  # noqa: E402


class Django(Case):
    def test_values(self):
        cache.set("a", {"list": [1, None, "three"]}, 30)
        self.assertEqual(cache.get("a"), {"list": [1, None, "three"]})
        self.assertEqual(cache.get("none", "default"), "default")
        self.assertEqual(self.keys(), ["site:1:a"])
        self.assertTrue(20 < self.plain.ttl("site:1:a") <= 30)
        self.assertTrue(cache.add("b", 1))
        self.assertFalse(cache.add("b", 2))
        self.assertEqual(cache.get_or_set("c", lambda: 3), 3)
        self.assertTrue(cache.has_key("c"))  # noqa: W601
        self.assertTrue(cache.delete("c"))
        self.assertFalse(cache.delete("c"))
        cache.set("gone", 1, 0)
        self.assertIsNone(cache.get("gone"))
        cache.set("short", 1, 1)
        eventually(lambda: cache.get("short") is None)

    def test_counters(self):
        cache.set("n", 40)
        self.assertEqual([cache.incr("n"), cache.incr("n", 2), cache.decr("n")], [41, 43, 42])
        self.assertEqual(cache.get("n"), 42)
        self.assertRaises(ValueError, cache.incr, "none")

    def test_many(self):
        self.assertEqual(cache.set_many({"a": 1, "b": "two", "c": [3]}, timeout=50), [])
        self.assertEqual(cache.get_many(["a", "b", "c", "d"]), {"a": 1, "b": "two", "c": [3]})
        self.assertTrue(40 < self.plain.ttl("site:1:c") <= 50)
        cache.delete_many(["a", "b"])
        self.assertEqual(cache.get_many(["a", "b", "c"]), {"c": [3]})

    def test_touch(self):
        cache.set("a", 1, 10)
        self.assertTrue(cache.touch("a", 1000))
        self.assertGreater(self.plain.ttl("site:1:a"), 900)
        self.assertTrue(cache.touch("a", None))
        self.assertEqual(self.plain.ttl("site:1:a"), -1)
        self.assertFalse(cache.touch("none", 10))

    def test_versions(self):
        cache.set("a", "one")
        cache.set("a", "two", version=2)
        self.assertEqual((cache.get("a"), cache.get("a", version=2)), ("one", "two"))
        self.assertEqual(cache.incr_version("a", version=2), 3)
        self.assertEqual((cache.get("a", version=3), cache.get("a", version=2)), ("two", None))
        self.assertEqual(self.keys(), ["site:1:a", "site:3:a"])

    def test_databases(self):
        cache.set("a", 1)
        caches["other"].set("a", 2)
        self.assertEqual((cache.get("a"), caches["other"].get("a")), (1, 2))
        caches["other"].clear()
        self.assertEqual((cache.get("a"), caches["other"].get("a")), (1, None))

    def test_sessions(self):
        session = SessionStore()
        session["name"] = "rose"
        session.set_expiry(60)
        session.save()
        again = SessionStore(session.session_key)
        self.assertEqual(again["name"], "rose")
        again.flush()
        self.assertIsNone(SessionStore(session.session_key).get("name"))


if __name__ == "__main__":
    unittest.main()
