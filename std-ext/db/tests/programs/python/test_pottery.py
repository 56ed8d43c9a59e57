"""pottery: locks and numbers on most of three servers, and containers."""

import threading
import unittest
from collections import Counter

import redis
from pottery import BloomFilter, HyperLogLog, NextID, RedisCounter, RedisDeque, RedisDict, RedisList, RedisSet
from pottery import RedisSimpleQueue, Redlock, ReleaseUnlockedLock, redis_cache
from support import PORTS, Case


class Pottery(Case):
    def setUp(self):
        super().setUp()
        self.masters = {redis.Redis(port=port) for port in PORTS}
        for master in self.masters:
            self.addCleanup(master.close)
        self.one = redis.Redis(port=PORTS[0], decode_responses=False)
        self.addCleanup(self.one.close)

    def test_redlock(self):
        lock = Redlock(key="door", masters=self.masters, auto_release_time=20)
        self.assertTrue(lock.acquire())
        self.assertTrue(10 < lock.locked() <= 20)
        other = Redlock(key="door", masters=self.masters)
        self.assertFalse(other.acquire(blocking=False))
        self.assertFalse(other.acquire(timeout=0.3))
        lock.extend()
        lock.release()
        self.assertRaises(ReleaseUnlockedLock, lock.release)
        self.assertRaises(ReleaseUnlockedLock, other.release)
        with other:
            self.assertTrue(other.locked())
        self.assertEqual(self.keys(), [])

    def test_next_id(self):
        got = []

        def work():
            it = NextID(key="ids", masters=self.masters, num_tries=30)
            for _ in range(5):
                got.append(next(it))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Each number once. A number may be skipped, if two clients propose the same.
        self.assertEqual(len(set(got)), 15)

    def test_strings(self):
        seen = BloomFilter(num_elements=1000, false_positives=0.001, redis=self.one, key="bloom")
        seen.update({f"element {n}" for n in range(100)})
        self.assertTrue(all(f"element {n}" in seen for n in range(100)))
        self.assertFalse("absent" in seen)
        self.assertTrue(90 <= len(seen) <= 110)
        many = HyperLogLog({f"element {n}" for n in range(1000)}, redis=self.one, key="log")
        self.assertTrue(950 < len(many) < 1050)
        self.assertEqual(self.keys(), ["bloom", "log"])

    def test_hashes(self):
        roses = RedisDict({"red": 1, "white": [2, "two"]}, redis=self.one, key="roses")
        roses["pink"] = None
        del roses["red"]
        self.assertEqual(dict(roses), {"white": [2, "two"], "pink": None})
        self.assertTrue(len(roses) == 2 and "pink" in roses and "red" not in roses)
        self.assertRaises(KeyError, lambda: roses["red"])
        roses.update({str(n): n for n in range(1000)})
        self.assertEqual(sum(roses[str(n)] for n in range(1000)), 499_500)
        self.assertEqual(len(list(roses)), 1002)
        calls = []

        @redis_cache(redis=self.one, key="cache")
        def double(n):
            calls.append(n)
            return 2 * n

        self.assertEqual([double(2), double(2), double(3), calls], [4, 4, 6, [2, 3]])
        double.cache_clear()
        self.assertEqual([double(2), calls], [4, [2, 3, 2]])

    def test_lists(self):
        it = RedisList(range(5), redis=self.one, key="list")
        it.append("rose")
        it[1:3] = ["x", "y"]
        it.insert(0, [1, {"a": None}])
        del it[1]
        it.remove(4)
        self.assertEqual(it, [[1, {"a": None}], "x", "y", 3, "rose"])
        self.assertEqual((it.pop(), it.pop(0), it[-1], len(it)), ("rose", [1, {"a": None}], 3, 3))
        it.extend(range(100))
        self.assertEqual(it.to_list()[-98:], list(range(2, 100)))
        numbers = RedisList([3, 1, 2], redis=self.one, key="numbers")
        numbers.sort(reverse=True)
        self.assertEqual(numbers, [3, 2, 1])
        latest = RedisDeque([1, 2, 3], maxlen=3, redis=self.one, key="deque")
        latest.append(4)
        latest.rotate(1)
        self.assertEqual((list(latest), latest.popleft(), latest.pop()), ([4, 2, 3], 4, 3))

    def test_sets(self):
        it = RedisSet([1, "two", 3.5], redis=self.one, key="set")
        it.add("five")
        it.discard("none")
        it.remove(1)
        self.assertRaises(KeyError, it.remove, 1)
        self.assertTrue("two" in it and 1 not in it and it.issuperset({"five"}))
        other = RedisSet(["two", "six"], redis=self.one, key="other")
        self.assertEqual((it.intersection(other), other.difference(it)), ({"two"}, {"six"}))
        other.update(it)
        self.assertEqual((len(other), other.isdisjoint({"seven"})), (4, True))
        it.update(range(1000))
        self.assertEqual(sum(item for item in it if isinstance(item, int)), 499_500)
        self.assertEqual(list(it.contains_many(1, 999, 1000)), [True, True, False])
        while it:
            it.pop()
        self.assertEqual(self.keys(), ["other"])

    def test_counters(self):
        it = RedisCounter("abracadabra", redis=self.one, key="counter")
        it["a"] -= 1
        it["c"] += 2
        self.assertEqual(it.most_common(2), [("a", 4), ("c", 3)])
        self.assertEqual(it + Counter("aaa"), Counter(a=7, c=3, b=2, r=2, d=1))

    def test_queue(self):
        it = RedisSimpleQueue(redis=self.one, key="queue")
        for number in (1, 2):
            it.put(number)
        self.assertEqual((it.qsize(), it.get(), it.get(), it.qsize()), (2, 1, 2, 0))


if __name__ == "__main__":
    unittest.main()
