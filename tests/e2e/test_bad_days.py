# SPDX-License-Identifier: BSD-3-Clause
"""Small versions of tests/fault/requeue.py and hung_tenant.py: kills while failed tasks go out again, and a host that hangs."""
import types

from fault import hung_tenant, requeue


def test_a_requeue_survives_kills(tmp_path):
    found, problems = requeue.run(runs=200, rounds=3, seed=1, folder=tmp_path, say=print)
    assert not problems, problems
    assert found["acknowledged"] >= 3 and found["requests"] >= 600


def test_a_hung_tenant_is_not_noticed_by_another(tmp_path):
    options = types.SimpleNamespace(runs=300, endpoints=1, rate=50, timeout=2, turns=2)
    figures, problems = hung_tenant.run(options, tmp_path, print)
    assert not problems, (problems, figures)
