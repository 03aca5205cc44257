#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs tests under a tool that watches every access to memory, and counts what it complains about.

    tools/watched.py threads    the programs with threads, and the black-box suites of THREADS_SUITES, under ThreadSanitizer
    tools/watched.py memory     the black-box suites of MEMORY_SUITES, the program under valgrind's memcheck

Each builds what it needs (build/tsan, build/valgrind) and holds when every test passed, nothing was complained about
and no memory was lost. A process without valgrind's closing words, which a test killed, counts as such and not as
one without a leak; what it did wrong before that counts. --suites names others than those; --keep leaves the tool's
own words where they are.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import run_tests

ROOT = pathlib.Path(__file__).resolve().parents[1]
THREADED = ["mailbox", "log", "metrics", "delivery_loop", "api", "server", "store_thread"]
# Left out: the suites on a preloaded clock (clock, tzdata), with which this sanitizer does not start, and failpoints, which
# brings a build of its own.
THREADS_SUITES = ["tests/api"] + [f"tests/e2e/test_{name}.py" for name in (
    "abuse", "bad_days", "cli", "crash", "crash_load", "delivery", "disk", "endpoints", "process")]
# Everything that a request can do, deliveries of every kind, commands, starts and stops. What is left out hashes passwords,
# half a minute each here, has time limits of its own, or waits for most of its time.
MEMORY_SUITES = [f"tests/api/test_{name}" for name in (
    "auth.py::test_a_token_is_exact", "auth.py::test_refused_emails", "auth.py::test_accepted_emails_make_a_user",
    "auth.py::test_login_gives_a_new_working_token", "bodies.py", "cron.py", "framing.py", "pagination.py",
    "resources.py", "routing.py", "schedule.py", "wire.py")] + [
    f"tests/e2e/test_{name}.py" for name in ("cli", "delivery", "process")]
MEMORY_COMMAND = "valgrind --tool=memcheck --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite" \
                 " --num-callers=30 --fair-sched=yes"
TESTS_LEAST = {"threads": 1000, "memory": 800}


def build(folder, options, environment, targets):
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", folder, *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, **environment})
    subprocess.run(["ninja", "-C", folder, *targets], cwd=ROOT, check=True, stdout=sys.stderr)


def threads(words, suites):
    """Returns the counts of tests. One file of complaints per process that has any."""
    folder = ROOT / "build" / "tsan"
    build(folder, ["-Db_sanitize=thread", "-Db_lundef=false"], {"CC": os.environ.get("CLANG", "clang")},
          ["seed-scheduler"] + [f"tests/{'contract' if name.startswith('store') else 'unit'}/test_{name}" for name in THREADED])
    os.environ["TSAN_OPTIONS"] = f"log_path={words}/tsan:halt_on_error=0:exitcode=66"
    # With more bits of chance in the places of memory this sanitizer finds its own taken.
    if int(pathlib.Path("/proc/sys/vm/mmap_rnd_bits").read_text()) > 28:
        os.environ["SEED_WRAPPER"] = "setarch -R"
        return [run_tests.run_meson(str(folder), ["--wrapper", "setarch -R", *THREADED]),
                run_tests.run_pytest(str(folder), suites or THREADS_SUITES)]
    return [run_tests.run_meson(str(folder), THREADED), run_tests.run_pytest(str(folder), suites or THREADS_SUITES)]


def judge_threads(words):
    texts = [path.read_text(errors="replace") for path in words.iterdir()]
    reports = sum(text.count("WARNING: ThreadSanitizer") for text in texts)
    return {}, {"reports": reports, "files_of_complaints": len(texts)}, reports + len(texts)


def memory(words, suites):
    """One file per process, with valgrind's closing words in it."""
    folder = ROOT / "build" / "valgrind"
    build(folder, ["--buildtype=debugoptimized", "-Doptimization=1", "-Dtests=false"], {}, ["seed-scheduler"])
    os.environ["SEED_WRAPPER"] = f"{MEMORY_COMMAND} --log-file={words}/%p"
    return [run_tests.run_pytest(str(folder), suites or MEMORY_SUITES)]


def judge_memory(words):
    texts = [path.read_text(errors="replace") for path in words.iterdir()]
    errors = re.compile(r"ERROR SUMMARY: (\d+) errors")
    ended = [int(match.group(1)) for match in map(errors.search, texts) if match]
    lost = sum(int(n.replace(",", "")) for text in texts for n in re.findall(r"definitely lost: ([\d,]+) bytes", text))
    # A process that was killed has no summary, only what was found by then: lines that begin a complaint.
    complaint = re.compile(r"==\d+== (Invalid|Conditional jump|Use of uninit|Syscall param|Mismatched|Source and dest)")
    early = sum(len(complaint.findall(text)) for text in texts if not errors.search(text))
    tried = {"processes": len(texts), "killed": len(texts) - len(ended)}
    return tried, {"errors": sum(ended) + early, "definitely_lost_bytes": lost}, sum(ended) + early + lost + (not ended)


PARTS = {"threads": (threads, judge_threads), "memory": (memory, judge_memory)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--suites", default="")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    words, began = pathlib.Path(tempfile.mkdtemp(prefix="seed-watched-")), time.monotonic()
    run, judge = PARTS[options.part]
    counts = run(words, options.suites.split())
    passed, failed, skipped = (sum(count[i] for count in counts) for i in range(3))
    tried, found, wrong = judge(words)
    if wrong:
        for path in sorted(words.iterdir(), key=lambda path: -path.stat().st_size)[:3]:
            print(f"--- {path.name}\n{path.read_text(errors='replace')[:6000]}", file=sys.stderr)
    if options.keep:
        print(f"watched: {words}", file=sys.stderr)
    else:
        shutil.rmtree(words)
    is_void = not options.suites and passed < TESTS_LEAST[options.part]
    print("proof: " + json.dumps({
        "part": options.part, "tried": {"tests": passed + failed, "skipped": skipped, **tried,
                                        "seconds": round(time.monotonic() - began)},
        "found": {**found, "tests_failed": failed, "is_void": is_void}, "held": not (wrong or failed or is_void)}))
    sys.exit(1 if wrong or failed or is_void else 0)


if __name__ == "__main__":
    main()
