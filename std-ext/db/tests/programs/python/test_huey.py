"""Huey, with each of its storages on Redis."""

import contextlib
import time
import unittest

from huey import PriorityRedisHuey, RedisExpireHuey, RedisHuey, crontab
from huey.exceptions import ResultTimeout, TaskException, TaskLockedException
from support import URL, Case, eventually


@contextlib.contextmanager
def consumer(huey):
    it = huey.create_consumer(workers=3, scheduler_interval=0.1, check_worker_health=False)
    it.start()
    try:
        yield
    finally:
        it.stop(graceful=True)


class Huey(Case):
    def test_tasks(self):
        for kind in RedisHuey, RedisExpireHuey, PriorityRedisHuey:
            with self.subTest(kind.__name__):
                self.plain.flushall()
                huey = kind("programs", url=URL)

                @huey.task()
                def add(a, b):
                    return a + b

                @huey.task(retries=1)
                def fail():
                    raise KeyError("rose")

                before = [add(n, n) for n in range(50)]
                self.assertEqual((len(huey), huey.pending_count()), (50, 50))
                with consumer(huey):
                    self.assertEqual([it.get(blocking=True, timeout=20) for it in before], [2 * n for n in range(50)])
                    late, revoked = (add.schedule((n, 0), delay=1) for n in range(2))
                    revoked.revoke()
                    begin = time.monotonic()
                    self.assertEqual(late.get(blocking=True, timeout=20), 0)
                    self.assertGreater(time.monotonic() - begin, 0.5)
                    self.assertRaises(ResultTimeout, revoked.get, blocking=True, timeout=0.5)
                    self.assertRaises(TaskException, fail().get, blocking=True, timeout=20)
                    chained = huey.enqueue(add.s(1, 2).then(add, 10))
                    self.assertEqual(chained.get(blocking=True, timeout=20), [3, 13])
                self.assertEqual((len(huey), huey.scheduled_count()), (0, 0))

    def test_priorities(self):
        huey = PriorityRedisHuey("programs", url=URL)
        seen = []

        @huey.task()
        def note(n):
            seen.append(n)

        for n, priority in enumerate([1, 9, 5]):
            note(n, priority=priority)
        for _ in range(3):
            huey.execute(huey.dequeue())
        self.assertEqual(seen, [1, 2, 0])

    def test_periodic_tasks_and_locks(self):
        huey = RedisHuey("programs", url=URL)
        seen = []

        @huey.periodic_task(crontab())
        def tick():
            seen.append(1)

        with huey.lock_task("door"):
            self.assertTrue(huey.is_locked("door"))
            with self.assertRaises(TaskLockedException), huey.lock_task("door"):
                pass
        self.assertFalse(huey.is_locked("door"))
        with consumer(huey):
            eventually(lambda: seen, 70)


if __name__ == "__main__":
    unittest.main()
