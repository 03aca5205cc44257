# SPDX-License-Identifier: BSD-3-Clause
"""Starts, stops and kills the real binary, and reads its log.

The binary is $SEED_BINARY, by default build/seed-scheduler at the top of the checkout; $SEED_WRAPPER is a command that
runs it, such as "valgrind -q". One `Service` owns one directory
with one database; it can be started again on it after a stop or a kill. Every stop checks the exit code and that no
sanitizer complained.
"""
import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import threading
import time

from .client import Api

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SEED_BINARY") or str(ROOT / "build" / "seed-scheduler")
WRAPPER = shlex.split(os.environ.get("SEED_WRAPPER", ""))
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "Assertion")
HOOK_TOKEN = "hook-token-of-the-tests"
METRICS_USER, METRICS_PASSWORD = "metrics-user", "metrics-password"
PASSWORD = "correct horse battery staple 42"


def is_sanitized():
    """Such a binary is slow and keeps freed memory for a while: its figures of time and memory prove nothing."""
    with open(BINARY, "rb") as binary:
        text = binary.read()
    return bool(WRAPPER) or b"__asan_init" in text or b"__tsan_init" in text


class Process:
    """One run of `serve`: the child, the lines of its stderr, and a condition that tells when one arrives.

    A test of hours sets `quiet`, so that lines of the level info are forgotten from then on.
    """

    def __init__(self, command, directory, environment):
        self.lines = []
        self.quiet = False
        self.changed = threading.Condition()
        self.closed = False
        self.stdout = open(directory / "stdout", "ab")
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=subprocess.PIPE,
                                      env=environment, cwd=directory)
        self.log_path = directory / "stderr"
        self.pump = threading.Thread(target=self._pump, daemon=True)
        self.pump.start()

    def _pump(self):
        with open(self.log_path, "ab", buffering=0) as log:
            for line in self.child.stderr:
                if self.quiet and b'"level":"info"' in line:
                    continue
                log.write(line)
                with self.changed:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def wait_line(self, wanted, timeout):
        """The first log entry (parsed) for which `wanted(entry)` holds."""
        deadline, checked = time.monotonic() + timeout, 0
        with self.changed:
            while True:
                while checked < len(self.lines):
                    entry = parse(self.lines[checked])
                    checked += 1
                    if entry is not None and wanted(entry):
                        return entry
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    raise AssertionError(f"the log line did not come within {timeout} s"
                                         f" (exit {self.child.poll()}):\n" + "\n".join(self.lines[-20:]))
                self.changed.wait(left)

    def finish(self, timeout):
        code = self.child.wait(timeout)
        self.pump.join(timeout)
        self.stdout.close()
        self.child.stderr.close()
        return code


def parse(line):
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def split_address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Service:
    """The service on its own directory."""

    def __init__(self, *options, directory=None, egress=("127.0.0.0/8",), auth_failures=0, metrics=False, env=None,
                 binary=None):
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="seed-test-")
        self.directory = pathlib.Path(directory or self._temporary.name)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.database_path = self.directory / "scheduler.db"
        self.database = f"sqlite:{self.database_path}"
        self.egress = tuple(egress)
        self.auth_failures = auth_failures
        self.metrics = metrics
        self.options = list(options)
        self.binary = str(binary or BINARY)
        self.environment = {**os.environ, "HOOK_AUTH_TOKEN": HOOK_TOKEN, **(env or {})}
        self.process = None
        self.address = None
        self.metrics_address = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process:
                self.kill() if kind else self.stop()
        finally:
            if self._temporary:
                self._temporary.cleanup()

    # ---- the command line ----

    def command(self, *more):
        command = [*WRAPPER, self.binary, "serve", "--listen", "127.0.0.1:0", "--database", self.database]
        for network in self.egress:
            command += ["--egress-allow", network]
        if self.auth_failures is not None:
            command += ["--auth-failures-per-minute", str(self.auth_failures)]
        if self.metrics:
            command += ["--metrics-listen", "127.0.0.1:0"]
        return command + self.options + list(more)

    def cli(self, *arguments, stdin=None, timeout=60, check=False):
        """Runs `seed-scheduler <arguments> --database URL`; the result has returncode, stdout and stderr (text)."""
        result = subprocess.run([*WRAPPER, self.binary, *arguments, "--database", self.database], input=stdin, text=True,
                                stdin=subprocess.DEVNULL if stdin is None else None, timeout=timeout,
                                capture_output=True, env=self.environment, cwd=self.directory)
        for word in SANITIZER_WORDS:
            assert word not in result.stderr, result.stderr
        if check:
            assert result.returncode == 0, (arguments, result)
        return result

    def create_user(self, name, email=None, admin=False, password=None):
        """Makes a user with the command line and returns a token of theirs."""
        arguments = ["user", "create", name, "--email", email or f"{name}@example.org"]
        if admin:
            arguments.append("--admin")
        if password is not None:
            path = self.directory / f"password-{name}"
            path.write_text(password)
            path.chmod(0o600)
            arguments += ["--password-file", str(path)]
        self.cli(*arguments, check=True)
        return self.create_token(name)

    def create_token(self, name):
        return self.cli("token", "create", name, check=True).stdout.strip()

    # ---- the process ----

    def spawn(self, *more, env=None):
        """Starts the process without waiting for it. `env`: for this one alone."""
        assert self.process is None, "already started"
        self.process = Process(self.command(*more), self.directory, {**self.environment, **(env or {})})

    def wait_ready(self, timeout=30):
        ready = self.process.wait_line(lambda entry: entry.get("event") == "ready", timeout)
        self.address = split_address(ready["listen"])
        if self.metrics:
            self.metrics_address = split_address(ready["metrics_listen"])

    def start(self, *more, timeout=30):
        self.spawn(*more)
        try:
            self.wait_ready(timeout)
        except AssertionError:
            self.process.child.kill()
            self.process.finish(10)
            self.process = None
            raise
        return self

    @property
    def pid(self):
        return self.process.child.pid

    def _complaints(self):
        return [line for line in self.process.lines if any(word in line for word in SANITIZER_WORDS)]

    def ended(self, timeout):
        """Waits for an end that somebody else asked for, and returns the exit code."""
        process = self.process
        code = process.finish(timeout)
        complaints = self._complaints()
        self.process = None
        assert not complaints, "\n".join(process.lines[-60:])
        return code

    def stop(self, timeout=45):
        """SIGTERM, a drained end and exit code 0."""
        self.process.child.send_signal(signal.SIGTERM)
        tail = self.process.lines
        try:
            code = self.ended(timeout)
        except subprocess.TimeoutExpired:
            self.process.child.kill()
            self.ended(10)
            raise AssertionError(f"SIGTERM did not end the service within {timeout} s:\n" + "\n".join(tail[-20:]))
        assert code == 0, f"exit code {code}:\n" + "\n".join(tail[-20:])

    def kill(self):
        """SIGKILL. A process that was already gone had crashed, and that is a failure."""
        early = self.process.child.poll()
        tail = self.process.lines
        self.process.child.kill()
        self.ended(10)
        assert early is None, f"the service had ended by itself with {early}:\n" + "\n".join(tail[-40:])

    def restart(self, *more):
        if self.process:
            self.stop()
        return self.start(*more)

    def api(self, token=None, source=None):
        return Api(self.address, token, source)

    def metrics_api(self, token=None):
        return Api(self.metrics_address or self.address, token)

    def metric(self, name):
        """The present value of one series of /metrics; None when there is no such one."""
        api = self.metrics_api()
        try:
            for line in api.get("/metrics").body.decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.rsplit(" ", 1)[1])
        finally:
            api.close()
        return None

    def log(self):
        """All log entries of the present process that are JSON objects."""
        with self.process.changed:
            return [entry for entry in map(parse, self.process.lines) if entry is not None]

    def log_text(self):
        return (self.directory / "stderr").read_text("utf-8", "replace")
