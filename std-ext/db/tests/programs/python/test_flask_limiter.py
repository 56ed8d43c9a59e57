"""Flask-Limiter: pages that refuse clients that request them too often."""

import unittest

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from support import URL, Case, eventually


class FlaskLimiter(Case):
    def test_limits(self):
        app = Flask(__name__)
        limiter = Limiter(
            get_remote_address, app=app, storage_uri=URL, default_limits=["3 per minute"],
            strategy="sliding-window-counter", headers_enabled=True,
        )

        @app.route("/")
        def index():
            return "page"

        @app.route("/short")
        @limiter.limit("1 per second")
        def short():
            return "page"

        def get(path, address="10.0.0.1"):
            return app.test_client().get(path, environ_base={"REMOTE_ADDR": address})

        got = [get("/") for _ in range(4)]
        self.assertEqual([one.status_code for one in got], [200, 200, 200, 429])
        self.assertEqual([one.headers["X-RateLimit-Remaining"] for one in got], ["2", "1", "0", "0"])
        self.assertEqual(get("/", "10.0.0.2").status_code, 200)
        self.assertEqual([get("/short").status_code for _ in range(2)], [200, 429])
        eventually(lambda: get("/short").status_code == 200)


if __name__ == "__main__":
    unittest.main()
