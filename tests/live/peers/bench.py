"""Write outage of PostgreSQL's own failover managers, with their defaults, under the live drill's kill.

Each run brings up a pair of servers on this machine, writes ten rows a second through a connection string that names both,
kills the primary's whole process tree with SIGKILL, and looks at what the client saw: from the first write that failed to
the first that was durable again, and which acknowledged rows the new primary lacks.

The peers run without the drill's relay: their replication is as fast as loopback.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import psycopg2

TICK = 0.1
QUIET = 15
WATCHED = 120


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
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


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
                "restapi": {"listen": f"127.0.0.1:{self.rest[number]}", "connect_address": f"127.0.0.1:{self.rest[number]}"},
                "etcd3": {"hosts": f"127.0.0.1:{client}"},
                "bootstrap": {
                    "dcs": {},
                    "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}],
                    "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust", "local all all trust"],
                },
                "postgresql": {
                    "listen": f"127.0.0.1:{self.postgres[number]}",
                    "connect_address": f"127.0.0.1:{self.postgres[number]}",
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
        create = ["--auth", "trust", "--no-ssl", "--hostname", "127.0.0.1"]
        place.run(["pg_autoctl", "create", "monitor", "--pgdata", place.path("monitor"), "--pgport", str(monitor), *create])
        place.start("monitor", ["pg_autoctl", "run", "--pgdata", place.path("monitor")])
        self.uri = f"postgres://autoctl_node@127.0.0.1:{monitor}/pg_auto_failover"
        wait_for("pg_auto_failover's monitor", lambda: self.ask("SELECT 1") == [(1,)])
        self.nodes = []
        for number, name in enumerate(("dublin", "london")):
            place.run(["pg_autoctl", "create", "postgres", "--pgdata", place.path(name), "--pgport", str(self.postgres[number]),
                       "--name", name, "--monitor", self.uri, *create])
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


def measure(peer):
    """Seconds without a durable write as the client saw it, and the acknowledged rows that are lost."""
    connection = connect(peer)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bookings (id bigint PRIMARY KEY)")
    acknowledged, failed, back, number, killed = set(), None, None, 0, None
    began = time.monotonic()
    while time.monotonic() < began + QUIET + WATCHED:
        tick = time.monotonic()
        if killed is None and tick > began + QUIET:
            peer.kill_primary()
            killed = tick
        number += 1
        try:
            if connection is None:
                connection = connect(peer)
            with connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO bookings VALUES (%s)", (number,))
            acknowledged.add(number)
            if failed is not None and back is None:
                back = time.monotonic()
        except psycopg2.Error:
            connection = None
            if killed is not None and failed is None:
                failed = tick
        if back is not None and time.monotonic() > back + 5:
            break
        time.sleep(max(0.0, tick + TICK - time.monotonic()))
    if back is None:
        return None, None
    with connect(peer) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM bookings")
        held = {row[0] for row in cursor.fetchall()}
    return back - failed, len(acknowledged - held)


def holdfast(program, functions, runs):
    """The live drill's own measure of the same."""
    found = []
    for seed in range(1, runs + 1):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [program, "dublin-dark", "--seed", str(seed), "--functions", functions, "--json", file.name]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            run = json.load(open(file.name))
            outage = run["waterfall"]["rto_writes_ms"]
            found.append((outage / 1000 if outage else None, run["payments"]["lost_totals"]["count"], run["verdict"]))
    return found


def say(name, found):
    outages = [it[0] for it in found if it[0] is not None]
    median = f"{statistics.median(outages):.1f} s" if len(outages) == len(found) else "not back"
    each = ", ".join("not back" if it[0] is None else f"{it[0]:.1f}" for it in found)
    lost = ", ".join("unknown" if it[1] is None else str(it[1]) for it in found)
    print(f"{name:<18} {median:<10} {each:<24} {lost}", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--live-drill", required=True)
    arguments.add_argument("--functions", required=True)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--only", choices=["holdfast", "patroni", "pg_auto_failover"])
    given = arguments.parse_args()
    wanted = lambda name: given.only in (None, name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{'':<18} {'median':<10} {'each run, seconds':<24} acknowledged writes lost", flush=True)
    if wanted("holdfast"):
        say("Holdfast", holdfast(given.live_drill, given.functions, given.runs))
    for kind in [kind for name, kind in (("patroni", Patroni), ("pg_auto_failover", PgAutoFailover)) if wanted(name)]:
        found = []
        for _ in range(given.runs):
            place = Place()
            try:
                found.append(measure(kind(place)))
            except BaseException:
                for name in sorted(os.listdir(place.home)):
                    if name.endswith(".log"):
                        print(f"--- {name}\n" + "".join(open(place.path(name)).readlines()[-8:]), file=sys.stderr)
                raise
            finally:
                place.close()
        say(kind.name, found)
    print("\nEach with its defaults; the drill's AWS promotion is 0, and its payments tier waits out a writer lease.")
    print("The peers have no relay between them. A partition is not played here.")


main()
