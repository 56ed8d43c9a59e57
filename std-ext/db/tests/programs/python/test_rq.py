"""RQ: a worker runs jobs, and keeps their results in streams."""

import unittest

import redis
from rq import Queue, SimpleWorker
from rq.job import JobStatus
from support import PORT, Case


class Rq(Case):
    def test_jobs(self):
        with redis.Redis(port=PORT) as client:
            queue = Queue(connection=client)
            jobs = [queue.enqueue(len, "rose"), queue.enqueue(len, "tulip", at_front=True), queue.enqueue(ord, "rose")]
            self.assertEqual(queue.job_ids, [jobs[1].id, jobs[0].id, jobs[2].id])
            SimpleWorker([queue], connection=client).work(burst=True)
            self.assertEqual([job.get_status() for job in jobs], [JobStatus.FINISHED, JobStatus.FINISHED, JobStatus.FAILED])
            self.assertEqual([job.return_value() for job in jobs[:2]], [4, 5])
            self.assertEqual(len(jobs[0].results()), 1)
            self.assertIn("TypeError", jobs[2].latest_result().exc_string)


if __name__ == "__main__":
    unittest.main()
