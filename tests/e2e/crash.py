#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Kills the service at random moments while schedules are made and fired, then proves that nothing was lost or doubled.

    python3 tests/e2e/crash.py --kills 50 [--seed N]

A receiver in a process of its own writes down every request. Two threads create one-shots all the time; a few
schedules fire every second. After the last kill an oracle that knows only the acknowledged writes, the instants of the
kills and the receiver's log checks promises P1-P6:
  - every acknowledged one-shot was delivered, at the instant that was asked for, never early;
  - every interval occurrence from the first to the last was delivered, on its grid, without a gap;
  - one occurrence has one run id and one body, and one run id one occurrence;
  - a second request of a run follows a kill, and only when the first was on the wire just before that kill;
  - the service's own count and `seed-scheduler check` agree.
"""
import argparse
import collections
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.service import Service          # noqa: E402
from harness.times import iso, microseconds  # noqa: E402
from harness.wait import until               # noqa: E402

INTERVALS = 5
WRITERS = 2
SETTLE_S = 60
IN_FLIGHT_S = 2.0       # a 2xx is committed within this time, also in a sanitizer build on a busy machine
SECOND = 1_000_000


class Writer(threading.Thread):
    """Creates one-shots until told to stop; only what was answered with 201 counts as acknowledged."""

    def __init__(self, number, seed, service, up, token, base):
        super().__init__(daemon=True)
        self.random = random.Random(f"{seed}/{number}")
        self.number, self.service, self.up, self.token, self.base = number, service, up, token, base
        self.stopping = threading.Event()
        self.acknowledged = []
        self.refused = []

    def run(self):
        count = 0
        while not self.stopping.wait(self.random.uniform(0.005, 0.08)):
            if not self.up.wait(0.1):
                continue
            count += 1
            instant = iso(time.time() + self.random.choice((-3, 0, 0.2, 1, 2.5)) + self.random.random())
            path = f"/one/{self.number}/{count}"
            api = self.service.api(self.token)
            try:
                answer = api.post("/api/v1/schedule/", {"endpoint": self.base + path, "next_send_at": instant,
                                                        "payload": {"path": path}})
            except (OSError, EOFError):
                continue        # no answer, no promise
            finally:
                api.close()
            if answer.status == 201:
                self.acknowledged.append((answer.json()["id"], path, instant))
            elif answer.status not in (503, 429):
                self.refused.append(repr(answer))


class Receiver:
    """The receiver's process and its log."""

    def __init__(self, directory):
        self.log = directory / "received.jsonl"
        self.child = subprocess.Popen([sys.executable, "-m", "harness.receiver", "--log", str(self.log)], cwd=TESTS,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.base = f"http://127.0.0.1:{int(self.child.stdout.readline())}"

    def requests(self):
        with open(self.log, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def stop(self):
        self.child.stdin.close()
        self.child.wait(20)
        self.child.stdout.close()


def batter(service, kills, chance, up, token):
    """Kills and restarts, `kills` times; returns the instants of the kills."""
    instants = []
    pause = threading.Event()
    for _ in range(kills):
        pause.wait(chance.choice((0.02, 0.1, 0.5, 1.0)) + chance.random() * 0.7)
        up.clear()
        instants.append(time.time())
        service.kill()
        pause.wait(chance.choice((0, 0, 0.3, 1.2)) * chance.random())
        service.start(timeout=60)
        up.set()
        api = service.api(token)
        assert api.get("/api/v1/").status == 200
        api.close()
    return instants


def check_occurrences(requests, problems):
    """One occurrence, one run id, one body; and never early."""
    by_occurrence, by_run = collections.defaultdict(set), collections.defaultdict(set)
    for request in requests:
        occurrence = (request["schedule"], request["planned"])
        by_occurrence[occurrence].add((request["run_id"], request["body"]))
        by_run[request["run_id"]].add(occurrence)
        if request["at"] * SECOND < microseconds(request["planned"]):
            problems.append(f"early by {microseconds(request['planned']) - request['at'] * SECOND} us: {request}")
    problems += [f"{occurrence} had {runs}" for occurrence, runs in by_occurrence.items() if len(runs) != 1]
    problems += [f"run {run} stood for {occurrences}" for run, occurrences in by_run.items() if len(occurrences) != 1]


def repeats_of(requests):
    """(run id, earlier arrival, later arrival) for each time that a run arrived again."""
    arrivals = collections.defaultdict(list)
    for request in requests:
        arrivals[request["run_id"]].append(request["at"])
    return [(run, earlier, later) for run, instants in arrivals.items()
            for earlier, later in itertools.pairwise(sorted(instants))]


def check_duplicates(requests, kills, problems):
    """Returns the number of duplicates; each must be explained by a kill of its own."""
    repeats = repeats_of(requests)
    problems += [f"run {run} was sent at {earlier} and again at {later} without a kill to explain it"
                 for run, earlier, later in repeats
                 if not any(earlier - 0.05 <= kill <= later and kill - earlier <= IN_FLIGHT_S for kill in kills)]
    return len(repeats)


def check_one_shots(acknowledged, requests, problems):
    delivered = {request["path"]: request for request in requests}
    for identity, path, instant in acknowledged:
        request = delivered.get(path)
        if request is None:
            problems.append(f"one-shot {identity} ({path}) for {instant} was acknowledged and never delivered")
        elif microseconds(request["planned"]) != microseconds(instant):
            problems.append(f"one-shot {identity} was asked for {instant}, sent for {request['planned']}")


def planned_of(requests, made):
    """The planned instants (us) of a schedule's requests, each once, in order."""
    return sorted({microseconds(request["planned"]) for request in requests if request["schedule"] == made["id"]})


def check_intervals(schedules, requests, problems):
    for made, final in schedules:
        instants = planned_of(requests, made)
        first = microseconds(made["next_send_at"])
        expected = [first + n * SECOND for n in range(len(instants))]
        if instants != expected:
            missing = sorted(set(range(first, max(instants, default=first), SECOND)) - set(instants))
            problems.append(f"interval {made['id']}: {len(missing)} occurrences missing, {missing[:5]} ...,"
                            f" strangers {sorted(set(instants) - set(expected))[:5]}")
        if final["triggered"] != len(instants):
            problems.append(f"interval {made['id']} counts {final['triggered']} runs, {len(instants)} arrived")


def just_fired(api, receiver, made):
    """Has it fired 0.2 to 0.5 s ago? Then nothing of it is on the wire now: a request there could outlive an edit. A service
    that counts fewer than have arrived was restored from a copy, and has some to send again."""
    instants = planned_of(receiver.requests(), made)
    return (instants and 0.2 < time.time() - instants[-1] / SECOND < 0.5
            and api.schedule(made)["triggered"] >= len(instants))


def settle(service, token, receiver, writers, schedules):
    """Switches the intervals off, waits until all that is promised has arrived, and returns the final records."""
    api = service.api(token)
    for made in schedules:
        until(lambda made=made: just_fired(api, receiver, made), timeout=SETTLE_S, what="an interval to be on time again")
        assert api.patch(f"/api/v1/schedule/{made['id']}/", {"enabled": False}).status == 200
    wanted = {path for writer in writers for _, path, _ in writer.acknowledged}
    finals = []

    def complete():
        requests = receiver.requests()
        counts = collections.Counter()
        for schedule, _ in {(request["schedule"], request["run_id"]) for request in requests}:
            counts[schedule] += 1
        finals[:] = [(made, api.schedule(made)) for made in schedules]
        return (wanted <= {request["path"] for request in requests}
                and all(counts[made["id"]] >= final["triggered"] for made, final in finals))
    try:
        until(complete, timeout=SETTLE_S, pause=0.25, what="all promised deliveries")
    except AssertionError:
        pass        # the oracle names what is missing
    api.close()
    return finals


def run(kills, seed, directory, say=print):
    """One whole trial; returns a list of problems, empty when every promise was kept."""
    say(f"crash: seed {seed}, {kills} kills")
    chance, problems, up = random.Random(seed), [], threading.Event()
    receiver = Receiver(directory)
    try:
        with Service(directory=directory / "service") as service:
            token = service.create_user("crash", admin=True)
            service.start()
            up.set()
            api = service.api(token)
            schedules = [api.create(endpoint=f"{receiver.base}/interval/{n}", interval_definition="1 seconds",
                                    payload=n)
                         for n in range(INTERVALS)]
            api.close()
            writers = [Writer(n, seed, service, up, token, receiver.base) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            killed = batter(service, kills, chance, up, token)
            for writer in writers:
                writer.stopping.set()
            for writer in writers:
                writer.join(30)
                problems += writer.refused
            finals = settle(service, token, receiver, writers, schedules)
            service.stop()
            requests = receiver.requests()
            proof = service.cli("check")
            if proof.returncode != 0:
                problems.append(f"check failed: {proof.stdout}{proof.stderr}")
    finally:
        receiver.stop()
    acknowledged = [entry for writer in writers for entry in writer.acknowledged]
    check_one_shots(acknowledged, requests, problems)
    check_intervals(finals, requests, problems)
    check_occurrences(requests, problems)
    duplicates = check_duplicates(requests, killed, problems)
    say(f"crash: {len(acknowledged)} one-shots acknowledged, {len(requests)} requests arrived,"
        f" {duplicates} duplicates after {kills} kills, {len(problems)} problems")
    if len(acknowledged) < kills or len(requests) < kills:
        problems.append("the trial is void: too little happened between the kills")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seed-crash-") as directory:
        problems = run(options.kills, options.seed, pathlib.Path(directory))
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
