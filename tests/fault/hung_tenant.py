#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One tenant's thousands of due runs hang; another's hundred a second must not notice (P14).

    python3 tests/fault/hung_tenant.py [--runs 5000] [--endpoints 1] [--rate 100] [--timeout 10] [--turns 3]

Tenant A has `runs` one-shots due at the same instant, to `endpoints` endpoints that read the request and never answer. Tenant
B has `rate` schedules that fire every second at a healthy endpoint, which bench/receiver.c is: it measures, per first
attempt, the arrival against the planned instant. From a few seconds before A's instant until `turns` timeouts after it:
  - B's p99 lateness is at most a second, nothing comes early and nothing is left out;
  - no hung endpoint ever has more than 128 connections (its lane's limit), and after its first timeouts 16 at most;
  - afterwards `seed-scheduler check` still counts every run of A, and the service's memory has stayed below its bound.
A trial in which A did not hang, or B was not fast enough, is void, not passed.
"""
import argparse
import json
import pathlib
import re
import sys
import tempfile
import time
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from fault.endpoint import Endpoint, hang                   # noqa: E402
from harness.arrivals import report, start_receiver         # noqa: E402
from harness.service import Service                         # noqa: E402
from harness.times import iso                               # noqa: E402

LANE_IN_FLIGHT_MAX = 128
HANGING_MAX = 16            # a 64th of the 1,024 that may be on the wire
LATENESS_P99_US_MAX = 1_000_000
SAMPLE = 50
BEFORE_S = 3.0              # B alone
MEMORY_BYTES_MAX = 256 << 20


def make_b(api, port, rate):
    """Made over a second, so that their instants are spread over every second."""
    begun = time.monotonic()
    for n in range(rate):
        time.sleep(max(0.0, begun + n / rate - time.monotonic()))
        api.create(endpoint=f"http://127.0.0.1:{port}/{n}", interval_definition="1 seconds")


def make_a(api, listeners, runs, due_at):
    for n in range(runs):
        port = listeners[n % len(listeners)].port
        api.create(endpoint=f"http://127.0.0.1:{port}/{n}", next_send_at=iso(due_at))


def watch(listeners, seconds, say):
    """Looks at the hung endpoints' connections until the time is over; returns how many there were at the end."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(5.0, left))
        say(f"hung_tenant: {left:.0f} s left, connections {[listener.open for listener in listeners]}")
    return [listener.open for listener in listeners]


def resident_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)[1]) * 1024


def judge(options, figures):
    """What was found against what was promised."""
    b, problems = figures["b"], []
    expected = options.rate * figures["seconds"]
    if b["lateness_us"]["p99"] > LATENESS_P99_US_MAX:
        problems.append(f"B's p99 lateness was {b['lateness_us']['p99']} us")
    if b["early"]:
        problems.append(f"{b['early']} of B's came early")
    if b["duplicates"]:
        problems.append(f"{b['duplicates']} of B's came twice")
    if not 0.97 * expected - options.rate <= b["ids"] <= 1.03 * expected + options.rate:
        problems.append(f"B had {b['ids']} runs in {figures['seconds']:.1f} s, not {expected:.0f}")
    if max(figures["most"]) > LANE_IN_FLIGHT_MAX:
        problems.append(f"a hung endpoint had {max(figures['most'])} connections")
    if max(figures["last"]) > HANGING_MAX:
        problems.append(f"a hung endpoint still had {max(figures['last'])} connections after {options.turns} timeouts")
    if min(figures["most"]) < HANGING_MAX:
        problems.append(f"void: a hung endpoint had {min(figures['most'])} connections only")
    if figures["rss_bytes"] > MEMORY_BYTES_MAX and not figures["is_sanitized"]:
        problems.append(f"{figures['rss_bytes']} bytes of memory")
    # At the kill some of B's runs, less than a second's, were open as well.
    if not options.runs <= figures["unfinished"] <= options.runs + options.rate:
        problems.append(f"{figures['unfinished']} runs are open or failed, A's were {options.runs}")
    return problems


def count_unfinished(service):
    """What `check` counts after the service was killed with all of that in its hands."""
    proof = service.cli("check", check=True)
    counts = {name: int(number) for name, number in re.findall(r"^(\w+)\s+(\d+)", proof.stdout, re.M)}
    return counts["open"] + counts["failed"]


def run(options, folder, say):
    receiver, port = start_receiver(folder)
    env = {"DEFAULT_REQUEST_TIMEOUT": str(options.timeout)}
    try:
        with Endpoint() as endpoint, Service(directory=pathlib.Path(folder) / "service", env=env) as service:
            listeners = [endpoint.listen((hang,)) for _ in range(options.endpoints)]
            token = service.create_user("admin", admin=True)
            service.start()
            api = service.api(token)
            make_b(api, port, options.rate)
            begun = time.monotonic()
            make_a(api, listeners, SAMPLE, time.time() + 86400)     # to see how long it takes to make one
            due_at = time.time() + BEFORE_S + 1.5 * options.runs * (time.monotonic() - begun) / SAMPLE
            make_a(api, listeners, options.runs, due_at)
            say(f"hung_tenant: {options.runs} runs are due in {due_at - time.time():.1f} s")
            time.sleep(max(0.0, due_at - time.time() - BEFORE_S))
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/reset", method="POST"), timeout=10).read()
            measured = time.monotonic()
            last = watch(listeners, BEFORE_S + options.turns * options.timeout + 2, say)
            figures = {"b": report(port), "seconds": time.monotonic() - measured, "last": last,
                       "most": [listener.open_most for listener in listeners],
                       "hung_requests": sum(len(listener.requests) for listener in listeners),
                       "rss_bytes": resident_bytes(service.pid),
                       "is_sanitized": "asan" in pathlib.Path(f"/proc/{service.pid}/maps").read_text()}
            service.kill()
            figures["unfinished"] = count_unfinished(service)
    finally:
        receiver.terminate()
        receiver.wait(10)
    return figures, judge(options, figures)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--endpoints", type=int, default=1)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--timeout", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3, help="timeouts to wait after A's instant")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seed-hung-") as folder:
        figures, problems = run(options, folder, lambda text: print(text, file=sys.stderr, flush=True))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("proof: " + json.dumps({
        "part": "hung_tenant",
        "tried": {"hung_runs": options.runs, "endpoints": options.endpoints, "healthy_per_s": options.rate,
                  "seconds": round(figures["seconds"])},
        "found": {"lateness_us": figures["b"]["lateness_us"], "healthy_runs": figures["b"]["ids"],
                  "connections_most": max(figures["most"]), "connections_last": max(figures["last"]),
                  "hung_requests": figures["hung_requests"], "rss_bytes": figures["rss_bytes"]},
        "held": not problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
