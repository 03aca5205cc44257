#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""History goes when its time is over, its sums stay, and nobody's delivery waits for it (P3, P14).

    python3 tests/fault/retention.py [--rows 500000] [--rate 200] [--seconds 15]

First the clock is set: delivered, cancelled and skipped runs must be there to the end of their time and gone after it,
failed tasks likewise, by default and with --retention and --retention-failed; `seed-scheduler check` must count the
same all the while. Then --rows delivered runs of a week ago are put into a database, and --rate runs a second are
watched before, and while the purge deletes them: the 99th percentile of lateness may rise to 50 ms, or by half.
"""
import argparse
import json
import pathlib
import re
import sys
import tempfile
import time
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
for place in (TESTS, TESTS / "fault"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from faketime import NS, Clock                      # noqa: E402
from harness import receiver as answers             # noqa: E402
from harness.arrivals import report, start_receiver # noqa: E402
from harness.database import reading, rewriting     # noqa: E402
from harness.receiver import Receiver               # noqa: E402
from harness.service import BINARY, Service         # noqa: E402
from harness.wait import until                      # noqa: E402

HOUR_S, DAY_S = 3600, 86400
SECOND_US, DAY_US = 1_000_000, 86_400_000_000
LATE_MS, LATE_FACTOR = 50, 1.5
SUMS = ("planned", "delivered", "failed", "cancelled", "skipped", "open")


def say(text):
    print(text, file=sys.stderr, flush=True)


def rows(service, table, where="1"):
    with reading(service.database_path) as db:
        return db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def oldest_run(service):
    """Its id; the purge goes by ids. Cheap, since whoever asks runs beside what is measured."""
    with reading(service.database_path) as db:
        return db.execute("SELECT coalesce(min(id), 0) FROM runs").fetchone()[0]


def sums(service):
    proof = service.cli("check", timeout=300)
    assert proof.returncode == 0, proof.stdout + proof.stderr
    return {name: int(re.search(rf"^{name}\s+(\d+)", proof.stdout, re.M)[1]) for name in SUMS}


# ---- what goes when ----

def make_history(service, receiver, clock, api):
    """Delivered, failed and skipped runs, and cancelled ones if an edit finds one that was not sent yet."""
    receiver.script("/gone", answers.status(410))
    made = [api.create(endpoint=receiver.url(path), interval_definition="1 seconds", catch_up=catch_up)
            for path, catch_up in (("/fine", "latest"), ("/gone", "latest"), ("/skipped", "none"))]
    for path in ("/fine", "/gone"):
        receiver.wait_for(3, path)
    clock.suspend(HOUR_S * NS)
    seen = len(receiver.seen("/skipped"))
    receiver.wait_for(seen + 2, "/skipped")
    for schedule in made:
        assert api.patch(f"/api/v1/schedule/{schedule['id']}/", {"enabled": False}).status == 200
    until(lambda: sums(service)["open"] == 0, what="every run to end")


def forget(folder, options, done_days, failed_days):
    """Plays the life of a history; returns the sums that had to stay."""
    folder = pathlib.Path(folder)
    clock = Clock(folder, BINARY)
    with Receiver() as receiver, Service(*options, directory=folder / "service", env=clock.environment) as service:
        token = service.create_user("admin", admin=True)
        service.start()
        api = service.api(token)
        make_history(service, receiver, clock, api)
        kept = sums(service)
        assert kept["delivered"] >= 3 and kept["failed"] >= 3 and kept["skipped"] > 3000, kept
        api.close()
        age_s = 0
        # A little before the end of each time, and a little after: (days, are the done gone, are the failed gone).
        for age_wanted_s, done_gone, failed_gone in ((done_days * DAY_S - HOUR_S, False, False),
                                                     (done_days * DAY_S + 2 * HOUR_S, True, False),
                                                     (failed_days * DAY_S - HOUR_S, True, False),
                                                     (failed_days * DAY_S + 2 * HOUR_S, True, True)):
            service.stop()
            clock.pass_ns((age_wanted_s - age_s) * NS)
            age_s = age_wanted_s
            service.start()
            api = service.api(token)
            # The purge at the start has come by when what was made to be deleted by it is gone.
            until(lambda: rows(service, "runs", "state IN (1, 3)") == 0 or not done_gone, what="delivered runs to go")
            until(lambda: rows(service, "failures") == 0 or not failed_gone, what="failed tasks to go")
            time.sleep(0 if done_gone and failed_gone else 3)   # and nothing else may go meanwhile
            assert (rows(service, "runs", "state IN (1, 3)") == 0) == done_gone
            assert (rows(service, "skips") == 0) == done_gone
            assert (api.get("/api/v1/failed-tasks/").json()["count"] == 0) == failed_gone
            assert (rows(service, "attempts") == 0) == failed_gone
            assert sums(service) == kept
            api.close()
        service.stop()
    return kept


# ---- a large purge under load ----

def reset(port):
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/reset", data=b""), timeout=30).read()


def put_old_runs(service, count):
    """Runs of the first schedule, one a millisecond, delivered a week and a day ago."""
    first_us = time.time_ns() // 1000 - 8 * DAY_US
    with rewriting(service.database_path) as db:
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) INSERT INTO runs (id, "
                   "uuid, schedule_id, definition_id, kind, state, planned_at, changed_at, queued, attempts, "
                   "attempts_budget, was_failed, started_at, duration_us, status) SELECT i, randomblob(16), 1, 1, 0, 1, "
                   "?2 + i * 1000, ?2 + i * 1000, 0, 1, 6, 0, ?2 + i * 1000, 900, 200 FROM n", (count, first_us))
        db.execute("UPDATE timers SET planned = planned + ?1, triggered = triggered + ?1 WHERE schedule_id = 1", (count,))


def watch(service, port, seconds, old=0):
    """Lateness over a time; with `old` for as long as there are runs up to that id, but not longer."""
    reset(port)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        time.sleep(0.1)
        if old and oldest_run(service) > old:
            break
    taken_s, seen = time.monotonic() - begun, report(port)
    assert seen["duplicates"] == 0 and seen["early"] == 0, seen
    return taken_s, seen


def purge_under_load(folder, count, rate, seconds, problems):
    folder = pathlib.Path(folder)
    child, port = start_receiver(folder)
    try:
        with Service(directory=folder / "service") as service:
            token = service.create_user("admin", admin=True)
            service.start()
            api = service.api(token)
            begun = time.monotonic()
            made = []
            for n in range(rate):
                made.append(api.create(endpoint=f"http://127.0.0.1:{port}/{n}", interval_definition="1 seconds", enabled=False))
            service.stop()
            put_old_runs(service, count)
            service.start("--retention", "60 days", "--retention-failed", "60 days")
            service.process.quiet = True
            api = service.api(token)
            begun = time.monotonic()
            for n, schedule in enumerate(made):     # over a second, so that their instants are spread over every second
                time.sleep(max(0.0, begun + n / rate - time.monotonic()))
                assert api.patch(f"/api/v1/schedule/{schedule['id']}/", {"enabled": True}).status == 200
            api.close()
            time.sleep(2)
            _, quiet = watch(service, port, seconds)
            assert oldest_run(service) == 1
            service.restart()
            service.process.quiet = True
            until(lambda: oldest_run(service) > 1, timeout=30, what="the purge to begin")
            taken_s, busy = watch(service, port, 120, count)
            left = rows(service, "runs", "id <= %d" % count)
            kept = sums(service)
            service.stop()
    finally:
        child.terminate()
        child.wait(10)
    found = {"p99_ms_before": quiet["lateness_us"]["p99"] / 1000, "p99_ms_during": busy["lateness_us"]["p99"] / 1000,
             "p999_ms_during": busy["lateness_us"]["p999"] / 1000, "max_ms_during": busy["lateness_us"]["max"] / 1000,
             "purge_s": round(taken_s, 1), "runs_during": busy["count"], "delivered_on_record": kept["delivered"]}
    if left:
        problems.append(f"{left} of {count} old runs are left after {taken_s:.0f} s")
    if quiet["count"] < 0.9 * rate * seconds or busy["count"] < 100:
        problems.append(f"void: {quiet['count']} runs in {seconds} s before, {busy['count']} during")
    if found["p99_ms_during"] > max(LATE_MS, LATE_FACTOR * found["p99_ms_before"]):
        problems.append(f"p99 of lateness {found['p99_ms_before']} ms before, {found['p99_ms_during']} ms during the purge")
    return found


CASES = ((), 7, 30), (("--retention", "2 days", "--retention-failed", "72 hours"), 2, 3)


def run(count, rate, seconds):
    found, problems = {"histories": []}, []
    for options, done_days, failed_days in CASES:
        with tempfile.TemporaryDirectory(prefix="retention-") as folder:
            found["histories"].append(forget(folder, options, done_days, failed_days))
        say(f"retention: kept {done_days} and {failed_days} days: {found['histories'][-1]}")
    if count:
        with tempfile.TemporaryDirectory(prefix="retention-") as folder:
            found.update(purge_under_load(folder, count, rate, seconds, problems))
        say(f"retention: {found}")
    return found, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500000)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    found, problems = run(options.rows, options.rate, options.seconds)
    for problem in problems:
        say("retention: " + problem)
    tried = {"rows": options.rows, "rate": options.rate, "histories": len(found.pop("histories"))}
    print("proof: " + json.dumps({"part": "retention", "tried": tried, "found": {**found, "problems": problems},
                                  "held": not problems}))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
