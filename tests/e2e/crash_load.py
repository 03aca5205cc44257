#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 under load: hundreds of deliveries a second, killed at random moments, then counted by two who do not talk.

    python3 tests/e2e/crash_load.py --kills 50 [--schedules 600] [--seed N]

Every schedule fires each second at bench/receiver.c, which counts arrivals by run id. The service is killed 0.2 to 1.5 s
after it became ready, again and again; gaps stay below 60 s, so every occurrence must run (P7). Then:
  - the grid: a schedule's `triggered` is exactly the number of its seconds up to `next_send_at` (nothing planned twice
    or left out, P2, P3), and all of them arrived: the receiver saw as many run ids as `seed-scheduler check` counts;
  - requests beyond the first of a run came at most as often as requests could be on the wire at the kills (P5), with
    the same id; none came early (P6); `check` passes (P3).
A trial below 100 deliveries a second is void, not passed.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.service import Service          # noqa: E402
from harness.times import microseconds       # noqa: E402
from harness.wait import until               # noqa: E402

SECOND = 1_000_000
RATE_MIN = 100
LANE_IN_FLIGHT_MAX = 128    # what may be on the wire to one host at a kill


def report(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/report", timeout=30) as answer:
        return json.loads(answer.read())


def start_receiver(folder):
    program = pathlib.Path(folder) / "receiver"
    source = TESTS.parent / "bench" / "receiver.c"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", str(program), str(source)], check=True)
    child = subprocess.Popen([str(program), "0"], stdout=subprocess.PIPE, text=True)
    return child, int(child.stdout.readline())


def make_schedules(service, token, port, count):
    """Made over a second, so that their instants are spread over every second."""
    api = service.api(token)
    begun, made = time.monotonic(), []
    for n in range(count):
        time.sleep(max(0.0, begun + n / count - time.monotonic()))
        made.append(api.create(endpoint=f"http://127.0.0.1:{port}/{n}", interval_definition="1 seconds"))
    api.close()
    return made


def settle(service, token, made):
    """Ends the firing, lets what is open end, and returns the last records."""
    api = service.api(token)
    finals = []
    for schedule in made:
        before = api.schedule(schedule)
        answer = api.patch(f"/api/v1/schedule/{schedule['id']}/", {"enabled": False})
        assert answer.status == 200
        finals.append((before, answer.json()))
    until(lambda: re.search(r"^open\s+0$", service.cli("check").stdout, re.M), timeout=60, what="every run to end")
    last = [api.schedule(schedule) for schedule in made]
    api.close()
    return finals, last


def check_grid(made, finals, problems):
    """The grid is the schedule's own first instant and a second; `triggered` and `next_send_at` were read together."""
    for first, (before, _) in zip(made, finals):
        planned = (microseconds(before["next_send_at"]) - microseconds(first["next_send_at"])) // SECOND
        if planned != before["triggered"]:
            problems.append(f"{first['id']}: {planned} instants on the grid, {before['triggered']} runs")


def run(kills, schedules, seed, folder, say=print):
    dice = random.Random(seed)
    say(f"crash_load: seed {seed}, {kills} kills, {schedules} schedules a second")
    receiver, port = start_receiver(folder)
    problems = []
    up_s = 0.0
    try:
        with Service(directory=pathlib.Path(folder) / "service") as service:
            token = service.create_user("admin", admin=True)
            service.start()
            made = make_schedules(service, token, port, schedules)
            begun = report(port)["count"]
            for _ in range(kills):
                life_s = dice.uniform(0.2, 1.5)
                time.sleep(life_s)          # the load runs; this is its length, not a wait for something
                service.kill()
                up_s += life_s
                service.start()
            rate = (report(port)["count"] - begun) / up_s
            finals, last = settle(service, token, made)
            service.stop()
            proof = service.cli("check")
    finally:
        receiver_report = report(port)
        receiver.terminate()
        receiver.wait(10)
    delivered = int(re.search(r"^delivered\s+(\d+)", proof.stdout, re.M)[1])
    triggered = sum(record["triggered"] for record in last)
    check_grid(made, finals, problems)
    if proof.returncode:
        problems.append(f"check failed: {proof.stdout}{proof.stderr}")
    if not delivered == triggered == receiver_report["ids"]:
        problems.append(f"{triggered} runs, {delivered} delivered on record, {receiver_report['ids']} arrived")
    if receiver_report["duplicates"] > kills * LANE_IN_FLIGHT_MAX:
        problems.append(f"{receiver_report['duplicates']} duplicates after {kills} kills")
    if receiver_report["early"]:
        problems.append(f"{receiver_report['early']} came early")
    if rate < RATE_MIN:
        problems.append(f"void: {rate:.0f} deliveries a second, {RATE_MIN} at least")
    say(f"crash_load: {receiver_report['count']} requests at {rate:.0f}/s, {receiver_report['ids']} runs, "
        f"{receiver_report['duplicates']} duplicates after {kills} kills, {len(problems)} problems")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--schedules", type=int, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-load-") as folder:
        problems = run(options.kills, options.schedules, options.seed, folder)
    print("\n".join(problems) if problems else "nothing lost, nothing doubled but by a kill")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
