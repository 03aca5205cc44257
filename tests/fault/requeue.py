#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 in the middle of requeuing a thousand failed tasks: none is lost, none doubled.

    python3 tests/fault/requeue.py [--runs 1000] [--rounds 20] [--seed N]

All runs are failed tasks at first (410). A round asks to requeue them all and kills the service at a random moment: in every
other round from the question on, else from the answer on, up to the last delivery. It starts it again and waits until no run
is open. Then:
  - the requeue was one transaction: either every run went out again, or, when it was not acknowledged, perhaps none;
  - a run went out once, or twice when the kill caught it between its start and its record, always under its own id and as
    the same attempt;
  - the same failed tasks are on record as before, none more, none less, each with its attempts up to the last one.
In the last round the receiver is well again and nobody is killed: every run is delivered and no failed task is left.
"""
import argparse
import collections
import json
import pathlib
import random
import re
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from fault.endpoint import Endpoint, answer, keep   # noqa: E402
from harness.service import Service                 # noqa: E402
from harness.times import microseconds              # noqa: E402
from harness.wait import until                      # noqa: E402

FAILED = "/api/v1/failed-tasks/"
PAST = "2001-02-03T04:05:06Z"
IN_FLIGHT_S = 2.0           # an answer is committed within this time, also in a sanitizer build on a busy machine
KEPT_MAX = 10               # attempts of a run that stay on record
SETTLE_S = 120


class Trial:
    def __init__(self, service, endpoint, runs, say):
        self.service, self.runs, self.say = service, runs, say
        self.status, self.problems = 410, []
        self.listener = endpoint.listen((self.reply, keep))
        self.token = service.create_user("admin", admin=True)
        self.tasks = {}
        self.found = collections.Counter()

    async def reply(self, talk):
        await answer(self.status)(talk)

    def fail(self, number, text):
        self.problems.append(f"round {number}: {text}")

    def failed_tasks(self):
        """By run id."""
        api = self.service.api(self.token)
        rows = api.get(f"{FAILED}?limit=100000").json()["results"]
        api.close()
        if len({row["task_id"] for row in rows}) != len(rows):
            self.problems.append("a run has two failed tasks")
        return {row["task_id"]: row for row in rows}

    def is_over(self):
        return re.search(r"^open\s+0$", self.service.cli("check").stdout, re.M)

    def make(self):
        self.service.start()
        api = self.service.api(self.token)
        for n in range(self.runs):
            api.create(endpoint=f"http://127.0.0.1:{self.listener.port}/{n}", next_send_at=PAST, payload=n)
        api.close()
        until(lambda: len(self.failed_tasks()) == self.runs, timeout=SETTLE_S, pause=0.2, what="all runs to have failed")
        self.tasks = self.failed_tasks()

    def ask(self, answered):
        """Asks to requeue all. The list gets the status when one comes."""
        api = self.service.api(self.token)
        try:
            answered.append(api.post(FAILED).status)
        except (OSError, EOFError):
            pass
        finally:
            api.close()

    def play(self, number, kill_after_s=None, is_heard=True):
        """One round. Without a time nobody is killed; it counts from the answer, or, not heard, from the question."""
        before, answered = len(self.listener.requests), []
        asking = threading.Thread(target=self.ask, args=(answered,))
        asking.start()
        if is_heard:
            asking.join()
        killed_at = opened_at = 0.0
        if kill_after_s is not None:
            time.sleep(kill_after_s)        # where in the requeue the kill comes is what is drawn
            killed_at = time.time()
            self.service.kill()
            asking.join()
            self.service.start()
            opened = self.service.process.wait_line(lambda entry: entry["event"] == "store_opened", 10)
            opened_at = microseconds(opened["ts"]) / 1e6
        until(self.is_over, timeout=SETTLE_S, pause=0.1, what="every run to end")
        self.check_twice(number, killed_at, opened_at, self.listener.requests[before:])
        self.judge(number, answered, self.listener.requests[before:])

    def check_twice(self, number, killed_at, opened_at, requests):
        """Whatever went out twice was on the wire, or its answer not yet on disk, when the kill came (P5). A receiver that had no
        turn reads it a little later, but nothing is of the next process before that has opened the database."""
        firsts, twice = {}, 0
        for request in requests:
            if request.run_id not in firsts:
                firsts[request.run_id] = request
                continue
            twice += 1
            if not killed_at - IN_FLIGHT_S <= firsts[request.run_id].at <= opened_at <= request.at:
                self.fail(number, f"run {request.run_id} was sent at {firsts[request.run_id].at} and {request.at},"
                                  f" killed at {killed_at}")
            if request.attempt != firsts[request.run_id].attempt:
                self.fail(number, f"run {request.run_id} was sent again as attempt {request.attempt}")
        self.found["sent_twice"] += twice
        self.found["sent_twice_most"] = max(twice, self.found["sent_twice_most"])

    def judge(self, number, answered, requests):
        counts = collections.Counter(request.run_id for request in requests)
        if answered and answered != [201]:
            self.fail(number, f"the requeue was answered {answered}")
        if len(counts) not in ((self.runs,) if answered else (0, self.runs)):
            self.fail(number, f"{len(counts)} of {self.runs} runs went out again, acknowledged: {bool(answered)}")
        if set(counts) - set(self.tasks):
            self.fail(number, f"{len(set(counts) - set(self.tasks))} runs under ids that no failed task has")
        if max(counts.values(), default=0) > 2:
            self.fail(number, f"a run went out {max(counts.values())} times")
        self.found["acknowledged"] += bool(answered)
        self.found["unheard"] += not counts
        self.found["requests"] += len(requests)
        if self.status == 410:
            self.compare(number, counts)

    def compare(self, number, counts):
        """The failed tasks against those of the round before."""
        after = self.failed_tasks()
        if set(after) != set(self.tasks):
            self.fail(number, f"{len(set(self.tasks) - set(after))} failed tasks are gone,"
                              f" {len(set(after) - set(self.tasks))} are new")
        for run_id, row in after.items():
            numbers = [attempt["number"] for attempt in row["attempts"]]
            last = self.tasks[run_id]["attempts"][-1]["number"] if run_id in self.tasks else 0
            if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or len(numbers) > KEPT_MAX:
                self.fail(number, f"run {run_id} has attempts {numbers}")
            if numbers[-1] != last + (run_id in counts):
                self.fail(number, f"run {run_id} has {numbers[-1]} attempts, {last} before, sent {counts[run_id]} times")
        self.tasks = after


def run(runs, rounds, seed, folder, say):
    dice = random.Random(seed)
    with Endpoint() as endpoint, Service(directory=pathlib.Path(folder) / "service") as service:
        trial = Trial(service, endpoint, runs, say)
        trial.make()
        begun = time.monotonic()
        trial.play(0)       # undisturbed: how long is a requeue?
        whole_s = time.monotonic() - begun
        for number in range(1, rounds + 1):
            trial.play(number, dice.choice((0.02, 0.1, 1)) * dice.random() * whole_s, is_heard=number % 2 == 0)
            say(f"requeue: round {number} of {rounds}, {dict(trial.found)}")
        trial.status = 200
        trial.play(rounds + 1)
        if trial.failed_tasks():
            trial.fail(rounds + 1, f"{len(trial.failed_tasks())} failed tasks are left")
        service.stop()
        proof = service.cli("check")
        if proof.returncode or not re.search(rf"^delivered\s+{runs}$", proof.stdout, re.M):
            trial.problems.append(f"check: {proof.stdout}{proof.stderr}")
    if rounds >= 10 and not 0 < trial.found["sent_twice"]:
        trial.problems.append("void: no kill caught a run on the wire")
    return dict(trial.found), trial.problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    say = lambda text: print(text, file=sys.stderr, flush=True)     # noqa: E731
    say(f"requeue: seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="seed-requeue-") as folder:
        found, problems = run(options.runs, options.rounds, options.seed, folder, say)
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}")
    print("proof: " + json.dumps({"part": "requeue", "tried": {"runs": options.runs, "kills": options.rounds,
                                                               "seed": options.seed},
                                  "found": found, "held": not problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
