#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sets the service against every bad endpoint of endpoint_cases.py at once, and checks what is on record.

    python3 tests/fault/endpoints.py [--quick] [--timeout SECONDS] [--flapping N] [--seed N] [--only TEXT]

One schedule per case, all at the same time, each to a port of its own. Checked per attempt, exactly: outcome class, status
and words in the log; that it ended within its time, and a hung one not before; when the next attempt is due; how often
the endpoint had read the request; and by the end the metrics' sums, the descriptors of the process and, for a build
without sanitizers, its memory. Quick looks at the first attempts (and at the second where it differs). Else failing
cases use up their attempts, which takes some three minutes, and the failed tasks of the API are compared attempt by
attempt; their waits together must be uniform below the doubling ceilings.
"""
import argparse
import collections
import json
import math
import os
import pathlib
import re
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from fault.certificates import Certificates                                  # noqa: E402
from fault.endpoint import Endpoint, answer, wait_some                       # noqa: E402
from fault.endpoint_cases import CAP, CASES, MEBIBYTE, OVER, OWN, PATIENT, flapping   # noqa: E402
from fault.name_server import NameServer                                     # noqa: E402
from harness.service import SANITIZER_WORDS, Service                         # noqa: E402
from harness.times import microseconds                                       # noqa: E402
from harness.wait import until                                               # noqa: E402

SCHEDULES, FAILED = "/api/v1/schedule/", "/api/v1/failed-tasks/?limit=10000"
PAST = "2001-02-03T04:05:06Z"
CREATES_PER_S = {True: 16, False: 8}    # the log tells 50 lines of a kind a second; without quick, retries add to them
ATTEMPTS_MAX = 6
CEILINGS_S = (5, 10, 20, 40, 80)
PATIENT_S = 8
CONNECT_S = 5               # within an attempt's time: to look the name up, and to connect
CONNECT_WORDS = ("no connection in time", "the name lookup took too long")
RACE_RUNS = 1000
SAMPLES_MIN = 35            # fewer say nothing of their distribution
STALE_S = 0.05              # between an attempt's end and the clock that its wait counts from
SECOND = 1_000_000


class Trial:
    """A case on its way: its listener, its schedule, and what the log said of it."""

    def __init__(self, family, case):
        self.family, self.case = family, case
        self.label = f"{family}: {case.name}"
        self.listener = self.port = self.schedule = self.warm = None
        self.attempts, self.waits, self.problems = [], {}, []
        self.run_id = None
        self.is_delivered = self.is_dead = False

    def expected(self, number):
        """(outcome, status) of that attempt; 1 is the first."""
        case = self.case
        answers = ((case.outcome, case.status), *case.then)
        return answers[min(number, len(answers)) - 1]

    def attempts_wanted(self, is_quick):
        """How many attempts are looked at."""
        wanted = len(self.case.then) + 1
        if is_quick or self.case.next is OVER or self.expected(wanted)[0] == "delivered" or self.case.next[0] > 5:
            return wanted
        return ATTEMPTS_MAX

    def requests(self, attempt=None):
        found = self.listener.requests if self.listener else []
        return [r for r in found if r.run_id == self.run_id and attempt in (None, r.attempt)]

    def fail(self, text):
        self.problems.append(f"{self.label}: {text}")


class Rig:
    """Endpoint, name server, certificates and the service that is told to trust and reach them."""

    def __init__(self, folder, timeout_s):
        self.timeout_s = timeout_s
        self.endpoint = Endpoint()
        self.names = NameServer(self.endpoint)
        self.certificates = Certificates(folder)
        self.service = Service("--ca-file", str(self.certificates.ca_file), "--dns-servers", f"127.0.0.1:{self.names.port}",
                               "--log-level", "debug", metrics=True,
                               env={"DEFAULT_REQUEST_TIMEOUT": str(timeout_s)})
        self.token = self.service.create_user("admin", admin=True)
        self.service.start()
        self.api = self.service.api(self.token)
        self.trials, self.by_schedule, self.by_run = [], {}, {}
        self.classes = collections.Counter()
        self.lines_read = 0

    def close(self, is_failed=False):
        self.api.close()
        try:
            self.service.kill() if is_failed else self.service.stop()
        finally:
            self.service._temporary.cleanup()
            self.names.close()
            self.endpoint.close()

    # ---- setting up ----

    def place(self, trial):
        case = trial.case
        context = None if case.tls is None else self.certificates.context(**case.tls)
        if case.place:
            shown = self.certificates.folder / "good.both" if case.place == "renegotiating" else context
            trial.port = getattr(self.endpoint, f"{case.place}_port")(*([shown] if shown else []))
            return
        trial.listener = self.endpoint.listen(*case.scripts, tls=context, receive_buffer=4096 if case.payload_n else None)
        trial.port = trial.listener.port
        if case.hole:
            self.endpoint.blackhole_port(case.hole, trial.port)

    def url(self, trial):
        case = trial.case
        host = case.host or (f"case{len(self.trials)}.endpoint.test" if case.dns or case.tls is not None else "127.0.0.1")
        if case.dns:
            self.names.scripts[host] = case.dns
        return f"{'https' if trial.family == 'TLS' else 'http'}://{host}:{trial.port}/"

    def create(self, trial, **fields):
        schedule = self.api.create(next_send_at=PAST, **fields)
        self.by_schedule[schedule["id"]] = trial
        return schedule

    def start(self, family, case):
        trial = Trial(family, case)
        self.trials.append(trial)
        self.place(trial)
        url = self.url(trial)
        if case.is_warm:
            trial.warm = self.create(trial, endpoint=url)
            until(lambda: self.read_log() or trial.is_delivered, what=f"the first request of {trial.label}")
            trial.attempts.clear()
            trial.is_delivered = False
            time.sleep(0.12)        # the script of the first request goes on by itself; it is over by then
        trial.schedule = self.create(trial, endpoint=url, payload="x" * case.payload_n if case.payload_n else {})
        return trial

    # ---- what is on record ----

    def read_log(self):
        """Takes what the log has said since the last look. Returns nothing."""
        with self.service.process.changed:
            lines = self.service.process.lines[self.lines_read:]
            self.lines_read += len(lines)
        for line in lines:
            entry = json.loads(line) if line.startswith("{") else {}
            trial = self.by_schedule.get(entry.get("schedule_id")) or self.by_run.get(entry.get("run_id"))
            if trial:
                self.hear(trial, entry)

    def hear(self, trial, entry):
        event = entry["event"]
        if event == "retry_planned":
            trial.waits[entry["attempts"]] = microseconds(entry["next_at"])
        if event in ("attempt_failed", "run_delivered"):
            trial.attempts.append(entry)
            self.classes[entry["class"]] += 1
            if not trial.warm or entry["schedule_id"] != trial.warm["id"]:
                trial.run_id = entry["run_id"]
                self.by_run[trial.run_id] = trial
        trial.is_delivered |= event == "run_delivered"
        trial.is_dead |= event == "run_failed"

    def is_over(self, trial, is_quick):
        wanted = trial.attempts_wanted(is_quick)
        if len(trial.attempts) < wanted:
            return False
        if trial.expected(wanted)[0] == "delivered":
            return trial.is_delivered
        return trial.is_dead if wanted == ATTEMPTS_MAX or trial.case.next is OVER else wanted in trial.waits

    def metrics(self, name):
        """The samples of a metric by outcome; "" for one without."""
        client = self.service.metrics_api(self.token)
        text = client.get("/metrics").body.decode()
        client.close()
        return {outcome: int(float(value)) for outcome, value in
                re.findall(rf'^{name}(?:\{{outcome="(\w+)"\}})? (\S+)', text, re.M)}

    def metric_sums(self):
        return self.metrics("seed_attempts_total")

    def lost_lines(self):
        """Those above the log's limit, and those that we were too slow to read."""
        return self.metrics("seed_log_dropped_total")[""]

    def delivered(self):
        return self.metrics("seed_fires_total")["delivered"]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.service.pid}/fd"))

    def is_sanitized(self):
        maps = pathlib.Path(f"/proc/{self.service.pid}/maps").read_text()
        return any(word in maps for word in ("libasan", "libtsan", "libubsan", "asan_"))


# ---- the checks ----

def check_attempt(trial, number, entry, timeout_s, slack_s):
    outcome, status = trial.expected(number)
    duration_s = entry["duration_us"] / SECOND
    limit_s = min(timeout_s, CONNECT_S) if entry["detail"] in CONNECT_WORDS else timeout_s
    if (entry["class"], entry["status"] or None, entry["attempt"]) != (outcome, status, number):
        trial.fail(f"attempt {number} is on record as {entry['attempt']}: {entry['class']} {entry['status']}"
                   f" ({entry['detail']}), not {outcome} {status}")
    if number == 1 and trial.case.says is not None and entry["detail"] != trial.case.says:
        trial.fail(f"says {entry['detail']!r}, not {trial.case.says!r}")
    if duration_s > limit_s + slack_s:
        trial.fail(f"attempt {number} lasted {duration_s:.3f} s of {limit_s}")
    if trial.case.is_hung and duration_s < limit_s:
        trial.fail(f"attempt {number} was given up after {duration_s:.3f} s of {limit_s}")


def wait_bounds(trial, number):
    """Of the wait that follows that attempt; None: nothing follows."""
    case = trial.case
    if case.next is OVER or trial.expected(number)[0] == "delivered" or number >= ATTEMPTS_MAX:
        return None
    ceiling = CEILINGS_S[number - 1]
    return (0, ceiling) if case.next == OWN else (case.next[0], max(case.next[1], min(ceiling, CAP)))


def check_waits(trial):
    for number, entry in enumerate(trial.attempts, 1):
        bounds, next_at = wait_bounds(trial, number), trial.waits.get(number)
        if bounds is None and next_at is not None:
            trial.fail(f"is tried again after attempt {number}, which should have been the last")
        if bounds is None or next_at is None:
            continue
        wait_s = (next_at - microseconds(entry["ts"])) / SECOND
        if not bounds[0] - STALE_S <= wait_s <= bounds[1] + STALE_S:
            trial.fail(f"waits {wait_s:.3f} s after attempt {number}, not {bounds[0]} to {bounds[1]}")


def check_arrivals(trial):
    """No attempt is sent twice, whatever happened to its connection."""
    case = trial.case
    if not trial.listener:
        return
    firsts = trial.requests(attempt=1)
    if len(firsts) != case.read:
        trial.fail(f"the endpoint has read the first attempt {len(firsts)} times, not {case.read}")
    counts = collections.Counter(request.attempt for request in trial.requests())
    if any(count > 1 for count in counts.values()):
        trial.fail(f"an attempt arrived more than once: {dict(counts)}")
    if any(request.target != "/" for request in trial.listener.requests):
        trial.fail("a redirect was followed")
    if case.on_fresh is not None and firsts and (firsts[0].connection != 1) != case.on_fresh:
        trial.fail(f"the request came on connection {firsts[0].connection}")
    if case.poured and not 0 < trial.listener.poured <= MEBIBYTE:
        trial.fail(f"the service let {trial.listener.poured} bytes of {case.poured} in")


def check_failed_task(trial, row):
    """The API's own record of a run that used up its attempts."""
    attempts, case = row["attempts"], trial.case
    if [a["number"] for a in attempts] != list(range(1, len(trial.attempts) + 1)):
        trial.fail(f"the failed task has attempts {[a['number'] for a in attempts]}")
    for attempt, entry in zip(attempts, trial.attempts):
        if (attempt["outcome"], attempt["status"]) != trial.expected(attempt["number"]):
            trial.fail(f"the failed task says {attempt['outcome']} {attempt['status']} of attempt {attempt['number']}")
        if attempt["duration_ms"] != entry["duration_us"] // 1000:
            trial.fail(f"attempt {attempt['number']} lasted {attempt['duration_ms']} ms or {entry['duration_us']} us")
        if case.answer_begins and not attempt["answer"].startswith(case.answer_begins.decode("latin-1")):
            trial.fail(f"the answer is kept as {attempt['answer'][:40]!r}")
    if row["task_id"] != trial.run_id:
        trial.fail("the failed task is another run's")


def kolmogorov_smirnov(samples):
    """The p-value of the samples' being uniform in [0, 1] (Marsaglia's asymptotic series; good from some 35 on)."""
    ordered, n = sorted(samples), len(samples)
    distance = max(max((i + 1) / n - x, x - i / n) for i, x in enumerate(ordered))
    root = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    return min(1.0, max(0.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * root) ** 2) for k in range(1, 101))))


def jitter_samples(trials):
    """Each wait of the service's own as a part of its ceiling."""
    return [(trial.waits[n] - microseconds(entry["ts"])) / SECOND / CEILINGS_S[n - 1]
            for trial in trials if trial.case.next == OWN
            for n, entry in enumerate(trial.attempts, 1) if n in trial.waits]


def check_metrics(rig, before, problems):
    after = rig.metric_sums()
    seen = {name: value - before.get(name, 0) for name, value in after.items()}
    seen["http_error"] = sum(seen.pop(name) for name in list(seen) if name.startswith("http_"))
    told = {name: rig.classes[name] for name in seen}
    if seen != told:
        problems.append(f"the metrics count {seen}, the log {told}")


# ---- the course of a trial ----

def start_all(rig, cases, is_quick):
    """Returns those that are not decided yet. After a standstill of ours nothing is made up for, or the log would drop lines."""
    pending = []
    for family, case in cases:
        time.sleep(1 / CREATES_PER_S[is_quick])
        pending = decide(rig, [*pending, rig.start(family, case)], is_quick)
    return pending


def decide(rig, pending, is_quick):
    """What is decided is deleted, so that nothing more of it comes. Returns what is not."""
    rig.read_log()
    for trial in pending:
        if rig.is_over(trial, is_quick) and not trial.is_dead:
            assert rig.api.delete(f"{SCHEDULES}{trial.schedule['id']}/").status == 204
    return [trial for trial in pending if not rig.is_over(trial, is_quick)]


def finish_all(rig, pending, is_quick, timeout_s, say):
    deadline = time.monotonic() + timeout_s
    said = time.monotonic()
    while pending and time.monotonic() < deadline:
        pending = decide(rig, pending, is_quick)
        if time.monotonic() - said > 15:
            said = time.monotonic()
            say(f"endpoints: {len(pending)} of {len(rig.trials)} cases are not decided yet")
        time.sleep(0.05)
    for trial in pending:
        trial.fail(f"not decided within {timeout_s:.0f} s: {[(a['class'], a['status'], a['detail']) for a in trial.attempts]}")


def check_all(rig, slack_s):
    rows = {row["schedule"].rstrip("/").rsplit("/", 1)[-1]: row for row in rig.api.get(FAILED).json()["results"]}
    for trial in rig.trials:
        for number, entry in enumerate(trial.attempts, 1):
            check_attempt(trial, number, entry, rig.timeout_s, slack_s)
        check_waits(trial)
        check_arrivals(trial)
        row = rows.get(trial.schedule["id"])
        if bool(row) != trial.is_dead:
            trial.fail(f"{'a' if row else 'no'} failed task is on record")
        if row:
            check_failed_task(trial, row)


def memory_trial(rig, problems):
    """Eight bodies of 64 MiB at the same time may cost a mebibyte of memory, and no more."""
    def resident(word):
        return int(re.search(rf"^{word}:\s+(\d+) kB", pathlib.Path(f"/proc/{rig.service.pid}/status").read_text(), re.M)[1])
    huge = [(family, case) for family, case in CASES if case.poured and family == "body"]
    pathlib.Path(f"/proc/{rig.service.pid}/clear_refs").write_text("5")
    before = resident("VmRSS")
    pending = start_all(rig, [huge[n % len(huge)] for n in range(8)], True)
    until(lambda: not decide(rig, pending, True), what="eight large bodies")
    grown = (resident("VmHWM") - before) * 1024
    if grown > MEBIBYTE and not rig.is_sanitized():
        problems.append(f"eight bodies of 64 MiB cost {grown} bytes of memory")
    return grown


def keep_alive_trial(rig, runs_n, problems):
    """The endpoint closes each connection within 3 ms of its answer, often just when the next request is on its way. That
    may cost an attempt, never a run, and no attempt may be read twice."""
    listener = rig.endpoint.listen((answer(200), wait_some(0.003)))
    begun = rig.delivered()
    for _ in range(runs_n):
        rig.api.create(endpoint=f"http://127.0.0.1:{listener.port}/", next_send_at=PAST)
    try:
        until(lambda: rig.delivered() - begun == runs_n, timeout=sum(CEILINGS_S), what="every run to be delivered")
    except AssertionError as late:
        problems.append(f"keep-alive race: {late}")
    reads = collections.Counter((request.run_id, request.attempt) for request in listener.requests)
    if len({run for run, _ in reads}) != runs_n or max(reads.values()) != 1:
        problems.append(f"keep-alive race: {runs_n} runs, {len(reads)} attempts read, {len(listener.requests)} times")
    lost = sum(request.attempt for request in listener.requests) - runs_n
    if lost <= 0:
        problems.append("void: no request met a closing connection")
    return {"runs": runs_n, "attempts_lost": lost}


def settle(rig, before, problems):
    """With every case over and every connection ended, the process holds what it held."""
    rig.endpoint.drop_connections()
    try:
        until(lambda: rig.descriptors() <= before, timeout=15, what="the descriptors to go back")
    except AssertionError:
        problems.append(f"{rig.descriptors()} descriptors are open, {before} were before")


def run_patient(folder, slack_s, say):
    """The bounds within an attempt: a service that has more than 5 s for the whole."""
    rig = Rig(folder, PATIENT_S)
    try:
        finish_all(rig, start_all(rig, PATIENT, True), True, 4 * PATIENT_S, say)
        check_all(rig, slack_s)
    finally:
        rig.close(is_failed=True)
    return rig.trials


def select_cases(is_quick, only, seed, flapping_n):
    cases = CASES + [("flapping", case) for case in flapping(seed, flapping_n) if len(case.scripts) <= 2 or not is_quick]
    return [(family, case) for family, case in cases if only in f"{family}: {case.name}"]


def run(is_quick, timeout_s, slack_s, flapping_n, seed, folder, say, only=""):
    """One whole trial. Returns (trials, problems of the whole, figures)."""
    rig, problems = Rig(folder, timeout_s), []
    is_done = False
    try:
        assert rig.api.get(FAILED).status == 200     # its connection is one of those that stay
        before, sums = rig.descriptors(), rig.metric_sums()
        pending = start_all(rig, select_cases(is_quick, only, seed, flapping_n), is_quick)
        finish_all(rig, pending, is_quick, (30 if is_quick else sum(CEILINGS_S) + 60) + ATTEMPTS_MAX * timeout_s, say)
        trials = list(rig.trials)
        check_all(rig, slack_s)
        grown = None if is_quick else memory_trial(rig, problems)
        settle(rig, before, problems)
        rig.read_log()
        if rig.lost_lines():
            problems.append(f"void: the log dropped {rig.lost_lines()} lines")
        check_metrics(rig, sums, problems)
        race = None if is_quick else keep_alive_trial(rig, RACE_RUNS, problems)
        settle(rig, before, problems)
        samples = jitter_samples(trials)
        p = kolmogorov_smirnov(samples) if len(samples) >= SAMPLES_MIN else None
        if p is not None and p < 0.001:
            problems.append(f"waits are not uniform: p = {p:.2g} of {len(samples)}")
        lasted = [entry["duration_us"] / SECOND for trial in trials for entry in trial.attempts]
        figures = {"attempts": sum(rig.classes.values()), "classes": dict(rig.classes), "waits": len(samples),
                   "waits_uniform_p": p and round(p, 3), "longest_beyond_timeout_ms": round((max(lasted) - timeout_s) * 1000),
                   "most_let_in_bytes": max((t.listener.poured for t in trials if t.listener), default=0),
                   "memory_grown_bytes": None if rig.is_sanitized() else grown,
                   "keep_alive_race": race}
        is_done = True
    finally:
        rig.close(is_failed=not is_done)
    return trials, problems, figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--timeout", type=int, default=2, help="the service's time for an attempt, in seconds")
    parser.add_argument("--slack-ms", type=int, default=100, help="how much later an attempt may end")
    parser.add_argument("--flapping", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name, with its family, holds this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seed-endpoints-") as folder:
        trials, problems, figures = run(options.quick, options.timeout, options.slack_ms / 1000, options.flapping,
                                        options.seed, folder, lambda text: print(text, file=sys.stderr, flush=True),
                                        options.only)
        if not options.quick:
            trials += run_patient(tempfile.mkdtemp(dir=folder), options.slack_ms / 1000, print)
    problems += [problem for trial in trials for problem in trial.problems]
    for problem in problems:
        print(f"PROBLEM: {problem}")
    families = collections.Counter(trial.family for trial in trials)
    print("proof: " + json.dumps({"part": "endpoints", "tried": {"cases": len(trials), **families}, "found": figures,
                                  "held": not problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
