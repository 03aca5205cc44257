#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 at random moments under load, again and again, and then the whole account (promises P1 to P6, P10, P12, P13).

    python3 tests/e2e/crash_load.py --kills 1000 [--rate 600 | --rate full] [--database-mb 1024] [--seed N]

100 schedules of a second, 100 cron entries in six zones, one-shots, edits, deletions and requeues all the time, and so many
further schedules of a second that hundreds of deliveries a second flow (--rate; `full`: 12,000 that fire every second, more than
the machine delivers, so that what is due never ends). The service is killed 20 to 800 ms after it said that it was ready, and
started again. A kill with less than 100 deliveries a second before it is void: it is told apart and repeated.
harness/judge.py says what is checked.

--database-mb: so much history is in the database before the first kill.
"""
import argparse
import pathlib
import random
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.database import rewriting                      # noqa: E402
from harness.trial import Trial, percentile, prove, tell    # noqa: E402
from harness.workload import now_us                         # noqa: E402

RATE_VOID = 100         # deliveries a second before a kill, at least
RATE_WANTED = 500       # over all lives that a kill ended; smaller loads: 0.8 of them
RATE_FULL = 10_000      # the same with --rate full
VOID_SHARE_MAX = 0.5    # more void kills than that: the machine is too busy to say anything
FULL_SCHEDULES = 12_000
FULL_SECONDS_A_KILL = 1     # how often each of them fires
FIRST_REQUEST_MS = 1000     # 99 of 100 starts, also with a large database
HISTORY_ROWS = 100_000


def fill_history(database, megabytes):
    """Copies a delivered run again and again, as a schedule that fired for years would have left them; the sums are kept."""
    with rewriting(database) as connection:
        like, = connection.execute("SELECT max(id) FROM runs WHERE state = 1 AND kind = 0").fetchone()
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        values = ["n.i" if name == "id" else name for name in columns]
        schedule, = connection.execute("SELECT schedule_id FROM runs WHERE id = ?", (like,)).fetchone()
        newest, = connection.execute("SELECT max(id) FROM runs").fetchone()
        added = 0
        size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        while connection.execute(size).fetchone()[0] < megabytes << 20:
            connection.execute(f"""
                WITH RECURSIVE n (i) AS (SELECT ?1 + 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + {HISTORY_ROWS})
                INSERT INTO runs SELECT {", ".join(values)} FROM n, runs WHERE id = ?2""", (newest, like))
            newest += HISTORY_ROWS
            added += HISTORY_ROWS
            connection.commit()
        connection.execute("UPDATE timers SET planned = planned + ?, triggered = triggered + ? WHERE schedule_id = ?",
                           (added, added, schedule))
    return added


def prepare(trial, load, megabytes, kills):
    """The recurring schedules and the history; the service is up afterwards."""
    trial.start()
    trial.workload.make_recurring(100, 100, 0 if load == "full" else load)
    if load == "full":
        begins_s = trial.workload.make_burst(FULL_SCHEDULES, kills * FULL_SECONDS_A_KILL)
        tell(f"crash_load: {FULL_SCHEDULES} schedules made, {begins_s - time.time():.0f} s before they begin to fire")
        assert time.time() < begins_s
        time.sleep(begins_s - time.time())
    trial.workload.start()
    if not megabytes:
        return 0
    filler = trial.workload.create("/filler", 0, next_send_at="2020-01-01T00:00:00Z")
    trial.workload.one_shots.append(filler)
    while not any(arrival.path == "/filler" for arrival in trial.witness.poll()):
        time.sleep(0.01)
    trial.workload.up.clear()
    trial.stop()
    rows = fill_history(trial.service.database_path, megabytes)
    tell(f"crash_load: {rows} runs of history, {trial.service.database_path.stat().st_size >> 20} MiB")
    trial.start()
    return rows


def batter(trial, kills, dice):
    """Kills until `kills` of them count; returns the flows before those, and how many were void."""
    flows, void, begun_us = [], 0, now_us()
    while len(flows) < kills and void <= max(20, kills * VOID_SHARE_MAX):
        time.sleep(dice.uniform(0.02, 0.8))     # the load runs; this is its length, not a wait for something
        arrived, us = trial.flow(begun_us)
        trial.kill()
        if arrived * 1e6 < us * RATE_VOID:
            void += 1
        else:
            flows.append((arrived, us))
            if len(flows) % 50 == 0:
                tell(f"crash_load: {len(flows)} kills, {void} void, {len(trial.witness.all)} requests")
        trial.start()
    return flows, void


def run(folder, kills, load, seed, megabytes=0):
    """One whole trial; returns (tried, found, problems)."""
    tell(f"crash_load: seed {seed}, {kills} kills")
    is_full = load == "full"
    dice = random.Random(seed)
    with Trial(folder, seed) as trial:
        rows = prepare(trial, load, megabytes, kills)
        flows, void = batter(trial, kills, dice)
        judge = trial.judge(timeout_s=300 if is_full else 120)
        found = trial.figures(judge)
        problems = judge.problems
    rates = [arrived * 1e6 / us for arrived, us in flows]
    mean = sum(arrived for arrived, _ in flows) * 1e6 / max(1, sum(us for _, us in flows))
    found["rate"] = {"mean": round(mean), "min": round(min(rates, default=0)), "p50": round(percentile(rates, 0.5) or 0)}
    wanted = RATE_FULL if is_full else RATE_WANTED if load >= RATE_WANTED else load * 0.8
    if mean < wanted:
        problems.append(f"void: {mean:.0f} deliveries a second, {wanted:.0f} wanted")
    if len(flows) < kills:
        problems.append(f"void: {void} kills had less than {RATE_VOID} deliveries a second before them")
    if kills >= 100 and found["first_request_ms"]["p99"] > FIRST_REQUEST_MS:
        problems.append(f"too slow to start: {found['first_request_ms']}, p99 of {FIRST_REQUEST_MS} ms wanted")
    tried = {"kills": len(flows), "void_kills": void, "one_shots": len(trial.workload.one_shots),
             "schedules": len(trial.workload.all_recurring() + trial.workload.burst), "history_rows": rows, "seed": seed}
    return tried, found, problems


def load_of(text):
    return text if text == "full" else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rate", type=load_of, default=600)
    parser.add_argument("--database-mb", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-load-") as folder:
        result = run(folder, options.kills, options.rate, options.seed, options.database_mb)
    return prove("crash_load", *result)


if __name__ == "__main__":
    sys.exit(main())
