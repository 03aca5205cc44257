# SPDX-License-Identifier: BSD-3-Clause
"""The kill -9 loop of crash.py: a short one always, a long one among the slow tests; and its oracle, tried on lies."""
import os
import random

import pytest

import crash

# SEED_CRASH_SEED repeats a trial; the seed of every trial is printed.
SEED = int(os.environ.get("SEED_CRASH_SEED") or random.SystemRandom().randrange(1 << 32))


def test_a_few_kills(tmp_path):
    assert crash.run(6, SEED, tmp_path) == []


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    assert crash.run(50, SEED + 1, tmp_path) == []


def arrival(at, run="r", schedule="s", planned="2026-01-01T00:00:00.000000Z", body="b", path="/p"):
    return {"at": at, "run_id": run, "schedule": schedule, "planned": planned, "body": body, "path": path}


BASE = 1767225600       # 2026-01-01T00:00:00Z


@pytest.mark.parametrize("requests", [
    [arrival(BASE - 0.001)],
    [arrival(BASE + 1), arrival(BASE + 1, run="other")],
    [arrival(BASE + 1), arrival(BASE + 1, body="other")],
    [arrival(BASE + 1), arrival(BASE + 1, planned="2026-01-01T00:00:01.000000Z")],
])
def test_the_oracle_sees_wrong_occurrences(requests):
    problems = []
    crash.check_occurrences([arrival(BASE + 1)], problems)
    assert problems == []
    crash.check_occurrences(requests, problems)
    assert problems


def test_the_oracle_sees_duplicates_that_no_kill_explains():
    twice = [arrival(BASE + 1), arrival(BASE + 2)]
    for kills, wrong in (([BASE + 1.5], 0), ([], 1), ([BASE + 0.5], 1), ([BASE + 2.5], 1)):
        problems = []
        assert crash.check_duplicates(twice, kills, problems) == 1
        assert len(problems) == wrong
    problems = []
    crash.check_duplicates([arrival(BASE), arrival(BASE + 9)], [BASE + 8], problems)
    assert problems


def test_the_oracle_sees_what_is_missing():
    problems = []
    crash.check_one_shots([("i", "/p", "2026-01-01T00:00:00Z")], [arrival(BASE)], problems)
    assert problems == []
    crash.check_one_shots([("i", "/q", "2026-01-01T00:00:00Z")], [arrival(BASE)], problems)
    crash.check_one_shots([("i", "/p", "2026-01-01T00:00:01Z")], [arrival(BASE)], problems)
    assert len(problems) == 2
    made = {"id": "s", "next_send_at": "2026-01-01T00:00:00Z"}
    second, third = "2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:02.000000Z"
    for requests, count, wrong in (([arrival(0), arrival(0, planned=second)], 2, 0),
                                   ([arrival(0), arrival(0, planned=third)], 2, 1),
                                   ([arrival(0)], 2, 1), ([arrival(0, planned=second)], 1, 1)):
        problems = []
        crash.check_intervals([(made, {"triggered": count})], requests, problems)
        assert len(problems) == wrong, (requests, problems)
