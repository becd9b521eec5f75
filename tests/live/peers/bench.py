"""PostgreSQL's own failover managers, with their defaults, under two nights of the live drill.

Dark: the primary's whole process tree is killed with SIGKILL. What counts is how long a client cannot write, and which
acknowledged rows the new primary lacks.
Partition: for 43 s no packet passes between the two nodes, while a third (etcd, the monitor, the client) sees both. What counts
is how often a second node was promoted though the first one lived, how long a client could not write, and what was lost.

Each run brings up a pair of servers on this machine and writes ten rows a second through a connection string that names both.
What the nodes say to each other (replication, and Patroni's REST API) goes through relays that are late by the drill's 7.5 ms
one way; etcd, the monitor and the client reach both nodes directly.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import psycopg2

TICK = 0.1
QUIET = 15
WATCHED = 120
ONE_WAY = 0.0075
PARTITION = 43
# After the partition: what was promoted too late shows, and what was lost.
AFTER = 30


def ports(count):
    """Ports that nobody else has at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for it in sockets:
        it.bind(("127.0.0.1", 0))
    found = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return found


def binaries():
    """The newest PostgreSQL that pg_auto_failover has an extension for, else the newest."""
    root = "/usr/lib/postgresql"
    versions = sorted(os.listdir(root), key=int) if os.path.isdir(root) else []
    if not versions:
        sys.exit("PostgreSQL is missing; try: make postgresql")
    return f"{root}/{versions[-1]}/bin"


def as_postgres(command):
    drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    return drop + command if os.geteuid() == 0 else command


def tree(pid):
    """A process and everything that it has started."""
    found, waiting = [], [str(pid)]
    while waiting:
        one = waiting.pop()
        found.append(int(one))
        try:
            waiting += open(f"/proc/{one}/task/{one}/children").read().split()
        except OSError:
            pass
    return found


def kill(pids):
    """Kills processes, and clears up what PostgreSQL keeps in the machine's memory."""
    files, segments = set(), set()
    for pid in pids:
        try:
            for line in open(f"/proc/{pid}/maps"):
                inode, name = (line.split(maxsplit=5) + [""])[4:6]
                if name.startswith("/dev/shm/PostgreSQL."):
                    files.add(name.split()[0])
                elif name.startswith("/SYSV"):
                    segments.add(inode)
        except OSError:
            pass
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for name in files:
        try:
            os.unlink(name)
        except OSError:
            pass
    for segment in segments:
        subprocess.run(["ipcrm", "--shmem-id", segment], stderr=subprocess.DEVNULL, check=False)


class Place:
    """A directory of one run, and the processes in it; both are gone at the end."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="holdfast-bench-failover-")
        os.chmod(self.home, 0o777)
        self.started = []
        self.environment = {
            "PATH": binaries() + ":/usr/bin:/bin",
            "HOME": self.home,
            "LANG": "C",
            **{f"XDG_{kind}_HOME": f"{self.home}/xdg-{kind.lower()}" for kind in ("DATA", "CONFIG")},
            "XDG_RUNTIME_DIR": f"{self.home}/xdg-run",
        }
        os.mkdir(f"{self.home}/xdg-run", 0o777)
        os.chmod(f"{self.home}/xdg-run", 0o777)

    def path(self, name):
        return f"{self.home}/{name}"

    def run(self, command):
        log = open(self.path("setup.log"), "a")
        subprocess.run(as_postgres(command), env=self.environment, cwd=self.home, stdout=log, stderr=log, check=True)

    def start(self, name, command):
        log = open(self.path(f"{name}.log"), "a")
        process = subprocess.Popen(as_postgres(command), env=self.environment, cwd=self.home, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def close(self):
        pids = [pid for process in self.started for pid in tree(process.pid)]
        # A postmaster leaves its parent's tree; its data say who it is.
        for folder in os.listdir(self.home):
            try:
                pids += tree(int(open(f"{self.home}/{folder}/postmaster.pid").readline()))
            except (OSError, ValueError):
                pass
        kill(pids)
        for process in self.started:
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class Relay:
    """A TCP port that leads to another one, late, and into the dark while it is cut.

    `only`: bytes that the first packet of a connection must have for the cut to concern it; others pass.
    """

    loop = None

    def __init__(self, to, host="127.0.0.1", port=0, only=None):
        self.to, self.only, self.dark = to, only, False
        if Relay.loop is None:
            Relay.loop = asyncio.new_event_loop()
            threading.Thread(target=Relay.loop.run_forever, daemon=True).start()
        start = asyncio.start_server(self.connect, host, port)
        self.server = asyncio.run_coroutine_threadsafe(start, Relay.loop).result(10)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        Relay.loop.call_soon_threadsafe(self.server.close)

    async def connect(self, reader, writer):
        first = await reader.read(65536)
        while first[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
            # It asks for TLS or GSS first; nobody here has any. Who it is, it says then.
            writer.write(b"N")
            first = await reader.read(65536)
        concerned = self.only is None or self.only in first
        try:
            await self.passes(concerned)
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.carry(reader, back, concerned, first), self.carry(there, writer, concerned, b""))

    async def passes(self, concerned):
        while self.dark and concerned:
            await asyncio.sleep(0.02)

    async def carry(self, reader, writer, concerned, first):
        """Bytes in order, each so much later; what is under way in the dark waits, as TCP would send it again."""
        under_way = asyncio.Queue(1024)

        async def read():
            chunk = first or await reader.read(65536)
            while chunk:
                await under_way.put((time.monotonic() + ONE_WAY, chunk))
                chunk = await reader.read(65536)
            await under_way.put(None)

        async def write():
            while (item := await under_way.get()) is not None:
                due, chunk = item
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self.passes(concerned)
                writer.write(chunk)
                await writer.drain()
            await self.passes(concerned)
            writer.close()

        reading = asyncio.ensure_future(read())
        try:
            await write()
        except OSError:
            pass
        finally:
            reading.cancel()
            writer.close()


def wait_for(what, ready, limit=60):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if ready():
                return
        except Exception:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"{what}: not within {limit} s")


class Patroni:
    name = "Patroni + etcd"

    def __init__(self, place):
        self.place = place
        client, peer, *rest = ports(6)
        self.postgres, self.rest = rest[:2], rest[2:]
        # What a node is told of the other one is a relay to it; the client and this script know better.
        ways = [Relay(port) for port in self.postgres], [Relay(port) for port in self.rest]
        self.relays = ways[0] + ways[1]
        urls = f"http://127.0.0.1:{client}"
        place.start("etcd", [
            "etcd", "--data-dir", place.path("etcd"), "--listen-client-urls", urls, "--advertise-client-urls", urls,
            "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}",
        ])
        self.nodes = []
        for number, name in enumerate(("dublin", "london")):
            settings = {
                "scope": "payments",
                "name": name,
                "restapi": {"listen": f"127.0.0.1:{self.rest[number]}", "connect_address": f"127.0.0.1:{ways[1][number].port}"},
                "etcd3": {"hosts": f"127.0.0.1:{client}"},
                "bootstrap": {
                    "dcs": {},
                    "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}],
                    "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust", "local all all trust"],
                },
                "postgresql": {
                    "listen": f"127.0.0.1:{self.postgres[number]}",
                    "connect_address": f"127.0.0.1:{ways[0][number].port}",
                    "data_dir": place.path(name),
                    "bin_dir": binaries(),
                    "pgpass": place.path(f"pgpass-{name}"),
                    "authentication": {
                        "superuser": {"username": "postgres", "password": "unused"},
                        "replication": {"username": "replicator", "password": "unused"},
                    },
                    "parameters": {"unix_socket_directories": place.home},
                },
            }
            file = place.path(f"{name}.yml")
            json.dump(settings, open(file, "w"))
            self.nodes.append(place.start(name, ["patroni", file]))
            if number == 0:
                wait_for("Patroni's primary", lambda: self.members().get("dublin") == ("leader", "running"))
        wait_for("Patroni's replica", lambda: self.members().get("london", ("", ""))[0] == "replica"
                 and self.members()["london"][1] in ("running", "streaming"))

    def members(self):
        url = f"http://127.0.0.1:{self.rest[0]}/cluster"
        answer = json.load(urllib.request.urlopen(url, timeout=2))
        return {it["name"]: (it["role"], it["state"]) for it in answer["members"]}

    def kill_primary(self):
        pids = tree(self.nodes[0].pid)
        pids += tree(int(open(self.place.path("dublin/postmaster.pid")).readline()))
        kill(pids)


class PgAutoFailover:
    name = "pg_auto_failover"

    def __init__(self, place):
        self.place = place
        monitor, *self.postgres = ports(3)
        create = ["--auth", "trust", "--no-ssl"]
        place.run(["pg_autoctl", "create", "monitor", "--pgdata", place.path("monitor"), "--pgport", str(monitor),
                   "--hostname", "127.0.0.1", *create])
        place.start("monitor", ["pg_autoctl", "run", "--pgdata", place.path("monitor")])
        self.uri = f"postgres://autoctl_node@127.0.0.1:{monitor}/pg_auto_failover"
        wait_for("pg_auto_failover's monitor", lambda: self.ask("SELECT 1") == [(1,)])
        # A node's address has its server's port: the relays have it at another address of this machine. The monitor's
        # health checks take the same way and are let through; what is cut is replication.
        self.nodes, self.relays = [], []
        for number, name in enumerate(("dublin", "london")):
            address, port = f"127.0.1.{number + 1}", self.postgres[number]
            self.relays.append(Relay(port, address, port, only=b"replication\0"))
            place.run(["pg_autoctl", "create", "postgres", "--pgdata", place.path(name), "--pgport", str(port),
                       "--listen", "127.0.0.1", "--hostname", address, "--name", name, "--monitor", self.uri, *create])
            self.nodes.append(place.start(name, ["pg_autoctl", "run", "--pgdata", place.path(name)]))
            wanted = "single" if number == 0 else "secondary"
            wait_for(f"pg_auto_failover's {wanted}", lambda: self.states().get(name) == wanted)
        wait_for("pg_auto_failover's primary", lambda: self.states().get("dublin") == "primary")

    def ask(self, statement):
        connection = psycopg2.connect(self.uri, connect_timeout=2)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def states(self):
        return dict(self.ask("SELECT nodename, reportedstate::text FROM pgautofailover.node"))

    def kill_primary(self):
        pids = tree(self.nodes[0].pid)
        pids += tree(int(open(self.place.path("dublin/postmaster.pid")).readline()))
        kill(pids)


def connect(peer):
    one, other = peer.postgres
    string = f"host=127.0.0.1,127.0.0.1 port={one},{other} user=postgres dbname=postgres target_session_attrs=read-write"
    return psycopg2.connect(string, connect_timeout=2, options="-c statement_timeout=1500")


class Client:
    """Ten rows a second, and what it was told of each."""

    def __init__(self, peer):
        self.peer, self.connection, self.number = peer, connect(peer), 0
        self.acknowledged, self.failed, self.back, self.longest, self.last = set(), None, None, 0.0, None
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute("CREATE TABLE bookings (id bigint PRIMARY KEY)")

    def write(self, counts):
        """Writes one row; `counts`: what fails from now on is the outage."""
        tick = time.monotonic()
        self.number += 1
        try:
            if self.connection is None:
                self.connection = connect(self.peer)
            with self.connection, self.connection.cursor() as cursor:
                cursor.execute("INSERT INTO bookings VALUES (%s)", (self.number,))
            self.acknowledged.add(self.number)
            now = time.monotonic()
            self.longest = max(self.longest, now - self.last) if self.last and counts else self.longest
            self.last = now
            if self.failed is not None and self.back is None:
                self.back = now
        except psycopg2.Error:
            self.connection = None
            if counts and self.failed is None:
                self.failed = tick
        time.sleep(max(0.0, tick + TICK - time.monotonic()))

    def lost(self):
        with connect(self.peer) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM bookings")
            held = {row[0] for row in cursor.fetchall()}
        return len(self.acknowledged - held)


def is_writer(port):
    """Whether a node is a primary; none when it does not say."""
    try:
        return asked(port, "SELECT NOT pg_is_in_recovery()")
    except psycopg2.Error:
        return None


def asked(port, statement):
    connection = psycopg2.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", connect_timeout=1)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def is_behind(primary, standby):
    """Whether a standby lacks what its primary has written: rows may not show yet, its log does."""
    written = asked(primary, "SELECT pg_current_wal_lsn()::text")
    return asked(standby, f"SELECT pg_last_wal_replay_lsn() < '{written}'")


def dark(peer):
    """Seconds without a durable write as the client saw it, and the acknowledged rows that are lost."""
    client, killed, began = Client(peer), None, time.monotonic()
    while time.monotonic() < began + QUIET + WATCHED:
        if killed is None and time.monotonic() > began + QUIET:
            peer.kill_primary()
            killed = time.monotonic()
        client.write(killed is not None)
        if client.back is not None and time.monotonic() > client.back + 5:
            break
    if client.back is None:
        return None, None
    return client.back - client.failed, client.lost()


def partition(peer):
    """Promotions while both nodes lived, the longest time without a write, the acknowledged rows that are lost, and whether
    both nodes took writes at once."""
    client, began, seen = Client(peer), time.monotonic(), {"promotions": 0, "two": False, "cut": None}
    over = threading.Event()

    # Beside the client, which may wait for the whole partition in one write.
    def night():
        was, dark, healed = False, False, False
        while not over.wait(0.5):
            since = time.monotonic() - began - QUIET
            if not dark and since > 0:
                dark = True
                for relay in peer.relays:
                    relay.dark = True
            if not healed and since > PARTITION:
                healed = True
                try:
                    seen["cut"] = is_behind(*peer.postgres)
                except psycopg2.Error:
                    pass
                for relay in peer.relays:
                    relay.dark = False
            dublin, london = [is_writer(port) for port in peer.postgres]
            seen["promotions"] += bool(london) and not was
            seen["two"] = seen["two"] or bool(dublin and london)
            was = bool(london) if london is not None else was

    watch = threading.Thread(target=night, daemon=True)
    watch.start()
    while (now := time.monotonic()) < began + QUIET + PARTITION + AFTER:
        client.write(now > began + QUIET)
    over.set()
    watch.join()
    if not seen["promotions"] and not seen["cut"]:
        raise RuntimeError("the standby had what was written during the partition: nothing was cut")
    return seen["promotions"], client.longest, client.lost(), seen["two"]


def holdfast(program, functions, story, seed):
    """The live drill's own run of the same."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [program, story, "--seed", str(seed), "--functions", functions, "--json", file.name]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        return json.load(open(file.name))


def holdfast_dark(run):
    outage = run["waterfall"]["rto_writes_ms"]
    return outage / 1000 if outage else None, run["payments"]["lost_totals"]["count"]


def holdfast_partition(run):
    """Its clients have a front door in each Region and are sent on; no write waits for the other node."""
    return int(run["writer"] != "eu-west-1"), None, run["payments"]["lost_totals"]["count"], False


def listed(values):
    return ", ".join("-" if it is None else f"{it:.1f}" if isinstance(it, float) else str(it) for it in values)


def say_dark(name, found):
    outages = [it[0] for it in found if it[0] is not None]
    median = f"{statistics.median(outages):.1f} s" if len(outages) == len(found) else "not back"
    lost = listed([it[1] for it in found])
    print(f"{name:<18} {median:<10} {listed([it[0] for it in found]):<24} {lost}", flush=True)


def say_partition(name, found):
    columns = [listed([it[index] for it in found]) for index in range(3)]
    two = "yes" if any(it[3] for it in found) else "no"
    print(f"{name:<18} {columns[0]:<18} {two:<12} {columns[1]:<26} {columns[2]}", flush=True)


def runs_of(kind, measure, count):
    found = []
    for _ in range(count):
        place, peer = Place(), None
        try:
            peer = kind(place)
            found.append(measure(peer))
        except BaseException:
            for name in sorted(os.listdir(place.home)):
                if name.endswith(".log"):
                    print(f"--- {name}\n" + "".join(open(place.path(name)).readlines()[-8:]), file=sys.stderr)
            raise
        finally:
            place.close()
            for relay in getattr(peer, "relays", []):
                relay.close()
    return found


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--live-drill", required=True)
    arguments.add_argument("--functions", required=True)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--only", choices=["holdfast", "patroni", "pg_auto_failover"])
    arguments.add_argument("--night", choices=["dark", "partition"])
    given = arguments.parse_args()
    wanted = lambda name: given.only in (None, name)
    peers = [kind for name, kind in (("patroni", Patroni), ("pg_auto_failover", PgAutoFailover)) if wanted(name)]
    seeds = range(1, given.runs + 1)
    play = lambda story: [holdfast(given.live_drill, given.functions, story, seed) for seed in seeds]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if given.night in (None, "dark"):
        print(f"{'primary killed':<18} {'median':<10} {'each run, seconds':<24} acknowledged writes lost", flush=True)
        if wanted("holdfast"):
            say_dark("Holdfast", [holdfast_dark(run) for run in play("dublin-dark")])
        for kind in peers:
            say_dark(kind.name, runs_of(kind, dark, given.runs))
        print(flush=True)
    if given.night in (None, "partition"):
        print(f"{'43 s partition':<18} {'false promotions':<18} {'two writers':<12} {'longest without a write, s':<26} "
              "acknowledged writes lost", flush=True)
        if wanted("holdfast"):
            say_partition("Holdfast", [holdfast_partition(run) for run in play("one-observer")])
        for kind in peers:
            say_partition(kind.name, runs_of(kind, partition, given.runs))
    load = " ".join(open("/proc/loadavg").read().split()[:3])
    print(f"\nEach with its defaults, 7.5 ms one way between the nodes; load of this machine {load} on {os.cpu_count()} cores.")
    print("The drill's AWS promotion is 0, and its payments tier waits out a writer lease.")


main()
