# SPDX-License-Identifier: BSD-3-Clause
"""The workloads that look at ours alone or against a limit: W0 (the receiver itself), W3 (many schedules), W4 (API), W5
(many hosts), W6 (https)."""
import http.client
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import time

import load
from measure import ROOT, Folder, Receiver, Refused, compile_c, cpu_seconds, free_port, resident_mib, stop, tail
from systems import PAYLOAD_TEXT, Celery, Seed
from workloads import GRACE_S, faults, fire, lateness


def wrk(url, connections, seconds, method="GET", token="", body="", headers=()):
    """Requests a second; a measurement with refused or lost requests is none."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "10s", "-s", str(ROOT / "bench" / "post.lua"), url]
    words += [word for header in headers for word in ("-H", header)]
    environment = {**os.environ, "METHOD": method, "TOKEN": token, "BODY": body}
    text = subprocess.run(words, capture_output=True, text=True, env=environment, check=True).stdout
    wrong = re.search(r"(Non-2xx|Socket errors).*", text)
    if wrong:
        raise Refused(f"{method} {url}: {wrong[0]}")
    return round(float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]))


# --- W0 ----------------------------------------------------------------------------------------------------------

CALLBACK_HEADERS = (
    'Idempotency-Key: "0f5be5b8-7a3c-8d21-9c4e-5f1f0a2b3c4d"',
    "Seed-Planned-At: 2026-11-25T07:00:00.000000Z",
    "Seed-Attempt: 1",
)


def receiver_alone(seconds):
    """What the receiver takes when nothing but wrk runs beside it: callbacks with all their headers."""
    receiver = Receiver()
    try:
        body = json.dumps({"n": 1, "text": PAYLOAD_TEXT})
        rate = wrk(receiver.endpoint, 64, seconds, "POST", "bench-token", body, CALLBACK_HEADERS)
        return {"requests_per_s": rate, "cpu_us": round(receiver.cpu_seconds() * 1e6 / (rate * seconds), 1)}
    finally:
        receiver.stop()


# --- W3 ----------------------------------------------------------------------------------------------------------


def call_ms(system, method, path, body):
    """The median of 200 single calls, one after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", system.port)
    headers = {"Authorization": "Token " + system.token, "Content-Type": "application/json"}
    took, made = [], None
    for i in range(200):
        began = time.perf_counter()
        connection.request(method, path, json.dumps({**body, "payload": {"n": i}}), headers)
        answer = connection.getresponse()
        made = json.loads(answer.read())
        took.append((time.perf_counter() - began) * 1000)
        if answer.status >= 300:
            raise Refused(f"{method} {path}: {answer.status} {made}")
    return round(statistics.median(took), 3), made


def many(system, n):
    """n schedules that fire once a day, spread over it: what they cost while nothing happens, and to 10,000 more."""
    receiver, dice = Receiver(), random.Random(1)
    try:
        system.start(receiver.endpoint)
        bodies = (system.body(i, cron_definition=f"{dice.randrange(60)} {dice.randrange(24)} * * *") for i in range(n))
        load.create(system.port, system.token, bodies)
        system.stop()
        began = time.monotonic()
        system.start(receiver.endpoint)
        ready_s = time.monotonic() - began
        time.sleep(5)  # what came due meanwhile is done
        cpu, began = cpu_seconds(system.roots), time.monotonic()
        time.sleep(60)  # and what a minute fires: an n/1440th of all
        idle = (cpu_seconds(system.roots) - cpu) / (time.monotonic() - began)
        create_ms, made = call_ms(system, "POST", "/api/v1/schedule/", system.body(0, cron_definition="0 0 1 1 *"))
        edit_ms, _ = call_ms(system, "PATCH", f"/api/v1/schedule/{made['id']}/", {"cron_definition": "0 0 2 1 *"})
        size = (system.folder.path / "scheduler.db").stat().st_size
        resident = resident_mib(system.roots)
        fired = fire(system, receiver, 10000)
        return {
            "schedules": n,
            "resident_mib": round(resident, 1),
            "idle_percent_of_a_core": round(idle * 100, 3),
            "ready_s": round(ready_s, 3),
            "create_ms": create_ms,
            "edit_ms": edit_ms,
            "disk_bytes_per_schedule": round(size / n),
            "burst_per_s": fired["deliveries_per_s"],
            "burst_cpu_us": fired["cpu_us_per_delivery"],
        }
    finally:
        system.stop()
        system.remove()
        receiver.stop()


# --- W4 ----------------------------------------------------------------------------------------------------------

# reads first: creates make the tables longer
CALLS = [(what, connections) for what in ("GET one", "page of 100", "create") for connections in (16, 256)]


class Api:
    """A served API with a hundred schedules in it; `roots` are its processes."""

    def start(self):
        """Sets self.base, self.token and self.roots."""
        raise NotImplementedError

    def fill(self):
        self.body = json.dumps(
            {"endpoint": "http://127.0.0.1:9/never", "payload": {"text": PAYLOAD_TEXT}, "cron_definition": "0 0 1 1 *"}
        )
        self.headers = {"Authorization": "Token " + self.token, "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection(self.base.removeprefix("http://"))
        for _ in range(100):
            made = json.loads(self.ask("POST", "/api/v1/schedule/", self.body))
        pk = made.get("id") or made["url"].rstrip("/").rsplit("/", 1)[1]
        self.paths = {
            "GET one": f"/api/v1/schedule/{pk}/",
            "page of 100": "/api/v1/schedule/?limit=100",
            "create": "/api/v1/schedule/",
        }
        page = json.loads(self.ask("GET", self.paths["page of 100"]))
        if len(page["results"]) != 100:
            raise Refused(f"a page of {len(page['results'])}")

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise Refused(f"{method} {path}: {answer.status} {text[:200]}")
        return text

    def rate(self, what, connections, seconds):
        method, body = ("POST", self.body) if what == "create" else ("GET", "")
        cpu = cpu_seconds(self.roots)
        rate = wrk(self.base + self.paths[what], connections, seconds, method, self.token, body)
        return {"requests_per_s": rate, "cpu_us": round((cpu_seconds(self.roots) - cpu) * 1e6 / (rate * seconds), 1)}


class OurApi(Api):
    name = Seed.name

    def start(self):
        self.system = Seed()
        self.system.start("http://127.0.0.1:9/never")
        self.base, self.token, self.roots = f"http://127.0.0.1:{self.system.port}", self.system.token, self.system.roots
        self.fill()

    def stop(self):
        self.system.stop()
        self.system.remove()


class DjangoApi(Api):
    """Django REST framework under gunicorn, two workers of four threads, PostgreSQL."""

    name = "Django REST"

    def start(self):
        self.peer, self.server, port = Celery(), None, free_port()
        self.peer.worker_commands = lambda: []
        self.peer.start("http://127.0.0.1:9/never")
        tell = [*self.peer.program(), "token"]
        self.token = subprocess.check_output(tell, env=self.peer.environment, cwd=self.peer.cwd(), text=True).strip()
        words = f"/usr/bin/python3 -m gunicorn -w 2 --threads 4 -k gthread --keep-alive 60 -b 127.0.0.1:{port} project.wsgi"
        log = open(self.peer.folder.path / "gunicorn.log", "wb")
        self.server = subprocess.Popen(words.split(), env=self.peer.environment, cwd=self.peer.cwd(), stderr=log)
        time.sleep(4)
        self.base, self.roots = f"http://127.0.0.1:{port}", [self.server.pid, *self.peer.roots]
        self.fill()

    def stop(self):
        stop(self.server)
        self.peer.stop()
        self.peer.remove()


class Nginx:
    """nginx in a folder of its own, one worker; `server` is the text of its one server block."""

    def __init__(self, folder, server):
        conf = folder / "nginx.conf"
        conf.write_text(
            f"""daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
sendfile on; tcp_nopush on; open_file_cache max=10; log_format reused $ssl_session_reused; server {{ {server} }} }}
"""
        )
        if not shutil.which("nginx"):
            raise Refused("nginx is not installed")
        self.process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(conf)], stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        if self.process.poll() is not None:
            raise Refused("nginx did not start: " + tail(folder / "error.log"))

    def stop(self):
        stop(self.process)


class NginxApi(Api):
    """As many bytes as ours answers, from files: the limit of what serving can be."""

    name, token = "nginx, the same bytes", ""

    def __init__(self, ours):
        self.ours = ours

    def start(self):
        self.folder, self.nginx, port = Folder("nginx"), None, free_port()
        self.paths = {"GET one": "/one", "page of 100": "/page"}
        for what, path in self.paths.items():
            (self.folder.path / path[1:]).write_bytes(b"x" * len(self.ours.ask("GET", self.ours.paths[what])))
        self.nginx = Nginx(self.folder.path, f"listen 127.0.0.1:{port}; root {self.folder.path};")
        self.base, self.roots = f"http://127.0.0.1:{port}", [self.nginx.process.pid]

    def stop(self):
        if self.nginx:
            self.nginx.stop()
        self.folder.remove()


# --- W5 ----------------------------------------------------------------------------------------------------------


def many_hosts(system, hosts, rate, seconds):
    """`rate` a second to 200 hosts, a tenth of which take requests and never answer; figures of the healthy ones."""
    receiver = Receiver(hosts)
    try:
        system.start(receiver.endpoint)

        def body(i):
            host = 1 + i % hosts
            path = "hang" if host % 10 == 0 else "callback"
            return {
                **system.body(i, interval_definition="1 seconds"),
                "endpoint": f"http://127.0.1.{host}:{receiver.port}/{path}",
            }

        load.create(system.port, system.token, (body(i) for i in range(rate)), rate=rate)
        time.sleep(20)  # the hanging hosts have all the places that they can get
        begins, expected = math.ceil(time.time()) + 1, rate * 9 // 10 * seconds
        receiver.open_window(begins, begins + seconds)
        time.sleep(begins + seconds - time.time())
        receiver.wait_for(expected, GRACE_S)
        report = receiver.report()
        if not report["hanging"]:
            raise Refused("no host was asked that hangs")
        return {
            **faults(report, expected),
            "hanging_requests": report["hanging"],
            **lateness(report),
            "resident_mib": round(resident_mib(system.roots), 1),
        }
    finally:
        stop(system.process, 0)
        system.remove()
        receiver.stop()


# --- W6 ----------------------------------------------------------------------------------------------------------


def make_certificate(folder):
    """A certificate for 127.0.0.1 that is its own root."""
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    words += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(words.split(), cwd=folder, check=True, capture_output=True)


# Who closes, and whether sessions are remembered, is the server's.
TLS = {
    "reused": "keepalive_timeout 60; ssl_session_cache shared:s:10m;",
    "resumed": "keepalive_timeout 0; ssl_session_cache shared:s:10m; access_log resumed.log reused buffer=64k;",
    "new": "keepalive_timeout 0; ssl_session_cache off; ssl_session_tickets off; access_log resumed.log reused buffer=64k;",
}


def https(system, kind, n):
    """n callbacks due at once to nginx over TLS 1.3: connections reused, or closed by the server after each answer, and
    then sessions resumed, or a whole handshake for each. libcurl sends as many to the same nginx, before and after."""
    folder, port, nginx = Folder("https"), free_port(), None
    server = f"listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate cert.pem; ssl_certificate_key key.pem;"
    url = f"https://127.0.0.1:{port}/callback"
    try:
        make_certificate(folder.path)
        nginx = Nginx(folder.path, f"{server} ssl_protocols TLSv1.3; {TLS[kind]} location / {{ return 200; }}")
        yardstick = curl_runs(url, folder.path, n)
        system.options = ("--ca-file", str(folder.path / "cert.pem"))
        system.start(url)
        at = time.time() + 4 + n / system.told_per_s
        system.add_burst(n, at)
        time.sleep(max(at - time.time() - 0.2, 0))
        cpu, nginx_cpu = cpu_seconds(system.roots), cpu_seconds([nginx.process.pid])
        took_s = wait_delivered(system, n) - at
        cpu, nginx_cpu = cpu_seconds(system.roots) - cpu, cpu_seconds([nginx.process.pid]) - nginx_cpu
        system.stop()
        yardstick += curl_runs(url, folder.path, n)
        libcurl_s, libcurl_us = (min(one[key] for one in yardstick) for key in ("took_s", "cpu_us"))
        row = {
            "n": n,
            "deliveries_per_s": round(n / took_s),
            "cpu_us_per_delivery": round(cpu * 1e6 / n, 1),
            "server_cpu_us": round(nginx_cpu * 1e6 / n, 1),
            "libcurl_per_s": round(n / libcurl_s),
            "libcurl_cpu_us": round(libcurl_us, 1),
            "ratio": round(libcurl_s / took_s, 2),
            "cpu_ratio": round(libcurl_us * n / (cpu * 1e6), 2),
        }
        nginx.stop()  # it writes its log
        if kind != "reused":
            lines = (folder.path / "resumed.log").read_text().split()
            row["resumed_share"] = round(lines.count("r") / len(lines), 3)
            if abs(row["resumed_share"] - (kind == "resumed")) > 0.05:
                raise Refused(f"{row['resumed_share']} of the sessions were resumed")
        return row
    finally:
        system.stop()
        system.remove()
        if nginx:
            nginx.stop()
        folder.remove()


def curl_runs(url, folder, n):
    """With 64 and with 128 at a time; ours has at most 128 to one host."""
    words = [compile_c("curl_client", "-lcurl"), url, str(folder / "cert.pem"), str(n)]
    return [json.loads(subprocess.check_output([*words, width], text=True)) for width in ("64", "128")]


def wait_delivered(system, n):
    """When the service's own counter says so (asked every 5 ms, which costs it 1 % of a core)."""
    deadline = time.time() + 120
    while time.time() < deadline:
        text = system.ask("/metrics").read().decode()
        if float(re.search(r'^seed_fires_total{outcome="delivered"} (\S+)', text, re.M)[1]) >= n:
            return time.time()
        time.sleep(0.005)
    raise Refused("not all were delivered over https")
