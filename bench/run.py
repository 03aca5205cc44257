#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures the service, beside the peers that are named, and prints one table.

    bench/run.py [--peers "celery graphile-worker pg-boss bullmq"] [--workloads "w1 w2 w3 w4 w5 w6"] [--runs 5]

The systems take turns within each repetition, so that what else the machine does meets all of them alike. Every single
run is a line of JSON in build/bench/results-<when>.jsonl; the table has medians with minimum and maximum, and ratios against
ours within the same run. docs/benchmarks.md explains the workloads.
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys

import own
import systems
import tables
import workloads
from measure import BUILD, ROOT, Refused


def machine():
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("model name")),
        "?",
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "kernel": platform.release(),
        "commit": commit,
        "date": datetime.date.today().isoformat(),
    }


class Book:
    """Keeps every run as a line in a file, and in memory for the table."""

    def __init__(self, path):
        self.path, self.rows = path, []
        BUILD.mkdir(parents=True, exist_ok=True)

    def add(self, workload, system, case, row):
        entry = {"workload": workload, "system": system, "case": case, **row}
        self.rows.append(entry)
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), file=sys.stderr, flush=True)


def contenders(options):
    return [systems.Seed, *(systems.PEERS[name] for name in options.peers.split())]


def measured(book, workload, case, make, run):
    """One run; a system that cannot do it is told so in the book and is no reason to stop."""
    try:
        system = make()
        row = run(system)
    except Refused as refusal:
        row = {"void": str(refusal)}
    book.add(workload, make.name, case, row)


def run_w1(book, options):
    for n in options.burst:
        for make in contenders(options):
            if n <= options.limit.get(make.name, n):
                measured(book, "w1", f"{n} due at once", make, lambda system: workloads.burst(system, n))


def run_w2(book, options):
    for rate in options.rates:
        for make in contenders(options):
            if rate <= options.rate_limit.get(make.name, rate):
                measured(book, "w2", f"{rate}/s", make, lambda system: workloads.steady(system, rate, options.seconds))


def run_w3(book, options):
    for n in options.many:
        measured(book, "w3", f"{n} schedules", systems.Seed, lambda system: own.many(system, n))


def run_w4(book, options):
    sizes = {}
    beside = [(systems.Seed.name, own.api_of_ours), ("nginx, the same bytes", own.api_of_nginx)]
    if options.peers:
        beside.append(("Django REST", own.api_of_django))
    for name, run in beside:
        try:
            row = run(options.api_seconds, sizes)
        except Refused as refusal:
            row = {"void": str(refusal)}
        book.add("w4", name, "API", row)


def run_w5(book, options):
    measured(
        book,
        "w5",
        "200 hosts, 20 of them hang",
        systems.Seed,
        lambda system: own.many_hosts(system, 200, 1000, options.seconds),
    )


def run_w6(book, _):
    for kind, n in (("reused", 50000), ("new", 10000)):
        try:
            row = own.https(systems.Seed, kind, n)
        except Refused as refusal:
            row = {"void": str(refusal)}
        book.add("w6", systems.Seed.name, f"https, connections {kind}", row)


WORKLOADS = {"w1": run_w1, "w2": run_w2, "w3": run_w3, "w4": run_w4, "w5": run_w5, "w6": run_w6}


def numbers(text):
    return [int(word) for word in text.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=os.environ.get("PEERS", ""))
    parser.add_argument("--workloads", default="w1 w2 w3 w4 w5 w6")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--burst", type=numbers, default=[10000, 100000], metavar="'N ...'")
    parser.add_argument("--rates", type=numbers, default=[100, 1000, 5000, 10000, 15000, 20000], metavar="'N ...'")
    parser.add_argument("--many", type=numbers, default=[10000, 100000, 1000000], metavar="'N ...'")
    parser.add_argument("--seconds", type=int, default=30, help="of W2 and W5")
    parser.add_argument("--api-seconds", type=int, default=5, help="of each call of W4")
    options = parser.parse_args()
    # What a peer does not finish in minutes is not asked of it.
    options.limit = {"celery": 10000}
    options.rate_limit = {"celery": 500, "bullmq": 1000, "pg-boss": 10000, "graphile-worker": 10000}
    began = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    book = Book(BUILD / f"results-{began}.jsonl")
    book.add("machine", "", "", machine())
    for run in range(options.runs):
        print(f"== run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
        for name in options.workloads.split():
            WORKLOADS[name](book, options)
    print(tables.markdown(book.rows))
    print(f"\nevery run: {book.path}")


if __name__ == "__main__":
    main()
