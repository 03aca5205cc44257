# SPDX-License-Identifier: BSD-3-Clause
"""Time zone data that changes under the running service (P9): zones of our own, compiled with zic into a folder that
TZDIR names, replaced as a package manager does it, and broken as a disk does it.

The service looks at the files once a minute; the clock shim lets that minute pass at once.
"""
import datetime
import pathlib
import shutil
import subprocess
import sys

import pytest

FAULT = pathlib.Path(__file__).resolve().parents[1] / "fault"
if str(FAULT) not in sys.path:
    sys.path.insert(0, str(FAULT))

from faketime import NS, Clock                  # noqa: E402
from harness.receiver import Receiver           # noqa: E402
from harness.service import BINARY, Service     # noqa: E402
from harness.times import microseconds, planned # noqa: E402
from harness.wait import until                  # noqa: E402

PATH = "/api/v1/schedule/"
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
# Noon of a Wednesday, away from every real change of a clock.
START_S = int(datetime.datetime(2027, 1, 20, 12, 0, 10, tzinfo=datetime.timezone.utc).timestamp())


class Zones:
    """A folder of zones; each is one offset from UTC, in hours."""

    def __init__(self, folder):
        self.folder = folder / "zones"
        self.made = folder / "made"
        self.folder.mkdir()
        (self.folder / "+VERSION").write_text("2027test\n")

    def set(self, name, hours):
        """Compiles the zone and puts it in the old one's place by a rename."""
        source = self.made.with_suffix(".zi")
        source.write_text(f"Zone {name} {hours} - X{name}\n")
        subprocess.run([shutil.which("zic", path="/usr/sbin:/usr/bin"), "-d", str(self.made), str(source)], check=True)
        (self.made / name).rename(self.folder / name)


@pytest.fixture
def world(tmp_path):
    """A service with its own zones and its own clock, at noon UTC."""
    zones = Zones(tmp_path)
    for name, hours in (("Moved", 0), ("Still", 0), ("Lost", 0)):
        zones.set(name, hours)
    clock = Clock(tmp_path, BINARY)
    clock.set_wall(START_S * NS)
    with Receiver() as receiver, Service(metrics=True, directory=tmp_path / "service",
                                         env={**clock.environment, "TZDIR": str(zones.folder)}) as service:
        token = service.create_user("admin", admin=True)
        service.start()
        api = service.api(token)
        yield zones, clock, receiver, service, api
        api.close()


def pass_minute(clock, receiver):
    """Lets the service look at its zones: 59 s pass at once, which is not a gap that skips, and then some more."""
    for _ in range(2):
        clock.suspend(59 * NS)
        now_us = clock.wall_ns() // 1000
        receiver.wait_for(1, "/tick", select=lambda request: planned(request) > now_us)


def test_new_rules_move_what_is_to_come_and_repeat_nothing(world):
    zones, clock, receiver, service, api = world
    api.create(endpoint=receiver.url("/tick"), interval_definition="1 seconds", catch_up="all")
    daily = api.create(endpoint=receiver.url("/daily"), cron_definition="0 18 * * *", timezone="Moved")
    other = api.create(endpoint=receiver.url("/other"), cron_definition="0 18 * * *", timezone="Still")
    minutes = api.create(endpoint=receiver.url("/minutes"), cron_definition="* * * * *", timezone="Moved", catch_up="all")
    noon = START_S * 1_000_000 - START_S * 1_000_000 % DAY + 12 * HOUR
    assert microseconds(daily["next_send_at"]) == noon + 6 * HOUR
    pass_minute(clock, receiver)
    for hours, next_us in ((3, noon + 3 * HOUR), (-5, noon + 11 * HOUR), (8, noon + 22 * HOUR), (0, noon + 6 * HOUR)):
        zones.set("Moved", hours)
        pass_minute(clock, receiver)
        assert microseconds(api.schedule(daily)["next_send_at"]) == next_us, hours
        assert microseconds(api.schedule(other)["next_send_at"]) == noon + 6 * HOUR
    # What was due by rules that are gone ran once, and no minute was left out.
    instants = sorted(planned(request) for request in receiver.seen("/minutes"))
    first = microseconds(minutes["next_send_at"])
    assert len(instants) >= 9 and instants == [first + n * MINUTE for n in range(len(instants))]
    ticks = [planned(request) for request in receiver.seen("/tick")]
    assert len(set(ticks)) == len(ticks)
    assert receiver.seen("/daily") == [] and receiver.seen("/other") == []
    changed = [entry for entry in service.log() if entry["event"] == "zone_changed"]
    assert [entry["timezone"] for entry in changed] == ["Moved"] * 4


def test_a_zone_that_was_due_when_its_rules_changed_runs_as_promised(world):
    zones, clock, receiver, _, api = world
    api.create(endpoint=receiver.url("/tick"), interval_definition="1 seconds", catch_up="all")
    made = api.create(endpoint=receiver.url("/due"), cron_definition="1 12 * * *", timezone="Moved")
    pass_minute(clock, receiver)
    (request,) = receiver.wait_for(1, "/due")
    assert planned(request) == microseconds(made["next_send_at"])
    # The new rules put 12:01 of this day behind us: that was not promised, and is not caught up.
    zones.set("Moved", 1)
    pass_minute(clock, receiver)
    assert microseconds(api.schedule(made)["next_send_at"]) == planned(request) + DAY - HOUR
    assert len(receiver.seen("/due")) == 1 and api.schedule(made)["triggered"] == 1


@pytest.mark.parametrize("damage", ["missing", "garbage", "empty", "cut"])
def test_a_schedule_without_its_zone_says_so_and_holds_up_nobody(world, damage):
    zones, clock, receiver, service, api = world
    api.create(endpoint=receiver.url("/tick"), interval_definition="1 seconds", catch_up="all")
    lost = api.create(endpoint=receiver.url("/lost"), cron_definition="* * * * *", timezone="Lost", catch_up="all")
    still = api.create(endpoint=receiver.url("/still"), cron_definition="* * * * *", timezone="Still", catch_up="all")
    assert lost["put_off"] is False
    file, whole = zones.folder / "Lost", (zones.folder / "Lost").read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"garbage": b"no zone at all", "empty": b"", "cut": whole[:len(whole) // 2]}[damage])
    pass_minute(clock, receiver)
    until(lambda: api.schedule(lost)["put_off"], what="the schedule to say that it is put off")
    assert api.schedule(still)["put_off"] is False
    entry = service.process.wait_line(lambda entry: entry["event"] == "schedule_put_off", 5)
    assert entry["schedule_id"] == lost["id"] and "time zone" in entry["reason"] and entry["level"] == "error"
    assert service.metric("seed_schedules_put_off_total") >= 1
    refused = api.post(PATH, {"endpoint": receiver.url("/new"), "cron_definition": "* * * * *", "timezone": "Lost"})
    assert refused.status == 400 and "timezone" in refused.json(), refused
    pass_minute(clock, receiver)
    seen = len(receiver.seen("/lost"))
    (zones.folder / "new").write_bytes(whole)
    (zones.folder / "new").rename(file)
    pass_minute(clock, receiver)
    receiver.wait_for(seen + 2, "/lost")
    assert api.schedule(lost)["put_off"] is False
    for made, path in ((lost, "/lost"), (still, "/still")):
        instants = sorted(planned(request) for request in receiver.seen(path))
        assert instants == [microseconds(made["next_send_at"]) + n * MINUTE for n in range(len(instants))], path
    assert service.cli("check").returncode == 0


def test_the_version_of_the_zones_is_a_metric(world):
    zones, _, _, service, _ = world
    assert service.metric('seed_tzdata_info{version="2027test"}') == 1
    service.stop()
    (zones.folder / "+VERSION").unlink()
    service.start()
    assert service.metric('seed_tzdata_info{version="unknown"}') == 1
    (zones.folder / "tzdata.zi").write_text("# version 2027b\n# ddeps\n")
    service.stop()
    service.start()
    assert service.metric('seed_tzdata_info{version="2027b"}') == 1
