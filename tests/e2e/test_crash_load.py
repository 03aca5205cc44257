# SPDX-License-Identifier: BSD-3-Clause
"""The kill -9 trials in small, and their judge tried on lies: each kind of broken promise has to be seen."""
import dataclasses
import os
import random
import types

import pytest

import crash_load
from harness.arrivals import Arrival
from harness.judge import IN_FLIGHT_MAX, Judge, Life
from harness.workload import ACKNOWLEDGED, REFUSED, UNANSWERED, Request, Schedule

# SEED_CRASH_SEED repeats a trial; the seed of every trial is printed.
SEED = int(os.environ.get("SEED_CRASH_SEED") or random.SystemRandom().randrange(1 << 32))
# With the death at each failpoint (test_failpoints.py) and the kills of test_crash.py well above a hundred in each CI run.
KILLS = 50
LOAD = 300


def test_kills_under_load(tmp_path):
    tried, found, problems = crash_load.run(tmp_path, KILLS, LOAD, SEED)
    assert problems == [], (tried, found)


# ---- the judge ----

S = 1_000_000
T = 1767225600 * S      # 2026-01-01T00:00:00Z
YES = Request(T, T + 1000, ACKNOWLEDGED)
LIVES = [Life(T, T, T, T + 10 * S, recovered=0, was_killed=True),
         Life(T + 10 * S, None, None, T + 11 * S, was_killed=True),     # died before it had opened the database
         Life(T + 11 * S, T + 11 * S, T + 11 * S, T + 90 * S, recovered=5)]


def arrival(after_s, **more):
    """A run that was planned for the second it arrived in."""
    at_us = T + int(after_s * S)
    return Arrival(at_us, f"run-{after_s}", 1, "s", at_us // S * S, 200, "/p", b'{"n": 1}')._replace(**more)


def schedule(**more):
    record = {"id": "s", "created_at": "2026-01-01T00:00:00Z", "next_send_at": "2026-01-01T00:00:01Z"}
    made = Schedule("/p", {"endpoint": "http://h/p", "payload": {"n": 1}, "interval_definition": "1 seconds"}, YES, record)
    made.final = {"id": "s", "endpoint": "http://h/p", "payload": {"n": 1}, "triggered": 30, "next_send_at": None}
    made.disabled = Request(T + 30 * S, T + 30 * S, ACKNOWLEDGED)
    return dataclasses.replace(made, **more)


def judge_of(arrivals, **workload):
    nothing = {kind: [] for kind in ("problems", "recurring", "edited", "toggled", "serial", "doomed", "one_shots", "burst")}
    return Judge(types.SimpleNamespace(**{**nothing, **workload}), arrivals, LIVES)


TICKS = [arrival(n + 0.001) for n in range(1, 31)]


@pytest.mark.parametrize("arrivals, sees", [
    (TICKS, False),
    (TICKS[:5] + TICKS[6:], True),                                              # one is missing
    (TICKS + [arrival(30.5, planned_us=T + 29 * S + S // 2)], True),            # not on the grid
    (TICKS[:-1] + [arrival(30.001, body=b'{"n":1}')], True),                    # other bytes
])
def test_it_sees_a_wrong_grid(arrivals, sees):
    judge = judge_of(arrivals)
    judge.check_recurring(schedule())
    assert bool(judge.problems) == sees, judge.problems


def test_it_sees_a_wrong_count_and_a_lost_record():
    for wrong in (schedule(final=None), schedule(final={**schedule().final, "triggered": 31}),
                  schedule(final={**schedule().final, "payload": {"n": 2}})):
        judge = judge_of(TICKS)
        judge.check_recurring(wrong)
        assert judge.problems


def test_its_cron_reader_knows_zones():
    fields = {"cron_definition": "30 10-14/2 5 * * * *", "timezone": "Asia/Kathmandu"}     # UTC+05:45
    found = judge_of([]).expected(schedule(fields=fields), T + 3600 * S)
    assert found == []
    fields["cron_definition"] = "30 45-49/2 5 * * * *"
    assert judge_of([]).expected(schedule(fields=fields), T + 3 * 60 * S) == [T + 30 * S, T + 150 * S]


@pytest.mark.parametrize("second, sees", [
    ({}, True),                                                         # without a kill
    ({"at_us": T + 11 * S}, True),                                      # long answered when the kill came
    ({"attempt": 2}, True),                                             # another attempt after a 200
    ({"attempt": 3}, True),                                             # an attempt that nobody saw
])
def test_it_sees_requests_too_many(second, sees):
    first = arrival(1)
    judge = judge_of([first, first._replace(**second)])
    judge.check_duplicates()
    assert bool(judge.problems) == sees


def test_it_allows_what_was_in_flight_at_a_kill_and_no_more():
    before = [arrival(9.5, run=f"r{n}", schedule=f"s{n}") for n in range(6)]
    for count, sees in ((5, False), (6, True)):
        judge = judge_of(before + [first._replace(at_us=T + 12 * S) for first in before[:count]])
        judge.check_duplicates()
        assert bool(judge.problems) == sees


def test_it_allows_no_more_than_can_be_in_flight_however_many_runs_were_leased():
    before = [arrival(9.5, run=f"r{n}", schedule=f"s{n}") for n in range(IN_FLIGHT_MAX + 1)]
    for count, sees in ((IN_FLIGHT_MAX, False), (IN_FLIGHT_MAX + 1, True)):
        judge = judge_of(before + [first._replace(at_us=T + 12 * S) for first in before[:count]])
        judge.lives = [*LIVES[:2], dataclasses.replace(LIVES[2], recovered=16384)]
        judge.check_duplicates()
        assert bool(judge.problems) == sees


@pytest.mark.parametrize("other", [
    {"at_us": T + S - 1},                   # early
    {"run": "other"}, {"body": b"2"}, {"planned_us": T}, {"schedule": "t"}, {"planned_us": None},
])
def test_it_sees_another_identity(other):
    judge = judge_of([arrival(1)])
    judge.check_identity()
    assert judge.problems == []
    judge = judge_of([arrival(1), arrival(1)._replace(**other)])
    judge.check_identity()
    assert judge.problems


def edited(*ends):
    """Edits at 10, 20, ... seconds that end so; the record has the last."""
    edits = [(Request(T + at * S, T + at * S + 1000, end), {"v": at}) for at, end in zip((10, 20), ends)]
    return schedule(edits=edits, final={**schedule().final, "payload": edits[-1][1]})


@pytest.mark.parametrize("ends, bodies, sees", [
    ((ACKNOWLEDGED,), (b'{"n": 1}', b'{"v": 10}', b'{"v": 10}'), False),
    ((ACKNOWLEDGED,), (b'{"n": 1}', b'{"v": 10}', b'{"n": 1}'), True),              # an old body, long after
    ((ACKNOWLEDGED,), (b'{"n": 1}', b'{"v": 11}', b'{"v": 11}'), True),             # nobody's body
    ((ACKNOWLEDGED, UNANSWERED), (b'{"n": 1}', b'{"v": 10}', b'{"v": 10}'), False),
    ((ACKNOWLEDGED, REFUSED), (b'{"n": 1}', b'{"v": 10}', b'{"v": 10}'), True),     # what was refused is on record
])
def test_it_sees_a_wrong_edit(ends, bodies, sees):
    judge = judge_of([tick._replace(body=bodies[n // 10]) for n, tick in enumerate(TICKS, 1) if n // 10 < 3]
                    + [TICKS[-1]._replace(body=bodies[-1])])
    judge.check_edited(edited(*ends))
    assert bool(judge.problems) == sees, judge.problems


def doomed(end, final=None):
    return schedule(deletions=[Request(T + 30 * S, T + 30 * S, end)], final=final)


@pytest.mark.parametrize("made, arrivals, sees", [
    (doomed(ACKNOWLEDGED), TICKS, False),
    (doomed(ACKNOWLEDGED), TICKS + [arrival(31.5)], True),              # still sent
    (doomed(ACKNOWLEDGED, schedule().final), TICKS, True),              # still there
    (doomed(UNANSWERED), TICKS, True),                                  # never ended
])
def test_it_sees_what_outlives_its_deletion(made, arrivals, sees):
    judge = judge_of(arrivals)
    judge.check_doomed(made)
    assert bool(judge.problems) == sees, judge.problems


def one_shot(end=ACKNOWLEDGED, **more):
    made = schedule(**more)
    made.fields = {"endpoint": "http://h/p", "payload": {"n": 1}, "next_send_at": "2026-01-01T00:00:01Z"}
    return dataclasses.replace(made, creation=Request(T, T, end), made=made.made if end == ACKNOWLEDGED else None)


@pytest.mark.parametrize("made, arrivals, sees", [
    (one_shot(), [arrival(1)], False),
    (one_shot(), [], True),
    (one_shot(), [arrival(1)._replace(status=410)], True),              # failed, and never sent again
    (one_shot(), [arrival(2)], True),                                   # another instant
    (one_shot(final=None), [arrival(1)], True),
    (one_shot(UNANSWERED, final=None), [], False),
    (one_shot(UNANSWERED, final=None), [arrival(1)], True),             # half of it
    (one_shot(UNANSWERED), [arrival(1)], False),
    (one_shot(UNANSWERED), [], True),
    (one_shot(REFUSED, final=None), [], False),
    (one_shot(REFUSED), [], True),
])
def test_it_sees_a_wrong_one_shot(made, arrivals, sees):
    judge = judge_of(arrivals)
    judge.check_one_shot(made)
    assert bool(judge.problems) == sees, judge.problems


def test_it_sees_an_overlap():
    first, second = arrival(1)._replace(status=500), arrival(2)
    again = first._replace(at_us=T + 3 * S, attempt=2, status=200)
    serial = schedule()
    serial.fields["overlap"] = "queue"
    for arrivals, sees in (([first, second, again], True), ([first, again, second], False), ([second, arrival(1)], True)):
        judge = judge_of(arrivals)
        judge.check_serial(serial)
        assert bool(judge.problems) == sees


def test_it_sees_a_webhook_that_nobody_called():
    hook = arrival(1)._replace(path="/hook", body=b'{"hook":{"id":1},"data":{"id":"s","frequency":null}}')
    for arrivals, sees in (([hook], False), ([], True)):
        judge = judge_of(arrivals, one_shots=[one_shot()])
        judge.check_hooks()
        assert bool(judge.problems) == sees
