"""RQ, which cannot run: its jobs are hashes, and its queues lists, sets and sorted sets."""

import unittest

import redis
from rq import Queue
from rq.registry import StartedJobRegistry
from support import PORT, Case


class Rq(Case):
    def test_refused(self):
        with redis.Redis(port=PORT) as client:
            queue = Queue(connection=client)
            with self.lacks("LLEN"):
                len(queue)
            with self.lacks("SADD"):
                queue.enqueue(len, "rose")
            with self.lacks("ZCARD"):
                StartedJobRegistry(queue=queue).get_job_count(cleanup=False)


if __name__ == "__main__":
    unittest.main()
