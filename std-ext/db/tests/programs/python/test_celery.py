"""Celery: the results of tasks. A broker on Redis and chords need lists."""

import tempfile
import unittest

from celery import Celery, chord, group, states
from celery.contrib.testing.worker import start_worker
from kombu.exceptions import OperationalError
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
        # The worker counts the tasks of a chord in a script, and only warns if that fails.
        with self.worker(), self.assertLogs("py.warnings") as noted:
            result = chord(self.add.s(n, n) for n in range(3))(self.total.s())
            eventually(lambda: any("Unknown Redis command called from script" in line for line in noted.output))
            self.assertEqual(result.state, states.PENDING)

    def test_broker(self):
        with self.lacks("LLEN", OperationalError):
            make(URL).tasks["add"].apply_async((1, 2), retry=False)


if __name__ == "__main__":
    unittest.main()
