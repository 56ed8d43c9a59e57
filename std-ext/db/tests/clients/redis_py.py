"""Python's client of Redis, used as programs use it. Called by `run` with the port and the program."""

import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import redis

PORT, PROGRAM = int(sys.argv[1]), sys.argv[2]


def connect(port=PORT, **more):
    return redis.Redis(port=port, socket_timeout=20, **more)


def free_port():
    """One that no connection takes for its own end, also while the server is away."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Server:
    """Another server, which a test may end and start again."""

    def __init__(self, *flags):
        self.folder = tempfile.mkdtemp()
        self.port = free_port()
        self.flags = ["--port", str(self.port), "--dir", self.folder, "--threads", "2", *flags]
        self.flags += ["--loglevel", "warning"]
        self.start()

    def start(self):
        self.process = subprocess.Popen([PROGRAM, *self.flags], stdout=subprocess.PIPE)
        self.said = io.TextIOWrapper(self.process.stdout)
        while (line := self.said.readline()) != "Press Ctrl-C to stop.\n":
            assert line, "it did not start"

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.ended()

    def ended(self):
        self.said.close()
        return self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.ended()
        shutil.rmtree(self.folder)


class Commands(unittest.TestCase):
    def setUp(self):
        self.it = connect()
        self.it.flushall()
        self.addCleanup(self.it.close)

    def refused(self, kind, wanted, ask, *words, **more):
        with self.assertRaises(kind) as why:
            ask(*words, **more)
        self.assertEqual(str(why.exception), wanted)

    def test_values(self):
        it = self.it
        self.assertTrue(it.set("rose", "red"))
        self.assertEqual(it.get("rose"), b"red")
        self.assertIsNone(it.get("violet"))
        self.assertEqual(it.append("rose", "dish"), 7)
        self.assertEqual(it.strlen("rose"), 7)
        self.assertEqual(it.getrange("rose", -4, -1), b"dish")
        self.assertEqual(it.setrange("rose", 9, "!"), 10)
        self.assertEqual(it.get("rose"), b"reddish\0\0!")
        self.assertEqual(it.getset("rose", "pink"), b"reddish\0\0!")
        self.assertEqual(it.getdel("rose"), b"pink")
        self.assertEqual(it.exists("rose", "violet"), 0)
        with connect(decode_responses=True) as text:
            text.set("straße", "Grüße, 世界")
            self.assertEqual(text.get("straße"), "Grüße, 世界")

    def test_bytes_and_big_values(self):
        odd = bytes(range(256)) + b"\r\n$-1\r\n\0"
        self.it.set(odd, odd)
        self.assertEqual(self.it.get(odd), odd)
        big = os.urandom(5 << 20)
        self.it.set("big", big)
        self.assertEqual(self.it.get("big"), big)
        pipe = self.it.pipeline(transaction=False)
        for _ in range(4):
            pipe.get("big").append("small", "x")
        self.assertEqual(pipe.execute(), [big, 1, big, 2, big, 3, big, 4])
        self.it.set("", "empty")
        self.assertEqual(self.it.get(""), b"empty")

    def test_counters(self):
        it = self.it
        self.assertEqual([it.incr("n"), it.incrby("n", 41), it.decr("n", 2)], [1, 42, 40])
        self.assertEqual(it.incrbyfloat("n", 0.25), 40.25)
        self.refused(
            redis.ResponseError, "value is not an integer or out of range", it.incr, "n"
        )
        it.set("most", 2**63 - 1)
        self.refused(
            redis.ResponseError, "increment or decrement would overflow", it.incr, "most"
        )
        self.assertEqual(it.get("most"), str(2**63 - 1).encode())

    def test_hashes(self):
        it = self.it
        self.assertEqual(it.hset("rose", "colour", "red", mapping={"height": 2, b"\xff\0": b""}), 3)
        self.assertEqual(it.hgetall("rose"), {b"colour": b"red", b"height": b"2", b"\xff\0": b""})
        self.assertEqual(it.hmget("rose", ["height", "none"]), [b"2", None])
        self.assertEqual([it.hget("rose", "none"), it.hlen("none"), it.hgetall("none")], [None, 0, {}])
        self.assertEqual([it.hincrby("rose", "height", 3), it.hincrbyfloat("rose", "height", 0.5)], [5, 5.5])
        self.assertEqual([it.hexists("rose", "height"), it.hstrlen("rose", "height")], [True, 3])
        self.assertEqual([it.hdel("rose", "height", "none"), it.hsetnx("rose", "colour", "blue")], [1, 0])
        self.assertEqual(it.hkeys("rose"), [b"colour", b"\xff\0"])
        self.assertEqual(it.hvals("rose"), [b"red", b""])
        fields = {f"field {n}".encode(): str(n).encode() for n in range(10_000)}
        self.assertEqual(it.hset("long", mapping=fields), 10_000)
        self.assertEqual(it.hgetall("long"), fields)
        self.assertEqual(dict(it.hscan_iter("long")), fields)
        self.assertEqual(len(list(it.hscan_iter("long", match="field 77*"))), 111)
        chosen = it.hrandfield("long", 100)
        self.assertTrue(len(set(chosen)) == 100 and set(chosen) <= set(fields))
        self.assertIn(it.hrandfield("long"), fields)
        self.assertEqual([it.type("long"), list(it.scan_iter(_type="hash", match="l*"))], [b"hash", [b"long"]])
        self.refused(
            redis.ResponseError,
            "WRONGTYPE Operation against a key holding the wrong kind of value", it.get, "rose"
        )

    def test_ends(self):
        it, now = self.it, int(time.time())
        it.set("soon", 1, px=40)
        it.set("until", 1, exat=now + 1000)
        self.assertTrue(990 < it.ttl("until") <= 1000)
        self.assertEqual(it.execute_command("EXPIRETIME", "until"), now + 1000)
        it.set("until", 2, keepttl=True)
        self.assertEqual(it.execute_command("EXPIRETIME", "until"), now + 1000)
        self.assertEqual(it.set("until", 3, get=True), b"2")
        self.assertEqual(it.ttl("until"), -1)
        self.assertEqual(it.getex("until", ex=50), b"3")
        self.assertTrue(49_000 < it.pttl("until") <= 50_000)
        self.assertTrue(it.persist("until"))
        self.assertFalse(it.persist("until"))
        self.assertTrue(it.setex("until", 77, "x") and it.psetex("until", 77_000, "x"))
        self.assertTrue(it.expire("until", 10) and it.expireat("until", now + 20))
        self.assertTrue(it.pexpireat("until", (now - 1) * 1000))
        self.assertEqual([it.ttl("until"), it.expire("until", 10)], [-2, False])
        time.sleep(0.06)
        self.assertIsNone(it.get("soon"))
        self.refused(
            redis.ResponseError, "invalid expire time in 'set' command", it.set, "a", 1, ex=-1
        )

    def test_conditions(self):
        it = self.it
        self.assertTrue(it.set("lock", "mine", nx=True, ex=100))
        self.assertIsNone(it.set("lock", "yours", nx=True))
        self.assertIsNone(it.set("none", 1, xx=True))
        self.assertFalse(it.setnx("lock", "yours"))
        self.assertEqual(it.get("lock"), b"mine")

    def test_many_keys(self):
        it = self.it
        it.mset({f"key:{n}": n for n in range(1000)})
        self.assertEqual(it.mget("key:1", "none", "key:999"), [b"1", None, b"999"])
        self.assertFalse(it.msetnx({"key:1": 0, "new": 0}))
        self.assertEqual(it.exists("new", "key:1", "key:1"), 2)
        self.assertEqual(it.dbsize(), 1000)
        names = {f"key:{n}".encode() for n in range(1000)}
        self.assertEqual(set(it.scan_iter()), names)
        self.assertEqual(set(it.scan_iter(match="key:?5?", count=7)), {
            name for name in names if len(name) == 7 and name[5:6] == b"5"
        })
        self.assertEqual(list(it.scan_iter(_type="list")), [])
        self.assertEqual(set(it.keys("key:99*")), {n for n in names if n.startswith(b"key:99")})
        self.assertIn(it.randomkey(), names)
        self.assertTrue(it.rename("key:1", "one"))
        self.assertFalse(it.renamenx("one", "key:2"))
        self.refused(redis.ResponseError, "no such key", it.rename, "none", "other")
        self.assertEqual([it.type("one"), it.type("none")], [b"string", b"none"])
        self.assertEqual([it.touch("one", "none"), it.unlink("one"), it.delete("key:2")], [1, 1, 1])
        self.assertEqual(it.dbsize(), 998)

    def test_pipelines(self):
        pipe = self.it.pipeline(transaction=False)
        for n in range(10_000):
            pipe.set(f"key:{n}", n).incr("sum")
        answers = pipe.execute()
        self.assertEqual(answers[1::2], list(range(1, 10_001)))
        self.assertTrue(all(answers[::2]))
        pipe.get("key:77").incr("none of it").execute_command("LOLWUT").get("key:78")
        one, two, three, four = pipe.execute(raise_on_error=False)
        self.assertEqual([one, two, four], [b"77", 1, b"78"])
        self.assertRegex(str(three), "unknown command 'LOLWUT'")

    def test_transactions(self):
        pipe = self.it.pipeline()
        self.assertEqual(pipe.set("a", 1).incr("a").get("a").execute(), [True, 2, b"2"])

        def double(pipe):
            value = int(pipe.get("a"))
            pipe.multi()
            pipe.incrby("a", value)

        self.assertEqual(self.it.transaction(double, "a"), [4])
        with self.it.pipeline() as pipe:
            pipe.watch("a")
            self.it.set("a", 4)
            pipe.multi()
            pipe.set("a", 5)
            with self.assertRaises(redis.WatchError):
                pipe.execute()
        self.assertEqual(self.it.get("a"), b"4")

    def test_channels(self):
        listener = self.it.pubsub(ignore_subscribe_messages=True)
        heard = []
        listener.subscribe("news", sport=heard.append)
        listener.psubscribe("n*")
        # The replies to the subscriptions are ignored.
        for _ in range(3):
            self.assertIsNone(listener.get_message(timeout=5))
        self.assertEqual(self.it.publish("news", "rain"), 2)
        message = {"type": "message", "pattern": None, "channel": b"news", "data": b"rain"}
        self.assertEqual(listener.get_message(timeout=5), message)
        message.update(type="pmessage", pattern=b"n*")
        self.assertEqual(listener.get_message(timeout=5), message)
        self.assertEqual(self.it.publish("sport", "1:0"), 1)
        self.assertIsNone(listener.get_message(timeout=5))
        self.assertEqual([message["data"] for message in heard], [b"1:0"])
        self.assertEqual(sorted(self.it.pubsub_channels()), [b"news", b"sport"])
        self.assertEqual(self.it.pubsub_numsub("news", "none"), [(b"news", 1), (b"none", 0)])
        self.assertEqual(self.it.pubsub_numpat(), 1)
        listener.unsubscribe()
        listener.punsubscribe()
        for _ in range(3):
            self.assertIsNone(listener.get_message(timeout=5))
        self.assertEqual(self.it.publish("news", "none"), 0)
        listener.close()

    def test_a_thread_that_listens(self):
        heard, listener = [], self.it.pubsub()
        all_heard = threading.Event()

        def hear(message):
            heard.append(int(message["data"]))
            if len(heard) == 1000:
                all_heard.set()

        listener.psubscribe(**{"counts:*": hear})
        self.assertEqual(listener.get_message(timeout=5)["type"], "psubscribe")
        thread = listener.run_in_thread(sleep_time=0.01)
        with self.it.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.publish(f"counts:{number % 7}", number)
            self.assertEqual(pipe.execute(), [1] * 1000)
        self.assertTrue(all_heard.wait(30))
        thread.stop()
        thread.join()
        self.assertEqual(heard, list(range(1000)))

    def test_scripts(self):
        add = self.it.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
        self.assertEqual(add(keys=["script"], args=[5]), 5)
        self.it.script_flush()
        self.assertEqual(add(keys=["script"], args=[5]), 10)
        with self.it.pipeline() as pipe:
            pipe.set("script", 1)
            add(keys=["script"], args=[2], client=pipe)
            self.assertEqual(pipe.execute(), [True, 3])
        self.assertIsNone(self.it.eval("return redis.call('get', 'other')", 0))
        self.it.config_set("default-lua-flags", "none")
        with self.assertRaisesRegex(redis.ResponseError, "not in its KEYS: 'other'"):
            self.it.eval("return redis.call('get', 'other')", 0)
        self.it.config_set("default-lua-flags", "allow-undeclared-keys")

    def test_locks(self):
        lock = self.it.lock("lock", timeout=100, blocking=False)
        other = self.it.lock("lock", timeout=100, blocking=False)
        self.assertTrue(lock.acquire())
        self.assertFalse(other.acquire())
        self.assertTrue(lock.owned())
        self.assertTrue(lock.extend(100))
        self.assertTrue(lock.reacquire())
        lock.release()
        with self.assertRaises(redis.exceptions.LockError):
            lock.release()
        with other:
            self.it.set("lock", "stolen")
            with self.assertRaises(redis.exceptions.LockNotOwnedError):
                other.extend(100)
            self.it.set("lock", other.local.token)

    def test_what_there_is_not(self):
        with self.assertRaisesRegex(redis.ResponseError, "unknown command 'LOLWUT'"):
            self.it.execute_command("LOLWUT")
        with self.assertRaisesRegex(redis.ResponseError, "functions are not supported"):
            self.it.function_load("#!lua name=roses")
        self.assertEqual(self.it.module_list(), [])
        with self.assertRaisesRegex(redis.ResponseError, "DB index is out of range"):
            connect(db=16).get("a")
        self.refused(
            redis.ResponseError,
            "wrong number of arguments for 'get' command",
            self.it.execute_command, "GET", "a", "b",
        )
        self.refused(redis.ResponseError, "syntax error", self.it.execute_command, "SET a b WITH")
        self.assertTrue(self.it.ping())

    def test_the_server(self):
        it = self.it
        it.mset({"a": 1, "b": 2})
        it.expire("a", 100)
        it.get("a"), it.get("none")
        info = it.info()
        self.assertEqual(info["role"], "master")
        self.assertEqual(info["tcp_port"], PORT)
        self.assertEqual(info["db0"]["keys"], 2)
        self.assertEqual(info["db0"]["expires"], 1)
        self.assertGreaterEqual(info["keyspace_hits"], 1)
        self.assertGreaterEqual(info["uptime_in_seconds"], 0)
        self.assertGreater(info["used_memory_rss"], 1 << 20)
        self.assertIn("connected_clients", it.info("clients"))
        self.assertNotIn("role", it.info("clients"))
        self.assertEqual(it.config_get("appendfsync"), {"appendfsync": "everysec"})
        self.assertTrue(it.config_set("maxmemory", "1gb"))
        self.assertEqual(it.config_get("maxmemory"), {"maxmemory": str(1 << 30)})
        it.config_set("maxmemory", 0)
        self.assertGreater(it.memory_usage("a"), 10)
        self.assertEqual(it.object("idletime", "a"), 0)
        seconds, micros = it.time()
        self.assertTrue(abs(seconds - time.time()) < 60 and 0 <= micros < 1_000_000)
        self.assertEqual(it.echo("hello"), b"hello")
        self.assertIn("get", it.command())
        self.assertEqual(it.command_count(), len(it.command()))
        self.assertEqual(it.wait(1, 1), 0)
        self.assertTrue(it.bgsave())
        self.assertLess((it.lastsave().timestamp() - time.time()), 60)

    def test_clients(self):
        with connect(client_name="the-one", single_connection_client=True) as one:
            self.assertEqual(one.client_getname(), "the-one")
            mine = one.client_info()
            self.assertEqual(mine["name"], "the-one")
            self.assertEqual(one.client_id(), int(mine["id"]))
            self.assertIn(str(mine["id"]), [client["id"] for client in self.it.client_list()])
        self.refused(
            redis.ResponseError,
            "Client names cannot contain spaces, newlines or special characters.",
            self.it.client_setname, "the one",
        )

    def test_threads_share_a_pool(self):
        pool = redis.BlockingConnectionPool(port=PORT, max_connections=8, timeout=20)
        it = redis.Redis(connection_pool=pool)

        def count():
            for n in range(200):
                it.incr("n")
                it.set(f"{threading.get_ident()}", n)
                mine = it.get(f"{threading.get_ident()}")
                if mine != str(n).encode():
                    wrong.append((mine, n))

        wrong = []
        threads = [threading.Thread(target=count) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(it.get("n"), b"4800")
        self.assertLessEqual(pool.pool.qsize(), 8)
        pool.disconnect()

    def test_many_connections(self):
        many = [connect(single_connection_client=True) for _ in range(300)]
        for n, one in enumerate(many):
            one.set(f"key:{n}", n)
        for n, one in enumerate(reversed(many)):
            self.assertEqual(one.get(f"key:{n}"), str(n).encode())
        self.assertGreaterEqual(self.it.info("clients")["connected_clients"], 300)
        for one in many:
            one.close()


class Servers(unittest.TestCase):
    def test_a_password(self):
        with Server("--requirepass", "open sesame") as server:
            it = connect(server.port, password="open sesame")
            self.assertTrue(it.set("rose", "red"))
            it = connect(server.port, username="default", password="open sesame")
            self.assertEqual(it.get("rose"), b"red")
            url = f"redis://:open%20sesame@localhost:{server.port}/0"
            self.assertEqual(redis.from_url(url).get("rose"), b"red")
            with self.assertRaisesRegex(redis.AuthenticationError, "Authentication required."):
                connect(server.port).get("rose")
            with self.assertRaisesRegex(redis.ResponseError, "WRONGPASS|invalid"):
                connect(server.port, password="mellon").get("rose")
            it.config_set("requirepass", "mellon")
            self.assertEqual(connect(server.port, password="mellon").get("rose"), b"red")

    def test_it_is_found_again(self):
        with Server("--appendfsync", "always") as server:
            it = connect(server.port, retry_on_timeout=True)
            it.mset({"a": 1, "b": 2})
            self.assertEqual(server.end(), 0)
            with self.assertRaises(redis.ConnectionError):
                it.get("a")
            server.start()
            # The same client, which connects again by itself.
            self.assertEqual(it.mget("a", "b"), [b"1", b"2"])
            it.incr("a")
            server.end(signal.SIGKILL)
            server.start()
            self.assertEqual(it.mget("a", "b"), [b"2", b"2"])
            it.shutdown(save=True)
            self.assertEqual(server.ended(), 0)
            server.start()
            self.assertEqual(it.get("a"), b"2")


unittest.main(argv=sys.argv[:1])
