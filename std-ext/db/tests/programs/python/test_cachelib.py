"""cachelib, the cache behind Flask-Caching and Flask-Session."""

import unittest

from cachelib import RedisCache
from support import PORT, Case, eventually


class Cachelib(Case):
    def setUp(self):
        super().setUp()
        self.it = RedisCache("127.0.0.1", port=PORT, default_timeout=60, key_prefix="lib:")

    def test_values(self):
        it = self.it
        self.assertTrue(it.set("a", {"x": [1, 2]}))
        self.assertEqual(it.get("a"), {"x": [1, 2]})
        self.assertTrue(50 < self.plain.ttl("lib:a") <= 60)
        self.assertIsNone(it.get("none"))
        self.assertTrue(it.add("b", 1))
        self.assertFalse(it.add("b", 2))
        self.assertEqual((it.inc("n", 5), it.dec("n", 2), it.get("n")), (5, 3, 3))
        self.assertTrue(it.has("a"))
        self.assertTrue(it.delete("a"))
        self.assertFalse(it.has("a"))
        it.set("never", 1, timeout=0)
        self.assertEqual(self.plain.ttl("lib:never"), -1)
        it.set("short", 1, timeout=1)
        eventually(lambda: it.get("short") is None)

    def test_many(self):
        it = self.it
        self.assertEqual(sorted(it.set_many({"a": 1, "b": "two"})), ["a", "b"])
        self.assertEqual(it.get_many("a", "none", "b"), [1, None, "two"])
        self.assertEqual(it.get_dict("a", "b"), {"a": 1, "b": "two"})
        self.assertEqual(sorted(it.delete_many("a", "none")), ["a", "none"])
        self.plain.set("others", 1)
        self.assertTrue(it.clear())
        self.assertEqual(self.keys(), ["others"])


if __name__ == "__main__":
    unittest.main()
