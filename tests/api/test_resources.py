# SPDX-License-Identifier: BSD-3-Clause
"""Users, groups, webhooks, failed tasks, metrics and health over the API (contract, section 4)."""
import re

import pytest

HOOKS = "/api/v1/webhook/"
TARGET = "http://example.org/hook"
REQUIRED, NULL, BLANK = "This field is required.", "This field may not be null.", "This field may not be blank."
NOT_STRING, BAD_URL = "Not a valid string.", "Enter a valid URL."
METRICS = [
    "schedules.created.sum", "scheduler.deliver_task.connection_error.sum",
    "scheduler.deliver_task.http_error.400.sum", "scheduler.deliver_task.http_error.401.sum",
    "scheduler.deliver_task.http_error.403.sum", "scheduler.deliver_task.http_error.404.sum",
    "scheduler.deliver_task.http_error.500.sum", "scheduler.deliver_task.timeout.sum",
]


# ---- users and groups ----

def test_users(api):
    page = api.get("/api/v1/user/").json()
    assert page["count"] == len(page["results"]) == 2
    alice, admin = page["results"]
    assert list(alice) == ["url", "username", "email", "groups"]
    assert (alice["username"], alice["email"], alice["groups"]) == ("alice", "alice@example.org", [])
    assert admin["username"] == "admin"
    answer = api.get(alice["url"])
    assert (answer.status, answer.json()) == (200, alice)


def test_groups(service, api):
    service.cli("group", "create", "Admins", check=True)
    service.cli("group", "create", "Ops", check=True)
    service.cli("group", "add", "Admins", "alice", check=True)
    page = api.get("/api/v1/group/").json()
    assert [group["name"] for group in page["results"]] == ["Ops", "Admins"]
    ops, admins = page["results"]
    assert list(admins) == ["url", "name"] and admins["url"].startswith(f"{api.base}/api/v1/group/")
    assert api.get(admins["url"]).json() == admins
    alice = next(user for user in api.get("/api/v1/user/").json()["results"] if user["username"] == "alice")
    assert alice["groups"] == [admins["url"]]


# ---- webhooks ----

def test_a_webhook_lives(api, admin):
    answer = api.post(HOOKS, {"event": "schedule.other", "target": TARGET, "user": 999, "id": 5, "created": "x",
                              "more": 1})
    assert answer.status == 201 and answer.header("Location") is None, answer
    hook = answer.json()
    assert list(hook)[:6] == ["id", "created", "updated", "event", "target", "user"]
    assert (hook["event"], hook["target"]) == ("schedule.other", TARGET)
    instant = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z\Z"
    assert re.match(instant, hook["created"]) and re.match(instant, hook["updated"])
    alice = next(user for user in api.get("/api/v1/user/").json()["results"] if user["username"] == "alice")
    assert alice["url"].endswith(f"/{hook['user']}/")
    url = f"{HOOKS}{hook['id']}/"
    assert api.get(url).json() == hook
    assert api.get(f"{HOOKS}0{hook['id']}/").json() == hook
    changed = admin.patch(url, {"target": "https://example.org/other"})
    assert changed.status == 200 and changed.json()["target"] == "https://example.org/other"
    assert changed.json()["event"] == "schedule.other" and changed.json()["user"] == hook["user"]
    assert changed.json()["created"] == hook["created"] and changed.json()["updated"] > hook["updated"]
    assert api.put(url, {"event": "e"}).json() == {"target": [REQUIRED]}
    assert api.put(url, {"event": "e", "target": TARGET}).json()["event"] == "e"
    assert api.patch(url, {}).status == 200
    assert hook["id"] in [found["id"] for found in api.get(HOOKS).json()["results"]]
    assert api.delete(url).status == 204
    assert api.get(url).status == 404 and api.delete(url).status == 404


def test_webhooks_from_a_form(api):
    answer = api.post(HOOKS, body=b"event=x.y&target=http%3A%2F%2Fexample.org%2F",
                      content_type="application/x-www-form-urlencoded")
    assert answer.status == 201 and answer.json()["target"] == "http://example.org/"


@pytest.mark.parametrize("body,errors", [
    ({}, {"event": [REQUIRED], "target": [REQUIRED]}),
    ({"event": None, "target": None}, {"event": [NULL], "target": [NULL]}),
    ({"event": "", "target": " "}, {"event": [BLANK], "target": [BLANK]}),
    ({"event": True, "target": TARGET}, {"event": [NOT_STRING]}),
    ({"event": {}, "target": TARGET}, {"event": [NOT_STRING]}),
    ({"event": "x" * 65, "target": TARGET}, {"event": ["Ensure this field has no more than 64 characters."]}),
    ({"event": "x", "target": 5}, {"target": [BAD_URL]}),
    ({"event": "x", "target": "http://example.org/" + "x" * 237},
     {"target": ["Ensure this field has no more than 255 characters."]}),
])
def test_refused_webhooks(api, body, errors):
    answer = api.post(HOOKS, body)
    assert (answer.status, answer.json()) == (400, errors)


@pytest.mark.parametrize("target", [True, [], {}])
def test_a_target_that_is_no_text(api, target):
    # The contract names both messages: the one of all strings, and the one of all bad targets.
    answer = api.post(HOOKS, {"event": "e", "target": target})
    assert answer.status == 400 and answer.json() in ({"target": [NOT_STRING]}, {"target": [BAD_URL]}), answer


@pytest.mark.parametrize("target", [
    "http://example.org", "https://example.org/", "ftp://example.org/x", "ftps://example.org", "HTTP://EXAMPLE.ORG/",
    "http://localhost/", "http://localhost:8000/x", "http://93.184.216.34/", "http://[2001:4860:4860::8888]/",
    "http://[2001:4860:4860::8888]:8080/", "http://user:pass@example.org/", "http://example.org:80/",
    "http://example.org:65535/",
    "http://a-b.example.org/?q=1#f", "http://xn--bcher-kva.example/", "http://example.org?x=1",
    "http://example.org/" + "x" * 236,
    "http://b\u00fccher.example/", "http://example.xn--p1ai/",
])
def test_targets_that_are_accepted(api, target):
    answer = api.post(HOOKS, {"event": "e" * 64, "target": f" {target} "})
    assert answer.status == 201 and answer.json()["target"] == target, answer


@pytest.mark.parametrize("target", [
    "x", "example.org", "//example.org", "http://", "http:///x", "http://bare/", "http://example.c/",
    "gopher://example.org/",
    "mailto:a@example.org", "http://exa mple.org/", "http://example.org/a b", "http://example.org:1/",
    "http://example.org:123456/",
    "http://example.org:x/", "http://-a.example.org/", "http://256.1.1.1/", "http://[::zz]/", "http://[::1",
    "http://.org/",
    "http://a..org/", "javascript:alert(1)", "http://example.org\nx", "http://1.2.3/", "http:example.org",
])
def test_targets_that_are_refused(api, target):
    answer = api.post(HOOKS, {"event": "e", "target": target})
    assert (answer.status, answer.json()) == (400, {"target": [BAD_URL]})


@pytest.mark.parametrize("event", ["schedule.added.not", "any thing", "é" * 64, 5, "x"])
def test_any_event_name_is_stored(api, event):
    answer = api.post(HOOKS, {"event": event, "target": TARGET})
    assert answer.status == 201 and answer.json()["event"] == str(event)


# ---- failed tasks, metrics, health ----

def test_requeue_of_nothing(api):
    for more in ({"data": None, "body": b"null", "content_type": "application/json"}, {"body": b""}, {"data": {}}):
        answer = api.request("POST", "/api/v1/failed-tasks/", more.get("data"), body=more.get("body"),
                             content_type=more.get("content_type"))
        assert (answer.status, answer.json()) == (201, {"requeued_failed_tasks": True})
    assert api.get("/api/v1/failed-tasks/").json()["count"] == 0


def test_metrics(api):
    answer = api.get("/api/metrics/")
    assert answer.status == 200 and list(answer.json()) == ["metrics_available"]
    assert sorted(answer.json()["metrics_available"]) == sorted(METRICS)
    answer = api.post("/api/metrics/")
    assert (answer.status, answer.json()) == (200, {"scheduled_metrics_initiated": True})


def test_health(api):
    answer = api.get("/api/health/")
    assert answer.status == 200
    health = answer.json()
    assert list(health) == ["up", "result"] and health["up"] is True
    assert list(health["result"])[:3] == ["database", "version", "libraries"]
    assert health["result"]["database"] == "Accessible" and isinstance(health["result"]["version"], str)
    libraries = health["result"]["libraries"]
    assert libraries and all(isinstance(version, str) and version for version in libraries.values())
