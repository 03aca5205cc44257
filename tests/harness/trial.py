# SPDX-License-Identifier: BSD-3-Clause
"""One crash trial: the service, the witness of what it sends, the workload, and the lives of the service's processes.

The trials differ in how they end a process: crash_load.py kills it at a random moment, failpoints.py has it die at a named place.
Everything else is here: begin, live, end, judge, and the figures of the proof line.
"""
import json
import pathlib
import sys
import time

from .arrivals import Witness
from .judge import Judge, Life
from .service import Service
from .times import microseconds
from .workload import Workload, now_us

# "On time again", before the recurring schedules are switched off: nothing is later, and what the last death left is done.
LATE_US_MAX = 100_000
SETTLED_US = 2_000_000


def percentile(values, share):
    """The value below which `share` of them lie; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def tell(text):
    """Progress goes to stderr; stdout is for the result."""
    print(text, file=sys.stderr, flush=True)


def prove(part, tried, found, problems):
    """Prints the problems and the proof line; returns the exit code."""
    for problem in problems[:30]:
        print(f"PROBLEM: {problem}")
    if len(problems) > 30:
        print(f"... and {len(problems) - 30} more")
    proof = {"part": part, "tried": tried, "found": {**found, "problems": len(problems)}, "held": not problems}
    print("proof: " + json.dumps(proof))
    return 1 if problems else 0


class Trial:
    """Use as a context manager; it leaves no process behind."""

    def __init__(self, folder, seed, binary=None):
        self.witness = Witness(folder)
        self.service = Service(directory=pathlib.Path(folder) / "service", binary=binary)
        self.lives = []
        token = self.service.create_user("admin", admin=True)
        self.workload = Workload(self.service, token, self.witness.base, seed)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.workload.stopping.set()
        if self.service.process:
            self.service.process.child.kill()
            self.service.process.finish(10)
            self.service.process = None
        self.witness.__exit__()

    # ---- lives ----

    @property
    def life(self):
        return self.lives[-1]

    def start(self, env=None):
        """Starts a process and waits until it is ready. False: it ended before; then `bury` it."""
        self.lives.append(Life(spawned_us=now_us(), armed=(env or {}).get("SEED_FAILPOINTS", "")))
        self.service.spawn(env=env)
        try:
            self.service.wait_ready(60)
        except AssertionError:
            if not self.service.process.closed:
                raise
            return False
        self.life.ready_us = now_us()
        self.workload.up.set()
        return True

    def event(self, **wanted):
        """The first log entry of the present process that has these values, or None."""
        return next((entry for entry in self.service.log() if wanted.items() <= entry.items()), None)

    def _note_end(self, was_killed):
        opened = self.event(event="store_opened")
        if opened:
            self.life.opened_us, self.life.recovered = microseconds(opened["ts"]), opened["recovered_runs"]
        self.life.was_killed = was_killed
        self.workload.up.clear()

    def kill(self):
        self.workload.up.clear()
        self.service.process.child.kill()
        self.bury(0)

    def bury(self, timeout_s):
        """Waits for a process that dies by SIGKILL. False: it did not within `timeout_s`, and was killed now."""
        process, died = self.service.process, True
        self.last_log = []
        deadline = time.monotonic() + timeout_s
        while timeout_s and process.child.poll() is None:
            if time.monotonic() > deadline:
                process.child.kill()
                died = False
            time.sleep(0.002)
        code = process.child.wait(10)
        self.life.ended_us = now_us()
        process.pump.join(10)
        self._note_end(True)
        self.last_log = self.service.log()
        self.service.ended(10)
        if code != -9:
            self.workload.problems.append(f"the service ended by itself with {code}: {process.lines[-10:]}")
        return died

    def terminate(self):
        """Asks the process to stop, and does not wait."""
        self.service.process.child.terminate()

    def stop(self):
        """A graceful end, after which nothing may come twice."""
        process = self.service.process
        self._note_end(False)
        try:
            self.service.stop()
        except AssertionError as error:
            self.workload.problems.append(str(error))
        assert process.child.poll() is not None
        self.life.ended_us = now_us()

    def flow(self, not_before_us):
        """(requests that arrived in the present life since it was ready, us since then): what a kill interrupts."""
        since_us = max(self.life.ready_us, not_before_us)
        self.witness.poll()
        arrived = 0
        for arrival in reversed(self.witness.all):
            if arrival.at_us < since_us:
                break
            arrived += 1
        return arrived, now_us() - since_us

    # ---- the end ----

    def _is_on_time(self):
        recent = [arrival for arrival in self.witness.poll() if arrival.path.startswith(("/interval/", "/slow/"))
                  and arrival.schedule in self._steady]
        settled = now_us() - self.life.ready_us > SETTLED_US
        return settled and bool(recent) and max(arrival.at_us - arrival.planned_us for arrival in recent) < LATE_US_MAX

    def judge(self, timeout_s=60, unsent_attempts=0):
        """Ends the workload and the last life and returns the judge."""
        self._steady = {schedule.id for schedule in self.workload.recurring}
        burst_runs = sum(schedule.fields["frequency"] for schedule in self.workload.burst)
        done, retried, burst, seen = set(), set(), set(), 0

        def has_arrived(paths):
            nonlocal seen
            self.witness.poll()
            for arrival in self.witness.all[seen:]:
                if arrival.status == 200:
                    done.add(arrival.path)
                    retried.discard(arrival.run)
                elif arrival.status == 500:
                    retried.add(arrival.run)
                if arrival.path.startswith("/burst/"):
                    burst.add(arrival.run)
            seen = len(self.witness.all)
            return len(burst) == burst_runs and not retried and paths <= done

        deadline = time.monotonic() + timeout_s
        while len(burst) < burst_runs and time.monotonic() < deadline:
            has_arrived(set())
            time.sleep(0.1)
        self.workload.stop()
        self.workload.end(has_arrived, self._is_on_time, timeout_s)
        self.stop()
        self.witness.poll()
        judge = Judge(self.workload, self.witness.all, self.lives, unsent_attempts)
        judge.judge(self.service.database_path, self.service.cli("check", timeout=600))
        return judge

    def first_requests_ms(self):
        """For each life that sent anything, the time from the start of its process to the first request at the receiver."""
        found, life = [], 0
        for arrival in self.witness.all:
            while life + 1 < len(self.lives) and self.lives[life + 1].spawned_us <= arrival.at_us:
                life += 1
            if len(found) <= life:
                found += [None] * (life + 1 - len(found))
            if found[life] is None:
                found[life] = (arrival.at_us - self.lives[life].spawned_us) / 1000
        return [ms for ms in found[1:] if ms is not None]

    def figures(self, judge):
        rates = [life.ended_us - life.ready_us for life in self.lives if life.ready_us]
        first = self.first_requests_ms()
        runs = {arrival.run for arrival in self.witness.all}
        writes = [schedule.creation for schedule in self.workload.one_shots + self.workload.doomed]
        writes += [request for schedule in self.workload.edited for request, _ in schedule.edits]
        writes += [request for schedule in self.workload.doomed for request in schedule.deletions] + self.workload.requeues
        ends = [request.end for request in writes]
        killed = [len(pairs) for life, pairs in zip(self.lives, judge.duplicates) if life.was_killed]
        return {"requests": len(self.witness.all), "runs": len(runs), "served_s": round(sum(rates) / 1e6, 1),
                "writes": {end: ends.count(end) for end in sorted(set(ends))},
                "duplicates": sum(killed), "duplicates_a_kill_max": max(killed, default=0),
                "first_request_ms": {f"p{share}": round(percentile(first, share / 100), 1) if first else None
                                     for share in (50, 99, 100)}}
