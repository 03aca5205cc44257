# SPDX-License-Identifier: BSD-3-Clause
"""What the crash trials ask of the service, and what it promised in answer.

`Workload` makes recurring schedules before the kills begin; its actors, threads of their own, then create, edit, delete
and requeue all the time, each request on a connection of its own. Every request has one of three ends, and the judge
(judge.py) treats them apart: acknowledged (2xx: must be there, byte for byte), refused (4xx, 503: must not), unanswered (the
process died: whole or not at all).
"""
import dataclasses
import datetime
import json
import random
import threading
import time
import uuid

from .times import iso

SCHEDULES = "/api/v1/schedule/"
FAILED_TASKS = "/api/v1/failed-tasks/"
WEBHOOKS = "/api/v1/webhook/"
ACKNOWLEDGED, REFUSED, UNANSWERED = "acknowledged", "refused", "unanswered"
SECOND = 1_000_000
MAKERS = 4

# Cron entries with seconds (second first, year last) and without, and the zones they are read in.
CRONS = ["* * * * * * *", "*/2 * * * * * *", "*/5 * * * * * *", "1-59/3 * * * * * *", "* * * * *"]
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "America/Santiago"]


def now_us():
    return time.time_ns() // 1000


@dataclasses.dataclass
class Request:
    """One write: when it was sent and answered (us), and how it ended."""
    sent_us: int
    answered_us: int
    end: str
    body: object = None    # of the answer


@dataclasses.dataclass
class Schedule:
    """A schedule that was asked for: `fields` as sent; `made` is the answer to its creation, None without one."""
    path: str
    fields: dict
    creation: Request
    made: dict = None
    edits: list = dataclasses.field(default_factory=list)       # of (Request, payload)
    deletions: list = dataclasses.field(default_factory=list)   # of Request
    final: dict = None          # the record when all was over
    disabled: Request = None

    @property
    def id(self):
        return self.made["id"] if self.made else None


class Workload:
    """The writes of one trial. `up` is set while the service is expected to answer."""

    def __init__(self, service, token, base, seed):
        self.service, self.token, self.base = service, token, base
        self.dice = random.Random(f"{seed}/workload")
        self.up = threading.Event()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.recurring = []     # intervals and crons nobody edits
        self.edited = []        # intervals whose content is edited all the time
        self.toggled = []       # intervals that are switched off and on all the time
        self.serial = []        # intervals whose runs take longer and may not overlap
        self.doomed = []        # intervals that are made to be deleted
        self.burst = []         # all due at the same seconds, a fixed number of times
        self.one_shots = []
        self.requeues = []
        self.webhooks = []      # of (Request, target); for an event that never comes
        self.webhooks_final = []
        self.problems = []
        self.actors = []

    # ---- requests ----

    def ask(self, method, target, data=None):
        """One request on a fresh connection, however it ends."""
        api, sent = self.service.api(self.token), now_us()
        try:
            answer = api.request(method, target, data)
        except (OSError, EOFError):
            return Request(sent, now_us(), UNANSWERED)
        finally:
            api.close()
        if answer.status not in (200, 201, 204, 404, 429, 503):
            self.problems.append(f"{method} {target} {data}: {answer}")
        body = answer.json() if answer.status in (200, 201) else None
        return Request(sent, now_us(), ACKNOWLEDGED if answer.status < 300 else REFUSED, body)

    def create(self, path, payload, **timing):
        fields = {"endpoint": self.base + path, "payload": payload, **timing}
        request = self.ask("POST", SCHEDULES, fields)
        return Schedule(path, fields, request, made=request.body if request.end == ACKNOWLEDGED else None)

    # ---- before the kills ----

    def make_recurring(self, intervals, crons, load):
        """`load`: further schedules of a second each, half of them to an endpoint that answers after a while. Made over a second,
        so that their instants are spread over every second."""
        count, begun = intervals + load, time.monotonic()
        for n in range(count):
            time.sleep(max(0.0, begun + n / count - time.monotonic()))
            path = f"/slow/{n}" if n % 2 else f"/interval/{n}"
            self.recurring.append(self.create(path, {"n": n}, interval_definition="1 seconds"))
        for n in range(crons):
            timing = {"cron_definition": CRONS[n % len(CRONS)], "timezone": ZONES[n % len(ZONES)]}
            self.recurring.append(self.create(f"/cron/{n}", [n], **timing))
        for n in range(10):
            self.edited.append(self.create(f"/edited/{n}", {"version": 0}, interval_definition="1 seconds"))
            self.toggled.append(self.create(f"/toggled/{n}", n, interval_definition="1 seconds"))
        for n in range(4):
            # A first attempt fails there, and the second comes up to five seconds later.
            self.serial.append(self.create(f"/flaky/serial/{n}", n, interval_definition="1 seconds",
                                           overlap=("skip", "queue")[n % 2]))
        hook = self.ask("POST", WEBHOOKS, {"event": "schedule.added", "target": self.base + "/hook"})
        assert hook.end == ACKNOWLEDGED
        for schedule in self.all_recurring():
            assert schedule.made, f"the service refused {schedule.fields}"

    def make_burst(self, count, times):
        """`count` schedules that fire every second, `times` times, from a minute on that begins when all are made.
        They are made over connections that stay open: it is their number that matters here."""
        minute = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=90)
        timing = {"cron_definition": f"* {minute.minute}-59 {minute.hour} * * * *", "frequency": times}

        def make(numbers):
            api = self.service.api(self.token)
            for n in numbers:
                fields = {"endpoint": f"{self.base}/burst/{n}", "payload": n, **timing}
                sent = now_us()
                made = api.create(**fields)
                self.burst.append(Schedule(f"/burst/{n}", fields, Request(sent, now_us(), ACKNOWLEDGED), made=made))
            api.close()
        makers = [threading.Thread(target=make, args=(range(first, count, MAKERS),), daemon=True) for first in range(MAKERS)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        assert len(self.burst) == count
        return minute.replace(second=0, microsecond=0).timestamp()

    def all_recurring(self):
        return self.recurring + self.edited + self.toggled + self.serial

    # ---- between the kills ----

    def start(self):
        """`edited` belongs to one actor, so that its edits have an order; the others share nothing but lists."""
        for act in (self._create_one_shot, self._create_one_shot, self._edit, self._toggle, self._delete, self._requeue):
            self.actors.append(threading.Thread(target=self._run, args=(act, random.Random(self.dice.random())), daemon=True))
        self.up.set()
        for actor in self.actors:
            actor.start()

    def stop(self):
        self.stopping.set()
        for actor in self.actors:
            actor.join(60)

    def _run(self, act, dice):
        try:
            while not self.stopping.is_set():
                if self.up.wait(0.1):
                    act(dice)
        except Exception as error:      # a dead actor would let the trial pass with less than was asked
            self.problems.append(f"an actor ended: {error!r}")
            raise

    def _create_one_shot(self, dice):
        kind = dice.choices(("one", "slow", "gone", "flaky"), (60, 25, 10, 5))[0]
        path = f"/{kind}/{uuid.UUID(int=dice.getrandbits(128))}"
        instant = iso(time.time() + dice.choice((-3, 0, 0.2, 1, 2.5)) + dice.random())
        made = self.create(path, {"path": path, "pad": "é" * dice.randrange(100)}, next_send_at=instant)
        with self.lock:
            self.one_shots.append(made)
        self.stopping.wait(dice.uniform(0.01, 0.12))

    def _edit(self, dice):
        schedule = dice.choice(self.edited)
        payload = {"version": len(schedule.edits) + 1, "pad": "x" * dice.randrange(200)}
        request = self.ask("PATCH", SCHEDULES + schedule.id + "/", {"payload": payload})
        schedule.edits.append((request, payload))
        self.stopping.wait(dice.uniform(0.02, 0.1))

    def _toggle(self, dice):
        self.ask("PATCH", SCHEDULES + dice.choice(self.toggled).id + "/", {"enabled": dice.random() < 0.6})
        self.stopping.wait(dice.uniform(0.02, 0.1))

    def _delete(self, dice):
        alive = [schedule for schedule in self.doomed if schedule.made and not schedule.deletions]
        if len(alive) < 5:
            self.doomed.append(self.create(f"/doomed/{len(self.doomed)}", len(self.doomed), interval_definition="1 seconds"))
        else:
            schedule = dice.choice(alive)
            schedule.deletions.append(self.ask("DELETE", SCHEDULES + schedule.id + "/"))
        self.stopping.wait(dice.uniform(0.02, 0.15))

    def _requeue(self, dice):
        self.requeues.append(self.ask("POST", FAILED_TASKS))
        target = f"{self.base}/never/{len(self.webhooks)}"
        self.webhooks.append((self.ask("POST", WEBHOOKS, {"event": "no.such", "target": target}), target))
        self.stopping.wait(dice.uniform(0.2, 0.6))

    # ---- after the kills ----

    def list_all(self, collection):
        """Every record of a collection, by its pages."""
        api, records, target = self.service.api(self.token), [], collection
        while target:
            page = api.get(target)
            assert page.status == 200, page
            records += page.json()["results"]
            target = page.json()["next"]
        api.close()
        return records

    def end(self, has_arrived, on_time, timeout_s):
        """Deletes what was to be deleted, ends what recurs, has failed tasks sent again, and waits until all that is on record
        has arrived. `has_arrived(paths)`: these, and every retry? `on_time()`: does nothing wait? What does not come is for the
        judge to name."""
        deadline = time.monotonic() + timeout_s

        def wait(question):
            while not question() and time.monotonic() < deadline:
                time.sleep(0.05)
        for schedule in self.doomed:
            if schedule.made and not any(request.end == ACKNOWLEDGED for request in schedule.deletions):
                schedule.deletions.append(self.ask("DELETE", SCHEDULES + schedule.id + "/"))
        wait(on_time)
        for schedule in self.all_recurring():
            schedule.disabled = self.ask("PATCH", SCHEDULES + schedule.id + "/", {"enabled": False})
        self._find_all()
        for schedule in self.doomed:
            if not schedule.made and schedule.final:
                self.ask("DELETE", SCHEDULES + schedule.final["id"] + "/")
        wanted = {schedule.path for schedule in self.one_shots if schedule.final}

        def complete():
            self.requeues.append(self.ask("POST", FAILED_TASKS))
            return has_arrived(wanted) and not self.list_all(FAILED_TASKS)
        wait(complete)
        self._find_all()
        self.webhooks_final = self.list_all(WEBHOOKS)

    def _find_all(self):
        """Reads every record into the `final` of the schedule it belongs to."""
        records = {record["id"]: record for record in self.list_all(SCHEDULES)}
        by_endpoint = {record["endpoint"]: record for record in records.values()}
        for schedule in self.all_recurring() + self.burst + self.one_shots + self.doomed:
            if schedule.made:
                schedule.final = records.get(schedule.id)
            elif schedule.fields["endpoint"] in by_endpoint:
                schedule.final = by_endpoint[schedule.fields["endpoint"]]
            by_endpoint.pop(schedule.fields["endpoint"], None)
        self.problems += [f"nobody asked for {record}" for record in by_endpoint.values()]


def payload_bytes(payload):
    """The body that a payload is sent as: the text that the client wrote."""
    return json.dumps(payload).encode()
