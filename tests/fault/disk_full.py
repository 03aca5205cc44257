#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fills the disk under a working service, again and again, and proves that it stops what it must and loses nothing.

    python3 tests/fault/disk_full.py --rounds 200 [--kinds space,size] [--seed N]

Two kinds: `space` has the database on a tmpfs of 16 MiB (root mounts it) that another file fills, once or with whatever
becomes free; `size` sets the process's file size limit below the length of its files. In each round the load goes on,
room runs out at a random moment, /readyz must say so, and after a random while the room comes back. Some rounds kill the
service on the full disk. Held to:
  - writes are answered 201 or 503, the process never ends by itself, every 201 is delivered, every occurrence once;
  - while the room is gone nothing new is sent, from a moment after the service noticed it;
  - a request that arrived some time before a kill on a full disk is not repeated: its result was recorded in the room of
    the reserve (a file size limit below the files' length leaves none: there it is what arrived before the limit);
  - within 2 s of the room's return the service takes writes and delivers, and a second later it is ready;
  - the service's own count and `seed-scheduler check` agree at the end.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in (TESTS, TESTS / "e2e"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import crash                            # noqa: E402
from harness.service import Service     # noqa: E402
from harness.wait import until          # noqa: E402

DISK = "16m"
ROUNDS_PER_TRIAL = 25
KILL_SHARE = 0.12
QUIET_S = 0.5       # so long after the service was not ready, what was on its way has arrived
RESUME_S = 2.0
READY_AFTER_S = 1.0     # the probe of the disk comes once a second
PAGE = 4096
LEFT_BYTES = 6 << 20


class Space:
    """A small disk, and the file that fills it. `greedy` takes what becomes free, too; else less than the reserve is left."""

    def __init__(self, directory):
        self.mount = directory / "disk"
        self.mount.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.mount], check=True)
        self.folder = self.mount / "database"
        self.reserve = self.folder / "scheduler.db.reserve"
        self.filler = self.mount / "filler"
        self.is_over = threading.Event()
        self.thread = None

    def close(self):
        subprocess.run(["umount", self.mount], check=True)

    def _take_all(self, greedy):
        """Unless greedy, the reserve is the service's, also when it gives it up in the middle of this."""
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, PAGE):
                try:
                    while (greedy or self.reserve.exists()) and file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def _stay_greedy(self):
        while not self.is_over.wait(0.01):
            self._take_all(greedy=True)

    def fill(self, service, greedy):
        self._take_all(greedy)
        self.is_over.clear()
        self.thread = threading.Thread(target=self._stay_greedy) if greedy else None
        if self.thread:
            self.thread.start()

    def hold(self):
        """The service has given up its reserve and cut its log: it may not find the room for another."""
        with open(self.filler, "ab", buffering=0) as file:
            while not self.thread and os.statvfs(self.mount).f_bavail * PAGE > LEFT_BYTES:
                file.write(bytes(PAGE))

    def free(self, service):
        if self.thread:
            self.is_over.set()
            self.thread.join()
        self.filler.unlink()


class Size:
    """The file size limit of the process; each of its files counts by itself."""

    def __init__(self, directory):
        self.folder = directory / "database"

    def close(self):
        pass

    def fill(self, service, greedy):
        longest = (self.folder / ("scheduler.db-wal" if greedy else "scheduler.db")).stat().st_size
        limit = random.randrange(0, longest + 1, PAGE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def hold(self):
        pass

    def free(self, service):
        if service.process:
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


KINDS = {"space": Space, "size": Size}


class Round:
    """When the room was gone and when it came back, by the wall clock; and what was seen of the service."""

    def __init__(self, greedy, is_killed):
        self.greedy, self.is_killed = greedy, is_killed
        self.filled_at = self.ill_at = self.freed_at = self.killed_at = None
        self.took_writes_s = self.ready_s = None


def readiness(service):
    api = service.api()
    try:
        answer = api.get("/readyz/")
        return answer.status, answer.json().get("reason", "")
    finally:
        api.close()


def is_told_full(service):
    status, reason = readiness(service)
    return status == 503 and "full" in reason


def takes_writes(service, token, base):
    api = service.api(token)
    try:
        return api.post("/api/v1/schedule/", {"endpoint": base + "/off", "enabled": False}).status == 201
    finally:
        api.close()


def play(entry, service, disk, token, receiver, up, chance):
    """One round."""
    time.sleep(chance.uniform(0.05, 0.5))
    entry.filled_at = time.time()
    disk.fill(service, entry.greedy)
    until(lambda: is_told_full(service), timeout=10, what="/readyz to tell of the full disk")
    disk.hold()
    entry.ill_at = time.time()
    time.sleep(chance.uniform(0.1, 0.6) + QUIET_S)
    if entry.is_killed:
        up.clear()
        entry.killed_at = time.time()
        service.kill()
    log_bytes = receiver.log.stat().st_size
    disk.free(service)
    entry.freed_at = time.time()
    if entry.is_killed:
        service.start(timeout=60)
        up.set()
        return
    until(lambda: takes_writes(service, token, receiver.base), timeout=20, what="a write to be taken")
    entry.took_writes_s = time.time() - entry.freed_at
    until(lambda: receiver.log.stat().st_size > log_bytes, timeout=20, what="a delivery")
    until(lambda: readiness(service)[0] == 200, timeout=20, what="the service to be ready")
    entry.ready_s = time.time() - entry.freed_at


def check_silence(rounds, requests, problems):
    """Nothing is sent while the room is gone."""
    instants = sorted(request["at"] for request in requests)
    for entry in rounds:
        sent = [at for at in instants if entry.ill_at + QUIET_S < at < (entry.killed_at or entry.freed_at)]
        if sent:
            problems.append(f"{len(sent)} requests on a full disk, the first {sent[0] - entry.ill_at:.3f} s after"
                            " the service knew of it")


def check_repeats(kind, rounds, requests, problems):
    """A repeat needs a kill that came before its result can have been written. Returns the number of repeats."""
    kills = [(entry.killed_at if kind == "space" else entry.filled_at, entry.killed_at) for entry in rounds
             if entry.is_killed]
    repeats = crash.repeats_of(requests)
    problems += [f"run {run} arrived at {earlier} and again at {later}; kills {kills}" for run, earlier, later in repeats
                 if not any(earlier - 0.05 <= kill <= later and unwritten - earlier < QUIET_S for unwritten, kill in kills)]
    return len(repeats)


def check_resumption(rounds, requests, problems, resume_s):
    """Returns the longest waits of writes, deliveries and readiness."""
    instants = sorted(request["at"] for request in requests)
    longest = {"write_s": 0.0, "delivery_s": 0.0, "ready_s": 0.0}
    for entry in rounds:
        if entry.is_killed:
            continue
        delivery = next((at - entry.freed_at for at in instants if at > entry.freed_at), 99.0)
        for name, waited in (("write_s", entry.took_writes_s), ("delivery_s", delivery), ("ready_s", entry.ready_s)):
            longest[name] = max(longest[name], round(waited, 3))
            if waited > resume_s + (READY_AFTER_S if name == "ready_s" else 0):
                problems.append(f"{name}: {waited:.3f} s after the room came back")
    return longest


def drive(kind, rounds, chance, directory, receiver, tried, problems):
    """One trial on one database; returns what is needed to judge it."""
    up, played = threading.Event(), []
    disk = KINDS[kind](directory)
    try:
        with Service(directory=directory / "service") as service:
            service.database_path = disk.folder / "scheduler.db"
            service.database = f"sqlite:{service.database_path}"
            token = service.create_user("full", admin=True)
            service.start()
            up.set()
            api = service.api(token)
            schedules = [api.create(endpoint=f"{receiver.base}/interval/{n}", interval_definition="1 seconds", payload=n)
                         for n in range(crash.INTERVALS)]
            api.close()
            writers = [crash.Writer(n, chance.random(), service, up, token, receiver.base)
                       for n in range(crash.WRITERS)]
            for writer in writers:
                writer.start()
            for _ in range(rounds):
                is_killed = chance.random() < KILL_SHARE
                played.append(Round(chance.random() < 0.5 and not is_killed, is_killed))
                play(played[-1], service, disk, token, receiver, up, chance)
            for writer in writers:
                writer.stopping.set()
            for writer in writers:
                writer.join(30)
                problems += writer.refused
                tried["acknowledged"] += len(writer.acknowledged)
            finals = crash.settle(service, token, receiver, writers, schedules)
            service.stop()
            proof = service.cli("check")
            if proof.returncode:
                problems.append(f"check: {proof.stdout}{proof.stderr}")
    finally:
        disk.close()
    return played, [entry for writer in writers for entry in writer.acknowledged], finals


def run(kind, rounds, seed, directory, resume_s=RESUME_S, say=lambda text: print(text, file=sys.stderr)):
    """One trial; returns (counts of what was tried, figures, problems)."""
    tried, problems = collections.Counter(), []
    receiver = crash.Receiver(directory)
    try:
        played, acknowledged, finals = drive(kind, rounds, random.Random(seed), directory, receiver, tried, problems)
        requests = receiver.requests()
    finally:
        receiver.stop()
    crash.check_one_shots(acknowledged, requests, problems)
    crash.check_intervals(finals, requests, problems)
    crash.check_occurrences(requests, problems)
    check_silence(played, requests, problems)
    figures = check_resumption(played, requests, problems, resume_s)
    figures["repeats"] = check_repeats(kind, played, requests, problems)
    tried.update({f"{kind}_rounds": len(played), "kills": sum(entry.is_killed for entry in played),
                  "requests": len(requests)})
    say(f"disk_full: {kind}, seed {seed}: {dict(tried)}, {figures}, {len(problems)} problems")
    if len(requests) < 3 * rounds or len(acknowledged) < rounds:
        problems.append("void: too little load between the rounds")
    return tried, figures, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="of each kind")
    parser.add_argument("--kinds", default="space,size")
    parser.add_argument("--resume-max", type=float, default=RESUME_S, help="seconds; more on a busy machine")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # the disk is unmounted on the way out
    tried, found, problems = collections.Counter(), {"seed": options.seed}, []
    for kind in options.kinds.split(","):
        for first in range(0, options.rounds, ROUNDS_PER_TRIAL):
            rounds = min(ROUNDS_PER_TRIAL, options.rounds - first)
            seed = f"{options.seed}/{kind}/{first}"
            with tempfile.TemporaryDirectory(prefix="seed-full-") as directory:
                try:
                    counts, figures, wrong = run(kind, rounds, seed, pathlib.Path(directory), options.resume_max)
                except AssertionError as problem:
                    counts, figures, wrong = {}, {}, [f"{seed}: {problem}"]
            tried.update(counts)
            for name, value in figures.items():
                found[name] = found.get(name, 0) + value if name == "repeats" else max(found.get(name, 0), value)
            for problem in wrong[:20]:
                print(f"PROBLEM: {problem}", file=sys.stderr)
            problems += wrong
    found["problems"] = len(problems)
    print("proof: " + json.dumps({"part": "disk_full", "tried": dict(tried), "found": found, "held": not problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
