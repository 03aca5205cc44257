#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stops the service, lets time go by, starts it, and compares what runs with what P7 says must.

    python3 tests/fault/catch_up.py [--rounds 1] [--schedules 10000] [--seed S]

For each time down (none, 59 s, just below and above a minute, 61 s, an hour, 30 days) and each `catch_up` there are
crons, intervals and one-shots. The clock stands still while the service starts, so that the end of the gap is known to
the microsecond; the sets of runs and the skipped ranges are worked out from the promise alone, by listing every
instant, and must be equal. Then --schedules schedules of a minute are left alone for a year: the service must be ready
within 10 s, stay below 100 MiB, and run the latest of each.
"""
import argparse
import json
import pathlib
import random
import re
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
for place in (TESTS, TESTS / "fault"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from faketime import NS, Clock                          # noqa: E402
from harness.arrivals import report, start_receiver     # noqa: E402
from harness.database import reading                    # noqa: E402
from harness.receiver import Receiver                   # noqa: E402
from harness.service import BINARY, Service             # noqa: E402
from harness.times import iso, microseconds, planned    # noqa: E402
from harness.wait import until                          # noqa: E402

SECOND, DAY = 1_000_000, 86_400_000_000
DOWN_S = (0, 59, 59.99998, 60.00002, 61, 3600, 30 * 86400)
EXACT = "/interval-1s/latest"   # what lies within 0.1 s of a minute is counted from this one's oldest missed instant
POLICIES = ("latest", "all", "none")
ALL_RUNS_MAX, ALL_AGE_US, IN_FULL_US = 1000, DAY, 60 * SECOND
# name: (cron or interval, period in seconds); hours and half days so that the 24 hours of `all` are met as well.
KINDS = {
    "cron-10s": ("*/10 * * * * * *", 10), "cron-1m": ("* * * * *", 60), "cron-1h": ("0 * * * *", 3600),
    "interval-1s": ("1 seconds", 1), "interval-7s": ("7 seconds", 7),
    "interval-50m": ("50 minutes", 3000), "interval-1d": ("1 days", 86400),
}
YEAR_S = 365 * 86400
READY_S, RSS_MIB = 10, 100


def say(text):
    print(text, file=sys.stderr, flush=True)


def expected(next_us, period_us, end_us, policy):
    """P7 by listing: (instants that run, skipped ranges) of what was missed before `end_us`."""
    missed = list(range(next_us, end_us, period_us))
    if not missed or end_us - missed[0] <= IN_FULL_US:
        return missed, []
    if policy == "latest":
        run = missed[-1:]
    elif policy == "none":
        run = []
    else:
        run = [at for at in missed if at >= end_us - ALL_AGE_US][-ALL_RUNS_MAX:]
    skipped = missed[:len(missed) - len(run)]
    return run, [(skipped[0], skipped[-1], len(skipped))] if skipped else []


class Gap:
    """One time down, with every kind and policy."""

    def __init__(self, down_s, folder, dice):
        self.down_s, self.folder, self.dice = down_s, pathlib.Path(folder), dice
        self.problems, self.runs, self.skipped = [], 0, 0
        self.made = {}

    def create(self, api, receiver, now_s):
        for policy in POLICIES:
            for kind, (timing, _) in KINDS.items():
                field = "cron_definition" if kind.startswith("cron") else "interval_definition"
                path = f"/{kind}/{policy}"
                self.made[path] = api.create(endpoint=receiver.url(path), catch_up=policy, **{field: timing})
            # Due in the middle of the gap, and due long after the end of a short one.
            for name, share in (("once", 0.5), ("later", 2.0)):
                path = f"/{name}/{policy}"
                at = iso(now_s + 3 + share * max(self.down_s, 2))
                self.made[path] = api.create(endpoint=receiver.url(path), next_send_at=at, catch_up=policy)

    def state(self, service, made):
        """(row, next instant, instants recorded and not yet sent) as the stopped service left them."""
        with reading(service.database_path) as db:
            row, next_us = db.execute("SELECT s.id, t.next_at FROM schedules s JOIN timers t ON t.schedule_id = s.id "
                                      "WHERE s.uuid = ?", (bytes.fromhex(made["id"].replace("-", "")),)).fetchone()
            waiting = [at for at, in db.execute("SELECT planned_at FROM runs WHERE schedule_id = ? AND state = 0", (row,))]
        return row, next_us, waiting

    def run(self):
        clock = Clock(self.folder, BINARY)
        with Receiver() as receiver, Service(directory=self.folder / "service", env=clock.environment) as service:
            token = service.create_user("admin", admin=True)
            service.start()
            api = service.api(token)
            self.create(api, receiver, clock.wall_ns() / NS)
            receiver.wait_for(2, EXACT, timeout=15)
            api.close()
            service.stop()
            before = {path: self.state(service, made) for path, made in self.made.items()}
            seen = len(receiver.seen())
            clock.freeze()
            down_ns = round(self.down_s * NS) + self.dice.randrange(NS)
            if abs(self.down_s - 60) < 0.1:
                down_ns = before[EXACT][1] * 1000 + round(self.down_s * NS) - clock.wall_ns()
            clock.pass_ns(down_ns)
            service.start()
            # The service's own word for what the clock showed at its start; it may differ by a microsecond.
            end_us = microseconds(next(entry["ts"] for entry in service.log() if entry["event"] == "ready"))
            assert abs(end_us - clock.wall_ns() // 1000) < 10, (end_us, clock.wall_ns())
            clock.slew(0)
            try:
                self.judge(service, receiver, before, seen, end_us)
            except AssertionError as error:
                self.problems.append(f"down {self.down_s} s: {error}")
            service.stop()
            proof = service.cli("check")
            if proof.returncode:
                self.problems.append(proof.stdout + proof.stderr)
        return self

    def judge(self, service, receiver, before, seen, end_us):
        wanted = {}
        for path, (row, next_us, waiting) in before.items():
            kind, policy = path[1:].split("/")
            if kind in KINDS:
                run, skips = expected(next_us, KINDS[kind][1] * SECOND, end_us, policy)
            else:
                run, skips = ([next_us] if next_us is not None and next_us < end_us else []), []
            wanted[path] = (sorted(waiting + run), skips, row)
        count = sum(len(run) for run, _, _ in wanted.values())
        receiver.wait_for(seen + count, timeout=30 + count / 50)
        # What comes of the time after the gap shows that the gap is over.
        for policy in POLICIES:
            receiver.wait_for(1, f"/interval-1s/{policy}", timeout=30, select=lambda request: planned(request) >= end_us)
        until(lambda: re.search(r"^open\s+0$", service.cli("check").stdout, re.M), timeout=30, what="every run to end")
        with reading(service.database_path) as db:
            for path, (run, skips, row) in wanted.items():
                got = sorted(planned(request) for request in receiver.seen()[seen:]
                             if request.path == path and planned(request) < max(end_us, run[-1] + 1 if run else 0))
                got_skips = db.execute("SELECT from_at, to_at, count FROM skips WHERE schedule_id = ? ORDER BY id",
                                       (row,)).fetchall()
                if got != run:
                    self.problems.append(f"down {self.down_s} s, {path}: {len(got)} ran, {len(run)} wanted: "
                                         f"{sorted(set(got) ^ set(run))[:4]}")
                if got_skips != skips:
                    self.problems.append(f"down {self.down_s} s, {path}: skipped {got_skips}, wanted {skips}")
                self.runs += len(run)
                self.skipped += sum(n for _, _, n in skips)


# ---- a year ----

def resident_mib(pid):
    return int(re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) / 1024


def a_year(folder, schedules, problems):
    """Figures of a start after a year; `schedules` of one minute each."""
    folder = pathlib.Path(folder)
    child, port = start_receiver(folder)
    try:
        clock = Clock(folder, BINARY)
        with Service(directory=folder / "service", env=clock.environment) as service:
            token = service.create_user("admin", admin=True)
            service.start()
            api = service.api(token)
            for n in range(schedules):
                api.create(endpoint=f"http://127.0.0.1:{port}/{n}", cron_definition="* * * * *")
            api.close()
            service.stop()
            before = report(port)["ids"]
            clock.pass_ns(YEAR_S * NS)
            begun = time.monotonic()
            service.start(timeout=60)
            ready_s = time.monotonic() - begun
            service.process.quiet = True
            until(lambda: report(port)["ids"] - before >= schedules, timeout=120, pause=0.2, what="the latest of each to run")
            caught_up_s = time.monotonic() - begun
            found = {"ready_s": round(ready_s, 2), "caught_up_s": round(caught_up_s, 2),
                     "rss_mib_max": round(resident_mib(service.pid), 1)}
            service.stop()
            proof = service.cli("check")
            found["skipped"] = int(re.search(r"^skipped\s+(\d+)", proof.stdout, re.M)[1])
            if proof.returncode:
                problems.append(proof.stdout + proof.stderr)
    finally:
        child.terminate()
        child.wait(10)
    if ready_s > READY_S:
        problems.append(f"ready after {ready_s:.1f} s")
    if found["rss_mib_max"] > RSS_MIB and "asan" not in clock.environment["LD_PRELOAD"]:
        problems.append(f"{found['rss_mib_max']} MiB resident")
    if found["skipped"] < schedules * (YEAR_S // 60 - 2):
        problems.append(f"{found['skipped']} skipped")
    return found


def run(rounds, schedules, seed, downs=DOWN_S):
    dice = random.Random(seed)
    found = {"runs": 0, "skipped": 0, "problems": []}
    for number in range(rounds):
        for down_s in downs:
            with tempfile.TemporaryDirectory(prefix="catch-up-") as folder:
                gap = Gap(down_s, folder, dice).run()
            say(f"catch_up: round {number + 1}, down {down_s} s: {gap.runs} runs, {gap.skipped} skipped, "
                f"{len(gap.problems)} problems")
            found["runs"] += gap.runs
            found["skipped"] += gap.skipped
            found["problems"] += gap.problems
    if schedules:
        with tempfile.TemporaryDirectory(prefix="catch-up-") as folder:
            found["year"] = a_year(folder, schedules, found["problems"])
        say(f"catch_up: {schedules} schedules after a year: {found['year']}")
    for problem in found["problems"]:
        say("catch_up: " + problem)
    tried = {"seed": seed, "rounds": rounds, "down_s": list(downs), "policies": len(POLICIES), "kinds": len(KINDS) + 2,
             "year_schedules": schedules}
    return tried, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--schedules", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    tried, found = run(options.rounds, options.schedules, options.seed)
    held = not found["problems"] and found["runs"] > 0
    print("proof: " + json.dumps({"part": "catch-up", "tried": tried, "found": found, "held": held}))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
