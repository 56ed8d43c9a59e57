"""Celery: the broker, and the results of tasks."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import unittest

from celery import Celery, chord, group, signals, states
from celery.contrib.testing.worker import start_worker
from celery.exceptions import ChordError, TaskRevokedError
from kombu import Connection, Queue
from support import URL, Case, eventually


def add(a, b):
    return a + b


def total(numbers):
    return sum(numbers)


def fail():
    raise KeyError("rose")


def make(broker, **more):
    app = Celery("programs", broker=broker, backend=URL)
    app.conf.update(result_expires=100, worker_hijack_root_logger=False, **more)
    app.task(add, name="add")
    app.task(total, name="total")
    app.task(fail, name="fail")
    return app


class CeleryResults(Case):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}
        self.app = make("filesystem://", broker_transport_options=options)
        self.add, self.total = self.app.tasks["add"], self.app.tasks["total"]

    def worker(self):
        return start_worker(self.app, perform_ping_check=False, pool="solo", loglevel="FATAL")

    def test_results(self):
        with self.worker():
            result = self.add.delay(2, 3)
            self.assertEqual(result.get(timeout=30), 5)
            self.assertEqual((result.state, result.successful()), (states.SUCCESS, True))
            key = f"celery-task-meta-{result.id}"
            self.assertTrue(0 < self.plain.ttl(key) <= 100)
            self.assertEqual(self.app.AsyncResult(result.id).result, 5)
            failed = self.app.tasks["fail"].delay()
            with self.assertRaises(KeyError):
                failed.get(timeout=30)
            self.assertEqual(failed.state, states.FAILURE)
            several = group(self.add.s(n, n) for n in range(5)).apply_async()
            self.assertEqual(several.get(timeout=30), [0, 2, 4, 6, 8])
            several.save()
            self.assertEqual(self.app.GroupResult.restore(several.id).join(timeout=30), [0, 2, 4, 6, 8])
            several.delete()
            self.assertIsNone(self.app.GroupResult.restore(several.id))
            chained = (self.add.s(1, 2) | self.add.s(10)).apply_async()
            self.assertEqual(chained.get(timeout=30), 13)
            result.forget()
            self.assertFalse(self.plain.exists(key))
            self.assertEqual(self.app.AsyncResult(result.id).state, states.PENDING)

    def test_backend(self):
        backend = self.app.backend
        backend.store_result("id", {"x": 1}, states.SUCCESS)
        self.assertEqual(backend.get_result("id"), {"x": 1})
        backend.mark_as_failure("other", ValueError("no"))
        self.assertEqual(backend.get_state("other"), states.FAILURE)
        backend.forget("id")
        self.assertEqual(self.keys(), ["celery-task-meta-other"])

    def test_chord(self):
        # The worker counts the tasks of a chord in a sorted set.
        with self.worker():
            chords = [chord(self.add.s(n, n) for n in range(size))(self.total.s()) for size in (1, 3, 20)]
            self.assertEqual([it.get(timeout=30) for it in chords], [0, 6, 380])
            after = (group(self.add.s(n, 1) for n in range(3)) | self.total.s() | self.add.s(100)).apply_async()
            self.assertEqual(after.get(timeout=30), 106)
            bad = chord([self.add.s(1, 1), self.app.tasks["fail"].s()])(self.total.s())
            eventually(lambda: bad.state == states.FAILURE)
            self.assertIsInstance(bad.result, ChordError)


class CeleryBroker(Case):
    def setUp(self):
        super().setUp()
        options = {"priority_steps": [0, 9]}
        self.app = make(URL, task_queues=[Queue("celery"), Queue("other")], broker_transport_options=options)
        self.add, self.total = self.app.tasks["add"], self.app.tasks["total"]

    def worker(self):
        return start_worker(self.app, perform_ping_check=False, pool="solo", loglevel="FATAL")

    def test_tasks(self):
        with self.worker():
            several = [self.add.delay(n, n) for n in range(100)]
            self.assertEqual([it.get(timeout=30) for it in several], [2 * n for n in range(100)])
            self.assertEqual(self.add.apply_async((1, 2), queue="other").get(timeout=30), 3)
            self.assertEqual(chord(self.add.s(n, n) for n in range(5))(self.total.s()).get(timeout=30), 20)
            begin = time.monotonic()
            self.assertEqual(self.add.apply_async((1, 2), countdown=1).get(timeout=30), 3)
            self.assertGreater(time.monotonic() - begin, 0.9)
            # Commands to all workers are messages.
            (answer,) = self.app.control.ping(timeout=1)
            self.assertEqual(list(answer.values()), [{"ok": "pong"}])
        self.assertEqual([key for key in self.keys() if key.startswith("unacked") or key == "celery"], [])

    def test_priorities(self):
        order = [self.add.apply_async((n, 0), priority=priority) for n, priority in enumerate([9, 0, 9, 0])]
        self.assertEqual(self.plain.llen("celery"), 2)
        seen = []
        with task_postrun_to(seen), self.worker():
            for it in order:
                it.get(timeout=30)
        self.assertEqual(seen, [1, 3, 0, 2])

    def test_revoke(self):
        with self.worker():
            kept, revoked = (self.add.apply_async((n, 0), countdown=1) for n in range(2))
            self.app.control.revoke(revoked.id)
            self.assertEqual(kept.get(timeout=30), 0)
            self.assertRaises(TaskRevokedError, revoked.get, timeout=30)

    def test_processes(self):
        # Workers as users start them: processes, which fork others.
        command = [sys.executable, "-m", "celery", "-A", "test_celery:served", "worker", "-c", "2", "-l", "ERROR"]
        folder = os.path.dirname(os.path.abspath(__file__))
        workers = [subprocess.Popen([*command, "-n", name], cwd=folder) for name in ("rose", "violet")]
        try:
            eventually(lambda: len(self.app.control.ping(timeout=0.5)) == 2, 60)
            several = [self.add.delay(n, n) for n in range(200)]
            self.assertEqual([it.get(timeout=60) for it in several], [2 * n for n in range(200)])
            self.assertEqual(chord(self.add.s(n, n) for n in range(20))(self.total.s()).get(timeout=60), 380)
        finally:
            for worker in workers:
                worker.terminate()
            self.assertEqual([worker.wait(60) for worker in workers], [0, 0])

    def test_lost_messages(self):
        # A message that nobody acknowledges is delivered again after some time.
        options = {"visibility_timeout": 1}
        with Connection(URL, transport_options=options) as lost, Connection(URL, transport_options=options) as other:
            lost.SimpleQueue("jobs").put({"n": 1})
            self.assertEqual(lost.SimpleQueue("jobs").get(timeout=20).payload, {"n": 1})
            self.assertEqual((self.plain.hlen("unacked"), self.plain.zcard("unacked_index")), (1, 1))
            channel = other.default_channel
            eventually(lambda: channel.qos.restore_visible(num=10) or self.plain.llen("jobs"))
            message = other.SimpleQueue("jobs").get(timeout=20)
            self.assertEqual((message.payload, message.delivery_info["redelivered"]), ({"n": 1}, True))
            message.ack()
            self.assertEqual(self.plain.exists("unacked", "unacked_index", "jobs"), 0)


@contextlib.contextmanager
def task_postrun_to(seen):
    def note(args, **_):
        seen.append(args[0])

    signals.task_postrun.connect(note)
    yield
    signals.task_postrun.disconnect(note)


# What the processes run.
served = make(URL)


if __name__ == "__main__":
    unittest.main()
