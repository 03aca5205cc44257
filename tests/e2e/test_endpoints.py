# SPDX-License-Identifier: BSD-3-Clause
"""Every bad endpoint of tests/fault/endpoint_cases.py once, all at the same time; `tests/fault/endpoints.py` does more."""
import pytest

from fault import endpoints
from fault.endpoint_cases import CASES

TIMEOUT_S = 3       # an endpoint of ours may be slow on a busy machine
SLACK_S = 1.0       # sanitizer builds on shared cores


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    trials, problems, figures = endpoints.run(is_quick=True, timeout_s=TIMEOUT_S, slack_s=SLACK_S, flapping_n=10, seed=1,
                                              folder=tmp_path_factory.mktemp("endpoints"), say=print)
    return {trial.label: trial for trial in trials}, problems, figures


@pytest.mark.parametrize("label", [f"{family}: {case.name}" for family, case in CASES])
def test_each_is_called_what_it_is(result, label):
    trials, _, _ = result
    assert trials[label].attempts and not trials[label].problems, trials[label].problems


def test_the_bounds_within_an_attempt(tmp_path):
    trials = endpoints.run_patient(tmp_path, SLACK_S, print)
    problems = [problem for trial in trials for problem in trial.problems]
    assert trials and not problems, problems


def test_the_service_is_none_the_worse(result):
    trials, problems, figures = result
    assert not problems, problems
    assert figures["attempts"] >= len(trials)
    assert not [trial.problems for trial in trials.values() if trial.family == "flapping" and trial.problems]
