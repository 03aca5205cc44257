#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Dies at every failpoint of src/base/failpoints.def, under load, and then the whole account, as in crash_load.py.

    python3 tests/e2e/failpoints.py [--kills 3] [--seed N] [--only NAME]...

Needs a program built with -Dfailpoints=true: $SEED_BINARY if it is one, else build/failpoints is made. A place is reached by what
it takes: most by the load alone, some by a start, a stop, an account command, a purge of old runs, a new database, or an earlier
death that leaves something behind. Each has to be seen in the log before the process dies. Then places are armed to fail (the
job, the commit, the queue, the socket) and to hold the thread; those lives end by a signal, after which nothing may come twice,
or by a kill in the middle.
"""
import argparse
import collections
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.database import reading, rewriting     # noqa: E402
from harness.service import BINARY, ROOT, Service   # noqa: E402
from harness.trial import Trial, prove, tell        # noqa: E402

DAY_US = 86_400_000_000
REACH_S = 40        # within which a place that is armed has to be reached
RATE_VOID = 100     # deliveries a second over all lives; with less the trial says nothing
LOAD = 60           # schedules of a second beside those of every kind

# Reached while a database that does not exist is made.
NEW = ("store.migrate.", "key.file.", "store.open.keyed")
# Reached by a signal to stop, an account command, and old runs.
STOP = ("serve.stopping", "serve.drained", "serve.closed", "delivery.draining", "delivery.drained")
COMMAND = ("control.command", "control.commanded")
PURGE = ("store.purge.",)
# Reached only after something went wrong: what is armed beside it, or the death that leaves it to the next start.
BESIDE = {"store.job.undone": "store.job.run=error@20"}
BEFORE = {"store.recall.settled": "delivery.revoked=kill@{}"}
# Passed many times a second: these die at a later hit, too.
BUSY = ("store.group.", "store.job.savepoint", "store.job.run", "store.job.released", "store.commit", "store.submit",
        "store.claim.", "store.record.updated", "store.record.counters", "delivery.start", "delivery.attempted",
        "delivery.records", "delivery.recorded", "delivery.claimed", "outbound.")
BUSY_NOT = ("store.claim.queued", "store.claim.skipped", "store.claim.waiting", "outbound.connect")

# What fails, so many times in a row, and how many attempts may be lost by it without a request.
ERRORS = [("store.commit", 15, 0), ("store.job.run", 15, 0), ("store.submit", 15, 0), ("outbound.connect", 3, 3)]
# What is held, and for how long.
PAUSES = [("store.group.committed", 300), ("store.commit", 300), ("outbound.answered", 200), ("delivery.claimed", 300),
          ("store.checkpoint.due", 200), ("api.written", 200), ("delivery.records", 300), ("store.claim.taken", 300)]


def read_places():
    return re.findall(r'^FAILPOINT_PLACE\("([^"]+)"', (ROOT / "src" / "base" / "failpoints.def").read_text(), re.M)


def has_failpoints(binary):
    """A program with failpoints refuses a name that is not one."""
    return (pathlib.Path(binary).exists()
            and subprocess.run([binary, "--version"], env=arm("no.such=kill"), capture_output=True).returncode == 2)


def find_binary():
    if has_failpoints(BINARY):
        return BINARY
    build = ROOT / "build" / "failpoints"
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(build), str(ROOT), "--buildtype=release", "-Dfailpoints=true",
                        "-Dtests=false"], check=True, stdout=sys.stderr)
    subprocess.run(["ninja", "-C", str(build)], check=True, stdout=sys.stderr)
    assert has_failpoints(build / "seed-scheduler")
    return build / "seed-scheduler"


def arm(*armings):
    return {"SEED_FAILPOINTS": ";".join(armings)}


def draw_hit(place, dice):
    if place.startswith(BUSY) and not place.startswith(BUSY_NOT):
        return dice.choice((1, 5, 40, 150))
    return 1


class Lives:
    """Lives that end at places or go through them, one after the other, in one trial; `deaths` counts the former by place."""

    def __init__(self, trial, dice):
        self.trial, self.dice, self.problems, self.unsent = trial, dice, [], 0
        self.deaths = collections.Counter()

    def was_reached(self, place, log):
        reached = any(entry.get("event") == "failpoint" and entry["name"] == place for entry in log)
        if not reached:
            self.problems.append(f"{place} was armed and not reached")
        return reached

    # ---- dying ----

    def die_at(self, place):
        """One life that ends at `place`; afterwards no process runs."""
        if place in BEFORE:
            self.die_before(place)
        if place.startswith(PURGE):
            self.age_history()
        armings = ([BESIDE[place]] if place in BESIDE else []) + [f"{place}=kill@{draw_hit(place, self.dice)}"]
        if self.trial.start(arm(*armings)):
            if place in STOP:
                time.sleep(self.dice.uniform(0.05, 0.3))    # the load runs
                self.trial.terminate()
            elif place in COMMAND:
                threading.Thread(target=self.command, daemon=True).start()
        died = self.trial.bury(REACH_S)
        self.deaths[place] += self.was_reached(place, self.trial.last_log) and died

    def die_before(self, place, tries=20):
        """A few deaths, at different hits, so that one of them leaves what `place` is for."""
        arming = BEFORE[place].format(self.dice.randrange(1, 4))
        self.trial.start(arm(arming))
        if not self.trial.bury(REACH_S):
            self.problems.append(f"{arming} was not reached, before {place}")
            return
        with reading(self.trial.service.database_path) as connection:
            cancelled, = connection.execute("SELECT count(*) FROM runs WHERE recall = 1 AND state = 0").fetchone()
        if not cancelled and tries > 1:
            self.die_before(place, tries - 1)

    def command(self):
        self.trial.service.cli("token", "create", "admin")

    def age_history(self):
        """What was over before the oldest run that is open, or may be opened again, was over eight days ago: a purge goes by
        id, up to the first young one."""
        age = 8 * DAY_US
        with rewriting(self.trial.service.database_path) as connection:
            connection.execute(f"UPDATE runs SET planned_at = planned_at - {age}, changed_at = changed_at - {age} WHERE id < "
                               "(SELECT coalesce(min(id), 1 << 60) FROM (SELECT id FROM runs WHERE state = 0 UNION ALL "
                               "SELECT run_id FROM failures))")

    # ---- failing and holding ----

    def fail_at(self, place, times, unsent):
        # Not at the first commit, which is the recovery's: without that no start is one.
        first = 1 if place.startswith(BUSY_NOT) else self.dice.choice((5, 20, 60))
        self.unsent += unsent
        self.trial.start(arm(*(f"{place}=error@{first + n}" for n in range(times))))
        self.live_on(place, is_killed=self.dice.random() < 0.5)

    def hold_at(self, place, ms, is_killed):
        self.trial.start(arm(f"{place}=pause:{ms}@{draw_hit(place, self.dice)}"))
        self.live_on(place, is_killed)

    def live_on(self, place, is_killed):
        """Waits until the place has acted, then ends the life, by a kill in the middle or by a signal."""
        deadline = time.monotonic() + REACH_S
        while not self.trial.event(event="failpoint", name=place) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.was_reached(place, self.trial.service.log())
        time.sleep(self.dice.uniform(0, 0.15))      # somewhere in the middle
        self.trial.kill() if is_killed else self.trial.stop()


def die_while_new(place, folder, binary):
    """A database that is made dies at `place`; the next start makes it whole."""
    with Service(directory=folder, binary=binary) as service:
        service.spawn(env=arm(f"{place}=kill"))
        code = service.ended(REACH_S)
        reached = f'"name":"{place}"' in service.log_text()
        service.start()
        token = service.create_user("admin", admin=True)
        answer = service.api(token).get("/api/v1/schedule/")
        service.stop()
        keys = sorted(path.name for path in pathlib.Path(folder).glob("*.key*"))
        proof = service.cli("check")
    if code != -9 or not reached:
        return f"{place} was armed and not reached (exit code {code})"
    if answer.status != 200 or proof.returncode != 0 or keys != ["scheduler.db.key"]:
        return f"after a death at {place}: {answer}, {proof.stdout}, files {keys}"
    return None


def run(folder, kills, seed, only=(), pauses=PAUSES, load=LOAD):
    """Every place `kills` times, the other actions once each; returns (tried, found, problems)."""
    dice, binary = random.Random(seed), find_binary()
    places = [place for place in read_places() if not only or place in only]
    tell(f"failpoints: seed {seed}, {len(places)} places, {kills} times each")
    new = [place for place in places if place.startswith(NEW)]
    folder = pathlib.Path(folder)
    problems = [die_while_new(place, folder / f"new-{place}-{n}", binary) for n in range(kills) for place in new]
    problems = [problem for problem in problems if problem]
    with Trial(folder, seed, binary) as trial:
        trial.start()
        trial.workload.make_recurring(10, 10, load)
        trial.workload.start()
        lives = Lives(trial, dice)
        trial.kill()
        for n in range(kills):
            for place in dice.sample(places, len(places)):
                if place not in new:
                    lives.die_at(place)
            trial.witness.poll()
            tell(f"failpoints: round {n + 1}, {len(trial.lives)} lives, {len(trial.witness.all)} requests")
        for place, times, unsent in ERRORS:
            lives.fail_at(place, times, unsent)
        for place, ms in pauses:
            lives.hold_at(place, ms, is_killed=False)
            lives.hold_at(place, ms, is_killed=True)
        trial.start()
        judge = trial.judge(unsent_attempts=lives.unsent)
        found = trial.figures(judge)
    found["rate"] = round(found["requests"] / found["served_s"])
    if found["rate"] < RATE_VOID:
        problems.append(f"void: {found['rate']} deliveries a second, {RATE_VOID} wanted")
    missed = [place for place in places if place not in new and lives.deaths[place] < kills]
    problems += lives.problems + judge.problems + [f"no {kills} deaths at {place}" for place in missed]
    tried = {"places": len(places), "deaths": lives.deaths.total() + kills * len(new), "errors": len(ERRORS),
             "pauses": 2 * len(pauses), "lives": len(trial.lives), "seed": seed}
    return tried, found, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3, help="times that each place is died at")
    parser.add_argument("--only", action="append", default=[], help="a place; may be repeated")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="failpoints-") as folder:
        return prove("failpoints", *run(folder, options.kills, options.seed, options.only))


if __name__ == "__main__":
    sys.exit(main())
