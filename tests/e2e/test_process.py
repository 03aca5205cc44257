# SPDX-License-Identifier: BSD-3-Clause
"""The process: crash, restart, draining, one holder per database, refusals at start, egress, logs, metrics, secrets."""
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import receiver as answers
from harness.receiver import Receiver
from harness.service import BINARY, PASSWORD, Service
from harness.times import iso, planned
from harness.wait import until

PATH = "/api/v1/schedule/"
SECOND = 1_000_000
PAST = "2001-02-03T04:05:06Z"


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


def started(**more):
    service = Service(**more)
    service.token = service.create_user("admin", admin=True)
    return service.start()


def all_ticks(receiver, path, least):
    """The requests for a schedule of a second, at least so many, once no instant between the first and the last is missing.
    Runs that are late go out beside each other and may arrive in any order."""
    def without_holes():
        found = receiver.seen(path)
        instants = sorted({planned(request) for request in found})
        return len(found) >= least and instants == [instants[0] + n * SECOND for n in range(len(instants))] and found
    return until(without_holes, timeout=15, what=f"every instant of {path}")


# ---- crash and restart (P1, P2, P4, P5) ----

def test_a_kill_loses_nothing_and_keeps_the_run_id(receiver):
    with started() as service:
        api = service.api(service.token)
        event = threading.Event()
        receiver.script("/flight", answers.gate(event), answers.status(200))
        one = api.create(endpoint=receiver.url("/flight"), next_send_at=PAST, payload={"n": 1})
        tick = api.create(endpoint=receiver.url("/tick"), interval_definition="1 seconds")
        due = api.create(endpoint=receiver.url("/due"), next_send_at=iso(time.time() + 2))
        receiver.wait_for(1, "/tick", timeout=6)
        receiver.wait_for(1, "/flight", timeout=6)
        last = api.create(endpoint=receiver.url("/last"), next_send_at=iso(time.time() + 1.5))
        service.kill()
        api.close()
        service.start()
        api = service.api(service.token)
        receiver.wait_for(1, "/due", timeout=10)
        receiver.wait_for(1, "/last", timeout=10)
        all_ticks(receiver, "/tick", 4)
        first, second = receiver.wait_for(2, "/flight", timeout=60)[:2]
        event.set()
        assert first.run_id == second.run_id and first.body == second.body and second.attempt >= first.attempt
        for made in (one, due, last):
            until(lambda made=made: api.schedule(made)["next_send_at"] is None, what="a one-shot to be over")
            assert api.schedule(made)["triggered"] == 1
        assert api.delete(f"{PATH}{tick['id']}/").status == 204
        assert len({request.run_id for request in receiver.seen("/due")}) == 1


def test_an_answered_write_survives_a_kill():
    with started() as service:
        api = service.api(service.token)
        for round_number in range(3):
            made = api.create(endpoint="http://example.org/", enabled=False, payload=round_number)
            service.kill()
            api.close()
            service.start()
            api = service.api(service.token)
            assert api.schedule(made)["payload"] == round_number
            assert api.patch(f"{PATH}{made['id']}/", {"payload": "patched"}).status == 200
            service.kill()
            api.close()
            service.start()
            api = service.api(service.token)
            assert api.schedule(made)["payload"] == "patched"
            assert api.delete(f"{PATH}{made['id']}/").status == 204
            service.kill()
            api.close()
            service.start()
            api = service.api(service.token)
            assert api.get(f"{PATH}{made['id']}/").status == 404


def test_sigterm_drains_the_attempt_in_flight_and_records_it(receiver):
    with started() as service:
        api = service.api(service.token)
        event = threading.Event()
        receiver.script("/drain", answers.gate(event), answers.status(200))
        made = api.create(endpoint=receiver.url("/drain"), next_send_at=PAST)
        receiver.wait_for(1, "/drain", timeout=6)
        process = service.process
        process.child.send_signal(signal.SIGTERM)
        # It must be draining, not gone: it says so in its log, and still runs while the answer is withheld.
        process.wait_line(lambda entry: entry.get("event") in ("stopping", "draining", "drain", "shutdown", "stop"), 10)
        assert process.child.poll() is None
        event.set()
        assert service.ended(45) == 0
        api.close()
        service.start()
        api = service.api(service.token)
        tick = api.create(endpoint=receiver.url("/tick"), interval_definition="1 seconds")
        receiver.wait_for(3, "/tick", timeout=8)
        assert len(receiver.seen("/drain")) == 1
        record = api.schedule(made)
        assert record["triggered"] == 1 and record["next_send_at"] is None
        assert api.get("/api/v1/failed-tasks/").json()["count"] == 0
        assert api.delete(f"{PATH}{tick['id']}/").status == 204


def control_client(service):
    client = socket.socket(socket.AF_UNIX)
    client.connect(f"{service.directory}/scheduler.db.control")
    return client


def test_clients_of_the_control_socket_do_not_hold_up_a_stop():
    with started() as service:
        idle = control_client(service)
        asking = [control_client(service) for _ in range(8)]
        for client in asking:
            client.sendall(b'["user","list"]')
            client.shutdown(socket.SHUT_WR)
        service.process.child.send_signal(signal.SIGTERM)
        assert service.ended(20) == 0
        for client in [idle, *asking]:
            client.close()


def test_idle_clients_of_the_control_socket_give_way():
    with started() as service:
        crowd = [control_client(service) for _ in range(16)]
        until(lambda: service.cli("user", "list").returncode == 0, timeout=20, what="a place at the control socket")
        for client in crowd:
            client.close()


def test_a_host_that_hangs_leaves_the_service_ready(receiver):
    with started() as service:
        api = service.api(service.token)
        event = threading.Event()
        receiver.script("/hang", *[answers.gate(event)] * 200)
        for _ in range(150):
            api.create(endpoint=receiver.url("/hang"), next_send_at=PAST)
        receiver.wait_for(10, "/hang", timeout=10)
        tick = api.create(endpoint=Receiver.url(receiver, "/tick"), interval_definition="1 seconds", enabled=False)
        assert tick["enabled"] is False
        deadline = time.monotonic() + 8    # longer than what counts as behind
        while time.monotonic() < deadline:
            answer = api.get("/readyz", auth=None)
            assert answer.status == 200, answer
            age = float(re.search(r"^seed_oldest_due_age_seconds (\S+)", api.get("/metrics", auth=None).body.decode(), re.M)[1])
            assert age < 5
            event.wait(0.5)
        event.set()


def test_sigint_stops_too():
    with started() as service:
        service.process.child.send_signal(signal.SIGINT)
        assert service.ended(30) == 0


def test_missed_while_down_runs_in_full_up_to_a_minute(receiver):
    with started() as service:
        api = service.api(service.token)
        api.create(endpoint=receiver.url("/missed"), interval_definition="1 seconds")
        before = receiver.wait_for(1, "/missed", timeout=5)[0]
        service.stop()
        api.close()
        # Down for at least two seconds, measured by what is planned after it.
        deadline = time.monotonic() + 2.2
        until(lambda: time.monotonic() > deadline, timeout=5)
        service.start()
        requests = all_ticks(receiver, "/missed", 5)
        instants = {planned(request) for request in requests}
        assert min(instants) == planned(before) and len(requests) == len(instants)


# ---- refusals at start ----

def refused(service, command, *words):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                            env=service.environment, cwd=service.directory)
    assert result.returncode > 0, result     # an exit code, not a signal
    assert "AddressSanitizer" not in result.stderr and "runtime error" not in result.stderr, result.stderr
    for word in words:
        assert re.search(word, result.stderr, re.IGNORECASE), (word, result.stderr)
    return result


def test_a_second_process_is_refused_and_told_who_holds_the_database():
    with started() as service:
        refused(service, service.command(), rf"\b{service.pid}\b")
        assert service.api(service.token).get("/api/v1/").status == 200


def test_a_corrupt_database_is_refused():
    with Service() as service:
        service.create_user("admin", admin=True)
        whole = service.database_path.read_bytes()
        for name in ("scheduler.db-wal", "scheduler.db-shm"):
            (service.directory / name).unlink(missing_ok=True)
        rubbish, overwritten = b"this is no database at all\n" * 400, whole[:100] + b"\xff" * (len(whole) - 100)
        for damage in (rubbish, overwritten, whole[:len(whole) // 2 - 7]):
            service.database_path.write_bytes(damage)
            refused(service, service.command(), r"database|malformed|corrupt")
            assert service.database_path.read_bytes()[:26] == damage[:26]      # not overwritten by a fresh one


def test_unknown_options_and_schemes_are_named():
    with Service() as service:
        refused(service, [BINARY, "serve", "--no-such-option", "--database", service.database], r"no-such-option")
        refused(service, [BINARY, "serve", "--listen", "127.0.0.1:0", "--database", "mysql:whatever"], r"mysql")
        refused(service, [BINARY, "no-such-command"], r"no-such-command")
        refused(service, service.command("--egress-allow", "not-a-network"), r"not-a-network")
        refused(service, service.command("--auth-failures-per-minute", "many"), r"many|auth-failures-per-minute")
        for period in ("7", "1 seconds", "-7 days", "36501 days", "a week"):
            refused(service, service.command("--retention", period), r"--retention: '.*' is no time from 1 minute")
        refused(service, service.command("--retention", "31 days", "--retention-failed", "30 days"),
                r"--retention-failed: .* at least as long")
        refused(service, [BINARY, "serve", "--listen", "nonsense", "--database", service.database], r"listen|nonsense")
        refused(service, [BINARY, "serve", "--listen", "127.0.0.1:99999", "--database", service.database],
                r"listen|99999")
        refused(service, [BINARY, "serve", "--listen", "127.0.0.1:0", "--database", "sqlite:/dev/null/x.db"],
                r"/dev/null")


def test_unknown_variables_and_placeholder_secrets_are_refused():
    for name, value in (("SCHEDULER_NONSENSE", "1"), ("HOOK_AUTH_TOKEN", "REPLACEME"), ("SCHEDULER_INTERVAL_MIN", "-1"),
                        ("DEFAULT_REQUEST_TIMEOUT", "soon")):
        with Service(env={name: value}) as service:
            refused(service, service.command(), f"{name}|--{name[10:].lower().replace('_', '-')}")


def test_help_and_version():
    for option, word in (("--help", "serve"), ("--version", r"\d+\.\d+")):
        result = subprocess.run([BINARY, option], capture_output=True, text=True, timeout=20)
        assert result.returncode == 0 and re.search(word, result.stdout), result


def test_a_port_in_use_is_refused():
    with started() as service:
        with Service() as other:
            command = [BINARY, "serve", "--listen", f"127.0.0.1:{service.address[1]}", "--database", other.database]
            refused(other, command, str(service.address[1]))


# ---- egress ----

def test_egress_is_refused_unless_allowed(receiver):
    with started(egress=()) as service:
        api = service.api(service.token)
        answer = api.post(PATH, {"endpoint": receiver.url("/"), "next_send_at": PAST})
        assert answer.status == 400 and list(answer.json()) == ["endpoint"]
        assert any("--egress-allow" in message for message in answer.json()["endpoint"]), answer
        for host in ("localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"):
            answer = api.post(PATH, {"endpoint": f"http://{host}:{receiver.port}/{host}", "next_send_at": PAST})
            if answer.status == 201:        # judged at the attempt, then
                wanted = answer.json()["id"]
                service.process.wait_line(lambda entry, wanted=wanted: entry.get("schedule_id") == wanted, 20)
            else:
                assert answer.status == 400 and list(answer.json()) == ["endpoint"], answer
        assert receiver.connections == 0


def test_egress_is_judged_again_at_each_attempt(receiver):
    with started() as service:
        api = service.api(service.token)
        made = api.create(endpoint=receiver.url("/stored"), interval_definition="1 seconds")
        receiver.wait_for(1, "/stored", timeout=5)
        service.stop()
        api.close()
        count = len(receiver.seen("/stored"))
        connections = receiver.connections
        service.egress = ()
        service.start()
        service.process.wait_line(lambda entry: entry.get("schedule_id") == made["id"] and entry.get("run_id"), 20)
        assert len(receiver.seen("/stored")) == count and receiver.connections == connections


def test_a_hook_to_a_denied_address_is_not_called(receiver):
    with started(egress=()) as service:
        api = service.api(service.token)
        answer = api.post("/api/v1/webhook/", {"event": "schedule.added", "target": receiver.url("/hook")})
        assert answer.status in (201, 400), answer
        assert api.post(PATH, {"endpoint": "http://example.org/", "enabled": False}).status == 201
        service.stop()
        assert receiver.connections == 0


# ---- what operators see ----

def test_metrics_probes_and_logs(receiver):
    with started(metrics=True) as service:
        api, metrics = service.api(service.token), service.metrics_api()
        receiver.script("/fails", answers.status(410))
        made = api.create(endpoint=receiver.url("/fails"), next_send_at=PAST)
        api.create(endpoint=receiver.url("/works"), next_send_at=PAST)
        receiver.wait_for(1, "/works", timeout=5)
        until(lambda: api.get("/api/v1/failed-tasks/").json()["count"] == 1, what="the failed task")
        for path in ("/healthz", "/readyz"):
            assert metrics.get(path).status == 200 or api.get(path).status == 200, path
        answer = metrics.get("/metrics")
        assert answer.status == 200 and answer.header("Content-Type").startswith("text/plain; version=0.0.4")
        text = answer.body.decode()
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert samples and all(re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? \S+\Z", line) for line in samples)
        assert made["id"] not in text and "127.0.0.1" not in text
        assert service.api().get("/metrics").status in (401, 404)     # not for everybody on the API's listener
        line = service.process.wait_line(lambda entry: entry.get("schedule_id") == made["id"] and entry.get("run_id"),
                                         10)
        assert line["run_id"] == receiver.seen("/fails")[0].run_id
        service.stop()
        for line in service.log_text().splitlines():
            assert isinstance(json.loads(line), dict), line


def test_promtool_accepts_the_metrics(receiver):
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed, so the exposition format cannot be checked by its own tool")
    with started(metrics=True) as service:
        api = service.api(service.token)
        api.create(endpoint=receiver.url("/x"), next_send_at=PAST)
        receiver.wait_for(1, "/x", timeout=5)
        text = service.metrics_api().get("/metrics").body
        result = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, timeout=30)
        assert result.returncode == 0, result.stdout + result.stderr


def on_disk(service):
    """The bytes of the database, its log and whatever else stands beside it, the control socket excepted."""
    return b"".join(path.read_bytes() for path in service.directory.glob("scheduler.db*") if path.is_file())


def test_secrets_appear_nowhere(receiver):
    canaries = {name: f"canary-{name}-7f3a91" for name in
                ("authtoken", "password", "hooktoken", "query", "payload", "metricspassword", "answer", "basic")}
    hidden_in_files = [canaries[name] for name in ("authtoken", "password", "hooktoken", "metricspassword", "basic")]
    environment = {"HOOK_AUTH_TOKEN": canaries["hooktoken"], "METRICS_URL": receiver.url("/push"),
                   "METRICS_AUTH_USER": "m",
                   "METRICS_AUTH_PASSWORD": canaries["metricspassword"]}
    with Service(metrics=True, env=environment) as service:
        token = service.create_user("admin", admin=True, password=canaries["password"])
        service.start()
        api = service.api(token)
        login = api.post("/api/token-auth/", {"username": "admin", "password": canaries["password"]},
                         auth=None).json()["token"]
        minted = api.post("/api/v1/user/token/", {"email": "c@example.org"}).json()["token"]
        api.post("/api/token-auth/", {"username": "admin", "password": canaries["basic"]}, auth=None)
        api.post("/api/v1/webhook/", {"event": "schedule.added", "target": receiver.url("/hook")})
        receiver.script("/fail", answers.status(410, canaries["answer"].encode()))
        receiver.script("/retry", answers.status(500, canaries["answer"].encode()))
        for path in ("/fail", "/retry", "/fine"):
            api.create(endpoint=receiver.url(f"{path}?key={canaries['query']}"), next_send_at=PAST,
                       auth_token=canaries["authtoken"],
                       payload={"secret": canaries["payload"]})
        receiver.wait_for(3, "/hook", timeout=10)
        receiver.wait_for(1, "/fine", timeout=10)
        assert receiver.wait_for(1, "/retry", timeout=10)[0].header("Authorization") == f"Token {canaries['authtoken']}"
        until(lambda: api.get("/api/v1/failed-tasks/").json()["count"] == 1, what="the failed task")
        shown = b"".join(api.get(path).body for path in (PATH, "/api/v1/user/", "/api/v1/webhook/",
                                                         "/api/v1/failed-tasks/",
                                                          "/api/health/", "/api/metrics/"))
        shown += service.metrics_api().get("/metrics").body
        command_line = open(f"/proc/{service.pid}/cmdline", "rb").read()
        disk = on_disk(service)
        service.stop()
        disk += on_disk(service)
        log = service.log_text().encode() + (service.directory / "stdout").read_bytes()
        for secret in hidden_in_files + [token, login, minted]:
            for place, data in (("answers", shown), ("cmdline", command_line), ("disk", disk), ("log", log)):
                assert secret.encode() not in data, (secret, place)
        for secret in canaries.values():
            assert secret.encode() not in log, secret
        mode = service.database_path.stat().st_mode & 0o777
        assert mode == 0o600, oct(mode)


# ---- the real client's calls ----

def test_the_calls_of_the_seed_services_client(receiver):
    """The order and form in which the clients of the original speak: `next` is stripped of the base URL by text."""
    with started() as service:
        base = f"http://{service.address[0]}:{service.address[1]}/api/v1"
        api = service.api()
        headers = [("User-Agent", "demands/5.0.0"), ("Accept", "application/json"),
                   ("Accept-Encoding", "gzip, deflate"),
                   ("Connection", "keep-alive")]

        def call(method, path, data=..., query=""):
            body = None if data is ... else json.dumps(data).encode()
            kind = None if data is ... else "application/json; charset=utf-8"
            return api.request(method, "/api/v1" + path + query, body=body, content_type=kind, headers=headers,
                               auth=f"Token {service.token}")

        receiver.script("/resource", answers.status(410), answers.status(200))
        ids = []
        for number in range(5):
            answer = call("POST", "/schedule/",
                          {"frequency": None, "cron_definition": f"{number} 3 * * *", "interval_definition": None,
                                                 "endpoint": receiver.url("/resource"), "payload": {"number": number}})
            assert answer.status == 201
            ids.append(answer.json()["id"])
        assert call("GET", f"/schedule/{ids[0]}/").json()["payload"] == {"number": 0}
        found, path, query = [], "/schedule/", "?limit=2"
        while path:
            page = call("GET", path, query=query).json()
            found += [schedule["id"] for schedule in page["results"]]
            path, query = (page["next"] or "").replace(base, ""), ""
        assert found == list(reversed(ids))
        answer = call("PATCH", f"/schedule/{ids[0]}/", {"cron_definition": None, "next_send_at": PAST})
        assert answer.status == 200
        first = receiver.wait_for(1, "/resource", timeout=6)[0]
        rows = until(lambda: call("GET", "/failed-tasks/").json()["results"], what="the failed task")
        assert rows[0]["schedule"] == f"{base}/schedule/{ids[0]}/"
        assert call("GET", f"/failed-tasks/{rows[0]['id']}/").json() == rows[0]
        answer = call("POST", "/failed-tasks/", None)
        assert answer.json() == {"requeued_failed_tasks": True}
        second = receiver.wait_for(2, "/resource", timeout=6)[1]
        assert (first.run_id, first.body) == (second.run_id, second.body)
        until(lambda: call("GET", "/failed-tasks/").json()["count"] == 0, what="the failed task to go")
        for identity in ids:
            assert call("DELETE", f"/schedule/{identity}/").status == 204
        assert call("GET", "/schedule/").json()["count"] == 0
