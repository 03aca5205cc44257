#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every test of a build directory and ends with one plain line: "N passed, N failed[, N skipped]".

meson's programs are counted by the cases that cmocka reports (a program without such a report counts as one), the
black-box suites by pytest's own report. A program that dies before its report counts as failed. The exit code is 0
only when nothing failed and something ran.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

TIMES = ["--timeout-multiplier", "4"]


def run_meson(build, names=()):
    """Returns (passed, failed, skipped) over all programs, or those named, each case counted."""
    subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--num-processes", "2", *TIMES,
                    *names], check=False)
    passed = failed = skipped = 0
    with open(pathlib.Path(build) / "meson-logs" / "testlog.json", encoding="utf-8") as log:
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
    return passed, failed, skipped


def run_pytest(build, folders):
    """Returns (passed, failed, skipped) of the black-box suites against the build's program."""
    report = pathlib.Path(build) / "pytest.xml"
    report.unlink(missing_ok=True)
    environment = dict(os.environ, SEED_BINARY=str(pathlib.Path(build).resolve() / "seed-scheduler"), PYTHONDONTWRITEBYTECODE="1",
                       ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99",
                       UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile",
                    "-m", "not slow", f"--junitxml={report}", *folders], check=False, env=environment)
    if not report.exists():
        print("FAILED: pytest wrote no report")
        return 0, 1, 0
    total = failed = skipped = 0
    for suite in xml.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests"))
        failed += int(suite.get("failures")) + int(suite.get("errors"))
        skipped += int(suite.get("skipped"))
    return total - failed - skipped, failed, skipped


def main():
    build = sys.argv[1]
    counts = [run_meson(build), run_pytest(build, ["tests/api", "tests/e2e"])]
    passed, failed, skipped = (sum(c[i] for c in counts) for i in range(3))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
    main()
