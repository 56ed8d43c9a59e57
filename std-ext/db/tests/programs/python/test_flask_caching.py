"""Flask-Caching: cached pages, and functions with a version of their own."""

import unittest

from flask import Flask
from flask_caching import Cache
from support import URL, Case


class FlaskCaching(Case):
    def setUp(self):
        super().setUp()
        self.app = Flask(__name__)
        config = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": URL, "CACHE_KEY_PREFIX": "flask:"}
        self.cache = Cache(self.app, config=config)

    def test_page(self):
        made = []

        @self.app.route("/")
        @self.cache.cached(timeout=50)
        def index():
            made.append(1)
            return f"page {len(made)}"

        client = self.app.test_client()
        self.assertEqual([client.get("/").text for _ in range(3)], ["page 1"] * 3)
        self.assertEqual(self.keys(), ["flask:view//"])
        self.assertTrue(40 < self.plain.ttl("flask:view//") <= 50)
        with self.app.app_context():
            self.assertTrue(self.cache.delete("view//"))
        self.assertEqual(client.get("/").text, "page 2")

    def test_memoize(self):
        made = []

        @self.cache.memoize(60)
        def add(a, b):
            made.append((a, b))
            return a + b

        with self.app.app_context():
            self.assertEqual([add(1, 2), add(1, 2), add(2, 3)], [3, 3, 5])
            self.assertEqual(made, [(1, 2), (2, 3)])
            self.cache.delete_memoized(add, 1, 2)
            self.assertEqual([add(1, 2), add(2, 3)], [3, 5])
            self.assertEqual(made, [(1, 2), (2, 3), (1, 2)])
            self.cache.delete_memoized(add)
            self.assertEqual(add(2, 3), 5)
            self.assertEqual(len(made), 4)

    def test_values(self):
        cache = self.cache
        with self.app.app_context():
            self.assertTrue(cache.set("a", [1]))
            self.assertEqual(cache.get("a"), [1])
            self.assertFalse(cache.add("a", 2))
            cache.set_many({"b": 2, "c": 3})
            self.assertEqual(cache.get_many("a", "b", "none"), [[1], 2, None])
            self.assertEqual(sorted(cache.delete_many("b", "c")), ["b", "c"])
            self.assertEqual(cache.unlink("a"), 1)
            cache.set("a", 1)
            cache.clear()
        self.assertEqual(self.keys(), [])


if __name__ == "__main__":
    unittest.main()
