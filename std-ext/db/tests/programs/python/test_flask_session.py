"""Flask-Session: sessions that a browser's cookie names."""

import unittest

import redis
from flask import Flask, session
from flask_session import Session
from support import PORT, Case


class FlaskSession(Case):
    def test_session(self):
        app = Flask(__name__)
        app.config.update(
            SESSION_TYPE="redis", SESSION_REDIS=redis.Redis(port=PORT), PERMANENT_SESSION_LIFETIME=600
        )
        self.addCleanup(app.config["SESSION_REDIS"].close)
        Session(app)

        @app.route("/set/<value>")
        def set_value(value):
            session["value"] = value
            return "set"

        @app.route("/get")
        def get_value():
            return session.get("value", "none")

        @app.route("/end")
        def end():
            session.clear()
            return "ended"

        one, other = app.test_client(), app.test_client()
        self.assertEqual(one.get("/set/rose").text, "set")
        self.assertEqual((one.get("/get").text, other.get("/get").text), ("rose", "none"))
        cookie = one.get_cookie("session").value
        self.assertEqual(self.keys(), [f"session:{cookie}"])
        self.assertTrue(590 < self.plain.ttl(f"session:{cookie}") <= 600)
        one.get("/end")
        self.assertEqual((one.get("/get").text, self.keys()), ("none", []))


if __name__ == "__main__":
    unittest.main()
