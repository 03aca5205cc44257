#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Backs a working service up as its manual page says, loses the database, restores it, and proves what that may cost.

    python3 tests/fault/backup.py --rounds 30 [--seed N]

Each round takes a backup under load (sqlite3's VACUUM INTO, and `seed-scheduler check` on the copy), lets the load go on,
stops or kills the service, removes its database files and puts the copy there. Held to:
  - what was acknowledged before a backup began is there after the restore, and is delivered;
  - one occurrence has one run id and one body, before and after, and interval occurrences have no gap;
  - a run arrives a second time only if a restore lies between and its first arrival was not long enough before the backup
    to be in it;
  - `seed-scheduler check` holds for every copy and at the end.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in (TESTS, TESTS / "e2e"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import crash                                    # noqa: E402
from harness.service import BINARY, Service     # noqa: E402

RECORDED_S = 1.0        # an arrival is on record within this time, also on a busy machine


def back_up(service, copy, problems):
    """As in seed-scheduler(8), BACKUP."""
    subprocess.run(["sqlite3", "-readonly", service.database_path, f"VACUUM INTO '{copy}'"], check=True, timeout=60)
    proof = subprocess.run([BINARY, "check", "--database", f"sqlite:{copy}"], capture_output=True, text=True, timeout=60)
    if proof.returncode:
        problems.append(f"check of a copy: {proof.stdout}{proof.stderr}")


def restore(service, copy):
    for ending in ("", "-wal", "-shm"):
        pathlib.Path(f"{service.database_path}{ending}").unlink(missing_ok=True)
    service.database_path.write_bytes(copy.read_bytes())
    service.database_path.chmod(0o600)


def play(service, writers, up, chance, copy, problems):
    """One round; returns when the backup began and when the service was started on it."""
    time.sleep(chance.uniform(0.3, 1.2))
    kept = [len(writer.acknowledged) for writer in writers]
    began = time.time()
    back_up(service, copy, problems)
    time.sleep(chance.uniform(0.2, 1.2))
    up.clear()
    service.kill() if chance.random() < 0.5 else service.stop()
    time.sleep(0.3)     # a writer may still be reading its last answer
    for writer, count in zip(writers, kept):
        del writer.acknowledged[count:]     # the loss that a restore means
    restore(service, copy)
    restored = time.time()
    service.start(timeout=60)
    up.set()
    return began, restored


def check_repeats(gaps, requests, problems):
    """A run that a copy does not know to be over is sent again. Returns the number of repeats."""
    repeats = crash.repeats_of(requests)
    problems += [f"run {run} arrived at {earlier} and again at {later}, restores {gaps}" for run, earlier, later in repeats
                 if not any(began - RECORDED_S < earlier < restored < later for began, restored in gaps)]
    return len(repeats)


def run(rounds, seed, directory, say=lambda text: print(text, file=sys.stderr)):
    """One trial; returns (counts of what was tried, figures, problems)."""
    chance, problems, up, gaps = random.Random(seed), [], threading.Event(), []
    receiver = crash.Receiver(directory)
    try:
        with Service(directory=directory / "service") as service:
            token = service.create_user("backup", admin=True)
            service.start()
            up.set()
            api = service.api(token)
            schedules = [api.create(endpoint=f"{receiver.base}/interval/{n}", interval_definition="1 seconds", payload=n)
                         for n in range(crash.INTERVALS)]
            api.close()
            writers = [crash.Writer(n, seed, service, up, token, receiver.base) for n in range(crash.WRITERS)]
            for writer in writers:
                writer.start()
            for number in range(rounds):
                gaps.append(play(service, writers, up, chance, directory / f"copy-{number}.db", problems))
                say(f"backup: {number + 1} of {rounds} rounds, {len(problems)} problems")
            for writer in writers:
                writer.stopping.set()
            for writer in writers:
                writer.join(30)
                problems += writer.refused
            finals = crash.settle(service, token, receiver, writers, schedules)
            service.stop()
            proof = service.cli("check")
            if proof.returncode:
                problems.append(f"check: {proof.stdout}{proof.stderr}")
            requests = receiver.requests()
    finally:
        receiver.stop()
    acknowledged = [entry for writer in writers for entry in writer.acknowledged]
    crash.check_one_shots(acknowledged, requests, problems)
    crash.check_intervals(finals, requests, problems)
    crash.check_occurrences(requests, problems)
    figures = {"repeats": check_repeats(gaps, requests, problems)}
    tried = {"rounds": rounds, "acknowledged": len(acknowledged), "requests": len(requests)}
    if len(requests) < 5 * rounds or len(acknowledged) < rounds:
        problems.append("void: too little load between the rounds")
    return tried, figures, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seed-backup-") as directory:
        tried, found, problems = run(options.rounds, options.seed, pathlib.Path(directory))
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    found.update(seed=options.seed, problems=len(problems))
    print("proof: " + json.dumps({"part": "backup", "tried": tried, "found": found, "held": not problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
