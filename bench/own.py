# SPDX-License-Identifier: BSD-3-Clause
"""The workloads that look at ours alone or against a limit: W3 (many schedules), W4 (API), W5 (many hosts), W6 (https)."""
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import time
import urllib.request

import load
from measure import ROOT, Folder, Receiver, Refused, compile_c, cpu_seconds, resident_mib, stop
from systems import PAYLOAD_TEXT, Celery, Seed
from workloads import lateness

# --- W3 ----------------------------------------------------------------------------------------------------------


def wait_ready(port, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.002)
    raise Refused("not ready")


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
    """n schedules that fire once a day, spread over it: what they cost while nothing happens."""
    receiver, dice = Receiver(), random.Random(1)
    try:
        system.start(receiver.endpoint)
        bodies = (system.body(i, cron_definition=f"{dice.randrange(60)} {dice.randrange(24)} * * *") for i in range(n))
        create_s = load.create(system.port, system.token, bodies)
        stop(system.process, 60)
        began = time.monotonic()
        system.start(receiver.endpoint)
        wait_ready(system.port)
        ready_s = time.monotonic() - began
        time.sleep(62 - time.time() % 60)  # what the minute fires is done
        cpu, began = cpu_seconds(system.roots), time.monotonic()
        time.sleep(50)
        idle = (cpu_seconds(system.roots) - cpu) / (time.monotonic() - began)
        create_ms, made = call_ms(system, "POST", "/api/v1/schedule/", system.body(0, cron_definition="0 0 1 1 *"))
        edit_ms, _ = call_ms(system, "PATCH", f"/api/v1/schedule/{made['id']}/", {"cron_definition": "0 0 2 1 *"})
        size = sum(file.stat().st_size for file in system.folder.path.iterdir() if file.is_file())
        row = {
            "schedules": n,
            "resident_mib": round(resident_mib(system.roots), 1),
            "idle_percent_of_a_core": round(idle * 100, 3),
            "ready_s": round(ready_s, 3),
            "created_per_s": round(n / create_s),
            "create_ms": create_ms,
            "edit_ms": edit_ms,
            "disk_bytes_per_schedule": round(size / n),
        }
        system.stop()
        return row
    finally:
        system.stop()
        system.remove()
        receiver.stop()


# --- W4 ----------------------------------------------------------------------------------------------------------


def wrk(url, connections, seconds, method="GET", token="", body=""):
    """Requests a second; a measurement with refused requests is none."""
    environment = {**os.environ, "METHOD": method, "TOKEN": token, "BODY": body}
    text = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "-s", str(ROOT / "bench" / "post.lua"), url],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    ).stdout
    if "Non-2xx" in text:
        raise Refused(f"{method} {url}: {re.search(r'Non-2xx.*', text)[0]}")
    return round(float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]))


def schedule_body(endpoint):
    return json.dumps({"endpoint": endpoint, "payload": {"text": PAYLOAD_TEXT}, "cron_definition": "0 0 1 1 *"})


def api_rates(base, token, seconds, sizes):
    """Creates, reads of one, and pages of 100, at 16 and 256 connections; `sizes` gets the bytes of the answers."""
    body, row = schedule_body("http://127.0.0.1:9/never"), {}
    host, port = base.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    for _ in range(100):
        connection.request(
            "POST", "/api/v1/schedule/", body, {"Authorization": "Token " + token, "Content-Type": "application/json"}
        )
        made = json.loads(connection.getresponse().read())
    one = f"{base}/api/v1/schedule/{made.get('id') or made['url'].rstrip('/').rsplit('/', 1)[1]}/"
    page = f"{base}/api/v1/schedule/?limit=100"
    for name, url in (("one", one), ("page", page)):
        request = urllib.request.Request(url, headers={"Authorization": "Token " + token})
        sizes[name] = len(urllib.request.urlopen(request).read())
    for connections in (16, 256):
        row[f"get_one_{connections}"] = wrk(one, connections, seconds, token=token)
        row[f"list_100_{connections}"] = wrk(page, connections, seconds, token=token)
        row[f"create_{connections}"] = wrk(f"{base}/api/v1/schedule/", connections, seconds, "POST", token, body)
    return row


def api_of_ours(seconds, sizes):
    system = Seed()
    try:
        system.start("http://127.0.0.1:9/never")
        return api_rates(f"http://127.0.0.1:{system.port}", system.token, seconds, sizes)
    finally:
        system.stop()
        system.remove()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def api_of_django(seconds, _):
    """Django REST framework under gunicorn, two workers of four threads, PostgreSQL."""
    peer, port, server = Celery(), free_port(), None
    peer.worker_commands = lambda: []
    try:
        peer.start("http://127.0.0.1:9/never")
        token = subprocess.run(
            [*peer.program(), "token"], env=peer.environment, cwd=peer.cwd(), check=True, capture_output=True, text=True
        ).stdout.strip()
        server = subprocess.Popen(
            [
                "/usr/bin/python3",
                "-m",
                "gunicorn",
                "-w",
                "2",
                "--threads",
                "4",
                "-k",
                "gthread",
                "--keep-alive",
                "60",
                "-b",
                f"127.0.0.1:{port}",
                "project.wsgi",
            ],
            env=peer.environment,
            cwd=peer.cwd(),
            stderr=open(peer.folder.path / "gunicorn.log", "wb"),
        )
        time.sleep(4)
        return api_rates(f"http://127.0.0.1:{port}", token, seconds, {})
    finally:
        stop(server)
        peer.stop()
        peer.remove()


class Nginx:
    """nginx in a folder of its own, one worker; `server` is the text of its one server block."""

    def __init__(self, folder, server):
        conf = folder / "nginx.conf"
        conf.write_text(
            f"""daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; server {{ {server} }} }}
"""
        )
        if not shutil.which("nginx"):
            raise Refused("nginx is not installed")
        self.process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(conf)], stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        if self.process.poll() is not None:
            raise Refused("nginx did not start: " + (folder / "error.log").read_text()[-300:])

    def stop(self):
        stop(self.process)


def api_of_nginx(seconds, sizes):
    """As many bytes as ours answered, from files: the limit of what serving can be."""
    if not sizes:
        raise Refused("ours was not measured")
    folder, port = Folder("nginx"), free_port()
    for name, size in sizes.items():
        (folder.path / name).write_bytes(b"x" * size)
    nginx = Nginx(folder.path, f"listen 127.0.0.1:{port}; root {folder.path};")
    try:
        return {
            f"{name}_{connections}": wrk(f"http://127.0.0.1:{port}/{file}", connections, seconds)
            for connections in (16, 256)
            for name, file in (("get_one", "one"), ("list_100", "page"))
        }
    finally:
        nginx.stop()
        folder.remove()


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
        receiver.open_window()
        time.sleep(seconds)
        report = receiver.report()
        expected = rate * 0.9 * seconds
        return {
            "hosts": hosts,
            "rate": rate,
            "healthy_arrived_of_expected": round(report["count"] / expected, 4),
            **lateness(report),
            "resident_mib": round(resident_mib(system.roots), 1),
        }
    finally:
        stop(system.process, 0)
        system.remove()
        receiver.stop()


# --- W6 ----------------------------------------------------------------------------------------------------------


def make_certificate(folder):
    """A root and a certificate for 127.0.0.1 under it."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=bench root",
        "-days",
        "2",
    )
    openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "request.pem",
        "-subj",
        "/CN=127.0.0.1",
    )
    (pathlib.Path(folder) / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-extfile",
        "names",
    )


def https(make, kind, n):
    """n callbacks due at once to nginx over TLS 1.3, connections reused, or closed by the server after each (sessions
    are resumed then); libcurl sends as many to the same nginx, before and after."""
    folder, port = Folder("https"), free_port()
    make_certificate(folder.path)
    keep = "keepalive_timeout 60;" if kind == "reused" else "keepalive_timeout 0;"
    nginx = Nginx(
        folder.path,
        f"listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate cert.pem; ssl_certificate_key key.pem; {keep}"
        " ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m; location / { return 200; }",
    )
    system, url = None, f"https://127.0.0.1:{port}/callback"
    try:
        curl = compile_c("curl_client", "-lcurl")
        yardstick = [curl_run(curl, url, folder.path / "ca.pem", n, kind)]
        system = make("--ca-file", str(folder.path / "ca.pem"))
        system.start(url)
        at = time.time() + 4 + n / system.told_per_s
        system.add_burst(n, at)
        time.sleep(max(at - time.time() - 0.2, 0))
        cpu, nginx_cpu = cpu_seconds(system.roots), cpu_seconds([nginx.process.pid])
        took_s = wait_delivered(system, n) - at
        row = {
            "n": n,
            "deliveries_per_s": round(n / took_s),
            "cpu_us_per_delivery": round((cpu_seconds(system.roots) - cpu) * 1e6 / n, 1),
            "server_cpu_us": round((cpu_seconds([nginx.process.pid]) - nginx_cpu) * 1e6 / n, 1),
        }
        stop(system.process, 60)
        yardstick.append(curl_run(curl, url, folder.path / "ca.pem", n, kind))
        row["libcurl_per_s"] = round(statistics.mean(one["per_s"] for one in yardstick))
        row["libcurl_cpu_us"] = round(statistics.mean(one["cpu_us"] for one in yardstick), 1)
        row["ratio"] = round(row["deliveries_per_s"] / row["libcurl_per_s"], 2)
        row["cpu_ratio"] = round(row["libcurl_cpu_us"] / row["cpu_us_per_delivery"], 2)
        return row
    finally:
        if system:
            system.stop()
            system.remove()
        nginx.stop()
        folder.remove()


def curl_run(program, url, ca_file, n, kind):
    text = subprocess.run([program, url, str(ca_file), str(n), "64", kind], check=True, capture_output=True, text=True).stdout
    return json.loads(text)


def wait_delivered(system, n):
    """When the service's own counter says so (asked every 50 ms)."""
    deadline = time.time() + 120
    while time.time() < deadline:
        if delivered_counter(system) >= n:
            return time.time()
        time.sleep(0.05)
    raise Refused("not all were delivered over https")


def delivered_counter(system):
    connection = http.client.HTTPConnection("127.0.0.1", system.port)
    connection.request("GET", "/metrics", headers={"Authorization": "Token " + system.token})
    text = connection.getresponse().read().decode()
    return float(re.search(r'^seed_fires_total{outcome="delivered"} (\S+)', text, re.M)[1])
