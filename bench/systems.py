# SPDX-License-Identifier: BSD-3-Clause
"""The systems that are measured: ours, and peers that people use today. All do the same work into the same receiver.

A system is started with `start(endpoint)`, told its work with `add_burst(n, at)` (n deliveries, all due at the instant
`at`) or `add_steady(rate, seconds)` (which returns when its steady state begins), and stopped. `roots` are the pids of
its process trees: what it costs is counted over all of them, database and broker included. `delivered()` is how many it
believes it has delivered, where it keeps count.
"""
import datetime
import json
import os
import pathlib
import subprocess
import time

import load
from measure import BUILD, ROOT, Folder, Refused, stop

PAYLOAD_TEXT = "x" * 150  # a request body of about 200 bytes
STEADY_LEAD_S = 5


def iso(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Seed:
    name = "seed-scheduler"
    whole_minutes = False
    told_per_s = 4000  # at least so many schedules a second are created: for the lead of a burst
    settings = "SQLite, WAL, synchronous=FULL; one process"

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
        self.endpoint = endpoint
        if not (self.folder.path / "scheduler.db").exists():
            self.command("user", "create", "bench", "--email", "bench@example.org", "--admin")
            self.token = self.command("token", "create", "bench").strip()
        log = self.folder.path / "log"
        self.process = subprocess.Popen(
            [
                self.binary,
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database",
                self.database,
                "--egress-allow",
                "127.0.0.0/8",
                "--log-level",
                "warn",
                *self.options,
            ],
            stderr=open(log, "wb"),
            stdout=subprocess.DEVNULL,
        )
        self.port = self._port()

    def _port(self):
        """The kernel knows where it listens; with few log lines the service does not say."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            inodes = set()
            for fd in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
                try:
                    target = os.readlink(fd)
                except OSError:
                    continue
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
            for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    return int(fields[1].split(":")[1], 16)
            if self.process.poll() is not None:
                raise Refused("the service did not start: " + (self.folder.path / "log").read_text()[-300:])
            time.sleep(0.005)
        raise Refused("the service does not listen")

    @property
    def roots(self):
        return [self.process.pid]

    def body(self, n, **timing):
        return {"endpoint": self.endpoint, "payload": {"n": n, "text": PAYLOAD_TEXT}, "auth_token": "bench-token", **timing}

    def add_burst(self, n, at):
        load.create(self.port, self.token, (self.body(i, next_send_at=iso(at)) for i in range(n)))

    def add_steady(self, rate, seconds):
        """One schedule of one second for each delivery a second; made at that pace, so that they spread over the second."""
        pace = rate if rate <= 5000 else 5000
        load.create(self.port, self.token, (self.body(i, interval_definition="1 seconds") for i in range(rate)), rate=pace)
        time.sleep(2)
        return time.time()

    def delivered(self):
        """By the database's own sum; the service must have stopped."""
        lines = self.command("check").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("delivered")))

    def stop(self):
        stop(self.process, 60)

    def remove(self):
        self.folder.remove()


# --- peers -----------------------------------------------------------------------------------------------------


class Postgres:
    """A private cluster on a Unix socket, durable as installed, with room in memory."""

    def __init__(self, folder):
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None)
        if not self.bin:
            raise Refused("PostgreSQL is not installed")
        self.socket_dir, self.data = folder.path, folder.path / "pg"
        self.data.mkdir()
        self.as_user = []
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres", str(folder.path)], check=True)
            self.as_user = ["runuser", "-u", "postgres", "--"]
        subprocess.run(
            [*self.as_user, str(self.bin / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "bench"],
            check=True,
            capture_output=True,
        )
        self.process = subprocess.Popen(
            [
                *self.as_user,
                str(self.bin / "postgres"),
                "-D",
                str(self.data),
                "-k",
                str(self.socket_dir),
                "-c",
                "listen_addresses=",
                "-c",
                "shared_buffers=512MB",
                "-c",
                "max_wal_size=4GB",
                "-c",
                "max_connections=200",
            ],
            stdout=subprocess.DEVNULL,
            stderr=open(folder.path / "pg.log", "wb"),
        )
        for _ in range(200):
            if (
                subprocess.run(
                    [str(self.bin / "psql"), "-h", str(self.socket_dir), "-U", "bench", "-d", "postgres", "-c", "select 1"],
                    capture_output=True,
                ).returncode
                == 0
            ):
                break
            time.sleep(0.1)
        else:
            raise Refused("PostgreSQL did not start: " + (folder.path / "pg.log").read_text()[-300:])

    def stop(self):
        pid = (self.data / "postmaster.pid").read_text().split()[0]
        os.kill(int(pid), 2)  # fast shutdown
        self.process.wait(60)


class Redis:
    def __init__(self, folder):
        self.socket = folder.path / "redis.sock"
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                "0",
                "--unixsocket",
                str(self.socket),
                "--save",
                "",
                "--appendonly",
                "yes",
                "--dir",
                str(folder.path),
            ],
            stdout=open(folder.path / "redis.log", "wb"),
        )
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
        self.open_stores = [kinds[kind](self.folder) for kind in self.stores]
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
        self.workers = [self.spawn(words) for words in self.worker_commands()]
        time.sleep(3)

    def spawn(self, words):
        log = open(self.folder.path / f"worker{len(self.workers)}.log", "ab")
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
        return begins + 1

    def delivered(self):
        return None

    def stop(self):
        while self.workers:
            stop(self.workers.pop(), 10)
        while self.open_stores:
            self.open_stores.pop().stop()

    def remove(self):
        self.folder.remove()


class NodePeer(Peer):
    def cwd(self):
        """npm's packages are installed once, beside the build."""
        folder = BUILD / "node"
        folder.mkdir(parents=True, exist_ok=True)
        for source in (ROOT / "bench" / "peers").glob("*.*"):
            target = folder / source.name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.write_bytes(source.read_bytes())
                if source.name == "package.json":
                    subprocess.run(
                        ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
                        cwd=folder,
                        check=True,
                        capture_output=True,
                    )
        return folder

    def program(self):
        return ["node", f"{self.script}.mjs"]

    @property
    def settings(self):
        versions = json.loads((ROOT / "bench" / "peers" / "package.json").read_text())["dependencies"]
        return f"{versions[self.name]}; {self.workers_n} Node.js processes, {' and '.join(self.stores)}; {self.tuning}"


class GraphileWorker(NodePeer):
    name, script, stores = "graphile-worker", "graphile_worker", ("postgres",)
    tuning = "local queue of 500, batched completion, 100 jobs at a time"


class PgBoss(NodePeer):
    name, script, stores = "pg-boss", "pg_boss", ("postgres",)
    tuning = "batches of 500, four pollers a process"


class BullMq(NodePeer):
    name, script, stores = "bullmq", "bullmq", ("redis",)
    told_per_s = 1500
    tuning = "one job scheduler for each, 200 jobs at a time, append-only file"


class Celery(Peer):
    """The design that our API comes from: beat fires one periodic task for a cron, which reads its schedules from the
    database and queues one task for each."""

    name, stores = "celery", ("postgres", "redis")
    whole_minutes = True
    settings = "Debian's Celery, django-celery-beat, Django; beat and 4 prefork workers, postgres and redis"

    def cwd(self):
        return ROOT / "bench" / "peers" / "django"

    def program(self):
        return ["/usr/bin/python3", "tell.py"]

    def worker_commands(self):
        celery = ["/usr/bin/python3", "-m", "celery", "-A", "project"]
        return [
            [*celery, "worker", "-c", "4", "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"],
            [
                *celery,
                "beat",
                "-l",
                "WARNING",
                "--max-interval",
                "1",
                "-S",
                "django_celery_beat.schedulers:DatabaseScheduler",
                "--pidfile=",
            ],
        ]

    def add_steady(self, rate, seconds):
        self.tell("steady", rate)
        time.sleep(12)
        return time.time()


PEERS = {peer.name: peer for peer in (Celery, GraphileWorker, PgBoss, BullMq)}
