# SPDX-License-Identifier: BSD-3-Clause
"""Short runs of the proofs about time (tests/fault: clock, catch_up, retention; tests/e2e: soak), and their oracles tried on
lies. The seeds are printed; SEED_CLOCK_SEED repeats a run."""
import os
import pathlib
import random
import sys
import types

import pytest

FAULT = pathlib.Path(__file__).resolve().parents[1] / "fault"
if str(FAULT) not in sys.path:
    sys.path.insert(0, str(FAULT))

import catch_up             # noqa: E402
import clock as scripts     # noqa: E402
import faketime             # noqa: E402
import retention            # noqa: E402
import soak                 # noqa: E402

SEED = int(os.environ.get("SEED_CLOCK_SEED") or random.SystemRandom().randrange(1 << 32))
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000


def test_a_few_scripts_of_the_clock():
    tried, found = scripts.run(3, SEED, 3, say=print)
    assert found["problems"] == 0 and tried["changes"] > 0, (tried, found)


def test_a_few_times_down():
    tried, found = catch_up.run(1, 200, SEED, downs=(59.99998, 60.00002, 3600))
    assert found["problems"] == [] and found["runs"] > 800, (tried, found)


def test_a_history_ends_when_its_time_is_over(tmp_path):
    kept = retention.forget(tmp_path, *retention.CASES[1])
    assert kept["planned"] == kept["delivered"] + kept["failed"] + kept["cancelled"] + kept["skipped"]


@pytest.mark.slow
def test_a_minute_of_the_soak(tmp_path):
    options = types.SimpleNamespace(minutes=1, rate=60, faults=0.05, seed=SEED, samples=None)
    tried, found = soak.run(options, tmp_path)
    assert found["problems"] == [], (tried, found)


# ---- the oracles ----

def test_the_oracle_of_catch_up_knows_its_bounds():
    def lengths(policy, next_us, period_us, end_us):
        run, skips = catch_up.expected(next_us, period_us, end_us, policy)
        return len(run), [(begin // SECOND, end // SECOND, count) for begin, end, count in skips]
    for policy in catch_up.POLICIES:
        assert lengths(policy, 10 * SECOND, SECOND, 10 * SECOND) == (0, [])
        assert lengths(policy, 10 * SECOND, SECOND, 70 * SECOND) == (60, [])      # a gap of 60 s runs in full
    past = 70 * SECOND + 1
    assert lengths("latest", 10 * SECOND, SECOND, past) == (1, [(10, 69, 60)])
    assert lengths("none", 10 * SECOND, SECOND, past) == (0, [(10, 70, 61)])
    assert lengths("all", 10 * SECOND, SECOND, past) == (61, [])
    assert lengths("all", 0, SECOND, 2000 * SECOND) == (1000, [(0, 999, 1000)])
    assert lengths("all", 0, HOUR, 2 * DAY) == (24, [(0, 23 * 3600, 24)])


def test_the_clock_of_the_tests_remembers_what_it_showed():
    shown = faketime.Clock.__new__(faketime.Clock)
    shown.moments = [faketime.Moment(0, 0, 0), faketime.Moment(100, 1000, 0), faketime.Moment(200, -50, 500_000_000)]
    assert shown.wall_ns(300) == 300 - 50 + 50
    assert shown.latest_shown_ns(0, 90) == 90
    assert shown.latest_shown_ns(50, 150) == 1150
    assert shown.latest_shown_ns(150, 300) == 1200        # just before it was set back
    assert shown.latest_shown_ns(210, 300) == 300


def play_of(requests):
    """A script without changes that saw `requests`: (path, real second, planned second, attempt, run id)."""
    play = scripts.Play.__new__(scripts.Play)
    play.start_name, play.actions, play.problems, play.changes = "now", [], [], []
    play.clock = faketime.Clock.__new__(faketime.Clock)
    play.clock.moments = [faketime.Moment(0, 0, 0)]
    play.stopped_us, play.one_shots = 100 * SECOND, []
    play.requests, play.made_ns = [], {}
    for path, at, planned_s, attempt, run_id in requests:
        headers = {"Seed-Planned-At": f"1970-01-01T00:00:{planned_s:02}.000000Z"}
        play.requests.append(types.SimpleNamespace(path=path, at=at, attempt=attempt, run_id=run_id,
                                                   header=lambda name, headers=headers: headers.get(name)))
        play.made_ns[path] = 0
    return play


@pytest.mark.parametrize("requests, wrong", [
    ([("/p", 5.1, 5, 1, "a")], 0),
    ([("/p", 4.9, 5, 1, "a")], 1),                                  # early
    ([("/p", 5.1, 5, 1, "a"), ("/p", 5.2, 5, 1, "b")], 1),          # two ids of one instant
    ([("/p", 5.1, 5, 1, "a"), ("/p", 5.2, 5, 2, "a")], 1),          # again after a 2xx
    ([("/p", 9.0, 5, 1, "a")], 1),                                  # late
])
def test_the_oracle_of_the_clock_sees_what_is_wrong(requests, wrong):
    play = play_of(requests)
    play.judge_instants()
    play.judge_lateness()
    assert len(play.problems) == wrong, play.problems


def test_the_oracle_of_a_grid_sees_holes_and_repeats():
    first = {"next_send_at": "1970-01-01T00:00:10Z"}
    grid = [10 * SECOND, 11 * SECOND, 12 * SECOND]
    for runs, skips, wrong in ((grid, [], 0), (grid[:1], [(11 * SECOND, 12 * SECOND, 2)], 0), (grid[::2], [], 1),
                               ([10 * SECOND] + grid, [], 2), (grid, [(12 * SECOND, 12 * SECOND, 1)], 1),
                               (grid[:1], [(11 * SECOND, 12 * SECOND, 3)], 1), (grid[:1], [], 1)):
        play = play_of([("/p", at / SECOND + 0.1, at // SECOND, 1, str(at)) for at in grid if at in runs])
        play.ended_us = 14 * SECOND
        play.judge_grid(first, "/p", SECOND, runs, set(), skips)
        assert len(play.problems) == wrong, (runs, skips, play.problems)


def samples(growth_mib=0.0, fds=0, late_ms=5.0, oldest=0.0, db=10.0):
    """An hour; the arguments say what creeps in it."""
    return [{"at_s": 10.0 * n, "rss_mib": 20 + growth_mib * n / 360 + (n % 3) * 0.1, "fds": 100 + n % 7 + fds * n // 360,
             "threads": 3, "db_mib": 10 + (db - 10) * n / 360, "wal_mib": 15.0, "load_1m": 1.0, "max_us": 9000,
             "p99_us": (5 + (late_ms - 5) * n / 360) * 1000, "oldest_due_s": oldest if n == 200 else 0.0}
            for n in range(90, 360)]


@pytest.mark.parametrize("creeping, wrong", [
    ({}, None), ({"growth_mib": 0.9}, None), ({"growth_mib": 6.0}, "memory"), ({"fds": 60}, "descriptors"),
    ({"late_ms": 200.0}, "p99"), ({"oldest": 2.5}, "waited"), ({"db": 15.0}, "database"),
])
def test_the_verdict_of_the_soak_sees_what_creeps(creeping, wrong):
    found, problems = {}, []
    soak.judge_creep(samples(**creeping), 300, found, problems)
    soak.judge_lateness(samples(**creeping), found, problems)
    assert [wrong in problem for problem in problems] == ([True] if wrong else []), (problems, found)
