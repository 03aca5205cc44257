#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A long search with the fuzz targets: N inputs for each group of targets, or a time, whichever ends first.

    tests/fuzz/campaign.py [--executions 200000000] [--hours 4] [--jobs 2] [GROUP...]

The bulk is tried without sanitizers, which is several times as many inputs in the same time: the targets' own assertions
are on, against their second readings. What was found new is then read once more with ASan and UBSan. Corpora grow in
build/fuzz/new, so that the next campaign starts where this one ended; an input that breaks something is in
build/fuzz/found. A group has not held when one of its targets broke, or when it ran out of time before its executions
and its CPU-hours.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
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


def fuzz(folder, target, *flags):
    """Returns (did it break, executions)."""
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
    result = subprocess.run(
        words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if result.returncode:
        sys.stderr.write(result.stderr[-3000:])
    executions = re.search(r"number_of_executed_units: (\d+)", result.stderr)
    return result.returncode != 0, int(executions[1]) if executions else 0


def search(group, options):
    tried, broken, began = 0, 0, time.monotonic()
    for target, (share, length) in GROUPS[group].items():
        flags = (f"-runs={round(options.executions * share)}", f"-max_total_time={round(options.hours * 3600 * share)}")
        is_broken, executions = fuzz("build/fuzz-plain", target, *flags, f"-max_len={length}")
        tried += executions
        broken += is_broken or fuzz("build/fuzz", target, "-runs=0")[0]
    hours = (time.monotonic() - began) / 3600
    print(f"{group}: {tried:,} inputs in {hours:.2f} h, {broken} broken", file=sys.stderr, flush=True)
    return {
        "inputs": tried,
        "hours": round(hours, 2),
        "broken": broken,
        "enough": tried >= options.executions * 0.999 or hours >= options.hours,
    }


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
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        found = dict(zip(options.groups, pool.map(lambda group: search(group, options), options.groups)))
    held = all(one["enough"] and not one["broken"] for one in found.values())
    tried = {group: one["inputs"] for group, one in found.items()}
    print(
        "proof: "
        + json.dumps(
            {
                "part": "fuzzing",
                "tried": tried,
                "found": {"broken": sum(one["broken"] for one in found.values())},
                "held": held,
            }
        )
    )
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
