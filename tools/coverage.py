#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tests against a build that counts, and says which lines and branches of src/ they reached.

    tools/coverage.py [--build build/coverage] [--suites "meson tests/api tests/e2e"] [--missing WORD] [--report]

It holds when every test passed, when LINES_LEAST percent of all lines were reached, and every branch of the files in
WHOLE. Counted is what a program that ends by itself writes down: what ran in a process that a test killed does not
count. Branches of an assert do not count, since its failing side is our bug; its line does. --missing prints what was
not reached in the files whose path has WORD in it; --report judges the counts that are there and runs nothing.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import time

import run_tests

ROOT = pathlib.Path(__file__).resolve().parents[1]
LINES_LEAST = 90
WHOLE = ("src/core/planner.c", "src/core/retry.c", "src/core/cron.c", "src/core/address.c", "src/deliver/dispatcher.c")
# Threads of one program count in the same place.
SETUP = ["-Db_coverage=true", "--buildtype=debug", "-Dc_args=-fprofile-update=atomic"]


class File:
    """Counts of one file, over all programs that hold a copy of it."""

    def __init__(self, path):
        self.path = path
        self.lines = collections.Counter()
        self.branches = {}  # (line, function, number of branches there) -> count of each
        self.asserts = assert_lines(ROOT / path)

    def add(self, line):
        number = line["line_number"]
        self.lines[number] += line["count"]
        if not line["branches"] or number in self.asserts:
            return
        key = (number, line.get("function_name"), len(line["branches"]))
        counts = self.branches.setdefault(key, [0] * len(line["branches"]))
        for index, branch in enumerate(line["branches"]):
            counts[index] += branch["count"]

    def figures(self):
        """(lines, of them reached, branches, of them reached)"""
        branches = [count for counts in self.branches.values() for count in counts]
        return (len(self.lines), sum(count > 0 for count in self.lines.values()),
                len(branches), sum(count > 0 for count in branches))

    def missing(self):
        text = (ROOT / self.path).read_text().split("\n")
        for number, count in sorted(self.lines.items()):
            if not count:
                yield f"{self.path}:{number}: never: {text[number - 1].strip()}"
        for (number, _, _), counts in sorted(self.branches.items(), key=lambda item: item[0][0]):
            if self.lines[number] and 0 in counts:
                yield f"{self.path}:{number}: branches {counts}: {text[number - 1].strip()}"


def assert_lines(path):
    lines, depth = set(), 0
    for number, line in enumerate(path.read_text().split("\n"), 1):
        start = re.search(r"\bassert\(", line)
        if depth or start:
            rest = line if depth else line[start.start():]
            depth += rest.count("(") - rest.count(")")
            lines.add(number)
    return lines


def build(folder):
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", folder, *SETUP], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder], cwd=ROOT, check=True, stdout=sys.stderr)


def run(folder, suites):
    """(passed, failed, skipped) of all of them, counted anew."""
    for counts in folder.rglob("*.gcda"):
        counts.unlink()
    results = [run_tests.run_meson(str(folder))] if "meson" in suites else []
    black_box = [suite for suite in suites if suite != "meson"]
    if black_box:
        results.append(run_tests.run_pytest(str(folder), black_box))
    return [sum(result[i] for result in results) for i in range(3)]


def read(folder):
    """Every file of src/, also one that nothing reached."""
    notes = sorted(path for path in folder.rglob("*.gcno") if path.parent.parent.name != "tests")
    files = {}
    said = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *map(str, notes)],
                          cwd=folder, check=True, capture_output=True, text=True).stdout
    for document in said.splitlines():
        for entry in json.loads(document)["files"]:
            path = (folder / entry["file"]).resolve()
            if path.is_relative_to(ROOT / "src"):
                name = str(path.relative_to(ROOT))
                file = files.setdefault(name, File(name))
                for line in entry["lines"]:
                    file.add(line)
    return dict(sorted(files.items()))


def percent(part, whole):
    return 100 * part / whole if whole else 100.0


def row(name, figures):
    lines, lines_met, branches, branches_met = figures
    return (f"{name:<32} {lines:>6} {percent(lines_met, lines):>7.1f}"
            f" {branches:>9} {percent(branches_met, branches):>7.1f}")


def judge(files):
    """What the counts say, as figures; an empty list of failures when it is enough."""
    total = [sum(column) for column in zip(*(file.figures() for file in files.values()))]
    print(f"{'file':<32} {'lines':>6} {'%':>7} {'branches':>9} {'%':>7}")
    for name, file in files.items():
        print(row(name, file.figures()))
    print(row("all", total))
    failures = []
    if percent(total[1], total[0]) < LINES_LEAST:
        failures.append(f"{percent(total[1], total[0]):.1f} % of the lines, {LINES_LEAST} wanted")
    for name in WHOLE:
        figures = files[name].figures() if name in files else (0, 0, 0, 0)
        if not figures[2] or figures[2] != figures[3]:
            failures.append(f"{name}: {figures[2] - figures[3]} of {figures[2]} branches never taken")
            print(*files[name].missing() if name in files else (), sep="\n")
    found = {"lines_percent": round(percent(total[1], total[0]), 1),
             "branches_percent": round(percent(total[3], total[2]), 1),
             "whole_files_branches_missed": sum(file.figures()[2] - file.figures()[3] for name, file in files.items()
                                                if name in WHOLE)}
    return total, found, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "coverage")
    parser.add_argument("--suites", default="meson tests/api tests/e2e")
    parser.add_argument("--missing")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    folder, began = options.build.resolve(), time.monotonic()
    passed = failed = skipped = 0
    if not options.report:
        build(folder)
        passed, failed, skipped = run(folder, options.suites.split())
    files = read(folder)
    total, found, failures = judge(files)
    for name, file in files.items():
        if options.missing and options.missing in name:
            print(*file.missing(), sep="\n")
    if failed or (not passed and not options.report):
        failures.append(f"{passed} tests passed, {failed} failed")
    for failure in failures:
        print(f"coverage: WRONG: {failure}", file=sys.stderr)
    if not options.report:
        tried = {"tests": passed, "skipped": skipped, "lines": total[0], "branches": total[2],
                 "seconds": round(time.monotonic() - began)}
        print("proof: " + json.dumps({"part": "coverage", "tried": tried, "found": {**found, "tests_failed": failed},
                                      "held": not failures}))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
