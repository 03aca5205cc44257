#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every test of a build directory and ends with one plain line: "N passed, N failed[, N skipped]".

    tools/run_tests.py build/test           every test but the slow ones
    tools/run_tests.py build/test --slow    those alone, a part of `make proof`: ends with a line "proof: {...}" instead

meson's programs are counted by the cases that cmocka reports (a program without such a report counts as one), the
black-box suites by pytest's own report. A program that dies before its report counts as failed. The exit code is 0
only when nothing failed and something ran.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

SUITES = ["tests/api", "tests/e2e"]
SLOW_LEAST = 4  # fewer: some were not found
TIMES = ["--timeout-multiplier", "4"]


def run_meson(build, names=()):
    """Returns (passed, failed, skipped) over all programs, or those named, each case counted."""
    logs = pathlib.Path(build) / "meson-logs"
    for old in logs.glob("testlog*.json"):
        old.unlink()
    ended = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--num-processes", "2",
                            *TIMES, *names], check=False)
    reports = list(logs.glob("testlog*.json"))  # a wrapper's name is in it
    if not reports:
        print(f"FAILED: meson ended with {ended.returncode} and wrote no report")
        return 0, 1, 0
    passed = failed = skipped = 0
    with open(reports[0], encoding="utf-8") as log:
        for line in log:
            entry = json.loads(line)
            text = entry.get("stdout", "") + entry.get("stderr", "")
            cases_passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
            cases_failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] [^\n]*?(\d+) test\(s\), listed below", text))
            cases_skipped = sum(int(n) for n in re.findall(r"\[  SKIPPED \] (\d+) test", text))
            if entry["result"] == "SKIP":
                skipped += 1
            elif entry["result"] in ("OK", "EXPECTEDFAIL"):
                passed += cases_passed or 1
                skipped += cases_skipped
            else:
                passed += cases_passed
                failed += cases_failed or 1
                print(f"FAILED: {entry['name']} ({entry['result']})")
    if ended.returncode and not failed:
        print(f"FAILED: meson ended with {ended.returncode}, though no test of its report failed")
        failed = 1
    return passed, failed, skipped


def run_pytest(build, folders, marks="not slow"):
    """Returns (passed, failed, skipped) of the black-box suites against the build's program."""
    report = pathlib.Path(build) / "pytest.xml"
    report.unlink(missing_ok=True)
    environment = dict(os.environ, SEED_BINARY=str(pathlib.Path(build).resolve() / "seed-scheduler"), PYTHONDONTWRITEBYTECODE="1",
                       ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99",
                       UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    ended = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile",
                            "-m", marks, f"--junitxml={report}", *folders], check=False, env=environment)
    if not report.exists():
        print("FAILED: pytest wrote no report")
        return 0, 1, 0
    total = failed = skipped = 0
    for suite in xml.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests"))
        failed += int(suite.get("failures")) + int(suite.get("errors"))
        skipped += int(suite.get("skipped"))
    if ended.returncode and not failed:
        print(f"FAILED: pytest ended with {ended.returncode}, though no test of its report failed")
        return total - skipped, 1, skipped
    return total - failed - skipped, failed, skipped


def run_slow(build):
    """The proof line of the tests that take minutes by design; returns the exit code."""
    began = time.monotonic()
    passed, failed, skipped = run_pytest(build, SUITES, marks="slow")
    held = passed >= SLOW_LEAST and not failed and not skipped
    tried = {"tests": passed + failed, "skipped": skipped, "seconds": round(time.monotonic() - began)}
    print("proof: " + json.dumps({"part": "slow-tests", "tried": tried, "found": {"tests_failed": failed}, "held": held}))
    return 0 if held else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    if options.slow:
        sys.exit(run_slow(options.build))
    counts = [run_meson(options.build), run_pytest(options.build, SUITES)]
    passed, failed, skipped = (sum(c[i] for c in counts) for i in range(3))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
    main()
