#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The soak: hours of steady load with bad endpoints, edits and retention, watched for what creeps.

    python3 tests/e2e/soak.py --minutes 60 --rate 300 [--seed N]

`--rate` runs a second on ten hosts that hang, refuse, cut off or answer late for 5 % of the requests; a few endpoints
always fail, so that failed tasks come and go. Beside it schedules are made, changed and deleted over the API, one-shots
come due, and history is kept for minutes only, so that the purge works all the time. Every 10 s a sample is taken; at
the end, after a first quarter of warming up:
  - memory: the slope of RSS (least squares, 95 % interval) does not show growth above 1 MiB an hour;
  - descriptors and threads do not grow; the database's size stays within 10 % (where the run is four times longer than
    the history kept; else it says that it was not judged); the log stays below its bound;
  - the 99th percentile of lateness in the last quarter is at most 1.1 times that of the second, or within 50 ms of it;
  - nothing due ever waited 2 s; no run was lost, none doubled, none early; `seed-scheduler check` holds.
A run that had less than 90 % of its rate is void, not passed; of one shorter than ten minutes only what was lost, doubled
or early is judged. Samples go to --samples as JSON lines.
"""
import argparse
import collections
import json
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.service import Service          # noqa: E402
from harness.times import iso, microseconds  # noqa: E402
from harness.wait import until               # noqa: E402

SECOND = 1_000_000
MIB = 1 << 20
HOSTS = 10
SAMPLE_S = 10
RATE_SHARE_MIN = 0.9
ATTEMPT_S = 3               # a hung endpoint keeps a place this long
RSS_MIB_PER_HOUR = 1.0
RSS_GRACE_MIB = 2.0         # the allocator's own steps, in a run of any length
FD_GROWTH = 8
DB_SPREAD = 0.10
WAL_MIB_MAX = 80
LATE_FACTOR, LATE_GRACE_MS = 1.1, 50
CREEP_MINUTES = 10          # a shorter run says nothing about what creeps, and a busy machine a lot
OLDEST_DUE_S = 2.0
EDITS_PER_SECOND = 5
ONE_SHOT_S = 600            # then its owner deletes it: schedules that are over stay until somebody does


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# ---- the load ----

class Load:
    """The schedules: those whose timing never changes, so that their grid can be counted, and those that are edited."""

    def __init__(self, api, port, rate, dice):
        self.api, self.port, self.random = api, port, dice
        self.steady, self.edited = [], []
        self.one_shots, self.over = 0, collections.deque()
        seconds, fives, minutes = round(rate * 0.6), round(rate * 0.35) * 5, round(rate * 0.05) * 60
        plan = ([("1 seconds", "/s")] * seconds + [("5 seconds", "/f")] * fives + [(None, "/m")] * minutes)
        dice.shuffle(plan)
        begun = time.monotonic()
        for n, (interval, path) in enumerate(plan):
            # Made over five seconds, so that the instants are spread over each interval.
            time.sleep(max(0.0, begun + 5 * n / len(plan) - time.monotonic()))
            timing = {"interval_definition": interval} if interval else {"cron_definition": "* * * * *"}
            made = api.create(endpoint=self.endpoint(f"{path}/{n}"), payload={"n": n}, catch_up="all", **timing)
            (self.edited if n % 20 == 0 else self.steady).append(made)
        self.steady += [api.create(endpoint=self.endpoint(f"/dead/{n}"), interval_definition="2 seconds")
                        for n in range(2)]

    def endpoint(self, path):
        return f"http://127.0.1.{self.random.randrange(HOSTS) + 1}:{self.port}{path}"

    def edit(self):
        """One change or question, as clients make them all day."""
        api, dice = self.api, self.random
        kind = dice.randrange(6)
        place = dice.randrange(len(self.edited))
        target = f"/api/v1/schedule/{self.edited[place]['id']}/"
        if kind < 2:
            self.one_shots += 1
            made = api.create(endpoint=self.endpoint("/once"), next_send_at=iso(time.time() + dice.uniform(0.05, 3)))
            self.over.append((time.monotonic() + ONE_SHOT_S, made["id"]))
            if self.over[0][0] < time.monotonic():
                assert api.delete(f"/api/v1/schedule/{self.over.popleft()[1]}/").status == 204
        elif kind == 2:
            answer = api.patch(target, {"payload": {"n": dice.random()}, "endpoint": self.endpoint("/edited")})
            assert answer.status == 200, answer
        elif kind == 3:
            answer = api.patch(target, {"interval_definition": f"{dice.choice((1, 2, 5))} seconds",
                                        "enabled": dice.random() < 0.8})
            assert answer.status == 200, answer
        elif kind == 4:
            assert api.delete(target).status == 204
            self.edited[place] = api.create(endpoint=self.endpoint("/new"), interval_definition="2 seconds")
        else:
            assert api.get("/api/v1/failed-tasks/?limit=5").status == 200
            assert api.get("/api/v1/schedule/?limit=20").status == 200


class Editor(threading.Thread):
    def __init__(self, load):
        super().__init__(daemon=True)
        self.load, self.stopping, self.edits, self.error = load, threading.Event(), 0, None

    def run(self):
        try:
            while not self.stopping.wait(1 / EDITS_PER_SECOND):
                self.load.edit()
                self.edits += 1
        except Exception as error:      # told in the verdict
            self.error = repr(error)


# ---- watching ----

def ask(port, path):
    with urllib.request.urlopen(f"http://127.0.1.1:{port}{path}", timeout=30) as answer:
        return json.loads(answer.read())


def process_figures(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return {"rss_mib": int(re.search(r"^VmRSS:\s+(\d+)", status, re.M)[1]) / 1024,
            "threads": int(re.search(r"^Threads:\s+(\d+)", status, re.M)[1]),
            "fds": len(os.listdir(f"/proc/{pid}/fd")),
            "cpu_s": (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")}


def file_mib(path):
    return path.stat().st_size / MIB if path.exists() else 0.0


def gauge(metrics, name):
    return float(re.search(rf"^{name} (\S+)$", metrics, re.M)[1])


class Watch:
    """Samples, and the worst age of what is due, asked for every second."""

    def __init__(self, service, port, path):
        self.service, self.port = service, port
        self.metrics = service.metrics_api()
        self.samples = []
        self.file = open(path, "w", encoding="utf-8") if path else None

    def sample(self, begun, until_s):
        oldest = 0.0
        while time.monotonic() - begun < until_s:
            time.sleep(max(0.0, min(1.0, begun + until_s - time.monotonic())))
            oldest = max(oldest, gauge(self.metrics.get("/metrics").body.decode(), "seed_oldest_due_age_seconds"))
        report = ask(self.port, "/report")
        sample = {"at_s": round(time.monotonic() - begun, 1), "oldest_due_s": oldest,
                  **process_figures(self.service.pid), "db_mib": file_mib(self.service.database_path),
                  "wal_mib": file_mib(pathlib.Path(f"{self.service.database_path}-wal")),
                  "load_1m": os.getloadavg()[0], **report}
        self.samples.append(sample)
        if self.file:
            self.file.write(json.dumps(sample) + "\n")
            self.file.flush()
        say(f"soak: {sample['at_s']:.0f} s: {sample['requests']} requests, p99 {sample['p99_us'] / 1000:.1f} ms, "
            f"oldest due {oldest:.2f} s, rss {sample['rss_mib']:.1f} MiB, {sample['fds']} fds, "
            f"db {sample['db_mib']:.1f} MiB, wal {sample['wal_mib']:.1f} MiB, load {sample['load_1m']:.1f}")


def slope_per_hour(samples, key):
    """Least squares: slope and half its 95 % interval, in units an hour."""
    xs = [sample["at_s"] / 3600 for sample in samples]
    ys = [sample[key] for sample in samples]
    n, mean_x, mean_y = len(xs), statistics.fmean(xs), statistics.fmean(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys))
    return slope, 1.96 * math.sqrt(rest / max(n - 2, 1) / spread)


def judge_creep(samples, retention_s, found, problems):
    """What must not grow, over the last three quarters."""
    span_h = (samples[-1]["at_s"] - samples[0]["at_s"]) / 3600
    rss, rss_half = slope_per_hour(samples, "rss_mib")
    fds, fds_half = slope_per_hour(samples, "fds")
    found.update(rss_mib=round(samples[-1]["rss_mib"], 1), rss_mib_per_hour=round(rss, 2), rss_95=round(rss_half, 2),
                 fds=samples[-1]["fds"], fds_per_hour=round(fds, 1), fds_95=round(fds_half, 1),
                 threads=sorted({sample["threads"] for sample in samples}),
                 db_mib=round(samples[-1]["db_mib"], 1), wal_mib_max=round(max(s["wal_mib"] for s in samples), 1))
    if (rss - rss_half - RSS_MIB_PER_HOUR) * span_h > 0 and rss * span_h > RSS_GRACE_MIB:
        problems.append(f"memory grows by {rss:.2f} +- {rss_half:.2f} MiB an hour")
    if fds - fds_half > 0 and fds * span_h > FD_GROWTH:
        problems.append(f"descriptors grow by {fds:.1f} +- {fds_half:.1f} an hour")
    if len(found["threads"]) > 1:
        problems.append(f"the number of threads changed: {found['threads']}")
    found["db_judged"] = samples[-1]["at_s"] >= 4 * retention_s
    sizes = [sample["db_mib"] for sample in samples if sample["at_s"] >= 2 * retention_s]
    if found["db_judged"] and max(sizes) - min(sizes) > 2 * DB_SPREAD * statistics.fmean(sizes):
        problems.append(f"the database went from {min(sizes):.1f} to {max(sizes):.1f} MiB")
    if found["wal_mib_max"] > WAL_MIB_MAX:
        problems.append(f"the write-ahead log grew to {found['wal_mib_max']} MiB")


def judge_lateness(samples, found, problems):
    quarter = len(samples) // 3     # the first of four is not among them
    second, last = (statistics.median(s["p99_us"] / 1000 for s in part) for part in
                    (samples[:quarter], samples[-quarter:]))
    found.update(p99_ms_second_quarter=round(second, 1), p99_ms_last_quarter=round(last, 1),
                 late_ms_max=round(max(s["max_us"] for s in samples) / 1000, 1),
                 oldest_due_s_max=round(max(s["oldest_due_s"] for s in samples), 2),
                 load_1m_mean=round(statistics.fmean(s["load_1m"] for s in samples), 1))
    if last > max(LATE_FACTOR * second, second + LATE_GRACE_MS):
        problems.append(f"p99 of lateness went from {second:.1f} to {last:.1f} ms")
    if found["oldest_due_s_max"] >= OLDEST_DUE_S:
        problems.append(f"something due waited {found['oldest_due_s_max']} s")


# ---- the end ----

def end_load(service, load):
    """Nothing fires any more; returns, for each steady schedule, its last record."""
    api, finals = load.api, []
    for made in load.steady:
        before = api.schedule(made)
        assert api.patch(f"/api/v1/schedule/{made['id']}/", {"enabled": False}).status == 200
        finals.append((made, before))
    for made in load.edited:
        assert api.patch(f"/api/v1/schedule/{made['id']}/", {"enabled": False}).status == 200
    return finals


def judge_sums(service, load, finals, port, found, problems):
    """Nothing lost: every instant of a grid was planned, and what was planned is delivered, failed or cancelled; what
    the service calls delivered is what the endpoints saw."""
    def count(text, name):
        return int(re.search(rf"^{name}\s+(\d+)", text, re.M)[1])
    until(lambda: count(service.cli("check", timeout=300).stdout, "open") == 0, timeout=1800, pause=2, what="an end of retries")
    proof = service.cli("check", timeout=300)
    report = ask(port, "/report")
    found.update({name: count(proof.stdout, name) for name in ("planned", "delivered", "failed", "cancelled", "skipped")},
                 duplicates=report["duplicates"], early=report["early"],
                 faults={fault: report[fault] for fault in ("hang", "unavailable", "reset", "slow", "dead")})
    if proof.returncode:
        problems.append("check: " + proof.stdout + proof.stderr)
    found["answered"] = report["delivered"]
    # What was on the wire when its schedule was deleted or edited may land, and is cancelled on record (P13).
    if not 0 <= found["answered"] - found["delivered"] <= found["cancelled"]:
        problems.append(f"{found['delivered']} delivered on record, {found['answered']} run ids answered 2xx")
    if report["one_shots"] != load.one_shots:
        problems.append(f"{report['one_shots']} of {load.one_shots} one-shots arrived")
    gone = 0
    for made, before in finals:
        step = {"1 seconds": 1, "2 seconds": 2, "5 seconds": 5}.get(before["interval_definition"], 60) * SECOND
        grid = (microseconds(before["next_send_at"]) - microseconds(made["next_send_at"])) // step
        gone += abs(grid - before["triggered"])
    for name, value in (("lost", gone), ("duplicates", report["duplicates"]), ("early", report["early"]),
                        ("skipped", found["skipped"])):
        found[name] = value
        if value:
            problems.append(f"{value} runs {name}")


def run(options, folder):
    dice = random.Random(options.seed)
    keep_s = max(60, round(options.minutes * 60 / 12))
    receiver = subprocess.Popen([sys.executable, str(TESTS / "e2e" / "soak_receiver.py"), "--hosts", str(HOSTS),
                                 "--faults", str(options.faults), "--seed", str(options.seed)],
                                stdout=subprocess.PIPE, text=True)
    found, problems = {}, []
    try:
        port = int(receiver.stdout.readline())
        with Service("--retention", f"{keep_s} seconds", "--retention-failed", f"{2 * keep_s} seconds",
                     metrics=True, directory=pathlib.Path(folder) / "service",
                     env={"DEFAULT_REQUEST_TIMEOUT": str(ATTEMPT_S)}) as service:
            token = service.create_user("soak", admin=True)
            service.start()
            service.process.quiet = True
            load = Load(service.api(token), port, options.rate, dice)
            watch, editor = Watch(service, port, options.samples), Editor(load)
            ask(port, "/report")
            editor.start()
            begun, before = time.monotonic(), ask(port, "/report")["requests"]
            samples_n = max(8, round(options.minutes * 60 / SAMPLE_S))
            for n in range(samples_n):
                watch.sample(begun, (n + 1) * options.minutes * 60 / samples_n)
            took_s = time.monotonic() - begun
            rate = (watch.samples[-1]["requests"] - before) / took_s
            cpu = (watch.samples[-1]["cpu_s"] - watch.samples[0]["cpu_s"]) / (took_s - watch.samples[0]["at_s"])
            editor.stopping.set()
            editor.join(30)
            finals = end_load(service, load)
            steady = watch.samples[samples_n // 4:]
            found["creep_judged"] = options.minutes >= CREEP_MINUTES
            if found["creep_judged"]:
                judge_creep(steady, keep_s, found, problems)
                judge_lateness(steady, found, problems)
            judge_sums(service, load, finals, port, found, problems)
            service.stop()
    finally:
        receiver.terminate()
        receiver.wait(10)
    if editor.error:
        problems.append(f"the edits ended: {editor.error}")
    if rate < RATE_SHARE_MIN * options.rate:
        problems.append(f"void: {rate:.0f} requests a second, {options.rate} wanted")
    found.update(rate=round(rate), cpu_share=round(cpu, 3), problems=problems)
    tried = {"minutes": options.minutes, "seed": options.seed, "requests": watch.samples[-1]["requests"],
             "edits": editor.edits, "one_shots": load.one_shots, "retention_s": keep_s}
    return tried, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--samples", help="a file for the samples")
    options = parser.parse_args()
    say(f"soak: seed {options.seed}, {options.minutes} minutes at {options.rate} a second")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        tried, found = run(options, folder)
    for problem in found["problems"]:
        say("soak: " + problem)
    held = not found["problems"]
    print("proof: " + json.dumps({"part": "soak", "tried": tried, "found": found, "held": held}))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
