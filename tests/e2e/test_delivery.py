# SPDX-License-Identifier: BSD-3-Clause
"""Deliveries as a receiver sees them: instants, headers, bytes, retries, failures, edits (promise.md)."""
import base64
import hashlib
import hmac
import json
import re
import threading
import time
import uuid

import pytest

from harness import receiver as answers
from harness.receiver import Receiver
from harness.service import HOOK_TOKEN, METRICS_PASSWORD, METRICS_USER, Service
from harness.times import iso, microseconds, planned
from harness.wait import until

PATH = "/api/v1/schedule/"
FAILED = "/api/v1/failed-tasks/"
SECOND = 1_000_000
LATE_MAX = 1.0      # generous: sanitizer builds on shared cores
PAST = "2001-02-03T04:05:06Z"


def patch(api, schedule, **fields):
    answer = api.patch(f"{PATH}{schedule['id']}/", fields)
    assert answer.status == 200, answer
    return answer.json()


def remove(api, schedule):
    assert api.delete(f"{PATH}{schedule['id']}/").status == 204


def failed_rows(api, schedule):
    rows = api.get(FAILED).json()["results"]
    return [row for row in rows if row["schedule"] == schedule["url"]]


# ---- on time, on the grid (P6) ----

def test_an_interval_fires_on_its_grid_and_never_early(api, receiver):
    made = api.create(endpoint=receiver.url("/grid"), interval_definition="1 seconds")
    requests = receiver.wait_for(4, "/grid", timeout=10)[:4]
    remove(api, made)
    instants = [planned(request) for request in requests]
    first = microseconds(made["created_at"]) + SECOND
    assert abs(instants[0] - first) <= 50_000
    assert instants == [instants[0] + n * SECOND for n in range(4)]
    assert instants[0] == microseconds(made["next_send_at"])
    for request, instant in zip(requests, instants):
        lateness = request.at - instant / SECOND
        assert 0 <= lateness < LATE_MAX, lateness
    assert len({request.run_id for request in requests}) == 4
    assert [request.attempt for request in requests] == [1] * 4


def test_a_cron_with_seconds_fires_on_the_second(api, receiver):
    made = api.create(endpoint=receiver.url("/cron"), cron_definition="* * * * * * *")
    requests = receiver.wait_for(3, "/cron", timeout=10)[:3]
    remove(api, made)
    for request in requests:
        assert planned(request) % SECOND == 0
        assert 0 <= request.at - planned(request) / SECOND < LATE_MAX


def test_the_request_is_exactly_as_promised(api, receiver):
    made = api.create(endpoint=receiver.url("/exact/path;x=1?q=%20a&b=c#fragment"), next_send_at=PAST,
                      auth_token="  s3cr3t token ")
    request = receiver.wait_for(1, "/exact/path;x=1")[0]
    assert (request.method, request.target) == ("POST", "/exact/path;x=1?q=%20a&b=c")
    assert request.header("Host") == f"127.0.0.1:{receiver.port}"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Content-Length") == "2" and request.body == b"{}"
    assert request.header("Transfer-Encoding") is None
    assert request.header("Authorization") == "Token s3cr3t token"
    assert re.match(r"seed-scheduler/\d[0-9A-Za-z.+~-]*\Z", request.header("User-Agent"))
    key = request.header("Idempotency-Key")
    run_id = uuid.UUID(request.run_id)
    assert key == f'"{run_id}"' and run_id.version == 8 and run_id.variant == uuid.RFC_4122
    assert request.header("Seed-Schedule-Id") == made["id"]
    assert planned(request) == microseconds(PAST)
    assert request.header("Seed-Attempt") == "1"
    trace = re.match(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-9a-f]\Z", request.header("traceparent"))
    assert trace and int(trace.group(1), 16) and int(trace.group(2), 16)
    for name in ("webhook-id", "webhook-signature", "Expect"):
        assert request.header(name) is None


def test_no_authorization_without_a_token(api, receiver):
    for number, token in enumerate((None, "", "  ")):
        api.create(endpoint=receiver.url(f"/bare{number}"), next_send_at=PAST, auth_token=token)
        assert receiver.wait_for(1, f"/bare{number}")[0].header("Authorization") is None


@pytest.mark.parametrize("payload", [
    b'{ "b":1.10,  "a" : [1,2 ] , "u":"\\u00e9\xc3\xa9\\/" }', b"[]", b"null", b"18446744073709551617", b"0.10", b"-0",
    b"1E5",
    b'"text \\ud83d\\ude00"', b'{"a":1,"b":2,"a":3}', b"[\n\t1 ]",
])
def test_the_payload_goes_out_byte_by_byte(api, receiver, payload):
    path = f"/bytes/{uuid.uuid4()}"
    body = b'{"endpoint": "%s", "next_send_at": "%s", "payload":  %s }' % (
        receiver.url(path).encode(), PAST.encode(), payload)
    answer = api.post(PATH, body=body, content_type="application/json")
    assert answer.status == 201, answer
    assert receiver.wait_for(1, path)[0].body == payload


def test_one_shots(api, receiver, clock):
    soon = time.time() + 2
    past = api.create(endpoint=receiver.url("/past"), next_send_at=PAST)
    future = api.create(endpoint=receiver.url("/future"), next_send_at=iso(soon))
    far = api.create(endpoint=receiver.url("/far"), next_send_at="2999-01-01T00:00:00Z")
    assert future["next_send_at"] == iso(soon) and far["next_send_at"] == "2999-01-01T00:00:00Z"
    receiver.wait_for(1, "/past", timeout=3)
    request = receiver.wait_for(1, "/future", timeout=6)[0]
    assert planned(request) == microseconds(iso(soon))
    assert 0 <= request.at - planned(request) / SECOND < LATE_MAX
    clock.ticks(3)
    assert len(receiver.seen("/past")) == len(receiver.seen("/future")) == 1 and not receiver.seen("/far")
    for made in (past, future):
        record = api.schedule(made)
        assert record["next_send_at"] is None and record["triggered"] == 1
    again = patch(api, past, next_send_at=PAST)
    assert again["endpoint"] == past["endpoint"]
    far = patch(api, far, next_send_at=iso(time.time() + 0.5))
    receiver.wait_for(1, "/far", timeout=4)


# ---- frequency, switching, editing, deleting (P13) ----

def test_frequency_stops_after_that_many_runs(api, receiver, clock):
    made = api.create(endpoint=receiver.url("/twice"), interval_definition="1 seconds", frequency=2)
    receiver.wait_for(2, "/twice", timeout=6)
    clock.ticks(3)
    assert len(receiver.seen("/twice")) == 2
    record = api.schedule(made)
    assert record["triggered"] == 2 and record["next_send_at"] is None and record["frequency"] == 2
    patch(api, made, frequency=3)
    receiver.wait_for(3, "/twice", timeout=6)
    clock.ticks(3)
    assert len(receiver.seen("/twice")) == 3


def test_disable_and_enable(api, receiver, clock):
    made = api.create(endpoint=receiver.url("/switch"), interval_definition="1 seconds")
    receiver.wait_for(1, "/switch", timeout=5)
    assert patch(api, made, enabled=False)["next_send_at"] is None
    count = len(receiver.seen("/switch"))
    clock.ticks(3)
    assert len(receiver.seen("/switch")) - count <= 1      # one may have been on the wire
    count = len(receiver.seen("/switch"))
    enabled_at = time.time()
    assert patch(api, made, enabled=True)["next_send_at"] is not None
    requests = receiver.wait_for(count + 2, "/switch", timeout=6)
    remove(api, made)
    assert all(planned(request) / SECOND > enabled_at - 1 for request in requests[count:])
    grid = planned(requests[0]) % SECOND
    assert {planned(request) % SECOND for request in requests} == {grid}


def test_an_edit_takes_effect_at_once(api, receiver, clock):
    made = api.create(endpoint=receiver.url("/before"), interval_definition="1 hours", payload={"v": 1},
                      auth_token="one")
    patch(api, made, interval_definition="1 seconds")
    receiver.wait_for(1, "/before", timeout=4)
    patch(api, made, endpoint=receiver.url("/after"), payload={"v": 2}, auth_token="two")
    seen = len(receiver.seen("/before"))
    request = receiver.wait_for(1, "/after", timeout=4)[0]
    assert request.json() == {"v": 2} and request.header("Authorization") == "Token two"
    assert len(receiver.seen("/before")) - seen <= 1
    patch(api, made, interval_definition=None)
    seen = len(receiver.seen("/after"))
    clock.ticks(3)
    assert len(receiver.seen("/after")) - seen <= 1
    patch(api, made, cron_definition="* * * * * * *")
    receiver.wait_for(seen + 2, "/after", timeout=6)
    remove(api, made)


def test_delete_stops(api, receiver, clock):
    made = api.create(endpoint=receiver.url("/gone"), interval_definition="1 seconds")
    receiver.wait_for(1, "/gone", timeout=5)
    remove(api, made)
    count = len(receiver.seen("/gone"))
    clock.ticks(3)
    assert len(receiver.seen("/gone")) - count <= 1


def test_delete_cancels_a_waiting_retry(api, receiver, clock):
    receiver.script("/cancelled", answers.retry_after(3))
    made = api.create(endpoint=receiver.url("/cancelled"), next_send_at=PAST)
    receiver.wait_for(1, "/cancelled", timeout=5)
    remove(api, made)
    clock.ticks(8)
    assert len(receiver.seen("/cancelled")) == 1


@pytest.mark.parametrize("fields", [{"enabled": False}, {"interval_definition": "2 hours"},
                                    {"endpoint": "http://example.org/"}])
def test_an_edit_leaves_what_is_on_the_wire_on_record(api, receiver, fields):
    """Only runs not yet sent are cancelled (P13): what landed is counted, or `frequency` could be exceeded."""
    path, event = f"/wire/{next(iter(fields))}", threading.Event()
    receiver.script(path, answers.gate(event))
    made = api.create(endpoint=receiver.url(path), interval_definition="1 seconds", frequency=1)
    receiver.wait_for(1, path, timeout=5)
    patch(api, made, **fields)
    event.set()
    until(lambda: receiver.seen(path)[0].answered, what="the answer")
    until(lambda: api.schedule(made)["triggered"] == 1, timeout=3, what="triggered = 1")


# ---- retries ----

def test_which_answers_are_retried_and_how(api, receiver, clock):
    failing = {
        "garbage": answers.garbage(),
        "half": answers.raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "version": answers.raw(b"HTTP/9.9 200 OK\r\n\r\n"),
        "redirect": answers.redirect(receiver.url("/never")),
        "permanent": answers.redirect(receiver.url("/never"), 308),
        "304": answers.status(304), "400": answers.status(400), "401": answers.status(401), "403": answers.status(403),
        "404": answers.status(404), "429": answers.status(429), "500": answers.status(500, b"oops"),
        "503": answers.status(503),
    }
    passing = {"200": answers.status(200, b"thanks"), "201": answers.status(201), "204": answers.status(204),
               "299": answers.status(299),
               "endless": answers.endless()}
    made = {}
    for name, answer in {**failing, **passing}.items():
        receiver.script(f"/answer/{name}", answer, answers.status(200))
        made[name] = api.create(endpoint=receiver.url(f"/answer/{name}"), next_send_at=PAST, payload={"name": name})
    for name in failing:
        first, second = receiver.wait_for(2, f"/answer/{name}", timeout=15)[:2]
        assert (first.attempt, second.attempt) == (1, 2), name
        assert first.run_id == second.run_id and first.body == second.body and planned(first) == planned(second)
        assert first.header("traceparent").split("-")[1] == second.header("traceparent").split("-")[1]
        assert 0 <= second.at - first.at < 5 + LATE_MAX, name
    clock.ticks(2)
    for name in passing:
        assert len(receiver.seen(f"/answer/{name}")) == 1, name
    for name in failing:
        assert len(receiver.seen(f"/answer/{name}")) == 2, name
        assert api.schedule(made[name])["triggered"] == 1
    assert not receiver.seen("/never")
    assert not [row for schedule in made.values() for row in failed_rows(api, schedule)]


@pytest.mark.parametrize("answer", [answers.reset(), answers.close()], ids=["reset", "close"])
def test_a_broken_connection_is_retried(api, answer):
    # A receiver of its own: on a kept-alive connection the same attempt may be sent again on a fresh one.
    with Receiver() as fresh:
        fresh.script("/broken", answer, answers.status(200))
        api.create(endpoint=fresh.url("/broken"), next_send_at=PAST)
        first, second = fresh.wait_for(2, "/broken", timeout=10)
        assert (first.attempt, second.attempt) == (1, 2) and first.run_id == second.run_id


def test_a_kept_alive_connection_that_died_costs_no_attempt(api):
    """Only where not a byte of an answer arrived; the run id stays, so a receiver that keeps ids sees one."""
    with Receiver() as fresh:
        def then_close(connection, request):
            return answers.status(200)(connection, request) and False
        fresh.script("/first", then_close)
        api.create(endpoint=fresh.url("/first"), next_send_at=PAST)
        fresh.wait_for(1, "/first")
        until(lambda: fresh.seen("/first")[0].answered)
        api.create(endpoint=fresh.url("/second"), next_send_at=PAST)
        request = fresh.wait_for(1, "/second", timeout=3)[0]
        assert request.attempt == 1


def test_retry_after_is_honoured(api, receiver):
    receiver.script("/later", answers.retry_after(3), answers.status(200))
    receiver.script("/now", answers.retry_after(0), answers.status(200))
    receiver.script("/nonsense", answers.retry_after(-1), answers.status(200))
    for path in ("/later", "/now", "/nonsense"):
        api.create(endpoint=receiver.url(path), next_send_at=PAST)
    gaps = {}
    for path in ("/later", "/now", "/nonsense"):
        first, second = receiver.wait_for(2, path, timeout=15)[:2]
        gaps[path] = second.at - first.at
    assert 3 <= gaps["/later"] < 3 + 5 + LATE_MAX, gaps
    assert gaps["/now"] < 5 + LATE_MAX and gaps["/nonsense"] < 5 + LATE_MAX, gaps


def test_a_snapshot_is_kept_for_the_retries(api, receiver):
    receiver.script("/snapshot", answers.retry_after(1), answers.status(200))
    made = api.create(endpoint=receiver.url("/snapshot"), interval_definition="1 seconds", frequency=1, payload="old")
    first = receiver.wait_for(1, "/snapshot", timeout=5)[0]
    second = receiver.wait_for(2, "/snapshot", timeout=10)[1]
    assert first.body == second.body == b'"old"' and first.run_id == second.run_id
    remove(api, made)


def test_410_makes_a_failed_task_at_once_and_requeue_keeps_it_until_it_succeeds(api, receiver, clock):
    receiver.script("/dead", answers.status(410))
    made = api.create(endpoint=receiver.url("/dead"), next_send_at=PAST, payload={"keep": [1, 2]})
    first = receiver.wait_for(1, "/dead", timeout=5)[0]
    row, = until(lambda: failed_rows(api, made), what="a failed task")
    assert list(row)[:6] == ["url", "id", "schedule", "task_id", "initiated_at", "reason"]
    assert row["url"] == f"{api.base}{FAILED}{row['id']}/" and isinstance(row["id"], int)
    assert str(uuid.UUID(row["task_id"])) == row["task_id"] and "410" in row["reason"]
    attempt, = api.get(f"{FAILED}{row['id']}/").json()["attempts"]
    assert attempt["number"] == 1 and attempt["status"] == 410 and attempt["outcome"] == "http_error" and attempt["answer"] == ""
    assert attempt["started_at"] == row["initiated_at"] and attempt["duration_ms"] >= 0
    assert abs(microseconds(row["initiated_at"]) / SECOND - first.at) < 10
    answer = api.get(row["url"])
    assert (answer.status, answer.json()) == (200, row)
    clock.ticks(2)
    assert len(receiver.seen("/dead")) == 1

    def requeue():
        answer = api.post(FAILED, body=b"null", content_type="application/json")
        assert (answer.status, answer.json()) == (201, {"requeued_failed_tasks": True})

    requeue()       # it fails again: the row stays
    second = receiver.wait_for(2, "/dead", timeout=5)[1]
    assert (second.run_id, second.body) == (first.run_id, first.body)
    again, = until(lambda: failed_rows(api, made), what="the failed task after a failed requeue")
    assert again["task_id"] == row["task_id"]
    clock.ticks(1)
    assert len(failed_rows(api, made)) == 1
    event = threading.Event()
    receiver.script("/dead", answers.gate(event))
    patch(api, made, payload={"other": True}, enabled=False)
    requeue()
    third = receiver.wait_for(3, "/dead", timeout=5)[2]
    assert (third.run_id, third.body) == (first.run_id, first.body)
    assert len(failed_rows(api, made)) == 1     # not before the answer
    event.set()
    until(lambda: not failed_rows(api, made), what="the failed task to go")
    assert api.get(row["url"]).status == 404
    requeue()
    clock.ticks(2)
    assert len(receiver.seen("/dead")) == 3


def test_failed_tasks_go_with_their_schedule_and_are_listed_newest_first(api, receiver):
    receiver.script("/dead-too", answers.status(410))
    made = api.create(endpoint=receiver.url("/dead-too"), interval_definition="1 seconds", frequency=2)
    rows = until(lambda: len(failed_rows(api, made)) == 2 and failed_rows(api, made), what="two failed tasks")
    assert rows[0]["id"] > rows[1]["id"] and rows[0]["task_id"] != rows[1]["task_id"]
    page = api.get(f"{FAILED}?limit=1").json()
    assert page["count"] >= 2 and page["results"] == [rows[0]] and page["next"]
    remove(api, made)
    assert not failed_rows(api, made) and api.get(rows[0]["url"]).status == 404


@pytest.mark.slow
def test_a_run_that_used_up_its_attempts_is_a_failed_task(api, receiver):
    schedules = []
    for number in range(3):
        receiver.script(f"/hopeless/{number}", answers.status(500, b"the reason is here"))
        schedules.append(api.create(endpoint=receiver.url(f"/hopeless/{number}"), next_send_at=PAST))
    ceilings = [5, 10, 20, 40, 80]
    for number, made in enumerate(schedules):
        requests = receiver.wait_for(6, f"/hopeless/{number}", timeout=sum(ceilings) + 30)
        assert [request.attempt for request in requests] == [1, 2, 3, 4, 5, 6]
        assert len({request.run_id for request in requests}) == 1
        for earlier, later, ceiling in zip(requests, requests[1:], ceilings):
            assert later.at - earlier.at < ceiling + LATE_MAX
        row, = until(lambda made=made: failed_rows(api, made), what="the failed task")
        assert "500" in row["reason"]
    assert len(receiver.seen("/hopeless/0")) == 6


@pytest.mark.slow
def test_an_attempt_has_thirty_seconds_in_all(api, receiver):
    for name, answer in (("hang", answers.hang()), ("drip", answers.drip(0.5)), ("body", answers.drip(
            0.5, b"x" * 500)), ):
        receiver.script(f"/slow/{name}", answer, answers.status(200))
        api.create(endpoint=receiver.url(f"/slow/{name}"), next_send_at=PAST)
    for name in ("hang", "drip", "body"):
        first, second = receiver.wait_for(2, f"/slow/{name}", timeout=50)[:2]
        assert second.attempt == 2 and first.run_id == second.run_id
        if name == "hang":
            assert 30 <= second.at - first.at < 30 + 5 + 2 * LATE_MAX


# ---- what it costs the disk ----

def test_results_that_come_one_by_one_share_commits(api, receiver, service):
    """One a millisecond: with a commit for each, a steady load would be all syncs."""
    number, began = 300, time.time()
    api.create(endpoint=receiver.url("/off"), enabled=False)
    first = time.time() + 2 + 3 * number * (time.time() - began)
    for n in range(number):
        api.create(endpoint=receiver.url("/steady"), next_send_at=iso(first + n / 1000))
    assert time.time() < first - 0.5, "the creates took three times as long as the first one: nothing was tried"
    time.sleep(first - 0.1 - time.time())
    commits, delivered = "seed_store_commit_seconds_count", 'seed_fires_total{outcome="delivered"}'
    commits_before, delivered_before = service.metric(commits), service.metric(delivered)
    receiver.wait_for(number, "/steady", timeout=20)
    until(lambda: service.metric(delivered) - delivered_before >= number, what="the last result to be recorded")
    assert service.metric(commits) - commits_before < number / 2


# ---- isolation (P14) ----

def test_a_hung_endpoint_delays_nobody_else(api, receiver):
    with Receiver(default=answers.hang()) as stuck:
        schedules = [api.create(endpoint=stuck.url(f"/{n}"), next_send_at=PAST) for n in range(60)]
        healthy = api.create(endpoint=receiver.url("/healthy"), interval_definition="1 seconds")
        stuck.wait_for(50, timeout=10)
        requests = receiver.wait_for(4, "/healthy", timeout=10)
        for request in requests:
            assert 0 <= request.at - planned(request) / SECOND < LATE_MAX
        remove(api, healthy)
        for made in schedules:
            remove(api, made)


def test_a_refused_connection_is_a_failed_attempt(api, receiver, sink):
    with Receiver() as closed:
        url = closed.url("/")
    made = api.create(endpoint=url, next_send_at=PAST)
    key = "scheduler.deliver_task.connection_error.sum"
    sink.wait_for(1, "/push/metrics/", timeout=10, select=lambda request: key in request.json())
    remove(api, made)


# ---- signatures ----

def test_a_signing_secret_signs_every_attempt(api, receiver):
    key = bytes(range(32))
    secret = "whsec_" + base64.b64encode(key).decode()
    receiver.script("/signed", answers.status(500), answers.status(200))
    made = api.create(endpoint=receiver.url("/signed"), next_send_at=PAST, payload={"a": "é"}, signing_secret=secret)
    assert secret not in json.dumps(made)
    for request in receiver.wait_for(2, "/signed", timeout=10):
        assert request.header("webhook-id") == request.run_id
        stamp = request.header("webhook-timestamp")
        assert stamp.isdigit() and abs(int(stamp) - request.at) < 2
        signed = f"{request.run_id}.{stamp}.".encode() + request.body
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert f"v1,{digest}" in request.header("webhook-signature").split(" ")


# ---- webhooks and metric pushes ----

def test_schedule_added(api, receiver):
    hook = api.post("/api/v1/webhook/", {"event": "schedule.added", "target": receiver.url("/hook")}).json()
    other = api.post("/api/v1/webhook/", {"event": "schedule.removed", "target": receiver.url("/hook-other")}).json()
    try:
        fields = {"endpoint": receiver.url("/unused"), "payload": {"p": ["é", 1]}, "auth_token": "hidden",
                  "frequency": 7,
                  "next_send_at": "2999-01-02T03:04:05.5Z"}
        made = api.create(**fields)
        plain = api.create(endpoint=receiver.url("/unused"), enabled=False)
        requests = receiver.wait_for(2, "/hook", timeout=10)
    finally:
        for item in (hook, other):
            assert api.delete(f"/api/v1/webhook/{item['id']}/").status == 204
    by_id = {request.json()["data"]["id"]: request for request in requests}
    request = by_id[made["id"]]
    assert request.method == "POST" and request.header("Content-Type") == "application/json"
    assert request.header("Authorization") == f"Token {HOOK_TOKEN}"
    body = request.json()
    assert list(body) == ["hook", "data"]
    assert body["hook"] == {"id": hook["id"], "event": "schedule.added", "target": receiver.url("/hook")}
    data = body["data"]
    assert set(data) == {"id", "frequency", "triggered", "cron_definition", "interval_definition", "endpoint",
                         "payload",
                         "next_send_at", "enabled", "created_at", "updated_at"}
    assert data["id"] == made["id"] and data["frequency"] == 7 and data["triggered"] == 0 and data["enabled"] is True
    assert data["payload"] == {"p": ["é", 1]} and data["endpoint"] == fields["endpoint"]
    assert data["next_send_at"] == "2999-01-02T03:04:05.500000+00:00"
    assert data["created_at"].endswith("+00:00")
    assert microseconds(data["created_at"]) == microseconds(made["created_at"])
    assert by_id[plain["id"]].json()["data"]["next_send_at"] is None
    assert not receiver.seen("/hook-other")
    assert b"hidden" not in request.body


def test_a_failed_attempt_is_pushed_to_the_metrics_service(api, receiver, sink):
    receiver.script("/pushed", answers.status(500), answers.status(404), answers.status(200))
    api.create(endpoint=receiver.url("/pushed"), next_send_at=PAST)
    for status in (500, 404):
        wanted = {f"scheduler.deliver_task.http_error.{status}.sum": 1.0}
        request = sink.wait_for(1, "/push/metrics/", timeout=20, select=lambda request,
                                wanted=wanted: request.json() == wanted)[0]
        expected = base64.b64encode(f"{METRICS_USER}:{METRICS_PASSWORD}".encode()).decode()
        assert request.header("Authorization") == f"Basic {expected}"
        assert request.header("Content-Type") == "application/json" and request.method == "POST"
    assert all(isinstance(value, float) for request in sink.seen("/push/metrics/")
               for value in json.loads(request.body).values())


# ---- overlap (P10) ----

BUSY = 2.5


class Busy:
    """An answer that takes its time, and knows how many of its kind were going on at once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.present, self.most, self.ended = 0, 0, 0

    def __call__(self, connection, request):
        with self.lock:
            self.present += 1
            self.most = max(self.most, self.present)
        done = connection.pause(BUSY)
        with self.lock:
            self.present -= 1
            self.ended += 1
        return done and answers.status(200)(connection, request)


def skipped(service):
    """The number of skipped occurrences, by a check that holds."""
    words = service.cli("check", check=True).stdout.split()
    return int(words[words.index("skipped") + 1])


def seconds_of(requests):
    """Planned instants, in whole periods since the first."""
    return [(planned(request) - planned(requests[0])) // SECOND for request in requests]


def test_runs_may_overlap(api, receiver):
    busy = Busy()
    made = api.create(endpoint=receiver.script("/overlap/allow", busy), interval_definition="1 seconds")
    requests = receiver.wait_for(4, "/overlap/allow", timeout=10)[:4]
    remove(api, made)
    assert busy.most >= 2 and seconds_of(requests) == [0, 1, 2, 3]
    assert all(0 <= request.at - planned(request) / SECOND < LATE_MAX for request in requests)


def test_an_overlapping_run_is_skipped(api, receiver, service):
    busy, before = Busy(), skipped(service)
    made = api.create(endpoint=receiver.script("/overlap/skip", busy), interval_definition="1 seconds", overlap="skip")
    requests = receiver.wait_for(3, "/overlap/skip", timeout=20)[:3]
    patch(api, made, enabled=False)
    assert busy.most == 1
    seconds = seconds_of(requests)
    assert all(later - earlier >= 3 for earlier, later in zip(seconds, seconds[1:]))
    # Those that ran were on time, and never early.
    assert all(0 <= request.at - planned(request) / SECOND < LATE_MAX for request in requests)
    assert skipped(service) - before >= seconds[-1] - 2
    # What was skipped is none of the runs.
    assert api.schedule(made)["triggered"] == 3
    until(lambda: busy.ended == 3, timeout=10, what="the end of the last run")
    remove(api, made)


def test_an_overlapping_run_waits_for_its_turn(api, receiver, service):
    busy, before = Busy(), skipped(service)
    made = api.create(endpoint=receiver.script("/overlap/queue", busy), interval_definition="1 seconds",
                      overlap="queue", frequency=4)
    requests = receiver.wait_for(4, "/overlap/queue", timeout=20)
    assert api.schedule(made)["triggered"] == 4
    until(lambda: busy.ended == 4, timeout=10, what="the end of the last run")
    assert busy.most == 1 and len(receiver.seen("/overlap/queue")) == 4
    assert seconds_of(requests) == [0, 1, 2, 3]
    # The next one comes as soon as the one before it is on record, not when a timer looks.
    starts = [request.at for request in requests]
    assert all(BUSY <= later - earlier < BUSY + LATE_MAX for earlier, later in zip(starts, starts[1:]))
    assert skipped(service) == before
    remove(api, made)


def test_a_queue_goes_on_after_an_edit_that_lets_runs_overlap(api, receiver):
    release = threading.Event()
    made = api.create(endpoint=receiver.script("/overlap/edit", answers.gate(release)), interval_definition="1 seconds",
                      overlap="queue")
    try:
        until(lambda: api.schedule(made)["triggered"] >= 3, what="three runs")
        assert len(receiver.seen("/overlap/edit")) == 1
        patch(api, made, overlap="allow")
        # Side by side on connections of their own, those after the first may cross on the way.
        assert sorted(seconds_of(receiver.wait_for(4, "/overlap/edit")))[:3] == [0, 1, 2]
    finally:
        release.set()
        remove(api, made)


def test_a_queue_survives_a_kill(receiver):
    release = threading.Event()
    receiver.script("/overlap/kill", answers.gate(release))
    with Service() as own:
        token = own.create_user("admin", admin=True)
        client = own.start().api(token)
        made = client.create(endpoint=receiver.url("/overlap/kill"), interval_definition="1 seconds", overlap="queue",
                             frequency=4)
        until(lambda: client.schedule(made)["triggered"] == 4, what="four runs")
        client.close()
        own.kill()
        own.start()
        first, again = receiver.wait_for(2, "/overlap/kill")[:2]
        assert first.run_id == again.run_id and len(receiver.seen("/overlap/kill")) == 2
        release.set()
        requests = receiver.wait_for(5, "/overlap/kill")[1:]
        assert seconds_of(requests) == [0, 1, 2, 3]
        assert [request.attempt for request in requests] == [1] * 4
        until(lambda: "open 0" in " ".join(own.cli("check", check=True).stdout.split()), what="no open run")
