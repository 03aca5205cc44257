#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A long search with the fuzz targets: N inputs for each group of targets, or a time, whichever ends first.

    tests/fuzz/campaign.py [--executions 200000000] [--hours 4] [--jobs 2] [GROUP...]

--hours are hours of CPU time of the search's own processes, for each group; the work of a target is divided among --jobs
processes. The bulk is tried without sanitizers, which is several times as many inputs in the same time: the targets' own
assertions are on, against their second readings. What was found new is then read once more with ASan and UBSan. Inputs
have at most the length that stands in GROUPS; what takes longer ones (limits of size) is for `make fuzz` and the unit
tests. Corpora grow in build/fuzz/new, so that the next campaign starts where this one ended; an input that breaks something
is in build/fuzz/found. A group has not held when one of its targets broke, or when it ended before its executions and
before its CPU-hours. Each group is told on stderr when it ends, all together in the proof line.
"""
import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEW, FOUND = ROOT / "build" / "fuzz" / "new", ROOT / "build" / "fuzz" / "found"
# group -> {target: (its share of the executions, the longest input)}
GROUPS = {
    "cron": {"cron": (1.0, 80)},
    "json": {"json": (1.0, 128)},
    "url-and-address": {"url": (0.5, 100), "egress": (0.5, 80)},
    "form": {"form": (1.0, 160)},
    "header-values": {"retry_after": (0.4, 80), "credentials": (0.3, 80), "negotiate": (0.3, 96)},
}
BUILDS = {
    "build/fuzz-plain": ["--buildtype=release", "-Dc_args=-fsanitize=fuzzer-no-link"],
    "build/fuzz": ["-Db_sanitize=address,undefined", "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all"],
}


def build(targets):
    for folder, options in BUILDS.items():
        if not (ROOT / folder / "build.ninja").exists():
            words = ["meson", "setup", folder, "-Db_lundef=false", *options]
            environment = dict(os.environ, CC=os.environ.get("CLANG", "clang"))
            subprocess.run(words, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        programs = [f"tests/fuzz/fuzz_{target}" for target in targets]
        subprocess.run(["ninja", "-C", folder, *programs], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(pid):
    """Of a process that lives."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_for(words, seconds):
    """Runs a fuzzer until it ends or has used so much CPU time. Returns (exit code, CPU seconds, what it said)."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said)
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if cpu_seconds(child.pid) >= seconds:
                child.send_signal(signal.SIGUSR1)  # libFuzzer's: print the figures and end with 0
            time.sleep(0.2)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return child.returncode, usage.ru_utime + usage.ru_stime, said.read().decode(errors="replace")


def fuzz(folder, target, seconds, *flags):
    """One process. Returns (did it break, executions, CPU seconds)."""
    dictionary = ROOT / "tests" / "fuzz" / "dict" / f"{target}.dict"
    (NEW / target).mkdir(parents=True, exist_ok=True)
    FOUND.mkdir(parents=True, exist_ok=True)
    words = [
        f"{folder}/tests/fuzz/fuzz_{target}",
        "-timeout=10",
        "-rss_limit_mb=512",
        "-print_final_stats=1",
        f"-artifact_prefix={FOUND}/{target}-",
        *([f"-dict={dictionary}"] if dictionary.exists() else []),
        *flags,
        str(NEW / target),
        f"tests/fuzz/corpus/{target}",
    ]
    code, used, said = run_for(words, seconds)
    if code:
        sys.stderr.write(said[-3000:])
    executions = re.search(r"number_of_executed_units: (\d+)", said)
    return code != 0, int(executions[1]) if executions else 0, used


def search(group, options):
    """The figures of one group; each of its targets in `jobs` processes, which see what the others find."""
    tried, broken, used, is_enough = 0, 0, 0.0, True
    for target, (share, length) in GROUPS[group].items():
        wanted, seconds = options.executions * share, options.hours * 3600 * share
        flags = (f"-runs={math.ceil(wanted / options.jobs)}", f"-max_len={length}")
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            begun = [pool.submit(fuzz, "build/fuzz-plain", target, seconds / options.jobs, *flags) for _ in range(options.jobs)]
        ends, executions, times = zip(*(one.result() for one in begun))
        tried += sum(executions)
        used += sum(times)
        broken += any(ends) or fuzz("build/fuzz", target, math.inf, "-runs=0")[0]
        is_enough &= sum(executions) >= wanted * 0.999 or sum(times) >= seconds * 0.999
    hours = used / 3600
    print(f"{group}: {tried:,} inputs in {hours:.2f} CPU-hours, {broken} broken", file=sys.stderr, flush=True)
    return {"inputs": tried, "cpu_hours": round(hours, 2), "broken": broken, "enough": is_enough}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--executions", type=int, default=200_000_000)
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if set(options.groups) - set(GROUPS):
        parser.error("the groups are " + " ".join(GROUPS))
    build([target for group in options.groups for target in GROUPS[group]])
    found = {group: search(group, options) for group in options.groups}
    held = all(one["enough"] and not one["broken"] for one in found.values())
    tried = {group: {"inputs": one["inputs"], "cpu_hours": one["cpu_hours"]} for group, one in found.items()}
    said = {"part": "fuzzing", "tried": tried, "found": {"broken": sum(one["broken"] for one in found.values())}, "held": held}
    print("proof: " + json.dumps(said))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
