"""RQ, which cannot run: its queues work, but the results of jobs are streams."""

import unittest

import redis
from rq import Queue, SimpleWorker
from rq.job import JobStatus
from support import PORT, Case


class Rq(Case):
    def test_refused(self):
        with redis.Redis(port=PORT) as client:
            queue = Queue(connection=client)
            jobs = [queue.enqueue(len, "rose"), queue.enqueue(len, "tulip", at_front=True)]
            self.assertEqual(queue.job_ids, [jobs[1].id, jobs[0].id])
            # The worker writes a result in one transaction with the end of the job.
            with self.assertLogs("rq") as noted:
                SimpleWorker([queue], connection=client).work(burst=True)
            self.assertIn("unknown command 'XADD'", "\n".join(noted.output))
            self.assertEqual(jobs[0].get_status(), JobStatus.STARTED)
            with self.lacks("XREVRANGE"):
                jobs[0].return_value()


if __name__ == "__main__":
    unittest.main()
