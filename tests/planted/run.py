#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plants deliberate bugs, one at a time, and sees whether the rig finds them: a rig that misses one is not done.

    run.py [--bug NAME]... [--seeds N] [--starts N] [--jobs N] [--table FILE]     run.py --check-apply

Each *.patch here is one bug against src/; the lines above its first "---" say what it breaks, which line of the promise
that is, and who should speak. It is applied to a copy of the tree under build/planted (the product has no switches),
the simulator is built there without sanitizers and runs histories from several starting seeds until a promise breaks.
A bug that lies where the simulator does not go names another program or test in its head ("Found by: ..."). Found is
what a promise or an invariant by name, an assertion in src/ or a failed test speaks of; whatever else goes wrong, a
time-out for one, is not. The control is the tree as it is, through the same seeds and programs: nothing may go wrong.
Prints the table of docs/design/planted.md; the last line is the proof. --check-apply only says whether every patch still fits.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "planted"
COPIED = ["src", "tests", "tools", "meson.build", "meson_options.txt"]
SIMULATOR = "tests/sim/sim"
SERVICE = "seed-scheduler"
SEEDS_APART = 1_000_000
RUN_S_MAX = 1200


class Bug:
    def __init__(self, path):
        self.name = path.stem
        self.path = path
        head = path.read_text(encoding="utf-8").split("\n--- ", 1)[0]
        fields = dict(re.findall(r"^([A-Z][a-z ]+): (.*(?:\n[ \t].*)*)", head, re.M))
        self.breaks, self.promise, self.caught_by = (" ".join(fields[key].split())
                                                     for key in ("Breaks", "Promise", "Caught by"))
        self.program = fields.get("Found by", SIMULATOR)
        # A black-box test needs the service itself.
        self.target = SERVICE if self.program.endswith(".py") else self.program


def all_bugs():
    return [Bug(path) for path in sorted(pathlib.Path(__file__).parent.glob("*.patch"))]


def patch(tree, bug, dry=False):
    """An empty text when it fits, else why not. Lines may have moved, but what stands around the change must be the same."""
    command = ["patch", "-p1", "-s", "-F0", "--no-backup-if-mismatch", "-i", bug.path] + ["--dry-run"] * dry
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def check_apply():
    misfits = {bug.name: why for bug in all_bugs() if (why := patch(ROOT, bug, dry=True))}
    for name, why in misfits.items():
        print(f"{name} does not fit any more: {why}")
    print(f"{len(all_bugs())} planted bugs, {len(misfits)} do not fit")
    return 1 if misfits or not all_bugs() else 0


class Tree:
    """A copy of the sources with a build directory of its own; what has not changed is not compiled again."""

    def __init__(self, number):
        self.path = WORK / f"tree-{number}"
        self.build = self.path / "build"

    def refresh(self):
        seen = set()
        for source in (path for name in COPIED for path in (ROOT / name, *(ROOT / name).rglob("*"))):
            copy = self.path / source.relative_to(ROOT)
            seen.add(copy)
            if source.is_file() and (not copy.exists() or copy.read_bytes() != source.read_bytes()):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
        for name in COPIED:
            for copy in (self.path / name).rglob("*"):
                if copy.is_file() and copy not in seen:
                    copy.unlink()

    def make(self, programs, bug=None):
        """An empty text when it is built, else why not."""
        self.refresh()
        if bug and (why := patch(self.path, bug)):
            return why
        if not (self.build / "build.ninja").exists():
            run(["meson", "setup", "--buildtype=debugoptimized", self.build, self.path])
        done = run(["ninja", "-C", self.build, *programs])
        return "" if done.returncode == 0 else done.stdout[-3000:]

    def hunt(self, program, start, seeds):
        """(the seeds it took, what spoke); when it was not found (None, what else went wrong, if anything). A test counts as
        one seed."""
        command = [self.build / program]
        if program.endswith(".py"):
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", program]
        if program == SIMULATOR:
            command += ["--seed", str(start), "--seeds", str(seeds), "--twice", "0"]
        with tempfile.TemporaryDirectory() as scratch:
            environment = dict(os.environ, TMPDIR=scratch, SEED_BINARY=str(self.build / SERVICE))
            done = run(command, env=environment, cwd=self.path)
        text = done.stdout + done.stderr
        if done.returncode == 0:
            return None, ""
        spoken = spoken_by(text)
        seed = re.search(r"^to see it again: sim --seed (\d+)", text, re.M)
        if not spoken or (program == SIMULATOR and not seed):
            return None, f"exit code {done.returncode}: " + (text.strip().splitlines() or ["not a word"])[-1][:200]
        return int(seed[1]) - start + 1 if program == SIMULATOR else 1, spoken


def spoken_by(text):
    for pattern, words in ((r"^broken: ([PI]\d+) \(run -?\d+\): ([^(\n]*)", "{0}: {1}"),
                           (r"^\[  FAILED  \] (\w+)$", "test {0}"), (r"^FAILED \S+::(\w+)", "test {0}"),
                           (r"\bsrc/\S+: (\w+): Assertion `(.*?)' failed", "assert in {0}: {1}")):
        if match := re.search(pattern, text, re.M):
            return re.sub(r"/\S*/", "", words.format(*match.groups())).strip()  # without the scratch folder
    return ""


def run(command, env=None, cwd=None):
    try:
        return subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=RUN_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"not over after {RUN_S_MAX} s\n")


class Result:
    def __init__(self, bug, problem="", hunts=()):
        self.bug, self.problem, self.hunts = bug, problem, list(hunts)
        self.found = [n for n, _ in self.hunts if n is not None]
        self.is_found = bool(self.hunts) and len(self.found) * 2 > len(self.hunts)
        self.median = statistics.median([float("inf") if n is None else n for n, _ in self.hunts] or [float("inf")])

    def row(self):
        speakers = sorted({spoken for n, spoken in self.hunts if n is not None})
        others = sorted({f"**not found**: {why or 'nothing spoke'}" for n, why in self.hunts if n is None})
        is_by_test = self.bug.program != SIMULATOR
        by = f" (`{self.bug.program}`)" if is_by_test else ""
        verdict = self.problem.splitlines()[0] if self.problem else "; ".join(speakers + others)
        seeds = "by test" if is_by_test else " ".join(str(n) if n is not None else "-" for n, _ in self.hunts)
        median = f"{self.median:g}" if self.is_found and not is_by_test else "-"
        cells = [self.bug.name, self.bug.breaks, self.bug.promise, seeds, median, verdict + by]
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def try_bug(tree, bug, starts, seeds):
    problem = tree.make([bug.target], bug)
    if bug.program != SIMULATOR:
        starts = starts[:1]
    return Result(bug, problem, [] if problem else [tree.hunt(bug.program, start, seeds) for start in starts])


def control(tree, bugs, results, starts):
    """The unpatched tree through every seed that found something, and the other programs. Returns (seeds, complaints)."""
    programs = sorted({bug.program for bug in bugs})
    if problem := tree.make(sorted({bug.target for bug in bugs})):
        return 0, [problem]
    complaints, seeds = [], 0
    for at, start in enumerate(starts):
        longest = max((r.hunts[at][0] or 0 for r in results if r.bug.program == SIMULATOR and r.hunts), default=0)
        if longest:
            seeds += longest
            complaints += [wrong for _, wrong in [tree.hunt(SIMULATOR, start, longest)] if wrong]
    complaints += [wrong for program in programs if program != SIMULATOR
                   for _, wrong in [tree.hunt(program, 0, 0)] if wrong]
    return seeds, complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bug", action="append", help="only this one; may be given several times")
    parser.add_argument("--seeds", type=int, default=2000, help="at most so many from each starting seed")
    parser.add_argument("--starts", type=int, default=5, help="from so many starting seeds")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", type=pathlib.Path, help="write the table there, too")
    parser.add_argument("--check-apply", action="store_true")
    options = parser.parse_args()
    if options.check_apply:
        return check_apply()
    bugs = [bug for bug in all_bugs() if not options.bug or bug.name in options.bug]
    if not bugs or len(bugs) < len(options.bug or []):
        parser.error("no such bug")
    starts = [1 + i * SEEDS_APART for i in range(options.starts)]
    began = time.monotonic()
    trees = queue.Queue()
    for number in range(options.jobs):
        trees.put(Tree(number))

    def work(bug):
        tree = trees.get()
        try:
            result = try_bug(tree, bug, starts, options.seeds)
            print(result.row(), file=sys.stderr, flush=True)
            return result
        finally:
            trees.put(tree)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(work, bugs))
    seeds, complaints = control(trees.get(), bugs, results, starts)
    lines = ["| bug | what it breaks | promise | seeds until found | median | who spoke |", "|---|---|---|---|---|---|"]
    lines += [result.row() for result in results]
    lines += ["", f"Control, without a bug: {seeds} seeds, " + ("; ".join(complaints) if complaints else "nothing spoke") + "."]
    print("\n".join(lines))
    if options.table:
        options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = [result for result in results if result.is_found]
    print("proof: " + json.dumps({
        "part": "planted", "tried": {"bugs": len(bugs), "starts": len(starts), "control_seeds": seeds},
        "found": {"bugs": len(found), "missed": [r.bug.name for r in results if not r.is_found], "control": len(complaints),
                  "median_seeds_max": max((r.median for r in found), default=0), "seconds": round(time.monotonic() - began)},
        "held": len(found) == len(bugs) and not complaints}))
    return 0 if len(found) == len(bugs) and not complaints else 1


if __name__ == "__main__":
    sys.exit(main())
