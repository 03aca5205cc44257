#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fails one sync or write call of the service after the other, and proves what it does then.

    python3 tests/fault/disk_errors.py --calls 500 [--parallel 2]

Each trial makes a database, starts the service, lets a client make one-shots, and stops; in it the n-th call of one
kind on the database, its log, its shared memory, its key or its reserve fails. Two sweeps:
  - sync: the n-th fsync or fdatasync fails with EIO, and what was written since the last one is lost, as a kernel may do.
    The process syncs nothing again, acknowledges nothing that depends on it, ends with code 74 (1 before it serves), and
    the next start has every acknowledged write. A sync that fails while a finished program closes its database costs
    nothing: the log is kept;
  - write: the n-th pwrite fails (EIO, ENOSPC, EDQUOT, EROFS) or is cut short or interrupted. No crash; writes are answered
    201 or 503; what was answered 503 never happened, what was answered 201 is there and is delivered exactly once, and
    the next writes go in again.
"""
import argparse
import collections
import concurrent.futures
import errno
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from fault.iofault import CUTS, LOSES, Faults   # noqa: E402
from harness.receiver import Receiver           # noqa: E402
from harness.service import Service             # noqa: E402
from harness.wait import until                  # noqa: E402

FILES = "*/scheduler.db*"
PAST = "2020-01-01T00:00:00Z"
PAYLOAD = "x" * 60_000      # fifteen pages, so that the log is copied back within the first few hundred syncs
NEW_SYNCS = 3               # of a new database before it has a log; SQLite's undoing of it may sync, and nothing is lost
WRITES_MAX = 400
WRITES_AFTER = 5            # so many more after the fault
WRITES_LAST = 9000          # the last write call that is tried
WRITE_FAULTS = ((errno.EIO, 0), (errno.ENOSPC, 0), (0, CUTS), (errno.EDQUOT, 0), (errno.EINTR, 0), (errno.EROFS, 0))


class Trial:
    """One run of the service with one fault; `problems` says what was not as promised."""

    def __init__(self, call, number, error, flags):
        self.name = f"{call} {number} ({errno.errorcode.get(error, 'short')})"
        self.call, self.number, self.error, self.flags = call, number, error, flags
        self.is_sync = call == "fsync"
        self.problems, self.acknowledged, self.refused = [], {}, []
        self.hit_in = "nothing"

    def complain(self, text):
        self.problems.append(f"{self.name}, hit in {self.hit_in}: {text}")

    def command(self, service, *words):
        """A command of the program; the fault may make it fail once, with words about it."""
        for _ in range(2):
            result = service.cli(*words)
            if result.returncode == 0 or (self.hit_in == "setup" and "exists" in result.stderr):
                if self.hit_in == "nothing" and self.rule.hit:
                    self.check_no_second_sync("closing")
                    self.faults.disarm()
                return result.stdout.strip()
            if not self.rule.hit or result.returncode not in (1, 74) or not result.stderr.strip():
                self.complain(f"{words} ended with {result.returncode}: {result.stderr}")
            self.check_no_second_sync("setup", 1 if self.number <= NEW_SYNCS else 0)
            self.faults.disarm()
        self.complain(f"{words} failed without a fault: {result}")
        return ""

    def check_no_second_sync(self, where, allowed=0):
        self.hit_in = where
        if self.is_sync and self.rule.again > allowed:
            self.complain(f"the file was synced {self.rule.again} times after the failed sync")

    def start(self, service):
        try:
            service.start()
            return
        except AssertionError as refusal:
            self.check_no_second_sync("start")
            if not self.rule.hit or not re.search('"event":"(start|store)_failed"', str(refusal)):
                self.complain(f"no start: {refusal}")
        self.faults.disarm()
        service.start()

    def write(self, api, url, count):
        path = f"/{count}"
        try:
            answer = api.post("/api/v1/schedule/", {"endpoint": url(path), "next_send_at": PAST, "payload": PAYLOAD})
        except (OSError, EOFError):
            return None
        if answer.status == 201:
            self.acknowledged[path] = answer.json()["id"]
        elif answer.status in (503, 507):
            self.refused.append(path)
        else:
            self.complain(f"{path} was answered {answer}")
        return answer.status

    def load(self, service, token, url):
        """Writes until the fault was met, and a little longer. True: the process lives."""
        api, after = service.api(token), 0
        for count in range(WRITES_MAX):
            after += self.hit_in != "nothing" or self.rule.hit > 0
            if after > WRITES_AFTER:
                break
            if self.write(api, url, count) is None:
                return False
        api.close()
        return service.process.child.poll() is None

    def serve(self, service, token, url):
        lives = self.load(service, token, url)
        if self.hit_in == "nothing" and self.rule.hit:
            self.hit_in = "serving"
        if self.hit_in == "serving" and self.is_sync:
            code = service.ended(10)
            if code != 74:
                self.complain(f"ended with {code}")
            self.check_no_second_sync("serving")
            self.faults.disarm()
            service.start()
        elif not lives:
            self.complain(f"the process ended with {service.ended(10)}")
            service.start()
        self.faults.disarm()

    def verify(self, service, token, receiver):
        api = service.api(token)
        until(lambda: self.write(api, receiver.url, "last") == 201, timeout=2, what="a write after the fault")
        for path, identity in self.acknowledged.items():
            if api.get(f"/api/v1/schedule/{identity}/").status != 200:
                self.complain(f"{path} was acknowledged and is not there")
        api.close()
        arrived = collections.defaultdict(list)
        wanted = set(self.acknowledged)
        deadline = time.monotonic() + 15
        while not wanted <= {request.path for request in receiver.seen()} and time.monotonic() < deadline:
            with receiver.changed:
                receiver.changed.wait(0.2)
        service.stop()
        for request in receiver.seen():
            arrived[request.path].append(request.run_id)
        for path in wanted - set(arrived):
            self.complain(f"{path} was acknowledged and never delivered")
        for path, runs in arrived.items():
            if len(set(runs)) != 1 or (len(runs) > 1 and not self.is_sync):
                self.complain(f"{path} arrived {len(runs)} times as {set(runs)}")
        for path in set(self.refused) & set(arrived) - wanted:
            self.complain(f"{path} was refused and yet delivered")
        proof = service.cli("check")
        if proof.returncode:
            self.complain(f"check: {proof.stdout}{proof.stderr}")

    def run(self):
        with tempfile.TemporaryDirectory(prefix="seed-fault-") as directory, Receiver() as receiver:
            self.faults = Faults(directory)
            self.rule = self.faults.arm(self.call, FILES, self.number, error=self.error, flags=self.flags)
            with Service(directory=pathlib.Path(directory) / "service", env=self.faults.environment) as service:
                try:
                    self.command(service, "user", "create", "a", "--email", "a@example.org", "--admin")
                    token = self.command(service, "token", "create", "a")
                    self.start(service)
                    self.serve(service, token, receiver.url)
                    self.verify(service, token, receiver)
                except (AssertionError, subprocess.TimeoutExpired) as problem:
                    self.complain(str(problem)[:2000] + "\n" + service.log_text()[-2000:])
                    if service.process:
                        service.process.child.kill()
                        service.process.finish(10)
                        service.process = None
        return self


def trials(calls):
    """Every sync; of the writes, the first half one by one and the rest spread over a whole life of the log."""
    for number in range(1, calls + 1):
        yield Trial("fsync", number, errno.EIO, LOSES)
    dense = (calls + 1) // 2
    step = max(1, (WRITES_LAST - dense) // max(1, calls - dense))
    numbers = list(range(1, dense + 1)) + list(range(dense + step, WRITES_LAST, step))[:calls - dense]
    for index, number in enumerate(numbers):
        yield Trial("pwrite", number, *WRITE_FAULTS[index % len(WRITE_FAULTS)])


def run(chosen, parallel=1, say=lambda text: print(text, file=sys.stderr)):
    """Returns (counts of what was tried, problems)."""
    tried, problems = collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        for count, trial in enumerate(pool.map(Trial.run, chosen), 1):
            tried[f"{'sync' if trial.is_sync else 'write'}_in_{trial.hit_in}"] += 1
            tried["acknowledged"] += len(trial.acknowledged)
            tried["refused"] += len(trial.refused)
            problems += trial.problems
            for problem in trial.problems:
                say(f"PROBLEM: {problem}")
            if count % 50 == 0:
                say(f"disk_errors: {count} trials, {len(problems)} problems, {dict(tried)}")
    return tried, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--parallel", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    tried, problems = run(trials(options.calls), options.parallel)
    is_void = tried["sync_in_serving"] + tried["write_in_serving"] < options.calls or not tried["refused"]
    if is_void:
        print("disk_errors: void, too few faults were met while serving", file=sys.stderr)
    held = not problems and not is_void
    found = {"problems": len(problems), "seconds": round(time.monotonic() - began)}
    print("proof: " + json.dumps({"part": "disk_errors", "tried": dict(tried), "found": found, "held": held}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
