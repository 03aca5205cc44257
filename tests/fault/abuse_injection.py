# SPDX-License-Identifier: BSD-3-Clause
"""Injection and canaries (T38, T39): hostile text in every field stays text, and secrets are shown nowhere.

Every text of `HOSTILE` goes into every field, header, query and path. Then: each line of the log is one JSON object
without a raw control character, each answer is strict HTTP and JSON, each delivery has exactly the headers it should,
records come back as they were stored. Meanwhile secrets with marks of their own pass through every field that may hold
one.
"""
import base64
import json
import os
import pathlib
import random
import shutil
import tempfile
import time
import urllib.parse

from harness.client import Raw, head
from harness.receiver import Receiver, status
from harness.service import BINARY, Service
from harness.times import iso
from harness.wait import until

NOBODY = 65534
SCHEDULE, TOKEN_AUTH = "/api/v1/schedule/", "/api/token-auth/"

HOSTILE = [
    "a\rb", "a\nb", "a\r\nX-Injected: 1", "a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "a\0b", "\0", "'", "''", "\"", "\\",
    "\\\"", "`", "$(id)", "${x}",
    "%n%n%n%s", "%00", "%0d%0aX-Injected:%201", "%s" * 200, "'; DROP TABLE schedules; --", "' OR '1'='1",
    "\" OR 1=1 --",
    "x'); DELETE FROM users; --", "1; ATTACH DATABASE '/tmp/x' AS y", "{\"level\":\"error\",\"event\":\"forged\"}",
    "\"}\n{\"event\":\"forged\"}", "\x1b[2J\x1b]0;forged\x07", "\x7f\x08\x08", "\U0001f600\U0010ffff",
    "\u202eforged\u202c", "\u2066x\u2069",
    "\u2028\u2029", "\ufeffx", "\u0000\u0001\u001f", "\u0085\u009b31m", "e\u0301" * 50, "\ufffe\uffff",
    "../../etc/passwd", "<script>alert(1)</script>",
    "{{7*7}}", "a" * 3000, "\t\v\f", "_" * 255 + "\n", "\u00e9" * 600, "=cmd|' /C calc'!A0", "-1", "1e999", "[]",
    "null",
]
STORED = ("payload", "auth_token", "timezone", "cron_definition", "interval_definition", "endpoint", "next_send_at",
          "signing_secret",
          "catch_up", "overlap", "frequency", "enabled")

# Where a secret goes in; the marks are hexadecimal so that no encoding changes them.
CANARIES = {name: f"canary{name}{random.Random(name).getrandbits(96):024x}" for name in
            ("authtoken", "signing", "password", "guess", "bearer", "basic", "userinfo", "query", "path", "payload",
             "answer", "hook", "push",
             "unknownfield", "cookie")}


# ---- hostile text ----

def json_answers(verdict, answer, what):
    """Any answer that says it is JSON is JSON; none carries a header of ours."""
    verdict.expect(not answer.all("X-Injected"), f"{what}: a header was injected: {answer!r}")
    verdict.expect(answer.status < 500, f"{what}: {answer.status}")
    if answer.body and (answer.header("Content-Type") or "").startswith("application/json"):
        try:
            answer.json()
        except ValueError:
            verdict.wrong(f"{what}: not JSON: {answer.body[:200]!r}")
    return answer


def try_fields(verdict, api, text):
    for field in STORED:
        what = f"{field} {text[:40]!r}"
        body = {"endpoint": "http://example.org/", "enabled": False, field: text}
        answer = json_answers(verdict, api.post(SCHEDULE, body), what)
        verdict.count("fields")
        if answer.status == 201 and field == "payload":
            verdict.expect(api.schedule(answer.json())["payload"] == text,
                           f"{what}: stored as {answer.json()['payload']!r}")
        if answer.status == 201:
            verdict.expect(api.delete(f"{SCHEDULE}{answer.json()['id']}/").status == 204, f"{what}: cannot be deleted")
    for body in ({"event": text, "target": "http://example.org/"}, {"event": "x", "target": text}):
        answer = json_answers(verdict, api.post("/api/v1/webhook/", body), f"webhook {text[:40]!r}")
        verdict.count("fields")
        if answer.status == 201:
            verdict.expect(answer.json()["event"] == body["event"].strip(), f"webhook: stored {answer.json()!r}")
            api.delete(f"/api/v1/webhook/{answer.json()['id']}/")
    json_answers(verdict, api.post("/api/v1/user/token/", {"email": text}), f"email {text[:40]!r}")
    json_answers(verdict, api.post(TOKEN_AUTH, {"username": text, "password": text}, auth=None), f"login {text[:40]!r}")
    json_answers(verdict, api.post(SCHEDULE, {text: text}), f"a field of the name {text[:40]!r}")
    verdict.count("fields", 3)


def try_request(verdict, service, api, token, text):
    """In path and query (escaped), and raw in every header: served or refused, never split."""
    quoted = urllib.parse.quote(text, safe="")[:3000]
    for target in (f"/api/v1/{quoted}", f"{SCHEDULE}{quoted}/", f"{SCHEDULE}{quoted}",
                   f"{SCHEDULE}?limit={quoted}&{quoted}={quoted}",
                   f"/api/v1/failed-tasks/?offset=1&x={quoted}", f"/api/health/?format={quoted}", f"/{quoted}"):
        json_answers(verdict, api.get(target), target[:100])
        verdict.count("targets")
    for name in ("User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "Accept", "Host", "Authorization",
                 "Content-Type", "X-A",
                 "Cookie", "Expect", "Connection"):
        headers = [("Host", "x"), ("Authorization", f"Token {token}")]
        headers = [(key, value) for key, value in headers if key != name] + [(name, text.encode())]
        with Raw(service.address) as raw:
            raw.send_quietly(head("GET", "/api/v1/", headers + [("Connection", "close")]))
            try:
                json_answers(verdict, raw.read(), f"{name}: {text[:40]!r}")
            except EOFError:
                verdict.wrong(f"{name}: {text[:40]!r}: closed without an answer")
        verdict.count("headers")


def judge_deliveries(verdict, api, receiver):
    """A text that got into a schedule goes out as that text, and adds no header."""
    usual, made = None, 0
    for number, text in enumerate(["plain", *HOSTILE]):
        body = {"endpoint": receiver.url(f"/deliver/{number}"), "payload": text, "auth_token": text,
                "next_send_at": iso(time.time() - 1)}
        answer = api.post(SCHEDULE, body)
        if answer.status == 400:
            del body["auth_token"]
            answer = api.post(SCHEDULE, body)
        verdict.expect(answer.status == 201, f"a payload of {text[:40]!r}: {answer!r}")
        made += answer.status == 201
        if number == 0:
            usual = {name for name, _ in receiver.wait_for(1, "/deliver/0")[0].headers}
    arrived = receiver.wait_for(made, timeout=60, select=lambda request: request.path.startswith("/deliver/"))
    for request in arrived:
        verdict.count("deliveries")
        text = ["plain", *HOSTILE][int(request.path.rsplit("/", 1)[1])]
        verdict.expect(request.json() == text, f"delivered {request.body[:80]!r} for {text[:40]!r}")
        names = [name for name, _ in request.headers]
        verdict.expect(set(names) <= usual and len(set(names)) == len(names), f"headers for {text[:40]!r}: {names}")
        authorization = request.header("Authorization")
        verdict.expect(authorization is None or authorization.encode("latin-1") == b"Token " + text.strip().encode(),
                       f"Authorization for {text[:40]!r}: {authorization!r}")


def judge_log(verdict, text):
    """One JSON object a line; no forged event, no raw control character or mark that turns the text around."""
    lines = text.splitlines() if "\u2028" not in text else text.split("\n")
    for line in lines:
        verdict.count("log lines")
        try:
            entry = json.loads(line)
            verdict.expect(isinstance(entry, dict) and entry.get("event") != "forged", f"log: {line[:200]!r}")
        except ValueError:
            verdict.wrong(f"log: not one object: {line[:200]!r}")
        raw = [c for c in line if ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or c in "\u2028\u2029\u202e\u2066"]
        verdict.expect(not raw, f"log: raw {raw!r} in {line[:200]!r}")


# ---- canaries ----

def spread(service, receiver, api, token):
    """Every canary goes where a secret of its kind would; returns the bytes of all answers, and more secrets."""
    shown = []
    whsec = "whsec_" + base64.b64encode(bytes.fromhex(CANARIES["signing"][-24:]) * 2 + b"12345678").decode()
    receiver.script("/canary/fails", status(410, CANARIES["answer"].encode()))
    receiver.script("/canary/retries", status(500, CANARIES["answer"].encode()))
    for path in ("/canary/fails", "/canary/retries", "/canary/works"):
        more = f"/{CANARIES['path']}" if path.endswith("works") else ""
        answer = api.post(SCHEDULE, {"endpoint": receiver.url(f"{path}{more}?key={CANARIES['query']}"),
                                     "payload": {"x": CANARIES["payload"]}, "auth_token": CANARIES["authtoken"],
                                     "signing_secret": whsec, "next_send_at": iso(time.time() - 1)})
        assert answer.status == 201, answer
    refused = [
        api.post(SCHEDULE, {"endpoint": f"http://user:{CANARIES['userinfo']}@127.0.0.1/"}),
        api.post(SCHEDULE, {"endpoint": f"http://10.0.0.1/?key={CANARIES['query']}"}),
        api.post(SCHEDULE, {"endpoint": "http://127.0.0.1/", "auth_token": CANARIES["authtoken"] + "\n\x01"}),
        api.post(SCHEDULE, {"endpoint": "http://127.0.0.1/", "signing_secret": CANARIES["signing"]}),
        api.post(SCHEDULE, {"endpoint": "", "auth_token": CANARIES["authtoken"],
                            CANARIES["unknownfield"]: CANARIES["unknownfield"]}),
        api.post(SCHEDULE, body=b'{"auth_token":"' + CANARIES["authtoken"].encode() + b'",',
                 content_type="application/json"),
        api.post(TOKEN_AUTH, {"username": "admin", "password": CANARIES["guess"]}, auth=None),
        api.get("/api/v1/", auth=f"Bearer {CANARIES['bearer']}"),
        api.get("/api/v1/", auth="Basic " + base64.b64encode(f"admin:{CANARIES['basic']}".encode()).decode()),
        api.get("/api/v1/", auth=f"Basic {CANARIES['basic']}="),
        api.get("/api/v1/", headers=[("Cookie", f"session={CANARIES['cookie']}")]),
    ]
    shown += [answer.body for answer in refused]
    logged_in = api.post(TOKEN_AUTH, {"username": "admin", "password": CANARIES["password"]}, auth=None)
    assert logged_in.status == 200, logged_in
    receiver.wait_for(1, f"/canary/works/{CANARIES['path']}", timeout=10)
    receiver.wait_for(1, "/canary/retries", timeout=10)
    until(lambda: api.get("/api/v1/failed-tasks/").json()["count"] >= 1, what="the failed task")
    shown += [api.get(path).body for path in (SCHEDULE, "/api/v1/webhook/", "/api/v1/user/", "/api/v1/failed-tasks/",
                                              "/api/health/", "/api/metrics/")]
    return b"\n".join(shown), [token, logged_in.json()["token"], whsec, whsec[6:]]


# A schedule shows its URL and payload, a failed task the endpoint's answer; the log shows none of it.
SHOWN_TO_USERS = {"query", "path", "payload", "answer"}


def judge_canaries(verdict, places, secrets):
    for place, data in places.items():
        for name, canary in CANARIES.items():
            verdict.count("places of a secret")
            may = place == "answers" and name in SHOWN_TO_USERS
            verdict.expect(may or canary.encode() not in data, f"the secret of {name} is in the {place}")
        for secret in secrets:
            verdict.count("places of a secret")
            verdict.expect(secret.encode() not in data, f"a token or signing secret is in the {place}")


def judge_process(verdict, pid):
    """No core file, and nothing of the process for others of its own user to read."""
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    verdict.expect(core.split()[4:6] == ["0", "0"], f"core files are on: {core}")
    owner = os.stat(f"/proc/{pid}/environ").st_uid
    verdict.expect(owner == 0, f"the process is dumpable: /proc/{pid}/environ belongs to user {owner}")


class OtherUser(Service):
    """A service that runs as nobody, so that who may look into it can be seen from outside."""

    def command(self, *more):
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *super().command(*more)]


def judge_other_user(verdict):
    """Needs root, as a container has it; without it the process's own user is asked, who then owns the files."""
    if os.getuid() != 0:
        verdict.say("not root: who may look into the process was not tried")
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="seed-nobody-", dir="/tmp"))
    try:
        os.chown(folder, NOBODY, NOBODY)
        binary = shutil.copy(BINARY, folder / "seed-scheduler")
        with OtherUser(directory=folder / "data") as service:
            os.chown(folder / "data", NOBODY, NOBODY)
            command = service.command
            service.command = lambda *more: [str(binary) if part == BINARY else part for part in command(*more)]
            service.start()
            judge_process(verdict, service.pid)
            verdict.count("processes of another user")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(verdict, budget, seed):
    """`budget`: texts; beyond the table, random ones made of its pieces."""
    rng = random.Random(seed)
    pieces = [text[:30] for text in HOSTILE]
    texts = HOSTILE[:budget] + ["".join(rng.choices(pieces, k=3)) for _ in range(budget - len(HOSTILE))]
    with Receiver() as receiver:
        environment = {"HOOK_AUTH_TOKEN": CANARIES["hook"], "METRICS_URL": receiver.url("/push"),
                       "METRICS_AUTH_USER": "m",
                       "METRICS_AUTH_PASSWORD": CANARIES["push"]}
        with Service("--log-level", "debug", metrics=True, env=environment) as service:
            token = service.create_user("admin", admin=True, password=CANARIES["password"])
            service.start()
            api = service.api(token)
            verdict.say(f"{len(texts)} texts in every field, target and header")
            for text in texts:
                try_fields(verdict, api, text)
                try_request(verdict, service, api, token, text)
            judge_deliveries(verdict, api, receiver)
            verdict.say("canaries")
            answers, secrets = spread(service, receiver, api, token)
            places = {"answers": answers, "metrics": service.metrics_api().get("/metrics").body,
                      "command line": pathlib.Path(f"/proc/{service.pid}/cmdline").read_bytes()}
            judge_process(verdict, service.pid)
            service.stop()
            places["log"] = service.log_text().encode() + (service.directory / "stdout").read_bytes()
            judge_log(verdict, service.log_text())
            judge_canaries(verdict, places, secrets)
    judge_other_user(verdict)
    verdict.least("log lines", 50)
    verdict.least("deliveries", len(HOSTILE))
    verdict.least("fields", len(STORED) * min(budget, len(HOSTILE)))
