#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures the service, beside the peers that are named, and prints tables.

    bench/run.py [--peers "celery graphile-worker pg-boss bullmq"] [--workloads "w0 w1 w2 w3 w4 w5 w6"] [--runs 5]

The systems take turns within each run, each run begins with another one, and what one has left to write is on the disk
before the next begins. Every single measurement is a line of JSON in build/bench/results-<when>.jsonl;
the tables have medians with minimum and maximum, and ratios within the same run. docs/benchmarks.md explains the workloads.
"""
import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

import own
import systems
import tables
import workloads
from measure import BUILD, DISK, ROOT, Folder, Refused

TOOLS = ("gcc", "wrk", "nginx-light", "libcurl4-openssl-dev")
DJANGO = ("python3-djangorestframework", "gunicorn")


def said(*words):
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def versions(packages):
    lines = said("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages).splitlines()
    return ", ".join(line for line in lines if " " in line)


def sync_us():
    """The median of 200 syncs of 4 KiB, where the databases will be."""
    folder, took = Folder("sync"), []
    fd = os.open(folder.path / "file", os.O_CREAT | os.O_WRONLY)
    for i in range(200):
        os.pwrite(fd, b"x" * 4096, 4096 * i)
        began = time.perf_counter()
        os.fdatasync(fd)
        took.append(time.perf_counter() - began)
    os.close(fd)
    folder.remove()
    return round(statistics.median(took) * 1e6)


def machine(makes):
    disk = said("findmnt", "-n", "-o", "FSTYPE", "-T", str(DISK))
    if disk == "tmpfs":
        sys.exit(f"{DISK} is memory, where nothing is durable: mount a disk there")
    cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("model name")]
    row = {
        "date": datetime.date.today().isoformat(),
        "commit": said("git", "rev-parse", "--short", "HEAD") + ("+" if said("git", "status", "--porcelain", "-uno") else ""),
        "machine": f"{os.cpu_count()} x {cpu[0] if cpu else '?'}, {os.sysconf('SC_PHYS_PAGES') * 4096 >> 30} GiB",
        "kernel": platform.release(),
        "disk": f"{disk}, a sync of 4 KiB takes {sync_us()} us",
        "tools": versions(TOOLS + (DJANGO if len(makes) > 1 else ())),
    }
    for make in makes:
        row[make.name] = f"{make.settings}; {versions(make.packages)}"
    return row


def void(error):
    """Why a measurement could not be taken, in its tool's own words where it had some."""
    words = getattr(error, "stderr", None) or b""
    words = (words if isinstance(words, str) else words.decode(errors="replace"))[-500:].strip()
    text = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
    return {"void": f"{text}: {words}" if words else text}


class Book:
    """Keeps every measurement as a line in a file, and in memory for the tables."""

    def __init__(self, path):
        self.path, self.rows, self.run = path, [], 0
        BUILD.mkdir(parents=True, exist_ok=True)

    def add(self, workload, system, case, row):
        entry = {"workload": workload, "system": system, "case": case, "run": self.run, **row}
        self.rows.append(entry)
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), file=sys.stderr, flush=True)

    def in_turn(self, contenders):
        first = self.run % max(len(contenders), 1)
        return contenders[first:] + contenders[:first]

    def measure(self, workload, name, case, run):
        """One measurement; one that cannot be taken says why in the book, and is no reason to stop."""
        os.sync()
        busy = os.getloadavg()[0]
        try:
            row = run()
        except Exception as error:  # whatever a system under test, or a tool, may come up with
            row = void(error)
        self.add(workload, name, case, {**row, "load_before": busy})
        return row


def run_w0(book, options):
    book.measure("w0", "receiver", "64 connections", lambda: own.receiver_alone(options.api_seconds))


def run_w1(book, options):
    for n in options.burst:
        for make in book.in_turn([*options.contenders, systems.SeedCron]):
            if n <= options.limit.get(make.name, n):
                book.measure("w1", make.name, f"{n:,} due at once", lambda: workloads.burst(make(), n))


def run_w2(book, options):
    """Who has not held a rate is not asked for a higher one in this run."""
    out = set()
    for rate in options.rates:
        for make in book.in_turn(options.contenders):
            if make.name not in out:
                row = book.measure("w2", make.name, f"{rate:,}/s", lambda: workloads.steady(make(), rate, options.seconds))
                if "void" in row or row["missing"] > 0.05 * rate * options.seconds:
                    out.add(make.name)


def run_w3(book, options):
    for n in options.many:
        book.measure("w3", systems.Seed.name, f"{n:,} schedules", lambda: own.many(systems.Seed(), n))


def run_w4(book, options):
    ours = own.OurApi()
    apis = [ours, own.NginxApi(ours), *([own.DjangoApi()] if options.peers else [])]
    with contextlib.ExitStack() as at_end:
        serving = []
        for api in apis:
            at_end.callback(api.stop)
            try:
                api.start()
                serving.append(api)
            except Exception as error:  # as in a measurement
                book.add("w4", api.name, "start", void(error))
        for what, connections in own.CALLS:
            for api in book.in_turn([api for api in serving if what in api.paths]):
                case = f"{what}, {connections} connections"
                book.measure("w4", api.name, case, lambda: api.rate(what, connections, options.api_seconds))


def run_w5(book, options):
    case = "1,000/s to 200 hosts, 20 of them hang"
    book.measure("w5", systems.Seed.name, case, lambda: own.many_hosts(systems.Seed(), 200, 1000, options.seconds))


def run_w6(book, _):
    for kind, n in (("reused", 50000), ("resumed", 10000), ("new", 5000)):
        book.measure("w6", systems.Seed.name, f"https, {kind}", lambda: own.https(systems.Seed(), kind, n))


WORKLOADS = {"w0": run_w0, "w1": run_w1, "w2": run_w2, "w3": run_w3, "w4": run_w4, "w5": run_w5, "w6": run_w6}


def numbers(text):
    return [int(word) for word in text.split()]


def chosen(known):
    def parse(text):
        words = text.split()
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"no {word!r}; there are: {' '.join(known)}")
        return words

    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=chosen(systems.PEERS), default=os.environ.get("PEERS", ""))
    parser.add_argument("--workloads", type=chosen(WORKLOADS), default=" ".join(WORKLOADS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--burst", type=numbers, default=[10000, 100000], metavar="'N ...'")
    parser.add_argument("--rates", type=numbers, default=[100, 1000, 5000, 10000, 15000, 20000], metavar="'N ...'")
    parser.add_argument("--many", type=numbers, default=[10000, 100000, 1000000], metavar="'N ...'")
    parser.add_argument("--seconds", type=int, default=30, help="of W2 and W5")
    parser.add_argument("--api-seconds", type=int, default=5, help="of each call of W4")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped on the way out
    options.contenders = [systems.Seed, *(systems.PEERS[name] for name in options.peers)]
    options.limit = {"celery": 10000}  # 100,000 would take it two minutes a run
    book = Book(BUILD / f"results-{datetime.datetime.now():%Y%m%d-%H%M%S}.jsonl")
    book.add("machine", "", "", machine(options.contenders))
    try:
        for book.run in range(options.runs):
            print(f"== run {book.run + 1}", file=sys.stderr, flush=True)
            for name in options.workloads:
                WORKLOADS[name](book, options)
    finally:
        print(tables.markdown(book.rows))
        print(f"\nevery measurement: {book.path}\ncurves: bench/tables.py {book.path} --plots FOLDER")


if __name__ == "__main__":
    main()
