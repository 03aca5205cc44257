#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The floor: 10,000 enabled schedules of one minute with one endpoint, watched for some minutes.

Says for every minute how many callbacks came, how late, how many twice, and what the service holds in memory at the
end. Exits 1 when any is missing or doubled, when the 99th percentile of lateness is above 2 s, or when more than 100
MiB are resident.

    SEED_BINARY=build/seed-scheduler python3 tests/e2e/floor.py [--schedules 10000] [--minutes 2]
"""
import argparse
import pathlib
import sys
import tempfile
import threading
import time
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.arrivals import report, start_receiver     # noqa: E402
from harness.service import Service                     # noqa: E402

MAKERS = 4


def create(api, endpoint, count, cron):
    timing = {"cron_definition": "* * * * *"} if cron else {"interval_definition": "1 minutes"}
    for n in range(count):
        api.create(endpoint=endpoint, payload={"n": n}, **timing)
    api.close()


def make_schedules(service, token, endpoint, options):
    begun = time.monotonic()
    makers = [threading.Thread(target=create, args=(service.api(token), endpoint, options.schedules // MAKERS, options.cron))
              for _ in range(MAKERS)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    print(f"created {options.schedules} schedules in {time.monotonic() - begun:.1f} s", flush=True)


def reset(port):
    urllib.request.urlopen(f"http://127.0.0.1:{port}/reset", data=b"", timeout=30).close()


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def watch_minute(minute, service, port, options):
    """Prints one minute's figures and returns what was wrong with it."""
    time.sleep(60)
    seen = report(port)
    reset(port)
    lateness = {k: round(v / 1000, 1) for k, v in seen["lateness_us"].items()}
    print(f"minute {minute}: {seen['count']} callbacks, {seen['duplicates']} doubled, {seen['early']} early, "
          f"late ms {lateness}, resident {resident_mib(service.pid):.1f} MiB", flush=True)
    # Without a common instant the window's edges may cut a few off or add a few: an eighth of a second of them.
    slack = 0 if options.cron else options.schedules // 480
    if abs(seen["count"] - options.schedules) > slack or seen["duplicates"] or seen["early"]:
        yield f"minute {minute}: missing, doubled or early"
    if seen["lateness_us"]["p99"] > 2_000_000:
        yield f"minute {minute}: p99 above 2 s"


def run(service, port, options):
    token = service.create_user("floor", admin=True)
    service.start()
    make_schedules(service, token, f"http://127.0.0.1:{port}/cb", options)
    # Every schedule has fired once, or is about to; or: some seconds before the minute.
    time.sleep((55 - time.time()) % 60 if options.cron else 60)
    reset(port)
    bad = []
    for minute in range(1, options.minutes + 1):
        bad += watch_minute(minute, service, port, options)
    if resident_mib(service.pid) > 100:
        bad.append("more than 100 MiB resident")
    print(service.cli("check").stdout, end="")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=10000)
    parser.add_argument("--minutes", type=int, default=2)
    parser.add_argument("--cron", action="store_true", help="all due at one instant instead of spread over the minute")
    options = parser.parse_args()
    options.schedules -= options.schedules % MAKERS
    with tempfile.TemporaryDirectory(prefix="floor-") as folder:
        receiver, port = start_receiver(folder)
        try:
            with Service(directory=pathlib.Path(folder) / "service") as service:
                bad = run(service, port, options)
        finally:
            receiver.terminate()
            receiver.wait(10)
    print("\n".join(bad) if bad else "the floor holds")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
