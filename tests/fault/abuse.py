#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Abuses the HTTP side of the real binary and proves P14: it answers right or refuses, and good clients notice nothing.

    SEED_BINARY=build/release/seed-scheduler python3 tests/fault/abuse.py --part PART [--budget N] [--seed N]

| part | what is tried | budget |
| --- | --- | --- |
| json | every class of JSON text, right and wrong; mutations judged by another parser; payloads | mutations |
| framing | request smuggling and malformed framing, whole and cut in two at every offset | cuts of one |
| sizes | everything a byte too long, pipelines, random bytes | connections of random bytes |
| slow | crowds of slow, silent, greedy clients beside good ones and deliveries | clients of a crowd |
| auth | guessing, the roles of every URL and method, timing of refusals | timing samples |
| injection | hostile text in every field, canary secrets in every place | texts |

Each part is a module beside this file whose tables say what is expected. The last line of output is the verdict.
"""
import argparse
import importlib
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from harness.verdict import Verdict     # noqa: E402

# part -> the budget without --budget: some minutes on two cores
PARTS = {"json": 20_000, "framing": 400, "sizes": 100_000, "slow": 10_000, "auth": 100_000, "injection": 400}


def run(part, budget, seed, out=sys.stderr):
    verdict = Verdict(f"abuse-{part}", out)
    importlib.import_module(f"fault.abuse_{part}").run(verdict, budget, seed)
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", required=True, choices=PARTS)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    verdict = run(options.part, options.budget or PARTS[options.part], options.seed)
    print(verdict.line())
    return 0 if verdict.held else 1


if __name__ == "__main__":
    sys.exit(main())
