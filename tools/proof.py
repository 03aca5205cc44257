#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the long proofs one after the other and prints a table of what was tried and what was found.

    tools/proof.py [--parts "simulation power-cuts ..."] [--scale 1.0] [--again]

Every part is a command of its own, which anybody can run alone; its last line is "proof: {...}" with what it tried, what
it found, and whether everything held. What a part said is kept in build/proof/<part>.json with the commit, so that an
interrupted proof goes on where it stopped; --again begins anew. A part that ends without that line, or takes more than
twice its time (a fuzz part: five hours), has not held. --scale 0.1 runs a tenth of the amounts, which is no proof but shows
that all works; a part that would be void with so little runs the least that says something.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "proof"
PLAIN = "build/proof-plain"  # -O2 without sanitizers: speed decides how much is tried
RELEASE = "build/release/seed-scheduler"
JOBS = str(os.cpu_count() or 1)


class Part:
    """`amount` is what --scale applies to, down to `least`; "{n}" in the command is replaced by it. `minutes` is what it takes,
    `longest` after how many it is ended. What mostly waits runs beside the others."""

    def __init__(self, name, minutes, amount, command, *, least=1, longest=None, beside=False):
        self.name, self.minutes, self.amount, self.least = name, minutes, amount, least
        self.longest, self.command, self.beside = longest or 2 * minutes, command, beside

    def scaled(self, minutes, scale):
        return minutes * max(scale, self.least / self.amount)

    def words(self, scale):
        n = str(max(self.least, round(self.amount * scale)))
        words = [word.replace("{n}", n).replace("{jobs}", JOBS).replace("{plain}", PLAIN) for word in self.command.split()]
        return [sys.executable, *words] if words[0].endswith(".py") else words


PARTS = [
    Part("simulation", 100, 200000, "{plain}/tests/sim/sim --seed 1 --seeds {n} --dense 5000 --twice 1000 --jobs {jobs}"),
    Part("planted-bugs", 20, 5, "tests/planted/run.py --starts {n} --jobs {jobs}"),
    Part("power-cuts", 4, 20000, "{plain}/tests/sim/power_cuts --cuts {n}", least=400),
    Part("power-cuts-unsynced", 1, 2000, "{plain}/tests/sim/power_cuts --cuts {n} --synchronous normal", least=400),
    Part("corruption", 2, 2000, "{plain}/tests/sim/corruption --flips {n}"),
    Part("migrations", 1, 20, "{plain}/tests/sim/migrations --rounds {n}"),
    Part("kill-9", 25, 1000, "tests/e2e/crash_load.py --kills {n}"),
    Part("kill-9-full-rate", 3, 20, "tests/e2e/crash_load.py --kills {n} --rate full"),
    Part("failpoints", 16, 20, "tests/e2e/failpoints.py --kills {n}"),
    Part("disk-errors", 8, 500, "tests/fault/disk_errors.py --calls {n}", least=40),
    Part("disk-full", 15, 200, "tests/fault/disk_full.py --rounds {n}"),
    Part("backup", 5, 50, "tests/fault/backup.py --rounds {n}"),
    Part("endpoints", 3, 1, "tests/fault/endpoints.py"),
    Part("requeue", 8, 100, "tests/fault/requeue.py --runs 10000 --rounds {n}"),
    Part("hung-tenant", 1, 1, "tests/fault/hung_tenant.py"),
    Part("retries", 1, 200000, "{plain}/tests/property/retries --runs {n}"),
    Part("clock", 4, 50, "tests/fault/clock.py --scripts {n} --jobs 5"),
    Part("catch-up", 2, 10000, "tests/fault/catch_up.py --schedules {n}"),
    Part("retention", 2, 500000, "tests/fault/retention.py --rows {n}", least=200000),
    *(
        Part(f"abuse-{part}", 4, n, f"tests/fault/abuse.py --part {part} --budget {{n}}")
        for part, n in (
            ("json", 20000),
            ("framing", 400),
            ("sizes", 100000),
            ("slow", 10000),
            ("auth", 100000),
            ("injection", 400),
        )
    ),
    Part("analyzers", 4, 1, "tools/analyze.sh"),
    Part("coverage", 8, 1, "tools/coverage.py"),
    Part("threads", 6, 1, "tools/watched.py threads"),
    Part("memory", 15, 1, "tools/watched.py memory"),
    Part("slow-tests", 6, 1, "tools/run_tests.py build/test --slow"),
    Part("soak", 66, 60, "tests/e2e/soak.py --minutes {n} --rate 300", beside=True),
    # 200 million inputs, or four CPU-hours, which two cores with other work on them may take five hours for.
    *(
        Part(f"fuzz-{group}", minutes, 200000000, f"tests/fuzz/campaign.py --executions {{n}} {group}", longest=300)
        for group, minutes in (("cron", 22), ("json", 13), ("url-and-address", 6), ("form", 24), ("header-values", 9))
    ),
]


def commit_of_tree():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")


def build():
    if not (ROOT / PLAIN / "build.ninja").exists():
        subprocess.run(["meson", "setup", PLAIN, "--buildtype=release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", PLAIN], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def run(part, scale):
    """The part's own words, and how long they took. All its processes go with it when it takes too long."""
    environment = dict(os.environ, SEED_BINARY=str(ROOT / RELEASE), PYTHONDONTWRITEBYTECODE="1")
    began = time.monotonic()
    child = subprocess.Popen(
        part.words(scale), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        text, _ = child.communicate(timeout=max(part.scaled(part.longest, max(scale, 0.1)) * 60, 300))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        text, _ = child.communicate()
        text = 'proof: {"found": {"problem": "took too long and was ended"}}'
    lines = [line for line in text.splitlines() if line.startswith("proof: ")]
    said = json.loads(lines[-1].removeprefix("proof: ")) if lines else {"found": {"problem": "ended without its line"}}
    said["held"] = bool(lines) and said.get("held") is True and child.returncode == 0
    said["took_s"] = round(time.monotonic() - began)
    return said


def words_of(figures):
    if not isinstance(figures, dict):
        return str(figures)
    return ", ".join(f"{key.replace('_', ' ')} {words_of(value)}" for key, value in figures.items())


def table(results):
    lines = ["| part | tried | found | minutes | held |", "| --- | --- | --- | --- | --- |"]
    for name, said in results.items():
        lines.append(
            f"| {name} | {words_of(said.get('tried', {}))} | {words_of(said.get('found', {}))} "
            f"| {said['took_s'] / 60:.1f} | {'yes' if said['held'] else '**no**'} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=" ".join(part.name for part in PARTS))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    wanted, unknown = options.parts.split(), set(options.parts.split()) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no part {' '.join(sorted(unknown))}; there are: {' '.join(part.name for part in PARTS)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    build()
    commit = commit_of_tree()

    def said_of(part):
        kept = KEPT / f"{part.name}.json"
        before = json.loads(kept.read_text()) if kept.exists() else {}
        if options.again or not before.get("held") or (before.get("commit"), before.get("scale")) != (commit, options.scale):
            words = " ".join(part.words(options.scale))
            minutes = part.scaled(part.minutes, options.scale)
            print(f"== {part.name}: about {minutes:.0f} minutes: {words}", file=sys.stderr, flush=True)
            before = {**run(part, options.scale), "commit": commit, "scale": options.scale}
            kept.write_text(json.dumps(before) + "\n")
        return before

    chosen = [part for part in PARTS if part.name in wanted]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        beside = {part.name: pool.submit(said_of, part) for part in chosen if part.beside}
        results = {part.name: said_of(part) for part in chosen if not part.beside}
        results.update({name: said.result() for name, said in beside.items()})
    print(table(results))
    print(f"\ncommit {commit}, scale {options.scale:g}, {JOBS} cores")
    sys.exit(0 if results and all(said["held"] for said in results.values()) else 1)


if __name__ == "__main__":
    main()
