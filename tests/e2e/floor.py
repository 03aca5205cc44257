#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The floor: 10,000 enabled schedules of one minute with one endpoint, watched for some minutes.

Says for every minute how many callbacks came, how late, how many twice, and what the service holds in memory at the
end. Exits 1 when any is missing or doubled, when the 99th percentile of lateness is above 2 s, or when more than 100
MiB are resident.

    python3 tests/e2e/floor.py [--schedules 10000] [--minutes 2] [--binary build/seed-scheduler]
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.client import HTTPConnection


def start_service(binary, folder):
    database = f"sqlite:{folder}/scheduler.db"

    def run(*words):
        command = [binary, *words, "--database", database]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run("user", "create", "floor", "--email", "floor@example.org", "--admin")
    token = run("token", "create", "floor").strip()
    log = open(f"{folder}/log", "wb")
    service = subprocess.Popen([binary, "serve", "--listen", "127.0.0.1:0", "--database", database,
                                "--egress-allow", "127.0.0.0/8"], stderr=log)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in pathlib.Path(log.name).read_text().splitlines():
            if json.loads(line).get("event") == "ready":
                return service, token, int(json.loads(line)["listen"].rsplit(":", 1)[1]), run
        time.sleep(0.05)
    raise SystemExit("the service did not become ready; see " + log.name)


def create(port, token, endpoint, count, cron):
    connection = HTTPConnection("127.0.0.1", port)
    for i in range(count):
        timing = {"cron_definition": "* * * * *"} if cron else {"interval_definition": "1 minutes"}
        connection.request("POST", "/api/v1/schedule/", json.dumps({"endpoint": endpoint, "payload": {"n": i}, **timing}),
                           {"Authorization": "Token " + token, "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status


def ask(port, path, post=False):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"" if post else None)
    return urllib.request.urlopen(request, timeout=30).read()


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10000)
    parser.add_argument("--minutes", type=int, default=2)
    parser.add_argument("--binary", default="build/seed-scheduler")
    parser.add_argument("--cron", action="store_true", help="all due at one instant instead of spread over the minute")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="floor-")
    receiver_binary = os.path.join(folder, "receiver")
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", receiver_binary, "bench/receiver.c"], check=True)
    receiver = subprocess.Popen([receiver_binary, "0"], stdout=subprocess.PIPE, text=True)
    receiver_port = int(receiver.stdout.readline())
    service, token, port, run = start_service(options.binary, folder)
    bad = []
    try:
        begun = time.monotonic()
        share = options.schedules // 4
        endpoint = f"http://127.0.0.1:{receiver_port}/cb"
        makers = [threading.Thread(target=create, args=(port, token, endpoint, share, options.cron)) for _ in range(4)]
        [maker.start() for maker in makers]
        [maker.join() for maker in makers]
        print(f"created {4 * share} schedules in {time.monotonic() - begun:.1f} s", flush=True)
        if options.cron:
            time.sleep(60 - time.time() % 60 - 5 if time.time() % 60 < 55 else 120 - time.time() % 60 - 5)
        else:
            time.sleep(60)  # every schedule has fired once, or is about to
        ask(receiver_port, "/reset", post=True)
        for minute in range(options.minutes):
            time.sleep(60)
            report = json.loads(ask(receiver_port, "/report"))
            ask(receiver_port, "/reset", post=True)
            lateness = {k: round(v / 1000, 1) for k, v in report["lateness_us"].items()}
            print(f"minute {minute + 1}: {report['count']} callbacks, {report['duplicates']} doubled, "
                  f"{report['early']} early, late ms {lateness}, "
                  f"resident {resident_mib(service.pid):.1f} MiB", flush=True)
            # Without a common instant the window's edges may cut a few off or add a few: an eighth of a second of them.
            slack = 0 if options.cron else options.schedules // 480
            if abs(report["count"] - 4 * share) > slack or report["duplicates"] or report["early"]:
                bad.append(f"minute {minute + 1}: missing, doubled or early")
            if report["lateness_us"]["p99"] > 2_000_000:
                bad.append(f"minute {minute + 1}: p99 above 2 s")
        if resident_mib(service.pid) > 100:
            bad.append("more than 100 MiB resident")
        print(run("check"), end="")
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(60)
        receiver.terminate()
        receiver.wait(10)
    print("\n".join(bad) if bad else "the floor holds")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
