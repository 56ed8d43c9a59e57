"""Networks of processes on one machine that can be cut, in both directions or in one.

- `Namespaces`: each process has a network of its own, behind a bridge. Any pair can be cut. It needs root.
- `Proxies`: each link from a node to a member of etcd goes through a proxy. Only those links can be cut.

A cut loses packets without a sign: connections stay open, and nothing arrives.
"""
import os
import random
import socket
import subprocess
import sys

# Packets to this address reach the bridge, and no port of it.
NOWHERE = "02:00:00:00:de:ad"
CLIENT = "client"


def is_free(port):
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count):
    """Returns ports that were free just now, none of them 10000 above another.

    They and those 10000 above are below the ports that the system gives to connections, so none takes them meanwhile.
    """
    # Not the generator that a test has seeded: whether a port is free depends on the machine.
    ports, generator = [], random.SystemRandom()
    while len(ports) < count:
        port = generator.randrange(10_000, 22_000)
        # A node listens for other nodes at 10000 more than its own port.
        taken = {port, port - 10_000, port + 10_000} & set(ports)
        if not taken and is_free(port) and is_free(port + 10_000):
            ports.append(port)
    return ports


class Namespaces:
    """A network namespace for each process, joined by a bridge that the clients are on, too."""

    can_cut_all = True

    def __init__(self, names):
        self.id = f"hr{os.getpid() % 0x100000:05x}"
        self.net = f"10.{random.randrange(160, 250)}.{random.randrange(1, 250)}"
        self.addresses = {name: f"{self.net}.{10 + number}" for number, name in enumerate(names)}
        self.cuts = set()
        try:
            self.set_up()
        except subprocess.CalledProcessError:
            self.close()
            raise

    def set_up(self):
        bridge = self.id
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{self.net}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number, (name, address) in enumerate(self.addresses.items()):
            space, veth = self.space(name), f"{self.id}v{number}"
            ip("netns", "add", space)
            ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", veth, "master", bridge, "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")

    def space(self, name):
        return f"{self.id}-{name}"

    def host(self, name):
        return self.addresses[name]

    def endpoint(self, _node, member, port):
        return f"http://{self.host(member)}:{port}"

    def command(self, name, command):
        return ["ip", "netns", "exec", self.space(name), *command]

    def cut(self, a, b):
        """Cuts both directions."""
        self.cut_one_way(a, b)
        self.cut_one_way(b, a)

    def cut_one_way(self, a, b):
        """Loses what `a` sends to `b`."""
        self.cuts.add((a, b))
        self.neighbour(a, b, "replace", "lladdr", NOWHERE, "nud", "permanent")

    def heal(self):
        for a, b in sorted(self.cuts):
            self.neighbour(a, b, "del", quiet=True)
        self.cuts.clear()

    def neighbour(self, a, b, verb, *more, quiet=False):
        at = self.addresses[b] if b != CLIENT else f"{self.net}.1"
        inside, device = ([], self.id) if a == CLIENT else (["-n", self.space(a)], "eth0")
        ip(*inside, "neigh", verb, at, "dev", device, *more, quiet=quiet)

    def close(self):
        for number, name in enumerate(self.addresses):
            ip("link", "del", f"{self.id}v{number}", quiet=True)
            ip("netns", "del", self.space(name), quiet=True)
        ip("link", "del", self.id, quiet=True)


class Proxies:
    """The machine's own network, with a proxy between each node and each member of etcd."""

    can_cut_all = False

    def __init__(self, _names):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxy.py")
        self.process = subprocess.Popen(
            [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.cuts = set()

    def host(self, _name):
        return "127.0.0.1"

    def endpoint(self, node, member, port):
        return f"http://127.0.0.1:{self.ask('listen', node, member, port)}"

    def command(self, _name, command):
        return command

    def cut(self, a, b):
        self.cut_one_way(a, b)
        self.cut_one_way(b, a)

    def cut_one_way(self, a, b):
        self.cuts.add((a, b))
        self.ask("cut", a, b)

    def heal(self):
        for a, b in sorted(self.cuts):
            self.ask("heal", a, b)
        self.cuts.clear()

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.kill()
        self.process.wait()


def ip(*arguments, quiet=False):
    subprocess.run(["ip", *arguments], check=not quiet, capture_output=True)


def open_network(names, wanted):
    """Returns the best network that the machine allows, or the wanted one."""
    if wanted in ("auto", "namespaces"):
        try:
            return Namespaces(names)
        except (OSError, subprocess.CalledProcessError) as why:
            if wanted == "namespaces":
                raise
            said = (getattr(why, "stderr", None) or b"").decode().strip() or why
            print(f"LEFT OUT: network namespaces, and cuts between any two processes: {said}")
    return Proxies(names)
