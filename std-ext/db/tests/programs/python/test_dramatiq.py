"""Dramatiq: its broker, results and limits of rates."""

import threading
import time
import unittest

import dramatiq
from dramatiq import Worker, group, pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import Barrier, ConcurrentRateLimiter, RateLimitExceeded, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitBackend
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import RedisBackend
from support import URL, Case, eventually


class Dramatiq(Case):
    def setUp(self):
        super().setUp()
        # Each command also looks for dead workers.
        self.broker = RedisBroker(url=URL, maintenance_chance=1_000_000)
        self.limits = LimitBackend(url=URL)
        self.broker.add_middleware(Results(backend=RedisBackend(url=URL)))
        self.broker.add_middleware(GroupCallbacks(self.limits))
        self.addCleanup(self.broker.close)
        # Messages look for their results at the broker of all.
        dramatiq.set_broker(self.broker)
        self.seen = []

        def add(a, b):
            self.seen.append((a, b))
            return a + b

        def fail():
            self.seen.append("fail")
            raise KeyError("rose")

        options = {"broker": self.broker, "store_results": True}
        self.add = dramatiq.actor(add, **options)
        self.fail = dramatiq.actor(fail, max_retries=1, min_backoff=10, max_backoff=20, throws=(), **options)

    def start(self):
        worker = Worker(self.broker, worker_timeout=100, worker_threads=4)
        worker.start()
        self.addCleanup(worker.stop)

    def test_messages(self):
        several = [self.add.send(n, n) for n in range(100)]
        self.assertEqual(self.plain.llen("dramatiq:default"), 100)
        self.start()
        self.assertEqual([it.get_result(block=True, timeout=20_000) for it in several], [2 * n for n in range(100)])
        begin = time.monotonic()
        late = self.add.send_with_options(args=(1, 2), delay=300)
        self.assertEqual(late.get_result(block=True, timeout=20_000), 3)
        self.assertGreater(time.monotonic() - begin, 0.25)
        chained = pipeline([self.add.message(1, 2), self.add.message(10)]).run()
        self.assertEqual(chained.get_result(block=True, timeout=20_000), 13)
        together = group([self.add.message(n, 1) for n in range(5)])
        together.add_completion_callback(self.add.message(500, 5))
        together.run()
        self.assertEqual(list(together.get_results(block=True, timeout=20_000)), [1, 2, 3, 4, 5])
        eventually(lambda: (500, 5) in self.seen)
        self.broker.join("default", timeout=20_000)
        self.assertEqual(self.plain.exists("dramatiq:default", "dramatiq:default.msgs"), 0)

    def test_failures(self):
        self.start()
        failed = self.fail.send()
        with self.assertRaises(ResultFailure):
            failed.get_result(block=True, timeout=20_000)
        eventually(lambda: self.plain.zcard("dramatiq:default.XQ") == 1)
        self.assertEqual(self.seen, ["fail"] * 2)

    def test_lost_messages(self):
        # What a worker has taken, and not acknowledged when it dies, goes to another.
        dead = RedisBroker(url=URL, heartbeat_timeout=100)
        dead.declare_queue("default")
        self.add.send(1, 2)
        self.assertEqual(next(dead.consume("default", timeout=1000)).args, (1, 2))
        dead.close()
        self.broker.heartbeat_timeout = 100
        time.sleep(0.2)
        self.start()
        eventually(lambda: self.seen == [(1, 2)])

    def test_limits(self):
        one = ConcurrentRateLimiter(self.limits, "one", limit=1)
        with one.acquire():
            with self.assertRaises(RateLimitExceeded), one.acquire():
                pass
        window = WindowRateLimiter(self.limits, "window", limit=2, window=30)
        got = []
        for _ in range(3):
            with window.acquire(raise_on_failure=False) as acquired:
                got.append(acquired)
        self.assertEqual(got, [True, True, False])
        barrier = Barrier(self.limits, "barrier")
        self.assertTrue(barrier.create(parties=2))
        first = threading.Thread(target=lambda: got.append(barrier.wait(timeout=20_000)))
        first.start()
        eventually(lambda: self.plain.get("barrier") == "1")
        barrier.wait(timeout=20_000)
        first.join(20)
        self.assertEqual(got[3:], [True])


if __name__ == "__main__":
    unittest.main()
