from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from probes import plan as module
from probes.bucket import BucketSettings
from probes.jobs.rehearsal import rehearse
from probes.plan import LevelAwareRun, level_aware_run, of_replays, plan
from probes.twin import Twin

SCHEMA = json.loads((Path(module.__file__).parent / "schemas" / "plan-1.json").read_text(encoding="utf-8"))


def twin(cost: float = 0.5, time_s: float = 0.4, spread: float = 0.5, **bucket: float) -> Twin:
    rng = np.random.default_rng(2)
    costs, times = np.exp(rng.normal(0.0, spread, (2, 2000)))
    return Twin(BucketSettings().scaled(**bucket), cost * costs / costs.mean(), time_s * times / times.mean(), 0.05)


@pytest.mark.untraced
def test_four_strategies() -> None:
    """Each strategy with finish time and odds; the quickest that keeps the odds is recommended, and it is level-aware here."""
    planned = plan(twin(), 1000)
    assert [strategy.name for strategy in planned.strategies] == ["one_by_one", "even_rate", "workers", "level_aware"]
    document = planned.document()
    jsonschema.validate(document, SCHEMA)
    seconds = {strategy.name: strategy.seconds for strategy in planned.strategies}
    assert seconds["one_by_one"] == pytest.approx(1000 * 0.45, rel=0.01)
    assert planned.strategy("one_by_one").refusal_odds == 0.0
    assert seconds["even_rate"] == pytest.approx(999 / (planned.strategy("even_rate").rate_per_s or 0.0) + 0.45, rel=0.01)
    assert planned.recommended == min((s for s in planned.strategies if s.refusal_odds <= 0.06), key=lambda s: s.seconds).name
    assert planned.recommended in ("level_aware", "workers")
    assert seconds["level_aware"] < seconds["even_rate"] < seconds["one_by_one"]
    assert "in_flight" not in document["strategies"][0]


@pytest.mark.untraced
def test_even_rate_of_the_run() -> None:
    """The rate that a run recommends is planned with, unless a ceiling is lower."""
    assert plan(twin(), 60, low=3.0).strategy("even_rate").rate_per_s == 3.0
    assert plan(twin(), 60, low=3.0, max_rate=2.0).strategy("even_rate").rate_per_s == 2.0


@pytest.mark.untraced
def test_ceilings() -> None:
    """No strategy is foretold quicker than the ceilings allow."""
    planned = plan(twin(), 200, max_rate=2.0, max_in_flight=3)
    assert min(strategy.seconds for strategy in planned.strategies) >= 199 / 2.0
    assert planned.strategy("workers").in_flight == 3
    assert plan(twin(), 200, max_rate=4.0).strategy("level_aware").seconds == pytest.approx(199 * 1.02 / 4)
    alone = plan(twin(), 200, max_in_flight=1)
    assert alone.strategy("level_aware").seconds == pytest.approx(200 * 0.45, rel=0.1)
    assert alone.strategy("workers").in_flight == 1


@pytest.mark.untraced
def test_the_rate_that_a_ceiling_leaves() -> None:
    """The even rate is told as the ceilings let it go: no faster than so many in flight come to, nor than `max_rate`."""
    assert plan(twin(), 60, low=30.0, max_in_flight=3).strategy("even_rate").rate_per_s == pytest.approx(3 / 0.45, rel=0.01)
    assert plan(twin(), 60, low=5.0, max_in_flight=3).strategy("even_rate").rate_per_s == 5.0
    assert plan(twin(), 60, low=30.0, max_rate=4.0, max_in_flight=3).strategy("even_rate").rate_per_s == 4.0


@pytest.mark.untraced
def test_dear_calls() -> None:
    """Where one call after another fills the bucket no workers are offered, and one by one is not recommended."""
    planned = plan(twin(cost=40.0, time_s=0.1, spread=0.05), 300)
    assert [strategy.name for strategy in planned.strategies] == ["one_by_one", "even_rate", "level_aware"]
    assert planned.strategy("one_by_one").refusal_odds == 1.0
    assert planned.recommended == "level_aware"
    # 300 calls pay 12,000, the bucket lends at most 600 and leaks 10/s
    assert planned.strategy("level_aware").seconds == pytest.approx((12_000 - 550) / 10, rel=0.06)


def test_level_aware_run() -> None:
    """Through the limiter's own book: no refusal, the same for the same seed, quicker than an even rate by the bucket's credit."""
    one = twin(cost=2.0, time_s=0.2)
    run = level_aware_run(one, 400, 1)
    assert run == level_aware_run(one, 400, 1)
    assert run.refused == 0
    assert 0.0 < run.second_half_s < run.seconds
    assert run.seconds < (800 - 300) / 10
    assert level_aware_run(one, 1, 1).seconds == pytest.approx(float(one.times_s[np.random.default_rng(1).integers(0, 2000)]) + 0.05)


@pytest.mark.parametrize(("refused", "odds"), [(0, 0.0), (2, 1.0 - 0.75**2), (8, 1.0)])
def test_level_aware_odds(refused: int, odds: float) -> None:
    """Where two of eight replays of half a job met a refusal, all of it meets one unless both halves pass."""
    planned = of_replays([LevelAwareRun(10.0, 5.0, 3 * (seed < refused)) for seed in range(8)], 50, 100)
    assert (planned.refusal_odds, planned.seconds) == pytest.approx((odds, 10.0 + 50 * 5.0 / 25))


@pytest.mark.untraced
def test_long_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long level-aware job goes on at the pace of what was replayed, where the outflow sets it."""
    monkeypatch.setattr(module, "REPLAYED_CALLS", 500)
    monkeypatch.setattr(module, "PACED_CALLS", 1000)
    one = twin(cost=2.0, time_s=0.1)
    long = module._level_aware(one, 12_000, None).seconds
    assert long == pytest.approx((24_000 - 550) / 10, rel=0.05)


@pytest.mark.untraced
def test_a_long_job_gains_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reservations bind, the leak's credit lets a job gain pace for thousands of calls: its time is that of a replay of them all."""
    monkeypatch.setattr(module, "REPLAYED_CALLS", 500)
    one = twin(cost=0.2, time_s=0.33, spread=0.3)
    assert module._level_aware(one, 6000, None).seconds == pytest.approx(level_aware_run(one, 6000, 1).seconds, rel=0.01)


@pytest.mark.untraced
@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"max_rate": 4.0}, {"max_in_flight": 2}])
def test_rehearsal_meets_the_forecast(more: dict[str, float]) -> None:
    """A rehearsal of the recommendation, under the instance's ceilings: no refusal, finish time within 5 % of the forecast."""
    one = twin(cost=1.0, time_s=0.3, spread=0.3)
    planned = plan(one, 600, **more)  # type: ignore[arg-type]
    told = rehearse(planned, one, **more)  # type: ignore[arg-type]
    jsonschema.validate(planned.document(told), SCHEMA)
    assert (told["calls"], told["refused"], told["strategy"]) == (600, 0, planned.recommended)
    assert told["seconds"] == pytest.approx(told["forecast_seconds"], rel=0.05)


@pytest.mark.untraced
@pytest.mark.parametrize("name", ["one_by_one", "even_rate", "workers"])
def test_every_strategy_can_be_rehearsed(name: str) -> None:
    """Each strategy is carried out as it is told, not only the quickest."""
    one = twin(cost=0.5, time_s=0.2, spread=0.3)
    planned = module.Plan(150, name, plan(one, 150).strategies)
    told = rehearse(planned, one)
    assert (told["strategy"], told["calls"], told["refused"]) == (name, 150, 0)
    assert told["seconds"] == pytest.approx(told["forecast_seconds"], rel=0.12)
