# SPDX-License-Identifier: BSD-3-Clause
"""A death at every failpoint, in small (failpoints.py has more of them); and what was found by holding the service at one."""
import os
import random
import subprocess
import time

import pytest

import failpoints
from harness.receiver import Receiver
from harness.service import Service
from harness.times import iso
from harness.wait import until

# SEED_CRASH_SEED repeats a trial; the seed of every trial is printed.
SEED = int(os.environ.get("SEED_CRASH_SEED") or random.SystemRandom().randrange(1 << 32))


@pytest.fixture(scope="module")
def binary():
    return failpoints.find_binary()


def test_a_death_at_every_place(tmp_path):
    pauses = random.Random(SEED).sample(failpoints.PAUSES, 2)
    tried, found, problems = failpoints.run(tmp_path, 1, SEED, pauses=pauses, load=100)
    assert problems == [], (tried, found)
    assert tried["places"] >= 40 and tried["deaths"] == tried["places"]


@pytest.mark.parametrize("armings", ["store.commit", "store.commit=kill@0", "store.commit=kill@", "store.commit=pause",
                                     "store.commit=kill:1", "store.commit=die", "store.comit=kill", "store.commit=kill;;"])
def test_what_cannot_be_armed_is_refused(binary, armings):
    done = subprocess.run([binary, "--version"], env={"SEED_FAILPOINTS": armings}, capture_output=True, text=True)
    assert done.returncode == 2 and "is no arming" in done.stderr and done.stdout == ""


def test_nothing_starts_that_was_deleted_before(binary):
    """The delivery thread is held at the end of one attempt; another run, claimed with that one, is due meanwhile and deleted."""
    with Receiver() as receiver, Service(binary=binary) as service:
        token = service.create_user("admin", admin=True)
        service.spawn(env=failpoints.arm("delivery.attempted=pause:1500@1"))
        service.wait_ready()
        api = service.api(token)
        due = time.time() + 1
        first = api.create(endpoint=receiver.url("/first"), next_send_at=iso(due))
        doomed = api.create(endpoint=receiver.url("/doomed"), next_send_at=iso(due + 0.1))
        until(lambda: service.log() and any(entry.get("event") == "failpoint" for entry in service.log()), what="the pause")
        assert api.delete(f"/api/v1/schedule/{doomed['id']}/").status == 204
        assert time.time() < due + 1.4, "the machine is too slow for this test"
        until(lambda: api.schedule(first)["triggered"] == 1 and time.time() > due + 1.5, what="the end of the pause")
        api.close()
        service.stop()
        assert receiver.seen("/first") and not receiver.seen("/doomed")
