from __future__ import annotations

import pytest
from bench.sockets import Row, document, job, oracle, settings_of, table

from probes.bucket import BucketSettings
from probes.simulator.settings import Service


def test_the_oracle_is_the_formula_where_nothing_is_random() -> None:
    """22 calls of 1 s on a bucket that holds 11 and hardly leaks take two rounds: 2 s."""
    settings = settings_of(BucketSettings(outflow_per_s=0.001), Service(1.0, 0.0, cost_mean=1e-6, cost_sigma=0.0), 1)
    assert oracle(settings, 22) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("sender", ["transport", "async_transport"])
def test_a_short_job_over_sockets(sender: str) -> None:
    """100 calls on the default bucket through the limiter: not one refused, and not slower than half as long again as the oracle."""
    row = job("default", sender, "known", 100, 7)
    assert (row.refused, row.calls) == (0, 100)
    assert 1.0 <= row.ratio < 1.5


def test_table_and_document() -> None:
    """The goal holds for what was known at the start, refusals for all."""
    rows = [
        Row("default", "transport", "known", 600, 22.0, 21.0, 1.0476, 0),
        Row("default", "transport", "unknown", 600, 25.0, 21.0, 1.19, 0),
    ]
    assert document(rows)["reached"] == {"ratio": True, "refused": True}
    assert document([*rows, Row("default", "transport", "known", 600, 24.0, 21.0, 1.14, 1)])["reached"] == {
        "ratio": False,
        "refused": False,
    }
    assert table(rows).splitlines()[1].split() == ["default", "transport", "known", "600", "22.00", "21.00", "1.048", "0"]
